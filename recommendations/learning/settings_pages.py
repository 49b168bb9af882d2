"""Admin of how a shop's clusters adapt: on or off, when, how far, what it is after."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from personas.models import Shop
from recommendations.learning.models import AdaptationSettings
from recommendations.learning.settings_forms import WORTHS, AdaptationSettingsForm
from recommendations.watched_forms import Watched


@admin.register(AdaptationSettings)
class AdaptationSettingsAdmin(Watched, ModelAdmin):
    """One row a shop; a shop without one has what the page of a new one shows."""

    form = AdaptationSettingsForm
    presence = "adaptation"
    nothing_yet = "Every shop adapts with the usual settings until somebody sets others for it."
    list_display = (
        "shop",
        "enabled",
        "consistent_outside",
        "consistent_ignored",
        "floor",
        "margin_floor",
        "drift_budget",
        "updated_at",
    )
    list_select_related = ("shop",)

    class Media:
        css = {"all": ("personas.css",)}

    fieldsets = (
        (None, {"fields": ("shop", "enabled")}),
        (
            "When something is decided",
            {
                "fields": ("consistent_outside", "consistent_ignored", "floor"),
                "description": "Nothing changes on a whim: a visit's clusters move only once it was consistent.",
            },
        ),
        (
            "How far it may go",
            {
                "fields": ("margin_floor", "pairs", "drift_budget"),
                "description": "Clusters that you locked never shrink, and core items never lose weight by it. What a bound "
                "stops is counted among the blocked actions.",
            },
        ),
        (
            "What it is after",
            {
                "fields": ("ignored_cost", *(f"worth_{name}" for name in WORTHS)),
                "description": "A decision is judged by the next three slates that the shopper saw: what they did with the "
                "items, less what they passed over.",
            },
        ),
        (
            "How it learns",
            {"fields": ("half_life_days", "least_effective_sample", "goes_live_by_itself")},
        ),
    )

    def get_form(self, request: HttpRequest, obj: AdaptationSettings | None = None, change: bool = False, **given: Any) -> Any:
        # What the form adds to the model's own fields isn't the model's to look for.
        return super().get_form(request, obj, change=change, **{**given, "fields": AdaptationSettingsForm.Meta.fields})

    def get_readonly_fields(self, request: HttpRequest, obj: AdaptationSettings | None = None) -> tuple[str, ...]:
        return ("shop",) if obj is not None else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only pages that offer it look whether there is a shop left without settings: all ask for the sake of a list of apps."""
        if not super().has_add_permission(request):
            return False
        at = getattr(request.resolver_match, "url_name", None) or ""
        offered = at == "app_list" or at.startswith("recommendations_adaptationsettings")
        return not offered or Shop.objects.filter(adaptation_settings=None).exists()

    def save_model(self, request: HttpRequest, obj: AdaptationSettings, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        messages.info(request, "Visits follow this within seconds; what is learned follows from the next look at the log on.")

    def delete_model(self, request: HttpRequest, obj: AdaptationSettings) -> None:
        super().delete_model(request, obj)
        messages.info(request, f"{obj.shop} is back to the defaults, within seconds.")
