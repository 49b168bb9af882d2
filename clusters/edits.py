"""What merchandisers decided of clusters, in the form that a rebuild and a release take it, and what it makes of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from clusters import kept_out
from clusters.catalogue import Catalogue
from clusters.learned import Behaviour, Learned
from clusters.memberships import LIKENESS, WEAK_MEMBER, likeness

REPEATS = 0.6
"""Share of a new cluster that must lie in one that merchandisers made for it not to be made again."""

PART = 0.2
"""Share of the merchandisers' cluster that it must then be: a department that was imported isn't repeated by what is in it."""

BLOCK = 4_096
"""Items that are tied to clusters at a time: of a catalogue's leftovers, all by all clusters would be gigabytes."""


@dataclass(frozen=True)
class ClusterEdit:
    """One cluster's. Items are named by id; those that a catalogue lacks are passed over.

    Edits are given all at once: a learned cluster without one is as learning made it, another kind without one is gone.
    A cluster that was given back to learning has one without members, till a rebuild has learned it.

    name : "" where learning names it.  kind : of `ItemClusters.kinds`.  locked : its items stay as they are.
    members : item id -> weight of a cluster whose items are the merchandiser's (hand-made, imported, merged, split, locked);
        None where learning decides on them.
    core, excluded : item ids that are always, never in it.  taken : that learning took in: always in it too, but no more than
        that.  lessened : item id -> factor in (0, 1) by which its membership is
        multiplied; `members` have it in them already.  ties : cluster id -> least share, in (0, 1], of this cluster's relations
        that goes there; a cluster that isn't served is passed over.
    bars : kinds of items (`clusters.kept_out`) that it takes in none of, core ones apart.  barred : ids of the items that are of
        them by what the shop's rows say; None where the catalogue tells, which may be older.
    minimum, maximum : size, None for no bound; of no effect where the items are the merchandiser's, who sees in the rows what
        is served.
    retired : a learned cluster that was taken out by hand. It isn't served; its `members` are given so that a rebuild doesn't
        make a cluster that repeats it. Its row is retired and locked, which no rebuild makes of a learned one by itself.
    """

    cluster_id: int
    kind: str
    name: str = ""
    locked: bool = False
    members: Mapping[int, float] | None = None
    core: frozenset[int] = field(default_factory=frozenset)
    excluded: frozenset[int] = field(default_factory=frozenset)
    taken: frozenset[int] = field(default_factory=frozenset)
    lessened: Mapping[int, float] = field(default_factory=dict)
    ties: Mapping[int, float] = field(default_factory=dict)
    bars: tuple[str, ...] = ()
    barred: frozenset[int] | None = None
    minimum: int | None = None
    maximum: int | None = None
    retired: bool = False

    @property
    def decides(self) -> bool:
        """Whether anything is decided; nothing is of a cluster that was just given back to learning."""
        return replace(self, barred=None) != ClusterEdit(self.cluster_id, self.kind)


@dataclass(frozen=True)
class Edited:
    """C clusters over n items with the edits applied, ids ascending.

    weights : (n, C) float32 CSR, memberships of each kind for itself, before any is lessened.  left : (nnz,) float32 in (0, 1],
    what lessening leaves of each of them, 1 for all of it.  locked, owned : (C,) bool; owned ones' items are the
    merchandiser's.  place : (C,) int64 in `Learned`, -1 for owned ones.  names : "" where neither side gave one.
    """

    cluster_ids: np.ndarray
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    weights: sparse.csr_matrix
    left: np.ndarray
    locked: np.ndarray
    owned: np.ndarray
    place: np.ndarray


