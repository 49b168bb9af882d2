"""Item clusters: groups of items that are visited together, overlapping, named, with ids that last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.covisitation import MIN_SIZE, VisitStats, choose_groups, count_visits, covisit_graph
from clusters.identity import match, overlap
from clusters.naming import OTHER, cluster_names, descriptor_lift
from personas.events import CODE, ENGAGEMENT
from personas.sessions import SessionLog

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""

NO_CLUSTER = -1
"""Cluster position of an item that is in none."""

CO_VISIT = "co_visit"
"""Kind of a cluster that was learned from visits; a rebuild may drop those, never the others."""

WEAK_MEMBER = 0.2
"""Share of an item's edges that must lead to another cluster to make it a weak member there."""

WEAK_MEMBERSHIPS = 2
"""Clusters an item may belong to beside its own."""

LIKENESS = 0.25
"""Least cosine of descriptors at which an item that was never visited joins a cluster."""

MOVE_PRIOR = 10.0
"""Pseudo-moves with which a cluster's transitions lean towards the clusters' shares."""

LIFT_PRIOR = 20.0
"""Pseudo-engagements that hold a persona's lift at 1 until there is evidence."""


@dataclass(frozen=True)
class ItemClusters:
    """C clusters over n items, D descriptors, K archetypes, A attributes.

    cluster_ids : (C,) int64, ascending, append-only.  names : distinct.
    kinds : `CO_VISIT`, "search", "imported" or "manual".
    items : (C, n) float32 CSR, membership in (0, 1].  of_item : (n, C), its transpose; an item's row sums to 1.
    primary : (n,) int32 cluster position of the item's strongest membership, `NO_CLUSTER` if in none.
    descriptor_lift : (C, D) float32 CSR, P(descriptor | cluster) / P(descriptor) where over-represented.
    transitions : (C, C) float32, rows sum to 1: cluster of the next item, given this one's.
    share : (C,) float32, prior share of engagement, sums to 1.
    persona_lift : (C, K) float32, P(cluster | persona) / P(cluster), shrunk to 1 where evidence is thin.
    attribute_match : (C, A) float32 in [-1, 1], cosine of an attribute's weights and the cluster's descriptors.
    locked : (C,) bool, clusters that sessions and learning may not contract.
    item_ids : (n,) int64, by which a later catalogue finds the items again; empty if it never has to.
    """

    cluster_ids: np.ndarray
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    items: sparse.csr_matrix
    of_item: sparse.csr_matrix
    primary: np.ndarray
    descriptor_lift: sparse.csr_matrix
    transitions: np.ndarray
    share: np.ndarray
    persona_lift: np.ndarray
    attribute_match: np.ndarray
    locked: np.ndarray
    item_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.cluster_ids)

    @cached_property
    def position_of(self) -> Mapping[int, int]:
        """Cluster id -> position."""
        return {cluster: i for i, cluster in enumerate(self.cluster_ids.tolist())}

    @cached_property
    def sizes(self) -> np.ndarray:
        """(C,) int64, items in each cluster, weak members too."""
        return np.asarray(np.diff(self.items.indptr), dtype=np.int64)

    @cached_property
    def shared(self) -> np.ndarray:
        """(C, C) int32, items that two clusters have in common; 0 with itself."""
        member = (self.items > 0).astype(np.int32)
        common = np.asarray((member @ member.T).toarray(), dtype=np.int32)
        np.fill_diagonal(common, 0)
        return common

    def of(self, position: int) -> tuple[tuple[int, float], ...]:
        """(cluster position, membership) of the item at a catalogue position, strongest first; () where in none."""
        if position < 0:
            return ()
        row = slice(self.of_item.indptr[position], self.of_item.indptr[position + 1])
        pairs = zip(self.of_item.indices[row].tolist(), self.of_item.data[row].tolist(), strict=True)
        return tuple(sorted(pairs, key=lambda p: (-p[1], p[0])))


