"""Sparse item-item rows: how often, and how closely, one item follows or accompanies another.

Six relations share one CSR pattern, so that a session reads a few contiguous slices. The last is SLIST (Choi et
al., 2021, "Session-aware linear item-item models"), fitted block by block: B_c = (G_cc + lambda I)^-1 (X' W Y)_c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from personas.sessions import SessionLog
from recommendations.ranking import row_kernels

RELATIONS = ("next", "rules", "reverse", "together", "two_hop", "slist")
DECAY = (0.35, 0.6, 0.6, 0.7, 0.5, 0.4)
"""By how much an event counts less than the one after it, for each relation."""

LAGS = 10
WIDTH = 120
"""Neighbours kept an item."""

READ = 10
"""Events of the history whose rows are read."""

SLIST_LAMBDA = 20.0
SLIST_ALPHA = 0.3
MAX_BLOCK = 1_500
"""Items a SLIST block may hold; the dense solve grows with its cube."""

MAX_TOGETHER = 40
"""Distinct items of one session that are paired with one another; a crawler's thousands would fill memory."""


@dataclass(frozen=True)
class ItemRows:
    """Relations of n items: the entries of item i are indptr[i]:indptr[i + 1], strongest first.

    indptr : (n + 1,) int64.  indices : (nnz,) int32 item positions.  values : (6, nnz) float32, each row >= 0.
    decayed : (6, READ) float32, weight of an event by how many came after it.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    decayed: np.ndarray


def build_rows(log: SessionLog, n: int, *, block: np.ndarray, weight: np.ndarray) -> ItemRows:
    """Rows from item actions. block : (n,) int primary cluster, -1 none.  weight : (S,) how much each session counts."""
    relations = _relations(log, n, weight)
    relations.append(_slist(log, n, block, weight))
    scaled = [_over_max(r) for r in relations]
    union = sparse.csr_matrix(scaled[0].shape, dtype=np.float32)
    for r in scaled:
        union = union + r
    starts, kept = row_kernels.strongest(union.indptr, union.indices, union.data, WIDTH)
    indices = union.indices[kept]
    values = np.zeros((len(RELATIONS), len(indices)), dtype=np.float32)
    for k, relation in enumerate(relations):
        row_kernels.read_at(relation.indptr, relation.indices, relation.data, starts, indices, values[k])
    return ItemRows(starts, indices.astype(np.int32), values, _decayed())


def _decayed() -> np.ndarray:
    return (np.array(DECAY)[:, None] ** np.arange(READ)).astype(np.float32)


def _relations(log: SessionLog, n: int, weight: np.ndarray) -> list[sparse.csr_matrix]:
    """next, rules, reverse, together, two_hop."""
    session = log.session_of
    lagged = []
    for lag in range(1, LAGS + 1):
        first = np.flatnonzero(session[lag:] == session[:-lag]) if len(session) > lag else np.zeros(0, dtype=np.int64)
        pairs = (log.position[first], log.position[first + lag])
        counts = sparse.coo_matrix((weight[session[first]] / lag, pairs), shape=(n, n)).tocsr()
        lagged.append(counts.astype(np.float32))
    following = lagged[0].copy()
    for counts in lagged[1:]:
        following = following + counts
    rules = _stochastic(following)
    heads = _best(rules, 30)
    return [
        _stochastic(lagged[0]),
        rules,
        _stochastic(following.T.tocsr()),
        _together(session, log.position, n, weight),
        _best((heads @ heads).tocsr(), WIDTH),
    ]


def _together(session: np.ndarray, position: np.ndarray, n: int, weight: np.ndarray) -> sparse.csr_matrix:
    """Cosine of the items' weighted session vectors, the diagonal left out."""
    seen = sparse.csr_matrix((np.ones(len(position), dtype=np.float32), (session, position)), shape=(len(weight), n))
    seen.data[:] = 1.0
    lengths = np.diff(seen.indptr)
    short = seen[lengths <= MAX_TOGETHER]
    weighted = sparse.diags_array(weight[lengths <= MAX_TOGETHER].astype(np.float32)) @ short
    pairs = (short.T @ weighted).tocsr()
    norm = np.sqrt(np.maximum(pairs.diagonal(), 1e-12))
    pairs.setdiag(0.0)
    pairs.eliminate_zeros()
    scale = sparse.diags_array((1.0 / norm).astype(np.float32))
    return sparse.csr_matrix(scale @ pairs @ scale)


