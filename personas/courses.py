"""How a session goes: one persona throughout, one that gave way to another, or two taking turns.

The filtered belief alone can't tell two personas that take turns from one that fits neither: both leave it spread.
Their *courses* can: each explains the events or doesn't, and Bayes' rule weighs the explanations. There are n = 2K + K(K-1)/2:

- K of *one* persona: every step is drawn from P(o | z).
- K *changed* to a persona: one persona at first, another from some step on. Only the later one still matters, so that the
  sum over who came before and when is one recursion (Shiryaev 1963, "On optimum methods in quickest detection problems":
  the posterior of a change whose time is geometric a priori; no rule with as few false alarms finds it sooner).
- K(K-1)/2 *pairs*: every step is drawn from one of two personas, either as likely: (P(o | i) + P(o | j)) / 2.

Plain functions of arrays; `PersonaState.courses` keeps two bytes of each of the n, `pack` and `unpack`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

PAIRS_P = 0.15
"""Prior probability that a session belongs to two personas at once."""

HAZARD = 0.02
"""Prior probability that a step is the first of another persona: a sixth of sessions of nine steps.

The largest of 0.015, 0.02, 0.025 and 0.03 at which `profile.SHIFT_P` is reached in at most 5 of 100 sessions of one persona,
in both of the simulated shops (worlds of seeds 21 and 22; what it comes to in others stands there)."""

DEEPEST = 3_000
"""Hundredths of a nat below certainty at which a course is kept at the least. Thirty nats are as good as never, and a
session of a thousand events can still be found to have changed."""

LEAST = math.exp(-DEEPEST / 100.0)
"""Probability below which no course is kept."""

_BY_DEPTH = np.exp(np.arange(DEEPEST + 1) * -0.01)
"""(DEEPEST + 1,) what each packed number stands for."""


@lru_cache(maxsize=64)
def _pairs(k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second persona of each pair."""
    return np.triu_indices(k, 1)


@lru_cache(maxsize=64)
def _members(k: int) -> np.ndarray:
    """(n, K) how likely each persona takes a step under each course; rows sum to 1."""
    first, second = _pairs(k)
    pairs = np.zeros((len(first), k))
    pairs[np.arange(len(first)), first] = pairs[np.arange(len(first)), second] = 0.5
    return np.vstack((np.eye(k), np.eye(k), pairs))


@lru_cache(maxsize=64)
def _stay(k: int, hazard: float) -> np.ndarray:
    """(n,) what a step leaves of each course: one persona alone may give way."""
    kept = np.ones(2 * k + k * (k - 1) // 2)
    if k > 1:
        kept[:k] = 1.0 - hazard
    return kept


def opening(prior: np.ndarray) -> np.ndarray:
    """(n,) probabilities of the courses before the first event. prior : (K,) P(persona).

    Nobody has changed yet, and a pair is as likely as its two are together.
    """
    k = len(prior)
    first, second = _pairs(k)
    courses = np.zeros(2 * k + len(first))
    if k == 1:
        courses[0] = 1.0
        return courses
    courses[:k] = (1.0 - PAIRS_P) * prior
    pairs = prior[first] * prior[second] + 1e-12
    courses[2 * k :] = pairs * (PAIRS_P / np.add.reduce(pairs))
    return courses


def step(courses: np.ndarray, jumps: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """(n,) probabilities after one more step.

    courses : (n,) before it, up to a factor.  jumps : (K, K) P(next | now, a change), rows summing to 1, zero diagonal.
    likelihood : (K,) P(o | z) up to a factor. A step that no course explains leaves them as they are.
    """
    k = len(likelihood)
    moved = courses * _stay(k, HAZARD)
    if k > 1:
        moved[k : 2 * k] += (HAZARD * courses[:k]).dot(jumps)
    return _weigh(moved, _members(k).dot(likelihood))


def enrich(courses: np.ndarray, belief: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """(n,) probabilities once more is known of the last step, which is no draw of its own.

    courses : (n,) before, up to a factor.  belief : (K,) who took that step; within a pair, it says whose the new evidence is.
    """
    members, shares = _members(len(belief)), belief + 1e-12
    return _weigh(courses, members.dot(shares * likelihood) / members.dot(shares))


def settle(courses: np.ndarray, k: int) -> np.ndarray:
    """(n,) probabilities once a change has been told: who took over is now the one persona, and may give way in turn.

    The pairs stay as they are: a second change back speaks for two taking turns.
    """
    settled = courses.copy()
    settled[:k] = courses[k : 2 * k] * (np.add.reduce(courses[: 2 * k]) / np.add.reduce(courses[k : 2 * k]))
    settled[k : 2 * k] = 0.0
    return settled


def revise(packed: bytes, before: np.ndarray, after: np.ndarray) -> bytes:
    """The courses once a better prior is known than the one they started from. before, after : (K,)."""
    if not packed or len(before) == 1:
        return packed
    old, new = opening(before), opening(after)
    return pack(_weigh(unpack(packed), np.where(old > 0.0, new / np.maximum(old, 1e-300), 1.0)))


def told(courses: np.ndarray, k: int) -> tuple[float, float, float]:
    """P(one persona throughout), P(two taking turns), P(one that gave way to another). k : number of personas."""
    one, changed = float(np.add.reduce(courses[:k])), float(np.add.reduce(courses[k : 2 * k]))
    return one, max(0.0, 1.0 - one - changed), changed


def likeliest_pair(courses: np.ndarray, k: int) -> tuple[int, int]:
    """The two of K personas that are likeliest to take turns; K of two or more."""
    first, second = _pairs(k)
    best = int(courses[2 * k :].argmax())
    return int(first[best]), int(second[best])


def pack(courses: np.ndarray) -> bytes:
    """Hundredths of a nat below certainty, n little-endian uint16: a hundredth is nothing, and a state stays small.

    courses : (n,) probabilities, summing to 1.
    """
    depth = np.log(np.maximum(courses, LEAST))
    depth *= -100.0
    depth += 0.5  # the conversion to whole numbers cuts off
    return depth.astype("<u2").tobytes()


def unpack(packed: bytes) -> np.ndarray:
    """(n,) probabilities again; what was kept at the floor stays there."""
    courses = unpack_weights(packed)
    courses /= np.add.reduce(courses)
    return courses


def unpack_weights(packed: bytes) -> np.ndarray:
    """(n,) probabilities up to a factor, which is all that `step` and `enrich` need."""
    courses: np.ndarray = _BY_DEPTH.take(np.frombuffer(packed, dtype="<u2"))
    return courses


def _weigh(courses: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    weighed = courses * likelihood
    total = float(courses.dot(likelihood))
    if not 0.0 < total < math.inf:
        kept: np.ndarray = courses / np.add.reduce(courses)
        return kept
    weighed /= total
    return weighed
