"""The reinforcement-learning agent of the adaptation: linear Thompson sampling, one decision a cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ACTIONS = ("keep", "expand", "contract")
"""Append-only: an action's code is its place here, and decisions are stored."""


@dataclass(frozen=True)
class Policy:
    """Gaussian posteriors of a linear reward for each of A actions over d features, weights shared across clusters.

    mean : (A, d) float64.  precision, covariance : (A, d, d) float64, each other's inverses.
    noise : variance of a reward.  floor : least propensity of an allowed action.
    version : logged with every decision.
    Reference: Agrawal & Goyal (2013), "Thompson sampling for contextual bandits with linear payoffs".
    """

    mean: np.ndarray
    precision: np.ndarray
    covariance: np.ndarray
    noise: float
    floor: float
    version: str
