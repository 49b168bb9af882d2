"""The desk's first page: what the admin opens with."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import mark_safe
from redis import RedisError

from personas.models import Shop
from recommendations.desk import charts
from recommendations.desk.changes import Change, changes, coming, waiting
from recommendations.desk.shops import chosen
from recommendations.desk.today import WEEK, Today, today
from recommendations.hourly import HOUR
from recommendations.models import Release
from recommendations.serving.archiving import open_log

logger = logging.getLogger(__name__)

MAY_LOOK = "personas.view_session"
LATE_S = 120.0
"""Seconds that the log may wait for the archive until the page says so."""

MOST_MARKS = 9


def desk(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the admin's index shows, added to `context` (Unfold's DASHBOARD_CALLBACK). Who may not see visits has Unfold's own."""
    if not request.user.has_perm(MAY_LOOK):
        return context
    shops = list(Shop.objects.order_by("slug"))
    shop = chosen(request, shops)
    context["desk_shops"], context["desk_shop"], context["title"] = shops, shop, "Today"
    if shop is not None:
        context |= _told(request, shop, timezone.now().astimezone(dt.UTC))
    return context


def _told(request: HttpRequest, shop: Shop, now: dt.datetime) -> dict[str, Any]:
    found = today(shop, now)
    since = found.hours.start + WEEK * HOUR
    changed = changes(shop, since)
    return {
        "desk": found,
        "desk_at": now,
        "desk_mix": mark_safe(found.mix),  # escaped where it is drawn; the colours are the archetypes' own, which were checked
        "desk_course": mark_safe(_course(found, changed)),  # likewise
        "desk_changes": changed,
        "desk_waiting": waiting(shop, request.user),
        "desk_coming": coming(shop, now) if request.user.has_perm("recommendations.view_experiment") else [],
        "desk_health": health(shop, now),
    }


def _course(found: Today, changed: list[Change]) -> str:
    """Visits by the hour of the last seven days, with the latest changes as marks numbered as in the list beside."""
    hours = found.hours
    now, before = hours.part(hours.length - WEEK, hours.length), hours.part(hours.length - 2 * WEEK, hours.length - WEEK)
    marks = [
        charts.Mark((change.at - now.start) / HOUR, i + 1, f"{change.at:%a %H:%M}: {change.what}")
        for i, change in enumerate(changed[:MOST_MARKS])
    ]
    labels = [f"{at:%a %-d}" if (at := now.start + i * HOUR).hour == 0 else "" for i in range(now.length)]
    visits, then = now.of("session"), before.of("session")
    sentence = f"Visits by the hour, the last seven days: {visits.sum():,.0f}; the seven days before: {then.sum():,.0f}."
    return charts.course(visits, then, labels, marks, sentence=sentence)


def health(shop: Shop, now: dt.datetime) -> dict[str, Any]:
    """{"good", "told"}: in a line, whether the shop is served, and whether its log is taken in."""
    release = Release.objects.active(shop)
    if release is None:
        return {"good": False, "told": "Nothing is served yet: train the shop first."}
    try:
        oldest = open_log().oldest()
    except (RedisError, OSError):
        logger.warning("the desk can't reach Redis")
        return {
            "good": False,
            "told": "Redis can't be reached: shoppers are not served. What was acknowledged is safe.",
        }
    waits = now.timestamp() - oldest if oldest is not None else 0.0
    if waits > LATE_S:
        minutes = round(waits / 60)
        return {
            "good": False,
            "told": f"The archive is {minutes} minutes behind, and so are these numbers. Is a worker running?",
        }
    return {"good": True, "told": f"Release {release.number} serves; what happens is here within seconds."}
