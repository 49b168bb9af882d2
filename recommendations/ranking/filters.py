"""What a request's filters leave: which items may appear, and the most popular of them, for where nothing better is known."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from clusters.catalogue import Catalogue
from recommendations.ranking.popularity import FACTS, Popularity
from recommendations.session import NO_FILTERS, Filters

KINDS = ("brand", "colour", "tag", "price_tier", "discount")
"""Attributes that can be asked for: the kinds of descriptors that a merchandiser wrote, and not words of titles."""

KEPT_BYTES = 16 << 20
LEAST_KEPT = 2
"""What the latest filters leave is kept up to this size: shoppers turn pages under the filters that they chose."""


class Passed(NamedTuple):
    """What filters leave of n items. mask : (n,) bool.  best : (x,) int32 positions that pass, most visited lately first.

    unknown : "kind=value" of what was asked for and no item has.
    """

    mask: np.ndarray
    best: np.ndarray
    unknown: tuple[str, ...]


class Sieve:
    """A catalogue's items by what may be asked of them."""

    def __init__(self, catalogue: Catalogue, popularity: Popularity) -> None:
        facts = popularity.facts
        self._catalogue = catalogue
        lately, share = facts[:, FACTS.index("log_recent")], facts[:, FACTS.index("log_share")]
        self._order = np.lexsort((np.arange(len(facts)), -share, -lately)).astype(np.int32)
        self._column = {name.casefold(): i for i, name in enumerate(catalogue.descriptors)}
        self._category = {name.casefold(): i for i, name in enumerate(catalogue.categories)}
        self._latest: OrderedDict[Filters, Passed] = OrderedDict()

    def passed(self, filters: Filters) -> Passed | None:
        """What filters leave; None where nothing was asked for. Upper and lower case are the same."""
        if filters == NO_FILTERS:
            return None
        found = self._latest.get(filters)
        if found is None:
            found = self._latest[filters] = self._sift(filters)
            while len(self._latest) > max(LEAST_KEPT, KEPT_BYTES // (5 * len(self._order) + 1)):
                self._latest.popitem(last=False)
        return found

    def _sift(self, filters: Filters) -> Passed:
        catalogue = self._catalogue
        mask = np.ones(len(catalogue), dtype=bool)
        unknown = [f"category={name}" for name in filters.categories if name.casefold() not in self._category]
        if filters.categories:
            known = [self._category[c.casefold()] for c in filters.categories if c.casefold() in self._category]
            mask &= np.isin(catalogue.category, known)
        for kind, values in filters.attributes:
            names = [f"{kind}={value}" for value in values]
            unknown += [name for name in names if name.casefold() not in self._column]
            columns = [self._column[name.casefold()] for name in names if name.casefold() in self._column]
            mask &= np.asarray(catalogue.item_descriptors[:, columns].sum(axis=1)).ravel() > 0
        with np.errstate(invalid="ignore", over="ignore"):  # a bound beyond float32 is none, or nothing passes it
            if filters.price_min is not None:
                mask &= catalogue.price >= np.float32(filters.price_min)
            if filters.price_max is not None:
                mask &= catalogue.price <= np.float32(filters.price_max)
        return Passed(mask, self._order[mask[self._order]], tuple(unknown))
