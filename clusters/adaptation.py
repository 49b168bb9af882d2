"""The session's own copy of the clusters, copy on write: what it changed, and the step that changes it.

Expansion answers engagement that keeps falling outside the session's primary clusters. Contraction answers
impressions that the page *reported* and the shopper passed over; a slate that was served but not reported as
seen teaches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np

from clusters.item_clusters import ItemClusters
from clusters.policy import ACTIONS, CONTRACT, EXPAND, KEEP, Policy, choose, features


@dataclass(frozen=True, slots=True)
class AdaptedClusters:
    """What a session's clusters differ in from the release. Keys are ids, never positions; every dict is bounded.

    mass : cluster id -> engagement, decayed at each item action; the session's q before it is normalised.
    weight : cluster id -> multiplier, where it isn't 1; below 1 contracted, 0 dropped, above 1 expanded.
    expanded : cluster id that was pulled in -> cluster id from which.
    passed : item id -> reported impressions since the shopper last engaged with it.
    ignored : cluster id -> reports that showed it since the shopper last engaged with it.
    engaged : cluster id -> engagements that fell outside the primary clusters, in the present run of them.
    outside : length of the present run of engagements outside the primary clusters.
    """

    mass: dict[int, float] = field(default_factory=dict)
    weight: dict[int, float] = field(default_factory=dict)
    expanded: dict[int, int] = field(default_factory=dict)
    passed: dict[int, int] = field(default_factory=dict)
    ignored: dict[int, int] = field(default_factory=dict)
    engaged: dict[int, int] = field(default_factory=dict)
    outside: int = 0


@dataclass(frozen=True)
class Bounds:
    """How far a session may move its clusters: the merchandiser's, with defaults that hold without one.

    decay : of the mass, an item action; 0.7 leaves a tenth after six actions, about one session's memory.
    primary : clusters with the most mass that count as primary.  One would call any second interest "outside".
    consistent_outside : run of outside engagements from which expansion may be chosen; one may be an accident.
    consistent_ignored : reports a cluster must have been passed over in before contraction may be chosen.
    contract_by, drop_below, min_weight : a contraction multiplies by `contract_by`; under `drop_below` the weight
        becomes `min_weight`, and 0 there drops the cluster. Weights never go below `min_weight`.
    expand_to : weight of a cluster that was pulled in.
    max_expanded, max_contracted, max_mass, max_passed, max_counters : sizes, which keep the state small.
    pass_by, drop_item_after : item multiplier for each pass after the first, and passes after which it is out.
    """

    decay: float = 0.7
    primary: int = 3
    consistent_outside: int = 2
    consistent_ignored: int = 3
    contract_by: float = 0.5
    drop_below: float = 0.2
    min_weight: float = 0.0
    expand_to: float = 1.5
    max_expanded: int = 6
    max_contracted: int = 12
    max_mass: int = 16
    max_passed: int = 40
    max_counters: int = 16
    pass_by: float = 0.7
    drop_item_after: int = 8


class Decision(NamedTuple):
    """One choice of the policy, as it is logged.

    cluster : id decided upon.  action : "keep", "expand" or "contract".  target : id pulled in, 0 none.
    propensity : probability with which the action was taken.  features : as in `policy.FEATURES`.
    policy : its version.
    """

    cluster: int
    action: str
    target: int
    propensity: float
    features: tuple[float, ...]
    policy: str


class Step(NamedTuple):
    """What adaptation reads of one event.

    code : event code.  clusters : (cluster position, membership) of the event's item, strongest first.
    belief : (K,) persona probabilities.
    shown : (item id, cluster id or 0, slot) of reported impressions that are tied to a served slate.
    item : id of the event's item, 0 none.  engagement : what the event says of it, `events.ENGAGEMENT`.
    age : events of the session so far.
    """

    code: int
    clusters: tuple[tuple[int, float], ...]
    belief: np.ndarray
    shown: tuple[tuple[int, int, int], ...] = ()
    item: int = 0
    engagement: float = 0.0
    age: int = 0


def start() -> AdaptedClusters:
    """The clusters as the release has them."""
    return AdaptedClusters()


def observe(
    clusters: ItemClusters, policy: Policy, bounds: Bounds, adapted: AdaptedClusters, step: Step, rng: np.random.Generator
) -> tuple[AdaptedClusters, tuple[Decision, ...]]:
    """The session's clusters after one event, and what the policy decided on the way.

    A decision is put to the policy only where there is something to decide: a run of outside engagements (keep or
    expand), or a cluster passed over in enough reports (keep or contract).
    """
    if step.shown:
        return _after_impressions(clusters, policy, bounds, adapted, step, rng)
    if step.engagement > 0:
        return _after_engagement(clusters, policy, bounds, adapted, step, rng)
    if step.engagement < 0 and step.clusters:
        regretted = {int(clusters.cluster_ids[c]) for c, _ in step.clusters}
        return replace(adapted, mass={c: m * bounds.decay if c in regretted else m for c, m in adapted.mass.items()}), ()
    return adapted, ()


def item_weights(bounds: Bounds, adapted: AdaptedClusters) -> dict[int, float]:
    """Item id -> multiplier below 1 of items seen and passed over. The first sight is free, a later one costs."""
    return {
        item: 0.0 if passes >= bounds.drop_item_after else bounds.pass_by ** (passes - 1)
        for item, passes in adapted.passed.items()
        if passes > 1
    }


def rebase(old: ItemClusters | None, new: ItemClusters, adapted: AdaptedClusters) -> AdaptedClusters:
    """What the session changed, carried to other clusters: ids are for ever, so only those that are gone are dropped."""
    here = new.position_of
    items = np.array(list(adapted.passed), dtype=np.int64)
    place = np.searchsorted(new.item_ids, items)
    found = place < len(new.item_ids)
    found[found] = new.item_ids[place[found]] == items[found]
    known = set(items[found].tolist())
    engaged = {c: n for c, n in adapted.engaged.items() if c in here}
    expanded = {c: source for c, source in adapted.expanded.items() if c in here and source in here}
    return AdaptedClusters(
        mass={c: m for c, m in adapted.mass.items() if c in here},
        weight={c: w for c, w in adapted.weight.items() if c in here and (w <= 1.0 or c in expanded)},
        expanded=expanded,
        passed={i: n for i, n in adapted.passed.items() if i in known},
        ignored={c: n for c, n in adapted.ignored.items() if c in here},
        engaged=engaged,
        outside=sum(engaged.values()),
    )


def _after_engagement(
    clusters: ItemClusters, policy: Policy, bounds: Bounds, adapted: AdaptedClusters, step: Step, rng: np.random.Generator
) -> tuple[AdaptedClusters, tuple[Decision, ...]]:
    """Mass moves to the item's clusters; what it was passed over for is forgiven; a run outside may expand."""
    own = [(int(clusters.cluster_ids[c]), m) for c, m in step.clusters]
    passed = {i: n for i, n in adapted.passed.items() if i != step.item}
    if not own:
        return replace(adapted, passed=passed), ()
    mine = {c for c, _ in own}
    # A cluster of the present run is not primary yet, or the run's first engagement would end it.
    settled = sorted(((m, c) for c, m in adapted.mass.items() if c not in adapted.engaged), reverse=True)
    primary = {c for _, c in settled[: bounds.primary]}
    is_outside = bool(primary) and not primary & mine
    engaged: dict[int, int] = {}
    if is_outside:
        strongest = max(own, key=lambda o: (o[1], -o[0]))[0]
        engaged = dict(adapted.engaged)
        engaged[strongest] = engaged.get(strongest, 0) + 1
    mass = {c: m * bounds.decay for c, m in adapted.mass.items()}
    for c, membership in own:
        mass[c] = mass.get(c, 0.0) + step.engagement * membership
    moved = AdaptedClusters(
        mass=_largest(mass, bounds.max_mass),
        weight={c: w for c, w in adapted.weight.items() if c not in mine or w > 1.0},
        expanded=adapted.expanded,
        passed=passed,
        ignored={c: n for c, n in adapted.ignored.items() if c not in mine},
        engaged=engaged,
        outside=adapted.outside + 1 if is_outside else 0,
    )
    if moved.outside < bounds.consistent_outside:
        return moved, ()
    # The run has become an interest of its own: decide once, then begin anew with its clusters among the primary.
    targets: dict[int, int] = {}
    for c in moved.engaged:
        if target := _related(clusters, moved, c, targets.values()):
            targets[c] = target
    candidates = list(targets)
    after = replace(moved, engaged={}, outside=0)
    if not candidates:
        return after, ()
    decisions = _decide(clusters, policy, moved, step, candidates, EXPAND, targets, rng)
    weight, expanded = dict(after.weight), dict(after.expanded)
    for decision in decisions:
        if decision.action == "expand":
            expanded[decision.target] = decision.cluster
            weight[decision.target] = bounds.expand_to
    for oldest in list(expanded)[: max(len(expanded) - bounds.max_expanded, 0)]:
        del expanded[oldest]
        weight.pop(oldest, None)
    return replace(after, weight=weight, expanded=expanded), decisions


