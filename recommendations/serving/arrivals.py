"""Did an event arrive? Out of the archive, or, before it is there, out of Redis. Synchronous, off the hot path."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from redis import Redis

from personas.events import NAMES, UNKNOWN_ITEM
from personas.models import ArchivedEvent, Session, moment
from recommendations.serving import held
from recommendations.serving.activity import FIELD, LoggedEvent, Record, decode_record, log_key
from recommendations.serving.store import ids_key

LOOKED_THROUGH = 5_000
"""Entries at the end of the log in which an event is looked for that isn't archived yet: seconds of a busy shop."""


class Arrival(NamedTuple):
    """What became of an event. known : whether it was accepted.  notes : as of the answer that it got.

    name to notes are there as far as they are known: an event that was only just taken may be known by its id alone.
    """

    known: bool
    archived: bool = False
    name: str = ""
    at: datetime | None = None
    received_at: datetime | None = None
    origin: str = ""
    shopper: str = ""
    notes: tuple[str, ...] = ()


def look_up(shop: int, session: str, event_id: str, client: Redis | None = None) -> Arrival:
    """What is known of an event of a session. Raises redis.RedisError where it isn't archived and Redis can't be asked."""
    row = Session.objects.filter(shop=shop, session_id=session).select_related("shopper").first()
    found = ArchivedEvent.objects.filter(session=row, event_id=event_id).first() if row is not None else None
    if found is not None and row is not None:
        shopper = row.shopper.external_id if row.shopper is not None else ""
        data = found.data or {}
        unknown = UNKNOWN_ITEM in data.get("items", (found.item,) if found.item_ref else ())
        notes = _notes(ahead=bool(data.get("clock_ahead")), unknown=unknown)
        return Arrival(True, True, NAMES[found.code], found.at, found.received_at, found.origin, shopper, notes)
    client = client or held.connect()
    part = held.part_of(shop, session)
    if not client.sismember(ids_key(part, shop, session), event_id):
        return Arrival(False)
    for record in _lately(client, part, event_id):
        event = next((e for e in record.events if e.event_id == event_id), None)
        if event is not None and (record.shop, record.session) == (shop, session):
            return _logged(record, event)
    return Arrival(True)


def _lately(client: Redis, part: int, event_id: str) -> list[Record]:
    """Records of a partition's log that may hold the event, the latest first."""
    entries: Any = client.xrevrange(log_key(part), count=LOOKED_THROUGH)
    name, found = event_id.encode(), []
    for _, fields in entries:
        data = fields.get(FIELD, b"")
        if name in data:
            try:
                found.append(decode_record(data))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
    return found


def _logged(record: Record, event: LoggedEvent) -> Arrival:
    notes = _notes(ahead=event.clock_ahead, unknown=UNKNOWN_ITEM in event.items)
    times = (moment(event.at), moment(event.received_at))
    return Arrival(True, False, NAMES[event.code], *times, record.origin, record.shopper, notes)


def _notes(*, ahead: bool, unknown: bool) -> tuple[str, ...]:
    return (("clock_ahead",) if ahead else ()) + (("unknown_item",) if unknown else ())
