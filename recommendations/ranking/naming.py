"""Which causes of an item may be named: those without which it would stand lower. What `explaining` proposes is tried here.

An item of the session, an expert or a cluster is *named* for an item that is shown only if `removals` finds that without it the
item's log-odds against the others of the ranking fall. Where nothing is found nothing is named: the words then say less.
Of the session's items one is tried, the one proposed for most slots: a second one, which costs as much again, would name an item
for 77 slots in 100 where one does for 69 (a made world of 480 items).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recommendations.ranking import telling
from recommendations.ranking.explaining import EXPERT_OF, NO_CAUSE, SPEAKERS, Why
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS, LIMITS, space_of
from recommendations.ranking.history import own
from recommendations.ranking.ranker import DROPPED, SCRATCH, arrays
from recommendations.ranking.removals import CLUSTER_ROWS, LEAST, Trial
from recommendations.ranking.transitions import READ

_FIXED = (
    EXPERT_OF,
    SPEAKERS,
    np.concatenate([np.flatnonzero(rows) for rows in EXPERT_COLUMNS]),
    np.append(0, np.cumsum(EXPERT_COLUMNS.sum(axis=1))).astype(np.int64),
    CLUSTER_ROWS,
    READ,
    DROPPED,
    LEAST,
)
"""What `telling.told` is always given; the third and the fourth are features by expert, and where each expert's begin."""

_NOTHING = np.zeros(0, dtype=np.float32)
_NO_ODDS = np.zeros(0)
_UNCHANGED = (np.zeros(0, dtype=np.int64), _NOTHING)

NOBODY = ""
"""Stands for the expert where no single one carried the item."""

_NAMES = (*EXPERTS, NOBODY)  # the last is also number -1


class Named(NamedTuple):
    """What may be named of r items.

    because : r positions of the session's items, `NO_CAUSE` where none.  experts : r names, `NOBODY` where none.
    clusters, beside : r times, whether the cluster of the slot's label may be, and what the slate stands beside.
    """

    because: Sequence[int]
    experts: Sequence[str]
    clusters: Sequence[bool]
    beside: Sequence[bool]


def nothing(r: int) -> Named:
    """Nothing to name of r items."""
    return Named([NO_CAUSE] * r, [NOBODY] * r, [False] * r, [False] * r)


def told(trial: Trial, rows: np.ndarray, clusters: Sequence[int], *, beside: bool = False) -> tuple[Named, np.ndarray]:
    """What may be named of the items at `rows` (r,) of a ranking by the experts, and the `Why.shares` (r, E) to four places.

    clusters : r positions, -1 for none.  beside : whether the slate stands beside something.
    """
    ranker, ranked, history, layout = trial.ranker, trial.ranked, trial.history, trial.layout
    evidence, encoder = ranked.evidence, trial.ranker.encoder
    if evidence is None:
        raise ValueError("the experts say nothing before the first item")
    columns, asked = own(ranked.columns, np.int64), evidence.asked
    k, touched = len(columns), asked.positions.tolist()
    changed, multipliers = arrays(trial.cluster_weight, np.float32) if trial.cluster_weight else _UNCHANGED
    found, shares = telling.told(
        ranker.blend.parts,
        encoder.loops,
        ranker.parts,
        layout.parts,
        space_of(ranker.tables, layout.grouping, SCRATCH),
        LIMITS,
        (*trial.clusters.held_by, len(trial.clusters)),
        _FIXED,
        tuple(asked),
        history.loops[1],
        (evidence.positions, evidence.features, evidence.votes),
        (columns, ranked.positions[:k], ranked.scores[:k]),
        own(rows, np.int64),
        np.array(clusters, dtype=np.int64),
        trial.selection.rows,
        trial.selection.score,
        changed,
        multipliers,
        trial.pool if trial.pool is not None else _NOTHING,
        beside,
        trial.opening() if touched.count(touched[0]) == len(touched) else _NO_ODDS,
    )
    because, experts, of_cluster, by_place = found.T.tolist()
    return Named(because, [_NAMES[e] for e in experts], [c >= 0 for c in of_cluster], [b > 0 for b in by_place]), shares


def opened(trial: Trial, rows: np.ndarray, why: Why, clusters: Sequence[int], *, beside: bool = False) -> Named:
    """What may be named of the items at `rows` (r,) of a ranking before the first item: no item carried them.

    why : of these rows.  clusters : r positions, -1 for none.  beside : whether the slate stands beside something.
    """
    count = len(trial.scores)
    told = [i for i, row in enumerate(rows.tolist()) if row < count]
    causes, experts = [NO_CAUSE] * len(rows), [NOBODY] * len(rows)
    of_cluster, by_place = [False] * len(rows), [False] * len(rows)
    if not told:
        return Named(causes, experts, of_cluster, by_place)
    leading = why.shares.argmax(axis=1).tolist()
    tried_experts = sorted({leading[i] for i in told})
    tried_clusters = sorted({clusters[i] for i in told} & trial.cluster_weight.keys())
    after = trial.without_experts([EXPERTS[expert] for expert in tried_experts])
    after += [trial.without_cluster(cluster) for cluster in tried_clusters]
    after += [trial.without_beside()] if beside else []
    first = len(tried_experts)
    place = {cluster: first + i for i, cluster in enumerate(tried_clusters)}
    for i, fall in zip(told, trial.falls(after)[:, rows[told]].T.tolist(), strict=True):
        expert = _held(tried_experts, fall[:first], leading[i])
        experts[i] = _NAMES[expert]
        of_cluster[i] = clusters[i] in place and fall[place[clusters[i]]] >= LEAST
        by_place[i] = beside and fall[-1] >= LEAST
    return Named(causes, experts, of_cluster, by_place)


def _held(tried: Sequence[int], falls: Sequence[float], proposed: int) -> int:
    """What was proposed, if it holds; else what the item would miss most, if that does."""
    most, cause = LEAST, NO_CAUSE
    for one, fall in zip(tried, falls, strict=True):
        if fall >= LEAST and one == proposed:
            return one
        if fall >= most:
            most, cause = fall, one
    return cause
