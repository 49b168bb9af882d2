"""Item clusters from query clusters: each crossed with the attributes that go with it, each descriptor searched for.

A cluster's items are of several types that are looked for together; each of them says by which searches it came in.
After US 9,727,906 (see docs/merchandisers.md): query cluster -> correlated attributes and variants of market segments ->
item descriptors -> catalogue search -> item cluster of at least two item types.

Bound: at most `MAX_CLUSTERS` x `MAX_TERMS` catalogue searches, one a term; attributes narrow what it found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.correlated_attributes import Attribute, Correlations, MarketLean, attribute_words, correlate
from clusters.descriptor_search import Finder, Search
from clusters.query_clusters import QueryClusters, TermPair, cluster_terms
from clusters.query_terms import QueryTerms, read_terms
from clusters.search_history import QueryStats
from clusters.search_index import Filters, SearchIndex
from clusters.search_index import search as search_index
from clusters.search_titles import ordinal, say_attribute, say_market, title_of
from personas.queries import words

MAX_CLUSTERS = 300
"""Query clusters taken, the most searched first; bounds the catalogue searches."""

MAX_TERMS = 12
"""Terms of a query cluster that are searched for, by how often and how typically; more types than that nobody oversees."""

TYPICAL = 0.15
"""Typicality of a term under which it is a stray among the others, and brings no items: one that is tied to one of them only
and weakly, as "button" to the dress shirt of a job interview."""

MAX_CROSSED = 3
"""Attributes that each term is crossed with, the most telling, the category that is meant by the term among them."""

MAX_TOLD = 8
"""Attributes told of a cluster."""

MAX_ITEMS = 60
"""Items of a cluster."""

PER_TYPE = 20
"""Items of one type: a cluster of a hundred mugs and one tray is no tea table."""

RANK_PRIOR = 10.0
"""Ranks are discounted as (RANK_PRIOR + 1) / (RANK_PRIOR + rank): first and second are nearly the same, not so the fiftieth."""

MIN_TYPES = 2
"""Types of items, each with something in stock, without which there is nothing that goes together."""

MAX_VARIANTS = 2
"""Markets that get a cluster of their own beside the shop's."""

ALIKE = 0.7
"""Weighted Jaccard overlap of items from which a market's variant is the same cluster over again."""

LESS = 0.5
"""Times as often as elsewhere under which a market's variant leaves a term out."""


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


MAX_REASONS = 2
"""Searches by which a membership is explained; more say the same again."""


class _Made(NamedTuple):
    """A cluster before it has a title. labels : one a type, the most searched first.  weight : of each item's membership."""

    labels: tuple[str, ...]
    trace: Trace
    weight: dict[int, float]
    via: dict[int, tuple[tuple[int, int], ...]]


def from_search_history(stats: QueryStats, catalogue: Catalogue, search: Search, *, minimum_support: int = 3) -> SearchClusters:
    """The whole chain from counted searches; empty where the log is too thin. minimum_support : visitors a pair needs."""
    terms = terms_of(stats, catalogue)
    groups = cluster_terms(stats, terms, minimum_support=minimum_support)
    return build_search_clusters(stats, terms, groups, catalogue, search)


def terms_of(stats: QueryStats, catalogue: Catalogue) -> QueryTerms:
    """The terms of the shop's searches, by what its catalogue knows of words and attributes."""
    vocabulary = {word for text in catalogue.texts() for word in words(text)}
    return read_terms(stats, attributes=attribute_words(catalogue), vocabulary=vocabulary)


def search_of(index: SearchIndex, catalogue: Catalogue) -> Search:
    """The shop's own search as the generator uses it: items of the catalogue that have all the words.

    Where no item has them all, a shopper is shown those that have some; here they would be a type of items that nobody sells.
    """

    def search(words: str, filters: Filters, count: int) -> tuple[np.ndarray, np.ndarray]:
        found = search_index(index, words, filters=filters, count=count, facets=False)
        if found.relaxed or not len(catalogue):
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        position = np.minimum(np.searchsorted(catalogue.item_ids, found.item_ids), len(catalogue) - 1)
        known = catalogue.item_ids[position] == found.item_ids
        return position[known], found.scores[known].astype(np.float64)

    return search


def none(items: int) -> SearchClusters:
    """No clusters over so many items."""
    return SearchClusters(sparse.csr_matrix((items, 0)), (), (), ())


