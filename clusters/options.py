"""What the agent chooses among for one cluster, how each option is described to it, and what it decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clusters.item_clusters import ItemClusters
from clusters.policy import ABSENT, ACTIONS, KEEP
from personas.compiling import compiled

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
_NOTHING = (0.0, 0.0)
_LEAST, _FINEST = LEAST, FINEST


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
    an expansion "kept_out", "margin_floor", "apart", "max_size" or "most_expanded".
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

    Features are rounded, so that what is logged is what was decided upon.
    """
    clusters, mass = situation.clusters, situation.mass
    here, (shares, _, _, lifts, transitions) = clusters.position_of, clusters.tables
    total = sum(mass.values())
    held = [(here[c], m / total) for c, m in mass.items() if m > 0 and c in here] if total > 0 else []
    belief = [math.exp(b) for b in situation.log_belief]
    certainty = 1.0
    if len(belief) > 1:
        certainty += sum(p * b for p, b in zip(belief, situation.log_belief, strict=True) if p > 0) / math.log(len(belief))
    if lifts.shape[1] != len(belief):
        belief = []
    session = [min(situation.outside / FULL_OUTSIDE, 1.0), min(math.log1p(situation.age) / _AGE_SCALE, 1.0), certainty]
    most = max([len(options) for _, options in asked])
    rows: list[float] = []
    placed: list[int] = []
    action: list[int] = []
    for cluster, options in asked:
        position = here[cluster]
        rows += (
            _log(mass.get(cluster, 0.0) / total) if total > 0 else -1.0,
            1.0 if position in situation.mine else 0.0,
            min(situation.ignored.get(cluster, 0) / FULL_IGNORED, 1.0),
            math.log(max(situation.weight.get(cluster, 1.0), 0.2)) / _WEIGHT_SCALE,
            situation.shown.get(cluster, 0.0),
        )
        placed.append(position)
        for option in options:
            rows += (option.related, option.items / FULL_ITEMS)
            placed.append(option.position)
            action.append(option.action)
        for _ in range(most - len(options)):
            rows += _NOTHING
            placed.append(-1)
            action.append(ABSENT)
    codes = np.array(action, dtype=np.int8).reshape(len(asked), most)
    numbers = np.array(session + belief + [q for _, q in held] + rows)
    places = np.array([p for p, _ in held] + placed)
    x = _features(shares, lifts, transitions, codes, numbers, places, len(belief), len(held))
    told = []
    for (_, options), features in zip(asked, x.tolist(), strict=True):
        mine = zip(options, features, strict=False)  # a row may have places to spare
        told.append(tuple([Option(o.action, o.target, o.items, tuple(of)) for o, of in mine]))
    return told, x, codes


@compiled
def _features(
    shares: np.ndarray,
    lifts: np.ndarray,
    transitions: np.ndarray,
    codes: np.ndarray,
    numbers: np.ndarray,
    places: np.ndarray,
    personas: int,
    held: int,
) -> np.ndarray:
    """(m, O, d) features, as `policy.FEATURES` has them, 0 where codes (m, O) has no option.

    numbers : outside, age and certainty; the belief in K personas, 0 for none; the part of the engagement that each held cluster
    has; and of each row mass, last, ignored, weight, shown, then of each option related and items.
    places : positions of the held clusters; and of each row its cluster's, then of each option its target's, -1 for none.
    """
    m, most = codes.shape
    out = np.zeros((m, most, 17))
    scale, before, known = -math.log(_LEAST), 3 + personas, 3 + personas + held
    at, told = held, np.empty(3)
    for i in range(m):
        row = known + i * (5 + 2 * most)
        for o in range(-1, most):
            place = places[at]
            at += 1
            if o >= 0 and codes[i, o] < 0:
                continue
            if place >= 0:
                share, lift = float(shares[place]), 0.0
                chance = 0.0 if held else share
                for k in range(held):
                    chance += numbers[before + k] * transitions[places[k], place]
                for k in range(personas):
                    lift += numbers[3 + k] * lifts[place, k]
                if not personas:
                    lift = 1.0
                told[0] = math.log(max(chance, _LEAST)) / scale
                told[1] = min(math.log(max(share * len(shares), _LEAST)) / scale, 1.0)
                told[2] = (lift - 1.0) / (lift + 1.0)
            if o < 0:
                transition, relative, persona = told
                continue
            f = out[i, o]
            f[0], f[1], f[2], f[3], f[4] = numbers[row], transition, relative, numbers[row + 1], numbers[row + 2]
            f[5], f[6], f[7], f[8], f[9] = numbers[0], persona, 1.0, numbers[1], numbers[2]
            f[10], f[11] = numbers[row + 3], numbers[row + 4]
            if place >= 0:
                f[12], f[13], f[14], f[15] = numbers[row + 5 + 2 * o], told[0], told[2], told[1]
                f[16] = min(numbers[row + 6 + 2 * o], 1.0)
            for k in range(17):
                f[k] = math.floor(f[k] * _FINEST + 0.5) / _FINEST
    return out


def _log(share: float) -> float:
    """Log of a share in units of that of `LEAST`, from -1."""
    return math.log(share if share > LEAST else LEAST) / _SCALE
