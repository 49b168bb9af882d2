"""The session's own copy of the clusters, copy on write: what it changed, and the step that changes it.

Expansion answers engagement that keeps falling outside the session's primary clusters. Contraction answers
impressions that the page *reported* and the shopper passed over; a slate that was served but not reported as
seen teaches nothing, and what stood far down was hardly seen (`rewards.attention`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from clusters.adapted import LOOK, AdaptedClusters, largest, start
from clusters.bounds import Bounds
from clusters.expansions import brought_in, brought_with, expansions, faded, left_of, looked_at
from clusters.item_clusters import ItemClusters
from clusters.options import KEPT, Blocked, Decision, Option, Proposed, Situation, described
from clusters.policy import CONTRACT, Policy
from clusters.reach import Reach
from clusters.rewards import attention

__all__ = [
    "LOOK",
    "AdaptedClusters",
    "Blocked",
    "Bounds",
    "Decision",
    "Observed",
    "Option",
    "Reach",
    "Step",
    "brought_in",
    "brought_weights",
    "item_weights",
    "observe",
    "rebase",
    "spared_weights",
    "start",
]


GONE = 1e-6
"""What the ranking takes for 0."""


class Step(NamedTuple):
    """What adaptation reads of one event.

    code : event code.  clusters : (cluster position, membership) of the event's item, strongest first.
    log_belief : (K,) log persona probabilities.
    shown : (item id, cluster id or 0, slot) of reported impressions that are tied to a served slate.
    item : id of the event's item, 0 none.  engagement : what the event says of it, `events.ENGAGEMENT`.
    age : events of the session so far.
    """

    code: int
    clusters: tuple[tuple[int, float], ...]
    log_belief: Sequence[float]
    shown: tuple[tuple[int, int, int], ...] = ()
    item: int = 0
    engagement: float = 0.0
    age: int = 0


class Dice(Protocol):
    """Of a numpy `Generator`, what a choice draws by."""

    def random(self, size: int, /) -> np.ndarray:
        """(size,) float64, each even in [0, 1)."""


class Observed(NamedTuple):
    """The session's clusters after one event, what the policy decided on the way, and what a bound kept it from."""

    adapted: AdaptedClusters
    decisions: tuple[Decision, ...] = ()
    blocked: tuple[Blocked, ...] = ()


Draws = Callable[[], Dice]
"""Makes what the step draws by: most steps decide nothing, and draw nothing."""


def observe(reach: Reach, policy: Policy, adapted: AdaptedClusters, step: Step, draws: Draws) -> Observed:
    """The session's clusters after one event, with what was decided.

    reach : of the clusters, with the bounds.  A decision is put to the policy only where there is something to decide: a run of
    outside engagements (keep, or expand towards one of a few clusters by so many items), or a cluster passed over in enough
    reports (keep or contract). Where sessions don't adapt, what they changed is given up.
    """
    bounds = reach.bounds
    if not bounds.adapts and (adapted.weight or adapted.passed):
        adapted = AdaptedClusters(mass=adapted.mass)
    if step.shown:
        return _after_impressions(reach, policy, adapted, step, draws) if bounds.adapts else Observed(adapted)
    if step.engagement > 0:
        return _after_engagement(reach, policy, adapted, step, draws)
    if step.engagement < 0 and step.clusters:
        regretted = {reach.clusters.cluster_ids.item(c) for c, _ in step.clusters}
        return Observed(replace(adapted, mass={c: m * bounds.decay if c in regretted else m for c, m in adapted.mass.items()}))
    return Observed(adapted)


def item_weights(reach: Reach, adapted: AdaptedClusters, position: Callable[[int], int]) -> dict[int, float]:
    """Item position -> multiplier of its odds, of the items that the session changed by themselves.

    Below 1 where an item was seen and passed over: the first look is free, a later one costs. Above 1 where it came in with an
    expansion, or is spared the loss of a cluster that was contracted (`Reach.spared`).
    position : of an item id, negative where there is none.
    """
    bounds = reach.bounds
    weights = spared_weights(reach, adapted)
    for p, by in brought_weights(reach, adapted).items():
        weights[p] = weights.get(p, 1.0) * by
    for item, looks in adapted.passed.items():
        if looks > LOOK and (p := position(item)) >= 0:
            dropped = looks >= bounds.drop_item_after * LOOK
            weights[p] = 0.0 if dropped else weights.get(p, 1.0) * bounds.pass_by ** (looks / LOOK - 1.0)
    return weights


