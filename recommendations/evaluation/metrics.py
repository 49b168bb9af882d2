"""Next-item metrics, all in one pass. Ties count against the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CUT = 20
MISS = 0
"""Rank of a target that a list does not hold."""

MEASURES = ("hr", "mrr", "ndcg")
"""Columns of `gains`."""


@dataclass(frozen=True)
class Metrics:
    """Percent, over `examples` predictions; coverage of the items seen in training.

    category_diversity, cluster_diversity : share of a list's pairs that are of two categories, or clusters, meaned over the
        lists; NaN where none are known.
    """

    hr: float
    mrr: float
    ndcg: float
    coverage: float
    examples: int
    category_diversity: float = float("nan")
    cluster_diversity: float = float("nan")


def rank_in_scores(scores: np.ndarray, target: int) -> int:
    """Place of the target among scores (n,), from 1: items that score as much stand before it.

    So a scorer that says nothing of most items gains nothing by the items' order. Without a finite score, `MISS`.
    """
    own = scores[target]
    return int(np.count_nonzero(scores >= own)) if np.isfinite(own) else MISS


def rank_in_slate(slate: np.ndarray, target: int) -> int:
    """Place of the target in a list without ties, from 1; `MISS` where it isn't there."""
    place = np.flatnonzero(slate == target)
    return int(place[0]) + 1 if len(place) else MISS


def gains(ranks: np.ndarray, *, cut: int = CUT) -> np.ndarray:
    """(m, 3) what each prediction adds to HitRate, MRR and NDCG, 0 to 1, of ranks (m,), `MISS` for what was not found.

    HitRate: 1 for a rank <= cut. MRR: 1 / rank. NDCG: 1 / log2(rank + 1), one item being relevant.
    """
    hit = (ranks != MISS) & (ranks <= cut)
    place = np.where(hit, ranks, 1).astype(np.float64)
    return np.column_stack((hit, hit / place, hit / np.log2(place + 1.0))).astype(np.float64)


def measure(ranks: np.ndarray, *, recommended: int, items: int, cut: int = CUT) -> Metrics:
    """Metrics of ranks (m,). recommended : distinct items in all the lists.  items : items that could have been."""
    if not len(ranks):
        return Metrics(0.0, 0.0, 0.0, 0.0, 0)
    hr, mrr, ndcg = (100.0 * gains(ranks, cut=cut).mean(axis=0)).tolist()
    return Metrics(hr=hr, mrr=mrr, ndcg=ndcg, coverage=100.0 * recommended / max(items, 1), examples=len(ranks))


def list_diversity(labels: np.ndarray) -> np.ndarray:
    """(b,) share of each list's pairs of items whose labels differ; NaN where fewer than two items have a label.

    labels : (b, c) int, category or cluster of the items of b lists, -1 where unknown or where a list is shorter.
    Intra-list diversity with a distance of 0 or 1 (Ziegler et al., 2005, "Improving recommendation lists through topic
    diversification").
    """
    known = labels >= 0
    both = known[:, :, None] & known[:, None, :]
    same = both & (labels[:, :, None] == labels[:, None, :])
    count = known.sum(axis=1)
    pairs = count * (count - 1)
    alike = same.sum(axis=(1, 2)) - count
    return np.where(pairs > 0, 1.0 - alike / np.maximum(pairs, 1), np.nan)
