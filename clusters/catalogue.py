"""Item facts as arrays: what the engine knows of every item of a shop.

Positions are places in these arrays, ordered by item id; they change from release to release. Ids don't, and
are all that is stored outside a release.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from clusters.currencies import number_of_currency
from personas.components import Text
from personas.events import UNKNOWN_ITEM
from personas.sessions import NO_ITEM

PRICE_TIERS = ("low", "middle", "upper", "top")
MISSING = -1
MAX_TERMS = 2_000
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class ItemRow:
    """One item as it comes from the database or a file; "" and None where unknown.

    group : by `group_number`, what its variants have in common; 0 for none.  currency : its own, "" for the shop's.
    """

    item_id: int
    external_id: str
    title: str = ""
    category: str = ""
    brand: str = ""
    colour: str = ""
    price: float | None = None
    in_stock: bool = True
    tags: tuple[str, ...] = ()
    regular_price: float | None = None
    cost: float | None = None
    group: int = 0
    currency: str = ""


@dataclass(frozen=True)
class Catalogue:
    """Facts of n items over D descriptors.

    item_ids : (n,) int64, ascending.
    category : (n,) int16 into `categories`, `MISSING` where unknown; brand and colour likewise (int32, int16).
    price : (n,) float32, NaN where unknown.
    price_tier : (n,) int8, 0..3, quartile of the price *within the item's category*; `MISSING` without a price.
    in_stock : (n,) bool.
    reduced : (n,) bool, whether the item sells below its regular price; empty where no item has a regular price.
    descriptors : D names such as "category=skirts", "price_tier=top", "discount=reduced", "colour=blue", "brand=x",
        "tag=x", "term=lace".
    item_descriptors : (n, D) float32 CSR, 1.0 where the item has the descriptor.
    cost : (n,) float32 what the shop pays for the item, NaN where unknown; None where no item has one.
    group : (n,) int64 by `group_number`, the same for the variants of one product, 0 for an item of its own; None where all are.
    currency : (n,) int16 by `number_of_currency`, 0 where it is the shop's; None where it is everywhere.
    """

    item_ids: np.ndarray
    external_ids: Text
    titles: Text
    categories: tuple[str, ...]
    category: np.ndarray
    brands: tuple[str, ...]
    brand: np.ndarray
    colours: tuple[str, ...]
    colour: np.ndarray
    price: np.ndarray
    price_tier: np.ndarray
    in_stock: np.ndarray
    reduced: np.ndarray
    descriptors: tuple[str, ...]
    item_descriptors: sparse.csr_matrix
    cost: np.ndarray | None = None
    group: np.ndarray | None = None
    currency: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def id_of(self) -> Mapping[str, int]:
        """External id -> item id."""
        return {self.external_ids[i]: int(item) for i, item in enumerate(self.item_ids.tolist())}

    @cached_property
    def _position_of(self) -> Mapping[int, int]:
        return {item: i for i, item in enumerate(self.item_ids.tolist())}

    def texts(self) -> Iterator[str]:
        """Of each item in turn, what shoppers may search it by: title, category, brand, colour and tags."""
        kinds = ("category", "brand", "colour", "tag")
        values = [value if kind in kinds else "" for kind, _, value in (name.partition("=") for name in self.descriptors)]
        matrix = self.item_descriptors
        for i in range(len(self)):
            title = self.titles[i]
            said = [] if title == self.external_ids[i] else [title]  # an id stands in for a title that is missing
            said += [values[j] for j in matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]].tolist()]
            yield " ".join(filter(None, said))

    def ids_of(self, externals: Sequence[str]) -> list[int]:
        """Item ids of external ids, `UNKNOWN_ITEM` for those that the catalogue lacks."""
        return [self.id_of.get(e, UNKNOWN_ITEM) for e in externals]

    @cached_property
    def _by_group(self) -> tuple[np.ndarray, np.ndarray]:
        """The items that have a group, by it: their positions, and their groups, ascending."""
        group = self.group if self.group is not None else np.zeros(0, dtype=np.int64)
        order = np.argsort(group, kind="stable")[int((group == 0).sum()) :]
        return order, group[order]

    def variants(self, position: int) -> list[int]:
        """Positions of the other items of an item's group; none of an item of its own."""
        if self.group is None or not (group := self.group.item(position)):
            return []
        order, groups = self._by_group
        first, last = np.searchsorted(groups, (group, group + 1)).tolist()
        return [p for p in order[first:last].tolist() if p != position]

    def position(self, item_id: int) -> int:
        """Position of an item id, `NO_ITEM` if the catalogue lacks it."""
        return self._position_of.get(item_id, NO_ITEM)

    def positions(self, item_ids: Iterable[int]) -> np.ndarray:
        """(m,) int32 positions, `NO_ITEM` where unknown."""
        return np.fromiter((self._position_of.get(i, NO_ITEM) for i in item_ids), dtype=np.int32)


