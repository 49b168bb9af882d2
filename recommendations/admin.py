"""Admin of releases and what they are made of, of training runs, and of what was served and decided."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

import recommendations.desk.clusters.build_pages  # registers its pages, as those below do
import recommendations.desk.clusters.pages
import recommendations.desk.personas.record_pages
import recommendations.desk.rules.pages  # noqa: F401
from clusters.admin import cluster_link, item_link
from clusters.models import Item, ItemCluster
from personas import versions
from personas.admin import ReadOnlyAdmin, once, table
from personas.models import Session
from recommendations import fit_reports
from recommendations.desk import audit_pages as audit_pages  # registers its pages
from recommendations.desk import data_pages as data_pages  # registers its pages
from recommendations.desk import draft_pages as draft_pages  # registers its pages
from recommendations.desk import item_pages as item_pages  # registers its pages
from recommendations.desk import people_pages as people_pages  # registers its pages
from recommendations.desk import session_pages as session_pages  # registers its pages
from recommendations.desk import shopper_pages as shopper_pages  # registers its pages
from recommendations.desk import why_pages
from recommendations.desk.data import facts
from recommendations.desk.personas.version_pages import listed
from recommendations.learning import blocked_pages as blocked_pages  # registers its pages
from recommendations.learning import experiment_pages as experiment_pages  # registers its pages
from recommendations.learning import policy_pages as policy_pages  # registers its pages
from recommendations.learning import proposal_pages as proposal_pages  # registers its pages
from recommendations.learning import settings_pages as settings_pages  # registers its page
from recommendations.models import AdaptationDecision, Component, Release, ServedSlate, TrainingRun
from recommendations.rule_words import PLACES
from recommendations.serving.watching import pseudonym

SEEN = {
    "mass": "how much of the visit's interest it holds: 0 all, −1 next to none",
    "transition": "how likely the next item is in it: 0 sure, −1 hardly",
    "share": "how much shoppers in general go for it: 0 as for others, 1 far more, −1 far less",
    "last": "the item just touched is in it: 1 yes",
    "ignored": "shown and passed over: 1 again and again",
    "outside": "the visit's run of interest in other clusters: 1 long",
    "persona": "how much more this visit's personas engage with it than shoppers do",
    "age": "how long the visit has been going on: 1 for fifty events",
    "certainty": "how sure its personas are: 1 sure",
    "weight": "what the visit made of its weight so far: 0 as it was, below 0 less, above 0 more",
    "shown": "its part of the slate just seen",
    "related": "share of its relations that leads to the cluster it would grow towards",
    "target_transition": "how likely the next item is in that one: 0 sure, −1 hardly",
    "target_persona": "how much more this visit's personas engage with that one",
    "target_share": "how much shoppers in general go for that one",
    "items": "how many items would come in: 1 for two dozen",
}
"""The features of a decision in a merchandiser's words; the constant one is left out."""

PARTS = dict(Component.Kind.choices) | {"searches": "Searches"}
"""What a release is made of, by kind."""


