"""What one version of a live overlay changed of the one before: made, put on, and told in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clusters.bounds import Bounds
from clusters.catalogue import ItemRow
from recommendations.overlay import NO_OVERLAY, Offer, Overlay
from recommendations.ranking.rules import Rule


@dataclass(frozen=True)
class Delta:
    """What a version changed. whole : what was before is forgotten first.

    offers : what items sell for now.  as_released : ids of items that sell again for what the release says.
    items : new ones.  left : ids of new ones that are no longer told of.  gone, back : ids of the release's items that were
    taken out of the catalogue, or put in again.  rules : all of them, None where they stay.  bounds, currency : likewise.
    """

    whole: bool = False
    offers: tuple[tuple[int, Offer], ...] = ()
    as_released: tuple[int, ...] = ()
    items: tuple[ItemRow, ...] = ()
    left: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    back: tuple[int, ...] = ()
    rules: tuple[Rule, ...] | None = None
    bounds: Bounds | None = None
    currency: str | None = None


def between(before: Overlay, after: Overlay, *, whole: bool = False) -> Delta:
    """What makes `after` of `before`. whole : of nothing, whatever was before."""
    if whole:
        before = NO_OVERLAY
    had, has = {row.item_id: row for row in before.items}, {row.item_id: row for row in after.items}
    return Delta(
        whole=whole,
        offers=tuple((item, offer) for item, offer in sorted(after.offers.items()) if before.offers.get(item) != offer),
        as_released=tuple(sorted(before.offers.keys() - after.offers.keys())),
        items=tuple(row for item, row in sorted(has.items()) if had.get(item) != row),
        left=tuple(sorted(had.keys() - has.keys())),
        gone=tuple(sorted(after.gone - before.gone)),
        back=tuple(sorted(before.gone - after.gone)),
        rules=after.rules if after.rules != before.rules else None,
        bounds=after.bounds if after.bounds != before.bounds else None,
        currency=after.currency if after.currency != before.currency else None,
    )


def applied(overlay: Overlay, delta: Delta, version: int) -> Overlay:
    """The overlay of that version."""
    if delta.whole:
        overlay = NO_OVERLAY
    as_released, left = set(delta.as_released), set(delta.left)
    offers = {item: offer for item, offer in overlay.offers.items() if item not in as_released}
    items = {row.item_id: row for row in (*overlay.items, *delta.items)}
    return Overlay(
        version=version,
        offers=offers | dict(delta.offers),
        items=tuple(row for item, row in sorted(items.items()) if item not in left),
        gone=(overlay.gone | set(delta.gone)) - set(delta.back),
        rules=overlay.rules if delta.rules is None else delta.rules,
        bounds=overlay.bounds if delta.bounds is None else delta.bounds,
        currency=overlay.currency if delta.currency is None else delta.currency,
    )


def folded(deltas: Iterable[tuple[int, Delta]]) -> Overlay:
    """The overlay after all of (version, delta), oldest first, from nothing."""
    overlay = NO_OVERLAY
    for version, delta in deltas:
        overlay = applied(overlay, delta, version)
    return overlay


def summary(delta: Delta) -> str:
    """In a few words: "3 prices or stocks, 1 new item"."""
    counts = (
        (len(delta.offers) + len(delta.as_released), "price or stock", "prices or stocks"),
        (len(delta.items), "new item", "new items"),
        (len(delta.gone), "item gone", "items gone"),
        (len(delta.back), "item back", "items back"),
        (len(delta.left), "item that the release knows now or that is gone", "items that the release knows now or that are gone"),
    )
    told = [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]
    if delta.rules is not None:
        told.append("no rules" if not delta.rules else "1 rule" if len(delta.rules) == 1 else f"{len(delta.rules)} rules")
    if delta.bounds is not None:
        told.append("how clusters adapt")
    if delta.currency is not None and not delta.whole:
        told.append("the shop's currency")
    return ", ".join(told) or "nothing"
