"""Communities of a graph of items: cut anew, or gone on with from an earlier cut.

Louvain rather than Leiden: scikit-network's Leiden draws from the C library's `rand`, which no seed of ours reaches,
so that the same log would give other clusters each time. Leiden of a library that can't be a dependency (GPL) was a little better
on the same graphs: modularity after `merge_small` 0.856 for 0.854 (serenade_bol) and 0.661 for 0.650 (RetailRocket), groups as
many and as large. Going on from earlier groups, `regroup`, is worth more than that on RetailRocket.

References: Blondel et al. (2008), "Fast unfolding of communities in large networks"; Newman and Girvan (2004), "Finding and
evaluating community structure in networks"; Reichardt and Bornholdt (2006), "Statistical mechanics of community
detection", for the resolution.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sknetwork.clustering import Louvain

MIN_SIZE = 4
"""Groups under this are merged: three items are a coincidence, and describe nothing."""

MAX_CLUSTERS = 1_000
"""Keeps the dense transition matrix at 4 MB or less."""

SWEEPS = 12
"""Passes over the items at most in which they move to other groups; most have settled after half as many."""


def communities(graph: sparse.csr_matrix, resolution: float) -> np.ndarray:
    """Communities of the linked items, -1 for the others."""
    linked = np.flatnonzero(np.diff(graph.indptr))
    groups = np.full(graph.shape[0], -1, dtype=np.int64)
    part = sparse.csr_matrix(graph[linked][:, linked])
    groups[linked] = Louvain(resolution=resolution, shuffle_nodes=False, random_state=0).fit_predict(part)
    return groups


def regroup(graph: sparse.csr_matrix, start: np.ndarray, resolution: float, *, least: int = MIN_SIZE) -> np.ndarray:
    """(n,) int64 groups that go on from earlier ones: Louvain's local moving, begun from them instead of from single items.

    Groups without a tie left within them are dissolved. Items without a tie stay where they were: nobody looking at them
    lately says nothing against it. Items that were in no group form new ones, or join.
    """
    n = graph.shape[0]
    degree = np.asarray(graph.sum(1)).ravel()
    total = float(degree.sum())
    alive = np.zeros(int(start.max(initial=-1)) + 1, dtype=bool)
    edges = graph.tocoo()
    inner = (start[edges.row] == start[edges.col]) & (start[edges.row] >= 0) & (edges.row != edges.col)
    alive[start[edges.row[inner]]] = True
    groups = np.where((start >= 0) & np.append(alive, False)[start], start, -1).astype(np.int64)
    old = len(alive)
    free = np.flatnonzero((groups < 0) & (degree > 0))
    groups[free] = old + np.arange(len(free))
    # Half of the items move at a time, for two that change places at once would do so for ever.
    half = (np.arange(n, dtype=np.uint64) * np.uint64(2_654_435_761) >> np.uint64(7)) % np.uint64(2)
    for sweep in range(SWEEPS):
        item, group, gain, here = _gains(graph, groups, degree, resolution / total)
        moving = (gain > here[item] + 1e-12) & (half[item] == sweep % 2)
        groups[item[moving]] = group[moving]
        if moving.sum() <= n // 2_000 and sweep % 2:
            break
    return merge_small(graph, _joined(graph, groups, old, degree, resolution / total), least=least)


def _gains(
    graph: sparse.csr_matrix, groups: np.ndarray, degree: np.ndarray, strain: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each item that is tied to another group: item, its best other group, what being there is worth, and, for all n
    items, what being where they are is worth. strain : resolution over the sum of degrees."""
    n = len(groups)
    inside = np.flatnonzero(groups >= 0)
    belongs = sparse.csr_matrix((np.ones(len(inside)), (inside, groups[inside])), shape=(n, int(groups.max()) + 1))
    weight = belongs.T @ degree
    ties = sparse.csr_matrix(graph @ belongs).tocoo()
    own = ties.col == groups[ties.row]
    here = -strain * degree * (np.where(groups >= 0, weight[groups], degree) - degree)
    here[ties.row[own]] += ties.data[own]
    row, column = ties.row[~own].astype(np.int64), ties.col[~own].astype(np.int64)
    gain = ties.data[~own] - strain * degree[row] * weight[column]
    order = np.lexsort((column, -gain, row))
    first = order[np.append(True, row[order][1:] != row[order][:-1])] if len(order) else order
    return row[first], column[first], gain[first], here


def _joined(graph: sparse.csr_matrix, groups: np.ndarray, old: int, degree: np.ndarray, strain: float) -> np.ndarray:
    """Groups with the new ones, from number `old` on, joined to those that they gain most by joining."""
    inside = np.flatnonzero(groups >= 0)
    _, label = np.unique(groups[inside], return_inverse=True)
    new = np.zeros(int(label.max(initial=-1)) + 1, dtype=bool)
    new[label[groups[inside] >= old]] = True
    while True:
        k = len(new)
        belongs = sparse.csr_matrix((np.ones(len(inside)), (inside, label)), shape=(len(groups), k))
        ties = sparse.csr_matrix(belongs.T @ graph @ belongs)
        own, best, gain, _ = _gains(ties - sparse.diags(ties.diagonal()), np.arange(k), np.asarray(belongs.T @ degree), strain)
        joins = new[own] & (gain > 1e-12)
        target = np.arange(k)
        target[own[joins]] = best[joins]
        # A group that others join stays for this round; of two that want each other, the lower stays.
        stays = np.zeros(k, dtype=bool)
        stays[target[own[joins]]] = True
        pair = target[target] == np.arange(k)
        stays &= ~(new & pair & (target < np.arange(k)))
        target = np.where(stays, np.arange(k), target)
        if (target == np.arange(k)).all():
            break
        kept, compact = np.unique(target, return_inverse=True)
        label, new = compact[label], new[kept]
    result = np.full(len(groups), -1, dtype=np.int64)
    result[inside] = label
    return result


def modularity(graph: sparse.csr_matrix, groups: np.ndarray, resolution: float) -> float:
    """Newman and Girvan's, with a resolution: share of the ties within groups less what chance would put there."""
    inside = np.flatnonzero(groups >= 0)
    count = int(groups.max(initial=-1)) + 1
    belongs = sparse.csr_matrix((np.ones(len(inside)), (inside, groups[inside])), shape=(len(groups), count))
    weight = belongs.T @ np.asarray(graph.sum(1)).ravel()
    total = float(graph.sum())
    return float(
        ((belongs.T @ graph).multiply(belongs.T).sum() / total - resolution * ((weight / total) ** 2).sum()) if total else 0.0
    )


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


def effective(groups: np.ndarray) -> float:
    """Inverse Simpson index, 1 / sum of squared shares of the items: how many groups of the same size would be as fine.

    A sparse log falls into many islands of a few items beside a few huge groups; their mere number says nothing of these.
    """
    sizes = np.bincount(groups[groups >= 0])
    return float(sizes.sum() ** 2 / np.maximum((sizes**2).sum(), 1))
