"""Policies in the admin: what serves and what waits, one policy with what it learned and would do, and the buttons."""

from __future__ import annotations

import datetime as dt
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
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from clusters import gate
from personas.models import Shop
from recommendations.learning import evidence, policies, policy_charts
from recommendations.learning.bounds import settings_of
from recommendations.learning.models import PolicyVersion
from recommendations.learning.overriding import WORDS, may_override
from recommendations.learning.policies import PolicyError
from recommendations.models import Release
from recommendations.releases import ReleaseError

NAME = "recommendations_policyversion"
State = PolicyVersion.State

VERDICTS = {gate.BETTER: "Better", gate.WORSE: "Worse", gate.SAME: "The same", gate.UNKNOWN: "Not known yet"}

ESTIMATORS = {
    "dr": ("Doubly robust", "a model of the rewards, corrected by what was observed; the gate's"),
    "clipped_dr": ("Doubly robust, clipped", "as above, with no decision counting more than twenty times"),
    "snips": ("Self-normalised", "observed rewards, weighted by how much likelier this policy's choice was"),
    "ips": ("Weighted", "as above, without the division by the mean weight: unbiased, and the widest"),
    "clipped": ("Weighted, clipped", "with no decision counting more than twenty times"),
}


@admin.register(PolicyVersion)
class PolicyPages(ModelAdmin):
    """All goes through `policies`, and acts within seconds."""

    list_display = ("named", "shop", "state", "learned_from", "gate_said", "decided")
    list_display_links = ("named",)
    list_filter = ("shop", "state")
    list_select_related = ("shop", "decided_by")
    search_fields = ("version",)
    ordering = ("shop", "-pk")
    list_before_template = "admin/policies/list_top.html"
    show_full_result_count = False

    class Media:
        css = {"all": ("personas.css", "clusters.css", "policies.css")}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        return [
            path("<int:pk>/live/", view(require_POST(self.live)), name=f"{NAME}_live"),
            path("<int:pk>/refuse/", view(require_POST(self.refuse)), name=f"{NAME}_refuse"),
            path("back/<int:shop_id>/", view(require_POST(self.back)), name=f"{NAME}_back"),
            *urls,
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # they are learned

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # decisions in the log name them

    # The list

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shops = [_standing(shop) for shop in Shop.objects.order_by("pk")] if self.has_view_permission(request) else []
        extra = {"standing": shops, "may": self.has_change_permission(request), **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    @admin.display(description="policy", ordering="pk")
    def named(self, row: PolicyVersion) -> str:
        return f"{name_of(row)} of {timezone.localtime(row.created_at):%d %b %Y, %H:%M}"

    @admin.display(description="learned from")
    def learned_from(self, row: PolicyVersion) -> str:
        return f"{row.learned['credited']:,} decisions" if row.learned else "nothing: the hand rule"

    @admin.display(description="the gate said")
    def gate_said(self, row: PolicyVersion) -> str:
        return verdict_told(row)[0]

    @admin.display(description="decided")
    def decided(self, row: PolicyVersion) -> str:
        if row.decided_at is None:
            return "–"
        who = row.decided_by.get_username() if row.decided_by else "by itself"
        return f"{timezone.localtime(row.decided_at):%d %b, %H:%M}, {who}{', overridden' if row.overridden else ''}"

    # One

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        shop, given = row.shop, settings_of(row.shop)
        said, more = verdict_told(row)
        live = PolicyVersion.objects.filter(shop=shop, state=State.LIVE).first()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": f"{name_of(row)} {row.version}",
            "row": row,
            "said": said,
            "more": more,
            "may": self.has_change_permission(request, row),
            "passed": policies.passed(row),
            "worse": policies.IS_WORSE if policies.known_worse(row) else "",
            "may_override": may_override(request.user),
            "who_may": WORDS,
            "waits": row.state == State.CANDIDATE,
            "live": live,
            "earlier": policies.earlier(shop) if row.state == State.LIVE else None,
            "by_itself": given.goes_live_by_itself,
            "estimators": _estimators(row),
            "certainty": f"{100 * row.verdict['confidence']:.4g}" if row.verdict.get("look") else "",
            **_drawn(row, live, given.floor),
        }
        return TemplateResponse(request, "admin/policies/policy.html", context)

    def _of(self, request: HttpRequest, pk: int) -> PolicyVersion:
        row = get_object_or_404(PolicyVersion.objects.select_related("shop"), pk=pk)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return row

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            policies.go_live(
                row,
                by=request.user,
                reason=request.POST.get("reason", ""),
                also=lambda release: self.log_change(request, row, f"Made live, as {release}."),
            )
        except (PolicyError, ReleaseError) as error:
            messages.error(request, f"Nothing was changed. {error}")
        else:
            messages.success(request, "It serves, on every process within seconds. One click takes it back.")
        return HttpResponseRedirect(here(row))

    def refuse(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._of(request, pk)
        try:
            with transaction.atomic():
                policies.refuse(row, by=request.user, reason=request.POST.get("reason", ""))
                self.log_change(request, row, "Turned down.")
        except PolicyError as error:
            messages.error(request, f"Nothing was changed. {error}")
        else:
            messages.success(request, "Turned down. Learning goes on, and the next one is judged for itself.")
        return HttpResponseRedirect(here(row))

    def back(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        shop = get_object_or_404(Shop, pk=shop_id)
        try:
            row = policies.roll_back(
                shop,
                by=request.user,
                reason=request.POST.get("reason", ""),
                also=lambda policy: self.log_change(request, policy, "Rolled back to."),
            )
        except (PolicyError, ReleaseError) as error:
            messages.error(request, f"Nothing was changed. {error}")
        else:
            messages.success(
                request,
                f"{row.version} serves again, within seconds. New policies wait for somebody from now on, as the settings say.",
            )
        return HttpResponseRedirect(reverse(f"admin:{NAME}_changelist"))


def here(row: PolicyVersion) -> str:
    return reverse(f"admin:{NAME}_change", args=[row.pk])


def name_of(row: PolicyVersion) -> str:
    return "Policy" if row.learned else "Hand rule"


def verdict_told(row: PolicyVersion) -> tuple[str, str]:
    """What the gate said of a policy in a sentence, and what is missing, "" for nothing."""
    told = row.verdict
    if not told:
        return ("–", "") if not row.learned else ("Not judged yet", "It is judged when learning runs next, every five minutes.")
    word, missing = VERDICTS.get(told["verdict"], told["verdict"]), told.get("missing", "")
    if told.get("difference") is None or told.get("low") is None or told.get("high") is None:
        return word, missing
    return f"{word}: {told['difference']:+.3f} looks a slate ({told['low']:+.3f} to {told['high']:+.3f})", missing


def _estimators(row: PolicyVersion) -> list[tuple[str, str, str]]:
    """(name, what it is, difference with its interval) by each estimator."""
    found = row.verdict.get("estimators", {})
    return [
        (name, means, f"{value:+.3f} ({low:+.3f} to {high:+.3f})")
        for key, (name, means) in ESTIMATORS.items()
        if key in found and None not in found[key]
        for value, low, high in [found[key]]
    ]


def _drawn(row: PolicyVersion, live: PolicyVersion | None, floor: float) -> dict[str, Any]:
    """Charts of a policy, beside the one that serves: the hand rule beside which it is itself that."""
    today = timezone.now().astimezone(dt.UTC).date()
    days = evidence.days(evidence.sealed(row.shop))
    mine = [day for day in days if day.policy == row.version]
    rest = [day for day in days if day.policy != row.version]
    series = [(name, policy_charts.means(each)) for name, each in (("this policy", mine), ("others", rest)) if each]
    told: dict[str, Any] = {
        "rewards": policy_charts.rewards_drawn(series, today) if mine else "",
        "series": [name for name, _ in series],
        "shares": policy_charts.shares_drawn(policy_charts.shares(mine), today) if mine else "",
        "means": [(m.day, policy_charts.told(m)) for m in reversed(policy_charts.means(mine))][: policy_charts.SHOWN_DAYS],
    }
    try:
        policy = policies.load(row.shop, row.component)
        other = policies.default_policy() if live is None or live.pk == row.pk else policies.load(row.shop, live.component)
    except ReleaseError as error:
        return told | {"unread": str(error)}
    beside = "the hand rule" if live is None or live.pk == row.pk or not live.learned else "the one that serves"
    return told | {
        "weights": policy_charts.weights(policy) if row.learned else [],
        "choices": policy_charts.choices(policy, other, floor),
        "beside": "" if beside == "the hand rule" and not row.learned else beside,
    }


def _standing(shop: Shop) -> dict[str, Any]:
    """How learning stands in a shop, for the top of the list."""
    today = timezone.now().astimezone(dt.UTC).date()
    rows: QuerySet[PolicyVersion] = PolicyVersion.objects.filter(shop=shop)
    days = evidence.days(evidence.sealed(shop))
    given = settings_of(shop)
    return {
        "shop": shop,
        "serves": rows.filter(state=State.LIVE).first(),
        "waits": rows.filter(state=State.CANDIDATE).order_by("-pk").first(),
        "earlier": policies.earlier(shop),
        "released": Release.objects.active(shop) is not None,
        "enabled": given.enabled,
        "by_itself": given.goes_live_by_itself,
        "credited": sum(day.credited for day in days),
        "rewards": policy_charts.rewards_drawn([("all policies", policy_charts.means(days))], today),
        "shares": policy_charts.shares_drawn(policy_charts.shares(days), today),
    }
