"""The reinforcement-learning agent of the adaptation: linear Thompson sampling among options, one decision a cluster.

An option is an action with what it is about: to keep a cluster, to contract it, or to expand it towards another by so many
items. Weights are per action and shared across clusters, so that what one cluster teaches serves all. The hand rule is the
prior mean: expand towards what the personas like, contract what is passed over and takes much of the slate.
The posterior narrows with evidence, and with it exploration; the floor stays, for the logs to tell of other policies.

References: Agrawal & Goyal (2013), "Thompson sampling for contextual bandits with linear payoffs"; Chapelle & Li (2011), "An
empirical evaluation of Thompson sampling"; Bishop (2006), "Pattern recognition and machine learning", section 3.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from clusters.decision_log import ABSENT
from clusters.thompson import chances, drawn
from personas.compiling import readonly

__all__ = [
    "ABSENT",
    "ACTIONS",
    "FEATURES",
    "FLOOR",
    "Policy",
    "Statistics",
    "choose",
    "default_policy",
    "learn",
    "nothing",
    "posterior",
    "propensities",
    "statistics",
    "values",
]

ACTIONS = ("keep", "expand", "contract")
"""Append-only: an action's code is its place here, and decisions are stored."""

KEEP, EXPAND, CONTRACT = range(3)

FEATURES = (
    "mass",
    "transition",
    "share",
    "last",
    "ignored",
    "outside",
    "persona",
    "bias",
    "age",
    "certainty",
    "weight",
    "shown",
    "related",
    "target_transition",
    "target_persona",
    "target_share",
    "items",
)
"""Append-only: what was logged and learned under fewer is read as 0, and as the hand rule, of those that came later.

Of the cluster. mass : log share of the session's engagement, [-1, 0].  transition : log chance that the next item is here,
[-1, 0].  share : log prior share against the mean, [-1, 1].  last : 1 if the event's item is here.  ignored : looks at it in
vain, as far as slots are looked at, [0, 1].  outside : run of engagements outside the primary clusters, [0, 1].  persona : how
much more the personas engage here than shoppers do, (-1, 1).  weight : log of what the session made of its weight, [-1, 1].
shown : its part of what the latest report showed, as far as slots are looked at, [0, 1].
Of the session. bias : 1.  age : events so far, [0, 1].  certainty : of the belief, 0 for even, 1 for sure.
Of an expansion's target, 0 otherwise. related : share of the cluster's relations that leads there, [0, 1].
target_transition, target_persona, target_share : as those of the cluster.  items : how many come in, [0, 1]."""

FLOOR = 0.05
"""Least propensity: weights of off-policy estimates stay under 20."""

PRIOR_VARIANCE = 0.0002
"""Of a weight, in the rewards' own units: it takes some thousand rewards to talk the hand rule out of one. A decision changes a
slate's worth by some 0.02 looks, and a reward scatters by 1: were it wider, the noise of a few hundred rewards would outweigh
the rule."""

WIDTH = 0.2
"""Of the posterior's standard deviation, that with which options are drawn (posterior reshaping, Chapelle & Li 2011). They are
drawn independently, but share weights: what is unknown of two expansions of a cluster cancels but for a tenth. At the full width
the best of five options won a third of the time, hardly more than by lot."""

NOISE = 1.0
"""Variance of a reward that is assumed at first; one look is worth 1."""

NOISE_WEIGHT = 20.0
"""Decisions for which that assumption counts."""

COMMON = FEATURES.index("related")
"""How many features, the first, are of the cluster and the session, whatever the action."""

BASELINE_RIDGE = 1.0
"""Penalty of what all actions have in common: it is learned long before any of them."""


