"""Calibration error, area under the ROC curve, and intervals by resampling whole sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BINS = 15
"""Equal-width bins of the calibration error, as in Guo et al. (2017)."""

DRAWS = 200
"""Bootstrap resamples: enough for the ends of a 95 % interval to move by a tenth of its width."""


class Interval(NamedTuple):
    """A figure, and where 95 % of its bootstrap resamples lie."""

    value: float
    low: float
    high: float


def calibration_error(
    probability: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None, *, bins: int = BINS
) -> float:
    """Expected calibration error, 0 to 1: mean gap between what was claimed and what came true, over equal-width bins.

    probability : (N,) in [0, 1], of the prediction made.  correct : (N,) bool.  weights : (N,) of the predictions, or None.
    Guo et al. (2017), "On calibration of modern neural networks", section 2. NaN without a prediction.
    """
    weight = np.ones(len(probability)) if weights is None else weights
    total = weight.sum()
    if not total:
        return float("nan")
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=weight * (correct - probability.astype(np.float64)), minlength=bins)
    return float(np.abs(gap).sum() / total)


def classwise_error(belief: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None, *, bins: int = BINS) -> float:
    """The mean over K classes of the calibration error of "it is class k", 0 to 1.

    belief : (N, K) probabilities.  truth : (N,) classes.  Kull et al. (2019), "Beyond temperature scaling", section 2.
    """
    errors = [calibration_error(belief[:, k], truth == k, weights, bins=bins) for k in range(belief.shape[1])]
    return float(np.mean(errors))


def auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    score : (N,).  positive : (N,) bool.  weights : (N,), or None. NaN where one of the two kinds is missing.
    Hanley & McNeil (1982).
    """
    weight = np.ones(len(score)) if weights is None else weights
    up, down = np.where(positive, weight, 0.0), np.where(positive, 0.0, weight)
    if not up.sum() or not down.sum():
        return float("nan")
    _, level = np.unique(score, return_inverse=True)
    won, lost = np.bincount(level, weights=up), np.bincount(level, weights=down)
    below = np.cumsum(lost) - lost
    return float((won * (below + 0.5 * lost)).sum() / (up.sum() * down.sum()))


def resample(statistic: Callable[[np.ndarray], float], sessions: int, *, draws: int = DRAWS, seed: int = 0) -> Interval:
    """A statistic of all sessions, and its percentile interval over sessions drawn with replacement.

    statistic : takes (sessions,) float64, how often each session counts.  Efron & Tibshirani (1993), chapter 13.
    Resamples on which the statistic is NaN are left out.
    """
    value = statistic(np.ones(sessions))
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [statistic(np.bincount(rng.integers(sessions, size=sessions), minlength=sessions) * 1.0) for _ in range(draws)]
    )
    kept = drawn[~np.isnan(drawn)]
    if not len(kept):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(kept, (0.025, 0.975)).tolist()
    return Interval(value, low, high)
