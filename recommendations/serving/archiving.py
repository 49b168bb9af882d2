"""The archiver: takes the activity log into the database, at least once delivered and exactly once kept.

Every row has a key of its own (session and event id, recommendation id, event and cluster), so that what is delivered
again changes nothing. An entry is acknowledged after the transaction that holds it, and trimmed after that.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from redis import Redis

from personas.models import ArchivedEvent, EventRow, Origin, Session, Shop, Shopper, ShopperAlias, in_chunks, moment, teaches
from recommendations.models import AdaptationDecision, Release, ServedSlate
from recommendations.serving import held, hours, memory
from recommendations.serving.activity import (
    DEMOGRAPHIC,
    ActivityLog,
    Entry,
    LoggedEvent,
    LoggedItem,
    LoggedSlate,
    Record,
    StreamLog,
    decode_record,
    place,
)
from recommendations.serving.exposures import components_of, write_exposures
from recommendations.serving.tallies import count, count_blocked

logger = logging.getLogger(__name__)

BATCH = 200
"""Entries taken of a partition at a time: some thousands of rows a transaction over all partitions."""

CLAIM_IDLE_MS = 30_000
"""An entry that its consumer held this long without acknowledging is taken over: far longer than a batch takes."""

UNWRITABLE = (DataError, IntegrityError, ValueError, ArithmeticError, TypeError, LookupError)
"""Raised by what an entry holds, a time past every calendar for one. A database that is away raises OperationalError."""


def open_log() -> StreamLog:
    """The installation's activity log."""
    return StreamLog(Redis.from_url(settings.REDIS_URL), partitions=settings.ACTIVITY_PARTITIONS)


def consumer_name() -> str:
    """One name a process and machine."""
    return f"{socket.gethostname()}-{os.getpid()}"


def archive(log: ActivityLog, *, consumer: str, seconds: float = 60.0, batch: int = BATCH, idle_ms: int = CLAIM_IDLE_MS) -> int:
    """Archive what there is, for at most about `seconds`; the number of entries archived."""
    done, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        entries = log.read_group(consumer, count=batch, idle_ms=idle_ms)
        if not entries:
            break
        keep(log, entries)
        done += len(entries)
    if done:
        log.trim()
    return done


def keep(log: ActivityLog, entries: Sequence[Entry]) -> None:
    """Write entries in one transaction, then acknowledge them. What can't be written is set aside, not lost.

    A database that can't be reached raises: the entries stay with the log until it can.
    """
    read, unusable = _read(entries)
    shoppers: dict[int, set[str]] = {}
    try:
        unusable += _write_all(read, shoppers)
    except UNWRITABLE:
        # One entry of many: alone, it holds up none of the others.
        for entry, record in read:
            try:
                unusable += _write_all([(entry, record)], shoppers)
            except UNWRITABLE as error:
                # Not the error's words: a database's may quote the whole row, and with it the shopper's.
                name = type(error).__name__
                logger.error("entry %s of partition %s is set aside: writing failed (%s)", entry.entry_id, entry.partition, name)
                unusable.append(entry)
    if unusable:
        log.set_aside(unusable)
    for shop_id, ids in shoppers.items():
        memory.want(shop_id, ids)
    log.ack(entries)


def _write_all(read: Sequence[tuple[Entry, Record]], shoppers: dict[int, set[str]]) -> list[Entry]:
    """Write records in one transaction; those of shops that are not there, which are nowhere to be written, come back.

    shoppers : ids by shop, to which those are added of whom something was written.
    """
    homeless: list[Entry] = []
    with transaction.atomic():
        for shop_id, records in sorted(_by_shop(read).items()):  # in one order, or two archivers wait for each other's shops
            # The lock is an erasure's too: what is written here was there to be erased, or is refused below.
            shop = Shop.objects.select_for_update(no_key=True).filter(pk=shop_id).first()
            if shop is None:
                homeless += [entry for entry, _ in records]
                logger.error("%s entries of the activity log name shop %s, which is not there", len(records), shop_id)
                continue
            erased = held.refused(held.connect(), shop_id, (record for _, record in records))
            kept = [(entry, record) for entry, record in records if record.session not in erased]
            write(shop, kept)
            shoppers.setdefault(shop_id, set()).update(record.shopper for _, record in kept if record.shopper)
    return homeless


