"""Sparse item rows against values worked by hand and against the dense closed form."""

from __future__ import annotations

import numpy as np
import pytest

from personas.sessions import SessionLog
from recommendations.ranking import carrying, transitions
from recommendations.ranking.transitions import DECAY, RELATIONS, ItemRows, build_rows


def log_of(*sessions: list[int]) -> SessionLog:
    session = np.repeat(np.arange(len(sessions)), [len(s) for s in sessions])
    return SessionLog.of(session, np.concatenate(sessions), np.arange(len(session), dtype=float))


def rows_of(log: SessionLog, n: int, weight: list[float] | None = None) -> ItemRows:
    return build_rows(log, n, block=np.zeros(n, dtype=np.int32), weight=np.array(weight or [1.0] * len(log)))


def value(rows: ItemRows, relation: str, i: int, j: int) -> float:
    entries = slice(rows.indptr[i], rows.indptr[i + 1])
    found = np.flatnonzero(rows.indices[entries] == j)
    return float(rows.values[RELATIONS.index(relation), entries][found[0]]) if len(found) else 0.0


def said(rows: ItemRows, *events: int, relation: int) -> np.ndarray:
    """(events, n) what the rows of the events, the latest first, say of each item by one relation."""
    n = len(rows.indptr) - 1
    scale = np.eye(len(RELATIONS), dtype=np.float32)[relation]
    recent = np.array(events, dtype=np.int64)
    zeros = np.zeros(n, dtype=np.int32)
    return carrying.votes_by_event(rows.indptr, rows.indices, rows.values, rows.decayed, recent, np.arange(n), scale, zeros)


def test_relations_of_two_sessions_worked_by_hand() -> None:
    rows = rows_of(log_of([0, 1, 2], [0, 2]), 4)
    assert value(rows, "next", 0, 1) == pytest.approx(0.5)
    assert value(rows, "next", 0, 2) == pytest.approx(0.5)
    # Rules: 0 -> 1 once at lag 1; 0 -> 2 once at lag 2 (one half) and once at lag 1.
    assert value(rows, "rules", 0, 1) == pytest.approx(1.0 / 2.5)
    assert value(rows, "rules", 0, 2) == pytest.approx(1.5 / 2.5)
    # Reverse of 2: from 1 at lag 1, from 0 as above.
    assert value(rows, "reverse", 2, 1) == pytest.approx(1.0 / 2.5)
    assert value(rows, "together", 0, 2) == pytest.approx(1.0)
    assert value(rows, "together", 0, 1) == pytest.approx(1.0 / np.sqrt(2.0))
    assert rows.indptr[4] == rows.indptr[3]  # an item never visited has an empty row


def test_an_older_session_counts_less() -> None:
    rows = rows_of(log_of([0, 1], [0, 2]), 3, weight=[0.25, 1.0])
    assert value(rows, "next", 0, 1) == pytest.approx(0.2)
    assert value(rows, "next", 0, 2) == pytest.approx(0.8)


def test_slist_of_one_block_is_the_ridge_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sessions = [rng.permutation(6)[: rng.integers(2, 5)].tolist() for _ in range(30)]
    alpha, n = transitions.SLIST_ALPHA, 6
    whole = np.zeros((len(sessions), n))
    past, future = [], []
    for s, items in enumerate(sessions):
        whole[s, items] = 1.0
        for cut in range(1, len(items)):
            before, after = np.zeros(n), np.zeros(n)
            for d, i in enumerate(items[cut - 1 :: -1]):
                before[i] += np.exp(-d)
            for d, i in enumerate(items[cut:]):
                after[i] += np.exp(-d)
            past.append(before)
            future.append(after)
    x = np.vstack((np.sqrt(alpha) * whole, np.sqrt(1 - alpha) * np.array(past)))
    y = np.vstack((np.sqrt(alpha) * whole, np.sqrt(1 - alpha) * np.array(future)))
    expected = np.linalg.solve(x.T @ x + transitions.SLIST_LAMBDA * np.eye(n), x.T @ y)
    rows = rows_of(log_of(*sessions), n)
    for i in range(n):
        for j in range(n):
            want = expected[i, j] if i != j and expected[i, j] > 0 else 0.0
            assert value(rows, "slist", i, j) == pytest.approx(want, abs=1e-5)


def test_reading_weighs_each_event_by_what_came_after_it() -> None:
    rows = rows_of(log_of([0, 1, 2], [1, 3]), 4)
    for k, relation in enumerate(RELATIONS):
        latest, before = said(rows, 1, 0, relation=k)
        for j in range(4):
            assert latest[j] == pytest.approx(value(rows, relation, 1, j), abs=1e-6)
            assert before[j] == pytest.approx(DECAY[k] * value(rows, relation, 0, j), abs=1e-6)


def random_rows() -> ItemRows:
    rng = np.random.default_rng(1)
    return rows_of(log_of(*(rng.integers(12, size=6).tolist() for _ in range(80))), 12)


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "WIDTH", 3)
    rows = random_rows()
    assert np.diff(rows.indptr).max() == 3
    assert (rows.values >= 0).all()


def test_a_row_begins_with_its_strongest_each_relation_measured_by_its_own_strongest() -> None:
    rows = random_rows()
    for i in range(12):
        entries = rows.values[:, rows.indptr[i] : rows.indptr[i + 1]]
        strength = (entries / np.maximum(entries.max(axis=1, keepdims=True), 1e-12)).sum(axis=0)
        assert len(strength) > 3
        assert (np.diff(strength) <= 1e-5).all()


def test_a_log_without_a_second_event_gives_empty_rows() -> None:
    rows = rows_of(log_of([0], [1]), 3)
    assert len(rows.indices) == 0
    assert not said(rows, 1, 0, relation=0).any()
