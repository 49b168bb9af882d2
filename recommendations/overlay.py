"""The live overlay: what changes over a release without training, and the engine with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from clusters import catalogue_changes, kept_out
from clusters.bounds import Bounds
from clusters.catalogue import Catalogue, ItemRow
from clusters.catalogue_changes import Offers
from clusters.currencies import currency_of_number, number_of_currency
from clusters.item_clusters import NO_CLUSTER, ItemClusters
from personas.profile import PersonaModel
from personas.sessions import NO_ITEM
from recommendations.ranking import new_items
from recommendations.ranking.new_items import Kin
from recommendations.ranking.rules import Rule

if TYPE_CHECKING:
    from clusters.policy import Policy
    from recommendations.parts import Engine

MEMBERSHIPS = 3
"""Clusters that a new item joins, the strongest of its kin's."""


class Offer(NamedTuple):
    """What an item sells for now. price, regular_price, cost : None where unknown.  group, currency : as `ItemRow` has them."""

    price: float | None
    regular_price: float | None
    in_stock: bool
    cost: float | None = None
    group: int = 0
    currency: str = ""


@dataclass(frozen=True)
class Overlay:
    """What a shop's rows say now, where that differs from what the release was trained on.

    version : counts the changes; the same on every process, and logged with each slate.
    offers : item id -> what it sells for.  items : new ones.  gone : ids of those taken out of the catalogue.
    rules : all that are switched on, whatever their dates.  bounds : of the adaptation, as the merchandiser set them.
    currency : the shop's, of items that have none of their own; "" of an overlay of before it was told.
    """

    version: int = 0
    offers: Mapping[int, Offer] = field(default_factory=dict)
    items: tuple[ItemRow, ...] = ()
    gone: frozenset[int] = frozenset()
    rules: tuple[Rule, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)
    currency: str = ""


NO_OVERLAY = Overlay()


def over(before: Overlay, after: Overlay) -> Overlay:
    """`after`, and what `before` says of items that it doesn't speak of: of two that were made over different releases."""
    items = {row.item_id: row for row in (*before.items, *after.items)}
    spoken = after.offers.keys() | {row.item_id for row in after.items}
    return replace(
        after,
        offers={**before.offers, **after.offers},
        items=tuple(row for _, row in sorted(items.items())),
        gone=(before.gone - spoken) | after.gone,
    )


_DERIVED = {
    "layout": ("ranker", "clusters"),
    "shelves": ("ranker", "personas"),
    "companions": ("ranker", "catalogue.category"),
    "likeness": ("ranker", "catalogue"),
    "sieve": ("ranker", "catalogue"),
    "out_of_stock": ("catalogue",),
    "gone": ("catalogue", "overlay.gone"),
    "reach": ("clusters", "catalogue", "bounds"),
    "rule_set": ("overlay.rules", "catalogue", "clusters", "personas", "ranker"),
}
"""What an engine derives when it is first needed, and the components that it is made of."""


def with_overlay(engine: Engine, overlay: Overlay) -> Engine:
    """The engine of the same release under this overlay and no other: one that the engine is under already is taken off.

    Any release will do: what it knows already, or lacks, of an overlay made over another is left out. Arrays are copied only
    where they change. New items are given what their kin have (`ranking.new_items`), and come after the release's own.
    """
    bare = engine if engine.bare is None else engine.bare
    if overlay == NO_OVERLAY:
        return bare
    now = engine.overlay
    if engine.bare is not None and (now.offers, now.items, now.gone) == (overlay.offers, overlay.items, overlay.gone):
        return _carried((engine,), replace(engine, overlay=overlay, bounds=overlay.bounds))
    catalogue = _offered(bare.catalogue, overlay)
    rows = _new(bare.catalogue, overlay)
    clusters = _kept_to_kinds(bare.clusters, catalogue)
    changed = replace(bare, bare=bare, overlay=overlay, catalogue=catalogue, bounds=overlay.bounds)
    if not rows:
        clusters = _same_as(clusters, engine.clusters)
        return _carried((bare, engine), replace(changed, personas=_repriced(bare.personas, catalogue), clusters=clusters))
    n, catalogue = len(catalogue), catalogue_changes.with_items(catalogue, rows)
    if engine.bare is not None and rows == _new(bare.catalogue, now):  # what they borrow doesn't depend on prices and stock
        personas = _repriced(engine.personas, catalogue)
        if bare.clusters.bars:  # but where they may be does
            kin = new_items.find_kin(
                bare.catalogue.item_descriptors, catalogue.item_descriptors[n:], new_items.seen_by(bare.ranker)
            )
            clusters = _same_as(_with_more_members(clusters, catalogue, rows, kin), engine.clusters)
        else:
            clusters = engine.clusters
        return _carried(
            (engine,), replace(changed, catalogue=catalogue, personas=personas, clusters=clusters, ranker=engine.ranker)
        )
    own, others = bare.catalogue.item_descriptors, catalogue.item_descriptors[n:]
    kin = new_items.find_kin(own, others, new_items.seen_by(bare.ranker))
    return replace(
        changed,
        catalogue=catalogue,
        personas=_with_more_facts(bare.personas, bare.catalogue, catalogue, kin),
        clusters=_with_more_members(clusters, catalogue, rows, kin),
        ranker=new_items.with_more(bare.ranker, kin),
    )


