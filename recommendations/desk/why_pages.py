"""Admin: why a slate holds an item. It only reads, and follows the row's view permission."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from clusters.models import Item
from personas.models import Session
from recommendations import releases
from recommendations.models import MerchandisingRule, ServedSlate
from recommendations.reading import events_of
from recommendations.serving.watching import pseudonym
from recommendations.visits.pages import MAY_LOOK

KINDS = {"item": "looked at", "expert": "clue", "cluster": "group", "persona": "persona", "page": "page"}
"""Of what is taken away, in words."""


def why(request: HttpRequest, site: AdminSite, pk: int, item: int) -> HttpResponse:
    """What carried one item of a served slate."""
    from recommendations import accounts  # the numeric stack, which other pages of the admin do without

    slate = get_object_or_404(ServedSlate.objects.select_related("shop"), pk=pk)
    entry = next((entry for entry in slate.items if entry["item"] == item), None)
    if entry is None:
        raise Http404
    found = Item.objects.filter(pk=item).first()
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": f"Why “{found or item}” was shown",
        "slate": slate,
        "slot": entry["slot"] + 1,
        "rules": MerchandisingRule.objects.filter(pk__in=entry.get("rules", ())).order_by("pk"),
        "visit": _visit(slate) if request.user.has_perm(MAY_LOOK) else None,
    }
    try:
        told = accounts.explain(slate, item)
    except (accounts.NotThereError, releases.ReleaseError) as error:
        return TemplateResponse(request, "admin/recommendations/why.html", {**context, "missing": str(error)})
    account = told.account
    widest = max((abs(part.value) for part in account.parts), default=1.0)
    lowest = max((abs(tried.fall) for tried in account.tried), default=1.0) or 1.0
    context |= {
        "told": told,
        "account": account,
        "place": account.place + 1,
        "others": account.ranked - 1,
        "reason": account.shown.reason if account.shown else "",
        "sentences": accounts.sentences(told),
        "parts": [(accounts.PARTS[part.name], part.value, _bar(part.value, widest)) for part in account.parts],
        "causes": [
            (KINDS[t.kind], accounts.PARTS[t.name] if t.kind == "expert" else t.name, t.fall, t.holds, _bar(t.fall, lowest))
            for t in account.tried
            if t.fall == t.fall
        ],
        "persona": next(
            (
                n
                for i, n in zip(told.engine.personas.ids, told.engine.personas.archetype_names, strict=True)
                if i == entry["persona"]
            ),
            "",
        ),
    }
    return TemplateResponse(request, "admin/recommendations/why.html", context)


def _visit(slate: ServedSlate) -> dict[str, str] | None:
    """The visit that a slate was served in, at the step after which it was; None for a slate of no visit, or one that is gone."""
    session = Session.objects.filter(shop=slate.shop_id, session_id=slate.session_id).first()
    if session is None or slate.versions.get("alone"):
        return None
    step = events_of(session).filter(received_at__lte=slate.at).count()
    at = reverse("admin:personas_session_visit", args=[session.pk])
    return {"name": pseudonym(session.shop_id, session.session_id), "step": str(step), "url": f"{at}?step={step}"}


def _bar(value: float, widest: float) -> dict[str, float]:
    """Where a bar starts and how long it is, in units of a drawing that is 200 wide with its zero in the middle."""
    length = 98.0 * abs(value) / widest
    return {"x": 100.0 if value >= 0 else 100.0 - length, "width": max(length, 0.5)}


def allowed(may: bool) -> None:
    """Raises PermissionDenied unless the rows may be viewed."""
    if not may:
        raise PermissionDenied
