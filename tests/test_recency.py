"""The tail held back for tuning, and the horizon chosen on it."""

from __future__ import annotations

import numpy as np
import pytest

from personas.sessions import SessionLog
from recommendations.ranking.recency import best_horizon, default_tail, session_weights


def days(*counts: int, clock: str = "day") -> SessionLog:
    day = np.repeat(np.arange(len(counts)), counts)
    return SessionLog.of(np.arange(len(day)), np.zeros(len(day), dtype=int), 86_400.0 * day, clock=clock)


def test_the_tail_is_whole_last_days_or_else_the_last_sessions() -> None:
    assert default_tail(days(*[10] * 20)).sum() == 20  # two days of twenty: one would be 5 %
    assert default_tail(days(*[2] * 100)).sum() == 16  # eight days
    assert default_tail(days(50, 50)).sum() == 8  # a day would be half of all
    assert default_tail(days(*[10] * 20, clock="order")).sum() == 16
    assert not default_tail(days(1)).any()


def test_a_short_memory_is_chosen_where_habits_changed() -> None:
    rng = np.random.default_rng(0)

    def walk(steps: np.ndarray) -> SessionLog:
        position = (rng.integers(50, size=len(steps))[:, None] + np.arange(4) * steps[:, None]) % 50
        session = np.repeat(np.arange(len(steps)), 4)
        return SessionLog.of(
            session, position.ravel(), 3_600.0 * np.repeat(np.arange(len(steps)), 4) + np.tile(np.arange(4.0), len(steps))
        )

    steady, tail = walk(np.full(900, 1)), walk(np.full(100, 2))
    changed = walk(np.concatenate((np.full(820, 1), np.full(80, 2))))
    assert best_horizon(steady, walk(np.full(100, 1)), 50) == np.inf
    assert best_horizon(changed, tail, 50) <= 0.1


def test_weights_fall_by_e_over_a_horizon() -> None:
    log = SessionLog.of(np.arange(3), np.zeros(3, dtype=int), np.array([0.0, 50.0, 100.0]))
    assert session_weights(log, 0.5) == pytest.approx(np.exp([-2.0, -1.0, 0.0]))
    assert session_weights(log, np.inf) == pytest.approx(np.ones(3))
