"""What happened, by the hour: counted as the log is archived, so that a page reads some rows and never scans the archive.

| measure | key | counts |
|---|---|---|
| `session` | | visits that began |
| `buyer` | | visits that bought, by their first purchase |
| `event` | name | events |
| `order`, `revenue` | | purchases, and what they came to in the shop's currency (what was sent back is not taken off) |
| `slate` | context | slates that were served |
| `seen`, `click` | context | items of slates that pages reported as seen; `select_item` of one, under its slate's id |
| `persona` | archetype id | events, each shared among the personas by the belief after it |
| `decision` | action | what the agent did with clusters |

An hour is that in which a thing happened by its own clock, so that what comes late counts where it belongs.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from django.db import connections, router, transaction
from django.db.models import Count, Min
from django.db.models.functions import TruncHour

from personas.events import CODE, NAMES
from personas.models import ArchivedEvent, Origin, Session, Shop, in_chunks
from recommendations.models import DayTally, HourTally, ServedSlate
from recommendations.moment_texts import Hour

HOUR = dt.timedelta(hours=1)

Tally = defaultdict[tuple[dt.datetime, str, str, str], float]
"""(hour, measure, key, origin) -> how much more of it."""

TOLD_BY_ARCHIVE = ("session", "buyer", "event", "order", "revenue", "slate", "seen", "click")
"""What `recount` can tell again: beliefs on the way, and decisions in simulated visits, are kept nowhere else."""

SHOWN = (Origin.LIVE, Origin.SIMULATED)
"""What pages tell of: an import is history, and a test is nobody's visit."""


def hour_of(moment: dt.datetime) -> dt.datetime:
    """The beginning of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def add(shop: Shop, tally: Mapping[tuple[dt.datetime, str, str, str], float]) -> None:
    """Add to what was counted, within the caller's transaction."""
    if not tally:
        return
    pour(HourTally, shop, ("hour", "measure", "key", "origin"), tally)


def pour(
    model: type[HourTally] | type[DayTally], shop: Shop, names: Sequence[str], tally: Mapping[tuple[Any, str, str, str], float]
) -> None:
    """Add to a table of tallies. names : its columns that a tally's keys give, the moment first."""
    connection = connections[router.db_for_write(model)]
    quote, ops = connection.ops.quote_name, connection.ops
    moment = ops.adapt_datetimefield_value if model is HourTally else ops.adapt_datefield_value
    table, value = quote(model._meta.db_table), quote("value")
    once = ", ".join(quote(name) for name in ("shop_id", *names))
    sql = (
        f"INSERT INTO {table} ({once}, {value}) VALUES (%s, %s, %s, %s, %s, %s) "
        f"ON CONFLICT ({once}) DO UPDATE SET {value} = {table}.{value} + excluded.{value}"
    )
    # In one order, so that two who count never wait for each other's rows.
    rows = [(shop.pk, moment(at), *rest, float(much)) for (at, *rest), much in sorted(tally.items())]
    with connection.cursor() as cursor:
        cursor.executemany(sql, rows)


# Reading


@dataclass(frozen=True)
class Hours:
    """What was counted in n hours from `start` on. values : (measure, key) -> (n,) float64; what there is none of is absent."""

    start: dt.datetime
    length: int
    values: Mapping[tuple[str, str], np.ndarray]

    def of(self, measure: str, key: str | None = None) -> np.ndarray:
        """(n,) of a measure under a key, or under all of them."""
        rows = [row for (of, under), row in self.values.items() if of == measure and (key is None or under == key)]
        return np.sum(rows, axis=0) if rows else np.zeros(self.length)

    def keys(self, measure: str) -> list[str]:
        """Under which the measure was counted at all."""
        return sorted(under for of, under in self.values if of == measure)

    def part(self, first: int, last: int) -> Hours:
        """Hours `first` to `last`, the latter not included."""
        values = {name: row[first:last] for name, row in self.values.items()}
        return Hours(self.start + first * HOUR, last - first, values)


def read(shop: Shop, since: dt.datetime, until: dt.datetime, origins: Sequence[str] = SHOWN) -> Hours:
    """What was counted of a shop from the hour of `since` to that of `until`, the latter included."""
    start, end = hour_of(since), hour_of(until) + HOUR
    length = max(0, round((end - start) / HOUR))
    values: dict[tuple[str, str], np.ndarray] = {}
    rows = HourTally.objects.filter(shop=shop, hour__gte=start, hour__lt=end, origin__in=origins).order_by()
    places: dict[str, int] = {}
    for hour, measure, key, value in rows.annotate(told=Hour("hour")).values_list("told", "measure", "key", "value"):
        place = places.get(hour)
        if place is None:
            at = dt.datetime.fromisoformat(hour).replace(tzinfo=dt.UTC)
            place = places[hour] = round((at - start) / HOUR)
        into = values.get((measure, key))
        if into is None:
            into = values[measure, key] = np.zeros(length)
        into[place] += value
    return Hours(start, length, values)


