"""The reinforcement-learning agent of the adaptation: linear Thompson sampling, one decision a cluster.

Its weights are shared across clusters, so that what one cluster teaches serves all. The hand rule is the prior mean:
expand when engagement keeps falling outside, contract what is passed over and holds little of the session.

References: Agrawal & Goyal (2013), "Thompson sampling for contextual bandits with linear payoffs"; Owen (1956),
"Tables for computing bivariate normal probabilities", for the propensities.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, owens_t

ACTIONS = ("keep", "expand", "contract")
"""Append-only: an action's code is its place here, and decisions are stored."""

KEEP, EXPAND, CONTRACT = range(3)

FEATURES = ("mass", "transition", "share", "last", "ignored", "outside", "persona", "bias")
"""mass : log share of the session's engagement, [-1, 0].  transition : log chance that the next item is here, [-1, 0].
share : log prior share against the mean, [-1, 1].  last : 1 if the event's item is here.
ignored : reports that showed it and were passed over, [0, 1].  outside : run of outside engagements, [0, 1].
persona : how much more the personas engage here than shoppers do, (-1, 1).  bias : 1."""

LEAST = 0.01
"""Shares of engagement under this are as good as none; bounds the logs."""

FULL_IGNORED = 6
FULL_OUTSIDE = 4
"""Counts at which "ignored" and "outside" are at their full 1."""

FLOOR = 0.05
"""Least propensity: weights of off-policy estimates stay under 20."""

PRIOR_VARIANCE = 0.02
"""Of a weight: at the thresholds of `Bounds` the hand rule is followed six to eight times in ten."""

NOISE = 1.0
"""Variance of a reward; one look is worth 1."""

_NEXT, _AFTER = np.array([1, 2, 0]), np.array([2, 0, 1])
"""The other two actions of each."""

_FAR = 38.0
"""Standard deviations beyond which a normal tail is 0 in float64."""


@dataclass(frozen=True)
class Policy:
    """Gaussian posteriors of a linear reward for each of A actions over d features, weights shared across clusters.

    mean : (A, d) float64.  precision, covariance : (A, d, d) float64, each other's inverses.
    noise : variance of a reward.  floor : least propensity of an allowed action.
    version : logged with every decision; a function of what was learned.
    """

    mean: np.ndarray
    precision: np.ndarray
    covariance: np.ndarray
    noise: float
    floor: float
    version: str


def default_policy() -> Policy:
    """The hand rule as prior, nothing learned yet."""
    mean = np.zeros((len(ACTIONS), len(FEATURES)))
    at = {name: i for i, name in enumerate(FEATURES)}
    mean[EXPAND, [at["outside"], at["transition"], at["persona"], at["bias"]]] = 1.0, 0.2, 0.2, -0.2
    mean[CONTRACT, [at["ignored"], at["mass"], at["last"], at["persona"], at["bias"]]] = 1.2, -0.4, -0.5, -0.2, -0.7
    eye = np.broadcast_to(np.eye(len(FEATURES)), (len(ACTIONS), len(FEATURES), len(FEATURES)))
    precision = eye / PRIOR_VARIANCE
    return Policy(mean, precision, eye * PRIOR_VARIANCE, NOISE, FLOOR, _version(mean, precision))


def features(
    *,
    mass: np.ndarray,
    transition: np.ndarray,
    relative_share: np.ndarray,
    last: np.ndarray,
    ignored: np.ndarray,
    outside: int,
    lift: np.ndarray,
) -> np.ndarray:
    """(m, d) features of m clusters, as `FEATURES` describes them.

    mass, transition : (m,) shares in [0, 1].  relative_share : (m,) share x C.  last : (m,) 0 or 1.
    ignored : (m,) counts.  outside : run.  lift : (m,) P(cluster | personas) / P(cluster).
    """
    x = np.empty((len(mass), len(FEATURES)))
    scale = -math.log(LEAST)
    x[:, 0] = np.log(np.maximum(mass, LEAST)) / scale
    x[:, 1] = np.log(np.maximum(transition, LEAST)) / scale
    x[:, 2] = np.clip(np.log(np.maximum(relative_share, LEAST)) / scale, -1.0, 1.0)
    x[:, 3] = last
    x[:, 4] = np.minimum(np.asarray(ignored) / FULL_IGNORED, 1.0)
    x[:, 5] = min(outside / FULL_OUTSIDE, 1.0)
    x[:, 6] = (lift - 1.0) / (lift + 1.0)
    x[:, 7] = 1.0
    return x


