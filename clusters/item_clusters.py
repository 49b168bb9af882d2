"""Item clusters: groups of items that are visited together, overlapping, named, with ids that last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

NO_CLUSTER = -1
"""Cluster position of an item that is in none."""


@dataclass(frozen=True)
class ItemClusters:
    """C clusters over n items, D descriptors, K archetypes, A attributes.

    cluster_ids : (C,) int64, ascending, append-only.  names : distinct.  kinds : "covisit", "search" or "hand".
    items : (C, n) float32 CSR, membership in (0, 1].  of_item : (n, C), its transpose; an item's row sums to 1.
    primary : (n,) int32 cluster position of the item's strongest membership, `NO_CLUSTER` if in none.
    descriptor_lift : (C, D) float32 CSR, P(descriptor | cluster) / P(descriptor) where over-represented.
    transitions : (C, C) float32, rows sum to 1: cluster of the next item, given this one's.
    share : (C,) float32, prior share of engagement, sums to 1.
    persona_lift : (C, K) float32, P(cluster | persona) / P(cluster), shrunk to 1 where evidence is thin.
    attribute_match : (C, A) float32 in [-1, 1], cosine of an attribute's weights and the cluster's descriptors.
    locked : (C,) bool, clusters that sessions and learning may not contract.
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

    def __len__(self) -> int:
        return len(self.cluster_ids)

    @cached_property
    def position_of(self) -> Mapping[int, int]:
        """Cluster id -> position."""
        return {cluster: i for i, cluster in enumerate(self.cluster_ids.tolist())}

    @cached_property
    def sizes(self) -> np.ndarray:
        """(C,) int64, items in each cluster, weak members too."""
        return np.diff(self.items.indptr).astype(np.int64)

    def of(self, position: int) -> tuple[tuple[int, float], ...]:
        """(cluster position, membership) of the item at a catalogue position, strongest first; () where in none."""
        if position < 0:
            return ()
        row = slice(self.of_item.indptr[position], self.of_item.indptr[position + 1])
        pairs = zip(self.of_item.indices[row].tolist(), self.of_item.data[row].tolist(), strict=True)
        return tuple(sorted(pairs, key=lambda p: (-p[1], p[0])))
