"""What carried a score, compiled; `explaining` says what the numbers mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommendations.ranking.compiling import compiled, compiled_sums
from recommendations.ranking.scoring import Weights, gradients

LEAST = 1e-6
"""Gain below which nothing is said to have carried an item."""


@compiled_sums
def means(x: np.ndarray) -> np.ndarray:
    """(F,) float32 of the rows of x (F, m)."""
    out = np.empty(len(x), dtype=np.float32)
    for f in range(len(x)):
        row, total = x[f], np.float32(0.0)
        for j in range(len(row)):
            total += row[j]
        out[f] = total / np.float32(len(row))
    return out


@compiled
def shares(
    own: np.ndarray, mean: np.ndarray, gradient: np.ndarray, expert_of: np.ndarray, experts: int, otherwise: int
) -> np.ndarray:
    """(r, experts) float32, each expert's part of the gain over the average candidate; rows sum to 1.

    own : (F, r) features.  mean : (F,) of all candidates.  gradient : (F, r).
    expert_of : (F,) int8, -1 for none.  otherwise : the expert that has it all where none gained.
    """
    r = own.shape[1]
    parts = np.zeros((r, experts), dtype=np.float32)
    for f in range(len(expert_of)):
        if expert_of[f] < 0:
            continue
        for i in range(r):
            parts[i, expert_of[f]] += gradient[f, i] * (own[f, i] - mean[f])
    for i in range(r):
        total = np.float32(0.0)
        for e in range(experts):
            parts[i, e] = max(parts[i, e], np.float32(0.0))
            total += parts[i, e]
        for e in range(experts):
            if total > LEAST:
                parts[i, e] /= total
            else:
                parts[i, e] = 1.0 if e == otherwise else 0.0
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
    parts: tuple[Any, ...],
    features: np.ndarray,
    votes: np.ndarray,
    ranked: np.ndarray,
    columns: np.ndarray,
    expert_of: np.ndarray,
    experts: tuple[int, int, int, int, int],
    count: int,
    positions: np.ndarray,
    items: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    decayed: np.ndarray,
    read: int,
    pulls: np.ndarray,
    slot: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`shares` (r, count) and `latest_cause` (r,) of the items at `columns`, and the `means` (F,) of all features (F, m).

    parts : `Weights` without its names.
    votes : (9, m), the six relations first.  ranked : (k,) int64 columns of all that is ranked: each relation counts by its votes
    for them, for their units differ.  experts : transitions, neighbours, encoder, session, popularity among the `count`.
    indptr ... decayed : of `ItemRows`.  read : events whose rows are read.
    """
    by_transitions, by_neighbours, by_encoder, by_session, otherwise = experts
    mean = means(features)
    own = np.empty((len(features), len(columns)), dtype=np.float32)
    for f in range(len(features)):
        for i in range(len(columns)):
            own[f, i] = features[f, columns[i]]
    owed = shares(own, mean, gradients(Weights(*parts), own), expert_of, count, otherwise)
    scale = np.empty(len(values), dtype=np.float32)
    for k in range(len(scale)):
        total = np.float32(1e-12)
        for j in range(len(ranked)):
            total += votes[k, ranked[j]]
        scale[k] = np.float32(1.0) / total
    length = len(positions)
    recent = np.empty(min(read, length), dtype=np.int64)
    for lag in range(len(recent)):
        recent[lag] = positions[length - 1 - lag]
    said = votes_by_event(indptr, indices, values, decayed, recent, items, scale, slot)
    by_rows, by_pull = np.empty(len(items), dtype=np.float32), np.empty(len(items), dtype=np.float32)
    by_visit = np.empty(len(items), dtype=np.float32)
    for r in range(len(items)):
        by_rows[r] = owed[r, by_transitions] + owed[r, by_neighbours]
        by_pull[r], by_visit[r] = owed[r, by_encoder], owed[r, by_session]
    return owed, latest_cause(positions, items, said, pulls, by_rows, by_pull, by_visit), mean
