"""An item as a page shows it: its card, its price in words, its title as one reads it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.urls import reverse

from clusters.models import Item
from personas.models import Shop

SIGNS = {"EUR": "€", "GBP": "£", "USD": "$"}


@dataclass(frozen=True, slots=True)
class Card:
    """An item as a page shows it. was : its price before a reduction, "" where it isn't reduced.  off : by how many in 100."""

    external_id: str
    title: str
    price: str
    url: str
    picture: str
    in_stock: bool
    was: str = ""
    off: int = 0


def card(shop: Shop, found: Item) -> Card:
    """The item's card."""
    where = {"slug": shop.slug, "external_id": found.external_id}
    was, off = "", 0
    if found.price is not None and found.regular_price is not None and found.price < found.regular_price:
        was, off = money(shop, found.regular_price), round(100 * (1 - found.price / found.regular_price))
    return Card(
        external_id=found.external_id,
        title=readable(found.title) or found.external_id,
        price=money(shop, found.price),
        url=reverse("storefront:item", kwargs=where),
        picture=reverse("storefront:picture", kwargs=where),
        in_stock=found.in_stock,
        was=was,
        off=off,
    )


def readable(title: str) -> str:
    """A title in sentence case where a shop shouts it."""
    return title.capitalize() if title.isupper() else title


def money(shop: Shop, price: Decimal | None) -> str:
    """A price with its sign, "" if there is none."""
    if price is None:
        return ""
    sign = SIGNS.get(shop.currency)
    return f"{sign}{price:,.2f}" if sign else f"{price:,.2f} {shop.currency}"
