"""What the admin's pages share that edit clusters, and the page of every change with its undo."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Value
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters import editing
from clusters.admin import ClusterChangeAdmin, by_whom
from clusters.editing import Actor, EditError
from clusters.lineage import delta_of
from clusters.models import ClusterChange, ItemCluster
from clusters.undoing import REBUILT_BY
from personas.models import Shop
from recommendations.desk.clusters.change_stories import story
from recommendations.desk.clusters.edits import Plan, Wanted, carry_out
from recommendations.desk.clusters.forms import Reason
from recommendations.desk.clusters.items import numbers
from recommendations.desk.clusters.overtaken import check_not_overtaken, seen_by
from recommendations.drafts import drafting
from recommendations.learning.models import ClusterProposal
from recommendations.models import Release

EDIT = "clusters.change_itemcluster"
"""Who may change a cluster may take a change back."""


class EditPages:
    """What pages share that edit clusters."""

    admin_site: Any

    def page(self, request: HttpRequest, name: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "opts": ItemCluster._meta, "media": self.media, **context}  # type: ignore[attr-defined]
        return TemplateResponse(request, f"admin/clusters/{name}.html", whole, status=status)

    def carry_out(self, request: HttpRequest, shop: Shop, plan: Plan, reason: str = "") -> HttpResponse | list[ClusterChange]:
        """Do what a form asks for, or with it what the button says (`how`): "preview" answers with what would come of it,
        "draft" keeps it unpublished. What was changed, else; none of a draft. Raises EditError, but not for a preview.

        plan : called under the shop's lock, so that it reads the rows as they are.
        """
        how = request.POST.get("how", "")
        if how == "preview":
            return self.previewed(request, shop, plan, reason)
        if how == "draft":
            self._keep(request, shop, plan, reason)
            return []
        return self._save(request, shop, plan, reason)

    def _save(self, request: HttpRequest, shop: Shop, plan: Plan, reason: str) -> list[ClusterChange]:
        """Make the edits, ask for them to be published, and say so. Raises EditError.

        Where the request names what its page knew (`seen`), nothing is done over what others changed since: see
        `recommendations.desk.clusters.overtaken`.
        """
        from recommendations.cluster_runs import request_publish  # the numeric stack, which other pages of the admin do without

        by = Actor(ClusterChange.Actor.MERCHANDISER, user=request.user, who=request.user.get_username())
        with editing.editing(shop):
            changes = carry_out(shop, plan(), by=by, reason=reason)
            check_not_overtaken(changes, seen_by(request.POST))
            if changes:
                request_publish(shop)
            for change in changes:
                self.log_change(request, change.cluster, change.summary)  # type: ignore[attr-defined]
        if not changes:
            messages.info(request, "Nothing was changed: all was so already.")
        else:
            one = len({change.cluster_id for change in changes}) == 1
            told = "; ".join(change.summary if one else f"{change.cluster}: {change.summary}" for change in changes[:3])
            more = f" and {len(changes) - 3:,} more" if len(changes) > 3 else ""
            reach = "Shoppers see it within seconds." if Release.objects.active(shop) else "It counts from the first release on."
            messages.success(request, f"Saved. {told}{more}. {reach}")
        return changes

    def _keep(self, request: HttpRequest, shop: Shop, plan: Plan, reason: str) -> None:
        """As drafts. Raises EditError."""
        with editing.editing(shop):
            for verb, subject, values in plan():
                drafting.keep(
                    shop, "cluster", verb, by=request.user, subject=subject, values=values, reason=reason,
                    seen=seen_by(request.POST),
                )  # fmt: skip
        messages.success(request, "Kept as a draft. Shoppers see nothing of it until it is published, under Unpublished changes.")

    def previewed(self, request: HttpRequest, shop: Shop, plan: Plan, reason: str = "") -> HttpResponse:
        """What would come of it: a part of the page that asked, or without a script a page of its own with the buttons."""
        from recommendations.desk.clusters import previews  # the numeric stack, which other pages of the admin do without

        try:
            with editing.editing(shop):
                wanted = list(plan())
            effect = previews.effect(shop, wanted, user=request.user, now=time.time())
        except EditError as error:
            effect = previews.Effect(refused=(sentence(error),))
        return self._effect(request, {"effect": effect})

    def not_previewed(self, request: HttpRequest, form: Form) -> HttpResponse:
        """What must be right in a form before it can be told what comes of it."""
        labels = {name: field.label or name for name, field in form.fields.items()}
        faults = [(labels.get(name, ""), str(error)) for name, errors in form.errors.items() for error in errors]
        return self._effect(request, {"faults": faults})

    def _effect(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "admin/clusters/effect.html", context)
        kept = [(name, value) for name, values in request.POST.lists() for value in values]
        hidden = [(name, value) for name, value in kept if name not in ("how", "csrfmiddlewaretoken")]
        return self.page(request, "effect_page", {"title": "What will come of it", "hidden": hidden, **context})


def sent(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: what was posted, be it nothing; None where the page is only looked at."""
    return request.POST if request.method == "POST" else None