def build_clusters(
    log: SessionLog,
    catalogue: Catalogue,
    *,
    previous: ItemClusters | None = None,
    first_id: int = 1,
    half_life_s: float | None = None,
    progress: Progress | None = None,
) -> ItemClusters:
    """Clusters from co-visitation within sessions, described by what they have more of. Deterministic.

    How fine they are: `covisitation.choose_groups`. An item belongs to its group and, weakly, to at most two others
    to which a fifth or more of its edges lead. Visited items that are tied to nothing, and items never visited, join
    the cluster whose descriptors are most like theirs; visited ones without such a likeness form one cluster, "Other
    items"; the rest are in none.

    previous : clusters whose ids, names and locks live on in the new ones that overlap them. What merchandisers
        made or locked is kept even where no new one does.
    first_id : least id of a new cluster; new ids are above every id of `previous` too.
    half_life_s : age at which a visit weighs half; None for no decay.
    An empty catalogue or log gives no cluster of its own.
    """
    report = progress or (lambda done, of: None)
    stats = count_visits(log, catalogue.item_ids, half_life_s)
    report(0, 3)
    graph = covisit_graph(stats)
    report(1, 3)
    of_item, has_other = _memberships(graph, choose_groups(graph, stats).groups, catalogue, np.flatnonzero(stats.visits))
    report(2, 3)
    gain = stats.gain
    known = _Known.of(of_item, previous, catalogue, gain, first_id)
    of_item = _rows_to_one(sparse.csr_matrix(sparse.hstack([of_item, known.carried]))[:, known.order], power=1).astype(np.float32)
    items = sparse.csr_matrix(of_item.T)
    c = items.shape[0]
    lift = descriptor_lift(items, catalogue.item_descriptors)
    names = list(known.names)
    if has_other:
        row = int(np.flatnonzero(known.order == known.fresh - 1)[0])
        names[row] = names[row] or (OTHER if OTHER not in names else "")
    share = items @ gain + 1.0
    share = share / share.sum() if c else share
    clusters = ItemClusters(
        cluster_ids=known.ids,
        names=cluster_names(items, lift, catalogue, gain, given=names),
        kinds=known.kinds,
        items=items,
        of_item=of_item,
        primary=_primary(of_item),
        descriptor_lift=lift,
        transitions=_transitions(of_item, stats, share),
        share=share.astype(np.float32),
        persona_lift=np.ones((c, 0), dtype=np.float32),
        attribute_match=np.zeros((c, 0), dtype=np.float32),
        locked=known.locked,
        item_ids=catalogue.item_ids,
    )
    report(3, 3)
    return clusters


def with_personas(
    clusters: ItemClusters, log: SessionLog, beliefs: np.ndarray, attribute_descriptors: sparse.csr_matrix
) -> ItemClusters:
    """The clusters with `persona_lift` and `attribute_match` learned.

    beliefs : (N, K) persona probabilities after each event of `log`.  attribute_descriptors : (A, D) weights.
    """
    if len(beliefs) != len(log.code):
        raise ValueError(f"beliefs {beliefs.shape} do not fit a log of {len(log.code)} events")
    if attribute_descriptors.shape[1] != clusters.descriptor_lift.shape[1]:
        raise ValueError(
            f"attributes {attribute_descriptors.shape}, clusters {clusters.descriptor_lift.shape}: not the same descriptors"
        )
    return replace(
        clusters,
        persona_lift=_persona_lift(clusters, log, beliefs),
        attribute_match=_attribute_match(clusters.descriptor_lift, attribute_descriptors),
    )


