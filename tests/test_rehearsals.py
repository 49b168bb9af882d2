"""What a blend learns from: tails of the log, each with experts that know nothing of it or of what came after."""

from __future__ import annotations

import numpy as np

from personas.sessions import SessionLog
from recommendations.ranking.fitting import TAILS, _rehearsals
from recommendations.ranking.recency import default_tail

DAY = 86_400.0


def log_of(days: int, visits: int, items: int = 20) -> SessionLog:
    """`visits` sessions of three items on each day."""
    rng = np.random.default_rng(0)
    sessions = days * visits
    session = np.repeat(np.arange(sessions), 3)
    at = session // visits * DAY + session % visits * 60.0 + np.tile(np.arange(3), sessions)
    return SessionLog.of(session.astype(str), rng.integers(0, items, 3 * sessions), at)


def test_one_tail_is_used_where_it_is_enough() -> None:
    log = log_of(30, 20)
    found = _rehearsals(log, default_tail(log), 20, 100, TAILS)
    assert len(found) == 1
    assert (~found[0].early == default_tail(log)).all()


def test_earlier_tails_are_used_where_it_is_not() -> None:
    log = log_of(30, 20)
    found = _rehearsals(log, default_tail(log), 20, 10_000, TAILS)
    assert len(found) == TAILS
    last = len(log)
    for rehearsal in found:
        of = log.session_of[rehearsal.targets]
        fitted = np.flatnonzero(rehearsal.early)
        assert fitted.max() < of.min()  # sessions are in the order of their starts
        assert of.max() < last  # no target twice
        assert (rehearsal.targets > log.offsets[of]).all()  # something came before
        last = of.min()


def test_a_target_that_the_experts_have_not_seen_is_none() -> None:
    log = log_of(10, 5)
    tail = default_tail(log)
    odd = np.flatnonzero(tail[log.session_of])[-1]
    log.position[odd] = 20
    (found,) = _rehearsals(log, tail, 21, 1, TAILS)
    assert odd not in found.targets
    assert odd - 1 in found.targets


def test_a_log_without_anything_before_the_tail_has_none() -> None:
    log = log_of(1, 1)
    assert _rehearsals(log, np.ones(1, dtype=bool), 20, 100, TAILS) == []
    assert _rehearsals(log, np.zeros(1, dtype=bool), 20, 100, TAILS) == []
