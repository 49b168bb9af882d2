"""What the admin tells of a cluster: its items and why each is there, what it was made of, who it suits, what became of it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.urls import reverse
from django.utils import timezone

from clusters.admin import by_whom
from clusters.kept_out import listed
from clusters.lineage import brought_in, history
from clusters.models import ClusterItemRule, ClusterMembership, Item, ItemCluster
from clusters.undoing import REBUILT_BY
from personas import versions
from personas.models import Shop
from recommendations.desk.clusters import drawings as cluster_drawings
from recommendations.desk.clusters.figures import pairs_of
from recommendations.models import Release

if TYPE_CHECKING:
    from recommendations.engine import Engine

PAGE = 100
"""Items shown at once, the most typical first."""

OF_A_PART = 12
"""Items shown of each part of a cluster that has parts, until one part is chosen."""

OTHERWISE: dict[str, str] = {
    ItemCluster.Kind.CO_VISIT.value: "It is viewed in visits that view the others.",
    ItemCluster.Kind.SEARCH.value: "Kept from an earlier search.",
}
"""Why an item is in a cluster where nothing more is known of it."""

SHOWN_CHANGES = 20
SHOWN_RELATED = 8


class Shown(NamedTuple):
    """An item on a cluster's page. percent : its weight, of 100.  why : sentences, the strongest reason first.

    since : when it came in and by whom or what, "" where that is further back than is looked.
    """

    item: Item
    weight: float
    percent: float
    rule: str
    why: tuple[str, ...]
    picture: str
    since: str = ""


class Section(NamedTuple):
    """Items under one heading. name, number, size : of the part, "" and 0 where the cluster isn't shown by parts."""

    name: str
    number: int
    size: int
    rows: tuple[Shown, ...]


def story(cluster: ItemCluster, *, page: int = 1, part: int = 0) -> dict[str, Any]:
    """What the page of a cluster shows. page : from 1.  part : number of the part whose items are asked for, 0 for all."""
    engine, missing = engine_for(cluster.shop)
    sections, pages = _sections(cluster, engine, page, part)
    changes = changes_of(cluster)
    today = timezone.now().astimezone(dt.UTC).date()
    return {
        "wall": cluster_drawings.wall(cluster, picture) if page == 1 and not part else None,
        "course": cluster_drawings.course(cluster, [row["change"] for row in changes], today),
        "map": cluster_drawings.relations(cluster),
        "share": 100 * cluster.share,
        "sections": sections,
        "otherwise": OTHERWISE.get(cluster.kind, ""),
        "page": min(page, pages),
        "pages": pages,
        "part": next((p for p in cluster.parts if p["number"] == part), None),
        "excluded": _excluded(cluster),
        "kept_out": listed(cluster.bars.order_by("kind").values_list("kind", flat=True)),
        "related": cluster.relations.select_related("target").order_by("-weight")[:SHOWN_RELATED],
        "ties": cluster.ties.filter(target__retired_at=None).select_related("target").order_by("-weight"),
        "suits": _suits(cluster, engine, today),
        "untold": missing,
        "made_of": _made_of(cluster),
        "changes": changes,
        "all_changes": f"{reverse('admin:clusters_clusterchange_changelist')}?cluster__id__exact={cluster.pk}",
    }


def engine_for(shop: Shop) -> tuple[Engine | None, str]:
    """The engine of the shop's active release, or why there is none."""
    from recommendations.releases import ReleaseError  # the numeric stack, which other pages of the admin do without
    from recommendations.stories import engine_of

    if Release.objects.active(shop) is None:
        return None, f"{shop.name} has no active release yet: its first training learns from the log."
    try:
        return engine_of(shop), ""
    except ReleaseError as error:
        return None, f"The active release can't be read: {error}."


# Items


def _sections(cluster: ItemCluster, engine: Engine | None, page: int, part: int) -> tuple[list[Section], int]:
    """The items in sections, and how many pages there are."""
    members = cluster.memberships.select_related("item")
    found: list[ClusterMembership]
    if cluster.parts and not part:
        place = Window(RowNumber(), partition_by=F("part"), order_by=(F("weight").desc(), F("item_id").asc()))
        found = list(members.annotate(place=place).filter(place__lte=OF_A_PART).order_by("part", "-weight", "item_id"))
        shown = {row.item.pk: row for row in _shown(cluster, engine, found)}
        numbers = {part["number"] for part in cluster.parts}
        sections = [_section(part, found, shown) for part in cluster.parts]
        rest = [m for m in found if m.part not in numbers]
        sections += [Section("In no part", 0, 0, tuple(shown[m.item_id] for m in rest))] if rest else []
        return [section for section in sections if section.rows], 1
    if part:
        members = members.filter(part=part)
    pages = max(1, math.ceil(members.count() / PAGE))
    start = (min(page, pages) - 1) * PAGE
    found = list(members.order_by("-weight", "item_id")[start : start + PAGE])
    return [Section("", 0, 0, tuple(_shown(cluster, engine, found)))], pages


