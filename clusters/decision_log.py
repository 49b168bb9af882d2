"""Decisions of the adaptation as columns: the form in which learning, off-policy evaluation and simulation read them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

ABSENT = -1
"""Action code of an option that isn't there."""


@dataclass(frozen=True)
class DecisionLog:
    """n decisions, each among at most O options described by d features.

    x : (n, O, d) float64, of each option.  action : (n, O) int8, code of `policy.ACTIONS`, `ABSENT` where there is no option.
    choice : (n,) int, place of the option taken.  propensities : (n, O) float64, with which it was drawn; rows sum to 1.
    reward : (n,) float64, NaN where none is credited.
    session : (n,) int64, equal for decisions of one session, which depend on each other.  at : (n,) float64, seconds.
    cluster : (n,) int64 ids.  target : (n, O) int64 ids, 0 for none.
    """

    x: np.ndarray
    action: np.ndarray
    choice: np.ndarray
    propensities: np.ndarray
    reward: np.ndarray
    session: np.ndarray
    at: np.ndarray
    cluster: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        n, options = self.action.shape
        if self.x.shape[:2] != (n, options) or self.propensities.shape != (n, options) or self.target.shape != (n, options):
            raise ValueError(
                f"x {self.x.shape}, propensities {self.propensities.shape}, target {self.target.shape} do not fit {n} "
                f"decisions among {options} options"
            )
        for name in ("choice", "reward", "session", "at", "cluster"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name} {getattr(self, name).shape} does not fit {n} decisions")
        if n and (self.taken <= 0.0).any():
            raise ValueError("an option with propensity 0 was taken")

    def __len__(self) -> int:
        return len(self.choice)

    @property
    def taken(self) -> np.ndarray:
        """(n,) propensity of the option taken."""
        return self.propensities[np.arange(len(self)), self.choice]

    @property
    def chosen(self) -> np.ndarray:
        """(n,) action code of the option taken."""
        return self.action[np.arange(len(self)), self.choice]

    @property
    def chosen_x(self) -> np.ndarray:
        """(n, d) features of the option taken."""
        return self.x[np.arange(len(self)), self.choice]

    def rows(self, which: np.ndarray) -> DecisionLog:
        """Some of the decisions. which : (n,) bool, or positions."""
        return replace(self, **{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def credited(self) -> DecisionLog:
        """Those with a reward."""
        return self.rows(~np.isnan(self.reward))


def joined(logs: Sequence[DecisionLog]) -> DecisionLog:
    """Logs one after the other, the one with fewer options filled up."""
    most = max(log.action.shape[1] for log in logs)

    def wide(array: np.ndarray, fill: float) -> np.ndarray:
        missing = most - array.shape[1]
        return np.pad(array, [(0, 0), (0, missing), *[(0, 0)] * (array.ndim - 2)], constant_values=fill) if missing else array

    columns = {}
    for f in fields(DecisionLog):
        parts = [getattr(log, f.name) for log in logs]
        if f.name in {"x", "action", "propensities", "target"}:
            parts = [wide(part, ABSENT if f.name == "action" else 0) for part in parts]
        columns[f.name] = np.concatenate(parts)
    return DecisionLog(**columns)
