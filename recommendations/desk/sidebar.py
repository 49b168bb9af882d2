"""The admin's sidebar: pages by what somebody wants to do, the raw rows last, each for those who may see it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

LIVE = "personas_session_live"

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Shoppers", ("personas.session", "recommendations.servedslate", "personas.shopper")),
    ("Clusters", ("clusters.itemcluster", "clusters.clusterchange", "clusters.clustersettings")),
    (
        "Learning",
        (
            "recommendations.clusterproposal",
            "recommendations.experiment",
            "recommendations.policyversion",
            "recommendations.adaptationsettings",
            "recommendations.blockedaction",
        ),
    ),
    ("Rules and goods", ("recommendations.merchandisingrule", "clusters.item", "clusters.cataloguefeed")),
    ("Personas", ("personas.archetype", "personas.attribute", "personas.personaversion")),
    (
        "Shop",
        (
            "personas.shop",
            "recommendations.release",
            "recommendations.trainingrun",
            "personas.apikey",
            "auth.user",
            "auth.group",
        ),
    ),
)
"""Title, and its models. What the admin has beside these is found under `RECORDS`."""

RECORDS = "Records"


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's SIDEBAR["navigation"]: what `request.user` may see, by group; the group of raw rows is folded."""
    models = {model._meta.label_lower: model for model in admin.site._registry}
    first = [_page("Today", reverse("admin:index"), request, whole=True)]
    if request.user.has_perm("personas.view_session"):
        first.append(_page("Live", reverse(f"admin:{LIVE}"), request))
    found: list[dict[str, Any]] = [{"items": first}]
    for title, pages in GROUPS:
        found.append({"title": title, "items": [_list(models.pop(name), request) for name in pages if name in models]})
    rest = sorted(models.values(), key=lambda model: str(model._meta.verbose_name_plural).lower())
    found.append({"title": RECORDS, "collapsible": True, "items": [_list(model, request) for model in rest]})
    for group in found:
        group["items"] = [page for page in group["items"] if page is not None]
    return [group for group in found if group["items"]]


def _list(model: Any, request: HttpRequest) -> dict[str, Any] | None:
    """A model's list by the name that its page has, None for those who may not see it."""
    if not admin.site._registry[model].has_view_or_change_permission(request):
        return None
    meta = model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return _page(capfirst(str(meta.verbose_name_plural)), url, request)


def _page(title: str, url: str, request: HttpRequest, *, whole: bool = False) -> dict[str, Any]:
    """whole : the page has nothing below it, so that it is where somebody is only at this very address."""
    live = reverse(f"admin:{LIVE}")
    here = (
        request.path == url or not whole and request.path.startswith(url) and (url == live or not request.path.startswith(live))
    )
    return {"title": title, "link": url, "active": here}
