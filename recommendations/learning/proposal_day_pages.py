"""The admin's page of what learning changed, day by day, and the button that takes a day back."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber, TruncDate
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from clusters.models import ClusterChange
from personas.models import Shop
from recommendations.desk.clusters.change_pages import sent
from recommendations.desk.clusters.items import numbers
from recommendations.learning import proposal_words as words
from recommendations.learning.proposal_forms import DecisionForm, acting

DAYS = 30
"""Days back that learning can be taken back by."""

SHOWN = 20
"""Changes of a day that are named."""


def day_page(pages: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """What learning changed, by day, and the button that takes a day back."""
    if not pages.has_change_permission(request):
        raise PermissionDenied
    from recommendations.learning.proposals import undo_day

    shops = list(Shop.objects.all())
    given = request.POST if request.method == "POST" else request.GET
    asked = numbers([given.get("shop", "")])
    wanted = asked[0] if asked else _latest()
    shop = next((shop for shop in shops if shop.pk == wanted), shops[0] if shops else None)
    if shop is None:
        messages.warning(request, "There is no shop yet.")
        return HttpResponseRedirect(reverse("admin:recommendations_clusterproposal_changelist"))
    form = DecisionForm(sent(request))
    conflicts: list[tuple[ClusterChange, str]] = []
    if request.method == "POST" and form.is_valid():
        day = _day(request.POST.get("day", ""))
        if day is None:
            raise Http404
        from recommendations.cluster_runs import request_publish

        with transaction.atomic():
            undone = undo_day(shop=shop, day=day, by=acting(request), reason=form.cleaned_data["reason"])
            for change in undone.changes:
                pages.log_change(request, change.cluster, change.summary)
            if undone.changes:
                request_publish(shop)
        if undone.changes:
            count = len(undone.changes)
            messages.success(request, f"{count} change{'' if count == 1 else 's'} of {day:%-d %B %Y} undone.")
        conflicts = list(undone.conflicts)
        if not conflicts:
            return HttpResponseRedirect(f"{reverse('admin:recommendations_clusterproposal_day')}?shop={shop.pk}")
    context = {"title": "Undo a day of learning", "shops": shops, "shop": shop, "form": form, "conflicts": conflicts}
    whole = {**pages.admin_site.each_context(request), "opts": pages.opts, "media": pages.media, **context, "days": _days(shop)}
    return TemplateResponse(request, "admin/learning/day.html", whole)


def _days(shop: Shop) -> list[dict[str, Any]]:
    """Days on which learning changed something that stands, the latest first, with what: the latest changes of each."""
    since = timezone.now() - dt.timedelta(days=DAYS)
    standing = ClusterChange.objects.filter(
        shop=shop, actor=ClusterChange.Actor.LEARNING, undoes=None, undone_by=None, at__gte=since
    )
    by_day = standing.annotate(day=TruncDate("at", tzinfo=dt.UTC))
    counted = by_day.values("day").annotate(changes=Count("pk"), clusters=Count("cluster", distinct=True)).order_by("-day")
    place = Window(RowNumber(), partition_by=[F("day")], order_by=F("pk").desc())
    shown: dict[dt.date, list[ClusterChange]] = {}
    for change in by_day.annotate(place=place).filter(place__lte=SHOWN).select_related("cluster", "user").order_by("-pk"):
        shown.setdefault(change.day, []).append(change)
    return [
        {
            "day": row["day"].isoformat(),
            "told": words.days_words(row["day"], row["changes"], row["clusters"]),
            "changes": shown.get(row["day"], []),
            "more": max(row["changes"] - SHOWN, 0),
        }
        for row in counted
    ]


def _latest() -> int | None:
    """The shop of which learning changed something last."""
    by_learning = ClusterChange.objects.filter(actor=ClusterChange.Actor.LEARNING, undoes=None, undone_by=None)
    return by_learning.order_by("-pk").values_list("shop", flat=True).first()


def _day(given: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(given)
    except ValueError:
        return None
