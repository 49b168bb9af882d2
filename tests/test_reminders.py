"""Reminders: which items they are, and what they are worth by a log whose repeats are known."""

from __future__ import annotations

import numpy as np
import pytest

from personas.events import CODE
from personas.sessions import SessionLog
from recommendations.ranking.reminders import REMINDERS, learn_reminders, reminders_of

N = 200


def bought(visits: list[tuple[str, list[int]]], *, code: str = "purchase", clock: str = "second") -> SessionLog:
    """Visits a day apart, each of a shopper."""
    session = np.repeat(np.arange(len(visits)), [len(items) for _, items in visits])
    user = np.array([visits[s][0] for s in session.tolist()])
    position = np.array([item for _, items in visits for item in items])
    at = 86_400.0 * session + np.arange(len(session))
    codes = np.full(len(session), CODE[code], dtype=np.int8)
    return SessionLog.of(session, position, at, code=codes, user=user, clock=clock)  # type: ignore[arg-type]


def test_the_most_wanted_come_first_then_the_latest_and_a_visit_counts_once() -> None:
    assert reminders_of([[7, 3, 3, 3], [7], [5]]) == [7, 5, 3]
    assert reminders_of([list(range(30))]) == list(range(29, 29 - REMINDERS, -1))
    assert reminders_of([]) == []


def test_rates_are_the_share_of_later_wants_less_chance() -> None:
    """Every visit wants a new item and the shopper's own: of two wants one is the first reminder, less its popularity."""
    visits = [(f"u{u}", [50 + v, u]) for v in range(4) for u in range(20)]
    share = np.full(N, 1.0 / N)
    rates = learn_reminders(bought(visits), share)
    assert rates[0] == pytest.approx(0.5 - 1.0 / N)
    assert rates[1:].max() == 0.0


def test_a_shop_where_nobody_wants_the_same_again_has_none() -> None:
    visits = [(f"u{u}", [(7 * u + v) % N]) for v in range(5) for u in range(20)]
    share = np.full(N, 1.0 / N)
    assert not learn_reminders(bought(visits), share).any()


@pytest.mark.parametrize(
    "log",
    [
        bought([("", [1, 2])] * 10),
        bought([("u", [1, 2])] * 10, code="view_item"),
        bought([("u", [1, 2])] * 10, clock="order"),
    ],
    ids=["guests", "only looks", "no order of sessions"],
)
def test_where_it_can_t_be_known_there_are_none(log: SessionLog) -> None:
    assert learn_reminders(log, np.full(N, 1.0 / N)).tolist() == [0.0] * REMINDERS
