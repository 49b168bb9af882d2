"""Where clusters of searches come from, by their ids: kept with a release, so that whatever serves can be explained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from clusters.item_clusters import ItemClusters
from clusters.search_clusters import SearchClusters, none


@dataclass(frozen=True)
class Provenance:
    """A component. S clusters of searches, m times that one of their searches found an item.

    cluster_ids : (S,) int64, ascending.  traces : S, the fields of `clusters.search_clusters.Trace` by name.
    cluster : (m,) int32 place of the cluster.  item_ids : (m,) int64.  descriptor : (m,) int32 place in the trace's descriptors.
    rank : (m,) int32, from 1.
    """

    cluster_ids: np.ndarray
    traces: tuple[dict[str, Any], ...]
    cluster: np.ndarray
    item_ids: np.ndarray
    descriptor: np.ndarray
    rank: np.ndarray

    @classmethod
    def of(cls, searched: SearchClusters | None, clusters: ItemClusters) -> Provenance:
        """Of the clusters that were learned from `searched`, by the ids that they have in `clusters`; None for no searches."""
        learned = clusters.learned
        if searched is None:
            searched = none(len(clusters.item_ids))
        places = np.flatnonzero(learned.source >= 0) if len(searched) else np.zeros(0, dtype=np.int64)
        source = learned.source[places].tolist()
        rows = [
            (s, clusters.item_ids.item(position), descriptor, rank)
            for s, place in enumerate(source)
            for position, found in sorted(searched.via[place].items())
            for descriptor, rank in found
        ]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        return cls(
            cluster_ids=learned.cluster_ids[places],
            traces=tuple(searched.traces[place]._asdict() for place in source),
            cluster=columns[0].astype(np.int32),
            item_ids=columns[1],
            descriptor=columns[2].astype(np.int32),
            rank=columns[3].astype(np.int32),
        )

    def without(self, labels: Collection[str]) -> Provenance:
        """The same with traces that don't tell of some words: see `without_labels`."""
        return replace(self, traces=tuple(without_labels(trace, labels) for trace in self.traces))

    @cached_property
    def by_cluster(self) -> dict[int, tuple[dict[str, Any], dict[int, list[list[int]]]]]:
        """Cluster id -> (its trace, item id -> [[descriptor, rank], ...] as `ClusterMembership.via` has it)."""
        via: list[dict[int, list[list[int]]]] = [{} for _ in self.traces]
        rows = zip(self.cluster.tolist(), self.item_ids.tolist(), self.descriptor.tolist(), self.rank.tolist(), strict=True)
        for cluster, item, descriptor, rank in rows:
            via[cluster].setdefault(item, []).append([descriptor, rank])
        return dict(zip(self.cluster_ids.tolist(), zip(self.traces, via, strict=True), strict=True))


def labels_of(trace: Mapping[str, Any]) -> set[str]:
    """The words of searches that a trace tells of."""
    told = {label for label, _ in trace.get("terms", ())} | {each[0] for each in trace.get("descriptors", ())}
    return {label for label in told if label}


def without_labels(trace: Mapping[str, Any], labels: Collection[str]) -> dict[str, Any]:
    """A trace without some words. Descriptors keep their places, which memberships name, but say nothing."""
    return {
        **trace,
        "terms": [term for term in trace["terms"] if term[0] not in labels],
        "pairs": [pair for pair in trace["pairs"] if pair[0] not in labels and pair[1] not in labels],
        "descriptors": [["", [], *each[2:]] if each[0] in labels else each for each in trace["descriptors"]],
    }
