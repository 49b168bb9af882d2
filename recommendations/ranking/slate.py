"""From a ranking to a slate: slots shared between the active personas, and a little exploration with known odds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clusters.alignment import Selection
from clusters.item_clusters import ItemClusters
from recommendations.ranking.ranker import Ranked

POOL = 3
"""An exploring slot draws from this many times `count` candidates: deep enough to learn, shallow enough to be sane."""

NONE = -1


@dataclass(frozen=True, slots=True)
class Chosen:
    """What fills one slot. row : into the ranking.  cluster, persona : positions, -1 for none."""

    row: int
    propensity: float
    cluster: int
    persona: int
    explored: bool


def compose(
    ranked: Ranked,
    *,
    clusters: ItemClusters,
    selection: Selection,
    belief: np.ndarray,
    active: tuple[int, ...],
    count: int,
    explore: float,
    rng: np.random.Generator,
) -> list[Chosen]:
    """At most `count` slots, best first, no item twice.

    Each active persona is sure of floor(posterior * count) slots where it has the items; the rest goes by rank.
    Each slot explores with probability `explore`: it then holds an item drawn evenly from the next candidates.
    A slot's propensity is exact given the slots above it.

    belief : (K,) probabilities.  active : archetype positions; fewer than two share nothing.
    """
    if not 0.0 <= explore <= 1.0:
        raise ValueError(f"explore {explore} is not in [0, 1]")
    m = len(ranked.positions)
    count = min(count, m)
    cluster, persona = label(ranked.positions, clusters=clusters, selection=selection, belief=belief)
    reserved = _reserved(belief, active, count)
    explores = rng.random(count) < explore if explore and m > count else np.zeros(count, dtype=bool)
    free = list(range(m))
    slots: list[Chosen] = []
    exploring = explore > 0 and m > count
    for slot in range(count):
        place = _next(free, persona, reserved, count - slot)
        depth = min(len(free), POOL * count)
        others = depth - (place < depth)
        propensity, explored = 1.0, False
        if exploring and others:
            propensity = 1.0 - explore
            if explores[slot]:
                drawn = int(rng.integers(others))
                place = drawn + (drawn >= place)  # skips the place of the best
                propensity, explored = explore / others, True
        row = free.pop(place)
        if reserved.get(int(persona[row]), 0):
            reserved[int(persona[row])] -= 1
        slots.append(Chosen(row, propensity, int(cluster[row]), int(persona[row]), explored))
    return slots


def label(
    positions: np.ndarray, *, clusters: ItemClusters, selection: Selection, belief: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(m,) cluster and (m,) persona positions of items: the selected cluster that holds each most, and whom it is for.

    An item outside the selection keeps its primary cluster and goes to the likeliest persona. A cluster of no
    persona in particular (-1) goes to the likeliest one too.
    """
    m = len(positions)
    top = int(np.argmax(belief)) if len(belief) else NONE
    cluster = clusters.primary[positions].astype(np.int64)
    persona = np.full(m, top, dtype=np.int64)
    if m and len(selection.rows):
        place = np.full(len(clusters.cluster_ids), NONE, dtype=np.int64)
        place[selection.rows] = np.arange(len(selection.rows))
        of_item = clusters.of_item
        start = of_item.indptr[positions]
        held = of_item.indptr[positions + 1] - start
        row = np.repeat(np.arange(m), held)
        entry = np.arange(len(row)) + np.repeat(start - (np.cumsum(held) - held), held)
        # One column a selected cluster, and a last one that takes, and drops, the clusters that weren't selected.
        weight = np.zeros((m, len(selection.rows) + 1), dtype=np.float32)
        weight[row, place[of_item.indices[entry]]] = of_item.data[entry]
        weight[:, NONE] = 0.0
        best = weight.argmax(axis=1)
        inside = weight[np.arange(m), best] > 0
        cluster[inside] = selection.rows[best[inside]]
        wanted = selection.persona[best[inside]]
        persona[inside] = np.where(wanted >= 0, wanted, top)
    return cluster, persona


def _reserved(belief: np.ndarray, active: tuple[int, ...], count: int) -> dict[int, int]:
    if len(active) < 2:
        return {}
    mass = float(belief[list(active)].sum())
    return {k: int(float(belief[k]) / mass * count) for k in active}


def _next(free: list[int], persona: np.ndarray, reserved: dict[int, int], left: int) -> int:
    """Place in `free` of the best row that still leaves every persona the slots it is sure of, as far as it has items."""
    owed = {k: n for k, n in reserved.items() if n > 0}
    if owed and sum(owed.values()) >= left:
        for place, row in enumerate(free):
            if int(persona[row]) in owed:
                return place
    return 0
