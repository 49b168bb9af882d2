"""What the Data pages have in common: the shop that they are about, their tabs, and who may see them."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from personas.models import Shop
from recommendations.desk.shops import chosen

MOST_LINES = 100_000
"""Lines of a file that is taken away."""

TABS = (
    ("changelist", "Imports", "recommendations.view_fileimport"),
    ("coverage", "Catalogue", "clusters.view_item"),
    ("searches", "Searches", "personas.view_session"),
    ("training", "Training", "recommendations.view_trainingrun"),
)
"""Name of the address, title, and the right to see it."""


def address(name: str, *args: object) -> str:
    return reverse(f"admin:recommendations_fileimport_{name}", args=args)


class DataFrame(ModelAdmin):
    class Media:
        css = {"all": ("personas.css", "today.css", "data.css")}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a file is handed in on the list's own page

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _shop(self, request: HttpRequest) -> tuple[list[Shop], Shop | None]:
        shops = list(Shop.objects.order_by("slug"))
        return shops, chosen(request, shops)

    def _page(self, request: HttpRequest, name: str, template: str, context: dict[str, Any]) -> HttpResponse:
        tabs = [
            {"url": address(tab), "title": title, "here": tab == name}
            for tab, title, right in TABS
            if request.user.has_perm(right)
        ]
        common = {**self.admin_site.each_context(request), "opts": self.model._meta, "media": self.media, "tabs": tabs}
        return TemplateResponse(request, f"admin/desk/{template}.html", {**common, "title": "Data", **context})

    def _may(self, request: HttpRequest, right: str) -> None:
        if not request.user.has_perm(right):
            raise PermissionDenied