def _slist(log: SessionLog, n: int, block: np.ndarray, weight: np.ndarray) -> sparse.csr_matrix:
    """SLIS and SLIT together, closed form, one dense solve a block; targets are free, so a row may point anywhere."""
    root = np.sqrt(weight)
    past, future = _past_and_future(log, n)
    whole = sparse.csr_matrix((root[log.session_of], (log.session_of, log.position)), shape=(len(weight), n)).astype(np.float32)
    split = sparse.diags_array(root[past[0]]) @ past[1]
    ahead = sparse.diags_array(root[past[0]]) @ future
    x = sparse.vstack([np.sqrt(SLIST_ALPHA) * whole, np.sqrt(1.0 - SLIST_ALPHA) * split]).tocsc().astype(np.float32)
    y = sparse.vstack([np.sqrt(SLIST_ALPHA) * whole, np.sqrt(1.0 - SLIST_ALPHA) * ahead]).tocsr().astype(np.float32)
    rows, columns, values = [], [], []
    for items in _blocks(block, n, np.bincount(log.position, minlength=n)):
        part = x[:, items]
        gram = (part.T @ part).toarray()
        gram[np.diag_indices_from(gram)] += SLIST_LAMBDA
        right = (part.T @ y).tocsc()
        targets = np.flatnonzero(np.diff(right.indptr))
        if not len(targets):
            continue
        solved = linalg.cho_solve(linalg.cho_factor(gram, overwrite_a=True), right[:, targets].toarray())
        solved = np.where(items[:, None] == targets[None, :], 0.0, solved)
        width = min(WIDTH, len(targets))
        top = np.argpartition(-solved, width - 1, axis=1)[:, :width]
        best = np.take_along_axis(solved, top, axis=1)
        keep = best > 1e-6
        rows.append(np.repeat(items, width)[keep.ravel()])
        columns.append(targets[top][keep])
        values.append(best[keep])
    if not rows:
        return sparse.csr_matrix((n, n), dtype=np.float32)
    parts = (np.concatenate(values).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(parts, shape=(n, n))


def _past_and_future(log: SessionLog, n: int) -> tuple[tuple[np.ndarray, sparse.csr_matrix], sparse.csr_matrix]:
    """Each session cut at every event, as (session of each cut, items before it) and items after it.

    An item weighs exp(-distance from the cut); beyond `LAGS` events nothing is left to count.
    """
    session = log.session_of
    cut = np.flatnonzero(np.arange(len(session)) > log.offsets[session])
    before, after = [], []
    for lag in range(1, LAGS + 1):
        source = cut - lag
        inside = np.flatnonzero(source >= log.offsets[session[cut]])
        before.append((inside, log.position[source[inside]], np.full(len(inside), np.exp(-(lag - 1.0)))))
        source = cut + lag - 1
        inside = np.flatnonzero(source < log.offsets[session[cut] + 1])
        after.append((inside, log.position[source[inside]], np.full(len(inside), np.exp(-(lag - 1.0)))))
    matrices = []
    for side in (before, after):
        row, column, value = (np.concatenate(part) for part in zip(*side, strict=True))
        matrices.append(sparse.csr_matrix((value.astype(np.float32), (row, column)), shape=(len(cut), n)))
    return (session[cut], matrices[0]), matrices[1]


def _blocks(block: np.ndarray, n: int, counts: np.ndarray) -> list[np.ndarray]:
    """Item positions of each block that was ever visited, cut where it is too large for a dense solve."""
    order = np.argsort(block, kind="stable")
    order = order[counts[order] > 0]
    edges = np.flatnonzero(np.diff(block[order])) + 1
    blocks = []
    for items in np.split(order, edges):
        blocks += [items[i : i + MAX_BLOCK] for i in range(0, len(items), MAX_BLOCK)]
    return [b for b in blocks if len(b)]


def _stochastic(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows scaled to sum 1."""
    total = np.asarray(counts.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags_array((1.0 / np.maximum(total, 1e-12)).astype(np.float32)) @ counts)


def _over_max(m: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows scaled to maximum 1, so that relations in different units can be joined."""
    most = m.max(axis=1).toarray().ravel()
    return sparse.csr_matrix(sparse.diags_array((1.0 / np.maximum(most, 1e-12)).astype(np.float32)) @ m)


def _best(m: sparse.csr_matrix, width: int) -> sparse.csr_matrix:
    """The `width` largest entries of each row."""
    starts, kept = row_kernels.strongest(m.indptr, m.indices, m.data, width)
    best = sparse.csr_matrix((m.data[kept], m.indices[kept], starts), shape=m.shape)
    best.sort_indices()
    return best
