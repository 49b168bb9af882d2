"""The live overlay: what changes over a release without training, and the engine with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from clusters.catalogue import ItemRow
from recommendations.ranking.rules import Rule


class Offer(NamedTuple):
    """What an item sells for now. price, regular_price, cost : None where unknown."""

    price: float | None
    regular_price: float | None
    in_stock: bool
    cost: float | None = None


@dataclass(frozen=True)
class Overlay:
    """What a shop's rows say now, where that differs from what the release was trained on.

    version : counts the changes; the same on every process, and logged with each slate.
    offers : item id -> what it sells for.  items : new ones.  gone : ids of those taken out of the catalogue.
    rules : all that are switched on, whatever their dates.
    """

    version: int = 0
    offers: Mapping[int, Offer] = field(default_factory=dict)
    items: tuple[ItemRow, ...] = ()
    gone: frozenset[int] = frozenset()
    rules: tuple[Rule, ...] = ()


NO_OVERLAY = Overlay()
