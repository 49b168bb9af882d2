"""Slates beside an item, a cart and a search, and under filters: in a shop whose kinds and outfits are planted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.catalogue import ItemRow, build_catalogue
from personas.events import CODE
from personas.sessions import SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.ranking import contexts
from recommendations.ranking.companions import companions_of_rows, learn_companions, together
from recommendations.ranking.contexts import LIFT, Context, cart_of, settle
from recommendations.ranking.ranker import Ranked
from recommendations.session import Filters, Request, SessionState, Slate
from tests.worlds import MONDAY, World, event, train_world

CATEGORIES = ("skirts", "shoes", "bags", "coats")
GOES_WITH = {"skirts": "shoes", "shoes": "skirts", "bags": "coats", "coats": "bags"}
COLOURS = ("blue", "red", "green")
PER_GROUP = 6
UNSEEN = "green coats 72"
"""The last item, which nobody ever looks at."""

NOW = MONDAY + 2_000_000.0


def make_outfits(*, seed: int = 0, sessions: int = 600, wanted: bool = True) -> World:
    """A visit looks at some of a category, mostly of one colour, and at one of the category that goes with it, in that colour;
    with `wanted` it puts one of each into the cart."""
    rng = np.random.default_rng(seed)
    rows, group = [], []
    for g, (category, colour) in enumerate((c, k) for c in CATEGORIES for k in COLOURS):
        for _ in range(PER_GROUP):
            n = len(rows) + 1
            rows.append(
                ItemRow(n, f"sku-{n}", f"{colour} {category} {n}", category, "", colour, float(rng.uniform(10, 100)), n % 9 != 0)
            )
            group.append(g)
    rows[-1] = dataclasses.replace(rows[-1], in_stock=True)
    of = {(c, k): [i for i, r in enumerate(rows[:-1]) if (r.category, r.colour) == (c, k)] for c in CATEGORIES for k in COLOURS}
    session, position, at, code = [], [], [], []
    for s in range(sessions):
        category, colour, clock = CATEGORIES[rng.integers(4)], COLOURS[rng.integers(3)], MONDAY + s * 600.0
        seen = [rng.choice(of[category, colour if rng.random() < 0.8 else COLOURS[rng.integers(3)]]) for _ in range(3)]
        other = rng.choice(of[GOES_WITH[category], colour])
        done = [(i, "view_item") for i in (*seen, other)]
        done += [(seen[0], "add_to_cart"), (other, "add_to_cart")] if wanted else []
        for item, name in done:
            session.append(s)
            position.append(int(item))
            at.append(clock)
            code.append(CODE[name])
            clock += float(rng.uniform(5, 90))
    log = SessionLog.of(np.array(session), np.array(position), np.array(at), code=np.array(code))
    return World(build_catalogue(rows), log, np.array(group))


@pytest.fixture(scope="module")
def world() -> World:
    return make_outfits()


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return train_world(world)


def visit(engine: Engine, *looks: tuple[str, int]) -> SessionState:
    state = loop.start(engine, shop=1, session="s", at=MONDAY + 1_000_000.0, context={})
    for n, (name, item) in enumerate(looks):
        state = loop.observe(engine, state, event(n, name, item))
    return state


def ask(engine: Engine, state: SessionState, context: str, **options: object) -> Slate:
    options = {"explore": 0.0} | options
    return loop.recommend(engine, state, Request(now=NOW, context=context, **options), loop.generator(state))[1]  # type: ignore[arg-type]


def facts(engine: Engine, slate: Slate) -> list[tuple[str, str]]:
    """(category, colour) of each item shown."""
    catalogue = engine.catalogue
    at = catalogue.positions([i.item for i in slate.items])
    return [(catalogue.categories[catalogue.category[p]], catalogue.colours[catalogue.colour[p]]) for p in at.tolist()]


def kind(engine: Engine, item: int) -> tuple[str, str]:
    catalogue, p = engine.catalogue, engine.catalogue.position(item)
    return catalogue.categories[catalogue.category[p]], catalogue.colours[catalogue.colour[p]]


def mean(values: Iterable[bool]) -> float:
    return float(np.mean(list(values)))


def test_similar_items_are_of_the_anchors_kind_and_mostly_of_its_colour(engine: Engine) -> None:
    same, alike = [], []
    for anchor in range(1, 72, 5):
        category, colour = kind(engine, anchor)
        shown = facts(engine, ask(engine, visit(engine), "similar", anchors=(anchor,), count=4))
        same.append(mean(c == category for c, _ in shown))
        alike.append(mean(k == colour for _, k in shown))
    assert np.mean(same) >= 0.95, "a quarter would be chance"
    assert np.mean(alike) >= 0.8, "a third would be chance"


def test_the_session_orders_what_is_similar(engine: Engine) -> None:
    anchor = 1  # a blue skirt
    reds = [n for n in range(7, 13)]
    plain = ask(engine, visit(engine), "similar", anchors=(anchor,), count=12)
    after = ask(engine, visit(engine, *(("view_item", n) for n in reds[:4])), "similar", anchors=(anchor,), count=12)
    place = {i.item: i.slot for i in plain.items}
    moved = {i.item: i.slot for i in after.items}
    both = [n for n in reds if n in place and n in moved]
    assert both
    assert np.mean([moved[n] for n in both]) < np.mean([place[n] for n in both]) - 0.5


def test_what_goes_with_an_item_is_of_another_kind_and_was_wanted_with_it(engine: Engine) -> None:
    planted, own = [], []
    for anchor in range(1, 72, 5):
        category, colour = kind(engine, anchor)
        slate = ask(engine, visit(engine), "complementary", anchors=(anchor,), count=4)
        shown = facts(engine, slate)
        planted.append(mean(pair == (GOES_WITH[category], colour) for pair in shown))
        own.append(mean(c == category for c, _ in shown))
        assert slate.items[0].reason.startswith(("Often chosen together with", "Goes with"))
        assert slate.items[0].because == anchor
    assert max(own) == 0.0
    assert np.mean(planted) >= 0.85, "one in nine of the other kinds' groups would be chance"


def test_a_log_without_carts_still_knows_what_goes_with_what() -> None:
    engine = train_world(make_outfits(seed=3, wanted=False))
    shown = facts(engine, ask(engine, visit(engine), "complementary", anchors=(1,), count=4))
    assert mean(pair == ("shoes", "blue") for pair in shown) >= 0.75


def test_a_release_without_companions_reads_them_from_its_rows(engine: Engine, world: World) -> None:
    companions = companions_of_rows(engine.ranker.rows, world.catalogue)
    found = together(companions, [0], [1.0])
    assert {world.catalogue.categories[c] for c in world.catalogue.category[found.positions[:4]].tolist()} == {"shoes"}


def test_popular_items_go_with_nothing_by_popularity_alone() -> None:
    """Oracle: independent items. One in nine tenths of all visits meets everything often, and never beyond chance."""
    rng = np.random.default_rng(0)
    rows = [ItemRow(n + 1, f"i{n}", category=f"c{n}") for n in range(12)]
    session, position = [], []
    for s in range(4_000):
        items = [0] if rng.random() < 0.9 else []
        items += [n for n in range(1, 10) if rng.random() < 0.15] + ([10, 11] if rng.random() < 0.05 else [])
        session += [s] * len(items)
        position += items
    log = SessionLog.of(np.array(session), np.array(position), np.arange(len(session), dtype=float))
    companions = learn_companions(log, build_catalogue(rows), np.ones(len(log)))
    assert together(companions, [10], [1.0]).positions[0] == 11
    of_popular = together(companions, [0], [1.0]).score
    assert of_popular.max(initial=0.0) < 0.1 * together(companions, [10], [1.0]).score[0]


def test_a_cart_is_never_shown_again_and_its_kinds_come_last(engine: Engine) -> None:
    state = visit(engine, ("add_to_cart", 1), ("view_item", 40), ("add_to_cart", 37))  # a blue skirt, a blue bag
    slate = ask(engine, state, "cart", count=8, diversity=0.3)  # as over the API: the latest item alone would fill the first six
    assert not {i.item for i in slate.items} & {1, 37}
    assert {c for c, _ in facts(engine, slate)[:6]} == {"shoes", "coats"}, "each of the two has something that goes with it"
    assert {i.because for i in slate.items} & {1, 37}, "what is named was tried: not every item names its anchor"


@pytest.mark.parametrize(("first", "latest"), [(1, 37), (37, 1), (7, 55), (55, 7)])
def test_each_item_of_a_cart_has_its_say_and_not_the_latest_alone(engine: Engine, first: int, latest: int) -> None:
    state = visit(engine, ("add_to_cart", first), ("view_item", latest + 1), ("add_to_cart", latest))
    shown = facts(engine, ask(engine, state, "cart", count=8, share_slots=False))
    for item in (first, latest):
        category, colour = kind(engine, item)
        assert shown.count((GOES_WITH[category], colour)) >= 3, "without diversity too"


def test_nothing_of_a_long_cart_is_shown(engine: Engine) -> None:
    cart = tuple(n for n in range(1, 60) if n % 9)[:40]
    slate = ask(engine, visit(engine), "cart", anchors=cart, count=30)
    assert slate.items
    assert not {i.item for i in slate.items} & set(cart), "only the latest speak, but all are in the cart"


def test_a_bound_beyond_all_prices_is_none_or_leaves_nothing(engine: Engine) -> None:
    plain = ask(engine, visit(engine), "home", filters=Filters(price_max=1e308))
    assert len(plain.items) == 12
    assert ask(engine, visit(engine), "home", filters=Filters(price_min=1e308)).items == ()


def test_what_went_out_of_the_cart_or_was_bought_is_no_anchor(engine: Engine) -> None:
    state = visit(engine, ("add_to_cart", 1), ("add_to_cart", 37), ("add_to_cart", 20), ("remove_from_cart", 1), ("purchase", 20))
    assert cart_of(state) == (37,)
    seen = loop.view(engine, state, now=NOW)
    assert len(seen.history) == 4, "the experts don't read what went out of the cart"


@pytest.mark.parametrize("context", ["similar", "complementary", "cart"])
def test_unknown_anchors_give_what_home_would_and_say_so(engine: Engine, context: str) -> None:
    state = visit(engine, ("view_item", 3))
    slate = ask(engine, state, context, anchors=(9_999,))
    assert slate.notes == (contexts.NO_ANCHORS,)
    assert [i.item for i in slate.items] == [i.item for i in ask(engine, state, "home").items]


def test_an_item_nobody_has_seen_is_like_those_described_alike(engine: Engine, world: World) -> None:
    slate = ask(engine, visit(engine), "similar", anchors=(72,), count=5)
    assert world.catalogue.titles[71] == UNSEEN
    assert mean(pair == ("coats", "green") for pair in facts(engine, slate)) >= 0.8
    beside = ask(engine, visit(engine), "complementary", anchors=(72,), count=4)
    assert mean(c == "bags" for c, _ in facts(engine, beside)) >= 0.75, "as things like it"


def test_a_session_without_events_ranks_by_the_item_it_opens_with(engine: Engine) -> None:
    slate = ask(engine, visit(engine), "similar", anchors=(1,))
    assert slate.items[0].expert != "popularity"
    assert slate.notes == ()


def test_a_search_holds_what_was_found_and_no_more(engine: Engine) -> None:
    found = tuple((n, 10.0 - 0.1 * n) for n in range(1, 20))
    for state in (visit(engine), visit(engine, ("view_item", 40), ("view_item", 13))):
        slate = ask(engine, state, "search", found=found, count=30, allow_out_of_stock=True, allow_current=True)
        assert sorted(i.item for i in slate.items) == list(range(1, 20))
        assert {i.propensity for i in slate.items} == {1.0}
    assert ask(engine, visit(engine), "search", found=()).items == ()


def test_a_search_lifts_what_the_session_looks_for(engine: Engine) -> None:
    found = tuple((n, 5.0 - 0.01 * i) for i, n in enumerate(range(1, 19)))  # skirts, nearly equal: blue, red, green
    for colour, wanted in (("red", range(7, 13)), ("green", range(13, 19))):
        state = visit(engine, *(("view_item", n) for n in list(wanted)[:3]))
        slate = ask(engine, state, "search", found=found, count=6, allow_out_of_stock=True, allow_current=True)
        assert mean(k == colour for _, k in facts(engine, slate)) >= 0.8, "by relevance alone all six are blue"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 100.0), st.floats(-30.0, 30.0)), min_size=1, max_size=40))
def test_no_item_passes_one_that_is_clearly_more_relevant(pairs: list[tuple[float, float]]) -> None:
    """For any relevances and any scores: whoever is more than LIFT times as relevant stays before."""
    relevance = {i: r for i, (r, _) in enumerate(pairs)}
    ranked = Ranked(
        positions=np.arange(len(pairs)), scores=np.array([s for _, s in pairs]), evidence=None, columns=np.arange(len(pairs))
    )
    settled = settle(Context(relevance=relevance), ranked, None)
    shown = [relevance[p] for p in settled.positions.tolist()]
    assert sorted(settled.positions.tolist()) == list(range(len(pairs)))
    assert all(later <= earlier * LIFT * 1.0001 for i, earlier in enumerate(shown) for later in shown[i + 1 :])


FILTERS = [
    Filters(categories=("shoes",)),
    Filters(categories=("COATS",), attributes=(("colour", ("Green",)),)),
    Filters(price_min=90.0),
    Filters(price_max=15.0, categories=("bags", "skirts")),
    Filters(attributes=(("colour", ("red", "blue")), ("price_tier", ("top",)))),
]


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("context", ["home", "similar", "complementary", "cart"])
@pytest.mark.parametrize("looks", [(), (("view_item", 1), ("add_to_cart", 2))])
def test_a_filter_never_empties_a_slate_that_has_items(
    engine: Engine, filters: Filters, context: str, looks: tuple[tuple[str, int], ...]
) -> None:
    """Oracle: the catalogue, read item by item."""
    catalogue = engine.catalogue
    state = visit(engine, *looks)
    out = {1, 2} if looks and context == "cart" else {2} if looks else set()
    fitting = []
    for p, item in enumerate(catalogue.item_ids.tolist()):
        category, colour = kind(engine, item)
        fits = not filters.categories or category in [c.lower() for c in filters.categories]
        for name, values in filters.attributes:
            of_item = colour if name == "colour" else ("low", "middle", "upper", "top")[catalogue.price_tier[p]]
            fits = fits and of_item in [v.lower() for v in values]
        fits = fits and (filters.price_min is None or catalogue.price[p] >= filters.price_min)
        fits = fits and (filters.price_max is None or catalogue.price[p] <= filters.price_max)
        if fits and catalogue.in_stock[p] and item not in out:
            fitting.append(item)
    slate = ask(engine, state, context, filters=filters, count=12)
    shown = [i.item for i in slate.items]
    assert set(shown) <= set(fitting)
    assert len(shown) == len(set(shown)) == min(12, len(fitting))


def test_a_filter_that_leaves_much_is_filled_from_the_clusters(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "WHOLE", 5)
    state = visit(engine, ("view_item", 20), ("view_item", 21))
    slate = ask(engine, state, "home", filters=Filters(price_min=10.0), count=10)
    assert len(slate.items) == 10
    assert mean(c in {"shoes", "skirts"} for c, _ in facts(engine, slate)) >= 0.7


def test_a_value_that_no_item_has_gives_nothing_and_says_so(engine: Engine) -> None:
    slate = ask(engine, visit(engine), "home", filters=Filters(categories=("hats",), attributes=(("colour", ("blue",)),)))
    assert slate.items == ()
    assert slate.notes == ("unknown_filter:category=hats",)
    assert ask(engine, visit(engine), "home", filters=Filters(categories=("hats",)), diversity=0.3).items == ()


def test_more_diversity_shows_more_kinds_and_none_is_the_ranking(engine: Engine) -> None:
    states = [visit(engine, ("view_item", n), ("view_item", n + 1)) for n in range(1, 70, 6)]

    def kinds(diversity: float) -> float:
        slates = [ask(engine, s, "home", diversity=diversity, share_slots=False) for s in states]
        return float(np.mean([len(set(facts(engine, slate))) for slate in slates]))

    assert kinds(0.0) < kinds(0.3) < kinds(0.8)
    plain, first = (
        ask(engine, states[0], "home", share_slots=False),
        ask(engine, states[0], "home", share_slots=False, diversity=0.9),
    )
    assert plain.items[0].item == first.items[0].item, "the best item stands first, however diverse the rest"
    with pytest.raises(ValueError, match="diversity 1.5"):
        ask(engine, states[0], "home", diversity=1.5)


def test_contexts_change_nothing_of_the_state_but_what_is_pending(engine: Engine) -> None:
    state = visit(engine, ("view_item", 1))
    request = Request(now=NOW, context="similar", anchors=(40,))
    after, slate = loop.recommend(engine, state, request, loop.generator(state))
    assert (after.touches, after.persona) == (state.touches, state.persona)
    assert after.pending[-1].items == tuple(i.item for i in slate.items)
