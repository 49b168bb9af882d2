"""Admin of sessions, with what only this app knows: what was recommended and decided."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from clusters.admin import cluster_link, item_link
from clusters.models import Item, ItemCluster
from personas.admin import SessionAdmin, once, table
from personas.events import NAMES, UNKNOWN_ITEM
from personas.models import ArchivedEvent, Session
from recommendations.desk import live_pages
from recommendations.models import AdaptationDecision, ServedSlate
from recommendations.visitors import pages as visitor_pages
from recommendations.visits import pages as visit_pages

SHOWN_EVENTS = 50

NAMED_ITEMS = 3
"""Items of a slate that a session's page names; the slate's own page has them all."""

Entry = tuple[datetime, int, tuple[object, ...]]
"""When it reached us, its place among what happened at that moment, and its cells."""


@admin.register(Session)
class SessionStoryAdmin(SessionAdmin):
    """A session with its events, what was recommended after each, and what the adaptation decided, in one story."""

    fields = (*SessionAdmin.fields, "story")
    readonly_fields = fields
    change_form_outer_before_template = "admin/personas/session_course.html"

    list_before_template = "admin/visitors/list_top.html"

    class Media:
        css = {"all": ("story.css", "personas.css", "visitors.css")}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        return super().get_queryset(request).select_related("shop", "shopper")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response: HttpResponse = super().changelist_view(request, {**visitor_pages.shown(request), **(extra_context or {})})
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        from recommendations.visits import course_charts  # the numeric stack, which other pages of the admin do without

        session = self.get_object(request, object_id)
        allowed = session is not None and self.has_view_permission(request, session)
        extra = {"course": course_charts.course(session)} if allowed else {}
        response: HttpResponse = super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})
        return response

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("live/", view(live_pages.live), name="personas_session_live"),
            path("visits/", view(visit_pages.visits), name="personas_session_visits"),
            path("visits/named/", view(visit_pages.named), name="personas_session_named"),
            path("visits/<int:pk>/", view(self.visit), name="personas_session_visit"),
            path("visits/items/<int:pk>/", view(self.items), name="personas_session_items"),
            path("visitors/<int:pk>/start/", view(require_POST(visitor_pages.start)), name="personas_session_visitors_start"),
            path("visitors/<int:pk>/stop/", view(require_POST(visitor_pages.stop)), name="personas_session_visitors_stop"),
            *super().get_urls(),
        ]

    def visit(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One visit, step by step."""
        from recommendations.visits import visit_page  # the numeric stack, which other pages of the admin do without

        return visit_page.visit(request, pk)

    def items(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Items that somebody may mean."""
        from recommendations.visits import visit_page

        return visit_page.items(request, pk)

    @admin.display(description=f"what happened, the latest first: at most {SHOWN_EVENTS} of each kind")
    @once
    def story(self, session: Session) -> SafeString:
        events = list(ArchivedEvent.objects.of_session(session).reverse()[:SHOWN_EVENTS])[::-1]
        mine = {"shop": session.shop_id, "session_id": session.session_id}
        slates = list(ServedSlate.objects.filter(**mine)[:SHOWN_EVENTS])[::-1]
        decisions = list(AdaptationDecision.objects.filter(**mine)[:SHOWN_EVENTS])[::-1]
        shown = [entry["item"] for slate in slates for entry in slate.items[:NAMED_ITEMS]]
        items = Item.objects.in_bulk({*shown, *(e.item for e in events if e.item != UNKNOWN_ITEM)})
        clusters = ItemCluster.objects.in_bulk({id_ for d in decisions for id_ in (d.cluster, d.target) if id_})
        # A decision answers an event of ours: it is told right after that event, whatever its own time says.
        received = {e.event_id: e.received_at for e in events}
        story: list[Entry] = [(e.received_at, 3 * i, _event(e, items)) for i, e in enumerate(events)]
        place = {e.event_id: 3 * i + 1 for i, e in enumerate(events)}
        story += [(received.get(d.event_id, d.at), place.get(d.event_id, 1), _decision(d, clusters)) for d in decisions]
        story += [(slate.at, 3 * SHOWN_EVENTS, _slate(slate, items)) for slate in slates]
        story.sort(key=lambda entry: entry[:2], reverse=True)
        return table(("at", "what", "about", ""), (cells for _, _, cells in story))


def _event(event: ArchivedEvent, items: dict[int, Item]) -> tuple[object, ...]:
    about: object = item_link(items[event.item]) if event.item in items else event.item_ref or event.query
    more = len((event.data or {}).get("items", ())) - 1
    details = [
        f"and {more} more" if more > 0 else "",
        "" if event.price is None else f"at {event.price:g}",
        "" if event.dwell_s is None else f"{event.dwell_s:.0f} s",
    ]
    return (f"{event.at:%-d %b %Y, %H:%M:%S}", NAMES[event.code], about, ", ".join(filter(None, details)))


def _decision(decision: AdaptationDecision, clusters: dict[int, ItemCluster]) -> tuple[object, ...]:
    about: object = _name(decision.cluster, clusters)
    if decision.target:
        about = format_html("{} → {}", about, _name(decision.target, clusters))
    among = f" of {len(decision.options)} options" if decision.options else ""
    chance = f"chance {decision.propensity:.2f}{among}"
    return (f"{decision.at:%-d %b %Y, %H:%M:%S}", f"cluster: {decision.action}", about, chance)


def _name(cluster: int, clusters: dict[int, ItemCluster]) -> object:
    return cluster_link(clusters[cluster]) if cluster in clusters else cluster


def _slate(slate: ServedSlate, items: dict[int, Item]) -> tuple[object, ...]:
    first = [str(items[entry["item"]]) for entry in slate.items[:NAMED_ITEMS] if entry["item"] in items]
    at = reverse("admin:recommendations_servedslate_change", args=[slate.pk])
    link = format_html('<a href="{}">{} items</a>', at, len(slate.items))
    return (f"{slate.at:%-d %b %Y, %H:%M:%S}", "recommended", link, ", ".join(first) + ", …" if first else "")
