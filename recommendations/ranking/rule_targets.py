"""The items that a merchandiser's rule is about, as positions of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters
from personas.sessions import NO_ITEM
from recommendations.ranking.rule_shapes import Rule, Target


def reached(rule: Rule, catalogue: Catalogue, clusters: ItemClusters | None) -> np.ndarray:
    """(m,) intp positions that a rule is about: ascending, but for named items that are pinned, which keep their order."""
    positions = target_positions(rule.target, catalogue, clusters)
    if rule.action == "margin":
        with np.errstate(invalid="ignore"):
            return positions[margins(catalogue)[positions] < rule.margin]
    if rule.action == "pin" and rule.target.items:
        named = _known(catalogue.positions(dict.fromkeys(rule.target.items)))
        return named[np.isin(named, positions)]
    return positions


def target_positions(target: Target, catalogue: Catalogue, clusters: ItemClusters | None) -> np.ndarray:
    """(m,) intp positions, ascending, of the items that meet every condition of a target. clusters : None if there are none."""
    mask = np.ones(len(catalogue), dtype=bool)
    if target.items:
        mask &= _mask(_known(catalogue.positions(target.items)), len(mask))
    if target.categories:
        mask &= np.isin(catalogue.category, _codes(target.categories, catalogue.categories))
    if target.brands:
        mask &= np.isin(catalogue.brand, _codes(target.brands, catalogue.brands))
    if target.attributes:
        columns = _codes(target.attributes, catalogue.descriptors)
        mask &= np.asarray(catalogue.item_descriptors[:, columns].sum(axis=1)).ravel() > 0
    if target.clusters:
        rows = [] if clusters is None else [clusters.position_of[c] for c in target.clusters if c in clusters.position_of]
        mask &= np.asarray(clusters.items[rows].sum(axis=0)).ravel() > 0 if clusters is not None and rows else False
    with np.errstate(invalid="ignore"):
        if target.price_min is not None:
            mask &= catalogue.price >= np.float32(target.price_min)
        if target.price_max is not None:
            mask &= catalogue.price <= np.float32(target.price_max)
    return np.flatnonzero(mask)


def margins(catalogue: Catalogue) -> np.ndarray:
    """(n,) float64 of (price - cost) / price, NaN where either isn't known or the price is 0."""
    if catalogue.cost is None:
        return np.full(len(catalogue), np.nan)
    price = np.where(catalogue.price > 0, catalogue.price, np.nan).astype(np.float64)
    return np.asarray((price - catalogue.cost) / price)


def _codes(names: Iterable[str], known: Sequence[str]) -> list[int]:
    index = {name: i for i, name in enumerate(known)}
    return [index[name] for name in dict.fromkeys(names) if name in index]


def _known(positions: np.ndarray) -> np.ndarray:
    return positions[positions != NO_ITEM].astype(np.intp)


def _mask(positions: np.ndarray, n: int) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[positions] = True
    return mask
