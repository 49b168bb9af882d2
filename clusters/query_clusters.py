"""Query terms that are looked for together, more often than chance would have it, form query clusters.

References: Dunning (1993), "Accurate methods for the statistics of surprise and coincidence"; Bouma (2009), "Normalized
(pointwise) mutual information in collocation extraction"; Karrer & Newman (2011), "Stochastic blockmodels and community
structure in networks", for the likelihood that chooses how fine the groups are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sknetwork.clustering import Louvain

from clusters.query_terms import SIGNIFICANT, QueryTerms, log_likelihood_ratio
from clusters.search_history import QueryStats

RESOLUTIONS = tuple(2.0 ** (step / 2) for step in range(-2, 13))
"""Resolutions tried, 0.5 to 64; each is a run of Louvain. See covisitation.py for why it isn't Leiden."""

COHERENT = 0.1
"""Mean strength over all pairs of a group's terms, 0 for those that don't go together, from which it is one. What shoppers of
one taste search for now and then (Christmas, Halloween, Valentine's day) is in simulated logs up to 0.06, what serves one
purpose from 0.12."""

OWN = 0.1
"""Share of the pairs with a group's terms that must lie within it. Shirts are searched for beside everything: that three times
it was steak is no group of two. Simulated, such chances have up to 0.07, what serves one purpose from 0.25."""

PAIRS_AT_ONCE = 1_000_000
"""Pairs of queries whose terms are compared at a time: some 100 MB."""


class TermPair(NamedTuple):
    """Two terms (places in `QueryTerms.terms`), the segments that have both, and how strongly they go together."""

    first: int
    second: int
    segments: int
    strength: float


@dataclass(frozen=True)
class QueryClusters:
    """G groups of T terms.

    group : (T,) int64, -1 where a term goes with no other.  pairs : the significant ones, the strongest first.
    searches : (T,) int64 segments with the term.  weight : (T,) float64 in (0, 1], how typical a term is of its group, 0 in none.
    """

    group: np.ndarray
    pairs: tuple[TermPair, ...]
    searches: np.ndarray
    weight: np.ndarray


def cluster_terms(stats: QueryStats, terms: QueryTerms, *, minimum_support: int = 3) -> QueryClusters:
    """Groups of terms. Deterministic; empty (all -1) where no pair is significant.

    A pair counts where two queries of a segment differ by it: one has the first term and not the second, the other the second
    and not the first. Two terms within one query say that red goes with dress, and a query that only adds words to another
    narrows it down; neither is about things that are looked for together. Nor is a pair of which one contains the other
    ("bag", "sleeping bag"), or one with the value of an attribute.

    Of the counts of pairs a pair is significant with at least `minimum_support` segments, those of as many different visitors,
    and a log-likelihood ratio above `SIGNIFICANT`: what one person types, however often, is for nobody else to read. Chance is
    judged among pairs, not segments: most segments have one query only, against which any two terms that were ever searched
    together would look like a pair. Strength is normalised pointwise mutual information, in (0, 1], times support / (support +
    minimum support), since the rarest pairs have the highest information.

    Groups are communities of the graph of strengths, at the resolution whose groups account for it best (`evidence`), without
    those whose terms mostly don't go together (`COHERENT`), or mostly with others (`OWN`). They are numbered by how often their
    terms were searched.

    Raises ValueError where stats and terms disagree, or the support isn't at least 1.
    """
    if terms.of_query.shape[0] != len(stats.searches):
        raise ValueError(f"terms of {terms.of_query.shape[0]} queries, stats of {len(stats.searches)}")
    if minimum_support < 1:
        raise ValueError(f"minimum_support {minimum_support} must be at least 1")
    searches, counts = term_counts(stats, terms)
    likely = _significant(counts, terms, minimum_support)
    who = pair_visitors(stats, terms, likely)
    pairs = tuple(pair for pair, visitors in zip(likely, who.tolist(), strict=True) if visitors >= minimum_support)
    graph = _graph(pairs, len(searches))
    group = _numbered(_coherent(graph, _between(counts, terms), _groups(graph)), searches)
    return QueryClusters(group=group, pairs=pairs, searches=searches, weight=_typical(graph, group))


