"""Merchandisers' rules in the loop: what is pinned stands there, what is left out never does, and each says where it acted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.overlay import Overlay
from recommendations.ranking.ranker import Ranked
from recommendations.ranking.rule_conflicts import conflicts
from recommendations.ranking.rules import (
    ACTIONS,
    Cap,
    Pin,
    Rule,
    Scope,
    Target,
    acting,
    compile_rules,
    margins,
    place_pins,
    target_positions,
)
from recommendations.ranking.slate import compose
from recommendations.session import Request, SessionState, Slate, evaluation_request
from tests.test_slate import EVENS_FIRST, SELECTION, ranking, two_clusters
from tests.worlds import CATEGORIES, COLOURS, MONDAY, World, event, make_world, train_world

NOW = MONDAY + 2_000_000.0
PLAIN = Request(now=NOW, explore=0.0)
COSTLY = 0.4
"""Share of the price that every other item of the world costs; the next costs 0.8 of it, each third nobody knows."""


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    trained = train_world(world)
    n = len(trained.catalogue)
    share = np.where(np.arange(n) % 2, 0.8, COSTLY)
    cost = np.where(np.arange(n) % 3, trained.catalogue.price * share, np.nan).astype(np.float32)
    stock = np.ones(n, dtype=bool)
    stock[10] = False
    return replace(trained, catalogue=replace(trained.catalogue, cost=cost, in_stock=stock))


@pytest.fixture(scope="module")
def state(engine: Engine) -> SessionState:
    """A visit among red skirts, then blue ones."""
    state = loop.start(engine, shop=1, session="s1", at=MONDAY + 1_000_000.0, context={"country": "PL"})
    for n, item in enumerate((7, 8, 9, 1, 2)):
        state = loop.observe(engine, state, event(n, item=item))
    return state


def ruled(engine: Engine, *rules: Rule) -> Engine:
    return replace(engine, overlay=Overlay(version=3, rules=rules))


def slate_of(engine: Engine, state: SessionState, request: Request = PLAIN) -> Slate:
    return loop.recommend(engine, state, request, loop.generator(state))[1]


def shown(slate: Slate) -> list[int]:
    return [item.item for item in slate.items]


# Single rules


def test_without_a_rule_that_acts_the_slate_is_as_without_rules(engine: Engine, state: SessionState) -> None:
    bare = slate_of(engine, state)
    over = ruled(engine, Rule(1, "later", "exclude", Target(categories=("skirts",)), Scope(starts=NOW + 1)))
    assert slate_of(over, state) == replace(bare, overlay=3)
    acts = ruled(engine, Rule(1, "all", "exclude", Target(categories=("skirts",))))
    assert slate_of(acts, state, replace(PLAIN, rules=False)) == replace(bare, overlay=3)
    assert not evaluation_request(NOW).rules


def test_what_a_rule_leaves_out_is_not_shown_and_the_rule_says_what_it_kept_out(engine: Engine, state: SessionState) -> None:
    before = slate_of(engine, state)
    first = before.items[0].item
    slate = slate_of(ruled(engine, Rule(5, "no", "exclude", Target(items=(first,)))), state)
    assert first not in shown(slate)
    assert set(shown(before)) - {first} < set(shown(slate))
    assert slate.rules == (5,), "it kept one item out"
    assert all(item.rules == () for item in slate.items)
    other = next(i for i in engine.catalogue.item_ids.tolist() if i not in shown(before))
    assert slate_of(ruled(engine, Rule(5, "no", "exclude", Target(items=(other,)))), state).rules == (), "nobody missed that one"


@pytest.mark.parametrize(("action", "sign"), [("boost", 1.0), ("bury", -1.0)])
def test_a_boost_multiplies_the_odds_by_its_strength(engine: Engine, state: SessionState, action: str, sign: float) -> None:
    before = {item.item: item.score for item in slate_of(engine, state, replace(PLAIN, count=40)).items}
    target = Target(categories=("skirts",), attributes=("colour=green", "colour=blue"))
    slate = slate_of(ruled(engine, Rule(2, "more", action, target, strength=3.0)), state, replace(PLAIN, count=40))
    positions = set(target_positions(target, engine.catalogue, engine.clusters).tolist())
    seen = set()
    for item in slate.items:
        if item.item in before and item.score > min(before.values()):
            of_target = engine.catalogue.position(item.item) in positions
            seen.add(of_target)
            moved = sign * math.log(3.0) if of_target else 0.0
            assert item.score - before[item.item] == pytest.approx(moved, abs=1e-4)
            assert item.rules == ((2,) if of_target else ())
    assert seen == {True, False}
    gone = {engine.catalogue.position(item) for item in before.keys() - set(shown(slate))} & positions
    kept_out = slate.rules.count(2) - sum(item.rules == (2,) for item in slate.items)
    assert 0 <= kept_out <= len(gone)
    assert kept_out == 0 or action == "bury", "what rises keeps nothing out"


def test_a_pin_stands_in_its_slot_for_certain_and_says_so(engine: Engine, state: SessionState) -> None:
    far = 70
    slate = slate_of(ruled(engine, Rule(4, "shoe", "pin", Target(items=(far,)), slot=2)), state, replace(PLAIN, explore=0.5))
    assert shown(slate)[2] == far
    assert slate.items[2].propensity == 1.0
    assert slate.items[2].rules == slate.rules == (4,)
    assert len(set(shown(slate))) == PLAIN.count


def test_a_pin_takes_its_items_in_order_and_passes_over_what_the_request_leaves_out(engine: Engine, state: SessionState) -> None:
    sold_out = int(engine.catalogue.item_ids[10])
    pin = Rule(1, "p", "pin", Target(items=(sold_out, 70, 60)), slot=0)
    assert shown(slate_of(ruled(engine, pin), state))[0] == 70
    assert shown(slate_of(ruled(engine, pin), state, replace(PLAIN, exclude=(70,))))[0] == 60
    assert shown(slate_of(ruled(engine, pin), state, replace(PLAIN, allow_out_of_stock=True)))[0] == sold_out
    barred = Rule(9, "x", "exclude", Target(items=(70, 60)))
    nothing = slate_of(ruled(engine, pin, barred), state)
    assert shown(nothing) == shown(slate_of(engine, state)), "a pin that has nothing to show changes nothing"


def test_a_pin_of_a_category_shows_what_suits_the_session_best(engine: Engine, state: SessionState, world: World) -> None:
    pin = Rule(1, "p", "pin", Target(categories=("skirts",), attributes=("colour=blue",)), slot=3)
    bare = [i for i in shown(slate_of(engine, state, replace(PLAIN, count=40))) if world.group[i - 1] == 0]
    assert shown(slate_of(ruled(engine, pin), state))[3] == bare[0]


def test_of_two_pins_on_a_slot_the_lower_id_wins_and_an_item_stands_in_one_slot(engine: Engine, state: SessionState) -> None:
    high = Rule(8, "b", "pin", Target(items=(60,)), slot=1)
    low = Rule(3, "a", "pin", Target(items=(70,)), slot=1)
    again = Rule(9, "c", "pin", Target(items=(70, 61)), slot=4)
    slate = slate_of(ruled(engine, high, low, again), state)
    assert (shown(slate)[1], slate.items[1].rules) == (70, (3,))
    assert 8 not in slate.rules
    assert shown(slate)[4] == 61, "70 has its slot already"


def test_balance_gives_a_category_no_more_than_its_share(engine: Engine, state: SessionState) -> None:
    category = dict(zip(engine.catalogue.item_ids.tolist(), engine.catalogue.category.tolist(), strict=True))
    before = Counter(category[i] for i in shown(slate_of(engine, state)))
    assert max(before.values()) > 3, "the test needs a category with more than a quarter"
    slate = slate_of(ruled(engine, Rule(6, "mix", "balance", share=0.25)), state)
    assert len(slate.items) == PLAIN.count
    assert max(Counter(category[i] for i in shown(slate)).values()) == 3
    assert 6 in slate.rules
    assert slate.items[0].rules == (), "nothing better than the best was held back"


def test_balance_of_a_target_leaves_the_rest_alone(engine: Engine, state: SessionState) -> None:
    target = Target(categories=("skirts",))
    slate = slate_of(ruled(engine, Rule(6, "few", "balance", target, share=0.1)), state)
    skirts = engine.catalogue.categories.index("skirts")
    assert sum(engine.catalogue.category[i - 1] == skirts for i in shown(slate)) == 1
    assert len(slate.items) == PLAIN.count


def test_balance_gives_way_where_nothing_else_is_left(engine: Engine, state: SessionState) -> None:
    only = Rule(1, "only", "exclude", Target(categories=("blouses", "shoes", "trousers")))
    slate = slate_of(ruled(engine, only, Rule(2, "mix", "balance", share=0.25)), state)
    assert len(slate.items) == PLAIN.count


def test_a_margin_floor_leaves_out_what_is_known_to_earn_less(engine: Engine, state: SessionState) -> None:
    slate = slate_of(ruled(engine, Rule(7, "earn", "margin", margin=0.5)), state, replace(PLAIN, count=40))
    got = margins(engine.catalogue)[[i - 1 for i in shown(slate)]]
    assert len(got) == 40
    assert not (got < 0.5).any()
    assert np.isnan(got).any(), "nobody knows of those, so they stay"
    assert (got >= 0.5).any()


# Where rules act


def scoped(engine: Engine, scope: Scope, **at: object) -> bool:
    rules = compile_rules(
        [Rule(1, "r", "exclude", Target(items=(1,)), scope)], engine.catalogue, engine.clusters, engine.personas.ids
    )
    asked: dict[str, object] = {"now": NOW, "context": "home", "personas": (0,), "clusters": np.array([0, 2])}
    return bool(acting(rules, **asked | at))  # type: ignore[arg-type]


def test_a_rule_acts_where_every_condition_of_its_scope_holds(engine: Engine) -> None:
    personas, clusters = engine.personas.ids, engine.clusters.cluster_ids.tolist()
    assert scoped(engine, Scope())
    assert scoped(engine, Scope(contexts=("home", "cart")))
    assert not scoped(engine, Scope(contexts=("cart",)))
    assert not scoped(engine, Scope(contexts=("cart",)), context="evaluation")
    assert scoped(engine, Scope(personas=(personas[1],)), personas=(2, 1))
    assert not scoped(engine, Scope(personas=(personas[1],)))
    assert not scoped(engine, Scope(personas=(999_999,))), "a persona that is gone is never active"
    assert scoped(engine, Scope(clusters=(clusters[2], 999_999)))
    assert not scoped(engine, Scope(clusters=(clusters[1],)))
    assert scoped(engine, Scope(starts=NOW, ends=NOW + 1))
    assert not scoped(engine, Scope(starts=NOW - 9, ends=NOW)), "the end is the first moment it no longer acts"
    assert not scoped(engine, Scope(contexts=("home",), personas=(personas[1],)))


def test_a_target_is_what_meets_every_condition(engine: Engine) -> None:
    catalogue = engine.catalogue

    def plain(target: Target) -> list[int]:
        found = []
        for p in range(len(catalogue)):
            price = float(catalogue.price[p])
            row = catalogue.item_descriptors
            has = {catalogue.descriptors[j] for j in row.indices[row.indptr[p] : row.indptr[p + 1]]}
            clusters = {int(engine.clusters.cluster_ids[c]) for c, _ in engine.clusters.of(p)}
            ok = (
                (not target.items or int(catalogue.item_ids[p]) in target.items)
                and (not target.categories or catalogue.categories[catalogue.category[p]] in target.categories)
                and (not target.attributes or bool(has & set(target.attributes)))
                and (not target.clusters or bool(clusters & set(target.clusters)))
                and (target.price_min is None or price >= target.price_min)
                and (target.price_max is None or price <= target.price_max)
                and not target.brands
            )
            if ok:
                found.append(p)
        return found

    cluster = int(engine.clusters.cluster_ids[1])
    for target in (
        Target(),
        Target(items=(3, 5, 4_000)),
        Target(categories=("skirts", "shoes"), attributes=("colour=red",)),
        Target(attributes=("colour=red", "price_tier=top")),
        Target(clusters=(cluster,), price_max=50.0),
        Target(clusters=(987_654,)),
        Target(price_min=20.0, price_max=30.0),
        Target(brands=("nobody",)),
        Target(categories=("hats",)),
    ):
        assert target_positions(target, catalogue, engine.clusters).tolist() == plain(target), target


def test_a_pin_of_a_whole_category_that_cannot_be_shown_asks_a_few_times_only() -> None:
    """Of 40,000 items that are sold out; where one is left, it is found though it comes last."""
    n, asked = 40_000, 0
    pin = Pin(1, 0, np.arange(n), np.ones(n, dtype=bool))

    def none_but(left: int) -> Callable[[np.ndarray], np.ndarray]:
        def may(positions: np.ndarray) -> np.ndarray:
            nonlocal asked
            asked += 1
            return positions == left

        return may

    assert place_pins([pin], np.arange(100), none_but(-1), 5) == {}
    assert asked < 10
    assert place_pins([pin], np.arange(100), none_but(n - 1), 5) == {0: (1, n - 1)}


def test_no_rules_can_be_compiled(engine: Engine) -> None:
    nothing = compile_rules([], engine.catalogue, engine.clusters, engine.personas.ids)
    assert not acting(nothing, now=NOW, context="home", personas=(0,), clusters=np.array([0]))
    assert list(conflicts(nothing)) == []


def test_conflicts_are_between_rules_that_share_an_item_and_a_request(engine: Engine) -> None:
    skirts = Target(categories=("skirts",))
    rules = [
        Rule(1, "a", "pin", Target(items=(1, 2)), slot=0),
        Rule(2, "b", "exclude", skirts),
        Rule(3, "c", "boost", skirts, strength=2.0),
        Rule(4, "d", "bury", Target(categories=("skirts", "shoes")), strength=2.0),
        Rule(5, "e", "bury", Target(categories=("shoes",)), strength=2.0),
        Rule(6, "f", "bury", skirts, Scope(ends=NOW), strength=2.0),
        Rule(7, "g", "boost", skirts, Scope(starts=NOW), strength=2.0),
    ]
    of_one = target_positions(skirts, engine.catalogue, engine.clusters)
    assert {0, 1} <= set(of_one.tolist()), "the pin's items are skirts"
    found = compile_rules(rules, engine.catalogue, engine.clusters, engine.personas.ids)
    told = [(c.kind, c.rule.rule_id, c.other.rule_id) for c in conflicts(found)]
    assert told == [("barred_pin", 1, 2), ("opposed", 4, 3), ("opposed", 6, 3), ("opposed", 7, 4)]
    assert [(c.rule.rule_id, c.other.rule_id) for c in conflicts(found, of=4)] == [(4, 3), (7, 4)]


@pytest.mark.parametrize(
    "rule",
    [
        Rule(1, "x", "promote"),
        Rule(1, "x", "boost", strength=0.5),
        Rule(1, "x", "bury", strength=math.nan),
        Rule(1, "x", "balance", share=0.0),
        Rule(1, "x", "margin", margin=1.0),
        Rule(1, "x", "pin", slot=-1),
    ],
)
def test_a_rule_that_cannot_be_is_refused(engine: Engine, rule: Rule) -> None:
    with pytest.raises(ValueError, match="rule 1 can't be"):
        compile_rules([rule], engine.catalogue, engine.clusters, engine.personas.ids)


# Any rules


targets_drawn = st.builds(
    Target,
    items=st.lists(st.integers(1, 80), max_size=4).map(tuple),
    categories=st.lists(st.sampled_from(CATEGORIES), max_size=2).map(tuple),
    attributes=st.lists(st.sampled_from([f"colour={c}" for c in COLOURS]), max_size=2).map(tuple),
    price_min=st.none() | st.floats(10, 100),
)

rules_drawn = st.lists(
    st.builds(
        Rule,
        st.integers(1, 60),
        st.just("r"),
        st.sampled_from(ACTIONS),
        targets_drawn,
        st.builds(Scope, contexts=st.sampled_from([(), ("home",), ("cart",)]), starts=st.sampled_from([None, NOW - 1, NOW + 1])),
        slot=st.integers(0, 14),
        strength=st.floats(1.0, 1_000.0),
        share=st.floats(0.01, 1.0),
        margin=st.floats(-1.0, 0.99),
    ),
    max_size=12,
    unique_by=lambda rule: rule.rule_id,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=rules_drawn, explore=st.sampled_from([0.0, 0.3]), count=st.integers(1, 20), begun=st.booleans())
def test_no_rules_break_a_slate(
    engine: Engine, state: SessionState, drawn: list[Rule], explore: float, count: int, begun: bool
) -> None:
    over = ruled(engine, *drawn)
    if not begun:
        state = loop.start(engine, shop=1, session="s2", at=NOW)
    slate = slate_of(over, state, replace(PLAIN, count=count, explore=explore))
    assert slate == slate_of(over, state, replace(PLAIN, count=count, explore=explore))
    here = [r for r in drawn if (not r.scope.contexts or "home" in r.scope.contexts) and (r.scope.starts or 0) <= NOW]
    left_out = {10} | ({1} if begun else set())  # sold out, and the current item
    for rule in here:
        of_rule = target_positions(rule.target, engine.catalogue, engine.clusters)
        if rule.action == "exclude":
            left_out |= set(of_rule.tolist())
        if rule.action == "margin":
            left_out |= {p for p in of_rule.tolist() if margins(engine.catalogue)[p] < rule.margin}
    items = shown(slate)
    positions = [engine.catalogue.position(i) for i in items]
    assert len(items) == len(set(items)), "an item twice"
    assert not set(positions) & left_out
    assert len(items) == min(count, len(engine.catalogue) - len(left_out)), "short though there was more to show"
    assert set(slate.rules) <= {r.rule_id for r in here}
    pins = {r.rule_id: r for r in here if r.action == "pin"}
    for item in slate.items:
        assert 0 < item.propensity <= 1
        assert math.isfinite(item.score)
        for rule in item.rules:
            if rule in pins:
                assert item.propensity == 1.0
                assert item.slot == pins[rule].slot or len(items) <= pins[rule].slot
    best = {r.slot: r for r in sorted(pins.values(), key=lambda r: -r.rule_id)}
    for slot, pin in best.items():
        may = [p for p in target_positions(pin.target, engine.catalogue, engine.clusters).tolist() if p not in left_out]
        if slot < len(items) and may and len(pins) == 1:
            assert positions[slot] in may


# Slots


def test_the_odds_of_a_slot_are_what_they_say_beside_pins_and_balance() -> None:
    """Of the third slot, given those above it: how often each item comes, against what was said of it."""
    ranked: Ranked = ranking(EVENS_FIRST)
    clusters, cap = two_clusters(40), Cap(6, 0.5, np.array([0, 0, 1, 1] * 10))
    rng = np.random.default_rng(0)
    said: dict[tuple[int, ...], dict[int, float]] = {}
    came: Counter[tuple[int, ...]] = Counter()
    for _ in range(12_000):
        slots = compose(
            ranked,
            clusters=clusters,
            selection=SELECTION,
            belief=np.array([0.7, 0.3]),
            active=(),
            count=4,
            explore=0.4,
            rng=rng,
            pins={1: (9, 30)},
            caps=[cap],
        )
        rows = tuple(slot.row for slot in slots)
        assert rows[1] == 30
        assert slots[1].propensity == 1.0
        groups = Counter(int(cap.group[EVENS_FIRST[row]]) for row in rows)
        assert max(groups.values()) <= 2
        said.setdefault(rows[:2], {})[rows[2]] = slots[2].propensity
        came[rows[:3]] += 1
    above = max(said, key=lambda rows: sum(n for key, n in came.items() if key[:2] == rows))
    total = sum(n for key, n in came.items() if key[:2] == above)
    assert sum(said[above].values()) == pytest.approx(1.0, abs=1e-9), "every item that can come has come"
    for row, propensity in said[above].items():
        se = math.sqrt(propensity * (1 - propensity) / total)
        assert abs(came[*above, row] / total - propensity) < 4.5 * se + 1e-9
