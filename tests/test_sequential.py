"""Differences of two arms: false alarms over a whole run that is looked at all the time, and what it takes to see a gain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clusters.sequential import LEAST, Arm, difference, radius

LOOKS = np.unique(np.geomspace(2 * LEAST, 12_000, 60).astype(int))


def shoppers(seed: int, n: int, gain: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arm, sum of rewards and sessions of n shoppers: rewards are mostly a small cost and now and then 1 or 10."""
    rng = np.random.default_rng(seed)
    arm = rng.random(n) < 0.5
    sessions = 1.0 + rng.poisson(0.5, n)
    bought = rng.poisson(0.03 * sessions)
    looked = rng.poisson(0.6 * sessions * np.exp(rng.normal(0, 0.5, n)))
    return arm, 10.0 * bought + looked - 0.2 * sessions + gain * arm * sessions, sessions


def arms_at(arm: np.ndarray, total: np.ndarray, count: np.ndarray, n: int) -> tuple[Arm, Arm]:
    first = ~arm[:n]
    return Arm(total[:n][first], count[:n][first]), Arm(total[:n][~first], count[:n][~first])


def test_no_difference_is_alarmed_of_at_most_one_run_in_twenty_over_all_looks() -> None:
    """200 runs without a difference, each looked at 60 times between 200 and 12,000 shoppers."""
    alarms = 0
    for seed in range(200):
        run = shoppers(seed, int(LOOKS[-1]), gain=0.0)
        found = (difference(*arms_at(*run, n)) for n in LOOKS.tolist())
        alarms += any(each.low > 0 or each.high < 0 for each in found)
    assert alarms <= 10


def test_a_fixed_interval_looked_at_as_often_would_alarm_far_more() -> None:
    """What the sequence guards against: 1.96 standard errors at each look."""
    alarms = 0
    for seed in range(60):
        run = shoppers(seed, int(LOOKS[-1]), gain=0.0)
        for n in LOOKS.tolist():
            first, second = arms_at(*run, n)
            error = math.sqrt(first.spread / len(first.count) + second.spread / len(second.count))
            if abs(second.mean - first.mean) > 1.96 * error:
                alarms += 1
                break
    assert alarms > 0.15 * 60


def test_a_gain_is_seen() -> None:
    seen = 0
    for seed in range(40):
        found = difference(*arms_at(*shoppers(seed, 12_000, gain=0.25), 12_000))
        seen += found.low > 0
        assert found.high > 0
    assert seen >= 36


def test_nothing_is_said_of_few() -> None:
    some = Arm(np.arange(LEAST - 1, dtype=float), np.ones(LEAST - 1))
    many = Arm(np.zeros(5_000), np.ones(5_000))
    found = difference(some, many)
    assert (found.low, found.high) == (-math.inf, math.inf)
    none = difference(Arm(np.zeros(0), np.zeros(0)), many)
    assert math.isnan(none.base)


def test_the_mean_is_of_sessions_and_the_unit_is_the_shopper() -> None:
    """Ten shoppers copied twice over in sessions: the same mean a session, and no narrower."""
    rng = np.random.default_rng(1)
    total = rng.normal(size=LEAST)
    once = Arm(total, np.ones(LEAST))
    thrice = Arm(3.0 * total, np.full(LEAST, 3.0))
    assert thrice.mean == pytest.approx(once.mean)
    assert thrice.spread == pytest.approx(once.spread)


def test_the_interval_is_narrowest_for_its_size_where_it_should_be() -> None:
    """Against the root of n, the width has its least near `TIGHTEST` units."""
    sizes = np.array([200, 500, 1_000, 2_000, 4_000, 10_000, 50_000])
    widths = np.array([radius(int(n)) * math.sqrt(n) for n in sizes])
    assert sizes[widths.argmin()] == 2_000
    assert 2.5 < widths.min() < 3.1  # 1.96 where one looks once


def test_bad_units_are_refused() -> None:
    with pytest.raises(ValueError, match="without a session"):
        Arm(np.zeros(1), np.zeros(1))
    with pytest.raises(ValueError, match="finite"):
        Arm(np.array([math.nan]), np.ones(1))
    with pytest.raises(ValueError, match="confidence"):
        difference(Arm(np.zeros(2), np.ones(2)), Arm(np.zeros(2), np.ones(2)), confidence=1.0)