def write(shop: Shop, records: Sequence[tuple[Entry, Record]]) -> None:
    """Rows of one shop's records; writing the same ones again changes nothing.

    What a test key sent is kept as such. Its decisions are not, nor is it counted anywhere: nothing may be learned from it. Nor
    are those of simulated visitors, whose visits are counted, but of those in a simulated shop's history.
    """
    slates = _write_slates(shop, records)
    records = [(entry, record) for entry, record in records if not record.alone]
    sessions = _write_sessions(shop, [record for _, record in records])
    rows: dict[str, list[tuple[EventRow, Record, LoggedEvent]]] = {}
    for entry, record in records:
        session = sessions[record.session]
        rows.setdefault(record.origin, []).extend(
            (_event_row(session, event, place(entry.entry_id, i)), record, event) for i, event in enumerate(record.events)
        )
    real = [record for _, record in records if teaches(shop, record.origin, record.started_at)]
    # Before the events are there: by them it is told what comes again.
    count_blocked(shop, [(sessions[record.session], record.session, each) for record in real for each in record.blocked])
    silent = set(Session.objects.filter(pk__in=sessions.values(), events=0).order_by().values_list("session_id", flat=True))
    bought = hours.bought_before(sessions, [record for _, record in records])
    new: list[tuple[Record, LoggedEvent]] = []
    for origin, of_origin in rows.items():
        kept = _append(shop, of_origin, origin)
        new += kept if origin != Origin.TEST else []
    Session.objects.recount(sessions.values())
    hours.count(shop, hours.News(silent, bought, new, slates))
    write_exposures(shop.pk, real)
    AdaptationDecision.objects.bulk_create(
        [
            AdaptationDecision(
                shop=shop,
                session_id=record.session,
                event_id=decision.event_id,
                at=moment(decision.at),
                cluster=decision.cluster,
                action=decision.action,
                target=decision.target,
                propensity=decision.propensity,
                features=list(decision.features),
                policy=decision.policy,
                options=list(decision.options),
                choice=decision.choice,
                propensities=list(decision.propensities),
                arm=record.arm,
            )
            for record in real
            for decision in record.decisions
        ],
        ignore_conflicts=True,
        batch_size=500,
    )


class _Again(Exception):
    """Some of what is to be written is there already."""


def _append(shop: Shop, rows: Sequence[tuple[EventRow, Record, LoggedEvent]], origin: str) -> list[tuple[Record, LoggedEvent]]:
    """Write events; those that weren't there yet. Hardly ever is one: only then is it looked up which."""
    try:
        with transaction.atomic():
            if ArchivedEvent.objects.append(shop=shop, rows=[row for row, _, _ in rows], origin=origin) < len(rows):
                raise _Again
    except _Again:
        there: set[tuple[int, str]] = set()
        for sessions in in_chunks({row.session for row, _, _ in rows}):
            of_these = set(sessions)
            for chunk in in_chunks({row.event_id for row, _, _ in rows if row.session in of_these}):
                known = ArchivedEvent.objects.filter(session__in=sessions, event_id__in=chunk).order_by()
                there.update(known.values_list("session_id", "event_id"))
        first = {(row.session, row.event_id): (row, record, event) for row, record, event in reversed(rows)}
        rows = [told for name, told in first.items() if name not in there]
        ArchivedEvent.objects.append(shop=shop, rows=[row for row, _, _ in rows], origin=origin)
    return [(record, event) for _, record, event in rows]


