"""How much an item belongs to a cluster: from co-visits, from likeness of descriptors, and several kinds taken together."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from clusters.learned import CO_VISIT, SEARCH

NO_CLUSTER = -1
"""Cluster position of an item that is in none."""

WEAK_MEMBER = 0.2
"""Share of an item's edges that must lead to another cluster to make it a weak member there."""

WEAK_MEMBERSHIPS = 2
"""Clusters of co-visits an item may belong to beside its own."""

SEARCH_MEMBERSHIPS = 3
"""Clusters of searches an item may belong to, the strongest: words such as "gift" lead to everything."""

SEARCH_PART = 0.4
"""Part of an item's membership that goes to clusters of searches, where it is in both kinds. With 60 planted ones beside the 304
of visits on serenade_bol, the next item lay in the selected clusters for 88.3 to 88.5 % of prefixes with 0.2 to 0.5, for 88.4 %
without them: enough for them to be selected, 1.4 of 10, and no loss."""

OWN = 1.001
"""Times the strongest tie that an item's own group counts."""

LIKENESS = 0.25
"""Least cosine of descriptors at which an item that was never visited joins a cluster."""


def covisit_memberships(
    graph: sparse.csr_matrix, groups: np.ndarray, item_descriptors: sparse.csr_matrix, visited: np.ndarray
) -> tuple[sparse.csr_matrix, bool]:
    """(n, C) memberships that sum to 1 by item, and whether the last cluster is "Other items".

    graph : (n, n) co-visits.  groups : (n,) group of each item, -1 none.  visited : positions of items that were visited.
    """
    n, c = len(groups), int(groups.max(initial=-1)) + 1
    grouped = np.flatnonzero(groups >= 0)
    belongs = sparse.csr_matrix((np.ones(len(grouped)), (grouped, groups[grouped])), shape=(n, c))
    edges = rows_to_one(sparse.csr_matrix(graph @ belongs), power=1).tocoo()
    own = groups[edges.row] == edges.col
    strongest = np.zeros(n)
    np.maximum.at(strongest, edges.row, edges.data)
    order = np.lexsort((edges.col, -edges.data, edges.row))
    rank = np.empty(len(order), dtype=np.int64)
    others = np.cumsum(~own[order])
    start = np.searchsorted(edges.row[order], np.arange(n))
    rank[order] = others - np.concatenate(([0], others))[start][edges.row[order]]
    weak = ~own & (edges.data >= WEAK_MEMBER) & (rank <= WEAK_MEMBERSHIPS) & (groups[edges.row] >= 0)
    rows = np.concatenate((grouped, edges.row[weak]))
    columns = np.concatenate((groups[grouped], edges.col[weak]))
    # An item's own group is its strongest by a hair: were it level with another, a rebuild would go on from the other.
    weights = np.concatenate((np.maximum(strongest[grouped], WEAK_MEMBER) * OWN, edges.data[weak]))
    of_item = rows_to_one(sparse.csr_matrix((weights, (rows, columns)), shape=(n, c)), power=1)
    loose = np.flatnonzero(groups < 0)
    alike = likeness(of_item, loose, item_descriptors)
    if alike.size:
        joins = np.flatnonzero(alike.max(1) >= LIKENESS)
        by_likeness = sparse.csr_matrix((np.ones(len(joins)), (loose[joins], alike[joins].argmax(1))), shape=(n, c))
        of_item = sparse.csr_matrix(of_item + by_likeness)
    alone = np.setdiff1d(visited, np.flatnonzero(np.diff(of_item.indptr)))
    if not len(alone):
        return of_item, False
    other = sparse.csr_matrix((np.ones(len(alone)), (alone, np.zeros(len(alone), dtype=np.int64))), shape=(n, 1))
    return sparse.csr_matrix(sparse.hstack([of_item, other])), True


