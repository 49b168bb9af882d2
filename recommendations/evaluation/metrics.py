"""Next-item metrics, all in one pass. Ties count against the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CUT = 20
MISS = 0
"""Rank of a target that a list does not hold."""


@dataclass(frozen=True)
class Metrics:
    """Percent, over `examples` predictions; coverage of the items seen in training."""

    hr: float
    mrr: float
    ndcg: float
    coverage: float
    examples: int


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


def measure(ranks: np.ndarray, *, recommended: int, items: int, cut: int = CUT) -> Metrics:
    """Metrics of ranks (m,), `MISS` for what was not found.

    recommended : distinct items in all the lists.  items : items that could have been.
    HitRate: share with rank <= cut. MRR: mean 1 / rank. NDCG: mean 1 / log2(rank + 1), one item being relevant.
    """
    if not len(ranks):
        return Metrics(0.0, 0.0, 0.0, 0.0, 0)
    hit = (ranks != MISS) & (ranks <= cut)
    place = np.where(hit, ranks, 1).astype(np.float64)
    return Metrics(
        hr=100.0 * float(hit.mean()),
        mrr=100.0 * float((hit / place).mean()),
        ndcg=100.0 * float((hit / np.log2(place + 1.0)).mean()),
        coverage=100.0 * recommended / max(items, 1),
        examples=len(ranks),
    )
