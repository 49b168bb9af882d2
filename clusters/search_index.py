"""The catalogue search: which items a shopper's words are about, best first, with facets. Pure; arrays that processes share.

`clusters.postings` scores words in items; here they are put together, filtered, counted and ordered. An item must have all
the words; where none has, those with most of them will do, and the answer says so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from clusters.catalogue import MISSING, PRICE_TIERS, price_tiers
from clusters.postings import MAX_TYPED, Postings, Word, build_postings, distinct, read_words, told_of, unfinished
from personas.components import Text
from personas.queries import spelled

FACETS = ("category", "brand", "colour", "price_tier")
"""Fields that results are counted by."""

FACET_VALUES = 60
"""Values told of a field at most, beside those that are asked for."""

MANY = 50
"""Words that a typed one may stand for before it pays to look among some of the items only."""

MAX_DESCRIPTION = 2_000
"""Characters of a description that are read."""

ENOUGH = 0.5
"""Where some words must do: of what the best item's words tell, the part that an item's must tell to be found."""

BESIDE = 0.7
"""Share of the highest score that an item with all the words must reach, lest they be read as beside the point: earrings
"for any red dress" are no red dress, and a shop without one has other dresses."""

SOLD_OUT = 0.85
"""What the score of an item counts while it is sold out: it comes after its likes, and before what only mentions the words."""


class Document(NamedTuple):
    """What of an item can be searched; "" and None where unknown."""

    item_id: int
    title: str = ""
    category: str = ""
    brand: str = ""
    colour: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    price: float | None = None
    in_stock: bool = True


class Filters(NamedTuple):
    """What results must have; an empty tuple and None ask for nothing. Values of one field are alternatives."""

    category: tuple[str, ...] = ()
    brand: tuple[str, ...] = ()
    colour: tuple[str, ...] = ()
    price_tier: tuple[str, ...] = ()
    price_from: float | None = None
    price_to: float | None = None
    in_stock: bool | None = None


class WordRead(NamedTuple):
    """How a word of a search was understood. how : "exact", "prefix", "spelling" or "unknown"; read : the words it stood for."""

    typed: str
    how: str
    read: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Results, best first.

    item_ids : (m,) int64, the asked-for page of them.  scores : (m,) float32.  total : how many there are in all.
    facets : field -> ((value, items), ...), most frequent first, counted without that field's own filter.
    words : how each word was read.  relaxed : whether some of the words had to do, for no item goes by all of them: none has
        them all, or only beside the point (`BESIDE`).
    """

    item_ids: np.ndarray
    scores: np.ndarray
    total: int
    facets: dict[str, tuple[tuple[str, int], ...]]
    words: tuple[WordRead, ...]
    relaxed: bool


class Suggestions(NamedTuple):
    """What may be meant by what is being typed, likeliest first.

    queries : the typed words with the last one completed.  categories, brands : those whose names hold all the words.
    item_ids : (k,) int64, the items that a search would list first.
    """

    queries: tuple[str, ...]
    categories: tuple[str, ...]
    brands: tuple[str, ...]
    item_ids: np.ndarray


@dataclass(frozen=True)
class Names:
    """Names of categories or brands, those of most items first, and where each word of theirs stands, by word."""

    names: list[str]
    words: list[list[str]]
    places: list[tuple[str, int]]

    @classmethod
    def of(cls, values: list[str], codes: np.ndarray) -> Names:
        sizes = np.bincount(codes[codes != MISSING], minlength=len(values))
        names = [values[code] for code in np.argsort(-sizes, kind="stable").tolist()]
        words = [spelled(name) for name in names]
        return cls(names, words, sorted((word, place) for place, found in enumerate(words) for word in found))

    def holding(self, typed: str, count: int) -> tuple[str, ...]:
        """At most `count` names that hold all the typed words, the last one perhaps only begun."""
        typed_words = spelled(typed)
        last = unfinished(typed) or (typed_words[-1] if typed_words else "")
        if not last:
            return ()
        begun = self.places[bisect_left(self.places, (last, -1)) : bisect_left(self.places, (last + "\U0010ffff", -1))]
        earlier = typed_words[:-1] if typed_words[-1:] == [last] else typed_words
        found = sorted({place for _, place in begun if all(word in self.words[place] for word in earlier)})
        return tuple(self.names[place] for place in found[:count])


