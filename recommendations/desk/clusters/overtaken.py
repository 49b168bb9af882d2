"""Edits from pages that are older than the clusters they show: nobody takes back unawares what somebody else changed meanwhile.

Such a page names the last change that it knew of (`seen`); what came after is read from the lineage, under the shop's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.http import QueryDict
from django.utils import timezone

from clusters.admin import by_whom
from clusters.cluster_drafts import EditConflict, listed
from clusters.lineage import delta_of
from clusters.models import ClusterChange, ItemCluster
from clusters.undoing import REBUILT_BY
from recommendations.desk.clusters.items import numbers

TOLD = 3
"""Changes that came in between which are told one by one."""


class Overtaken(EditConflict):
    """An edit of what somebody else changed since the page was opened. seen : their last change; who saw it may edit again."""

    def __init__(self, by_others: Sequence[ClusterChange]) -> None:
        told = listed([f"{by_whom(c)}, {timezone.localtime(c.at):%-d %b, %H:%M}: {c.summary}" for c in by_others], TOLD)
        super().__init__("this page", f"was older than the cluster. {told}. Look at that first; you can still do it after")
        self.seen = max(change.pk for change in by_others)


def last_change(clusters: Iterable[int]) -> int:
    """The last change of any of these clusters, 0 for none; to be read before the rows that a page shows."""
    return ClusterChange.objects.filter(cluster__in=clusters).order_by("-pk").values_list("pk", flat=True).first() or 0


def seen_by(given: QueryDict) -> int | None:
    """The last change that the page of a request knew of; None for a request that comes from no page."""
    return next(iter(numbers([given.get("seen", "")])), None)


def check_not_overtaken(made: Sequence[ClusterChange], seen: int | None) -> None:
    """Raises Overtaken where changes that were just made touch what others by people touched since a page was opened.

    To be called in the transaction that made them. Rebuilds don't count: what somebody says of an item or a name goes first.
    """
    if seen is None or not made:
        return
    since = ClusterChange.objects.for_list().filter(cluster__in={c.cluster_id for c in made}, pk__gt=seen)
    others = since.exclude(pk__in=[c.pk for c in made]).exclude(actor__in=REBUILT_BY).order_by("pk")
    mine: dict[int, set[str | int]] = {}
    for change in made:
        mine.setdefault(change.cluster_id, set()).update(touched(change))
    overtook = [other for other in others if touched(other) & mine[other.cluster_id]]
    if overtook:
        raise Overtaken(overtook)


def touched(change: ClusterChange) -> set[str | int]:
    """Names of fields, ids of items, clusters that it is tied to, and kinds of items that are kept out."""
    delta = delta_of(change)
    return {
        *delta.fields,
        *delta.items,
        *(f"tie {target}" for target in delta.ties),
        *(f"kept out {kind}" for kind in delta.bars),
    }


def fields_at(cluster: ItemCluster, seen: int | None, names: Iterable[str]) -> dict[str, Any]:
    """What a page showed of these fields, by the cluster as it is now and what was changed since."""
    values = {name: getattr(cluster, name) for name in names}
    if seen is not None:
        for change in ClusterChange.objects.filter(cluster=cluster, pk__gt=seen).order_by("-pk"):
            values |= {name: before for name, (before, _) in delta_of(change).fields.items() if name in values}
    return values
