"""The session's own copy of the clusters, copy on write: what it changed, and the step that changes it.

Expansion answers engagement that keeps falling outside the session's primary clusters. Contraction answers
impressions that the page *reported* and the shopper passed over; a slate that was served but not reported as
seen teaches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


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
    clicked : item id of the event's item, 0 none.  age : events of the session so far.
    """

    code: int
    clusters: tuple[tuple[int, float], ...]
    belief: np.ndarray
    shown: tuple[tuple[int, int, int], ...] = ()
    clicked: int = 0
    age: int = 0
