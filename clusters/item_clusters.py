"""Item clusters: overlapping groups of items, learned from visits and searches or made by hand, named, with ids that last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from clusters import derived
from clusters.catalogue import Catalogue
from clusters.covisitation import VisitStats, count_visits, of_items
from clusters.edits import ClusterEdit, Edited, apply_edits
from clusters.learned import CO_VISIT, SEARCH, Behaviour, Learned, taken
from clusters.learning import learn
from clusters.memberships import NO_CLUSTER, joined, primary_of
from clusters.naming import cluster_names, descriptor_lift
from clusters.parts import Parts, kept, part
from clusters.search_clusters import SearchClusters
from personas.compiling import readonly
from personas.events import CODE, ENGAGEMENT
from personas.sessions import SessionLog

__all__ = [
    "CO_VISIT",
    "NO_CLUSTER",
    "SEARCH",
    "Behaviour",
    "ClusterEdit",
    "ItemClusters",
    "Learned",
    "build_clusters",
    "with_edits",
    "with_ids",
    "with_personas",
]

ROOM = 0.3
"""Clusters are taken by score / size ** ROOM: where room is short, several small ones foretell more than a large one. On
validation days of two click logs 0.3 to 0.5 gained half a point of hits (serenade_bol 88.7 to 89.2, RetailRocket 87.7 to
88.1) in less room; 0 is by score alone."""

LESS = 1e-3
"""What a row of memberships must lack of 1 to be a lessened item's; rounding of float32 lacks less."""

MOST_KEPT = 20_000
"""Items whose clusters are kept as `ItemClusters.of` tells them, some 8 MB."""

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""


@dataclass(frozen=True)
class ItemClusters:
    """C clusters over n items, D descriptors, K archetypes, A attributes.

    cluster_ids : (C,) int64, ascending, append-only.  names : distinct.
    kinds : `CO_VISIT`, `SEARCH`, "imported" or "manual".
    items : (C, n) float32 CSR, membership in (0, 1].  of_item : (n, C), its transpose; an item's row sums to 1, less what was
        lessened of it: see `kept`.
    weight : (nnz,) float32, of each entry of `items` what it was before an item's were made to sum to 1, relative to
        others of its kind: what rows and edits hold.
    primary : (n,) int32 cluster position in which the ranker counts the item (`memberships.primary_of`), `NO_CLUSTER` if in none.
    part : (nnz,) int16, of each entry of `items` its place in the cluster's `parts`, -1 for none.
    parts : C times the names of its parts, () where it is small enough to be shown whole.
    descriptor_lift : (C, D) float32 CSR, P(descriptor | cluster) / P(descriptor) where over-represented.
    transitions : (C, C) float32, rows sum to 1: cluster of the next item, given this one's.
    overlap : (C, C) float32 in [0, 1], cosine of two clusters' log lifts, 0 with itself.
    related : (C, C) float32, rows sum to 1, or to 0 where nothing is known: where an interest may be taken further.
    share : (C,) float32, prior share of engagement, sums to 1.
    persona_lift : (C, K) float32, P(cluster | persona) / P(cluster), shrunk to 1 where evidence is thin.
    attribute_match : (C, A) float32 in [-1, 1], cosine of an attribute's weights and the cluster's descriptors.
    attribute_likeness : (A, A) float32, cosine of two attributes' weights.
    locked : (C,) bool, clusters that sessions and learning may not contract.
    behaviour, learned : what all of this was made from, so that edits are put on and taken off without a log.
    item_ids : (n,) int64, by which a later catalogue finds the items again; empty if it never has to.
    core : (x, 2) int32, cluster and item positions of items that never leave, by a merchandiser's word.
    bars : C times the kinds of items (`clusters.kept_out`) that it takes in none of; () where none has any.
    """

    cluster_ids: np.ndarray
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    items: sparse.csr_matrix
    of_item: sparse.csr_matrix
    weight: np.ndarray
    primary: np.ndarray
    part: np.ndarray
    parts: tuple[tuple[str, ...], ...]
    descriptor_lift: sparse.csr_matrix
    transitions: np.ndarray
    overlap: np.ndarray
    related: np.ndarray
    share: np.ndarray
    persona_lift: np.ndarray
    attribute_match: np.ndarray
    attribute_likeness: np.ndarray
    locked: np.ndarray
    behaviour: Behaviour
    learned: Learned
    item_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    core: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int32), metadata={"came_later": True})
    bars: tuple[tuple[str, ...], ...] = field(default=(), metadata={"came_later": True})

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
    def worth(self) -> np.ndarray:
        """(C,) float64, by which scores are multiplied for their size (`ROOM`)."""
        worth: np.ndarray = np.maximum(self.sizes, 1.0) ** -ROOM
        return worth

    @cached_property
    def shared(self) -> np.ndarray:
        """(C, C) int32, items that two clusters have in common; 0 with itself."""
        member = (self.items > 0).astype(np.int32)
        common = np.asarray((member @ member.T).toarray(), dtype=np.int32)
        np.fill_diagonal(common, 0)
        return common

    @cached_property
    def kept(self) -> Mapping[int, float]:
        """Item position -> share of its memberships that is left, in (0, 1), of items that somebody, or learning, lessened."""
        whole = np.asarray(self.of_item.sum(1)).ravel()
        lessened = np.flatnonzero((whole > 0) & (whole < 1.0 - LESS))
        return dict(zip(lessened.tolist(), whole[lessened].tolist(), strict=True))

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Share, attributes' match and likeness, personas' lift and transitions, as compiled loops take them."""
        match, likeness = readonly(self.attribute_match, np.float32), readonly(self.attribute_likeness, np.float32)
        lift, transitions = readonly(self.persona_lift, np.float32), readonly(self.transitions, np.float32)
        return readonly(self.share, np.float32), match, likeness, lift, transitions

    @cached_property
    def held_by(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of each item its clusters, as CSR (`indptr`, `indices`, memberships), and its primary one: for compiled loops."""
        csr = self.of_item
        starts, clusters, primary = (readonly(array, np.int32) for array in (csr.indptr, csr.indices, self.primary))
        return starts, clusters, readonly(csr.data, np.float32), primary

    def of(self, position: int) -> tuple[tuple[int, float], ...]:
        """(cluster position, membership) of the item at a catalogue position, strongest first; () where in none."""
        found = self._of.get(position)
        if found is None:
            if len(self._of) >= MOST_KEPT:
                self._of.clear()
            found = self._of[position] = self._read_of(position)
        return found

    @cached_property
    def _of(self) -> dict[int, tuple[tuple[int, float], ...]]:
        """What `of` was asked for lately."""
        return {}

    def _read_of(self, position: int) -> tuple[tuple[int, float], ...]:
        if position < 0:
            return ()
        starts, clusters, memberships, _ = self.held_by
        row = slice(starts.item(position), starts.item(position + 1))
        pairs = zip(clusters[row].tolist(), memberships[row].tolist(), strict=True)
        return tuple(sorted(pairs, key=lambda p: (-p[1], p[0])))


