"""Admin of shops, keys, personas, shoppers, sessions and the archived log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from personas import key_pages as _key_pages  # noqa: F401 - Django finds pages where an app's `admin` leads
from personas import versions
from personas.forms import ArchetypeForm, AttributeForm
from personas.line_fields import LinesField
from personas.models import Archetype, ArchivedEvent, Attribute, Session, Shop, Shopper

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class ThemedUserAdmin(UserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class ThemedGroupAdmin(GroupAdmin, ModelAdmin):
    pass


class ReadOnlyAdmin(ModelAdmin):
    """For rows that people look at and programs write."""

    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> SafeString:
    """A plain table; every cell is escaped. One wider than the page scrolls within itself."""
    head = tuple(head)
    cell = "px-3 py-1 text-left"
    headings = format_html_join("", '<th class="{} font-semibold">{}</th>', ((cell, name) for name in head))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", '<td class="{}">{}</td>', ((cell, c) for c in row)),) for row in rows)
    )
    return format_html(
        '<div class="overflow-x-auto" style="max-width: calc(100vw - 4rem)" tabindex="0" role="group" aria-label="{}">'
        '<table class="tabular-nums plain-links"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        ", ".join(filter(None, head)),
        headings,
        body,
    )


Cell = TypeVar("Cell")


def once(method: Callable[[Any, Any], Cell]) -> Callable[[Any, Any], Cell]:
    """A column that asks the database is computed once a row: the theme's templates call it several times."""
    name = f"_{method.__name__}"

    @wraps(method)
    def computed(self: Any, row: Any) -> Cell:
        if name not in row.__dict__:
            row.__dict__[name] = method(self, row)
        cell: Cell = row.__dict__[name]
        return cell

    return computed


def swatch(colour: str) -> SafeString:
    """A small square in a colour, with its name beside it."""
    style = "display:inline-block;width:1em;height:1em;border-radius:3px;vertical-align:-0.15em;margin-right:.5em"
    square = format_html('<span style="{};background:{}" aria-hidden="true"></span>', style, colour)
    return format_html('<span style="white-space:nowrap">{}{}</span>', square, colour)


def weights_of(values: dict[str, float], most: int = 4) -> str:
    """The weightiest of {name: weight}: "price_tier=low 1, colour=blue 0.4, and 3 more"."""
    ranked = sorted(values.items(), key=lambda pair: -abs(pair[1]))
    shown = ", ".join(f"{name} {weight:g}" for name, weight in ranked[:most])
    return f"{shown}, and {len(ranked) - most} more" if len(ranked) > most else shown


class ShopForm(forms.ModelForm):
    allowed_origins = LinesField(
        help_text="Whose pages may call with a session token, such as https://shop.example, one a line; our own hosts always may."
    )

    class Meta:
        model = Shop
        fields = ("name", "slug", "currency", "retention_days", "demo", "allowed_origins", "settings")
        help_texts = {
            "slug": "A short name for addresses and folders, such as outfitter. It stays as it is once the shop is made.",
            "settings": "For operators: what programs keep of the shop, and what has no field of its own.",
        }


@admin.register(Shop)
class ShopAdmin(ModelAdmin):
    form = ShopForm
    fieldsets = (
        (None, {"fields": ("name", "slug", "currency", "demo")}),
        ("Its visits", {"fields": ("retention_days", "allowed_origins")}),
        ("For operators", {"fields": ("settings", "created_at"), "classes": ("collapse",)}),
    )
    list_display = ("name", "slug", "currency", "demo", "created_at")
    list_filter = ("demo",)
    search_fields = ("name", "slug")
    readonly_fields = ("created_at",)

    def get_readonly_fields(self, request: HttpRequest, obj: Shop | None = None) -> tuple[str, ...]:
        # The slug names folders of releases; it is fixed once the shop exists.
        return ("slug", *self.readonly_fields) if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: Shop | None = None) -> bool:
        return False


class AttributeAdmin(ModelAdmin):
    """Registered by `recommendations.desk.personas.record_pages`, which knows what items there are to weigh."""

    form = AttributeForm
    list_display = ("name", "shop", "shown_weights", "shown_behaviours")
    list_filter = ("shop",)
    list_select_related = ("shop",)
    search_fields = ("name", "key", "description")
    autocomplete_fields = ("shop",)

    def get_readonly_fields(self, request: HttpRequest, obj: Attribute | None = None) -> tuple[str, ...]:
        # Archetypes' mixes name it by its key; under another, or gone, no training of the shop would start.
        return ("shop", "key") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Attribute | None = None) -> bool:
        if obj is not None and any(obj.key in a.mix for a in Archetype.objects.filter(shop=obj.shop_id)):
            return False
        return super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)  # it asks for the right to delete in general, not row by row
        return actions

    @admin.display(description="item descriptors")
    def shown_weights(self, attribute: Attribute) -> str:
        return weights_of(attribute.weights)

    @admin.display(description="behaviours")
    def shown_behaviours(self, attribute: Attribute) -> str:
        return weights_of(attribute.behaviours)


