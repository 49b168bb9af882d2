"""The inbox of lasting changes in the admin: each with what speaks for it, approved, rejected, tried, taken back, also by day."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from clusters.editing import EditError
from clusters.models import ClusterChange, Item
from personas.models import Shop
from recommendations.desk.clusters.change_pages import here as cluster_page
from recommendations.desk.clusters.change_pages import refused, sent
from recommendations.desk.clusters.items import numbers
from recommendations.desk.clusters.stories import picture
from recommendations.learning import proposal_words as words
from recommendations.learning.models import ClusterProposal
from recommendations.learning.overriding import check_override, may_override
from recommendations.learning.proposal_day_pages import day_page
from recommendations.learning.proposal_forms import DecisionForm, acting
from recommendations.learning.proposal_trying_pages import MAY, MOST_TRIED, try_page
from recommendations.models import Release

LIST = "admin:recommendations_clusterproposal_changelist"
MOST_CHOSEN = 100
"""Proposals that are decided on at once."""

State, Verdict = ClusterProposal.State, ClusterProposal.Verdict


class StateFilter(admin.SimpleListFilter):
    """Those that wait for a decision, unless another state is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((value, str(label)) for value, label in State.choices if value != State.OPEN), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        yield {
            "selected": self.value() is None,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": State.OPEN.label,
        }
        for value, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self.value() == str(value), "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[ClusterProposal]) -> QuerySet[ClusterProposal]:
        if self.value() == "all":
            return queryset
        return queryset.filter(state=self.value() or State.OPEN)