def _section(part: dict[str, Any], found: Iterable[ClusterMembership], shown: dict[int, Shown]) -> Section:
    rows = tuple(shown[m.item_id] for m in found if m.part == part["number"])
    return Section(part["name"], part["number"], part["size"], rows)


def _shown(cluster: ItemCluster, engine: Engine | None, members: Sequence[ClusterMembership]) -> list[Shown]:
    from recommendations.cluster_reasons import reasons

    rules = dict(
        cluster.item_rules.filter(item_id__in=[m.item_id for m in members]).values_list("item_id", "rule"),
    )
    brought = brought_in(cluster, [m.item_id for m in members])
    why = reasons(cluster, members, engine=engine, brought=brought)
    since = {item: f"{timezone.localtime(change.at):%-d %b %Y}, {by_whom(change)}" for item, change in brought.items()}
    return [
        Shown(
            m.item,
            m.weight,
            100 * m.weight,
            rules.get(m.item_id, ""),
            why[m.item_id],
            picture(cluster.shop, m.item),
            since.get(m.item_id, ""),
        )
        for m in members
    ]


def _excluded(cluster: ItemCluster) -> list[Item]:
    rules = cluster.item_rules.filter(rule=ClusterItemRule.Rule.EXCLUDED).select_related("item").order_by("-pk")
    return [rule.item for rule in rules[:PAGE]]


def picture(shop: Shop, item: Item) -> str:
    """Where the item's picture is; "" for a shop that this installation draws none for."""
    return reverse("storefront:picture", kwargs={"slug": shop.slug, "external_id": item.external_id}) if shop.demo else ""


# Whom it suits, what it was made of, what became of it


def _suits(cluster: ItemCluster, engine: Engine | None, today: dt.date) -> list[dict[str, Any]]:
    """Personas, those first whom the cluster suits most, with the terms that add up to the score, and how it did with them."""
    if engine is None:
        return []
    from recommendations.cluster_reasons import alignment

    personas = versions.ever(cluster.shop)
    done = pairs_of(cluster, engine.personas.ids, today)
    return [
        {
            "name": each.name,
            "colour": personas[each.archetype_id].colour if each.archetype_id in personas else "#999999",
            "percent": 100 * each.score,
            "strength": min(100, round(abs(100 * each.score - 50.0) / 0.3)),
            "done": done.get(each.archetype_id),
            "terms": [(_term(term.kind, term.name, term.attribute, term.value), term.value) for term in each.terms],
        }
        for each in alignment(engine, cluster.pk)
    ]


def _term(kind: str, name: str, attribute: str, value: float) -> str:
    if kind == "everybody":
        return "as everybody"
    if kind == "persona":
        return f"{name} engages {'more' if value >= 0 else 'less'} with its items than shoppers in general"
    return f"{attribute}: {name}"


def _made_of(cluster: ItemCluster) -> dict[str, Any] | None:
    from clusters.search_titles import say_attribute, say_market
    from recommendations.cluster_reasons import trace_of

    trace = trace_of(cluster)
    if trace is None:
        return None
    return {
        "terms": trace.terms,
        "pairs": trace.pairs[:PAGE],
        "attributes": [(say_attribute(name), lift) for name, lift in trace.attributes],
        "market": say_market(trace.market) if trace.market else "",
        "searches": [
            (d.words, ", ".join(say_attribute(name) for name in d.filters), d.weight, d.found)
            for d in trace.descriptors
            if d.words
        ],
    }


def changes_of(cluster: ItemCluster) -> list[dict[str, Any]]:
    """The latest changes, each with who made it and whether it can be asked to be undone."""
    rows = history(cluster).defer("delta", "undone_by__delta")[:SHOWN_CHANGES]
    return [
        {
            "change": row,
            "by": by_whom(row),
            "undone": getattr(row, "undone_by", None),
            "rebuilt": row.actor in REBUILT_BY,
        }
        for row in rows
    ]
