"""The admin's sidebar: pages by what somebody wants to do, the raw rows last, each for those who may see it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

from recommendations.desk.preview_pages import may_preview

LIVE = "personas_session_live"
VISITS = "personas_session_visits"
DRAFTS = "recommendations_draftedit"

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Shoppers", ("recommendations.servedslate", "personas.shopper")),
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
    ("Rules and goods", ("recommendations.merchandisingrule", "clusters.item")),
    ("Personas", ("personas.archetype", "personas.attribute", "personas.personaversion")),
    ("Data", ("recommendations.fileimport", "clusters.cataloguefeed", "recommendations.release", "recommendations.trainingrun")),
    ("Shop", ("personas.shop",)),
    ("People", ("recommendations.auditentry", "personas.apikey", "auth.user", "auth.group")),
)
"""Title, and its models. What the admin has beside these is found under `RECORDS`."""

SCREENS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Data": (
        ("Catalogue coverage", "recommendations_fileimport_coverage", "clusters.view_item"),
        ("Searches", "recommendations_fileimport_searches", "personas.view_session"),
        ("Training", "recommendations_fileimport_training", "recommendations.view_trainingrun"),
    ),
    "People": (("People and roles", "auth_group_people", "personas.view_session"),),
    "Personas": (("All personas", "personas_archetype_overview", "personas.view_archetype"),),
}
"""Of a group, pages that are no model's list, which come first: title, name of the address, and the right to see it."""

BETTER = {"clusters.itemcluster": ("Clusters", "clusters_itemcluster_grid")}
"""Models that have a page of their own in the place of their list: its title, and the name of its address."""

RECORDS = "Records"


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's SIDEBAR["navigation"]: what `request.user` may see, by group; the group of raw rows is folded."""
    models = {model._meta.label_lower: model for model in admin.site._registry}
    first = [_page("Today", reverse("admin:index"))]
    if request.user.has_perm("personas.view_session"):
        first += [_page("Live", reverse(f"admin:{LIVE}")), _page("Visits", reverse(f"admin:{VISITS}"))]
    drafts = models.pop("recommendations.draftedit", None)
    if drafts is not None and admin.site._registry[drafts].has_view_permission(request):
        first.append(_page("Unpublished changes", reverse(f"admin:{DRAFTS}_changelist")))
        if may_preview(request.user):
            first.append(_page("Preview", reverse(f"admin:{DRAFTS}_preview")))
    found: list[dict[str, Any]] = [{"items": first}]
    for title, pages in GROUPS:
        screens = [
            _page(told, reverse(f"admin:{at}")) for told, at, right in SCREENS.get(title, ()) if request.user.has_perm(right)
        ]
        found.append(
            {"title": title, "items": [*screens, *(_list(models.pop(name), request) for name in pages if name in models)]}
        )
    rest = sorted(models.values(), key=lambda model: str(model._meta.verbose_name_plural).lower())
    found.append({"title": RECORDS, "collapsible": True, "items": [_list(model, request) for model in rest]})
    for group in found:
        group["items"] = [page for page in group["items"] if page is not None]
    _mark([page for group in found for page in group["items"]], request.path)
    return [group for group in found if group["items"]]


def _list(model: Any, request: HttpRequest) -> dict[str, Any] | None:
    """A model's list by the name that its page has, None for those who may not see it."""
    if not admin.site._registry[model].has_view_or_change_permission(request):
        return None
    meta = model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    title, at = BETTER.get(meta.label_lower, (capfirst(str(meta.verbose_name_plural)), ""))
    return _page(title, reverse(f"admin:{at}") if at else url, below=url)


def _page(title: str, url: str, *, below: str = "") -> dict[str, Any]:
    """below : what the addresses of its pages begin with, where that isn't `url`."""
    return {"title": title, "link": url, "below": below or url}


def _mark(pages: list[dict[str, Any]], path: str) -> None:
    """Mark where somebody is: the page whose address is the longest that theirs begins with. Below the first page all lies, so
    that one is only where somebody is at its very address."""
    index = reverse("admin:index")
    links = [p["below"] for p in pages if path == p["below"] or p["below"] != index and path.startswith(p["below"])]
    here = max(links, key=len, default="")
    for page in pages:
        page["active"] = page["below"] == here
