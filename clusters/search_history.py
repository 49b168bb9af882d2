"""What shoppers search for together: search sessions cut into segments, and pairs of queries counted across them.

After US 9,727,906 (see docs/merchandisers.md): a segment is a run of a visit's actions without a pause longer than the
inactivity gap; queries of one segment belong to one purpose.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from personas.components import Text
from personas.events import CODE, ENGAGEMENT, ITEM_ACTIONS, MAX_QUERY
from personas.sessions import SessionLog

MAX_SEGMENT_QUERIES = 30
"""Distinct queries of a segment that count, its first: who searches for more within one purpose is a crawler, and would
bring in pairs by the square of it."""

MAX_VALUES = 12
"""Values up to which something known of a session divides shoppers into markets. A country may have more."""

MAX_COUNTRIES = 300

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ud800-\udfff]")
_GAIN = np.array([max(ENGAGEMENT.get(name, 0.0), 0.0) if name in ITEM_ACTIONS else 0.0 for name in CODE])


@dataclass(frozen=True)
class QueryStats:
    """Counts over S segments with a search, of Q distinct queries as they were typed (white space apart).

    Two of these from disjoint parts of a log add up to that of the whole (`merge`), so that a rebuild reads only what is new.

    queries : Q, ascending.  searches : (Q,) int64 segments in which each was searched.
    pairs : (Q, Q) CSR int64, symmetric, no diagonal: segments in which both were searched.
    item_ids : (n,) int64, ascending.  engaged : (Q, n) CSR float64, engagement with items between the query and the next
        one of its segment (event-weighted, `personas.events.ENGAGEMENT`; taking back doesn't count).
    markets : M names "country=Germany", "device=mobile", ..., ascending.  by_market : (Q, M) CSR int64 segments of the market
        with the query.  Of what has too many values to be markets, one name without a value and without segments stays
        ("city="), so that adding up doesn't take it in again.
    market_segments : (M,) int64 segments of each market.  segments : S.
    together : (P, Q) CSR bool, the distinct sets of two or more queries that a visitor searched within one segment, by
        visitor.  visitors : (P,) int64, whose each is: a hash of the shopper's id where known, else of the session's, that
        is good for counting people and for nothing else. Two people with one hash count as one.
    """

    queries: Text
    searches: np.ndarray
    pairs: sparse.csr_matrix
    item_ids: np.ndarray
    engaged: sparse.csr_matrix
    markets: tuple[str, ...]
    by_market: sparse.csr_matrix
    market_segments: np.ndarray
    segments: int
    together: sparse.csr_matrix
    visitors: np.ndarray


def read_searches(
    log: SessionLog, item_ids: np.ndarray, contexts: Sequence[Mapping[str, str]] | None = None, *, gap_s: float
) -> QueryStats:
    """The counts of a log.

    item_ids : (n,) ascending ids that `log.position` counts in.  contexts : what is known of each session, in the log's order.
    gap_s : a pause above this, between any two events of a session, ends a segment. A log whose clock is "day" or "order"
        knows no pauses: there a session is a segment.
    Queries are taken without control characters and superfluous white space, and cut to what an event may hold; an empty one
    is no search.
    Raises ValueError where lengths disagree, ids don't ascend, or the gap isn't above 0.
    """
    item_ids = np.asarray(item_ids, dtype=np.int64)
    if not gap_s > 0:
        raise ValueError(f"gap_s {gap_s} must be above 0")
    if contexts is not None and len(contexts) != len(log):
        raise ValueError(f"contexts of {len(contexts)} sessions, log of {len(log)}")
    if len(item_ids) > 1 and not (np.diff(item_ids) > 0).all():
        raise ValueError("item_ids must ascend")
    if len(log.position) and int(log.position.max()) >= len(item_ids):
        raise ValueError(f"position {int(log.position.max())} has no item; there are {len(item_ids)}")
    queries, query = _clean(log)
    segment, session_of = _segments(log, gap_s)
    rows = np.flatnonzero(query >= 0)
    if not len(rows):
        return _none(item_ids)
    # The distinct queries of each segment, in the order of their first search; those beyond the limit don't count.
    q = len(queries)
    keys, first = np.unique(segment[rows] * q + query[rows], return_index=True)
    order = np.lexsort((first, keys // q))
    keys = keys[order]
    head = np.searchsorted(keys // q, keys // q, side="left")
    keys = np.sort(keys[np.arange(len(keys)) - head < MAX_SEGMENT_QUERIES])
    named, of = np.unique(keys // q, return_inverse=True)
    holds = sparse.csr_matrix((np.ones(len(keys), dtype=np.int64), (of, keys % q)), shape=(len(named), q))
    pairs = sparse.csr_matrix(holds.T @ holds)
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    markets, in_market = _markets(contexts, session_of[named])
    several = np.diff(holds.indptr) > 1
    together, visitors = _distinct_sets(holds[several], _visitors(log, session_of[named[several]]))
    return _sorted(
        QueryStats(
            queries=Text.of(queries),
            searches=np.asarray(holds.sum(axis=0)).ravel().astype(np.int64),
            pairs=pairs,
            item_ids=item_ids,
            engaged=_engaged(log, query, segment, keys, q, len(item_ids)),
            markets=markets,
            by_market=sparse.csr_matrix(holds.T @ in_market),
            market_segments=np.asarray(in_market.sum(axis=0)).ravel().astype(np.int64),
            segments=len(named),
            together=together,
            visitors=visitors,
        ),
        queries,
    )


def merge(a: QueryStats, b: QueryStats) -> QueryStats:
    """The counts of two logs that have no session in common: the same as those of one log with all of them."""
    of_a, of_b = (np.array([s.queries[i] for i in range(len(s.queries))], dtype=object) for s in (a, b))
    names = sorted({*of_a.tolist(), *of_b.tolist()})
    place = {name: i for i, name in enumerate(names)}
    rows = [np.array([place[name] for name in each.tolist()], dtype=np.int64) for each in (of_a, of_b)]
    item_ids = np.union1d(a.item_ids, b.item_ids)
    items = [np.searchsorted(item_ids, each.item_ids) for each in (a, b)]
    markets = _joined(a.markets, b.markets)
    at = {name: i for i, name in enumerate(markets)}
    columns = [np.array([at.get(name, -1) for name in each.markets], dtype=np.int64) for each in (a, b)]
    both = (a, b)
    size, m = len(names), len(markets)

    def added(
        parts: Sequence[sparse.csr_matrix], down: Sequence[np.ndarray], across: Sequence[np.ndarray], width: int
    ) -> sparse.csr_matrix:
        moved = [_moved(part, r, c, (size, width)) for part, r, c in zip(parts, down, across, strict=True)]
        return sparse.csr_matrix(moved[0] + moved[1])

    searches, segments = np.zeros(size, dtype=np.int64), np.zeros(m, dtype=np.int64)
    for stats, row, column in zip(both, rows, columns, strict=True):
        searches[row] += stats.searches
        segments[column[column >= 0]] += stats.market_segments[column >= 0]
    sets = []
    for stats, row in zip(both, rows, strict=True):
        height = len(stats.visitors)
        sets.append(_moved(stats.together, np.arange(height), row, (height, size)))
    together, visitors = _distinct_sets(sparse.csr_matrix(sparse.vstack(sets)), np.concatenate([a.visitors, b.visitors]))
    return QueryStats(
        queries=Text.of(names),
        searches=searches,
        pairs=added([s.pairs for s in both], rows, rows, size),
        item_ids=item_ids,
        engaged=added([s.engaged for s in both], rows, items, len(item_ids)),
        markets=markets,
        by_market=added([s.by_market for s in both], rows, columns, m),
        market_segments=segments,
        segments=a.segments + b.segments,
        together=together,
        visitors=visitors,
    )


def clean_query(text: str) -> str:
    """A search as it counts: no control or invisible characters, single spaces, at most `MAX_QUERY` characters."""
    return " ".join(_CONTROL.sub(" ", text[: 4 * MAX_QUERY]).split())[:MAX_QUERY].rstrip()


def _clean(log: SessionLog) -> tuple[list[str], np.ndarray]:
    """(the distinct cleaned queries, (N,) int64 which of them each event has, -1 for none)."""
    place: dict[str, int] = {}
    which = np.full(len(log.queries) + 1, -1, dtype=np.int64)  # the last is for events without words
    for i, text in enumerate(log.queries):
        kept = clean_query(text)
        if kept:
            which[i] = place.setdefault(kept, len(place))
    return list(place), which[log.query]


def _segments(log: SessionLog, gap_s: float) -> tuple[np.ndarray, np.ndarray]:
    """((N,) int64 segment of each event, ascending; (segments,) session of each)."""
    session = log.session_of
    starts = np.ones(len(session), dtype=bool)
    starts[1:] = session[1:] != session[:-1]
    if log.clock == "second":
        starts[1:] |= np.diff(log.at) > gap_s
    return np.cumsum(starts) - 1, session[starts]


def _visitors(log: SessionLog, sessions: np.ndarray) -> np.ndarray:
    """(len(sessions),) int64, who each of them was of."""
    told: dict[int, int] = {}
    for s in np.unique(sessions).tolist():
        who = f"shopper {log.users[s]}" if log.users[s] else f"session {log.keys[s]}"
        told[s] = int.from_bytes(hashlib.blake2b(who.encode(), digest_size=8).digest(), "big", signed=True)
    return np.array([told[s] for s in sessions.tolist()], dtype=np.int64)


def _distinct_sets(holds: sparse.csr_matrix, visitors: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Each visitor's sets of queries once, in an order that doesn't depend on that of the rows."""
    holds = _tidy(holds)
    cuts = zip(holds.indptr[:-1].tolist(), holds.indptr[1:].tolist(), strict=True)
    rows = sorted({(who, tuple(holds.indices[a:b].tolist())) for who, (a, b) in zip(visitors.tolist(), cuts, strict=True)})
    indptr = np.cumsum([0, *(len(queries) for _, queries in rows)])
    indices = np.array([q for _, queries in rows for q in queries], dtype=np.int64)
    sets = sparse.csr_matrix((np.ones(len(indices), dtype=bool), indices, indptr), shape=(len(rows), holds.shape[1]))
    return sets, np.array([who for who, _ in rows], dtype=np.int64)


def _engaged(log: SessionLog, query: np.ndarray, segment: np.ndarray, keys: np.ndarray, q: int, n: int) -> sparse.csr_matrix:
    """(Q, n) engagement with items after each query, up to the next one of its segment."""
    rows = np.arange(len(query))
    last = np.maximum.accumulate(np.where(query >= 0, rows, -1))
    gain = np.where(log.position >= 0, _GAIN[log.code], 0.0)
    near = np.flatnonzero((gain > 0) & (last >= 0))
    near = near[segment[last[near]] == segment[near]]
    key = segment[near] * q + query[last[near]]
    near = near[keys[np.minimum(np.searchsorted(keys, key), len(keys) - 1)] == key]  # of queries that count
    return sparse.csr_matrix((gain[near], (query[last[near]], log.position[near])), shape=(q, n))


def _markets(contexts: Sequence[Mapping[str, str]] | None, session: np.ndarray) -> tuple[tuple[str, ...], sparse.csr_matrix]:
    """(M market names, (segments, M) CSR int64, 1 where a segment belongs to a market)."""
    told: list[tuple[int, str]] = []
    if contexts is not None:
        for row, s in enumerate(session.tolist()):
            told += [
                (row, f"{name}={value}") for name, value in contexts[s].items() if value not in ("", None) and "=" not in name
            ]
    markets = _joined({name for _, name in told})
    place = {name: i for i, name in enumerate(markets)}
    cells = np.array([(row, place[name]) for row, name in told if name in place], dtype=np.int64).reshape(-1, 2)
    shape = (len(session), len(markets))
    return markets, sparse.csr_matrix((np.ones(len(cells), dtype=np.int64), (cells[:, 0], cells[:, 1])), shape=shape)


def _joined(*names: Sequence[str] | set[str]) -> tuple[str, ...]:
    """Market names together, ascending; a variable of too many values is reduced to its name with no value."""
    values: dict[str, set[str]] = {}
    for name in set().union(*names):
        variable, _, value = name.partition("=")
        values.setdefault(variable, set()).add(value)
    result = []
    for variable, known in values.items():
        most = MAX_COUNTRIES if variable == "country" else MAX_VALUES
        kept = {""} if "" in known or len(known) > most else known
        result += [f"{variable}={value}" for value in kept]
    return tuple(sorted(result))


def _moved(part: sparse.csr_matrix, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """The matrix with its rows and columns at other places; columns at -1 are dropped."""
    cells = part.tocoo()
    kept = columns[cells.col] >= 0
    return sparse.csr_matrix((cells.data[kept], (rows[cells.row[kept]], columns[cells.col[kept]])), shape=shape)


def _sorted(stats: QueryStats, queries: list[str]) -> QueryStats:
    """The same with queries ascending, and without those that don't count anywhere."""
    order = np.array(sorted(np.flatnonzero(stats.searches).tolist(), key=queries.__getitem__), dtype=np.int64)
    together, visitors = _distinct_sets(stats.together[:, order], stats.visitors)
    return QueryStats(
        queries=Text.of(queries[i] for i in order.tolist()),
        searches=stats.searches[order],
        pairs=_tidy(stats.pairs[order][:, order]),
        item_ids=stats.item_ids,
        engaged=_tidy(stats.engaged[order]),
        markets=stats.markets,
        by_market=_tidy(stats.by_market[order]),
        market_segments=stats.market_segments,
        segments=stats.segments,
        together=together,
        visitors=visitors,
    )


def _tidy(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    csr = sparse.csr_matrix(matrix)
    csr.sort_indices()
    return csr


def _none(item_ids: np.ndarray) -> QueryStats:
    empty = np.zeros(0, dtype=np.int64)
    return QueryStats(
        queries=Text.of(()),
        searches=empty,
        pairs=sparse.csr_matrix((0, 0), dtype=np.int64),
        item_ids=item_ids,
        engaged=sparse.csr_matrix((0, len(item_ids))),
        markets=(),
        by_market=sparse.csr_matrix((0, 0), dtype=np.int64),
        market_segments=empty,
        segments=0,
        together=sparse.csr_matrix((0, 0), dtype=bool),
        visitors=empty,
    )
