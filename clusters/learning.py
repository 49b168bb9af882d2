"""Clusters as learning makes them, of both kinds, under ids and names that outlive a rebuild; and coarse groups of items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.communities import MIN_SIZE
from clusters.covisitation import VisitStats, choose_groups, count_visits, covisit_graph
from clusters.edits import ClusterEdit, without_repeats
from clusters.identity import match, overlap
from clusters.learned import CO_VISIT, SEARCH, Learned
from clusters.memberships import covisit_memberships, primary_of, search_memberships
from clusters.naming import OTHER, cluster_names, descriptor_lift, distinct
from clusters.search_clusters import SearchClusters
from personas.sessions import SessionLog


def learn(
    stats: VisitStats,
    catalogue: Catalogue,
    *,
    old: Learned | None = None,
    edits: Sequence[ClusterEdit] = (),
    searched: SearchClusters | None = None,
    resolution: float | None = None,
    first_id: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Clusters of visits and of searches. A new one of the same kind as an old one that it overlaps takes over its id and name.

    stats, old : by the positions of `catalogue`.  edits : of them, clusters that merchandisers made and that a new one may not
    repeat, and the names that are taken.  resolution : as `choose_groups` takes it; None for that of `old`, whose groups the
    new ones go on from.  first_id : least id of a new cluster; new ids are above all of `old` and `edits` too.
    """
    report = progress or (lambda done, of: None)
    n = len(catalogue)
    old = old or Learned.none(n)
    report(0, 3)
    graph = covisit_graph(stats)
    report(1, 3)
    grouping = choose_groups(graph, stats, resolution=resolution or old.resolution or None, start=_groups_of(old))
    report(2, 3)
    covisited, has_other = covisit_memberships(graph, grouping.groups, catalogue.item_descriptors, np.flatnonzero(stats.visits))
    found = sparse.csr_matrix((n, 0)) if searched is None else search_memberships(searched.of_item)
    of_item = sparse.csr_matrix(sparse.hstack([covisited, found]), dtype=np.float32)
    kinds = (CO_VISIT,) * covisited.shape[1] + (SEARCH,) * found.shape[1]
    titles = ("",) * covisited.shape[1] + (() if searched is None else searched.titles)
    source = np.append(np.full(covisited.shape[1], -1), np.arange(found.shape[1])).astype(np.int32)
    pairs = np.full(len(kinds), -1, dtype=np.int64)
    if len(old) and kinds:
        same = np.array(old.kinds)[:, None] == np.array(kinds)[None, :]
        pairs = match(overlap(old.of_item, of_item, stats.gain + 1.0) * same)
    made = without_repeats(of_item, pairs < 0, stats.gain, catalogue, edits)
    ids = np.array([old.cluster_ids[p] if p >= 0 else 0 for p in pairs.tolist()], dtype=np.int64)
    names = [old.names[p] if p >= 0 else "" for p in pairs.tolist()]
    first_id = max([first_id, *(e.cluster_id + 1 for e in edits), *(i + 1 for i in old.cluster_ids.tolist())])
    new = np.flatnonzero((pairs < 0) & made)
    ids[new] = first_id + np.arange(len(new))
    taken = {name for name in (*names, *(e.name for e in edits)) if name}
    if has_other:
        other = covisited.shape[1] - 1
        names[other] = names[other] or distinct(OTHER, "", taken)
    for c in new[found.shape[1] > 0 and new >= covisited.shape[1]].tolist():
        names[c] = distinct(titles[c], "", taken)
    kept = np.flatnonzero(made)
    learned = Learned(ids, tuple(names), kinds, of_item, source, grouping.resolution)
    learned = learned.at(kept[np.argsort(ids[kept], kind="stable")])
    items = sparse.csr_matrix(learned.of_item.T)
    lift = descriptor_lift(items, catalogue.item_descriptors)
    return replace(learned, names=cluster_names(items, lift, catalogue, stats.gain, given=learned.names, taken=taken))


def _groups_of(old: Learned) -> np.ndarray:
    """(n,) the cluster of co-visits that each item is in, -1 for none: what the grouping goes on from."""
    covisits = [c for c, kind in enumerate(old.kinds) if kind == CO_VISIT]
    return primary_of(sparse.csr_matrix(old.of_item[:, covisits]), (CO_VISIT,) * len(covisits))


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
