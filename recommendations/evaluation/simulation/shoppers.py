"""Shoppers at work: who comes when, as which persona, and one session (`walk`) after another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from personas.events import Event
from recommendations.evaluation.simulation.kinds import KINDS, SHIFTS, Kinds, draw_length, shift_shares
from recommendations.evaluation.simulation.posterior import Exact, Trace, exact
from recommendations.evaluation.simulation.walk import Show, Visit, Walk, pick
from recommendations.evaluation.simulation.world import (
    ANY,
    CONTEXT,
    DEMOGRAPHICS,
    OTHER_MAIN,
    OVERLAP,
    USUAL_MAIN,
    Tastes,
    World,
    soften,
)

KNOWN = 0.4
"""Share of sessions by shoppers with an id."""

VISITS = 4.0
"""Sessions of a known shopper, on average."""

CONCENTRATION = 8.0
"""Of the Dirichlet from which a known shopper's own persona shares come."""

REFUNDS, WEATHER_TOLD = 0.05, 0.8
DAY_S = 86_400.0


@dataclass(frozen=True)
class SimulatedSession:
    """A session of N events whose truth is known; K personas in the order of `World.personas`.

    shopper : id, "" for a guest.  kind : of `KINDS`.  demographics : of a known shopper, else empty.
    personas : (N,) int, who acted.  shift_at : the second persona's first event in a shifting session, else None.
    trace, first, second, kinds : what `posterior.exact` takes.
    """

    key: str
    shopper: str
    kind: str
    events: tuple[Event, ...]
    context: dict[str, str]
    demographics: dict[str, str]
    personas: np.ndarray
    shift_at: int | None
    trace: Trace
    first: np.ndarray
    second: np.ndarray
    kinds: Kinds

    @property
    def posterior(self) -> np.ndarray:
        """(N, K) P(persona acting at event n | events <= n, context, time of day, demographics)."""
        return self._exact.persona

    @property
    def kind_posterior(self) -> np.ndarray:
        """(N, 3) P(kind | the same), in the order of `KINDS`."""
        return self._exact.kind

    @property
    def shifted(self) -> np.ndarray:
        """(N, K) P(the session has shifted to that persona | the same): the best detector of shifts there is."""
        return self._exact.shifted

    @cached_property
    def _exact(self) -> Exact:
        return exact(self.trace, self.first, self.second, self.kinds)


@dataclass(frozen=True)
class Heads:
    """What is drawn of S sessions before they start, in order of time. shopper : place in `demographics`, -1 for a guest."""

    start: np.ndarray
    shopper: np.ndarray
    kind: np.ndarray
    first: np.ndarray
    second: np.ndarray
    context: dict[str, np.ndarray]
    demographics: dict[str, np.ndarray]


def simulate(
    world: World,
    *,
    sessions: int,
    seed: int,
    start_at: float,
    days: float = 30.0,
    kinds: Kinds | None = None,
    overlap: float = OVERLAP,
    show: Show | None = None,
) -> Iterator[SimulatedSession]:
    """Sessions in order of time, the same for the same arguments.

    start_at : seconds since the epoch; the first day begins at the UTC midnight before it.  days : whole days are used.
    kinds : shares of the kinds; by default `Kinds()`. With one persona every session is single.
    overlap : share of tastes and habits that all personas have in common, 0 to 1.
    show : chooses the first page's items in the shop's place, so that recommendations can be put into the loop.
    Raises ValueError on an overlap outside 0 to 1.
    """
    kinds = kinds or Kinds()
    if len(world.personas) == 1:
        kinds = Kinds(1.0, 0.0, 0.0)
    tastes = soften(world, overlap)
    heads = draw_heads(world, np.random.default_rng((seed, 0)), sessions, start_at, max(1, int(days)), kinds)
    bought: dict[int, list[int]] = {}
    for s in range(sessions):
        rng = np.random.default_rng((seed, 1, s))
        yield _session(world, tastes, heads, s, rng, kinds, bought, f"sim-{seed}-{s}", f"sim-{seed}-shopper-", show)


