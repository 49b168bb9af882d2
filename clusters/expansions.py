"""Expansions of a session's clusters: where they may lead, what comes in with them, and how they fade.

Consistent engagement outside the primary clusters may pull in a related one. What came in and leads to nothing fades look by
look: one slate of fresh goods is a try, a visit full of them is a cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from clusters.adapted import AdaptedClusters, largest
from clusters.bounds import Bounds
from clusters.options import KEPT, Blocked, Proposed
from clusters.policy import EXPAND
from clusters.reach import Reach
from clusters.rewards import attention


def brought_in(reach: Reach, adapted: AdaptedClusters) -> np.ndarray:
    """(m,) int64 positions of the items that came in with expansions, each once."""
    items = dict.fromkeys(p for target in adapted.brought for p in brought_with(reach, adapted, target))
    return np.array(list(items), dtype=np.int64)


def brought_with(reach: Reach, adapted: AdaptedClusters, target: int) -> tuple[int, ...]:
    """Positions of the items that came in with the cluster."""
    here, source = reach.clusters.position_of, adapted.expanded.get(target, 0)
    if target not in here or source not in here:
        return ()
    return reach.way(here[source], here[target]).items[: adapted.brought.get(target, 0)]


def left_of(bounds: Bounds, weight: float) -> float:
    """Share that is left of an expansion, by the weight of what was pulled in."""
    return (weight - 1.0) / (bounds.expand_to - 1.0) if bounds.expand_to > 1.0 else 1.0


def expansions(
    reach: Reach, adapted: AdaptedClusters, log_belief: Sequence[float]
) -> tuple[list[tuple[int, Sequence[Proposed]]], tuple[Blocked, ...]]:
    """The clusters of the run outside that have somewhere to expand to, with their options; and what the bounds rule out.

    A target is one that the session hasn't met, and is put to one cluster only: the nearest, then what suits the personas most.
    log_belief : (K,).
    """
    clusters, bounds = reach.clusters, reach.bounds
    here = clusters.position_of
    met = {*adapted.mass, *adapted.expanded, *(c for c, w in adapted.weight.items() if w < 1.0)}
    belief = np.exp(log_belief)
    asked: list[tuple[int, Sequence[Proposed]]] = []
    blocked: list[Blocked] = []
    for cluster in list(adapted.engaged)[-bounds.most_decided :]:
        if len(adapted.expanded) + len(asked) >= bounds.max_expanded:
            blocked.append(Blocked(cluster, "expand", "most_expanded"))
            continue
        if (room := _room(reach, adapted, cluster)) <= 0:
            blocked.append(Blocked(cluster, "expand", "max_size"))
            continue
        options, barred, found = [KEPT], "", 0
        for position, related in _preferred(reach, here[cluster], belief):
            target = clusters.cluster_ids.item(position)
            if target in met or found == bounds.targets:
                continue
            items, bound = reach.way(here[cluster], position)
            if not items:
                barred = barred or bound
                continue
            found += 1
            met.add(target)
            sizes = sorted({min(size, len(items), room) for size in bounds.sizes})
            options += [Proposed(EXPAND, target, size, position, related) for size in sizes]
        if barred:
            blocked.append(Blocked(cluster, "expand", barred))
        if found:
            asked.append((cluster, options))
    return asked, tuple(blocked)


def _preferred(reach: Reach, cluster: int, belief: np.ndarray) -> Sequence[tuple[int, float]]:
    """(cluster position, share of the relations) of those related to the one at a position: the nearest, then the others by how
    much more the personas engage there than shoppers do."""
    near, lift = reach.near(cluster), reach.lift_near(cluster)
    if len(near) < 3 or not len(belief) or lift.shape[1] != len(belief):
        return near
    suits = (lift[1:] @ belief).tolist()
    return [near[0], *[near[1 + i] for i in sorted(range(len(suits)), key=suits.__getitem__, reverse=True)]]


def _room(reach: Reach, adapted: AdaptedClusters, cluster: int) -> int:
    """Items that may still be brought to a cluster."""
    clusters, most = reach.clusters, max(reach.bounds.sizes)
    position = clusters.position_of[cluster]
    greatest = reach.limits(position)[1]
    if greatest is None:
        return most
    came = sum(n for target, n in adapted.brought.items() if adapted.expanded.get(target) == cluster)
    return min(most, greatest - clusters.sizes.item(position) - came)


def looked_at(reach: Reach, adapted: AdaptedClusters, shown: Sequence[tuple[int, int, int]]) -> dict[int, float]:
    """Cluster id that was pulled in -> chance that something was looked at of what came in with it.

    shown : (item id, cluster id, slot) of a report.
    """
    ids = reach.clusters.item_ids
    slots = {item: slot for item, _, slot in reversed(shown)}
    found = {}
    for target in adapted.expanded:
        unseen = 1.0
        for p in brought_with(reach, adapted, target):
            slot = slots.get(ids.item(p))
            if slot is not None:
                unseen *= 1.0 - attention(slot)
        if unseen < 1.0:
            found[target] = 1.0 - unseen
    return found


def faded(bounds: Bounds, adapted: AdaptedClusters, looks: Mapping[int, float]) -> AdaptedClusters:
    """The session's clusters after so many looks at each of those that were pulled in, all in vain."""
    if not looks:
        return adapted
    weight, expanded, brought = dict(adapted.weight), dict(adapted.expanded), dict(adapted.brought)
    mass = adapted.mass
    for target, count in looks.items():
        left = left_of(bounds, weight.get(target, 1.0)) * bounds.fade_by**count
        if left < bounds.ends_below:
            # Mass of nothing: the session has met it, and isn't led there again unless it goes there by itself.
            mass = {target: 0.0, **mass}
            del expanded[target]
            brought.pop(target, None)
            weight.pop(target, None)
        else:
            weight[target] = 1.0 + (bounds.expand_to - 1.0) * left
    return replace(adapted, mass=largest(mass, bounds.max_mass), weight=weight, expanded=expanded, brought=brought)
