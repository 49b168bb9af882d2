"""A difference of two arms that may be looked at any time: an interval that holds at all looks at once. Pure.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2021), "Time-uniform central limit theory and asymptotic confidence sequences",
theorem 2.2, with the influence of each unit on the difference of means as the draws. Asymptotic: it says nothing before `LEAST`
units are in each arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LEAST = 100
"""Units in each arm before anything is said: the central limit has to have set in."""

TIGHTEST = 2_000
"""Units at which the interval is as narrow as it can be; at a tenth or ten times as many it is under a fifth wider than it
could be."""


class Difference(NamedTuple):
    """Of the second arm's mean to the first's. low, high : hold for all looks at once; infinite before `LEAST` units an arm.

    base : the first arm's mean.  units : of both arms.
    """

    value: float
    low: float
    high: float
    base: float
    units: int


@dataclass(frozen=True)
class Arm:
    """Units of one arm, which depend on nothing but their own arm: shoppers, or sessions of guests.

    total : (u,) float64, of each unit the sum of what is measured.  count : (u,) float64, over how many sessions, 1 or more.
    """

    total: np.ndarray
    count: np.ndarray

    def __post_init__(self) -> None:
        if self.total.shape != self.count.shape or self.total.ndim != 1:
            raise ValueError(f"total {self.total.shape} does not fit count {self.count.shape}")
        if len(self.count) and self.count.min() <= 0:
            raise ValueError("a unit without a session")
        if not np.isfinite(self.total).all():
            raise ValueError("what is measured must be finite")

    @property
    def mean(self) -> float:
        """A session, NaN for none."""
        return float(self.total.sum() / self.count.sum()) if len(self.count) else math.nan

    @property
    def spread(self) -> float:
        """Variance of one unit's pull on the mean: a ratio of sums, linearised."""
        if len(self.count) < 2:
            return math.nan
        pull = (self.total - self.mean * self.count) / self.count.mean()
        return float(pull @ pull) / (len(pull) - 1)


def difference(control: Arm, challenger: Arm, *, confidence: float = 0.95, tightest: int = TIGHTEST) -> Difference:
    """How far the challenger's mean a session is above the control's, to be looked at as often as anybody likes.

    tightest : units in all for which the interval is narrowest.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    first, second = len(control.count), len(challenger.count)
    n = first + second
    value = challenger.mean - control.mean
    if min(first, second) < LEAST:
        return Difference(value, -math.inf, math.inf, control.mean, n)
    spread = n * (control.spread / first + challenger.spread / second)
    wide = math.sqrt(spread) * radius(n, confidence=confidence, tightest=tightest)
    return Difference(value, value - wide, value + wide, control.mean, n)


def radius(n: int, *, confidence: float = 0.95, tightest: int = TIGHTEST) -> float:
    """Half of the interval around a mean of n draws of variance 1: theorem 2.2, with rho by equation 10's closed form."""
    alpha = 1.0 - confidence
    logs = -2.0 * math.log(alpha)
    rho = (logs + math.log(logs + 1.0)) / tightest
    return math.sqrt(2.0 * (n * rho + 1.0) / (n * n * rho) * math.log(math.sqrt(n * rho + 1.0) / alpha))


def difference_of_shares(
    control: tuple[float, float], challenger: tuple[float, float], *, confidence: float = 0.95, tightest: int = TIGHTEST
) -> Difference:
    """How far the challenger's share of units that did something is above the control's, to be looked at as often as one likes.

    control, challenger : (units that did, units).  A share of nothing, or of all, has a variance too: it is taken as if two more
    units did, and two didn't (Agresti and Coull 1998, "Approximate is better than exact for interval estimation").
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    for did, units in (control, challenger):
        if not 0 <= did <= units:
            raise ValueError(f"{did} out of {units} is no share")
    n = control[1] + challenger[1]
    base, share = (did / units if units else math.nan for did, units in (control, challenger))
    if min(control[1], challenger[1]) < LEAST:
        return Difference(share - base, -math.inf, math.inf, base, int(n))
    spread = n * sum(_variance(*arm) / arm[1] for arm in (control, challenger))
    wide = math.sqrt(spread) * radius(int(n), confidence=confidence, tightest=tightest)
    return Difference(share - base, share - base - wide, share - base + wide, base, int(n))


def units_needed(
    control: tuple[float, float],
    challenger: tuple[float, float],
    size: float,
    *,
    confidence: float = 0.95,
    tightest: int = TIGHTEST,
) -> int:
    """Units of both arms, in their shares so far, at which the interval of a difference of `size` leaves nothing out.

    Raises ValueError where an arm has no unit, or `size` is not above 0.
    """
    if size <= 0 or min(control[1], challenger[1]) <= 0:
        raise ValueError("there is nothing to go by")
    n = control[1] + challenger[1]
    spread = n * sum(_variance(*arm) / arm[1] for arm in (control, challenger))
    least = math.ceil(LEAST * n / min(control[1], challenger[1]))
    low, high = 0, least
    while math.sqrt(spread) * radius(high, confidence=confidence, tightest=tightest) > size:
        low, high = high, 2 * high
    while high - low > max(1, high // 1_000):
        middle = (low + high) // 2
        wide = math.sqrt(spread) * radius(middle, confidence=confidence, tightest=tightest) if middle else math.inf
        low, high = (middle, high) if wide > size else (low, middle)
    return max(high, least)


def _variance(did: float, units: float) -> float:
    share = (did + 2.0) / (units + 4.0)
    return share * (1.0 - share)