def apply_edits(learned: Learned, behaviour: Behaviour, catalogue: Catalogue, edits: Sequence[ClusterEdit]) -> Edited:
    """What the edits make of the learned clusters.

    An excluded item leaves, and so does one of a kind that is kept out; a core or taken one weighs at least the cluster's
    median, a lessened one what its factor leaves. Above its maximum, a cluster loses those that weigh least, core items never;
    under its minimum it gains the items whose shoppers come from or go to it most, then those most like it. An item that is in
    nothing by then goes where it is next most tied, in the same sense; never into a cluster that excludes it or keeps it out, is
    bounded from above, locked or owned. A learned cluster without items isn't made.
    """
    by_id = {edit.cluster_id: edit for edit in edits}
    columns = _columns(learned, catalogue, by_id)
    n = learned.of_item.shape[0]
    weights = sparse.csc_matrix(
        (
            np.concatenate([c.weights for c in columns] or [np.zeros(0)]).astype(np.float32),
            np.concatenate([c.items for c in columns] or [np.zeros(0, dtype=np.int64)]),
            np.cumsum([0, *(len(c.items) for c in columns)]),
        ),
        shape=(n, len(columns)),
    )
    ties = _Ties(behaviour, catalogue)
    changed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for c, column in enumerate(columns):
        if column.edit is not None and not column.as_it_is:
            changed[c] = _bounded(column, ties)
    weights = _replaced(weights, changed)
    weights = _settled(weights, columns, learned, behaviour, catalogue, ties)
    kept = [c for c, column in enumerate(columns) if column.place < 0 or weights.indptr[c + 1] > weights.indptr[c]]
    columns = [columns[c] for c in kept]
    edited = [c.edit for c in columns]
    by_item = sparse.csr_matrix(weights[:, kept])
    by_item.sort_indices()
    return Edited(
        cluster_ids=np.array([c.cluster_id for c in columns], dtype=np.int64),
        names=tuple((e.name if e else "") or c.name for e, c in zip(edited, columns, strict=True)),
        kinds=tuple(c.kind for c in columns),
        weights=by_item,
        left=_left(by_item, columns),
        locked=np.array([e is not None and e.locked for e in edited], dtype=bool),
        owned=np.array([c.place < 0 for c in columns], dtype=bool),
        place=np.array([c.place for c in columns], dtype=np.int64),
    )


def without_repeats(
    of_item: sparse.csr_matrix, new: np.ndarray, gain: np.ndarray, catalogue: Catalogue, edits: Sequence[ClusterEdit]
) -> np.ndarray:
    """(C,) bool, which learned clusters to make: a `new` one that repeats what merchandisers made, or took out, isn't.

    of_item : (n, C) memberships.  new : (C,) bool.  gain : (n,) engagement, by which items count.
    """
    made = np.ones(of_item.shape[1], dtype=bool)
    theirs = [_owned_items(edit, catalogue)[0] for edit in edits if edit.members is not None]
    if not theirs or not new.any():
        return made
    weight = gain.astype(np.float64) + 1.0
    within = sparse.csr_matrix(
        (np.ones(sum(map(len, theirs))), np.concatenate(theirs), np.cumsum([0, *map(len, theirs)])),
        shape=(len(theirs), of_item.shape[0]),
    )
    shared = np.asarray((within @ sparse.diags(weight) @ of_item).toarray())
    whole, of_theirs = of_item.T @ weight, np.maximum(within @ weight, 1e-12)
    repeats = (shared >= REPEATS * whole[None, :]) & (shared >= PART * of_theirs[:, None])
    return made & ~(new & repeats.any(0))


@dataclass(frozen=True)
class _Column:
    """One cluster before its bounds. place : in `Learned`, -1 for an owned one.  core, taken, excluded, lessened : positions.

    excluded : those kept out by their kind, too.  factors : of `lessened`.
    """

    cluster_id: int
    kind: str
    name: str
    items: np.ndarray
    weights: np.ndarray
    place: int
    edit: ClusterEdit | None
    core: np.ndarray
    taken: np.ndarray
    excluded: np.ndarray
    lessened: np.ndarray
    factors: np.ndarray

    @property
    def as_it_is(self) -> bool:
        """Whether nothing is said by which items could come, go or weigh otherwise, as of most that merchandisers made."""
        said = self.edit is not None and (len(self.core) or len(self.taken) or len(self.excluded))
        sized = self.place >= 0 and self.edit is not None and (self.edit.minimum or self.edit.maximum)
        return not said and not sized

    @property
    def takes_in(self) -> bool:
        """Whether items that have nowhere else to go may come here."""
        return self.place >= 0 and (self.edit is None or (self.edit.maximum is None and not self.edit.locked))


def _columns(learned: Learned, catalogue: Catalogue, by_id: Mapping[int, ClusterEdit]) -> list[_Column]:
    """Learned and owned clusters by ascending id."""
    columns = []
    by_cluster = learned.of_item.tocsc()
    nothing = np.zeros(0, dtype=np.int64)
    for place, (cluster_id, kind, name) in enumerate(
        zip(learned.cluster_ids.tolist(), learned.kinds, learned.names, strict=True)
    ):
        edit = by_id.get(cluster_id)
        if edit is not None and (edit.retired or edit.members is not None):
            continue
        entries = slice(by_cluster.indptr[place], by_cluster.indptr[place + 1])
        items, weights = by_cluster.indices[entries].astype(np.int64), by_cluster.data[entries]
        said = (nothing, nothing, nothing, nothing, np.zeros(0)) if edit is None else _said(edit, catalogue)
        columns.append(_Column(cluster_id, kind, name, items, weights, place, edit, *said))
    for edit in by_id.values():
        if edit.members is None or edit.retired:
            continue
        items, weights = _owned_items(edit, catalogue)
        columns.append(_Column(edit.cluster_id, edit.kind, edit.name, items, weights, -1, edit, *_said(edit, catalogue)))
    return sorted(columns, key=lambda c: c.cluster_id)


