"""Items as shops write them, of files, feeds and requests, to the fields of a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from clusters.currencies import CURRENCIES
from personas.events import EventError, check_id
from personas.importing import flag_of, number_of, renamed, text_of, words_of

ITEM_COLUMNS = {
    "id": "item_id",
    "itemid": "item_id",
    "product_id": "item_id",
    "sku": "item_id",
    "external_id": "item_id",
    "name": "title",
    "color": "colour",
    "image": "image_url",
    "image_link": "image_url",
    "availability": "in_stock",
    "stock": "in_stock",
    "list_price": "regular_price",
    "original_price": "regular_price",
    "compare_at_price": "regular_price",
    "cost_price": "cost",
    "cost_per_item": "cost",
    "cost_of_goods_sold": "cost",
    "group": "item_group_id",
    "group_id": "item_group_id",
    "parent_id": "item_group_id",
    "primary_product_id": "item_group_id",
    "currency_code": "currency",
    "price_currency": "currency",
}
_TEXTS = {"title": 300, "description": 20_000, "category": 120, "brand": 120, "colour": 60, "image_url": 500}
_STOCK = {"in_stock": True, "in stock": True, "available": True}
_STOCK |= {"preorder": True, "backorder": True}  # what can be ordered can be recommended
_STOCK |= {"out_of_stock": False, "out of stock": False, "unavailable": False}
_MONEY = re.compile(r"(?P<before>[A-Za-z]{3})?\s*(?P<amount>[+-]?[\d.,]+)\s*(?P<after>[A-Za-z]{3})?")
_PIECES = re.compile(r"[+-]?\d+(\.\d*)?")

PRICES = ("price", "regular_price", "cost")


def item_fields(raw: Mapping[str, object]) -> dict[str, Any]:
    """Model fields of one record; only those that it has, and `external_id`.

    Prices may come with their currency, "15.00 USD", and a sale price beside the regular one, as feeds have them. What is no
    field of an item is kept in its attributes. Raises EventError.
    """
    values = renamed(raw, ITEM_COLUMNS)
    external = values.pop("item_id", None)
    fields: dict[str, Any] = {"external_id": check_id("item_id", _trimmed(external))}
    for name, limit in _TEXTS.items():
        if name in values:
            fields[name] = text_of(name, values.pop(name), limit)
    if "sale_price" in values and (sale := values.pop("sale_price")) not in (None, ""):
        values["price"], values["regular_price"] = sale, values.get("regular_price") or values.get("price")
    said: dict[str, str] = {}
    for name in PRICES:
        if name in values:
            amount, code = _money(name, values.pop(name))
            price = number_of(name, amount)
            fields[name] = None if price is None else Decimal(repr(round(price, 4)))
            if code:
                said.setdefault(code, name)
    if len(said) > 1:
        raise EventError([*said.values()][1], f"is in {[*said][1]}, the price in {[*said][0]}")
    if "currency" in values:
        fields["currency"] = currency_of(values.pop("currency"))
    if said and fields.setdefault("currency", *said) != [*said][0]:
        raise EventError("currency", f"is {fields['currency']}, the price in {[*said][0]}")
    if "item_group_id" in values:
        group = values.pop("item_group_id")
        fields["item_group_id"] = "" if group in (None, "") else check_id("item_group_id", _trimmed(group))
    if "in_stock" in values:
        fields["in_stock"] = _in_stock(values.pop("in_stock"))
    if "tags" in values:
        fields["tags"] = _tags(values.pop("tags"))
    if values:
        fields["attributes"] = words_of(values, limit=300, most=60)
    return fields


def whole_item(raw: Mapping[str, object]) -> dict[str, Any]:
    """As `item_fields`, with what the record lacks empty: an item in the place of what was known of it. Raises EventError."""
    nothing: dict[str, Any] = {name: "" for name in (*_TEXTS, "currency", "item_group_id")}
    nothing |= dict.fromkeys(PRICES) | {"in_stock": True, "tags": [], "attributes": {}}
    return nothing | item_fields(raw)


def currency_of(value: object) -> str:
    """A code of ISO 4217 in capitals, "" where there is none. Raises EventError."""
    code = text_of("currency", value, 300).upper()
    if code and code not in CURRENCIES:
        raise EventError("currency", f"{code[:40]!r} is no currency of ISO 4217, such as EUR")
    return code


def _money(name: str, value: object) -> tuple[object, str]:
    """An amount and its currency, "" where it has none: "15.00 USD" or "USD 15.00". Raises EventError."""
    if not isinstance(value, str) or value[-1:].isdigit() and value[:1].isdigit():
        return value, ""
    match = _MONEY.fullmatch(value.strip())
    code = match and (match["after"] or match["before"])
    if not match or not code:
        return value, ""
    if code.upper() not in CURRENCIES:
        raise EventError(name, f"{code!r} is no currency of ISO 4217")
    return match["amount"], code.upper()


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _in_stock(value: object) -> bool:
    """True from a number of pieces above 0, a word of `_STOCK`, yes or true; where nothing is said, too. Raises EventError."""
    word = str(value).strip().lower()
    if word in _STOCK:
        return _STOCK[word]
    if _PIECES.fullmatch(word):
        return float(word) > 0
    stock = flag_of("in_stock", value)
    return True if stock is None else stock


def _tags(value: object) -> list[str]:
    """Tags from a list, or from text split at "|", ";" or ",", whichever it has first in that order."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        value = value.split(next((c for c in "|;," if c in value), "|"))
    if not isinstance(value, list):
        raise EventError("tags", "must be a list, or text split at |")
    tags = [tag for v in value if (tag := text_of("tags", v, 60))]
    if len(tags) > 50:
        raise EventError("tags", f"has {len(tags)} tags, more than 50")
    return list(dict.fromkeys(tags))
