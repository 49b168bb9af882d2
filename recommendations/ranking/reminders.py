"""What a returning shopper wanted on earlier visits, and how often shoppers of this shop want the same again."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from personas.events import CODE
from personas.sessions import NO_ITEM, SessionLog

REMINDERS = 10
"""Items kept of a shopper: ten ids are at most 51 bytes of a session's state."""

WANTED_CODES = tuple(CODE[name] for name in ("purchase", "add_to_cart"))
"""Events that say that an item was wanted and not only looked at."""

MOST_VISITS = 5_000
"""Visits that the rates are learned from; their standard error is then under a twentieth of a rate of one in a hundred."""

_WANTED = np.array(WANTED_CODES, dtype=np.int8)


class Wanted:
    """Items that one shopper wanted, by the number of visits that did."""

    def __init__(self) -> None:
        self._visits: dict[int, int] = {}
        self._latest: dict[int, int] = {}
        self._clock = 0

    def __bool__(self) -> bool:
        return bool(self._visits)

    def add(self, items: Sequence[int]) -> None:
        """One more visit, which wanted these, in their order; an item counts once."""
        self._latest |= {item: self._clock + n for n, item in enumerate(items)}
        self._clock += len(items)
        for item in set(items):
            self._visits[item] = self._visits.get(item, 0) + 1

    def first(self) -> list[int]:
        """At most `REMINDERS` items: those of most visits, of equals the one wanted last."""
        return heapq.nsmallest(REMINDERS, self._visits, key=lambda item: (-self._visits[item], -self._latest[item]))


def reminders_of(visits: Iterable[Sequence[int]]) -> list[int]:
    """`Wanted.first` of visits, oldest first."""
    wanted = Wanted()
    for items in visits:
        wanted.add(items)
    return wanted.first()


def learn_reminders(log: SessionLog, share: np.ndarray) -> np.ndarray:
    """(REMINDERS,) float64: of all that a later visit wants, the share that is the shopper's first, second, ... reminder,
    less what such items sell anyhow.

    share : (n,) each item's share of all visits. Zeros where nobody comes back for the same, where shoppers aren't known,
    and where the log doesn't know which session came first.
    """
    hits, of = np.zeros(REMINDERS), np.zeros(REMINDERS)
    rows = np.flatnonzero(np.isin(log.code, _WANTED) & (log.position != NO_ITEM))
    session = log.session_of[rows]
    rows, session = rows[log.users[session] != ""], session[log.users[session] != ""]
    if log.clock == "order" or not len(rows):
        return hits
    buying, begin = np.unique(session, return_index=True)
    wanted = [part.tolist() for part in np.split(log.position[rows], begin[1:])]
    order = np.lexsort((buying, log.starts[buying])).tolist()
    stride = -(-len(order) // MOST_VISITS)
    known: dict[str, Wanted] = {}
    for nth, i in enumerate(order):
        own = known.setdefault(str(log.users[buying[i]]), Wanted())
        if own and nth % stride == 0:
            now = set(wanted[i])
            for place, position in enumerate(own.first()):
                of[place] += len(now)
                hits[place] += (position in now) - float(share[position]) * len(now)
        own.add(wanted[i])
    rates: np.ndarray = np.maximum(hits, 0.0) / np.maximum(of, 1.0)
    return rates
