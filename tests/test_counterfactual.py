"""A session as it would have been: what an edit may be, that nothing else changes, and that what follows from it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recommendations import engine as loop
from recommendations.counterfactual import Comparison, Edit, EditError, counterfactual, edited
from recommendations.engine import Engine
from recommendations.replaying import Past
from recommendations.session import Request
from tests.worlds import MONDAY, World, event, make_world, train_world

STARTED = MONDAY + 1_000_000.0


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=5, sessions=400)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return replace(train_world(world), release="1")


def items_of(world: World, group: int) -> list[int]:
    return [i + 1 for i in range(len(world.group)) if world.group[i] == group]


def past(*items: int, **given: Any) -> Past:
    events = tuple(event(n, item=item) for n, item in enumerate(items))
    return Past(shop=1, session="s", shopper="", context={"country": "PL"}, started_at=STARTED, events=events, **given)


def test_without_edits_both_courses_are_the_loop(engine: Engine) -> None:
    """Oracle: observe and recommend, called one after the other."""
    session = past(1, 2, 30, 31)
    told = counterfactual(engine, session, ())
    assert told.was == told.would
    assert told.pairs == tuple((i, i) for i in range(5))
    state = loop.start(engine, shop=1, session="s", at=STARTED, context={"country": "PL"})
    for moment, each in zip(told.was[1:], session.events, strict=True):
        state = loop.observe(engine, state, each)
        assert moment.state == state
        request = Request(now=moment.state.last_at, explore=0.0)
        assert moment.slate == loop.recommend(engine, state, request, loop.generator(state))[1]


def test_a_removed_event_is_as_if_it_never_came(engine: Engine) -> None:
    told = counterfactual(engine, past(1, 2, 30, 31), [Edit("remove", "e2")])
    assert told.pairs == ((0, 0), (1, 1), (2, 2), (3, None), (4, 3))
    assert told.was[2] == told.would[2], "before the edit nothing differs"
    assert [t.item for t in told.would[-1].state.touches] == [1, 2, 31]
    again = counterfactual(engine, past(1, 2, 30, 31), [Edit("remove", "e2")])
    assert again == told


def test_what_the_shopper_looked_at_decides_the_slate(engine: Engine, world: World) -> None:
    """In this world visits stay within a group: with another group's items the slate becomes that group's."""
    blue, other = items_of(world, 0), items_of(world, 7)
    told = counterfactual(engine, past(*blue[:3]), [Edit("replace", f"e{i}", item=other[i]) for i in range(3)])

    def share(comparison: Comparison, group: list[int]) -> tuple[float, float]:
        ends = (comparison.was[-1].slate, comparison.would[-1].slate)
        first = [[i.item for i in slate.items[:5]] for slate in ends if slate]
        return tuple(sum(i in group for i in items) / 5 for items in first)  # type: ignore[return-value]

    was, would = share(told, other)
    assert (was, would >= 0.6) == (0.0, True)


def test_an_event_put_in_comes_after_its_neighbour_and_before_the_next(engine: Engine) -> None:
    edits = [Edit("insert", "e1", item=40), Edit("insert", "e1", name="add_to_cart", item=40), Edit("insert", "", item=50)]
    told = counterfactual(engine, past(1, 2, 30), edits)
    assert [t.item for t in told.would[-1].state.touches] == [50, 1, 2, 40, 40, 30]
    assert told.pairs == ((0, 0), (None, 1), (1, 2), (2, 3), (None, 4), (None, 5), (3, 6))
    times = [m.event.received_at for m in told.would[1:] if m.event]
    assert times == sorted(times)


def test_another_context_changes_the_prior_alone(engine: Engine) -> None:
    told = counterfactual(engine, past(1, 2), (), context={"country": ""})
    assert (told.was[-1].state.context, told.would[-1].state.context) == ({"country": "PL"}, {})
    assert told.was[-1].state.touches == told.would[-1].state.touches


def test_all_events_may_be_removed(engine: Engine) -> None:
    told = counterfactual(engine, past(1, 2), [Edit("remove", "e0"), Edit("remove", "e1")])
    assert len(told.would) == 1
    assert told.would[0].slate is not None
    assert told.would[0].slate.items == told.was[0].slate.items, "a session without events gets its first slate"  # type: ignore[union-attr]


def test_only_the_last_moments_have_slates(engine: Engine) -> None:
    told = counterfactual(engine, past(1, 2, 30), [Edit("remove", "e0")], slates=2)
    assert [m.slate is not None for m in told.was] == [False, False, True, True]
    assert [m.slate is not None for m in told.would] == [False, True, True]


@pytest.mark.parametrize(
    ("edit", "field", "reason"),
    [
        (Edit("drop", "e0"), "op", "is none of remove, replace, insert"),
        (Edit("remove", "e9"), "event_id", "has no event 'e9'"),
        (Edit("remove", ""), "event_id", "has no event ''"),
        (Edit("replace", "e0"), "item", "say what the event is to be"),
        (Edit("replace", "e0", name="dance"), "name", "'dance' is none of view_item"),
        (Edit("replace", "e0", name="search"), "query", "needs words"),
        (Edit("replace", "e0", item=9_999), "item", "release 1, which the visit is told on, doesn.t know it"),
        (Edit("insert", "e0"), "item", "view_item needs an item"),
        (Edit("insert", "e0", item=2, after_s=-1.0), "after_s", "is not from 0"),
        (Edit("insert", "e0", item=2, after_s=float("nan")), "after_s", "is not from 0"),
        (Edit("insert", "e0", name="search", query="x" * 300), "query", "at most 256"),
    ],
)
def test_an_edit_that_cannot_be_made_says_which_and_why(engine: Engine, edit: Edit, field: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason) as caught:
        counterfactual(engine, past(1, 2), [Edit("remove", "e1"), edit])
    assert (caught.value.index, caught.value.field) == (1, field)


def test_an_event_is_changed_once(engine: Engine) -> None:
    with pytest.raises(EditError, match="by an edit before"):
        edited(engine, past(1, 2).events, [Edit("remove", "e1"), Edit("replace", "e1", item=3)])
    with pytest.raises(EditError, match="at most 20 are taken"):
        edited(engine, past(1, 2).events, [Edit("insert", "e1", item=3)] * 21)
