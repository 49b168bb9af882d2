"""A shop's settings of adaptation as what sessions are served with."""

from __future__ import annotations

from clusters.bounds import Bounds
from personas.models import Shop
from recommendations.learning.models import AdaptationSettings


def settings_of(shop: Shop) -> AdaptationSettings:
    """The shop's settings, or the defaults."""
    return AdaptationSettings.objects.filter(shop=shop).first() or AdaptationSettings(shop=shop)


def read_bounds(shop: Shop) -> Bounds:
    """How far the shop's sessions may move their clusters; the defaults where nobody set anything."""
    return bounds_of(settings_of(shop))


def bounds_of(given: AdaptationSettings) -> Bounds:
    """The settings that concern sessions; what they don't name is as by default."""
    return Bounds(
        adapts=given.enabled,
        consistent_outside=given.consistent_outside,
        consistent_ignored=given.consistent_ignored,
        floor=given.floor,
        margin_floor=given.margin_floor,
        apart=tuple((one, other) for one, other in given.apart),
    )
