"""A seeded shop whose shoppers' personas are known: what the persona tests measure against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from personas.archetypes import Archetype, Attribute
from personas.encoding import ItemFacts
from personas.events import CODE
from personas.sessions import SessionLog

CATEGORIES = ("boots", "coats", "hats", "scarves")
ATTRIBUTES = (
    Attribute(11, "thrift", "Thrift", "", {"price_tier=low": 1.0}),
    Attribute(12, "luxury", "Luxury", "", {"price_tier=top": 1.0}),
    Attribute(13, "boots", "Boots", "", {"category=boots": 1.0}),
    Attribute(14, "hats", "Hats", "", {"category=hats": 1.0}, {"event=add_to_cart": 0.5}),
)
ARCHETYPES = tuple(Archetype(20 + i, a.key, a.name, "tag", "#E69F00", {a.key: 1.0}) for i, a in enumerate(ATTRIBUTES))
DESCRIPTORS = tuple(f"category={c}" for c in CATEGORIES) + tuple(f"price_tier={t}" for t in ("low", "middle", "upper", "top"))


@dataclass(frozen=True)
class World:
    """facts of 160 items, a log of `code` view and cart events 20 s apart, and (N,) the persona behind each event."""

    facts: ItemFacts
    item_descriptors: sparse.csr_matrix
    log: SessionLog
    persona: np.ndarray
    transition: np.ndarray
    likelihood: np.ndarray


def world(seed: int, sessions: int = 1_500, stay: float = 0.95) -> World:
    """Sessions of 3 to 12 events; personas choose items by category and price tier, and overlap.

    likelihood : (4 personas, 160 items) probability of each item.  transition : (4, 4).
    """
    rng = np.random.default_rng(seed)
    n, k = 160, len(ARCHETYPES)
    category = (np.arange(n) % 4).astype(np.int16)
    tier = ((np.arange(n) // 4) % 4).astype(np.int8)
    taste = np.ones((k, n))
    taste[0] *= np.where(tier == 0, 5.0, 1.0)
    taste[1] *= np.where(tier == 3, 5.0, 1.0)
    taste[2] *= np.where(category == 0, 6.0, 1.0)
    taste[3] *= np.where(category == 2, 6.0, 1.0)
    taste /= taste.sum(axis=1, keepdims=True)
    transition = np.full((k, k), (1.0 - stay) / (k - 1))
    np.fill_diagonal(transition, stay)
    lengths = rng.integers(3, 13, sessions)
    persona = np.empty(lengths.sum(), dtype=np.int64)
    heads = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    previous = rng.integers(0, k, sessions)
    for t in range(lengths.max()):
        alive = lengths > t
        if t:
            moved = rng.random(sessions) > stay
            previous = np.where(moved, (previous + rng.integers(1, k, sessions)) % k, previous)
        persona[heads[alive] + t] = previous[alive]
    cumulative = taste.cumsum(axis=1)
    draws = rng.random(len(persona))
    items = np.minimum((cumulative[persona] < draws[:, None]).sum(axis=1), n - 1)
    session = np.repeat(np.arange(sessions), lengths)
    place = np.arange(len(persona)) - heads[session]
    code = np.where(rng.random(len(persona)) < 0.1, CODE["add_to_cart"], CODE["view_item"])
    log = SessionLog.of(session, items, 1_700_000_000.0 + 10_000.0 * session + 20.0 * place, code=code)
    columns = np.column_stack((category, 4 + tier)).ravel()
    matrix = sparse.csr_matrix((np.ones(2 * n, np.float32), columns, np.arange(0, 2 * n + 1, 2)), shape=(n, len(DESCRIPTORS)))
    return World(ItemFacts(category, tier, CATEGORIES), matrix, log, persona, transition, taste)