def _read(entries: Iterable[Entry]) -> tuple[list[tuple[Entry, Record]], list[Entry]]:
    """Entries with their records, and those that hold none."""
    read, unusable = [], []
    for entry in entries:
        try:
            read.append((entry, decode_record(entry.data)))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            logger.exception("entry %s of partition %s is not a record; it is set aside", entry.entry_id, entry.partition)
            unusable.append(entry)
    return read, unusable


def _by_shop(read: Iterable[tuple[Entry, Record]]) -> dict[int, list[tuple[Entry, Record]]]:
    shops: dict[int, list[tuple[Entry, Record]]] = {}
    for entry, record in read:
        shops.setdefault(record.shop, []).append((entry, record))
    return shops


def _write_sessions(shop: Shop, records: Iterable[Record]) -> dict[str, int]:
    """Session id -> pk, made where missing, each with the latest context, shopper and belief that is known of it."""
    latest: dict[str, Record] = {}
    mine: dict[str, list[Record]] = {}
    for record in records:
        mine.setdefault(record.session, []).append(record)
        known = latest.get(record.session)
        if known is None or record.at >= known.at:
            latest[record.session] = record
    # In one order everywhere, so that two archivers don't wait for each other's rows.
    names = sorted(latest)
    shoppers = _write_shoppers(shop, {r.shopper for r in latest.values() if r.shopper})
    new = [
        Session(
            shop=shop,
            session_id=name,
            started_at=moment(latest[name].started_at),
            last_at=moment(latest[name].at),
            origin=latest[name].origin,
        )
        for name in names
    ]
    Session.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    pks = Session.objects.ids_of(shop, names)
    stored = list(Session.objects.filter(pk__in=pks.values()).order_by("pk"))
    refused = _refusers({*shoppers.values(), *(row.shopper_id for row in stored if row.shopper_id)})
    rows = []
    for row in stored:
        record = latest[row.session_id]
        if row.persona and row.persona.get("at", 0.0) > record.at:
            continue  # delivered again after something newer was written
        row.shopper_id = shoppers.get(record.shopper, row.shopper_id)
        # Demographics that the session no longer holds were withdrawn on the way. Those of a shopper who refused may have been
        # on their way when they did; under the shop's lock either this sees the refusal, or the refusal what was written.
        told = _without_demographics(record.context) if row.shopper_id in refused else record.context
        row.context = _without_demographics(row.context) | told
        row.persona = {
            "at": record.at,
            "started_at": record.started_at,
            "version": record.version,
            "release": record.release,
            "belief": _by_id(record.belief),
            "shares": _by_id(record.shares),
            "steps": record.steps,
            "path": _path(row.persona or {}, mine[row.session_id]),
            **({"earlier": _by_id(record.earlier)} if record.earlier else {}),
            **({"history": record.history} if record.history else {}),
        }
        rows.append(row)
    Session.objects.bulk_update(rows, ["context", "shopper", "persona"], batch_size=100)
    return pks


SURE = 0.5
"""Probability from which a visit was taken for a persona: it is likelier than all the others together."""

MOST_ON_PATH = 12


def _path(summary: Mapping[str, Any], records: Sequence[Record]) -> list[int]:
    """Whom a session was taken for, one after the other: archetype ids, the latest `MOST_ON_PATH`.

    summary : what is known of the session so far; records of before it, delivered again, add nothing.
    """
    path = [int(i) for i in summary.get("path", ())]
    for record in sorted(records, key=lambda record: record.at):
        persona, p = max(record.belief.items(), key=lambda pair: pair[1], default=(0, 0.0))
        if record.at > summary.get("at", 0.0) and p >= SURE and path[-1:] != [persona]:
            path.append(persona)
    return path[-MOST_ON_PATH:]


def _write_shoppers(shop: Shop, external_ids: Iterable[str]) -> dict[str, int]:
    """Shopper's id -> pk, made where missing; the id of a guest who was merged is that of the shopper they became."""
    names = sorted(external_ids)
    if not names:
        return {}
    found: dict[str, int] = {}
    for chunk in in_chunks(names):
        found.update(ShopperAlias.objects.filter(shop=shop, external_id__in=chunk).values_list("external_id", "shopper"))
    own = [name for name in names if name not in found]
    Shopper.objects.bulk_create([Shopper(shop=shop, external_id=n) for n in own], ignore_conflicts=True, batch_size=500)
    return found | Shopper.objects.ids_of(shop, own)


