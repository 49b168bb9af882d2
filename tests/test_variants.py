"""Variants of one product: a slate shows one of them, whatever the release knew of groups; currencies of what is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clusters.catalogue import Catalogue, ItemRow, build_catalogue, group_number
from clusters.catalogue_changes import with_items
from clusters.currencies import CURRENCIES, currency_of_number, number_of_currency
from personas.component_files import load_component, save_component
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.overlay import Offer, Overlay, with_overlay
from recommendations.ranking.rules import Rule, Target
from recommendations.serving.payloads import item_json
from recommendations.session import CONTEXTS, Request
from tests.worlds import MONDAY, event, make_world, train_world

SIZES = 3


@pytest.fixture(scope="module")
def plain() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture(scope="module")
def engine(plain: Engine) -> Engine:
    """Items 1 to 3 are variants of one product, 4 to 6 of the next, and so on: of a kind, so that they rank side by side."""
    group = np.array([group_number(f"product {i // SIZES}") for i in range(len(plain.catalogue))], dtype=np.int64)
    return replace(plain, catalogue=replace(plain.catalogue, group=group))


def shown(engine: Engine, *looked: int, seed: int = 1, **asked: object) -> list[int]:
    state = replace(loop.start(engine, shop=1, session="s", at=MONDAY + 1_000_000.0, context={}), seed=seed)
    for n, item in enumerate(looked):
        state = loop.observe(engine, state, event(n, item=item))
    request = Request(now=MONDAY + 1_000_100.0, **{"count": 12, **asked})  # type: ignore[arg-type]
    return [item.item for item in loop.recommend(engine, state, request, loop.generator(state))[1].items]


def products(items: list[int]) -> list[int]:
    return [(item - 1) // SIZES for item in items]


@pytest.mark.parametrize("explore", [0.0, 0.5])
@pytest.mark.parametrize("looked", [(), (8,), (8, 30, 31)])
@pytest.mark.parametrize("context", [c for c in CONTEXTS if c not in ("search", "evaluation")])
def test_a_slate_shows_one_of_a_group_and_is_full(engine: Engine, context: str, looked: tuple[int, ...], explore: float) -> None:
    asked = {"anchors": (20,)} if context in ("similar", "complementary", "cart") else {}
    for seed in range(5):
        items = shown(engine, *looked, seed=seed, context=context, explore=explore, **asked)
        assert len(items) == 12
        assert len(set(products(items))) == 12


def test_beside_an_item_none_of_its_own_variants_stands(plain: Engine, engine: Engine) -> None:
    assert {2, 3} & set(shown(plain, 1, context="similar", anchors=(1,), count=12)), "else the test says nothing"
    assert not {1, 2, 3} & set(shown(engine, 1, context="similar", anchors=(1,), count=12))


def test_a_search_keeps_its_order_and_shows_one_of_a_group(engine: Engine) -> None:
    found = tuple((item, 10.0 / (1 + n)) for n, item in enumerate((5, 4, 7, 6, 8, 20)))
    items = shown(engine, 30, context="search", found=found, count=6)
    assert items == [5, 7, 20]


def test_without_groups_nothing_changes_and_each_on_its_own_is_none(plain: Engine) -> None:
    alone = replace(plain, catalogue=replace(plain.catalogue, group=np.zeros(len(plain.catalogue), dtype=np.int64)))
    for looked in ((), (8, 30)):
        assert shown(alone, *looked) == shown(plain, *looked)


def test_the_best_of_a_group_stands_where_it_stood(plain: Engine, engine: Engine) -> None:
    """Oracle: the ranking without groups, less every item whose product came before."""
    deep, firsts = shown(plain, 8, 30, count=40), []
    for item in deep:
        if (item - 1) // SIZES not in {(first - 1) // SIZES for first in firsts}:
            firsts.append(item)
    assert shown(engine, 8, 30, count=6) == firsts[:6]


def test_what_is_pinned_stands_and_its_variants_do_not(engine: Engine) -> None:
    def under(*items: int) -> Engine:
        rules = tuple(Rule(n, f"pin {n}", "pin", Target(items=(item,)), slot=n) for n, item in enumerate(items))
        return with_overlay(engine, Overlay(1, rules=rules))

    items = shown(under(60), 8)
    assert items[0] == 60
    assert len(set(products(items))) == 12
    assert shown(under(60, 59), 8)[:2] == [60, 59], "a merchandiser may want two of a group"


def test_groups_that_came_after_the_training_act_at_once(plain: Engine) -> None:
    """A release that knows of no groups, and an overlay that tells of those of its items and of a new one's."""
    offers = {
        item: Offer(float(plain.catalogue.price[item - 1]), None, True, None, group_number("g"), "PLN") for item in (1, 2, 3, 4)
    }
    new = ItemRow(1_000, "new", "blue skirts new", "skirts", "", "blue", 50.0, group=group_number("g"), currency="USD")
    under = with_overlay(plain, Overlay(1, offers, (new,), currency="EUR"))
    assert under.catalogue.group is not None
    assert under.catalogue.variants(0) == [1, 2, 3, len(plain.catalogue)]
    assert plain.catalogue.variants(0) == []
    for seed in range(5):
        assert len({1, 2, 3, 4, 1_000} & set(shown(under, 5, 6, seed=seed, count=20))) <= 1
    assert [item_json(under, item)["currency"] for item in (1, 7, 1_000)] == ["PLN", "EUR", "USD"]
    assert item_json(plain, 1)["currency"] is None


def test_a_component_keeps_groups_and_currencies(tmp_path: Path) -> None:
    rows = [ItemRow(1, "a", group=group_number("g"), currency="PLN"), ItemRow(2, "b")]
    made = build_catalogue(rows)
    for catalogue in (made, build_catalogue([ItemRow(1, "a")])):
        version = save_component(tmp_path, "catalogue", catalogue)
        back = load_component(tmp_path, "catalogue", Catalogue, version)
        np.testing.assert_array_equal(back.group, catalogue.group)
        np.testing.assert_array_equal(back.currency, catalogue.currency)
    longer = with_items(build_catalogue([ItemRow(1, "a")]), [replace(rows[0], item_id=3), ItemRow(4, "d")])
    assert longer.group is not None
    assert longer.currency is not None
    assert (longer.group.tolist(), longer.currency.tolist()) == (
        [0, group_number("g"), 0],
        [0, number_of_currency("PLN"), 0],
    )


def test_codes_of_currencies_come_back_from_their_numbers() -> None:
    numbers = {number_of_currency(code): code for code in CURRENCIES}
    assert len(numbers) == len(CURRENCIES)
    assert all(currency_of_number(number) == code for number, code in numbers.items())
    assert (number_of_currency(""), currency_of_number(0)) == (0, "")
    assert max(number_of_currency("ZZZ"), *numbers) < 2**15
