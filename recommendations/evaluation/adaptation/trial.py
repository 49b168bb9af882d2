"""Try before you publish: what a change would do to shoppers simulated from the shop's own personas and clusters.

The shoppers' tastes are what the release knows of its personas: how much each engaged with an item, shrunk towards what the
item's clusters say. That is a belief about shoppers and not shoppers: a change that this trial likes may still fail, one that
it dislikes is worth a second look. The same shoppers in the same moods meet the shop before and after, so that few sessions
tell much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from clusters.rewards import Rewards
from recommendations.engine import Engine
from recommendations.evaluation.adaptation.learners import Fixed
from recommendations.evaluation.adaptation.shops import Shop
from recommendations.evaluation.adaptation.worlds import Plan, run
from recommendations.evaluation.resampling import Interval
from recommendations.evaluation.simulation.browsing import Habits
from recommendations.evaluation.simulation.world import FOLLOW_UPS, MOVES, Words, World

PRIOR_GAIN = 20.0
"""Engagement, in looks, that what a persona does with an item's clusters counts for beside what it did with the item."""

SPREAD = 0.9
"""Standard deviation of a persona's utilities over the shop: that of the simulator's own worlds."""

TOLD_AT = 1_700_000_000.0
LEVEL = 0.95
LEAST_SESSIONS = 30
"""Sessions under which no interval is told."""


@dataclass(frozen=True)
class Trial:
    """What a change did to simulated sessions.

    before, after : mean reward of a session, in looks.  difference : after less before, paired by shopper, with its 95 %
    interval.  verdict : "better", "worse" or "unknown".
    """

    sessions: int
    before: float
    after: float
    difference: Interval
    verdict: str

    def to_json(self) -> dict[str, object]:
        return {
            "sessions": self.sessions,
            "before": round(self.before, 4),
            "after": round(self.after, 4),
            "difference": round(self.difference.value, 4),
            "low": round(self.difference.low, 4),
            "high": round(self.difference.high, 4),
            "verdict": self.verdict,
        }


def simulate_change(
    before: Engine,
    after: Engine,
    *,
    sessions: int = 300,
    seed: int = 0,
    rewards: Rewards | None = None,
    habits: Habits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trial:
    """The engine that serves beside the one with the change: edited clusters, other bounds, another policy.

    Shoppers are made of `before`, as both engines meet them; the two must have the same items. Each session begins at a
    fixed time, so that the same call gives the same answer. Raises ValueError on other items, or on too few sessions.
    """
    if sessions < LEAST_SESSIONS:
        raise ValueError(f"sessions: {sessions} are too few to tell, {LEAST_SESSIONS} at the least")
    if not np.array_equal(before.catalogue.item_ids, after.catalogue.item_ids):
        raise ValueError("after: it has other items than before")
    world = world_of(before)
    plan = Plan(
        sessions=sessions, start_at=TOLD_AT, habits=habits or Habits(), rewards=rewards or Rewards(), valued=0.0, batch=sessions
    )
    told = []
    for i, engine in enumerate((before, after)):

        def report(done: int, of: int, i: int = i) -> None:
            if progress is not None:
                progress(i * of + done, 2 * of)

        told.append(run(Shop(engine, world), Fixed(engine.policy), plan, seed=seed, progress=report).expected)
    difference = paired(told[1], told[0])
    verdict = "better" if difference.low > 0.0 else "worse" if difference.high < 0.0 else "unknown"
    return Trial(sessions, float(told[0].mean()), float(told[1].mean()), difference, verdict)


def paired(after: np.ndarray, before: np.ndarray) -> Interval:
    """Mean of after less before (n,), with its interval by Student's t."""
    gap = np.asarray(after, dtype=np.float64) - before
    value = float(gap.mean())
    if len(gap) < 2:
        return Interval(value, -math.inf, math.inf)
    wide = float(stats.t.ppf((1.0 + LEVEL) / 2.0, len(gap) - 1) * gap.std(ddof=1) / math.sqrt(len(gap)))
    return Interval(value, value - wide, value + wide)


def world_of(engine: Engine) -> World:
    """Shoppers as the release knows them: K personas whose utilities are the logs of what each engages with."""
    clusters, n = engine.clusters, len(engine.catalogue)
    known = clusters.behaviour.persona if clusters.behaviour.persona.shape[1] else clusters.behaviour.gain[:, None]
    done = known.astype(np.float64)
    k = done.shape[1]
    gain = clusters.behaviour.gain.astype(np.float64)
    share = (gain + 1.0) / (gain + 1.0).sum()
    if clusters.persona_lift.shape[1]:
        inside = np.asarray(clusters.of_item.sum(axis=1)).reshape(-1, 1)
        lift = clusters.of_item @ clusters.persona_lift.astype(np.float64) + np.maximum(1.0 - inside, 0.0)
    else:
        lift = np.ones((n, k))
    usual = share[:, None] * lift
    usual /= usual.sum(axis=0)
    utility = np.log(done + PRIOR_GAIN * usual + 1e-9) - np.log(done.sum(axis=0) + PRIOR_GAIN)
    utility -= utility.mean(axis=0)
    utility *= SPREAD / np.maximum(utility.std(axis=0), 1e-9)
    prior = np.exp(engine.personas.hmm.log_initial) if k == len(engine.personas.hmm.log_initial) else np.full(k, 1.0 / k)
    return World(
        catalogue=engine.catalogue,
        personas=tuple(engine.personas.archetype_keys[:k]) if k > 1 else ("anybody",),
        prior=prior / prior.sum(),
        taste=utility.T,
        popularity=share * n,
        moves=np.zeros((k, len(MOVES))),
        follow_ups=np.zeros((k, len(FOLLOW_UPS))),
        dwell=np.zeros(k),
        category=np.zeros(n, dtype=np.int64),
        members=(np.arange(n),),
        words=Words((), np.zeros((1, 0)), ()),
        context={},
        demographics={},
    )
