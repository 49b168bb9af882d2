"""What a session would have been: the same events with some left out, changed or put in, beside the events as they were. Pure.

Both courses run through `engine.observe` and `engine.recommend`, on the same engine, with the same seed. Slates are asked for
after every event, as they were asked for or by default, and are not written into the sessions that follow: what was shown in the
past stays what was shown, so that the two courses differ by the edits alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from personas.events import CODE, MAX_QUERY, NAMES, NEEDS_ITEMS, UNKNOWN_ITEM, Event
from personas.sessions import NO_ITEM
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.replaying import Past, begin, read, replay
from recommendations.session import Request, SessionState, Slate

MOST_EDITS = 20
MOST_AFTER_S = 86_400.0
OPS = ("remove", "replace", "insert")


class EditError(ValueError):
    """An edit that can't be made: which one, what of it, and why."""

    def __init__(self, index: int, field: str, reason: str) -> None:
        super().__init__(f"edits.{index}.{field}: {reason}")
        self.index = index
        self.field = field
        self.reason = reason


class Edit(NamedTuple):
    """One change of the session's events.

    op : of `OPS`: the event is left out; it is another event, of another item or another kind; an event comes after it.
    event_id : of the session, before any edit; "" for an insert before the first.
    name : kind of the new or changed event, "" for what it was.  item : its item, 0 for what it was (or none).
    query : words of a search.  after_s : of an insert, seconds after the event it follows (or before the first).
    """

    op: str
    event_id: str
    name: str = ""
    item: int = 0
    query: str = ""
    after_s: float = 1.0


@dataclass(frozen=True)
class Moment:
    """A session after one event. event : None before the first.

    belief, shares : (K,), in the engine's order.  clusters : ids of those selected, best first.
    slate : None where none was asked for.
    """

    event: Event | None
    state: SessionState
    belief: tuple[float, ...]
    shares: tuple[float, ...]
    clusters: tuple[int, ...]
    slate: Slate | None


@dataclass(frozen=True)
class Comparison:
    """Two courses side by side: the session as it was, and as it would have been. Each is its start, then a moment an event.

    pairs : (place in `was`, place in `would`) of the moments after the same event, in order; None where one course lacks it.
    """

    was: tuple[Moment, ...]
    would: tuple[Moment, ...]
    pairs: tuple[tuple[int | None, int | None], ...]


def counterfactual(
    engine: Engine,
    past: Past,
    edits: Sequence[Edit],
    *,
    context: Mapping[str, str] | None = None,
    request: Request | None = None,
    slates: int = 50,
) -> Comparison:
    """A session as it was, and as it would have been.

    context : evidence that replaces the session's by name, "" to leave one out.
    request : how slates are asked for, each at its moment's own time. Exploration is left out: chance is no effect of an edit.
    slates : of each course the last so many moments, at least one, have a slate.
    Raises EditError on an edit that can't be made.
    """
    asked = replace(request or Request(now=past.started_at), explore=0.0)
    events = edited(engine, past.events, edits)
    evidence = {name: value for name, value in {**past.context, **(context or {})}.items() if value}
    would = replace(past, events=events, context=evidence)
    return Comparison(_course(engine, past, asked, slates), _course(engine, would, asked, slates), pairs(past.events, events))


def edited(engine: Engine, events: Sequence[Event], edits: Sequence[Edit]) -> tuple[Event, ...]:
    """The events with the edits made. What is put in has the ids "edit-0", "edit-1", ... by the edit's place.

    Raises EditError.
    """
    if len(edits) > MOST_EDITS:
        raise EditError(MOST_EDITS, "edits", f"there are {len(edits)}, and at most {MOST_EDITS} are taken at once")
    place = {event.event_id: i for i, event in enumerate(events)}
    changed: dict[int, Event | None] = {}
    added: dict[int, list[Event]] = {}
    for index, edit in enumerate(edits):
        if edit.op not in OPS:
            raise EditError(index, "op", f"{edit.op!r} is none of {', '.join(OPS)}")
        first = edit.op == "insert" and not edit.event_id
        if not first and edit.event_id not in place:
            raise EditError(index, "event_id", f"this session has no event {edit.event_id!r}")
        at = -1 if first else place[edit.event_id]
        if edit.op == "insert":
            added.setdefault(at, []).append(_inserted(engine, events, at, index, edit))
            continue
        if at in changed:
            raise EditError(index, "event_id", f"event {edit.event_id!r} is changed by an edit before")
        changed[at] = None if edit.op == "remove" else _replaced(engine, events[at], index, edit)
    told = list(added.get(-1, ()))
    for i, event in enumerate(events):
        kept = changed.get(i, event)
        told += ([kept] if kept is not None else []) + added.get(i, [])
    return tuple(told)


