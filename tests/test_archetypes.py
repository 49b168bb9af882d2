"""Attributes and archetypes: what merchandisers write, checked, and the model it stands for."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from personas.archetypes import (
    Archetype,
    Attribute,
    PersonaError,
    default_personas,
    item_scores,
    mix_matrix,
    parse_personas,
    starting_model,
    unknown_descriptors,
)
from personas.encoding import FACTORS, GAPS, ItemFacts
from tests.persona_world import ARCHETYPES, ATTRIBUTES, DESCRIPTORS, world

CATEGORY, TIER, QUERY = FACTORS.index("category"), FACTORS.index("price_tier"), FACTORS.index("query")
VALID = {
    "attributes": [
        {"key": "thrift", "name": "Thrift", "weights": {"price_tier=low": 1}, "behaviours": {"gap=over_10m": 0.5}},
        {"key": "boots", "name": "Boots", "description": "Feet first", "weights": {"category=boots": 1.0}},
    ],
    "archetypes": [
        {"key": "saver", "name": "Saver", "icon": "tag", "colour": "#E69F00", "mix": {"thrift": 3 / 4, "boots": 1 / 4}}
    ],
}


@pytest.mark.parametrize("shop", ["fashion", "gifts", "outfitter"])
def test_the_demo_shops_personas_are_valid_and_distinct_in_colour(shop: str) -> None:
    raw = json.loads((Path(__file__).parent.parent / "data" / shop / "personas.json").read_text())
    attributes, archetypes = parse_personas(raw)
    assert 5 <= len(archetypes) <= 8
    assert len({a.colour for a in archetypes}) == len(archetypes)
    assert {"Budget-conscious", "Luxury Seeker"} <= {a.name for a in archetypes}
    assert {key for a in archetypes for key in a.mix} <= {a.key for a in attributes}


def test_definitions_are_read_with_ids_by_place_or_as_given() -> None:
    raw = copy.deepcopy(VALID)
    raw["attributes"][1]["id"] = 77
    attributes, archetypes = parse_personas(raw)
    assert [a.id for a in attributes] == [1, 77]
    assert attributes[0].behaviours == {"gap=over_10m": 0.5}
    assert archetypes == (Archetype(1, "saver", "Saver", "tag", "#E69F00", {"thrift": 0.75, "boots": 0.25}),)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("attributes",), "x", "attributes"),
        (("archetypes",), [], "archetypes"),
        (("attributes", 0), 3, r"attributes\[0\]"),
        (("attributes", 0, "key"), "No Spaces", r"attributes\[0\].key"),
        (("attributes", 1, "key"), "thrift", r"attributes\[1\].key"),
        (("attributes", 0, "name"), "  ", r"attributes\[0\].name"),
        (("attributes", 0, "id"), 0, r"attributes\[0\].id"),
        (("attributes", 0, "weights"), {"price_tier=low": 2}, r"attributes\[0\].weights"),
        (("attributes", 0, "weights"), {"price_tier=low": float("nan")}, r"attributes\[0\].weights"),
        (("attributes", 0, "weights"), {"price_tier=low": True}, r"attributes\[0\].weights"),
        (("attributes", 0, "weights"), {"category=a\x00": 1}, r"attributes\[0\].weights"),
        (("attributes", 0, "weights"), {"category=\ud800": 1}, r"attributes\[0\].weights"),
        (("attributes", 0, "weights"), {"category=" + "x" * 200: 1}, r"attributes\[0\].weights"),
        (("attributes", 0, "behaviours"), {"gap=forever": 1}, r"attributes\[0\].behaviours"),
        (("attributes", 0, "behaviours"), {"mood=good": 1}, r"attributes\[0\].behaviours"),
        (("attributes", 0, "behaviours"), {"discount=half": 1}, r"attributes\[0\].behaviours.*full_price, reduced"),
        (("attributes", 0, "behaviours"), {"query=boots": 1}, r"attributes\[0\].behaviours.*as category= or term="),
        (("archetypes", 0, "colour"), "red", r"archetypes\[0\].colour"),
        (("archetypes", 0, "mix"), {"thrift": -1}, r"archetypes\[0\].mix"),
        (("archetypes", 0, "mix"), {"unheard-of": 1}, r"archetypes\[0\].mix"),
        (("archetypes", 0, "mix"), {}, r"archetypes\[0\].mix"),
    ],
)
def test_bad_definitions_are_rejected_with_their_field(path: tuple[str | int, ...], value: object, field: str) -> None:
    raw: Any = copy.deepcopy(VALID)
    place = raw
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(PersonaError, match=field):
        parse_personas(raw)


def test_a_weight_of_one_makes_a_value_twenty_times_as_likely() -> None:
    w = world(0, sessions=10)
    model, _ = starting_model(ATTRIBUTES, ARCHETYPES, w.facts)
    table = np.exp(model.log_emission[CATEGORY])
    np.testing.assert_allclose(table[2, 0] / table[2, 1], 20.0)  # boots against coats, which the catalogue has as many of
    np.testing.assert_allclose(np.exp(model.log_emission[TIER])[0, 0] / np.exp(model.log_emission[TIER])[0, 1:], 20.0)
    np.testing.assert_allclose(np.exp(model.log_emission[FACTORS.index("gap")]), 1 / len(GAPS))  # nobody speaks of it
    for table in model.log_emission:
        np.testing.assert_allclose(np.exp(table).sum(axis=1), 1.0)


def test_terms_count_for_the_groups_whose_items_have_them() -> None:
    facts = ItemFacts(np.repeat(np.arange(3, dtype=np.int16), 10), np.full(30, -1, np.int8), ("g1", "g2", "g3"))
    lace = np.zeros((30, 1), np.float32)
    lace[[10, 11, 12, 13, 0]] = 1.0  # four items of g2, one of g1
    attributes = (Attribute(1, "lace", "Lace", "", {"term=lace": 1.0}), Attribute(2, "none", "None"))
    archetypes = tuple(Archetype(i, a.key, a.name, mix={a.key: 1.0}) for i, a in enumerate(attributes, 1))
    model, _ = starting_model(attributes, archetypes, facts, ("term=lace",), sparse.csr_matrix(lace))
    table = np.exp(model.log_emission[CATEGORY])
    assert table[0].argsort().tolist() == [2, 0, 1]
    assert table[0, 1] > 10 * table[0, 0]
    np.testing.assert_allclose(table[1], 1 / 3)
    np.testing.assert_array_equal(item_scores(attributes, facts, ("term=lace",), sparse.csr_matrix(lace))[:, 0], lace[:, 0])


def test_pseudo_counts_hold_what_an_archetype_is_named_by() -> None:
    w = world(0, sessions=10)
    codes = np.tile(np.array([[0, 0, 0, -1, -1, 0, -1, -1], [0, 1, 3, -1, -1, 1, -1, -1]], np.int16), (20_000, 1))
    _, pseudo = starting_model(ATTRIBUTES, ARCHETYPES, w.facts, codes=codes, sessions=4_000)
    rows = pseudo.emission[CATEGORY].sum(axis=1)
    np.testing.assert_allclose(rows, [200, 200, 200 + 5_000, 200 + 5_000])  # half of 40,000 events' even share


def test_item_scores_lie_between_nothing_and_one_full_descriptor() -> None:
    w = world(0, sessions=10)
    scores = item_scores(ATTRIBUTES, w.facts, DESCRIPTORS, w.item_descriptors)
    np.testing.assert_array_equal(scores[:, 2], (w.facts.category == 0).astype(np.float32))
    both = (Attribute(1, "x", "X", "", {"category=boots": 1.0, "price_tier=top": 1.0, "price_tier=low": -1.0}),)
    mixed = item_scores(both, w.facts, DESCRIPTORS, w.item_descriptors)
    assert mixed.min() == 0.0
    assert mixed.max() == 1.0


@pytest.mark.parametrize(
    ("facts", "keys"),
    [
        (ItemFacts(np.zeros(0, np.int16), np.zeros(0, np.int8), ()), ["explorer", "comparer"]),
        (ItemFacts(np.full(5, -1, np.int16), np.arange(5, dtype=np.int8) % 4, ()), ["budget", "luxury", "explorer", "comparer"]),
        (
            ItemFacts(np.array([0, 1, 1], np.int16), np.full(3, -1, np.int8), ("a", "b")),
            ["explorer", "comparer", "group-1", "group-0"],
        ),
    ],
)
def test_a_shop_without_personas_gets_what_its_items_allow(facts: ItemFacts, keys: list[str]) -> None:
    attributes, archetypes = default_personas(facts)
    assert [a.key for a in archetypes] == keys
    model, _ = starting_model(attributes, archetypes, facts)
    assert all(np.isfinite(t).all() for t in model.log_emission)


def test_default_personas_are_eight_at_most() -> None:
    facts = ItemFacts(np.arange(40, dtype=np.int16), np.arange(40, dtype=np.int8) % 4, tuple(f"c{i}" for i in range(40)))
    attributes, archetypes = default_personas(facts)
    assert len(archetypes) == 8
    np.testing.assert_array_equal(mix_matrix(attributes, archetypes), np.eye(8))


def test_an_archetype_without_attributes_is_refused() -> None:
    with pytest.raises(PersonaError, match="'x' has no attribute of positive weight"):
        mix_matrix(ATTRIBUTES, [Archetype(1, "x", "X")])


def test_weights_that_only_code_could_give_are_refused_too() -> None:
    mixed = ATTRIBUTES[0].key, ATTRIBUTES[1].key
    for weight in (math.nan, -0.5, math.inf):
        with pytest.raises(PersonaError, match=r"archetypes\[0\].mix: weight .* is not a positive number"):
            mix_matrix(ATTRIBUTES, [Archetype(1, "x", "X", mix={mixed[0]: 1.0, mixed[1]: weight})])
    broken = (Attribute(1, "x", "X", "", {"category=boots": math.nan}),)
    with pytest.raises(PersonaError, match=r"attributes\[0\]: 'x' has a weight on category that is not a number"):
        starting_model(broken, [Archetype(1, "x", "X", mix={"x": 1.0})], world(0, sessions=10).facts)


def test_who_is_drawn_to_a_category_searches_for_it() -> None:
    w = world(0, sessions=10)
    model, _ = starting_model(ATTRIBUTES, ARCHETYPES, w.facts)
    np.testing.assert_array_equal(model.log_emission[QUERY], model.log_emission[CATEGORY])
    facts = ItemFacts(np.repeat(np.arange(2, dtype=np.int16), 10), np.full(20, -1, np.int8), ("g1", "g2"))
    lace = np.zeros((20, 1), np.float32)
    lace[:5] = 1.0
    attributes = (Attribute(1, "lace", "Lace", "", {"term=lace": 1.0}),)
    drawn, _ = starting_model(
        attributes, [Archetype(1, "l", "L", mix={"lace": 1.0})], facts, ("term=lace",), sparse.csr_matrix(lace)
    )
    assert np.exp(drawn.log_emission[QUERY])[0, 0] > 0.9


def test_discount_hunting_is_told_by_descriptor_or_behaviour_and_counts_once() -> None:
    facts = world(0, sessions=10).facts
    said = ({"weights": {"discount=reduced": 1.0}}, {"behaviours": {"discount=reduced": 1.0}})
    for how in (*said, said[0] | said[1]):
        table = starting_model((Attribute(1, "x", "X", **how),), [Archetype(1, "x", "X", mix={"x": 1.0})], facts)[0]
        np.testing.assert_allclose(np.exp(table.log_emission[FACTORS.index("discount")]), [[1 / 21, 20 / 21]])
        assert np.ptp(table.log_emission[CATEGORY]) < 1e-9


def test_a_factor_that_few_events_have_is_held_by_its_own_share_of_the_log() -> None:
    w = world(0, sessions=10)
    codes = np.full((40_000, len(FACTORS)), -1, np.int16)
    codes[:400, QUERY] = np.arange(400) % 4
    _, pseudo = starting_model(ATTRIBUTES, ARCHETYPES, w.facts, codes=codes, sessions=4_000)
    np.testing.assert_allclose(pseudo.emission[QUERY].sum(axis=1), [200, 200, 250, 250])  # half of 400 searches' even share


def test_descriptors_that_no_item_has_are_told_and_skipped() -> None:
    attributes = (
        Attribute(1, "a", "A", "", {"category=boots": 1.0, "category=boats": 0.5, "colour=blue": 0.0}, {"novelty=new": 1.0}),
        Attribute(2, "b", "B", "", {"price_tier=low": 1.0, "term=yacht": -1.0}),
    )
    assert unknown_descriptors(attributes, DESCRIPTORS) == [("a", "category=boats"), ("b", "term=yacht")]
    w = world(0, sessions=10)
    archetypes = [Archetype(i, a.key, a.name, mix={a.key: 1.0}) for i, a in enumerate(attributes, 1)]
    without = tuple(dataclasses.replace(a, weights={n: v for n, v in a.weights.items() if n in DESCRIPTORS}) for a in attributes)
    ours, theirs = (starting_model(a, archetypes, w.facts, DESCRIPTORS, w.item_descriptors)[0] for a in (attributes, without))
    for mine, other in zip(ours.log_emission, theirs.log_emission, strict=True):
        np.testing.assert_array_equal(mine, other)
