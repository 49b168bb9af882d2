"""What a ranking would be without one of its causes: an item of the session, an expert, a cluster, a persona.

Each answers with the scores that the ranked items would have, the rest of the step being as it was: the same candidates, the
same selected clusters, the same multipliers. `lowered` compares: a cause holds for an item if, without it, the item's log-odds
against the others of the ranking are lower. What happens to the whole session without an event, its persona and clusters
too, is told by `recommendations.counterfactual`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clusters.alignment import Selection
from clusters.item_clusters import ItemClusters
from recommendations.ranking import blend as blending
from recommendations.ranking.features import CLUSTER, EXPERT_COLUMNS, EXPERTS, FEATURES, gather
from recommendations.ranking.history import History, Scratch
from recommendations.ranking.layout import ClusterRows
from recommendations.ranking.opening import Shelves, odds
from recommendations.ranking.ranker import Ranked, Ranker, cluster_log_weight, represent

LEAST = 1e-4
"""Log-odds by which an item must fall for a cause to hold: well above what rounding of float32 moves."""

_CLUSTER_ROWS = np.array([FEATURES.index(name) for name in CLUSTER], dtype=np.intp)
_scratch = Scratch()


def log_odds(scores: np.ndarray) -> np.ndarray:
    """(m,) float64 of each item to be chosen rather than any other, by its score; -inf where a score is, +inf where it is the
    only one that isn't."""
    s = np.asarray(scores, dtype=np.float64)
    if not len(s):
        return s
    e = np.exp(s - s.max())
    # Of the largest, the rest is summed without it: a difference of two sums would lose what little there is.
    rest = np.maximum(e.sum() - e, 0.0)
    top = int(s.argmax())
    rest[top] = e[:top].sum() + e[top + 1 :].sum()
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(e) - np.log(rest))


def lowered(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(m,) by how much each item's log-odds fall from one list of scores to the other; a cause holds from `LEAST` on."""
    with np.errstate(invalid="ignore"):
        fall = log_odds(before) - log_odds(after)
    return np.where(np.isnan(fall), 0.0, fall)


def base_scores(ranker: Ranker, ranked: Ranked) -> np.ndarray:
    """(k,) of the k ranked items that the evidence tells of: the blend alone, without the multipliers."""
    if ranked.evidence is None:
        raise ValueError("a ranking before the first item has no evidence")
    return blending.score(ranker.blend, np.ascontiguousarray(ranked.evidence.features[:, ranked.columns]))


def without_item(
    ranker: Ranker,
    history: History,
    ranked: Ranked,
    item: int,
    *,
    layout: ClusterRows,
    selection: Selection,
    base: np.ndarray,
    shelves: Shelves,
    belief: np.ndarray,
    own: np.ndarray,
) -> np.ndarray:
    """(k,) scores if the session had not touched the item at this position: all its events are left out.

    base : `base_scores`.  belief, own : as for `opening.open_with`, by which a session is ranked that has no other item.
    """
    evidence = ranked.evidence
    if evidence is None:
        raise ValueError("a session without an item has none to leave out")
    rest = history.without(item)
    offset = ranked.scores[: len(base)] - base
    items = evidence.positions[ranked.columns]
    if not len(rest):
        rates = ranker.reminders if ranker.reminders is not None else np.zeros(0)
        return np.asarray(odds(shelves, items, belief=belief, own=own, rates=rates) + offset)
    again = gather(
        ranker,
        rest,
        represent(ranker, rest),
        layout=layout,
        selection=selection,
        scratch=_scratch,
        also=evidence.positions,
        only=True,
    )
    place = _scratch.zeros("place", len(ranker.encoder.row_of), np.intp)  # needs no clearing: it is written before it is read
    place[again.positions] = np.arange(len(again.positions))
    x = np.ascontiguousarray(again.features[:, place[items]])
    return np.asarray(blending.score(ranker.blend, x) + offset)


def without_expert(ranker: Ranker, ranked: Ranked, expert: str, *, base: np.ndarray) -> np.ndarray:
    """(k,) scores if the expert said of every candidate what it says of the average one."""
    evidence = ranked.evidence
    if evidence is None:
        raise ValueError("no expert's features speak before the first item")
    rows = EXPERT_COLUMNS[EXPERTS.index(expert)]
    x = evidence.features[:, ranked.columns]
    x[rows] = evidence.features[rows].mean(axis=1)[:, None]
    return np.asarray(blending.score(ranker.blend, x) + (ranked.scores[: len(base)] - base))


def without_cluster(
    ranker: Ranker,
    ranked: Ranked,
    cluster: int,
    *,
    clusters: ItemClusters,
    base: np.ndarray,
    cluster_weight: Mapping[int, float],
) -> np.ndarray:
    """(k,) scores if the cluster at this position were not selected, and the session had not changed its weight.

    cluster_weight : cluster position -> multiplier, as the ranking was made with.
    """
    evidence = ranked.evidence
    k = len(base)
    scores = ranked.scores[:k].astype(np.float32, copy=True)
    items = ranked.positions[:k]
    if evidence is not None:
        inside = np.flatnonzero(clusters.primary[items] == cluster)
        if len(inside):
            x = np.ascontiguousarray(evidence.features[:, ranked.columns[inside]])
            x[_CLUSTER_ROWS] = 0.0
            scores[inside] += blending.score(ranker.blend, x) - base[inside]
    if cluster in cluster_weight:
        others = {c: w for c, w in cluster_weight.items() if c != cluster}
        scores -= cluster_log_weight(clusters, cluster_weight, items)
        if others:
            scores += cluster_log_weight(clusters, others, items)
    return scores


def without_persona(
    ranked: Ranked, persona: int, *, shelves: Shelves, belief: np.ndarray, own: np.ndarray, rates: np.ndarray
) -> np.ndarray:
    """(k,) scores of a first slate if the shopper were surely not the persona at this position."""
    if ranked.opening is None:
        raise ValueError("after the first item a persona speaks through the clusters")
    k = len(ranked.columns)
    items = ranked.positions[:k]
    then = odds(shelves, items, belief=others(belief, persona), own=own, rates=rates)
    return np.asarray(ranked.scores[:k] + (then - odds(shelves, items, belief=belief, own=own, rates=rates)))


def others(belief: np.ndarray, persona: int) -> np.ndarray:
    """(K,) the belief once it is sure that it is not this persona; the others alike where it believed in no other."""
    rest = np.array(belief, dtype=np.float64)
    rest[persona] = 0.0
    total = rest.sum()
    if total > 0.0:
        return np.asarray(rest / total)
    rest[:] = 1.0 / max(len(rest) - 1, 1)
    rest[persona] = 0.0
    return rest
