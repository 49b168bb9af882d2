"""Groups of items that are visited together: the co-visit graph, its communities, and how fine to cut them.

Louvain rather than Leiden: scikit-network's Leiden draws from the C library's `rand`, which no seed of ours reaches,
so that the same log would give other clusters each time. On real logs both find as many groups of the same sizes.

References: Blondel et al. (2008), "Fast unfolding of communities in large networks"; Brown et al. (1992),
"Class-based n-gram models of natural language", for the measure that chooses the granularity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sknetwork.clustering import Louvain

from personas.events import CODE, ENGAGEMENT, ITEM_ACTIONS
from personas.sessions import SessionLog

WINDOW = 10
"""Actions apart within which two items of a session count as visited together; bounds the work of long sessions."""

NEIGHBOURS = 30
"""Edges kept an item. More blurs the communities: popular items touch everything."""

MIN_SIZE = 4
"""Groups under this are merged: three items are a coincidence, and describe nothing."""

MAX_CLUSTERS = 1_000
"""Keeps the dense transition matrix at 4 MB or less."""

FINENESS = (0.8, 1.4)
"""Range of the number of groups, in units of sqrt(items). A step costs C (select) plus n/C (rank within what was
selected), least near sqrt(n); within the range the log decides, see `choose_groups`."""

HELD_OUT = 0.2
"""Share of the sessions, the latest, on which granularities are compared."""

MAX_RUNS = 12
"""Resolutions tried; each is a run of Louvain."""

_CODES = np.array(sorted(CODE[name] for name in ITEM_ACTIONS), dtype=np.int8)
_GAIN = np.array([max(ENGAGEMENT.get(name, 0.0), 0.0) for name in CODE], dtype=np.float64)


@dataclass(frozen=True)
class Visits:
    """Item actions of a log, in its order.

    position : (V,) int64 catalogue positions.  session : (V,) int64.
    weight : (V,) float64, decay of age, 1 for the latest.  gain : (V,) float64, engagement x weight.
    """

    position: np.ndarray
    session: np.ndarray
    weight: np.ndarray
    gain: np.ndarray

    def __len__(self) -> int:
        return len(self.position)

    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows of (item, next item, weight, session) within sessions, repeats of the same item left out."""
        here, there = self.position[:-1], self.position[1:]
        kept = (self.session[:-1] == self.session[1:]) & (here != there)
        return here[kept], there[kept], self.weight[1:][kept], self.session[1:][kept]


def visits(log: SessionLog, half_life_s: float | None) -> Visits:
    """The item actions of a log; without a half-life, or without a clock, age weighs nothing."""
    rows = np.flatnonzero((log.position >= 0) & np.isin(log.code, _CODES))
    at = log.at[rows]
    if half_life_s is None or log.clock == "order" or not len(rows):
        weight = np.ones(len(rows))
    elif half_life_s <= 0:
        raise ValueError(f"half_life_s {half_life_s} must be above 0")
    else:
        weight = np.exp2((at - at.max()) / half_life_s)
    return Visits(log.position[rows].astype(np.int64), log.session_of[rows], weight, weight * _GAIN[log.code[rows]])


def covisit_graph(seen: Visits, n: int) -> sparse.csr_matrix:
    """(n, n) symmetric CSR, cosine of two items' visits within `WINDOW` actions; the strongest `NEIGHBOURS` an item."""
    first, second, weight = [], [], []
    for lag in range(1, min(WINDOW, max(len(seen) - 1, 0)) + 1):
        near = (seen.session[lag:] == seen.session[:-lag]) & (seen.position[lag:] != seen.position[:-lag])
        first.append(seen.position[:-lag][near])
        second.append(seen.position[lag:][near])
        weight.append(seen.weight[lag:][near])
    if not first:
        return sparse.csr_matrix((n, n))
    counts = sparse.csr_matrix((np.concatenate(weight), (np.concatenate(first), np.concatenate(second))), shape=(n, n))
    counts = sparse.csr_matrix(counts + counts.T)
    scale = 1.0 / np.sqrt(np.maximum(np.bincount(seen.position, weights=seen.weight, minlength=n), 1e-12))
    cosine = sparse.csr_matrix(sparse.diags(scale) @ counts @ sparse.diags(scale))
    top = _strongest(cosine, NEIGHBOURS)
    return sparse.csr_matrix(top.maximum(top.T))


