"""A shop's settings of adaptation as what sessions are served with."""

from __future__ import annotations

from dataclasses import replace

from clusters.bounds import Bounds
from clusters.models import ItemCluster
from personas.models import Shop
from recommendations.learning.models import AdaptationSettings


def settings_of(shop: Shop) -> AdaptationSettings:
    """The shop's settings, or the defaults."""
    return AdaptationSettings.objects.filter(shop=shop).first() or AdaptationSettings(shop=shop)


def read_bounds(shop: Shop) -> Bounds:
    """How far the shop's sessions may move their clusters, and the sizes of those that have bounds; the defaults where nobody set
    anything."""
    sized = ItemCluster.objects.filter(shop=shop, retired_at=None).exclude(minimum_size=None, maximum_size=None)
    limits = sized.order_by("pk").values_list("pk", "minimum_size", "maximum_size")
    return replace(bounds_of(settings_of(shop)), limits=tuple(limits))


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
