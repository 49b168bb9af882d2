"""Which causes of an item may be named: those without which it would stand lower. What `explaining` proposes is tried here.

An item of the session, an expert or a cluster is *named* for an item that is shown only if `removals` finds that without it the
item's log-odds against the others of the ranking fall. Where nothing is found nothing is named: the words then say less.
Of the session's items one is tried, the one proposed for most slots: a second one, which costs as much again, would name an item
for 77 slots in 100 where one does for 69 (a made world of 480 items).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommendations.ranking import trying
from recommendations.ranking.explaining import NO_CAUSE, Why
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS
from recommendations.ranking.ranker import DROPPED, arrays
from recommendations.ranking.removals import CLUSTER_ROWS, LEAST, Trial

_OF_EXPERTS = (
    np.concatenate([np.flatnonzero(rows) for rows in EXPERT_COLUMNS]),
    np.append(0, np.cumsum(EXPERT_COLUMNS.sum(axis=1))).astype(np.int64),
)
"""Features by expert, and where each expert's begin."""

_NO_FEATURES = np.zeros((0, 0), dtype=np.float32)
_NOTHING = np.zeros(0, dtype=np.float32)
_NO_ODDS = np.zeros(0)
_UNCHANGED = (np.zeros(0, dtype=np.int64), _NOTHING)

NOBODY = ""
"""Stands for the expert where no single one carried the item."""


@dataclass(frozen=True)
class Named:
    """What may be named of r items.

    experts : r names, `NOBODY` where none.  because : r positions of the session's items, `NO_CAUSE` where none.
    clusters, personas : r times, whether the cluster and the persona of the slot's label may be.
    beside : r times, whether what the slate stands beside may be.
    """

    experts: list[str]
    because: list[int]
    clusters: list[bool]
    personas: list[bool]
    beside: list[bool]


def nothing(r: int) -> Named:
    """Nothing to name of r items."""
    return Named([NOBODY] * r, [NO_CAUSE] * r, [False] * r, [False] * r, [False] * r)


def name(
    trial: Trial, rows: np.ndarray, why: Why, clusters: Sequence[int], personas: Sequence[int], *, beside: bool = False
) -> Named:
    """What may be named of the items at `rows` (r,) of the ranking.

    why : of these rows.  clusters, personas : r positions, -1 for none.  beside : whether the slate stands beside something.
    """
    count = len(trial.scores)
    told = [i for i, row in enumerate(rows.tolist()) if row < count]
    if not told:
        return nothing(len(rows))
    if trial.ranked.evidence is None:
        return _opened(trial, rows, told, why, clusters, personas, beside=beside)
    touched, because = trial.history.positions.tolist(), why.because.tolist()
    item = _most([touched[because[i]] for i in told if because[i] != NO_CAUSE])
    without = trial.features_without(item) if item != NO_CAUSE else None
    changed, multipliers = arrays(trial.cluster_weight, np.float32) if trial.cluster_weight else _UNCHANGED
    assert why.mean is not None  # what has evidence has candidates
    found = trying.named(
        trial.ranker.blend.parts,
        trial.ranked.evidence.features,
        why.mean,
        trial.ranked.columns,
        trial.items,
        trial.scores,
        rows,
        why.shares.argmax(axis=1),
        np.array(clusters, dtype=np.int64),
        item,
        without if without is not None else _NO_FEATURES,
        trial.opening() if item != NO_CAUSE and without is None else _NO_ODDS,
        *_OF_EXPERTS,
        CLUSTER_ROWS,
        *trial.clusters.held_by,
        len(trial.clusters),
        changed,
        multipliers,
        DROPPED,
        trial.pool if trial.pool is not None else _NOTHING,
        beside,
        LEAST,
    ).T.tolist()
    return Named(
        experts=[EXPERTS[e] if e >= 0 else NOBODY for e in found[1]],
        because=found[0],
        clusters=[c >= 0 for c in found[2]],
        personas=[False] * len(rows),
        beside=[b > 0 for b in found[3]],
    )


def _opened(
    trial: Trial,
    rows: np.ndarray,
    told: list[int],
    why: Why,
    clusters: Sequence[int],
    personas: Sequence[int],
    *,
    beside: bool,
) -> Named:
    """`name` before the first item, of those of the rows that are `told` of: no item carried them."""
    named = nothing(len(rows))
    leading = why.shares.argmax(axis=1).tolist()
    tried_experts = sorted({leading[i] for i in told})
    tried_clusters = sorted({clusters[i] for i in told} & trial.cluster_weight.keys())
    tried_personas = sorted({personas[i] for i in told} - {NO_CAUSE})
    after = trial.without_experts([EXPERTS[expert] for expert in tried_experts])
    after += [trial.without_cluster(cluster) for cluster in tried_clusters]
    after += [trial.without_persona(persona) for persona in tried_personas]
    after += [trial.without_beside()] if beside else []
    first = len(tried_experts)
    second = first + len(tried_clusters)
    place = {cluster: first + i for i, cluster in enumerate(tried_clusters)}
    whose = {persona: second + i for i, persona in enumerate(tried_personas)}
    for i, fall in zip(told, trial.falls(after)[:, rows[told]].T.tolist(), strict=True):
        expert = _held(tried_experts, fall[:first], leading[i])
        named.experts[i] = EXPERTS[expert] if expert != NO_CAUSE else NOBODY
        named.clusters[i] = clusters[i] in place and fall[place[clusters[i]]] >= LEAST
        named.personas[i] = personas[i] in whose and fall[whose[personas[i]]] >= LEAST
        named.beside[i] = beside and fall[-1] >= LEAST
    return named


def _held(tried: Sequence[int], falls: Sequence[float], proposed: int) -> int:
    """What was proposed, if it holds; else what the item would miss most, if that does."""
    most, cause = LEAST, NO_CAUSE
    for one, fall in zip(tried, falls, strict=True):
        if fall >= LEAST and one == proposed:
            return one
        if fall >= most:
            most, cause = fall, one
    return cause


def _most(proposals: Sequence[int]) -> int:
    """What is proposed most often, of equals the first; `NO_CAUSE` where nothing is."""
    times: dict[int, int] = {}
    for item in proposals:
        times[item] = times.get(item, 0) + 1
    return max(times, key=times.__getitem__, default=NO_CAUSE)
