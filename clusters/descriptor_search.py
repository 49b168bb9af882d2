"""Catalogue searches as the generator of clusters makes them: each once, what is relevant only, narrowed by attributes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.search_index import Filters
from personas.queries import words

Search = Callable[[str, Filters, int], tuple[np.ndarray, np.ndarray]]
"""(words, filters, count) -> (item positions, scores), best first; nothing where no item has the words."""

DEPTH = 100
"""Ranks that count."""

BROAD = 0.1
"""Share of the catalogue (if above `DEPTH`) from which what is found is no type of items: "women", "gifts"."""

RELEVANT = 0.5
"""Share of the best result's score under which a result only mentions the words: the lamp that "goes with any tent"."""


class Finder:
    """Catalogue searches, each made once. n items."""

    def __init__(self, catalogue: Catalogue, search: Search) -> None:
        self.in_stock = catalogue.in_stock
        self.category = [catalogue.categories[code] if code >= 0 else "" for code in catalogue.category.tolist()]
        self._titles = catalogue.titles
        self._departments = {" ".join(words(name)) for name in catalogue.categories}
        self._search = search
        self._most = max(DEPTH, int(BROAD * len(catalogue)))
        self._column = {name: j for j, name in enumerate(catalogue.descriptors)}
        self._having = sparse.csc_matrix(catalogue.item_descriptors)
        self._all: dict[str, np.ndarray] = {}

    def has(self, descriptor: str) -> bool:
        """Whether a search can be narrowed to it. A tag names goods rather than a side of them, as words do already."""
        return descriptor in self._column and not descriptor.startswith("tag=")

    def find(self, said: str) -> np.ndarray:
        """(m,) positions, at most `DEPTH`, best first. None where the words find too much, or name a department ("home decor"):
        they say where to go rather than what is wanted, and the first of a thousand things stand for nothing."""
        return self._relevant(said)[:DEPTH]

    def narrowed(self, said: str, descriptor: str) -> np.ndarray:
        """(m,) positions of those with the descriptor. It takes no further search: all that is relevant was found."""
        found, column = self._relevant(said), self._column[descriptor]
        rows = self._having.indices[self._having.indptr[column] : self._having.indptr[column + 1]]
        return found[np.isin(found, rows)][:DEPTH]

    def _relevant(self, said: str) -> np.ndarray:
        if said not in self._all:
            positions, scores = self._search(said, Filters(), self._most + 1)
            kept = positions[scores >= RELEVANT * float(scores.max(initial=0.0))]
            vague = len(kept) > self._most or self._names_department(said, kept)
            self._all[said] = kept[:0] if vague else kept
        return self._all[said]

    def _names_department(self, said: str, found: np.ndarray) -> bool:
        """Whether it is a category whose items mostly go by other names. Skirts are called so, home decor isn't."""
        named = set(words(said))
        if " ".join(words(said)) not in self._departments:
            return False
        return 2 * sum(named <= set(words(self._titles[i])) for i in found.tolist()) < len(found)