@dataclass(frozen=True)
class SearchIndex:
    """n items.

    item_ids : (n,) int64, ascending.
    categories, brands, colours : the values there are, ascending; category, brand, colour : (n,) int32 into them,
        `MISSING` where unknown.
    price : (n,) float64, NaN where unknown.  price_tier : (n,) int8 into `PRICE_TIERS`, `MISSING` without a price.
    in_stock : (n,) bool.
    """

    item_ids: np.ndarray
    postings: Postings
    categories: Text
    category: np.ndarray
    brands: Text
    brand: np.ndarray
    colours: Text
    colour: np.ndarray
    price: np.ndarray
    price_tier: np.ndarray
    in_stock: np.ndarray

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def values(self) -> dict[str, list[str]]:
        """The values of each facet, by code."""
        texts = {"category": self.categories, "brand": self.brands, "colour": self.colours}
        return {name: [text[i] for i in range(len(text))] for name, text in texts.items()} | {"price_tier": list(PRICE_TIERS)}

    @cached_property
    def codes(self) -> dict[str, np.ndarray]:
        """(n,) code of each facet's value, `MISSING` where unknown."""
        return {"category": self.category, "brand": self.brand, "colour": self.colour, "price_tier": self.price_tier}

    @cached_property
    def names(self) -> dict[str, Names]:
        """Categories and brands by the words of their names."""
        return {field: Names.of(self.values[field], self.codes[field]) for field in ("category", "brand")}


def build_index(documents: Iterable[Document]) -> SearchIndex:
    """An index of documents in any order. None at all is allowed. Raises ValueError on a repeated id."""
    items = sorted(documents, key=lambda d: d.item_id)
    ids = np.array([d.item_id for d in items], dtype=np.int64)
    if (np.diff(ids) == 0).any():
        raise ValueError("item ids must be distinct")
    postings = build_postings(
        (d.title, d.category, d.brand, " ".join(d.tags), d.colour, d.description[:MAX_DESCRIPTION]) for d in items
    )
    (categories, category), (brands, brand), (colours, colour) = (
        _coded([getattr(d, name) for d in items]) for name in ("category", "brand", "colour")
    )
    price = np.array([np.nan if d.price is None else d.price for d in items], dtype=np.float64)
    return SearchIndex(
        item_ids=ids,
        postings=postings,
        categories=categories,
        category=category,
        brands=brands,
        brand=brand,
        colours=colours,
        colour=colour,
        price=price,
        price_tier=price_tiers(price.astype(np.float32), category),  # in single precision, as the catalogue has it
        in_stock=np.array([d.in_stock for d in items], dtype=bool),
    )


def _coded(values: list[str]) -> tuple[Text, np.ndarray]:
    codes, names = distinct(values)
    if names and not names[0]:
        return Text.of(names[1:]), codes - np.int32(1)  # "" comes first, and becomes `MISSING`
    return Text.of(names), codes


# Searching


def search(
    index: SearchIndex,
    query: str,
    *,
    filters: Filters = Filters(),  # noqa: B008 - immutable
    count: int = 24,
    offset: int = 0,
    as_you_type: bool = False,
    facets: bool = True,
) -> Found:
    """The items that a search is about, best first; of equals, those in stock, and of those the one with the lower id.

    query : any text; its first characters and words are read (`clusters.postings`). A blank one with filters finds all that
        passes them, by id; without filters, or without a word in it, nothing.
    count, offset : which part of the results.  as_you_type : the last word may be unfinished.
    """
    words: list[Word] = []
    relaxed = False
    if query.strip() or filters == Filters():
        words = read_words(index.postings, query, as_you_type=as_you_type)
        found = _matched(index, words)
        if not found.complete and words:
            corrected = read_words(index.postings, query, as_you_type=as_you_type, correct=True)
            again = _matched(index, corrected)
            if not again.relaxed or not len(found.items):
                words, found = told_of(index.postings, corrected, again.items), again
        matched, relaxed = found.items, found.relaxed and len(found.items) > 0
        scores = np.where(index.in_stock[matched], found.scores, found.scores * np.float32(SOLD_OUT))
    else:
        matched, scores = np.arange(len(index)), np.zeros(len(index), dtype=np.float32)
    passing = _passing(index, filters, matched)
    kept = np.logical_and.reduce(list(passing.values())) if passing else None
    counts = _facets(index, filters, matched, passing) if facets else {}
    if kept is not None:
        matched, scores = matched[kept], scores[kept]
    first, last = max(offset, 0), max(offset, 0) + max(count, 0)
    order = _best(scores, last)[first:]
    read = tuple(WordRead(word.typed, word.how, word.read) for word in words)
    return Found(index.item_ids[matched[order]], scores[order], len(matched), counts, read, relaxed)


class _Matched(NamedTuple):
    """items : (m,) positions, ascending.  scores : (m,) float32.  complete : whether some item has all the words.
    relaxed : whether items that lack some are among them."""

    items: np.ndarray
    scores: np.ndarray
    complete: bool
    relaxed: bool


