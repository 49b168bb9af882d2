"""Google Analytics 4's Measurement Protocol: `{client_id, user_id, timestamp_micros, events: [{name, params}]}`.

References: Google Analytics 4, "Send Measurement Protocol events to Google Analytics"; "Recommended events".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personas.events import CODE, EventError
from recommendations.serving.aliases import Entry, Ids, country, joined, number, object_at, one_of

ALIASES = {"view_search_results": "search"}
"""Of GA4's own enhanced measurement; the other names are ours."""

NUMBERS = ("price", "quantity", "index")


def read(payload: Mapping[str, Any]) -> list[Entry]:
    """A payload's entries. Raises EventError if it has no list of events.

    The session is the `client_id` and, where the event's params tell it, the `session_id`, since that is only the second at which
    the client's session began. An app's `app_instance_id` is its client.
    """
    events = payload.get("events")
    if not isinstance(events, list):
        raise EventError("events", "must be a list")
    ids = Ids()
    return [_entry(event, payload, ids) for event in events]


def _entry(event: object, payload: Mapping[str, Any], ids: Ids) -> Entry:
    try:
        if not isinstance(event, dict):
            raise EventError("event", "must be an object")
        return _read(event, payload, ids)
    except EventError as error:
        return Entry(refused=error)


def _read(told: Mapping[str, Any], payload: Mapping[str, Any], ids: Ids) -> Entry:
    params, name = object_at(told, "params"), told.get("name")
    if not isinstance(name, str) or not name:
        raise EventError("name", "is missing")
    client = one_of(payload, "client_id", "app_instance_id")
    session = joined(client, one_of(params, "session_id", "ga_session_id"))
    if not session:
        raise EventError("client_id", "is missing; give client_id, or session_id in params")
    micros = next((m for raw in (told, payload) if (m := raw.get("timestamp_micros")) is not None), None)
    event_id = one_of(params, "event_id") or ids.of(session, [micros, told], timed=micros is not None)
    ours = ALIASES.get(name, name)
    if ours not in CODE:
        return Entry(event_id=event_id, ignored=f"{name[:60]!r} says nothing here")
    event: dict[str, Any] = {"event_id": event_id, "name": ours}
    if micros is not None:
        event["timestamp_micros"] = number(micros)
    items = params.get("items")
    if isinstance(items, list):
        items = [_item(item) for item in items]
    if items is not None:
        event["items"] = items
    if ours == "view_item_list" and not items:
        return Entry(event_id=event_id, ignored="a list without items says nothing here")
    if ours == "search":
        event["search_term"] = params.get("search_term")
    # On other events it is the time since the last of any, not spent on this item.
    if ours == "user_engagement" and params.get("engagement_time_msec") is not None:
        event["engagement_time_msec"] = number(params["engagement_time_msec"])
    if params.get("value") is not None:
        event["value"] = number(params["value"])
    if token := one_of(params, "recommendation_id"):
        event["recommendation_id"] = token
    place = payload.get("user_location")
    context = country(place.get("country_id")) if isinstance(place, dict) else {}
    device = payload.get("device")
    if isinstance(device, dict) and device.get("category") in {"mobile", "tablet", "desktop"}:
        context |= {"device": str(device["category"])}
    return Entry(event_id, session, one_of(payload, "user_id"), event, context)


def _item(item: object) -> object:
    """An item of theirs, which is one of ours but for numbers written as text; `index` counts from 0 in both."""
    if not isinstance(item, dict):
        return item
    kept = {name: item[name] for name in ("item_id", *NUMBERS) if name in item}
    return kept | {name: number(kept[name]) for name in NUMBERS if name in kept}
