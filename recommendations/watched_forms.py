"""The admin's plain forms of rows that several people edit: each is told of the other, and saves merge (`row_overtaken`)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest

from recommendations.row_overtaken import SHOWN, TOLD, RowOvertaken, merged, shown


class WatchedForm:
    """A model's form that knows what it showed; mixed in before it. Its `also`, where it has one, names fields of the row that it
    sets beside its own."""

    by: Any = None
    presence = ""
    instance: Any
    fields: Any
    data: Any
    errors: Any

    @property
    def names(self) -> list[str]:
        own = {field.name for field in self.instance._meta.concrete_fields}
        return [name for name in self.fields if name in own] + list(getattr(self, "also", ()))

    @property
    def watched(self) -> dict[str, str]:
        """What the page keeps in hidden fields, and who to say that it has open."""
        if self.instance.pk is None or not self.fields:
            return {}
        told = getattr(self, "told", "") or self.data.get(TOLD, "")
        was = self.data.get(SHOWN, "") or shown(self.instance, self.names)
        return {"shown": was, "told": told, "what": f"{self.presence}-{self.instance.pk}"}

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # of a ModelForm
        if self.instance.pk is None or self.errors:
            return
        row = type(self.instance)._default_manager.filter(pk=self.instance.pk).first()
        if row is None:
            return
        try:
            saved = merged(row, {name: getattr(self.instance, name) for name in self.names}, self.data, by=self.by)
        except RowOvertaken as error:
            self.told = error.told
            self.add_error(NON_FIELD_ERRORS, f"This page {error.reason}.")  # type: ignore[attr-defined]
            return
        for name, value in saved.items():
            setattr(self.instance, name, value)


class Watched:
    """Mixed in before a ModelAdmin. presence : of `presence.SUBJECTS`."""

    presence = ""
    change_form_before_template = "admin/desk/watched.html"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **given: Any) -> Any:
        form = super().get_form(request, obj, change=change, **given)  # type: ignore[misc]
        if obj is None:
            return form
        return type(form)(f"Watched{form.__name__}", (WatchedForm, form), {"by": request.user, "presence": self.presence})
