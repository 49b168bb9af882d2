"""Popularity facts."""

from __future__ import annotations

import numpy as np

from personas.sessions import SessionLog
from recommendations.ranking.popularity import FACTS, build_popularity


def facts(log: SessionLog, n: int) -> dict[str, np.ndarray]:
    popularity = build_popularity(log, n, weight=np.ones(len(log)))
    return dict(zip(FACTS, popularity.facts.T, strict=True))


def test_shares_are_smoothed_counts_and_sum_to_one() -> None:
    log = SessionLog.of(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]), np.arange(4.0))
    share = np.exp(facts(log, 3)["log_share"])
    np.testing.assert_allclose(share, np.array([3.5, 1.5, 0.5]) / 5.5, rtol=1e-5)
    assert np.isclose(np.exp(facts(log, 3)["log_recent"]).sum(), 1.0, atol=1e-5)


def test_what_is_visited_lately_trends_and_leads() -> None:
    position = np.concatenate((np.zeros(380, dtype=int), np.ones(20, dtype=int)))  # item 1: all of the last twentieth
    log = SessionLog.of(np.arange(400), position, np.arange(400.0))
    popularity = build_popularity(log, 3, weight=np.ones(400))
    trend = popularity.facts[:, FACTS.index("trend")]
    assert trend[1] > 1.0 > 0.0 > trend[0]
    assert popularity.top.tolist() == [1, 0, 2]


def test_returns_and_entries_are_told_apart() -> None:
    sessions = [[0, 1, 0]] * 30 + [[0, 2, 3]] * 30  # item 0 opens every session and is returned to in half of them
    session = np.repeat(np.arange(60), 3)
    log = SessionLog.of(session, np.array(sessions).ravel(), np.arange(180.0))
    found = facts(log, 4)
    assert found["returned"].argmax() == 0
    assert found["entry"].argmax() == 0
