"""What a ranking would be without one of its causes: an item of the session, an expert, a cluster, a persona.

Each answers with the scores that the ranked items would have, the rest of the step being as it was: the same candidates, the
same selected clusters, the same multipliers. A cause *holds* for an item if, without it, the item's log-odds against the others
of the ranking are lower. What becomes of a whole session without one of its events, its persona and its clusters too, is told by
`recommendations.counterfactual`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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
    """(..., k) float64 log-odds of each item of a list to be chosen rather than any other, by its score (..., k).

    +inf for the only item of a list.
    """
    s = np.asarray(scores, dtype=np.float64)
    if not s.shape[-1]:
        return s
    s = s - s.max(axis=-1, keepdims=True)
    e = np.exp(s)
    rest = np.maximum(e.sum(axis=-1, keepdims=True) - e, 0.0)
    # For the best one the others are added up anew: a difference of two sums would lose what little there is.
    top = s.argmax(axis=-1, keepdims=True)
    np.put_along_axis(e, top, 0.0, axis=-1)
    np.put_along_axis(rest, top, e.sum(axis=-1, keepdims=True), axis=-1)
    with np.errstate(divide="ignore"):
        return np.asarray(s - np.log(rest))


@dataclass(frozen=True)
class Trial:
    """A ranking and what it was made from, to be made again without one of its causes.

    Of the ranking its first k items, those that the experts or the opening know of; popular ones that fill it up have no cause.

    cluster_weight : cluster position -> multiplier.  belief : (K,).  own : (r,) positions of the shopper's reminders.
    pool : (k,) what the items that the slate stands beside add to each score, None where it stands beside none.
    """

    ranker: Ranker
    ranked: Ranked
    history: History
    layout: ClusterRows
    clusters: ItemClusters
    selection: Selection
    cluster_weight: Mapping[int, float]
    shelves: Shelves
    belief: np.ndarray
    own: np.ndarray
    pool: np.ndarray | None = None

    @cached_property
    def items(self) -> np.ndarray:
        """(k,) positions."""
        return self.ranked.positions[: len(self.ranked.columns)]

    @cached_property
    def scores(self) -> np.ndarray:
        """(k,) as ranked."""
        return self.ranked.scores[: len(self.ranked.columns)]

    @cached_property
    def base(self) -> np.ndarray:
        """(k,) of the blend or the opening alone, without the multipliers of clusters, items and rules."""
        if self.ranked.evidence is None:
            return self._opening(self.shelves, self.belief, self.own)
        features = self.ranked.evidence.features.take(self.ranked.columns, axis=1)
        return blending.score(self.ranker.blend, features)

    def falls(self, after: Sequence[np.ndarray]) -> np.ndarray:
        """(T, k) by how much each item's log-odds fall in T other lists of scores (k,). A cause holds from `LEAST` on."""
        with np.errstate(invalid="ignore"):
            fall = log_odds(self.scores) - log_odds(np.array(after).reshape(-1, len(self.scores)))
        return np.asarray(np.where(np.isnan(fall), 0.0, fall))

    def without_item(self, item: int) -> np.ndarray:
        """(k,) if the session had not touched the item at this position: all its events are left out."""
        evidence, rest = self.ranked.evidence, self.history.without(item)
        if evidence is None or not len(rest):
            return self._with(self._opening(self.shelves, self.belief, self.own))
        h = represent(self.ranker, rest)
        again = gather(
            self.ranker,
            rest,
            h,
            layout=self.layout,
            selection=self.selection,
            scratch=_scratch,
            also=evidence.positions,
            only=True,
        )
        place = _scratch.zeros("place", len(self.ranker.encoder.row_of), np.intp)
        place[again.positions] = np.arange(len(again.positions))
        columns = place[self.items]
        place[again.positions] = 0
        return self._with(blending.score(self.ranker.blend, again.features.take(columns, axis=1)))

    def without_expert(self, expert: str) -> np.ndarray:
        """(k,) if the expert said of every candidate what it says of the average one; before the first item, if it said
        nothing."""
        evidence = self.ranked.evidence
        if evidence is None:
            if expert == "reminders":
                return self._with(self._opening(self.shelves, self.belief, self.own[:0]))
            if expert == "personas":
                return self._with(self._opening(self.shelves, None, self.own))
            if expert == "popularity":
                alike = replace(self.shelves, every=np.zeros_like(self.shelves.every))
                return self._with(self._opening(alike, self.belief, self.own))
            return self.scores
        rows = EXPERT_COLUMNS[EXPERTS.index(expert)]
        x = evidence.features.take(self.ranked.columns, axis=1)
        x[rows] = evidence.features[rows].mean(axis=1)[:, None]
        return self._with(blending.score(self.ranker.blend, x))

    def without_cluster(self, cluster: int) -> np.ndarray:
        """(k,) if the cluster at this position were not selected, and the session had not changed its weight."""
        evidence, scores = self.ranked.evidence, self.scores.astype(np.float32)
        if evidence is not None:
            inside = np.flatnonzero(self.clusters.primary[self.items] == cluster)
            if len(inside):
                x = evidence.features.take(self.ranked.columns[inside], axis=1)
                x[_CLUSTER_ROWS] = 0.0
                scores[inside] += blending.score(self.ranker.blend, x) - self.base[inside]
        if cluster in self.cluster_weight:
            others = {c: w for c, w in self.cluster_weight.items() if c != cluster}
            scores -= cluster_log_weight(self.clusters, self.cluster_weight, self.items)
            if others:
                scores += cluster_log_weight(self.clusters, others, self.items)
        return scores

    def without_beside(self) -> np.ndarray:
        """(k,) if the slate stood beside nothing, and yet among the same items."""
        return self.scores if self.pool is None else np.asarray(self.scores - self.pool)

    def without_persona(self, persona: int) -> np.ndarray:
        """(k,) if the shopper were surely not the persona at this position. Once there is an item, a persona speaks through the
        selected clusters alone, which stay: nothing changes."""
        if self.ranked.evidence is not None:
            return self.scores
        return self._with(self._opening(self.shelves, without(self.belief, persona), self.own))

    def _with(self, base: np.ndarray) -> np.ndarray:
        """Scores with the multipliers that the ranking has."""
        return np.asarray(self.scores + (base - self.base))

    def _opening(self, shelves: Shelves, belief: np.ndarray | None, own: np.ndarray) -> np.ndarray:
        rates = self.ranker.reminders
        return odds(shelves, self.items, belief=belief, own=own, rates=rates if rates is not None else np.zeros(0))


def without(belief: np.ndarray, persona: int) -> np.ndarray:
    """(K,) the belief once it is sure that it is not this persona; the others alike where it believed in no other."""
    rest = np.array(belief, dtype=np.float64)
    rest[persona] = 0.0
    total = float(rest.sum())
    if total > 0.0:
        return np.asarray(rest / total)
    rest[:] = 1.0 / max(len(rest) - 1, 1)
    rest[persona] = 0.0
    return rest
