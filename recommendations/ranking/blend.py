"""The listwise blend: a small network with a linear skip that scores candidates by what the experts say of them.

score = skip . x + w3 . relu(W2 relu(W1 x + b1) + b2)        loss: -log softmax(score)[target] within each list
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recommendations.ranking import scoring
from recommendations.ranking.compiling import readonly
from recommendations.ranking.scoring import Weights

HIDDEN = 32
EPOCHS = 5
BATCH = 32
LEARNING_RATE = 3e-3
DECAY = 1e-4


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


def score(blend: Blend, features: np.ndarray) -> np.ndarray:
    """(m,) float32 scores of features (F, m)."""
    return scoring.scores(blend.weights, np.ascontiguousarray(features, dtype=np.float32))


def score_gradient(blend: Blend, features: np.ndarray) -> np.ndarray:
    """(F, m) derivative of each candidate's score by each of its features (F, m)."""
    return scoring.gradients(blend.weights, np.ascontiguousarray(features, dtype=np.float32))


def linear_blend(weights: np.ndarray) -> Blend:
    """A blend that is its skip alone: what serves until there are examples to learn from. weights : (F,)."""
    zeros = np.zeros((HIDDEN, HIDDEN), dtype=np.float32)
    flat = np.zeros(HIDDEN, dtype=np.float32)
    return Blend(np.zeros((HIDDEN, len(weights)), dtype=np.float32), flat, zeros, flat, flat, weights.astype(np.float32))


def train_blend(
    features: np.ndarray,
    valid: np.ndarray,
    *,
    seed: int,
    epochs: int = EPOCHS,
    progress: Callable[[float], None] | None = None,
) -> Blend:
    """Fit by Adam. The first candidate of every list is the target.

    features : (N, M, F) float16 or float32.  valid : (N, M) bool, False where a list is shorter than M.
    """
    rng = np.random.default_rng(seed)
    count, _, f = features.shape
    centre, scale = _moments(features, valid, rng)
    p = {
        "w1": (rng.standard_normal((f, HIDDEN)) * np.sqrt(2.0 / f)).astype(np.float32),
        "b1": np.zeros(HIDDEN, dtype=np.float32),
        "w2": (rng.standard_normal((HIDDEN, HIDDEN)) * np.sqrt(2.0 / HIDDEN)).astype(np.float32),
        "b2": np.zeros(HIDDEN, dtype=np.float32),
        "w3": (rng.standard_normal(HIDDEN) * 0.1).astype(np.float32),
        "skip": np.zeros(f, dtype=np.float32),
    }
    moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in p.items()}
    steps = max(1, epochs * -(-count // BATCH))
    t = 0
    for _ in range(epochs):
        order = rng.permutation(count)
        for at in range(0, count, BATCH):
            pick = order[at : at + BATCH]
            x = (features[pick].astype(np.float32) - centre) / scale
            rate = LEARNING_RATE * (1.0 - t / steps)
            t += 1
            for name, gradient in _gradients(p, x, valid[pick]).items():
                m, v = moments[name]
                m += 0.1 * (gradient - m)
                v += 0.001 * (gradient * gradient - v)
                p[name] -= rate * ((m / (1.0 - 0.9**t)) / (np.sqrt(v / (1.0 - 0.999**t)) + 1e-8) + DECAY * p[name])
            if progress and t % 20 == 0:
                progress(t / steps)
    w1 = (p["w1"] / scale[:, None]).T
    return Blend(
        w1=np.ascontiguousarray(w1, dtype=np.float32),
        b1=(p["b1"] - w1 @ centre).astype(np.float32),
        w2=np.ascontiguousarray(p["w2"].T),
        b2=p["b2"],
        w3=p["w3"],
        skip=(p["skip"] / scale).astype(np.float32),
    )


def _moments(features: np.ndarray, valid: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each feature over a sample; a feature that never varies is left as it is."""
    pick = np.sort(rng.permutation(len(features))[:1_000])
    rows = features[pick][valid[pick]].astype(np.float64)
    deviation = rows.std(axis=0)
    return rows.mean(axis=0).astype(np.float32), np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)


def _gradients(p: dict[str, np.ndarray], x: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    """Gradient of the mean listwise loss over lists x (B, M, F)."""
    b, m, f = x.shape
    flat = x.reshape(-1, f)
    first = np.maximum(flat @ p["w1"] + p["b1"], 0.0)
    second = np.maximum(first @ p["w2"] + p["b2"], 0.0)
    scores = (flat @ p["skip"] + second @ p["w3"]).reshape(b, m)
    scores[~valid] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    scores[:, 0] -= 1.0
    g = (scores / b).ravel()
    d_second = np.where(second > 0, g[:, None] * p["w3"], 0.0)
    d_first = np.where(first > 0, d_second @ p["w2"].T, 0.0)
    return {
        "w1": flat.T @ d_first,
        "b1": d_first.sum(axis=0),
        "w2": first.T @ d_second,
        "b2": d_second.sum(axis=0),
        "w3": second.T @ g,
        "skip": flat.T @ g,
    }
