"""Who speaks for items that no visit has touched; `new_items` finds out, and the steps' loops read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Kinship:
    """Who speaks for whom, of n items.

    voice : (n,) int32, the item whose rows and visits are read for each: itself where it was seen, -1 where nobody speaks.
    starts : (n + 1,) int64, a vote for item i is one for items[starts[i]:starts[i + 1]] too, in these shares.
    items : (e,) int32, none of them seen.  shares : (e,) float32, those for one item sum to 1 at most.
    """

    voice: np.ndarray
    starts: np.ndarray
    items: np.ndarray
    shares: np.ndarray

    def voices(self, positions: np.ndarray) -> np.ndarray:
        """Whose rows and visits are read for items: their own where nobody speaks for them."""
        return self._heard.take(positions)

    @cached_property
    def _heard(self) -> np.ndarray:
        """(n,) int64."""
        return np.where(self.voice >= 0, self.voice, np.arange(len(self.voice), dtype=np.int64))
