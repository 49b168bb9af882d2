"""Admin of clusters with what only this app knows: what serves, why an item is in one, how an edit reaches the shoppers."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from clusters.admin import ItemClusterAdmin
from clusters.cluster_files import import_clusters
from clusters.editing import MOST_MERGED, Actor, EditError
from clusters.kept_out import NAMES
from clusters.models import ClusterChange, ClusterMembership, ItemCluster
from personas.files import FileError
from personas.models import Shop
from recommendations.desk.clusters import plans as cluster_plans
from recommendations.desk.clusters import stories as cluster_stories
from recommendations.desk.clusters.change_pages import EditPages, all_of, asks_preview, here, refused, sent
from recommendations.desk.clusters.forms import ClusterForm, ImportForm, MergeForm, NewClusterForm, Reason, RestoreForm, SplitForm
from recommendations.desk.clusters.grid_pages import grid_page
from recommendations.desk.clusters.items import found_items, numbers
from recommendations.desk.clusters.keeping_out import NOW, any_reduced, asked_for, bars, keeping_out, kinds, letting_in
from recommendations.desk.clusters.overtaken import Overtaken, last_change, seen_by
from recommendations.desk.clusters.plans import ITEM_VERBS, ONE_BY_ONE, SET
from recommendations.desk.shops import of_form

MOST_CHOSEN = 200
"""Clusters that are taken out or brought back at once."""

MAKE_RULES = "recommendations.add_merchandisingrule"
RULES = (("pin", "Pin"), ("boost", "Boost"), ("bury", "Bury"))
"""Rules about a cluster's items that its page offers to make."""

SPLIT_SHOWN = 300
"""Items of a cluster that can be ticked to be split off; any can be pasted."""

MOST_REJECTS = 512 * 1024
"""Bytes of rejected lines that a report offers as a file."""