@dataclass(frozen=True)
class Policy:
    """Gaussian posteriors of what each of A actions adds to the reward, linear in d features, weights shared across clusters.

    mean : (A, d) float64.  precision, covariance : (A, d, d) float64, each other's inverses.
    noise : variance of a reward.  floor : least propensity of an option.
    version : logged with every decision; a function of what was learned.
    A policy of before features were appended is taken as one that learned nothing of them.
    """

    mean: np.ndarray
    precision: np.ndarray
    covariance: np.ndarray
    noise: float
    floor: float
    version: str

    def __post_init__(self) -> None:
        known = self.mean.shape[1]
        if known < len(FEATURES):
            prior = _hand_rule()
            covariance = _wide(self.covariance, PRIOR_VARIANCE)
            mean, precision = np.concatenate((self.mean, prior[:, known:]), axis=1), _wide(self.precision, 1.0 / PRIOR_VARIANCE)
            for name, value in (("mean", mean), ("precision", precision), ("covariance", covariance)):
                object.__setattr__(self, name, value)

    @property
    def has_learned(self) -> bool:
        """Whether any decision went into it. A hand rule's weights are independent, whatever its release took their variance for;
        a decision, whose bias is 1, ties them together."""
        return bool((self.precision * (1.0 - np.eye(self.precision.shape[1]))).any())

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and covariances as compiled loops take them, as wide as options are drawn."""
        return readonly(self.mean, np.float64), readonly(self.covariance * WIDTH**2, np.float64)

    def choose(
        self, x: np.ndarray, action: np.ndarray, rng: np.random.Generator, *, floor: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """`choose` with this policy."""
        return choose(self, x, action, rng, floor=floor)


def default_policy(floor: float = FLOOR) -> Policy:
    """The hand rule as prior, nothing learned yet."""
    mean = _hand_rule()
    eye = np.broadcast_to(np.eye(len(FEATURES)), (len(ACTIONS), len(FEATURES), len(FEATURES)))
    precision = eye / PRIOR_VARIANCE
    return Policy(mean, precision, eye * PRIOR_VARIANCE, NOISE, floor, _version(mean, precision))


def _hand_rule() -> np.ndarray:
    """(A, d) prior mean."""
    mean = np.zeros((len(ACTIONS), len(FEATURES)))
    at = {name: i for i, name in enumerate(FEATURES)}
    # In looks a slate, from what options brought in simulated worlds over the next three slates (seeds from 100 on; those of the
    # proof are others). An expansion pays the more the personas like the target. A contraction pays the more the cluster takes of
    # the slate and of the shop.
    mean[EXPAND, [at["target_persona"], at["bias"]]] = 0.1, 0.01
    mean[CONTRACT, [at["shown"], at["share"], at["ignored"]]] = 0.05, 0.04, 0.005
    return mean


def propensities(policy: Policy, x: np.ndarray, action: np.ndarray, *, floor: float | None = None) -> np.ndarray:
    """(m, O) probability that Thompson sampling takes each option, mixed with uniform so that none is under the floor.

    x : (m, O, d) features of each option.  action : (m, O) codes, `ABSENT` where there is no option.
    floor : instead of the policy's own.  An option's value is normal with mean x.m and `WIDTH` times the deviation, the root of
    x.S.x, of its action's weights, drawn independently of the others'. Raises ValueError where shapes don't fit, or a row has no
    option.
    """
    x, codes = _fitting(policy, x, action)
    most = codes.max(axis=1, initial=ABSENT)
    if most.min(initial=0) < 0:
        raise ValueError(f"row {int(np.argmin(most))} has no option")
    least = policy.floor if floor is None else floor
    found: np.ndarray = chances(x, codes, *policy.tables, least)
    return found


def choose(
    policy: Policy, x: np.ndarray, action: np.ndarray, rng: np.random.Generator, *, floor: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Places (m,) int64 of the options taken, and the probabilities (m, O) with which each would have been.

    Arguments as for `propensities`, from which the option is drawn, which makes the logged probabilities the true ones.
    """
    chance = propensities(policy, x, action, floor=floor)
    return drawn(chance, rng.random(len(chance))), chance


def values(policy: Policy, x: np.ndarray, action: np.ndarray) -> np.ndarray:
    """(m, O) posterior mean of what each option adds to the reward, 0 where there is none. Arguments as for `propensities`."""
    x, codes = _fitting(policy, x, action)
    return np.asarray(np.where(codes >= 0, np.einsum("mod,mod->mo", x, policy.mean[codes]), 0.0))


