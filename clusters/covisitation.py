"""Visits of items counted, the co-visit graph that they make, and how fine to cut it into groups.

Reference: Brown et al. (1992), "Class-based n-gram models of natural language", for the measure that chooses the granularity.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters.communities import MIN_SIZE, communities, effective, merge_small, modularity, regroup, renumber
from personas.events import CODE, ENGAGEMENT, ITEM_ACTIONS
from personas.sessions import SessionLog

WINDOW = 10
"""Actions apart within which two items of a session count as visited together; bounds the work of long sessions."""

NEIGHBOURS = 30
"""Edges kept an item. More blurs the communities: popular items touch everything."""

NEAR, FEWEST = 20, 6
"""In a small shop an item keeps an edge to one item in `NEAR`, at least `FEWEST`: thirty of 217 touch everything again. With
ten, that shop's groups foretell better (-4.14 nats for -4.18) and all of them outlive a rebuild instead of six in seven."""

SELECTABLE = 110
"""Groups wanted of a large shop: some ten of them are selected, and are to hold a tenth of its items at most."""

ITEMS_A_GROUP = 12
"""Items wanted in a group of a small shop, which has too few for `SELECTABLE` groups."""

FINENESS = (0.7, 1.1)
"""Range of the effective number of groups, in units of what `wanted` says; within it the log decides, see `choose_groups`."""

STALE = 0.93
"""Least modularity of groups that go on from earlier ones, as a share of that of a fresh cut."""

SETTLED = 0.002
"""Share of its modularity that a grouping must gain by moving items; for less they stay, so that a rebuild on the same log moves
nothing."""

COARSENESS = 0.1
"""Nats of foretelling that groups are worth for each e-fold by which they come nearer to the number wanted: where a log has
only a few large groups, cutting on gives pieces that mean nothing and are others the next time."""

HELD_OUT = 5
"""One session in so many, by a hash of its key, is held out to compare granularities on: whichever part of a log it is
counted with, so that counts of parts add up."""

ROUNDS = 4
"""Times that items are moved at most; each lets them move `communities.SWEEPS` times."""

MAX_RUNS = 12
"""Resolutions tried; each is a run of Louvain."""

_CODES = np.array(sorted(CODE[name] for name in ITEM_ACTIONS), dtype=np.int8)
_GAIN = np.array([max(ENGAGEMENT.get(name, 0.0), 0.0) for name in CODE], dtype=np.float64)


@dataclass(frozen=True)
class VisitStats:
    """A component: what a log's sessions say of n items, counted; two logs' counts add up (`merge`).

    item_ids : (n,) int64, ascending.
    pairs : (n, n) float32 CSR, symmetric: times two items were visited within `WINDOW` actions of each other in a session.
    visits, gain : (n,) float64, item actions, and the engagement they stand for.
    moves : (n, n) float32 CSR, [a, b] times b came next after a; the same item again is no move.
    held : (n, n) float32 CSR, the moves of the held-out sessions, which are among `moves` too.
    sessions : those with an item action.
    until : time of the latest action.  half_life_s : age at which an action counts half, 0 where age counts for nothing.
    """

    item_ids: np.ndarray
    pairs: sparse.csr_matrix
    visits: np.ndarray
    gain: np.ndarray
    moves: sparse.csr_matrix
    held: sparse.csr_matrix
    sessions: int = 0
    until: float = 0.0
    half_life_s: float = 0.0

    def __len__(self) -> int:
        return len(self.item_ids)


class Grouping(NamedTuple):
    """groups : (n,) int64 group of each item, numbered by size; -1 where in none.  resolution : of Louvain, 0 without an edge."""

    groups: np.ndarray
    resolution: float


