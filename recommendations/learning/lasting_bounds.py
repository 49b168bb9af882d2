"""How far learning may change clusters for good: which of a change's items a bound stops, and the tally of what was stopped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import F
from django.utils import timezone

from clusters import kept_out_rows
from clusters.cluster_drafts import CORE
from clusters.lineage import delta_of
from clusters.models import ClusterChange, ClusterItemRule, ClusterMembership, Item, ItemCluster
from personas.models import Shop, in_chunks
from recommendations.learning.models import AdaptationSettings, BlockedAction, ClusterProposal

Kind = ClusterProposal.Kind

WORDS: Mapping[str, str] = {
    "locked": "the cluster is locked",
    "core": "it is a core item, which never leaves or weighs less",
    "min_size": "the cluster would have fewer items than its least size",
    "max_size": "the cluster would have more items than its greatest size",
    "kept_out": "it is of a kind of items that the cluster takes in none of",
    "drift_budget": "learning has changed as much of the cluster today as it may in a day",
    "margin_floor": "it earns less than the margin floor",
    "apart": "it is of a category that must not be mixed with one of the cluster's",
    "most_contracted": "the visit had contracted as many clusters as it may",
    "most_expanded": "the visit had pulled in as many clusters as it may",
}
"""Why a bound stopped something, by the bound's name."""


class Allowed(NamedTuple):
    """items : ids that may be changed, in their order.  stopped : bound -> items that it stops; none named where it stops all."""

    items: tuple[int, ...]
    stopped: Mapping[str, tuple[int, ...]]

    @property
    def bound(self) -> str:
        """The bound that stops the change as a whole, "" where something of it may be made."""
        return "" if self.items or not self.stopped else next(iter(self.stopped))


@dataclass
class Held:
    """A cluster as bounds see it. before : items that it has but for what learning changed today.  spent : those items."""

    cluster: ItemCluster
    size: int
    before: int
    spent: set[int]
    core: set[int]


def held(cluster: ItemCluster, now: dt.datetime) -> Held:
    """What a cluster has, and what of its day's budget is spent; what was undone was given back."""
    start = day_start(now.astimezone(dt.UTC).date())
    size = ClusterMembership.objects.filter(cluster=cluster).count()
    spent: set[int] = set()
    grew = 0
    changes = ClusterChange.objects.filter(cluster=cluster, at__gte=start, actor=ClusterChange.Actor.LEARNING)
    for change in changes.filter(undoes=None, undone_by=None).iterator(chunk_size=50):
        delta = delta_of(change)
        spent |= delta.items
        grew += delta.entered - delta.left
    core = ClusterItemRule.objects.filter(cluster=cluster, rule=CORE).values_list("item_id", flat=True)
    return Held(cluster, size, size - grew, spent, set(core))


def day_start(day: dt.date) -> dt.datetime:
    """When a day begins, UTC."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def allowed(given: AdaptationSettings, held: Held, kind: str, items: Sequence[int]) -> Allowed:
    """Which of a change's items the bounds let be changed, the first ones where there is room for some only.

    A relation changes no item, and is bounded by nothing but that its clusters are there.
    """
    if kind == Kind.RELATE:
        return Allowed((), {})
    if held.cluster.locked:
        return Allowed((), {"locked": tuple(items)})
    stopped: dict[str, tuple[int, ...]] = {}
    left = list(items)

    def stop(bound: str, which: Iterable[int]) -> None:
        these = set(which)
        if out := tuple(item for item in left if item in these):
            stopped[bound] = out
            left[:] = [item for item in left if item not in these]

    if kind == Kind.ADD:
        bars = held.cluster.bars.values_list("kind", flat=True)
        stop("kept_out", kept_out_rows.under(held.cluster.shop_id, bars, left) if bars else ())
        stop("margin_floor", _too_cheap(given, left))
        stop("apart", _apart(given, held.cluster, left))
        if held.cluster.maximum_size is not None:
            stop("max_size", left[max(held.cluster.maximum_size - held.size, 0) :])
    else:
        stop("core", held.core)
        if kind == Kind.DROP:
            stop("min_size", left[max(held.size - (held.cluster.minimum_size or 1), 0) :])
    stop("drift_budget", [item for item in left if item not in held.spent][budget(given, held) :])
    return Allowed(tuple(left), stopped)


def budget(given: AdaptationSettings, held: Held) -> int:
    """Items of the cluster that learning may still change today: its share, at least one if any, less what is spent."""
    if given.drift_budget <= 0:
        return 0
    return max(max(int(given.drift_budget * held.before + 1e-9), 1) - len(held.spent), 0)


def _too_cheap(given: AdaptationSettings, items: Iterable[int]) -> set[int]:
    """Items that are known to earn less than the margin floor; where cost or price isn't known it is no bar."""
    if given.margin_floor is None:
        return set()
    low: set[int] = set()
    for chunk in in_chunks(items):
        priced = Item.objects.filter(pk__in=chunk, price__gt=0, cost__isnull=False)
        for pk, price, cost in priced.values_list("pk", "price", "cost"):
            if price is not None and cost is not None and float((price - cost) / price) < given.margin_floor:
                low.add(pk)
    return low


def _apart(given: AdaptationSettings, cluster: ItemCluster, items: Sequence[int]) -> set[int]:
    """Items of a category that is kept apart from one that the cluster holds, or from one of an item before them."""
    if not given.apart:
        return set()
    pairs = {frozenset(pair) for pair in given.apart}
    here = set(
        Item.objects.filter(memberships__cluster=cluster).exclude(category="").values_list("category", flat=True).distinct()
    )
    of = {
        pk: category
        for chunk in in_chunks(items)
        for pk, category in Item.objects.filter(pk__in=chunk).values_list("pk", "category")
    }
    out = set()
    for item in items:
        category = of.get(item, "")
        if any(frozenset((category, other)) in pairs for other in here - {category}):
            out.add(item)
        elif category:
            here.add(category)
    return out


def tally(shop: Shop, proposal: ClusterProposal, stopped: Mapping[str, Sequence[int]]) -> None:
    """Record what bounds stopped of a lasting change, once by bound; where a merchandiser sees it."""
    now = timezone.now()
    for bound in stopped:
        row, _ = BlockedAction.objects.get_or_create(
            shop=shop,
            day=now.astimezone(dt.UTC).date(),
            where=BlockedAction.Where.LASTING,
            cluster=proposal.cluster_id,
            action=proposal.kind,
            bound=bound,
        )
        BlockedAction.objects.filter(pk=row.pk).update(times=F("times") + 1, last_at=now, example=str(proposal.pk))
