"""The loop's promises: pure, repeatable, bounded, and moved by what the shopper does."""

from __future__ import annotations

import copy
import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personas import courses
from personas.events import NAMES, Event
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.session import Request, SessionState, Slate, evaluation_request
from tests.worlds import MONDAY, World, event, make_world, train_world

NOW = MONDAY + 2_000_000.0


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return train_world(world)


def begin(engine: Engine, session: str = "s1") -> SessionState:
    return loop.start(engine, shop=1, session=session, at=MONDAY + 1_000_000.0, context={"country": "PL"})


def watch(engine: Engine, events: list[Event], request: Request | None = None) -> tuple[SessionState, list[Slate]]:
    state, slates = begin(engine), []
    for e in events:
        state, slate = loop.advance(engine, state, e, request or Request(now=e.at))
        slates.append(slate)
    return state, slates


events = st.lists(
    st.builds(
        lambda name, item, dt, dwell: (name, item, dt, dwell),
        st.sampled_from(NAMES),
        st.integers(0, 80),
        st.floats(-300, 7_200),
        st.none() | st.floats(0, 3_600),
    ),
    max_size=12,
)


def as_events(drawn: list[tuple[str, int, float, float | None]]) -> list[Event]:
    at, made = MONDAY + 1_000_000.0, []
    for n, (name, item, dt, dwell) in enumerate(drawn):
        at += dt
        slots = (0,) if name == "view_item_list" else ()
        query = "blue skirt" if name == "search" else ""
        items = () if name == "search" else (item,)
        made.append(Event(f"e{n}", name, at, at, items, query, dwell, slots=slots))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=events)
def test_any_session_keeps_the_promises(engine: Engine, drawn: list[tuple[str, int, float, float | None]]) -> None:
    state = begin(engine)
    for e in as_events(drawn):
        before = copy.deepcopy(state)
        moved, slate = loop.advance(engine, state, e, Request(now=e.at))
        again, same = loop.advance(engine, state, e, Request(now=e.at))
        assert state == before, "the argument changed"
        assert (moved, slate) == (again, same), "the same arguments gave another answer"
        assert np.exp(moved.persona.log_belief).sum() == pytest.approx(1.0, abs=1e-9)
        items = [i.item for i in slate.items]
        assert len(items) == len(set(items)), "an item twice in a slate"
        assert all(0 < i.propensity <= 1 for i in slate.items)
        assert all(np.isfinite(i.score) for i in slate.items)
        state = moved


def test_state_survives_its_codec(engine: Engine) -> None:
    state, _ = watch(engine, [event(n, item=1 + n) for n in range(8)])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=SessionState) == state


def test_state_stays_within_2_kb_after_a_long_session(engine: Engine) -> None:
    rng = np.random.default_rng(3)
    state = begin(engine)
    for n in range(300):
        state, slate = loop.advance(engine, state, event(n, item=int(rng.integers(1, 73))), Request(now=NOW))
        shown = tuple(i.item for i in slate.items)
        report = event(
            n, "view_item_list", items=shown, slots=tuple(range(len(shown))), recommendation_id=slate.recommendation_id
        )
        state = loop.observe(engine, state, report)
    assert len(msgspec.msgpack.encode(state)) <= 2_048


def test_slate_follows_the_group_that_the_session_is_in(engine: Engine, world: World) -> None:
    group = np.flatnonzero(world.group == 5)
    _, slates = watch(engine, [event(n, item=int(p) + 1) for n, p in enumerate(group[:4])], evaluation_request(NOW, 5))
    hit = [world.group[engine.catalogue.position(i.item)] == 5 for i in slates[-1].items]
    assert sum(hit) >= 4, f"only {sum(hit)} of 5 slots in the session's group; one in 12 would be chance"


def test_production_leaves_out_the_current_item_and_evaluation_does_not(engine: Engine) -> None:
    seen = [event(n, item=1 + n % 2) for n in range(6)]
    state, _ = watch(engine, seen)
    production, evaluation = Request(now=NOW, explore=0.0), evaluation_request(NOW)
    rng = loop.generator(state)
    assert 2 not in [i.item for i in loop.recommend(engine, state, production, rng)[1].items]
    assert 2 in [i.item for i in loop.recommend(engine, state, evaluation, rng)[1].items]


def test_excluded_and_sold_out_items_never_appear(engine: Engine) -> None:
    state, slates = watch(engine, [event(0, item=1), event(1, item=2)])
    first, second = (i.item for i in slates[-1].items[:2])
    in_stock = engine.catalogue.in_stock.copy()
    in_stock[engine.catalogue.position(second)] = False
    sold_out = dataclasses.replace(engine, catalogue=dataclasses.replace(engine.catalogue, in_stock=in_stock))
    request = Request(now=NOW, exclude=(first,))
    shown = [i.item for i in loop.recommend(sold_out, state, request, loop.generator(state))[1].items]
    assert first not in shown
    assert second not in shown
    assert shown


