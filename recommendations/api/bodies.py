"""Bodies of requests: JSON, and nothing that only looks like it."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class JsonBody(JSONParser):
    """As its base; what is nested deeper than Python reads is the sender's mistake."""

    def parse(self, *given: Any, **options: Any) -> Any:
        """Raises ParseError."""
        try:
            return super().parse(*given, **options)
        except RecursionError as error:
            raise ParseError("JSON parse error - it is nested too deeply") from error
