"""The loops of building item-item rows, compiled: the strongest entries of each row, and reading a relation at a pattern."""

from __future__ import annotations

import numpy as np

from recommendations.ranking.compiling import compiled


@compiled
def strongest(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The `width` largest entries of each row of a CSR matrix, largest first and of equals the smaller column first.

    Returns (n + 1,) int64 where each row's begin, and their (m,) int64 places in `data`.
    """
    starts = np.zeros(len(indptr), dtype=np.int64)
    for row in range(len(indptr) - 1):
        starts[row + 1] = starts[row] + min(width, indptr[row + 1] - indptr[row])
    kept = np.empty(starts[-1], dtype=np.int64)
    for row in range(len(indptr) - 1):
        first, count = starts[row], 0
        room = starts[row + 1] - first
        for at in range(indptr[row], indptr[row + 1]):
            if count == room:
                last = kept[first + count - 1]
                if data[at] < data[last] or (data[at] == data[last] and indices[at] > indices[last]):
                    continue
                count -= 1
            place = first + count
            while place > first:
                other = kept[place - 1]
                if data[at] < data[other] or (data[at] == data[other] and indices[at] > indices[other]):
                    break
                kept[place] = other
                place -= 1
            kept[place] = at
            count += 1
    return starts, kept


@compiled
def read_at(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, starts: np.ndarray, columns: np.ndarray, out: np.ndarray
) -> None:
    """out[e] = the entry of a square CSR matrix at the row and column of pattern entry e, 0 where it holds none.

    starts : (n + 1,) and columns : (m,) of the pattern.  out : (m,) float32.
    """
    row_of = np.zeros(len(indptr) - 1, dtype=np.float32)
    for row in range(len(indptr) - 1):
        for at in range(indptr[row], indptr[row + 1]):
            row_of[indices[at]] = data[at]
        for entry in range(starts[row], starts[row + 1]):
            out[entry] = row_of[columns[entry]]
        for at in range(indptr[row], indptr[row + 1]):
            row_of[indices[at]] = np.float32(0.0)
