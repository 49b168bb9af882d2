"""Made logs of decisions whose truth is known: what off-policy estimators and the gate are tried on. Simulated, seeded.

Sessions of about four decisions share a mood, so that decisions of one depend on each other; two or three options of four
features; the log's policy is a soft choice with a floor of 0.05 under it, another than the target's. Rewards are of two kinds:
"even", a mean and noise; "rare", mostly a small cost, now and then 1, and 10 where it is a purchase.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clusters.decision_log import ABSENT, DecisionLog

FLOOR = 0.05
DECISIONS = 3.0
"""Mean number of a session's decisions after its first."""

MOOD = 0.5
PURCHASE, LOOK, COST = 10.0, 1.0, 0.05

WORTH = np.array([[0.3, 0.0, 0.1, 0.0], [0.0, 0.4, -0.2, 0.1], [-0.2, 0.1, 0.3, -0.1]])
"""(A, d) what a feature is worth to each action: the truth."""

HABIT = np.array([[1.0, 0.0, 0.0, 0.5], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, -0.5]])
"""(A, d) of the policy that logs: its scores."""

KINDS = ("even", "rare")

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


class Made(NamedTuple):
    """A log, and its truth.

    target : (n, O) propensities of a policy that chooses by what options are worth.  worth : (n, O) expected rewards.
    """

    log: DecisionLog
    target: np.ndarray
    worth: np.ndarray

    @property
    def sums(self) -> np.ndarray:
        """Of the target's and of the log's own expected rewards, and how many decisions there are."""
        chances = (self.target, self.log.propensities)
        return np.array([*(float((chance * self.worth).sum()) for chance in chances), float(len(self.log))])


def make(seed: int, sessions: int, kind: str, *, sharpness: float = 3.0) -> Made:
    """A log of one kind. sharpness : of the target's choices; negative for a policy that chooses what is worth least."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(sessions), 1 + rng.poisson(DECISIONS, sessions))
    n, (options, d) = len(session), WORTH.shape
    mood = MOOD * rng.normal(size=sessions)[session]
    x = rng.normal(size=(n, options, d))
    x[..., -1] = 1.0
    action = np.tile(np.arange(options, dtype=np.int8), (n, 1))
    action[rng.random(n) < 0.3, -1] = ABSENT
    score = np.einsum("nod,od->no", x, WORTH)
    chances = soft(np.einsum("nod,od->no", x, HABIT), action)
    choice = np.minimum((rng.random(n)[:, None] > chances.cumsum(1)).sum(1), options - 1)
    mean = score[np.arange(n), choice] + mood
    if kind == "even":
        reward, worth = mean + rng.normal(size=n), score
    else:
        hit = rng.random(n) < _wanted(mean)
        reward = np.where(hit, np.where(rng.random(n) < 0.2, PURCHASE, LOOK), 0.0) - COST
        wanted = sum(w * _wanted(score + MOOD * z) for w, z in zip(_WEIGHTS / _WEIGHTS.sum(), _NODES, strict=True))
        worth = wanted * (0.2 * PURCHASE + 0.8 * LOOK) - COST
    none = np.zeros((n, options), dtype=np.int64)
    log = DecisionLog(x, action, choice, chances, reward, session, np.arange(n, dtype=float), np.zeros(n, dtype=np.int64), none)
    return Made(log, soft(sharpness * score, action), np.asarray(worth))


def soft(score: np.ndarray, action: np.ndarray) -> np.ndarray:
    """(n, O) chances by the exponential of scores, with a floor of `FLOOR`; 0 for options that aren't there."""
    there = action != ABSENT
    score = np.where(there, score, -np.inf)
    chance = np.exp(score - score.max(1, keepdims=True))
    chance /= chance.sum(1, keepdims=True)
    return np.where(there, FLOOR + (1.0 - FLOOR * there.sum(1, keepdims=True)) * chance, 0.0)


def truth(kind: str, *, sharpness: float = 3.0, sessions: int = 20_000, logs: int = 10) -> tuple[float, float]:
    """The target's value a decision, and by how much it is above the log's policy's, of many sessions' expected rewards."""
    sums = sum(make(1_000_000 + i, sessions, kind, sharpness=sharpness).sums for i in range(logs))
    target, own, n = np.asarray(sums).tolist()
    return target / n, (target - own) / n


def _wanted(score: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 / (1.0 + np.exp(3.0 - score)))
