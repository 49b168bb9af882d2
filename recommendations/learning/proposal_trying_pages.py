"""The admin's page that makes an experiment of proposals: which are tried, how many shoppers are in it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from clusters.cluster_drafts import EditError
from recommendations.desk.clusters.change_pages import sent, sentence
from recommendations.desk.clusters.items import numbers
from recommendations.learning.models import ClusterProposal
from recommendations.learning.proposal_forms import TryingForm

MAY = "recommendations.add_experiment"

MOST_TRIED = 20
"""Proposals of one experiment: what so many do together says little of one."""


def try_page(pages: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """What would be tried, what can't be and why; with POST the experiment, not started."""
    if not (pages.has_change_permission(request) and request.user.has_perm(MAY)):
        raise PermissionDenied
    from recommendations.learning import proposal_experiments  # the numeric stack, which other pages of the admin do without
    from recommendations.releases import ReleaseError

    given = request.POST if request.method == "POST" else request.GET
    rows = ClusterProposal.objects.filter(pk__in=numbers(given.getlist("proposal"))[:MOST_TRIED])
    chosen = list(rows.select_related("shop", "cluster", "target", "experiment").order_by("pk"))
    found = proposal_experiments.sort_out(chosen)
    form = TryingForm(sent(request), initial={"name": proposal_experiments.name_for(found.ready) if found.ready else ""})
    if request.method == "POST" and found.ready and form.is_valid():
        try:
            made = proposal_experiments.create(
                found.ready, name=form.cleaned_data["name"], share=form.cleaned_data["share"] / 100.0, user=request.user
            )
        except (EditError, ReleaseError) as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, "Made, with the clusters as they would be. Nobody is in it before you start it.")
            return HttpResponseRedirect(reverse("admin:recommendations_experiment_change", args=[made.pk]))
    context: dict[str, Any] = {
        **pages.admin_site.each_context(request),
        "opts": pages.opts,
        "media": pages.media,
        "title": "Try it in an experiment" if len(found.ready) == 1 else f"Try {len(found.ready)} proposals in an experiment",
        "found": found,
        "form": form,
    }
    return TemplateResponse(request, "admin/learning/trying.html", context)