@admin.register(Release)
class ReleaseAdmin(ModelAdmin):
    list_display = ("__str__", "state", "created_at", "activated_at", "activated_by", "shown_metrics")
    list_filter = ("shop", "state")
    list_select_related = ("shop", "activated_by")
    nothing_yet = "Train the shop under Data, Training: what it is served with is a release."
    fieldsets = (
        (None, {"fields": ("shop", "number", "state", "shown_metrics", "notes")}),
        ("When, and by whom", {"fields": ("created_at", "activated_at", "activated_by")}),
        ("Its parts, for operators", {"fields": ("shown_components",), "classes": ("collapse",)}),
    )
    readonly_fields = (
        "shop", "number", "state", "created_at", "activated_at", "activated_by", "shown_components", "shown_metrics",
    )  # fmt: skip
    actions = ("activate", "roll_back")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Release | None = None) -> bool:
        return False

    @admin.display(description="components")
    def shown_components(self, release: Release) -> SafeString:
        return table(("part", "version"), sorted((PARTS.get(kind, kind), told) for kind, told in release.components.items()))

    @admin.display(description="trained from")
    def shown_metrics(self, release: Release) -> str:
        told = facts(release.metrics)
        seconds = release.metrics.get("seconds")
        return f"{told}; it took {seconds:,.0f} s" if isinstance(seconds, int | float) else told

    @admin.action(description="Activate the chosen release", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Release]) -> None:
        from recommendations import cluster_runs, releases  # the numeric stack, which pages of the admin do without

        if (release := self._one(request, queryset)) is None:
            return
        if release.state not in {Release.State.READY, Release.State.RETIRED}:
            self.message_user(request, f"{release} is {release.get_state_display().lower()}; nothing done.", messages.WARNING)
            return
        try:
            active = cluster_runs.activate(release, by=request.user)
        except releases.ReleaseError as error:
            self.message_user(request, f"{release} was not activated: {error}", messages.ERROR)
            return
        self.log_change(request, release, "Activated." if active == release else f"Activated as {active}.")
        edited = "" if active == release else f" It is {release} with what was edited or trained since."
        self.message_user(request, f"{active} is active; every process swaps within seconds.{edited}", messages.SUCCESS)

    @admin.action(description="Roll back the chosen, active release", permissions=["change"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[Release]) -> None:
        from recommendations import activation, releases

        if (release := self._one(request, queryset)) is None:
            return
        if release.state != Release.State.ACTIVE:
            self.message_user(request, f"{release} is not active; choose the active release to roll it back.", messages.WARNING)
            return
        try:
            earlier = activation.roll_back(release.shop, by=request.user)
        except releases.ReleaseError as error:
            self.message_user(request, f"Nothing rolled back: {error}", messages.ERROR)
            return
        self.log_change(request, release, f"Rolled back to {earlier}.")
        of = releases.origin(earlier)
        told = "active again" if of == earlier.number else f"active: what release {of} had learned, with clusters edited since"
        self.message_user(request, f"{earlier} is {told}.", messages.SUCCESS)

    def _one(self, request: HttpRequest, queryset: QuerySet[Release]) -> Release | None:
        chosen = list(queryset.select_related("shop")[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one release.", messages.WARNING)
            return None
        return chosen[0]


@admin.register(Component)
class ComponentAdmin(ReadOnlyAdmin):
    list_display = ("shown_kind", "version", "shop", "path", "created_at")
    list_filter = ("shop", "kind")
    list_select_related = ("shop",)
    search_fields = ("^version",)
    fields = ("shown_kind", "shop", "version", "created_at", "path", "checksum", "shown_meta")
    readonly_fields = fields

    @admin.display(description="kind", ordering="kind")
    def shown_kind(self, component: Component) -> str:
        return str(PARTS.get(component.kind, component.kind))

    @admin.display(description="what it says of itself")
    def shown_meta(self, component: Component) -> SafeString | str:
        return table(("what", "value"), sorted(component.meta.items())) if component.meta else "–"


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    nothing_yet = "Begin one under Data, Training; each night trains by itself."
    list_display = ("shop", "kind", "state", "shown_progress", "started_at", "finished_at", "release", "error")
    list_filter = ("shop", "kind", "state")
    list_select_related = ("shop", "release__shop")
    fields = ("shop", "kind", "state", "shown_progress", "started_at", "finished_at", "release", "error", "told")
    readonly_fields = fields

    @admin.display(description="how far", ordering="progress", empty_value="–")
    def shown_progress(self, run: TrainingRun) -> str | None:
        return f"{run.stage}, {100 * run.progress:.0f} %" if run.finished_at is None else None

    @admin.display(description="how it went")
    def told(self, run: TrainingRun) -> SafeString | str:
        from recommendations import cluster_reports  # the numeric stack, which other pages of the admin do without

        fit = fit_reports.sentences(run.report) if "archetypes" in run.report else []
        clusters = cluster_reports.sentences(run.report["clusters"]) if "clusters" in run.report else []
        return listed([*fit, *clusters]) if fit or clusters else "–"


@admin.register(ServedSlate)
class ServedSlateAdmin(ReadOnlyAdmin):
    nothing_yet = (
        "What is recommended to shoppers is here within a minute. Open the shop, or let simulated visitors in "
        "on the page of visits."
    )
    list_display = ("at", "shop", "shown_place", "shown_size", "shown_visit")
    list_filter = ("shop", "context", "at")
    list_select_related = ("shop",)
    search_fields = ("=recommendation_id", "=session_id")
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("shown_items", "at", "shown_place", "shown_visit", "shop")}),
        ("For operators", {"fields": ("shown_session", "recommendation_id", "shown_versions"), "classes": ("collapse",)}),
    )
    readonly_fields = (
        "shown_items", "at", "shown_place", "shown_visit", "shop", "shown_session", "recommendation_id", "shown_versions",
    )  # fmt: skip

    @admin.display(description="place", ordering="context")
    def shown_place(self, slate: ServedSlate) -> str:
        return capfirst(PLACES.get(slate.context or "home", slate.context))

    @admin.display(description="visit")
    def shown_visit(self, slate: ServedSlate) -> SafeString:
        name = pseudonym(slate.shop_id, slate.session_id)
        url = reverse("admin:personas_session_named", query={"shop": slate.shop.slug, "name": name})
        return format_html('<a class="plain-link" href="{}">{}</a>', url, name)

    @admin.display(description="served with")
    def shown_versions(self, slate: ServedSlate) -> SafeString:
        asked, *rest = (slate.versions.get("asked"), *sorted(slate.versions.items()))
        rows = [(PARTS.get(name, name), told) for name, told in rest if name != "asked"]
        return table(("part", "version"), [*rows, *([("asked for", asked)] if asked else [])])

    @admin.display(description="session")
    def shown_session(self, slate: ServedSlate) -> SafeString | str:
        pk = Session.objects.filter(shop=slate.shop_id, session_id=slate.session_id).values_list("pk", flat=True).first()
        url = reverse("admin:personas_session_change", args=[pk]) if pk is not None else ""
        return format_html('<a class="plain-link" href="{}">{}</a>', url, slate.session_id) if url else slate.session_id

    @admin.display(description="items")
    def shown_size(self, slate: ServedSlate) -> int:
        return len(slate.items)

    @admin.display(description="items")
    @once
    def shown_items(self, slate: ServedSlate) -> SafeString:
        items = Item.objects.in_bulk([entry["item"] for entry in slate.items])
        personas = versions.ever(slate.shop)
        clusters = ItemCluster.objects.in_bulk([entry["cluster"] for entry in slate.items])
        why = "admin:recommendations_servedslate_why"
        told = any(entry["expert"] for entry in slate.items)  # nobody asked why of most slates
        rows = (
            (
                entry["slot"] + 1,
                item_link(items[entry["item"]]) if entry["item"] in items else entry["item"],
                f"{entry['score']:.2f}".replace("-", "−"),
                f"{100 * entry['propensity']:.3g} %",
                personas[entry["persona"]].name if entry["persona"] in personas else "–",
                cluster_link(clusters[entry["cluster"]]) if entry["cluster"] in clusters else "–",
                *([entry["expert"] or "–"] if told else []),
                format_html('<a href="{}">Why?</a>', reverse(why, args=[slate.pk, entry["item"]])),
            )
            for entry in slate.items
        )
        found_by = ["found by"] if told else []
        return table(("slot", "item", "score", "chance", "persona", "cluster", *found_by, ""), rows)

    def get_urls(self) -> list[URLPattern]:
        why = path("<int:pk>/why/<int:item>/", self.admin_site.admin_view(self.why), name="recommendations_servedslate_why")
        return [why, *super().get_urls()]

    def why(self, request: HttpRequest, pk: int, item: int) -> HttpResponse:
        """Why the slate holds an item."""
        why_pages.allowed(self.has_view_permission(request))
        return why_pages.why(request, self.admin_site, pk, item)