class ArchetypeAdmin(ModelAdmin):
    """Registered by `recommendations.desk.personas.record_pages`, which knows what was learned of a persona."""

    form = ArchetypeForm
    list_display = ("name", "shop", "shown_colour", "icon", "shown_mix", "place")
    list_filter = ("shop",)
    list_select_related = ("shop",)
    search_fields = ("name", "key")
    autocomplete_fields = ("shop",)

    def get_readonly_fields(self, request: HttpRequest, obj: Archetype | None = None) -> tuple[str, ...]:
        return ("shop", "key") if obj else ()  # integrators read the key

    @admin.display(description="colour", ordering="colour")
    def shown_colour(self, archetype: Archetype) -> SafeString:
        return swatch(archetype.colour)

    def has_delete_permission(self, request: HttpRequest, obj: Archetype | None = None) -> bool:
        if obj is not None and not Archetype.objects.filter(shop=obj.shop_id).exclude(pk=obj.pk).exists():
            return False  # a shop needs one
        return super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)  # it would delete the last one too
        return actions

    @admin.display(description="mix")
    def shown_mix(self, archetype: Archetype) -> str:
        return weights_of(archetype.mix)


class ShopperAdmin(ReadOnlyAdmin):
    """Registered by `recommendations.desk.shopper_pages`, which knows all that is held of a shopper."""

    nothing_yet = "A visitor who logs in at the shop comes with an id of theirs, and is here from then on."
    list_display = ("shown_id", "shop", "consent_demographics", "consent_at")
    list_filter = ("shop", "consent_demographics")
    list_select_related = ("shop",)
    search_fields = ("^external_id",)
    show_full_result_count = False

    @admin.display(description="id in the shop", ordering="external_id")
    def shown_id(self, shopper: Shopper) -> str:
        return shopper.external_id


def likeliest(session: Session, names: Mapping[int, str]) -> str:
    """The persona that a session's latest summary holds for the likeliest, with its probability."""
    belief = (session.persona or {}).get("belief") or {}
    if not belief:
        return "–"
    key, probability = max(belief.items(), key=lambda pair: pair[1])
    return f"{names.get(int(key), key)} {100 * probability:.0f} %"


class SessionAdmin(ReadOnlyAdmin):
    """Registered by `recommendations.desk.session_pages`, which knows what happened in a session."""

    list_display = ("session_id", "shop", "shopper", "started_at", "last_at", "events", "origin")
    list_filter = ("shop", "origin", "last_at")
    list_select_related = ("shop", "shopper")
    search_fields = ("^session_id", "^shopper__external_id")
    show_full_result_count = False
    fields: tuple[str, ...] = (
        "shop", "session_id", "shopper", "started_at", "last_at", "events", "origin", "clock",
        "context", "belief",
    )  # fmt: skip
    readonly_fields: tuple[str, ...] = fields

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        names = versions.names(list(Shop.objects.all()))  # once for the whole list

        @admin.display(description="persona")
        def persona(session: Session) -> str:
            return likeliest(session, names)

        return [*self.list_display, persona]

    @admin.display(description="persona")
    @once
    def belief(self, session: Session) -> SafeString | str:
        belief = (session.persona or {}).get("belief") or {}
        if not belief:
            return "not known: nothing of this session was served live"
        names = versions.names([session.shop])
        ranked = sorted(belief.items(), key=lambda pair: -pair[1])
        return table(("persona", "probability"), ((names.get(int(key), key), f"{100 * p:.1f} %") for key, p in ranked))


@admin.register(ArchivedEvent)
class ArchivedEventAdmin(ReadOnlyAdmin):
    nothing_yet = "What shoppers do is archived within a minute of it."
    list_display = ("at", "shop", "session", "code", "item_ref", "query", "price", "quantity", "origin")
    fields = (
        "shop", "session", "code", "item_ref", "query", "price", "quantity", "dwell_s", "at", "received_at", "origin", "data",
        "event_id",
    )  # fmt: skip
    list_filter = ("shop", "code", "origin")
    list_select_related = ("shop", "session")
    search_fields = ("=session__session_id", "=event_id")
    show_full_result_count = False
    list_per_page = 50