def brought_weights(reach: Reach, adapted: AdaptedClusters) -> dict[int, float]:
    """Item position -> what having come in with an expansion makes of its odds: the most, where it came with several."""
    bounds = reach.bounds
    more: dict[int, float] = {}
    for target in adapted.brought:
        by = bounds.bring_by ** left_of(bounds, adapted.weight.get(target, 1.0))
        for p in brought_with(reach, adapted, target):
            more[p] = max(more.get(p, 1.0), by)
    return more


def spared_weights(reach: Reach, adapted: AdaptedClusters) -> dict[int, float]:
    """Item position -> what makes good that a cluster weighs less that spares the item."""
    clusters = reach.clusters
    less = {clusters.position_of[c]: w for c, w in adapted.weight.items() if w < 1.0 and c in clusters.position_of}
    spared: dict[int, float] = {}
    for cluster in less:
        for item in reach.spared(cluster):
            memberships = clusters.of(item)
            now = sum(m * less.get(c, 1.0) for c, m in memberships)
            without = sum(m * (1.0 if item in reach.spared(c) else less.get(c, 1.0)) for c, m in memberships)
            spared[item] = without / max(now, GONE)
    return spared


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
        brought={c: n for c, n in adapted.brought.items() if c in expanded},
    )


def _after_engagement(reach: Reach, policy: Policy, adapted: AdaptedClusters, step: Step, draws: Draws) -> Observed:
    """Mass moves to the item's clusters; what it was passed over for is forgiven; a run outside may expand."""
    clusters, bounds = reach.clusters, reach.bounds
    own = [(clusters.cluster_ids.item(c), m) for c, m in step.clusters]
    passed = adapted.passed
    if step.item in passed:
        passed = {i: n for i, n in passed.items() if i != step.item}
    if not own:
        return Observed(replace(adapted, passed=passed))
    mine = {c for c, _ in own}
    # A cluster of the present run is not primary yet, or the run's first engagement would end it.
    settled = sorted(((m, c) for c, m in adapted.mass.items() if m > 0 and c not in adapted.engaged), reverse=True)
    primary = {c for _, c in settled[: bounds.primary]}
    is_outside = bounds.adapts and bool(primary) and not primary & mine
    engaged: dict[int, int] = {}
    if is_outside:
        strongest = max(own, key=lambda o: (o[1], -o[0]))[0]
        engaged = dict(adapted.engaged)
        engaged[strongest] = engaged.get(strongest, 0) + 1
    mass = {c: m * bounds.decay for c, m in adapted.mass.items()}
    for c, membership in own:
        mass[c] = mass.get(c, 0.0) + step.engagement * membership
    moved = AdaptedClusters(
        mass=largest(mass, bounds.max_mass),
        weight={c: bounds.expand_to if c in mine else w for c, w in adapted.weight.items() if c not in mine or w > 1.0},
        expanded=adapted.expanded,
        passed=passed,
        ignored={c: n for c, n in adapted.ignored.items() if c not in mine},
        engaged=engaged,
        outside=adapted.outside + 1 if is_outside else 0,
        brought=adapted.brought,
    )
    if moved.expanded:
        moved = faded(bounds, moved, dict.fromkeys((c for c in moved.expanded if c not in mine), 1.0))
    if moved.outside < bounds.consistent_outside:
        return Observed(moved)
    # The run has become an interest of its own: decide once, then begin anew with its clusters among the primary.
    asked, blocked = expansions(reach, moved, step.log_belief)
    decisions = _decide(reach, policy, moved, step, asked, {}, draws) if asked else ()
    weight, expanded, brought = dict(moved.weight), dict(moved.expanded), dict(moved.brought)
    for decision in decisions:
        if decision.target:
            expanded[decision.target] = decision.cluster
            brought[decision.target] = decision.items
            weight[decision.target] = bounds.expand_to
    after = AdaptedClusters(
        mass=moved.mass,
        weight=weight,
        expanded=expanded,
        passed=moved.passed,
        ignored=moved.ignored,
        engaged={},
        outside=0,
        brought=brought,
    )
    return Observed(after, decisions, blocked)


