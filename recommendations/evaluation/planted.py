"""How much of what simulated shoppers had in mind comes back: occasions against groups of queries, things against item clusters.

Truth and guess are compared by adjusted mutual information, which is 0 for chance and 1 for the same partition.
Reference: Vinh, Epps & Bailey (2010), "Information theoretic measures for clusterings comparison", section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import adjusted_mutual_info_score

from clusters.query_clusters import QueryClusters
from clusters.query_terms import QueryTerms
from clusters.search_history import QueryStats
from recommendations.evaluation.simulation.missions import Missions, Sought

BEST = 5
"""Results of a thing's search that stand for it."""

HELD = 0.5
"""Share of them that a cluster must hold to hold the thing."""


class Together(NamedTuple):
    """What item clusters hold of planted occasions.

    things : share of the things that some cluster holds together with another thing of their occasion.
    occasions : share of the occasions of which some cluster holds two things or more.
    own : mean over the clusters of the share of their weight that lies on results of one occasion's things, the one it is most.
    """

    things: float
    occasions: float
    own: float


def planted_things(missions: Missions) -> tuple[tuple[str, ...], np.ndarray]:
    """The T planted search phrases, and (T,) int64 their occasions."""
    things = [(thing, o) for o, occasion in enumerate(missions.occasions) for thing in occasion.things]
    return tuple(thing for thing, _ in things), np.array([o for _, o in things], dtype=np.int64)


def planted_queries(sought: Iterable[Sought]) -> dict[str, int]:
    """Each query as typed, with the occasion that it was typed for most often; of equals, the first."""
    counted: dict[str, Counter[int]] = {}
    for one in sought:
        counted.setdefault(one.query, Counter())[one.occasion] += 1
    return {query: min(counts, key=lambda o: (-counts[o], o)) for query, counts in counted.items()}


def groups_of_queries(terms: QueryTerms, groups: QueryClusters) -> np.ndarray:
    """(Q,) int64, the group of each query's most typical term, -1 where none of its terms has one."""
    result = np.full(terms.of_query.shape[0], -1, dtype=np.int64)
    matrix = terms.of_query.tocsr()
    for q in range(len(result)):
        row = matrix.indices[matrix.indptr[q] : matrix.indptr[q + 1]]
        grouped = row[groups.group[row] >= 0]
        if len(grouped):
            result[q] = groups.group[grouped[np.argmax(groups.weight[grouped])]]
    return result


def cosearched_groups(stats: QueryStats, k: int, seed: int) -> np.ndarray:
    """(Q,) int64, k-means over what each query is searched together with, by TF-IDF: a baseline that knows the segments too."""
    counts = sparse.csr_matrix(stats.pairs + sparse.diags(stats.searches.astype(np.float64)), dtype=np.float64)
    vectors = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    distinct = len({tuple(row) for row in np.split(vectors.indices, vectors.indptr[1:-1])})
    groups: np.ndarray = KMeans(min(k, distinct), n_init=3, random_state=seed).fit_predict(vectors)
    return groups.astype(np.int64)


def agreement(truth: np.ndarray, groups: np.ndarray) -> float:
    """Adjusted mutual information of two labellings of the same things; what has no group (-1) is a group of its own."""
    alone = groups < 0
    filled = np.where(alone, np.arange(len(groups)) + int(groups.max(initial=0)) + 1, groups)
    return float(adjusted_mutual_info_score(truth, filled))


def together(missions: Missions, of_item: sparse.csr_matrix) -> Together:
    """What C clusters hold of the occasions. of_item : (n, C) weights by catalogue position, 0 for what isn't in them.

    A cluster holds a thing if it has `HELD` of the thing's `BEST` best results, those left out that another thing of the
    occasion finds too: one item under two words is no combination. A thing of which nothing is left then is held by none.
    """
    if not of_item.shape[1]:
        return Together(0.0, 0.0, 0.0)
    members = of_item > 0
    held: list[bool] = []
    served: list[bool] = []
    relevant = np.zeros((len(missions.occasions), of_item.shape[0]))
    for o, occasion in enumerate(missions.occasions):
        found = [missions.search(thing) for thing in occasion.things]
        own = [best_alone(found, i) for i in range(len(found))]
        relevant[o, np.concatenate(found)] = 1.0
        holds = np.stack([_held(members, items) for items in own])  # (things, C)
        joined = holds[:, holds.sum(axis=0) >= 2]
        held += [bool(row.any()) for row in joined]
        served.append(bool(joined.size))
    shares = (relevant @ of_item) / np.maximum(np.asarray(of_item.sum(axis=0)), 1e-300)
    return Together(
        float(np.mean(held)) if held else 0.0,
        float(np.mean(served)) if served else 0.0,
        float(shares.max(axis=0).mean()) if shares.size else 0.0,
    )


def best_alone(found: Sequence[np.ndarray], thing: int) -> np.ndarray:
    """The best results of a thing that no other one has among its own best."""
    others = [items[:BEST] for i, items in enumerate(found) if i != thing]
    best = found[thing][:BEST]
    alone: np.ndarray = best[~np.isin(best, np.concatenate(others))] if others else best
    return alone


def _held(members: sparse.csr_matrix, items: np.ndarray) -> np.ndarray:
    """(C,) bool, which clusters hold a thing of these items."""
    if not len(items):
        return np.zeros(members.shape[1], dtype=bool)
    enough: np.ndarray = np.asarray(members[items].sum(axis=0)).ravel() >= HELD * len(items)
    return enough