def _refusers(shoppers: Collection[int]) -> set[int]:
    """Those out of these, pks, who said that demographics may not be kept."""
    said = Shopper.objects.filter(consent_demographics=False, consent_at__isnull=False)
    return {pk for chunk in in_chunks(shoppers) for pk in said.filter(pk__in=chunk).values_list("pk", flat=True)}


def _without_demographics(context: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in context.items() if name not in DEMOGRAPHIC}


def _by_id(shares: Mapping[int, float]) -> dict[str, float]:
    return {str(archetype): p for archetype, p in shares.items()}


def _event_row(session: int, event: LoggedEvent, place: int) -> EventRow:
    """An event's columns; `data` takes what has none."""
    data: dict[str, object] = {}
    if len(event.items) > 1 or event.slots:
        data |= {"items": event.items, "refs": event.refs}
    if event.slots:
        data["slots"] = event.slots
    if event.recommendation_id:
        data["recommendation_id"] = event.recommendation_id
    if event.clock_ahead:
        data["clock_ahead"] = True
    if event.value is not None and event.value != (event.price or 0.0) * event.quantity:
        data["value"] = event.value
    return EventRow(
        session=session,
        event_id=event.event_id,
        code=event.code,
        at=moment(event.at),
        received_at=moment(event.received_at),
        place=place,
        item=event.items[0] if event.items else 0,
        item_ref=event.refs[0] if event.refs else "",
        price=event.price,
        quantity=event.quantity,
        dwell_s=event.dwell_s,
        query=event.query,
        data=json.dumps(data) if data else None,
    )


def _write_slates(shop: Shop, records: Iterable[tuple[Entry, Record]]) -> list[tuple[Record, LoggedSlate]]:
    """Slates, and with those that weren't there yet what merchandisers' rules did: a record that comes again counts nothing.

    Those that are new and no test's.
    """
    slates = {record.slate.recommendation_id: (record, record.slate) for _, record in records if record.slate is not None}
    for chunk in in_chunks(list(slates)):
        kept = ServedSlate.objects.filter(shop=shop, recommendation_id__in=chunk)
        for there in kept.values_list("recommendation_id", flat=True):
            del slates[there]
    if not slates:
        return []
    numbers = {int(record.release) for record, _ in slates.values() if record.release.isdigit()}
    components = dict(Release.objects.filter(shop=shop, number__in=numbers).values_list("number", "components"))
    arms = components_of(record for record, _ in slates.values())
    ServedSlate.objects.bulk_create(
        [
            ServedSlate(
                shop=shop,
                recommendation_id=slate.recommendation_id,
                session_id=record.session,
                at=moment(slate.at),
                context=slate.context,
                items=[_item_entry(item) for item in slate.items],
                versions={
                    **(components.get(int(record.release), {}) if record.release.isdigit() else {}),
                    **arms.get((record.experiment, record.arm), {}),
                    "release": record.release,
                    "overlay": slate.overlay,
                    **({"asked": slate.asked} if slate.asked else {}),
                    **({"trials": slate.trials} if slate.trials else {}),
                    **({"experiment": record.experiment, "arm": record.arm} if record.experiment else {}),
                    **({"test": True} if record.origin == Origin.TEST else {}),
                    **({"alone": True} if record.alone else {}),
                },
            )
            for record, slate in slates.values()
        ],
        batch_size=200,
    )
    real = [(record, slate) for record, slate in slates.values() if record.origin != Origin.TEST]
    count(shop, [slate for _, slate in real])
    return real


def _item_entry(item: LoggedItem) -> dict[str, object]:
    entry = msgspec.structs.asdict(item)
    return entry if item.rules else {name: value for name, value in entry.items() if name != "rules"}
