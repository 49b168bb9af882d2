"""The live overlay of each shop: what its rows say now over what its release was trained on, told to every process.

A change of the rows asks for it (`request_overlay`); a worker compares the rows with the release's catalogue, keeps what changed
as an `OverlayChange` and the whole in Redis, and tells the processes (`serving.engines`), which put it over the release that
they serve with. A new release begins a new comparison; until it is made, processes keep what they had, for an overlay holds what
rows say and not by how much they differ.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from clusters.catalogue import Catalogue, ItemRow
from clusters.currencies import number_of_currency
from clusters.models import Item
from personas.models import Shop
from personas.sessions import NO_ITEM
from recommendations import overlay_deltas, releases
from recommendations.learning.bounds import read_bounds
from recommendations.locks import renewed
from recommendations.models import OverlayChange, Release
from recommendations.overlay import NO_OVERLAY, Offer, Overlay, over
from recommendations.overlay_deltas import Delta
from recommendations.overlay_requests import asked, request_overlay
from recommendations.reading import read_rules

logger = logging.getLogger(__name__)

CHANNEL = "overlays"

LOCK_S = 10.0
"""Seconds for which the lock of whoever publishes outlives its last renewal; who waits for it gives up after twice that."""

LATE = dt.timedelta(minutes=5)
"""How long after an item was given the time of its change that change may still be on its way: a long import."""

MOST_NEW = 2_000
"""New items of an overlay, the youngest; with more, a training is due. Each costs every process memory of its own."""

WHOLE_EVERY = 200
"""Every so many versions one tells the whole overlay, so that what was so at any time is known from few rows."""

KEPT_DAYS = 90
"""Days after which versions are forgotten, where the shop doesn't keep its log for a shorter time."""

__all__ = [
    "CHANNEL",
    "LiveState",
    "from_json",
    "last_version",
    "live_state",
    "overlay_at",
    "overlay_for",
    "overlay_of",
    "prune",
    "publish_overlay",
    "read_overlay",
    "request_overlay",
    "version_in",
]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Overlay).decode


def key(shop_id: int) -> str:
    """Redis hash of the shop's overlay: "version", "body", "release", "catalogue" (the component it was compared with) and
    "read_at", when the rows were read, seconds since the epoch."""
    return f"overlay:{shop_id}"


# Publishing


def publish_overlay(shop: Shop) -> OverlayChange | None:
    """Compare the shop's rows with its active release, and make what changed the next version; None where nothing did.

    One at a time a shop; safe to run twice, or to be killed anywhere: the next one mends what is missing. Raises RedisError,
    and ReleaseError where the release's catalogue can't be read.
    """
    client = releases.redis_client()
    client.delete(asked(shop.pk))  # a change after this asks again
    release = Release.objects.active(shop)
    if release is None:
        return None
    lock = client.lock(f"{key(shop.pk)}:by", timeout=LOCK_S, blocking_timeout=2 * LOCK_S, thread_local=False)
    if not lock.acquire():
        logger.warning("the live overlay of %s is being published elsewhere; the next look goes on from there", shop)
        return None
    with renewed(lock, every=LOCK_S / 3):
        return _publish(client, shop, release)


def _publish(client: Redis, shop: Shop, release: Release) -> OverlayChange | None:
    read_at = timezone.now()
    last = OverlayChange.objects.filter(shop=shop).first()
    told, body, catalogue, since = _held(client, shop.pk, "version", "body", "catalogue", "read_at")
    version = release.components["catalogue"]
    held_now = _read(body) if last is not None and told == b"%d" % last.version else None
    is_told = held_now is not None
    before = held_now if held_now is not None else _overlay_of(last)
    # What was last compared with another catalogue says nothing of what this one lacks.
    held = _catalogue(shop, version)
    if is_told and catalogue == version.encode() and since is not None:
        after = _compared(shop, held, before, since=dt.datetime.fromtimestamp(float(since), dt.UTC) - LATE)
    else:
        after = _compared(shop, held, NO_OVERLAY, since=None)
    after = _decode(_encode(replace(after, version=before.version)))  # as it is read again, so that equals are equal
    change = None
    if last is None or last.release != release.number or after != before:
        number = 1 if last is None else last.version + 1
        after = replace(after, version=number)
        whole = last is None or number % WHOLE_EVERY == 0
        delta = to_json(overlay_deltas.between(before, after, whole=whole))
        change = OverlayChange.objects.create(shop=shop, version=number, release=release.number, at=read_at, delta=delta)
    told_of: dict[Any, Any] = {"release": release.number, "catalogue": version, "read_at": read_at.timestamp()}
    if change is None and is_told:
        client.hset(key(shop.pk), mapping=told_of)
        return None
    client.hset(key(shop.pk), mapping={**told_of, "version": after.version, "body": _encode(after)})
    client.publish(CHANNEL, str(shop.pk))
    return change