@admin.register(ItemCluster)
class ItemClusterPages(EditPages, ItemClusterAdmin):
    """Clusters, and the merchandiser's hand on them: all goes through `clusters.editing`, so that it can be undone."""

    list_before_template = "admin/clusters/list_top.html"
    actions = ("merge_chosen", "retire_chosen", "restore_chosen")

    class Media:
        css = {"all": ("personas.css", "clusters.css")}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "clusters_itemcluster"
        urls: list[URLPattern] = super().get_urls()
        return [
            path("grid/", view(self.grid), name=f"{name}_grid"),
            path("merge/", view(self.merge), name=f"{name}_merge"),
            path("import/", view(self.import_file), name=f"{name}_import"),
            path("found/<int:shop_id>/", view(self.found), name=f"{name}_found"),
            path("<int:pk>/items/", view(require_POST(self.edit_items)), name=f"{name}_items"),
            path("<int:pk>/split/", view(self.split), name=f"{name}_split"),
            path("<int:pk>/keep-out/", view(self.keep_out), name=f"{name}_keep_out"),
            path("several/<slug:verb>/", view(self.several), name=f"{name}_several"),
            *urls,
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("clusters.add_itemcluster"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {
            "shops": list(Shop.objects.all()),
            "may_make": self.has_add_permission(request),
            "may_import": self.may_import(request),
            **(extra_context or {}),
        }
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    def grid(self, request: HttpRequest) -> HttpResponseBase:
        return grid_page(self, request)

    # Several at once

    @admin.action(description="Merge the chosen clusters", permissions=["change"])
    def merge_chosen(self, request: HttpRequest, queryset: QuerySet[ItemCluster]) -> HttpResponse | None:
        return self._chosen(request, queryset, reverse("admin:clusters_itemcluster_merge"), least=2, most=MOST_MERGED)

    @admin.action(description="Retire the chosen clusters", permissions=["change"])
    def retire_chosen(self, request: HttpRequest, queryset: QuerySet[ItemCluster]) -> HttpResponse | None:
        return self._chosen(request, queryset, reverse("admin:clusters_itemcluster_several", args=["retire"]))

    @admin.action(description="Restore the chosen clusters", permissions=["change"])
    def restore_chosen(self, request: HttpRequest, queryset: QuerySet[ItemCluster]) -> HttpResponse | None:
        return self._chosen(request, queryset, reverse("admin:clusters_itemcluster_several", args=["restore"]))

    def _chosen(
        self, request: HttpRequest, queryset: QuerySet[ItemCluster], to: str, *, least: int = 1, most: int = MOST_CHOSEN
    ) -> HttpResponse | None:
        """To the page that says what will come of it."""
        chosen = list(queryset.order_by("-size", "pk").values_list("pk", "shop")[: most + 1])
        if not least <= len(chosen) <= most or len({shop for _, shop in chosen}) > 1:
            self.message_user(request, f"Choose {least} to {most} clusters of one shop.", messages.WARNING)
            return None
        return HttpResponseRedirect(f"{to}?{'&'.join(f'cluster={pk}' for pk, _ in chosen)}")

    def _asked(self, request: HttpRequest) -> list[ItemCluster]:
        """The clusters that a request names (`cluster`), in its order, all of one shop, which somebody may change."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        ids = numbers((request.POST if request.method == "POST" else request.GET).getlist("cluster"))[:MOST_CHOSEN]
        rows = self.get_queryset(request).select_related("shop").in_bulk(ids)
        clusters = [rows[pk] for pk in ids if pk in rows]
        if len({cluster.shop_id for cluster in clusters}) != 1:
            raise Http404("Clusters of one shop must be named.")
        return clusters

    def merge(self, request: HttpRequest) -> HttpResponse:
        """What a merge will come to, and the button that does it."""
        asked = (request.POST if request.method == "POST" else request.GET).getlist("cluster")
        seen = last_change(numbers(asked))
        clusters = self._asked(request)
        shop = clusters[0].shop
        form = MergeForm(sent(request), initial={"name": clusters[0].name})
        if request.method == "POST" and form.is_valid():
            first = numbers([request.POST.get("first", "")])
            clusters.sort(key=lambda cluster: cluster.pk not in first)
            plan = cluster_plans.merging(clusters, form.cleaned_data["name"])
            try:
                answer = self.carry_out(request, shop, plan, form.cleaned_data["reason"])
            except EditError as error:
                form.refuse(error)
            else:
                return answer if isinstance(answer, HttpResponse) else HttpResponseRedirect(here(clusters[0]))
        if asks_preview(request):
            return self.not_previewed(request, form)
        ids = [cluster.pk for cluster in clusters]
        own = ClusterMembership.objects.filter(cluster__in=ids).values("item")
        shared = own.annotate(clusters=Count("cluster")).filter(clusters__gt=1)
        common = {
            row["cluster"]: row["n"]
            for row in ClusterMembership.objects.filter(cluster__in=ids, item__in=shared.values("item"))
            .values("cluster")
            .annotate(n=Count("pk"))
            .order_by()
        }
        context = {
            "title": f"Merge {len(clusters)} clusters",
            "shop": shop,
            "rows": [(cluster, common.get(cluster.pk, 0)) for cluster in clusters],
            "together": own.distinct().count(),
            "in_common": shared.count(),
            "first": request.POST.get("first", str(clusters[0].pk)),
            "form": form,
            "seen": seen,
        }
        return self.page(request, "merge", context)

    def several(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Clusters taken out, brought back or given back to learning, once somebody said why."""
        if verb not in ONE_BY_ONE:
            raise Http404
        clusters = self._asked(request)
        title, told, button = ONE_BY_ONE[verb]
        one = clusters[0] if len(clusters) == 1 else None
        back = here(one) if one else all_of(clusters[0].shop)
        form = (RestoreForm if verb == "restore" and one else Reason)(sent(request))
        if request.method == "POST" and form.is_valid():
            plan = cluster_plans.one_by_one(verb, clusters, form.cleaned_data.get("name", ""))
            try:
                answer = self.carry_out(request, clusters[0].shop, plan, form.cleaned_data["reason"])
            except EditError as error:
                form.refuse(error)
            else:
                return answer if isinstance(answer, HttpResponse) else HttpResponseRedirect(back)
        if asks_preview(request):
            return self.not_previewed(request, form)
        what = f"“{one}”" if one else f"{len(clusters):,} clusters"
        context = {
            "title": title.format(what),
            "told": told,
            "button": button,
            "clusters": clusters,
            "form": form,
            "back": back,
        }
        return self.page(request, "confirm", context)

    # Made, imported

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A cluster made by hand, of ticked and pasted items."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        shops = list(Shop.objects.all())
        shop = of_form(request, shops)
        if shop is None:
            messages.warning(request, "There is no shop yet.")
            return HttpResponseRedirect(reverse("admin:clusters_itemcluster_changelist"))
        form = NewClusterForm(sent(request))
        if request.method == "POST" and form.is_valid():
            plan = cluster_plans.making(shop, form.cleaned_data["name"], request.POST)
            try:
                answer = self.carry_out(request, shop, plan, form.cleaned_data["reason"])
            except EditError as error:
                form.refuse(EditError("ids" if error.field == "items" else error.field, error.reason))
            else:
                if isinstance(answer, HttpResponse):
                    return answer
                return HttpResponseRedirect(here(answer[0].cluster) if answer else all_of(shop))
        if asks_preview(request):
            return self.not_previewed(request, form)
        given = request.POST if request.method == "POST" else request.GET
        found = found_items(shop, given)
        context = {"title": "Make a cluster", "shops": shops, "shop": shop, "form": form, "found": found, "cluster": None}
        return self.page(request, "make", context)

    def found(self, request: HttpRequest, shop_id: int) -> HttpResponse:
        """What a search finds, to be ticked, as a part of a page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shop = get_object_or_404(Shop, pk=shop_id)
        within = numbers([request.GET.get("within", "")])
        cluster = ItemCluster.objects.filter(shop=shop, pk__in=within).first()
        return TemplateResponse(request, "admin/clusters/found.html", {"found": found_items(shop, request.GET, cluster)})

    def may_import(self, request: HttpRequest) -> bool:
        """A file makes clusters, and changes imported ones that are there."""
        return self.has_add_permission(request) and self.has_change_permission(request)

    def import_file(self, request: HttpRequest) -> HttpResponse:
        """Clusters from a file, with a report of what couldn't be taken."""
        if not self.may_import(request):
            raise PermissionDenied
        form = ImportForm(sent(request), request.FILES or None)
        report: dict[str, Any] | None = None
        if request.method == "POST" and form.is_valid():
            try:
                report = self._import(request, **form.cleaned_data)
            except FileError as error:
                words = str(error)
                form.add_error("file", f"{words[:1].upper()}{words[1:]}.")
            except EditError as error:
                form.refuse(error)
        return self.page(request, "import", {"title": "Import clusters", "form": form, "report": report})

    def _import(self, request: HttpRequest, shop: Shop, file: Any, reason: str) -> dict[str, Any]:
        from recommendations.cluster_runs import request_publish

        by = Actor(ClusterChange.Actor.IMPORT, user=request.user, who=Path(file.name).name)
        with tempfile.TemporaryDirectory() as folder:
            source, rejects = Path(folder) / "clusters", Path(folder) / "rejects.csv"
            with source.open("wb") as copy:
                for chunk in file.chunks():
                    copy.write(chunk)
            try:
                report = import_clusters(shop, source, by=by, reason=reason, rejects=rejects)
                if report.made or report.changed:
                    request_publish(shop)
            except FileError as error:
                raise FileError(str(error).replace(str(source), file.name)) from error
            with rejects.open("rb") as kept:
                lines = kept.read(MOST_REJECTS + 1)
        whole = len(lines) <= MOST_REJECTS
        shown = lines if whole else lines[: lines.rindex(b"\n", 0, MOST_REJECTS) + 1]
        return {
            "report": report,
            "name": file.name,
            "shop": shop,
            "rejects": base64.b64encode(shown).decode() if report.rejected else "",
            "whole": whole,
        }

    # One cluster

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """All of a cluster, and what a merchandiser sets of it."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        seen = last_change(numbers([object_id]))
        cluster = self.get_object(request, object_id)
        if cluster is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        may = self.has_change_permission(request, cluster)
        form = ClusterForm(sent(request), initial={name: getattr(cluster, name) for name in SET})
        typed_at: int | None = seen
        if request.method == "POST":
            if not may:
                raise PermissionDenied
            typed_at = seen_by(request.POST)
            if form.is_valid():
                plan = cluster_plans.setting(cluster, form, typed_at)
                try:
                    answer = self.carry_out(request, cluster.shop, plan, form.cleaned_data["reason"])
                except EditError as error:
                    cluster.refresh_from_db()
                    if cluster.retired_at is not None:  # its page has no form to tell it at
                        refused(request, error)
                        return HttpResponseRedirect(here(cluster))
                    form.refuse(error)
                    typed_at = error.seen if isinstance(error, Overtaken) else typed_at
                else:
                    return answer if isinstance(answer, HttpResponse) else HttpResponseRedirect(here(cluster))
            if asks_preview(request):
                return self.not_previewed(request, form)
            cluster.refresh_from_db()
        asked = {name: (numbers([request.GET.get(name, "")]) or [0])[0] for name in ("page", "part")}
        part = asked["part"] if any(p["number"] == asked["part"] for p in cluster.parts) else 0
        found = found_items(cluster.shop, request.GET, cluster)
        context = {
            "title": cluster.name,
            "original": cluster,
            "cluster": cluster,
            "form": form,
            "seen": seen,
            "typed_at": typed_at,
            "may": may and cluster.retired_at is None,
            "may_restore": may and cluster.retired_at is not None,
            "learned": not cluster.is_hand_owned,
            "verbs": [(name, words) for name, (_, words) in ITEM_VERBS.items() if name != "add"],
            "found": found,
            "may_rule": request.user.has_perm(MAKE_RULES),
            "rule_actions": RULES,
            **cluster_stories.story(cluster, page=max(asked["page"], 1), part=part),
        }
        return self.page(request, "cluster", context)

    def _live(self, request: HttpRequest, pk: int) -> ItemCluster:
        cluster = get_object_or_404(self.get_queryset(request).select_related("shop"), pk=pk)
        if not self.has_change_permission(request, cluster):
            raise PermissionDenied
        return cluster

    def edit_items(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What was chosen is done with the items that were ticked or pasted."""
        cluster = self._live(request, pk)
        form = Reason(request.POST)
        if request.POST.get("verb") not in ITEM_VERBS:
            form.add_error(None, "Choose what to do with the items.")
        if not form.is_valid() and asks_preview(request):
            return self.not_previewed(request, form)
        if not form.is_valid():
            told = " ".join(str(error) for errors in form.errors.values() for error in errors)
            messages.error(request, f"Nothing was changed. {told}")
            return HttpResponseRedirect(here(cluster))
        plan = cluster_plans.on_items(cluster, request.POST)
        try:
            answer = self.carry_out(request, cluster.shop, plan, form.cleaned_data["reason"])
        except EditError as error:
            refused(request, error)
        else:
            if isinstance(answer, HttpResponse):
                return answer
        return HttpResponseRedirect(here(cluster))

    def keep_out(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Items of one kind are kept out of it, for good or those of now; or what was kept out may come in again."""
        seen = last_change([pk])
        cluster = self._live(request, pk)
        form = Reason(sent(request))
        given = request.POST if request.method == "POST" else request.GET
        lasting = given.get("lasting") != NOW
        if request.method == "POST" and form.is_valid():
            back = request.POST.get("let_in")
            plan = letting_in(cluster, back) if back else keeping_out(cluster, asked_for(given), lasting=lasting)
            try:
                answer = self.carry_out(request, cluster.shop, plan, form.cleaned_data["reason"])
            except EditError as error:
                form.refuse(error)
            else:
                return answer if isinstance(answer, HttpResponse) else HttpResponseRedirect(here(cluster))
        if asks_preview(request):
            return self.not_previewed(request, form)
        context = {
            "title": f"Keep items out of “{cluster}”",
            "cluster": cluster,
            "form": form,
            "kinds": kinds(cluster),
            "bars": bars(cluster),
            "asked": given.get("kind", ""),
            "given": {name: given.get(name, "") for name in ("low", "high", "about", "value")},
            "named": NAMES,
            "lasting": lasting,
            "seen": seen,
            "any_reduced": any_reduced(cluster.shop),
            "may_rule": request.user.has_perm(MAKE_RULES),
        }
        return self.page(request, "keep_out", context)

    def split(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Parts, or ticked items, become clusters of their own."""
        seen = last_change([pk])
        cluster = self._live(request, pk)
        form = SplitForm(sent(request))
        if request.method == "POST" and form.is_valid():
            plan = cluster_plans.splitting(cluster, request.POST, form.cleaned_data["name"])
            try:
                answer = self.carry_out(request, cluster.shop, plan, form.cleaned_data["reason"])
            except EditError as error:
                form.refuse(error)
            else:
                return answer if isinstance(answer, HttpResponse) else HttpResponseRedirect(here(cluster))
        if asks_preview(request):
            return self.not_previewed(request, form)
        members = cluster.memberships.select_related("item").order_by("-weight", "item_id")
        context = {
            "title": f"Split “{cluster}”",
            "cluster": cluster,
            "form": form,
            "members": [(m, cluster_stories.picture(cluster.shop, m.item)) for m in members[:SPLIT_SHOWN]],
            "ticked": set(numbers(request.POST.getlist("item") or request.GET.getlist("item"))),
            "parts": request.POST.getlist("part"),
            "seen": seen,
            "ids": request.POST.get("ids", ""),
            "most": SPLIT_SHOWN,
        }
        return self.page(request, "split", context)
