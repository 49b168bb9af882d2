"""What a shopper bought before, as evidence: one definition for serving (`purchase_evidence`) and training (`purchase_history`).

Only what was bought *before* a visit says anything of it: a network taught with the visit's own purchases would have been
told the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from personas.encoding import PRICE_TIERS
from personas.events import CODE
from personas.sessions import SessionLog

MANY_VISITS = 5
"""Earlier visits with a purchase from which a shopper counts as one who has bought a lot; below that, a few."""

VARIABLES = frozenset({"history", "history_tier", "history_category"})
"""The names under which a history is evidence."""

NONE, FEW, MANY = "none", "few", "many"
_PURCHASE = CODE["purchase"]


class Facts(Protocol):
    """What is read of n items, by position, of `personas.encoding.ItemFacts`.

    category : (n,) into the names, below 0 where missing.  price_tier : (n,) 0..3, below 0 where missing.
    """

    @property
    def category(self) -> np.ndarray: ...
    @property
    def price_tier(self) -> np.ndarray: ...
    @property
    def category_names(self) -> Sequence[str]: ...


class Purchase(NamedTuple):
    """One item bought. visit : what tells one visit from another.  position : in the facts, below 0 where unknown."""

    visit: int
    position: int


class _Tally:
    """Purchases counted as they come."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._visits: set[int] = set()
        self._tiers: Counter[int] = Counter()
        self._categories: Counter[int] = Counter()

    def add(self, visit: int, position: int) -> None:
        self._visits.add(visit)
        if position >= 0:
            self._tiers[int(self._facts.price_tier[position])] += 1
            self._categories[int(self._facts.category[position])] += 1

    def evidence(self) -> dict[str, str]:
        visits = len(self._visits)
        found = {"history": NONE if not visits else FEW if visits < MANY_VISITS else MANY}
        tier, category = _most(self._tiers), _most(self._categories)
        if tier is not None:
            found["history_tier"] = PRICE_TIERS[tier]
        if category is not None:
            found["history_category"] = self._facts.category_names[category]
        return found


def _most(counts: Counter[int]) -> int | None:
    """The known code with the highest count, the lowest of several."""
    known = [(-n, code) for code, n in counts.items() if code >= 0]
    return min(known)[1] if known else None


def purchase_evidence(purchases: Iterable[Purchase], facts: Facts) -> dict[str, str]:
    """Evidence of a known shopper's earlier purchases, in any order.

    `history`: none, few or many earlier visits that bought; `history_tier`: the price tier bought most, within its
    category; `history_category`: the category bought most. The last two are absent where nothing is known.
    """
    tally = _Tally(facts)
    for visit, position in purchases:
        tally.add(visit, position)
    return tally.evidence()


def purchase_history(log: SessionLog, facts: Facts) -> list[dict[str, str]]:
    """`purchase_evidence` of every session of a log, S mappings, each from what its shopper bought before it began.

    A guest has no history, known or unknown: no evidence. Nor has a log that only knows the order of a session's events,
    for it can't tell which session came first. A day's purchases come before the next day's sessions only.
    """
    found: list[dict[str, str]] = [{} for _ in range(len(log))]
    if log.clock == "order" or not (log.users != "").any():
        return found
    bought = np.flatnonzero(log.code == _PURCHASE)
    session = log.session_of[bought]
    known = log.users[session] != ""
    bought, session = bought[known], session[known]
    by = np.lexsort((log.at[bought], log.users[session]))
    bought, session = bought[by], session[by]
    users, times, positions = log.users[session].tolist(), log.at[bought].tolist(), log.position[bought].tolist()
    visits = session.tolist()
    starts = log.starts
    asked = np.flatnonzero(log.users != "")
    order = asked[np.lexsort((starts[asked], log.users[asked]))].tolist()
    p, current, tally = 0, "", _Tally(facts)
    for s in order:
        user, start = str(log.users[s]), float(starts[s])
        if user != current:
            current, tally = user, _Tally(facts)
            while p < len(users) and users[p] < user:
                p += 1
        while p < len(users) and users[p] == user and times[p] < start:
            tally.add(visits[p], positions[p])
            p += 1
        found[s] = tally.evidence()
    return found