def _compared(shop: Shop, catalogue: Catalogue, before: Overlay, *, since: dt.datetime | None) -> Overlay:
    """What the shop's rows say, where the catalogue says something else.

    since : rows changed after that time are read, the others are as `before` has them; None reads all, and `before` is not read.
    """
    items = Item.objects.of_shop(shop)
    rows = items.as_rows() if since is None else items.filter(updated_at__gt=since).as_rows()
    offers = {} if since is None else dict(before.offers)
    new = {} if since is None else {row.item_id: row for row in before.items}
    gone = frozenset() if since is None else before.gone
    for row in rows:
        position = catalogue.position(row.item_id)
        if position == NO_ITEM:
            new[row.item_id] = row
        elif (offer := _offer(catalogue, position, row)) is None:
            offers.pop(row.item_id, None)
        else:
            offers[row.item_id] = offer
    if items.count() != len(catalogue) - len(gone) + len(new):
        there = set(items.order_by().values_list("pk", flat=True))
        gone = frozenset(item for item in catalogue.item_ids.tolist() if item not in there)
        offers = {item: offer for item, offer in offers.items() if item not in gone}
        new = {item: row for item, row in new.items() if item in there}
    youngest = sorted(new)[-MOST_NEW:]
    if len(youngest) < len(new):
        logger.warning("%s has %d items that its release lacks; the youngest %d are live: train it", shop, len(new), MOST_NEW)
    told = tuple(new[item] for item in youngest)
    return Overlay(offers=offers, items=told, gone=gone, rules=read_rules(shop), bounds=read_bounds(shop), currency=shop.currency)


def _offer(catalogue: Catalogue, position: int, row: ItemRow) -> Offer | None:
    """What a row sells for, None where the catalogue says the same."""
    reduced = row.price is not None and row.regular_price is not None and row.price < row.regular_price
    same = (
        _same(row.price, catalogue.price.item(position))
        and _same(row.cost, np.nan if catalogue.cost is None else catalogue.cost.item(position))
        and row.in_stock == bool(catalogue.in_stock[position])
        and reduced == bool(len(catalogue.reduced) and catalogue.reduced[position])
        and row.group == (0 if catalogue.group is None else catalogue.group.item(position))
        and number_of_currency(row.currency) == (0 if catalogue.currency is None else catalogue.currency.item(position))
    )
    return None if same else Offer(row.price, row.regular_price, row.in_stock, row.cost, row.group, row.currency)


def _same(value: float | None, held: float) -> bool:
    """Whether a number is the one that the catalogue holds, which keeps single precision."""
    return np.isnan(held) if value is None else bool(np.float32(value) == np.float32(held))


@lru_cache(maxsize=4)
def _catalogue(shop: Shop, version: str) -> Catalogue:
    catalogue: Catalogue = releases.load_component(releases.root_of(shop), "catalogue", version)
    return catalogue


# Reading


def version_in(client: Redis, shop_ids: Iterable[int]) -> dict[int, int]:
    """Shop id -> version of its overlay in Redis; shops without one are left out."""
    ids = list(shop_ids)
    pipe = client.pipeline(transaction=False)
    for shop_id in ids:
        pipe.hget(key(shop_id), "version")
    return {shop_id: int(told) for shop_id, told in zip(ids, pipe.execute(), strict=True) if told is not None}


def _held(client: Redis, shop_id: int, *names: str) -> list[bytes | None]:
    """Fields of the shop's hash."""
    return cast("list[bytes | None]", client.hmget(key(shop_id), list(names)))


def read_overlay(shop_id: int, client: Redis | None = None) -> Overlay:
    """The shop's overlay as it is now: from Redis, or from the rows where Redis lost it. `NO_OVERLAY` where there was none."""
    return _now(shop_id, client or releases.redis_client())[1]


def overlay_for(shop_id: int, release: str, client: Redis) -> Overlay:
    """`read_overlay`, for who serves with that release, be it the active one or not.

    One that was made over another release doesn't tell what that one knew already: the last that was made over this one does.
    """
    made_over, overlay = _now(shop_id, client)
    if made_over == release or not release.isdigit():
        return overlay
    return over(_overlay_of(OverlayChange.objects.filter(shop=shop_id, release=int(release)).first()), overlay)