def build_clusters(
    log: SessionLog | None,
    catalogue: Catalogue,
    *,
    previous: ItemClusters | None = None,
    edits: Sequence[ClusterEdit] | None = None,
    searched: SearchClusters | None = None,
    stats: VisitStats | None = None,
    resolution: float | None = None,
    first_id: int = 1,
    half_life_s: float | None = None,
    attribute_descriptors: sparse.csr_matrix | None = None,
    progress: Progress | None = None,
) -> ItemClusters:
    """Clusters from co-visitation within sessions and from searches, with the edits applied. Deterministic.

    How fine those of co-visits are: `covisitation.choose_groups`. An item belongs to its group and, weakly, to at most two
    others to which a fifth or more of its edges lead. Visited items that are tied to nothing, and items never visited, join
    the cluster whose descriptors are most like theirs; visited ones without such a likeness form one cluster, "Other
    items"; the rest are in none.

    log : may be None where `stats` are given, which stand for it.
    previous : clusters whose ids and names live on in the new ones of the same kind that overlap them, and what personas
        did with them, till `with_personas`.
    edits : what merchandisers decided; None for what `previous` shows of it: names, locks, clusters made by hand.
    searched : clusters of the search history.  resolution : as `choose_groups` takes it.
    first_id : least id of a new cluster; new ids are above every id of `previous` and `edits` too.
    half_life_s : age at which a visit weighs half; None for no decay.  attribute_descriptors : as for `with_personas`.
    An empty catalogue or log gives no cluster of its own. Raises ValueError where neither log nor stats are given.
    """
    report = progress or (lambda done, of: None)
    if stats is None:
        if log is None:
            raise ValueError("clusters need a log or its counted visits")
        stats = count_visits(log, catalogue.item_ids, half_life_s)
    else:
        stats = of_items(stats, catalogue.item_ids)
    behaviour = Behaviour(stats.gain.astype(np.float32), stats.moves, _personas_of(previous, catalogue.item_ids))
    standing = _standing(previous) if edits is None else list(edits)
    if previous is not None:
        first_id = max([first_id, *(i + 1 for i in previous.cluster_ids.tolist())])
    learned = learn(
        stats,
        catalogue,
        old=None if previous is None else _learned_so_far(previous, standing).of_items(previous.item_ids, catalogue.item_ids),
        edits=standing,
        searched=searched,
        resolution=resolution,
        first_id=first_id,
        progress=lambda done, of: report(done, of + 1),
    )
    clusters = _assemble(learned, behaviour, catalogue, standing, attribute_descriptors)
    report(4, 4)
    return clusters


