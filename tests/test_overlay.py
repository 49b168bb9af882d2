"""An engine under a live overlay: as if the catalogue had been so, but for what was learned; and the overlay's deltas."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from clusters import catalogue_changes
from clusters.catalogue import ItemRow, build_catalogue
from clusters.catalogue_changes import Offers
from clusters.currencies import number_of_currency
from recommendations import engine as loop
from recommendations import overlay, overlay_deltas
from recommendations.engine import Engine
from recommendations.overlay import NO_OVERLAY, Offer, Overlay, with_overlay
from recommendations.overlay_deltas import Delta, applied, between, folded
from recommendations.overlays import from_json, to_json
from recommendations.ranking.new_items import Kin
from recommendations.ranking.rules import Rule
from recommendations.session import Request, SessionState, Slate
from tests.cluster_worlds import made_clusters
from tests.worlds import MONDAY, World, event, make_world, train_world

NEW = ItemRow(1_000, "new", "blue skirts new", "skirts", "", "blue", 50.0)
STRANGE = ItemRow(1_001, "strange", "Ωmega", "spaceships", "Acme", "ultraviolet", None)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return replace(train_world(world), release="1")


def session(engine: Engine, *items: int) -> SessionState:
    state = loop.start(engine, shop=1, session="s", at=MONDAY + 1e6)
    for n, item in enumerate(items):
        state = loop.observe(engine, state, event(n, item=item))
    return state


def slate(engine: Engine, state: SessionState, **asked: object) -> Slate:
    request = Request(now=MONDAY + 1e6 + 900, explore=0.0, **asked)  # type: ignore[arg-type]
    return loop.recommend(engine, state, request, loop.generator(state))[1]


def shown(engine: Engine, *items: int, **asked: object) -> list[int]:
    return [entry.item for entry in slate(engine, session(engine, *items), **asked).items]


# The catalogue


def rows_of(seed: int) -> list[ItemRow]:
    """Random items of three categories, some without a price, a regular price or a category."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(1, 80):
        price = None if rng.random() < 0.1 else round(float(rng.uniform(1, 100)), 2)
        regular = None if rng.random() < 0.5 else round(float(rng.uniform(1, 100)), 2)
        category = ("", "a", "b", "c")[rng.integers(4)]
        rows.append(ItemRow(n, f"i{n}", f"red thing {n}", category, "", "red", price, bool(rng.random() < 0.8), (), regular))
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_offers_give_what_a_build_gives_under_the_old_cuts(seed: int) -> None:
    """Oracle: a catalogue built of the changed rows; its tiers are looked at only where its cuts are the old ones."""
    rows = rows_of(seed)
    rng = np.random.default_rng(100 + seed)
    changed = {int(n): rows[n] for n in rng.choice(len(rows), 20, replace=False)}
    for n, row in changed.items():
        other = rows[int(rng.integers(len(rows)))]
        in_stock = bool(rng.random() < 0.5)
        offer = {"regular_price": other.regular_price, "in_stock": in_stock, "cost": float(n)}
        rows[n] = replace(row, group=n % 3, currency=("", "USD", "PLN")[n % 3], **offer)
    old = build_catalogue(rows_of(seed))
    new = build_catalogue(rows)
    at = np.array(sorted(changed))
    got = catalogue_changes.with_offers(
        old,
        Offers(
            at,
            np.array([np.nan if rows[n].price is None else rows[n].price for n in at]),
            np.array([np.nan if rows[n].regular_price is None else rows[n].regular_price for n in at]),
            np.array([rows[n].in_stock for n in at]),
            np.array([rows[n].cost for n in at], dtype=float),
            np.array([rows[n].group for n in at]),
            np.array([number_of_currency(rows[n].currency) for n in at]),
        ),
    )
    np.testing.assert_array_equal(got.group, new.group)
    np.testing.assert_array_equal(got.currency, new.currency)
    np.testing.assert_array_equal(got.reduced, new.reduced)
    np.testing.assert_array_equal(got.in_stock, new.in_stock)
    np.testing.assert_array_equal(got.cost, new.cost)
    np.testing.assert_array_equal(got.price_tier, new.price_tier)
    for n in range(len(rows)):
        assert said(got, n) == said(new, n)


