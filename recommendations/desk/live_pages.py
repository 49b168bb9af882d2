"""What happens in a shop now, in the admin: the page that `static/desk.js` fills over the merchandisers' websocket."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from personas.models import Shop
from recommendations.learning.lasting_bounds import WORDS

FIGURES = (
    ("sessions_active", "Visits going on", "with an event in the last five minutes"),
    ("events_per_s", "Events a second", "over the last ten seconds"),
    ("slates_per_s", "Slates a second", "recommendations made, over the last ten seconds"),
    ("sessions", "Visits today", "since midnight UTC"),
    ("engagements", "Engagements today", "items looked at, clicked, kept, put in a cart or bought"),
    ("conversions", "Purchases today", "since midnight UTC"),
)
"""Counters by their name in the messages, in words, and what they count."""


def live(request: HttpRequest) -> HttpResponse:
    """?shop= : its slug; the first one where none is named."""
    from recommendations.serving.desk import MAY_WATCH  # the numeric stack, which other pages of the admin do without

    if not request.user.has_perm(MAY_WATCH):
        raise PermissionDenied
    shops = list(Shop.objects.order_by("slug"))
    slug = request.GET.get("shop", "")
    shop = next((each for each in shops if each.slug == slug), None) if slug else next(iter(shops), None)
    if slug and shop is None:
        raise Http404
    context = {
        **admin.site.each_context(request),
        "title": "Live",
        "shops": shops,
        "shop": shop,
        "figures": FIGURES,
        "bounds": dict(WORDS),
    }
    return TemplateResponse(request, "admin/live/live.html", context)