def with_arm(
    engine: Engine, *, policy: Policy | None = None, clusters: ItemClusters | None = None, bounds: Bounds | None = None
) -> Engine:
    """The engine of an experiment's arm: another policy, clusters or bounds, None for the same, under the same overlay.

    clusters : of the release's catalogue; new items join those of their kin. All that doesn't depend on what differs is shared.
    Not to be put under another overlay: arms are made of the shop's engine each time that it changes.
    """
    arm = replace(engine, policy=policy or engine.policy, bounds=bounds or engine.bounds)
    if clusters is None:
        return _carried((engine,), arm)
    bare = engine if engine.bare is None else engine.bare
    clusters = _kept_to_kinds(clusters, engine.catalogue)
    if len(engine.catalogue) > len(bare.catalogue):
        own, others = bare.catalogue.item_descriptors, engine.catalogue.item_descriptors[len(bare.catalogue) :]
        kin = new_items.find_kin(own, others, new_items.seen_by(bare.ranker))
        clusters = _with_more_members(clusters, engine.catalogue, _new(bare.catalogue, engine.overlay), kin)
    return _carried((engine,), replace(arm, clusters=clusters))


def _carried(before: Sequence[Engine], after: Engine) -> Engine:
    """`after` with what those before had derived from components that are the same."""
    for engine in before:
        for name, parts in _DERIVED.items():
            if name in vars(engine) and all(attrgetter(part)(engine) is attrgetter(part)(after) for part in parts):
                vars(after)[name] = vars(engine)[name]
    return after


def _new(catalogue: Catalogue, overlay: Overlay) -> list[ItemRow]:
    """The overlay's items that a catalogue lacks, by id."""
    rows = [row for row in overlay.items if catalogue.position(row.item_id) == NO_ITEM and row.item_id not in overlay.gone]
    return sorted(rows, key=lambda row: row.item_id)


def _offered(catalogue: Catalogue, overlay: Overlay) -> Catalogue:
    """The catalogue with the overlay's offers; what is gone can't be bought."""
    gone = overlay.gone
    ids = [item for item in (*overlay.offers, *(gone - overlay.offers.keys())) if catalogue.position(item) != NO_ITEM]
    if not ids:
        return catalogue
    at = catalogue.positions(ids)
    offers = [overlay.offers.get(item) or _offer_of(catalogue, p) for item, p in zip(ids, at.tolist(), strict=True)]
    told = Offers(
        positions=at,
        price=_floats([offer.price for offer in offers]),
        regular_price=_floats([offer.regular_price for offer in offers]),
        in_stock=np.array([o.in_stock and item not in gone for item, o in zip(ids, offers, strict=True)], dtype=bool),
        cost=_floats([offer.cost for offer in offers]),
        group=np.array([offer.group for offer in offers], dtype=np.int64),
        currency=np.array([number_of_currency(offer.currency) for offer in offers], dtype=np.int16),
    )
    return catalogue_changes.with_offers(catalogue, told)


