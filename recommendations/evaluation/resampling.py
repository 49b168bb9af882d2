"""Intervals by resampling whole sessions: predictions of one session are not independent, sessions are taken to be.

Efron & Tibshirani (1993), "An Introduction to the Bootstrap", section 13.3 (percentiles); Field & Welsh (2007),
"Bootstrapping clustered data", for the resampling of clusters, here sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

DRAWS = 1_000
LEVEL = 95.0
"""Percent that an interval holds."""

CELLS = 2_000_000
"""Sessions times draws in memory at once."""


class Interval(NamedTuple):
    """A figure and the bounds that `LEVEL` percent of the draws lie within."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resampled:
    """Means of M measures in G segments, in percent, NaN where a segment is empty.

    value : (G, M), of the sessions as they are.  draws : (D, G, M), of D resamples.  predictions : (G,) of the value.
    """

    value: np.ndarray
    draws: np.ndarray
    predictions: np.ndarray

    def interval(self, segment: int, measure: int) -> Interval:
        return _interval(self.value[segment, measure], self.draws[:, segment, measure])

    def above(self, other: Resampled, segment: int, measure: int) -> Interval:
        """By how much this lies above another in points, both drawn with the same seed over the same sessions: a paired
        difference. Raises ValueError where the draws differ in number."""
        if self.draws.shape != other.draws.shape:
            raise ValueError(f"draws {self.draws.shape} != {other.draws.shape}: not of the same predictions")
        place = (segment, measure)
        return _interval(self.value[place] - other.value[place], self.draws[:, *place] - other.draws[:, *place])


def resample(
    session: np.ndarray, gains: np.ndarray, segments: np.ndarray, *, count: int, seed: int, draws: int = DRAWS
) -> Resampled:
    """Means by segment of the sessions as they are, and of `draws` times as many sessions drawn with replacement.

    session : (m,) int, 0..S-1, of each prediction.  gains : (m, M), 0 to 1.  segments : (m, k) int in 0..count-1, the segments
    that a prediction counts in. The draws depend on S and the seed alone, so that two models' draws are of the same sessions.
    Memory: S x count x (M + 1) numbers, and `CELLS`.
    """
    size = int(session.max()) + 1 if len(session) else 0
    measures = gains.shape[1]
    sums = np.zeros((size, count, measures + 1))
    for column in segments.T:
        cell = session * count + column
        for i in range(measures):
            sums[:, :, i] += np.bincount(cell, gains[:, i], minlength=size * count).reshape(size, count)
        sums[:, :, measures] += np.bincount(cell, minlength=size * count).reshape(size, count)
    flat = sums.reshape(size, count * (measures + 1))
    totals = np.empty((draws, flat.shape[1]))
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // max(size, 1))
    for first in range(0, draws, step):
        rows = min(step, draws - first)
        drawn = rng.integers(0, max(size, 1), size=(rows, size)) + size * np.arange(rows)[:, None]
        weight = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        totals[first : first + rows] = weight.astype(np.float64) @ flat
    whole = sums.sum(axis=0)
    return Resampled(_means(whole), _means(totals.reshape(draws, count, measures + 1)), whole[:, measures].astype(np.int64))


def _means(totals: np.ndarray) -> np.ndarray:
    """(..., M) percent of totals (..., M + 1), the last being how many."""
    of = totals[..., -1:]
    return np.asarray(np.where(of > 0, 100.0 * totals[..., :-1] / np.maximum(of, 1.0), np.nan))


def _interval(value: float, draws: np.ndarray) -> Interval:
    told = draws[~np.isnan(draws)]
    if not len(told):
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.percentile(told, ((100.0 - LEVEL) / 2.0, (100.0 + LEVEL) / 2.0)).tolist()
    return Interval(float(value), low, high)
