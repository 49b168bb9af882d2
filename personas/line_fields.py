"""Fields of forms for what the database keeps as JSON and people write in lines."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget


class LinesField(forms.Field):
    """A list of words, one a line. Empty lines are passed over."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"required": False, "widget": UnfoldAdminTextareaWidget(attrs={"rows": 3}), **given})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        if isinstance(value, list):
            return value
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]


class PairsField(forms.Field):
    """{name: words}, one "name: words" a line. Raises ValidationError for a line without a colon or a name given twice."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"required": False, "widget": UnfoldAdminTextareaWidget(attrs={"rows": 4}), **given})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name}: {words}" for name, words in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> dict[str, str]:
        if isinstance(value, dict):
            return value
        found: dict[str, str] = {}
        for number, line in enumerate(str(value or "").splitlines(), start=1):
            name, colon, words = (part.strip() for part in line.partition(":"))
            if not line.strip():
                continue
            if not colon or not name:
                raise ValidationError(f"Line {number} must be a name, a colon and what it is, such as “material: wool”.")
            if name in found:
                raise ValidationError(f"Line {number} names “{name}” again.")
            found[name] = words
        return found
