"""A visit of a shopper made to order, and the slates that it would get: by the engine's own two functions. Pure.

Nobody's belief is set by hand. A mix of personas comes in where a returning shopper's does, as what earlier visits have left
(`engine.start`, `earlier`): it holds half of the prior (`personas.profile.EARLIER_SHARE`), who, where and when hold the other,
and every click moves the belief as it moves anybody's. Earlier purchases come in as evidence (`personas.history`) and as what the
shopper may want again (`ranking.reminders`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from personas import memory as blending
from personas import profile as personas
from personas.events import CODE, Event
from personas.history import Purchase, purchase_evidence
from personas.sessions import NO_ITEM
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.overlay import with_overlay
from recommendations.ranking.reminders import reminders_of
from recommendations.session import Request, SessionState, Slate, SlateItem

STEP_S = 20.0
"""Seconds between two clicks."""

SESSION = "preview"


class Click(NamedTuple):
    """One event of the visit. name : of `personas.events.NAMES`.  item : its id, 0 for a search.  query : of a search."""

    name: str
    item: int = 0
    query: str = ""


@dataclass(frozen=True)
class Visit:
    """What somebody made to order is and does.

    mix : archetype id -> share, summing to at most 1; {} for nobody in particular.  context : evidence by variable.
    bought : ids of items, each bought on an earlier visit of its own.  at : seconds since the epoch, when the visit is now.
    """

    at: float
    mix: Mapping[int, float] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    bought: tuple[int, ...] = ()
    clicks: tuple[Click, ...] = ()


class Believed(NamedTuple):
    """Whom a visit is taken for. shares : archetype id -> probability.  unsure : as the profile says."""

    shares: dict[int, float]
    unsure: bool


class Slot(NamedTuple):
    """One slot of a slate beside another. change : "new", "up", "down", "gone" or ""."""

    item: SlateItem
    change: str


def begun(engine: Engine, visit: Visit, *, shop: int) -> SessionState:
    """The state after all clicks. Items that the catalogue lacks are left out."""
    model, catalogue = engine.personas, engine.catalogue
    positions = [catalogue.position(item) for item in visit.bought]
    bought = [(n, p) for n, p in enumerate(positions) if p != NO_ITEM]
    history = purchase_evidence([Purchase(n, p) for n, p in bought], model.facts) if bought else {}
    state = loop.start(
        engine,
        shop=shop,
        session=SESSION,
        at=visit.at - STEP_S * (len(visit.clicks) + 1),
        context={**visit.context, **history},
        earlier=blending.earlier(visit.mix, model.ids, np.exp(model.hmm.log_initial)),
        own=reminders_of([(int(catalogue.item_ids[p]),) for _, p in bought]),
    )
    for n, click in enumerate(visit.clicks):
        if click.name not in CODE or (click.item and catalogue.position(click.item) == NO_ITEM):
            continue
        at = visit.at - STEP_S * (len(visit.clicks) - n)
        items = (click.item,) if click.item else ()
        state = loop.observe(engine, state, Event(f"{SESSION}-{n}", click.name, at, at, items, query=click.query))
    return state


def believed(engine: Engine, state: SessionState) -> Believed:
    """Whom the visit is taken for after its last click."""
    told = personas.profile(engine.personas, state.persona)
    return Believed(dict(zip(told.archetypes, told.belief, strict=True)), told.unsure)


def slate(engine: Engine, state: SessionState, request: Request) -> Slate:
    """The slate that the visit would get, without exploration: chance is no effect of an edit."""
    _, given = loop.recommend(engine, state, replace(request, explore=0.0), loop.generator(state))
    return given


def with_rules_for_all(engine: Engine) -> Engine:
    """The engine under its overlay, every rule acting on every visit: somebody made up is nobody to be held out."""
    rules = engine.overlay.rules
    if not any(rule.holdout for rule in rules):
        return engine
    return with_overlay(engine, replace(engine.overlay, rules=tuple(replace(rule, holdout=0.0) for rule in rules)))


def beside(before: Sequence[SlateItem], after: Sequence[SlateItem]) -> tuple[tuple[Slot, ...], tuple[Slot, ...]]:
    """Both slates, each slot with how it differs from the other slate."""
    was, now = ({each.item: each.slot for each in side} for side in (before, after))
    return (
        tuple(Slot(each, "" if each.item in now else "gone") for each in before),
        tuple(Slot(each, _moved(was.get(each.item), each.slot)) for each in after),
    )


def _moved(before: int | None, now: int) -> str:
    if before is None:
        return "new"
    return "up" if now < before else "down" if now > before else ""
