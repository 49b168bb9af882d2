"""What the Data pages tell of a shop: gaps of its catalogue, what was searched for and found nothing, trainings and releases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db.models import CharField, Exists, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Cast
from django.utils import timezone

from clusters.models import ClusterMembership, Item
from personas.models import Shop, in_chunks
from recommendations import fit_reports
from recommendations.daily import COUNTED
from recommendations.hourly import SHOWN
from recommendations.models import DayTally, Release, TrainingRun

SEEN_DAYS = 28
"""Days in which an item was to be seen by somebody."""

COUNTS_S = 60
"""Seconds for which the counts of gaps are kept: at fifty thousand items they take a tenth of a second."""

PERIODS = (7, 28, 90)
MOST_TERMS = 100
LEAST_TIMES, MOST_TIMES = 5, 1_000_000
"""Searches of a term from which it says something that few of them led on; what an address may ask for."""

FEW_PERCENT = 20
"""Of 100 searches that led on, what is few."""

"""Searches, most frequent first, that are looked up in the index."""

SHOWN_RUNS, SHOWN_RELEASES = 10, 20


# The catalogue


class Gap(NamedTuple):
    """What an item may lack. key : as the address has it.  title, means : in words.  lacking : the items that do."""

    key: str
    title: str
    means: str
    lacking: Callable[[Shop, QuerySet[Item]], QuerySet[Item]]


def _clusterless(shop: Shop, items: QuerySet[Item]) -> QuerySet[Item]:
    return items.filter(~Exists(ClusterMembership.objects.filter(item=OuterRef("pk"), cluster__retired_at=None)))


def _unseen(shop: Shop, items: QuerySet[Item]) -> QuerySet[Item]:
    since = today() - dt.timedelta(days=SEEN_DAYS)
    seen = DayTally.objects.filter(
        shop=shop, measure="item_seen", key=Cast(OuterRef("pk"), CharField()), day__gte=since, origin__in=SHOWN
    )
    return items.filter(~Exists(seen))


GAPS = (
    Gap(
        "cluster",
        "In no cluster",
        "Items that no cluster holds. No persona leads to them; only searches and what others viewed with them do.",
        _clusterless,
    ),
    Gap(
        "unseen",
        f"Seen by nobody in {SEEN_DAYS} days",
        "Items of no recommendation that a page reported as seen: no persona reaches them as things are.",
        _unseen,
    ),
    Gap(
        "stock",
        "Out of stock",
        "Items that the shop says it can’t sell now. They are not recommended.",
        lambda shop, items: items.filter(in_stock=False),
    ),
    Gap(
        "price",
        "Without a price",
        "Personas that go by price can’t tell these items apart, and margin rules pass them over.",
        lambda shop, items: items.filter(price=None),
    ),
    Gap(
        "category",
        "Without a category",
        "Most of what is learned of personas goes by categories; these items give no clue.",
        lambda shop, items: items.filter(category=""),
    ),
)


class Coverage(NamedTuple):
    """items : how many there are.  gaps : each with how many lack it.  at : when that was counted."""

    items: int
    gaps: list[tuple[Gap, int]]
    at: dt.datetime


def coverage(shop: Shop) -> Coverage:
    """How many items lack what, kept for a minute."""
    name = f"data:coverage:{shop.pk}"
    told = cache.get(name)
    if told is None:
        items = Item.objects.of_shop(shop).order_by()
        told = [items.count(), {gap.key: gap.lacking(shop, items).count() for gap in GAPS}, timezone.now().isoformat()]
        cache.set(name, told, COUNTS_S)
    count, lacking, at = told
    return Coverage(count, [(gap, lacking[gap.key]) for gap in GAPS], dt.datetime.fromisoformat(at))


def lacking(shop: Shop, key: str, words: str, category: str) -> QuerySet[Item]:
    """Items of a gap, or all of them where none is named, that go by the filters; by id."""
    items: QuerySet[Item] = Item.objects.of_shop(shop).order_by("pk")
    if gap := next((gap for gap in GAPS if gap.key == key), None):
        items = gap.lacking(shop, items)
    if words:
        items = items.filter(Q(title__icontains=words) | Q(external_id__startswith=words))
    return items.filter(category=category) if category else items


def categories(shop: Shop) -> list[str]:
    """The shop's categories, by name."""
    return list(
        Item.objects.of_shop(shop).exclude(category="").order_by("category").values_list("category", flat=True).distinct()
    )


# Searches


@dataclass(frozen=True)
class Term:
    """What was searched for. found : items that a search finds now.  read_as : how it was understood, "" for as it stands.

    led : how many of these searches were followed by a look at an item (`recommendations.daily`).  told : of how many that is
        known, those since it is counted.
    missing : words that no item has.  loosely : whether only some of the words are met.
    """

    term: str
    times: int
    found: int
    read_as: str
    missing: tuple[str, ...]
    loosely: bool
    led: int = 0
    told: int = 0

    @property
    def percent(self) -> float:
        """Of 100 searches of which it is known, those that led on."""
        return 100 * min(self.led / self.told, 1.0) if self.told else 0.0


