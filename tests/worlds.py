"""A small seeded shop whose structure is known, for tests that need a trained engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clusters.catalogue import Catalogue, ItemRow, build_catalogue
from personas.events import CODE, Event
from personas.sessions import SessionLog
from recommendations.engine import Engine
from recommendations.training import train_engine

CATEGORIES = ("skirts", "trousers", "blouses", "shoes")
COLOURS = ("blue", "red", "green")
MONDAY = 1_600_000_000.0


@dataclass(frozen=True)
class World:
    catalogue: Catalogue
    log: SessionLog
    group: np.ndarray
    """(n,) the planted group of each item: its category and colour."""


def make_world(*, seed: int = 0, per_group: int = 6, sessions: int = 400, stay: float = 0.85) -> World:
    """Items of 4 categories x 3 colours; a session stays in its group with probability `stay`, else jumps."""
    rng = np.random.default_rng(seed)
    rows, group = [], []
    for g, (category, colour) in enumerate((c, k) for c in CATEGORIES for k in COLOURS):
        for _ in range(per_group):
            n = len(rows) + 1
            price = float(rng.uniform(10, 100))
            rows.append(ItemRow(n, f"sku-{n}", f"{colour} {category} {n}", category, "", colour, price))
            group.append(g)
    of_group = [np.flatnonzero(np.array(group) == g) for g in range(max(group) + 1)]
    session, position, at, code = [], [], [], []
    for s in range(sessions):
        g = int(rng.integers(len(of_group)))
        clock = MONDAY + s * 600.0
        for _ in range(2 + int(rng.poisson(4))):
            if rng.random() > stay:
                g = int(rng.integers(len(of_group)))
            session.append(s)
            position.append(int(rng.choice(of_group[g])))
            code.append(CODE["add_to_cart"] if rng.random() < 0.1 else CODE["view_item"])
            at.append(clock)
            clock += float(rng.uniform(5, 90))
    log = SessionLog.of(np.array(session), np.array(position), np.array(at), code=np.array(code))
    return World(build_catalogue(rows), log, np.array(group))


def train_world(world: World, **options: object) -> Engine:
    return train_engine(world.log, world.catalogue, **options)  # type: ignore[arg-type]


def event(n: int, name: str = "view_item", item: int = 1, *, at: float | None = None, **fields: object) -> Event:
    """The n-th event of a session, ten seconds apart."""
    moment = MONDAY + 1_000_000.0 + 10.0 * n if at is None else at
    items = () if name == "search" else (item,)
    return Event(event_id=f"e{n}", name=name, at=moment, received_at=moment, **({"items": items} | fields))  # type: ignore[arg-type]
