"""Admin of items and of the clusters they form."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from clusters.models import Item, ItemCluster
from personas.admin import once, table

SHOWN_MEMBERS = 60


@admin.register(Item)
class ItemAdmin(ModelAdmin):
    list_display = ("title", "external_id", "shop", "category", "brand", "colour", "price", "in_stock")
    list_display_links = ("title", "external_id")
    list_filter = ("shop", "in_stock", "category")
    list_select_related = ("shop",)
    search_fields = ("title", "external_id")
    readonly_fields = ("created_at", "updated_at", "shown_clusters")
    autocomplete_fields = ("shop",)
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Item | None = None) -> tuple[str, ...]:
        # Logs and releases know the item by these.
        return ("shop", "external_id", *self.readonly_fields) if obj else self.readonly_fields

    @admin.display(description="clusters")
    @once
    def shown_clusters(self, item: Item) -> SafeString:
        members = item.memberships.select_related("cluster").filter(cluster__retired_at=None).order_by("-weight")
        return table(("cluster", "weight"), ((cluster_link(m.cluster), f"{m.weight:.2f}") for m in members))


def money(price: Decimal | None) -> str:
    return "" if price is None else f"{price:.2f}"


def cluster_link(cluster: ItemCluster) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("admin:clusters_itemcluster_change", args=[cluster.pk]), cluster.name)


def item_link(item: Item) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("admin:clusters_item_change", args=[item.pk]), str(item))


@admin.register(ItemCluster)
class ItemClusterAdmin(ModelAdmin):
    list_display = ("name", "shop", "kind", "size", "shown_share", "top_descriptors", "locked", "retired_at")
    list_filter = ("shop", "kind", "locked", ("retired_at", admin.EmptyFieldListFilter))
    list_select_related = ("shop",)
    search_fields = ("name",)
    fields = (
        "name", "locked", "shop", "kind", "size", "shown_share", "shown_descriptors", "members", "relations",
        "created_at", "updated_at", "retired_at",
    )  # fmt: skip
    readonly_fields = fields[2:]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # ids are for ever: training retires clusters, and logs name them

    @admin.display(description="share of engagement", ordering="share")
    def shown_share(self, cluster: ItemCluster) -> str:
        return f"{100 * cluster.share:.1f} %"

    @admin.display(description="descriptors")
    def top_descriptors(self, cluster: ItemCluster) -> str:
        return ", ".join(f"{d['name']} ×{d['lift']:.1f}" for d in cluster.descriptors[:3])

    @admin.display(description="descriptors")
    def shown_descriptors(self, cluster: ItemCluster) -> SafeString:
        return table(
            ("descriptor", "times as frequent as in the shop"), ((d["name"], f"{d['lift']:.2f}") for d in cluster.descriptors)
        )

    @admin.display(description=f"items, the {SHOWN_MEMBERS} most typical")
    @once
    def members(self, cluster: ItemCluster) -> SafeString:
        members = cluster.memberships.select_related("item").order_by("-weight", "item_id")[:SHOWN_MEMBERS]
        rows = ((item_link(m.item), m.item.category, m.item.colour, money(m.item.price), f"{m.weight:.2f}") for m in members)
        return table(("item", "category", "colour", "price", "weight"), rows)

    @admin.display(description="related clusters")
    @once
    def relations(self, cluster: ItemCluster) -> SafeString:
        related = cluster.relations.select_related("target").order_by("-weight")
        return table(("cluster", "weight"), ((cluster_link(r.target), f"{r.weight:.3f}") for r in related))
