"""A catalogue with other prices and stock, and with more items: what a shop changes between two trainings.

Positions stay, new items come after the others, and descriptors stay the same D: what a training hasn't seen means nothing to
what it learned. Arrays are copied only where they change, so that those mapped from disk stay shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters.catalogue import MISSING, PRICE_TIERS, Catalogue, ItemRow, currencies_of, groups_of, terms
from personas.components import Text

REDUCED = "discount=reduced"


class Offers(NamedTuple):
    """What items sell for now, as arrays of m.

    positions : (m,) int, each once.  price, regular_price, cost : (m,) float, NaN where unknown.  in_stock : (m,) bool.
    group, currency : (m,) int, as `Catalogue` has them.
    """

    positions: np.ndarray
    price: np.ndarray
    regular_price: np.ndarray
    in_stock: np.ndarray
    cost: np.ndarray
    group: np.ndarray
    currency: np.ndarray


def with_offers(catalogue: Catalogue, offers: Offers) -> Catalogue:
    """The catalogue with these offers in place of what the items sold for.

    The price tier is read from the catalogue's own cuts within the item's category, which don't move with a few prices.
    """
    at = offers.positions
    price = offers.price.astype(np.float32)
    tier = tiers_of(catalogue, price, catalogue.category[at])
    reduced = offers.price < offers.regular_price  # NaN is not below anything
    had_reduced = _reduced(catalogue)
    told = _said(catalogue.item_descriptors, catalogue.descriptors, at, tier, reduced)
    changed = replace(
        catalogue,
        price=_changed(catalogue.price, at, price),
        price_tier=_changed(catalogue.price_tier, at, tier),
        in_stock=_changed(catalogue.in_stock, at, offers.in_stock),
        reduced=catalogue.reduced if had_reduced is None and not reduced.any() else _changed(_or_none(catalogue), at, reduced),
        item_descriptors=told,
        cost=_costs(catalogue.cost, len(catalogue), at, offers.cost),
        group=_numbers(catalogue.group, len(catalogue), at, offers.group, np.int64),
        currency=_numbers(catalogue.currency, len(catalogue), at, offers.currency, np.int16),
    )
    return _finding(changed, catalogue)


def with_items(catalogue: Catalogue, rows: Sequence[ItemRow]) -> Catalogue:
    """The catalogue with more items, after the others and by their ids. Names that it lacks come after its own.

    Raises ValueError on an id that it has, or that comes twice.
    """
    rows = sorted(rows, key=lambda row: row.item_id)
    if not rows:
        return catalogue
    ids = np.array([row.item_id for row in rows], dtype=np.int64)
    if len(np.unique(ids)) < len(ids) or np.isin(ids, catalogue.item_ids).any():
        raise ValueError(f"new items must have ids that the catalogue lacks, each once; got {ids[:5].tolist()}...")
    category, categories = _more_codes(catalogue.categories, [row.category for row in rows], catalogue.category.dtype)
    brand, brands = _more_codes(catalogue.brands, [row.brand for row in rows], catalogue.brand.dtype)
    colour, colours = _more_codes(catalogue.colours, [row.colour for row in rows], catalogue.colour.dtype)
    price = np.array([np.nan if row.price is None else row.price for row in rows], dtype=np.float32)
    tier = tiers_of(catalogue, price, category)
    reduced = np.array([_is_reduced(row) for row in rows], dtype=bool)
    cost = np.array([np.nan if row.cost is None else row.cost for row in rows], dtype=np.float32)
    before = np.full(len(catalogue), np.nan, dtype=np.float32) if catalogue.cost is None else catalogue.cost
    knows_regular = len(catalogue.reduced) > 0 or reduced.any()
    longer = replace(
        catalogue,
        item_ids=np.append(catalogue.item_ids, ids),
        external_ids=_longer(catalogue.external_ids, [row.external_id for row in rows]),
        titles=_longer(catalogue.titles, [row.title or row.external_id for row in rows]),
        categories=categories,
        category=np.append(catalogue.category, category),
        brands=brands,
        brand=np.append(catalogue.brand, brand),
        colours=colours,
        colour=np.append(catalogue.colour, colour),
        price=np.append(catalogue.price, price),
        price_tier=np.append(catalogue.price_tier, tier),
        in_stock=np.append(catalogue.in_stock, [row.in_stock for row in rows]),
        reduced=np.append(_or_none(catalogue), reduced) if knows_regular else catalogue.reduced,
        item_descriptors=sparse.csr_matrix(
            sparse.vstack([catalogue.item_descriptors, described(catalogue.descriptors, rows, tier)]), dtype=np.float32
        ),
        cost=catalogue.cost if catalogue.cost is None and np.isnan(cost).all() else np.append(before, cost),
        group=_longer_numbers(catalogue.group, len(catalogue), groups_of(rows), len(rows)),
        currency=_longer_numbers(catalogue.currency, len(catalogue), currencies_of(rows), len(rows)),
    )
    return _finding(longer, catalogue, rows)


def _finding(changed: Catalogue, before: Catalogue, new: Sequence[ItemRow] = ()) -> Catalogue:
    """`changed` with where its items are, of the catalogue before and the new: what else takes longest to find out."""
    n = len(before)
    places = {row.item_id: n + i for i, row in enumerate(new)}
    ids = {row.external_id: row.item_id for row in new}
    vars(changed)["_position_of"] = {**before._position_of, **places} if new else before._position_of
    vars(changed)["id_of"] = {**before.id_of, **ids} if new else before.id_of
    return changed


def tiers_of(catalogue: Catalogue, price: np.ndarray, category: np.ndarray) -> np.ndarray:
    """(m,) int8 quartile of each price among the catalogue's prices in that category; `MISSING` where there is none.

    price : (m,) float32, NaN where unknown.  category : (m,) codes, those that the catalogue lacks too.
    """
    tier = np.full(len(price), MISSING, dtype=np.int8)
    priced = ~np.isnan(catalogue.price)
    for code in np.unique(category).tolist():
        here = np.flatnonzero((category == code) & ~np.isnan(price))
        others = catalogue.price[(catalogue.category == code) & priced] if len(here) else price[:0]
        if len(others):
            cuts = np.quantile(others, (0.25, 0.5, 0.75))
            tier[here] = np.searchsorted(cuts, price[here], side="left").astype(np.int8)
    return tier


def described(descriptors: Sequence[str], rows: Sequence[ItemRow], tier: np.ndarray) -> sparse.csr_matrix:
    """(m, D) the descriptors of m rows, of those that there are. tier : (m,) int8."""
    index = {name: i for i, name in enumerate(descriptors)}
    indices: list[int] = []
    indptr = [0]
    for row, t in zip(rows, tier.tolist(), strict=True):
        names = [f"category={row.category}", f"brand={row.brand}", f"colour={row.colour}"]
        names += [f"price_tier={PRICE_TIERS[t]}"] if t != MISSING else []
        names += [REDUCED] if _is_reduced(row) else []
        names += [f"tag={tag}" for tag in row.tags]
        names += [f"term={word}" for word in sorted(set(terms(row.title)))]
        indices += [index[name] for name in dict.fromkeys(names) if name in index]
        indptr.append(len(indices))
    parts = (np.ones(len(indices), dtype=np.float32), np.array(indices, dtype=np.int32), np.array(indptr, dtype=np.int32))
    return sparse.csr_matrix(parts, shape=(len(rows), len(descriptors)))


def _is_reduced(row: ItemRow) -> bool:
    return row.price is not None and row.regular_price is not None and row.price < row.regular_price


def _reduced(catalogue: Catalogue) -> np.ndarray | None:
    return catalogue.reduced if len(catalogue.reduced) else None


def _or_none(catalogue: Catalogue) -> np.ndarray:
    """(n,) `reduced`, also of a shop that has no regular prices."""
    return catalogue.reduced if len(catalogue.reduced) else np.zeros(len(catalogue), dtype=bool)


def _changed(array: np.ndarray, at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The array itself where nothing differs, else a copy with the values."""
    same = array[at] == values
    if array.dtype.kind == "f":
        same |= np.isnan(array[at]) & np.isnan(values)
    if same.all():
        return array
    changed = np.array(array)
    changed[at] = values
    return changed


