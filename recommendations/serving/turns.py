"""One turn of a session: load, observe, recommend if asked, commit; replayed if someone else commits first."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from redis.exceptions import RedisError

from personas.events import UNKNOWN_ITEM, Event, EventError, check_id, parse_event
from personas.history import VARIABLES
from personas.profile import shares
from recommendations import asked as asking
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.serving import memory as memories
from recommendations.serving.access import Principal
from recommendations.serving.activity import (
    DEMOGRAPHIC,
    LIVE,
    SIMULATED,
    TEST,
    LoggedBlocked,
    LoggedDecision,
    LoggedEvent,
    LoggedItem,
    LoggedSlate,
    Record,
    encode_record,
)
from recommendations.serving.asks import Ask, request_of
from recommendations.serving.memory import Memory
from recommendations.serving.problems import (
    Problem,
    busy,
    invalid,
    mixed_session,
    no_release,
    session_full,
    storage_unavailable,
)
from recommendations.serving.resuming import MAX_CONTEXT, Visit, comes_in, resume
from recommendations.serving.store import Durability, Loaded, NotDurableError, SessionFullError
from recommendations.serving.trials import taken_up
from recommendations.session import SessionState, Slate
from recommendations.stages import Stages

if TYPE_CHECKING:
    from recommendations.serving.process import Process

logger = logging.getLogger(__name__)

MAX_EVENTS = 500
"""Events in one request; they are committed together."""

MAX_CONTEXT_NAME = 40
MAX_CONTEXT_VALUE = 80

ATTEMPTS = 64
"""Replays before giving up. Each lost race means that another turn of the session went through."""

AT_ONCE = 6
"""Replays without a pause: whoever pauses after a lost race leaves the next one to the process that won it."""

PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05
FEW = 16
"""Events of a turn that is computed together with others; nobody should wait for one of more."""

STAGES_AT_ONCE = 32
"""Stages after which a turn of more lets other requests of this process run: some milliseconds of work."""


class Result(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one event. notes : what was odd about an event that was taken all the same."""

    event_id: str
    status: str
    field: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()


class Turn(NamedTuple):
    """What a turn led to. opened : whether it was the session's first."""

    engine: Engine
    state: SessionState
    results: tuple[Result, ...]
    slate: Slate | None
    opened: bool = False


class _Parsed(NamedTuple):
    event: Event
    refs: tuple[str, ...]


class _Moved(NamedTuple):
    """Where a turn leads, before it is committed. The last three as of `Store.commit`."""

    engine: Engine
    state: SessionState
    slate: Slate | None
    record: bytes
    event_ids: list[str]
    message: bytes


def visit_of(who: Principal) -> Visit:
    """The visit that a session token opens, before it says anything."""
    return Visit(who.shop, who.session, who.shopper, test=who.test, simulated=who.simulated)


def read_visit(who: Principal, body: Mapping[str, object]) -> Visit:
    """`session_id`, `shopper_id`, `context` and `consent` of a request, as far as `who` may name them. Raises Problem."""
    try:
        session = check_id("session_id", body.get("session_id"))
        shopper = "" if body.get("shopper_id") in (None, "") else check_id("shopper_id", body["shopper_id"])
        context = _read_context(body.get("context"), consent=body.get("consent") is True)
    except EventError as error:
        raise invalid(error) from error
    withheld = body.get("consent") is False
    return Visit(who.shop, session, who.shopper_of(shopper), context, withheld=withheld, test=who.test, simulated=who.simulated)


def _read_context(raw: object, *, consent: bool) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise EventError("context", "must be an object of names and values")
    if len(raw) > MAX_CONTEXT:
        raise EventError("context", f"has {len(raw)} entries, more than {MAX_CONTEXT}")
    context = {}
    for name, value in raw.items():
        if not name or len(name) > MAX_CONTEXT_NAME or not name.isprintable():
            raise EventError("context", f"names must be 1 to {MAX_CONTEXT_NAME} printable characters")
        if value is None or (name in DEMOGRAPHIC and not consent):
            continue
        if not isinstance(value, str | int | float | bool):
            raise EventError(f"context.{name}", "must be a string or a number")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if len(text) > MAX_CONTEXT_VALUE or not text.isprintable():
            raise EventError(f"context.{name}", f"must be at most {MAX_CONTEXT_VALUE} printable characters")
        context[name] = text
    return context


def engine_of(process: Process, shop: int) -> Engine:
    """The engine that serves the shop now. Raises Problem 503."""
    engine = process.engines.get(shop)
    if engine is None:
        raise no_release(process.shops.name(shop), process.engines.refused(shop))
    return engine


