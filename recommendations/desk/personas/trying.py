"""A draft of the personas tried on real visits: whom they would be taken for, and what they would be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from personas.models import Session, Shop
from recommendations import stories
from recommendations.desk.personas.drafts import drafted_engine
from recommendations.desk.personas.trials import Standing, Trial, compare, standing
from recommendations.engine import Engine
from recommendations.hourly import SHOWN
from recommendations.reading import PastSession, read_sessions

MOST = 40
"""Visits that a draft is tried on."""

LEAST_EVENTS, LONGEST = 5, 120
"""Events that such a visit has: enough to tell somebody by, and not more than can be told at once."""

TOLD = 60
"""Events of a visit that are replayed, the first ones: some ten milliseconds a visit."""

LOOKED_AT = 2_000
"""Latest visits among which those are found; a shop of a million must not be read through."""

ENOUGH = 10
"""Visits by shoppers, or simulated ones, from which imported ones aren't needed."""


@dataclass(frozen=True)
class Tried:
    """The visits, most changed first. sessions : of `trials`' places.  simulated, imported : how many of them were."""

    before: Engine
    after: Engine
    sessions: tuple[Session, ...]
    trials: tuple[Trial, ...]
    simulated: int
    imported: int


def sample(shop: Shop) -> list[int]:
    """Primary keys of visits to try a draft on: the latest with enough events, imported ones where there are few others."""
    latest = Session.objects.filter(shop=shop).order_by("-last_at", "-pk").values_list("pk", "origin", "events")[:LOOKED_AT]
    fit = [(pk, origin) for pk, origin, events in latest if LEAST_EVENTS <= events <= LONGEST]
    seen = [pk for pk, origin in fit if origin in SHOWN]
    if len(seen) < ENOUGH:
        seen += [pk for pk, origin in fit if origin == "import"]
    return seen[:MOST]


def try_out(shop: Shop, definition: Mapping[str, Any], visits: Sequence[int]) -> Tried:
    """The visits (primary keys of the shop's sessions, at most `MOST` are taken) as served now, and under a definition.

    What is served now is kept between calls, so that moving a slider costs one course of each visit.
    Raises as `persona_drafts.drafted_engine`.
    """
    engine = stories.engine_of(shop)
    after = drafted_engine(shop, definition, on=engine)
    found = Session.objects.filter(shop=shop, pk__in=list(visits)[:MOST]).select_related("shopper")
    sessions = tuple(sorted(found, key=lambda s: (s.last_at, s.pk), reverse=True))
    pasts, before = _as_served(shop, engine, sessions)
    would = [standing(after, stories.past_of(after, shop, past)) for past in pasts]
    return Tried(
        engine,
        after,
        sessions,
        tuple(compare(before, would)),
        sum(s.origin == "simulated" for s in sessions),
        sum(s.origin == "import" for s in sessions),
    )


KEPT = 8
"""Samples of which what is served now is kept in a process, the latest: some megabytes each."""

_Known = tuple[int, str, int, tuple[tuple[int, int], ...]]
"""Shop, release, version of the overlay, and (primary key, events) of the visits: what the course of today depends on."""

_courses: dict[_Known, tuple[list[PastSession], list[Standing]]] = {}
_lock = Lock()


def _as_served(shop: Shop, engine: Engine, sessions: Sequence[Session]) -> tuple[list[PastSession], list[Standing]]:
    known = (shop.pk, engine.release, engine.overlay.version, tuple((s.pk, s.events) for s in sessions))
    with _lock:
        kept = _courses.pop(known, None)
    if kept is None:
        pasts = read_sessions(sessions, most=TOLD)
        kept = pasts, [standing(engine, stories.past_of(engine, shop, past)) for past in pasts]
    with _lock:
        _courses[known] = kept
        while len(_courses) > KEPT:
            _courses.pop(next(iter(_courses)))
    return kept
