"""Filters by what is true or false, and by whole numbers: they refuse what the framework's own would pass over in silence."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django_filters import rest_framework as filters

_WORDS = {"true": True, "1": True, "false": False, "0": False}


class FlagField(forms.CharField):
    """True, false, or None where it isn't given. Raises ValidationError."""

    def clean(self, value: Any) -> Any:
        if value is None or value == "":
            return None
        word = str(value).lower()
        if word not in _WORDS:
            raise ValidationError(f"{str(value)[:40]!r} is neither true nor false")
        return _WORDS[word]


class Flag(filters.BooleanFilter):
    field_class = FlagField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.extra.pop("widget", None)


class Id(filters.NumberFilter):
    """Of a row, by its number."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, min_value=0, max_value=2**63 - 1, **options)
