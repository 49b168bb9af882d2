"""Text that is sent as text: a number in its place is a slip that somebody should hear of, and the framework would take it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Text(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        """Raises ValidationError on what is no JSON string."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Slug(Text, serializers.SlugField):
    """Letters, digits, - and _."""
