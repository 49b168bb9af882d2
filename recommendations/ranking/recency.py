"""How far back a shop's habits reach: the tail that tuning holds back, and the recency horizon chosen on it."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from personas.sessions import SessionLog
from recommendations.ranking.transitions import LAGS

TAIL_LOW, TAIL_HIGH = 0.08, 0.16
"""Share of the sessions held back for the blend: whole last days that hold at least the first and at most the second."""

HORIZONS = (0.03, 0.1, 0.3, 1.0, np.inf)
"""Recency horizons tried, in spans of the log."""

HORIZON_PREFIXES = 3_000


def default_tail(log: SessionLog) -> np.ndarray:
    """(S,) bool: sessions of the last whole days that hold 8 to 16 % of them, or else the last 8 % in order."""
    total = len(log)
    by_order = np.arange(total) >= total - max(1, round(TAIL_LOW * total))
    if log.clock == "order" or total < 2:
        return by_order if total > 1 else np.zeros(total, dtype=bool)
    day = np.floor(log.starts / 86_400.0)
    for first in np.unique(day)[::-1].tolist():
        tail = day >= first
        if tail.mean() >= TAIL_LOW:
            return tail if tail.mean() <= TAIL_HIGH else by_order
    return by_order


def session_weights(log: SessionLog, horizon: float) -> np.ndarray:
    """(S,) exp(-age / horizon), ages in spans of the log."""
    starts = log.starts
    span = max(float(starts.max() - starts.min()), 1e-9) if len(starts) else 1.0
    return np.exp(-(starts.max(initial=0.0) - starts) / span / horizon) if len(starts) else np.zeros(0)


def best_horizon(early: SessionLog, tail: SessionLog, n: int) -> float:
    """The horizon whose sequential rules rank the tail's next items best, by MRR."""
    session = tail.session_of
    targets = np.flatnonzero(np.arange(len(session)) > tail.offsets[session])[-HORIZON_PREFIXES:]
    if not len(targets) or not len(early):
        return float(np.inf)
    row, column, value = [], [], []
    for lag in range(4):
        source = targets - 1 - lag
        inside = np.flatnonzero(source >= tail.offsets[session[targets]])
        row.append(inside)
        column.append(tail.position[source[inside]])
        value.append(np.full(len(inside), 0.6**lag))
    query = sparse.csr_matrix((np.concatenate(value), (np.concatenate(row), np.concatenate(column))), shape=(len(targets), n))
    best, best_mrr = float(np.inf), -1.0
    for horizon in HORIZONS[::-1]:
        scored = (query @ _rules(early, n, session_weights(early, horizon))).tocsr()
        mrr = _mean_reciprocal_rank(scored, tail.position[targets])
        if mrr > best_mrr * 1.005:  # a shorter memory must earn its place
            best, best_mrr = float(horizon), mrr
    return best


def _rules(log: SessionLog, n: int, weight: np.ndarray) -> sparse.csr_matrix:
    session = log.session_of
    total = sparse.csr_matrix((n, n))
    for lag in range(1, LAGS + 1):
        first = np.flatnonzero(session[lag:] == session[:-lag])
        pairs = (log.position[first], log.position[first + lag])
        total = total + sparse.csr_matrix((weight[session[first]] / lag, pairs), shape=(n, n))
    mass = np.asarray(total.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags_array(1.0 / np.maximum(mass, 1e-12)) @ total)


def _mean_reciprocal_rank(scored: sparse.csr_matrix, targets: np.ndarray) -> float:
    row = np.repeat(np.arange(len(targets)), np.diff(scored.indptr))
    own = np.zeros(len(targets))
    hit = scored.indices == targets[row]
    own[row[hit]] = scored.data[hit]
    ranks = np.bincount(row, scored.data >= own[row], minlength=len(targets))
    return float(np.where(own > 0, 1.0 / np.maximum(ranks, 1.0), 0.0).mean())