def said(catalogue: object, n: int) -> set[str]:
    matrix, names = catalogue.item_descriptors, catalogue.descriptors  # type: ignore[attr-defined]
    return {names[c] for c in matrix.indices[matrix.indptr[n] : matrix.indptr[n + 1]]}


def test_a_new_price_moves_the_tier_within_the_old_cuts(engine: Engine) -> None:
    catalogue = engine.catalogue
    skirts = np.flatnonzero(catalogue.category == catalogue.category[0])
    prices = np.sort(catalogue.price[skirts])
    for price, tier in ((prices[0] - 1, 0), (prices[-1] + 1, 3), (float(np.median(prices)) + 1e-3, 2)):
        changed = with_overlay(engine, Overlay(1, {1: Offer(float(price), None, True)}))
        assert changed.catalogue.price_tier[0] == tier
        assert changed.personas.facts.price_tier[0] == tier
        assert f"price_tier={('low', 'middle', 'upper', 'top')[tier]}" in said(changed.catalogue, 0)
        others = np.arange(1, len(catalogue))
        np.testing.assert_array_equal(changed.catalogue.price_tier[others], catalogue.price_tier[others])


def test_arrays_that_do_not_change_are_the_release_s_own(engine: Engine) -> None:
    layout = engine.layout
    changed = with_overlay(engine, Overlay(1, {1: Offer(engine.catalogue.price.item(0), None, False)}))
    assert not changed.catalogue.in_stock[0]
    assert changed.catalogue.price is engine.catalogue.price
    assert changed.catalogue.item_descriptors is engine.catalogue.item_descriptors
    assert changed.personas is engine.personas
    assert changed.ranker is engine.ranker
    assert changed.clusters is engine.clusters
    assert changed.layout is layout, "nothing that it is made of changed"


# The engine


def test_an_overlay_takes_the_place_of_the_one_before(engine: Engine) -> None:
    """Oracle: the overlay put on the bare engine, array by array."""
    a = Overlay(1, {1: Offer(1.0, 2.0, False)}, (NEW,), frozenset({5}))
    b = Overlay(2, {2: Offer(3.0, None, True)}, (STRANGE,))
    twice, once = with_overlay(with_overlay(engine, a), b), with_overlay(engine, b)
    assert twice.overlay is b
    assert (twice.release, twice.bare) == ("1", engine)
    for part in ("price", "price_tier", "in_stock", "category", "item_ids"):
        np.testing.assert_array_equal(getattr(twice.catalogue, part), getattr(once.catalogue, part))
    np.testing.assert_array_equal(twice.ranker.encoder.inputs, once.ranker.encoder.inputs)
    assert slate(twice, session(twice, 1, 3)) == slate(once, session(once, 1, 3))
    assert with_overlay(twice, NO_OVERLAY) is engine


def test_only_the_rules_change_and_all_else_is_kept(engine: Engine) -> None:
    under = with_overlay(engine, Overlay(1, {1: Offer(1.0, 2.0, False)}, (NEW,)))
    ruled = with_overlay(under, replace(under.overlay, version=2, rules=(Rule(1, "x", "exclude"),)))
    assert ruled.catalogue is under.catalogue
    assert ruled.ranker is under.ranker
    assert (ruled.overlay.version, ruled.bare) == (2, engine)


def test_what_is_sold_out_or_gone_is_not_shown(engine: Engine) -> None:
    first, second = shown(engine, 1, 3)[:2]
    out = with_overlay(engine, Overlay(1, {first: Offer(10.0, None, False)}, gone=frozenset({second})))
    assert not {first, second} & set(shown(out, 1, 3))
    asked = shown(out, 1, 3, allow_out_of_stock=True)
    assert first in asked
    assert second not in asked, "what is gone can't be asked for"
    assert {first, second} <= set(shown(with_overlay(out, Overlay(2)), 1, 3))


def test_a_slate_names_the_version_that_it_was_made_under(engine: Engine) -> None:
    assert slate(engine, session(engine, 1)).overlay == 0
    under = with_overlay(engine, Overlay(7))
    made = slate(under, session(under, 1))
    assert (made.overlay, made.release) == (7, "1")
    assert made.items == slate(engine, session(engine, 1)).items