def _matched(index: SearchIndex, words: list[Word]) -> _Matched:
    """The items that will do."""
    n = len(index)
    scores = np.zeros(n, dtype=np.float32)
    having = np.zeros(n, dtype=np.uint8)
    needed = 0
    parts = []
    # In an order of their own, so that the order of the words never decides between equals by the last digit of a sum;
    # those that stand for much come last, when few items are left that matter.
    for word in sorted(words, key=lambda word: (len(word.rows) > MANY, word.typed)):
        among = having == needed if needed and len(word.rows) > MANY else None
        items, score = index.postings.scored(word, among if among is not None and among.any() else None)
        scores[items] += score
        if not word.filler:
            needed += 1
            having[items] += 1
            parts.append((items, word.tells))
    if not needed:
        return _Matched(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32), complete=False, relaxed=True)
    matched = np.flatnonzero(having == needed)
    complete = len(matched) > 0
    relaxed = not complete or (needed > 1 and bool(scores[matched].max() < BESIDE * scores.max()))
    if relaxed:
        told = np.zeros(n, dtype=np.float32)
        for items, tells in parts:
            told[items] += np.float32(tells)
        most = told.max(initial=0.0)
        matched = np.flatnonzero(told >= ENOUGH * most) if most > 0 else matched
    return _Matched(matched, scores[matched], complete, relaxed)


def _passing(index: SearchIndex, filters: Filters, items: np.ndarray) -> dict[str, np.ndarray]:
    """Of each filter that is set, which of the items pass it, (m,) bool."""
    passing = {}
    for field in FACETS:
        wanted: tuple[str, ...] = getattr(filters, field)
        if wanted:
            passes = np.array([value in wanted for value in index.values[field]] + [False])  # the last one is `MISSING`
            passing[field] = passes[index.codes[field][items]]
    price = index.price[items] if filters.price_from is not None or filters.price_to is not None else None
    if price is not None and filters.price_from is not None:
        passing["price_from"] = price >= filters.price_from  # False where there is no price
    if price is not None and filters.price_to is not None:
        passing["price_to"] = price <= filters.price_to
    if filters.in_stock is not None:
        passing["in_stock"] = index.in_stock[items] == filters.in_stock
    return passing


def _facets(
    index: SearchIndex, filters: Filters, items: np.ndarray, passing: dict[str, np.ndarray]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """`Found.facets`. A value that is asked for is told even if nothing has it."""
    counted = {}
    for field in FACETS:
        others = [passes for name, passes in passing.items() if name != field]
        among = items[np.logical_and.reduce(others)] if others else items
        values, codes = index.values[field], index.codes[field][among]
        sizes = np.bincount(codes[codes != MISSING], minlength=len(values))
        order = np.argsort(-sizes, kind="stable")[:FACET_VALUES]
        told = [(values[code], int(sizes[code])) for code in order.tolist() if sizes[code]]
        named = {value for value, _ in told}
        place = {value: code for code, value in enumerate(values)} if getattr(filters, field) else {}
        told += [(v, int(sizes[place[v]]) if v in place else 0) for v in getattr(filters, field) if v not in named]
        counted[field] = tuple(told)
    return counted


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` highest scores, best first, of equals the first."""
    if count <= 0:
        return np.zeros(0, dtype=np.int64)
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        chosen = np.flatnonzero(scores >= least)
    else:
        chosen = np.arange(len(scores))
    return chosen[np.argsort(-scores[chosen], kind="stable")][:count]


def suggest(index: SearchIndex, typed: str, *, count: int = 8) -> Suggestions:
    """Completions of the last word, categories, brands and items for a search that is being typed; at most `count` of each."""
    typed = typed[:MAX_TYPED]
    found = search(index, typed, count=count, as_you_type=True, facets=False)
    return Suggestions(
        _completed(index.postings, typed, count),
        index.names["category"].holding(typed, count),
        index.names["brand"].holding(typed, count),
        found.item_ids,
    )


def _completed(postings: Postings, typed: str, count: int) -> tuple[str, ...]:
    """The search with its last word completed by what most items go by, of those that have all the words before it."""
    last = unfinished(typed)
    rows = postings.vocabulary.starting(last) if last else range(0)
    if not rows:
        return ()
    earlier = spelled(typed)
    if earlier and earlier[-1] == last:
        earlier.pop()
    sums = postings.named[rows.start : rows.stop]
    if earlier:
        having = np.zeros(postings.impacts.shape[1], dtype=np.uint8)
        words = read_words(postings, " ".join(earlier))
        for word in words:
            having[postings.scored(word)[0]] += 1
        indptr = postings.impacts.indptr[rows.start : rows.stop + 1]
        among = slice(indptr[0], indptr[-1])
        at = np.flatnonzero((having == len(words))[postings.impacts.indices[among]] & postings.names_it[among])
        sums = np.bincount(np.searchsorted(indptr[1:] - indptr[0], at, side="right"), minlength=len(rows))
    best = [i for i in np.argsort(-sums, kind="stable")[:count].tolist() if sums[i] > 0]
    return tuple(dict.fromkeys(" ".join([*earlier, postings.vocabulary.spelled[rows[i]]]) for i in best))
