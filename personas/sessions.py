"""Many sessions as columns: the form in which training reads the activity log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from personas.events import CODE

NO_ITEM = -1
"""Catalogue position of an event that has no item, or one that the catalogue lacks."""

NO_QUERY = -1
"""Query of an event that has no words."""


@dataclass(frozen=True)
class SessionLog:
    """Events of S sessions, N in all, grouped by session and, within one, by event time.

    offsets : (S + 1,) int64; events of session s are offsets[s]:offsets[s + 1].
    keys : (S,) str, the sessions' ids.       users : (S,) str, "" where unknown.
    code : (N,) int8, event codes (`personas.events.CODE`).
    position : (N,) int32, catalogue position of the item, `NO_ITEM` where none.
    at : (N,) float64, seconds since the epoch; strictly comparable only if `clock` is not "order".
    dwell_s, price : (N,) float32, NaN where unknown.
    clock : "second", "day" (only the day is known) or "order" (no clock: `at` counts events).
    query : (N,) int32 into `queries`, `NO_QUERY` where none; left out, no event has words.
    queries : the distinct words of searches, as they were typed.
    """

    offsets: np.ndarray
    keys: np.ndarray
    users: np.ndarray
    code: np.ndarray
    position: np.ndarray
    at: np.ndarray
    dwell_s: np.ndarray
    price: np.ndarray
    clock: str = "second"
    query: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    queries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.code)
        if not len(self.query) and not self.queries:
            object.__setattr__(self, "query", np.full(n, NO_QUERY, dtype=np.int32))
        for name in ("position", "at", "dwell_s", "price", "query"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows, code has {n}")
        if len(self.offsets) != len(self.keys) + 1 or self.offsets[-1] != n or len(self.users) != len(self.keys):
            raise ValueError(f"offsets {len(self.offsets)}, keys {len(self.keys)}, users {len(self.users)}, events {n} disagree")
        if n and int(self.query.max()) >= len(self.queries):
            raise ValueError(f"query {int(self.query.max())} has no words; there are {len(self.queries)}")

    @classmethod
    def of(
        cls,
        session: np.ndarray,
        position: np.ndarray,
        at: np.ndarray,
        *,
        code: np.ndarray | None = None,
        order: np.ndarray | None = None,
        user: np.ndarray | None = None,
        dwell_s: np.ndarray | None = None,
        price: np.ndarray | None = None,
        clock: str = "second",
        query: np.ndarray | None = None,
    ) -> SessionLog:
        """Columns of one row an event, in any order. Ties in time keep `order`, else the order given.

        query : (N,) str, the words of searches, "" where none; best of objects, for a long query would widen every row
            of a plain string array.

        Sessions come out by the time of their first event, so that training on the last days is a suffix.
        Events without a `dwell_s` get the gap to the session's next event where the clock knows seconds; an engagement
        doesn't, for it reports a dwell of its own or none.
        """
        n = len(position)
        session = np.asarray(session)
        at = np.asarray(at, dtype=np.float64)
        order = np.arange(n) if order is None else np.asarray(order)
        unique, first, inverse = np.unique(session, return_index=True, return_inverse=True)
        start = np.full(len(unique), np.inf)
        np.minimum.at(start, inverse, at)
        rank = np.empty(len(unique), dtype=np.int64)
        rank[np.lexsort((first, start))] = np.arange(len(unique))
        by = np.lexsort((order, at, rank[inverse]))
        key = rank[inverse][by]
        offsets = np.searchsorted(key, np.arange(len(unique) + 1)).astype(np.int64)
        keys = np.empty(len(unique), dtype=unique.dtype)
        keys[rank] = unique
        heads = by[offsets[:-1]]
        codes = np.full(n, CODE["view_item"], dtype=np.int8) if code is None else np.asarray(code, dtype=np.int8)[by]
        dwell = np.full(n, np.nan, dtype=np.float32) if dwell_s is None else np.asarray(dwell_s, dtype=np.float32)[by]
        if clock == "second" and n:
            gap = np.full(n, np.nan)
            gap[:-1] = np.diff(at[by])
            gap[offsets[1:] - 1] = np.nan
            told = ~np.isnan(dwell) | (codes == CODE["user_engagement"])
            dwell = np.where(told, dwell, gap).astype(np.float32)
        queries, which = _distinct(query, n)
        return cls(
            offsets=offsets,
            keys=keys.astype(str),
            users=np.full(len(unique), "") if user is None else np.asarray(user).astype(str)[heads],
            code=codes,
            position=np.asarray(position, dtype=np.int32)[by],
            at=at[by],
            dwell_s=dwell,
            price=np.full(n, np.nan, dtype=np.float32) if price is None else np.asarray(price, dtype=np.float32)[by],
            clock=clock,
            query=which[by],
            queries=queries,
        )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def starts(self) -> np.ndarray:
        """(S,) float64, time of each session's first event."""
        return self.at[self.offsets[:-1]]

    @property
    def session_of(self) -> np.ndarray:
        """(N,) int64, the session to which each event belongs."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, sessions: np.ndarray) -> SessionLog:
        """The sessions of a boolean mask or ascending index array, in their order."""
        picked = np.flatnonzero(sessions) if np.asarray(sessions).dtype == bool else np.asarray(sessions)
        lengths = np.diff(self.offsets)[picked]
        rows = np.repeat(self.offsets[picked] - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths) + np.arange(
            lengths.sum()
        )
        return self._rows(rows, picked, lengths)

    def where(self, events: np.ndarray) -> SessionLog:
        """The events of a boolean mask; sessions left without any are dropped."""
        kept = np.add.reduceat(events.astype(np.int64), self.offsets[:-1]) if len(self) else np.zeros(0, dtype=np.int64)
        picked = np.flatnonzero(kept)
        return self._rows(np.flatnonzero(events), picked, kept[picked])

    def _rows(self, rows: np.ndarray, picked: np.ndarray, lengths: np.ndarray) -> SessionLog:
        return SessionLog(
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            keys=self.keys[picked],
            users=self.users[picked],
            code=self.code[rows],
            position=self.position[rows],
            at=self.at[rows],
            dwell_s=self.dwell_s[rows],
            price=self.price[rows],
            clock=self.clock,
            query=self.query[rows],
            queries=self.queries,
        )

    def slices(self) -> Iterator[slice]:
        """Each session's rows."""
        for start, stop in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield slice(start, stop)


def _distinct(query: np.ndarray | None, n: int) -> tuple[tuple[str, ...], np.ndarray]:
    """(the distinct words, (n,) int32 which of them each event has, `NO_QUERY` for "")."""
    which = np.full(n, NO_QUERY, dtype=np.int32)
    if query is None:
        return (), which
    words = np.asarray(query).tolist()
    place: dict[str, int] = {}
    for i, text in enumerate(words):
        if text:
            which[i] = place.setdefault(text, len(place))
    return tuple(place), which
