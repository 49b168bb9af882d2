"""Items in the admin, with what shoppers see of each just now; and the versions of the live overlay, to look at."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from clusters.admin import ItemAdmin, item_link, money
from clusters.models import Item
from personas.admin import ReadOnlyAdmin, once, table
from recommendations.models import OverlayChange, ServedSlate
from recommendations.rule_words import PLACES

if TYPE_CHECKING:
    from recommendations.overlays import LiveState

LATEST, NAMED = 300, 5
"""Slates of the shop that an item's page looks through, the latest, and how many of those that hold the item it names."""

SHOWN = 100
"""Items of a version that its page names, of each kind."""


@admin.register(Item)
class ItemPage(ItemAdmin):
    readonly_fields = ("shown_live", "shown_slates", *ItemAdmin.readonly_fields)

    def get_fieldsets(self, request: HttpRequest, obj: Item | None = None) -> list[tuple[str | None, dict[str, Any]]]:
        """What shoppers see stands first; a new item has nothing to tell yet."""
        slates = ["shown_slates"] if request.user.has_perm("recommendations.view_servedslate") else []
        seen = [("What shoppers see", {"fields": ["shown_live", *slates, "shown_clusters"]})] if obj else []
        new = [] if obj else ["shop", "external_id"]
        return [
            *seen,
            (None, {"fields": [*new, "title", "category", "brand", "colour", "description"]}),
            ("Price and stock", {"fields": ["price", "regular_price", "cost", "currency", "in_stock"]}),
            ("What else is known", {"fields": ["tags", "attributes", "item_group_id", "image_url"]}),
            *([("Record", {"fields": ["shop", "external_id", "created_at", "updated_at"]})] if obj else []),
        ]

    @admin.display(description="recommended lately")
    @once
    def shown_slates(self, item: Item) -> SafeString | str:
        """The last slates that hold the item, of the shop's latest, each with the way to why."""
        latest = list(ServedSlate.objects.filter(shop=item.shop_id).order_by("-at")[:LATEST])
        found = ((slate, next((entry for entry in slate.items if entry["item"] == item.pk), None)) for slate in latest)
        held = list(islice(((slate, entry) for slate, entry in found if entry is not None), NAMED))
        if not held:
            return in_none_words(len(latest))
        why = "admin:recommendations_servedslate_why"
        rows = (
            (
                f"{timezone.localtime(slate.at):%-d %b %Y, %H:%M:%S}",
                capfirst(PLACES.get(slate.context or "home", slate.context)),
                entry["slot"] + 1,
                format_html('<a href="{}">Why?</a>', reverse(why, args=[slate.pk, item.pk])),
            )
            for slate, entry in held
        )
        return table(("at", "place", "slot", ""), rows)

    @admin.display(description="for shoppers")
    @once
    def shown_live(self, item: Item) -> str:
        from recommendations import overlays, releases  # the numeric stack, which other pages of the admin do without

        try:
            return live_words(item, overlays.live_state(item))
        except releases.ReleaseError as error:
            return f"Not known: {error}"


def in_none_words(slates: int) -> str:
    """That an item was not recommended lately. slates : of the shop that were looked through, at most `LATEST`."""
    if slates == 0:
        return "Not yet: this shop has shown nobody a slate so far."
    if slates == 1:
        return "Not in the one slate that this shop has shown so far."
    return f"In none of the shop’s {'last ' * (slates == LATEST)}{slates} slates{' so far' * (slates < LATEST)}."


def live_words(item: Item, state: LiveState) -> str:
    """What shoppers see of an item, in a sentence."""
    kind, since, version, release = state
    told = f"since {timezone.localtime(since):%-d %b %Y, %H:%M:%S} (version {version})" if since else "just now"
    sells = "sold out, and left out of recommendations" if not item.in_stock else "in stock"
    if item.in_stock and item.price is not None:
        sells += f" at {money(item.price)}"
    match kind:
        case "none":
            return "Nothing yet: the shop has no active release. Train it first."
        case "waiting":
            return "The last change is on its way to the shoppers; it takes seconds. Load the page again."
        case "new":
            return f"Live as a new item {told}, {sells}: recommended by what it is like, until a training has seen visits of it."
        case "offer":
            return f"Live {told}: {sells}."
        case _:
            return f"Live as release {release} was trained: {sells}."


@admin.register(OverlayChange)
class OverlayChangeAdmin(ReadOnlyAdmin):
    list_display = ("shown_at", "shop", "version", "release", "shown_summary")
    list_display_links = ("shown_at",)
    list_filter = ("shop", "at")
    list_select_related = ("shop",)
    show_full_result_count = False
    list_per_page = 50
    fields = ("at", "shop", "version", "release", "shown_summary", "shown_offers", "shown_items", "shown_gone", "shown_rules")
    readonly_fields = fields

    @admin.display(description="at", ordering="version")
    def shown_at(self, change: OverlayChange) -> str:
        return f"{timezone.localtime(change.at):%-d %b %Y, %H:%M:%S}"

    @admin.display(description="what changed")
    def shown_summary(self, change: OverlayChange) -> str:
        from recommendations.overlay_deltas import summary
        from recommendations.overlays import from_json

        delta = from_json(change.delta)
        if not delta.whole:
            return summary(delta)
        told = summary(delta)
        return "begun anew, without changes" if told == "nothing" else f"begun anew, with {told}"

    @admin.display(description=f"prices and stock, the first {SHOWN}")
    @once
    def shown_offers(self, change: OverlayChange) -> SafeString | str:
        offers = change.delta.get("offers", [])[:SHOWN]
        names = _items(item for item, _ in offers)
        rows = [
            (names.get(item, f"item {item}"), _number(price), _number(regular), _number(cost), "yes" if in_stock else "sold out")
            for item, (price, regular, in_stock, cost, *_) in offers
        ]
        as_released = change.delta.get("as_released", [])[:SHOWN]
        names = _items(as_released)
        rows += [(names.get(item, f"item {item}"), "as trained", "", "", "") for item in as_released]
        return table(("item", "price", "regular price", "cost", "in stock"), rows) if rows else "–"

    @admin.display(description=f"new items, the first {SHOWN}")
    @once
    def shown_items(self, change: OverlayChange) -> SafeString | str:
        new = change.delta.get("items", [])[:SHOWN]
        names = _items(row["item_id"] for row in new)
        rows = [(names.get(row["item_id"], row["title"]), row["category"], _number(row["price"])) for row in new]
        return table(("item", "category", "price"), rows) if rows else "–"

    @admin.display(description="taken out of the catalogue")
    def shown_gone(self, change: OverlayChange) -> str:
        gone = change.delta.get("gone", [])
        return f"{len(gone):,} items: ids {', '.join(map(str, gone[:SHOWN]))}" if gone else "–"

    @admin.display(description="rules from then on")
    def shown_rules(self, change: OverlayChange) -> str:
        rules = change.delta.get("rules")
        if rules is None:
            return "as before"
        return ", ".join(rule["name"] or f"rule {rule['rule_id']}" for rule in rules) or "none"


def _items(ids: Iterable[int]) -> dict[int, SafeString]:
    return {pk: item_link(item) for pk, item in Item.objects.in_bulk(list(ids)).items()}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