def build_catalogue(rows: Iterable[ItemRow]) -> Catalogue:
    """Facts from rows in any order. An empty catalogue is allowed. Raises ValueError on a repeated or bad id."""
    items = sorted(rows, key=lambda r: r.item_id)
    ids = np.array([r.item_id for r in items], dtype=np.int64)
    if len(ids) and (ids[0] <= UNKNOWN_ITEM or (np.diff(ids) == 0).any()):
        raise ValueError(f"item ids must be distinct and above {UNKNOWN_ITEM}; got {ids[:5].tolist()}...")
    category, categories = _codes([r.category for r in items], np.int16)
    brand, brands = _codes([r.brand for r in items], np.int32)
    colour, colours = _codes([r.colour for r in items], np.int16)
    price = np.array([np.nan if r.price is None else r.price for r in items], dtype=np.float32)
    tier = price_tiers(price, category)
    reduced = _reduced(items)
    names, matrix = _descriptors(items, tier, reduced)
    return Catalogue(
        item_ids=ids,
        external_ids=Text.of(r.external_id for r in items),
        titles=Text.of(r.title or r.external_id for r in items),
        categories=categories,
        category=category,
        brands=brands,
        brand=brand,
        colours=colours,
        colour=colour,
        price=price,
        price_tier=tier,
        in_stock=np.array([r.in_stock for r in items], dtype=bool),
        reduced=reduced,
        descriptors=names,
        item_descriptors=matrix,
        cost=_costs(items),
        group=groups_of(items),
        currency=currencies_of(items),
    )


def group_number(name: str) -> int:
    """A group's id, as the shop writes it, as a number above 0, the same in all catalogues; 0 for ""."""
    return 1 + (int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 2) if name else 0


def groups_of(items: Sequence[ItemRow]) -> np.ndarray | None:
    """`Catalogue.group`."""
    return np.array([r.group for r in items], dtype=np.int64) if any(r.group for r in items) else None


def currencies_of(items: Sequence[ItemRow]) -> np.ndarray | None:
    """`Catalogue.currency`."""
    if not any(r.currency for r in items):
        return None
    return np.array([number_of_currency(r.currency) for r in items], dtype=np.int16)


def price_tiers(price: np.ndarray, category: np.ndarray) -> np.ndarray:
    """(n,) int8 quartile of each price within its category; items without a category form one of their own."""
    tier = np.full(len(price), MISSING, dtype=np.int8)
    for code in np.unique(category):
        rows = np.flatnonzero((category == code) & ~np.isnan(price))
        if len(rows):
            cuts = np.quantile(price[rows], (0.25, 0.5, 0.75))
            tier[rows] = np.searchsorted(cuts, price[rows], side="left").astype(np.int8)
    return tier


def terms(text: str) -> list[str]:
    """Lower-case words of at least three letters, accents removed."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return _WORD.findall(plain)


def _reduced(items: list[ItemRow]) -> np.ndarray:
    """`Catalogue.reduced`; an item without a price, or without a regular one beside others that have it, is at full price."""
    if all(r.regular_price is None for r in items):
        return np.zeros(0, dtype=bool)
    prices = ((r.price, r.regular_price) for r in items)
    return np.array([price is not None and regular is not None and price < regular for price, regular in prices], dtype=bool)


def _costs(items: list[ItemRow]) -> np.ndarray | None:
    if all(r.cost is None for r in items):
        return None
    return np.array([np.nan if r.cost is None else r.cost for r in items], dtype=np.float32)


def _codes(values: list[str], dtype: type) -> tuple[np.ndarray, tuple[str, ...]]:
    names = tuple(sorted({v for v in values if v}))
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(v, MISSING) for v in values], dtype=dtype), names


def _descriptors(items: list[ItemRow], tier: np.ndarray, reduced: np.ndarray) -> tuple[tuple[str, ...], sparse.csr_matrix]:
    """Descriptors of each item; of the titles' terms, those that at least 3 items and at most a third share."""
    frequency: dict[str, int] = {}
    item_terms = [sorted(set(terms(r.title))) for r in items]
    for words in item_terms:
        for word in words:
            frequency[word] = frequency.get(word, 0) + 1
    kept = sorted((w for w, f in frequency.items() if 3 <= f <= max(3, len(items) / 3)), key=lambda w: (-frequency[w], w))
    vocabulary = set(kept[:MAX_TERMS])
    index: dict[str, int] = {}
    indices: list[int] = []
    indptr = [0]
    cut = reduced.tolist() or [False] * len(items)
    for row, words, t, less in zip(items, item_terms, tier.tolist(), cut, strict=True):
        names = [
            f"{kind}={value}"
            for kind, value in (("category", row.category), ("brand", row.brand), ("colour", row.colour))
            if value
        ]
        if t != MISSING:
            names.append(f"price_tier={PRICE_TIERS[t]}")
        if less:
            names.append("discount=reduced")
        names += [f"tag={tag}" for tag in dict.fromkeys(row.tags)]
        names += [f"term={w}" for w in words if w in vocabulary]
        indices += [index.setdefault(name, len(index)) for name in names]
        indptr.append(len(indices))
    parts = (np.ones(len(indices), dtype=np.float32), np.array(indices, dtype=np.int32), np.array(indptr, dtype=np.int32))
    return tuple(index), sparse.csr_matrix(parts, shape=(len(items), len(index)))
