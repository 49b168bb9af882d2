"""Tastes that move over weeks: each persona comes to like what another liked, and other personas come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recommendations.evaluation.simulation.world import World

WEEK_S = 604_800.0


@dataclass(frozen=True)
class Drift:
    """How far tastes have moved at a time: nowhere until `begins`, all of `share` at `ends`, evenly in between (seconds).

    A persona's taste becomes (1 - share) of its own and `share` of the next one's, by a seeded round of all; so do the
    shares with which personas come.
    """

    begins: float
    ends: float
    share: float
    seed: int = 0

    def at(self, moment: float) -> float:
        """Share moved at a time, 0 to `share`."""
        if moment >= self.ends:
            return self.share
        return self.share * max(0.0, moment - self.begins) / max(self.ends - self.begins, 1e-9)


def moved(world: World, drift: Drift, share: float) -> World:
    """The world with `share` of its personas' tastes, and of how often they come, taken by the next in the round."""
    if share <= 0.0:
        return world
    after = successors(len(world.personas), drift.seed)
    taste = (1.0 - share) * world.taste + share * world.taste[after]
    prior = (1.0 - share) * world.prior + share * world.prior[after]
    return replace(world, taste=taste, prior=prior / prior.sum())


def successors(personas: int, seed: int) -> np.ndarray:
    """(K,) the next persona of each, in one round through all."""
    order = np.random.default_rng((seed, 23)).permutation(personas)
    after = np.empty(personas, dtype=np.intp)
    after[order] = np.roll(order, -1)
    return after


def without(positions: np.ndarray, new: Sequence[int] | np.ndarray) -> np.ndarray:
    """(N,) bool, which rows of a log's positions are not of items that came after it."""
    return ~np.isin(positions, np.asarray(new))
