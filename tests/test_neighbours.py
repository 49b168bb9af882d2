"""Session neighbours against a plain reading of the rule, session by session."""

from __future__ import annotations

import numpy as np
import pytest

from personas.sessions import SessionLog
from recommendations.ranking import neighbours
from recommendations.ranking.history import History, Scratch
from recommendations.ranking.neighbours import DISTANCE_DECAY, LAG_DECAY, Neighbours, build_neighbours, find


def random_log(seed: int, n: int = 15, sessions: int = 60) -> SessionLog:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, size=sessions)
    session = np.repeat(np.arange(sessions), lengths)
    return SessionLog.of(session, rng.integers(n, size=len(session)), np.arange(len(session), dtype=float))


def history_of(items: list[int]) -> History:
    n = len(items)
    return History(np.array(items, dtype=np.int32), np.zeros(n, dtype=np.int8), np.arange(float(n)), np.zeros(n, np.float32), n)


def by_hand(log: SessionLog, index: Neighbours, items: list[int], k: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) near and (n,) ahead."""
    sessions = [log.position[rows].tolist() for rows in log.slices() if rows.stop - rows.start > 1]
    latest = list(dict.fromkeys(items[::-1]))
    scored = []
    for number, session in enumerate(sessions):
        shared = [i for i in latest if i in session]
        likeness = sum(LAG_DECAY ** latest.index(i) * index.idf[i] for i in shared)
        if shared:
            match = len(session) - 1 - session[::-1].index(shared[0])
            scored.append((likeness, number, match))
    near, ahead = np.zeros(len(index.idf)), np.zeros(len(index.idf))
    for likeness, number, match in sorted(scored, reverse=True)[:k]:
        for place, item in enumerate(sessions[number]):
            vote = likeness * DISTANCE_DECAY ** max(abs(place - match), 1) * index.idf[item]
            near[item] += vote
            ahead[item] += vote * (place > match)
    return near, ahead


@pytest.mark.parametrize("k", [5, 500])
def test_votes_match_the_rule_read_plainly(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "NEIGHBOURS", k)
    log, scratch = random_log(0), Scratch()
    index = build_neighbours(log, 15)
    rng = np.random.default_rng(2)
    for _ in range(20):
        items = rng.integers(15, size=rng.integers(1, 6)).tolist()
        found = find(index, history_of(items), scratch)
        near, ahead = by_hand(log, index, items, k)
        got_near, got_ahead = np.zeros(15), np.zeros(15)
        got_near[found.items], got_ahead[found.items] = found.near, found.ahead
        np.testing.assert_allclose(got_near, near, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got_ahead, ahead, rtol=1e-4, atol=1e-6)


def test_scratch_is_clean_after_use() -> None:
    log, scratch = random_log(1), Scratch()
    index = build_neighbours(log, 15)
    first = find(index, history_of([3, 4, 5]), scratch)
    find(index, history_of([1, 2, 9]), scratch)
    again = find(index, history_of([3, 4, 5]), scratch)
    np.testing.assert_array_equal(first.near, again.near)


def test_only_the_latest_sessions_of_an_item_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SAMPLE", 2)
    log = SessionLog.of(np.repeat(np.arange(4), 2), np.array([0, 1, 0, 2, 0, 3, 0, 4]), np.arange(8.0))
    found = find(build_neighbours(log, 5), history_of([0]), Scratch())
    assert set(found.items.tolist()) == {0, 3, 4}
    assert found.sessions == 2


def test_an_item_that_no_session_shares_finds_nothing() -> None:
    log = SessionLog.of(np.array([0, 0, 1]), np.array([0, 1, 2]), np.arange(3.0))
    assert find(build_neighbours(log, 4), history_of([2]), Scratch()).sessions == 0
    assert len(find(build_neighbours(log, 4), history_of([3]), Scratch()).items) == 0
