"""Admin of versions of personas: what was published, the draft against it, two of them side by side, and the way back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import OuterRef, Subquery, Value
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from personas import versions
from personas.admin import ReadOnlyAdmin, once
from personas.archetypes import PersonaError
from personas.models import PersonaVersion, Shop
from recommendations import audit, fit_reports
from recommendations.desk.personas import comparing
from recommendations.desk.tables import csv_file
from recommendations.models import Release, TrainingRun

PUBLISH = "personas.add_personaversion"
"""Who may add a version may publish, restore and discard."""


@admin.register(PersonaVersion)
class PersonaVersionAdmin(ReadOnlyAdmin):
    """What was published, when, by whom; the draft against it; and the way back."""

    list_display = ("number", "shop", "published_at", "shown_by", "shown_note", "shown_state")
    list_display_links = ("number",)
    list_filter = ("shop",)
    list_select_related = ("shop", "published_by")
    list_before_template = "admin/personas/versions.html"
    fields = ("shop", "number", "published_at", "shown_by", "shown_note", "shown_state", "brought", "content")
    readonly_fields = fields

    class Media:
        css = {"all": ("personas.css",)}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "personas_personaversion"
        urls: list[URLPattern] = super().get_urls()
        return [
            path("publish/<int:shop_id>/", view(self.publish), name=f"{name}_publish"),
            path("publish/<int:shop_id>/progress/", view(self.progress), name=f"{name}_progress"),
            path("compare/<int:shop_id>/", view(self.compare), name=f"{name}_compare"),
            path("publish/<int:shop_id>/discard/", view(require_POST(self.discard)), name=f"{name}_discard"),
            path("<int:pk>/restore/", view(self.restore), name=f"{name}_restore"),
            *urls,
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shops = [(shop, reverse("admin:personas_personaversion_publish", args=[shop.pk])) for shop in Shop.objects.all()]
        response: HttpResponse = super().changelist_view(request, {"shops": shops, **(extra_context or {})})
        return response

    def get_queryset(self, request: HttpRequest) -> Any:
        may = Value(request.user.has_perm(PUBLISH))
        return super().get_queryset(request).annotate(in_force=number_in_force(), may_publish=may)

    @admin.display(description="published by", ordering="published_by")
    def shown_by(self, version: PersonaVersion) -> str:
        return version.published_by.get_username() if version.published_by else "–"

    @admin.display(description="note")
    def shown_note(self, version: PersonaVersion) -> str:
        return version.note or "–"

    @admin.display(description="state")
    def shown_state(self, version: PersonaVersion) -> SafeString | str:
        if version.number == version.in_force:  # type: ignore[attr-defined]
            return "in force"
        if not version.may_publish:  # type: ignore[attr-defined]
            return "–"
        at = reverse("admin:personas_personaversion_restore", args=[version.pk])
        return format_html('<a class="underline" href="{}">Restore version {}</a>', at, version.number)

    @admin.display(description="what it changed")
    @once
    def brought(self, version: PersonaVersion) -> SafeString | str:
        before = PersonaVersion.objects.filter(shop=version.shop_id, number__lt=version.number).order_by("-number").first()
        return listed(versions.difference(before.definition, version.definition)) if before else "It is the first."

    @admin.display(description="what it holds")
    @once
    def content(self, version: PersonaVersion) -> SafeString:
        names = {a["key"]: a["name"] for a in version.definition["attributes"]}
        told = []
        for archetype in version.definition["archetypes"]:
            mix = sorted(archetype["mix"].items(), key=lambda pair: -pair[1])
            told.append(f"{archetype['name']}: " + ", ".join(f"{names.get(key, key)} {weight:g}" for key, weight in mix))
        return listed(told)

    def publish(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """The draft against what is in force, and the button that makes it so."""
        from recommendations import publishing, vocabulary  # the numeric stack, which other pages of the admin do without

        shop = get_object_or_404(Shop, pk=shop_id)
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            if not request.user.has_perm(PUBLISH):
                raise PermissionDenied
            try:
                with transaction.atomic():
                    made = publishing.publish(shop, note=request.POST.get("note", ""), user=request.user)
                    self.log_change(request, made, "Published.")
            except (versions.VersionError, PersonaError) as error:
                messages.error(request, f"Not published. {sentence(error)}")
            else:
                messages.success(request, f"Version {made.number} is published.")
            return HttpResponseRedirect(reverse("admin:personas_personaversion_publish", args=[shop.pk]))
        drafted, version = versions.draft(shop), versions.latest(shop)
        changes = versions.difference(version.definition, drafted) if version else []
        context = {
            "title": f"Publish the personas of {shop}",
            "shop": shop,
            "version": version,
            "changes": changes,
            "first": version is None and bool(drafted["archetypes"]),
            "warnings": vocabulary.warnings(shop, drafted) if changes or version is None else [],
            "problem": versions.problem(drafted),
            "may_publish": request.user.has_perm(PUBLISH),
            "most": versions.MAX_NOTE,
            "fit": fit_state(shop),
            "versions": PersonaVersion.objects.filter(shop=shop).select_related("published_by").order_by("-number")[:10],
        }
        return self._page(request, "publish", context)

    def compare(self, request: HttpRequest, shop_id: int) -> HttpResponseBase:
        """Two versions side by side, ?from=2&to=3; "draft" is what isn't published; ?csv=1 for a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shop = get_object_or_404(Shop, pk=shop_id)
        found = comparing.compare(shop, request.GET.get("from", ""), request.GET.get("to", ""))
        if found and request.GET.get("csv"):
            rows = ((w.of, w.name, w.before, w.after) for w in found.weights)
            name = f"personas-{shop.slug}-{found.before.name}-{found.after.name}"
            return csv_file(name, ("of", "weight of", "before", "after"), rows)
        context = {
            "title": "Versions of personas, compared",
            "shop": shop,
            "found": found,
            "choices": comparing.choices(shop),
            "may_publish": request.user.has_perm(PUBLISH),
        }
        return self._page(request, "compare", context)

    def progress(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """How the fit of what is in force goes, as a part of a page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shop = get_object_or_404(Shop, pk=shop_id)
        return TemplateResponse(request, "admin/personas/personaversion/fit.html", {"shop": shop, "fit": fit_state(shop)})

    def discard(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """The draft as it was published."""
        shop = get_object_or_404(Shop, pk=shop_id)
        if not request.user.has_perm(PUBLISH):
            raise PermissionDenied
        try:
            with transaction.atomic():
                versions.discard(shop)
                audit.record(audit.person(request.user), audit.CHANGED, subject=shop, what="Discarded the draft of the personas.")
        except (versions.VersionError, PersonaError) as error:
            messages.error(request, f"Nothing discarded. {sentence(error)}")
        else:
            messages.success(request, "The draft is as it was published.")
        return HttpResponseRedirect(reverse("admin:personas_personaversion_publish", args=[shop.pk]))

    def restore(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What an earlier version would change, and the button that brings it back."""
        from recommendations import publishing  # the numeric stack, which other pages of the admin do without

        earlier = PersonaVersion.objects.select_related("shop").filter(pk=pk).first()
        if earlier is None:
            raise Http404
        if not request.user.has_perm(PUBLISH):
            raise PermissionDenied
        shop = earlier.shop
        if request.method == "POST":
            try:
                with transaction.atomic():
                    made = publishing.restore(shop, earlier.number, user=request.user)
                    self.log_change(request, made, f"Restored version {earlier.number}.")
            except (versions.VersionError, PersonaError) as error:
                messages.error(request, f"Not restored. {sentence(error)}")
            else:
                messages.success(request, f"Version {earlier.number} is back, as version {made.number}.")
            return HttpResponseRedirect(reverse("admin:personas_personaversion_publish", args=[shop.pk]))
        version = versions.latest(shop)
        context = {
            "title": f"Restore version {earlier.number} of {shop}'s personas",
            "shop": shop,
            "earlier": earlier,
            "changes": versions.difference(version.definition, earlier.definition) if version else [],
            "lost": versions.unpublished(shop),
        }
        return self._page(request, "restore", context)

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "opts": self.model._meta, "media": self.media, **context}
        return TemplateResponse(request, f"admin/personas/personaversion/{name}.html", whole)