def build_search_clusters(
    stats: QueryStats, terms: QueryTerms, groups: QueryClusters, catalogue: Catalogue, search: Search
) -> SearchClusters:
    """Item clusters of the query clusters, the most searched first, each followed by its markets' variants. Deterministic.

    A term counts by its typicality, a crossed search by the share of shoppers who want the attribute. Items weigh by
    the ranks that the searches give them; where they are to fit into `MAX_ITEMS`, the types take turns. Stock says nothing of
    a membership, so that goods that return need no rebuild, but goods in stock go first, and without two types in stock
    there is no cluster.
    """
    chosen = _chosen_terms(terms, groups)
    if not chosen or not len(catalogue):
        return none(len(catalogue))
    shop = correlate(stats, terms, catalogue)
    finder = Finder(catalogue, search)
    made: list[_Made] = []
    for members in chosen:
        attributes = shop.going_with(members)
        whole = _make(members, attributes, None, groups, shop, finder)
        if whole is not None:
            made += [whole, *_variants(whole, members, attributes, shop, len(chosen), groups, finder)]
    taken: set[str] = set()
    rows = [(i, c, w) for c, each in enumerate(made) for i, w in sorted(each.weight.items())]
    item, cluster, weight = zip(*rows, strict=True) if rows else ((), (), ())
    return SearchClusters(
        of_item=sparse.csr_matrix((np.array(weight, dtype=float), (item, cluster)), shape=(len(catalogue), len(made))),
        titles=tuple(title_of(each.labels, each.trace.market, taken) for each in made),
        traces=tuple(each.trace for each in made),
        via=tuple(each.via for each in made),
    )


