"""The listwise blend: its gradients against finite differences, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.ranking import blend as blending
from recommendations.ranking.blend import Blend, linear_blend, score, score_gradient, train_blend
from tests.ranking_oracle import scores


def loss(p: dict[str, np.ndarray], x: np.ndarray, valid: np.ndarray) -> float:
    """The mean listwise loss, written out list by list."""
    total = 0.0
    for rows, keep in zip(x, valid, strict=True):
        first = np.maximum(rows @ p["w1"] + p["b1"], 0.0)
        second = np.maximum(first @ p["w2"] + p["b2"], 0.0)
        scores = (rows @ p["skip"] + second @ p["w3"])[keep]
        total += np.log(np.exp(scores - scores[0]).sum())
    return total / len(x)


def test_gradients_match_finite_differences() -> None:
    rng = np.random.default_rng(0)
    shapes = {"w1": (5, 4), "b1": (4,), "w2": (4, 4), "b2": (4,), "w3": (4,), "skip": (5,)}
    p = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    x = rng.standard_normal((3, 6, 5))
    valid = np.ones((3, 6), dtype=bool)
    valid[1, 4:] = False
    gradients = blending._gradients(p, x, valid)
    for name, value in p.items():
        flat = value.ravel()
        for i in range(0, flat.size, 3):
            step = np.zeros(flat.size)
            step[i] = 1e-6
            high = loss({**p, name: (flat + step).reshape(value.shape)}, x, valid)
            low = loss({**p, name: (flat - step).reshape(value.shape)}, x, valid)
            assert gradients[name].ravel()[i] == pytest.approx((high - low) / 2e-6, abs=1e-6)


def planted(seed: int, lists: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Targets that stand out by a product of two features: no linear score finds them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((lists, 10, 4)).astype(np.float32) * np.float32([1, 1, 100, 0]) + np.float32([0, 0, 500, 3])
    best = (x[:, :, 0] * x[:, :, 1]).argmax(axis=1)
    rows = np.arange(lists)
    x[rows, 0], x[rows, best] = x[rows, best].copy(), x[rows, 0].copy()
    return x, np.ones((lists, 10), dtype=bool)


def test_an_interaction_of_features_is_learnt() -> None:
    blend = train_blend(*planted(0, 1_500), seed=1, epochs=12)
    x, _ = planted(5)
    right = np.mean([score(blend, rows.T).argmax() == 0 for rows in x])
    assert right > 0.7  # chance 0.1; the best linear score stays below 0.25


def test_training_is_seeded() -> None:
    a, b = (train_blend(*planted(0, 100), seed=7, epochs=1) for _ in range(2))
    np.testing.assert_array_equal(a.w1, b.w1)


def test_score_gradient_matches_finite_differences() -> None:
    rng = np.random.default_rng(3)
    h = blending.HIDDEN
    shapes = ((h, 6), (h,), (h, h), (h,), (h,), (6,))
    blend = Blend(*(rng.standard_normal(shape) for shape in shapes))
    x = rng.standard_normal((6, 4))
    for f in range(6):
        step = np.zeros((6, 1))
        step[f] = 1e-6
        slope = (scores(blend, x + step) - scores(blend, x - step)) / 2e-6
        np.testing.assert_allclose(score_gradient(blend, x)[f], slope, rtol=1e-3, atol=1e-3)


def test_a_linear_blend_is_its_weights() -> None:
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    weights = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(score(linear_blend(weights), x), weights @ x, rtol=1e-5)