def term_counts(stats: QueryStats, terms: QueryTerms) -> tuple[np.ndarray, sparse.csr_matrix]:
    """((T,) int64 segments with each term, (T, T) CSR float64, symmetric: segments of each pair, see `cluster_terms`).

    The stats count queries, and a segment may have a term in several ("tent", "Tents"), so that their sums count it more than
    once. Exact where a segment has a term in at most two queries; beyond that the segments of a term are a lower bound
    (Bonferroni's), and those of a pair the sum over the mean number of queries that a segment has of each.
    """
    has = sparse.csr_matrix(terms.of_query, dtype=np.float64)
    q, t = has.shape
    if not q or not t:
        return np.zeros(t, dtype=np.int64), sparse.csr_matrix((t, t))
    times = stats.searches.astype(np.float64)
    total = np.asarray(has.T @ times).ravel()
    repeated, sums = np.zeros(t), sparse.csr_matrix((t, t))
    upper = sparse.triu(stats.pairs, k=1).tocoo()
    for start in range(0, upper.nnz, PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        first, second, n = has[upper.row[part]], has[upper.col[part]], upper.data[part].astype(np.float64)
        common = sparse.csr_matrix(first.multiply(second))
        repeated += common.T @ n
        directed = sparse.csr_matrix((first - common).T @ sparse.diags(n) @ (second - common))
        sums = sums + directed + directed.T
    sums = sparse.coo_matrix(sums)
    most = np.asarray(sparse.csr_matrix(has.multiply(times[:, None])).max(axis=0).todense()).ravel()
    searches = np.maximum(total - repeated, most)
    often = total / np.maximum(searches, 1.0)
    value = sums.data / (often[sums.row] * often[sums.col])
    value = np.minimum(np.maximum(value, 1.0), np.minimum(searches[sums.row], searches[sums.col]))
    kept = (sums.data > 0) & (sums.row != sums.col)
    counts = sparse.csr_matrix((value[kept], (sums.row[kept], sums.col[kept])), shape=(t, t))
    return np.rint(searches).astype(np.int64), counts


def pair_visitors(stats: QueryStats, terms: QueryTerms, pairs: Sequence[TermPair]) -> np.ndarray:
    """(P,) int64, different visitors of whose segments each pair has one, exactly; see `QueryStats` for who counts as one."""
    has = sparse.csc_matrix(terms.of_query, dtype=np.int64)
    together = sparse.csr_matrix(stats.together, dtype=np.int64)
    times = sparse.csc_matrix(together @ has)  # queries of each set that have the term
    queries = [has.indices[has.indptr[t] : has.indptr[t + 1]] for t in range(has.shape[1])]
    result = np.zeros(len(pairs), dtype=np.int64)
    for p, pair in enumerate(pairs):
        first, second = (slice(times.indptr[t], times.indptr[t + 1]) for t in pair[:2])
        rows, a, b = np.intersect1d(times.indices[first], times.indices[second], assume_unique=True, return_indices=True)
        common = np.intersect1d(queries[pair.first], queries[pair.second])
        if len(common) and len(rows):
            inside = np.asarray(together[rows][:, common].sum(axis=1)).ravel()
            rows = rows[(times.data[first][a] > inside) & (times.data[second][b] > inside)]
        result[p] = len(np.unique(stats.visitors[rows]))
    return result


def _significant(counts: sparse.csr_matrix, terms: QueryTerms, minimum_support: int) -> tuple[TermPair, ...]:
    named = np.array([name == "" for name in terms.attribute], dtype=bool)
    cells = sparse.triu(counts, k=1).tocoo()
    word_sets = [frozenset(term.split()) for term in terms.terms]
    kept = np.array(
        [
            bool(named[i] and named[j]) and not (word_sets[i] <= word_sets[j] or word_sets[j] <= word_sets[i])
            for i, j in zip(cells.row.tolist(), cells.col.tolist(), strict=True)
        ],
        dtype=bool,
    )
    first, second, both = cells.row[kept], cells.col[kept], cells.data[kept]
    if not len(both):
        return ()
    size = counts.shape[0]
    margin = np.bincount(first, weights=both, minlength=size) + np.bincount(second, weights=both, minlength=size)
    total = float(margin.sum())  # each pair twice, once from each of its terms
    ratio = log_likelihood_ratio(both, margin[first], margin[second], total)
    information = np.log(both * total / (margin[first] * margin[second])) / -np.log(both / total)
    strength = np.minimum(information, 1.0) * both / (both + minimum_support)
    good = np.flatnonzero((np.rint(both) >= minimum_support) & (ratio > SIGNIFICANT))
    order = good[np.lexsort((second[good], first[good], -both[good], -strength[good]))]
    return tuple(TermPair(int(first[p]), int(second[p]), int(np.rint(both[p])), float(strength[p])) for p in order.tolist())


def _graph(pairs: tuple[TermPair, ...], size: int) -> sparse.csr_matrix:
    """(T, T) symmetric CSR of the pairs' strengths."""
    first = np.array([pair.first for pair in pairs], dtype=np.int64)
    second = np.array([pair.second for pair in pairs], dtype=np.int64)
    strength = np.array([pair.strength for pair in pairs])
    half = sparse.csr_matrix((strength, (first, second)), shape=(size, size))
    return sparse.csr_matrix(half + half.T)


def _groups(graph: sparse.csr_matrix) -> np.ndarray:
    """(T,) int64 communities, -1 for terms without a pair."""
    group = np.full(graph.shape[0], -1, dtype=np.int64)
    linked = np.flatnonzero(np.diff(graph.indptr))
    if not len(linked):
        return group
    part = sparse.csr_matrix(graph[linked][:, linked])
    best, best_value = np.zeros(len(linked), dtype=np.int64), -math.inf
    for resolution in RESOLUTIONS:
        found = Louvain(resolution=resolution, shuffle_nodes=False, random_state=0).fit_predict(part)
        value = evidence(part, found)
        if value > best_value:
            best, best_value = found, value
    group[linked] = best
    return group


def _between(counts: sparse.csr_matrix, terms: QueryTerms) -> sparse.csr_matrix:
    """The counts of pairs of things, those with the value of an attribute left out."""
    things = sparse.diags(np.array([name == "" for name in terms.attribute], dtype=float))
    return sparse.csr_matrix(things @ counts @ things)


def _coherent(graph: sparse.csr_matrix, counts: sparse.csr_matrix, group: np.ndarray) -> np.ndarray:
    """The groups without those that are too loose; these have -1. counts : (T, T) segments of each pair."""
    size = np.bincount(group[group >= 0])
    if not len(size):
        return group

    def within(ties: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """(weight of the ties inside each group, of all ties of its terms)"""
        ends = ties.tocoo()
        at, to = group[ends.row], group[ends.col]
        own = (at >= 0) & (at == to)
        inside, every = (np.bincount(at[rows], weights=ends.data[rows], minlength=len(size)) for rows in (own, at >= 0))
        return inside, every

    strength, _ = within(graph)
    inside, every = within(counts)
    kept = (strength >= COHERENT * size * (size - 1)) & (inside >= OWN * every)
    return np.where((group >= 0) & kept[np.maximum(group, 0)], group, -1)


def evidence(graph: sparse.csr_matrix, group: np.ndarray) -> float:
    """How well groups account for a graph's ties: log-likelihood of a block model with the nodes' degrees, less half the log of
    the number of ties for each rate between two groups that it needs (Schwarz's criterion), up to a constant of the graph.

    Without the rates between, as in a planted partition, two groups that share one term would count as one; without the
    deduction the finest groups would always be the best. Ties count by weight, 1 on average.

    graph : (T, T) CSR, symmetric, no diagonal.  group : (T,), 0.. without gaps.
    """
    belongs = sparse.csr_matrix((np.ones(len(group)), (np.arange(len(group)), group)))
    ties = sparse.csr_matrix(graph / graph.data.mean())
    degree = np.asarray(ties.sum(axis=1)).ravel()
    volume = belongs.T @ degree
    between = sparse.coo_matrix(belongs.T @ ties @ belongs)
    room = volume[between.row] * volume[between.col]
    room -= np.where(between.row == between.col, (belongs.T @ degree**2)[between.row], 0.0)  # nothing is tied to itself
    fit = 0.5 * float((between.data * np.log(between.data / room)).sum())
    rates = int((between.row <= between.col).sum())
    return fit - 0.5 * rates * math.log(graph.nnz / 2)


def _numbered(group: np.ndarray, searches: np.ndarray) -> np.ndarray:
    """Groups of at least two terms numbered 0.. by the searches of their terms, ties by first term; the others -1."""
    inside = np.flatnonzero(group >= 0)
    result = np.full(len(group), -1, dtype=np.int64)
    if not len(inside):
        return result
    _, first, label, size = np.unique(group[inside], return_index=True, return_inverse=True, return_counts=True)
    volume = np.bincount(label, weights=searches[inside])
    order = [g for g in np.lexsort((first, -volume)).tolist() if size[g] > 1]
    rank = np.full(len(size), -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    result[inside] = rank[label]
    return result


def _typical(graph: sparse.csr_matrix, group: np.ndarray) -> np.ndarray:
    """(T,) strength of a term's ties within its group, 1 for the group's strongest."""
    ties = graph.tocoo()
    own = (group[ties.row] >= 0) & (group[ties.row] == group[ties.col])
    inside = np.bincount(ties.row[own], weights=ties.data[own], minlength=len(group))
    if not (group >= 0).any():
        return np.zeros(len(group))
    most = np.zeros(int(group.max()) + 1)
    np.maximum.at(most, group[group >= 0], inside[group >= 0])
    return np.where(group >= 0, inside / np.maximum(most[np.maximum(group, 0)], 1e-12), 0.0)