def with_edits(
    clusters: ItemClusters,
    catalogue: Catalogue,
    edits: Sequence[ClusterEdit],
    attribute_descriptors: sparse.csr_matrix | None = None,
) -> ItemClusters:
    """The clusters as these edits, and no others, have them: what a rebuild would give on the same log, without a log. Only the
    parts of a large cluster that changed little stay as they are till a rebuild.

    catalogue : the one that the clusters are of.  edits : all that stand, not only what is new (`ClusterEdit`).
    attribute_descriptors : as for `with_personas`; without it a cluster's `attribute_match` stays, and a new one's is 0.
    Raises ValueError on another catalogue.
    """
    if not np.array_equal(catalogue.item_ids, clusters.item_ids):
        raise ValueError(f"clusters of {len(clusters.item_ids)} items are not of this catalogue, which has {len(catalogue)}")
    learned = _learned_so_far(clusters, edits)
    return _assemble(learned, clusters.behaviour, catalogue, edits, attribute_descriptors, before=clusters)


def with_ids(clusters: ItemClusters, renumbered: Mapping[int, int]) -> ItemClusters:
    """The clusters under other ids, as a database gives them out. renumbered : old id -> new id; others stay.

    Raises ValueError where two clusters would share an id.
    """
    ids = np.array([renumbered.get(c, c) for c in clusters.cluster_ids.tolist()], dtype=np.int64)
    learned = clusters.learned
    learned_ids = np.array([renumbered.get(c, c) for c in learned.cluster_ids.tolist()], dtype=np.int64)
    if len(np.unique(ids)) < len(ids) or len(np.unique(learned_ids)) < len(learned_ids):
        raise ValueError("two clusters would have the same id")
    order, by_id = np.argsort(ids, kind="stable"), np.argsort(learned_ids, kind="stable")
    items = clusters.items[order]
    entries = np.concatenate(
        [np.arange(clusters.items.indptr[c], clusters.items.indptr[c + 1]) for c in order.tolist()] or [np.zeros(0, dtype=int)]
    )
    place = np.append(np.argsort(order), NO_CLUSTER).astype(np.int32)
    return replace(
        clusters,
        cluster_ids=ids[order],
        names=tuple(clusters.names[c] for c in order.tolist()),
        kinds=tuple(clusters.kinds[c] for c in order.tolist()),
        items=items,
        of_item=sparse.csr_matrix(items.T),
        weight=clusters.weight[entries],
        primary=place[clusters.primary],
        part=clusters.part[entries],
        parts=tuple(clusters.parts[c] for c in order.tolist()),
        descriptor_lift=clusters.descriptor_lift[order],
        transitions=clusters.transitions[order][:, order],
        overlap=clusters.overlap[order][:, order],
        related=clusters.related[order][:, order],
        share=clusters.share[order],
        persona_lift=clusters.persona_lift[order],
        attribute_match=clusters.attribute_match[order],
        locked=clusters.locked[order],
        learned=replace(learned, cluster_ids=learned_ids).at(by_id),
        core=np.column_stack((place[clusters.core[:, 0]], clusters.core[:, 1])),
        bars=tuple(clusters.bars[c] for c in order.tolist()) if clusters.bars else (),
    )


def with_personas(
    clusters: ItemClusters, log: SessionLog, beliefs: np.ndarray, attribute_descriptors: sparse.csr_matrix
) -> ItemClusters:
    """The clusters with what personas did with the items, `persona_lift` and `attribute_match` learned.

    beliefs : (N, K) persona probabilities after each event of `log`.  attribute_descriptors : (A, D) weights.
    """
    if len(beliefs) != len(log.code):
        raise ValueError(f"beliefs {beliefs.shape} do not fit a log of {len(log.code)} events")
    _check_attributes(clusters.descriptor_lift, attribute_descriptors)
    gains = np.array([max(ENGAGEMENT.get(name, 0.0), 0.0) for name in CODE])[log.code]
    rows = np.flatnonzero((log.position >= 0) & (gains > 0))
    event = sparse.csr_matrix((gains[rows], (log.position[rows], np.arange(len(rows)))), shape=(len(clusters.primary), len(rows)))
    persona = np.asarray(event @ beliefs[rows].astype(np.float64), dtype=np.float32)
    behaviour = replace(clusters.behaviour, persona=persona)
    return replace(
        clusters,
        behaviour=behaviour,
        persona_lift=derived.persona_lifts(clusters.items, behaviour),
        attribute_match=derived.attribute_matches(clusters.descriptor_lift, attribute_descriptors),
        attribute_likeness=derived.attribute_likeness(attribute_descriptors),
    )