def _said(edit: ClusterEdit, catalogue: Catalogue) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions of core, taken, excluded and lessened items, and the factors of the last."""
    lessened = _known(edit.lessened, catalogue)
    factors = np.array([edit.lessened[item] for item in catalogue.item_ids[lessened].tolist()])
    # Where the items are the merchandiser's, those that they kept are among them.
    taken = _known(edit.taken if edit.members is None else (), catalogue)
    core = _known(edit.core, catalogue)
    out = _known(edit.excluded, catalogue)
    if edit.bars:
        out = np.union1d(out, np.setdiff1d(_barred(edit, catalogue), core)).astype(np.int64)
    return core, taken, out, lessened, factors


def _barred(edit: ClusterEdit, catalogue: Catalogue) -> np.ndarray:
    """Positions of the items of the kinds that a cluster takes in none of."""
    if not edit.bars:
        return np.zeros(0, dtype=np.int64)
    if edit.barred is None:
        return np.flatnonzero(kept_out.under(catalogue, edit.bars))
    return _known(edit.barred, catalogue)


def _left(weights: sparse.csr_matrix, columns: Sequence[_Column]) -> np.ndarray:
    """`Edited.left`."""
    left = np.ones(weights.nnz, dtype=np.float32)
    for c, column in enumerate(columns):
        for item, factor in zip(column.lessened.tolist(), column.factors.tolist(), strict=True):
            start, stop = weights.indptr[item], weights.indptr[item + 1]
            place = start + np.searchsorted(weights.indices[start:stop], c)
            if place < stop and weights.indices[place] == c:
                left[place] = factor
    return left


def _known(item_ids: Collection[int], catalogue: Catalogue) -> np.ndarray:
    """Positions of those that the catalogue has, ascending."""
    if not item_ids:
        return np.zeros(0, dtype=np.int64)
    positions = catalogue.positions(sorted(item_ids))
    return positions[positions >= 0].astype(np.int64)


def _owned_items(edit: ClusterEdit, catalogue: Catalogue) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of the members that the catalogue has, ascending; of lessened ones the weights before that."""
    members = sorted((edit.members or {}).items())
    positions = catalogue.positions(item for item, _ in members)
    there = positions >= 0
    whole = [min(weight / edit.lessened[item], 1.0) if item in edit.lessened else weight for item, weight in members]
    weights = np.array(whole, dtype=np.float32)
    return positions[there].astype(np.int64), weights[there]


class _Ties:
    """How near items are to clusters: by moves between them, made when first asked for."""

    def __init__(self, behaviour: Behaviour, catalogue: Catalogue) -> None:
        self._behaviour, self.catalogue = behaviour, catalogue
        self._either: sparse.csr_matrix | None = None
        self._strength = np.zeros(0)

    def by_moves(self, weights: sparse.spmatrix, items: np.ndarray | None = None) -> np.ndarray:
        """(m, C) share of an item's moves, either way, that are to or from each cluster's items."""
        if self._either is None:
            moves = self._behaviour.moves
            self._either = sparse.csr_matrix(moves + moves.T)
            self._strength = np.asarray(self._either.sum(1)).ravel()
        either, strength = self._either, self._strength
        if items is not None:
            either, strength = either[items], strength[items]
        return np.asarray((either @ weights).toarray() / np.maximum(strength, 1e-12)[:, None])


