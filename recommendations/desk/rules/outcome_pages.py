"""What became of rules, in the admin: whether one beat the algorithm, when they act, and all of them as a file."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from clusters.cluster_drafts import EditError
from recommendations import rule_editing, rule_words
from recommendations.desk.clusters.change_pages import refused
from recommendations.desk.rules import calendar as rule_calendar
from recommendations.desk.rules import verdicts as rule_verdicts
from recommendations.desk.tables import csv_file
from recommendations.learning.models import Experiment
from recommendations.models import MerchandisingRule

NAME = "recommendations_merchandisingrule"

MOST_DATED = 25
"""Rules that the calendar has a line for."""

MOST_LINES = 5_000
"""Lines of a file: all rules that a shop may have, of ten shops."""


class Outcomes(ModelAdmin):
    """The part of rules' pages that tells and changes nothing, but for a share of visits that goes without one."""

    def outcome_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("csv/", view(self.as_csv), name=f"{NAME}_csv"),
            path("<int:pk>/verdict/", view(self.verdict), name=f"{NAME}_verdict"),
            path("<int:pk>/hold/", view(require_POST(self.hold)), name=f"{NAME}_hold"),
        ]

    def as_csv(self, request: HttpRequest) -> HttpResponse:
        """What the list shows under these filters, all pages of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found: QuerySet[Any] = self.get_changelist_instance(request).get_queryset(request)
        rows = list(found[:MOST_LINES])
        names, now = rule_words.Names.of(rows), timezone.now()
        lines = (
            (
                row.pk, row.shop.slug, row.name, rule_words.what(row, names), rule_words.where(row, names),
                rule_words.when(row, now), "yes" if row.enabled else "no", f"{row.holdout:g}",
                sum(tally.slates for tally in row.lately), sum(tally.items for tally in row.lately),
            )
            for row in rows
        )  # fmt: skip
        head = (
            "id",
            "shop",
            "name",
            "does",
            "where",
            "when",
            "on",
            "share of visits without it",
            "slates lately",
            "items lately",
        )
        return csv_file("rules", head, lines)  # type: ignore[return-value]

    def verdict(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Visits with the rule beside those without it, as a part of its page, or as a file with ?as=csv."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rule = get_object_or_404(MerchandisingRule.objects.select_related("shop"), pk=pk)
        found = rule_verdicts.verdict(rule)
        if request.GET.get("as") == "csv":
            outcomes = found.outcomes if found is not None else ()
            rows = [(o.label, o.with_it, o.visits[0], o.without, o.visits[1], *o.difference[:3]) for o in outcomes]
            head = (
                "visits that",
                "with it",
                "of visits with it",
                "without it",
                "of visits without it",
                "difference",
                "low",
                "high",
            )
            return csv_file(f"rule-{rule.pk}", head, rows)  # type: ignore[return-value]
        context = {
            "rule": rule,
            "found": found,
            "may": self.has_change_permission(request, rule) and rule.retired_at is None,
            "share": 100 * rule.holdout,
            "offer": rule_verdicts.OFFER,
        }
        return TemplateResponse(request, "admin/rules/verdict.html", context)

    def hold(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let a tenth of the visits go without the rule, in one click."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        rule = get_object_or_404(MerchandisingRule.objects.select_related("shop"), pk=pk)
        try:
            with rule_editing.editing(rule.shop):
                rule.refresh_from_db()
                changed = not rule.holdout and rule_editing.change(rule=rule, holdout=rule_verdicts.OFFER / 100)
                if changed:
                    self.log_change(request, rule, f"{rule_verdicts.OFFER} % of visits go without it.")
            if changed:
                messages.success(request, f"{rule_verdicts.OFFER} in 100 visits go without it from now on, drawn by chance.")
            else:
                messages.info(request, f"{100 * rule.holdout:g} in 100 visits go without it already; nothing was changed.")
        except EditError as error:
            refused(request, error)
        return HttpResponseRedirect(reverse(f"admin:{NAME}_change", args=[rule.pk]))


def calendar_context(request: HttpRequest) -> dict[str, Any]:
    """What lists draw of when rules with dates act, those taken out apart, and experiments run: of both what one may see."""
    now = timezone.localtime()
    spans = _spans() if request.user.has_perm("recommendations.view_merchandisingrule") else []
    trials = _trials() if request.user.has_perm("recommendations.view_experiment") else []
    dated = rule_calendar.shown([*trials, *spans], now)
    told = f"When {len(dated)} rules and experiments act, from a week ago to five weeks ahead."
    drawn = rule_calendar.calendar(dated[:MOST_DATED], now, sentence=told if len(dated) > 1 else "When it acts.")
    return {
        "dated": len(dated[:MOST_DATED]),
        "more_dated": max(0, len(dated) - MOST_DATED),
        "calendar": mark_safe(drawn),  # escaped where it is drawn
    }


def _spans() -> list[rule_calendar.Span]:
    rows = MerchandisingRule.objects.standing().filter(Q(starts_at__isnull=False) | Q(ends_at__isnull=False)).order_by("pk")
    return [
        rule_calendar.Span(
            row.name, _local(row.starts_at), _local(row.ends_at), row.enabled, reverse(f"admin:{NAME}_change", args=[row.pk])
        )
        for row in rows
    ]


def _trials() -> list[rule_calendar.Span]:
    """Experiments that run, ran or are planned; one that ends by hand is open."""
    dated = Experiment.objects.filter(Q(starts_at__isnull=False) | Q(started_at__isnull=False)).order_by("-pk")
    return [
        rule_calendar.Span(
            f"Experiment {row.name}",
            _local(row.started_at or row.starts_at),
            _local(row.stopped_at or row.ends_at),
            row.state != Experiment.State.DRAFT,
            reverse("admin:recommendations_experiment_change", args=[row.pk]),
            "trial",
        )
        for row in dated[:MOST_DATED]
    ]


def _local(moment: dt.datetime | None) -> dt.datetime | None:
    return None if moment is None else timezone.localtime(moment)
