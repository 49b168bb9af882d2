"""Imports of items, and of events, whose items they resolve. Both may be run twice on one file and change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from django.db import transaction

from clusters.catalogue_writing import write_items
from clusters.item_records import item_fields
from clusters.models import Item
from clusters.signals import catalogue_changed
from personas.event_records import COLUMNS, USED, EventRecord, EventRecords
from personas.events import UNKNOWN_ITEM, EventError
from personas.importing import Batches, ImportReport, Progress
from personas.models import ArchivedEvent, Clock, EventRow, Origin, Session, Shop, Shopper, moment

CACHE = 200_000
"""Ids kept between batches; beyond that the cache starts anew, so that memory doesn't grow with the file."""


def import_catalogue(shop: Shop, path: Path, *, rejects: Path | None = None, progress: Progress | None = None) -> ImportReport:
    """Items by external id: new ones are added, known ones take the values of the columns that the file has.

    Raises FileError.
    """
    batches = Batches(path, rejects=rejects, progress=progress)
    for batch in batches:
        items: dict[str, dict[str, Any]] = {}
        for record in batch:
            try:
                values = item_fields(record.values)
            except EventError as error:
                batches.reject(record.line, error.field, error.reason)
                continue
            items[values["external_id"]] = values
        with transaction.atomic():
            known = len(Item.objects.ids_of(shop, items))
            write_items(shop, items.values())
        batches.report.added += len(items) - known
        batches.report.known += known
    catalogue_changed.send(sender=Item, shop_id=shop.pk)
    return batches.report


def import_events(
    shop: Shop, path: Path, *, now: datetime, rejects: Path | None = None, progress: Progress | None = None
) -> ImportReport:
    """Events into the archive, their sessions and shoppers with them.

    An event is known by its id within its session, or, where the file has none, by its line (`EventRecords`).
    Items that the catalogue lacks keep their external id and count as unknown. The shop's setting "clock" becomes the
    coarsest clock that its log holds. Raises FileError.
    """
    batches = Batches(path, rejects=rejects, progress=progress)
    reader, writer = EventRecords(now=now.timestamp()), _EventWriter(shop, now, Origin.IMPORT)
    for batch in batches:
        events: list[EventRecord] = []
        for record in batch:
            try:
                events.append(reader.read(record.values))
            except EventError as error:
                batches.reject(record.line, error.field, error.reason)
        with transaction.atomic():
            added = writer.write(events)
        batches.report.added += added
        batches.report.known += len(events) - added
    _note_clock(shop, writer.clocks)
    unused = sorted(name for name in batches.columns if COLUMNS.get(name, name) not in USED)
    if unused:
        batches.report.notes.append(f"columns not used: {', '.join(unused)}")
    if writer.unknown:
        batches.report.notes.append(f"{writer.unknown:,} events with an item that the catalogue lacks; they are kept")
    if writer.ahead:
        batches.report.notes.append(f"{writer.ahead:,} events lie in the future; they are dated now and marked")
    return batches.report


def archive_events(shop: Shop, batches: Iterable[list[EventRecord]], *, now: datetime, origin: Origin) -> ImportReport:
    """Events that come from no file into the archive, a batch a transaction; those known already stay as they are."""
    report, writer = ImportReport(), _EventWriter(shop, now, origin)
    for events in batches:
        with transaction.atomic():
            added = writer.write(events)
        report.read += len(events)
        report.added += added
        report.known += len(events) - added
    _note_clock(shop, writer.clocks)
    return report


def _note_clock(shop: Shop, clocks: set[str]) -> None:
    """Remember the coarsest clock of the shop's log: training must not learn dwell from days."""
    order = [Clock.SECOND.value, Clock.DAY.value, Clock.ORDER.value]
    with transaction.atomic():
        row = Shop.objects.select_for_update().get(pk=shop.pk)
        coarsest = max([*clocks, str(row.settings.get("clock", Clock.SECOND.value))], key=order.index)
        row.settings = {**row.settings, "clock": coarsest}
        row.save(update_fields=["settings"])
    shop.settings = row.settings


