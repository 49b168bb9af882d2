"""The loop itself: `observe`, `recommend`, `advance`. Pure: same arguments, same answer, arguments unchanged.

Production, replay, evaluation, benchmarks and previews call these functions; there is no second path. `recommend` is
told apart in `recommendations.slates`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from clusters import adaptation
from clusters.adaptation import Blocked, Decision, Step
from clusters.catalogue import Catalogue
from personas import profile as personas
from personas.encoding import ABSENT, NOVELTY_WINDOW, novelty
from personas.events import CODE, ENGAGEMENT, ITEM_ACTIONS, UNKNOWN_ITEM, Event
from personas.profile import Signal
from personas.sessions import NO_ITEM
from recommendations.parts import Engine
from recommendations.ranking.draws import Draws
from recommendations.session import MAX_TOUCHES, Pending, Request, SessionState, Slate, Touch, moved
from recommendations.session_view import View, read_history, view
from recommendations.slates import make_in_stages, recommend
from recommendations.stages import Stages, finished

__all__ = [
    "Engine",
    "View",
    "advance",
    "draws",
    "inform",
    "make_in_stages",
    "observe",
    "observe_in_stages",
    "observe_with_decisions",
    "read_history",
    "rebase",
    "recommend",
    "start",
    "view",
]

DAYPARTS = ("night", "morning", "afternoon", "evening")


def session_seed(shop: int, session: str) -> int:
    """63 bits that are the same for a session on every process."""
    return int.from_bytes(hashlib.blake2b(f"{shop}:{session}".encode(), digest_size=8).digest(), "big") >> 1


def generator(state: SessionState) -> np.random.Generator:
    """Randomness of the state's next step. A retry on the same state draws the same numbers."""
    key = _Key(state.version, state.seed)
    return np.random.Generator(np.random.Philox(key))  # type: ignore[arg-type]  # the stub forgets ISeedSequence


def draws(state: SessionState) -> Draws:
    """What `generator` draws, for a slate: without making one."""
    return Draws(state.version, state.seed)