def count_visits(log: SessionLog, item_ids: np.ndarray, half_life_s: float | None = None) -> VisitStats:
    """The item actions of a log, counted. log.position indexes `item_ids`.

    half_life_s : age at which an action counts half; None, or a log without a clock, and age counts for nothing.
    Raises ValueError on a half-life that isn't above 0.
    """
    if half_life_s is not None and half_life_s <= 0:
        raise ValueError(f"half_life_s {half_life_s} must be above 0")
    rows = np.flatnonzero((log.position >= 0) & np.isin(log.code, _CODES))
    position, session, at = log.position[rows].astype(np.int64), log.session_of[rows], log.at[rows]
    half_life = half_life_s if half_life_s is not None and log.clock != "order" else 0.0
    weight = np.exp2((at - at.max()) / half_life) if half_life and len(rows) else np.ones(len(rows))
    n = len(item_ids)
    pairs = sparse.csr_matrix((n, n), dtype=np.float64)
    for lag in range(1, min(WINDOW, max(len(rows) - 1, 0)) + 1):
        near = (session[lag:] == session[:-lag]) & (position[lag:] != position[:-lag])
        if not near.any():
            break
        pairs = pairs + _counted(position[:-lag][near], position[lag:][near], weight[lag:][near], n)
    move = (session[1:] == session[:-1]) & (position[1:] != position[:-1])
    here, there, weighs = position[:-1][move], position[1:][move], weight[1:][move]
    late = _is_held_out(log.keys)[session[1:][move]]
    return VisitStats(
        item_ids=np.asarray(item_ids, dtype=np.int64),
        pairs=sparse.csr_matrix(pairs + pairs.T, dtype=np.float32),
        visits=np.bincount(position, weights=weight, minlength=n),
        gain=np.bincount(position, weights=weight * _GAIN[log.code[rows]], minlength=n),
        moves=_counted(here, there, weighs, n).astype(np.float32),
        held=_counted(here[late], there[late], weighs[late], n).astype(np.float32),
        sessions=len(np.unique(session)),
        until=float(at.max()) if len(rows) else 0.0,
        half_life_s=float(half_life),
    )


