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
def silenced(
    weights: Weights, features: np.ndarray, columns: np.ndarray, rows: np.ndarray, starts: np.ndarray, average: np.ndarray
) -> np.ndarray:
    """(V, k) float32 scores of the k candidates at `columns`, in each of V cases with some features of one value for all.

    features : (F, m) of all candidates.  rows[starts[v]:starts[v + 1]] : those of case v.  average : (V,) bool, whether they have
    the mean of all candidates, or else 0.
    """
    out = np.empty((len(starts) - 1, len(columns)), dtype=np.float32)
    own = np.empty((features.shape[0], len(columns)), dtype=np.float32)
    for f in range(features.shape[0]):
        for j in range(len(columns)):
            own[f, j] = features[f, columns[j]]
    for v in range(len(out)):
        x = own.copy()
        for f in rows[starts[v] : starts[v + 1]]:
            value = np.float32(0.0)
            if average[v]:
                total = 0.0
                for j in range(features.shape[1]):
                    total += features[f, j]
                value = np.float32(total / features.shape[1])
            x[f] = value
        out[v] = scores(weights, x)
    return out


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