def _after_impressions(
    clusters: ItemClusters, policy: Policy, bounds: Bounds, adapted: AdaptedClusters, step: Step, rng: np.random.Generator
) -> tuple[AdaptedClusters, tuple[Decision, ...]]:
    """Counts what was seen; a cluster that earlier reports showed in vain may be contracted.

    This report's own impressions can still be clicked, so they are counted only after the decision.
    """
    shown = list(dict.fromkeys(c for _, c, _ in step.shown if c in clusters.position_of))
    contracted = sum(w < 1.0 for w in adapted.weight.values())
    # At most half of the clusters of a small shop, or there would be nothing left to show.
    room = min(bounds.max_contracted, len(clusters) // 2) - contracted
    candidates: list[int] = []
    for c in shown:
        now = adapted.weight.get(c, 1.0)
        if adapted.ignored.get(c, 0) < bounds.consistent_ignored or clusters.locked[clusters.position_of[c]]:
            continue
        if now <= bounds.min_weight or (now == 1.0 and room <= 0):
            continue
        room -= now == 1.0
        candidates.append(c)
    decisions = _decide(clusters, policy, adapted, step, candidates, CONTRACT, {}, rng) if candidates else ()
    weight, expanded, ignored = dict(adapted.weight), dict(adapted.expanded), dict(adapted.ignored)
    for decision in decisions:
        ignored[decision.cluster] = 0  # asked again after as many reports more
        if decision.action == "contract":
            now = weight.pop(decision.cluster, 1.0)
            if now > 1.0:
                expanded.pop(decision.cluster, None)  # what was pulled in goes back to what it was
                continue
            less = now * bounds.contract_by
            weight[decision.cluster] = max(bounds.min_weight, less if less >= bounds.drop_below else 0.0)
    for c in shown:
        ignored[c] = ignored.get(c, 0) + 1
    passed = dict(adapted.passed)
    for item in dict.fromkeys(i for i, _, _ in step.shown):
        passed[item] = min(passed.get(item, 0) + 1, bounds.drop_item_after)
    return (
        replace(
            adapted,
            weight=weight,
            expanded=expanded,
            ignored=_largest(ignored, bounds.max_counters),
            passed=_largest(passed, bounds.max_passed),
        ),
        decisions,
    )


def _decide(
    clusters: ItemClusters,
    policy: Policy,
    adapted: AdaptedClusters,
    step: Step,
    candidates: list[int],
    action: int,
    targets: Mapping[int, int],
    rng: np.random.Generator,
) -> tuple[Decision, ...]:
    """The policy's choice between keep and `action` for each candidate cluster id."""
    rows = np.array([clusters.position_of[c] for c in candidates])
    x = _features(clusters, adapted, step, candidates, rows)
    allowed = np.zeros((len(rows), len(ACTIONS)), dtype=bool)
    allowed[:, KEEP] = allowed[:, action] = True
    taken, chance = choose(policy, x, allowed, rng)
    return tuple(
        Decision(c, ACTIONS[a], targets.get(c, 0) if a == EXPAND else 0, p, tuple(f), policy.version)
        for c, a, p, f in zip(candidates, taken.tolist(), chance.tolist(), x.round(4).tolist(), strict=True)
    )


def _features(
    clusters: ItemClusters, adapted: AdaptedClusters, step: Step, candidates: list[int], rows: np.ndarray
) -> np.ndarray:
    """(m, d) policy features of the candidates, whose positions are `rows`."""
    total = sum(adapted.mass.values())
    held = [(clusters.position_of[c], m / total) for c, m in adapted.mass.items() if total > 0 and c in clusters.position_of]
    transition = clusters.share[rows].astype(np.float64)
    if held:
        places, q = np.array([p for p, _ in held]), np.array([m for _, m in held])
        transition = q @ clusters.transitions[places[:, None], rows]
    lift = clusters.persona_lift[rows] @ step.belief if clusters.persona_lift.shape[1] else np.ones(len(rows))
    mine = {p for p, _ in step.clusters}
    return features(
        mass=np.array([adapted.mass.get(c, 0.0) / total if total > 0 else 0.0 for c in candidates]),
        transition=transition,
        relative_share=clusters.share[rows] * len(clusters),
        last=np.array([float(r in mine) for r in rows.tolist()]),
        ignored=np.array([adapted.ignored.get(c, 0) for c in candidates]),
        outside=adapted.outside,
        lift=lift,
    )


def _related(clusters: ItemClusters, adapted: AdaptedClusters, cluster: int, promised: Iterable[int]) -> int:
    """Id of the cluster most related to `cluster`, of those not promised nor met in the session; 0 if none."""
    near = clusters.related[clusters.position_of[cluster]].copy()
    met = {cluster, *promised, *adapted.mass, *adapted.expanded, *(c for c, w in adapted.weight.items() if w < 1.0)}
    near[[clusters.position_of[c] for c in met if c in clusters.position_of]] = -1.0
    best = int(near.argmax())
    return int(clusters.cluster_ids[best]) if near[best] > 0 else 0


_N = TypeVar("_N", int, float)


def _largest(values: dict[int, _N], most: int) -> dict[int, _N]:
    """The `most` largest values, in their order; of equals, the later stay. Bounds the state."""
    if len(values) <= most:
        return values
    order = sorted(enumerate(values), key=lambda e: (values[e[1]], e[0]), reverse=True)
    kept = {key for _, key in order[:most]}
    return {key: value for key, value in values.items() if key in kept}
