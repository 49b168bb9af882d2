"""Why an item is in a cluster and why a persona is shown one, in sentences and terms for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clusters.alignment import AlignmentTerm, explain
from clusters.lineage import brought_in
from clusters.models import ClusterChange, ClusterItemRule, ClusterMembership, ItemCluster
from clusters.search_clusters import ItemDescriptor, Trace, explain_membership
from recommendations.engine import Engine

COMPANIONS = 2
"""Items named that shoppers go on to."""


Action, Who = ClusterChange.Action, ClusterChange.Actor
BROUGHT = {
    Action.MERGED: "It came with a cluster that was merged into this one.",
    Action.SPLIT: "It was in the cluster that this one was split off.",
    Action.RESTORED: "It came back with the cluster.",
}
"""Why an item is in a cluster of the merchandiser's, by the edit that brought it in."""


class Aligned(NamedTuple):
    """One persona and one cluster. score : in (0, 1), 1/2 is as everybody.  terms : add up to it."""

    archetype_id: int
    name: str
    score: float
    terms: tuple[AlignmentTerm, ...]


def trace_of(cluster: ItemCluster) -> Trace | None:
    """How a cluster of searches came about; None for any other."""
    told: Mapping[str, Any] = cluster.provenance
    if not told.get("descriptors"):
        return None
    return Trace(
        terms=tuple((str(label), int(segments)) for label, segments in told["terms"]),
        pairs=tuple((str(one), str(two), int(segments), float(strength)) for one, two, segments, strength in told["pairs"]),
        attributes=tuple((str(name), float(lift)) for name, lift in told["attributes"]),
        market=str(told["market"]),
        descriptors=tuple(
            ItemDescriptor(str(words), tuple(map(str, filters)), float(weight), int(found))
            for words, filters, weight, found in told["descriptors"]
        ),
    )


def reasons(
    cluster: ItemCluster,
    memberships: Collection[ClusterMembership],
    *,
    engine: Engine | None = None,
    brought: Mapping[int, ClusterChange] | None = None,
) -> dict[int, tuple[str, ...]]:
    """Item id -> why it is in the cluster, the strongest reason first, for some of its memberships.

    engine : of the shop's release, by which one learned from visits says where shoppers go on to; None leaves that out.
    brought : of `lineage.brought_in`, where it was read already.
    """
    items = [membership.item_id for membership in memberships]
    rules = dict(ClusterItemRule.objects.filter(cluster=cluster, item_id__in=items).values_list("item_id", "rule"))
    trace = trace_of(cluster)
    companions = {} if engine is None else _companions(engine, cluster, items)
    if brought is None:
        brought = brought_in(cluster, items) if cluster.kind in ItemCluster.HAND_KINDS else {}
    found: dict[int, tuple[str, ...]] = {}
    for membership in memberships:
        said: list[str] = []
        if rules.get(membership.item_id) == ClusterItemRule.Rule.CORE:
            said.append("A merchandiser made it a core item.")
        elif rules.get(membership.item_id) == ClusterItemRule.Rule.TAKEN:
            said.append("Learning took it in for good, as somebody approved; it may let it go again.")
        elif rules.get(membership.item_id) == ClusterItemRule.Rule.LESSENED:
            said.append("It weighs less than it would by itself: visits that like the cluster pass it over.")
        elif cluster.kind in ItemCluster.HAND_KINDS and not membership.via:
            said.append(_by_hand(cluster, brought.get(membership.item_id)))
        if trace is not None and membership.via and all(place < len(trace.descriptors) for place, _ in membership.via):
            said += explain_membership(trace, [(place, rank) for place, rank in membership.via])
        if with_it := companions.get(membership.item_id):
            said.append(f"Shoppers who look at it go on to {' and '.join(f'“{title}”' for title in with_it)}.")
        found[membership.item_id] = tuple(said)
    return found


def _by_hand(cluster: ItemCluster, change: ClusterChange | None) -> str:
    """Why an item is in a cluster of the merchandiser's. change : that brought it in; None where none is known to have."""
    if change is None or (change.actor == Who.API and cluster.kind == ItemCluster.Kind.IMPORTED):
        imported = cluster.kind == ItemCluster.Kind.IMPORTED
        return "It was imported, or put in by hand since." if imported else "It was put in by hand."
    if change.actor in (Who.TRAINING, Who.BUILD, Who.LEARNING):
        return "It was learned, before the cluster became a merchandiser's."
    if change.actor == Who.IMPORT:
        return f"It was in the file that was imported, {change.who}." if change.who else "It was in the file that was imported."
    return BROUGHT.get(Action(change.action), "It was put in by hand.")


def _companions(engine: Engine, cluster: ItemCluster, items: Sequence[int]) -> dict[int, list[str]]:
    """Item id -> titles of the cluster's other items that shoppers go on to most."""
    place = engine.clusters.position_of.get(cluster.pk)
    if place is None or not items:
        return {}
    catalogue = engine.catalogue
    held = np.zeros(len(catalogue), dtype=bool)
    held[engine.clusters.items[place].indices] = True
    moves = engine.clusters.behaviour.moves
    told = {}
    for item, position in zip(items, catalogue.positions(items).tolist(), strict=True):
        if position < 0:
            continue
        entries = slice(moves.indptr[position], moves.indptr[position + 1])
        to, often = moves.indices[entries], moves.data[entries]
        among = np.flatnonzero(held[to] & (to != position))
        best = among[np.argsort(-often[among], kind="stable")[:COMPANIONS]]
        told[item] = [catalogue.titles[i] for i in to[best].tolist()]
    return told


def alignment(engine: Engine, cluster_id: int) -> tuple[Aligned, ...]:
    """How well a cluster suits each persona of a release, best first; () for a cluster that the release lacks."""
    place = engine.clusters.position_of.get(cluster_id)
    if place is None:
        return ()
    model = engine.personas
    told = []
    for k, archetype in enumerate(model.ids):
        belief = np.zeros(len(model.ids))
        belief[k] = 1.0
        terms = explain(
            engine.clusters,
            place,
            belief=belief,
            attributes=model.mix64[k],
            attribute_descriptors=model.attribute_descriptors,
            descriptors=engine.catalogue.descriptors,
            attribute_names=model.attribute_names,
            persona_names=model.archetype_names,
        )
        told.append(Aligned(archetype, model.archetype_names[k], sum(term.value for term in terms), terms))
    return tuple(sorted(told, key=lambda a: -a.score))
