"""Who may let through what isn't known to be better: a right of its own, which merchandisers don't have and managers do."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied

RIGHT = "recommendations.override_unknown"

WORDS = "Only somebody who may override “not known yet”, as managers may, can let it through before it is known to be better."


def may_override(user: Any) -> bool:
    """Whether a user may decide for what the gate, a run or an experiment doesn't know to be better. None for nobody."""
    return user is not None and bool(user.has_perm(RIGHT))


def check_override(user: Any) -> None:
    """Raises PermissionDenied, which views answer with 403, unless the user may override."""
    if not may_override(user):
        raise PermissionDenied(WORDS)
