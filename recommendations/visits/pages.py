"""Pages of visits: the list, and the way from a name to a visit. Both only read, and follow the right to see visits."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from personas import versions
from personas.models import Origin, Session, Shop
from recommendations.desk.shops import chosen
from recommendations.desk.tables import csv_file
from recommendations.serving.watching import pseudonym
from recommendations.visitors import pages as visitor_pages
from recommendations.visits import listing
from recommendations.visits.listing import LOOKED, Asked, Found, Row

MAY_LOOK = "personas.view_session"

NAMED = 5_000
"""Visits, the latest, among which a name is looked for."""

CSV_COLUMNS = ("visit", "began (UTC)", "last event (UTC)", "events", "taken for", "probability", "bought", "origin")


def allowed(request: HttpRequest) -> None:
    """Raises PermissionDenied for somebody who may not see visits."""
    if not request.user.has_perm(MAY_LOOK):
        raise PermissionDenied


def visits(request: HttpRequest) -> HttpResponseBase:
    """The list. ?shop, persona, bought, origin, day, shift, name, before; format=csv for all that one look finds as a file."""
    allowed(request)
    shops = list(Shop.objects.order_by("slug"))
    shop = chosen(request, shops)
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Visits", "shops": shops, "shop": shop}
    if shop is None:
        return TemplateResponse(request, "admin/visits/list.html", context)
    personas = versions.ever(shop)
    wanted = listing.asked(request.GET, personas)
    if request.GET.get("format") == "csv":
        found = listing.found(shop, wanted, personas, most=LOOKED)
        return csv_file(f"visits-{shop.slug}", CSV_COLUMNS, (_line(row) for row in found.rows))
    found = listing.found(shop, wanted, personas)
    context |= {
        "wanted": wanted,
        "found": found,
        "personas": personas.values(),
        "origins": [(value, label) for value, label in Origin.choices],
        "today": timezone.now().astimezone(dt.UTC).date(),
        "told": _told(wanted, found),
        "clear": f"?{urlencode({'shop': shop.slug})}",
        "further": f"?{_query(request, before=found.further)}" if found.further else "",
        "first": f"?{_query(request)}" if wanted.before else "",
        "file": f"?{_query(request, format='csv')}",
        "raw": reverse("admin:personas_session_changelist"),
        **visitor_pages.shown(request),
    }
    return TemplateResponse(request, "admin/visits/list.html", context)


def _query(request: HttpRequest, **more: str) -> str:
    """The address's own filters with something more; where the page begins is not among them."""
    kept = [(name, value) for name, value in request.GET.items() if name not in ("before", "format") and value]
    return urlencode([*kept, *more.items()])


def _told(wanted: Asked, found: Found) -> str:
    """What the list holds, in a sentence."""
    if not found.rows:
        return ""
    many = f"{len(found.rows):,} visit{'s' if len(found.rows) > 1 else ''}"
    if found.looked and found.further:
        return f"{many} of the {found.looked:,} that were looked through, the latest first."
    return f"{many}, the latest first." if found.further or wanted.before else f"{many}, all there are, the latest first."


def _line(row: Row) -> tuple[object, ...]:
    names = " > ".join(persona.name for persona in row.personas)
    percent = row.personas[-1].percent if row.personas else None
    return (
        row.name,
        f"{row.began.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}",
        f"{row.last.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}",
        row.events,
        names,
        "" if percent is None else percent / 100,
        "yes" if row.bought else "no",
        row.origin,
    )


def named(request: HttpRequest) -> HttpResponse:
    """To the visit that a name stands for (?shop, name, follow). One that has just begun is archived in seconds."""
    allowed(request)
    shop = chosen(request, list(Shop.objects.order_by("slug")))
    name = request.GET.get("name", "").strip()
    if shop is None or not name:
        raise Http404
    rows = Session.objects.filter(shop=shop).order_by("-last_at", "-pk").values_list("pk", "session_id")[:NAMED]
    pk = next((pk for pk, session in rows if pseudonym(shop.pk, session) == name), None)
    if pk is not None:
        follow = "?follow=1" if request.GET.get("follow") == "1" else ""
        return HttpResponseRedirect(reverse("admin:personas_session_visit", args=[pk]) + follow)
    context = {**admin.site.each_context(request), "title": f"Visit {name[:20]}", "name": name[:20], "shop": shop}
    return TemplateResponse(request, "admin/visits/waiting.html", context, status=202)