def number_in_force() -> Any:
    latest = PersonaVersion.objects.filter(shop=OuterRef("shop")).order_by("-number").values("number")
    return Subquery(latest[:1])


def fit_state(shop: Shop) -> dict[str, Any]:
    """Where the fit of the version in force stands: "none", "waiting", "running", "busy", "failed" or "done", and of what.

    "none" : nothing to fit, for want of a version or of a release.  "busy" : another training is under way first.
    """
    version, active = versions.latest(shop), Release.objects.active(shop)
    if version is None or active is None:
        return {"state": "none", "version": version, "untrained": active is None}
    run = TrainingRun.objects.filter(shop=shop).exclude(kind=TrainingRun.Kind.CLUSTERS).order_by("-pk").first()
    served = TrainingRun.objects.fit_of(active)
    about = {"version": version, "run": run}
    if run and run.state == TrainingRun.State.RUNNING:
        fits = run.kind == TrainingRun.Kind.PERSONAS and run.started_at >= version.published_at
        return {"state": "running" if fits else "busy", "percent": 100 * run.progress, **about}
    if served and served.report.get("version") == version.number:
        personas = versions.ever(shop)
        rows = [
            {
                "name": entry["name"],
                "colour": personas[entry["id"]].colour if entry["id"] in personas else "#999999",
                "percent": 100 * entry["share"],
                "told": fit_reports.share_sentence(entry),
                "warning": fit_reports.drift_warning(entry) if entry["drifted"] else "",
            }
            for entry in served.report["archetypes"]
        ]
        return {"state": "done", **about, "run": served, "rows": rows, "summary": fit_reports.summary(served.report)}
    if run and run.state == TrainingRun.State.FAILED and run.started_at >= version.published_at:
        return {"state": "failed", **about}
    return {"state": "waiting", **about}


def listed(sentences: list[str]) -> SafeString:
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((line,) for line in sentences)))


def sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