def test_what_the_overlay_tells_of_items_the_release_lacks_or_has_is_left_out(engine: Engine) -> None:
    """An overlay made over another release serves until the next one is there."""
    known = replace(NEW, item_id=1, external_id="sku-1")
    under = with_overlay(engine, Overlay(1, {99_999: Offer(1.0, None, False)}, (known,), frozenset({88_888})))
    assert len(under.catalogue) == len(engine.catalogue)
    assert slate(under, session(under, 1, 3)).items == slate(engine, session(engine, 1, 3)).items


def test_every_array_of_items_grows_with_new_ones(engine: Engine) -> None:
    """Oracle: the lengths; a position of a new item that some array lacks would be read from beyond its end."""
    under = with_overlay(engine, Overlay(1, items=(NEW, STRANGE)))
    n, m = len(engine.catalogue), len(engine.catalogue) + 2
    assert under.catalogue.item_ids.tolist() == [*engine.catalogue.item_ids.tolist(), 1_000, 1_001]
    skipped = {"behaviour", "learned", "companions"}  # what is learned of the log's items only
    grown = 0
    for name in ("catalogue", "personas", "clusters", "ranker"):
        before, after = getattr(engine, name), getattr(under, name)
        for field, a, b in fields(before, after, ()):
            if field[0] in skipped or field[-1] in {"data", "indices", "weight", "part", "top"}:  # as long as there are entries
                continue
            for axis, (long, longer) in enumerate(zip(a, b, strict=True)):
                assert longer == {n: m, n + 1: m + 1}.get(long, longer), (name, field, axis)
                grown += long in {n, n + 1}
    assert grown > 15
    assert len(under.ranker.kinship.voice) == m


def fields(
    before: object, after: object, path: tuple[str, ...]
) -> list[tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]]:
    """Path, shape before and shape after, of all arrays of two components."""
    from personas.components import Text, to_parts

    if isinstance(before, Text):
        return []
    (a, _), (b, _) = to_parts(before), to_parts(after)
    return [(tuple(name.split(".")), a[name].shape, b[name].shape) for name in a if name in b]


def test_a_new_item_stands_in_the_clusters_of_what_it_is_like(engine: Engine, world: World) -> None:
    under = with_overlay(engine, Overlay(1, items=(NEW,)))
    position = under.catalogue.position(1_000)
    alike = np.flatnonzero(world.group == 0)  # blue skirts
    held = dict(under.clusters.of(position))
    assert sum(held.values()) == pytest.approx(1.0)
    usual = np.bincount(engine.clusters.primary[alike]).argmax()
    assert max(held, key=held.__getitem__) == usual == under.clusters.primary[position]
    facts = under.personas.facts
    assert facts.category[position] == facts.category[alike[0]]
    assert under.clusters.items[usual, position] > 0


def test_a_new_item_is_shown_to_who_looks_at_its_like_and_to_nobody_else(engine: Engine) -> None:
    under = with_overlay(engine, Overlay(1, items=(NEW,)))
    assert 1_000 in shown(under, 1, 2)
    assert 1_000 not in shown(under, 70, 71), "shoes"
    assert 1_000 not in shown(with_overlay(engine, Overlay(2, items=(replace(NEW, in_stock=False),))), 1, 2)


def test_a_session_of_items_that_nobody_knows_is_served(engine: Engine) -> None:
    under = with_overlay(engine, Overlay(1, items=(NEW, STRANGE)))
    for items in ((1_000, 1_001), (1_001,), (424_242, 1_001), (424_242,)):
        made = shown(under, *items)
        assert len(made) == 12 == len(set(made))
    blue_skirts = {1, 2, 3, 4, 5, 6}
    assert len(blue_skirts & set(shown(under, 1_000))) >= 4, "its kin speak for it"


# Deltas


def overlays() -> list[Overlay]:
    return [
        NO_OVERLAY,
        Overlay(1, {1: Offer(1.0, 2.0, False, 0.5), 2: Offer(None, None, True)}, (NEW,), frozenset({5})),
        Overlay(2, {2: Offer(2.0, None, True)}, (NEW, STRANGE), frozenset({6}), (Rule(1, "x", "boost", strength=2.0),)),
        Overlay(3, {}, (replace(STRANGE, price=4.0),), frozenset({6}), (Rule(1, "x", "boost", strength=2.0),)),
        Overlay(4),
    ]