def choose(policy: Policy, x: np.ndarray, allowed: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Actions (m,) int64 of m clusters, and the probability (m,) with which each was taken.

    x : (m, d).  allowed : (m, A) bool, at least one a row.  The action is drawn from `propensities`, which makes the
    logged probability the true one.
    """
    chance = propensities(policy, x, allowed)
    ladder = np.cumsum(chance, axis=1)
    # A draw of the whole ladder's length never lands on a disallowed last rung.
    action = (rng.random(len(x))[:, None] * ladder[:, -1:] >= ladder).sum(1)
    return action, chance[np.arange(len(x)), action]


def propensities(policy: Policy, x: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(m, A) probability that Thompson sampling takes each action, mixed with uniform so that none is under the floor.

    Each action's value is normal with mean x.m and variance x.S.x, independent of the others'; the chance that it is
    the greatest of three is a bivariate normal integral, exact by Owen's T.
    """
    if allowed.shape != (len(x), len(ACTIONS)):
        raise ValueError(f"allowed {allowed.shape} != {(len(x), len(ACTIONS))}")
    options = allowed.sum(1)
    if (options == 0).any():
        raise ValueError(f"row {int(np.argmin(options))} allows no action")
    value = x @ policy.mean.T
    variance = np.maximum(((x @ policy.covariance) * x).sum(-1).T, 1e-18)
    wide_b, wide_c = variance + variance[:, _NEXT], variance + variance[:, _AFTER]
    h = np.where(allowed[:, _NEXT], (value - value[:, _NEXT]) / np.sqrt(wide_b), _FAR)
    k = np.where(allowed[:, _AFTER], (value - value[:, _AFTER]) / np.sqrt(wide_c), _FAR)
    chance = ndtr(np.minimum(h, k))  # of two options, or one: the other bound is far
    three = options == 3
    if three.any():
        chance[three] = _both(h[three], k[three], (variance / np.sqrt(wide_b * wide_c))[three])
    chance = np.where(allowed, np.maximum(chance, 0.0), 0.0)
    chance /= chance.sum(1, keepdims=True)
    floor = np.minimum(policy.floor, 1.0 / options)[:, None]
    return np.where(allowed, floor + (1.0 - floor * options[:, None]) * chance, 0.0)


def update(policy: Policy, x: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> Policy:
    """The policy after rewards (m,) of actions (m,) taken at features (m, d): Bayesian linear regression.

    The order of the rows, and how they are batched, don't matter. Bishop (2006), equations 3.50 and 3.51.
    """
    x, actions, rewards = np.asarray(x, dtype=np.float64), np.asarray(actions), np.asarray(rewards, dtype=np.float64)
    if x.shape != (len(rewards), policy.mean.shape[1]) or actions.shape != rewards.shape:
        raise ValueError(f"features {x.shape}, actions {actions.shape}, rewards {rewards.shape} do not fit {policy.mean.shape}")
    if not np.isfinite(rewards).all():
        raise ValueError(f"rewards must be finite, got {rewards[~np.isfinite(rewards)][:3]}")
    mean, precision, covariance = policy.mean.copy(), policy.precision.copy(), policy.covariance.copy()
    for a in np.unique(actions).tolist():
        rows = x[actions == a]
        precision[a] += rows.T @ rows / policy.noise
        pull = policy.precision[a] @ policy.mean[a] + rows.T @ rewards[actions == a] / policy.noise
        covariance[a] = np.linalg.inv(precision[a])
        covariance[a] = (covariance[a] + covariance[a].T) / 2
        mean[a] = np.linalg.solve(precision[a], pull)
    return Policy(mean, precision, covariance, policy.noise, policy.floor, _version(mean, precision))


def _both(h: np.ndarray, k: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """P(X < h, Y < k) of standard normals with correlation rho. Owen (1956), equation 2.1."""
    h = np.where(np.abs(h) < 1e-9, 1e-9, np.clip(h, -_FAR, _FAR))
    k = np.where(np.abs(k) < 1e-9, 1e-9, np.clip(k, -_FAR, _FAR))
    root = np.sqrt(np.maximum(1.0 - rho * rho, 1e-18))
    apart = np.where(h * k > 0, 0.0, 0.5)
    tails = owens_t(h, (k / h - rho) / root) + owens_t(k, (h / k - rho) / root)
    return np.asarray((ndtr(h) + ndtr(k)) / 2 - tails - apart)


def _version(mean: np.ndarray, precision: np.ndarray) -> str:
    """Names what was learned; rounded, so that the order of the rows doesn't show."""
    digest = hashlib.blake2b(digest_size=6)
    for array in (mean, precision):
        digest.update((np.round(array, 6) + 0.0).tobytes())  # + 0.0 turns -0.0 into 0.0
    return f"thompson-{digest.hexdigest()}"
