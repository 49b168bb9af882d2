"""Admin of how a shop's clusters are built: its settings, a build as it goes, what it would change, and the decision on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError
from unfold.admin import ModelAdmin

from clusters.models import ClusterSettings, ItemCluster
from personas.models import Shop
from recommendations import audit
from recommendations.desk.clusters.change_pages import sent
from recommendations.desk.clusters.forms import SettingsForm
from recommendations.models import Release, TrainingRun
from recommendations.watched_forms import WatchedForm

BUILD = "recommendations.tasks.build_clusters"
"""By name: the tasks import the numeric stack, which other pages of the admin do without."""

SETTINGS = "clusters.change_clustersettings"
"""Who may change how clusters are built may build them."""

ACTIVATE = "recommendations.change_release"

SHOWN_BUILDS = 10
SHOWN_CHANGED = 30
SHOWN_CLUSTERS = 100
"""Of any other fate, on the page of a build."""

PATIENCE = timedelta(seconds=60)
"""From when a build that no worker began is told as such."""


class _Settings(WatchedForm, SettingsForm):
    """Who saves an older page leaves what others set since, and is told where both set the same."""

    presence = "clustersettings"


@admin.register(ClusterSettings)
class ClusterBuildPages(ModelAdmin):
    """Settings of a shop's clusters; its page is the one where they are built."""

    list_display = ("shop", "search_history", "inactivity_minutes", "minimum_support")
    list_select_related = ("shop",)
    list_before_template = "admin/clusters/settings_top.html"
    nothing_yet = "Every shop is built with the usual settings until somebody sets others for it, by the links above."

    class Media:
        css = {"all": ("personas.css", "clusters.css")}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "clusters_clustersettings"
        urls: list[URLPattern] = super().get_urls()
        return [
            path("build/<int:shop_id>/", view(self.build), name=f"{name}_build"),
            path("build/<int:shop_id>/progress/", view(self.progress), name=f"{name}_progress"),
            path("build/<int:shop_id>/start/", view(require_POST(self.start)), name=f"{name}_start"),
            path("build/<int:shop_id>/<int:run>/decide/", view(require_POST(self.decide)), name=f"{name}_decide"),
            *urls,
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a shop's page makes its row when somebody changes a setting

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response: HttpResponse = super().changelist_view(request, {"shops": list(Shop.objects.all()), **(extra_context or {})})
        return response

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        settings = self.get_object(request, object_id)
        if settings is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        return HttpResponseRedirect(address("build", settings.shop_id))

    def _shop(self, request: HttpRequest, shop_id: int) -> Shop:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Shop, pk=shop_id)

    def build(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """The settings, the build under way or the last one with what it would change, and those before."""
        shop = self._shop(request, shop_id)
        settings = ClusterSettings.objects.filter(shop=shop).first() or ClusterSettings(shop=shop)
        form = _Settings(sent(request), instance=settings)
        form.by = request.user
        before = {name: getattr(settings, name) for name in form.fields}
        if request.method == "POST":
            if not request.user.has_perm(SETTINGS):
                raise PermissionDenied
            if form.is_valid():
                saved = form.save(commit=False)
                if changed := [name for name, was in before.items() if getattr(saved, name) != was]:
                    saved.save()
                    self.log_change(request, saved, f"Changed: {', '.join(changed)}.")
                messages.success(request, "The settings are saved. The next rebuild follows them.")
                return HttpResponseRedirect(address("build", shop.pk))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "media": self.media,
            "title": f"Clusters of {shop}",
            "form": form,
            "may_set": request.user.has_perm(SETTINGS),
            **self._state(request, shop),
        }
        return TemplateResponse(request, "admin/clusters/build.html", context)

    def progress(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """How the build goes, as a part of a page; once it is done, what it would change."""
        shop = self._shop(request, shop_id)
        return TemplateResponse(request, "admin/clusters/building.html", self._state(request, shop))

    def _state(self, request: HttpRequest, shop: Shop) -> dict[str, Any]:
        rights = {"may_set": request.user.has_perm(SETTINGS), "may_activate": request.user.has_perm(ACTIVATE)}
        return {"shop": shop, **rights, **state_of(shop, request.GET.get("asked", ""), request.GET.get("run", ""))}

    def start(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """Ask a worker for a build."""
        from recommendations.run_records import under_way  # the numeric stack, which other pages of the admin do without

        shop = self._shop(request, shop_id)
        if not request.user.has_perm(SETTINGS):
            raise PermissionDenied
        to = address("build", shop.pk)
        if Release.objects.active(shop) is None:
            messages.error(request, f"{shop} has no release yet: its first training makes its clusters.")
            return HttpResponseRedirect(to)
        if under_way(shop) is not None:
            messages.warning(request, "No build was asked for: one is under way, or a training is. Wait until it is done.")
            return HttpResponseRedirect(to)
        now = timezone.now()
        try:
            whole = request.POST.get("whole") == "1"
            current_app.send_task(BUILD, args=(shop.pk,), kwargs={"incremental": not whole}, retry=False)
        except OperationalError:
            messages.error(request, "No build was asked for: the queue of tasks can't be reached. Try again in a minute.")
            return HttpResponseRedirect(to)
        audit.record(
            audit.person(request.user),
            "asked",
            subject=shop,
            what=f"Asked for a {'whole ' if whole else ''}rebuild of the clusters.",
        )
        return HttpResponseRedirect(f"{to}?asked={now:%Y-%m-%dT%H:%M:%SZ}")

    def decide(self, request: HttpRequest, shop_id: int, run: int) -> HttpResponse:
        """Let a build serve, or take it back."""
        from recommendations import cluster_runs  # the numeric stack, which other pages of the admin do without
        from recommendations.releases import ReleaseError

        shop = self._shop(request, shop_id)
        if not request.user.has_perm(ACTIVATE):
            raise PermissionDenied
        builds = TrainingRun.objects.filter(kind=TrainingRun.Kind.CLUSTERS)
        built = get_object_or_404(builds.select_related("shop", "release__shop"), pk=run, shop=shop)
        try:
            if request.POST.get("decision") == "activate":
                release = cluster_runs.activate_build(built, by=request.user)
                self.log_change(request, release, "Clusters of a build activated.")
                messages.success(request, f"The new clusters serve shoppers within seconds, as {release}.")
            elif request.POST.get("decision") != "discard":
                messages.error(request, "Nothing was decided. Choose whether to activate the build or to discard it.")
            elif built.release is None or built.release.state != Release.State.READY:
                messages.error(request, "Nothing was discarded: the build was decided on already, or another took its place.")
            else:
                cluster_runs.discard_build(built)
                self.log_change(request, built.release, "Build of clusters discarded.")
                messages.success(request, "The build is discarded; what served before still serves.")
        except ReleaseError as error:
            messages.error(request, f"Nothing was activated: {error}.")
        return HttpResponseRedirect(address("build", shop.pk))


def address(name: str, *args: object) -> str:
    return reverse(f"admin:clusters_clustersettings_{name}", args=args)


def state_of(shop: Shop, asked: str = "", chosen: str = "") -> dict[str, Any]:
    """Where a shop's builds stand.

    asked : when a build was asked for, ISO 8601, "" for not.  chosen : id of the build to show, "" for the last one.

    state : "untrained", "waiting" (for a worker), "lost" (none took it up), "busy" (another training), "running", "none",
    "failed", or of the shown build's release "ready", "active", "retired" and so on.
    """
    from recommendations.run_records import under_way  # the numeric stack, which other pages of the admin do without

    builds = list(
        TrainingRun.objects.filter(shop=shop, kind=TrainingRun.Kind.CLUSTERS).select_related("release__shop")[:SHOWN_BUILDS]
    )
    active, working = Release.objects.active(shop), under_way(shop)
    history = [(run, brief(run)) for run in builds if run != working]
    told: dict[str, Any] = {"builds": history, "run": working, "asked": asked}
    at = _moment(asked)
    if active is None:
        return {**told, "state": "untrained"}
    if working is not None:
        state = "running" if working.kind == TrainingRun.Kind.CLUSTERS else "busy"
        return {**told, "state": state, "percent": 100 * working.progress}
    if at is not None and timezone.is_aware(at) and not any(run.started_at >= at for run in builds):
        return {**told, "state": "waiting" if timezone.now() - at < PATIENCE else "lost"}
    shown = next((run for run in builds if str(run.pk) == chosen), builds[0] if builds else None)
    told |= {"run": shown, "asked": ""}
    if shown is None:
        return {**told, "state": "none"}
    if shown.release is None:
        return {**told, "state": "discarded" if shown.state == TrainingRun.State.DONE else "failed"}
    return {**told, "state": shown.release.state, **comparison(shown)}


def _moment(text: str) -> datetime | None:
    try:
        return parse_datetime(text)
    except ValueError:  # the 99th of a month
        return None


def brief(run: TrainingRun) -> str:
    """What came of a build, in a few words."""
    if run.state != TrainingRun.State.DONE:
        return f"failed: {run.error or 'interrupted'}"
    if "clusters" not in run.report:
        return "nothing is on record of it"
    report = run.report["clusters"]
    fate = {
        Release.State.READY: "waits for a decision",
        Release.State.ACTIVE: "serves now",
        Release.State.RETIRED: "activated; a later release serves now",
        Release.State.FAILED: "discarded",
    }.get(Release.State(run.release.state) if run.release else Release.State.FAILED, "")
    return f"{report['clusters'][1]:,} clusters, {100 * report['moved']['share']:.0f} % of the items moved; {fate}"


def comparison(run: TrainingRun) -> dict[str, Any]:
    """What a build changed, ready to be drawn."""
    from recommendations import cluster_reports  # the numeric stack, which other pages of the admin do without

    report = run.report.get("clusters")
    if not report:
        return {}
    ids = [entry["id"] for key in ("changed", "retired", "split", "merged") for entry in report[key]]
    there: QuerySet[ItemCluster] = ItemCluster.objects.filter(shop=run.shop_id, pk__in=ids).exclude(name="")
    links = set(there.values_list("pk", flat=True))
    changed = report["changed"][:SHOWN_CHANGED]
    counted = run.report.get("statistics")
    return {
        "sentences": cluster_reports.summary(report),
        "counted": cluster_reports.counted_sentences(counted, run.report.get("seconds", 0.0)) if counted else [],
        "figures": figures(report),
        "changed": [
            {
                **entry,
                **shares(entry),
                "link": entry["id"] in links,
                "renamed": entry["was"] != entry["name"],
            }
            for entry in changed
        ],
        "unchanged": report["continued"] - len(report["changed"]),
        "more": len(report["changed"]) - len(changed),
        "new_count": len(report["new"]),
        "gone_count": len(report["retired"]),
        "fresh": report["new"][:SHOWN_CLUSTERS],
        "gone": report["retired"][:SHOWN_CLUSTERS],
        "split": report["split"][:SHOWN_CLUSTERS],
        "merged": report["merged"][:SHOWN_CLUSTERS],
        "links": links,
    }


def shares(entry: dict[str, Any]) -> dict[str, float]:
    """Of the items that a cluster had or has: how many in 100 stayed, came in, left."""
    whole = max(entry["size"] + entry["out"], 1)
    return {
        "kept": 100 * (entry["size"] - entry["in"]) / whole,
        "came": 100 * entry["in"] / whole,
        "left": 100 * entry["out"] / whole,
    }


def figures(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The build in four figures: what, how much, beside what."""
    moved, (old, new), (was, covered) = report["moved"], report["clusters"], report["coverage"]
    return [
        ("clusters", f"{new:,}", f"{old:,} before"),
        ("items in a cluster", f"{100 * covered:.0f} %", f"{100 * was:.0f} % before"),
        ("items that moved", f"{100 * moved['share']:.0f} %", f"{moved['items']:,} of {moved['of']:,}"),
        ("of what shoppers engage with", f"{100 * moved['engagement']:.0f} %", "moved"),
    ]
