"""What was bought before a visit: counted the same in serving and in training, and never with the visit's own purchases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from personas.encoding import ItemFacts
from personas.events import CODE
from personas.history import Purchase, purchase_evidence, purchase_history
from personas.sessions import NO_ITEM, SessionLog

FACTS = ItemFacts(np.array([0, 0, 1, -1], dtype=np.int16), np.array([0, 3, 3, -1], dtype=np.int8), ("boots", "hats"))
VIEW, BUY = CODE["view_item"], CODE["purchase"]
DAY = 86_400.0


def make_log(rows: list[tuple[int, str, float, int, int]], clock: str = "second") -> SessionLog:
    """rows : (session, user, at, code, position)."""
    session, user, at, code, position = zip(*rows, strict=True)
    return SessionLog.of(
        np.array(session), np.array(position), np.array(at), code=np.array(code), user=np.array(user), clock=clock
    )


def test_what_was_bought_is_told_by_visits_usual_tier_and_top_category() -> None:
    assert purchase_evidence([], FACTS) == {"history": "none"}
    bought = [Purchase(1, 0), Purchase(1, 1), Purchase(2, 1), Purchase(3, 2)]
    assert purchase_evidence(bought, FACTS) == {"history": "few", "history_tier": "top", "history_category": "boots"}
    assert purchase_evidence([Purchase(v, 2) for v in range(5)], FACTS)["history"] == "many"
    assert purchase_evidence([Purchase(1, n) for n in (0, 1, 2)] * 9, FACTS)["history"] == "few", "one visit, however much"


def test_what_nobody_knows_of_an_item_is_left_out() -> None:
    assert purchase_evidence([Purchase(1, NO_ITEM), Purchase(2, 3)], FACTS) == {"history": "few"}


def test_a_session_knows_only_what_was_bought_before_it_began() -> None:
    log = make_log(
        [
            (1, "ann", 0.0, VIEW, 0),
            (1, "ann", 10.0, BUY, 0),
            (2, "ann", 5.0, VIEW, 2),  # began while the first went on: it had not bought yet
            (3, "bob", 20.0, BUY, 2),
            (4, "ann", 30.0, VIEW, 1),
            (5, "", 40.0, VIEW, 1),
            (6, "bob", 50.0, VIEW, 1),
        ]
    )
    told = dict(zip(log.keys.tolist(), purchase_history(log, FACTS), strict=True))
    assert told == {
        "1": {"history": "none"},
        "2": {"history": "none"},
        "3": {"history": "none"},
        "4": {"history": "few", "history_tier": "low", "history_category": "boots"},
        "5": {},
        "6": {"history": "few", "history_tier": "top", "history_category": "hats"},
    }


def test_on_a_log_of_days_the_same_day_does_not_count_and_without_a_clock_nothing_does() -> None:
    rows = [(1, "ann", 0.0, BUY, 0), (2, "ann", 0.0, VIEW, 0), (3, "ann", DAY, VIEW, 0)]
    assert [e["history"] for e in purchase_history(make_log(rows, "day"), FACTS)] == ["none", "none", "few"]
    assert purchase_history(make_log(rows, "order"), FACTS) == [{}, {}, {}]


@pytest.mark.parametrize("seed", range(3))
def test_the_whole_log_at_once_says_what_each_session_says_alone(seed: int) -> None:
    """The oracle is `purchase_evidence`, as serving asks it, for each session of a random log."""
    rng = np.random.default_rng(seed)
    users = np.array(["", "ann", "bob", "eve"])[rng.integers(4, size=60)]
    rows = []
    for s in range(60):
        start = float(rng.integers(0, 4_000))
        for n in range(int(rng.integers(1, 6))):
            rows.append((s, str(users[s]), start + 10.0 * n, int(rng.choice([VIEW, BUY])), int(rng.integers(-1, 4))))
    log = make_log(rows)
    told = purchase_history(log, FACTS)
    for s, key in enumerate(log.keys.tolist()):
        user = log.users[s]
        own = [r for r in rows if r[1] == user and r[3] == BUY and r[2] < log.starts[s]]
        expected = purchase_evidence([Purchase(r[0], r[4]) for r in own], FACTS) if user else {}
        assert told[s] == expected, key


def test_changing_what_comes_later_changes_nothing_earlier() -> None:
    rows = [(s, "ann", 100.0 * s + n, BUY if n else VIEW, n) for s in range(6) for n in range(3)]
    log = make_log(rows)
    before = purchase_history(log, FACTS)
    changed = replace(log, position=np.where(log.session_of >= 3, 2, log.position).astype(np.int32))
    assert purchase_history(changed, FACTS)[:4] == before[:4]
