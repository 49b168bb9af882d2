"""Variants of one product, its sizes and colours: a slate shows one of them, and none beside another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection

import numpy as np

from recommendations.ranking.ranker import Ranked


def one_of_each(ranked: Ranked, group: np.ndarray, *, taken: Collection[int] = ()) -> Ranked:
    """The ranking with the best of each group only, the ranking itself where no group comes twice.

    group : (n,) int of every item of the catalogue, 0 for an item of its own.  taken : rows that stay in any case, as pins do;
    of their groups nothing else does.
    """
    groups = group[ranked.positions].tolist()
    seen = {groups[row] for row in taken}
    kept: list[int] = []
    for row, code in enumerate(groups):
        if not code or row in taken:
            kept.append(row)
        elif code not in seen:
            seen.add(code)
            kept.append(row)
    if len(kept) == len(groups):
        return ranked
    rows, carried = np.array(kept, dtype=np.intp), bisect_left(kept, len(ranked.columns))
    positions, scores, columns = ranked.positions[rows], ranked.scores[rows], ranked.columns[rows[:carried]]
    return Ranked(positions, scores, ranked.evidence, columns, ranked.opening, ranked.unruled)
