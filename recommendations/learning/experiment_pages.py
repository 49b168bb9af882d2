"""Experiments in the admin: the list, a new one, and one as it goes, with what it shows and the buttons that end it."""

from __future__ import annotations

from typing import Any

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
from unfold.admin import ModelAdmin

from clusters.cluster_drafts import EditError
from personas.models import Shop
from recommendations.cluster_change_pages import refused, sent
from recommendations.cluster_items import numbers
from recommendations.learning import experiments, measuring
from recommendations.learning.experiment_charts import curve, figure, percent, signed
from recommendations.learning.experiment_forms import ExperimentForm
from recommendations.learning.measuring import METRICS
from recommendations.learning.models import Experiment
from recommendations.learning.overriding import WORDS as WHO_MAY
from recommendations.learning.overriding import may_override
from recommendations.learning.policies import PolicyError
from recommendations.models import Release
from recommendations.releases import ReleaseError
from recommendations.serving.trials import Arm, read_arms

NAME = "recommendations_experiment"
State = Experiment.State

WORDS = {"better": "is better", "worse": "is worse", "unknown": "can't be told apart yet"}


@admin.register(Experiment)
class ExperimentPages(ModelAdmin):
    """All goes through `experiments`, and acts within seconds."""

    list_display = ("name", "shop", "state", "arms_told", "begun", "shows")
    list_display_links = ("name",)
    list_filter = ("shop", "state")
    list_select_related = ("shop",)
    search_fields = ("name",)
    list_before_template = "admin/experiments/list_top.html"
    show_full_result_count = False

    class Media:
        css = {"all": ("personas.css", "clusters.css", "experiments.css")}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        return [
            path("<int:pk>/shows/", view(self.result), name=f"{NAME}_result"),
            path("<int:pk>/start/", view(require_POST(self.start)), name=f"{NAME}_start"),
            path("<int:pk>/discard/", view(require_POST(self.discard)), name=f"{NAME}_discard"),
            path("<int:pk>/stop/", view(require_POST(self.stop)), name=f"{NAME}_stop"),
            path("<int:pk>/live/", view(require_POST(self.live)), name=f"{NAME}_live"),
            path("<int:pk>/back/", view(require_POST(self.back)), name=f"{NAME}_back"),
            *urls,
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what was decided on it stays on record

    # The list

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"may_add": self.has_add_permission(request), "any": Experiment.objects.exists(), **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    @admin.display(description="arms")
    def arms_told(self, row: Experiment) -> str:
        return ", ".join(arm.name for arm in read_arms(row.arms))

    @admin.display(description="began", ordering="started_at")
    def begun(self, row: Experiment) -> str:
        return "–" if row.started_at is None else f"{timezone.localtime(row.started_at):%d %b %Y, %H:%M}"

    @admin.display(description="what it shows")
    def shows(self, row: Experiment) -> str:
        if row.state == State.DRAFT:
            return "–"
        verdicts = row.result.get("verdicts", {})
        told = "; ".join(f"“{arm}” {WORDS[verdict]}" for arm, verdict in verdicts.items()) or "nothing yet"
        return f"{told} (made live)" if row.result.get("live") else told

    def get_queryset(self, request: HttpRequest) -> QuerySet[Experiment]:
        rows: QuerySet[Experiment] = super().get_queryset(request)
        return rows.order_by("-pk")

    # A new one

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        shops = list(Shop.objects.all())
        asked = numbers([(request.POST if request.method == "POST" else request.GET).get("shop", "")])
        shop = next((shop for shop in shops if shop.pk in asked), shops[0] if shops else None)
        if shop is None:
            messages.warning(request, "There is no shop yet.")
            return HttpResponseRedirect(reverse(f"admin:{NAME}_changelist"))
        form = ExperimentForm(shop, sent(request))
        if request.method == "POST" and form.is_valid():
            try:
                made = experiments.create(shop, user=request.user, **form.given())
            except EditError as error:
                form.refuse(error)
            else:
                self.log_addition(request, made, "Made.")
                messages.success(request, "Saved. Nobody is in it before it is started.")
                return HttpResponseRedirect(here(made))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": "Make an experiment",
            "form": form,
            "shop": shop,
            "shops": shops,
            "serves": Release.objects.active(shop) is not None,
        }
        return TemplateResponse(request, "admin/experiments/make.html", context)

    # One

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        arms = read_arms(row.arms)
        challengers = [arm for arm in arms if not arm.plain]
        known = [arm for arm in challengers if experiments.known(row, arm.name) == "better"]
        worse = [arm for arm in challengers if experiments.known(row, arm.name) == "worse"]
        may_be = [arm for arm in challengers if arm not in worse]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": row.name,
            "row": row,
            "arms": [(arm, _served(arm, told)) for arm, told in zip(arms, row.arms, strict=True)],
            "tries": row.proposals.select_related("cluster").order_by("pk"),
            "clusters": any(arm.clusters for arm in arms),
            "challengers": may_be if may_override(request.user) else known,
            "who_may": "" if may_override(request.user) or known == may_be else WHO_MAY,
            "worse": [arm.name for arm in worse],
            "rails": [(METRICS[r["metric"]], percent(-r["least"])) for r in row.guardrails],
            "metric": METRICS.get(row.metric, row.metric),
            "may": self.has_change_permission(request, row),
            "live": row.result.get("live"),
            "taken_back": row.result.get("taken_back"),
            **_result(row),
        }
        return TemplateResponse(request, "admin/experiments/experiment.html", context)

    def result(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What it shows by now, as a part of its page; 204 if it shows what the page does (`since`)."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        row = get_object_or_404(Experiment.objects.select_related("shop"), pk=pk)
        if row.state == State.RUNNING and request.GET.get("since") == row.result.get("counted_at", ""):
            return HttpResponse(status=204)  # nothing new: what is open, or under the pointer, stays
        return TemplateResponse(request, "admin/experiments/result.html", {"row": row, **_result(row)})

    def _of(self, request: HttpRequest, pk: int) -> Experiment:
        row = get_object_or_404(Experiment.objects.select_related("shop"), pk=pk)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return row

    def start(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            experiments.start(row)
        except EditError as error:
            refused(request, error)
        else:
            self.log_change(request, row, "Started.")
            messages.success(request, "It runs: visits that begin from now on are drawn, on every process within seconds.")
        return HttpResponseRedirect(here(row))

    def discard(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            experiments.discard(row)
        except EditError as error:
            refused(request, error)
            return HttpResponseRedirect(here(row))
        messages.success(request, f"“{row}” is gone: nobody was ever in it.")
        return HttpResponseRedirect(reverse(f"admin:{NAME}_changelist"))

    def stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        if experiments.stop(row, by=request.user, reason=request.POST.get("reason", "")):
            self.log_change(request, row, "Stopped.")
            messages.success(request, "Stopped: everybody is served as the shop is, within seconds. What it showed is kept.")
        else:
            messages.info(request, "It doesn't run.")
        return HttpResponseRedirect(here(row))

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        row, arm = self._of(request, pk), request.POST.get("arm", "")
        try:
            release = experiments.make_live(row, arm, by=request.user, reason=request.POST.get("reason", ""))
        except (EditError, PolicyError, ReleaseError) as error:
            _failed(request, error)
        else:
            self.log_change(request, row, f"“{arm}” made live, as {release}.")
            messages.success(request, f"Everybody is served as “{arm}” was, within seconds. It can be taken back here.")
        return HttpResponseRedirect(here(row))

    def back(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            experiments.roll_back(row, by=request.user)
        except (EditError, PolicyError, ReleaseError) as error:
            _failed(request, error)
        else:
            self.log_change(request, row, "Taken back.")
            messages.success(request, "Taken back: the shop is served as before.")
        return HttpResponseRedirect(here(row))


def here(row: Experiment) -> str:
    return reverse(f"admin:{NAME}_change", args=[row.pk])


def _failed(request: HttpRequest, error: Exception) -> None:
    if isinstance(error, EditError):
        refused(request, error)
    else:
        messages.error(request, f"Nothing was changed. {error}")


def _served(arm: Arm, kept: dict[str, Any]) -> str:
    """How an arm serves, in words. kept : as `Experiment.arms` has it."""
    tries = kept.get("tries")
    clusters = f"clusters {arm.clusters}" if tries is None else f"clusters with {_counted(len(tries))} as if approved"
    told = [
        f"policy {arm.policy}" if arm.policy else "",
        clusters if arm.clusters else "",
        "" if arm.adapts else "visits don't adapt",
    ]
    return ", ".join(filter(None, told)) or "as the shop serves"


def _counted(proposals: int) -> str:
    return "the proposal" if proposals == 1 else f"the {proposals} proposals"


def _result(row: Experiment) -> dict[str, Any]:
    """What the page tells of the result."""
    told, arms = row.result, read_arms(row.arms)
    counted = parse_datetime(told["counted_at"]) if told.get("counted_at") else None
    visits = {arm["name"]: arm for arm in told.get("arms", ())}
    shown = []
    for arm in arms[1:]:
        differences = told.get("differences", {}).get(arm.name, {})
        of = differences.get(row.metric, {})
        shown.append(
            {
                "arm": arm,
                "verdict": told.get("verdicts", {}).get(arm.name, "unknown"),
                "sentence": _sentence(row, arm.name, of),
                "curve": curve(told.get("series", {}).get(arm.name, ())),
                "rows": [
                    (
                        METRICS[metric],
                        figure(visits.get(arms[0].name, {}).get(metric)),
                        figure(visits.get(arm.name, {}).get(metric)),
                        signed(each.get("value")),
                        _between(each),
                    )
                    for metric, each in differences.items()
                ],
            }
        )
    split = told.get("split")
    return {
        "shown": shown,
        "told": told,
        "counted": counted,
        "visits": [(arm.name, visits.get(arm.name, {})) for arm in arms],
        "guarded": [
            (
                METRICS[r["metric"]],
                r["arm"],
                None if r["relative"] is None else percent(r["relative"], signed=True),
                percent(-r["least"]),
                r["broken"],
            )
            for r in told.get("guardrails", ())
        ],
        "uneven": split is not None and split < measuring.UNBALANCED,
        "since": row.started_at and timezone.localtime(row.started_at),
    }


def _between(each: dict[str, Any]) -> str:
    return "not known yet" if each.get("low") is None else f"{signed(each['low'])} to {signed(each['high'])}"


def _sentence(row: Experiment, arm: str, of: dict[str, Any]) -> str:
    """What the experiment says of an arm so far."""
    what = METRICS.get(row.metric, row.metric).lower()
    if not of or of.get("low") is None:
        return f"Nothing can be said of “{arm}” before {measuring.sequential.LEAST} shoppers of each arm have been counted."
    seen = f"{signed(of['value'])} {what} a visit, between {signed(of['low'])} and {signed(of['high'])}"
    share = "" if of.get("relative") is None else f" ({percent(of['relative'], signed=True)})"
    if of["low"] > 0:
        return f"“{arm}” is better: {seen}{share}."
    if of["high"] < 0:
        return f"“{arm}” is worse: {seen}{share}."
    return f"“{arm}” can't be told from the control yet: {seen}."