def test_versions_folded_from_their_deltas_are_the_overlays_themselves() -> None:
    rows: list[tuple[int, Delta]] = []
    for before, after in zip(overlays(), overlays()[1:], strict=False):
        delta = from_json(to_json(between(before, after)))
        assert applied(before, delta, after.version) == after
        rows.append((after.version, delta))
        assert folded(rows) == after
    whole = between(overlays()[1], overlays()[2], whole=True)
    assert applied(overlays()[3], from_json(to_json(whole)), 2) == overlays()[2]


def test_a_sale_of_a_whole_shop_ends_within_a_second() -> None:
    """Oracle: the clock; a set made anew for each item takes a minute."""
    prices = {item: Offer(1.0, 2.0, True) for item in range(40_000)}
    items = tuple(ItemRow(50_000 + n, f"n{n}") for n in range(2_000))
    sale = Overlay(1, prices, items)
    started = time.perf_counter()
    assert applied(sale, between(sale, NO_OVERLAY), 2) == Overlay(2)
    assert time.perf_counter() - started < 1.0


def test_a_delta_is_told_in_words() -> None:
    _, first, second, third, last = overlays()
    assert overlay_deltas.summary(between(NO_OVERLAY, first)) == "2 prices or stocks, 1 new item, 1 item gone"
    assert overlay_deltas.summary(between(first, second)) == "2 prices or stocks, 1 new item, 1 item gone, 1 item back, 1 rule"
    assert overlay_deltas.summary(between(third, last)).endswith("no rules")
    assert overlay_deltas.summary(between(last, last)) == "nothing"


def test_new_items_borrow_once_while_only_prices_and_stock_change(engine: Engine) -> None:
    """Oracle: the same overlay put on the bare engine."""
    first = with_overlay(engine, Overlay(1, {2: Offer(3.0, None, True)}, (NEW, STRANGE)))
    second = Overlay(2, {3: Offer(90.0, 95.0, False)}, (NEW, STRANGE))
    then, once = with_overlay(first, second), with_overlay(engine, second)
    assert then.ranker is first.ranker
    assert then.clusters is first.clusters
    np.testing.assert_array_equal(then.personas.facts.price_tier, once.personas.facts.price_tier)
    np.testing.assert_array_equal(then.personas.facts.category, once.personas.facts.category)
    np.testing.assert_array_equal(then.ranker.encoder.inputs, once.ranker.encoder.inputs)
    assert slate(then, session(then, 1, 1_000)) == slate(once, session(once, 1, 1_000))
    third = with_overlay(first, replace(second, version=3, items=(replace(NEW, price=1.0), STRANGE)))
    assert third.ranker is not first.ranker, "a new item's own price is one of its descriptors"
    assert third.catalogue.price[third.catalogue.position(1_000)] == 1.0


def test_items_are_found_by_both_of_their_ids(engine: Engine) -> None:
    """Oracle: the maps that a catalogue makes by itself."""
    under = with_overlay(engine, Overlay(1, {2: Offer(3.0, None, True)}, (STRANGE, NEW))).catalogue
    fresh = replace(under)
    assert fresh.id_of == under.id_of
    assert fresh.positions([1, 1_000, 1_001, 7_777]).tolist() == under.positions([1, 1_000, 1_001, 7_777]).tolist()
    assert under.titles[under.position(under.ids_of(["strange"])[0])] == "Ωmega"


def test_a_new_item_joins_the_clusters_of_its_own_category_where_its_kin_are_of_several() -> None:
    """What is most like it by words is of another category; one of its kin is of its own."""
    kinds = ("trousers", "trousers", "skirts", "skirts", "skirts")
    after = build_catalogue([ItemRow(n, f"i{n}", "blue lace", kind) for n, kind in enumerate(kinds, 1)])
    clusters = made_clusters(2, per_cluster=2, first_id=1)
    several = overlay._with_more_members(clusters, after, (), Kin(np.array([[0, 1, 2]]), np.array([[0.5, 0.4, 0.1]])))
    assert dict(several.of(4)) == {1: pytest.approx(1.0)}
    assert several.primary[4] == 1
    others = overlay._with_more_members(clusters, after, (), Kin(np.array([[0, 1, -1]]), np.array([[0.6, 0.4, 0.0]])))
    assert dict(others.of(4)) == {0: pytest.approx(1.0)}, "without kin of its own category, the others say"
