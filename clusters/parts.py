"""Parts of a cluster that is too large to take in at a glance, named for people. Serving doesn't know them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sknetwork.clustering import Louvain

from clusters.catalogue import Catalogue
from clusters.communities import merge_small
from clusters.memberships import rows_to_one
from clusters.naming import cluster_names, descriptor_lift

SHOWN = 120
"""Items above which a cluster is shown in parts: five screens of a shelf are as many as anybody looks through."""

MOST_PARTS = 12
LEAST_PART = 8
"""Items under which a part isn't worth a heading of its own."""

THIN = 0.5
"""Share of the items that must be moved between within the cluster for moves to part it; else descriptors do."""

SAME = 0.8
"""Share of the items of a cluster, as it was and as it is, that both must have for its parts to stay. Retiring one cluster of 400
brings some items to each of a hundred, and an edit is served in seconds."""

PARTING = ("category", "tag", "brand", "colour", "price_tier")
"""Kinds of descriptors that part a cluster, in the order of what people look for first."""


@dataclass(frozen=True)
class Parts:
    """Parts of one cluster of m items. part : (m,) int16 place in `names`, -1 where it has none.  names : distinct."""

    part: np.ndarray
    names: tuple[str, ...]


def part(items: np.ndarray, moves: sparse.csr_matrix, gain: np.ndarray, catalogue: Catalogue) -> Parts:
    """The parts of a cluster; none where it has at most `SHOWN` items, or nothing tells them apart. Deterministic.

    items : (m,) positions, ascending.  moves, gain : as in `Behaviour`.
    """
    none = Parts(np.full(len(items), -1, dtype=np.int16), ())
    if len(items) <= SHOWN:
        return none
    within = sparse.csr_matrix(moves[items][:, items])
    within = sparse.csr_matrix(within + within.T)
    linked = np.diff(within.indptr) > 0
    groups = _by_moves(within, linked) if linked.mean() >= THIN else _by_descriptors(items, catalogue)
    count = int(groups.max(initial=-1)) + 1
    if count < 2:
        return none
    groups = _all_placed(groups, count, catalogue.item_descriptors[items])
    inside = groups >= 0
    shape = (count, len(catalogue))
    whole = sparse.csr_matrix((np.ones(inside.sum()), (groups[inside], items[inside])), shape=shape)
    # What a part has more of than the cluster has, not than the shop has: that is what the cluster's own name says.
    lift = descriptor_lift(sparse.csr_matrix(whole[:, items]), sparse.csr_matrix(catalogue.item_descriptors[items]))
    names = cluster_names(whole, lift, catalogue, gain, given=("",) * count)
    return Parts(groups.astype(np.int16), names)


def kept(was: Parts, old: np.ndarray, items: np.ndarray, catalogue: Catalogue) -> Parts | None:
    """The parts of a cluster that had other items, with what is new in the part it is most like; None where they no longer hold.

    was : parts of `old`.  old, items : positions before and now, ascending.
    """
    if np.array_equal(old, items):
        return was
    both, before, now = np.intersect1d(old, items, assume_unique=True, return_indices=True)
    if min(len(old), len(items)) <= SHOWN or len(both) < SAME * (len(old) + len(items) - len(both)):
        return None
    groups = np.full(len(items), -1, dtype=np.int64)
    groups[now] = was.part[before]
    if was.names:
        fresh = np.setdiff1d(np.arange(len(items)), now)
        groups[fresh] = _all_placed(groups, len(was.names), catalogue.item_descriptors[items])[fresh]
        if np.bincount(groups[groups >= 0], minlength=len(was.names)).min() == 0:
            return None
    return Parts(groups.astype(np.int16), was.names)


def _by_moves(within: sparse.csr_matrix, linked: np.ndarray) -> np.ndarray:
    """(m,) communities of the moves within the cluster, -1 where an item has none."""
    groups = np.full(len(linked), -1, dtype=np.int64)
    inside = np.flatnonzero(linked)
    louvain = Louvain(shuffle_nodes=False, random_state=0, return_probs=False, return_aggregate=False)
    groups[inside] = louvain.fit_predict(sparse.csr_matrix(within[inside][:, inside]))
    return merge_small(within, groups, least=max(LEAST_PART, len(linked) // (4 * MOST_PARTS)), most=MOST_PARTS)


def _by_descriptors(items: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """(m,) by the first kind of descriptor of which at least two values part most of the items, -1 for the others."""
    described = sparse.csc_matrix(catalogue.item_descriptors[items])
    kind_of = np.array([name.partition("=")[0] for name in catalogue.descriptors])
    for kind in PARTING:
        columns = np.flatnonzero(kind_of == kind)
        if not len(columns):
            continue
        sizes = np.diff(described.indptr)[columns]
        order = np.argsort(-sizes, kind="stable")[:MOST_PARTS]
        chosen = columns[order][sizes[order] >= LEAST_PART]
        groups = np.full(len(items), -1, dtype=np.int64)
        for g, column in reversed(list(enumerate(chosen.tolist()))):  # of several tags, the most frequent places an item
            groups[described.indices[described.indptr[column] : described.indptr[column + 1]]] = g
        _, groups = np.unique(np.append(groups, -1), return_inverse=True)
        groups = groups[:-1] - 1
        if groups.max() >= 1 and (groups >= 0).mean() >= THIN and np.bincount(groups + 1)[1:].max() < 0.9 * len(items):
            return groups
    return np.full(len(items), -1, dtype=np.int64)


def _all_placed(groups: np.ndarray, count: int, described: sparse.csr_matrix) -> np.ndarray:
    """Items in no part are put in the one whose descriptors are most like theirs, where any is."""
    loose = np.flatnonzero(groups < 0)
    if not len(loose) or not described.nnz:
        return groups
    inside = np.flatnonzero(groups >= 0)
    member = sparse.csr_matrix((np.ones(len(inside)), (groups[inside], inside)), shape=(count, len(groups)))
    centre = rows_to_one(sparse.csr_matrix(member @ described), power=2)
    alike = np.asarray((described[loose] @ centre.T).toarray())
    placed = groups.copy()
    placed[loose] = np.where(alike.max(1) > 0, alike.argmax(1), -1)
    return placed
