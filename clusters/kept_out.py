"""Kinds of items that a cluster takes in none of, whatever learning finds: "discount=reduced", "brand=Acme", "price=100..".

A kind is a descriptor as catalogues have it (`clusters.catalogue`), or a range of prices with both ends in it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal, InvalidOperation

import numpy as np

from clusters.catalogue import MISSING, PRICE_TIERS, Catalogue, ItemRow

REDUCED = "discount=reduced"
NAMES = ("category", "brand", "colour", "tag")
"""Kinds whose value is any word of the shop's."""

KINDS = (*NAMES, "price_tier", "price", "discount")
MAX_VALUE = 120
MOST = 20
"""Kinds that one cluster may keep out."""

_RANGE = re.compile(r"(?P<low>[0-9.,]*?)\.\.(?P<high>[0-9.,]*)")
_COMMA = re.compile(r"[0-9]*,[0-9]{1,2}")
"""An amount as much of the world writes it, "19,90". With three digits after it, it may as well part thousands."""

_TIERS = {"low": "cheap for their category", "middle": "below the middle price of their category"} | {
    "upper": "above the middle price of their category",
    "top": "dear for their category",
}


def read(text: object) -> str:
    """A kind in its one written form. Raises ValueError with the reason, to follow the field's name in a sentence."""
    if not isinstance(text, str) or "=" not in text:
        raise ValueError('must be written as "brand=Acme", "discount=reduced" or "price=100.."')
    name, _, value = (part.strip() for part in text.partition("="))
    if name not in KINDS:
        raise ValueError(f"is about {name[:40]!r}, which must be one of {', '.join(KINDS)}")
    if not value or len(value) > MAX_VALUE or not value.isprintable():
        raise ValueError(f"must have a value of 1 to {MAX_VALUE} characters after the {name}")
    if name == "discount" and value != "reduced":
        raise ValueError('knows of a discount only "reduced": below the regular price')
    if name == "price_tier" and value not in PRICE_TIERS:
        raise ValueError(f"has the price tier {value[:40]!r}, which must be one of {', '.join(PRICE_TIERS)}")
    if name == "price":
        low, high = _range(value)
        value = f"{_plain(low)}..{_plain(high)}"
    return f"{name}={value}"


def price_range(kind: str) -> tuple[float, float]:
    """Least and greatest price of a "price=..." as `read` writes it, infinite where it has none."""
    low, high = _range(kind.partition("=")[2])
    return float("-inf") if low is None else float(low), float("inf") if high is None else float(high)


def _range(value: str) -> tuple[Decimal | None, Decimal | None]:
    told = _RANGE.fullmatch(value)
    if told is None or not (told["low"] or told["high"]):
        raise ValueError('must have a price as "100..", "..20" or "20..100"')
    low, high = (_amount(told[end]) for end in ("low", "high"))
    if low is not None and high is not None and low > high:
        raise ValueError(f"has a price from {low:f} up to {high:f}: none can be both")
    if any(end is not None and end >= Decimal(10) ** 10 for end in (low, high)):
        raise ValueError("has a price that is above all that an item may have")
    return low, high


def _amount(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        return Decimal(text.replace(",", ".") if _COMMA.fullmatch(text) else text)
    except InvalidOperation as error:
        raise ValueError(f'has {text[:40]!r}, which must be a number such as "1200" or "19.90", with a point') from error


def _plain(end: Decimal | None) -> str:
    if end is None:
        return ""
    told = f"{end:f}"
    return told.rstrip("0").rstrip(".") or "0" if "." in told else told.lstrip("0") or "0"


def words(kind: str) -> str:
    """What such items are, to follow "items": "reduced in price"."""
    name, _, value = kind.partition("=")
    if kind == REDUCED:
        return "reduced in price"
    if name == "price_tier":
        return _TIERS.get(value, f"of the price tier {value}")
    if name == "price":
        low, _, high = value.partition("..")
        return f"priced {low} to {high}" if low and high else f"priced {low} or more" if low else f"priced {high} or less"
    return f"tagged {value}" if name == "tag" else f"of the {name} {value}"


def under(catalogue: Catalogue, kinds: Collection[str]) -> np.ndarray:
    """(n,) bool, the items of a catalogue that are of any of these kinds. A value that the catalogue lacks is nobody's."""
    found = np.zeros(len(catalogue), dtype=bool)
    columns = []
    for kind in kinds:
        name, _, value = kind.partition("=")
        if name == "price":
            low, high = np.float32(price_range(kind)[0]), np.float32(price_range(kind)[1])
            with np.errstate(invalid="ignore"):
                found |= (catalogue.price >= low) & (catalogue.price <= high)
        elif name == "discount":
            found |= catalogue.reduced if len(catalogue.reduced) else False
        elif name == "price_tier":
            found |= catalogue.price_tier == PRICE_TIERS.index(value)
        elif name in ("category", "brand", "colour"):
            codes, known = _coded(catalogue, name)
            found |= (codes == known.index(value)) & (codes != MISSING) if value in known else False
        elif kind in catalogue.descriptors:
            columns.append(catalogue.descriptors.index(kind))
    if columns:
        found |= np.asarray(catalogue.item_descriptors[:, columns].sum(axis=1)).ravel() > 0
    return found


def tagged(rows: Sequence[ItemRow], kinds: Collection[str]) -> np.ndarray:
    """(m,) bool, the rows that have a tag of these kinds, one that no catalogue knows yet too."""
    return np.array([any(f"tag={tag}" in kinds for tag in row.tags) for row in rows], dtype=bool)


def _coded(catalogue: Catalogue, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    if name == "category":
        return catalogue.category, catalogue.categories
    return (catalogue.brand, catalogue.brands) if name == "brand" else (catalogue.colour, catalogue.colours)


def listed(kinds: Iterable[str]) -> str:
    """Kinds in words, in their order: "reduced in price or of the brand Acme"."""
    return " or ".join(words(kind) for kind in kinds)