def _replaced(engine: Engine, event: Event, index: int, edit: Edit) -> Event:
    if not (edit.name or edit.item or edit.query):
        raise EditError(index, "item", "say what the event is to be: another item, another kind, or other words")
    name = edit.name or event.name
    items = (edit.item,) if edit.item else event.items[:1] if name in NEEDS_ITEMS else ()
    kept = event.dwell_s if not edit.item or (edit.item,) == event.items else None  # how long one stayed was about the other item
    changed = replace(
        event, name=name, items=items, query=edit.query or event.query, dwell_s=kept, recommendation_id="", slots=()
    )
    return _checked(engine, changed, index)


def _inserted(engine: Engine, events: Sequence[Event], at: int, index: int, edit: Edit) -> Event:
    if not 0.0 <= edit.after_s <= MOST_AFTER_S:
        raise EditError(index, "after_s", f"{edit.after_s:g} is not from 0 to {MOST_AFTER_S:g} seconds")
    if not events:
        raise EditError(index, "event_id", "this session has no event to put another beside")
    beside = events[max(at, 0)]
    moment, received = beside.at + edit.after_s, beside.received_at + edit.after_s
    if at < 0:
        moment, received = beside.at - edit.after_s, beside.received_at
    elif at + 1 < len(events):  # what came next still comes next
        moment, received = moment, min(received, events[at + 1].received_at)
    event = Event(
        event_id=f"edit-{index}",
        name=edit.name or "view_item",
        at=min(moment, received),
        received_at=received,
        items=(edit.item,) if edit.item else (),
        query=edit.query,
    )
    return _checked(engine, event, index)


def _checked(engine: Engine, event: Event, index: int) -> Event:
    if event.name not in CODE or event.name == "view_item_list":
        raise EditError(index, "name", f"{event.name!r} is none of {', '.join(n for n in NAMES if n != 'view_item_list')}")
    if event.name in NEEDS_ITEMS and not event.items:
        raise EditError(index, "item", f"{event.name} needs an item")
    if event.name == "search" and not event.query:
        raise EditError(index, "query", "a search needs words")
    if len(event.query) > MAX_QUERY:
        raise EditError(index, "query", f"has {len(event.query)} characters, at most {MAX_QUERY} are taken")
    for item in event.items:
        if item != UNKNOWN_ITEM and engine.catalogue.position(item) == NO_ITEM:
            raise EditError(index, "item", f"release {engine.release}, which the visit is told on, doesn't know it")
    return event


def _course(engine: Engine, past: Past, request: Request, slates: int) -> tuple[Moment, ...]:
    steps = replay(engine, past)
    stood = [(None, past.started_at, begin(engine, past)), *((step.event, step.at, step.state) for step in steps)]
    first = len(stood) - max(slates, 1)
    return tuple(moment(engine, event, at, state, request if i >= first else None) for i, (event, at, state) in enumerate(stood))


def moment(engine: Engine, event: Event | None, at: float, state: SessionState, request: Request | None) -> Moment:
    """A session after an event, at that time. request : how a slate is asked for, None for none."""
    reading = read(engine, state.persona)
    if request is not None:
        _, slate = loop.recommend(engine, state, replace(request, now=at), loop.generator(state))
        return Moment(event, state, reading.belief, reading.shares, slate.clusters, slate)
    selected = loop.view(engine, state, now=at).selection.rows
    clusters = tuple(engine.clusters.cluster_ids[selected].tolist())
    return Moment(event, state, reading.belief, reading.shares, clusters, None)


def pairs(was: Sequence[Event], would: Sequence[Event]) -> tuple[tuple[int | None, int | None], ...]:
    """As `Comparison.pairs` has them. Place 0 is the start, the events follow."""
    there = {event.event_id: i + 1 for i, event in enumerate(would)}
    kept = {event.event_id for event in was}
    found: list[tuple[int | None, int | None]] = [(0, 0)]
    told = 1
    for i, event in enumerate(was):
        while told <= len(would) and would[told - 1].event_id not in kept:
            found.append((None, told))
            told += 1
        at = there.get(event.event_id)
        found.append((i + 1, at))
        told = at + 1 if at is not None else told
    found += [(None, i) for i in range(told, len(would) + 1)]
    return tuple(found)


def beside(paired: Sequence[tuple[int | None, int | None]], place: int) -> int:
    """The place of the other course at the same step: after all that it has before the next event of the course as it was.

    paired : of `pairs`.  place : in the course as it was.
    """
    told = 0
    for was, would in paired:
        if was is not None and was > place:
            break
        told = would if would is not None else told
    return told
