"""Learning a blend from lists: gradients against finite differences, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.ranking.blend import score
from recommendations.ranking.listwise import Lists, gradients, mean, train_blend


def loss(p: dict[str, np.ndarray], x: np.ndarray, log_weight: np.ndarray) -> float:
    """The mean listwise loss, written out list by list."""
    total = 0.0
    for rows, weight in zip(x, np.exp(log_weight), strict=True):
        first = np.maximum(rows @ p["w1"] + p["b1"], 0.0)
        second = np.maximum(first @ p["w2"] + p["b2"], 0.0)
        scores = rows @ p["skip"] + second @ p["w3"]
        total += np.log((weight * np.exp(scores - scores[0])).sum() / weight[0])
    return total / len(x)


def test_gradients_match_finite_differences() -> None:
    rng = np.random.default_rng(0)
    shapes = {"w1": (5, 4), "b1": (4,), "w2": (4, 4), "b2": (4,), "w3": (4,), "skip": (5,)}
    p = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    x = rng.standard_normal((3, 6, 5))
    log_weight = np.zeros((3, 6))
    log_weight[1, 4:] = -np.inf
    log_weight[2, 3:] = np.log(2.5)
    found = gradients(p, x, log_weight)
    for name, value in p.items():
        flat = value.ravel()
        for i in range(0, flat.size, 3):
            step = np.zeros(flat.size)
            step[i] = 1e-6
            high = loss({**p, name: (flat + step).reshape(value.shape)}, x, log_weight)
            low = loss({**p, name: (flat - step).reshape(value.shape)}, x, log_weight)
            assert found[name].ravel()[i] == pytest.approx((high - low) / 2e-6, abs=1e-6)


def planted(seed: int, lists: int = 400) -> np.ndarray:
    """Targets that stand out by a product of two features: no linear score finds them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((lists, 10, 4)).astype(np.float32) * np.float32([1, 1, 100, 0]) + np.float32([0, 0, 500, 3])
    best = (x[:, :, 0] * x[:, :, 1]).argmax(axis=1)
    rows = np.arange(lists)
    x[rows, 0], x[rows, best] = x[rows, best].copy(), x[rows, 0].copy()
    return x


def alone(x: np.ndarray) -> Lists:
    """Lists whose candidates stand for themselves."""
    return Lists(x, np.zeros(x.shape[:2], dtype=np.float32))


def test_an_interaction_of_features_is_learnt() -> None:
    blend = train_blend(alone(planted(0, 1_500)), seed=1, epochs=12)
    right = np.mean([score(blend, rows.T).argmax() == 0 for rows in planted(5)])
    assert right > 0.7  # chance 0.1; the best linear score stays below 0.25


def test_training_is_seeded() -> None:
    a, b = (train_blend(alone(planted(0, 100)), seed=7, epochs=1) for _ in range(2))
    np.testing.assert_array_equal(a.w1, b.w1)


def test_the_mean_of_blends_scores_as_their_mean() -> None:
    members = [train_blend(alone(planted(seed, 100)), seed=seed, epochs=1) for seed in range(3)]
    rows = planted(9, 1)[0].T
    np.testing.assert_allclose(
        score(mean(members), rows), np.mean([score(b, rows) for b in members], axis=0), rtol=1e-4, atol=1e-4
    )


def test_candidates_that_were_drawn_count_for_those_that_were_not() -> None:
    """Of 100 candidates, 20 are of a kind that is chosen eight times as often as the other, so the kind's log-odds are log 8.
    Lists that keep only a tenth of the other kind must still find that."""
    rng = np.random.default_rng(3)
    kind = np.repeat(np.float32([1, 0]), (20, 80))
    target = rng.choice(100, p=np.where(kind == 1, 8.0, 1.0) / 240.0, size=2_000)
    x = np.zeros((2_000, 29, 1), dtype=np.float32)
    log_weight = np.zeros((2_000, 29), dtype=np.float32)
    for i, chosen in enumerate(target.tolist()):
        others = np.delete(np.arange(100), chosen)
        frequent, rare = others[kind[others] == 1], others[kind[others] == 0]
        kept = np.concatenate(([chosen], frequent, rng.permutation(rare)[:8]))
        x[i, : len(kept), 0] = kind[kept]
        log_weight[i, 1 + len(frequent) :] = np.log(len(rare) / 8)
        log_weight[i, len(kept) :] = -np.inf
    lists = Lists(x, log_weight)
    low, high = score(train_blend(lists, seed=0), np.float32([[0, 1]]))
    assert high - low == pytest.approx(np.log(8), abs=0.2)
    plain = Lists(x, np.where(np.isfinite(log_weight), 0.0, -np.inf).astype(np.float32))
    low, high = score(train_blend(plain, seed=0), np.float32([[0, 1]]))
    assert high - low < np.log(8) - 1.0
