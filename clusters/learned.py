"""What learning knows of clusters before a merchandiser has a say: kept in a release, so that an edit needs no log."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

CO_VISIT = "co_visit"
"""Kind of a cluster that was learned from what shoppers view together."""

SEARCH = "search"
"""Kind of a cluster that was learned from what shoppers search for together."""


@dataclass(frozen=True)
class Behaviour:
    """What shoppers did with n items, counted: whatever the clusters say of behaviour follows from it and the memberships.

    gain : (n,) float32 engagement.  moves : (n, n) float32 CSR, [a, b] times b came next after a.
    persona : (n, K) float32, engagement of each persona by the beliefs; K is 0 where there are none.
    """

    gain: np.ndarray
    moves: sparse.csr_matrix
    persona: np.ndarray

    @classmethod
    def none(cls, n: int) -> Behaviour:
        """Of n items that nobody has seen."""
        nothing = np.zeros(n, dtype=np.float32)
        return cls(nothing, sparse.csr_matrix((n, n), dtype=np.float32), np.zeros((n, 0), dtype=np.float32))


@dataclass(frozen=True)
class Learned:
    """L clusters over n items as learning made them, without edits.

    cluster_ids : (L,) int64, ascending.  names : as learning named them.  kinds : `CO_VISIT` or `SEARCH`.
    of_item : (n, L) float32 CSR, memberships in (0, 1]; an item's in clusters of co-visits sum to 1.
    source : (L,) int32, the cluster's place in the `SearchClusters` of the build, -1 where it is in none.
    resolution : of the grouping of co-visits, for a rebuild to start from.
    """

    cluster_ids: np.ndarray
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    of_item: sparse.csr_matrix
    source: np.ndarray
    resolution: float

    def __len__(self) -> int:
        return len(self.cluster_ids)

    @classmethod
    def none(cls, n: int) -> Learned:
        """No cluster of n items."""
        return cls(
            np.zeros(0, dtype=np.int64), (), (), sparse.csr_matrix((n, 0), dtype=np.float32), np.zeros(0, dtype=np.int32), 0.0
        )

    def at(self, places: np.ndarray) -> Learned:
        """The clusters at these places, in this order."""
        of_item = sparse.csr_matrix(self.of_item[:, places])
        of_item.sort_indices()
        return Learned(
            cluster_ids=self.cluster_ids[places],
            names=tuple(self.names[i] for i in places.tolist()),
            kinds=tuple(self.kinds[i] for i in places.tolist()),
            of_item=of_item,
            source=self.source[places],
            resolution=self.resolution,
        )

    def of_items(self, old_ids: np.ndarray, item_ids: np.ndarray) -> Learned:
        """The same clusters over other items, of which those that are gone are left out. Ids ascending."""
        return replace(self, of_item=sparse.csr_matrix(taken(old_ids, item_ids) @ self.of_item))


def taken(old_ids: np.ndarray, item_ids: np.ndarray) -> sparse.csr_matrix:
    """(n, m) 1 where an item of `item_ids` is one of the m old ones, both ascending; items that are gone are left out."""
    place = np.minimum(np.searchsorted(old_ids, item_ids), max(len(old_ids) - 1, 0))
    found = old_ids[place] == item_ids if len(old_ids) else np.zeros(len(item_ids), dtype=bool)
    rows = np.flatnonzero(found)
    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, place[rows])), shape=(len(item_ids), len(old_ids)))