def _after_impressions(reach: Reach, policy: Policy, adapted: AdaptedClusters, step: Step, draws: Draws) -> Observed:
    """Counts what was seen; a cluster that earlier reports showed in vain may be contracted.

    This report's own impressions can still be clicked, so they are counted only after the decision.
    """
    clusters, bounds = reach.clusters, reach.bounds
    missed: dict[int, float] = {}
    part: dict[int, float] = {}
    whole = 0.0
    for _, c, slot in step.shown:
        look = attention(slot)
        whole += look
        if c in clusters.position_of:
            missed[c] = missed.get(c, 1.0) * (1.0 - look)
            part[c] = part.get(c, 0.0) + look
    asked, blocked = _contractions(reach, adapted, missed)
    ignored, passed, out = dict(adapted.ignored), dict(adapted.passed), bounds.drop_item_after * LOOK
    for stopped in blocked:
        ignored[stopped.cluster] = 0  # asked again after as many looks more
    weight, expanded, brought = adapted.weight, adapted.expanded, adapted.brought
    decisions: tuple[Decision, ...] = ()
    if asked:
        situation = {c: p / whole for c, p in part.items()}
        decisions = _decide(reach, policy, adapted, step, asked, situation, draws)
        weight, expanded, brought = dict(weight), dict(expanded), dict(brought)
        for decision in decisions:
            ignored[decision.cluster] = 0
            if decision.action == "contract":
                now = weight.pop(decision.cluster, 1.0)
                if now > 1.0:  # what was pulled in goes back to what it was
                    expanded.pop(decision.cluster, None)
                    brought.pop(decision.cluster, None)
                    continue
                less = now * bounds.contract_by
                weight[decision.cluster] = max(bounds.min_weight, less if less >= bounds.drop_below else 0.0)
                for item in passed.keys() & reach.losing(clusters.position_of[decision.cluster]):
                    passed[item] = min(passed[item] + bounds.contract_looks * LOOK, out)
    for c, chance in missed.items():
        ignored[c] = ignored.get(c, 0) + round((1.0 - chance) * LOOK)
    for item, _, slot in {shown[0]: shown for shown in reversed(step.shown)}.values():
        passed[item] = min(passed.get(item, 0) + round(attention(slot) * LOOK), out)
    after = AdaptedClusters(
        mass=adapted.mass,
        weight=weight,
        expanded=expanded,
        passed=largest(passed, bounds.max_passed),
        ignored=largest(ignored, bounds.max_counters),
        engaged=adapted.engaged,
        outside=adapted.outside,
        brought=brought,
    )
    if expanded:
        after = faded(bounds, after, looked_at(reach, after, step.shown))
    return Observed(after, decisions, blocked)


def _contractions(
    reach: Reach, adapted: AdaptedClusters, shown: Iterable[int]
) -> tuple[list[tuple[int, Sequence[Proposed]]], tuple[Blocked, ...]]:
    """The clusters of a report that were ignored long enough, the most ignored first; and those that a bound lets nothing happen
    to."""
    clusters, bounds, ignored = reach.clusters, reach.bounds, adapted.ignored
    least = bounds.consistent_ignored * LOOK
    ready = sorted((c for c in shown if ignored.get(c, 0) >= least), key=lambda c: (-ignored[c], c))
    asked: list[tuple[int, Sequence[Proposed]]] = []
    blocked: list[Blocked] = []
    room = bounds.may_contract(len(clusters)) - sum(w < 1.0 for w in adapted.weight.values())
    for c in ready:
        now = adapted.weight.get(c, 1.0)
        if now <= bounds.min_weight or len(asked) == bounds.most_decided:
            continue
        if clusters.locked[clusters.position_of[c]]:
            blocked.append(Blocked(c, "contract", "locked"))
        elif len(reach.spared(clusters.position_of[c])) >= clusters.sizes[clusters.position_of[c]]:
            whole = len(reach.core(clusters.position_of[c])) >= clusters.sizes[clusters.position_of[c]]
            blocked.append(Blocked(c, "contract", "core" if whole else "min_size"))
        elif now == 1.0 and room <= 0:
            blocked.append(Blocked(c, "contract", "most_contracted"))
        else:
            room -= now == 1.0
            asked.append((c, (KEPT, Proposed(CONTRACT))))
    return asked, tuple(blocked)


def _decide(
    reach: Reach,
    policy: Policy,
    adapted: AdaptedClusters,
    step: Step,
    asked: Sequence[tuple[int, Sequence[Proposed]]],
    shown: Mapping[int, float],
    draws: Draws,
) -> tuple[Decision, ...]:
    """The policy's choice for each cluster that has options; drawn for each by itself."""
    situation = Situation(
        clusters=reach.clusters,
        mass=adapted.mass,
        weight=adapted.weight,
        ignored=adapted.ignored,
        outside=adapted.outside,
        mine=frozenset(p for p, _ in step.clusters),
        shown=shown,
        age=step.age,
        log_belief=step.log_belief,
    )
    told, x, action = described(situation, asked)
    dice: Any = draws()  # of which a choice asks no more than `Dice` has
    choice, chance = policy.choose(x, action, dice, floor=reach.bounds.floor)
    return tuple(
        [
            Decision(cluster, options, taken, tuple(p[: len(options)]), policy.version)
            for (cluster, _), options, taken, p in zip(asked, told, choice.tolist(), chance.tolist(), strict=True)
        ]
    )
