"""What happened, by the day, of things too many to be counted by the hour; counted as the log is archived, once for each record.

| measure | key | counts |
|---|---|---|
| `item_view`, `item_cart`, `item_buy` | item id | `view_item`, `select_item`; `add_to_cart`, `add_to_wishlist`; `purchase` |
| `item_seen` | item id | items of slates that pages reported as seen |
| `cluster_seen`, `cluster_click` | cluster id | items of slates that a cluster brought: reported as seen, picked |
| `pair_seen`, `pair_click` | persona id, ":", cluster id | the same, by the persona that the slot was for too |
| `category` | persona id, ":", category | items that events turn to, each shared among the personas by the belief after it |
| `tier` | persona id, ":", 0 to 3 | the same, by the item's price tier |
| `country` | persona id, ":", country | events, shared likewise, by where the visit is from, where that is known |
| `hour` | persona id, ":", 0 to 23 | the same, by the hour of the day (UTC) |
| `search` | what was searched for, as it is read | searches |
| `search_led` | the same | those of them that led on: what the visit did next, within half an hour, was to turn to an item |
| `trial_visit` | rule id, ":", its mark, ":with" or ":without" | visits with a slate that a rule with a holdout changes |
| `trial_click`, `trial_buy` | the same | those of them that clicked on such a slate; that bought, after the first such slate |

What pages add up over months (`WEEKLY`) is kept by the week too, as `w:` and the measure under the week's Monday, so that ninety
days are read as twelve weeks and some days.

A day is that in which a thing happened by its own clock (UTC). An event turns to items by one of `personas.events.ITEM_ACTIONS`.
Whether a search found anything isn't in the record: pages look it up in the index as it is. Nor is where a look came from: an
item that was opened from a rail beside the results counts as one that the search led to.

What is counted of searches are words that people typed: a session that is deleted takes its own with it (`forget_searches`), so
that no word stays that only an erased shopper searched for.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate, TruncWeek

from personas.events import CODE, NAMES, UNKNOWN_ITEM
from personas.models import ArchivedEvent, Origin, Shop, in_chunks
from personas.queries import words
from recommendations import hourly
from recommendations.hourly import SHOWN
from recommendations.models import DayTally, ServedSlate

MAX_KEY = 200

ITEM_MEASURE = {
    "view_item": "item_view",
    "select_item": "item_view",
    "add_to_cart": "item_cart",
    "add_to_wishlist": "item_cart",
    "purchase": "item_buy",
}
"""Event -> the measure that it counts under for each of its items."""

TOLD_BY_ARCHIVE = (
    "item_view", "item_cart", "item_buy", "item_seen", "cluster_seen", "cluster_click", "pair_seen", "pair_click", "search",
    "search_led",
)  # fmt: skip
"""What `recount` can tell again: beliefs on the way are kept nowhere else."""

WEEKLY = frozenset(("cluster_seen", "cluster_click", "pair_seen", "pair_click", "category", "tier", "country", "hour"))
"""Measures of which whole weeks are kept as well."""

WEEK = "w:"
"""Before the measure of a whole week."""

SEARCHES = ("search", "search_led")
SEARCH = CODE["search"]
LOOKS = frozenset(CODE[name] for name in ITEM_MEASURE)
"""Codes of the events that turn to items."""

LED_WITHIN = dt.timedelta(minutes=30)
"""How long after a search a look may still be its doing: as long as a visit may pause."""

COUNTED = (Origin.LIVE, Origin.SIMULATED, Origin.IMPORT)
"""A test is nobody's visit."""

Brought = Mapping[int, tuple[int, int]]
"""Item id -> the cluster and the persona that brought it into a slate, 0 where none."""

Tally = defaultdict[tuple[dt.date, str, str, str], float]
"""(day, measure, key, origin) -> how much more of it."""


def add(shop: Shop, tally: Mapping[tuple[dt.date, str, str, str], float]) -> None:
    """Add to what was counted, within the caller's transaction."""
    whole = defaultdict(float, tally)
    for (day, measure, key, origin), much in tally.items():
        if measure in WEEKLY:
            whole[_monday(day), WEEK + measure, key, origin] += much
    _pour(shop, whole)


def _pour(shop: Shop, tally: Mapping[tuple[dt.date, str, str, str], float]) -> None:
    if tally:
        hourly.pour(DayTally, shop, ("day", "measure", "key", "origin"), tally)


def _add_up_weeks(shop: Shop, origins: Sequence[str], since: dt.date | None) -> None:
    """Make the weeks' rows again from their days, from the week of `since` on or all of them."""
    rows = DayTally.objects.filter(shop=shop, origin__in=origins)
    rows = rows.filter(day__gte=_monday(since)) if since is not None else rows
    rows.filter(measure__in=[WEEK + measure for measure in WEEKLY]).delete()
    days = rows.filter(measure__in=WEEKLY).order_by().annotate(week=TruncWeek("day"))
    sums = days.values_list("week", "measure", "key", "origin").annotate(Sum("value"))
    _pour(shop, {(week, WEEK + measure, key, origin): much for week, measure, key, origin, much in sums})


