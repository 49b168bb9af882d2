"""The admin's switch for simulated visitors, above the list of sessions: who comes, and for how long."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from celery import current_app
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from personas.models import Shop
from recommendations import audit
from recommendations.models import Release
from recommendations.visitors import standing
from recommendations.visitors.standing import MOST_MINUTES, MOST_PER_MINUTE, VisitorsError

LET_IN = "recommendations.tasks.let_visitors_in"
"""By name: the tasks import the numeric stack, which pages of the admin do without."""

MAY = "personas.change_shop"
OFFERED = {"per_minute": 6, "minutes": 10}


def shown(request: HttpRequest) -> dict[str, Any]:
    """What the page above the list of sessions needs: each shop with a release, and how its visitors stand."""
    try:
        rows = [
            {"shop": shop, "standing": found, "until": _moment(found)}
            for shop in Shop.objects.filter(releases__state=Release.State.ACTIVE).distinct()
            for found in (standing.read(shop.pk),)
        ]
    except RedisError:
        rows = []
    bounds = {"most_per_minute": MOST_PER_MINUTE, "most_minutes": MOST_MINUTES, "offered": OFFERED}
    return {"visitors": rows, "may_let_in": request.user.has_perm(MAY), **bounds}


def _moment(found: standing.Standing | None) -> datetime | None:
    return datetime.fromtimestamp(found.until, tz=timezone.get_current_timezone()) if found else None


def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Let visitors into a shop. `per_minute`, `minutes` : whole numbers within the bounds."""
    shop = _shop(request, pk)
    try:
        per_minute, minutes = _whole(request, "per_minute"), _whole(request, "minutes")
        standing.ask(shop.pk, per_minute, minutes)
        try:
            current_app.send_task(LET_IN, args=(shop.pk, per_minute, minutes), retry=False)
        except (OperationalError, RedisError):
            with suppress(RedisError):
                standing.take_back(shop.pk)
            raise
    except VisitorsError as error:
        messages.error(request, f"{error}.")
    except (OperationalError, RedisError):
        messages.error(request, "The worker can't be reached just now, so nobody was let in. Try again in a moment.")
    else:
        audit.record(
            audit.person(request.user),
            audit.CHANGED,
            subject=shop,
            what=f"Let simulated visitors in: {per_minute} a minute, for {minutes} minutes.",
        )
        messages.success(request, f"Simulated visitors come to {shop}, {per_minute} a minute, in a moment.")
    return HttpResponseRedirect(reverse("admin:personas_session_changelist"))


def stop(request: HttpRequest, pk: int) -> HttpResponse:
    shop = _shop(request, pk)
    try:
        standing.ask_to_stop(shop.pk)
    except RedisError:
        messages.error(request, "Redis can't be reached just now. Try again in a moment.")
    else:
        audit.record(audit.person(request.user), audit.STOPPED, subject=shop, what="Stopped the simulated visitors.")
        messages.success(request, f"Nobody comes to {shop} any more; those who are inside leave within a minute or two.")
    return HttpResponseRedirect(reverse("admin:personas_session_changelist"))


def _shop(request: HttpRequest, pk: int) -> Shop:
    if not request.user.has_perm(MAY):
        raise PermissionDenied
    return get_object_or_404(Shop, pk=pk)


def _whole(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise VisitorsError(f"{name.replace('_', ' ')}: “{text[:20]}” is not a whole number")
    return int(text)
