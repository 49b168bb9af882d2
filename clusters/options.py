"""What the agent chooses among for one cluster, how each option is described to it, and what it decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clusters.item_clusters import ItemClusters
from clusters.policy import ABSENT, ACTIONS, FEATURES, KEEP

LEAST = 0.01
"""Shares of engagement under this are as good as none; bounds the logs."""

FULL_IGNORED = 60.0
FULL_OUTSIDE = 4.0
FULL_AGE = 50.0
FULL_ITEMS = 24.0
"""Counts, of what is ignored in tenths of looks, at which features are at their full 1."""

_SCALE = -math.log(LEAST)
_WEIGHT_SCALE = math.log(5.0)
_WIDTH = len(FEATURES)


class Option(NamedTuple):
    """action : code of `policy.ACTIONS`.  target : id of the cluster to expand towards, 0 for none.  items : how many come in,
    0 for none.  features : as `policy.FEATURES`."""

    action: int
    target: int
    items: int
    features: tuple[float, ...]


class Decision(NamedTuple):
    """One choice of the policy, as it is logged.

    cluster : id decided upon.  options : all that there were.  choice : place of the one taken.
    propensities : of each option, with which it was drawn.  policy : its version.
    """

    cluster: int
    options: tuple[Option, ...]
    choice: int
    propensities: tuple[float, ...]
    policy: str

    @property
    def taken(self) -> Option:
        return self.options[self.choice]

    @property
    def action(self) -> str:
        """ "keep", "expand" or "contract"."""
        return ACTIONS[self.taken.action]

    @property
    def target(self) -> int:
        """Id of the cluster pulled in, 0 for none."""
        return self.taken.target

    @property
    def items(self) -> int:
        """How many items came in with it."""
        return self.taken.items

    @property
    def propensity(self) -> float:
        """Probability with which the option was taken."""
        return self.propensities[self.choice]

    @property
    def features(self) -> tuple[float, ...]:
        """Of the option taken."""
        return self.taken.features


class Blocked(NamedTuple):
    """An action that a bound stopped before it could be chosen.

    cluster : id.  action : of `policy.ACTIONS`.  bound : "locked", "core", "most_contracted", "margin_floor" or "apart".
    """

    cluster: int
    action: str
    bound: str


class Proposed(NamedTuple):
    """An option before it is described. position : of the target, -1 for none.  related : share of the relations that leads
    there."""

    action: int
    target: int = 0
    items: int = 0
    position: int = -1
    related: float = 0.0


KEPT = Proposed(KEEP)


class Situation(NamedTuple):
    """What all options of one event have in common.

    mass : cluster id -> engagement.  weight : cluster id -> multiplier.  ignored : cluster id -> tenths of looks in vain.
    outside : run of engagements outside.  mine : positions of the event's item's clusters.  shown : cluster id -> part of what
    the report showed.  age : events so far.  log_belief : (K,).
    """

    clusters: ItemClusters
    mass: Mapping[int, float]
    weight: Mapping[int, float]
    ignored: Mapping[int, float]
    outside: int
    mine: frozenset[int]
    shown: Mapping[int, float]
    age: int
    log_belief: Sequence[float]


def described(situation: Situation, asked: Sequence[tuple[int, Sequence[Proposed]]]) -> tuple[np.ndarray, np.ndarray]:
    """x (m, O, d) and action (m, O) of what is asked of m clusters: (cluster id, its options). Rounded as it is logged."""
    most = max(len(options) for _, options in asked)
    x, action = np.zeros((len(asked), most, _WIDTH)), np.full((len(asked), most), ABSENT, dtype=np.int8)
    clusters = situation.clusters
    here, transitions = clusters.position_of, clusters.tables[4]
    total = sum(situation.mass.values())
    held = [(here[c], m / total) for c, m in situation.mass.items() if c in here] if total > 0 else []
    belief = [math.exp(b) for b in situation.log_belief]
    entropy = -sum(p * b for p, b in zip(belief, situation.log_belief, strict=True) if p > 0)
    certainty = 1.0 - entropy / math.log(len(belief)) if len(belief) > 1 else 1.0
    age = min(math.log1p(situation.age) / math.log1p(FULL_AGE), 1.0)
    outside = min(situation.outside / FULL_OUTSIDE, 1.0)

    def of_cluster(position: int) -> tuple[float, float, float]:
        """Log chance that the next item is here, log share, how much more the personas engage here."""
        share = clusters.tables[0].item(position)
        chance = sum(q * transitions.item(p, position) for p, q in held) if held else share
        lifts = clusters.tables[3]
        lift = sum(b * lifts.item(position, k) for k, b in enumerate(belief)) if lifts.shape[1] == len(belief) else 1.0
        relative = math.log(max(share * len(clusters), LEAST)) / _SCALE
        return math.log(max(chance, LEAST)) / _SCALE, min(relative, 1.0), (lift - 1.0) / (lift + 1.0)

    towards: dict[int, tuple[float, float, float]] = {}
    for row, (cluster, options) in enumerate(asked):
        position = here[cluster]
        transition, share, persona = of_cluster(position)
        mass = situation.mass.get(cluster, 0.0) / total if total > 0 else 0.0
        weight = math.log(max(situation.weight.get(cluster, 1.0), 0.2)) / _WEIGHT_SCALE
        common = [
            math.log(max(mass, LEAST)) / _SCALE,
            transition,
            share,
            1.0 if position in situation.mine else 0.0,
            min(situation.ignored.get(cluster, 0) / FULL_IGNORED, 1.0),
            outside,
            persona,
            1.0,
            age,
            certainty,
            weight,
            situation.shown.get(cluster, 0.0),
        ]
        x[row, : len(options), : len(common)] = common
        for place, option in enumerate(options):
            action[row, place] = option.action
            if option.position >= 0:
                if option.position not in towards:
                    towards[option.position] = of_cluster(option.position)
                to_transition, to_share, to_persona = towards[option.position]
                items = min(option.items / FULL_ITEMS, 1.0)
                x[row, place, len(common) :] = option.related, to_transition, to_persona, to_share, items
    return x.round(4), action
