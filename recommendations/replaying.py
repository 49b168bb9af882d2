"""A past session told again: its events through the very `engine.observe` that served it, step by step. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from clusters.adaptation import Blocked, Decision
from personas import profile as personas
from personas.events import Event
from personas.ledger import Shift, StepEvidence
from personas.profile import PersonaState, Signal
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.session import MAX_PENDING, Pending, SessionState


class Served(NamedTuple):
    """A slate that the session was given: when it was asked for, seconds since the epoch, and what it held."""

    at: float
    pending: Pending


@dataclass(frozen=True)
class Past:
    """A session as it was, for an engine to tell again, which need not be the one that served it.

    events : in the order in which they were received.  context, earlier, own : as for `engine.start`; evidence that reached
        the session in its midst counts from the start on, which is the same by Bayes' rule but for the relaxation
        towards the prior between the two.
    served : slates in the order of their times, so that reported impressions find what they are about, and the
        agent's draws, which follow the state's version, are those of then.
    """

    shop: int
    session: str
    shopper: str
    context: Mapping[str, str]
    started_at: float
    events: tuple[Event, ...]
    earlier: Sequence[float] | None = None
    served: tuple[Served, ...] = ()
    own: Sequence[int] = ()


class Reading(NamedTuple):
    """What a persona state says at one moment.

    belief : (K,) probabilities, in the model's order.  shares : (K,) of the session's latest steps.  unsure : not sure yet.
    several : two or more personas take turns.  active : ids of the personas that act, most likely first.
    """

    belief: tuple[float, ...]
    shares: tuple[float, ...]
    unsure: bool
    several: bool
    active: tuple[int, ...]


@dataclass(frozen=True)
class ReplayedStep:
    """What `observe` made of one event.

    at : the time it counted as, seconds since the epoch: never before what came last.
    evidence : every factor's nats for every persona, and what the time gone by did.
    shift : the change of the acting persona that this event brought, None for most.
    decisions : what the adaptation decided.  blocked : what a bound kept it from.
    changed : cluster id -> (weight before, weight after), where it moved.
    state : the session after the event.
    """

    event: Event
    at: float
    before: Reading
    after: Reading
    evidence: StepEvidence
    shift: Shift | None
    decisions: tuple[Decision, ...]
    blocked: tuple[Blocked, ...]
    changed: Mapping[int, tuple[float, float]]
    state: SessionState


def begin(engine: Engine, past: Past) -> SessionState:
    """The session before its first event."""
    return loop.start(
        engine,
        shop=past.shop,
        session=past.session,
        at=past.started_at,
        context=past.context,
        shopper=past.shopper,
        earlier=past.earlier,
        own=past.own,
    )


def replay(engine: Engine, past: Past) -> tuple[ReplayedStep, ...]:
    """Each event of a session with what it did."""
    state = begin(engine, past)
    steps = []
    reading = read(engine, state.persona)
    for walked in walk(engine, state, past.events, past.served):
        step = told(engine, walked, before=reading)
        steps.append(step)
        reading = step.after
    return tuple(steps)


class Walked(NamedTuple):
    """One event observed. heard : what it told the persona.  before, state : the session before it, with slates, and after."""

    event: Event
    heard: Signal
    before: SessionState
    state: SessionState
    decisions: tuple[Decision, ...]
    blocked: tuple[Blocked, ...]


def walk(engine: Engine, state: SessionState, events: Sequence[Event], served: Sequence[Served] = ()) -> Iterator[Walked]:
    """The events through `observe`, one after the other, from a state on. served : slates that it was not given yet."""
    given = 0
    for event in events:
        while given < len(served) and served[given].at < event.received_at:
            state = _given(state, served[given].pending)
            given += 1
        heard = loop.signal(engine, state, event)
        observed, decisions, blocked = loop.observe_with_decisions(engine, state, event)
        yield Walked(event, heard, state, observed, decisions, blocked)
        state = observed


def told(engine: Engine, walked: Walked, *, before: Reading | None = None) -> ReplayedStep:
    """What `observe` made of an event, with its evidence. before : what the state before it said, where that was read already."""
    earlier, state = walked.before, walked.state
    return ReplayedStep(
        event=walked.event,
        at=walked.heard.at,
        before=before or read(engine, earlier.persona),
        after=read(engine, state.persona),
        evidence=personas.explain_step(engine.personas, earlier.persona, walked.heard),
        shift=shift_of(walked),
        decisions=walked.decisions,
        blocked=walked.blocked,
        changed=_changed(earlier, state),
        state=state,
    )


def shift_of(walked: Walked) -> Shift | None:
    """The change of the acting persona that an event brought, None for most."""
    shift = walked.state.persona.shift
    return shift if shift != walked.before.persona.shift else None


def stand(engine: Engine, past: Past) -> SessionState:
    """The session as it stood once its events came and its slates were served."""
    state = begin(engine, past)
    waiting = list(past.served)
    for event in past.events:
        while waiting and waiting[0].at < event.received_at:
            state = _given(state, waiting.pop(0).pending)
        state = loop.observe(engine, state, event)
    for slate in waiting:
        state = _given(state, slate.pending)
    return state


def read(engine: Engine, state: PersonaState) -> Reading:
    """Belief and what it amounts to."""
    told = personas.profile(engine.personas, state)
    return Reading(told.belief, told.shares, bool(told.unsure), bool(told.several), told.active)


def _given(state: SessionState, pending: Pending) -> SessionState:
    """The state once a slate was served, as `engine.recommend` leaves it."""
    return replace(state, version=state.version + 1, pending=(*state.pending, pending)[-MAX_PENDING:])


def _changed(before: SessionState, after: SessionState) -> dict[int, tuple[float, float]]:
    """Cluster id -> its weight before and after; 1 where the session had not touched it."""
    if before.adapted.weight is after.adapted.weight:
        return {}
    old, new = before.adapted.weight, after.adapted.weight
    pairs = {c: (old.get(c, 1.0), new.get(c, 1.0)) for c in {*old, *new}}
    return {c: pair for c, pair in sorted(pairs.items()) if not math.isclose(*pair)}
