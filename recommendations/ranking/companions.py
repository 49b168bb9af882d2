"""What goes with an item: things of another kind that the same visits want, or at least look at.

Two items of one kind are rivals: who looks at two skirts buys one. So pairs of one category are left out, where categories
are known. What visits of both exceed chance by, over the root of the visits of each: the cosine of co-visitation (Linden,
Smith and York, 2003, "Amazon.com recommendations: item-to-item collaborative filtering") less what popular items have with all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters.catalogue import MISSING, Catalogue
from personas.sessions import SessionLog
from recommendations.ranking.history import segments
from recommendations.ranking.reminders import WANTED_CODES
from recommendations.ranking.transitions import MAX_TOGETHER, RELATIONS, ItemRows

WIDTH = 30
"""Companions kept of an item."""

SHRINK = 2.0
"""Visits in which two items must meet to count half: two that met once say little."""

WANTED = 3.0
"""What being wanted together counts beside being looked at together."""

_WANTED = np.array(WANTED_CODES, dtype=np.int8)


@dataclass(frozen=True)
class Companions:
    """Companions of n items: those of item i are indptr[i]:indptr[i + 1], the best first.

    indptr : (n + 1,) int64.  indices : (nnz,) int32 positions.  values : (nnz,) float32 > 0, at most 1 + WANTED.
    wanted : (nnz,) bool, whether they were wanted together, and not only looked at.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    wanted: np.ndarray

    def count(self, position: int) -> int:
        """How many companions an item has; none, where it came after they were learned."""
        return int(self.indptr[position + 1] - self.indptr[position]) if position + 1 < len(self.indptr) else 0


class Together(NamedTuple):
    """What goes with some items, the best first.

    positions : (x,) intp.  score : (x,) float32, above 0.  beside : (x,) intp, position of the item that each goes with most.
    wanted : (x,) bool, whether it was wanted together with that one.
    """

    positions: np.ndarray
    score: np.ndarray
    beside: np.ndarray
    wanted: np.ndarray


def learn_companions(log: SessionLog, catalogue: Catalogue, weight: np.ndarray) -> Companions:
    """Companions from item actions. weight : (S,) how much each session counts."""
    n, session = len(catalogue), log.session_of
    rows = np.flatnonzero(np.isin(log.code, _WANTED))
    looked = _excess(session, log.position, weight, n)
    bought = _excess(session[rows], log.position[rows], weight, n) if len(rows) else sparse.csr_matrix((n, n), dtype=np.float32)
    both = (looked + WANTED * bought).tocoo()
    row, column, value = _best_apart(both.row, both.col, both.data.astype(np.float32), catalogue)
    wanted = np.asarray(bought[row, column]).ravel() > 0 if len(row) else np.zeros(0, dtype=bool)
    indptr = np.searchsorted(row, np.arange(n + 1)).astype(np.int64)
    return Companions(indptr, column.astype(np.int32), value, wanted)


def companions_of_rows(rows: ItemRows, catalogue: Catalogue) -> Companions:
    """Companions as far as a release of before there were any knows them: what was looked at together."""
    value = rows.values[RELATIONS.index("together")]
    row = np.repeat(np.arange(len(rows.indptr) - 1), np.diff(rows.indptr))
    held = value > 0
    row, column, value = _best_apart(row[held], rows.indices[held], value[held], catalogue)
    indptr = np.searchsorted(row, np.arange(len(rows.indptr))).astype(np.int64)
    return Companions(indptr, column.astype(np.int32), value, np.zeros(len(row), dtype=bool))


def together(companions: Companions, anchors: Sequence[int], weights: Sequence[float]) -> Together:
    """What goes with the items at `anchors`, each counting by its weight; anchors may be among the answers."""
    known = [(a, w) for a, w in zip(anchors, weights, strict=True) if a + 1 < len(companions.indptr)]
    if not known:
        return _NOBODY
    at = np.array([a for a, _ in known], dtype=np.intp)
    starts = companions.indptr[at]
    lengths = companions.indptr[at + 1] - starts
    entries = segments(starts, lengths)
    part = companions.values[entries] * np.repeat(np.array([w for _, w in known], dtype=np.float32), lengths)
    found, place = np.unique(companions.indices[entries], return_inverse=True)
    if not len(found):
        return _NOBODY
    score = np.bincount(place, part, minlength=len(found)).astype(np.float32)
    order = np.lexsort((-part, place))
    first = order[np.searchsorted(place[order], np.arange(len(found)))]  # of each item, the entry that gives it most
    best = np.lexsort((found, -score))
    beside = np.repeat(at, lengths)[first]
    return Together(found[best].astype(np.intp), score[best], beside[best], companions.wanted[entries][first][best])


def _best_apart(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, catalogue: Catalogue
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `WIDTH` best entries of each row that lie in another category, by row, the best first."""
    kind = catalogue.category
    if len(catalogue.categories) > 1:
        apart = (kind[row] != kind[column]) | (kind[row] == MISSING)
        row, column, value = row[apart], column[apart], value[apart]
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    starts = np.searchsorted(row, np.arange(len(catalogue) + 1))
    kept = np.arange(len(row)) - starts[row] < WIDTH
    return row[kept], column[kept], value[kept]


def _excess(session: np.ndarray, position: np.ndarray, weight: np.ndarray, n: int) -> sparse.csr_matrix:
    """(n, n) of each pair: visits of both beyond chance over the root of the visits of each, shrunk; no diagonal."""
    seen = sparse.csr_matrix((np.ones(len(position), dtype=np.float32), (session, position)), shape=(len(weight), n))
    seen.data[:] = 1.0
    lengths = np.diff(seen.indptr)
    held = (lengths > 1) & (lengths <= MAX_TOGETHER)
    short = seen[held]
    weighted = sparse.diags_array(weight[held].astype(np.float32)) @ short
    pairs = (short.T @ weighted).tocoo()
    visits = np.asarray(seen.T @ weight.astype(np.float64)).ravel()
    total = max(float(weight[lengths > 0].sum()), 1e-12)
    off = pairs.row != pairs.col
    row, column, met = pairs.row[off], pairs.col[off], pairs.data[off].astype(np.float64)
    beyond = met - visits[row] * visits[column] / total
    value = beyond / np.sqrt(np.maximum(visits[row] * visits[column], 1e-12)) * met / (met + SHRINK * total / max(len(weight), 1))
    good = value > 1e-4
    return sparse.csr_matrix((value[good].astype(np.float32), (row[good], column[good])), shape=(n, n))


_NOBODY = Together(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.intp), np.zeros(0, dtype=bool))
"""Of items that go with nothing known."""
