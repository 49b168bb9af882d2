"""What earlier visits have left of a shopper: a decayed blend of their persona shares, and how much it is worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

SESSIONS = 20
"""Latest sessions that are remembered."""

HALF_LIFE_DAYS = 90.0
"""Days in which a memory loses half its weight: nine of ten returns to the gift shop (Online Retail, 17,000 returns of 4,362
customers) come within 91 days of the visit before, so what usually is remembered still counts at least half."""

TELLING_STEPS = 5.0
"""Steps after which a session counts half of what the longest can: a posterior of one click says little."""

KNOWN_WEIGHT = 1.0
"""Weight of memory at which it holds half of what it can hold; the rest stays with nobody in particular. Two recent sessions of
five steps each have it."""

_DAY_S = 86_400.0


class Remembered(NamedTuple):
    """One earlier session. ended_at : seconds since the epoch.  shares : archetype id -> share of its steps."""

    ended_at: float
    steps: int
    shares: Mapping[int, float]


def weight(session: Remembered, *, now: float) -> float:
    """What the session counts, 0 to 1: by its steps, saturating, and by its age. One that lies ahead is of today."""
    if session.steps <= 0:
        return 0.0
    days = max(0.0, now - session.ended_at) / _DAY_S
    return float(session.steps / (session.steps + TELLING_STEPS) * faded(days))


def faded(days: float) -> float:
    """Share of a memory's weight that is left after so many days."""
    return float(2.0 ** -(max(0.0, days) / HALF_LIFE_DAYS))


def latest(sessions: Iterable[Remembered]) -> list[Remembered]:
    """The `SESSIONS` latest that hold a share."""
    told = [s for s in sessions if s.steps > 0 and sum(s.shares.values()) > 0]
    return sorted(told, key=lambda s: s.ended_at)[-SESSIONS:]


def blend(sessions: Iterable[Remembered], *, now: float) -> dict[int, float]:
    """Archetype id -> share, summing to 1, over the latest sessions; empty where nothing is remembered.

    now : seconds since the epoch. The blend itself hardly depends on it, since all weights fade alike; what the memory
    is worth (`weight`, `strength`) does.
    """
    total: dict[int, float] = {}
    for session in latest(sessions):
        scale = weight(session, now=now) / sum(session.shares.values())
        for archetype, share in session.shares.items():
            total[archetype] = total.get(archetype, 0.0) + scale * share
    mass = sum(total.values())
    return {archetype: share / mass for archetype, share in total.items()} if mass > 0 else {}


def strength(total: float) -> float:
    """How far a memory of this total weight speaks for the shopper, 0 (not at all) to 1."""
    return total / (total + KNOWN_WEIGHT)


def earlier(shares: Mapping[int, float], archetypes: Sequence[int], initial: np.ndarray) -> tuple[float, ...] | None:
    """(K,) the distribution that `personas.profile.start` takes, for a model with these archetypes, or None.

    shares : archetype id -> share; what they lack to 1 is unknown, and so is what lies with archetypes that are gone:
        it goes to `initial`, (K,) P(persona) of nobody in particular. None where no archetype is left.
    """
    held = np.array([shares.get(i, 0.0) for i in archetypes])
    known = float(held.sum())
    if not 0.0 < known < np.inf:
        return None
    if known > 1.0:
        held /= known
    given: np.ndarray = held + max(0.0, 1.0 - known) * initial
    return tuple(given.tolist())