def draw_heads(world: World, rng: np.random.Generator, sessions: int, start_at: float, days: int, kinds: Kinds) -> Heads:
    many = max(1, round(sessions * KNOWN / VISITS))
    main = _draw(rng, np.tile(world.prior, (many, 1)))
    other = _draw(rng, world.second[main]) if len(world.personas) > 1 else main
    own = _own_shares(rng, world, main, other)
    shopper = np.where(rng.random(sessions) < KNOWN, rng.integers(0, many, sessions), -1)
    first = _draw(rng, np.where(shopper[:, None] >= 0, own[shopper], world.prior))
    kind = _draw(rng, np.tile(kinds.shares, (sessions, 1)))
    second = np.where(kind > 0, _draw(rng, world.second[first]), first)
    context = {name: _draw(rng, table[first]) for name, table in world.context.items()}
    context["weather"] = np.where(rng.random(sessions) < WEATHER_TOLD, context["weather"], -1)
    demographics = {name: _draw(rng, table[main]) for name, table in world.demographics.items()}
    day = rng.integers(0, days, sessions)
    start = math.floor(start_at / DAY_S) * DAY_S + DAY_S * (day + (context["daypart"] + rng.random(sessions)) / 4.0)
    by = np.argsort(start, kind="stable")
    in_order = {name: values[by] for name, values in context.items()}
    return Heads(np.round(start[by], 3), shopper[by], kind[by], first[by], second[by], in_order, demographics)


def _own_shares(rng: np.random.Generator, world: World, main: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(shoppers, K) each known shopper's persona shares, with mean `World.usual[main]` over all second personas."""
    k = len(world.personas)
    mean = USUAL_MAIN * np.eye(k)[main] + OTHER_MAIN * np.eye(k)[other] + ANY * world.prior
    gamma = rng.gamma(CONCENTRATION * mean)
    shares: np.ndarray = gamma / gamma.sum(axis=1, keepdims=True)
    return shares


def _draw(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """(m,) one value a row of (m, V) shares."""
    below = np.cumsum(shares, axis=1)
    return np.minimum((below < rng.random(len(shares))[:, None] * below[:, -1:]).sum(axis=1), shares.shape[1] - 1)


def _first(world: World, heads: Heads, s: int) -> np.ndarray:
    """(K,) P(first persona, context, demographics), up to a factor: the session's exact prior."""
    shopper = int(heads.shopper[s])
    if shopper < 0:
        weight = world.prior.copy()
    else:
        main = world.prior.copy()
        for name, table in world.demographics.items():
            main *= table[:, heads.demographics[name][shopper]]
        weight = main @ world.usual
    for name, table in world.context.items():
        value = int(heads.context[name][s])
        if value >= 0:
            weight = weight * table[:, value]
    return weight


def _session(
    world: World,
    tastes: Tastes,
    heads: Heads,
    s: int,
    rng: np.random.Generator,
    kinds: Kinds,
    bought: dict[int, list[int]],
    key: str,
    shopper_prefix: str,
    show: Show | None,
) -> SimulatedSession:
    shopper, kind = int(heads.shopper[s]), KINDS[heads.kind[s]]
    a, b = int(heads.first[s]), int(heads.second[s])
    context = {n: CONTEXT[n][v[s]] for n, v in heads.context.items() if v[s] >= 0 and n != "daypart"}
    demographics = {n: DEMOGRAPHICS[n][v[shopper]] for n, v in heads.demographics.items()} if shopper >= 0 else {}
    name = f"{shopper_prefix}{shopper}" if shopper >= 0 else ""
    shift = SHIFTS[pick(rng, shift_shares())] if kind == "shifting" else None
    length = draw_length(rng, shift)
    walk = Walk(world, tastes, rng, Visit(key, name, context, demographics, float(heads.start[s]), ()), show)
    earlier = bought.setdefault(shopper, []) if shopper >= 0 else []
    shift_at = None
    for step in range(length):
        if kind == "single":
            z = a
        elif kind == "mixed":
            z = (a, b)[int(rng.random() < 0.5)]
        else:
            z = b if shift is not None and step >= shift else a
            if step == shift:
                shift_at = len(walk.events)
        walk.begin(z)
        if step == 0 and earlier and rng.random() < REFUNDS:
            walk.tell("refund", earlier.pop())
        walk.step()
    earlier += walk.purchases
    trace = walk.trace()
    return SimulatedSession(
        key=key,
        shopper=name,
        kind=kind,
        events=tuple(walk.events),
        context=context,
        demographics=demographics,
        personas=np.array(walk.actors)[trace.step],
        shift_at=shift_at,
        trace=trace,
        first=_first(world, heads, s),
        second=world.second,
        kinds=kinds,
    )
