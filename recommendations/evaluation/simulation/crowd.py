"""Who comes to the shop: shoppers one by one, with the tastes of their time and the circumstances that the shop is told."""

from __future__ import annotations

import numpy as np

from recommendations.evaluation.simulation.browsing import Browser, Habits
from recommendations.evaluation.simulation.kinds import SHIFTS
from recommendations.evaluation.simulation.seasons import Drift, moved
from recommendations.evaluation.simulation.shoppers import WEATHER_TOLD
from recommendations.evaluation.simulation.walk import pick
from recommendations.evaluation.simulation.world import CONTEXT, OVERLAP, Tastes, World, soften

SHIFTING = 0.15
"""Share of sessions that go on as another persona from some page on."""

STEPS = 10
"""In which a drift's share is told: tastes are worked out once for each."""

_TELL = 1_000_000_000
"""Between the seeds of sessions that are counted from 0 up, and from -1 down."""


class Crowd:
    """Shoppers of a world. seed : the same one brings the same shoppers in the same order.

    overlap : as in `simulate`.  drift : of tastes and of how often personas come, None for none.
    """

    def __init__(self, world: World, habits: Habits, *, seed: int, drift: Drift | None = None, overlap: float = OVERLAP) -> None:
        self.world, self.habits, self.seed, self.drift, self.overlap = world, habits, seed, drift, overlap
        self._seasons = {0: (world, soften(world, overlap))}

    def comes(self, number: int, at: float) -> tuple[Browser, dict[str, str]]:
        """The shopper of a session by its number, at a time, and the circumstances that the shop is told.

        Some shop against type: their circumstances are one persona's, their tastes another's.
        """
        world, tastes = self._season(at)
        seed = (self.seed, number % _TELL)
        rng = np.random.default_rng((*seed, 3))
        persona = pick(rng, world.prior)
        context = {name: CONTEXT[name][pick(rng, of[persona])] for name, of in world.context.items() if name != "daypart"}
        if rng.random() >= WEATHER_TOLD:
            context.pop("weather", None)
        several = len(world.personas) > 1
        other = pick(rng, world.second[persona]) if several else persona
        likes = int(rng.integers(len(world.personas))) if rng.random() < self.habits.against else persona
        browser = Browser(world, tastes, self.habits, persona=likes, seed=(*seed, 4))
        if several and rng.random() < SHIFTING:
            browser.shift(SHIFTS[int(rng.integers(len(SHIFTS)))], tastes, other)
        return browser, context

    def _season(self, moment: float) -> tuple[World, Tastes]:
        """The world as it is at a time."""
        step = 0 if self.drift is None else round(STEPS * self.drift.at(moment))
        if step not in self._seasons:
            assert self.drift is not None
            there = moved(self.world, self.drift, step / STEPS)
            self._seasons[step] = (there, soften(there, self.overlap))
        return self._seasons[step]