def _check_attributes(lift: sparse.csr_matrix, attribute_descriptors: sparse.csr_matrix) -> None:
    if attribute_descriptors.shape[1] != lift.shape[1]:
        raise ValueError(f"attributes {attribute_descriptors.shape}, clusters {lift.shape}: not the same descriptors")


def _assemble(
    learned: Learned,
    behaviour: Behaviour,
    catalogue: Catalogue,
    edits: Sequence[ClusterEdit],
    attribute_descriptors: sparse.csr_matrix | None,
    before: ItemClusters | None = None,
) -> ItemClusters:
    """Clusters of what was learned and what was decided.

    before : those whose attribute matches still hold, and the parts of the clusters that are as they were.
    """
    edited = apply_edits(learned, behaviour, catalogue, edits)
    of_item = joined(edited.weights, edited.kinds)
    of_item.data *= edited.left  # after an item's were made to sum to 1: what one cluster loses no other gains
    left = edited.weights.copy()
    left.data *= edited.left
    items, given = sparse.csr_matrix(of_item.T), sparse.csr_matrix(left.T)
    lift = descriptor_lift(items, catalogue.item_descriptors)
    names = cluster_names(items, lift, catalogue, behaviour.gain, given=edited.names)
    counted, share = derived.moved(of_item, behaviour.moves), derived.shares(items, behaviour.gain)
    overlap = derived.overlaps(lift)
    if attribute_descriptors is not None:
        _check_attributes(lift, attribute_descriptors)
        attribute_match = derived.attribute_matches(lift, attribute_descriptors)
        likeness = derived.attribute_likeness(attribute_descriptors)
    else:
        attribute_match = _matches_of(before, edited)
        likeness = np.zeros((0, 0), dtype=np.float32) if before is None else before.attribute_likeness
    parts = _parts(items, behaviour, catalogue, edited, before)
    return ItemClusters(
        cluster_ids=edited.cluster_ids,
        names=names,
        kinds=edited.kinds,
        items=items,
        of_item=of_item,
        weight=given.data,
        primary=primary_of(edited.weights, edited.kinds),
        part=np.concatenate([p.part for p in parts] or [np.zeros(0, dtype=np.int16)]),
        parts=tuple(p.names for p in parts),
        descriptor_lift=lift,
        transitions=derived.transitions(counted, share),
        overlap=overlap,
        related=derived.tied(derived.relations(counted, share, overlap), _ties(edited.cluster_ids, edits)),
        share=share.astype(np.float32),
        persona_lift=derived.persona_lifts(items, behaviour),
        attribute_match=attribute_match,
        attribute_likeness=likeness,
        locked=edited.locked,
        behaviour=behaviour,
        learned=learned,
        item_ids=catalogue.item_ids,
        core=_core(edited.cluster_ids, edits, catalogue),
        bars=_bars(edited.cluster_ids, edits),
    )


def _core(cluster_ids: np.ndarray, edits: Sequence[ClusterEdit], catalogue: Catalogue) -> np.ndarray:
    """(x, 2) `ItemClusters.core`, of clusters that are served and items that there are."""
    place = {cluster: c for c, cluster in enumerate(cluster_ids.tolist())}
    pairs = [(place[e.cluster_id], catalogue.position(i)) for e in edits if e.cluster_id in place for i in e.core - e.excluded]
    return np.array(sorted(p for p in pairs if p[1] >= 0), dtype=np.int32).reshape(-1, 2)


def _bars(cluster_ids: np.ndarray, edits: Sequence[ClusterEdit]) -> tuple[tuple[str, ...], ...]:
    """`ItemClusters.bars`."""
    of = {edit.cluster_id: edit.bars for edit in edits if edit.bars}
    return tuple(of.get(cluster, ()) for cluster in cluster_ids.tolist()) if of else ()


def _ties(cluster_ids: np.ndarray, edits: Sequence[ClusterEdit]) -> dict[tuple[int, int], float]:
    """Source and target positions -> weight, of ties between clusters that are served."""
    place = {cluster: c for c, cluster in enumerate(cluster_ids.tolist())}
    return {
        (place[edit.cluster_id], place[target]): weight
        for edit in edits
        if edit.cluster_id in place
        for target, weight in sorted(edit.ties.items())
        if target in place and target != edit.cluster_id
    }


