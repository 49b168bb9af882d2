"""One simulated session on the real engine: slates, reports, choices, decisions, and what each option would have brought.

**Regret.** When a decision is asked for, each of its options is tried: the session's clusters as they would be with it (other
decisions of the same step at "keep"), and what the next slates would bring this shopper (`rollouts`). The regret of a decision is
the best option's value less the chosen one's, in looks a slate; an oracle that knows the shopper has none. This is the
pseudo-regret of contextual bandits (Lattimore & Szepesvari 2020, "Bandit algorithms", 5.1 and 19), as far ahead as a
decision is credited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clusters.decision_log import ABSENT, DecisionLog
from clusters.policy import KEEP, Policy
from clusters.rewards import Engagement, Report, Rewards, credit, worths
from personas.events import CODE, Event
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.evaluation.adaptation.bounds import check
from recommendations.evaluation.adaptation.learners import Choice, Fixed, Learner, certain
from recommendations.evaluation.adaptation.rollouts import COUNT, THROWS, Ahead, brings, missed, positions, request, told_by
from recommendations.evaluation.simulation.browsing import Browser, Worth, worth_of
from recommendations.evaluation.simulation.crowd import Crowd
from recommendations.session import SessionState


@dataclass(frozen=True)
class Asked(Policy):
    """A policy that lets somebody else choose, and keeps what was asked."""

    chooser: Any = None
    asked: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def choose(self, x: np.ndarray, action: np.ndarray, rng: np.random.Generator, *, floor: float | None = None) -> Choice:
        self.asked.append((x, action))
        return self.chooser(x, action, rng)


def asked(policy: Policy, chooser: Any) -> Asked:
    """The policy with another's choices."""
    return Asked(policy.mean, policy.precision, policy.covariance, policy.noise, policy.floor, policy.version, chooser=chooser)


@dataclass(frozen=True)
class Told:
    """What a session came to. pages : slates seen.  expected : sum of what each was expected to bring.

    earned : sum of what was done with slates' items, less what was shown in vain, as the choices fell.
    log : its decisions with their rewards, None without any.  regret, stake : (n,) of the decisions: best option less the
        chosen one, and best less worst (`rollouts.missed`).  NaN where options weren't tried.
    blocked : bound -> how often it stopped an action.
    """

    pages: int
    expected: float
    earned: float
    log: DecisionLog | None
    regret: np.ndarray
    stake: np.ndarray
    blocked: Mapping[str, int]


