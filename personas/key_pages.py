"""The admin of API keys: issue, rotate, revoke; what each may, when it was used last, and whether it is a test."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from unfold.admin import ModelAdmin
from unfold.decorators import display

from personas.models import SCOPES, ApiKey

LIVE, ENDING, ENDED, REVOKED = "live", "ending", "ended", "revoked"


class ApiKeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        initial=["ingest", "read"],
        help_text="ingest: send events. read: profiles and recommendations. manage: everything else.",
    )

    class Meta:
        model = ApiKey
        fields = ("shop", "name", "scopes", "test", "rate", "expires_at")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("test", self.instance.test) and "manage" in given.get("scopes", ()):
            self.add_error("scopes", "A test key can't have the scope manage: what it changes would be no test.")
        ends = given.get("expires_at")
        if ends is not None and "expires_at" in self.changed_data and ends <= timezone.now():
            self.add_error("expires_at", "Name a time to come, or revoke the key.")
        return given


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    form = ApiKeyForm
    list_display = ("name", "shop", "prefix", "shown_scopes", "shown_test", "shown_state", "rate", "created_at", "last_used_at")
    list_filter = ("shop", "test", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("shop", "replaced_by")
    search_fields = ("name", "prefix")
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at", "replaced_by")
    actions = ("rotate", "revoke")

    @admin.display(description="scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="kind", ordering="test", label={"test": "warning", "live": "info"})
    def shown_test(self, key: ApiKey) -> str:
        return "test" if key.test else "live"

    @display(description="state", label={LIVE: "success", ENDING: "warning", ENDED: "danger", REVOKED: "danger"})
    def shown_state(self, key: ApiKey) -> tuple[str, str]:
        if key.revoked_at is not None:
            return REVOKED, f"revoked {key.revoked_at:%-d %b %Y}"
        if key.expires_at is None:
            return LIVE, "works"
        ends = f"{key.expires_at:%-d %b %Y, %H:%M}"
        after = f", then {key.replaced_by.prefix}…" if key.replaced_by else ""
        return (ENDED, f"ended {ends}") if key.ended else (ENDING, f"until {ends}{after}")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return ("shop", "test", *self.readonly_fields) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False  # revoked keys stay on record

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm[ApiKey], change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        key, plaintext = ApiKey.objects.issue(
            shop=obj.shop, name=obj.name, scopes=obj.scopes, test=obj.test, rate=obj.rate, expires_at=obj.expires_at
        )
        obj.pk, obj.prefix, obj.sha256, obj._state.adding = key.pk, key.prefix, key.sha256, False
        request.issued_key = plaintext  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._issued(request, obj, request.issued_key)  # type: ignore[attr-defined]

    def _issued(self, request: HttpRequest, key: ApiKey, plaintext: str, replaced: ApiKey | None = None) -> HttpResponse:
        """The key itself, on a page that is never cached, and nowhere else."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"API key {key.name} of {key.shop}",
            "plaintext": plaintext,
            "replaced": replaced,
            "back": reverse("admin:personas_apikey_changelist"),
        }
        response = TemplateResponse(request, "admin/personas/apikey/issued.html", context)
        add_never_cache_headers(response)
        return response

    @admin.action(description="Rotate the chosen key: a new one, and the old one ends in a day", permissions=["add"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        keys = list(queryset[:2])
        if len(keys) != 1:
            self.message_user(request, "Choose one key: each new one is shown once.", messages.ERROR)
            return None
        (key,) = keys
        try:
            new, plaintext = key.rotate()
        except ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return None
        self.log_change(request, key, f"Rotated: {new} replaces it.")
        self.log_addition(request, new, f"Replaces {key}.")
        return self._issued(request, new, plaintext, key)

    @admin.action(description="Revoke the chosen keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at=None))
        for key in keys:
            key.revoke()
            self.log_change(request, key, "Revoked.")
        self.message_user(request, f"{len(keys)} revoked.")
