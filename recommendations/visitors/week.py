"""A simulated week for a shop whose shoppers are simulated: visits that follow a trend, from which learning may learn.

Live visitors teach nothing, and a demo's log was written before anybody was recommended anything: learning would have nothing to
propose. So made shoppers go through the week before the last Monday, on the release that serves and by the very steps that serve
it: each comes with a newsletter about one cluster, after a look or two of their own, and has come to like some items of a
related one. What the agent decided, what was seen and what was clicked goes into the archive as of any visit, marked as
simulated; whatever is proposed then is found by `learning.proposals` as anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from django.db import transaction
from django.utils import timezone

from personas import versions
from personas.events import Event
from personas.models import Shop
from personas.profile import shares
from recommendations import engine as loop
from recommendations import releases
from recommendations.engine import Engine
from recommendations.evaluation.adaptation.rollouts import COUNT, positions, told_by
from recommendations.evaluation.simulation.browsing import Browser, Habits, Page
from recommendations.evaluation.simulation.crowd import Crowd
from recommendations.evaluation.simulation.walk import SEEN
from recommendations.evaluation.simulation.world import build_world
from recommendations.learning import policies
from recommendations.learning.findings import week_start
from recommendations.learning.proposals import Proposed, propose_cluster_changes
from recommendations.serving import archiving
from recommendations.serving.activity import (
    SIMULATED,
    Entry,
    LoggedBlocked,
    LoggedDecision,
    LoggedEvent,
    Record,
    encode_record,
)
from recommendations.serving.turns import logged
from recommendations.session import Request, SessionState, Slate
from recommendations.visitors.standing import VisitorsError

SEED = 7
SESSIONS = 6_000
"""Visits of the week: enough for one trend, and the items in it, to be told from chance among a hundred comparisons or so, each
week's look at a fifty-second of what may be chance in a year; under two minutes of one core."""

TRENDS = 1
DAYS = 7
HABITS = Habits(alone=4.2, carts=-4.5, sharpness=0.7, against=0.0, purposeful=0.0, longest=4)
"""They are choosy, so that what they have come to like stands out; and leave after the slates that a decision is credited with
(`clusters.rewards.Rewards.reports`): more visits tell more than longer ones."""

LIKED = 5.0
"""Utility, and liking of what is looked at, that a trend adds to its items: in lists, for nobody thinks of them unseen."""

UNTHOUGHT = 1e-9
"""Popularity of these items to who looks alone."""

OWN, OF_SOURCE = (1, 3), (2, 5)
"""Looks of a visit's own taste before the newsletter, and at items that the newsletter shows: from, and below."""

OWN_BEST = 30
"""Items out of which the first looks are, those that the shopper likes best."""

LOOKS_S = (8.0, 40.0)
"""Seconds, uniform, on each of these."""

LEAST_ITEMS = 8
"""Items at least that a newsletter shows, and that are liked."""

TRIED, TARGETS = 10, 2
"""Visits by which it is seen where a cluster's expansions lead and what they bring; and how many of its targets are looked at."""

LEAST_BROUGHT, LEAST_CHANCE = 0.05, 0.1
"""Share of a slate's slots that an expansion must bring at least, and the chance of being led to it."""

AT_ONCE = 100
"""Visits that are written in one transaction."""

Told = Callable[[str, float], None]


@dataclass(frozen=True)
class Trend:
    """source, target : cluster ids.  inside, liked : positions of the items that are looked at first, and of those liked then.
    apart : bool by position, items that are of neither cluster."""

    source: int
    target: int
    inside: np.ndarray
    liked: np.ndarray
    apart: np.ndarray


