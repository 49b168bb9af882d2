"""What a ranking would be without one of its causes: an item of the session, an expert, a cluster, a persona.

Each answers with the scores that the ranked items would have, the rest of the step being as it was: the same candidates, the
same selected clusters, the same multipliers. A cause *holds* for an item if, without it, the item's log-odds against the others
of the ranking are lower. What becomes of a whole session without one of its events, its persona and its clusters too, is told by
`recommendations.counterfactual`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from clusters.alignment import Selection
from clusters.item_clusters import ItemClusters
from recommendations.ranking import blend as blending
from recommendations.ranking import trying
from recommendations.ranking.features import CLUSTER, EXPERT_COLUMNS, EXPERTS, FEATURES, gather_without
from recommendations.ranking.history import History
from recommendations.ranking.layout import ClusterRows
from recommendations.ranking.opening import Shelves, odds
from recommendations.ranking.ranker import SCRATCH, Ranked, Ranker, cluster_log_weight, represent

LEAST = 1e-4
"""Log-odds by which an item must fall for a cause to hold: well above what rounding of float32 moves."""

CLUSTER_ROWS = np.array([FEATURES.index(name) for name in CLUSTER], dtype=np.int64)
_OF_EXPERT = {expert: np.flatnonzero(EXPERT_COLUMNS[i]) for i, expert in enumerate(EXPERTS)}
_PLAIN = (np.zeros(0, dtype=np.intp), False)
_NO_CLUSTER = (CLUSTER_ROWS, False)


@cache
def _cases(experts: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the blend says as it is, without the items' own clusters, and without each of the experts."""
    return blending.silences([_PLAIN, _NO_CLUSTER, *((_OF_EXPERT[expert], True) for expert in experts)])


def log_odds(scores: np.ndarray) -> np.ndarray:
    """(T, k) float64 log-odds of each of k items to be chosen rather than any other, by each of T lists of scores (T, k).

    +inf for the only item of a list.
    """
    return trying.log_odds(np.array(scores, dtype=np.float64))


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
            return self.opening()
        return self._silent[0]

    @cached_property
    def _silent(self) -> np.ndarray:
        """(2, k) what the blend says of the items, and what it would say if their own clusters were not selected."""
        evidence = self.ranked.evidence
        if evidence is None:
            raise ValueError("the blend says nothing before the first item")
        return blending.score_silenced(self.ranker.blend, evidence.features, self.ranked.columns, _cases(()))

    def falls(self, after: Sequence[np.ndarray]) -> np.ndarray:
        """(T, k) by how much each item's log-odds fall in T other lists of scores (k,). A cause holds from `LEAST` on.

        NaN for the only item of a ranking, which has nothing to fall behind.
        """
        return trying.falls(np.array([self.scores, *after], dtype=np.float64))

    def without_item(self, item: int) -> np.ndarray:
        """(k,) if the session had not touched the item at this position: all its events are left out."""
        features = self.features_without(item)
        if features is None:
            return self._with(self.opening())
        return self._with(blending.score(self.ranker.blend, features))

    def features_without(self, item: int) -> np.ndarray | None:
        """(F, k) features that the items have without it; None where nothing of the session would be left."""
        evidence = self.ranked.evidence
        if evidence is None or set(evidence.asked.positions.tolist()) <= {item}:
            return None
        h = represent(self.ranker, self.history, without=item)
        return gather_without(
            self.ranker, evidence, self.ranked.columns, item, h, layout=self.layout, selection=self.selection, scratch=SCRATCH
        )

    def without_expert(self, expert: str) -> np.ndarray:
        """(k,) if the expert said of every candidate what it says of the average one; before the first item, if it said
        nothing."""
        return self.without_experts([expert])[0]

    def without_experts(self, experts: Sequence[str]) -> list[np.ndarray]:
        """`without_expert` of each."""
        evidence = self.ranked.evidence
        if evidence is None:
            return [self._with(self._opening_without(expert)) for expert in experts]
        found = blending.score_silenced(self.ranker.blend, evidence.features, self.ranked.columns, _cases(tuple(experts)))
        self.__dict__["_silent"] = found[:2]  # what comes along for next to nothing is what is asked for next
        return list(found[2:] + (self.scores - found[0]))

    def without_cluster(self, cluster: int) -> np.ndarray:
        """(k,) if the cluster at this position were not selected, and the session had not changed its weight."""
        scores = self.scores
        if self.ranked.evidence is not None:
            scores = np.where(self._primary == cluster, self._unclustered, scores)
        if cluster in self.cluster_weight:
            others = {c: w for c, w in self.cluster_weight.items() if c != cluster}
            scores = scores - cluster_log_weight(self.clusters, self.cluster_weight, self.items)
            if others:
                scores = scores + cluster_log_weight(self.clusters, others, self.items)
        return scores

    @cached_property
    def _primary(self) -> np.ndarray:
        return self.clusters.primary[self.items]

    @cached_property
    def _unclustered(self) -> np.ndarray:
        """(k,) each item's score if its own cluster were not selected."""
        if self.ranked.evidence is None:
            return self.scores
        return self._with(self._silent[1])

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

    def _opening_without(self, expert: str) -> np.ndarray:
        if expert == "reminders":
            return self._opening(self.shelves, self.belief, self.own[:0])
        if expert == "personas":
            return self._opening(self.shelves, None, self.own)
        if expert == "popularity":
            return self._opening(replace(self.shelves, every=np.zeros_like(self.shelves.every)), self.belief, self.own)
        return self.base

    def opening(self) -> np.ndarray:
        """(k,) float64 of the items if the session had none."""
        return self._opening(self.shelves, self.belief, self.own)

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