def _costs(cost: np.ndarray | None, n: int, at: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    if cost is None:
        if np.isnan(values).all():
            return None
        cost = np.full(n, np.nan, dtype=np.float32)
    return _changed(cost, at, values.astype(np.float32))


def _numbers(held: np.ndarray | None, n: int, at: np.ndarray, values: np.ndarray, dtype: type) -> np.ndarray | None:
    """Numbers of which 0 says nothing, None where all do, with other values at some places."""
    if held is None:
        if not values.any():
            return None
        held = np.zeros(n, dtype=dtype)
    return _changed(held, at, values.astype(dtype))


def _longer_numbers(held: np.ndarray | None, n: int, more: np.ndarray | None, m: int) -> np.ndarray | None:
    """The same of n items with those of m more after them."""
    if held is None and more is None:
        return None
    dtype = (held if held is not None else more).dtype  # type: ignore[union-attr]
    return np.append(
        held if held is not None else np.zeros(n, dtype=dtype), more if more is not None else np.zeros(m, dtype=dtype)
    )


def _said(
    matrix: sparse.csr_matrix, names: Sequence[str], at: np.ndarray, tier: np.ndarray, reduced: np.ndarray
) -> sparse.csr_matrix:
    """The descriptors with the tiers and reductions of the items at `at`; others as they were."""
    index = {name: i for i, name in enumerate(names)}
    tiers = [index.get(f"price_tier={name}", MISSING) for name in PRICE_TIERS]
    cut = index.get(REDUCED, MISSING)
    spoken = {column for column in (*tiers, cut) if column != MISSING}
    rows: dict[int, list[int]] = {}
    indptr, indices = matrix.indptr, matrix.indices
    starts, stops = indptr[at].tolist(), indptr[at + 1].tolist()
    for row, start, stop, t, less in zip(at.tolist(), starts, stops, tier.tolist(), reduced.tolist(), strict=True):
        had = indices[start:stop].tolist()
        wanted = {tiers[t] if t != MISSING else MISSING, cut if less else MISSING} - {MISSING}
        if wanted != spoken.intersection(had):
            rows[row] = [column for column in had if column not in spoken] + sorted(wanted)
    if not rows:
        return matrix
    changed = np.array(sorted(rows), dtype=np.intp)
    lengths = np.diff(indptr)
    new_lengths = lengths.copy()
    new_lengths[changed] = [len(rows[row]) for row in changed.tolist()]
    new_indptr = np.concatenate(([0], np.cumsum(new_lengths))).astype(indptr.dtype)
    is_changed = np.zeros(len(lengths), dtype=bool)
    is_changed[changed] = True
    new_indices = np.empty(int(new_indptr[-1]), dtype=indices.dtype)
    new_changed = np.repeat(is_changed, new_lengths)
    new_indices[~new_changed] = indices[~np.repeat(is_changed, lengths)]
    new_indices[new_changed] = [column for row in changed.tolist() for column in rows[row]]
    parts = (np.ones(len(new_indices), dtype=np.float32), new_indices, new_indptr)
    return sparse.csr_matrix(parts, shape=matrix.shape)


def _more_codes(names: tuple[str, ...], values: Sequence[str], dtype: np.dtype) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes of values, and the names with those that they lacked after them."""
    known = set(names)
    names = (*names, *sorted({value for value in values if value} - known))
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(value, MISSING) for value in values], dtype=dtype), names


def _longer(text: Text, strings: Sequence[str]) -> Text:
    more = Text.of(strings)
    return Text(np.concatenate((text.blob, more.blob)), np.concatenate((text.offsets, text.offsets[-1] + more.offsets[1:])))
