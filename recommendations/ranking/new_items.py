"""Items that no visit has touched: what the experts say of them is borrowed from the seen items that are most like them.

Likeness is the cosine of descriptors weighted by rarity. Of an item's kin, the vectors and the popularity are averaged; a vote
of the rows or of the session neighbours for one of the kin is, in part, a vote for the item (item-to-item recommendations of
new items by attribute-based nearest neighbours: Schein et al., 2002, "Methods and metrics for cold-start recommendations").
Nothing of what was learned of seen items changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recommendations.ranking.encoder import Encoder
from recommendations.ranking.kinship import Kinship
from recommendations.ranking.popularity import Popularity
from recommendations.ranking.ranker import Ranker

KIN = 10
"""Seen items that speak for one that wasn't."""

LEAST = 0.2
"""Least cosine of descriptors at which they do."""

TRUST = 0.5
"""Part of its kin's votes and popularity that an item is given before anybody has looked at it. From 0.15 to 0.5, a shop with a
tenth of its items hidden found as many next items in all; more of the hidden ones the larger it is, and fewer of the others."""

SPOKEN_FOR = 8
"""Unseen items that one seen item speaks for, those most like it: a hundred new ones of a kind don't crowd out the old."""

AT_ONCE = 64
"""Unseen items compared with all seen ones at a time, which bounds memory."""


@dataclass(frozen=True)
class Kin:
    """The most alike seen items of m others: positions (m, KIN) int64, -1 for none; weights (m, KIN), rows sum to 1 or 0."""

    positions: np.ndarray
    weights: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(m, ...) weighted mean of the kin's rows of `values` (n, ...); 0 where there is no kin."""
        wide = self.weights.reshape(*self.weights.shape, *(1,) * (values.ndim - 1))
        return (values[np.maximum(self.positions, 0)] * wide).sum(axis=1)


def seen_by(ranker: Ranker) -> np.ndarray:
    """(n,) bool, which items some visit of the log touched."""
    return np.diff(ranker.neighbours.visit_starts) > 0


def find_kin(item_descriptors: sparse.csr_matrix, others: sparse.csr_matrix, seen: np.ndarray) -> Kin:
    """Kin of m items by their descriptors.

    item_descriptors : (n, D) of all items.  others : (m, D).  seen : (n,) bool, who may be kin. Of equally alike ones, those of
    the lower position.
    """
    m, may = others.shape[0], np.flatnonzero(seen)
    positions = np.full((m, KIN), -1, dtype=np.int64)
    weights = np.zeros((m, KIN))
    if not m or not len(may):
        return Kin(positions, weights)
    n = len(seen)
    frequency = np.bincount(item_descriptors.indices, minlength=item_descriptors.shape[1])
    rarity = np.log1p(n / np.maximum(frequency, 1.0)).astype(np.float32)
    squared = rarity * rarity
    length = np.sqrt(np.maximum(item_descriptors @ squared, 1e-12)).astype(np.float32)
    own_length = np.sqrt(np.maximum(others @ squared, 1e-12))
    width = min(KIN, len(may))
    for start in range(0, m, AT_ONCE):
        part = others[start : start + AT_ONCE].multiply(squared[None, :]).toarray().astype(np.float32)
        alike = item_descriptors @ part.T
        alike /= length[:, None]
        for i, row in enumerate(np.ascontiguousarray(alike.T)):
            likeness = row[may] if len(may) < n else row
            # The value at the place, not the place of the value: of equals the first are taken, whatever the algorithm.
            least = np.partition(likeness, len(may) - width)[len(may) - width]
            best = np.flatnonzero(likeness >= least)
            best = best[np.argsort(-likeness[best], kind="stable")][:width]
            near = likeness[best] / own_length[start + i]
            best, near = best[near >= LEAST], near[near >= LEAST]
            positions[start + i, : len(best)] = may[best]
            weights[start + i, : len(best)] = near**4
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return Kin(positions, weights)


def with_unseen(ranker: Ranker, item_descriptors: sparse.csr_matrix) -> Ranker:
    """The ranker with what its own unseen items are given by their kin: the last step of a training.

    item_descriptors : (n, D) of the catalogue. The ranker itself where all were seen, or none.
    """
    seen = seen_by(ranker)
    unseen = np.flatnonzero(~seen)
    if not len(unseen) or not seen.any():
        return ranker
    return _given(ranker, unseen, find_kin(item_descriptors, item_descriptors[unseen], seen))


