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

MIN_EXCESS = 0.1
"""Share beyond the expected one from which an attribute goes with searches: a taste of one in thirty is no reason to put its
items first, however surprising."""

MIN_ITEMS = 3
"""Distinct items that must show an attribute: what one popular item has says nothing of the others."""

MARKETS = ("country", "region", "language", "device")
"""What makes a market: where and how people shop. What they are (age, income) doesn't, for a title is shown to others."""

MIN_SEGMENTS = 20
"""Segments of a market with a query cluster's searches before the market can have a variant; fewer can't be told apart."""

MARKET_LIFT = 1.5
"""Times by which a market must search something more, or less, than the others do: a lean that shows in the items."""

ERROR = 0.01
"""Chance that anything at all is told of a cluster, or of all markets, where there is nothing; divided by the tests."""

EVEN = 0.1
"""Weight of the catalogue's own mix beside what the other searches lead to; where no other leads, it is all there is."""

_PRICE_WORDS = {
    PRICE_TIERS[0]: ("cheap", "budget", "affordable", "inexpensive"),
    PRICE_TIERS[3]: ("luxury", "premium", "expensive", "exclusive"),
}
_REDUCED_WORDS = ("sale", "discount", "discounted", "reduced", "clearance")


class Attribute(NamedTuple):
    """A descriptor that goes with searches.

    lift : times as frequent as expected.  share : of the searches, or of what follows them, in (0, 1].
    surprise : log-likelihood ratio.
    """

    name: str
    lift: float
    share: float
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

    by_term : (T, n) CSR, square root of the engagement after each term: a bestseller speaks for its kind, but not alone.
    names : D.  having : (n, D) CSR of ones.  category : (n, C) CSR one-hot, items without one in the last
        column; code : (n,) int64, the same.  categories : C - 1.
    mix : (C, D) CSR engagement with a category's items that have the descriptor, plus `EVEN` of it spread over all items.
    within : (C,) the same of all of a category's items.
    worded : A descriptors that have words in searches.  adds : (Q, A) CSR int64, 1 where a query has one of the words.
    asked : (A,) segments with such a query.  of_term : (Q, T) CSC, `QueryTerms.of_query` by term.
    """

    stats: QueryStats
    terms: QueryTerms
    by_term: sparse.csr_matrix
    names: tuple[str, ...]
    having: sparse.csr_matrix
    category: sparse.csr_matrix
    code: np.ndarray
    categories: tuple[str, ...]
    mix: sparse.csr_matrix
    within: np.ndarray
    worded: tuple[str, ...]
    adds: sparse.csr_matrix
    asked: np.ndarray
    of_term: sparse.csc_matrix

    def going_with(self, members: Sequence[int]) -> tuple[Attribute, ...]:
        """Attributes of the searches for these terms, the most telling first.

        An attribute must be shared: in excess after at least half of the terms that led to anything, and two of them. What
        goes with one of the terms alone is what that term means. Expected is what the shop's other searches lead to, within
        the same categories (except for categories themselves), and what the catalogue has.
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
        shared = (having - own >= MIN_EXCESS * mass[:, None]).sum(0) >= max(2, (rows.shape[0] + 1) // 2)
        items = np.asarray(self.having[touched].sum(0)).ravel()
        tested = np.flatnonzero(shared & (items >= MIN_ITEMS))
        size = mass.sum() ** 2 / (rows.data**2).sum()
        share, base = having[:, tested].sum(0) / mass.sum(), own[:, tested].sum(0) / mass.sum()
        for j, a, b in zip(tested.tolist(), share.tolist(), base.tolist(), strict=True):
            yield from _told(self.names[j], a, b, size, len(self.names))

    def meant(self, term: int, found: np.ndarray) -> Attribute | None:
        """The category that shoppers mean by a term, of those in which its search finds something.

        found : (m,) positions. Expected is each category's share of them: nobody who wants tulips looks at the table that is
        called so.
        """
        row = slice(self.by_term.indptr[term], self.by_term.indptr[term + 1])
        held = np.isin(self.by_term.indices[row], found)
        items, engaged = self.by_term.indices[row][held], self.by_term.data[row][held]
        c = len(self.categories)
        base = np.bincount(self.code[found], minlength=c + 1)[:c] / max(len(found), 1)
        mass = np.bincount(self.code[items], weights=engaged, minlength=c + 1)[:c]
        if mass.sum() <= 0 or np.count_nonzero(base) < 2:
            return None
        j = int(mass.argmax())
        size = engaged.sum() ** 2 / (engaged**2).sum()
        share = float(mass[j] / engaged.sum())
        return next(_told(f"category={self.categories[j]}", share, float(base[j]), size, int((base > 0).sum())), None)

    def _asked(self, members: Sequence[int]) -> Iterator[Attribute]:
        searches = self.stats.searches
        inside = self._with_any(members)
        here = self.adds[inside].T @ searches[inside]
        size = int(searches[inside].sum())
        rest = int(searches.sum()) - size
        if not self.worded or size < MIN_SEGMENTS or not rest:
            return
        base = (self.asked - here) / rest
        excess = np.zeros(len(self.worded), dtype=np.int64)
        for t in members:
            rows = self._with_any((t,))
            excess += self.adds[rows].T @ searches[rows] / max(searches[rows].sum(), 1) - base >= MIN_EXCESS
        for j in np.flatnonzero(excess >= max(2, (len(members) + 1) // 2)).tolist():
            yield from _told(self.worded[j], float(here[j] / size), float(base[j]), float(size), len(self.worded))

    def leans(self, members: Sequence[int], tests: int) -> tuple[MarketLean, ...]:
        """Markets that search for these terms differently from the other values of the same variable, clearest first.

        What is compared are shares of the segments that search for any of the terms: how many search for each of the
        terms, and how many add each attribute's words. (Engagement isn't kept by market.) A segment with several of the
        queries counts with each. tests : groups looked at, for the significance.
        """
        inside, t = self._with_any(members), len(members)
        markets = self.stats.by_market[inside]
        _, variable = np.unique([name.partition("=")[0] for name in self.stats.markets], return_inverse=True)
        same = (variable[:, None] == variable[None, :]) & ~np.eye(len(variable), dtype=bool)
        searched = sparse.hstack([self.terms.of_query[inside][:, list(members)].astype(np.int64), self.adds[inside]]).tocsr()
        here = np.asarray(markets.sum(0)).ravel()
        counts = np.asarray((searched.T @ markets).toarray())
        rest, elsewhere = same @ here, counts @ same
        offered = np.array([name.partition("=")[0] in MARKETS for name in self.stats.markets], dtype=bool)
        seen = np.flatnonzero(offered & (here >= MIN_SEGMENTS) & (rest >= MIN_SEGMENTS))
        here, rest, counts, elsewhere = here[seen], rest[seen], counts[:, seen], elsewhere[:, seen]
        surprise, lift = _compared(counts, here, elsewhere, rest)
        telling = surprise > _critical(tests * counts.size)
        more = np.where(telling[:t] & ((lift[:t] >= MARKET_LIFT) | (lift[:t] <= 1.0 / MARKET_LIFT)), lift[:t], 1.0)
        share = counts[t:] / here
        added = telling[t:] & (lift[t:] >= MARKET_LIFT) & (share - elsewhere[t:] / rest >= MIN_EXCESS)
        clear = surprise * np.concatenate([more != 1.0, added])
        found = []
        for m in np.flatnonzero(clear.any(0)).tolist():
            attributes = [
                Attribute(self.worded[j], float(lift[t + j, m]), float(share[j, m]), float(surprise[t + j, m]))
                for j in np.flatnonzero(added[:, m]).tolist()
            ]
            attributes.sort(key=lambda a: (-a.surprise, a.name))
            market = self.stats.markets[int(seen[m])]
            found.append(MarketLean(market, more[:, m], tuple(attributes), float(clear[:, m].max())))
        return tuple(sorted(found, key=lambda each: (-each.surprise, each.market)))

    def _with_any(self, members: Sequence[int]) -> np.ndarray:
        """Queries with any of the terms, ascending."""
        of_term = self.of_term
        return np.unique(np.concatenate([of_term.indices[of_term.indptr[t] : of_term.indptr[t + 1]] for t in members]))


def correlate(stats: QueryStats, terms: QueryTerms, catalogue: Catalogue) -> Correlations:
    """The shop's own mix. Items that the catalogue lacks are passed over."""
    position = np.searchsorted(catalogue.item_ids, stats.item_ids)
    known = position < len(catalogue)
    known[known] = catalogue.item_ids[position[known]] == stats.item_ids[known]
    place = sparse.csr_matrix(
        (np.ones(int(known.sum())), (np.flatnonzero(known), position[known])), shape=(len(stats.item_ids), len(catalogue))
    )
    by_term = sparse.csr_matrix(terms.of_query.T.astype(np.float64) @ stats.engaged @ place)
    by_term.data = np.sqrt(np.maximum(by_term.data, 0.0))
    by_term.eliminate_zeros()
    kept = [j for j, name in enumerate(catalogue.descriptors) if name.partition("=")[0] in KINDS]
    having = sparse.csr_matrix(catalogue.item_descriptors[:, kept].astype(np.float64))
    n, c = len(catalogue), len(catalogue.categories) + 1
    code = catalogue.category.astype(np.int64) % c
    category = sparse.csr_matrix((np.ones(n), (np.arange(n), code)), shape=(n, c))
    mass = np.asarray(by_term.sum(0)).ravel()
    mass = mass + max(EVEN * mass.sum(), 1e-9) / max(n, 1)
    weighted = sparse.csr_matrix(category.multiply(mass[:, None]))
    valued = [t for t, name in enumerate(terms.attribute) if name]
    worded = tuple(sorted({terms.attribute[t] for t in valued}))
    column = [worded.index(terms.attribute[t]) for t in valued]
    names = sparse.csr_matrix((np.ones(len(valued), dtype=np.int64), (valued, column)), shape=(len(terms.terms), len(worded)))
    adds = sparse.csr_matrix(terms.of_query.astype(np.int64) @ names)
    adds.data[:] = 1  # "cheap" and "budget" in one search ask for the same
    return Correlations(
        stats=stats,
        terms=terms,
        by_term=by_term,
        names=tuple(catalogue.descriptors[j] for j in kept),
        having=having,
        category=category,
        code=code,
        categories=catalogue.categories,
        mix=sparse.csr_matrix(weighted.T @ having),
        within=np.asarray(weighted.sum(0)).ravel(),
        worded=worded,
        adds=adds,
        asked=adds.T @ stats.searches,
        of_term=sparse.csc_matrix(terms.of_query),
    )


def _told(name: str, share: float, base: float, size: float, tests: int) -> Iterator[Attribute]:
    """The attribute, if its share among `size` cases is clearly above the one expected; one of so many that are tested."""
    base = min(max(base, 1e-9), 1.0 - 1e-9)
    surprise = 2.0 * size * float(xlogy(share, share / base) + xlogy(1.0 - share, (1.0 - share) / (1.0 - base)))
    lift = (size * share + 1.0) / (size * base + 1.0)
    if share - base >= MIN_EXCESS and lift >= MIN_LIFT and surprise > _critical(tests):
        yield Attribute(name, float(lift), float(share), surprise)


def _compared(a: np.ndarray, size: np.ndarray, b: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log-likelihood ratio, lift) of a in `size` against b in `rest`; the lift is shrunk to 1 by one expected case."""
    both = (a + b) / (size + rest)
    cells = ((a, size * both), (size - a, size * (1 - both)), (b, rest * both), (rest - b, rest * (1 - both)))
    surprise = 2.0 * sum(xlogy(seen, np.where(seen > 0, seen, 1.0) / np.maximum(mean, 1e-12)) for seen, mean in cells)
    return np.asarray(surprise), np.asarray((a + 1.0) / (size * (b / rest) + 1.0))


def _critical(tests: int) -> float:
    """Log-likelihood ratio beyond which one of so many tests is a chance of `ERROR` in all."""
    return float(chdtri(1, ERROR / max(tests, 1)))
