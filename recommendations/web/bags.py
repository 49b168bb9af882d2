"""A bag, wishes and an order as pages and scripts are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from clusters.models import Item
from personas.models import Shop
from recommendations.web import kept
from recommendations.web.cards import Card, card, money


@dataclass(frozen=True, slots=True)
class Line:
    """Goods of one kind in a bag. total : of all pieces, in words, "" without a price."""

    pk: int
    card: Card
    quantity: int
    each: Decimal | None
    total: str


@dataclass(frozen=True, slots=True)
class Bag:
    """What is in a visitor's bag. count : pieces.  total : in words.  unpriced : whether some goods have no price.

    away : titles of what is out of stock by now.
    """

    lines: tuple[Line, ...]
    count: int
    total: str
    unpriced: bool
    away: tuple[str, ...]

    @property
    def quantities(self) -> list[dict[str, Any]]:
        """As GA4 lists items, for the script that tells the system."""
        return [_told(line) for line in self.lines]

    @property
    def kept(self) -> list[list[Any]]:
        """As an order's cookie keeps it: by primary keys, since a shop's own ids may have 128 characters and a cookie 4,000."""
        return [[line.pk, line.quantity, None if line.each is None else float(line.each)] for line in self.lines]


def _told(line: Line) -> dict[str, Any]:
    price = {} if line.each is None else {"price": float(line.each)}
    return {"item_id": line.card.external_id, "quantity": line.quantity, **price}


def read_bag(request: HttpRequest, shop: Shop) -> Bag:
    """The visitor's bag; what was taken out of the catalogue is in no bag."""
    return made_of(shop, kept.bag_of(request, shop))


def read_order(request: HttpRequest, shop: Shop) -> dict[str, Any] | None:
    """The visit's last order, None if there is none: `id`, `total` and `count` as placed, `items` as GA4 lists them.

    What was taken out of the catalogue since is not among the items.
    """
    order: dict[str, Any] | None = kept.read(request, shop, kept.ORDER)
    if order is None or "lines" not in order:
        return None
    rows = Item.objects.of_shop(shop).only("external_id").in_bulk([pk for pk, _, _ in order["lines"]])
    items = [
        {"item_id": rows[pk].external_id, "quantity": quantity} | ({} if price is None else {"price": price})
        for pk, quantity, price in order["lines"]
        if pk in rows
    ]
    return {"id": order["id"], "total": order["total"], "count": order["count"], "items": items}


def made_of(shop: Shop, quantities: Mapping[int, int]) -> Bag:
    """A bag of so many pieces of each item, by primary key."""
    rows = Item.objects.of_shop(shop).in_bulk(list(quantities)) if quantities else {}
    lines = []
    for pk, quantity in quantities.items():
        if (found := rows.get(pk)) is not None:
            total = "" if found.price is None else money(shop, found.price * quantity)
            lines.append(Line(pk, card(shop, found), quantity, found.price, total))
    priced = [line.each * line.quantity for line in lines if line.each is not None]
    return Bag(
        lines=tuple(lines),
        count=sum(line.quantity for line in lines),
        total=money(shop, sum(priced, Decimal(0))) if priced or not lines else "",
        unpriced=len(priced) < len(lines),
        away=tuple(line.card.title for line in lines if not line.card.in_stock),
    )


def in_order(shop: Shop, pks: list[int]) -> list[Card]:
    """Cards of items by primary key, as they are listed; what is gone is left out."""
    rows = Item.objects.of_shop(shop).in_bulk(pks) if pks else {}
    return [card(shop, rows[pk]) for pk in pks if pk in rows]


def as_json(bag: Bag) -> dict[str, Any]:
    """For the script that shows the bag of every page."""
    lines = [
        {
            "item_id": line.card.external_id,
            "title": line.card.title,
            "url": line.card.url,
            "picture": line.card.picture,
            "quantity": line.quantity,
            "total": line.total,
            **({} if line.each is None else {"price": float(line.each)}),
        }
        for line in bag.lines
    ]
    return {"count": bag.count, "total": bag.total, "lines": lines}
