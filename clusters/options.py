"""What the agent chooses among for one cluster, how each option is described to it, and what it decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import mul
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

FINEST = 10_000.0
"""Features are whole multiples of one over this: all that is logged."""

_SCALE = -math.log(LEAST)
_WEIGHT_SCALE = math.log(5.0)
_AGE_SCALE = math.log1p(FULL_AGE)
_NOWHERE = (0.0,) * 5
_NO_FEATURES = (0.0,) * len(FEATURES)


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

    cluster : id.  action : of `policy.ACTIONS`.  bound : of a contraction "locked", "core", "min_size" or "most_contracted"; of
    an expansion "margin_floor", "apart", "max_size" or "most_expanded".
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


def described(
    situation: Situation, asked: Sequence[tuple[int, Sequence[Proposed]]]
) -> tuple[list[tuple[Option, ...]], np.ndarray, np.ndarray]:
    """The options of m clusters, asked as (cluster id, its options); and x (m, O, d) and action (m, O) for the policy.

    Features are rounded first, so that what is logged is what was decided upon. Plain floats: for some dozens of numbers arrays
    would cost more than what is reckoned.
    """
    clusters = situation.clusters
    here, (shares, _, _, lifts, transitions) = clusters.position_of, clusters.tables
    count = len(clusters)
    total = sum(situation.mass.values())
    held = [(here[c], m / total) for c, m in situation.mass.items() if c in here] if total > 0 else []
    belief = [math.exp(b) for b in situation.log_belief]
    personal = bool(belief) and lifts.shape[1] == len(belief)
    certainty = 1.0
    if len(belief) > 1:
        certainty += sum(p * b for p, b in zip(belief, situation.log_belief, strict=True) if p > 0) / math.log(len(belief))

    def of_cluster(position: int) -> tuple[float, float, float]:
        """Log chance that the next item is here, log share, how much more the personas engage here."""
        share = shares.item(position)
        chance = sum([q * transitions.item(p, position) for p, q in held]) if held else share
        lift = sum(map(mul, belief, lifts[position].tolist())) if personal else 1.0
        relative = min(_log(share * count), 1.0)
        return _rounded(_log(chance)), _rounded(relative), _rounded((lift - 1.0) / (lift + 1.0))

    common = (
        _rounded(min(situation.outside / FULL_OUTSIDE, 1.0)),
        _rounded(min(math.log1p(situation.age) / _AGE_SCALE, 1.0)),
        _rounded(certainty),
    )
    told: list[tuple[Option, ...]] = []
    towards: dict[int, tuple[float, float, float]] = {}
    for cluster, options in asked:
        position = here[cluster]
        transition, share, persona = of_cluster(position)
        of = (
            _rounded(_log(situation.mass.get(cluster, 0.0) / total)) if total > 0 else -1.0,
            transition,
            share,
            1.0 if position in situation.mine else 0.0,
            _rounded(min(situation.ignored.get(cluster, 0) / FULL_IGNORED, 1.0)),
            common[0],
            persona,
            1.0,
            *common[1:],
            _rounded(math.log(max(situation.weight.get(cluster, 1.0), 0.2)) / _WEIGHT_SCALE),
            _rounded(situation.shown.get(cluster, 0.0)),
        )
        mine = []
        for option in options:
            to = _NOWHERE
            if option.position >= 0:
                if option.position not in towards:
                    towards[option.position] = of_cluster(option.position)
                to_transition, to_share, to_persona = towards[option.position]
                items = _rounded(min(option.items / FULL_ITEMS, 1.0))
                to = (_rounded(option.related), to_transition, to_persona, to_share, items)
            mine.append(Option(option.action, option.target, option.items, of + to))
        told.append(tuple(mine))
    most = max(map(len, told))
    rows = chain.from_iterable([*[o.features for o in each], *[_NO_FEATURES] * (most - len(each))] for each in told)
    shape = (len(told), most, len(FEATURES))
    x = np.fromiter(chain.from_iterable(rows), np.float64, math.prod(shape)).reshape(shape)
    action = np.array([[o.action for o in each] + [ABSENT] * (most - len(each)) for each in told], dtype=np.int8)
    return told, x, action


def _rounded(value: float) -> float:
    """The nearest multiple of 1 / `FINEST`; `round` to decimals takes several times as long."""
    return math.floor(value * FINEST + 0.5) / FINEST


def _log(share: float) -> float:
    """Log of a share in units of that of `LEAST`, from -1."""
    return math.log(share if share > LEAST else LEAST) / _SCALE
