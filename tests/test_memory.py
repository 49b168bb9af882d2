"""What earlier visits leave of a shopper: the blend, how it fades, and what a model makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from personas.memory import HALF_LIFE_DAYS, SESSIONS, Remembered, blend, earlier, strength, weight

NOW, DAY = 1_700_000_000.0, 86_400.0
INITIAL = np.array([0.2, 0.3, 0.5])


def test_of_equal_sessions_the_blend_is_the_mean() -> None:
    told = blend([Remembered(NOW, 5, {1: 1.0}), Remembered(NOW, 5, {1: 0.5, 2: 0.5})], now=NOW)
    assert told == pytest.approx({1: 0.75, 2: 0.25})


def test_longer_and_later_sessions_count_more() -> None:
    short, long = Remembered(NOW, 1, {1: 1.0}), Remembered(NOW, 20, {2: 1.0})
    told = blend([short, long], now=NOW)
    assert told[2] / told[1] == pytest.approx((20 / 25) / (1 / 6))
    old = Remembered(NOW - HALF_LIFE_DAYS * DAY, 5, {1: 1.0})
    new = Remembered(NOW, 5, {2: 1.0})
    assert blend([old, new], now=NOW) == pytest.approx({1: 1 / 3, 2: 2 / 3}), "half after a half-life"
    assert weight(old, now=NOW) == pytest.approx(weight(new, now=NOW) / 2)


def test_only_the_latest_sessions_are_remembered() -> None:
    past = [Remembered(NOW - 1_000.0 - n, 5, {1: 1.0}) for n in range(50)]
    recent = [Remembered(NOW - n, 5, {2: 1.0}) for n in range(SESSIONS)]
    assert blend(past + recent, now=NOW) == pytest.approx({2: 1.0})


def test_nothing_to_remember_is_an_empty_blend() -> None:
    assert blend([], now=NOW) == {}
    assert blend([Remembered(NOW, 0, {1: 1.0}), Remembered(NOW, 3, {})], now=NOW) == {}


def test_a_session_of_a_clock_ahead_counts_as_of_today() -> None:
    assert weight(Remembered(NOW + DAY, 5, {1: 1.0}), now=NOW) == weight(Remembered(NOW, 5, {1: 1.0}), now=NOW)


def test_strength_grows_with_what_is_known_and_never_reaches_certainty() -> None:
    assert strength(0.0) == 0.0
    assert strength(1.0) == pytest.approx(0.5)
    assert strength(0.3) < strength(2.0) < strength(20.0) < 1.0


def test_a_model_takes_its_own_archetypes_and_leaves_the_rest_to_nobody_in_particular() -> None:
    assert earlier({7: 0.5, 8: 0.5}, (7, 8, 9), INITIAL) == pytest.approx((0.5, 0.5, 0.0))
    partly = earlier({7: 0.5, 66: 0.5}, (7, 8, 9), INITIAL)
    assert partly == pytest.approx((0.6, 0.15, 0.25)), "66 is gone: its half goes to the model's own shares"
    assert earlier({7: 0.4}, (7, 8, 9), INITIAL) == pytest.approx((0.4 + 0.6 * 0.2, 0.6 * 0.3, 0.6 * 0.5))
    assert earlier({66: 1.0}, (7, 8, 9), INITIAL) is None
    assert earlier({}, (7, 8, 9), INITIAL) is None
