"""A visit as its time line walks through it: replayed once, and kept for some minutes, so that each step after that is quick.

What is kept is what the chart and the list of steps show, and the state after every `EVERY`th event: from there any step is some
events away.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from redis.exceptions import RedisError

from personas.events import Event
from personas.ledger import Shift
from personas.models import Session
from recommendations import releases, replaying, stories
from recommendations.engine import Engine
from recommendations.models import ServedSlate
from recommendations.reading import PastSession, events_of, read_session
from recommendations.replaying import Reading, ReplayedStep, Served, Walked
from recommendations.serving import trials
from recommendations.serving.held import course_key
from recommendations.session import SessionState

logger = logging.getLogger(__name__)

EVERY = 25
KEPT_S = 300

SCHEMA = 1
"""Goes up when what is kept has another shape, or is made in another way."""


class NoEventsError(LookupError):
    """A visit without an archived event."""


class Standing(NamedTuple):
    """How a visit stood after one event, or before the first.

    at : seconds since the epoch.  shift : that the event brought.  acted : decisions that changed something, or were stopped.
    """

    at: float
    reading: Reading
    shift: Shift | None
    acted: int


class Kept(NamedTuple):
    """standings : one before the first event, then one an event.  states : at the start, and after every `EVERY`th event."""

    standings: tuple[Standing, ...]
    states: tuple[SessionState, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Kept)


@dataclass(frozen=True)
class Course:
    """A visit, replayed on one release.

    note : what of it is not as it was then, "" for nothing.  served_on : releases that served it, each change.
    cut : events beyond those that are replayed.
    """

    session: Session
    engine: Engine
    past: PastSession
    standings: tuple[Standing, ...]
    states: tuple[SessionState, ...]
    note: str
    served_on: tuple[str, ...]
    cut: int

    @property
    def last(self) -> int:
        """Number of the last step; steps are counted from 1, 0 is before the first event."""
        return len(self.standings) - 1

    def event(self, step: int) -> Event | None:
        """The event of a step, None before the first."""
        return self.past.events[step - 1] if step else None

    def state(self, step: int) -> SessionState:
        """The state after a step."""
        state = self.states[step // EVERY]
        for walked in self.walk(step // EVERY * EVERY, self.past.events[:step]):
            state = walked.state
        return state

    def step(self, step: int) -> ReplayedStep:
        """All of what a step's event did. Raises IndexError before the first."""
        if not 1 <= step <= self.last:
            raise IndexError(step)
        first = (step - 1) // EVERY * EVERY
        *_, walked = self.walk(first, self.past.events[:step])
        return replaying.told(self.engine, walked, before=self.standings[step - 1].reading)

    def walk(self, first: int, events: Sequence[Event]) -> Iterator[Walked]:
        """Events from number `first` on, which must be a multiple of `EVERY`, where those before are the visit's own."""
        given = _given(self.past.served, self.past.events[:first])
        return replaying.walk(self.engine, self.states[first // EVERY], events[first:], self.past.served[given:])


def course_of(session: Session, *, now: bool = False) -> Course:
    """A visit on the release and the overlay of its last slate; on the active ones where it had none, or with `now`.

    Raises NoEventsError; ReleaseError if there is no release to tell it on.
    """
    past = read_session(session, most=stories.MOST_EVENTS)
    if not past.events:
        raise NoEventsError("No event of this visit is archived.")
    served = _served_on(session)
    note = ""
    if now or not served:
        engine = stories.engine_of(session.shop)
    else:
        engine, note = stories.engine_of_slate(session.shop, served[-1])
    kept = _kept(session, engine, past, served[-1] if served and not now else {})
    cut = events_of(session).count() - len(past.events) if len(past.events) == stories.MOST_EVENTS else 0
    numbers = tuple(str(versions.get("release", "")) for versions in served)
    return Course(session, engine, past, kept.standings, kept.states, note, numbers, cut)


def _served_on(session: Session) -> list[dict[str, Any]]:
    """What the visit's slates were served with, in the order of their times, each change once."""
    slates = ServedSlate.objects.filter(shop=session.shop_id, session_id=session.session_id).order_by("at", "pk")
    found: list[dict[str, Any]] = []
    for versions in slates.values_list("versions", flat=True):
        if found and versions.get("release") == found[-1].get("release"):
            found[-1] = versions
        else:
            found.append(versions)
    return found


def _kept(session: Session, engine: Engine, past: PastSession, versions: Mapping[str, Any]) -> Kept:
    """What was kept of the very same replay, else a new one, which is kept from now on. versions : as a slate has them."""
    # An arm's clusters follow what is edited: states of a replay under others may name clusters that these lack.
    arm = trials.arm_of(versions)
    of = (versions.get("experiment", ""), *arm) if arm is not None else ()
    told = (SCHEMA, engine.release, engine.overlay.version, *of, len(past.events), len(past.served), past.events[-1].event_id)
    kind = ":".join(map(str, told)).encode()
    client = releases.redis_client()
    name = course_key(session.pk)
    try:
        found: Any = client.hgetall(name)
        if found.get(b"kind") == kind:
            return _decoder.decode(found[b"body"])
    except (RedisError, OSError, msgspec.MsgspecError, KeyError) as error:
        logger.warning("a visit's course is made anew: %s", error)
    made = _replayed(session, engine, past)
    try:
        with client.pipeline() as both:  # never the one without the other: what is kept of a visit goes by itself
            both.hset(name, mapping={"kind": kind, "body": _encoder.encode(made)})
            both.expire(name, KEPT_S)
            both.execute()
    except (RedisError, OSError) as error:
        logger.warning("a visit's course is not kept: %s", error)
    return made


def _replayed(session: Session, engine: Engine, past: PastSession) -> Kept:
    state = replaying.begin(engine, stories.past_of(engine, session.shop, past))
    states = [state]
    standings = [Standing(past.started_at, replaying.read(engine, state.persona), None, 0)]
    for number, walked in enumerate(replaying.walk(engine, state, past.events, past.served), 1):
        standings.append(standing_of(engine, walked))
        if number % EVERY == 0:
            states.append(walked.state)
    return Kept(tuple(standings), tuple(states))


def standing_of(engine: Engine, walked: Walked) -> Standing:
    """How a visit stood after an event."""
    acted = sum(decision.action != "keep" for decision in walked.decisions) + len(walked.blocked)
    reading = replaying.read(engine, walked.state.persona)
    return Standing(walked.heard.at, reading, replaying.shift_of(walked), acted)


def _given(served: Sequence[Served], events: Sequence[Event]) -> int:
    """How many of the slates a replay has given once it came through these events."""
    latest = max((event.received_at for event in events), default=float("-inf"))
    return bisect_left(served, latest, key=lambda each: each.at)
