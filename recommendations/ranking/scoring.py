"""The blend's network, compiled: `blend` says what it computes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recommendations.ranking.compiling import compiled


class Weights(NamedTuple):
    """Of `blend.Blend`, read-only and C-contiguous."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    skip: np.ndarray


@compiled
def scores(weights: Weights, x: np.ndarray) -> np.ndarray:
    """(m,) float32 of features x (F, m)."""
    out = np.dot(weights.skip, x)
    hidden = np.dot(weights.w1, x)
    _hold(hidden, weights.b1)
    hidden = np.dot(weights.w2, hidden)
    _hold(hidden, weights.b2)
    return out + np.dot(weights.w3, hidden)


@compiled
def _hold(hidden: np.ndarray, bias: np.ndarray) -> None:
    """Rows of `hidden` plus the bias of each, nothing below 0, in place."""
    for i in range(len(bias)):
        for j in range(hidden.shape[1]):
            hidden[i, j] = max(hidden[i, j] + bias[i], np.float32(0.0))


@compiled
def gradients(weights: Weights, x: np.ndarray) -> np.ndarray:
    """(F, m) float32, derivative of each score by each feature of x (F, m)."""
    first = np.dot(weights.w1, x)
    _hold(first, weights.b1)
    second = np.dot(weights.w2, first)
    _hold(second, weights.b2)
    for i in range(len(second)):
        for j in range(x.shape[1]):
            second[i, j] = weights.w3[i] if second[i, j] > 0.0 else np.float32(0.0)
    back = np.dot(weights.w2.T, second)
    for i in range(len(back)):
        for j in range(x.shape[1]):
            back[i, j] = back[i, j] if first[i, j] > 0.0 else np.float32(0.0)
    out = np.dot(weights.w1.T, back)
    for f in range(len(out)):
        for j in range(x.shape[1]):
            out[f, j] += weights.skip[f]
    return out