async def take(process: Process, visit: Visit, raw_events: Sequence[object] = (), *, ask: Ask | None, now: float) -> Turn:
    """Take one turn: the events that are new are counted once, in the order given; a slate if asked.

    raw_events : events in their JSON form, at most `MAX_EVENTS`.  now : time of receipt, seconds since the epoch.
    Raises Problem; then nothing of the turn was kept, or, on `storage_unavailable`, it may be sent again as it is.
    """
    if len(raw_events) > MAX_EVENTS:
        raise Problem(413, "too_many_events", f"{len(raw_events)} events in one request; send at most {MAX_EVENTS}.")
    engine = engine_of(process, visit.shop)
    parsed, results = _parse(engine, raw_events, now)
    try:
        async with process.store.lock(visit.shop, visit.session):
            for attempt in range(ATTEMPTS):
                # What a commit will compare anyway need not be asked before; it refuses ids that were counted, too.
                loaded = process.store.suppose(visit.shop, visit.session) if not attempt and (parsed or ask) else None
                if loaded is None:
                    loaded = await process.store.load(visit.shop, visit.session, list(parsed))
                memory = await _recall(process, visit) if comes_in(visit, loaded.state) else None
                turn = await _attempt(process, engine, visit, memory, loaded, parsed, results, ask, now)
                if turn is not None:
                    return turn
                if attempt >= AT_ONCE:
                    await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE_S, PAUSE_S * (attempt - AT_ONCE + 1))))
    except SessionFullError as error:
        raise session_full() from error
    except (RedisError, OSError, NotDurableError) as error:
        logger.exception("the session store failed")
        raise storage_unavailable() from error
    raise busy()


async def _recall(process: Process, visit: Visit) -> Memory | None:
    return await memories.recall(process.client, visit.shop, visit.shopper, partitions=process.store.partitions)


async def _attempt(
    process: Process,
    engine: Engine,
    visit: Visit,
    memory: Memory | None,
    loaded: Loaded,
    parsed: Mapping[str, _Parsed],
    results: Sequence[Result],
    ask: Ask | None,
    now: float,
) -> Turn | None:
    """The turn upon what was loaded, or None if another commit came first."""
    stages = _move(process, engine, visit, memory, loaded, parsed, ask, now)
    moved = await (process.cohorts.run(stages) if len(parsed) <= FEW else _by_itself(stages))
    final = tuple(results)
    if loaded.seen:
        final = tuple([Result(event_id=r.event_id, status="duplicate") if r.event_id in loaded.seen else r for r in results])
    # A duplicate may be a retry of what was written but not confirmed; writing again waits for the disk again.
    unconfirmed = bool(loaded.seen) and process.store.durability is Durability.WAITAOF
    if moved.state is not loaded.state or unconfirmed:
        committed = await process.store.commit(
            loaded, moved.state, record=moved.record, event_ids=moved.event_ids, message=moved.message
        )
        if not committed:
            return None
    elif loaded.supposed:
        return None
    return Turn(moved.engine, moved.state, final, moved.slate, opened=loaded.state is None)


async def _by_itself(stages: Stages[_Moved]) -> _Moved:
    """The outcome of a turn of many events, who lets others run in between."""
    while True:
        try:
            for _ in range(STAGES_AT_ONCE):
                next(stages)
        except StopIteration as end:
            moved: _Moved = end.value
            return moved
        await asyncio.sleep(0)


