"""Pages of many clusters: the grid, and whom they suit as a heat map; both by the same filters, as a table to download too."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone

from clusters.models import ItemCluster
from personas.models import Shop
from recommendations.desk.clusters.grid import SORTS, STATES, Filters, Grid, grid
from recommendations.desk.clusters.stories import engine_for
from recommendations.desk.clusters.suits import NOBODY, Suits, suits_of
from recommendations.desk.shops import chosen
from recommendations.desk.tables import csv_file

if TYPE_CHECKING:
    from recommendations.desk.clusters.pages import ItemClusterPages

VIEWS = {"tiles": "Tiles", "suits": "Whom they suit"}

HEADER = (
    "id", "cluster", "kind", "state", "items", "share_of_engagement", "seen_28_days", "picked_28_days", "seen_7_days",
    "picked_7_days", "came_in_28_days", "went_out_28_days", "descriptors",
)  # fmt: skip


def grid_page(pages: ItemClusterPages, request: HttpRequest) -> HttpResponseBase:
    """Clusters of one shop by search, kind, state and persona; `view=suits` beside all personas; `format=csv` all of them."""
    if not pages.has_view_permission(request):
        raise PermissionDenied
    shops = list(Shop.objects.order_by("slug"))
    shop = chosen(request, shops)
    view = request.GET.get("view", "tiles")
    view = view if view in VIEWS else "tiles"
    context: dict[str, Any] = {"title": "Clusters", "shops": shops, "shop": shop, "view": view}
    if shop is None:
        return pages.page(request, "grid", context)
    engine, missing = engine_for(shop)
    suits = suits_of(shop, engine) if engine is not None else NOBODY
    filters = Filters.of(request.GET)
    today = timezone.now().astimezone(dt.UTC).date()
    if request.GET.get("format") == "csv":
        return _file(shop, grid(shop, filters, suits, today, whole=True, walls=False), suits)
    found = grid(shop, filters, suits, today, walls=view == "tiles")
    context |= {
        "filters": filters,
        "grid": found,
        "suits": suits,
        "untold": missing,
        "kinds": ItemCluster.Kind.choices,
        "states": STATES.items(),
        "sorts": SORTS.items(),
        "views": [(name, words, _address(shop, filters, name)) for name, words in VIEWS.items()],
        "first": (found.page - 1) * 60 + 1,
        "last": (found.page - 1) * 60 + len(found.tiles),
        "before": _address(shop, filters, view, page=found.page - 1) if found.page > 1 else "",
        "after": _address(shop, filters, view, page=found.page + 1) if found.page < found.pages else "",
        "download": f"{_address(shop, filters, view)}&format=csv",
        "may": pages.has_change_permission(request),
        "may_make": pages.has_add_permission(request),
        "may_import": pages.may_import(request),
        "list": f"{reverse('admin:clusters_itemcluster_changelist')}?shop__id__exact={shop.pk}",
    }
    return pages.page(request, "grid", context)


def _address(shop: Shop, filters: Filters, view: str, **other: Any) -> str:
    rest = filters.address(**other)
    named = "" if view == "tiles" else f"&view={view}"
    return f"?shop={shop.slug}{named}{'&' + rest if rest else ''}"


def _file(shop: Shop, found: Grid, suits: Suits) -> StreamingHttpResponse:
    header = [*HEADER, *(f"suits {who.name}" for who in suits.personas)]
    return csv_file(f"clusters-{shop.slug}", header, _lines(found, suits))


def _lines(found: Grid, suits: Suits) -> Iterable[Sequence[Any]]:
    for tile in found.tiles:
        row, seen = tile.cluster, tile.seen
        scores = {one.persona.id: round(one.percent) for one in tile.all_suits}
        yield [
            row.pk,
            row.name,
            row.get_kind_display(),
            state_of(row),
            row.size,
            round(row.share, 4),
            round(seen.seen),
            round(seen.clicked),
            round(seen.seen_week),
            round(seen.clicked_week),
            tile.moved.entered,
            tile.moved.left,
            ", ".join(f"{d['name']} x{d['lift']:.1f}" for d in row.descriptors[:3]),
            *(scores.get(who.id, "") for who in suits.personas),
        ]


def state_of(cluster: ItemCluster) -> str:
    """In a word; "" of a learned one that serves."""
    if cluster.retired_at is not None:
        return "retired"
    return "locked" if cluster.locked else ""
