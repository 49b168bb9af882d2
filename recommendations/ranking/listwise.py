"""How a blend is learned: lists of candidates of which one was chosen.

loss: -log softmax(score + log_weight)[target] within each list, meaned over the lists
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from recommendations.ranking.blend import HIDDEN, Blend

MEMBERS = 2
"""Networks whose mean serves: what one learns by chance, another doesn't."""

EPOCHS = 5
BATCH = 32
LEARNING_RATE = 3e-3
DECAY = 1e-4
MOMENTS = 1_000
"""Lists that the features' mean and deviation are taken from."""


@dataclass(frozen=True)
class Lists:
    """N lists of at most M candidates, the target first.

    features : (N, M, F) float16 or float32.
    log_weight : (N, M) float32, log of how many candidates each stands for: 0 for itself alone, more for one drawn to stand for
        others too, -inf past the end of a list. A drawn one that counted only once would make all of its kind look
        likelier than they are.
    """

    features: np.ndarray
    log_weight: np.ndarray

    def __len__(self) -> int:
        return len(self.features)


def joined(parts: Sequence[Lists]) -> Lists:
    """All of them, in their order; at least one, of the same M and F."""
    if len(parts) == 1:
        return parts[0]
    return Lists(np.concatenate([part.features for part in parts]), np.concatenate([part.log_weight for part in parts]))


def train_blend(
    lists: Lists,
    *,
    seed: int,
    epochs: int = EPOCHS,
    progress: Callable[[float], None] | None = None,
) -> Blend:
    """The mean of `MEMBERS` networks, each from its own start and in its own order."""
    starts = np.random.default_rng(seed).spawn(MEMBERS)

    def told(member: int) -> Callable[[float], None] | None:
        return None if progress is None else lambda done: progress((member + done) / MEMBERS)

    return mean([_trained(lists, rng, epochs, told(member)) for member, rng in enumerate(starts)])


def mean(blends: Sequence[Blend]) -> Blend:
    """One blend whose score is the mean of those of at least one."""
    return Blend(
        w1=np.concatenate([b.w1 for b in blends]),
        b1=np.concatenate([b.b1 for b in blends]),
        w2=linalg.block_diag(*(b.w2 for b in blends)).astype(np.float32),
        b2=np.concatenate([b.b2 for b in blends]),
        w3=np.concatenate([b.w3 for b in blends]) / np.float32(len(blends)),
        skip=np.stack([b.skip for b in blends]).mean(axis=0, dtype=np.float32),
    )


def _trained(lists: Lists, rng: np.random.Generator, epochs: int, progress: Callable[[float], None] | None) -> Blend:
    """Fit by Adam (Kingma & Ba, 2015), the rate falling to nothing."""
    count, _, f = lists.features.shape
    centre, scale = _moments(lists, rng)
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
            x = (lists.features[pick].astype(np.float32) - centre) / scale
            rate = LEARNING_RATE * (1.0 - t / steps)
            t += 1
            for name, gradient in gradients(p, x, lists.log_weight[pick]).items():
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


def _moments(lists: Lists, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each feature over a sample; a feature that never varies is left as it is."""
    pick = np.sort(rng.permutation(len(lists))[:MOMENTS])
    rows = lists.features[pick][np.isfinite(lists.log_weight[pick])].astype(np.float64)
    deviation = rows.std(axis=0)
    return rows.mean(axis=0).astype(np.float32), np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)


def gradients(p: dict[str, np.ndarray], x: np.ndarray, log_weight: np.ndarray) -> dict[str, np.ndarray]:
    """Gradient of the loss by the weights p, over standardised lists x (B, M, F)."""
    b, m, f = x.shape
    flat = x.reshape(-1, f)
    first = np.maximum(flat @ p["w1"] + p["b1"], 0.0)
    second = np.maximum(first @ p["w2"] + p["b2"], 0.0)
    scores = (flat @ p["skip"] + second @ p["w3"]).reshape(b, m) + log_weight
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