def _bounded(column: _Column, ties: _Ties) -> tuple[np.ndarray, np.ndarray]:
    """Items and weights of a cluster after what is excluded, core, above the maximum, under the minimum."""
    edit = column.edit
    assert edit is not None
    bounded = column.place >= 0 and not edit.locked
    stays = ~np.isin(column.items, column.excluded)
    items, weights = column.items[stays], column.weights[stays]
    core = np.setdiff1d(column.core, column.excluded)
    kept = np.union1d(core, np.setdiff1d(column.taken, column.excluded))
    if len(kept):
        median = float(np.median(weights)) if len(weights) else 1.0
        fresh = np.setdiff1d(kept, items)
        weights = np.where(np.isin(items, kept), np.maximum(weights, median), weights)
        items, weights = np.append(items, fresh), np.append(weights, np.full(len(fresh), median))
    if bounded and edit.maximum is not None and len(items) > edit.maximum:
        counts = weights.astype(np.float64)
        _, at, which = np.intersect1d(items, column.lessened, return_indices=True)
        counts[at] *= column.factors[which]
        order = np.lexsort((items, -counts, ~np.isin(items, core)))[: max(edit.maximum, len(core))]
        items, weights = items[order], weights[order]
    if bounded and edit.minimum is not None and len(items) < edit.minimum:
        more, near = _nearest(items, weights, np.append(items, column.excluded), edit.minimum - len(items), ties)
        items, weights = np.append(items, more), np.append(weights, near)
    order = np.argsort(items, kind="stable")
    return items[order], weights[order]


def _nearest(items: np.ndarray, weights: np.ndarray, out: np.ndarray, count: int, ties: _Ties) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` items nearest to a cluster, none of `out`: by moves, then by descriptors; and their weights."""
    n = len(ties.catalogue)
    own = sparse.csc_matrix((weights, (items, np.zeros(len(items), dtype=np.int64))), shape=(n, 1))
    near = ties.by_moves(own)[:, 0]
    near[out] = 0.0
    best = np.argsort(-near, kind="stable")[:count]
    best = best[near[best] > 0]
    if len(best) < count:
        alike = likeness(sparse.csr_matrix(own), np.arange(n), ties.catalogue.item_descriptors)[:, 0]
        alike[out] = alike[best] = 0.0
        more = np.argsort(-alike, kind="stable")[: count - len(best)]
        best = np.append(best, more[alike[more] > 0])
    return best, np.clip(near[best], WEAK_MEMBER, 1.0)


def _replaced(weights: sparse.csc_matrix, changed: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> sparse.csc_matrix:
    """The matrix with other columns in the places of `changed`."""
    if not changed:
        return weights
    rows, data = [], []
    for c in range(weights.shape[1]):
        entries = slice(weights.indptr[c], weights.indptr[c + 1])
        items, values = changed.get(c, (weights.indices[entries], weights.data[entries]))
        rows.append(items)
        data.append(values)
    starts = np.cumsum([0, *map(len, rows)])
    return sparse.csc_matrix((np.concatenate(data).astype(np.float32), np.concatenate(rows), starts), shape=weights.shape)


def _settled(
    weights: sparse.csc_matrix,
    columns: Sequence[_Column],
    learned: Learned,
    behaviour: Behaviour,
    catalogue: Catalogue,
    ties: _Ties,
) -> sparse.csc_matrix:
    """The matrix with every item that was visited or learned somewhere, and is in nothing, where it is next most tied."""
    n = weights.shape[0]
    placed = np.bincount(weights.indices, minlength=n) > 0
    loose = np.flatnonzero(~placed & ((np.diff(learned.of_item.indptr) > 0) | (behaviour.gain > 0)))
    takes_in = np.array([c.takes_in for c in columns], dtype=bool)
    if not len(loose) or not takes_in.any():
        return weights
    blocks = [loose[start : start + BLOCK] for start in range(0, len(loose), BLOCK)]
    to = np.concatenate([_most_tied(block, weights, columns, takes_in, catalogue, ties) for block in blocks])
    goes = to >= 0
    joins = sparse.csc_matrix((np.ones(goes.sum(), dtype=np.float32), (loose[goes], to[goes])), shape=weights.shape)
    return sparse.csc_matrix(weights + joins)


def _most_tied(
    items: np.ndarray,
    weights: sparse.csc_matrix,
    columns: Sequence[_Column],
    takes_in: np.ndarray,
    catalogue: Catalogue,
    ties: _Ties,
) -> np.ndarray:
    """(m,) the cluster of those that may take an item to which it is most tied by moves, else by likeness; -1 for none."""
    allowed = np.repeat(takes_in[None, :], len(items), axis=0)
    for c, column in enumerate(columns):
        if len(column.excluded):
            allowed[np.isin(items, column.excluded), c] = False
    near = np.where(allowed, ties.by_moves(weights, items), 0.0)
    to = np.where(near.max(1) > 0, near.argmax(1), -1)
    rest = np.flatnonzero(to < 0)
    if len(rest):
        alike = np.where(allowed[rest], likeness(sparse.csr_matrix(weights), items[rest], catalogue.item_descriptors), 0.0)
        to[rest] = np.where(alike.max(1) >= LIKENESS, alike.argmax(1), -1)
    return np.asarray(to)
