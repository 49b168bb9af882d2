"""Which causes of an item may be named: those without which it would stand lower. What `explaining` proposes is tried here.

An item of the session, an expert or a cluster is *named* for an item that is shown only if `removals` finds that without it the
item's log-odds against the others of the ranking fall. Where nothing is found nothing is named: the words then say less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommendations.ranking.explaining import NO_CAUSE, Why
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.removals import LEAST, Trial

TRIED = 1
"""Items of the session that are tried, those proposed for most slots. Each costs as much as a sixth of a step; a second one would
name an item for 77 slots in 100 where one does for 69 (a made world of 480 items)."""

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
    told = [i for i, row in enumerate(rows.tolist()) if row < len(trial.scores)]
    named = nothing(len(rows))
    if not told:
        return named
    touched = trial.history.positions
    events = why.because.tolist()
    proposals = [int(touched[event]) if event != NO_CAUSE else NO_CAUSE for event in events]
    leading = why.shares.argmax(axis=1).tolist()
    tried_items = _most([proposals[i] for i in told if proposals[i] != NO_CAUSE])
    tried_experts = sorted({leading[i] for i in told})
    tried_clusters = sorted({clusters[i] for i in told} - {NO_CAUSE})
    tried_personas = sorted({personas[i] for i in told} - {NO_CAUSE}) if trial.ranked.evidence is None else []
    silent = trial.without_experts([EXPERTS[expert] for expert in tried_experts])
    after = [trial.without_item(item) for item in tried_items]
    after += silent
    after += [trial.without_cluster(cluster) for cluster in tried_clusters]
    after += [trial.without_persona(persona) for persona in tried_personas]
    after += [trial.without_beside()] if beside else []
    first = len(tried_items)
    second = first + len(tried_experts)
    third = second + len(tried_clusters)
    place = {cluster: second + i for i, cluster in enumerate(tried_clusters)}
    whose = {persona: third + i for i, persona in enumerate(tried_personas)}
    for i, fall in zip(told, trial.falls(after)[:, rows[told]].T.tolist(), strict=True):
        named.because[i] = _held(tried_items, fall[:first], proposals[i])
        expert = _held(tried_experts, fall[first:second], leading[i])
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


def _most(proposals: Sequence[int]) -> list[int]:
    """The `TRIED` that are proposed most often, of equals the first."""
    times: dict[int, int] = {}
    for item in proposals:
        times[item] = times.get(item, 0) + 1
    return sorted(times, key=lambda item: -times[item])[:TRIED]