def _now(shop_id: int, client: Redis) -> tuple[str, Overlay]:
    """Number of the release that the shop's overlay was made over, and the overlay."""
    try:
        body, release = _held(client, shop_id, "body", "release")
    except RedisError:
        body = release = None
    overlay = _read(body)
    if overlay is not None and release is not None:
        return release.decode(), overlay
    last = OverlayChange.objects.filter(shop=shop_id).first()
    return "" if last is None else str(last.release), _overlay_of(last)


def _read(body: bytes | None) -> Overlay | None:
    """An overlay as Redis holds it; None where there is none, or one that another version of this code wrote."""
    try:
        return None if body is None else _decode(body)
    except msgspec.DecodeError as error:
        logger.warning("a live overlay in Redis can't be read, its rows are: %s", error)
        return None


def last_version(shop: Shop | int) -> int:
    """Number of the shop's latest version, 0 where there is none."""
    return OverlayChange.objects.filter(shop=shop).values_list("version", flat=True).first() or 0


def overlay_at(shop: Shop | int, moment: dt.datetime) -> tuple[int, Overlay] | None:
    """(number of the release, overlay) that served at a moment; None before the first version that is kept."""
    last = OverlayChange.objects.filter(shop=shop, at__lte=moment).first()
    return None if last is None else (last.release, _overlay_of(last))


def overlay_of(shop: Shop | int, version: int) -> Overlay | None:
    """The overlay of a version, as a slate names it; None for one that is no longer kept."""
    last = OverlayChange.objects.filter(shop=shop, version=version).first()
    return None if last is None else _overlay_of(last)


def _overlay_of(last: OverlayChange | None) -> Overlay:
    """As that version left it, told by the last whole one before it and all since."""
    if last is None:
        return NO_OVERLAY
    rows = []
    for row in OverlayChange.objects.filter(shop=last.shop_id, version__lte=last.version).iterator(chunk_size=50):
        rows.append((row.version, from_json(row.delta)))
        if rows[-1][1].whole:
            break
    return overlay_deltas.folded(reversed(rows))


def to_json(delta: Delta) -> dict[str, Any]:
    """As a row keeps it; what is empty is left out, but not that no rule is left."""
    told: dict[str, Any] = msgspec.to_builtins(delta)
    return {name: value for name, value in told.items() if value or (name == "rules" and value is not None)}


def from_json(told: dict[str, Any]) -> Delta:
    """Inverse of `to_json`. Raises msgspec.ValidationError."""
    return msgspec.convert(told, Delta)


# For people


class LiveState(NamedTuple):
    """What shoppers see of an item. kind : "released" as the training knew it, "offer" for what it sells for now, "new" since,
    "waiting" where its row says something that no version tells yet, "none" without a release.

    since : when the version came that says so, None where none does.  version : its number, 0 for none.  release : number.
    """

    kind: str
    since: dt.datetime | None = None
    version: int = 0
    release: int = 0


def live_state(item: Item) -> LiveState:
    """What shoppers see of an item, and since when. Raises ReleaseError where the release's catalogue can't be read."""
    release = Release.objects.active(item.shop)
    if release is None:
        return LiveState("none")
    overlay = read_overlay(item.shop_id)
    (row,) = Item.objects.filter(pk=item.pk).as_rows()
    catalogue = _catalogue(item.shop, release.components["catalogue"])
    position = catalogue.position(item.pk)
    if position == NO_ITEM:
        kind = "new" if row in overlay.items else "waiting"
    else:
        offer = _offer(catalogue, position, row)
        same = overlay.offers.get(item.pk) == offer and item.pk not in overlay.gone
        kind = "waiting" if not same else "released" if offer is None else "offer"
    since, version = _told_since(item, kind) if kind in {"new", "offer"} else (None, 0)
    return LiveState(kind, since, version, release.number)


def _told_since(item: Item, kind: str) -> tuple[dt.datetime | None, int]:
    """When the latest version came that tells of the item, and its number."""
    for change in OverlayChange.objects.filter(shop=item.shop_id).iterator(chunk_size=50):
        delta = from_json(change.delta)
        told = {row.item_id for row in delta.items} if kind == "new" else {told for told, _ in delta.offers}
        if item.pk in told:
            return change.at, change.version
        if delta.whole:
            break
    return None, 0


# Retention


def prune(shop: Shop, *, now: dt.datetime | None = None) -> int:
    """Forget versions older than the shop keeps its log, and than `KEPT_DAYS`; how many. What served since stays known."""
    days = KEPT_DAYS if shop.retention_days is None else min(shop.retention_days, KEPT_DAYS)
    before = (now or timezone.now()) - dt.timedelta(days=days)
    rows = OverlayChange.objects.filter(shop=shop)
    first = rows.filter(at__lte=before, delta__whole=True).first()
    return 0 if first is None else rows.filter(version__lt=first.version).delete()[0]
