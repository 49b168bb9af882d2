"""Numbers beside a cluster: how often its items were seen and picked, and what came in and went out, by the day's tallies and
the lineage. Never by a scan of the archive, and in as many queries for a thousand clusters as for one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from django.db.models import CharField, Q, Sum
from django.db.models.functions import Cast

from clusters.models import ClusterChange, ItemCluster
from personas.models import Shop
from recommendations import daily
from recommendations.desk.today import interval, told_rate
from recommendations.hourly import SHOWN
from recommendations.models import DayTally

DAYS = 28
WEEK = 7
MOST_KEPT = 50_000
"""Changes whose moved items are remembered: a change is never edited."""


class Seen(NamedTuple):
    """Items that a cluster brought to slates: seen, and picked, in the last 28 days and the last 7."""

    seen: float = 0.0
    clicked: float = 0.0
    seen_week: float = 0.0
    clicked_week: float = 0.0

    @property
    def rate(self) -> str:
        """ "5.1 in 100 (3.9 to 6.5)", "" where nothing was seen."""
        return told_rate(self.clicked, self.seen)

    @property
    def least_rate(self) -> float:
        """Lower end of the rate's 95 % interval: who was seen three times isn't better than who was seen three thousand."""
        return interval(self.clicked, self.seen)[0]


class Moved(NamedTuple):
    """Items that came in, and that went out, one change after the other."""

    entered: int = 0
    left: int = 0

    @property
    def items(self) -> int:
        return self.entered + self.left


class Day(NamedTuple):
    day: dt.date
    seen: float
    clicked: float


NOT_SEEN, NOT_MOVED = Seen(), Moved()


def seen_of(shop: Shop, today: dt.date, clusters: Collection[int] | None = None) -> dict[int, Seen]:
    """Cluster id -> how it did; those that were never seen are left out. clusters : None for all of the shop's."""
    rows = DayTally.objects.filter(
        shop=shop, measure__in=("cluster_seen", "cluster_click"), day__gt=today - dt.timedelta(days=DAYS), day__lte=today
    ).filter(origin__in=SHOWN)
    if clusters is not None:
        rows = rows.filter(key__in=[str(pk) for pk in clusters])
    lately = Sum("value", filter=Q(day__gt=today - dt.timedelta(days=WEEK)), default=0.0)
    found: dict[int, Seen] = {}
    for key, measure, all_of_it, week in rows.order_by().values_list("key", "measure").annotate(a=Sum("value"), w=lately):
        if key.isdecimal():
            seen = found.get(int(key), NOT_SEEN)
            change = (
                {"seen": all_of_it, "seen_week": week}
                if measure == "cluster_seen"
                else {"clicked": all_of_it, "clicked_week": week}
            )
            found[int(key)] = seen._replace(**change)
    return found


def ranked_by(shop: Shop, what: str, today: dt.date) -> dict[int, float]:
    """Cluster id -> how much it was "seen" or "clicked" in the last 28 days, or the lower end of its "rate".

    One query for each measure, in the order of its index: of a thousand clusters that is half as much work as `seen_of`.
    """
    first = today - dt.timedelta(days=DAYS - 1)
    clicked = daily.totals(shop, "cluster_click", first, today) if what != "seen" else {}
    seen = daily.totals(shop, "cluster_seen", first, today) if what != "clicked" else {}
    told = clicked if what == "clicked" else seen
    if what == "rate":
        told = {key: Seen(much, clicked.get(key, 0.0)).least_rate for key, much in seen.items()}
    return {int(key): much for key, much in told.items() if key.isdecimal()}


def course_of(cluster: ItemCluster, today: dt.date) -> list[Day]:
    """The last 28 days, the earliest first."""
    first = today - dt.timedelta(days=DAYS - 1)
    told = daily.by_day(cluster.shop, ("cluster_seen", "cluster_click"), str(cluster.pk), first, today)
    seen, clicked = told["cluster_seen"], told["cluster_click"]
    days = [first + dt.timedelta(days=n) for n in range(DAYS)]
    return [Day(day, seen.get(day, 0.0), clicked.get(day, 0.0)) for day in days]


def looks_at(cluster: ItemCluster, today: dt.date) -> float:
    """Looks at its items as they are now, wherever shoppers found them, in the last 28 days."""
    members = cluster.memberships.annotate(key=Cast("item_id", CharField())).values("key")
    rows = DayTally.objects.filter(
        shop=cluster.shop_id, measure="item_view", key__in=members, day__gt=today - dt.timedelta(days=DAYS), day__lte=today
    )
    return float(rows.filter(origin__in=SHOWN).aggregate(much=Sum("value", default=0.0))["much"])


def pairs_of(cluster: ItemCluster, personas: Iterable[int], today: dt.date) -> dict[int, Seen]:
    """Persona id -> how the cluster did where a slot was for that persona."""
    keys = {f"{persona}:{cluster.pk}": persona for persona in personas}
    rows = DayTally.objects.filter(
        shop=cluster.shop_id, key__in=list(keys), day__gt=today - dt.timedelta(days=DAYS), day__lte=today, origin__in=SHOWN
    ).filter(measure__in=("pair_seen", "pair_click"))
    found: dict[int, Seen] = {}
    for key, measure, much in rows.order_by().values_list("key", "measure").annotate(a=Sum("value")):
        seen = found.get(keys[key], NOT_SEEN)
        found[keys[key]] = seen._replace(**{"seen" if measure == "pair_seen" else "clicked": much})
    return found


# What moved

_moved: dict[int, Moved] = {}


def moved_of(shop: Shop, since: dt.datetime, clusters: Collection[int] | None = None) -> dict[int, Moved]:
    """Cluster id -> what came in and went out since then; its making doesn't count. clusters : None for all of the shop's."""
    changes = ClusterChange.objects.filter(shop=shop, at__gte=since).exclude(action=ClusterChange.Action.CREATED)
    if clusters is not None:
        changes = changes.filter(cluster__in=clusters)
    of = dict(changes.order_by().values_list("pk", "cluster_id"))
    unknown = [pk for pk in of if pk not in _moved]
    if len(_moved) + len(unknown) > MOST_KEPT:
        _moved.clear()
        unknown = list(of)
    rows = ClusterChange.objects.filter(shop=shop, at__gte=since, pk__in=unknown) if len(unknown) < 500 else changes
    for pk, members in rows.order_by().values_list("pk", "delta__members") if unknown else ():
        _moved[pk] = _count(members or {})
    found: dict[int, Moved] = {}
    for pk, cluster in of.items():
        one, before = _moved.get(pk, NOT_MOVED), found.get(cluster, NOT_MOVED)
        found[cluster] = Moved(before.entered + one.entered, before.left + one.left)
    return found


def _count(members: Mapping[str, list[Any]]) -> Moved:
    """members : as `ClusterChange.delta` has them."""
    return Moved(
        sum(before is None for before, _ in members.values()),
        sum(after is None for _, after in members.values()),
    )
