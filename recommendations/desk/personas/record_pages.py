"""Admin of attributes and personas, with what only this app knows: what was learned, and how the draft differs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from personas import versions
from personas.admin import ArchetypeAdmin, AttributeAdmin
from personas.models import Archetype, Attribute, Shop
from recommendations import fit_reports
from recommendations.desk.personas.pages import PersonaDesk
from recommendations.desk.personas.version_pages import PUBLISH
from recommendations.models import Component, Release, TrainingRun
from recommendations.watched_forms import Watched


class DraftPages:
    """Of rows that are the draft: what isn't published yet is announced above their list."""

    list_before_template = "admin/personas/unpublished.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        pending = [
            (shop, len(changes), reverse("admin:personas_personaversion_publish", args=[shop.pk]))
            for shop, changes in versions.pending(list(Shop.objects.all()))
        ]
        extra = {"pending": pending, "may_publish": request.user.has_perm(PUBLISH), **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, extra)  # type: ignore[misc]
        return response


@admin.register(Attribute)
class DraftAttributeAdmin(Watched, DraftPages, AttributeAdmin):
    """An attribute, whose descriptors are suggested as one types."""

    presence = "attribute"

    def get_urls(self) -> list[URLPattern]:
        own = path("descriptors/", self.admin_site.admin_view(self.suggest), name="personas_attribute_descriptors")
        urls: list[URLPattern] = super().get_urls()
        return [own, *urls]

    def get_form(self, request: HttpRequest, obj: Attribute | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.suggest = reverse("admin:personas_attribute_descriptors")
        return form

    def suggest(self, request: HttpRequest) -> JsonResponse:
        """`?shop=PK&q=TYPED` -> {"suggestions": [{"name", "items"}]}."""
        from recommendations import vocabulary  # the numeric stack, which other pages of the admin do without

        if not self.has_view_permission(request):
            raise PermissionDenied
        shop = Shop.objects.filter(pk=number(request.GET.get("shop", ""))).first()
        found = vocabulary.suggestions(shop, request.GET.get("q", "")) if shop else []
        return JsonResponse({"suggestions": [{"name": name, "items": items} for name, items in found]})


@admin.register(Archetype)
class LearnedArchetypeAdmin(Watched, PersonaDesk, DraftPages, ArchetypeAdmin):
    """A persona with what the shop's active release has learned of it."""

    presence = "archetype"

    change_form_outer_before_template = "admin/personas/learned.html"

    class Media:
        css = {"all": ("personas.css",)}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        fits = fits_in_force()  # once for the whole list

        @admin.display(description="of the events")
        def share(archetype: Archetype) -> SafeString | str:
            entry = fits.get(archetype.pk)
            if entry is None:
                return "–"
            drifted = format_html(' <span class="persona-drifted">drifted</span>') if entry["drifted"] else ""
            return format_html("{} %{}", f"{100 * entry['share']:.0f}", drifted)

        return [*self.list_display, share]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        archetype = self.get_object(request, object_id)
        extra = {"learned": {**learned(archetype), "archetype": archetype.pk}} if archetype else {}
        response: HttpResponse = super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})
        return response


def fits_in_force() -> dict[int, dict[str, Any]]:
    """Archetype id -> what the fit of its shop's active release says of it."""
    fits = (TrainingRun.objects.fit_of(release) for release in Release.objects.filter(state=Release.State.ACTIVE))
    return {entry["id"]: entry for run in fits if run for entry in run.report.get("archetypes", ())}


def learned(archetype: Archetype) -> dict[str, Any]:
    """What the page of a persona shows of it: charts, or why there are none; its share, what moved, whether it drifted."""
    from recommendations import releases  # the numeric stack, which other pages of the admin do without
    from recommendations.desk.personas import charts as persona_charts

    release = Release.objects.active(archetype.shop_id)
    if release is None:
        return {"missing": "Nothing yet: the shop has no active release. Its first training learns from the log."}
    try:
        model = releases.load_component(
            releases.root_of(archetype.shop),
            Component.Kind.PERSONAS.value,
            release.components[Component.Kind.PERSONAS.value],
            catalogue=release.components[Component.Kind.CATALOGUE.value],
        )
    except (releases.ReleaseError, KeyError) as error:
        return {"missing": f"{release} can't be read: {error}"}
    if archetype.pk not in model.ids:
        return {"missing": f"{release} was trained before this persona was added; publish it, and the next fit learns of it."}
    run = TrainingRun.objects.fit_of(release)
    entries = {entry["id"]: entry for entry in run.report.get("archetypes", ())} if run else {}
    entry = entries.get(archetype.pk)
    return {
        "release": release,
        "charts": persona_charts.charts(model, model.ids.index(archetype.pk)),
        "run": run,
        "entry": entry,
        "share": entry and fit_reports.share_sentence(entry),
        "percent": entry and 100 * entry["share"],
        "moved": entry and persona_charts.moved(entry),
        "warning": entry and entry["drifted"] and fit_reports.drift_warning(entry),
        "colour": archetype.colour,
    }


def number(text: str) -> int:
    """The primary key that a query string names, 0 for none."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0