def search_memberships(of_item: sparse.csr_matrix) -> sparse.csr_matrix:
    """The strongest `SEARCH_MEMBERSHIPS` of each row; ties go to the lower column."""
    rows = np.repeat(np.arange(of_item.shape[0]), np.diff(of_item.indptr))
    order = np.lexsort((of_item.indices, -of_item.data, rows))
    kept = order[np.arange(of_item.nnz) - np.repeat(of_item.indptr[:-1], np.diff(of_item.indptr)) < SEARCH_MEMBERSHIPS]
    return sparse.csr_matrix((of_item.data[kept], (rows[kept], of_item.indices[kept])), shape=of_item.shape)


def likeness(of_item: sparse.csr_matrix, items: np.ndarray, item_descriptors: sparse.csr_matrix) -> np.ndarray:
    """(m, C) float32 cosine of m items' descriptors with those of each cluster's items, rare ones weighing more."""
    n, c = of_item.shape
    if not (len(items) and c and item_descriptors.nnz):
        return np.zeros((len(items), c), dtype=np.float32)
    rarity = np.log1p(n / np.maximum(np.asarray(item_descriptors.sum(0)).ravel(), 1.0))
    weighted = rows_to_one(sparse.csr_matrix(item_descriptors @ sparse.diags(rarity)), power=2)
    centre = rows_to_one(sparse.csr_matrix(of_item.T @ weighted), power=2).T.toarray()
    result = np.empty((len(items), c), dtype=np.float32)
    for start in range(0, len(items), 4_096):  # a block at a time: the product is made in double precision
        result[start : start + 4_096] = weighted[items[start : start + 4_096]] @ centre
    return result


def joined(weights: sparse.csr_matrix, kinds: tuple[str, ...]) -> sparse.csr_matrix:
    """(n, C) float32 memberships, each item's of all kinds together summing to 1.

    weights : (n, C) memberships of each kind for itself. Searches' weigh less (`SEARCH_PART`), and are not more than one
    membership of the other kinds, however many searches find an item: few shoppers search, all view.
    """
    if not weights.shape[1]:
        return sparse.csr_matrix(weights.shape, dtype=np.float32)
    searched = np.array([kind == SEARCH for kind in kinds])
    found = np.asarray(weights @ searched.astype(np.float64)).ravel()
    factor = np.where(searched[weights.indices], SEARCH_PART, 1.0 - SEARCH_PART)
    factor = factor / np.where(searched[weights.indices], np.repeat(np.maximum(found, 1.0), np.diff(weights.indptr)), 1.0)
    scaled = sparse.csr_matrix((weights.data * factor, weights.indices, weights.indptr), shape=weights.shape)
    result = sparse.csr_matrix(rows_to_one(scaled, power=1), dtype=np.float32)
    result.sort_indices()
    return result


def primary_of(weights: sparse.csr_matrix, kinds: tuple[str, ...]) -> np.ndarray:
    """(n,) int32 the cluster in which the ranker counts each item, `NO_CLUSTER` where it is in none.

    The strongest membership in a cluster of co-visits. One made by hand comes before it as far as it takes the place of
    learned ones: by its weight times what co-visits left of the item. Clusters of searches come last.
    """
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    learned = np.array([kind == CO_VISIT for kind in kinds], dtype=bool)[weights.indices]
    searched = np.array([kind == SEARCH for kind in kinds], dtype=bool)[weights.indices]
    left = np.maximum(1.0 - np.bincount(rows, weights.data * learned, minlength=weights.shape[0]), 1e-3)
    claim = np.where(learned, weights.data, weights.data * left[rows])
    claim = np.where(searched, claim * 1e-6, claim)
    order = np.lexsort((-weights.indices, claim, rows))
    result = np.full(weights.shape[0], NO_CLUSTER, dtype=np.int32)
    result[rows[order]] = weights.indices[order]  # the last written of a row is its greatest
    return result


def rows_to_one(matrix: sparse.csr_matrix, *, power: int) -> sparse.csr_matrix:
    """Rows divided by their sum (power 1) or their length (power 2); empty rows and empty matrices stay."""
    total = np.asarray(abs(matrix).power(power).sum(1)).ravel() ** (1.0 / power)
    return sparse.csr_matrix(sparse.diags(1.0 / np.where(total > 0, total, 1.0)) @ matrix)
