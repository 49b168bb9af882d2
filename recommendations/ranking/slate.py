"""From a ranking to a slate: slots shared between the active personas, pins and balance as merchandisers' rules say, and a
little exploration with known odds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clusters import kernels
from clusters.alignment import Selection
from clusters.item_clusters import ItemClusters
from recommendations.ranking.diversity import Spread
from recommendations.ranking.ranker import Ranked
from recommendations.ranking.rules import Cap

POOL = 3
"""An exploring slot draws from this many times `count` candidates: deep enough to learn, shallow enough to be sane."""

NONE = -1


class Chosen(NamedTuple):
    """What fills one slot. row : into the ranking.  cluster, persona : positions, -1 for none.

    rules : ids of the rules that pinned it there, or held something better back.
    """

    row: int
    propensity: float
    cluster: int
    persona: int
    explored: bool
    rules: tuple[int, ...] = ()


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
    pins: Mapping[int, tuple[int, int]] | None = None,
    caps: Sequence[Cap] = (),
    spread: Spread | None = None,
) -> list[Chosen]:
    """At most `count` slots, best first, no item twice.

    Each active persona is sure of floor(posterior * count) slots where it has the items; the rest goes by rank.
    Each slot explores with probability `explore`: it then holds an item drawn evenly from the next candidates.
    A slot's propensity is exact given the slots above it.

    belief : (K,) probabilities.  active : archetype positions; fewer than two share nothing.
    pins : slot -> (rule, row), certain; where there is too little for the slots before, they move up.  caps : of groups of items,
    each full after so many slots, unless nothing else is left.  spread : what makes the best of a slot differ from those above.
    """
    if not 0.0 <= explore <= 1.0:
        raise ValueError(f"explore {explore} is not in [0, 1]")
    m = len(ranked.positions)
    count = min(count, m)
    reserved = _reserved(belief, active, count)
    exploring = explore > 0 and m > count
    explores = (rng.random(count) < explore).tolist() if exploring else [False] * count
    if not (reserved or pins or caps or spread):
        return _plainly(ranked, explores, explore if exploring else 0.0, rng, clusters, selection, belief)
    labels: list[tuple[int, int]] = []
    if reserved:
        labels = _labels(ranked, np.arange(m), clusters=clusters, selection=selection, belief=belief)
    pinned = dict(sorted(pins.items())) if pins else {}
    taken = {row for _, row in pinned.values()}
    free = [row for row in range(m) if row not in taken] if taken else list(range(m))
    balance = _Balance(caps, ranked.positions, count, free, taken) if caps else None
    slots: list[tuple[int, float, bool, tuple[int, ...]]] = []
    for slot in range(count):
        if balance is not None and not free:
            free = balance.give_way()
        if slot in pinned or not free:
            rule, row = pinned.pop(slot if slot in pinned else next(iter(pinned)))
            if reserved and reserved.get(labels[row][1], 0):
                reserved[labels[row][1]] -= 1
            if spread is not None:
                spread.take(row)
            slots.append((row, 1.0, False, (rule,)))
            continue
        place = _next(free, labels, reserved, count - slot, spread) if reserved or spread is not None else 0
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
        if spread is not None:
            spread.take(row)
        if reserved and reserved.get(labels[row][1], 0):
            reserved[labels[row][1]] -= 1
        slots.append((row, propensity, explored, balance.take(row, free) if balance is not None else ()))
    rows = np.array([row for row, _, _, _ in slots], dtype=np.intp)
    if labels:
        labels = [labels[row] for row in rows.tolist()]
    else:
        labels = _labels(ranked, rows, clusters=clusters, selection=selection, belief=belief)
    return [
        Chosen(row, p, cluster, persona, explored, rules)
        for (row, p, explored, rules), (cluster, persona) in zip(slots, labels, strict=True)
    ]


def _plainly(
    ranked: Ranked,
    explores: list[bool],
    explore: float,
    rng: np.random.Generator,
    clusters: ItemClusters,
    selection: Selection,
    belief: np.ndarray,
) -> list[Chosen]:
    """`compose` where the best come in their order, but for what is explored."""
    count = len(explores)
    rows, propensities = list(range(count)), [1.0 - explore] * count
    if any(explores):
        free = list(range(len(ranked.positions)))
        for slot, explored in enumerate(explores):
            place = 0
            if explored:
                others = min(len(free), POOL * count) - 1
                place, propensities[slot] = 1 + int(rng.integers(others)), explore / others
            rows[slot] = free.pop(place)
    labels = _labels(ranked, np.array(rows, dtype=np.intp), clusters=clusters, selection=selection, belief=belief)
    return [
        Chosen(row, propensity, cluster, persona, explored)
        for row, propensity, (cluster, persona), explored in zip(rows, propensities, labels, explores, strict=True)
    ]


class _Balance:
    """Groups that may take so many slots, and who waits behind those that are full."""

    def __init__(self, caps: Sequence[Cap], positions: np.ndarray, count: int, free: list[int], pinned: Iterable[int]) -> None:
        self.caps = [(cap.rule, cap.most(count), cap.group[positions].tolist()) for cap in caps]
        self.slots: list[dict[int, int]] = [{} for _ in caps]
        self.held: dict[int, int] = {}
        for row in pinned:
            self._count(row, free)

    def take(self, row: int, free: list[int]) -> tuple[int, ...]:
        """A row gets a slot; `free` then lacks those whose group is full. Returns the rules that held a better row back."""
        before = tuple(sorted({rule for held, rule in self.held.items() if held < row}))
        self._count(row, free)
        return before

    def give_way(self) -> list[int]:
        """All that was held back: nothing else is left, and a short slate serves nobody."""
        back, self.held, self.caps = sorted(self.held), {}, []
        return back

    def _count(self, row: int, free: list[int]) -> None:
        for (rule, most, group), slots in zip(self.caps, self.slots, strict=False):
            mine = group[row]
            if mine >= 0:
                slots[mine] = slots.get(mine, 0) + 1
                if slots[mine] == most:
                    self.held |= {r: rule for r in free if group[r] == mine}
                    free[:] = [r for r in free if group[r] != mine]


def label(positions: np.ndarray, *, clusters: ItemClusters, selection: Selection, belief: np.ndarray) -> list[tuple[int, int]]:
    """Cluster and persona positions of m items: the selected cluster that holds each most, and whom it is for.

    An item outside the selection keeps its primary cluster and goes to the likeliest persona. A cluster of no
    persona in particular (-1) goes to the likeliest one too.
    """
    top = int(belief.argmax()) if len(belief) else NONE
    found = kernels.labels(positions, *clusters.held_by, selection.rows, selection.persona, top)
    return list(map(tuple, found.tolist()))


def _labels(
    ranked: Ranked, rows: np.ndarray, *, clusters: ItemClusters, selection: Selection, belief: np.ndarray
) -> list[tuple[int, int]]:
    """`label` of the ranking's rows; before the first item an item is for whom its opening says."""
    labels = label(ranked.positions[rows], clusters=clusters, selection=selection, belief=belief)
    if ranked.opening is None:
        return labels
    opened = len(ranked.columns)
    personas = ranked.opening.personas
    return [
        (cluster, personas.item(ranked.columns[row]) if row < opened else persona)
        for row, (cluster, persona) in zip(rows.tolist(), labels, strict=True)
    ]


def _reserved(belief: np.ndarray, active: tuple[int, ...], count: int) -> dict[int, int]:
    if len(active) < 2:
        return {}
    mass = float(belief[list(active)].sum())
    return {k: int(float(belief[k]) / mass * count) for k in active}


def _next(free: list[int], labels: list[tuple[int, int]], reserved: dict[int, int], left: int, spread: Spread | None) -> int:
    """Place in `free` of the best row that still leaves every persona the slots it is sure of, as far as it has items."""
    owed = {k: n for k, n in reserved.items() if n > 0}
    if owed and sum(owed.values()) >= left:
        places = [place for place, row in enumerate(free) if labels[row][1] in owed]
        if places:
            return places[spread.best([free[place] for place in places])] if spread is not None else places[0]
    return spread.best(free) if spread is not None else 0
