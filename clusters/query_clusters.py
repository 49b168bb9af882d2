"""Query terms that are looked for together, more often than chance would have it, form query clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class TermPair(NamedTuple):
    """Two terms (places in `QueryTerms.terms`), the segments that have both, and how strongly they go together."""

    first: int
    second: int
    segments: int
    strength: float


@dataclass(frozen=True)
class QueryClusters:
    """G groups of T terms.

    group : (T,) int64, -1 where a term goes with no other.  pairs : the significant ones, the strongest first.
    searches : (T,) int64 segments with the term.  weight : (T,) float64 in (0, 1], how typical a term is of its group, 0 in none.
    """

    group: np.ndarray
    pairs: tuple[TermPair, ...]
    searches: np.ndarray
    weight: np.ndarray
