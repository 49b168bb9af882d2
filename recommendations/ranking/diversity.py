"""Diversity of a slate: what is like an item further up counts less.

Greedy, as maximal marginal relevance (Carbonell and Goldstein, 1998, "The use of MMR, diversity-based reranking for reordering
documents and producing summaries"): each slot takes the item of the highest score * (1 - diversity * likeness), where score
runs from 0 to 1 over the ranking and likeness is that to the most alike item above. A product and not their difference, so that
the setting is a share: at 0.3, an item's twin loses 30 % of its score, whatever the scale of the scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clusters.catalogue import MISSING
from recommendations.ranking.encoder import Encoder

SAME_CATEGORY = 0.5
"""How alike two items are for being of one category; for the rest, as the encoder has them: met in like visits."""

SCORED = 3
"""The scale of the scores runs from the best item to the one at this many times the slate's size."""


class Spread:
    """Which of a ranking's rows comes next, given those above."""

    def __init__(self, scores: np.ndarray, likeness: np.ndarray, *, count: int, diversity: float) -> None:
        """scores : (m,) falling.  likeness : (m, m) in [0, 1].  Raises ValueError for a diversity that isn't in [0, 1]."""
        if not 0.0 <= diversity <= 1.0:
            raise ValueError(f"diversity {diversity} is not in [0, 1]")
        last = min(len(scores), SCORED * count) - 1
        least = scores[last] if len(scores) else 0.0  # nothing may have passed the filters
        span = max(float(scores[0] - least), 1e-6) if len(scores) else 1.0
        # Rows beyond the scale keep their order, far below.
        self._score = np.maximum((scores - least) / span, 0.0) + 1e-6 * (len(scores) - np.arange(len(scores)))
        self._likeness = likeness * diversity
        self._lost = np.zeros(len(scores))

    def take(self, row: int) -> None:
        """A row has its slot: what is like it loses."""
        np.maximum(self._lost, self._likeness[row], out=self._lost)

    def best(self, rows: Sequence[int]) -> int:
        """Place in `rows`, which ascend, of the best of them; of equals, the first."""
        at = np.array(rows, dtype=np.intp)
        return int((self._score[at] * (1.0 - self._lost[at])).argmax())


def likeness_of(encoder: Encoder, category: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(m, m) float32 how alike m items are, 0 to 1. category : (n,) codes, `MISSING` where unknown."""
    outputs = encoder.outputs[encoder.row_of[positions]]
    # An item that nobody has seen or described has a vector of length 0, and is like nothing.
    unit = outputs / np.maximum(np.sqrt(np.einsum("ij,ij->i", outputs, outputs)), 1e-12)[:, None]
    met = np.clip(unit @ unit.T, 0.0, 1.0)
    kind = category[positions]
    told = (kind[:, None] != MISSING) & (kind[None, :] != MISSING)
    same = SAME_CATEGORY * (kind[:, None] == kind[None, :]) + (1.0 - SAME_CATEGORY) * met
    return np.where(told, same, met)