def _counted(row: np.ndarray, column: np.ndarray, weight: np.ndarray, n: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((weight, (row, column)), shape=(n, n))


def _is_held_out(keys: np.ndarray) -> np.ndarray:
    """(S,) bool."""
    hashes = np.array([zlib.crc32(key.encode()) for key in keys.tolist()], dtype=np.int64)
    return hashes % HELD_OUT == 0


def merge(a: VisitStats, b: VisitStats) -> VisitStats:
    """The counts of both, which must be of different sessions, over the items of either; the older one's are aged.

    Raises ValueError where the two age differently.
    """
    if a.sessions and b.sessions and a.half_life_s != b.half_life_s:
        raise ValueError(f"half-lives {a.half_life_s} s and {b.half_life_s} s do not add up")
    if not (a.sessions and b.sessions):
        full = a if a.sessions else b
        return of_items(full, np.union1d(a.item_ids, b.item_ids))
    ids, until = np.union1d(a.item_ids, b.item_ids), max(a.until, b.until)
    a, b = (_aged(of_items(stats, ids), until) for stats in (a, b))
    return VisitStats(
        item_ids=ids,
        pairs=sparse.csr_matrix(a.pairs + b.pairs),
        visits=a.visits + b.visits,
        gain=a.gain + b.gain,
        moves=sparse.csr_matrix(a.moves + b.moves),
        held=sparse.csr_matrix(a.held + b.held),
        sessions=a.sessions + b.sessions,
        until=until,
        half_life_s=a.half_life_s,
    )


def of_items(stats: VisitStats, item_ids: np.ndarray) -> VisitStats:
    """The counts by the positions of another catalogue, ids ascending; items that it lacks are left out, new ones have none."""
    if np.array_equal(stats.item_ids, item_ids):
        return stats
    n, old = len(item_ids), stats.item_ids
    place = np.minimum(np.searchsorted(old, item_ids), max(len(old) - 1, 0))
    found = np.flatnonzero(old[place] == item_ids) if len(old) else np.zeros(0, dtype=np.int64)
    take = sparse.csr_matrix((np.ones(len(found), dtype=np.float32), (found, place[found])), shape=(n, len(old)))
    return replace(
        stats,
        item_ids=np.asarray(item_ids, dtype=np.int64),
        pairs=sparse.csr_matrix(take @ stats.pairs @ take.T),
        visits=take.astype(np.float64) @ stats.visits,
        gain=take.astype(np.float64) @ stats.gain,
        moves=sparse.csr_matrix(take @ stats.moves @ take.T),
        held=sparse.csr_matrix(take @ stats.held @ take.T),
    )


def _aged(stats: VisitStats, until: float) -> VisitStats:
    if not stats.half_life_s or until == stats.until:
        return stats
    less = float(np.exp2((stats.until - until) / stats.half_life_s))
    return replace(
        stats,
        pairs=stats.pairs * np.float32(less),
        visits=stats.visits * less,
        gain=stats.gain * less,
        moves=stats.moves * np.float32(less),
        held=stats.held * np.float32(less),
        until=until,
    )


def covisit_graph(stats: VisitStats) -> sparse.csr_matrix:
    """(n, n) symmetric CSR, cosine of two items' visits within `WINDOW` actions; the strongest `NEIGHBOURS` (`NEAR`) an item."""
    keep = min(NEIGHBOURS, max(FEWEST, int((stats.visits > 0).sum()) // NEAR))
    scale = sparse.diags(1.0 / np.sqrt(np.maximum(stats.visits, 1e-12)))
    top = _strongest(sparse.csr_matrix(scale @ stats.pairs.astype(np.float64) @ scale), keep)
    return sparse.csr_matrix(top.maximum(top.T))


def _strongest(matrix: sparse.csr_matrix, keep: int) -> sparse.csr_matrix:
    """The `keep` largest entries of each row; ties go to the lower column."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    kept = order[np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr)) < keep]
    return sparse.csr_matrix((matrix.data[kept], (rows[kept], matrix.indices[kept])), shape=matrix.shape)


def choose_groups(
    graph: sparse.csr_matrix,
    stats: VisitStats,
    *,
    resolution: float | None = None,
    start: np.ndarray | None = None,
    count_range: tuple[float, float] | None = None,
    least: int = MIN_SIZE,
) -> Grouping:
    """The groups of items; in none where an item has no edge or its island is under `least`. Deterministic.

    resolution : as an earlier grouping of much the same log found it, or None to search for one.
    start : (n,) group of each item in that earlier grouping, -1 for none. Items then move only where the graph now says so
        (`regroup`), for anew Louvain cuts much the same graph quite differently. Where the graph has changed so much that a
        fresh cut is clearly better (`STALE`), the groups and their resolution are searched for as if there were none before.

    Resolutions are tried from coarse to fine. Of those whose effective number of groups (`effective`) is not above
    `FINENESS` x `wanted`, the one that best foretells held-out sessions is taken: mean log P(next item) under a class bigram,
    P(group | last group) P(item | group), less `COARSENESS` for what they fall short of the range. With a `count_range` their
    mere number must lie within it; if none does, the nearest is taken.
    """
    linked = int((np.diff(graph.indptr) > 0).sum())
    if not linked:
        return Grouping(np.full(graph.shape[0], -1, dtype=np.int64), 0.0)
    if resolution and start is not None and (start >= 0).any():
        groups = _settled(graph, start, resolution, least)
        fresh = merge_small(graph, communities(graph, resolution), least=least)
        if modularity(graph, groups, resolution) >= STALE * modularity(graph, fresh, resolution):
            return Grouping(groups, resolution)
        resolution = None
    if resolution is not None:
        return Grouping(merge_small(graph, communities(graph, resolution), least=least), resolution)
    low, high = count_range or (FINENESS[0] * wanted(linked), FINENESS[1] * wanted(linked))
    best_value, best = (-math.inf, -math.inf), Grouping(np.full(graph.shape[0], -1, dtype=np.int64), 0.0)
    resolution = 1.0
    direction = 0
    for _ in range(MAX_RUNS):
        groups = merge_small(graph, communities(graph, resolution), least=least)
        count = float(groups.max() + 1) if count_range else effective(groups)
        under, over = max(math.log(low / max(count, 1e-9)), 0.0), max(math.log(max(count, 1e-9) / high), 0.0)
        if count_range:
            over, under = over + under, 0.0
        value = (-over, 0.0 if over else foretell(groups, stats) - COARSENESS * under)
        if value > best_value:
            best_value, best = value, Grouping(groups, resolution)
        if direction == 0:
            direction = -1 if count > high else 1
        if (direction > 0 and count > high) or (direction < 0 and count < low):
            break
        step = math.sqrt(2.0) if count >= 0.6 * low else 2.0  # wide steps until the range is near
        resolution = resolution * step if direction > 0 else resolution / step
    return Grouping(_settled(graph, best.groups, best.resolution, least), best.resolution)


def _settled(graph: sparse.csr_matrix, groups: np.ndarray, resolution: float, least: int) -> np.ndarray:
    """The groups with items moved (`regroup`) as long as that gains `SETTLED`; those of the start where nothing does."""
    sizes = np.bincount(groups[groups >= 0])
    loose = ((groups < 0) & (np.diff(graph.indptr) > 0)).any()
    value = -math.inf if loose or sizes[sizes > 0].min() < least else modularity(graph, groups, resolution)
    for _ in range(ROUNDS):
        moved = regroup(graph, groups, resolution, least=least)
        gained = modularity(graph, moved, resolution)
        if gained <= value + SETTLED * abs(value):
            break
        groups, value = moved, gained
    return renumber(groups)


def wanted(items: int) -> float:
    """Groups that so many items are best cut into. A step costs C (select) plus what the selected ones hold (rank), so that
    in a very large shop their number grows with the root of the items; in a tiny one too, where groups of twelve are few."""
    root = math.sqrt(items)
    return min(max(items / ITEMS_A_GROUP, root / 1.5), max(SELECTABLE, root / 2.0))


def foretell(groups: np.ndarray, stats: VisitStats) -> float:
    """Mean log P(next item | last item's group) in nats, on the held-out sessions after learning from the others.

    Counts are smoothed by half a visit. 0 without a held-out move, or none to learn from.
    """
    inside = groups >= 0
    count = int(groups.max(initial=-1)) + 1
    late = _grouped(stats.held, inside)
    early = _grouped(sparse.csr_matrix(stats.moves - stats.held), inside)
    early.data[early.data < 1e-6] = 0.0  # what rounding left of a difference
    if not late.nnz or not early.data.any():
        return 0.0
    moves = np.bincount(groups[early.row] * count + groups[early.col], weights=early.data, minlength=count * count)
    moves = moves.reshape(count, count)
    moves += moves.sum(0) / max(moves.sum(), 1.0) + 0.5 / count
    move = np.log(moves / moves.sum(1, keepdims=True))
    items = np.bincount(early.col, weights=early.data, minlength=len(groups)) + 0.5
    total = np.bincount(groups[inside], weights=items[inside], minlength=count)
    a, b = groups[late.row], groups[late.col]
    return float(np.average(move[a, b] + np.log(items[late.col] / total[b]), weights=late.data))


def _grouped(moves: sparse.csr_matrix, inside: np.ndarray) -> sparse.coo_matrix:
    """The moves between items that are in a group."""
    cells = moves.tocoo()
    kept = inside[cells.row] & inside[cells.col]
    return sparse.coo_matrix((cells.data[kept].astype(np.float64), (cells.row[kept], cells.col[kept])), shape=moves.shape)
