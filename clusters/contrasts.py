"""Two arms of randomised decisions compared: effects with errors by session, shrunk, and which of many to believe. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse, stats

NOTHING = 1.0
"""Comparisons without a difference that are believed before any: of few comparisons, all are rather taken for chance."""

WIDTHS = 24
"""Widths of the normal laws that true differences are taken to be mixed of, each sqrt(2) times the one before."""

ROUNDS = 300
"""Of the fit of their shares, at most."""


@dataclass(frozen=True)
class Contrast:
    """What one arm gave beyond another, in the unit of the outcome.

    estimate, error : the difference of the weighted means, and its standard error by sessions.
    effective : decisions that it is worth, evenly split; Kish's size of each arm, 4 / (1 / one + 1 / other).
    decisions, sessions : (one, other), counted.  means : (one, other).
    influence : (sessions,) what each session adds to the estimate's error, by the order of `np.unique` of the sessions.
    """

    estimate: float
    error: float
    effective: float
    decisions: tuple[int, int]
    sessions: tuple[int, int]
    means: tuple[float, float]
    influence: np.ndarray


def together_of(contrasts: Sequence[Contrast], weights: np.ndarray) -> Contrast:
    """The sum of several outcomes' contrasts of the same decisions, with their errors, times weights, as they go together."""
    influence = np.sum([w * c.influence for w, c in zip(weights.tolist(), contrasts, strict=True)], axis=0)
    return replace(
        contrasts[0],
        estimate=float(sum(c.estimate for c in contrasts)),
        error=float(np.sqrt(influence @ influence)),
        means=(float(sum(c.means[0] for c in contrasts)), float(sum(c.means[1] for c in contrasts))),
        influence=influence,
    )


def compare(outcome: np.ndarray, one: np.ndarray, other: np.ndarray, session: np.ndarray) -> list[Contrast]:
    """The contrast of two arms in each of k outcomes.

    outcome : (n, k).  one, other : (n,) 1 / propensity where that arm was taken, 0 elsewhere; both have some.
    session : (n,), whose decisions depend on each other.
    """
    if not (one.any() and other.any()):
        raise ValueError("an arm without a decision can't be compared")
    a, b = one / one.sum(), other / other.sum()
    mean_a, mean_b = a @ outcome, b @ outcome
    sessions, place = np.unique(session, return_inverse=True)
    by_session = sparse.csr_matrix((np.ones(len(place)), (place, np.arange(len(place)))), shape=(len(sessions), len(place)))
    influence = by_session @ (a[:, None] * (outcome - mean_a) - b[:, None] * (outcome - mean_b))
    influence *= np.sqrt(len(sessions) / max(len(sessions) - 1, 1))
    error = np.sqrt((influence**2).sum(0))
    size = [float(w.sum() ** 2 / (w @ w)) for w in (one, other)]
    counts = [(int((w > 0).sum()), len(np.unique(session[w > 0]))) for w in (one, other)]
    return [
        Contrast(
            estimate=float(mean_a[k] - mean_b[k]),
            error=float(error[k]),
            effective=4.0 / (1.0 / size[0] + 1.0 / size[1]),
            decisions=(counts[0][0], counts[1][0]),
            sessions=(counts[0][1], counts[1][1]),
            means=(float(mean_a[k]), float(mean_b[k])),
            influence=influence[:, k],
        )
        for k in range(outcome.shape[1])
    ]


def freedom(contrast: Contrast) -> int:
    """Degrees of freedom of its error: sessions of the smaller arm, less one."""
    return max(min(contrast.sessions) - 1, 1)


def interval(contrast: Contrast, confidence: float) -> float:
    """Half the width of its interval, by Student's law."""
    return float(stats.t.ppf(0.5 + confidence / 2, freedom(contrast))) * contrast.error


def p_values(contrasts: Sequence[Contrast]) -> np.ndarray:
    """(k,) two-sided p of no difference; 1 where nothing varied."""
    return np.array(
        [2.0 * stats.t.sf(abs(c.estimate) / c.error, freedom(c)) if c.error > 0 else 1.0 for c in contrasts], dtype=np.float64
    )


def discoveries(p: np.ndarray, rate: float) -> np.ndarray:
    """(k,) bool, which of k tests to believe so that in the mean at most `rate` of those believed are false.

    Benjamini & Hochberg (1995): the largest i with p(i) <= i/k rate, and all below; holds for tests that depend on each other
    positively too (Benjamini & Yekutieli 2001, theorem 1.2).
    """
    order = np.argsort(p, kind="stable")
    passes = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / max(len(p), 1))
    believed = np.zeros(len(p), dtype=bool)
    if len(passes):
        believed[order[: passes[-1] + 1]] = True
    return believed


@dataclass(frozen=True)
class Shrunk:
    """What k contrasts are believed to be after all of them were seen: of each a mixture of normal laws.

    effect : (k,) means.  shares, means, deviations : (k, m) of the mixtures.
    """

    effect: np.ndarray
    shares: np.ndarray
    means: np.ndarray
    deviations: np.ndarray

    def quantile(self, q: float) -> np.ndarray:
        """(k,) of each mixture, by bisection."""
        reach = 10.0 * self.deviations.max(1) + 1e-12
        low, high = self.means.min(1) - reach, self.means.max(1) + reach
        for _ in range(60):
            middle = (low + high) / 2
            under = (self.shares * stats.norm.cdf((middle[:, None] - self.means) / self.deviations)).sum(1) < q
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return np.asarray((low + high) / 2)


def shrunk(contrasts: Sequence[Contrast]) -> Shrunk:
    """Contrasts drawn towards the middle of them all, the more the less they tell: most true differences are next to none, and
    some may be large, so that those who stand out are hardly drawn.

    True differences are mixed of normal laws of all widths around the contrasts' weighted median, in shares that fit them best
    (Stephens 2017, "False discovery rates: a new deal", sections 2 and 4: by EM, with a penalty for no width at all).
    """
    if not contrasts:
        return Shrunk(np.zeros(0), *(np.zeros((0, 1)) for _ in range(3)))
    x, error = np.array([c.estimate for c in contrasts]), np.maximum([c.error for c in contrasts], 1e-9)
    order = np.argsort(x)
    weight = np.cumsum((error**-2)[order])
    middle = float(x[order][np.searchsorted(weight, weight[-1] / 2)]) if len(x) > 2 else 0.0
    beside = x - middle
    widths = np.concatenate(([0.0], float(error.min()) / 10.0 * np.sqrt(2.0) ** np.arange(WIDTHS)))
    spread = np.sqrt(error[:, None] ** 2 + widths**2)
    log_likely = stats.norm.logpdf(beside[:, None], 0.0, spread)
    likely = np.exp(log_likely - log_likely.max(1, keepdims=True))
    share = np.full(len(widths), 1.0 / len(widths))
    for _ in range(ROUNDS):
        belongs = likely * share
        belongs /= belongs.sum(1, keepdims=True)
        total = belongs.sum(0)
        total[0] += NOTHING
        new = total / total.sum()
        done = np.abs(new - share).max() < 1e-7
        share = new
        if done:
            break
    belongs = likely * share
    belongs /= belongs.sum(1, keepdims=True)
    keeps = widths**2 / spread**2
    means = middle + keeps * beside[:, None]
    unsure = np.pi / 2 / weight[-1]  # variance of a median of as much evidence: the middle isn't known for sure either
    deviation = np.sqrt(keeps * error[:, None] ** 2 + (1.0 - keeps) ** 2 * unsure)
    return Shrunk((belongs * means).sum(1), belongs, means, deviation)