def terms(shop: Shop, days: int, words: str = "", led_since: dt.date | None = None) -> tuple[list[Term], int]:
    """What was searched for most in the last days, with what a search finds now; and how many searches there were in all."""
    since = today() - dt.timedelta(days=days - 1)
    rows = DayTally.objects.filter(shop=shop, measure="search", day__gte=since, origin__in=COUNTED)
    total = rows.aggregate(n=Sum("value"))["n"] or 0
    rows = rows.filter(key__contains=words.casefold()) if words else rows
    known_since = max(since, led_since or since)
    known = Sum("value", filter=Q(day__gte=known_since), default=0.0)
    counted = rows.order_by().values_list("key").annotate(n=Sum("value"), known=known)
    most = list(counted.order_by("-n", "key")[:MOST_TERMS])
    led: dict[str, float] = {}
    for chunk in in_chunks(term for term, *_ in most):
        of = DayTally.objects.filter(shop=shop, measure="search_led", key__in=chunk, day__gte=known_since, origin__in=COUNTED)
        led |= dict(of.order_by().values_list("key").annotate(Sum("value")))
    return [
        replace(_looked_up(shop, term, round(times)), led=round(led.get(term, 0)), told=round(told)) for term, times, told in most
    ], round(total)


def today() -> dt.date:
    """As days are counted by (UTC)."""
    return timezone.now().astimezone(dt.UTC).date()


def led_since(shop: Shop) -> dt.date | None:
    """The first day of all of which it is known whether searches led on, tomorrow at the latest; None where none ever did.

    It isn't counted of before an upgrade, which may have come in the middle of the first day that tells of any.
    """
    first = DayTally.objects.filter(shop=shop, measure="search_led").aggregate(first=Min("day"))["first"]
    if first is None or not DayTally.objects.filter(shop=shop, measure="search", day__lt=first).exists():
        return first
    whole: dt.date = first + dt.timedelta(days=1)
    return whole


def _looked_up(shop: Shop, term: str, times: int) -> Term:
    from clusters.search_index import search  # the numeric stack, which other pages of the admin do without
    from clusters.searching import index_of
    from recommendations.web.search_pages import understood

    found = search(index_of(shop), term, count=0, facets=False)
    read_as, missing = understood(found)
    return Term(term, times, found.total, read_as if read_as != term else "", missing, found.relaxed)


# Trainings and releases


class Run(NamedTuple):
    """A training as a row. how : its outcome in words.  good : False where that is no good news."""

    run: TrainingRun
    how: str
    good: bool
    seconds: int | None


def runs(shop: Shop) -> list[Run]:
    """The latest trainings, whatever became of them."""
    rows = TrainingRun.objects.filter(shop=shop).select_related("release__shop")[:SHOWN_RUNS]
    return [_run(run) for run in rows]


def _run(run: TrainingRun) -> Run:
    ended = run.finished_at or None
    seconds = round((ended - run.started_at).total_seconds()) if ended else None
    if run.state == TrainingRun.State.RUNNING:
        return Run(run, f"{run.stage}, {100 * run.progress:.0f} %", True, seconds)
    if run.state == TrainingRun.State.FAILED:
        return Run(run, run.error or "interrupted", False, seconds)
    return Run(run, f"made release {run.release.number}" if run.release else "nothing new to serve", True, seconds)


class Trained(NamedTuple):
    """A release with what it was trained from. facts, evaluated : in sentences; nothing that isn't on record."""

    release: Release
    facts: str
    evaluated: list[str]


def trained(shop: Shop) -> list[Trained]:
    """The latest releases, newest first."""
    rows = list(Release.objects.filter(shop=shop).select_related("activated_by", "shop").order_by("-number")[:SHOWN_RELEASES])
    reports = {
        run.release_id: run.report for run in TrainingRun.objects.filter(release__in=[row.pk for row in rows]) if run.report
    }
    return [Trained(row, facts(row.metrics), _evaluated(reports.get(row.pk, {}))) for row in rows]


NAMED = (("events", "events"), ("sessions", "visits"), ("items", "items"), ("clusters", "clusters"), ("personas", "personas"))


def facts(metrics: dict[str, Any]) -> str:
    """What a release was trained from, and came to, in a line."""
    told = [f"{metrics[name]:,} {words}" for name, words in NAMED if isinstance(metrics.get(name), int)]
    of = metrics.get("of")
    return (f"release {of} with clusters edited since: " if of else "") + ", ".join(told)


def _evaluated(report: dict[str, Any]) -> list[str]:
    return fit_reports.summary(report) if "log_likelihood" in report else []
