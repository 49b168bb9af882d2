"""Experiments in the admin: the list, a new one, and one as it goes, with what it shows and the buttons that end it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
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
from recommendations import audit
from recommendations.desk.clusters.change_pages import refused, sent
from recommendations.desk.rules.outcome_pages import MOST_LINES, calendar_context
from recommendations.desk.shops import of_form
from recommendations.desk.tables import csv_file
from recommendations.learning import experiment_dates, experiments, measuring
from recommendations.learning.experiment_charts import curve, figure, percent, signed
from recommendations.learning.experiment_files import LIST_HEAD, RESULT_HEAD, list_lines, result_lines
from recommendations.learning.experiment_forms import ExperimentForm, PlanForm
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


@admin.register(Experiment)
class ExperimentPages(ModelAdmin):
    """All goes through `experiments`, and acts within seconds."""

    list_display = ("name", "shop", "state", "arms_told", "begun", "ends", "shows")
    list_display_links = ("name",)
    list_filter = ("shop", "state")
    list_select_related = ("shop",)
    search_fields = ("name",)
    list_before_template = "admin/experiments/list_top.html"
    show_full_result_count = False

    class Media:
        css = {"all": ("personas.css", "clusters.css", "rules.css", "experiments.css")}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        return [
            path("csv/", view(self.as_csv), name=f"{NAME}_csv"),
            path("<int:pk>/shows/", view(self.result), name=f"{NAME}_result"),
            path("<int:pk>/plan/", view(require_POST(self.plan)), name=f"{NAME}_plan"),
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
        extra = {
            "may_add": self.has_add_permission(request),
            "any": Experiment.objects.exists(),
            "query": request.GET.urlencode(),
            **calendar_context(request),
            **(extra_context or {}),
        }
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    def as_csv(self, request: HttpRequest) -> HttpResponse:
        """What the list shows under these filters, all pages of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found: QuerySet[Experiment] = self.get_changelist_instance(request).get_queryset(request)
        return csv_file("experiments", LIST_HEAD, list_lines(found.select_related("shop")[:MOST_LINES]))  # type: ignore[return-value]

    @admin.display(description="arms")
    def arms_told(self, row: Experiment) -> str:
        return ", ".join(arm.name for arm in read_arms(row.arms))

    @admin.display(description="began", ordering="started_at")
    def begun(self, row: Experiment) -> str:
        if row.started_at is None and row.starts_at is not None:
            return f"begins {experiment_dates.moment_words(row.starts_at, timezone.now())}"
        return "–" if row.started_at is None else f"{timezone.localtime(row.started_at):%d %b %Y, %H:%M}"

    @admin.display(description="ends", ordering="ends_at")
    def ends(self, row: Experiment) -> str:
        if row.stopped_at is not None:
            return f"{timezone.localtime(row.stopped_at):%d %b %Y, %H:%M}"
        return "–" if row.ends_at is None else f"ends {experiment_dates.moment_words(row.ends_at, timezone.now())}"

    @admin.display(description="what it shows")
    def shows(self, row: Experiment) -> str:
        if row.state == State.DRAFT:
            return "–"
        verdicts = row.result.get("verdicts", {})
        told = "; ".join(f"“{arm}” {experiment_dates.VERDICTS[verdict]}" for arm, verdict in verdicts.items()) or "nothing yet"
        return f"{told} (made live)" if row.result.get("live") else told

    def get_queryset(self, request: HttpRequest) -> QuerySet[Experiment]:
        rows: QuerySet[Experiment] = super().get_queryset(request)
        return rows.order_by("-pk")

    # A new one

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        shops = list(Shop.objects.all())
        shop = of_form(request, shops)
        if shop is None:
            messages.warning(request, "There is no shop yet.")
            return HttpResponseRedirect(reverse(f"admin:{NAME}_changelist"))
        form = ExperimentForm(shop, sent(request))
        if request.method == "POST" and form.is_valid():
            try:
                with transaction.atomic():
                    made = experiments.create(shop, user=request.user, **form.given())
                    self.log_addition(request, made, "Made.")
            except EditError as error:
                form.refuse(error)
            else:
                begins = experiment_dates.moment_words(made.starts_at, timezone.now()) if made.starts_at else ""
                told = f"It begins by itself {begins}." if begins else "Nobody is in it before it is started."
                messages.success(request, f"Saved. {told}")
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
        return self._page(request, row)

    def _page(self, request: HttpRequest, row: Experiment, plan: PlanForm | None = None) -> HttpResponse:
        """plan : the form of its dates, where what was sent can't be."""
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
            "planned": _planned(row),
            "plan": plan or PlanForm(initial={"starts_at": row.starts_at, "ends_at": row.ends_at}),
            **_result(row),
        }
        return TemplateResponse(request, "admin/experiments/experiment.html", context)

    def result(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What it shows by now, as a part of its page; 204 if it shows what the page does (`since`). With ?as=csv a file."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        row = get_object_or_404(Experiment.objects.select_related("shop"), pk=pk)
        if request.GET.get("as") == "csv":
            return csv_file(f"experiment-{row.pk}", RESULT_HEAD, result_lines(row))  # type: ignore[return-value]
        if row.state == State.RUNNING and request.GET.get("since") == row.result.get("counted_at", ""):
            return HttpResponse(status=204)  # nothing new: what is open, or under the pointer, stays
        return TemplateResponse(request, "admin/experiments/result.html", {"row": row, **_result(row)})

    def _of(self, request: HttpRequest, pk: int) -> Experiment:
        row = get_object_or_404(Experiment.objects.select_related("shop"), pk=pk)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return row

    def plan(self, request: HttpRequest, pk: int) -> HttpResponse:
        """When it begins and ends by itself."""
        row, form = self._of(request, pk), PlanForm(request.POST)
        if form.is_valid():
            dates = form.cleaned_data if row.state == State.DRAFT else {**form.cleaned_data, "starts_at": row.starts_at}
            try:
                with transaction.atomic():
                    changed = experiment_dates.plan(row, **dates)
                    if changed:
                        self.log_change(request, row, f"Planned: {experiment_dates.said(row) or 'by hand'}.")
            except EditError as error:
                if error.field not in form.fields:
                    refused(request, error)
                    return HttpResponseRedirect(here(row))
                form.refuse(error)
        if not form.is_valid():
            return self._page(request, row, form)
        if changed:
            messages.success(request, _planned(row) or "It begins and ends by hand from now on.")
        return HttpResponseRedirect(here(row))

    def start(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            with transaction.atomic():
                experiments.start(row)
                self.log_change(request, row, "Started.")
        except (EditError, ReleaseError) as error:  # an arm's clusters, or the release, can't be read
            _failed(request, error)
        else:
            messages.success(request, "It runs: visits that begin from now on are drawn, on every process within seconds.")
        return HttpResponseRedirect(here(row))

    def discard(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            with transaction.atomic():
                experiments.discard(row)
                audit.record(
                    audit.person(request.user),
                    audit.DELETED,
                    shop=row.shop,
                    model=Experiment,
                    named=(str(pk), str(row)),
                    what="Discarded before it was started.",
                )
        except EditError as error:
            refused(request, error)
            return HttpResponseRedirect(here(row))
        messages.success(request, f"“{row}” is gone: nobody was ever in it.")
        return HttpResponseRedirect(reverse(f"admin:{NAME}_changelist"))

    def stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        with transaction.atomic():
            stopped = experiments.stop(row, by=request.user, reason=request.POST.get("reason", ""))
            if stopped:
                self.log_change(request, row, "Stopped.")
        if stopped:
            messages.success(request, "Stopped: everybody is served as the shop is, within seconds. What it showed is kept.")
        else:
            messages.info(request, "It doesn't run.")
        return HttpResponseRedirect(here(row))

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        row, arm = self._of(request, pk), request.POST.get("arm", "")
        try:
            experiments.make_live(
                row,
                arm,
                by=request.user,
                reason=request.POST.get("reason", ""),
                also=lambda release: self.log_change(request, row, f"“{arm}” made live, as {release}."),
            )
        except (EditError, PolicyError, ReleaseError) as error:
            _failed(request, error)
        else:
            messages.success(request, f"Everybody is served as “{arm}” was, within seconds. It can be taken back here.")
        return HttpResponseRedirect(here(row))

    def back(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            experiments.roll_back(row, by=request.user, also=lambda: self.log_change(request, row, "Taken back."))
        except (EditError, PolicyError, ReleaseError) as error:
            _failed(request, error)
        else:
            messages.success(request, "Taken back: the shop is served as before.")
        return HttpResponseRedirect(here(row))


def here(row: Experiment) -> str:
    return reverse(f"admin:{NAME}_change", args=[row.pk])


def _planned(row: Experiment) -> str:
    """When it begins and ends by itself, in a sentence; "" where it doesn't."""
    now = timezone.now()
    begins = row.starts_at if row.state == State.DRAFT else None
    ends = row.ends_at if row.state != State.STOPPED else None
    told = [f"begins {experiment_dates.moment_words(begins, now)}"] if begins is not None else []
    told += [f"ends {experiment_dates.moment_words(ends, now)}"] if ends is not None else []
    return f"It {' and '.join(told)} ({experiment_dates.zone_words()}), by itself." if told else ""


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
