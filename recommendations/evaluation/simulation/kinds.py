"""The kinds of session, how long they are, and where a shift may lie: what is known of a session whoever shops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

KINDS = ("single", "mixed", "shifting")
"""One persona throughout; each step from one of two; one, and from some step on another."""

SHORTEST, LONGEST = 2, 60
ENDS = 1.0 / 6.0
"""A session has `SHORTEST` steps and then ends with this probability after each: 7 on average."""

SHIFTS = tuple(range(2, 9))
"""Steps, counted from 0, before which a shifting session may shift."""

HAZARD = 0.25
"""P(shift before the step | not yet), the last possible step apart, where it is certain."""

AFTER = 3
"""Steps that a shifting session has left at the least when it shifts."""


@dataclass(frozen=True)
class Kinds:
    """Shares of the kinds of session; they sum to 1. Raises ValueError if they don't."""

    single: float = 0.7
    mixed: float = 0.15
    shifting: float = 0.15

    def __post_init__(self) -> None:
        if not all(p >= 0 for p in self.shares) or not math.isclose(sum(self.shares), 1.0):
            raise ValueError(f"kinds {self.shares}: shares must be 0 or more and sum to 1")

    @property
    def shares(self) -> tuple[float, float, float]:
        """In the order of `KINDS`."""
        return self.single, self.mixed, self.shifting


def shift_shares() -> np.ndarray:
    """(len(SHIFTS),) P(the shift lies before that step)."""
    hazard = np.full(len(SHIFTS), HAZARD)
    hazard[-1] = 1.0
    shares: np.ndarray = hazard * np.concatenate(([1.0], np.cumprod(1.0 - hazard[:-1])))
    return shares


def log_goes_on(step: np.ndarray) -> np.ndarray:
    """log P(the session has a step of that number, counted from 0), were it not to shift."""
    return np.maximum(0, step + 1 - SHORTEST) * math.log1p(-ENDS)


def draw_length(rng: np.random.Generator, shift: int | None) -> int:
    """Steps of a session. shift : the step before which it shifts, None if it doesn't."""
    length = min(LONGEST, SHORTEST - 1 + int(rng.geometric(ENDS)))
    return length if shift is None else max(length, shift + AFTER)
