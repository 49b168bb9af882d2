"""Measures of search terms: what normalisation does to real queries, and the baseline that groups of queries are held against.

Reference: Salton & Buckley (1988), "Term-weighting approaches in automatic text retrieval", for TF-IDF.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer

from clusters.query_terms import QueryTerms, read_terms
from clusters.search_history import QueryStats, clean_query
from personas.components import Text
from personas.queries import words


def counted_queries(queries: Sequence[str]) -> QueryStats:
    """Queries without sessions, each as often as it is given, as the normalisation reads them; no pairs, no items."""
    counts = Counter(clean for query in queries if (clean := clean_query(query)))
    names = sorted(counts)
    empty = sparse.csr_matrix((len(names), 0), dtype=np.int64)
    return QueryStats(
        queries=Text.of(names),
        searches=np.array([counts[name] for name in names], dtype=np.int64),
        pairs=sparse.csr_matrix((len(names), len(names)), dtype=np.int64),
        item_ids=np.zeros(0, dtype=np.int64),
        engaged=empty.astype(np.float64),
        markets=(),
        by_market=empty,
        market_segments=np.zeros(0, dtype=np.int64),
        segments=len(queries),
        together=sparse.csr_matrix((0, len(names)), dtype=bool),
        visitors=np.zeros(0, dtype=np.int64),
    )


def forms(terms: QueryTerms) -> list[frozenset[str]]:
    """The normal form of each query: its terms, whatever their order; empty where no word of it counts."""
    matrix = terms.of_query
    return [
        frozenset(terms.terms[t] for t in matrix.indices[matrix.indptr[q] : matrix.indptr[q + 1]]) for q in range(matrix.shape[0])
    ]


def check_normalisation(queries: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """What normalisation does to real queries whose class of goods is known.

    queries, classes : n each.  Returns counts of distinct `queries` and `forms`, queries `without_terms`; the `merged` groups
    of queries of one form; of these the `merged_across_classes`, which are wrong unless the classes are the same goods;
    distinct `words`; the `phrases`; and how many queries are `unstable`: written in their normal form and read again, they
    come out otherwise.
    Raises ValueError on lengths that disagree.
    """
    if len(queries) != len(classes):
        raise ValueError(f"{len(queries)} queries, {len(classes)} classes")
    stats = counted_queries(queries)
    terms = read_terms(stats)
    names = [stats.queries[i] for i in range(len(stats.queries))]
    of_query = forms(terms)
    class_of: defaultdict[str, set[str]] = defaultdict(set)
    for query, each in zip(queries, classes, strict=True):
        class_of[clean_query(query)].add(each)
    same: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for name, form in zip(names, of_query, strict=True):
        if form:
            same[form].append(name)
    merged = [group for group in same.values() if len(group) > 1]
    known = {word for form in of_query for term in form for word in term.split()}
    again = [_rewritten(name, form) for name, form in zip(names, of_query, strict=True) if form]
    reread = counted_queries(again)
    second = {reread.queries[i]: form for i, form in enumerate(forms(read_terms(reread)))}
    return {
        "queries": len(names),
        "forms": len(same),
        "without_terms": sum(not form for form in of_query),
        "merged": merged,
        "merged_across_classes": [group for group in merged if len(set().union(*(class_of[name] for name in group))) > 1],
        "phrases": [term for term in terms.terms if " " in term],
        "words": len(known),
        "unstable": sum(second[text] != form for text, form in zip(again, (f for f in of_query if f), strict=True)),
    }


def _rewritten(query: str, form: frozenset[str]) -> str:
    """A query in its normal form, its terms in the order in which it has them; what didn't stand side by side doesn't now."""
    typed = words(query)
    place = {word: i for i, word in reversed(list(enumerate(typed)))}
    places = {term: sorted(place.get(word, len(typed)) for word in term.split()) for term in form}
    ordered = sorted(form, key=lambda term: (places[term], term))
    parted = ("" if places[b][0] == places[a][-1] + 1 else "and " for a, b in zip(ordered, ordered[1:], strict=False))
    return "".join([ordered[0], *(f" {gap}{term}" for gap, term in zip(parted, ordered[1:], strict=True))])


def tfidf_groups(queries: Sequence[str], k: int, seed: int) -> np.ndarray:
    """(Q,) int64, k-means over the TF-IDF of the queries' words in their written form: the baseline that knows no sessions.

    Queries without words are one like another. Fewer groups where there are fewer distinct queries. Deterministic by seed.
    Raises ValueError where k isn't at least 1.
    """
    if k < 1:
        raise ValueError(f"k {k} must be at least 1")
    if not any(words(query) for query in queries):
        return np.zeros(len(queries), dtype=np.int64)
    vectors = TfidfVectorizer(analyzer=words).fit_transform(queries)
    distinct = len({tuple(sorted(words(query))) for query in queries})
    found: np.ndarray = KMeans(min(k, distinct), n_init=10, random_state=seed).fit_predict(vectors)
    return found.astype(np.int64)