class _EventWriter:
    """Batches of events into rows, with bounded caches of the ids that batches share."""

    def __init__(self, shop: Shop, now: datetime, origin: Origin) -> None:
        self.shop, self.now, self.origin = shop, now, origin
        self.clocks: set[str] = set()
        self.unknown = self.ahead = 0
        self._items: dict[str, int] = {}
        self._sessions: dict[str, int] = {}

    def write(self, events: list[EventRecord]) -> int:
        """Insert what is new; how many that was."""
        self._find_items(events)
        self._find_sessions(events)
        rows = [self._row(event) for event in events]
        added = ArchivedEvent.objects.append(shop=self.shop, rows=rows, origin=self.origin)
        if added:
            Session.objects.recount({row.session for row in rows})
        return added

    def _row(self, event: EventRecord) -> EventRow:
        ids = [self._items.get(item, UNKNOWN_ITEM) for item in event.items]
        self.unknown += UNKNOWN_ITEM in ids
        self.ahead += event.clock_ahead
        data: dict[str, Any] = {}
        if len(ids) > 1 or event.slots:
            data["items"] = ids
        if event.slots:
            data["slots"] = event.slots
        if event.recommendation_id:
            data["recommendation_id"] = event.recommendation_id
        if event.clock_ahead:
            data["clock_ahead"] = True
        return EventRow(
            session=self._sessions[event.session_id],
            event_id=event.event_id,
            code=event.code,
            at=moment(event.at),
            received_at=self.now,
            place=event.place,
            item=ids[0] if ids else UNKNOWN_ITEM,
            item_ref=event.items[0] if event.items else "",
            price=event.price,
            quantity=event.quantity,
            dwell_s=event.dwell_s,
            query=event.query,
            data=msgspec.json.encode(data).decode() if data else None,
        )

    def _find_items(self, events: list[EventRecord]) -> None:
        if len(self._items) > CACHE:
            self._items.clear()
        missing = {item for event in events for item in event.items} - self._items.keys()
        self._items.update(Item.objects.ids_of(self.shop, missing))

    def _find_sessions(self, events: list[EventRecord]) -> None:
        """Rows for the sessions of a batch, made where missing; a known session gains a shopper or context that it lacked."""
        if len(self._sessions) > CACHE:
            self._sessions.clear()
        first: dict[str, EventRecord] = {}
        users: dict[str, str] = {}
        for event in events:
            if event.session_id in self._sessions:
                continue
            first.setdefault(event.session_id, event)
            if event.user_id:
                users.setdefault(event.session_id, event.user_id)
        if not first:
            return
        self.clocks |= {event.clock for event in first.values()}
        shoppers = self._shoppers(set(users.values()))
        known = Session.objects.ids_of(self.shop, first)
        self._complete(known, first, users, shoppers)
        Session.objects.bulk_create(
            [
                Session(
                    shop=self.shop,
                    session_id=key,
                    shopper_id=shoppers.get(users.get(key, "")),
                    started_at=moment(event.at),
                    last_at=moment(event.at),
                    origin=self.origin,
                    clock=event.clock,
                    context=event.context,
                )
                for key, event in first.items()
                if key not in known
            ],
            ignore_conflicts=True,  # the archiver may make the same session at this moment
        )
        self._sessions.update(known)
        self._sessions.update(Session.objects.ids_of(self.shop, first.keys() - known.keys()))

    def _shoppers(self, external_ids: set[str]) -> dict[str, int]:
        wanted = sorted(external_ids)
        Shopper.objects.bulk_create([Shopper(shop=self.shop, external_id=e) for e in wanted], ignore_conflicts=True)
        return Shopper.objects.ids_of(self.shop, wanted)

    def _complete(
        self, known: Mapping[str, int], first: Mapping[str, EventRecord], users: Mapping[str, str], shoppers: Mapping[str, int]
    ) -> None:
        changed: list[Session] = []
        for session in Session.objects.of_pks(known.values()):
            shopper = shoppers.get(users.get(session.session_id, ""))
            context = {**first[session.session_id].context, **session.context}
            if (session.shopper_id is None and shopper is not None) or context != session.context:
                session.shopper_id = session.shopper_id or shopper
                session.context = context
                changed.append(session)
        Session.objects.bulk_update(changed, ["shopper", "context"], batch_size=200)