def _offer_of(catalogue: Catalogue, position: int) -> Offer:
    """What the catalogue says of an item that is gone; of a regular price it knows only whether it was higher."""
    price = catalogue.price.item(position)
    reduced = bool(len(catalogue.reduced) and catalogue.reduced[position])
    cost = np.nan if catalogue.cost is None else catalogue.cost.item(position)
    return Offer(
        None if np.isnan(price) else price,
        np.inf if reduced else None,
        bool(catalogue.in_stock[position]),
        None if np.isnan(cost) else cost,
        0 if catalogue.group is None else catalogue.group.item(position),
        "" if catalogue.currency is None else currency_of_number(catalogue.currency.item(position)),
    )


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _repriced(model: PersonaModel, catalogue: Catalogue) -> PersonaModel:
    """The personas with the catalogue's price tiers and reductions; a shop that had no regular prices taught them nothing."""
    facts = model.facts
    reduced = catalogue.reduced if len(facts.reduced) else facts.reduced
    if facts.price_tier is catalogue.price_tier and facts.reduced is reduced:
        return model
    same = np.array_equal(facts.price_tier, catalogue.price_tier) and np.array_equal(facts.reduced, reduced)
    return model if same else replace(model, facts=replace(facts, price_tier=catalogue.price_tier, reduced=reduced))


def _with_more_facts(model: PersonaModel, before: Catalogue, after: Catalogue, kin: Kin) -> PersonaModel:
    """The personas with facts of new items: the group that most items of their category are in, or else most of their kin."""
    facts, n = model.facts, len(before)
    groups = _votes(facts.category[np.maximum(kin.positions, 0)], kin.weights, len(facts.category_names))
    more = np.where(groups.max(axis=1, initial=0.0) > 0, groups.argmax(axis=1) if groups.shape[1] else -1, -1)
    for i, code in enumerate(after.category[n:].tolist()):
        of_category = facts.category[before.category == code] if 0 <= code < len(before.categories) else facts.category[:0]
        of_category = of_category[of_category >= 0]
        if len(of_category):
            more[i] = np.bincount(of_category).argmax()
    reduced = after.reduced if len(facts.reduced) else facts.reduced
    category = np.append(facts.category, more.astype(facts.category.dtype))
    scores = np.concatenate((model.item_attributes, kin.mean(model.item_attributes).astype(model.item_attributes.dtype)))
    told = replace(facts, category=category, price_tier=after.price_tier, reduced=reduced)
    return replace(model, facts=told, item_attributes=scores)


