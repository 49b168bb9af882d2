"""The strongest entries of a row, and what another matrix holds there: against sorting, and against dense arrays."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recommendations.ranking import row_kernels

WIDTH = 5


def matrix(seed: int) -> sparse.csr_matrix:
    """Rows of none to thirty entries, of which many are equal, in no order of columns."""
    rng = np.random.default_rng(seed)
    lengths = np.array([0, 3, WIDTH, 30, 12, 0, 30] + [8] * 23)
    columns = np.concatenate([rng.permutation(30)[:length] for length in lengths]).astype(np.int32)
    data = rng.integers(1, 6, lengths.sum()).astype(np.float32)
    return sparse.csr_matrix((data, columns, np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)), shape=(30, 30))


def test_the_strongest_of_each_row_lead_and_equals_go_by_column() -> None:
    m = matrix(0)
    starts, kept = row_kernels.strongest(m.indptr, m.indices, m.data, WIDTH)
    for row in range(30):
        places = np.arange(m.indptr[row], m.indptr[row + 1])
        best = places[np.lexsort((m.indices[places], -m.data[places]))][:WIDTH]
        np.testing.assert_array_equal(kept[starts[row] : starts[row + 1]], best)


def test_a_relation_is_read_where_the_pattern_has_entries() -> None:
    m, pattern = matrix(0), matrix(1)
    out = np.full(pattern.nnz, -1.0, dtype=np.float32)
    row_kernels.read_at(m.indptr, m.indices, m.data, pattern.indptr.astype(np.int64), pattern.indices, out)
    row = np.repeat(np.arange(30), np.diff(pattern.indptr))
    np.testing.assert_array_equal(out, m.toarray()[row, pattern.indices])
