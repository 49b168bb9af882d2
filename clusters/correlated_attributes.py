"""Attributes that go with searches: brands, price tiers, categories and the like, and where markets differ in them.

Two kinds of evidence, both held against all searches of the shop: what shoppers engage with after the searches of a query
cluster, and the words that they add to them ("red", "cheap"). Every table is tested by the log-likelihood ratio, so that a
handful of events is no attribute, however large its share.

References: Dunning (1993), "Accurate methods for the statistics of surprise and coincidence"; Kish (1965), "Survey
sampling", for the effective size of unequal weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import chdtri, xlogy

from clusters.catalogue import PRICE_TIERS, Catalogue
from clusters.query_terms import QueryTerms
from clusters.search_history import QueryStats
from personas.queries import words

KINDS = ("category", "brand", "colour", "price_tier", "tag", "discount")
"""Kinds of descriptors that can go with searches; words of the titles are what was searched for."""

MIN_LIFT = 1.2
"""Over-representation under this isn't worth a search of its own."""

MIN_ITEMS = 3
"""Distinct items that must show an attribute: what one popular item has says nothing of the others."""

MIN_SEGMENTS = 20
"""Segments of a market with a query cluster's searches before the market can have a variant; fewer can't be told apart."""

MARKET_LIFT = 1.5
"""Times by which a market must search something more, or less, than the others do: a lean that shows in the items."""

ERROR = 0.01
"""Chance that anything at all is told of a cluster, or of all markets, where there is nothing; divided by the tests."""

MOST = 3.0
"""Engagement (a cart's worth) that one item counts with after one term, so that a bestseller doesn't speak for its kind."""

EVEN = 0.1
"""Weight of the catalogue's own mix beside what the other searches lead to; where no other leads, it is all there is."""

_PRICE_WORDS = {
    PRICE_TIERS[0]: ("cheap", "budget", "affordable", "inexpensive"),
    PRICE_TIERS[3]: ("luxury", "premium", "expensive", "exclusive"),
}
_REDUCED_WORDS = ("sale", "discount", "discounted", "reduced", "clearance")


class Attribute(NamedTuple):
    """A descriptor that goes with searches. lift : times as frequent as expected.  surprise : its log-likelihood ratio."""

    name: str
    lift: float
    surprise: float


class MarketLean(NamedTuple):
    """How a market searches for what a query cluster is about.

    more : (t,) float64, one for each term given: times as often as in the other markets where that is beyond chance, else 1.
    attributes : those added to the searches more often than elsewhere.  surprise : of the strongest difference.
    """

    market: str
    more: np.ndarray
    attributes: tuple[Attribute, ...]
    surprise: float


def attribute_words(catalogue: Catalogue) -> dict[str, str]:
    """Normal form of a search's words -> the descriptor that they ask for: colours, brands, "cheap", "sale".

    A word that is also a category or a tag of the shop is left out: there, "orange" is looked for itself.
    """
    kinds: dict[str, list[str]] = {}
    for name in catalogue.descriptors:
        kind, _, value = name.partition("=")
        kinds.setdefault(kind, []).append(value)
    goods = {" ".join(words(value)) for kind in ("category", "tag") for value in kinds.get(kind, ())}
    found: dict[str, str] = {}
    for kind in ("colour", "brand"):
        for value in sorted(kinds.get(kind, ())):
            found.setdefault(" ".join(words(value)), f"{kind}={value}")
    for tier, said in _PRICE_WORDS.items():
        if tier in kinds.get("price_tier", ()):
            found |= {word: f"price_tier={tier}" for each in said for word in words(each)}
    if "discount" in kinds:
        found |= {word: "discount=reduced" for each in _REDUCED_WORDS for word in words(each)}
    return {form: name for form, name in found.items() if form and form not in goods}


