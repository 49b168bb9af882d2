"""Segment's HTTP tracking API: `track`, `page`, `screen`, `identify` and `batch` calls.

References: Segment, "HTTP API Source"; "Spec: V2 Ecommerce Events", and the names of V1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from personas.events import EventError
from recommendations.serving.aliases import Entry, Ids, country, number, object_at, one_of, seconds

NAMES = {
    "product viewed": "view_item",
    "viewed product": "view_item",
    "product clicked": "select_item",
    "clicked product": "select_item",
    "product list viewed": "view_item_list",
    "viewed product category": "view_item_list",
    "product list filtered": "view_item_list",
    "products searched": "search",
    "product added": "add_to_cart",
    "added product": "add_to_cart",
    "wishlist product added to cart": "add_to_cart",
    "product removed": "remove_from_cart",
    "removed product": "remove_from_cart",
    "product added to wishlist": "add_to_wishlist",
    "order completed": "purchase",
    "completed order": "purchase",
    "order refunded": "refund",
    "order cancelled": "refund",
}
"""Names of the e-commerce spec in lower case, and what they are here."""

CALLS = ("track", "page", "screen", "identify", "alias", "group")
DEVICES = {"ios": "mobile", "android": "mobile", "phone": "mobile", "mobile": "mobile", "tablet": "tablet", "desktop": "desktop"}


def read(payload: Mapping[str, Any]) -> list[Entry]:
    """A payload's entries: of a `batch`, or the one call that it is. Raises EventError if it is neither.

    The session is `context.sessionId` where it is told, else the `anonymousId`, else the `userId`.
    """
    ids = Ids()
    if "batch" not in payload:
        return [_entry(payload, {}, ids)]
    batch = payload["batch"]
    if not isinstance(batch, list):
        raise EventError("batch", "must be a list")
    shared = object_at(payload, "context")
    return [_entry(call, shared, ids) for call in batch]


def _entry(call: object, shared: Mapping[str, Any], ids: Ids) -> Entry:
    message = call.get("messageId") if isinstance(call, dict) else None
    event_id = message if isinstance(message, str) else ""
    try:
        if not isinstance(call, dict):
            raise EventError("event", "must be an object")
        return _read(call, {**shared, **object_at(call, "context")}, ids)
    except EventError as error:
        return Entry(event_id=event_id, refused=error)


def _read(call: Mapping[str, Any], context: Mapping[str, Any], ids: Ids) -> Entry:
    kind = _kind(call)
    shopper = one_of(call, "userId")
    session = one_of(context, "sessionId", "session_id") or one_of(call, "anonymousId", "sessionId") or shopper
    if not session:
        raise EventError("anonymousId", "is missing; give anonymousId or userId")
    content = {name: call[name] for name in ("type", "event", "name", "properties", "traits", "timestamp") if name in call}
    event_id = one_of(call, "messageId", "requestId") or ids.of(session, content, timed=call.get("timestamp") is not None)
    whose = Entry(event_id, session, shopper, context=_context(context))
    if kind in {"identify", "page", "screen"} and shopper:
        return whose
    if kind != "track":
        return Entry(event_id=event_id, ignored=f"{kind} calls say nothing here")
    name = call.get("event")
    if not isinstance(name, str):
        raise EventError("event", "is missing; a track call names its event")
    ours = NAMES.get(name.strip().lower())
    if ours is None:
        return Entry(event_id=event_id, ignored=f"{name[:60]!r} is not of the e-commerce spec, or says nothing here")
    event = _event(ours, object_at(call, "properties")) | {"event_id": event_id, "name": ours}
    if ours == "view_item_list" and not event["items"]:
        return Entry(event_id=event_id, ignored="a list without products says nothing here")
    if call.get("timestamp") is not None:
        event["timestamp"] = seconds("timestamp", call["timestamp"])
    return replace(whose, event=event)


def _kind(call: Mapping[str, Any]) -> str:
    """Which call it is: by `type`, or, since each call has an address of its own there, by what only it has."""
    told = call.get("type", call.get("action"))
    if told is not None:
        if told not in CALLS:
            raise EventError("type", f"{str(told)[:40]!r} is none of {', '.join(CALLS)}")
        return str(told)
    if "event" in call:
        return "track"
    if "previousId" in call:
        return "alias"
    if "groupId" in call:
        return "group"
    return "identify" if "traits" in call else "page"


def _event(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of our event."""
    event: dict[str, Any] = {}
    if token := one_of(properties, "recommendation_id"):
        event["recommendation_id"] = token
    if name == "search":
        query = properties.get("query")
        if not isinstance(query, str):
            raise EventError("properties.query", "must be the words that were searched for")
        return event | {"search_term": query}
    # Their `revenue` is without shipping and tax, `total` with both.
    if (worth := properties.get("revenue", properties.get("total"))) is not None:
        event["value"] = number(worth)
    products = properties.get("products")
    if products is None:
        products, place = ([properties] if _id(properties) else []), "properties"
    elif isinstance(products, list):
        place = "properties.products"
    else:
        raise EventError("properties.products", "must be a list")
    items = []
    for i, product in enumerate(products):
        where = place if place == "properties" else f"{place}[{i}]"
        if not isinstance(product, dict):
            raise EventError(where, "must be an object")
        if not (item := _id(product)):
            raise EventError(f"{where}.product_id", "is missing; give product_id or sku")
        entry: dict[str, Any] = {"item_id": item}
        for ours, theirs in (("price", "price"), ("quantity", "quantity")):
            if product.get(theirs) is not None:
                entry[ours] = number(product[theirs])
        position = number(product.get("position"))
        if isinstance(position, int | float) and position >= 1 and name == "view_item_list":
            entry["index"] = position - 1  # theirs count from 1
        items.append(entry)
    if not items and name != "view_item_list":
        where = "properties.products" if name in {"purchase", "refund"} else "properties.product_id"
        raise EventError(where, "is missing; there must be a product")
    return event | {"items": items}


def _id(product: Mapping[str, Any]) -> str:
    return one_of(product, "product_id", "id", "sku")


def _context(context: Mapping[str, Any]) -> dict[str, str]:
    """Evidence of what Segment tells of the page's surroundings."""
    found: dict[str, str] = {}
    device, location = context.get("device"), context.get("location")
    if isinstance(device, dict) and isinstance(device.get("type"), str) and (told := DEVICES.get(device["type"].lower())):
        found["device"] = told
    if isinstance(location, dict):
        found |= country(location.get("country"))
    return found