def asks_preview(request: HttpRequest) -> bool:
    """Whether a form was sent to see what would come of it."""
    return request.method == "POST" and request.POST.get("how") == "preview"


def refused(request: HttpRequest, error: EditError) -> None:
    messages.error(request, f"Nothing was changed. {sentence(error)}")


def sentence(error: Exception) -> str:
    text = str(error).replace("_", " ")
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('?') else '.'}"


def here(cluster: ItemCluster) -> str:
    return reverse("admin:clusters_itemcluster_change", args=[cluster.pk])


def all_of(shop: Shop) -> str:
    """Where the shop's clusters are."""
    return f"{reverse('admin:clusters_itemcluster_grid')}?shop={shop.slug}"


@admin.register(ClusterChange)
class ClusterChangePages(EditPages, ClusterChangeAdmin):
    """The lineage of all clusters, each change with its undo."""

    list_display = (*ClusterChangeAdmin.list_display, "shown_undo")
    list_before_template = "admin/clusters/changes_top.html"

    class Media:
        css = {"all": ("personas.css", "clusters.css")}

    def get_urls(self) -> list[URLPattern]:
        undo = path("<int:pk>/undo/", self.admin_site.admin_view(self.undo), name="clusters_clusterchange_undo")
        urls: list[URLPattern] = super().get_urls()
        return [undo, *urls]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ClusterChange]:
        return super().get_queryset(request).annotate(may_undo=Value(request.user.has_perm(EDIT)))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A change as a story; nothing of it is ever edited."""
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        rows = ClusterChange.objects.select_related("cluster", "shop", "user", "undoes")
        change = rows.filter(pk__in=numbers([object_id])).first()
        if change is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        undone = ClusterChange.objects.filter(undoes=change).first()
        may_undo = undone is None and change.actor not in REBUILT_BY and request.user.has_perm(EDIT)
        proposal = None
        if request.user.has_perm("recommendations.view_clusterproposal"):
            proposal = ClusterProposal.objects.filter(change=change.batch, cluster=change.cluster_id).first()
        context = {"change": change, "story": story(change), "undone": undone, "may_undo": may_undo, "proposal": proposal}
        return self.page(request, "change", {"title": str(change), **context})

    @admin.display(description="undo")
    def shown_undo(self, change: ClusterChange) -> SafeString | str:
        if undone := getattr(change, "undone_by", None):
            return f"undone {undone.at:%-d %b %Y, %H:%M}"
        if change.actor in REBUILT_BY or not change.may_undo:  # type: ignore[attr-defined]
            return "–"
        at = reverse("admin:clusters_clusterchange_undo", args=[change.pk])
        return format_html('<a class="underline" href="{}">Undo</a>', at)

    def undo(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the undo takes back, and the button that does it; itself a change that can be undone."""
        if not request.user.has_perm(EDIT):
            raise PermissionDenied
        change = get_object_or_404(ClusterChange.objects.for_list(), pk=pk)
        form = Reason(sent(request))
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            plan = [Wanted("undo", change.cluster_id, {"change": change.pk})]
            try:
                answer = self.carry_out(request, change.shop, lambda: plan, reason)
            except EditError as error:
                refused(request, error)
            else:
                if isinstance(answer, HttpResponse):
                    return answer
            return HttpResponseRedirect(here(change.cluster))
        context = {
            "title": f"Undo a change of “{change.cluster}”",
            "told": f"{change.get_action_display()} on {change.at:%-d %B %Y, %H:%M} by {by_whom(change)}: {change.summary}.",
            "more": _with_it(change),
            "button": "Undo",
            "clusters": [change.cluster],
            "form": form,
            "back": here(change.cluster),
        }
        return self.page(request, "confirm", context)


def _with_it(change: ClusterChange) -> str:
    """What else the undo of a change does."""
    if change.others:
        others = [f"“{cluster}”" for cluster in ItemCluster.objects.filter(pk__in=change.others)]
        return f"With it what it did to {', '.join(others)} is taken back."
    return "The cluster that it made is taken out." if delta_of(change).made_it else ""
