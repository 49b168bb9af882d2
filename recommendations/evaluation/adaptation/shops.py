"""A small shop whose shoppers are known, with an engine trained on what they did: where ways to adapt are compared.

Themes cut across categories, and each persona likes a few of them: clusters learned from visits then hold what a persona
likes beside what it doesn't, as real ones do, and there is something to expand into and something to contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from clusters.catalogue import Catalogue, ItemRow, build_catalogue
from personas.archetypes import Archetype, Attribute
from personas.events import Event
from recommendations.engine import Engine
from recommendations.evaluation.simulation import World, build_world, to_log
from recommendations.evaluation.simulation.browsing import Habits
from recommendations.evaluation.simulation.crowd import Crowd
from recommendations.evaluation.simulation.seasons import without
from recommendations.training import train_engine

CATEGORIES, THEMES, EACH = 6, 8, 8
"""Categories and themes of the shop, and items of each pair: 384."""

LIKED = 3
"""Themes that a persona likes."""

PERSONAS = 6
START = 1_700_000_000.0
LOG_DAYS = 30.0


NEW = 0.05
"""Share of the items that come after the log: nobody has seen them when shoppers meet the engine."""


@dataclass(frozen=True)
class Shop:
    """An engine, and the world whose shoppers it was trained on."""

    engine: Engine
    world: World


@dataclass(frozen=True)
class _Visit:
    """A session as `to_log` reads it."""

    key: str
    events: tuple[Event, ...]
    context: dict[str, str]
    shopper: str = ""
    demographics: dict[str, str] = field(default_factory=dict)


def made_shop(seed: int, *, sessions: int = 1_500, habits: Habits | None = None) -> Shop:
    """The shop of a seed: its items, its personas' tastes and its log are the seed's, its engine is trained on the log.

    The log is of the same shoppers as those that meet the engine, before there were recommendations: they looked alone.
    """
    catalogue, attributes, archetypes = _goods(seed)
    world = build_world(catalogue, attributes, archetypes, seed=seed)
    crowd = Crowd(world, habits or Habits(), seed=seed)
    visits = [_alone(crowd, s, sessions) for s in range(sessions)]
    log, contexts = to_log((v for v in visits if v.events), catalogue)
    new = np.random.default_rng((seed, 19)).choice(len(catalogue), round(NEW * len(catalogue)), replace=False)
    kept = log.where(without(log.position, new))
    told = dict(zip(log.keys.tolist(), contexts, strict=True))
    engine = train_engine(
        kept,
        catalogue,
        attributes=attributes,
        archetypes=archetypes,
        contexts=[told[key] for key in kept.keys.tolist()],
        seed=seed,
        most_examples=20_000,
    )
    return Shop(engine, world)


def _alone(crowd: Crowd, s: int, sessions: int) -> _Visit:
    """A session without recommendations."""
    at = START + LOG_DAYS * 86_400.0 * s / sessions
    browser, context = crowd.comes(-1 - s, at)
    key = f"alone-{s}"
    events: list[Event] = []
    while (page := browser.turn(np.zeros(0, dtype=np.intp))).item >= 0:
        items = (int(crowd.world.catalogue.item_ids[page.item]),)
        names = ["view_item"] + ["add_to_cart"] * page.carted + ["purchase"] * page.bought
        for name in names:
            events.append(Event(event_id=f"{key}-{len(events)}", name=name, at=at, received_at=at, items=items))
            at += page.dwell_s
    return _Visit(key, tuple(events), context)


def _goods(seed: int) -> tuple[Catalogue, tuple[Attribute, ...], tuple[Archetype, ...]]:
    rng = np.random.default_rng((seed, 17))
    rows: list[ItemRow] = []
    for c in range(CATEGORIES):
        for t in range(THEMES):
            for _ in range(EACH):
                n = len(rows) + 1
                title = f"theme{t} category{c} {n}"
                rows.append(ItemRow(n, f"sku-{n}", title, f"category{c}", price=float(rng.uniform(10, 90)), tags=(f"theme{t}",)))
    attributes = tuple(Attribute(t + 1, f"likes-{t}", f"Theme {t}", "", {f"tag=theme{t}": 1.0}) for t in range(THEMES)) + tuple(
        Attribute(THEMES + c + 1, f"wants-{c}", f"Category {c}", "", {f"category=category{c}": 1.0}) for c in range(CATEGORIES)
    )
    archetypes = []
    for k in range(PERSONAS):
        liked = rng.choice(THEMES, LIKED, replace=False)
        wanted = rng.choice(CATEGORIES, 2, replace=False)
        mix = {f"likes-{t}": 1.0 for t in liked.tolist()} | {f"wants-{c}": 0.5 for c in wanted.tolist()}
        archetypes.append(Archetype(k + 1, f"persona-{k}", f"Persona {k}", mix=mix))
    return build_catalogue(rows), attributes, tuple(archetypes)
