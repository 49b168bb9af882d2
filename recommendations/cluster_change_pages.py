"""What the admin's pages share that edit clusters, and the page of every change with its undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Value
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
from recommendations.cluster_forms import Reason
from recommendations.cluster_overtaken import check_not_overtaken, seen_by
from recommendations.models import Release

EDIT = "clusters.change_itemcluster"
"""Who may change a cluster may take a change back."""

Changes = Iterable[ClusterChange]


class EditPages:
    """What pages share that edit clusters."""

    admin_site: Any

    def page(self, request: HttpRequest, name: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "opts": ItemCluster._meta, "media": self.media, **context}  # type: ignore[attr-defined]
        return TemplateResponse(request, f"admin/clusters/{name}.html", whole, status=status)

    def save(self, request: HttpRequest, shop: Shop, edit: Callable[[Actor], Changes]) -> list[ClusterChange]:
        """Make an edit, ask for it to be published, and say so. Raises EditError.

        Where the request names what its page knew (`seen`), nothing is done over what others changed since: see
        `recommendations.cluster_overtaken`.
        """
        from recommendations.cluster_runs import request_publish  # the numeric stack, which other pages of the admin do without

        by = Actor(ClusterChange.Actor.MERCHANDISER, user=request.user, who=request.user.get_username())
        with editing.editing(shop):
            changes = list(edit(by))
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


def sent(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: what was posted, be it nothing; None where the page is only looked at."""
    return request.POST if request.method == "POST" else None


def refused(request: HttpRequest, error: EditError) -> None:
    messages.error(request, f"Nothing was changed. {sentence(error)}")


def sentence(error: Exception) -> str:
    text = str(error).replace("_", " ")
    return f"{text[:1].upper()}{text[1:]}."


def here(cluster: ItemCluster) -> str:
    return reverse("admin:clusters_itemcluster_change", args=[cluster.pk])


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

    @admin.display(description="undo")
    def shown_undo(self, change: ClusterChange) -> SafeString | str:
        if undone := getattr(change, "undone_by", None):
            return f"undone {undone.at:%Y-%m-%d %H:%M}"
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
            try:
                self.save(request, change.shop, lambda by: editing.undo(change=change, by=by, reason=reason))
            except EditError as error:
                refused(request, error)
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
