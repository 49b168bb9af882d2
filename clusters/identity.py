"""Which new cluster is which old one: ids, names and locks outlive a rebuild."""

from __future__ import annotations

import numpy as np
from scipy import sparse

SAME = 0.3
"""Least weighted Jaccard overlap at which a rebuilt cluster is the old one. Two halves of a split can both reach it,
the larger keeps the id; unrelated clusters don't."""


def overlap(old: sparse.csr_matrix, new: sparse.csr_matrix, weight: np.ndarray) -> np.ndarray:
    """(C_old, C_new) weighted Jaccard: sum of weight x min(memberships) over sum of weight x max.

    old : (n, C_old), new : (n, C_new) memberships of the same items.  weight : (n,) above 0.
    """
    if old.shape[0] != new.shape[0]:
        raise ValueError(f"old clusters have {old.shape[0]} items, new have {new.shape[0]}")
    # Every pair of an item's old and new membership, without a loop over items: row i contributes old_i x new_i pairs.
    old_count, new_count = np.diff(old.indptr), np.diff(new.indptr)
    pairs = old_count * new_count
    item = np.repeat(np.arange(len(pairs)), pairs)
    place = np.arange(len(item)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    a = old.indptr[item] + place // np.maximum(new_count[item], 1)
    b = new.indptr[item] + place % np.maximum(new_count[item], 1)
    cell = old.indices[a].astype(np.int64) * new.shape[1] + new.indices[b]
    least = np.bincount(cell, weights=weight[item] * np.minimum(old.data[a], new.data[b]), minlength=old.shape[1] * new.shape[1])
    least = least.reshape(old.shape[1], new.shape[1])
    most = (old.T @ weight)[:, None] + (new.T @ weight)[None, :] - least
    return np.asarray(np.divide(least, most, out=np.zeros_like(least), where=most > 0))


def match(overlaps: np.ndarray, least: float = SAME) -> np.ndarray:
    """(C_new,) int64 old row of each new one, -1 for a new cluster; the greatest overlap first, each used once."""
    result = np.full(overlaps.shape[1], -1, dtype=np.int64)
    old, new = np.nonzero(overlaps >= least)
    used: set[int] = set()
    for i in np.lexsort((new, old, -overlaps[old, new])).tolist():
        a, b = int(old[i]), int(new[i])
        if a not in used and result[b] < 0:
            result[b] = a
            used.add(a)
    return result
