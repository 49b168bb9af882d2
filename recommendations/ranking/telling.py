"""What carried the items of a slate, tried at once, compiled: what `explaining` proposes and `naming` lets stand."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommendations.ranking.carrying import carried
from recommendations.ranking.compiling import compiled
from recommendations.ranking.encoder_kernels import event_pulls, session_vector
from recommendations.ranking.removal_kernels import gather_without
from recommendations.ranking.trying import named


@compiled
def most_proposed(positions: np.ndarray, because: np.ndarray) -> int:
    """Of the items of events positions (L,) the one that most of `because` (r,), events or -1, are of; of equals the one proposed
    first; -1 where none is."""
    times, first = np.zeros(len(positions), dtype=np.int64), np.zeros(len(positions), dtype=np.int64)
    best = -1
    for i in range(len(because)):
        if because[i] < 0:
            continue
        event = 0
        while positions[event] != positions[because[i]]:
            event += 1
        if not times[event]:
            first[event] = i
        times[event] += 1
    for event in range(len(positions)):
        if times[event] and (
            best < 0 or times[event] > times[best] or (times[event] == times[best] and first[event] < first[best])
        ):
            best = event
    return positions[best] if best >= 0 else -1


@compiled
def told(
    blend: tuple[Any, ...],
    encoder: tuple[Any, ...],
    tables: tuple[Any, ...],
    groups: tuple[Any, ...],
    room: tuple[Any, ...],
    limits: tuple[Any, ...],
    clusters: tuple[Any, ...],
    fixed: tuple[Any, ...],
    history: tuple[Any, ...],
    codes: np.ndarray,
    evidence: tuple[np.ndarray, np.ndarray, np.ndarray],
    ranking: tuple[np.ndarray, np.ndarray, np.ndarray],
    rows: np.ndarray,
    labels: np.ndarray,
    selected: np.ndarray,
    score: np.ndarray,
    changed: np.ndarray,
    multipliers: np.ndarray,
    pool: np.ndarray,
    beside: bool,
    opened: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """`named` (r, 4) of the items at rows (r,) of a ranking, and the shares (r, E) float64 of the experts, to four places.

    blend : `Weights`.  encoder : `Encoder.loops`.
    tables, groups, room, limits, history : as `gather` is given them.
    clusters : `ItemClusters.held_by` and how many there are.  fixed : what `carried` and `named` are always given.
    codes : (L,) int8 of the history.
    evidence : positions (m,), features (F, m) and votes (9, m).
    ranking : columns, positions and scores (k,) of what the experts ranked; what rows from k on hold only fills a list up.
    opened : (k,) float64 scores of a session without an item, empty where two of the session's items are not the same.
    labels ... beside : as `named` is given them.  selected, score : as `gather` is.
    """
    inputs, lags, weights, mixing, latest = encoder
    starts, held, memberships, primary, all_clusters = clusters
    indptr, indices, values, decayed = tables[0]
    expert_of, by, of_expert, expert_starts, of_cluster, read, dropped, least = fixed
    columns, ranked, scores = ranking
    positions, features, votes = evidence
    touched, count = history[0], len(expert_starts) - 1
    r, k = len(rows), len(columns)
    shares, leading = np.zeros((r, count)), np.full(r, by[4], dtype=np.int64)
    shares[:, by[4]] = 1.0
    places = np.flatnonzero(rows < k)
    if not len(places):
        found = np.full((r, 4), -1, dtype=np.int64)
        found[:, 3] = 0
        return found, shares
    own, items = np.empty(len(places), dtype=np.int64), np.empty(len(places), dtype=np.int64)
    out_of, answers = np.empty(len(places), dtype=np.int64), tables[2]
    for i in range(len(places)):
        own[i] = columns[rows[places[i]]]
        items[i] = positions[own[i]]
        out_of[i] = answers[5][items[i]]
    pulls = event_pulls(inputs, lags, weights, mixing, latest, answers[0], out_of, touched, codes)
    owed, because, mean = carried(
        blend, features, votes, columns, own, expert_of, by, count, touched, items,
        indptr, indices, values, decayed, read, pulls, room[0],
    )  # fmt: skip
    for i in range(len(places)):
        leading[places[i]] = np.argmax(owed[i])
        for e in range(count):
            shares[places[i], e] = np.rint(float(owed[i, e]) * 10_000.0) / 10_000.0
    item = most_proposed(touched, because)
    without = np.zeros((0, 0), dtype=np.float32)
    if item >= 0 and not len(opened):
        h = session_vector(inputs, lags, weights, mixing, latest, touched, codes, item)
        without = gather_without(tables, groups, room, history, selected, score, limits, positions, features, columns, item, h)
    found = named(
        blend, features, mean, columns, ranked, scores, rows, leading, labels, item, without, opened,
        of_expert, expert_starts, of_cluster, starts, held, memberships, primary, all_clusters, changed, multipliers,
        dropped, pool, beside, least,
    )  # fmt: skip
    return found, shares
