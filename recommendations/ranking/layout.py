"""Where a cluster's items lie among the encoder's outputs, so that clusters change under a ranker that doesn't.

Training puts the outputs of a cluster that was learned from visits in one piece, which a product reads at memory speed.
Clusters of a later build, or made by hand, have their items where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clusters.item_clusters import CO_VISIT, ItemClusters
from recommendations.ranking.compiling import readonly
from recommendations.ranking.encoder import Encoder
from recommendations.ranking.tables import Grouping


@dataclass(frozen=True)
class ClusterRows:
    """Rows of an encoder's outputs by cluster, of C clusters and, as number C, of the items in none.

    Each item is in one cluster of those learned from visits, its primary one; in another kind, with all its items.

    rows : (m,) int32 rows of the outputs, within a cluster by bias, which rises with popularity, the highest first.
    starts : (C + 2,) int64, cluster c has rows[starts[c]:starts[c + 1]].
    primary : (n,) int32, the clusters' own, -1 for none.
    centroids : (C, d) float32, mean output of each cluster; zero of an empty one.
    """

    rows: np.ndarray
    starts: np.ndarray
    primary: np.ndarray
    centroids: np.ndarray

    @cached_property
    def grouping(self) -> Grouping:
        """The same as compiled loops read it."""
        return Grouping(readonly(self.rows, np.int32), readonly(self.starts, np.int64), readonly(self.primary, np.int32))

    @cached_property
    def parts(self) -> tuple[np.ndarray, ...]:
        """`grouping`, plain."""
        return tuple(self.grouping)

    @cached_property
    def means(self) -> np.ndarray:
        """`centroids` as compiled loops read them."""
        return readonly(self.centroids, np.float32)


def lay_out(encoder: Encoder, clusters: ItemClusters) -> ClusterRows:
    """The layout of clusters over the items of `encoder`. Raises ValueError where they aren't of the same items."""
    n, count = len(encoder.row_of), len(clusters)
    if len(clusters.primary) != n:
        raise ValueError(f"clusters of {len(clusters.primary)} items do not fit a ranker of {n}")
    whole = np.array([kind != CO_VISIT for kind in clusters.kinds], dtype=bool)
    held = clusters.items[np.flatnonzero(whole)].tocoo()
    place = np.where(clusters.primary < 0, count, clusters.primary)
    lone = np.flatnonzero(~np.append(whole, False)[place])
    cluster = np.concatenate((place[lone], np.flatnonzero(whole)[held.row]))
    row = np.concatenate((encoder.row_of[lone], encoder.row_of[held.col]))
    order = np.lexsort((row, -encoder.bias[row], cluster))
    rows = row[order].astype(np.int32)
    starts = np.searchsorted(cluster[order], np.arange(count + 2)).astype(np.int64)
    centroids = np.zeros((count, encoder.outputs.shape[1]), dtype=np.float32)
    for c in np.flatnonzero(np.diff(starts)[:count]).tolist():
        centroids[c] = encoder.outputs[rows[starts[c] : starts[c + 1]]].mean(axis=0)
    return ClusterRows(rows=rows, starts=starts, primary=clusters.primary, centroids=centroids)