def simulate_week(shop: Shop, *, sessions: int = SESSIONS, progress: Told = lambda doing, share: None) -> Proposed | None:
    """Let the week before the last Monday (UTC) be lived through, learned from and judged; None where it was before.

    Interrupted, it may be called again: what is there already is written once. Raises VisitorsError where the shop's shoppers are
    real, where nothing serves, or where no two of its clusters are related enough.
    """
    if shop.settings.get("simulated") is not True:
        raise VisitorsError(f"the shoppers of {shop} are real: made ones would be mixed with them")
    until = week_start(timezone.now()).timestamp()
    if shop.settings.get("simulated_week") == until:
        return None
    try:
        engine = releases.load_active(shop.pk)
    except releases.ReleaseError as error:
        raise VisitorsError(str(error)) from error
    trends = trends_of(engine)
    if not trends:
        raise VisitorsError(f"no two clusters of {shop} are related enough for a trend from one to the other")
    _make_history(shop, until)
    world = build_world(engine.catalogue, *versions.current(shop), seed=SEED)
    crowd = Crowd(world, HABITS, seed=SEED)
    waiting: list[tuple[Entry, Record]] = []
    for n in range(sessions):
        at = until - DAYS * 86_400.0 * (1.0 - n / sessions)
        browser, context = crowd.comes(n, at)
        key = f"week-{until:.0f}-{n}"
        waiting += _visit(shop, engine, trends[n % len(trends)], browser, n, key=key, at=at, context=context)
        if (n + 1) % AT_ONCE == 0 or n + 1 == sessions:
            with transaction.atomic():
                archiving.write(Shop.objects.select_for_update(no_key=True).get(pk=shop.pk), waiting)
            waiting = []
            progress("visits", 0.8 * (n + 1) / sessions)
    progress("learning", 0.8)
    policies.learn_policy(shop, at_once=True)
    progress("judging", 0.9)
    found = propose_cluster_changes(shop)
    with transaction.atomic():
        row = Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        row.settings = {**row.settings, "simulated_week": until, "simulated_trends": [[t.source, t.target] for t in trends]}
        row.save(update_fields=["settings"])
    return found


def trends_of(engine: Engine) -> list[Trend]:
    """At most `TRENDS` clusters, each with one that its expansions lead to: those first that are led to often and whose expansion
    changes slates most. No cluster is in two.

    Where an expansion is hardly ever drawn, or brings next to nothing to a slate, shoppers could like what they please: nobody
    would come to know it.
    """
    clusters = engine.clusters
    if not len(clusters):
        return []
    of_item = clusters.of_item.tocsc()
    strongest = np.asarray(of_item.argmax(axis=1)).ravel()
    found: list[tuple[float, Trend]] = []
    for source in range(len(clusters.cluster_ids)):
        mine = np.asarray(of_item[:, [source]].toarray()).ravel() > 0
        inside = np.flatnonzero(mine & (strongest == source))
        if clusters.locked[source] or len(inside) < LEAST_ITEMS or mine.all():
            continue
        states, led = _led_to(engine, source, inside, np.flatnonzero(~mine))
        for target, chance in sorted(led.items(), key=lambda each: -each[1])[:TARGETS]:
            theirs = np.asarray(of_item[:, [target]].toarray()).ravel() > 0
            liked = np.array(engine.reach.way(source, target).items, dtype=np.intp)
            if chance < LEAST_CHANCE or len(liked) < LEAST_ITEMS:
                continue
            ids = clusters.cluster_ids.item(source), clusters.cluster_ids.item(target)
            trend = Trend(*ids, inside, liked, ~mine & ~theirs)
            if (gain := _brings(engine, trend, states)) >= LEAST_BROUGHT:
                found.append((chance * gain, trend))
    chosen: list[Trend] = []
    taken: set[int] = set()
    for _, trend in sorted(found, key=lambda each: (-each[0], each[1].source)):
        if len(chosen) < TRENDS and not taken & {trend.source, trend.target}:
            chosen.append(trend)
            taken |= {trend.source, trend.target}
    return chosen


def _led_to(engine: Engine, source: int, inside: np.ndarray, outside: np.ndarray) -> tuple[list[SessionState], dict[int, float]]:
    """States of a few visits after a look elsewhere and some at a cluster (position); and target position -> chance, a mean over
    them, that the policy then led there."""
    rng = np.random.default_rng((SEED, source))
    own = engine.clusters.cluster_ids.item(source)
    states: list[SessionState] = []
    led: dict[int, float] = {}
    for n in range(TRIED):
        state = loop.start(engine, shop=0, session=f"trend-{source}-{n}", at=0.0)
        looks = [*rng.choice(outside, 1).tolist(), *rng.choice(inside, OF_SOURCE[0], replace=False).tolist()]
        for place, position in enumerate(looks):
            item = int(engine.catalogue.item_ids[position])
            event = Event(f"look-{place}", "view_item", at=0.0, received_at=0.0, items=(item,))
            state, decisions, _ = loop.observe_with_decisions(engine, state, event)
            for decision in decisions:
                for option, chance in zip(decision.options, decision.propensities, strict=True):
                    if decision.cluster == own and option.target:
                        target = engine.clusters.position_of[option.target]
                        led[target] = led.get(target, 0.0) + chance / TRIED
        states.append(state)
    return states, led


