"""Catalogue searches as the generator of clusters makes them: each once, the best results only, narrowed by attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.search_index import Filters

Search = Callable[[str, Filters, int], tuple[np.ndarray, np.ndarray]]
"""(words, filters, count) -> (item positions, scores), best first; nothing where no item has the words."""

DEPTH = 100
"""Results read of a search."""

RELEVANT = 0.5
"""Share of the best result's score under which a result only mentions the words: the lamp that "goes with any tent"."""

_FILTERS: Mapping[str, Callable[[str], Filters]] = {
    "category": lambda value: Filters(category=(value,)),
    "brand": lambda value: Filters(brand=(value,)),
    "colour": lambda value: Filters(colour=(value,)),
    "price_tier": lambda value: Filters(price_tier=(value,)),
}


class Finder:
    """Catalogue searches, each made once. What is found: the positions whose score is near the best, best first."""

    def __init__(self, catalogue: Catalogue, search: Search) -> None:
        self.in_stock = catalogue.in_stock
        self.category = [catalogue.categories[code] if code >= 0 else "" for code in catalogue.category.tolist()]
        self._search = search
        self._column = {name: j for j, name in enumerate(catalogue.descriptors)}
        self._having = sparse.csc_matrix(catalogue.item_descriptors)
        self._plain: dict[str, tuple[np.ndarray, float, bool]] = {}
        self._narrow: dict[tuple[str, str], np.ndarray] = {}

    def has(self, descriptor: str) -> bool:
        """Whether a search can be narrowed to it. A tag names goods rather than a side of them, as words do already."""
        return descriptor in self._column and not descriptor.startswith("tag=")

    def find(self, words: str) -> np.ndarray:
        """(m,) positions."""
        if words not in self._plain:
            positions, scores = self._search(words, Filters(), DEPTH)
            least = RELEVANT * float(scores.max(initial=0.0))
            kept = positions[scores >= least]
            self._plain[words] = (kept, least, len(kept) < DEPTH)
        return self._plain[words][0]

    def narrowed(self, words: str, descriptor: str) -> np.ndarray:
        """(m,) positions of those with the descriptor; searched for only where the plain search didn't find all."""
        if (words, descriptor) not in self._narrow:
            plain = self.find(words)
            _, least, complete = self._plain[words]
            kind, _, value = descriptor.partition("=")
            if complete or kind not in _FILTERS:
                column = self._column[descriptor]
                rows = self._having.indices[self._having.indptr[column] : self._having.indptr[column + 1]]
                kept = plain[np.isin(plain, rows)]
            else:
                positions, scores = self._search(words, _FILTERS[kind](value), DEPTH)
                kept = positions[scores >= least]
            self._narrow[words, descriptor] = kept
        return self._narrow[words, descriptor]
