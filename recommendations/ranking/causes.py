"""What carried a score, compiled: the loops of `explaining`, which says what the numbers mean."""

from __future__ import annotations

import math

import numpy as np

from recommendations.ranking.compiling import compiled
from recommendations.ranking.kernels import Rows

LEAST = 1e-6
"""Gain below which nothing is said to have carried an item."""


@compiled
def shares(
    features: np.ndarray, columns: np.ndarray, gradient: np.ndarray, expert_of: np.ndarray, experts: int, otherwise: int
) -> np.ndarray:
    """(r, experts) float32, each expert's part of the gain over the average candidate; rows sum to 1.

    features : (F, m) of all candidates.  columns : (r,) int64.  gradient : (F, r) of those.
    expert_of : (F,) int8, -1 for none.  otherwise : the expert that has it all where none gained.
    """
    parts = np.zeros((len(columns), experts), dtype=np.float32)
    m = features.shape[1]
    for f in range(len(expert_of)):
        if expert_of[f] < 0:
            continue
        total = np.float32(0.0)
        for j in range(m):
            total += features[f, j]
        mean = total / np.float32(m)
        for r in range(len(columns)):
            parts[r, expert_of[f]] += gradient[f, r] * (features[f, columns[r]] - mean)
    for r in range(len(columns)):
        total = np.float32(0.0)
        for e in range(experts):
            parts[r, e] = max(parts[r, e], np.float32(0.0))
            total += parts[r, e]
        for e in range(experts):
            if total > LEAST:
                parts[r, e] /= total
            else:
                parts[r, e] = 1.0 if e == otherwise else 0.0
    return parts


@compiled
def votes_by_event(
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    decayed: np.ndarray,
    recent: np.ndarray,
    items: np.ndarray,
    scale: np.ndarray,
    slot: np.ndarray,
) -> np.ndarray:
    """(events, r) float32, what the row of each event says of each item, the relations weighed by `scale` and added up.

    indptr ... decayed : of `ItemRows`.  recent : (events,) int64 positions, the latest first.  items : (r,) int64, distinct.
    scale : (6,) float32.  slot : (n,) int32 zeros, left as they were.
    """
    said = np.zeros((len(recent), len(items)), dtype=np.float32)
    for r in range(len(items)):
        slot[items[r]] = r + 1
    for lag in range(len(recent)):
        for e in range(indptr[recent[lag]], indptr[recent[lag] + 1]):
            r = slot[indices[e]]
            if r:
                for k in range(len(values)):
                    said[lag, r - 1] += values[k, e] * decayed[k, lag] * scale[k]
    for r in range(len(items)):
        slot[items[r]] = 0
    return said


@compiled
def latest_cause(
    positions: np.ndarray,
    items: np.ndarray,
    said: np.ndarray,
    pulls: np.ndarray,
    by_rows: np.ndarray,
    by_pull: np.ndarray,
    by_visit: np.ndarray,
) -> np.ndarray:
    """(r,) int64, the event with the largest part in each item, of equals the latest; -1 where none has any.

    positions : (L,) int64, oldest first.  said : (events, r) as `votes_by_event`.  pulls : (events, r), negative ones count
    for nothing.  by_rows, by_pull, by_visit : (r,) float32, what is to be dealt out by them, and to the item's own events.
    """
    length = len(positions)
    because = np.full(len(items), -1, dtype=np.int64)
    for r in range(len(items)):
        rows, pull = np.float32(1e-12), np.float32(1e-12)
        for lag in range(len(said)):
            rows += said[lag, r]
        for lag in range(len(pulls)):
            pull += max(pulls[lag, r], np.float32(0.0))
        most = np.float32(0.0)
        for lag in range(length):
            part = by_visit[r] if positions[length - 1 - lag] == items[r] else np.float32(0.0)
            if lag < len(said):
                part += by_rows[r] * said[lag, r] / rows
            if lag < len(pulls):
                part += by_pull[r] * max(pulls[lag, r], np.float32(0.0)) / pull
            if part > most:
                most = part
                because[r] = length - 1 - lag
    return because


@compiled
def carried(
    features: np.ndarray,
    votes: np.ndarray,
    ranked: np.ndarray,
    columns: np.ndarray,
    gradient: np.ndarray,
    expert_of: np.ndarray,
    experts: tuple[int, int, int, int, int],
    count: int,
    positions: np.ndarray,
    items: np.ndarray,
    rows: Rows,
    read: int,
    pulls: np.ndarray,
    slot: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """`shares` (r, count) and `latest_cause` (r,) of the items at `columns`, in one call.

    votes : (9, m), the six relations first.  ranked : (k,) int64 columns of all that is ranked: each relation counts by its votes
    for them, for their units differ.  experts : transitions, neighbours, encoder, session, popularity among the `count`.
    read : events whose rows are read.
    """
    by_transitions, by_neighbours, by_encoder, by_session, otherwise = experts
    parts = shares(features, columns, gradient, expert_of, count, otherwise)
    scale = np.empty(len(rows.values), dtype=np.float32)
    for k in range(len(scale)):
        total = np.float32(1e-12)
        for j in range(len(ranked)):
            total += votes[k, ranked[j]]
        scale[k] = np.float32(1.0) / total
    length = len(positions)
    recent = np.empty(min(read, length), dtype=np.int64)
    for lag in range(len(recent)):
        recent[lag] = positions[length - 1 - lag]
    said = votes_by_event(rows.indptr, rows.indices, rows.values, rows.decayed, recent, items, scale, slot)
    by_rows, by_pull = np.empty(len(items), dtype=np.float32), np.empty(len(items), dtype=np.float32)
    by_visit = np.empty(len(items), dtype=np.float32)
    for r in range(len(items)):
        by_rows[r] = parts[r, by_transitions] + parts[r, by_neighbours]
        by_pull[r], by_visit[r] = parts[r, by_encoder], parts[r, by_session]
    return parts, latest_cause(positions, items, said, pulls, by_rows, by_pull, by_visit)


@compiled
def log_odds(scores: np.ndarray) -> np.ndarray:
    """(T, k) float64 log-odds of each of k items to be chosen rather than any other, by each of T lists of scores.

    +inf for the only item of a list.
    """
    odds = np.empty(scores.shape, dtype=np.float64)
    for t in range(scores.shape[0]):
        top = 0
        for j in range(scores.shape[1]):
            if scores[t, j] > scores[t, top]:
                top = j
        most, below = scores[t, top], 0.0
        for j in range(scores.shape[1]):
            if j != top:  # of the best the others are added up without it: a difference of sums would lose what little there is
                below += math.exp(scores[t, j] - most)
        for j in range(scores.shape[1]):
            own = math.exp(scores[t, j] - most)
            rest = below if j == top else max(1.0 + below - own, 0.0)
            odds[t, j] = scores[t, j] - most - math.log(rest) if rest > 0.0 else math.inf
    return odds


@compiled
def falls(scores: np.ndarray) -> np.ndarray:
    """(T - 1, k) float64, by how much the log-odds of the first of T lists of scores (T, k) exceed those of each other one.

    NaN for the only item of a list.
    """
    odds = log_odds(scores)
    for t in range(1, len(odds)):
        for j in range(odds.shape[1]):
            odds[t, j] = odds[0, j] - odds[t, j]
    return odds[1:]