@dataclass(frozen=True)
class Correlations:
    """What all searches of a shop lead to, to hold some of them against the rest. T terms, n items, D descriptors of `KINDS`.

    by_term : (T, n) CSR, engagement after each term, at most `MOST` an item.
    names : D.  having : (n, D) CSR of ones.  category : (n, C) CSR one-hot, items without one in a column of their own.
    mix : (C, D) CSR engagement with a category's items that have the descriptor, plus `EVEN` of it spread over all items.
    within : (C,) the same of all of a category's items.
    """

    stats: QueryStats
    terms: QueryTerms
    by_term: sparse.csr_matrix
    names: tuple[str, ...]
    having: sparse.csr_matrix
    category: sparse.csr_matrix
    mix: sparse.csr_matrix
    within: np.ndarray

    def going_with(self, members: Sequence[int]) -> tuple[Attribute, ...]:
        """Attributes of the searches for these terms, the most telling first.

        An attribute must be shared: over-represented after at least half of the terms that led to anything, and two of
        them. What goes with one of the terms alone is what that term means. Expected is what the shop's other searches lead
        to, within the same categories (except for categories themselves), and what the catalogue has.
        """
        found = {each.name: each for each in self._engaged(members)}
        for each in self._asked(members):
            if each.name not in found or found[each.name].surprise < each.surprise:
                found[each.name] = each
        return tuple(sorted(found.values(), key=lambda a: (-a.surprise, a.name)))

    def _engaged(self, members: Sequence[int]) -> Iterator[Attribute]:
        rows = self.by_term[list(members)]
        mass = np.asarray(rows.sum(1)).ravel()
        rows = rows[mass > 0]
        if rows.shape[0] < 2:
            return
        mass = mass[mass > 0]
        pooled = np.asarray(rows.sum(0)).ravel()
        touched = np.flatnonzero(pooled)
        weighted = sparse.csr_matrix(self.category[touched].multiply(pooled[touched, None]))
        left = np.maximum(self.within - np.asarray(weighted.sum(0)).ravel(), 1e-9)
        mix = sparse.csr_matrix(self.mix - weighted.T @ self.having[touched])
        having = np.asarray((rows @ self.having).toarray())
        own = np.asarray((rows @ self.category @ sparse.diags(1.0 / left) @ mix).toarray())
        columns = np.array([name.startswith("category=") for name in self.names], dtype=bool)
        own[:, columns] = mass[:, None] * np.asarray(mix.sum(0)).ravel()[columns] / left.sum()
        shared = (having > own * MIN_LIFT).sum(0) >= max(2, (rows.shape[0] + 1) // 2)
        items = np.asarray(self.having[touched].sum(0)).ravel()
        tested = np.flatnonzero(shared & (items >= MIN_ITEMS))
        size = mass.sum() ** 2 / (rows.data**2).sum()
        share, base = having[:, tested].sum(0) / mass.sum(), np.clip(own[:, tested].sum(0) / mass.sum(), 1e-9, 1 - 1e-9)
        surprise = _surprise(share, base, size)
        lift = (size * share + 1.0) / (size * base + 1.0)
        for j in np.flatnonzero((lift >= MIN_LIFT) & (surprise > _critical(len(self.names)))).tolist():
            yield Attribute(self.names[int(tested[j])], float(lift[j]), float(surprise[j]))

    def _asked(self, members: Sequence[int]) -> Iterator[Attribute]:
        columns = self._worded
        if not len(columns):
            return
        inside = self._with_any(members)
        added = self.terms.of_query[:, columns].astype(np.int64)
        here, total = added[inside].T @ self.stats.searches[inside], added.T @ self.stats.searches
        size, rest = self.stats.searches[inside].sum(), self.stats.searches[~inside].sum()
        for name, with_it, elsewhere in self._by_name(columns, here, total - here):
            if with_it >= MIN_ITEMS and rest:
                surprise, lift = _compared(with_it, size, elsewhere, rest)
                if lift >= MIN_LIFT and surprise > _critical(len(columns)):
                    yield Attribute(name, lift, surprise)

    def leans(self, members: Sequence[int], tests: int) -> tuple[MarketLean, ...]:
        """Markets that search for these terms differently from the other values of the same variable, clearest first.

        What is compared are shares of the segments that search for any of the terms: how many search for each of the
        terms, and how many add each attribute's words. (Engagement isn't kept by market.) A segment with several of the
        queries counts with each. tests : groups looked at, for the significance.
        """
        inside = self._with_any(members)
        by_market = np.asarray(self.stats.by_market[inside].sum(0)).ravel()
        variable = np.array([name.partition("=")[0] for name in self.stats.markets])
        columns = self._worded
        features = [*members, *columns.tolist()]
        counts = np.asarray(
            (self.terms.of_query[inside][:, features].T.astype(np.int64) @ self.stats.by_market[inside]).toarray()
        )
        limit = _critical(max(tests, 1) * max(len(features), 1) * max(len(variable), 1))
        found = []
        for m, name in enumerate(self.stats.markets):
            others = (variable == variable[m]) & (np.arange(len(variable)) != m)
            here, rest = int(by_market[m]), int(by_market[others].sum())
            if here < MIN_SEGMENTS or rest < MIN_SEGMENTS:
                continue
            elsewhere = counts[:, others].sum(1)
            more, surprises = np.ones(len(members)), [0.0]
            for i in range(len(members)):
                surprise, lift = _compared(int(counts[i, m]), here, int(elsewhere[i]), rest)
                if surprise > limit and not 1 / MARKET_LIFT < lift < MARKET_LIFT:
                    more[i] = lift
                    surprises.append(surprise)
            attributes = []
            start = len(members)
            for descriptor, with_it, without in self._by_name(columns, counts[start:, m], elsewhere[start:]):
                surprise, lift = _compared(with_it, here, without, rest)
                if surprise > limit and lift >= MARKET_LIFT and with_it >= MIN_ITEMS:
                    attributes.append(Attribute(descriptor, lift, surprise))
            attributes.sort(key=lambda a: (-a.surprise, a.name))
            surprise = max(surprises + [a.surprise for a in attributes])
            if surprise:
                found.append(MarketLean(name, more, tuple(attributes), surprise))
        return tuple(sorted(found, key=lambda each: (-each.surprise, each.market)))

    @property
    def _worded(self) -> np.ndarray:
        """Terms that are the words of an attribute."""
        return np.array([t for t, name in enumerate(self.terms.attribute) if name], dtype=np.int64)

    def _by_name(self, columns: np.ndarray, here: np.ndarray, elsewhere: np.ndarray) -> Iterator[tuple[str, int, int]]:
        """Counts of the terms summed by the attribute that they word: "cheap" and "budget" ask for the same."""
        names = [self.terms.attribute[t] for t in columns.tolist()]
        for name in sorted(set(names)):
            rows = [i for i, each in enumerate(names) if each == name]
            yield name, int(here[rows].sum()), int(elsewhere[rows].sum())

    def _with_any(self, members: Sequence[int]) -> np.ndarray:
        """(Q,) bool, queries with any of the terms."""
        return np.asarray(self.terms.of_query[:, list(members)].astype(np.int64).sum(1)).ravel() > 0


def correlate(stats: QueryStats, terms: QueryTerms, catalogue: Catalogue) -> Correlations:
    """The shop's own mix. Items that the catalogue lacks are passed over."""
    position = np.searchsorted(catalogue.item_ids, stats.item_ids)
    known = position < len(catalogue)
    known[known] = catalogue.item_ids[position[known]] == stats.item_ids[known]
    place = sparse.csr_matrix(
        (np.ones(int(known.sum())), (np.flatnonzero(known), position[known])), shape=(len(stats.item_ids), len(catalogue))
    )
    by_term = sparse.csr_matrix(terms.of_query.T.astype(np.float64) @ stats.engaged @ place)
    by_term.data = np.clip(by_term.data, 0.0, MOST)  # taken back more than was wanted is no engagement
    by_term.eliminate_zeros()
    kept = [j for j, name in enumerate(catalogue.descriptors) if name.partition("=")[0] in KINDS]
    having = sparse.csr_matrix(catalogue.item_descriptors[:, kept].astype(np.float64))
    n, c = len(catalogue), len(catalogue.categories) + 1
    category = sparse.csr_matrix((np.ones(n), (np.arange(n), catalogue.category.astype(np.int64) % c)), shape=(n, c))
    mass = np.asarray(by_term.sum(0)).ravel()
    mass = mass + max(EVEN * mass.sum(), 1e-9) / max(n, 1)
    weighted = sparse.csr_matrix(category.multiply(mass[:, None]))
    return Correlations(
        stats=stats,
        terms=terms,
        by_term=by_term,
        names=tuple(catalogue.descriptors[j] for j in kept),
        having=having,
        category=category,
        mix=sparse.csr_matrix(weighted.T @ having),
        within=np.asarray(weighted.sum(0)).ravel(),
    )


def _surprise(share: np.ndarray, base: np.ndarray, size: float) -> np.ndarray:
    """Log-likelihood ratio of a share among `size` draws against the share expected."""
    return np.asarray(
        2.0 * size * (xlogy(share, share / base) + xlogy(1.0 - share, np.maximum(1.0 - share, 1e-12) / (1.0 - base)))
    )


def _compared(a: int, size: int, b: int, rest: int) -> tuple[float, float]:
    """(log-likelihood ratio, lift) of a in `size` against b in `rest`; the lift is shrunk to 1 by one expected case."""
    a, b = min(a, size), min(b, rest)  # two words of one attribute in one search count twice
    both = (a + b) / (size + rest)
    cells = np.array([a, size - a, b, rest - b], dtype=float)
    means = np.array([size * both, size * (1 - both), rest * both, rest * (1 - both)])
    surprise = 2.0 * float(xlogy(cells, np.divide(cells, means, out=np.ones(4), where=cells > 0)).sum())
    expected = b / rest
    return surprise, (a / size + 1.0 / size) / (expected + 1.0 / size)


def _critical(tests: int) -> float:
    """Log-likelihood ratio beyond which one of so many tests is a chance of `ERROR` in all."""
    return float(chdtri(1, ERROR / max(tests, 1)))