def coarse_groups(log: SessionLog, n_items: int, at_most: int = 40) -> tuple[np.ndarray, tuple[str, ...]]:
    """At most `at_most` groups of items visited together, where a shop has no categories. Deterministic.

    Returns (n,) int16 group, -1 where never visited, and the groups' names; the last may be "other", which holds
    visited items tied to no group.
    """
    if at_most < 2:
        raise ValueError(f"at_most {at_most} leaves no room for a group and the others")
    stats = count_visits(log, np.arange(n_items))
    graph = covisit_graph(stats)
    # Islands of a few items would use up the groups: what is under a quarter of the mean size goes to the others.
    least = max(MIN_SIZE, n_items // (4 * at_most))
    groups = choose_groups(graph, stats, count_range=(at_most / 2, at_most - 1), least=least).groups
    groups[groups >= at_most - 1] = -1  # groups are numbered by size
    names = [f"group {g + 1}" for g in range(int(groups.max(initial=-1)) + 1)]
    alone = (stats.visits > 0) & (groups < 0)
    if alone.any():
        groups[alone] = len(names)
        names.append("other")
    return groups.astype(np.int16), tuple(names)


def _memberships(
    graph: sparse.csr_matrix, groups: np.ndarray, catalogue: Catalogue, visited: np.ndarray
) -> tuple[sparse.csr_matrix, bool]:
    """(n, C) memberships that sum to 1 by item, and whether the last cluster is "Other items"."""
    n, c = len(groups), int(groups.max(initial=-1)) + 1
    grouped = np.flatnonzero(groups >= 0)
    belongs = sparse.csr_matrix((np.ones(len(grouped)), (grouped, groups[grouped])), shape=(n, c))
    edges = _rows_to_one(sparse.csr_matrix(graph @ belongs), power=1).tocoo()
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
    weights = np.concatenate((np.maximum(strongest[grouped], WEAK_MEMBER), edges.data[weak]))
    of_item = _rows_to_one(sparse.csr_matrix((weights, (rows, columns)), shape=(n, c)), power=1)
    alike = _by_descriptors(of_item, np.flatnonzero(groups < 0), catalogue.item_descriptors)
    of_item = sparse.csr_matrix(of_item + alike)
    alone = np.setdiff1d(visited, np.flatnonzero(np.diff(of_item.indptr)))
    if not len(alone):
        return of_item, False
    other = sparse.csr_matrix((np.ones(len(alone)), (alone, np.zeros(len(alone), dtype=np.int64))), shape=(n, 1))
    return sparse.csr_matrix(sparse.hstack([of_item, other])), True


def _by_descriptors(of_item: sparse.csr_matrix, loose: np.ndarray, item_descriptors: sparse.csr_matrix) -> sparse.csr_matrix:
    """(n, C) 1.0 where a loose item's descriptors are most like a cluster's, by cosine with rare ones weighing more."""
    n, c = of_item.shape
    joins, clusters = [], []
    if len(loose) and c and item_descriptors.nnz:
        rarity = np.log1p(n / np.maximum(np.asarray(item_descriptors.sum(0)).ravel(), 1.0))
        weighted = _rows_to_one(sparse.csr_matrix(item_descriptors @ sparse.diags(rarity)), power=2)
        centre = _rows_to_one(sparse.csr_matrix(of_item.T @ weighted), power=2).T.toarray()
        for start in range(0, len(loose), 4_096):  # a block of dense likenesses at a time
            likeness = weighted[loose[start : start + 4_096]] @ centre
            enough = likeness.max(1) >= LIKENESS
            joins.append(loose[start : start + 4_096][enough])
            clusters.append(likeness.argmax(1)[enough])
    row = np.concatenate(joins) if joins else np.zeros(0, dtype=np.int64)
    column = np.concatenate(clusters) if clusters else row
    return sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(n, c))


def _rows_to_one(matrix: sparse.csr_matrix, *, power: int) -> sparse.csr_matrix:
    """Rows divided by their sum (power 1) or their length (power 2); empty rows and empty matrices stay."""
    total = np.asarray(abs(matrix).power(power).sum(1)).ravel() ** (1.0 / power)
    return sparse.csr_matrix(sparse.diags(1.0 / np.where(total > 0, total, 1.0)) @ matrix)


def _primary(of_item: sparse.csr_matrix) -> np.ndarray:
    """(n,) int32 column of each row's greatest entry, the first of equals; `NO_CLUSTER` for an empty row."""
    rows = np.repeat(np.arange(of_item.shape[0]), np.diff(of_item.indptr))
    order = np.lexsort((-of_item.indices, of_item.data, rows))
    result = np.full(of_item.shape[0], NO_CLUSTER, dtype=np.int32)
    result[rows[order]] = of_item.indices[order]  # the last written of a row is its greatest
    return result


def _transitions(of_item: sparse.csr_matrix, stats: VisitStats, share: np.ndarray) -> np.ndarray:
    """(C, C) float32 P(next item's cluster | this one's), leaning towards `share` by `MOVE_PRIOR` moves."""
    moves = np.asarray((of_item.T @ stats.moves @ of_item).todense(), dtype=np.float64)
    moves = moves + MOVE_PRIOR * share[None, :].repeat(len(share), axis=0)
    return np.asarray(moves / moves.sum(1, keepdims=True), dtype=np.float32)