def _matches_of(before: ItemClusters | None, edited: Edited) -> np.ndarray:
    """(C, A) attribute matches that the clusters had, 0 for new ones."""
    if before is None:
        return np.zeros((len(edited.cluster_ids), 0), dtype=np.float32)
    result = np.zeros((len(edited.cluster_ids), before.attribute_match.shape[1]), dtype=np.float32)
    for c, cluster_id in enumerate(edited.cluster_ids.tolist()):
        if cluster_id in before.position_of:
            result[c] = before.attribute_match[before.position_of[cluster_id]]
    return result


def _parts(
    items: sparse.csr_matrix,
    behaviour: Behaviour,
    catalogue: Catalogue,
    edited: Edited,
    before: ItemClusters | None,
) -> list[Parts]:
    """Every cluster's parts; of a cluster whose items are much as they were, those that it had."""
    result = []
    for c, cluster_id in enumerate(edited.cluster_ids.tolist()):
        entries = slice(items.indptr[c], items.indptr[c + 1])
        was = -1 if before is None else before.position_of.get(cluster_id, -1)
        if before is not None and was >= 0:
            old = slice(before.items.indptr[was], before.items.indptr[was + 1])
            had = Parts(before.part[old], before.parts[was])
            if still := kept(had, before.items.indices[old], items.indices[entries], catalogue):
                result.append(still)
                continue
        result.append(part(items.indices[entries], behaviour.moves, behaviour.gain, catalogue))
    return result


def _standing(previous: ItemClusters | None) -> list[ClusterEdit]:
    """What clusters show of a merchandiser's hand: items of locked and of hand-made ones, names that learning didn't give,
    kinds of items that are kept out."""
    if previous is None:
        return []
    learned = previous.learned
    given = dict(zip(learned.cluster_ids.tolist(), learned.names, strict=True))
    edits = []
    for c, cluster_id in enumerate(previous.cluster_ids.tolist()):
        locked, name = bool(previous.locked[c]), previous.names[c]
        bars = previous.bars[c] if previous.bars else ()
        if locked or cluster_id not in given:
            entries = slice(previous.items.indptr[c], previous.items.indptr[c + 1])
            ids = previous.item_ids[previous.items.indices[entries]].tolist()
            members = dict(zip(ids, previous.weight[entries].tolist(), strict=True))
            edits.append(ClusterEdit(cluster_id, previous.kinds[c], name, locked, members, bars=bars))
        elif name != given[cluster_id] or bars:
            edits.append(ClusterEdit(cluster_id, previous.kinds[c], name if name != given[cluster_id] else "", bars=bars))
    live = set(previous.cluster_ids.tolist())
    edits += [ClusterEdit(i, kind, retired=True) for i, kind in zip(given, learned.kinds, strict=True) if i not in live]
    return edits


def _personas_of(previous: ItemClusters | None, item_ids: np.ndarray) -> np.ndarray:
    """(n, K) what personas did with the items, as the previous clusters know it."""
    if previous is None:
        return np.zeros((len(item_ids), 0), dtype=np.float32)
    return np.asarray(taken(previous.item_ids, item_ids) @ previous.behaviour.persona, dtype=np.float32)


def _learned_so_far(clusters: ItemClusters, edits: Sequence[ClusterEdit]) -> Learned:
    """What was learned, and the clusters that merchandisers gave back to learning before it learned them, as they are."""
    learned = clusters.learned
    known = set(learned.cluster_ids.tolist())
    back = [
        (clusters.position_of[e.cluster_id], e)
        for e in edits
        if e.members is None and not e.retired and e.cluster_id not in known and e.cluster_id in clusters.position_of
    ]
    if not back:
        return learned
    weights = sparse.csr_matrix((clusters.weight, clusters.items.indices, clusters.items.indptr), shape=clusters.items.shape)
    back_ids = np.array([e.cluster_id for _, e in back], dtype=np.int64)
    whole = Learned(
        cluster_ids=np.append(learned.cluster_ids, back_ids),
        names=(*learned.names, *(clusters.names[c] for c, _ in back)),
        kinds=(*learned.kinds, *(e.kind for _, e in back)),
        of_item=sparse.csr_matrix(sparse.hstack([learned.of_item, weights[[c for c, _ in back]].T]), dtype=np.float32),
        source=np.append(learned.source, np.full(len(back), -1, dtype=np.int32)),
        resolution=learned.resolution,
    )
    return whole.at(np.argsort(whole.cluster_ids, kind="stable"))