def _strongest(matrix: sparse.csr_matrix, keep: int) -> sparse.csr_matrix:
    """The `keep` largest entries of each row; ties go to the lower column."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    kept = order[np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr)) < keep]
    return sparse.csr_matrix((matrix.data[kept], (rows[kept], matrix.indices[kept])), shape=matrix.shape)


def choose_groups(
    graph: sparse.csr_matrix, seen: Visits, *, count_range: tuple[float, float] | None = None, least: int = MIN_SIZE
) -> np.ndarray:
    """(n,) int64 group of each item, -1 where it has no edge or its island is under `least`. Deterministic.

    Resolutions are tried from coarse to fine. Of those whose number of groups is in range (`FINENESS` x sqrt(items),
    or `count_range`), the one that best foretells held-out sessions is taken: mean log P(next item) under a class bigram,
    P(group | last group) P(item | group). If none is in range, the nearest.
    """
    linked = int((np.diff(graph.indptr) > 0).sum())
    if not linked:
        return np.full(graph.shape[0], -1, dtype=np.int64)
    low, high = count_range or (FINENESS[0] * math.sqrt(linked), FINENESS[1] * math.sqrt(linked))
    high = min(high, MAX_CLUSTERS)
    best_value, best = (-math.inf, -math.inf), np.full(graph.shape[0], -1, dtype=np.int64)
    resolution = 1.0
    direction = 0
    for _ in range(MAX_RUNS):
        groups = merge_small(graph, _communities(graph, resolution), least=least)
        count = int(groups.max()) + 1
        inside = low <= count <= high
        outside = 0.0 if inside else -abs(math.log(max(count, 1) / math.sqrt(low * high)))
        value = (outside, foretell(groups, seen) if inside else 0.0)
        if value > best_value:
            best_value, best = value, groups
        if direction == 0:
            direction = -1 if count > high else 1
        if (direction > 0 and count > high) or (direction < 0 and count < low):
            break
        step = math.sqrt(2.0) if count >= 0.6 * low else 2.0  # wide steps until the range is near
        resolution = resolution * step if direction > 0 else resolution / step
    return best


def _communities(graph: sparse.csr_matrix, resolution: float) -> np.ndarray:
    """Communities of the linked items, -1 for the others."""
    linked = np.flatnonzero(np.diff(graph.indptr))
    groups = np.full(graph.shape[0], -1, dtype=np.int64)
    part = sparse.csr_matrix(graph[linked][:, linked])
    groups[linked] = Louvain(resolution=resolution, shuffle_nodes=False, random_state=0).fit_predict(part)
    return groups


def merge_small(graph: sparse.csr_matrix, groups: np.ndarray, *, least: int = MIN_SIZE, most: int = MAX_CLUSTERS) -> np.ndarray:
    """Groups under `least` items, and the smallest beyond `most`, join the neighbour they are tied to most.

    Returns (n,) int64, groups numbered 0.. by size; -1 for what has no tie to any group that is kept.
    """
    n = len(groups)
    member = np.flatnonzero(groups >= 0)
    if not len(member):
        return groups
    _, label = np.unique(groups[member], return_inverse=True)
    while True:
        sizes = np.bincount(label)
        order = np.argsort(-sizes, kind="stable")
        kept = np.zeros(len(sizes), dtype=bool)
        kept[order[:most]] = True
        kept &= sizes >= least
        if kept.all():
            break
        k = len(sizes)
        belongs = sparse.csr_matrix((np.ones(len(member)), (member, label)), shape=(n, k))
        ties = sparse.csr_matrix(belongs.T @ graph @ belongs).tolil()
        ties.setdiag(0.0)
        ties = sparse.csr_matrix(ties)
        ties.eliminate_zeros()
        target = np.arange(k)
        receives = np.zeros(k, dtype=bool)
        # The smallest first, each into its strongest tie that isn't itself moving in this round.
        for small in [g for g in order[::-1].tolist() if not kept[g]]:
            row = slice(ties.indptr[small], ties.indptr[small + 1])
            near, tie = ties.indices[row], ties.data[row]
            settled = target[near] == near
            if settled.any() and not receives[small]:
                near, tie = near[settled], tie[settled]
                target[small] = near[np.lexsort((near, -tie))[0]]
                receives[target[small]] = True
        if (target == np.arange(k)).all():
            label = np.where(kept[label], label, -1)
            break
        _, label = np.unique(target[label], return_inverse=True)
    result = np.full(n, -1, dtype=np.int64)
    result[member] = label
    return renumber(result)


def renumber(groups: np.ndarray) -> np.ndarray:
    """Groups numbered 0.. by size, ties by first item; -1 stays."""
    inside = groups >= 0
    if not inside.any():
        return groups
    labels, first, inverse, sizes = np.unique(groups[inside], return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(labels))
    result = np.full(len(groups), -1, dtype=np.int64)
    result[inside] = rank[inverse]
    return result


def foretell(groups: np.ndarray, seen: Visits) -> float:
    """Mean log P(next item | last item's group) in nats, on the latest sessions after learning from the earlier ones.

    Counts are smoothed by half a visit. 0 without a held-out pair.
    """
    here, there, weight, session = seen.pairs()
    known = (groups[here] >= 0) & (groups[there] >= 0)
    here, there, weight, session = here[known], there[known], weight[known], session[known]
    if not len(here):
        return 0.0
    late = session > np.quantile(session, 1.0 - HELD_OUT)
    if not late.any() or late.all():
        return 0.0
    count = int(groups.max()) + 1
    a, b, early = groups[here], groups[there], ~late
    moves = np.bincount(a[early] * count + b[early], weights=weight[early], minlength=count * count).reshape(count, count)
    moves += moves.sum(0) / max(moves.sum(), 1.0) + 0.5 / count
    move = np.log(moves / moves.sum(1, keepdims=True))
    inside = groups >= 0
    items = np.bincount(there[early], weights=weight[early], minlength=len(groups)) + 0.5
    total = np.bincount(groups[inside], weights=items[inside], minlength=count)
    return float(np.mean(move[a[late], b[late]] + np.log(items[there[late]] / total[b[late]])))
