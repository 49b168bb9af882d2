"""The audit log in the admin: who did what to what, searched, filtered by the address, and as a file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.actions import delete_selected as delete_plainly
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from personas.admin import ReadOnlyAdmin
from recommendations import audit
from recommendations.desk.tables import csv_file
from recommendations.models import AuditEntry

DAYS = 14
"""Days that the list offers to look at one by one; the address takes any."""

MOST_ACTORS = 40
MOST_ROWS = 100_000
"""Lines of a file, the latest."""

WITHIN = dt.timedelta(days=90)
"""How far back it is looked who did something lately."""


class DayFilter(admin.SimpleListFilter):
    title = "day (UTC)"
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = timezone.now().astimezone(dt.UTC).date()
        return [(f"{day}", f"{day:%a %-d %b}") for day in (today - dt.timedelta(days=back) for back in range(DAYS))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        try:
            day = dt.date.fromisoformat(self.value() or "")
        except ValueError:
            return queryset
        start = dt.datetime.combine(day, dt.time(), dt.UTC)
        return queryset.filter(at__gte=start, at__lt=start + dt.timedelta(days=1))


class ActorFilter(admin.SimpleListFilter):
    title = "who"
    parameter_name = "actor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        lately = AuditEntry.objects.filter(at__gte=timezone.now() - WITHIN).exclude(actor="").order_by("actor")
        return [(name, name) for name in lately.values_list("actor", flat=True).distinct()[:MOST_ACTORS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(actor=self.value()) if self.value() else queryset


class WayFilter(admin.ChoicesFieldListFilter):
    """The field is called "by", and a list says "By" before each filter's title."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "person, key or the system"


class KindFilter(admin.SimpleListFilter):
    title = "what it was done to"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        lately = AuditEntry.objects.filter(at__gte=timezone.now() - WITHIN).exclude(subject_type="").order_by("subject_type")
        return [(label, audit.name_of(label)) for label in lately.values_list("subject_type", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(subject_type=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditPages(ReadOnlyAdmin):
    list_display = ("shown_at", "shown_who", "action", "shown_subject", "what", "shop")
    list_display_links = ("shown_at",)
    list_filter = (DayFilter, ActorFilter, ("by", WayFilter), KindFilter, "action", "shop")
    list_select_related = ("shop",)
    search_fields = ("actor", "subject", "what", "=subject_id")
    search_help_text = "Words of who, of what it was done to, or of what was done."
    list_before_template = "admin/desk/audit_top.html"
    show_full_result_count = False
    rows_called = "entries"
    list_per_page = 50
    ordering = ("-at", "-pk")
    fields = ("at", "shown_who", "action", "shown_subject", "what", "shop")
    readonly_fields = fields

    class Media:
        css = {"all": ("personas.css",)}

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = super().get_urls()
        return [path("csv/", self.admin_site.admin_view(self.as_csv), name="recommendations_auditentry_csv"), *urls]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"query": request.GET.urlencode(), "title": "Audit log", **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, extra)
        return response

    def as_csv(self, request: HttpRequest) -> StreamingHttpResponse:
        """What the list shows under these filters, all pages of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request)[:MOST_ROWS]

        def lines() -> Iterator[tuple[Any, ...]]:
            for row in rows.iterator(chunk_size=2_000):
                kind = audit.name_of(row.subject_type) if row.subject_type else ""
                shop = row.shop.slug if row.shop is not None else ""
                yield row.at.isoformat(), row.by, row.actor, row.action, kind, row.subject_id, row.subject, row.what, shop

        return csv_file("audit", ("at", "by", "actor", "action", "kind", "id", "subject", "what", "shop"), lines())

    @admin.display(description="when", ordering="at")
    def shown_at(self, row: AuditEntry) -> str:
        return f"{timezone.localtime(row.at):%-d %b %Y, %H:%M:%S}"

    @admin.display(description="who", ordering="actor")
    def shown_who(self, row: AuditEntry) -> str:
        if row.by == AuditEntry.By.SYSTEM:
            return "the system"
        return f"API key “{row.actor}”" if row.by == AuditEntry.By.KEY else row.actor

    @admin.display(description="to what", ordering="subject_type")
    def shown_subject(self, row: AuditEntry) -> SafeString | str:
        kind = audit.name_of(row.subject_type) if row.subject_type else ""
        named = row.subject or row.subject_id
        told = f"{kind} {named}".strip() if not named.startswith(("a ", "an ")) else named
        return format_html('<a class="underline" href="{}">{}</a>', row.address, told) if row.address else told or "–"


@admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
def delete_selected(pages: ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
    """Django's own, each row on the record: what it writes in one go for several is seen by no signal."""
    confirmed = bool(request.POST.get("post")) and bool(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME))
    rows = list(queryset) if confirmed else []
    told = [(row, str(row.pk), audit.shop_of(row)) for row in rows]
    with transaction.atomic():
        response: HttpResponse | None = delete_plainly(pages, request, queryset)
        if response is None and len(told) > 1:
            who = audit.person(request.user)
            left = {
                str(pk)
                for pk in type(told[0][0])._base_manager.filter(pk__in=[pk for _, pk, _ in told]).values_list("pk", flat=True)
            }
            for row, pk, shop in told:
                if pk not in left:
                    audit.record(who, audit.DELETED, shop=shop, model=type(row), named=(pk, str(row)), what="Deleted.")
    return response


admin.site.add_action(delete_selected, "delete_selected")