def _fitting(policy: Policy, x: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if x.ndim != 3 or x.shape[:2] != action.shape or x.shape[2] != policy.mean.shape[1]:
        raise ValueError(f"x {x.shape} and action {action.shape} do not fit each other and {policy.mean.shape[1]} features")
    return readonly(x, np.float64), readonly(action, np.int8)


@dataclass(frozen=True)
class Statistics:
    """What rewards say of the weights: sums, so that parts of a log add up in any order.

    precision : (A, d, d) sum of x x'.  pull : (A, d) sum of x r.  count : (A,) decisions.  reward : (A,) sum of r.
    square : (A,) sum of r r.  All weighted.
    """

    precision: np.ndarray
    pull: np.ndarray
    count: np.ndarray
    reward: np.ndarray
    square: np.ndarray

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(*(getattr(self, name) + getattr(other, name) for name in _SUMS))

    def scaled(self, by: float) -> Statistics:
        """As if each decision had counted `by` times."""
        return Statistics(*(getattr(self, name) * by for name in _SUMS))

    def to_json(self) -> dict[str, Any]:
        """By action, the upper triangle of its precision only; with the names of the features."""
        upper = np.triu_indices(len(FEATURES))
        told: dict[str, Any] = {name: getattr(self, name).tolist() for name in _SUMS if name != "precision"}
        return told | {"features": list(FEATURES), "precision": [of_action[upper].tolist() for of_action in self.precision]}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Statistics:
        """Inverse of `to_json`; features that came later are 0. Raises ValueError on features that aren't known here."""
        names = list(told["features"])
        if names != list(FEATURES[: len(names)]):
            raise ValueError(f"statistics of the features {names}, known are {list(FEATURES)}")
        d, upper = len(names), np.triu_indices(len(names))
        precision = np.zeros((len(ACTIONS), len(FEATURES), len(FEATURES)))
        for a, triangle in enumerate(told["precision"]):
            half = np.zeros((d, d))
            half[upper] = triangle
            precision[a, :d, :d] = half + half.T - np.diag(half.diagonal())
        pull = np.zeros((len(ACTIONS), len(FEATURES)))
        pull[:, :d] = told["pull"]
        return cls(precision, pull, *(np.array(told[name], dtype=np.float64) for name in ("count", "reward", "square")))


_SUMS = ("precision", "pull", "count", "reward", "square")


def nothing() -> Statistics:
    """Of no decision."""
    a, d = len(ACTIONS), len(FEATURES)
    return Statistics(np.zeros((a, d, d)), np.zeros((a, d)), np.zeros(a), np.zeros(a), np.zeros(a))


def statistics(x: np.ndarray, actions: np.ndarray, rewards: np.ndarray, weight: np.ndarray | None = None) -> Statistics:
    """Of rewards (n,) of actions (n,) taken at features (n, d), each counted `weight` (n,) times, 1 by default.

    Fewer features than `FEATURES` are the first of them. Raises ValueError on shapes that don't fit, or a reward that
    isn't finite.
    """
    x, actions, rewards = np.asarray(x, dtype=np.float64), np.asarray(actions), np.asarray(rewards, dtype=np.float64)
    d = x.shape[1] if x.ndim == 2 else 0
    if not 0 < d <= len(FEATURES) or len(x) != len(rewards) or actions.shape != rewards.shape:
        raise ValueError(
            f"features {x.shape}, actions {actions.shape} and rewards {rewards.shape} do not fit {len(FEATURES)} features"
        )
    if not np.isfinite(rewards).all():
        raise ValueError(f"rewards must be finite, got {rewards[~np.isfinite(rewards)][:3]}")
    counts = np.ones(len(rewards)) if weight is None else np.asarray(weight, dtype=np.float64)
    found = nothing()
    for a in range(len(ACTIONS)):
        of = actions == a
        rows, reward, count = x[of], rewards[of], counts[of]
        found.precision[a, :d, :d] = (rows * count[:, None]).T @ rows
        found.pull[a, :d] = rows.T @ (count * reward)
        found.count[a], found.reward[a], found.square[a] = count.sum(), count @ reward, count @ (reward * reward)
    return found


def learn(prior: Policy, seen: Statistics) -> Policy:
    """The policy after what was seen. How it was batched, and in which order, doesn't matter; the version names it.

    Rewards differ far more from visit to visit than by what is done: what the features of cluster and session foretell whatever
    the action (a ridge regression over all decisions) is taken off first, and each action learns what it adds to that, as in
    Robinson (1988), "Root-N-consistent semiparametric regression". What is left of the rewards tells their noise.
    """
    precision, pull, noise = _added(prior, seen)
    return posterior(replace(prior, noise=noise), precision, pull)


def posterior(prior: Policy, precision: np.ndarray, pull: np.ndarray) -> Policy:
    """Bayesian linear regression, Bishop (2006), equations 3.50 and 3.51.

    precision : (A, d, d) sum of x x'.  pull : (A, d) sum of x r.
    """
    known = prior.precision + precision / prior.noise
    pulled = np.einsum("aij,aj->ai", prior.precision, prior.mean) + pull / prior.noise
    covariance = np.linalg.inv(known)
    covariance = (covariance + covariance.transpose(0, 2, 1)) / 2
    mean = np.linalg.solve(known, pulled[..., None])[..., 0]
    return replace(prior, mean=mean, precision=known, covariance=covariance, version=_version(mean, known))


def _added(prior: Policy, seen: Statistics) -> tuple[np.ndarray, np.ndarray, float]:
    """The statistics' precision; their pull less what all actions have in common; the variance of what is left of the rewards."""
    gram, whole = seen.precision.sum(0)[:COMMON, :COMMON], seen.pull.sum(0)[:COMMON]
    common = np.linalg.solve(gram + BASELINE_RIDGE * np.eye(COMMON), whole)
    pull = seen.pull - seen.precision[:, :, :COMMON] @ common
    left = max(float(seen.square.sum() - 2.0 * common @ whole + common @ gram @ common), 0.0)
    return seen.precision, pull, (NOISE_WEIGHT * prior.noise + left) / (NOISE_WEIGHT + float(seen.count.sum()))


def _wide(matrices: np.ndarray, diagonal: float) -> np.ndarray:
    """(A, d, d) of fewer features as of all; a feature of later stands by itself."""
    known = matrices.shape[1]
    wide = np.zeros((len(matrices), len(FEATURES), len(FEATURES)))
    wide[:, :known, :known] = matrices
    later = np.arange(known, len(FEATURES))
    wide[:, later, later] = diagonal
    return wide


def _version(mean: np.ndarray, precision: np.ndarray) -> str:
    """Names what was learned; rounded, so that the order of the rows doesn't show."""
    digest = hashlib.blake2b(digest_size=6)
    for array in (mean, precision, np.float64(WIDTH)):
        digest.update((np.round(array, 6) + 0.0).tobytes())  # + 0.0 turns -0.0 into 0.0
    return f"thompson-{digest.hexdigest()}"
