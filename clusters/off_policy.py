"""What another policy would have earned, told from the decisions of the one that served: off-policy evaluation. Pure.

Decisions of a session depend on each other, sessions are taken not to: all intervals are of sessions, a session being one draw
of a ratio (its sums over how many decisions it had). They are of t's quantiles with degrees of freedom by how heavy the tails are
(Satterthwaite 1946), and wider on the side of the skewness, which importance weights bring plenty of (Hall 1992, "On the removal
of skewness by transformation").

References: Horvitz & Thompson (1952) for IPS; Swaminathan & Joachims (2015), "The self-normalized estimator for counterfactual
learning", for SNIPS; Dudík, Langford & Li (2011), "Doubly robust policy evaluation and learning"; Ionides (2008), "Truncated
importance sampling", for clipping; Kish (1965) for the effective sample size. The formulas are those of `obp` 0.5.7 (Saito et al.
2020), with which a test compares them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from clusters.decision_log import ABSENT, DecisionLog

CLIP = 20.0
"""Largest weight of the clipped estimators: a floor of 0.05 under the propensities lets none pass it."""

FOLDS = 5
"""Of sessions, for the reward model: what a decision is judged with was fitted without its session."""

RIDGE = 10.0
"""Of the reward model, in rows: an action seen ten times is half believed."""

SUM_SLACK = 1e-6
"""By which propensities may miss 1."""

LEAST_SQUARES = 1e-24
"""Under this a difference doesn't vary at all."""


class Estimate(NamedTuple):
    """A mean reward a decision, or a difference of two, and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimates:
    """A policy's value by each estimator; those with a reward model are None where none was given.

    ips : unbiased, the widest.  clipped : weights cut at `clip`.  snips : divided by the weights' mean.
    dr, clipped_dr : the reward model's word, corrected by what was observed.
    weight : mean of the weights, of a target that the log can speak of 1: an interval without 1 says that the propensities logged
        are not those that the decisions were drawn with.
    effective : decisions' worth of information (sum of weights, squared, over the sum of squares).  effective_sessions : the same
        of sessions.  largest : weight.  unsupported : share of the target's choices that the log could never have taken.
    """

    ips: Estimate
    clipped: Estimate
    snips: Estimate
    dr: Estimate | None
    clipped_dr: Estimate | None
    weight: Estimate
    effective: float
    effective_sessions: float
    largest: float
    unsupported: float
    decisions: int
    sessions: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, by name."""
        return asdict(self) | {
            name: None if found is None else found._asdict()
            for name in ("ips", "clipped", "snips", "dr", "clipped_dr", "weight")
            for found in [getattr(self, name)]
        }


def estimate(
    log: DecisionLog, target: np.ndarray, *, q: np.ndarray | None = None, clip: float = CLIP, confidence: float = 0.95
) -> Estimates:
    """The mean reward a decision, had the target policy decided.

    target : (n, O) its propensities on the log's options.  q : (n, O) rewards foretold (`foretold`), None for no doubly robust
    estimates. Decisions without a reward are left out (`DecisionLog.credited`) by the caller.
    Raises ValueError where the log is empty, lacks rewards, or the propensities aren't such.
    """
    _check(log, target, "target")
    return _estimates(log, target, np.zeros(len(log)), np.zeros(log.action.shape), q, clip, confidence)


def difference(
    log: DecisionLog,
    target: np.ndarray,
    baseline: np.ndarray | None = None,
    *,
    q: np.ndarray | None = None,
    clip: float = CLIP,
    confidence: float = 0.95,
) -> Estimates:
    """By how much the target's mean reward a decision is above the baseline's, on the same decisions: a paired difference.

    baseline : (n, O) the other policy's propensities; None for those that logged, whose value is what was observed.
    The weight, effective samples and what is unsupported are the target's. Raises ValueError as `estimate`.
    """
    _check(log, target, "target")
    if baseline is None:
        return _estimates(log, target, np.ones(len(log)), log.propensities, q, clip, confidence)
    _check(log, baseline, "baseline")
    return _estimates(log, target, baseline[np.arange(len(log)), log.choice] / log.taken, baseline, q, clip, confidence)


def _estimates(
    log: DecisionLog,
    target: np.ndarray,
    against: np.ndarray,
    baseline: np.ndarray,
    q: np.ndarray | None,
    clip: float,
    confidence: float,
) -> Estimates:
    """against : (n,) weights of what is subtracted, 0 for nothing.  baseline : (n, O) its propensities, likewise."""
    if q is not None and q.shape != target.shape:
        raise ValueError(f"q {q.shape} does not fit {target.shape}")
    if not clip > 0:
        raise ValueError(f"clip must be above 0, got {clip}")
    sums = _Sessions(log, confidence)
    rows = np.arange(len(log))
    weight = target[rows, log.choice] / log.taken
    net = weight - against
    cut = np.minimum(weight, clip) - np.minimum(against, clip)
    dr = clipped_dr = None
    if q is not None:
        model = np.where(log.action == ABSENT, 0.0, q)
        direct, residual = ((target - baseline) * model).sum(1), log.reward - model[rows, log.choice]
        dr, clipped_dr = sums.mean(direct + net * residual), sums.mean(direct + cut * residual)
    return Estimates(
        ips=sums.mean(net * log.reward),
        clipped=sums.mean(cut * log.reward),
        snips=sums.ratio(weight, against, log.reward),
        dr=dr,
        clipped_dr=clipped_dr,
        weight=sums.mean(weight),
        effective=kish(weight),
        effective_sessions=kish(np.bincount(sums.session, weight)),
        largest=float(weight.max()),
        unsupported=float(np.where(log.propensities > 0, 0.0, target).sum(1).mean()),
        decisions=len(log),
        sessions=sums.count,
    )


