"""What could be bought instead of an item: of its kind, described alike, at a like price, and met in like visits."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from clusters.catalogue import MISSING, Catalogue
from recommendations.ranking.encoder import Encoder

WIDTH = 80
"""Items kept of each: slates are re-ranked from them, and a page shows a dozen."""

ENOUGH = 24
"""Items of a category, two slates of a dozen, from which on an item's like are looked for in its own category alone."""

SAME_CATEGORY = 1.0
DESCRIBED = 1.0
MET = 0.8
PRICED = 0.4
"""What each likeness, from 0 to 1, adds. An item of the same category comes before one that is only met in the same visits."""

TRUSTED = 5.0
"""Visits after which half of what the encoder says of an item is believed; of a new item it says what chance made of it."""

KEPT = 2_048
"""Items whose like are kept: they depend on the release alone, and most pages show one of few items."""


class Like(NamedTuple):
    """Items like another, most alike first. positions : (x,) int32.  likeness : (x,) float32, 0 to 1."""

    positions: np.ndarray
    likeness: np.ndarray


class Likeness:
    """Who is like whom among n items. visits : (n,) sessions in which training saw each."""

    def __init__(self, catalogue: Catalogue, encoder: Encoder, visits: np.ndarray) -> None:
        self._catalogue = catalogue
        self._encoder = encoder
        self._trust = (visits / (visits + TRUSTED)).astype(np.float32)
        frequency = np.bincount(catalogue.item_descriptors.indices, minlength=catalogue.item_descriptors.shape[1])
        self._weight = np.log((len(catalogue) + 1.0) / (frequency + 0.5)).clip(min=0.0).astype(np.float32) ** 2
        by_category = np.argsort(catalogue.category, kind="stable")
        self._by_category = by_category.astype(np.int32)
        self._starts = np.searchsorted(catalogue.category[by_category], np.arange(len(catalogue.categories) + 1))
        self._latest: OrderedDict[int, Like] = OrderedDict()

    def like(self, position: int) -> Like:
        """The items like the one at a position, itself left out."""
        found = self._latest.get(position)
        if found is None:
            found = self._latest[position] = self._look(position)
            while len(self._latest) > KEPT:
                self._latest.popitem(last=False)
        return found

    def _look(self, position: int) -> Like:
        catalogue, category = self._catalogue, self._catalogue.category.item(position)
        among = np.arange(len(catalogue), dtype=np.int32)
        if category != MISSING and self._starts[category + 1] - self._starts[category] > ENOUGH:
            among = self._by_category[self._starts[category] : self._starts[category + 1]]
        score = self._score(position, among)
        score[among == position] = -1.0
        keep = min(WIDTH, len(among) - 1)
        if keep <= 0:
            return Like(among[:0], score[:0])
        best = np.argpartition(-score, keep - 1)[:keep]
        best = best[np.lexsort((among[best], -score[best]))]
        return Like(among[best], score[best])

    def _score(self, position: int, among: np.ndarray) -> np.ndarray:
        """(x,) float32 likeness of the items at `among`, 0 to 1."""
        catalogue = self._catalogue
        whole = catalogue.item_descriptors
        rows = whole if len(among) == len(catalogue) else whole[among]
        mine = np.zeros_like(self._weight)
        own = whole.indices[whole.indptr[position] : whole.indptr[position + 1]]
        mine[own] = self._weight[own]
        # The cosine of rows of ones, each column weighted by the square of its idf.
        norms = np.sqrt(np.maximum((rows @ self._weight) * mine.sum(), 1e-12))
        score = DESCRIBED * (rows @ mine) / norms
        trust = self._trust[among] * self._trust[position]
        row_of, outputs = self._encoder.row_of, self._encoder.outputs
        output = outputs[row_of[position]]
        # Outputs all have one length, so that the product over its square is the cosine.
        met = outputs[row_of[among]] @ output / max(float(output @ output), 1e-12)
        score += MET * trust * np.maximum(met, 0.0)
        price = catalogue.price
        if price.item(position) > 0:
            with np.errstate(divide="ignore", invalid="ignore"):
                apart = np.abs(np.log(price[among] / price[position]))
            score += PRICED * np.exp(-np.where(np.isfinite(apart), apart, 10.0))
        category = catalogue.category.item(position)
        if category != MISSING:
            score += SAME_CATEGORY * (catalogue.category[among] == category)
        return (score / (SAME_CATEGORY + DESCRIBED + MET + PRICED)).astype(np.float32)


def visits_of(visit_starts: np.ndarray) -> np.ndarray:
    """(n,) sessions of each item, from `Neighbours.visit_starts`."""
    return np.diff(visit_starts)
