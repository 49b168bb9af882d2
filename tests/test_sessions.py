"""Columns of many sessions: grouping, order, and the gaps that become dwell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from personas.events import CODE
from personas.sessions import NO_QUERY, SessionLog


def small() -> SessionLog:
    return SessionLog.of(
        session=np.array(["b", "a", "b", "a", "c"]),
        position=np.array([0, 1, 2, 3, 4]),
        at=np.array([50.0, 10.0, 40.0, 30.0, 45.0]),
        user=np.array(["u", "v", "u", "v", ""]),
    )


def test_sessions_come_by_their_first_event_and_events_by_time() -> None:
    log = small()
    assert log.keys.tolist() == ["a", "b", "c"]
    assert log.position.tolist() == [1, 3, 2, 0, 4]
    assert log.users.tolist() == ["v", "u", ""]
    assert log.starts.tolist() == [10.0, 40.0, 45.0]


def test_dwell_is_the_gap_to_the_sessions_next_event_only() -> None:
    np.testing.assert_array_equal(small().dwell_s, np.array([20, np.nan, 10, np.nan, np.nan], dtype=np.float32))


def test_an_engagement_that_tells_no_dwell_gets_none_from_what_comes_later() -> None:
    """Online nobody knows when the next event will come: the log must not either."""
    code = np.array([CODE["view_item"], CODE["user_engagement"], CODE["user_engagement"], CODE["view_item"]])
    dwell = np.array([np.nan, np.nan, 3.0, np.nan])
    log = SessionLog.of(np.zeros(4), np.zeros(4), np.arange(4) * 10.0, code=code, dwell_s=dwell)
    np.testing.assert_array_equal(log.dwell_s, np.array([10, np.nan, 3, np.nan], dtype=np.float32))


def test_day_clock_has_no_dwell_and_keeps_the_given_order() -> None:
    log = SessionLog.of(np.array([1, 1, 1]), np.array([5, 6, 7]), np.zeros(3), order=np.array([2, 0, 1]), clock="day")
    assert log.position.tolist() == [6, 7, 5]
    assert np.isnan(log.dwell_s).all()


def test_take_and_where_agree_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    session = rng.integers(0, 40, 300)
    log = SessionLog.of(session, rng.integers(0, 9, 300), rng.uniform(0, 100, 300))
    mask = rng.random(len(log)) < 0.5
    picked = log.take(mask)
    expected = [log.position[s].tolist() for s, keep in zip(log.slices(), mask, strict=True) if keep]
    assert [picked.position[s].tolist() for s in picked.slices()] == expected
    events = log.position > 6
    kept = log.where(events)
    expected = [p for s in log.slices() if (p := [x for x in log.position[s].tolist() if x > 6])]
    assert [kept.position[s].tolist() for s in kept.slices()] == expected


def test_an_empty_log_is_a_log() -> None:
    log = SessionLog.of(np.array([]), np.array([], dtype=np.int32), np.array([]))
    assert len(log) == 0
    assert len(log.where(log.code == 0)) == 0


def test_columns_that_disagree_are_refused() -> None:
    log = small()
    with pytest.raises(ValueError, match="at has 1 rows, code has 5"):
        SessionLog(log.offsets, log.keys, log.users, log.code, log.position, log.at[:1], log.dwell_s, log.price)


def test_words_stay_with_their_events_through_grouping_and_selection() -> None:
    typed = np.array(["tent", "", "a b", "tent", ""], dtype=object)
    log = SessionLog.of(
        np.array(["b", "a", "b", "a", "c"]), np.full(5, -1), np.array([50.0, 10.0, 40.0, 30.0, 45.0]), query=typed
    )

    def said(log: SessionLog) -> list[str]:
        return [log.queries[q] if q != NO_QUERY else "" for q in log.query.tolist()]

    assert said(log) == ["", "tent", "a b", "tent", ""]
    assert log.queries == ("tent", "a b")
    assert said(log.take(np.array([1]))) == ["a b", "tent"]
    assert said(log.where(log.query != NO_QUERY)) == ["tent", "a b", "tent"]
    assert said(small()) == [""] * 5


def test_a_query_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="query 3 has no words; there are 0"):
        dataclasses.replace(small(), query=np.array([-1, 3, -1, -1, -1]))
    with pytest.raises(ValueError, match="query has 1 rows, code has 5"):
        dataclasses.replace(small(), query=np.array([-1]))