@admin.register(AdaptationDecision)
class AdaptationDecisionAdmin(ReadOnlyAdmin):
    list_display = ("at", "shop", "session_id", "cluster_name", "action", "target_name", "chance", "policy")
    list_filter = ("shop", "action", "at")
    list_select_related = ("shop",)
    search_fields = ("=session_id",)
    show_full_result_count = False
    nothing_yet = "Visits decide after a run of interest in other clusters, or of looks in vain."
    fields = ("shop", "at", "cluster_name", "action", "target_name", "chance", "why", "policy", "session_id", "event_id")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[AdaptationDecision]:
        name = ItemCluster.objects.values("name")
        return (
            super()
            .get_queryset(request)
            .annotate(
                cluster_name=Subquery(name.filter(pk=OuterRef("cluster"))),
                target_name=Subquery(name.filter(pk=OuterRef("target"))),
            )
        )

    @admin.display(description="cluster")
    def cluster_name(self, decision: AdaptationDecision) -> str:
        return decision.cluster_name or str(decision.cluster)  # type: ignore[attr-defined]

    @admin.display(description="chance it had", ordering="propensity")
    def chance(self, decision: AdaptationDecision) -> str:
        return f"{100 * decision.propensity:.3g} %"

    @admin.display(description="towards")
    def target_name(self, decision: AdaptationDecision) -> str:
        return decision.target_name or "–"  # type: ignore[attr-defined]

    @admin.display(description="what the policy saw of the cluster")
    def why(self, decision: AdaptationDecision) -> SafeString | str:
        from clusters.policy import FEATURES  # the numeric stack, which other pages of the admin do without

        seen = dict(zip(FEATURES, decision.features, strict=False))  # rows of before are of the first of them
        return table(("what", "how much"), ((SEEN[name], f"{seen[name]:.2f}") for name in SEEN if name in seen))
