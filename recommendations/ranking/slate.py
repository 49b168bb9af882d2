"""From a ranking to a slate: slots shared between the active personas, pins and balance as merchandisers' rules say, and a
little exploration with known odds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from clusters import kernels
from clusters.alignment import Selection
from clusters.item_clusters import ItemClusters
from recommendations.ranking.diversity import Spread
from recommendations.ranking.draws import Randomness
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


class Slots(Sequence[Chosen]):
    """What fills the slots of a slate, in columns; as a sequence, a `Chosen` of each.

    rows : (s,) intp.  The others hold s values each, as `Chosen` tells them.
    """

    __slots__ = ("clusters", "explored", "personas", "propensities", "rows", "rules")

    def __init__(
        self,
        rows: np.ndarray,
        propensities: Sequence[float],
        labels: np.ndarray,
        explored: Sequence[bool],
        rules: Sequence[tuple[int, ...]],
    ) -> None:
        """labels : (s, 2), clusters and personas."""
        self.rows, self.propensities, self.explored, self.rules = rows, propensities, explored, rules
        self.clusters: list[int]
        self.personas: list[int]
        self.clusters, self.personas = labels.T.tolist()

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, slot: int) -> Chosen: ...
    @overload
    def __getitem__(self, slot: slice) -> list[Chosen]: ...
    def __getitem__(self, slot: int | slice) -> Chosen | list[Chosen]:
        if isinstance(slot, slice):
            return [self[i] for i in range(*slot.indices(len(self)))]
        return Chosen(
            int(self.rows[slot]),
            self.propensities[slot],
            self.clusters[slot],
            self.personas[slot],
            self.explored[slot],
            self.rules[slot],
        )


def compose(ranked: Ranked, **asked: Any) -> list[Chosen]:
    """`fill`, one slot after the other."""
    return list(fill(ranked, **asked))


def fill(
    ranked: Ranked,
    *,
    clusters: ItemClusters,
    selection: Selection,
    belief: np.ndarray,
    active: tuple[int, ...],
    count: int,
    explore: float,
    rng: Randomness,
    pins: Mapping[int, tuple[int, int]] | None = None,
    caps: Sequence[Cap] = (),
    spread: Spread | None = None,
) -> Slots:
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
    explores = rng.random(count) < explore if exploring else np.zeros(count, dtype=bool)
    if not (reserved or pins or caps or spread):
        return _plainly(ranked, explores, explore if exploring else 0.0, rng, clusters, selection, belief)
    labels: list[tuple[int, int]] = []
    if reserved:
        every = _labels(ranked, slice(None), clusters=clusters, selection=selection, belief=belief)
        labels = list(map(tuple, every.tolist()))
    pinned = dict(sorted(pins.items())) if pins else {}
    taken = {row for _, row in pinned.values()}
    free = list(range(m))
    for row in sorted(taken, reverse=True):
        del free[row]
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
    return Slots(
        rows,
        [propensity for _, propensity, _, _ in slots],
        every[rows] if labels else _labels(ranked, rows, clusters=clusters, selection=selection, belief=belief),
        [explored for _, _, explored, _ in slots],
        [rules for _, _, _, rules in slots],
    )


def _plainly(
    ranked: Ranked,
    explores: np.ndarray,
    explore: float,
    rng: Randomness,
    clusters: ItemClusters,
    selection: Selection,
    belief: np.ndarray,
) -> Slots:
    """`fill` where the best come in their order, but for what is explored."""
    count = len(explores)
    propensities, explored = [1.0 - explore] * count, explores.tolist()
    if True not in explored:
        first = slice(0, count)
        labels = _labels(ranked, first, clusters=clusters, selection=selection, belief=belief)
        return Slots(np.arange(count), propensities, labels, explored, [()] * count)
    free, taken = list(range(len(ranked.positions))), []
    for slot in range(count):
        place = 0
        if explored[slot]:
            others = min(len(free), POOL * count) - 1
            place, propensities[slot] = 1 + int(rng.integers(others)), explore / others
        taken.append(free.pop(place))
    rows = np.array(taken, dtype=np.intp)
    labels = _labels(ranked, rows, clusters=clusters, selection=selection, belief=belief)
    return Slots(rows, propensities, labels, explored, [()] * count)


class _Balance:
    """Groups that may take so many slots, and who waits behind those that are full."""

    def __init__(self, caps: Sequence[Cap], positions: np.ndarray, count: int, free: list[int], pinned: Iterable[int]) -> None:
        self.caps = [(cap.rule, cap.most(count), cap.group[positions].tolist()) for cap in caps]
        self.slots: list[dict[int, int]] = [{} for _ in caps]
        self.held: dict[int, int] = {}
        self.first: dict[int, int] = {}  # of each rule, the best row that it holds back
        for row in pinned:
            self._count(row, free)

    def take(self, row: int, free: list[int]) -> tuple[int, ...]:
        """A row gets a slot; `free` then lacks those whose group is full. Returns the rules that held a better row back."""
        before = tuple(sorted([rule for rule, held in self.first.items() if held < row]))
        self._count(row, free)
        return before

    def give_way(self) -> list[int]:
        """All that was held back: nothing else is left, and a short slate serves nobody."""
        back, self.held, self.first, self.caps = sorted(self.held), {}, {}, []
        return back

    def _count(self, row: int, free: list[int]) -> None:
        for (rule, most, group), slots in zip(self.caps, self.slots, strict=False):
            mine = group[row]
            if mine >= 0:
                slots[mine] = slots.get(mine, 0) + 1
                if slots[mine] == most:
                    back = [r for r in free if group[r] == mine]
                    self.held |= dict.fromkeys(back, rule)
                    if back:
                        self.first[rule] = min(self.first.get(rule, back[0]), *back)
                    free[:] = [r for r in free if group[r] != mine]


def label(positions: np.ndarray, *, clusters: ItemClusters, selection: Selection, belief: np.ndarray) -> np.ndarray:
    """(m, 2) int64, cluster and persona positions of m items: the selected cluster that holds each most, and whom it is for.

    An item outside the selection keeps its primary cluster and goes to the likeliest persona. A cluster of no
    persona in particular (-1) goes to the likeliest one too.
    """
    top = int(belief.argmax()) if len(belief) else NONE
    return kernels.labels(positions, *clusters.held_by, selection.rows, selection.persona, top)


def _labels(
    ranked: Ranked, rows: np.ndarray | slice, *, clusters: ItemClusters, selection: Selection, belief: np.ndarray
) -> np.ndarray:
    """`label` of the ranking's rows; before the first item an item is for whom its opening says."""
    labels = label(ranked.positions[rows], clusters=clusters, selection=selection, belief=belief)
    if ranked.opening is None:
        return labels
    opened = len(ranked.columns)
    each = np.arange(len(ranked.positions))[rows]
    by_opening = each < opened
    labels[by_opening, 1] = ranked.opening.personas[ranked.columns[each[by_opening]]]
    return labels


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
