"""Which new cluster is which old one: ids, names and locks outlive a rebuild."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

SAME = 0.3
"""Least weighted Jaccard overlap at which a rebuilt cluster is the old one. Two halves of a split can both reach it,
the larger keeps the id; unrelated clusters don't."""

MOSTLY = 0.5
"""Share of a cluster that must have gone into, or come from, one other to make it a part of that one."""

NOTABLE = 0.2
"""Share of the whole under which a part is crumbs: a cluster that lost a tenth to another has not been split."""


@dataclass(frozen=True)
class Kinship:
    """What became of the old clusters in a rebuild. Places are columns of the two matrices compared.

    continued : (C_new,) int64 the old cluster that each new one is, -1 for none.
    new : places of clusters that are neither an old one, nor a part of a split, nor made of several old ones.
    retired : places of old clusters that are neither a new one, nor part of a merged one, nor split.
    split : place of an old cluster -> places of the new ones that it fell into, at least two, largest part first.
    merged : place of a new cluster -> places of the old ones that it was made of, at least two, largest part first.
    """

    continued: np.ndarray
    new: tuple[int, ...]
    retired: tuple[int, ...]
    split: dict[int, tuple[int, ...]]
    merged: dict[int, tuple[int, ...]]


def overlap(old: sparse.csr_matrix, new: sparse.csr_matrix, weight: np.ndarray) -> np.ndarray:
    """(C_old, C_new) weighted Jaccard: sum of weight x min(memberships) over sum of weight x max.

    old : (n, C_old), new : (n, C_new) memberships of the same items.  weight : (n,) above 0.
    """
    least = common(old, new, weight)
    most = (old.T @ weight)[:, None] + (new.T @ weight)[None, :] - least
    return np.asarray(np.divide(least, most, out=np.zeros_like(least), where=most > 0))


def common(old: sparse.csr_matrix, new: sparse.csr_matrix, weight: np.ndarray) -> np.ndarray:
    """(C_old, C_new) sum of weight x min(memberships); arguments as for `overlap`."""
    if old.shape[0] != new.shape[0]:
        raise ValueError(f"old clusters have {old.shape[0]} items, new have {new.shape[0]}")
    # Every pair of an item's old and new membership, without a loop over items: row i contributes old_i x new_i pairs.
    old_count, new_count = np.diff(old.indptr).astype(np.int64), np.diff(new.indptr).astype(np.int64)
    pairs = old_count * new_count
    item = np.repeat(np.arange(len(pairs)), pairs)
    place = np.arange(len(item)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    a = old.indptr[item] + place // np.maximum(new_count[item], 1)
    b = new.indptr[item] + place % np.maximum(new_count[item], 1)
    cell = old.indices[a].astype(np.int64) * new.shape[1] + new.indices[b]
    least = np.bincount(cell, weights=weight[item] * np.minimum(old.data[a], new.data[b]), minlength=old.shape[1] * new.shape[1])
    return least.reshape(old.shape[1], new.shape[1])


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


def kinship(old: sparse.csr_matrix, new: sparse.csr_matrix, weight: np.ndarray, pairs: np.ndarray) -> Kinship:
    """What became of each old cluster: arguments as for `overlap`; pairs as from `match`.

    A new cluster is a part of a split where at least half of it comes from one old cluster and is at least a fifth of
    that; an old one is part of a merged where at least half of it went into one new cluster and is at least a fifth of that.
    """
    if len(pairs) != new.shape[1]:
        raise ValueError(f"pairs {len(pairs)} are not one for each of {new.shape[1]} new clusters")
    moved = common(old, new, weight)
    whole_old, whole_new = np.asarray(old.T @ weight), np.asarray(new.T @ weight)
    of_old = moved / np.maximum(whole_old, 1e-12)[:, None]
    of_new = moved / np.maximum(whole_new, 1e-12)[None, :]
    part = (of_new >= MOSTLY) & (of_old >= NOTABLE)
    joined = (of_old >= MOSTLY) & (of_new >= NOTABLE)
    split = {a: _largest(moved[a], part[a]) for a in np.flatnonzero(part.sum(1) > 1).tolist()}
    merged = {b: _largest(moved[:, b], joined[:, b]) for b in np.flatnonzero(joined.sum(0) > 1).tolist()}
    parts = {b for places in split.values() for b in places}
    gone = set(pairs[pairs >= 0].tolist()) | {a for places in merged.values() for a in places} | set(split)
    return Kinship(
        continued=np.asarray(pairs, dtype=np.int64),
        new=tuple(b for b in np.flatnonzero(pairs < 0).tolist() if b not in parts and b not in merged),
        retired=tuple(a for a in range(old.shape[1]) if a not in gone),
        split=split,
        merged=merged,
    )


def _largest(amount: np.ndarray, which: np.ndarray) -> tuple[int, ...]:
    places = np.flatnonzero(which)
    return tuple(places[np.argsort(-amount[places], kind="stable")].tolist())