def _persona_lift(clusters: ItemClusters, log: SessionLog, beliefs: np.ndarray) -> np.ndarray:
    """(C, K) float32 (observed + m) / (expected + m), expected as if personas engaged with every cluster alike."""
    gains = np.array([max(ENGAGEMENT.get(name, 0.0), 0.0) for name in CODE])[log.code]
    rows = np.flatnonzero((log.position >= 0) & (gains > 0))
    event = sparse.csr_matrix((gains[rows], (log.position[rows], np.arange(len(rows)))), shape=(len(clusters.primary), len(rows)))
    observed = np.asarray(clusters.items @ (event @ beliefs[rows].astype(np.float64)))
    by_persona = observed.sum(0, keepdims=True)
    by_cluster = observed.sum(1, keepdims=True)
    expected = by_cluster * by_persona / max(float(by_persona.sum()), 1e-12)
    return np.asarray((observed + LIFT_PRIOR) / (expected + LIFT_PRIOR), dtype=np.float32)


def _attribute_match(lift: sparse.csr_matrix, attributes: sparse.csr_matrix) -> np.ndarray:
    """(C, A) float32 cosine of log-lift and attribute weights, over the descriptors that some attribute speaks of.

    Others are left out of the norm: a cluster isn't less alike for having words that no attribute knows.
    """
    used = np.unique(attributes.nonzero()[1])
    log_lift = lift.copy()
    log_lift.data = np.log(log_lift.data)
    described = _rows_to_one(log_lift[:, used], power=2)
    wanted = _rows_to_one(attributes.tocsr()[:, used], power=2)
    return np.asarray((described @ wanted.T).toarray(), dtype=np.float32)


@dataclass(frozen=True)
class _Known:
    """What a rebuild knows of its clusters from the last one.

    carried : (n, M) memberships of old clusters kept as they were.  fresh : number of new clusters before them.
    order : (fresh + M,) column of [new, carried] at each position, by ascending id; the rest is in that order.
    names : "" where a cluster has none yet.
    """

    carried: sparse.csr_matrix
    fresh: int
    order: np.ndarray
    ids: np.ndarray
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    locked: np.ndarray

    @classmethod
    def of(
        cls, of_item: sparse.csr_matrix, previous: ItemClusters | None, catalogue: Catalogue, gain: np.ndarray, first_id: int
    ) -> _Known:
        n, fresh = of_item.shape
        ids = np.zeros(fresh, dtype=np.int64)
        names, kinds, locked = [""] * fresh, [CO_VISIT] * fresh, [False] * fresh
        carried = sparse.csr_matrix((n, 0))
        if previous is not None and len(previous):
            old = _moved(previous, catalogue.item_ids)
            learned = np.array([kind == CO_VISIT for kind in previous.kinds])
            pairs = match(overlap(old, of_item, gain + 1.0) * learned[:, None])
            kept = np.flatnonzero((~learned | previous.locked) & ~np.isin(np.arange(len(previous)), pairs))
            carried = sparse.csr_matrix(old[:, kept])
            ids = np.where(pairs >= 0, previous.cluster_ids[pairs], 0)
            names = [previous.names[p] if p >= 0 else "" for p in pairs.tolist()] + [previous.names[k] for k in kept.tolist()]
            kinds += [previous.kinds[k] for k in kept.tolist()]
            locked = [bool(p >= 0 and previous.locked[p]) for p in pairs.tolist()] + previous.locked[kept].tolist()
            ids = np.concatenate((ids, previous.cluster_ids[kept]))
            first_id = max(first_id, int(previous.cluster_ids.max()) + 1)
        new = np.flatnonzero(ids == 0)
        ids[new] = first_id + np.arange(len(new))
        order = np.argsort(ids, kind="stable")
        return cls(
            carried=carried,
            fresh=fresh,
            order=order,
            ids=ids[order],
            names=tuple(names[i] for i in order.tolist()),
            kinds=tuple(kinds[i] for i in order.tolist()),
            locked=np.array(locked, dtype=bool)[order],
        )


def _moved(previous: ItemClusters, item_ids: np.ndarray) -> sparse.csr_matrix:
    """(n, C) memberships of the previous clusters at the positions of `item_ids`; items that are gone are left out."""
    old_ids = previous.item_ids
    if len(old_ids) != previous.of_item.shape[0]:
        raise ValueError(f"previous clusters know {len(old_ids)} item ids of {previous.of_item.shape[0]} items")
    place = np.minimum(np.searchsorted(old_ids, item_ids), max(len(old_ids) - 1, 0))
    found = old_ids[place] == item_ids if len(old_ids) else np.zeros(len(item_ids), dtype=bool)
    take = sparse.csr_matrix((np.ones(found.sum()), (np.flatnonzero(found), place[found])), shape=(len(item_ids), len(old_ids)))
    return sparse.csr_matrix(take @ previous.of_item)
