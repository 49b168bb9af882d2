"""Policies that are learned from what decisions led to."""

from __future__ import annotations

from personas.models import Shop


def learn_policy(shop: Shop) -> None:
    """Seal what can be judged by now, and learn from all that is sealed."""
