"""Components go to arrays and JSON and come back the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import sparse

from clusters.catalogue import Catalogue, ItemRow, build_catalogue, price_tiers, terms
from personas.components import Text, from_parts, to_parts


@dataclass(frozen=True)
class Inner:
    weights: np.ndarray
    name: str


@dataclass(frozen=True)
class Outer:
    inner: Inner
    tables: tuple[np.ndarray, ...]
    parts: tuple[Inner, ...]
    names: tuple[str, ...]
    matrix: sparse.csr_matrix
    maybe: np.ndarray | None
    size: int


def outer() -> Outer:
    return Outer(
        inner=Inner(np.arange(3.0), "a"),
        tables=(np.eye(2), np.ones(1, dtype=np.int8)),
        parts=(Inner(np.zeros(2), "b"), Inner(np.ones(2), "c")),
        names=("x", "ü"),
        matrix=sparse.csr_matrix(np.array([[0, 2.0], [1, 0], [0, 0]])),
        maybe=None,
        size=3,
    )


def test_round_trip_through_arrays_and_json() -> None:
    arrays, meta = to_parts(outer())
    back = from_parts(Outer, arrays, json.loads(json.dumps(meta)))
    assert (back.names, back.size, back.inner.name, back.parts[1].name, back.maybe) == (("x", "ü"), 3, "a", "c", None)
    np.testing.assert_array_equal(back.tables[0], np.eye(2))
    np.testing.assert_array_equal(back.matrix.toarray(), outer().matrix.toarray())


def test_object_arrays_are_refused_since_only_pickle_could_store_them() -> None:
    with pytest.raises(TypeError, match="weights is an object array"):
        to_parts(Inner(np.array([{}], dtype=object), "a"))


def test_a_missing_part_is_named() -> None:
    arrays, meta = to_parts(outer())
    del arrays["inner.weights"]
    with pytest.raises(KeyError, match=r"inner\.weights"):
        from_parts(Outer, arrays, meta)


@dataclass(frozen=True)
class Grown:
    """A component that had no `later` when it was first saved."""

    first: np.ndarray
    later: np.ndarray = field(default_factory=lambda: np.zeros(2), metadata={"came_later": True})


def test_an_array_that_came_later_has_its_default_in_what_was_saved_before() -> None:
    found = from_parts(Grown, {"first": np.ones(3)}, {})
    assert found.first.tolist() == [1, 1, 1]
    assert found.later.tolist() == [0, 0]
    with pytest.raises(KeyError, match="first"):
        from_parts(Grown, {"later": np.ones(3)}, {})


def test_text_holds_any_unicode() -> None:
    words = ["", "naïve", "日本", "x" * 300]
    text = Text.of(words)
    assert [text[i] for i in range(len(text))] == words
    with pytest.raises(IndexError, match="-1 is negative"):
        text[-1]


def test_catalogue_round_trip_and_lookups() -> None:
    rows = [
        ItemRow(7, "c", "thing"),
        ItemRow(3, "a", "blue skirt", "skirts", "", "blue", 3.0),
        ItemRow(4, "b", "red shoe", "shoes"),
    ]
    arrays, meta = to_parts(build_catalogue(rows))
    back = from_parts(Catalogue, arrays, json.loads(json.dumps(meta)))
    assert back.item_ids.tolist() == [3, 4, 7]
    assert back.ids_of(["b", "nobody"]) == [4, 0]
    assert back.positions([7, 99, 3]).tolist() == [2, -1, 0]
    assert back.titles[0] == "blue skirt"
    assert "category=skirts" in back.descriptors


def test_an_empty_catalogue_is_a_catalogue() -> None:
    empty = build_catalogue([])
    assert len(empty) == 0
    assert empty.ids_of(["a"]) == [0]


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        build_catalogue([ItemRow(1, "a"), ItemRow(1, "b")])


def test_price_tier_is_the_quartile_within_the_category() -> None:
    price = np.array([1, 2, 3, 4, 100, 200, 300, 400, np.nan], dtype=np.float32)
    category = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert price_tiers(price, category).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, -1]


def test_terms_are_plain_words() -> None:
    assert terms("SET/6 Café LIGHTS no2") == ["set", "cafe", "lights"]


def test_an_item_below_its_regular_price_is_reduced() -> None:
    rows = [
        *(ItemRow(1, "a", price=8.0, regular_price=10.0), ItemRow(2, "b", price=10.0, regular_price=10.0)),
        *(ItemRow(3, "c", price=12.0, regular_price=10.0), ItemRow(4, "d", price=5.0), ItemRow(5, "e", regular_price=5.0)),
    ]
    catalogue = build_catalogue(rows)
    assert catalogue.reduced.tolist() == [True, False, False, False, False]
    column = catalogue.descriptors.index("discount=reduced")
    assert catalogue.item_descriptors[:, [column]].toarray().ravel().tolist() == [1, 0, 0, 0, 0]
    assert build_catalogue([ItemRow(1, "a", price=8.0)]).reduced.shape == (0,)  # such a shop knows no regular prices


def test_texts_are_what_a_shopper_may_search_by() -> None:
    rows = [
        ItemRow(1, "a", "Lace top", "blouses", "Brand X", "navy blue", 8.0, True, ("summer", "sale")),
        ItemRow(2, "sku-2"),
        ItemRow(3, "c", "Hat"),
    ]
    assert list(build_catalogue(rows).texts()) == ["Lace top blouses Brand X navy blue summer sale", "", "Hat"]
