"""The listwise blend: a small network with a linear skip that scores candidates by what the experts say of them.

score = skip . x + w3 . relu(W2 relu(W1 x + b1) + b2)        (learned by `listwise`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recommendations.ranking import scoring
from recommendations.ranking.compiling import readonly
from recommendations.ranking.scoring import Weights

HIDDEN = 32


@dataclass(frozen=True)
class Blend:
    """Weights over raw features; the standardisation is folded in.

    w1 : (H, F).  b1 : (H,).  w2 : (H, H).  b2 : (H,).  w3 : (H,).  skip : (F,). All float32.
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    skip: np.ndarray

    @cached_property
    def weights(self) -> Weights:
        """The same as compiled loops read it."""
        parts = (self.w1, self.b1, self.w2, self.b2, self.w3, self.skip)
        return Weights(*(readonly(part, np.float32) for part in parts))

    @cached_property
    def parts(self) -> tuple[np.ndarray, ...]:
        """`weights`, plain."""
        return tuple(self.weights)


def score(blend: Blend, features: np.ndarray) -> np.ndarray:
    """(m,) float32 scores of features (F, m)."""
    return scoring.scores(blend.weights, np.ascontiguousarray(features, dtype=np.float32))


def silences(cases: Sequence[tuple[np.ndarray, bool]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V cases as `score_silenced` reads them. cases : the rows of each, and whether their one value is the mean of all
    candidates, or else 0."""
    rows = np.concatenate([rows for rows, _ in cases]).astype(np.int64) if cases else np.zeros(0, dtype=np.int64)
    starts = np.zeros(len(cases) + 1, dtype=np.int64)
    np.cumsum([len(rows) for rows, _ in cases], out=starts[1:])
    return rows, starts, np.array([is_average for _, is_average in cases], dtype=bool)


def score_silenced(
    blend: Blend, features: np.ndarray, columns: np.ndarray, cases: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """(V, k) scores of the candidates at `columns` (k,) of features (F, m), in V cases: some rows have one value for all.

    cases : of `silences`.
    """
    return scoring.silenced(
        blend.weights, np.ascontiguousarray(features, dtype=np.float32), np.array(columns, dtype=np.int64), *cases
    )


def score_gradient(blend: Blend, features: np.ndarray) -> np.ndarray:
    """(F, m) derivative of each candidate's score by each of its features (F, m)."""
    return scoring.gradients(blend.weights, np.ascontiguousarray(features, dtype=np.float32))


def linear_blend(weights: np.ndarray) -> Blend:
    """A blend that is its skip alone: what serves until there are examples to learn from. weights : (F,)."""
    zeros = np.zeros((HIDDEN, HIDDEN), dtype=np.float32)
    flat = np.zeros(HIDDEN, dtype=np.float32)
    return Blend(np.zeros((HIDDEN, len(weights)), dtype=np.float32), flat, zeros, flat, flat, weights.astype(np.float32))
