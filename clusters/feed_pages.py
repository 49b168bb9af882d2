"""Catalogue feeds in the admin: where a shop's file lies, how the last fetch went, and what of it was not taken."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from kombu.exceptions import OperationalError
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminURLInputWidget

from clusters.feed_addresses import FeedError, check_outside
from clusters.feeds import LEAST_MINUTES, MOST_MINUTES
from clusters.models import CatalogueFeed
from clusters.tasks import fetch_feed
from personas.admin import once, table

SHOWN = 100
"""Rejects that the page lists."""


class FeedForm(forms.ModelForm):
    url = forms.URLField(
        label="Address",
        max_length=500,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text="Of a CSV, JSON or JSON lines file, or of the XML of Google's Merchant Center; packed with gzip or not.",
    )
    every_minutes = forms.IntegerField(
        label="Minutes between looks",
        initial=60,
        validators=[MinValueValidator(LEAST_MINUTES), MaxValueValidator(MOST_MINUTES)],
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="A file that hasn't changed is not sent again, where its server can tell.",
    )

    class Meta:
        model = CatalogueFeed
        fields = ("shop", "url", "every_minutes", "enabled")

    def clean_url(self) -> str:
        address = str(self.cleaned_data["url"])
        try:
            check_outside(address, settings.FEED_PRIVATE_HOSTS)
        except FeedError as error:
            raise forms.ValidationError(str(error)) from error
        return address


@admin.register(CatalogueFeed)
class CatalogueFeedAdmin(ModelAdmin):
    form = FeedForm
    list_display = ("url", "shop", "enabled", "every_minutes", "state", "told", "checked_at")
    list_filter = ("shop", "state", "enabled")
    list_select_related = ("shop",)
    fields = ("shop", "url", "every_minutes", "enabled", "state", "told", "checked_at", "changed_at", "shown_rejects")
    readonly_fields = ("state", "told", "checked_at", "changed_at", "shown_rejects")
    actions = ("fetch_now",)
    actions_submit_line = ("save_and_fetch",)

    def get_readonly_fields(self, request: HttpRequest, obj: CatalogueFeed | None = None) -> Any:
        return ("shop", *self.readonly_fields) if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: CatalogueFeed, form: Any, change: bool) -> None:
        if "url" in form.changed_data:
            obj.etag = obj.last_modified = ""  # of another file
        super().save_model(request, obj, form, change)

    @admin.display(description=f"not taken, the first {SHOWN}")
    @once
    def shown_rejects(self, feed: CatalogueFeed) -> SafeString | str:
        rejects = feed.report.get("rejects", [])
        if not rejects:
            return "–"
        rows = ((each["line"], each["field"] or "the line", each["reason"]) for each in rejects[:SHOWN])
        told = table(("line", "field", "reason"), rows)
        left = feed.report["rejected"] - SHOWN
        return format_html("{}<p>and {} more</p>", told, f"{left:,}") if left > 0 else told

    @admin.action(description="Fetch now", permissions=["change"])
    def fetch_now(self, request: HttpRequest, queryset: QuerySet[CatalogueFeed]) -> None:
        for feed in queryset:
            self._fetch(request, feed)

    @action(description="Save and fetch now", permissions=["change"])
    def save_and_fetch(self, request: HttpRequest, obj: CatalogueFeed) -> None:
        self._fetch(request, obj)

    def _fetch(self, request: HttpRequest, feed: CatalogueFeed) -> None:
        transaction.on_commit(lambda: self._ask(request, feed))

    def _ask(self, request: HttpRequest, feed: CatalogueFeed) -> None:
        try:
            fetch_feed.apply_async((feed.pk,), {"anew": True}, retry=False)
        except OperationalError as error:
            messages.error(request, f"{feed} could not be asked for: the worker can't be reached ({error}). Try again.")
        else:
            messages.success(request, f"{feed} is being fetched; load the page again to see how it goes.")
