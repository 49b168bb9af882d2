"""One visit: a simulated shopper looks at the slates that are served, chooses, and the page tells what it saw.

How the shopper looks and chooses is `evaluation.simulation.browsing`; only time is real here, and the shop.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clusters.catalogue import MISSING, Catalogue
from recommendations.evaluation.simulation.browsing import LEAVES, Browser, Page
from recommendations.visitors.doors import Doors

COUNT = 12
SIMILAR = 0.35
"""Chance that a shopper who looks at an item goes on from what is like it, and not from the shop's first page."""

SEARCHES = 0.3
"""Chance that what a shopper finds alone was searched for."""

LOOKS_S = (1.5, 6.0)
"""Seconds, uniform, that a shopper looks over a slate."""

LONGEST_DWELL_S = 45.0


@dataclass(frozen=True)
class Told:
    """What came of a visit: events told, and whether something was bought."""

    events: int
    bought: bool


async def visit(
    doors: Doors, catalogue: Catalogue, shopper: Browser, context: dict[str, str], *, rng: np.random.Generator, pace: float = 1.0
) -> Told:
    """A visit from its first slate until the shopper leaves. pace : by which all times are multiplied.

    Raises DoorError if the system can't be reached.
    """
    session = f"visitor-{uuid.UUID(bytes=rng.bytes(16)).hex}"
    token = await doors.token(session)
    ask: dict[str, Any] = {"context": "home", "count": COUNT}
    basket: list[dict[str, Any]] = []
    told = 0
    while True:
        slate = await doors.slate(token, session, context, ask)
        shown = [entry["item_id"] for entry in slate["items"]]
        known = [(i, external) for i, external in enumerate(shown) if external in catalogue.id_of]
        positions = catalogue.positions(catalogue.ids_of([external for _, external in known]))
        await asyncio.sleep(pace * float(rng.uniform(*LOOKS_S)))
        page = shopper.turn(positions)
        events = _seen(slate, page, known) + _chosen(catalogue, slate, page, shown, searched=rng.random() < SEARCHES)
        if events:
            await doors.tell(token, session, events)
        told += len(events)
        if page.item >= 0:
            external = catalogue.external_ids[page.item]
            dwell_s = min(page.dwell_s, LONGEST_DWELL_S)
            await asyncio.sleep(pace * dwell_s)
            after = [_event("user_engagement", [external], engagement_time_msec=round(1e3 * dwell_s))]
            if page.carted:
                after.append(_event("add_to_cart", [{"item_id": external, **_price(catalogue, page.item)}]))
            if page.bought:
                basket.append({"item_id": external, **_price(catalogue, page.item)})
            await doors.tell(token, session, after)
            told += len(after)
            near = rng.random() < SIMILAR
            ask = {"context": "similar", "count": COUNT, "item_id": external} if near else {"context": "home", "count": COUNT}
        if page.chosen == LEAVES:
            break
    if basket:
        await doors.tell(token, session, [_event("purchase", basket)])
        told += 1
    return Told(told, bool(basket))


def _seen(slate: dict[str, Any], page: Page, known: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """The page's report of what was on the screen, if it makes one."""
    if not page.told or not len(page.screen):
        return []
    items = [{"item_id": external, "index": slot} for slot, external in known[: len(page.screen)]]
    return [_event("view_item_list", items, recommendation_id=slate["recommendation_id"])]


def _chosen(catalogue: Catalogue, slate: dict[str, Any], page: Page, shown: list[str], *, searched: bool) -> list[dict[str, Any]]:
    """What the shopper turned to: an item of the slate, or one found alone."""
    if page.item < 0:
        return []
    external = catalogue.external_ids[page.item]
    view = _event("view_item", [{"item_id": external, **_price(catalogue, page.item)}])
    if page.chosen >= 0:
        items = [{"item_id": external, "index": shown.index(external)}]
        return [_event("select_item", items, recommendation_id=slate["recommendation_id"]), view]
    category = int(catalogue.category[page.item])
    if searched and category != MISSING:
        return [_event("search", [], search_term=catalogue.categories[category]), view]
    return [view]


def _price(catalogue: Catalogue, position: int) -> dict[str, float]:
    price = float(catalogue.price[position])
    return {} if np.isnan(price) else {"price": price}


def _event(name: str, items: Sequence[str | dict[str, Any]], **details: Any) -> dict[str, Any]:
    listed = [{"item_id": item} if isinstance(item, str) else item for item in items]
    return {
        "event_id": uuid.uuid4().hex,
        "name": name,
        "timestamp_micros": time.time_ns() // 1_000,
        **({"items": listed} if listed else {}),
        **details,
    }
