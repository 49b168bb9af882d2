"""What the page of a cluster draws: its items as a wall, how it did by the day, where its visits go on to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from clusters.models import ClusterChange, ClusterRelation, Item, ItemCluster
from recommendations.desk.clusters import charts as cluster_charts
from recommendations.desk.clusters.charts import Bar, Edge, Flag, Node
from recommendations.desk.clusters.figures import DAYS, Seen, course_of, looks_at

WALL = 40
"""Items of the wall, the most typical ones."""

SMALLEST, LARGEST = 30, 88
"""Width of an item in the wall, in pixels: of weight 0 and of weight 1."""

NEXT = 8
"""Clusters one step away that are drawn."""

BEYOND = 2
"""Clusters two steps away that are drawn for each of those."""


class Brick(NamedTuple):
    """An item in the wall. width : pixels, by its weight.  told : its title, weight and stock in words."""

    item: Item
    picture: str
    width: int
    told: str


def wall(cluster: ItemCluster, picture: Any) -> dict[str, Any]:
    """{"bricks", "in_stock", "all", "told"}. picture : (shop, item) to its address."""
    counted = cluster.memberships.aggregate(all=Count("pk"), there=Count("pk", filter=Q(item__in_stock=True)))
    members = cluster.memberships.select_related("item").order_by("-weight", "item_id")[:WALL]
    bricks = [
        Brick(
            m.item,
            picture(cluster.shop, m.item),
            round(SMALLEST + (LARGEST - SMALLEST) * m.weight),
            f"{m.item}, typical {m.weight:.2f} of 1{'' if m.item.in_stock else ', out of stock'}",
        )
        for m in members
    ]
    return {"bricks": bricks, "in_stock": counted["there"], "all": counted["all"]}


def course(cluster: ItemCluster, changes: Sequence[ClusterChange], today: dt.date) -> dict[str, Any]:
    """{"drawn", "told", "looks", "days"}: the last 28 days. changes : its latest ones, marked where they fall within."""
    days = course_of(cluster, today)
    seen = Seen(sum(day.seen for day in days), sum(day.clicked for day in days))
    looks = looks_at(cluster, today)
    if not seen.seen:
        return {"drawn": "", "told": "", "looks": looks, "days": []}
    first = days[0].day
    bars = [
        Bar(
            day.seen,
            day.clicked,
            f"{day.day:%-d %b}" if (len(days) - 1 - n) % 7 == 0 else "",
            f"{day.day:%a %-d %b}: seen {day.seen:,.0f}, picked {day.clicked:,.0f}",
        )
        for n, day in enumerate(days)
    ]
    flags = [
        Flag((change.at.date() - first).days, f"{change.at:%-d %b}: {change.get_action_display()}, {change.summary}")
        for change in changes
        if first <= change.at.date() <= today
    ]
    told = f"Seen {seen.seen:,.0f} times in recommendations in the last {DAYS} days, picked {seen.clicked:,.0f}: {seen.rate}."
    # Escaped where it is drawn.
    return {"drawn": mark_safe(cluster_charts.engagement(bars, flags, sentence=told)), "told": told, "looks": looks, "days": days}


def relations(cluster: ItemCluster) -> SafeString:
    """Where visits go on to from it, up to two steps; "" where nothing is known."""
    live = ClusterRelation.objects.filter(target__retired_at=None).select_related("target").order_by("-weight")
    near = list(live.filter(source=cluster)[:NEXT])
    there = {cluster.pk, *(row.target_id for row in near)}
    nodes = [_node(cluster, 0), *(_node(row.target, 1) for row in near)]
    edges = [Edge(row.source_id, row.target_id, row.weight) for row in near]
    of: dict[int, int] = {}
    for row in live.filter(source__in=[row.target_id for row in near]):
        if row.target_id == cluster.pk:
            continue
        if row.target_id not in there:
            if of.get(row.source_id, 0) >= BEYOND:
                continue
            of[row.source_id] = of.get(row.source_id, 0) + 1
            there.add(row.target_id)
            nodes.append(_node(row.target, 2))
            edges.append(Edge(row.source_id, row.target_id, row.weight))
        elif any(node.id == row.target_id and node.steps == 2 for node in nodes):
            edges.append(Edge(row.source_id, row.target_id, row.weight))
    first = near[0].target.name if near else ""
    told = f"Visits to “{cluster}” go on to {len(near)} clusters, most of all to “{first}”; the table beside lists them."
    return mark_safe(cluster_charts.neighbours(nodes, edges, sentence=told))  # escaped where it is drawn


def _node(cluster: ItemCluster, steps: int) -> Node:
    url = reverse("admin:clusters_itemcluster_change", args=[cluster.pk])
    return Node(cluster.pk, cluster.name, cluster.size, steps, url)
