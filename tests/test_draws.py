"""Facts of a step's random numbers; the oracle is numpy's own generator with the same key."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.engine import session_seed
from recommendations.ranking.draws import Draws


class _Key(np.random.bit_generator.ISeedSequence):  # type: ignore[misc]
    def __init__(self, low: int, high: int) -> None:
        self.words = np.array((low, high), dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: object = np.uint32) -> np.ndarray:
        return self.words


@pytest.mark.parametrize("key", [(0, 0), (1, 2), (7, session_seed(1, "s")), (10_000, 2**63 - 1)])
def test_the_numbers_are_those_of_numpy_in_any_order_of_asking(key: tuple[int, int]) -> None:
    ours, theirs = Draws(*key), np.random.Generator(np.random.Philox(_Key(*key)))  # type: ignore[arg-type]
    ask = np.random.default_rng(0)
    for _ in range(200):
        if ask.random() < 0.4:
            size = int(ask.integers(0, 30))
            np.testing.assert_array_equal(ours.random(size), theirs.random(size))
        else:
            high = int(ask.choice([1, 2, 3, 35, 36, 100, 2**31 + 1, 2**32 - 1]))
            assert ours.integers(high) == theirs.integers(high)
