"""What bounds blocked, in the admin: how often, of which cluster, and where the bound is set."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.models import ItemCluster
from personas.admin import ReadOnlyAdmin
from personas.models import Session
from recommendations.learning.lasting_bounds import WORDS
from recommendations.learning.models import AdaptationSettings, BlockedAction, ClusterProposal

DAYS = 7
"""Days back that the page sums up."""

OF_A_CLUSTER = frozenset({"locked", "core", "min_size", "max_size", "kept_out"})
"""Bounds that are set on each cluster's own page; the others are the shop's."""

FIXED = frozenset({"most_contracted", "most_expanded"})
"""Bounds that are the same for every shop."""

ACTIONS = {
    "expand": "expand it",
    "contract": "contract it",
    **{value: str(label).lower() for value, label in ClusterProposal.Kind.choices},
}


class BoundFilter(admin.SimpleListFilter):
    title = "bound"
    parameter_name = "bound"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = BlockedAction.objects.order_by("bound").values_list("bound", flat=True).distinct()
        return [(bound, bound.replace("_", " ")) for bound in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BlockedAction]) -> QuerySet[BlockedAction]:
        return queryset.filter(bound=self.value()) if self.value() else queryset


@admin.register(BlockedAction)
class BlockedPages(ReadOnlyAdmin):
    """Tallies by day; the archiver and the proposals write them."""

    list_display = ("day", "shown_cluster", "shown_action", "shown_bound", "shown_times", "where", "shown_example", "shop")
    list_display_links = None
    nothing_yet = "What a bound stops, in a visit or for good, is counted here by the day."
    fields = ("shop", "day", "shown_cluster", "shown_action", "shown_bound", "shown_times", "where", "last_at", "shown_example")
    readonly_fields = fields
    list_filter = ("shop", "where", BoundFilter, "day")
    list_select_related = ("shop",)
    list_before_template = "admin/learning/blocked_top.html"
    show_full_result_count = False

    class Media:
        css = {"all": ("personas.css", "clusters.css", "proposals.css")}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"bounds": _by_bound(), "days": DAYS, **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        rows = list(changes.result_list)
        names = ItemCluster.objects.in_bulk({row.cluster for row in rows})
        sessions = dict(
            Session.objects.filter(session_id__in={r.example for r in rows if r.where == "session"}).values_list(
                "session_id", "pk"
            )
        )
        settings = dict(AdaptationSettings.objects.values_list("shop", "pk"))
        for row in changes.result_list:
            row.settings_pk = settings.get(row.shop_id)
            row.named, row.session_pk = names.get(row.cluster), sessions.get(row.example)
        return changes

    @admin.display(description="cluster", ordering="cluster")
    def shown_cluster(self, row: BlockedAction) -> SafeString | str:
        named = row.named if hasattr(row, "named") else ItemCluster.objects.filter(pk=row.cluster).first()
        if named is None:
            return f"cluster {row.cluster}, which is gone"
        return format_html(
            '<a class="underline" href="{}">{}</a>', reverse("admin:clusters_itemcluster_change", args=[named.pk]), named
        )

    @admin.display(description="wanted", ordering="action")
    def shown_action(self, row: BlockedAction) -> str:
        return ACTIONS.get(row.action, row.action)

    @admin.display(description="blocked, since", ordering="bound")
    def shown_bound(self, row: BlockedAction) -> SafeString | str:
        words, url = WORDS.get(row.bound, row.bound), _setting(row.bound, getattr(row, "settings_pk", None), row.cluster)[1]
        return format_html('<a class="underline" href="{}">{}</a>', url, words) if url else words

    @admin.display(description="times", ordering="times")
    def shown_times(self, row: BlockedAction) -> str:
        return f"{row.times:,}"

    @admin.display(description="for example")
    def shown_example(self, row: BlockedAction) -> SafeString | str:
        if row.where == BlockedAction.Where.LASTING and row.example.isdigit():
            url = reverse("admin:recommendations_clusterproposal_change", args=[row.example])
            return format_html('<a class="underline" href="{}">proposal {}</a>', url, row.example)
        pk = getattr(row, "session_pk", None)
        return (
            format_html('<a class="underline" href="{}">a visit</a>', reverse("admin:personas_session_change", args=[pk]))
            if pk
            else "–"
        )


def _by_bound() -> list[dict[str, Any]]:
    """The last days' sums, the most frequent bound first."""
    since = timezone.now().astimezone(dt.UTC).date() - dt.timedelta(days=DAYS - 1)
    summed = BlockedAction.objects.filter(day__gte=since).order_by().values_list("bound", "where").annotate(n=Sum("times"))
    rows: dict[str, dict[str, Any]] = {}
    for bound, where, n in summed:
        row = rows.setdefault(bound, {"bound": bound, "words": WORDS.get(bound, bound), "session": 0, "lasting": 0})
        row[where] = n
    for bound, row in rows.items():
        row["where"], row["url"] = _setting(bound, None, None)
    return sorted(rows.values(), key=lambda row: -(row["session"] + row["lasting"]))


def _setting(bound: str, settings: int | None, cluster: int | None) -> tuple[str, str]:
    """What the bound's setting is called, and where it is; "" where it can't be reached. settings : the shop's row."""
    if bound in FIXED:
        return "the same for every shop", ""
    try:
        if bound in OF_A_CLUSTER:
            if cluster is None:
                return "the cluster's page", reverse("admin:clusters_itemcluster_changelist")
            return "the cluster's page", reverse("admin:clusters_itemcluster_change", args=[cluster]) + "#settings"
        if settings is None:
            return "settings of adaptation", reverse("admin:recommendations_adaptationsettings_changelist")
        return "settings of adaptation", reverse("admin:recommendations_adaptationsettings_change", args=[settings])
    except NoReverseMatch:
        return "settings of adaptation", ""