def test_several_personas_share_the_slots_by_their_steps_not_by_whose_turn_it_is(engine: Engine) -> None:
    """Two who took turns all along, and the belief all but sure of one: by it the other would get no slot of twelve."""
    k, first, second = len(engine.personas.ids), 0, 1
    belief = np.full(k, 0.01 / (k - 1))
    belief[first] = 0.99
    pair = (np.arange(2 * k + k * (k - 1) // 2) == 2 * k) + 1e-9
    acted = np.array([3_000 if z in (first, second) else 10 for z in range(k)])
    state, _ = watch(engine, [event(n, item=1 + n) for n in range(4)])
    persona = state.persona._replace(
        log_belief=tuple(np.log(belief).tolist()), occupancy=tuple(acted.tolist()), courses=courses.pack(pair)
    )
    taking_turns = dataclasses.replace(state, persona=persona)
    alone = dataclasses.replace(state, persona=persona._replace(courses=courses.pack(np.roll(pair, -2 * k))))
    request = Request(now=NOW, count=12, explore=0.0)
    seen = loop.view(engine, taking_turns, now=NOW)
    assert seen.profile.several
    assert set(seen.profile.active_positions) == {first, second}
    _, slate = loop.recommend(engine, taking_turns, request, loop.generator(state))
    labels = [i.persona for i in slate.items]
    assert [labels.count(engine.personas.ids[z]) >= 5 for z in (first, second)] == [True, True]
    assert all(label in engine.personas.ids for label in labels)
    _, other = loop.recommend(engine, alone, request, loop.generator(state))
    assert [i.persona for i in other.items].count(engine.personas.ids[second]) < 5, "one persona: the belief shares the slots"


def test_unknown_item_still_counts_as_an_event(engine: Engine) -> None:
    state = begin(engine)
    moved = loop.observe(engine, state, event(0, item=0))
    assert moved.events == 1
    assert moved.touches == ()
    assert moved.persona.steps == state.persona.steps + 1


def test_late_event_never_turns_back_the_clock(engine: Engine) -> None:
    state = loop.observe(engine, begin(engine), event(10, item=3))
    late = loop.observe(engine, state, event(1, item=4))
    assert late.last_at == state.last_at
    assert late.touches[-1].item == 4


def test_dwell_is_filled_in_on_the_item_it_belongs_to(engine: Engine) -> None:
    state = loop.observe(engine, begin(engine), event(0, item=3))
    state = loop.observe(engine, state, event(1, item=4))
    state = loop.observe(engine, state, event(2, "user_engagement", item=3, dwell_s=42.0))
    assert [t.dwell_s for t in state.touches] == [42.0, -1.0]


def test_served_is_not_seen(engine: Engine) -> None:
    """Slates that the page never reported leave the session's clusters alone; reported ones contract in the end."""
    state = begin(engine)
    state = loop.observe(engine, state, event(0, item=1))
    quiet = state
    for _ in range(12):
        quiet, _ = loop.recommend(engine, quiet, Request(now=NOW), loop.generator(quiet))
    assert quiet.adapted == state.adapted
    reported = state
    for n in range(12):
        reported, slate = loop.recommend(engine, reported, Request(now=NOW), loop.generator(reported))
        ids = tuple(i.item for i in slate.items)
        report = event(
            n + 1, "view_item_list", items=ids, slots=tuple(range(len(ids))), recommendation_id=slate.recommendation_id
        )
        reported = loop.observe(engine, reported, report)
    assert reported.adapted.passed, "items seen and passed over leave a trace"
    assert any(w < 1 for w in reported.adapted.weight.values()), "a cluster ignored twelve times is contracted"


def test_rebase_keeps_the_session_across_a_release(engine: Engine, world: World) -> None:
    state, _ = watch(engine, [event(n, item=1 + n) for n in range(4)])
    other = dataclasses.replace(train_world(world, previous=engine, seed=1), release="2")
    moved = loop.rebase(engine, other, state)
    assert moved.release == "2"
    assert moved.touches == state.touches
    assert np.exp(moved.persona.log_belief).sum() == pytest.approx(1.0)
    assert loop.advance(other, moved, event(9, item=5), Request(now=NOW))[1].items


def test_training_is_deterministic(world: World, engine: Engine) -> None:
    state, slates = watch(engine, [event(n, item=1 + n) for n in range(3)])
    again = train_world(world)
    assert watch(again, [event(n, item=1 + n) for n in range(3)])[1] == slates


def test_a_new_session_gets_a_slate_from_its_prior(engine: Engine) -> None:
    state = begin(engine)
    _, slate = loop.recommend(engine, state, Request(now=NOW), loop.generator(state))
    assert len(slate.items) == 12
    assert all(i.reason for i in slate.items)