def _votes(codes: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """(m, count) weight of each code among m rows of them; -1 has none."""
    votes = np.zeros((len(codes), count))
    row, column = np.nonzero((codes >= 0) & (weights > 0))
    np.add.at(votes, (row, codes[row, column]), weights[row, column])
    return votes


def _with_more_members(clusters: ItemClusters, after: Catalogue, joining: Sequence[ItemRow], kin: Kin) -> ItemClusters:
    """The clusters with new items in those of their kin: of the kin of their own category, where there are any, for nobody
    looks for a skirt among trousers. What was learned, and rebuilds go on from, stays as it was.

    after : the clusters' catalogue with the new items after it.  joining : their rows, which may have tags that it doesn't know.
    """
    n, c, m = len(clusters.primary), len(clusters), len(kin.positions)
    item_ids, category = after.item_ids, after.category
    own = (kin.weights > 0) & (category[np.maximum(kin.positions, 0)] == category[n:, None]) & (category[n:, None] >= 0)
    weights = np.where(own | ~own.any(axis=1, keepdims=True), kin.weights, 0.0)
    rows = np.repeat(np.arange(m), kin.positions.shape[1])
    held = sparse.csr_matrix((weights.ravel(), (rows, np.maximum(kin.positions, 0).ravel())), shape=(m, n))
    joins = sparse.csr_matrix(held @ clusters.of_item)
    for place, bars in enumerate(clusters.bars):
        if bars:
            barred = kept_out.under(after, bars)[n:] | kept_out.tagged(joining, bars)
            joins.data[(joins.indices == place) & np.repeat(barred, np.diff(joins.indptr))] = 0.0
    joins.eliminate_zeros()
    strongest = _strongest(joins, MEMBERSHIPS)
    total = np.asarray(strongest.sum(axis=1)).ravel()
    more = sparse.csr_matrix(sparse.diags_array(1.0 / np.maximum(total, 1e-12)) @ strongest, dtype=np.float32)
    primaries = _votes(clusters.primary[np.maximum(kin.positions, 0)], weights, c)
    primaries *= np.asarray((more > 0).toarray(), dtype=float)
    primary = np.where(primaries.max(axis=1, initial=0.0) > 0, primaries.argmax(axis=1) if c else -1, -1)
    by_cluster = sparse.csr_matrix(more.T)
    items = sparse.csr_matrix(sparse.hstack([clusters.items, by_cluster]), dtype=np.float32)
    new = items.indices >= n
    weight, part = np.empty(items.nnz, dtype=clusters.weight.dtype), np.full(items.nnz, -1, dtype=clusters.part.dtype)
    weight[~new], weight[new], part[~new] = clusters.weight, by_cluster.data, clusters.part
    return replace(
        clusters,
        items=items,
        of_item=sparse.csr_matrix(sparse.vstack([clusters.of_item, more]), dtype=np.float32),
        weight=weight,
        part=part,
        primary=np.append(clusters.primary, primary.astype(clusters.primary.dtype)),
        item_ids=item_ids if len(clusters.item_ids) else clusters.item_ids,
    )


def _kept_to_kinds(clusters: ItemClusters, catalogue: Catalogue) -> ItemClusters:
    """The clusters without items that are of a kind by now which they take in none of, core ones apart; themselves where there
    are none. An item's other memberships have what it loses; one that loses all is in none till the next release.

    catalogue : the clusters' own, or one with more items after them. What was learned stays as it was.
    """
    if not clusters.bars:
        return clusters
    items, n = clusters.items, len(clusters.primary)
    rows = np.repeat(np.arange(len(clusters)), np.diff(items.indptr))
    goes = np.zeros(items.nnz, dtype=bool)
    for c in (c for c, bars in enumerate(clusters.bars) if bars):
        entries = slice(items.indptr[c], items.indptr[c + 1])
        core = clusters.core[clusters.core[:, 0] == c, 1]
        goes[entries] = kept_out.under(catalogue, clusters.bars[c])[items.indices[entries]] & ~np.isin(
            items.indices[entries], core
        )
    if not goes.any():
        return clusters
    before = np.bincount(items.indices, items.data, minlength=n)
    after = np.bincount(items.indices[~goes], items.data[~goes], minlength=n)
    rescaled = (items.data * (before / np.where(after > 0, after, 1.0))[items.indices])[~goes].astype(np.float32)
    starts = np.concatenate(([0], np.cumsum(np.bincount(rows[~goes], minlength=len(clusters))))).astype(items.indptr.dtype)
    left = sparse.csr_matrix((rescaled, items.indices[~goes], starts), shape=items.shape)
    of_item = sparse.csr_matrix(left.T)
    primary = np.array(clusters.primary)
    for item in np.unique(items.indices[goes]).tolist():
        row = slice(of_item.indptr[item], of_item.indptr[item + 1])
        held = of_item.indices[row]
        if primary[item] not in held:
            primary[item] = held[of_item.data[row].argmax()] if len(held) else NO_CLUSTER
    return replace(
        clusters,
        items=left,
        of_item=of_item,
        weight=clusters.weight[~goes],
        part=clusters.part[~goes],
        primary=primary,
    )


def _same_as(clusters: ItemClusters, before: ItemClusters) -> ItemClusters:
    """`before` where that has the same items in the same clusters, so that what was derived of it is kept."""
    one, other = clusters.items, before.items
    same = clusters is before or (
        clusters.learned is before.learned
        and clusters.bars == before.bars
        and one.shape == other.shape
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and np.array_equal(one.data, other.data)
        and np.array_equal(clusters.primary, before.primary)
    )
    return before if same else clusters


def _strongest(matrix: sparse.csr_matrix, keep: int) -> sparse.csr_matrix:
    """The `keep` largest entries of each row; of equals, the first."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    kept = order[np.arange(matrix.nnz) - matrix.indptr[:-1][row] < keep]
    return sparse.csr_matrix((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
