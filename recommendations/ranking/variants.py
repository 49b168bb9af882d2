"""Variants of one product, its sizes and colours: a slate shows one of them, and none beside another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from recommendations.ranking.ranker import Ranked


def one_of_each(ranked: Ranked, group: np.ndarray, *, taken: Collection[int] = ()) -> Ranked:
    """The ranking with the best of each group only, the ranking itself where no group comes twice.

    group : (n,) int of every item of the catalogue, 0 for an item of its own.  taken : rows that stay in any case, as pins do;
    of their groups nothing else does.
    """
    groups = group[ranked.positions].tolist()
    seen = {groups[row] for row in taken}
    held: list[int] = []
    for row, code in enumerate(groups):
        if not code or row in taken:
            continue
        if code in seen:
            held.append(row)
        else:
            seen.add(code)
    if not held:
        return ranked
    kept = np.ones(len(groups), dtype=bool)
    kept[held] = False
    return replace(
        ranked,
        positions=ranked.positions[kept],
        scores=ranked.scores[kept],
        columns=ranked.columns[kept[: len(ranked.columns)]],
    )