def explain_membership(trace: Trace, via: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Why an item is in a cluster, in sentences, strongest reason first; () for an item that no search found.

    via : the item's entry in `SearchClusters.via`. Searches whose words were erased are passed over.
    """
    via = [(place, rank) for place, rank in via if trace.descriptors[place].words]
    said: list[str] = []
    for term in list(dict.fromkeys(trace.descriptors[place].words for place, _ in via))[:MAX_REASONS]:
        pair = max((p for p in trace.pairs if term in p[:2]), key=lambda p: p[2], default=None)
        if pair is not None:
            other = pair[1] if pair[0] == term else pair[0]
            count = "once" if pair[2] == 1 else f"{pair[2]} times"
            said.append(f"Shoppers who searched for “{other}” also searched for “{term}” ({count}).")
        asked = [(trace.descriptors[place], rank) for place, rank in via]
        ranks = [_said_rank(each.filters, rank) for each, rank in asked if each.words == term]
        said.append(f"The search “{term}” ranks it {', '.join(ranks)}.")
    lift = dict(trace.attributes)
    used = dict.fromkeys(name for place, _ in via for name in trace.descriptors[place].filters if name in lift)
    said += [f"These searches go with {say_attribute(name)}: {lift[name]:.1f} times as often as others." for name in used]
    if via and trace.market:
        said.append(f"This is how it is searched for {say_market(trace.market)}.")
    return tuple(said)


def _said_rank(filters: Sequence[str], rank: int) -> str:
    kept = [f"{'in' if name.startswith('category=') else 'among'} {say_attribute(name)}" for name in filters]
    return " ".join([ordinal(rank), *kept])


def _chosen_terms(terms: QueryTerms, groups: QueryClusters) -> list[list[int]]:
    """Terms of each query cluster but for strays, most searched first; of clusters with two at least, the most searched."""
    inside: dict[int, list[int]] = {}
    for t, g in enumerate(groups.group.tolist()):
        if g >= 0 and groups.weight[t] >= TYPICAL and not terms.attribute[t]:
            inside.setdefault(g, []).append(t)
    chosen = []
    for members in inside.values():
        kept = sorted(members, key=lambda t: (-groups.searches[t] * groups.weight[t], t))[:MAX_TERMS]
        chosen.append(sorted(kept, key=lambda t: (-groups.searches[t], t)))
    chosen = [members for members in chosen if len(members) >= MIN_TYPES]
    return sorted(chosen, key=lambda members: (-int(groups.searches[members].sum()), members[0]))[:MAX_CLUSTERS]


def _make(
    members: Sequence[int],
    attributes: Sequence[Attribute],
    lean: MarketLean | None,
    groups: QueryClusters,
    shop: Correlations,
    finder: Finder,
) -> _Made | None:
    """A cluster of the terms, or a market's variant of it; nothing where fewer than two types of items are found."""
    more = np.ones(len(members)) if lean is None else lean.more
    terms = shop.terms
    crossed = [a for a in attributes if finder.has(a.name)]
    company = _company({t: finder.find(terms.labels[t]) for t in members}, finder.category)
    descriptors: list[ItemDescriptor] = []
    types: list[dict[int, float]] = []
    labels: list[str] = []
    via: dict[int, list[tuple[float, int, int]]] = {}
    seen: set[int] = set()
    spoken: set[frozenset[str]] = set()
    for t, times in sorted(zip(members, more.tolist(), strict=True), key=lambda p: (-groups.searches[p[0]] * p[1], p[0])):
        label = terms.labels[t]
        plain = finder.find(label)
        said = frozenset(words(label))
        if not len(plain) or times < LESS or said in spoken:  # in another order, the words find the same
            continue
        spoken.add(said)
        meant = shop.meant(t, plain) or company.get(t)
        own = {a.name: a for a in ([] if meant is None else [meant]) + crossed}
        typical = float(np.clip(groups.weight[t], 1e-6, 1.0))
        asked: list[tuple[tuple[str, ...], float, np.ndarray]] = [((), 1.0, plain)]
        asked += [((a.name,), a.share, finder.narrowed(label, a.name)) for a in [*own.values()][:MAX_CROSSED]]
        asked = [each for each in asked if len(each[2])]
        scale = typical / sum(weight for _, weight, _ in asked)
        found: dict[int, float] = {}
        for filters, weight, positions in asked:
            place = len(descriptors)
            descriptors.append(ItemDescriptor(label, filters, min(typical * weight, 1.0), len(positions)))
            for rank, item in enumerate(positions.tolist(), start=1):
                gain = scale * weight * (RANK_PRIOR + 1.0) / (RANK_PRIOR + rank)
                found[item] = found.get(item, 0.0) + gain
                via.setdefault(item, []).append((gain, place, rank))
        # A type of its own brings mostly items that the others don't; otherwise it is another word for one of them.
        if 2 * len(found.keys() & seen) < len(found):
            labels.append(label)
            types.append(found)
        else:
            nearest = max(types, key=lambda each: len(each.keys() & found.keys()))
            nearest.update({item: max(gain, nearest.get(item, 0.0)) for item, gain in found.items()})
        seen |= found.keys()
    shared = _shared_out(types, finder.in_stock)
    if len({number for item, (number, _) in shared.items() if finder.in_stock[item]}) < MIN_TYPES:
        return None
    kept = {number for number, _ in shared.values()}
    told = ((terms.labels[t], int(groups.searches[t])) for t in members)
    return _Made(
        labels=tuple(label for number, label in enumerate(labels) if number in kept),
        trace=Trace(
            terms=tuple(told),
            pairs=tuple(_told_pairs(members, groups.pairs, terms.labels)),
            attributes=tuple((a.name, round(a.lift, 3)) for a in attributes[:MAX_TOLD]),
            market=lean.market if lean is not None else "",
            descriptors=tuple(descriptors),
        ),
        weight={item: weight for item, (_, weight) in shared.items()},
        via={i: tuple((place, rank) for _, place, rank in sorted(via[i], key=lambda v: (-v[0], v[1]))) for i in sorted(shared)},
    )


def _company(found: Mapping[int, np.ndarray], category: Sequence[str]) -> dict[int, Attribute]:
    """The category that a term likely means where its shoppers don't show it: the one of most of what it finds, times one
    more for each other term found mainly there. Camping's lanterns are outdoors rather than pumpkins."""
    counts = {t: Counter(category[i] for i in positions.tolist() if category[i]) for t, positions in found.items()}
    main = {t: max(each.items(), key=lambda c: (c[1], c[0]))[0] for t, each in counts.items() if each}
    chosen: dict[int, Attribute] = {}
    for t, each in counts.items():
        if len(each) < 2:
            continue
        odds = {name: n * (1 + sum(other == name for o, other in main.items() if o != t)) for name, n in each.items()}
        name, most = max(odds.items(), key=lambda c: (c[1], c[0]))
        chosen[t] = Attribute(f"category={name}", 1.0, most / sum(odds.values()), 0.0)
    return chosen


def _shared_out(types: Sequence[dict[int, float]], in_stock: np.ndarray) -> dict[int, tuple[int, float]]:
    """Item -> (type, weight) of at most `MAX_ITEMS`: each item in the type that it fits best, the types in turn, stock first."""
    best: dict[int, tuple[float, int]] = {}
    for number, found in enumerate(types):
        for item, weight in found.items():
            if item not in best or weight > best[item][0]:
                best[item] = (weight, number)
    ordered: list[tuple[int, int, int, float]] = []
    places = [0] * len(types)
    for item in sorted(best, key=lambda i: (not in_stock[i], -best[i][0], i)):
        weight, number = best[item]
        ordered.append((places[number], number, item, weight))
        places[number] += 1
    ordered = sorted(each for each in ordered if each[0] < PER_TYPE)[:MAX_ITEMS]
    return {item: (number, min(weight, 1.0)) for _, number, item, weight in ordered}


def _variants(
    whole: _Made,
    members: Sequence[int],
    attributes: Sequence[Attribute],
    shop: Correlations,
    tests: int,
    groups: QueryClusters,
    finder: Finder,
) -> list[_Made]:
    """The cluster as markets search for it that differ clearly, where that gives them other items than the rest."""
    made: list[_Made] = []
    for lean in shop.leans(members, tests):
        own = {a.name for a in lean.attributes}
        both = [*lean.attributes, *(a for a in attributes if a.name not in own)]
        variant = _make(members, both, lean, groups, shop, finder)
        if variant is not None and all(_alike(variant.weight, other.weight) < ALIKE for other in [whole, *made]):
            made.append(variant)
        if len(made) == MAX_VARIANTS:
            break
    return made


def _alike(a: dict[int, float], b: dict[int, float]) -> float:
    """Weighted Jaccard overlap of two clusters' items."""
    least = sum(min(a[i], b[i]) for i in a.keys() & b.keys())
    most = sum(a.values()) + sum(b.values()) - least
    return least / most if most else 1.0


def _told_pairs(members: Sequence[int], pairs: Sequence[TermPair], labels: Sequence[str]) -> list[tuple[str, str, int, float]]:
    inside = set(members)
    own = [p for p in pairs if p.first in inside and p.second in inside]
    return [(labels[p.first], labels[p.second], int(p.segments), round(float(p.strength), 4)) for p in own]
