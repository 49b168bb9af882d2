"""Admin of items and of the clusters they form."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from clusters import feed_pages as feed_pages  # registers its page
from clusters.item_records import PRICES
from clusters.models import ClusterChange, Item, ItemCluster
from personas.admin import ReadOnlyAdmin, once, table
from personas.line_fields import LinesField, PairsField


class ItemForm(forms.ModelForm):
    tags = LinesField(help_text="One a line. Rules, weights and searches go by them.")
    attributes = PairsField(help_text="What else is known of it, one a line, such as “material: wool”.")

    class Meta:
        model = Item
        fields = "__all__"
        help_texts = {
            "external_id": "What the shop calls it; events name it by this.",
            "currency": "As EUR; empty for the shop's own.",
            "image_url": "Of its picture; without one it is drawn.",
        }

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        for name in PRICES:
            price = self.initial.get(name)
            if isinstance(price, Decimal) and price == round(price, 2):
                self.initial[name] = round(price, 2)  # kept to four places, which hardly any shop has


class ItemAdmin(ModelAdmin):
    """Registered by `recommendations.desk.item_pages`, which knows what shoppers see of an item."""

    form = ItemForm
    nothing_yet = "Hand in a file under Data, Imports, let a catalogue feed fetch one, or add one by hand."
    list_display = ("title", "shown_id", "shop", "category", "brand", "colour", "shown_price", "in_stock")
    list_display_links = ("title", "shown_id")
    list_filter = ("shop", "in_stock", "category")
    list_select_related = ("shop",)
    search_fields = ("title", "external_id")
    readonly_fields: tuple[str, ...] = ("created_at", "updated_at", "shown_clusters")
    autocomplete_fields = ("shop",)
    show_full_result_count = False
    list_per_page = 50

    def get_readonly_fields(self, request: HttpRequest, obj: Item | None = None) -> tuple[str, ...]:
        # Logs and releases know the item by these.
        return ("shop", "external_id", *self.readonly_fields) if obj else self.readonly_fields

    @admin.display(description="id in the shop", ordering="external_id")
    def shown_id(self, item: Item) -> str:
        return item.external_id

    @admin.display(description="price", ordering="price", empty_value="–")
    def shown_price(self, item: Item) -> str | None:
        return money(item.price) or None

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


class ItemClusterAdmin(ModelAdmin):
    """Registered by `recommendations.desk.clusters.pages`, which knows what serves and how edits reach the shoppers."""

    list_display = ("name", "shop", "kind", "size", "shown_share", "top_descriptors", "shown_state", "changed")
    list_filter = ("shop", "kind", "locked", ("retired_at", admin.EmptyFieldListFilter))
    list_select_related = ("shop",)
    search_fields = ("name",)
    show_full_result_count = False
    list_per_page = 50
    ordering = (F("retired_at").asc(nulls_first=True), "-share", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ItemCluster]:
        return super().get_queryset(request).select_related("shop").exclude(name="")  # rows that only hold an id

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # ids are for ever: clusters are retired, and logs name them

    @admin.display(description="state", ordering="locked")
    def shown_state(self, cluster: ItemCluster) -> str:
        return "retired" if cluster.retired_at else "locked" if cluster.locked else ""

    @admin.display(description="changed", ordering="updated_at")
    def changed(self, cluster: ItemCluster) -> dt.datetime:
        return cluster.updated_at

    @admin.display(description="share of engagement", ordering="share")
    def shown_share(self, cluster: ItemCluster) -> str:
        return f"{100 * cluster.share:.1f} %"

    @admin.display(description="descriptors")
    def top_descriptors(self, cluster: ItemCluster) -> str:
        return ", ".join(f"{d['name']} ×{d['lift']:.1f}" for d in cluster.descriptors[:2])


class ClusterChangeAdmin(ReadOnlyAdmin):
    """What became of clusters: when, by whom or what, and why. Registered by `recommendations.desk.clusters.pages`."""

    list_display: tuple[str, ...] = ("shown_at", "shown_cluster", "shop", "action", "shown_by", "summary", "reason")
    list_display_links = ("shown_at",)
    list_filter = ("shop", "actor", "action", "at")
    list_select_related = ("shop", "cluster", "user", "undone_by")
    search_fields = ("cluster__name", "summary", "reason", "who")
    show_full_result_count = False
    fields = readonly_fields = ("at", "shop", "shown_cluster", "action", "shown_by", "summary", "reason")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ClusterChange]:
        rows = super().get_queryset(request)
        return rows.defer("delta", "undone_by__delta")  # of a rebuild it may be large

    @admin.display(description="at", ordering="pk")
    def shown_at(self, change: ClusterChange) -> dt.datetime:
        return change.at

    @admin.display(description="cluster", ordering="cluster__name")
    def shown_cluster(self, change: ClusterChange) -> SafeString:
        return cluster_link(change.cluster)

    @admin.display(description="by")
    def shown_by(self, change: ClusterChange) -> str:
        return by_whom(change)


def by_whom(change: ClusterChange) -> str:
    """Who or what made a change, in a word or two."""
    user = change.user.get_username() if change.user else ""
    if change.actor == ClusterChange.Actor.MERCHANDISER and (user or change.who):
        return user or change.who
    kind = change.get_actor_display()
    told = (kind if not change.who.startswith(kind) else "", change.who, user)
    return " · ".join(dict.fromkeys(filter(None, told)))