@admin.register(ClusterProposal)
class ProposalPages(ModelAdmin):
    """All goes through `recommendations.learning.proposals`."""

    list_display = ("shown_summary", "shown_effect", "shown_verdict", "shown_state", "shown_at")
    list_display_links = None
    ordering = ("verdict", "-pk")  # what is surely better first: "better", "unknown", "worse"
    list_filter = (StateFilter, "kind", "verdict", "shop", ("cluster", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("shop", "cluster", "target", "decided_by", "experiment")
    search_fields = ("summary", "cluster__name", "reason")
    list_before_template = "admin/learning/proposals_top.html"
    actions = ("approve_chosen", "try_chosen", "reject_chosen")
    show_full_result_count = False
    list_per_page = 50

    class Media:
        css = {"all": ("personas.css", "clusters.css", "rules.css", "proposals.css")}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "recommendations_clusterproposal"
        urls: list[URLPattern] = super().get_urls()
        return [
            path("look/", view(require_POST(self.look)), name=f"{name}_look"),
            path("day/", view(partial(day_page, self)), name=f"{name}_day"),
            path("experiment/", view(partial(try_page, self)), name=f"{name}_experiment"),
            path("several/<slug:verb>/", view(self.several), name=f"{name}_several"),
            path("<int:pk>/decide/", view(require_POST(self.decide)), name=f"{name}_decide"),
            path("<int:pk>/try/", view(require_POST(self.try_it)), name=f"{name}_try"),
            *urls,
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what was decided stays on record

    # The list

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from recommendations.learning.proposals import settle_undone

        shops = list(Shop.objects.all())
        for shop in shops:
            settle_undone(shop)
        states = dict(ClusterProposal.objects.values_list("state").annotate(n=Count("pk")).order_by())
        latest = ClusterProposal.objects.order_by("-created_at").values_list("evidence__judged_at", flat=True).first()
        extra = {
            "shops": shops,
            "waits": states.get(State.OPEN, 0),
            "blocked": states.get(State.BLOCKED, 0),
            "any": bool(states),
            "simulated": [shop for shop in shops if shop.settings.get("simulated_week")],
            "judged_at": dt.datetime.fromisoformat(latest) if latest else None,
            "may": self.has_change_permission(request),
            **(extra_context or {}),
        }
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        most: dict[str, float] = {}
        for row in changes.result_list:
            unit = words.unit(row)
            most[unit] = max([most.get(unit, 0.0), *(abs(end) for end in (row.low, row.high) if end is not None)])
        for row in changes.result_list:
            row.most = most[words.unit(row)] or 1.0  # one scale of a unit for the page, so that intervals can be compared
        return changes

    @admin.display(description="proposal", ordering="summary")
    def shown_summary(self, proposal: ClusterProposal) -> SafeString:
        at = reverse("admin:recommendations_clusterproposal_change", args=[proposal.pk])
        quiet = f"{proposal.get_kind_display()} · {proposal.shop}"
        return format_html(
            '<div class="proposal-named"><a class="underline" href="{}">{}</a><br><span class="persona-quiet">{}</span></div>',
            at,
            proposal.summary or proposal,
            quiet,
        )

    @admin.display(description="effect, with its 95 % interval", ordering="effect")
    def shown_effect(self, proposal: ClusterProposal) -> SafeString:
        return words.drawn(proposal, getattr(proposal, "most", 1.0))

    @admin.display(description="verdict", ordering="verdict")
    def shown_verdict(self, proposal: ClusterProposal) -> SafeString:
        overridden = " (overridden)" if proposal.overridden else ""
        return format_html('<span class="proposal-{}">{}{}</span>', proposal.verdict, proposal.get_verdict_display(), overridden)

    @admin.display(description="state", ordering="state")
    def shown_state(self, proposal: ClusterProposal) -> str:
        by = f" by {proposal.decided_by}" if proposal.decided_by else ""
        if proposal.state == State.OPEN and proposal.experiment is not None:
            return words.TRIED[proposal.experiment.state]
        return f"{proposal.get_state_display()}{by}" + (f" ({proposal.bound.replace('_', ' ')})" if proposal.bound else "")

    @admin.display(description="judged", ordering="created_at")
    def shown_at(self, proposal: ClusterProposal) -> str:
        return f"{timezone.localtime(proposal.decided_at or proposal.created_at):%-d %b %Y, %H:%M}"

    @admin.action(description="Approve the chosen proposals", permissions=["change"])
    def approve_chosen(self, request: HttpRequest, queryset: QuerySet[ClusterProposal]) -> HttpResponse | None:
        return self._chosen(request, queryset, "approve")

    @admin.action(description="Try the chosen proposals in an experiment", permissions=["change"])
    def try_chosen(self, request: HttpRequest, queryset: QuerySet[ClusterProposal]) -> HttpResponse | None:
        if not request.user.has_perm(MAY):
            raise PermissionDenied
        chosen = list(queryset.order_by("-pk").values_list("pk", flat=True)[: MOST_TRIED + 1])
        if len(chosen) > MOST_TRIED:
            self.message_user(request, f"Choose at most {MOST_TRIED} proposals for one experiment.", messages.WARNING)
            return None
        return HttpResponseRedirect(_trying(chosen))

    @admin.action(description="Reject the chosen proposals", permissions=["change"])
    def reject_chosen(self, request: HttpRequest, queryset: QuerySet[ClusterProposal]) -> HttpResponse | None:
        return self._chosen(request, queryset, "reject")

    def _chosen(self, request: HttpRequest, queryset: QuerySet[ClusterProposal], verb: str) -> HttpResponse | None:
        """To the page that asks for a reason."""
        chosen = list(queryset.order_by("-pk").values_list("pk", flat=True)[: MOST_CHOSEN + 1])
        if len(chosen) > MOST_CHOSEN:
            self.message_user(request, f"Choose at most {MOST_CHOSEN} proposals.", messages.WARNING)
            return None
        to = reverse("admin:recommendations_clusterproposal_several", args=[verb])
        return HttpResponseRedirect(f"{to}?{'&'.join(f'proposal={pk}' for pk in chosen)}")

    def look(self, request: HttpRequest) -> HttpResponse:
        """Judge what decisions led to by now, by a worker."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        shop = get_object_or_404(Shop, pk=numbers([request.POST.get("shop", "0")])[0] if request.POST.get("shop") else 0)
        from kombu.exceptions import OperationalError

        from recommendations.learning.findings import week_start
        from recommendations.learning.tasks import propose_cluster_changes

        try:
            propose_cluster_changes.apply_async((shop.pk,), retry=False)
        except OperationalError:
            messages.error(request, "Nothing was asked for: no worker can be reached. Try again in a moment.")
        else:
            until = f"{week_start(timezone.now()):%A, %-d %B}"
            messages.success(
                request, f"A worker looks at what decisions in {shop} till {until}, led to; load this page again in a moment."
            )
        return HttpResponseRedirect(reverse(LIST))

    # Several at once

    def several(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Proposals approved or rejected together, once somebody said why."""
        if verb not in ("approve", "reject"):
            raise Http404
        if not self.has_change_permission(request):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        ids = numbers(given.getlist("proposal"))[:MOST_CHOSEN]
        open_ones = ClusterProposal.objects.filter(pk__in=ids, state__in=(State.OPEN, State.BLOCKED))
        chosen = list(open_ones.select_related("shop", "cluster", "target"))
        sure = [p for p in chosen if p.state == State.OPEN and p.verdict == Verdict.BETTER] if verb == "approve" else chosen
        form = DecisionForm(sent(request))
        if request.method == "POST" and form.is_valid():
            done = sum(self._decided(request, p, verb, form.cleaned_data["reason"]) for p in sure)
            what = "applied" if verb == "approve" else "rejected"
            if done:
                messages.success(
                    request, f"{done} proposal{'' if done == 1 else 's'} {what}.{_reach(sure) if verb == 'approve' else ''}"
                )
            return HttpResponseRedirect(reverse(LIST))
        left = len(chosen) - len(sure)
        context = {
            "title": f"{'Approve' if verb == 'approve' else 'Reject'} {len(sure)} proposal{'' if len(sure) == 1 else 's'}",
            "proposals": sure,
            "left": left,
            "verb": verb,
            "form": form,
        }
        return self._page(request, "several", context)

    def _decided(
        self,
        request: HttpRequest,
        proposal: ClusterProposal,
        verb: str,
        reason: str,
        items: list[int] | None = None,
    ) -> bool:
        """Whether it was done; what was in the way is told."""
        from recommendations.cluster_runs import request_publish
        from recommendations.learning.proposals import apply_proposal, reject_proposal

        with transaction.atomic():  # nothing is raised out of it: what becomes of a proposal that can't be applied is kept
            try:
                if verb == "reject":
                    reject_proposal(proposal=proposal, user=request.user, reason=reason)
                else:
                    apply_proposal(proposal=proposal, user=request.user, reason=reason, items=items, override=verb == "override")
                    request_publish(proposal.shop)
            except EditError as error:
                refused(request, error)
                return False
            self.log_change(request, proposal, f"{proposal.get_state_display()}. {reason}".strip())
        return True

    # One proposal

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """What would change, what speaks for it, and the decision."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        rows = ClusterProposal.objects.select_related("shop", "cluster", "target", "decided_by", "experiment")
        proposal = rows.filter(pk__in=numbers([object_id])).first()
        if proposal is None or request.method == "POST":
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        may = self.has_change_permission(request, proposal)
        known = Item.objects.in_bulk([int(each["item"]) for each in proposal.items])
        open_ = proposal.state == State.OPEN
        context = {
            "title": proposal.summary or str(proposal),
            "proposal": proposal,
            "sides": words.sides(proposal) if open_ or proposal.state == State.BLOCKED else None,
            "drawn": words.drawn(proposal, max(abs(proposal.low or 0), abs(proposal.high or 1))),
            "tried": proposal.experiment and words.TRIED[proposal.experiment.state],
            "together": words.together(proposal),
            "simulated": bool(proposal.shop.settings.get("simulated_week")),
            "may_try": may and open_ and _may_try(request, proposal),
            "sentences": [told for told in words.sentences(proposal) if not open_ or told != proposal.evidence.get("missing")],
            "missing": proposal.evidence.get("missing", ""),
            "stopped": words.stopped_words(proposal),
            "rows": [
                (item, picture(proposal.shop, item), words.item_words(proposal, each.get("evidence", {})), each)
                for each in proposal.items
                if (item := known.get(int(each["item"])))
            ],
            "gone": len(proposal.items) - len(known),
            "form": DecisionForm(),
            "may_approve": may and open_ and proposal.verdict == Verdict.BETTER,
            "may_override": may and open_ and proposal.verdict == Verdict.UNKNOWN and may_override(request.user),
            "unknown": open_ and proposal.verdict == Verdict.UNKNOWN,
            "may_reject": may and proposal.state in (State.OPEN, State.BLOCKED),
            "may_undo": may and proposal.state == State.APPLIED,
            "serves": Release.objects.active(proposal.shop) is not None,
            "change": ClusterChange.objects.filter(batch=proposal.change).first() if proposal.change else None,
        }
        return self._page(request, "proposal", context)

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Approve, override, reject or undo one."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        proposal = get_object_or_404(ClusterProposal.objects.select_related("shop", "cluster", "target"), pk=pk)
        verb, form = request.POST.get("verb", ""), DecisionForm(request.POST)
        back = HttpResponseRedirect(reverse("admin:recommendations_clusterproposal_change", args=[pk]))
        if verb not in ("approve", "override", "reject", "undo") or not form.is_valid():
            messages.error(request, "Nothing was changed: choose what to do, with a reason of at most 300 characters.")
            return back
        if verb == "override":
            check_override(request.user)
        reason = form.cleaned_data["reason"]
        if verb == "undo":
            return self._undone(request, proposal, reason) or back
        items = numbers(request.POST.getlist("item")) if proposal.kind != ClusterProposal.Kind.RELATE else None
        if self._decided(request, proposal, verb, reason, items):
            done = "Rejected: it isn't proposed again for a while." if verb == "reject" else f"Applied.{_reach([proposal])}"
            messages.success(request, done)
            return HttpResponseRedirect(reverse(LIST)) if verb == "reject" else back
        return back

    def _undone(self, request: HttpRequest, proposal: ClusterProposal, reason: str) -> HttpResponse | None:
        from recommendations.cluster_runs import request_publish
        from recommendations.learning.proposals import undo_proposal

        try:
            with transaction.atomic():
                undo_proposal(proposal=proposal, by=acting(request), reason=reason)
                request_publish(proposal.shop)
                self.log_change(request, proposal, f"Undone. {reason}".strip())
        except EditError as error:
            refused(request, error)
            return None
        messages.success(request, f"Undone.{_reach([proposal])}")
        return HttpResponseRedirect(cluster_page(proposal.cluster))

    def try_it(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the change does to shoppers simulated from the release, as a part of the page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        proposal = get_object_or_404(ClusterProposal.objects.select_related("shop", "cluster", "target"), pk=pk)
        from recommendations.learning.proposal_trials import try_proposal

        trial, why_not = try_proposal(proposal)
        most = max(abs(trial.difference.low), abs(trial.difference.high), 1e-6) if trial else 1.0
        told = trial and (trial.difference.value, trial.difference.low, trial.difference.high, most)
        return TemplateResponse(
            request,
            "admin/learning/tried.html",
            {"trial": trial, "why_not": why_not, "drawn": words.drawn_interval(*told, "looks a visit") if told else ""},
        )

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **context}
        return TemplateResponse(request, f"admin/learning/{name}.html", whole)


def _trying(proposals: list[int]) -> str:
    """The page that makes an experiment of them."""
    at = reverse("admin:recommendations_clusterproposal_experiment")
    return f"{at}?{'&'.join(f'proposal={pk}' for pk in proposals)}"


def _may_try(request: HttpRequest, proposal: ClusterProposal) -> str:
    """Where an experiment of it is made, "" where nobody may, or one tries it already."""
    from recommendations.learning.proposals import is_tried

    free = proposal.verdict != Verdict.WORSE and not is_tried(proposal, timezone.now())
    return _trying([proposal.pk]) if free and request.user.has_perm(MAY) else ""


def _reach(proposals: list[ClusterProposal]) -> str:
    serves = any(Release.objects.active(shop) for shop in {p.shop for p in proposals})
    return " Shoppers see it within seconds." if serves else " It counts from the first release on."