# Counting anew


def recount(shop: Shop, since: dt.datetime | None = None) -> int:
    """Count again what the archive tells, from the hour of `since` on or all of it; how many rows that made.

    Under the shop's lock, as the archiver counts: nothing that comes meanwhile is missed or counted twice.
    """
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        tally: Tally = defaultdict(float)
        start = hour_of(since) if since is not None else None
        _count_events(shop, start, tally)
        _count_slates(shop, start, tally)
        _count_reports(shop, start, tally)
        old = HourTally.objects.filter(shop=shop, measure__in=TOLD_BY_ARCHIVE)
        (old.filter(hour__gte=start) if start is not None else old).delete()
        add(shop, tally)
    return len(tally)


def _count_events(shop: Shop, start: dt.datetime | None, tally: Tally) -> None:
    events = ArchivedEvent.objects.filter(shop=shop).exclude(origin=Origin.TEST).order_by()
    events = events.filter(at__gte=start) if start is not None else events
    by_hour = events.annotate(hour=TruncHour("at")).values("hour", "origin", "code")
    for row in by_hour.annotate(n=Count("pk")):
        tally[row["hour"], "event", NAMES[row["code"]], row["origin"]] += row["n"]
    bought = events.filter(code=CODE["purchase"]).annotate(hour=TruncHour("at"))
    for hour, origin, price, quantity, data in bought.values_list("hour", "origin", "price", "quantity", "data").iterator():
        tally[hour, "order", "", origin] += 1
        if worth := worth_of(price, quantity, data):
            tally[hour, "revenue", "", origin] += worth
    first = ArchivedEvent.objects.filter(shop=shop, code=CODE["purchase"]).exclude(origin=Origin.TEST).order_by()
    buyers = first.values("session", "origin").annotate(first=Min("at"))
    buyers = buyers.filter(first__gte=start) if start is not None else buyers
    for at, origin in buyers.values_list("first", "origin"):
        tally[hour_of(at), "buyer", "", origin] += 1
    sessions = Session.objects.filter(shop=shop, events__gt=0).exclude(origin=Origin.TEST).order_by()
    sessions = sessions.filter(started_at__gte=start) if start is not None else sessions
    begun = sessions.annotate(hour=TruncHour("started_at")).values_list("hour", "origin").annotate(n=Count("pk"))
    for hour, origin, n in begun:
        tally[hour, "session", "", origin] += n


def worth_of(price: float | None, quantity: float, data: Mapping[str, Any] | None) -> float:
    """What an archived purchase came to: all of it where that was said, else its first item."""
    told = (data or {}).get("value")
    return float(told) if told is not None else (price or 0.0) * quantity


def _count_slates(shop: Shop, start: dt.datetime | None, tally: Tally) -> None:
    slates = ServedSlate.objects.filter(shop=shop).order_by()
    slates = slates.filter(at__gte=start) if start is not None else slates
    rows = slates.annotate(hour=TruncHour("at")).values_list("hour", "session_id", "context", "versions__test")
    for chunk in chunks(rows.iterator(chunk_size=2_000)):
        origins = _origins(shop, {session for _, session, _, _ in chunk})
        for hour, session, context, test in chunk:
            if not test:
                tally[hour, "slate", context, origins.get(session, Origin.LIVE)] += 1


def _count_reports(shop: Shop, start: dt.datetime | None, tally: Tally) -> None:
    told = (CODE["view_item_list"], CODE["select_item"])
    events = ArchivedEvent.objects.filter(shop=shop, code__in=told, data__isnull=False).exclude(origin=Origin.TEST).order_by()
    events = events.filter(at__gte=start) if start is not None else events
    rows = events.annotate(hour=TruncHour("at")).values_list("hour", "origin", "code", "data")
    for chunk in chunks(rows.iterator(chunk_size=2_000)):
        contexts = contexts_of(shop, {data["recommendation_id"] for *_, data in chunk if data.get("recommendation_id")})
        for hour, origin, code, data in chunk:
            context = contexts.get(data.get("recommendation_id", ""))
            if context is not None and code == CODE["view_item_list"]:
                tally[hour, "seen", context, origin] += len(data.get("items", ()))
            elif context is not None:
                tally[hour, "click", context, origin] += 1


def contexts_of(shop: Shop, recommendation_ids: Iterable[str]) -> dict[str, str]:
    """Recommendation id -> the context that its slate was for, of those that the archive holds."""
    found: dict[str, str] = {}
    for chunk in in_chunks(recommendation_ids):
        slates = ServedSlate.objects.filter(shop=shop, recommendation_id__in=chunk)
        found.update(slates.order_by().values_list("recommendation_id", "context"))
    return found


def _origins(shop: Shop, sessions: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for chunk in in_chunks(sessions):
        found.update(Session.objects.filter(shop=shop, session_id__in=chunk).order_by().values_list("session_id", "origin"))
    return found


def chunks(rows: Iterator[Any], size: int = 2_000) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, size)):
        yield chunk
