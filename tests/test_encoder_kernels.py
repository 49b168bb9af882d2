"""The compiled loops of the encoder's training, held to the formulas that they compute: in numpy, or by differences."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.ranking import encoder_kernels as kernels

N, D, B, LAGS, CODES = 7, 4, 5, 3, 2


class World:
    """Random parameters and a batch whose contexts are short, repeat an item, and leave events out."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.inputs = rng.standard_normal((N, D)).astype(np.float32)
        self.lags = rng.standard_normal((LAGS, D)).astype(np.float32) * np.float32(0.3)
        self.codes = rng.standard_normal(CODES).astype(np.float32) * np.float32(0.3)
        self.contexts = np.array([[0, 1, 2], [3, -1, -1], [4, 4, -1], [5, 6, 0], [1, 2, 3]], dtype=np.int32)
        self.of = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, -1, 1], [-1, 0, 1]], dtype=np.int8)
        self.pull = rng.standard_normal((B, 2 * D)).astype(np.float32)

    def sums(self) -> np.ndarray:
        out = np.empty((B, 2 * D), dtype=np.float32)
        kernels.sum_contexts(self.inputs, self.contexts, self.of, np.exp(self.lags), np.exp(self.codes), out)
        return out

    def slope(self, parameter: np.ndarray) -> np.ndarray:
        """By central differences, of the sums times `pull`."""
        slopes = np.empty(parameter.shape)
        for at in np.ndindex(parameter.shape):
            kept, values = parameter[at], []
            for step in (1e-2, -1e-2):
                parameter[at] = kept + np.float32(step)
                values.append(float((self.sums().astype(np.float64) * self.pull).sum()))
            parameter[at] = kept
            slopes[at] = (values[0] - values[1]) / 2e-2
        return slopes


def test_a_context_is_the_weighted_sum_of_its_items_and_then_its_latest() -> None:
    world = World()
    expected = np.zeros((B, 2 * D))
    for b in range(B):
        expected[b, D:] = world.inputs[world.contexts[b, 0]]
        for lag in range(LAGS):
            if world.contexts[b, lag] >= 0 and world.of[b, lag] >= 0:
                weight = np.exp(world.lags[lag] + world.codes[world.of[b, lag]])
                expected[b, :D] += weight * world.inputs[world.contexts[b, lag]]
    np.testing.assert_allclose(world.sums(), expected, rtol=1e-5)


def test_gradients_by_items_lags_and_codes_are_the_slopes_of_the_sums() -> None:
    world = World()
    gradient, d_lag, d_code = np.zeros((N, D), np.float32), np.zeros((LAGS, D), np.float32), np.zeros(CODES, np.float32)
    marked, touched = np.zeros(N, dtype=np.uint8), np.empty(B * LAGS, dtype=np.int32)
    weights = np.exp(world.lags), np.exp(world.codes)
    count = kernels.add_contexts(
        world.inputs, world.contexts, world.of, *weights, world.pull, gradient, d_lag, d_code, marked, touched, 0
    )
    np.testing.assert_allclose(gradient, world.slope(world.inputs), atol=2e-3)
    np.testing.assert_allclose(d_lag, world.slope(world.lags), atol=2e-3)
    np.testing.assert_allclose(d_code, world.slope(world.codes), atol=2e-3)
    # Item 6 was left out of the only context that it is in.
    assert sorted(touched[:count].tolist()) == [0, 1, 2, 3, 4, 5]


def test_gradient_through_a_norm_is_the_slope_of_the_unit_vector() -> None:
    rng = np.random.default_rng(1)
    x, pull = rng.standard_normal((1, D)), rng.standard_normal((1, D)).astype(np.float32)
    unit, length = x.astype(np.float32), np.empty(1, dtype=np.float32)
    kernels.normalise(unit, length)
    np.testing.assert_allclose(unit, x / np.linalg.norm(x), rtol=1e-5)
    gradient = pull.copy()
    kernels.through_norm(gradient, unit, length)
    for j in range(D):
        step = np.zeros((1, D))
        step[0, j] = 1e-5
        up, down = ((x + s) / np.linalg.norm(x + s) for s in (step, -step))
        np.testing.assert_allclose(gradient[0, j], float(((up - down) * pull).sum()) / 2e-5, atol=1e-4)


def test_softmax_counts_the_target_once_and_corrects_what_is_drawn() -> None:
    rng = np.random.default_rng(2)
    scores, correction = rng.standard_normal((3, 20)), rng.standard_normal(20)  # more than are worked through at a time
    own_scores = rng.standard_normal(3)
    pool, targets = np.array([8, 9, 7, *range(10, 26), 9], dtype=np.int32), np.array([9, 1, 7], dtype=np.int32)
    share = np.array([0.5, 0.3, 0.2], dtype=np.float32)
    logits, own = scores.astype(np.float32), own_scores.astype(np.float32)
    marked = np.zeros(26, dtype=np.uint8)
    kernels.shift_logits(logits, own, correction.astype(np.float32), pool, targets, marked)
    assert not marked.any()
    np.exp(logits, out=logits)
    np.exp(own, out=own)
    by_pool = np.empty(20, dtype=np.float32)
    kernels.softmax_gradient(logits, own, share, by_pool)
    mass = np.exp(scores + correction) * (pool != targets[:, None])
    total = mass.sum(axis=1) + np.exp(own_scores)
    np.testing.assert_allclose(logits, share[:, None] * mass / total[:, None], atol=1e-6)
    np.testing.assert_allclose(own, share * (np.exp(own_scores) / total - 1.0), atol=1e-6)
    np.testing.assert_allclose(by_pool, logits.sum(axis=0), atol=1e-6)


def test_what_is_left_out_is_made_good_by_the_rest() -> None:
    dice = np.arange(256, dtype=np.uint8).reshape(2, 128)
    x = np.ones((2, 128), dtype=np.float32)
    kernels.drop_out(x, dice, 26)
    assert (x.ravel()[:26] == 0.0).all()
    assert x.mean() == pytest.approx(1.0, rel=1e-6)


def test_adam_moves_the_rows_it_is_given_and_clears_their_gradients() -> None:
    rng = np.random.default_rng(3)
    value, first, second = (np.abs(rng.standard_normal((4, 2))).astype(np.float32) for _ in range(3))
    gradient = rng.standard_normal((4, 2)).astype(np.float32)
    before, g, m, v = (x.astype(np.float64).copy() for x in (value, gradient, first, second))
    kernels.adam_rows(value, first, second, gradient, np.array([2, 0], dtype=np.int32), 0.01, 3)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    expected = before - 0.01 * (m / (1 - 0.9**3)) / (np.sqrt(v / (1 - 0.999**3)) + 1e-8)
    np.testing.assert_allclose(value[[0, 2]], expected[[0, 2]], rtol=1e-5)
    np.testing.assert_array_equal(value[[1, 3]], before[[1, 3]].astype(np.float32))
    assert not gradient[[0, 2]].any()
    assert gradient[[1, 3]].all()
