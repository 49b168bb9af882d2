"""Where expansions may lead: of each cluster its nearest, and of each of those the best items that the bounds let in."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from clusters import kept_out
from clusters.bounds import Bounds
from clusters.catalogue import MISSING, Catalogue
from clusters.item_clusters import ItemClusters

NEAREST = 12
"""Related clusters looked at; beyond them a relation is noise."""


_NONE: frozenset[int] = frozenset()


class Way(NamedTuple):
    """From one cluster to another. items : positions of what may come in, best first.  bound : what lets nothing in, "" for
    none."""

    items: tuple[int, ...]
    bound: str


class Reach:
    """What is found out of a release's clusters when it is first asked for, and kept: shared by all sessions of a process.

    catalogue : for margins, categories and kinds of items; None for clusters alone.
    """

    def __init__(self, clusters: ItemClusters, catalogue: Catalogue | None = None, bounds: Bounds | None = None) -> None:
        self.clusters, self.catalogue, self.bounds = clusters, catalogue, bounds or Bounds()
        self._near: dict[int, tuple[tuple[int, float], ...]] = {}
        self._lift_near: dict[int, np.ndarray] = {}
        self._ways: dict[tuple[int, int], Way] = {}
        self._core: dict[int, frozenset[int]] | None = None
        self._spared: dict[int, frozenset[int]] = {}
        self._losing: dict[int, frozenset[int]] = {}
        self._barred: dict[tuple[str, ...], np.ndarray] = {}
        self._limits = {cluster: (least, most) for cluster, least, most in self.bounds.limits}

    def near(self, cluster: int) -> tuple[tuple[int, float], ...]:
        """(cluster position, share of the relations) of the clusters most related to the one at a position, nearest first."""
        found = self._near.get(cluster)
        if found is None:
            related = self.clusters.related[cluster]
            order = np.argsort(-related, kind="stable")[:NEAREST].tolist()
            found = self._near[cluster] = tuple((c, float(related[c])) for c in order if related[c] > 0 and c != cluster)
        return found

    def lift_near(self, cluster: int) -> np.ndarray:
        """(m, K) how much more each persona engages in each cluster of `near` than shoppers do."""
        found = self._lift_near.get(cluster)
        if found is None:
            rows = [position for position, _ in self.near(cluster)]
            found = self._lift_near[cluster] = self.clusters.persona_lift[rows].astype(np.float64)
        return found

    def way(self, source: int, target: int) -> Way:
        """What an expansion of the cluster at one position towards that at another may bring in.

        The best are those that shoppers engaged with most, by how much they belong to the target. What the source holds
        already is left out: it needs no bringing.
        """
        found = self._ways.get((source, target))
        if found is None:
            found = self._ways[source, target] = self._find(source, target)
        return found

    def core(self, cluster: int) -> frozenset[int]:
        """Positions of the items that never leave the cluster at a position."""
        if self._core is None:
            found: dict[int, set[int]] = {}
            for c, item in self.clusters.core.tolist():
                found.setdefault(c, set()).add(item)
            self._core = {c: frozenset(items) for c, items in found.items()}
        return self._core.get(cluster, _NONE)

    def limits(self, cluster: int) -> tuple[int, int | None]:
        """Least and greatest size of the cluster at a position, 0 and None for no bound."""
        least, most = self._limits.get(self.clusters.cluster_ids.item(cluster), (None, None))
        return least or 0, most

    def spared(self, cluster: int) -> frozenset[int]:
        """Positions of the items of the cluster at a position that lose nothing by its contraction: its core, and then those that
        belong to it most, as many as its least size."""
        found = self._spared.get(cluster)
        if found is None:
            core, (least, _) = self.core(cluster), self.limits(cluster)
            held = self.clusters.items
            entries = slice(held.indptr[cluster], held.indptr[cluster + 1])
            items, membership = held.indices[entries], held.data[entries]
            best = [i for i in items[np.lexsort((items, -membership))].tolist() if i not in core]
            found = self._spared[cluster] = core | frozenset(best[: max(least - len(core), 0)])
        return found

    def losing(self, cluster: int) -> frozenset[int]:
        """Ids of the items of the cluster at a position that a contraction weighs on: all but those that are spared."""
        found = self._losing.get(cluster)
        if found is None:
            held, ids, spared = self.clusters.items, self.clusters.item_ids, self.spared(cluster)
            items = held.indices[held.indptr[cluster] : held.indptr[cluster + 1]].tolist() if len(ids) else []
            found = self._losing[cluster] = frozenset(ids.item(i) for i in items if i not in spared)
        return found

    def _find(self, source: int, target: int) -> Way:
        held = self.clusters.items
        entries = slice(held.indptr[target], held.indptr[target + 1])
        items, membership = held.indices[entries], held.data[entries].astype(np.float64)
        there = set(held.indices[held.indptr[source] : held.indptr[source + 1]].tolist())
        fresh = np.array([item not in there for item in items.tolist()], dtype=bool)
        items, membership = items[fresh], membership[fresh]
        if not len(items):
            return Way((), "")
        gain, known = np.zeros(len(items)), self.clusters.behaviour.gain
        traded = items < len(known)
        gain[traded] = known[items[traded]]
        best = items[np.lexsort((items, -membership * (1.0 + gain)))]
        bounds = (("kept_out", self._let_in(source)), ("margin_floor", self._pays), ("apart", self._apart_of(source)))
        for bound, kept in bounds:
            if kept is not None:
                best = best[kept[best]]
                if not len(best):
                    return Way((), bound)
        return Way(tuple(best[: max(self.bounds.sizes)].tolist()), "")

    def _let_in(self, source: int) -> np.ndarray | None:
        """(n,) whether the item is of no kind that the cluster at a position takes in none of; None where it takes in all."""
        bars = self.clusters.bars[source] if self.clusters.bars else ()
        if not bars or self.catalogue is None:
            return None
        found = self._barred.get(bars)
        if found is None:
            found = self._barred[bars] = ~kept_out.under(self.catalogue, bars)
        return found

    @cached_property
    def _pays(self) -> np.ndarray | None:
        """(n,) whether the margin isn't known to be under the floor; None for no floor."""
        catalogue, floor = self.catalogue, self.bounds.margin_floor
        if floor is None or catalogue is None or catalogue.cost is None:
            return None
        price = np.where(catalogue.price > 0, catalogue.price, np.nan).astype(np.float64)
        return ~((price - catalogue.cost) / price < floor)

    def _apart_of(self, source: int) -> np.ndarray | None:
        """(n,) whether the item's category may come to a cluster; None where nothing bars it."""
        catalogue = self.catalogue
        if not self.bounds.apart or catalogue is None:
            return None
        code = {name: i for i, name in enumerate(catalogue.categories)}
        held = self.clusters.items
        has = set(catalogue.category[held.indices[held.indptr[source] : held.indptr[source + 1]]].tolist()) - {MISSING}
        barred = set()
        for one, other in self.bounds.apart:
            a, b = code.get(one, MISSING), code.get(other, MISSING)
            barred |= ({b} if a in has else set()) | ({a} if b in has else set())
        barred.discard(MISSING)
        return ~np.isin(catalogue.category, sorted(barred)) if barred else None