class Walk:
    """Sessions of one learner on one engine.

    engine : whose own policy isn't asked.  valued : share of the steps with decisions whose options are all tried, drawn by the
    session's seed; who knows the shopper needs all of them.  throws : of the dice, an even number.
    """

    def __init__(
        self, engine: Engine, learner: Learner, rewards: Rewards, worth: Worth, *, valued: float = 1.0, throws: int = THROWS
    ) -> None:
        self.learner, self.rewards, self.worth, self.valued, self.throws = learner, rewards, worth, valued, throws
        self.policy = asked(engine.policy, self._answer)
        self.engine = replace(engine, policy=self.policy)
        self._answers: Any = keep

    def _answer(self, x: np.ndarray, action: np.ndarray, rng: np.random.Generator) -> Choice:
        return self._answers(x, action, rng)

    def session(self, browser: Browser, *, key: str, at: float, context: Mapping[str, str]) -> Told:
        """One session of the shopper. Raises AssertionError where the clusters went beyond their bounds."""
        engine, now = self.engine, at
        state = loop.start(engine, shop=1, session=key, at=now, context=context)
        reports: list[Report] = []
        engagements: list[Engagement] = []
        made: list[_Made] = []
        blocked: dict[str, int] = {}
        bought: list[int] = []
        expected, pages = 0.0, 0

        def happen(event: Event, ahead: Ahead) -> None:
            nonlocal state
            state, decided = self._observe(state, event, ahead, blocked)
            if decided is not None:
                made.append(decided)
            if event.name == "view_item_list":
                reports.append(Report(event.at, event.items, event.recommendation_id, event.slots))
            else:
                engagements.append(Engagement(event.at, event.item, CODE[event.name]))

        while True:
            state, slate = loop.recommend(engine, state, request(now), loop.generator(state))
            shown = positions(engine, slate)
            expected += browser.expects(shown, self.worth)
            page = browser.turn(shown)
            events, now = told_by(engine, page, slate, now=now, key=f"{key}-{pages}")
            pages += 1
            for i, event in enumerate(events):
                happen(event, Ahead(events[i + 1 :], browser, now, page.item < 0))
            if page.item < 0:
                break
            if page.bought:
                bought.append(int(engine.catalogue.item_ids[page.item]))
        for n, item in enumerate(dict.fromkeys(bought)):
            event = Event(f"{key}-bought-{n}", "purchase", at=now, received_at=now, items=(item,))
            happen(event, Ahead((), browser, now, over=True))
        return self._told(pages, expected, reports, engagements, made, blocked)

    def _observe(
        self, state: SessionState, event: Event, ahead: Ahead, blocked: dict[str, int]
    ) -> tuple[SessionState, _Made | None]:
        """The state after the event, as the learner chose; what was decided, and what each option would have brought."""
        policy = self.policy
        policy.asked.clear()
        self._answers = keep
        kept = loop.observe_with_decisions(self.engine, state, event)
        check(self.engine, kept.state.adapted)
        if not policy.asked:
            for stopped in kept.blocked:
                blocked[stopped.bound] = blocked.get(stopped.bound, 0) + 1
            return kept.state, None
        x, action = policy.asked[0]
        value = self._values(state, event, kept.state, action, ahead)
        drawn: list[Choice] = []

        def chosen(x: np.ndarray, action: np.ndarray, rng: np.random.Generator) -> Choice:
            drawn.append(self.learner.choose(x, action, value.mean(axis=0), rng))
            return drawn[-1]

        self._answers = chosen
        after = loop.observe_with_decisions(self.engine, state, event)
        check(self.engine, after.state.adapted)
        for stopped in after.blocked:
            blocked[stopped.bound] = blocked.get(stopped.bound, 0) + 1
        target = np.zeros(action.shape, dtype=np.int64)
        for row, decision in enumerate(after.decisions):
            target[row, : len(decision.options)] = [o.target for o in decision.options]
        cluster = np.array([d.cluster for d in after.decisions], dtype=np.int64)
        choice, propensities = drawn[0]
        regret, stake = missed(value, action, propensities)
        return after.state, _Made(event.at, x, action, choice, propensities, value, regret, stake, cluster, target)

    def _values(self, state: SessionState, event: Event, kept: SessionState, action: np.ndarray, ahead: Ahead) -> np.ndarray:
        """(throws, m, O) what each option of m decisions would bring, NaN where there is none, or where they aren't tried."""
        value = np.full((self.throws, *action.shape), np.nan)
        if np.random.default_rng((state.seed, state.version)).random() >= self.valued:
            return value
        there = action != ABSENT
        if ahead.over:
            value[:, there] = 0.0
            return value
        value[:, action == KEEP] = self._brings(kept, ahead)[:, None]
        for row, option in np.argwhere(there & (action != KEEP)).tolist():
            self._answers = _only(row, option)
            value[:, row, option] = self._brings(loop.observe(self.engine, state, event), ahead)
        return value

    def _brings(self, state: SessionState, ahead: Ahead) -> np.ndarray:
        """(throws,) what the state leads to."""
        self._answers = keep
        slates = self.rewards.reports
        return np.array([brings(self.engine, state, ahead, self.worth, slates=slates, throw=t) for t in range(self.throws)])

    def _told(
        self,
        pages: int,
        expected: float,
        reports: list[Report],
        engagements: list[Engagement],
        made: list[_Made],
        blocked: dict[str, int],
    ) -> Told:
        earned = sum(worth for _, worth in worths(self.rewards, reports, engagements))
        if not made:
            return Told(pages, expected, earned, None, np.zeros(0), np.zeros(0), blocked)
        most = max(m.action.shape[1] for m in made)
        at = np.concatenate([np.full(len(m.choice), m.at) for m in made])

        def stacked(name: str, fill: float) -> np.ndarray:
            parts = [getattr(m, name) for m in made]
            room = [[(0, 0), (0, most - p.shape[1]), *[(0, 0)] * (p.ndim - 2)] for p in parts]
            return np.concatenate([np.pad(p, r, constant_values=fill) for p, r in zip(parts, room, strict=True)])

        choice = np.concatenate([m.choice for m in made])
        log = DecisionLog(
            x=stacked("x", 0.0),
            action=stacked("action", ABSENT),
            choice=choice,
            propensities=stacked("propensities", 0.0),
            reward=credit(self.rewards, at.tolist(), reports, engagements),
            session=np.zeros(len(choice), dtype=np.int64),
            at=at,
            cluster=np.concatenate([m.cluster for m in made]),
            target=stacked("target", 0),
        )
        regret = np.concatenate([m.regret for m in made])
        return Told(pages, expected, earned, log, regret, np.concatenate([m.stake for m in made]), blocked)


class _Waiting(Walk):
    """Keeps the steps at which something was decided."""

    def __init__(self, engine: Engine, learner: Learner, rewards: Rewards, worth: Worth) -> None:
        super().__init__(engine, learner, rewards, worth, valued=0.0)
        self.steps: list[tuple[SessionState, Event]] = []

    def _observe(
        self, state: SessionState, event: Event, ahead: Ahead, blocked: dict[str, int]
    ) -> tuple[SessionState, _Made | None]:
        found = super()._observe(state, event, ahead, blocked)
        if found[1] is not None:
            self.steps.append((state, event))
        return found


def waiting_decisions(
    engine: Engine, crowd: Crowd, *, sessions: int, at: float
) -> tuple[Engine, Engine, list[tuple[SessionState, Event]]]:
    """The engine; the same with thresholds that nobody reaches; and steps of some sessions at which the first decides."""
    rewards = Rewards()
    walk = _Waiting(engine, Fixed(engine.policy), rewards, worth_of(rewards, COUNT))
    for s in range(sessions):
        browser, context = crowd.comes(s, at)
        walk.session(browser, key=f"waiting-{s}", at=at, context=context)
    never = replace(engine.bounds, consistent_outside=10**6, consistent_ignored=10**6)
    return engine, replace(engine, bounds=never), walk.steps


@dataclass(frozen=True)
class _Made:
    """Decisions of one step: shapes as in `DecisionLog`. value : (throws, m, O).  regret, stake : (m,)."""

    at: float
    x: np.ndarray
    action: np.ndarray
    choice: np.ndarray
    propensities: np.ndarray
    value: np.ndarray
    regret: np.ndarray
    stake: np.ndarray
    cluster: np.ndarray
    target: np.ndarray


def keep(x: np.ndarray, action: np.ndarray, rng: np.random.Generator) -> Choice:
    """Nothing changes."""
    return certain((action == KEEP).argmax(axis=1), action)


def _only(row: int, option: int) -> Any:
    """One decision is taken so, the others kept."""

    def chooser(x: np.ndarray, action: np.ndarray, rng: np.random.Generator) -> Choice:
        choice = (action == KEEP).argmax(axis=1)
        choice[row] = option
        return certain(choice, action)

    return chooser
