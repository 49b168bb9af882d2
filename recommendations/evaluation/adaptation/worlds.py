"""Learners side by side: the same shop, shoppers and moods for each, session by session, with regret and what they brought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from clusters.decision_log import DecisionLog
from clusters.rewards import Rewards
from recommendations.evaluation.adaptation.learners import Learner, Off, credited
from recommendations.evaluation.adaptation.rollouts import COUNT, THROWS
from recommendations.evaluation.adaptation.sessions import Walk
from recommendations.evaluation.adaptation.shops import Shop
from recommendations.evaluation.simulation.browsing import Habits, worth_of
from recommendations.evaluation.simulation.crowd import Crowd
from recommendations.evaluation.simulation.seasons import Drift


@dataclass(frozen=True)
class Plan:
    """Sessions that a learner goes through, evenly over some days.

    batch : sessions after which the learner learns.  drift : of tastes, None for none.
    valued : share of the decisions whose regret is told, by which the sums of those are divided; 0 for no regret.
    throws : of the dice for each (`rollouts`).
    """

    sessions: int
    start_at: float
    days: float = 28.0
    batch: int = 25
    drift: Drift | None = None
    habits: Habits = field(default_factory=Habits)
    rewards: Rewards = field(default_factory=Rewards)
    valued: float = 1.0
    throws: int = THROWS


FIGURES = ("expected", "earned", "pages", "regret", "stake", "decisions")


@dataclass(frozen=True)
class Course:
    """What S sessions came to, (S,) each. expected, earned, pages : as in `sessions.Told`.

    regret, stake, decisions : sums and count of the session's decisions; sums as those say that were valued.
    log : all decisions, `session` counted from 0.
    """

    name: str
    expected: np.ndarray
    earned: np.ndarray
    pages: np.ndarray
    regret: np.ndarray
    stake: np.ndarray
    decisions: np.ndarray
    blocked: dict[str, int]
    logs: list[DecisionLog]


def run(shop: Shop, learner: Learner, plan: Plan, *, seed: int, progress: Callable[[int, int], None] | None = None) -> Course:
    """The learner through the plan's sessions. The same seed brings the same shoppers to every learner."""
    engine = shop.engine
    if isinstance(learner, Off):
        engine = replace(engine, bounds=replace(engine.bounds, adapts=False))
    walk = Walk(engine, learner, plan.rewards, worth_of(plan.rewards, COUNT), valued=plan.valued, throws=plan.throws)
    crowd = Crowd(shop.world, plan.habits, seed=seed, drift=plan.drift)
    figures = np.zeros((6, plan.sessions))
    blocked: dict[str, int] = {}
    logs: list[DecisionLog] = []
    waiting: list[DecisionLog] = []
    for s in range(plan.sessions):
        at = plan.start_at + plan.days * 86_400.0 * s / plan.sessions
        browser, context = crowd.comes(s, at)
        told = walk.session(browser, key=f"{seed}-{s}", at=at, context=context)
        regret, stake = (np.nansum(each) / max(plan.valued, 1e-9) for each in (told.regret, told.stake))
        figures[:, s] = told.expected, told.earned, told.pages, regret, stake, len(told.regret)
        for bound, times in told.blocked.items():
            blocked[bound] = blocked.get(bound, 0) + times
        if told.log is not None:
            waiting.append(replace(told.log, session=np.full(len(told.log), s)))
        if (s + 1) % plan.batch == 0 and waiting:
            logs += waiting
            if (log := credited(waiting)) is not None:
                learner.learn(log)
            waiting = []
        if progress is not None:
            progress(s + 1, plan.sessions)
    of = dict(zip(FIGURES, figures, strict=True))
    return Course(learner.name, **of, blocked=blocked, logs=logs + waiting)