class _Key(ISeedSequence):
    """Philox's key as it is: given as `key`, it would have the system asked for entropy that nobody uses."""

    def __init__(self, low: int, high: int) -> None:
        self._words = np.array((low, high), dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self._words


def clock_evidence(at: float) -> dict[str, str]:
    """Weekday and part of the day (UTC) of a time in seconds since the epoch."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return {"weekday": moment.strftime("%A"), "daypart": DAYPARTS[moment.hour // 6]}


def start(
    engine: Engine,
    *,
    shop: int,
    session: str,
    at: float,
    context: Mapping[str, str] | None = None,
    shopper: str = "",
    earlier: Sequence[float] | None = None,
    own: Sequence[int] = (),
) -> SessionState:
    """A new persona and an untouched view of the clusters.

    context : evidence by variable name (country, device, ...); unknown names and values carry no weight.
    earlier : (K,) probabilities that earlier sessions of the shopper ended with, or None.
    own : ids of items that the shopper wanted on earlier visits (`ranking.reminders`).
    """
    given = dict(context or {})
    return SessionState(
        shop=shop,
        session=session,
        seed=session_seed(shop, session),
        release=engine.release,
        persona=personas.start(engine.personas, evidence=clock_evidence(at) | given, earlier=earlier, at=at),
        adapted=adaptation.start(),
        started_at=at,
        last_at=at,
        shopper=shopper,
        context=given,
        own=tuple(own),
    )


def inform(
    engine: Engine,
    state: SessionState,
    *,
    context: Mapping[str, str] | None = None,
    shopper: str = "",
    earlier: Sequence[float] | None = None,
    own: Sequence[int] | None = None,
) -> SessionState:
    """The state once more is known of the session: a context event (country, weather), or who logged in.

    context : evidence to add to what the state has.  earlier : as for `start`.  own : likewise; None for what the state has.
    """
    merged = {**state.context, **(context or {})}
    return replace(
        state,
        persona=personas.revise(
            engine.personas, state.persona, evidence=clock_evidence(state.started_at) | merged, earlier=earlier
        ),
        context=merged,
        shopper=shopper or state.shopper,
        own=state.own if own is None else tuple(own),
        version=state.version + 1,
    )


def observe(engine: Engine, state: SessionState, event: Event) -> SessionState:
    """The state after one more event: belief, evidence, adapted clusters, the session's items."""
    return observe_with_decisions(engine, state, event).state


class Observation(NamedTuple):
    """The state after an event, what the adaptation agent decided on the way, and what a bound kept it from."""

    state: SessionState
    decisions: tuple[Decision, ...]
    blocked: tuple[Blocked, ...]


def observe_with_decisions(engine: Engine, state: SessionState, event: Event) -> Observation:
    """`observe`, and what the log is told of the adaptation.

    A late event moves the belief in order of receipt and never rewinds time; an unknown item still carries its
    event type.
    """
    return finished(observe_in_stages(engine, state, event))


def observe_in_stages(engine: Engine, state: SessionState, event: Event) -> Stages[Observation]:
    """`observe_with_decisions`, for who does the same of other sessions beside it."""
    heard = signal(engine, state, event)
    code, position, at = heard.code, heard.position, heard.at
    item = _item_of(event)
    persona = personas.update(engine.personas, state.persona, heard)
    yield
    step = Step(
        code=code,
        clusters=engine.clusters.of(position),
        log_belief=persona.log_belief,
        shown=_shown(state.pending, event),
        item=item,
        engagement=ENGAGEMENT.get(event.name, 0.0),
        age=state.events,
    )
    adapted, decisions, blocked = adaptation.observe(engine.reach, engine.policy, state.adapted, step, lambda: draws(state))
    observed = moved(
        state,
        persona=persona,
        adapted=adapted,
        version=state.version + 1,
        last_at=at,
        events=state.events + 1,
        touches=_touch(state.touches, event, code, item, at, known=position != NO_ITEM),
    )
    return Observation(observed, decisions, blocked)


def signal(engine: Engine, state: SessionState, event: Event) -> Signal:
    """What an event, observed in this state, tells the persona; its time is when it counts, never before what came last."""
    recent = [t.item for t in state.touches[-NOVELTY_WINDOW:]]
    return read_signal(engine.catalogue, recent, event, at=max(event.at, state.last_at))


def read_signal(catalogue: Catalogue, recent: Sequence[int], event: Event, *, at: float) -> Signal:
    """`signal` for who holds no engine. recent : items of the latest `NOVELTY_WINDOW` item actions, oldest first."""
    item = _item_of(event)
    position = catalogue.position(item) if item != UNKNOWN_ITEM else NO_ITEM
    return Signal(
        event_id=event.event_id,
        code=CODE[event.name],
        position=position,
        at=at,
        dwell_s=event.dwell_s,
        novelty=novelty(recent, item) if position != NO_ITEM else ABSENT,
        query=event.query,
    )


def _item_of(event: Event) -> int:
    """The one item that an event is about; a list is about none."""
    return event.item if event.name != "view_item_list" else UNKNOWN_ITEM


def advance(engine: Engine, state: SessionState, event: Event, request: Request) -> tuple[SessionState, Slate]:
    """The mission's loop, once round: observe, then recommend."""
    observed = observe(engine, state, event)
    return recommend(engine, observed, request, draws(observed))


def rebase(old: Engine | None, engine: Engine, state: SessionState) -> SessionState:
    """The state carried to another release: ids that are gone are dropped, new personas enter with their prior mass.

    old : the engine that the state was made under, if this process still has it.
    """
    if state.release == engine.release:
        return state
    return replace(
        state,
        release=engine.release,
        persona=personas.rebase(old.personas if old else None, engine.personas, state.persona),
        adapted=adaptation.rebase(old.clusters if old else None, engine.clusters, state.adapted),
    )


def _shown(pending: tuple[Pending, ...], event: Event) -> tuple[tuple[int, int, int], ...]:
    """(item, cluster, slot) of what the page says was seen of a slate of ours: served is not seen."""
    if event.name != "view_item_list" or not event.recommendation_id:
        return ()
    for served in pending:
        if served.recommendation_id == event.recommendation_id:
            cluster_of = dict(zip(served.items, served.clusters, strict=True))
            return tuple((i, cluster_of[i], s) for i, s in zip(event.items, event.slots, strict=True) if i in cluster_of)
    return ()


def _touch(touches: tuple[Touch, ...], event: Event, code: int, item: int, at: float, *, known: bool) -> tuple[Touch, ...]:
    """The session's items with this event: appended for an item action, its dwell filled in for an engagement. What goes out
    of the cart is appended too, which the experts don't read."""
    if not known:
        return touches
    if event.name in ITEM_ACTIONS or event.name == "remove_from_cart":
        dwell = -1.0 if event.dwell_s is None else event.dwell_s
        return (*touches, Touch(item, code, at, dwell))[-MAX_TOUCHES:]
    if event.name == "user_engagement" and event.dwell_s is not None:
        for i in range(len(touches) - 1, -1, -1):
            if touches[i].item == item:
                dwell = max(touches[i].dwell_s, 0.0) + event.dwell_s
                return (*touches[:i], touches[i]._replace(dwell_s=dwell), *touches[i + 1 :])
    return touches
