"""How well a learner does before and after tastes moved, and how soon it does well again.

The level of a learner over some sessions is the share of what was at stake in their decisions that it took: the sum of best less
worst option, less its regret, over that sum. An oracle has 1, who always takes the worst has 0. Levels don't depend on how
much a time offers, which a drift changes too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommendations.evaluation.adaptation.figures import Board

SHARE = 0.9
"""Of its level before the drift, at which a learner has recovered."""


@dataclass(frozen=True)
class Recovery:
    """before : level over the sessions before the drift.  lowest : of the windows since it began.  after : over the last window.

    sessions : from the end of the drift until the level of a window, and of all later ones together, is at least `SHARE` of
        `reference`; None if it never is.
    """

    before: float
    lowest: float
    after: float
    sessions: int | None


def level(stake: np.ndarray, regret: np.ndarray) -> float:
    """Of the sums of some sessions; NaN where nothing was at stake."""
    at_stake = float(stake.sum())
    return (at_stake - float(regret.sum())) / at_stake if at_stake > 0 else float("nan")


def recovery(board: Board, name: str, *, begins: int, ends: int, window: int, reference: float | None = None) -> Recovery:
    """Of one learner over all worlds. begins, ends : sessions between which tastes move.  window : sessions of a level.

    reference : level to come back to, the learner's own before the drift by default.
    """
    stake, regret = board.of(name, "stake"), board.of(name, "regret")

    def over(start: int, stop: int) -> float:
        return level(stake[:, start:stop], regret[:, start:stop])

    before = over(begins // 2, begins)
    wanted = SHARE * (before if reference is None else reference)
    n = stake.shape[1]
    since = range(ends, n - window + 1, max(window // 2, 1))
    found = next((s - ends for s in since if over(s, s + window) >= wanted and over(s, n) >= wanted), None)
    lowest = min(over(s, s + window) for s in range(begins, n - window + 1, max(window // 2, 1)))
    return Recovery(before, lowest, over(n - window, n), found)
