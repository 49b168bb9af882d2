"""Where a model is right: by how far into the session it is asked, and by how popular the answer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LENGTHS = ((1, 1), (2, 2), (3, 4), (5, 9), (10, None))
"""Items seen before the one foretold: first and last of each bin."""

POPULARITY_BINS = 5
"""Of items, each of a fifth of all visits: the first holds the few most visited, the last the long tail."""


class Bin(NamedTuple):
    """Items of one popularity: how many, and the least and most visits that one of them had in training."""

    items: int
    low: int
    high: int


@dataclass(frozen=True)
class Popularity:
    """bin_of : (n,) int64 bin of each item, 0 the most popular.  bins : what each holds; a bin may be empty."""

    bin_of: np.ndarray
    bins: tuple[Bin, ...]


def length_labels() -> tuple[str, ...]:
    return tuple(f"{a}" if a == b else f"{a} or more" if b is None else f"{a} to {b}" for a, b in LENGTHS)


def length_bins(lengths: np.ndarray) -> np.ndarray:
    """(m,) int64 bin of prefix lengths (m,), each at least 1."""
    return np.searchsorted(np.array([first for first, _ in LENGTHS]), lengths, side="right") - 1


def popularity_bins(visits: np.ndarray) -> Popularity:
    """Bins of items by their visits in training (n,) ints. Items visited as often share a bin: that in which the first of
    them falls. An item never visited, which may still be in the catalogue, is in the last bin and isn't counted in it."""
    order = np.argsort(-visits, kind="stable")
    ranked = visits[order]
    before = np.cumsum(ranked) - ranked  # visits of the items above
    first = np.searchsorted(-ranked, -ranked, side="left")  # the first of those visited as often
    share = before[first] / max(int(ranked.sum()), 1) if len(ranked) else before
    bin_of = np.empty(len(visits), dtype=np.int64)
    bin_of[order] = np.minimum((share * POPULARITY_BINS).astype(np.int64), POPULARITY_BINS - 1)
    bin_of[visits == 0] = POPULARITY_BINS - 1
    bins = []
    for i in range(POPULARITY_BINS):
        held = visits[(bin_of == i) & (visits > 0)]
        bins.append(Bin(len(held), int(held.min()) if len(held) else 0, int(held.max()) if len(held) else 0))
    return Popularity(bin_of, tuple(bins))
