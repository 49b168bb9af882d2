"""How a slate was asked for, as the log keeps it: what of the request was not as it is by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

import msgspec

from recommendations.session import Request, SessionState

_OWN = "own"
_KEPT = {field.name: field.default for field in fields(Request) if field.name not in ("now", "context", "reasons")}
"""Names with their defaults; when, and in which context, the log tells itself, and whoever asks again asks why."""


_DEFAULTS = tuple(_KEPT.values())
_values = attrgetter(*_KEPT)


def told(request: Request, state: SessionState) -> dict[str, Any]:
    """What a replay must know to ask again. state : that the slate was made from; its reminders count until its first item."""
    values = _values(request)
    asked = {} if values == _DEFAULTS else {n: v for (n, default), v in zip(_KEPT.items(), values, strict=True) if v != default}
    if state.own and not state.touches:
        asked[_OWN] = state.own
    return asked


def read(asked: Mapping[str, Any], *, now: float, context: str) -> Request:
    """The request again, from JSON or as it was told. Raises msgspec.ValidationError (a ValueError) on what isn't one."""
    given = {name: value for name, value in asked.items() if name in _KEPT}
    return msgspec.convert({**msgspec.to_builtins(given), "now": now, "context": context or "home"}, Request)


def own_of(asked: Mapping[str, Any]) -> tuple[int, ...]:
    """The reminders of a session without an item."""
    return tuple(int(item) for item in asked.get(_OWN, ()))