def _brings(engine: Engine, trend: Trend, states: list[SessionState]) -> float:
    """Share of a slate's slots that an expansion gives to the trend's items, a mean over states."""
    liked = set(engine.catalogue.item_ids[trend.liked].tolist())
    share = 0.0
    for state in states:
        plain = replace(state.adapted, weight={}, expanded={}, brought={}, engaged={}, outside=0)
        grown = replace(
            plain,
            weight={trend.target: engine.bounds.expand_to},
            expanded={trend.target: trend.source},
            brought={trend.target: len(trend.liked)},
        )
        for adapted, sign in ((grown, 1.0), (plain, -1.0)):
            request = Request(now=0.0, count=COUNT, explore=0.0, reasons=False)
            _, slate = loop.recommend(engine, replace(state, adapted=adapted), request, loop.draws(state))
            share += sign * sum(shown.item in liked for shown in slate.items) / COUNT
    return share / len(states)


def _make_history(shop: Shop, until: float) -> None:
    """Have the week count as of the history that the shop was set up with: what is learned from goes up to its end."""
    with transaction.atomic():
        row = Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        row.settings = {**row.settings, "simulated_until": max(float(row.settings.get("simulated_until") or 0.0), until)}
        row.save(update_fields=["settings"])


def _visit(
    shop: Shop, engine: Engine, trend: Trend, browser: Browser, number: int, *, key: str, at: float, context: dict[str, str]
) -> Iterator[tuple[Entry, Record]]:
    """One visit's commits, as the turns of its pages would log them."""
    rng = np.random.default_rng((SEED, number, 9))
    state = loop.start(engine, shop=shop.pk, session=key, at=at, context=context)
    best = np.argsort(-np.where(trend.apart, browser.utility, -np.inf))[:OWN_BEST]
    own = rng.permutation(best)[: rng.integers(*OWN)]
    first = [*own.tolist(), *rng.permutation(trend.inside)[: rng.integers(*OF_SOURCE)].tolist()]
    browser.utility[trend.liked] += LIKED
    browser.liking = browser.liking.copy()
    browser.liking[trend.liked] += LIKED
    browser.popularity = browser.popularity.copy()
    browser.popularity[trend.liked] = UNTHOUGHT
    browser.known[first] = SEEN
    events: list[Event] = []
    now, pages, leaves = at, 0, False
    for position in first:
        now += float(rng.uniform(*LOOKS_S))
        item = int(engine.catalogue.item_ids[position])
        events.append(Event(f"{key}-first-{len(events)}", "view_item", at=now, received_at=now, items=(item,)))
    while events or not leaves:
        decisions: list[LoggedDecision] = []
        blocked: list[LoggedBlocked] = []
        for event in events:
            state, decided, stopped = loop.observe_with_decisions(engine, state, event)
            decisions += [LoggedDecision.of(event, each) for each in decided]
            blocked += [LoggedBlocked(event.event_id, event.at, *each) for each in stopped]
        told, slate = events, None
        if not leaves:
            state, slate = loop.recommend(engine, state, Request(now=now, count=COUNT, reasons=False), loop.draws(state))
        archetypes = state.persona.archetypes
        yield _entry(
            Record(
                shop=shop.pk,
                session=key,
                shopper="",
                context=context,
                release=engine.release,
                version=state.version,
                started_at=at,
                at=now,
                origin=SIMULATED,
                events=tuple(LoggedEvent.of(event, _refs(engine, event)) for event in told),
                decisions=tuple(decisions),
                blocked=tuple(blocked),
                slate=None if slate is None else logged(slate, now, {}),
                belief=dict(zip(archetypes, np.exp(state.persona.log_belief).round(4).tolist(), strict=True)),
                shares=dict(zip(archetypes, np.round(shares(state.persona), 4).tolist(), strict=True)),
                steps=state.persona.steps,
            )
        )
        if slate is None:
            return
        page = browser.turn(positions(engine, slate))
        events, now = told_by(engine, page, slate, now=now, key=f"{key}-{pages}")
        events = _with_click(events, page, slate)
        pages, leaves = pages + 1, page.item < 0


def _with_click(events: list[Event], page: Page, slate: Slate) -> list[Event]:
    """A page's events with the click on the slate that led to the look, as shops' pages tell of it."""
    if page.chosen < 0:
        return events
    at = next(n for n, event in enumerate(events) if event.name == "view_item")
    look, of = events[at], slate.recommendation_id
    return [
        *events[:at],
        replace(look, event_id=f"{look.event_id}-click", name="select_item", recommendation_id=of),
        *events[at:],
    ]


def _refs(engine: Engine, event: Event) -> tuple[str, ...]:
    """External ids of an event's items."""
    return tuple(engine.catalogue.external_ids[p] for p in engine.catalogue.positions(list(event.items)).tolist())


def _entry(record: Record) -> tuple[Entry, Record]:
    """A record with its place in a log: by its time, and by its version within it."""
    return Entry(0, f"{int(1e3 * record.at)}-{record.version}", encode_record(record)), record
