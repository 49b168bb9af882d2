"""Google Retail's user events (Vertex AI Search for commerce): of `userEvents:write`, `:collect` and `:import`.

References: Google Cloud, "About user events"; "UserEvent" of the Retail API, v2, and the event types of its forerunner, v1beta1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from personas.events import EventError
from recommendations.serving.aliases import Entry, Ids, number, object_at, one_of, seconds

NAMES = {
    "detail-page-view": "view_item",
    "add-to-cart": "add_to_cart",
    "remove-from-cart": "remove_from_cart",
    "purchase-complete": "purchase",
    "search": "search",
    "category-page-view": "view_item_list",
    "add-to-list": "add_to_wishlist",
    "refund": "refund",
    "impression": "view_item_list",
}
"""Event types, and what they are here."""


def read(payload: Mapping[str, Any]) -> list[Entry]:
    """A payload's entries: one event as it is, `userEvent` (an object, or JSON text as `:collect` has it), `userEvents`, or an
    import's inline source. Raises EventError if it is none of these.

    The session is the `sessionId` where it is told, else the `visitorId`.
    """
    events: object
    if "inputConfig" in payload:
        events = object_at(object_at(payload, "inputConfig"), "userEventInlineSource").get("userEvents")
    elif "userEvents" in payload:
        events = payload["userEvents"]
    elif "userEvent" in payload:
        events = [_parsed(payload["userEvent"])]
    else:
        events = [payload]
    if not isinstance(events, list):
        raise EventError("userEvents", "must be a list")
    ids = Ids()
    return [_entry(event, ids) for event in events]


def _parsed(event: object) -> object:
    if not isinstance(event, str):
        return event
    try:
        return json.loads(event)
    except (ValueError, RecursionError) as error:
        raise EventError("userEvent", "is not JSON") from error


def _entry(event: object, ids: Ids) -> Entry:
    try:
        if not isinstance(event, dict):
            raise EventError("userEvent", "must be an object")
        return _read(event, ids)
    except EventError as error:
        return Entry(refused=error)


def _read(told: Mapping[str, Any], ids: Ids) -> Entry:
    kind = told.get("eventType")
    if not isinstance(kind, str) or not kind:
        raise EventError("eventType", "is missing")
    user = object_at(told, "userInfo")
    session = one_of(told, "sessionId", "visitorId") or one_of(user, "visitorId")
    if not session:
        raise EventError("visitorId", "is missing")
    at = told.get("eventTime")
    event_id = ids.of(session, told, timed=at is not None)
    whose = Entry(event_id, session, one_of(user, "userId"))
    name = NAMES.get(kind)
    if name is None:
        return Entry(event_id=event_id, ignored=f"{kind[:60]!r} says nothing here")
    event: dict[str, Any] = {"event_id": event_id, "name": name}
    if at is not None:
        event["timestamp"] = seconds("eventTime", at)
    if token := one_of(told, "attributionToken"):
        event["recommendation_id"] = token
    if kind == "search":
        query = told.get("searchQuery", object_at(told, "productEventDetail").get("searchQuery"))
        if not isinstance(query, str) or not query.strip():
            return Entry(event_id=event_id, ignored="a search without words, such as browsing by page, says nothing here")
        return replace(whose, event=event | {"search_term": query})
    if (worth := object_at(told, "purchaseTransaction").get("revenue")) is not None:
        event["value"] = number(worth)
    event["items"] = _items(told)
    if not event["items"]:
        if name == "view_item_list":
            return Entry(event_id=event_id, ignored="a page without products says nothing here")
        raise EventError("productDetails", f"{kind} needs at least one product")
    return replace(whose, event=event)


def _items(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    where, details = "productDetails", told.get("productDetails")
    if details is None:
        where, details = "productEventDetail.productDetails", object_at(told, "productEventDetail").get("productDetails")
    if details is None:
        return []
    if not isinstance(details, list):
        raise EventError(where, "must be a list")
    items = []
    for i, detail in enumerate(details):
        if not isinstance(detail, dict):
            raise EventError(f"{where}[{i}]", "must be an object")
        product = object_at(detail, "product")
        if not (item := one_of(product, "id") or one_of(detail, "id")):
            raise EventError(f"{where}[{i}].product.id", "is missing")
        entry: dict[str, Any] = {"item_id": item}
        if detail.get("quantity") is not None:
            entry["quantity"] = number(detail["quantity"])
        price = product.get("priceInfo")
        if isinstance(price, dict) and price.get("price") is not None:
            entry["price"] = number(price["price"])
        items.append(entry)
    return items
