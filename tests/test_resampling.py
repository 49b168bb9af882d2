"""Intervals by resampling sessions: against theory where there is one, and against draws made one by one."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.evaluation import resampling
from recommendations.evaluation.resampling import resample


def one(session: np.ndarray, hits: np.ndarray, **options: int) -> resampling.Resampled:
    segments = np.zeros((len(session), 1), dtype=np.int64)
    return resample(session, hits[:, None].astype(float), segments, **({"count": 1, "seed": 3} | options))


def test_independent_predictions_have_the_binomial_s_interval() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random(2_000) < 0.3
    told = one(np.arange(2_000), hits).interval(0, 0)
    width = 1.96 * 100 * np.sqrt(hits.mean() * (1 - hits.mean()) / 2_000)
    assert told.value == pytest.approx(100 * hits.mean())
    assert (told.low, told.high) == pytest.approx((told.value - width, told.value + width), abs=0.25)


def test_predictions_that_go_by_sessions_have_the_interval_of_as_many_sessions() -> None:
    """Ten copies of each prediction in its session say nothing new; as sessions of their own they would seem to."""
    rng = np.random.default_rng(1)
    hits = rng.random(300) < 0.5
    single = one(np.arange(300), hits).interval(0, 0)
    copied = one(np.repeat(np.arange(300), 10), np.repeat(hits, 10)).interval(0, 0)
    assert copied == pytest.approx(single)
    naive = one(np.arange(3_000), np.repeat(hits, 10)).interval(0, 0)
    assert naive.high - naive.low < 0.4 * (copied.high - copied.low)


def test_draws_in_blocks_are_the_draws_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    session = np.sort(rng.integers(0, 40, 200))
    session = np.unique(session, return_inverse=True)[1]
    gains = rng.random((200, 3))
    segments = np.column_stack((np.zeros(200, dtype=np.int64), rng.integers(1, 4, 200)))
    monkeypatch.setattr(resampling, "CELLS", 100)  # two draws at once
    told = resample(session, gains, segments, count=4, seed=5, draws=50)
    size = int(session.max()) + 1
    numbers = np.random.default_rng(5)
    blocks = [numbers.integers(0, size, size=(min(100 // size, 50 - i), size)) for i in range(0, 50, 100 // size)]
    for draw, picked in enumerate(np.concatenate(blocks)):
        rows = np.concatenate([np.flatnonzero(session == s) for s in picked])
        for segment in range(4):
            inside = rows[(segments[rows] == segment).any(axis=1)]
            assert told.draws[draw, segment] == pytest.approx(100 * gains[inside].mean(axis=0))


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    """Two models that are right on the same hard and easy sessions, one a little more often."""
    rng = np.random.default_rng(4)
    session = np.repeat(np.arange(200), 5)
    ease = rng.random(200)[session]
    luck = rng.random(1_000)
    better, worse = one(session, luck < ease), one(session, luck < ease - 0.04)
    gap = better.above(worse, 0, 0)
    assert gap.low > 0.0
    assert gap.value == pytest.approx(better.value[0, 0] - worse.value[0, 0])
    assert better.interval(0, 0).low < worse.interval(0, 0).high, "apart, they could not be told from each other"
    same = better.above(better, 0, 0)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="not of the same predictions"):
        better.above(one(session, luck < ease, draws=10), 0, 0)


def test_the_seed_settles_the_draws_and_an_empty_segment_has_no_figure() -> None:
    session, hits = np.arange(30), np.arange(30) % 3 == 0
    assert np.array_equal(one(session, hits).draws, one(session, hits).draws)
    assert not np.array_equal(one(session, hits).draws, one(session, hits, seed=4).draws)
    told = one(session, hits, count=2)
    assert np.isnan(told.interval(1, 0)).all()
    assert told.predictions.tolist() == [30, 0]


def test_nothing_asked_gives_no_figure() -> None:
    told = one(np.zeros(0, dtype=np.int64), np.zeros(0))
    assert np.isnan(told.interval(0, 0)).all()