def totals(
    shop: Shop, measure: str, since: dt.date, until: dt.date, *, prefix: str = "", origins: Sequence[str] = SHOWN
) -> dict[str, float]:
    """Key -> how much there was from one day to the other, both included; of keys that begin with `prefix`."""
    rows = DayTally.objects.filter(_within(shop, measure, since, until), origin__in=origins)
    rows = rows.filter(key__startswith=prefix) if prefix else rows
    return dict(rows.order_by().values_list("key").annotate(Sum("value")))


def _within(shop: Shop, measure: str, since: dt.date, until: dt.date) -> Q:
    """The rows of a measure from one day to the other, both included: those of whole weeks where there are some."""
    first, end = _monday(since + dt.timedelta(days=6)), _monday(until + dt.timedelta(days=1))
    if measure not in WEEKLY or end <= first:
        return Q(shop=shop, measure=measure, day__gte=since, day__lte=until)
    before = Q(shop=shop, measure=measure, day__gte=since, day__lt=first)
    weeks = Q(shop=shop, measure=WEEK + measure, day__gte=first, day__lt=end)
    return before | weeks | Q(shop=shop, measure=measure, day__gte=end, day__lte=until)


def by_day(
    shop: Shop, measures: Sequence[str], key: str, since: dt.date, until: dt.date, *, origins: Sequence[str] = SHOWN
) -> dict[str, dict[dt.date, float]]:
    """Measure -> day -> how much there was of one key, days without any left out."""
    rows = DayTally.objects.filter(shop=shop, measure__in=measures, key=key, day__gte=since, day__lte=until, origin__in=origins)
    found: dict[str, dict[dt.date, float]] = {measure: {} for measure in measures}
    for measure, day, much in rows.order_by("day").values_list("measure", "day").annotate(Sum("value")):
        found[measure][day] = much
    return found


# What both the archiver and a count of the archive go by


def term_of(query: str) -> str:
    """What was searched for, as it is read: its words in their compared form, so that "Red dresses!" and "red dress" are one."""
    return (" ".join(words(query)) or " ".join(query.casefold().split()))[:MAX_KEY].strip()


def brought_by(items: Iterable[Mapping[str, Any]]) -> Brought:
    """What brought each item of an archived slate (`ServedSlate.items`)."""
    return {entry["item"]: (entry.get("cluster") or 0, entry.get("persona") or 0) for entry in items}


def slates_of(shop: Shop, recommendation_ids: Iterable[str]) -> dict[str, tuple[str, Brought]]:
    """Recommendation id -> the context that its slate was for, and what brought its items; of those that the archive holds."""
    found: dict[str, tuple[str, Brought]] = {}
    for chunk in in_chunks(recommendation_ids):
        rows = ServedSlate.objects.filter(shop=shop, recommendation_id__in=chunk).order_by()
        for name, context, items in rows.values_list("recommendation_id", "context", "items"):
            found[name] = (context, brought_by(items))
    return found


def count_report(tally: Tally, day: dt.date, origin: str, code: int, items: Iterable[int], brought: Brought) -> None:
    """Count items of a slate that a page reported as seen (`view_item_list`) or of which one was picked (`select_item`)."""
    if code not in (CODE["view_item_list"], CODE["select_item"]):
        return
    verb = "seen" if code == CODE["view_item_list"] else "click"
    for item in items:
        if item not in brought:
            continue
        if verb == "seen":
            tally[day, "item_seen", str(item), origin] += 1
        cluster, persona = brought[item]
        if cluster:
            tally[day, f"cluster_{verb}", str(cluster), origin] += 1
            if persona:
                tally[day, f"pair_{verb}", f"{persona}:{cluster}", origin] += 1


class Led(NamedTuple):
    """A search that led on, as its day counts it. by : session, and id of the event that it led to."""

    by: tuple[Any, str]
    day: dt.date
    term: str
    origin: str


def led_on(events: QuerySet[ArchivedEvent], session: str = "session") -> Iterator[Led]:
    """The searches among some events, of whole visits or their ends, that led on. session : the column that `Led.by` has."""
    turns = events.filter(code__in=[SEARCH, *LOOKS]).order_by("session_id", "place", "pk")
    before: tuple[Any, dt.datetime, str, str] | None = None
    columns = (session, "event_id", "code", "at", "origin", "query")
    for visit, event_id, code, at, origin, query in turns.values_list(*columns).iterator(chunk_size=5_000):
        if code == SEARCH:
            before = (visit, at, origin, query) if term_of(query) else None
            continue
        if before is not None and before[0] == visit and dt.timedelta() <= at - before[1] <= LED_WITHIN:
            yield Led((visit, event_id), _day(before[1]), term_of(before[3]), before[2])
        before = None


# Counting anew