def kish(weight: np.ndarray) -> float:
    """Effective sample size of weights (n,): n where all are equal, 1 where one has it all, 0 where none has any."""
    square = float(weight @ weight)
    return float(weight.sum()) ** 2 / square if square > 0 else 0.0


def foretold(log: DecisionLog, *, folds: int = FOLDS) -> np.ndarray:
    """(n, O) reward that each option would bring, by ridge regression of rewards on the option's features, one for each action,
    shrunk to the mean reward; 0 for options that aren't there.

    Fitted in folds of sessions, each foretold by the others, so that the doubly robust estimate stays honest (Chernozhukov et al.
    2018, "Double/debiased machine learning"). The folds go by the sessions' order in the log. Raises ValueError without rewards.
    """
    if not np.isfinite(log.reward).all():
        raise ValueError("rewards are missing: take the credited decisions")
    session = _numbered(log.session)
    sessions = int(session.max(initial=-1)) + 1
    fold = session % max(2, min(folds, sessions))
    chosen, x = log.chosen, log.chosen_x
    q = np.zeros(log.action.shape)
    for k in np.unique(fold).tolist():
        learn, tell = fold != k, fold == k
        if not learn.any():
            continue
        mean = float(log.reward[learn].mean())
        for action in np.unique(log.action[tell & (log.choice >= 0)]).tolist():
            if action == ABSENT:
                continue
            rows = learn & (chosen == action)
            told = x[rows]
            gram = told.T @ told + RIDGE * np.eye(x.shape[1])
            slope = np.linalg.solve(gram, told.T @ (log.reward[rows] - mean))
            where = np.nonzero(tell[:, None] & (log.action == action))
            q[where] = mean + log.x[where] @ slope
    return q


class _Sessions:
    """Means over the decisions of a log with intervals over its sessions."""

    def __init__(self, log: DecisionLog, confidence: float) -> None:
        if not 0.0 < confidence < 1.0:
            raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
        self.session = _numbered(log.session)
        self.size = np.bincount(self.session).astype(np.float64)
        self.count = len(self.size)
        self._n = len(log)
        self._confidence = confidence

    def mean(self, values: np.ndarray) -> Estimate:
        """Of values (n,): a ratio of the sessions' sums and sizes."""
        value = float(values.mean())
        return self._around(value, np.bincount(self.session, values) - value * self.size)

    def ratio(self, weight: np.ndarray, against: np.ndarray, reward: np.ndarray) -> Estimate:
        """Weighted mean of the reward, less the other weights' unless they are 0: linearised (Cochran 1977, section 6.4)."""
        value, pull = 0.0, np.zeros(self._n)
        for sign, each in ((1.0, weight), (-1.0, against)):
            if each.any():
                mean = float(each @ reward / each.sum())
                value += sign * mean
                pull += sign * each * (reward - mean) / each.mean()
        if not weight.any():
            return Estimate(math.nan, -math.inf, math.inf)
        return self._around(value, np.bincount(self.session, pull))

    def _around(self, value: float, pull: np.ndarray) -> Estimate:
        """pull : (S,) of each session on the value, summing to about 0, in decisions."""
        count = self.count
        if count < 2:
            return Estimate(value, -math.inf, math.inf)
        pull = pull - pull.mean()
        square = float((pull**2).mean())
        if square < LEAST_SQUARES:
            return Estimate(value, value, value)
        error = math.sqrt(square * count / (count - 1) * count) / self._n
        low, high = studentised(pull, self._confidence)
        return Estimate(value, value - high * error, value - low * error)


def studentised(pull: np.ndarray, confidence: float) -> tuple[float, float]:
    """Quantiles between which (mean of draws - truth) / its standard error lies, for draws (S,) of which at least two differ.

    Hall (1992), equations 2.2 and 2.5: with a the skewness over the root of S, (1 + a(z - a/6)) ** (1/3) unwinds it. On each side
    the wider of that and of t is taken: where rewards are rare the skewness of what was seen says little of the truth's.
    """
    count = len(pull)
    centred = pull - pull.mean()
    square = float((centred**2).mean())
    skew = float((centred**3).mean()) / square**1.5
    kurtosis = float((centred**4).mean()) / square**2
    freedom = min(max(2.0 * count / max(kurtosis - 1.0, 1e-9), 1.0), count - 1.0)
    z = float(student.ppf(0.5 + confidence / 2.0, freedom))
    a = skew / math.sqrt(count)
    if abs(a) < 1e-6:
        return -z, z
    low, high = (3.0 / a * (np.cbrt(1.0 + a * (side - a / 6.0)) - 1.0) for side in (-z, z))
    return min(float(low), -z), max(float(high), z)


def _numbered(session: np.ndarray) -> np.ndarray:
    """(n,) 0..S-1, in the order of the sessions' numbers."""
    return np.unique(session, return_inverse=True)[1].reshape(-1)


def _check(log: DecisionLog, chances: np.ndarray, name: str) -> None:
    if not len(log):
        raise ValueError("there are no decisions")
    if not np.isfinite(log.reward).all():
        raise ValueError("rewards are missing: take the credited decisions")
    if chances.shape != log.action.shape:
        raise ValueError(f"{name} {chances.shape} does not fit decisions among options {log.action.shape}")
    if not (chances >= 0).all() or (np.abs(chances.sum(1) - 1.0) > SUM_SLACK).any():
        raise ValueError(f"{name}: propensities must be 0 or more and sum to 1 in each row")
    if (chances[log.action == ABSENT] > 0).any():
        raise ValueError(f"{name}: an option that isn't there has a propensity")