def _move(
    process: Process,
    engine: Engine,
    visit: Visit,
    memory: Memory | None,
    loaded: Loaded,
    parsed: Mapping[str, _Parsed],
    ask: Ask | None,
    now: float,
) -> Stages[_Moved]:
    """Where the turn leads, upon what was loaded."""
    test = _is_test(visit, loaded.state)
    member = None
    if not test and not visit.simulated:
        engine, member = process.engines.arm(visit.shop, engine, visit.session, visit.shopper, loaded.state)
    state = taken_up(engine, resume(process, engine, visit, loaded.state, memory, now=now), member)
    told = _told(loaded.state, state)
    news = loaded.state is not None and told and state.persona.log_prior != loaded.state.persona.log_prior
    yield
    fresh = [p for event_id, p in parsed.items() if event_id not in loaded.seen]
    decisions: list[LoggedDecision] = []
    blocked: list[LoggedBlocked] = []
    for event, _ in fresh:
        state, decided, stopped = yield from loop.observe_in_stages(engine, state, event)
        yield
        decisions += [LoggedDecision.of(event, decision) for decision in decided]
        blocked += [LoggedBlocked(event.event_id, event.at, *each) for each in stopped]
    slate, asked = None, dict[str, Any]()
    if ask is not None:
        request = request_of(engine, ask, now)
        asked = asking.told(request, state)
        made = yield from loop.make_in_stages(engine, state, request, loop.draws(state))
        state, slate = made.state, made.slate
        yield
    record = b""
    if fresh or slate is not None or told:
        content = Record(
            shop=visit.shop,
            session=visit.session,
            shopper=state.shopper,
            context=_brought(state),
            release=engine.release,
            version=state.version,
            started_at=state.started_at,
            at=now,
            origin=TEST if test else SIMULATED if visit.simulated else LIVE,
            events=tuple([LoggedEvent.of(event, refs) for event, refs in fresh]),
            decisions=tuple(decisions),
            blocked=tuple(blocked),
            **({} if member is None else member.logged),
            slate=None if slate is None else logged(slate, now, asked),
            belief=_by_id(state, map(math.exp, state.persona.log_belief)),
            shares=_by_id(state, shares(state.persona)),
            steps=state.persona.steps,
            earlier=state.earlier,
            history={name: state.context[name] for name in state.remembered if name in VARIABLES} if state.remembered else {},
        )
        record = encode_record(content)
    message = b"%d" % state.version if fresh or news else b""
    return _Moved(engine, state, slate, record, [event.event_id for event, _ in fresh], message)


def _is_test(visit: Visit, state: SessionState | None) -> bool:
    """Whether a session is a test, by what it began as. Raises Problem 409 if the visit is of the other kind: what is learned
    from, and what isn't, must not flow into one another.
    """
    if state is None:
        return bool(visit.test)
    if visit.test is not None and visit.test is not state.test:
        raise mixed_session(test=visit.test)
    return state.test


def _told(before: SessionState | None, state: SessionState) -> bool:
    """Whether the visit brought something for the archive beside events: evidence, or who it is."""
    if before is None:
        return bool(state.context or state.shopper)
    return state.context != before.context or state.shopper != before.shopper


def _parse(engine: Engine, raw_events: Sequence[object], now: float) -> tuple[dict[str, _Parsed], tuple[Result, ...]]:
    """Valid events by id, in order, and a result for every one given."""
    parsed: dict[str, _Parsed] = {}
    results: list[Result] = []
    for raw in raw_events:
        refs: list[str] = []

        def item_ids(externals: Sequence[str], refs: list[str] = refs) -> list[int]:
            refs += externals
            return engine.catalogue.ids_of(externals)

        try:
            event = parse_event(raw, received_at=now, item_ids=item_ids)  # type: ignore[arg-type]
        except EventError as error:
            results.append(Result(event_id=_id_of(raw), status="rejected", field=error.field, reason=error.reason))
            continue
        if event.event_id in parsed:
            results.append(Result(event_id=event.event_id, status="duplicate"))
            continue
        parsed[event.event_id] = _Parsed(event, tuple(refs))
        notes: tuple[str, ...] = ("clock_ahead",) if event.clock_ahead else ()
        if UNKNOWN_ITEM in event.items:
            notes += ("unknown_item",)
        results.append(Result(event_id=event.event_id, status="accepted", notes=notes))
    return parsed, tuple(results)


def _id_of(raw: object) -> str:
    given = raw.get("event_id") if isinstance(raw, dict) else None
    return given[:128] if isinstance(given, str) else ""


def logged(slate: Slate, now: float, asked: dict[str, Any]) -> LoggedSlate:
    """A slate as the log keeps it. asked : by `asked.told`."""
    items = tuple(
        [
            LoggedItem(item, slot, score, propensity, persona, cluster, expert, rules)
            for item, slot, score, propensity, persona, cluster, _, expert, _, _, rules in slate.items
        ]
    )
    return LoggedSlate(slate.recommendation_id, now, slate.context, items, slate.overlay, slate.rules, asked, slate.trials)


def _by_id(state: SessionState, values: Iterable[float]) -> dict[int, float]:
    """Archetype id -> probability, to four decimals; what `round` does takes three times as long."""
    return {archetype: int(1e4 * p + 0.5) / 1e4 for archetype, p in zip(state.persona.archetypes, values, strict=True)}


def _brought(state: SessionState) -> dict[str, str]:
    """The evidence that came with the visit, not out of the shopper's memory."""
    if not state.remembered:
        return state.context
    return {name: value for name, value in state.context.items() if name not in state.remembered}