def recount(shop: Shop, since: dt.datetime | None = None, origins: Sequence[str] = COUNTED) -> int:
    """Count again what the archive tells of these origins, from the day of `since` on or all of it; how many rows that made.

    What was imported is counted as well, under its own origin. Nothing is missed or counted twice: what comes while it is counted
    is added under the shop's lock, as the archiver counts; where something went meanwhile, all is counted again under it.
    """
    start = since.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) if since is not None else None
    events = ArchivedEvent.objects.filter(shop=shop, origin__in=origins).order_by()
    events = events.filter(at__gte=start) if start is not None else events
    # Before the lock, for which the archiver waits, and with SQLite whoever writes at all.
    top = ArchivedEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    known = events.filter(pk__lte=top)
    which = {"many": Count("pk"), "sum": Sum("pk")}
    then, tally = known.aggregate(**which), _told_by(shop, known)
    _count_led(known, tally)
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
        if known.aggregate(**which) == then:
            for name, much in _told_by(shop, events.filter(pk__gt=top)).items():
                tally[name] += much
            # A look that came meanwhile may follow a search of before: visits that went on are told anew.
            went_on = set(events.filter(pk__gt=top).values_list("session_id", flat=True))
            _count_led(known, tally, -1.0, visits=went_on)
            _count_led(events, tally, visits=went_on)
        else:  # erased, or written by a transaction that began before
            tally = _told_by(shop, events)
            _count_led(events, tally)
        tally = defaultdict(float, {name: much for name, much in tally.items() if much})
        old = DayTally.objects.filter(shop=shop, measure__in=TOLD_BY_ARCHIVE, origin__in=origins)
        (old.filter(day__gte=start.date()) if start is not None else old).delete()
        _pour(shop, tally)
        _add_up_weeks(shop, origins, start.date() if start is not None else None)
    return len(tally)


Events = QuerySet[ArchivedEvent]


def _told_by(shop: Shop, events: Events) -> Tally:
    tally: Tally = defaultdict(float)
    _count_items(events, tally)
    _count_reports(shop, events, tally)
    _count_searches(events, tally)
    return tally


def _count_items(events: Events, tally: Tally) -> None:
    events = events.filter(code__in=[CODE[name] for name in ITEM_MEASURE])
    day = TruncDate("at", tzinfo=dt.UTC)
    of_one = events.filter(Q(data__isnull=True) | ~Q(data__has_key="items")).exclude(item=UNKNOWN_ITEM)
    grouped = of_one.annotate(day=day).values_list("day", "origin", "code", "item").annotate(n=Count("pk"))
    for on, origin, code, item, n in grouped.iterator(chunk_size=5_000):
        tally[on, ITEM_MEASURE[NAMES[code]], str(item), origin] += n
    several = events.filter(data__has_key="items").values_list("at", "origin", "code", "data")
    for at, origin, code, data in several.iterator(chunk_size=2_000):
        for item in (data or {})["items"]:
            if item != UNKNOWN_ITEM:
                tally[_day(at), ITEM_MEASURE[NAMES[code]], str(item), origin] += 1


def _count_reports(shop: Shop, events: Events, tally: Tally) -> None:
    told = (CODE["view_item_list"], CODE["select_item"])
    events = events.filter(code__in=told, data__has_key="recommendation_id")
    rows = events.values_list("at", "origin", "code", "item", "data").iterator(chunk_size=2_000)
    for chunk in hourly.chunks(rows):
        slates = slates_of(shop, {data["recommendation_id"] for *_, data in chunk})
        for at, origin, code, item, data in chunk:
            _, brought = slates.get(data["recommendation_id"], ("", {}))
            count_report(tally, _day(at), origin, code, data.get("items", (item,)), brought)


def _count_searches(events: Events, tally: Tally, sign: float = 1.0) -> None:
    rows = events.filter(code=CODE["search"]).exclude(query="").values_list("at", "origin", "query")
    for at, origin, query in rows.iterator(chunk_size=5_000):
        if term := term_of(query):
            tally[_day(at), "search", term, origin] += sign


def _count_led(events: Events, tally: Tally, sign: float = 1.0, *, visits: set[int] | None = None) -> None:
    """Of these visits, by primary key, or of all: those that searched at all, which are few.

    They are named to the database: before it knows how tables are filled, PostgreSQL takes minutes over a join of events with
    events.
    """
    searched = set(events.filter(code=SEARCH).values_list("session_id", flat=True).distinct()) if visits is None else visits
    for chunk in in_chunks(sorted(searched)):
        for led in led_on(events.filter(session__in=chunk)):
            tally[led.day, "search_led", led.term, led.origin] += sign


def forget_searches(shop: Shop, sessions: Sequence[int]) -> None:
    """Take off what these sessions, at most 500 by primary key and about to be deleted, searched for.

    Within the caller's transaction, which holds the shop's lock.
    """
    tally: Tally = defaultdict(float)
    theirs = ArchivedEvent.objects.filter(session__in=sessions).exclude(origin=Origin.TEST).order_by()
    _count_searches(theirs, tally, -1.0)
    _count_led(theirs, tally, -1.0)
    add(shop, tally)
    for chunk in in_chunks({key for _, _, key, _ in tally}):
        DayTally.objects.filter(shop=shop, measure__in=SEARCHES, key__in=chunk, value__lt=0.5).delete()


def _day(at: dt.datetime) -> dt.date:
    return at.astimezone(dt.UTC).date()


def _monday(day: dt.date) -> dt.date:
    """That of the day's week."""
    return day - dt.timedelta(days=day.weekday())
