"""The blend as it is served: its gradient against finite differences."""

from __future__ import annotations

import numpy as np

from recommendations.ranking import blend as blending
from recommendations.ranking.blend import Blend, linear_blend, score, score_gradient
from tests.ranking_oracle import scores


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
