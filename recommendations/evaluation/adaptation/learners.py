"""Ways to choose among a decision's options: ours, as production learns it, and those that it has to beat.

All are asked in the same way, for m decisions among at most O options described by d features, and learn from the same
credited logs, batch by batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from clusters import policy as thompson
from clusters.decision_log import ABSENT, DecisionLog, joined
from clusters.policy import KEEP, Policy, Statistics

Choice = tuple[np.ndarray, np.ndarray]
"""(m,) int place of the option taken; (m, O) propensities."""


class Learner(Protocol):
    """A way to choose. x : (m, O, d).  action : (m, O) int8, `ABSENT` where there is no option.

    value : (m, O) what each option would bring, for those who may know it, NaN for what isn't known.
    """

    name: str

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice: ...

    def learn(self, log: DecisionLog) -> None: ...


class Static:
    """Clusters as they are: always keep."""

    name = "static"

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice:
        return certain((action == KEEP).argmax(axis=1), action)

    def learn(self, log: DecisionLog) -> None:
        pass


class Off(Static):
    """Adaptation switched off: nothing is asked, and what was passed over weighs as the rest."""

    name = "off"


class Uniform:
    """Any option alike."""

    name = "uniform"

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice:
        there = action != ABSENT
        return drawn(there / there.sum(axis=1, keepdims=True), rng)

    def learn(self, log: DecisionLog) -> None:
        pass


class Oracle:
    """Knows the shopper: takes what brings the most. Its regret is 0."""

    name = "oracle"

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice:
        return certain(np.where(action != ABSENT, value, -np.inf).argmax(axis=1), action)

    def learn(self, log: DecisionLog) -> None:
        pass


class EpsilonGreedy:
    """The option that a ridge regression a action likes best, and with a chance of `epsilon` any (Sutton & Barto 2018, 2.4)."""

    def __init__(self, actions: int, features: int, *, epsilon: float = 0.1, ridge: float = 1.0) -> None:
        self.name, self.epsilon = "epsilon-greedy", epsilon
        self.gram = np.broadcast_to(np.eye(features) * ridge, (actions, features, features)).copy()
        self.pull = np.zeros((actions, features))
        self.mean = np.zeros((actions, features))

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice:
        there = action != ABSENT
        told = np.where(there, (x * self.mean[np.maximum(action, 0)]).sum(axis=-1), -np.inf)
        chance = self.epsilon * there / there.sum(axis=1, keepdims=True)
        # Of equals any: before the first reward all are.
        best = told >= told.max(axis=1, keepdims=True)
        return drawn(chance + (1.0 - self.epsilon) * best / best.sum(axis=1, keepdims=True), rng)

    def learn(self, log: DecisionLog) -> None:
        for a in np.unique(log.chosen).tolist():
            mine = log.chosen == a
            rows = log.chosen_x[mine]
            self.gram[a] += rows.T @ rows
            self.pull[a] += rows.T @ log.reward[mine]
            self.mean[a] = np.linalg.solve(self.gram[a], self.pull[a])


class Thompson:
    """Ours: the hand rule as prior, the posterior of sums of batches, each of which counts half after `half_life` sessions.

    half_life : in batches, None for no forgetting.
    """

    def __init__(self, prior: Policy, *, half_life: float | None = None, name: str = "ours") -> None:
        self.name, self.prior, self.policy = name, prior, prior
        self.fade = 1.0 if half_life is None else 0.5 ** (1.0 / half_life)
        self.known: Statistics | None = None

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice:
        return thompson.choose(self.policy, x, action, rng)

    def learn(self, log: DecisionLog) -> None:
        mine = thompson.statistics(log.chosen_x, log.chosen, log.reward)
        self.known = mine if self.known is None else self.known.scaled(self.fade) + mine
        self.policy = thompson.learn(self.prior, self.known)


class Fixed:
    """A policy that doesn't learn."""

    def __init__(self, policy: Policy, *, name: str = "fixed", floor: float | None = None) -> None:
        self.name = name
        self.policy = policy if floor is None else replace(policy, floor=floor)

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice:
        return thompson.choose(self.policy, x, action, rng)

    def learn(self, log: DecisionLog) -> None:
        pass


def certain(choice: np.ndarray, action: np.ndarray) -> Choice:
    """A choice without chance."""
    chance = np.zeros(action.shape)
    chance[np.arange(len(choice)), choice] = 1.0
    return choice, chance


def drawn(chance: np.ndarray, rng: np.random.Generator) -> Choice:
    """A choice by (m, O) propensities."""
    ladder = np.cumsum(chance, axis=1)
    return (rng.random(len(chance))[:, None] * ladder[:, -1:] >= ladder).sum(axis=1), chance


def credited(logs: Sequence[DecisionLog]) -> DecisionLog | None:
    """The decisions of several sessions that have a reward, None if none has."""
    whole = joined(logs).credited() if logs else None
    return whole if whole is not None and len(whole) else None