def with_more(ranker: Ranker, kin: Kin) -> Ranker:
    """The ranker with m more items after its own n, given by their kin."""
    n, m = len(ranker.encoder.row_of), len(kin.positions)
    if not m:
        return ranker
    encoder, rows, visits, popularity = ranker.encoder, ranker.rows, ranker.neighbours, ranker.popularity
    longer = replace(
        ranker,
        encoder=_more_vectors(encoder, m),
        rows=replace(rows, indptr=_more(rows.indptr, m, rows.indptr[-1])),
        neighbours=replace(
            visits,
            visit_starts=_more(visits.visit_starts, m, visits.visit_starts[-1]),
            idf=_more(visits.idf, m, visits.idf.max(initial=0.0)),
        ),
        popularity=Popularity(_more(popularity.facts, m, popularity.facts.min(axis=0, initial=0.0)), popularity.top),
    )
    return _given(longer, np.arange(n, n + m), kin)


def _more(array: np.ndarray, m: int, value: object) -> np.ndarray:
    """The array with m more rows of one value."""
    tail = np.empty((m, *array.shape[1:]), dtype=array.dtype)
    tail[:] = value
    return np.concatenate((array, tail))


def _more_vectors(encoder: Encoder, m: int) -> Encoder:
    n = len(encoder.row_of)
    more = np.arange(n, n + m, dtype=np.int32)
    return replace(
        encoder,
        inputs=_more(encoder.inputs, m, 0.0),
        outputs=_more(encoder.outputs, m, 0.0),
        bias=_more(encoder.bias, m, encoder.bias.min(initial=0.0)),
        item_at=np.concatenate((encoder.item_at, more)),
        row_of=np.concatenate((encoder.row_of, more)),
    )


def _given(ranker: Ranker, items: np.ndarray, kin: Kin) -> Ranker:
    """The ranker with these items' vectors, popularity and voices from their kin; items without any stay as they are."""
    some = np.flatnonzero(kin.positions[:, 0] >= 0)
    items, kin = items[some], Kin(kin.positions[some], kin.weights[some])
    return replace(
        ranker,
        encoder=_with_vectors(ranker.encoder, items, kin),
        popularity=_with_popularity(ranker.popularity, items, kin),
        kinship=_kinship(ranker, items, kin),
    )


def _with_vectors(encoder: Encoder, items: np.ndarray, kin: Kin) -> Encoder:
    """Mean vectors as long as the kin's own: a mean of unit vectors is shorter, and would be pulled less than any of them."""
    rows, own = encoder.row_of[kin.positions], encoder.row_of[items]
    by_row = Kin(rows, kin.weights)
    inputs, outputs, bias = np.array(encoder.inputs), np.array(encoder.outputs), np.array(encoder.bias)
    inputs[items] = _as_long(kin.mean(inputs), kin, inputs)
    outputs[own] = _as_long(by_row.mean(outputs), by_row, outputs)
    bias[own] = by_row.mean(bias)
    return replace(encoder, inputs=inputs, outputs=outputs, bias=bias)


def _as_long(means: np.ndarray, kin: Kin, vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors[np.maximum(kin.positions, 0)], axis=2)
    wanted = (lengths * kin.weights).sum(axis=1)
    scaled: np.ndarray = means * (wanted / np.maximum(np.linalg.norm(means, axis=1), 1e-12))[:, None]
    return scaled


def _with_popularity(popularity: Popularity, items: np.ndarray, kin: Kin) -> Popularity:
    facts = np.array(popularity.facts)
    facts[items] = kin.mean(facts)
    facts[items, :2] += np.log(TRUST)  # shares of visits: its kin's, but nobody has looked at it yet
    return replace(popularity, facts=facts)


def _kinship(ranker: Ranker, items: np.ndarray, kin: Kin) -> Kinship:
    """The ranker's own kinship and that of these items."""
    n, before = len(ranker.encoder.row_of), ranker.kinship
    voice = np.arange(n, dtype=np.int32)
    voice[~seen_by(ranker)] = -1
    by = np.repeat(np.arange(len(items)), kin.positions.shape[1])
    source, share = kin.positions.ravel(), TRUST * kin.weights.ravel()
    target = items[by]
    if before is not None:
        voice[: len(before.voice)] = before.voice
        source = np.concatenate((np.repeat(np.arange(len(before.starts) - 1), np.diff(before.starts)), source))
        target, share = np.concatenate((before.items, target)), np.concatenate((before.shares, share))
    voice[items] = kin.positions[:, 0]
    real = source >= 0
    source, target, share = source[real], target[real], share[real]
    order = np.lexsort((target, -share, source))
    place = np.arange(len(order)) - np.searchsorted(source[order], source[order])
    kept = order[place < SPOKEN_FOR]
    starts = np.searchsorted(source[kept], np.arange(n + 1)).astype(np.int64)
    return Kinship(voice, starts, target[kept].astype(np.int32), share[kept].astype(np.float32))
