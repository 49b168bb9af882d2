"""What scores would be without one of their causes, compiled; `naming` and `removals` say what the numbers mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recommendations.ranking.compiling import compiled, compiled_sums
from recommendations.ranking.scoring import Weights, hold, log_weights


@compiled
def _finished(weights: Weights, first: np.ndarray, straight: np.ndarray) -> np.ndarray:
    """(k,) float32 scores, of what the first layer adds up to (H, k), without its bias, and the skip (k,)."""
    hidden = first.copy()
    hold(hidden, weights.b1)
    hidden = np.dot(weights.w2, hidden)
    hold(hidden, weights.b2)
    return straight + np.dot(weights.w3, hidden)


@compiled_sums
def _silence(
    w1: np.ndarray,
    skip: np.ndarray,
    own: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    first: np.ndarray,
    straight: np.ndarray,
) -> None:
    """Has the features at `rows` of own (F, k) one value for all, of `values` (F,), in what `_finished` is given."""
    k = own.shape[1]
    moved = np.empty(k, dtype=np.float32)
    for f in rows:
        x, value = own[f], values[f]
        for j in range(k):
            moved[j] = value - x[j]
        for j in range(k):
            straight[j] += skip[f] * moved[j]
        for i in range(len(w1)):
            weight, row = w1[i, f], first[i]
            for j in range(k):
                row[j] += weight * moved[j]


@compiled
def _odds_at(scores: np.ndarray, rows: np.ndarray, power: np.ndarray, out: np.ndarray) -> None:
    """`log_odds` of scores (k,) at `rows` (r,) into out (r,), NaN beyond the k. power : (k,) float64, written to."""
    k, top = len(scores), 0
    for j in range(k):
        if scores[j] > scores[top]:
            top = j
    most, below = scores[top], 0.0
    for j in range(k):
        power[j] = math.exp(scores[j] - most)
        if j != top:  # of the best the others are added up without it: a difference of sums would lose what little there is
            below += power[j]
    for i in range(len(rows)):
        j = rows[i]
        if j >= k:
            out[i] = math.nan
            continue
        rest = below if j == top else max(1.0 + below - power[j], 0.0)
        out[i] = scores[j] - most - math.log(rest) if rest > 0.0 else math.inf


@compiled
def named(
    parts: tuple[Any, ...],
    features: np.ndarray,
    mean: np.ndarray,
    columns: np.ndarray,
    positions: np.ndarray,
    scores: np.ndarray,
    rows: np.ndarray,
    leading: np.ndarray,
    labels: np.ndarray,
    item: int,
    without: np.ndarray,
    instead: np.ndarray,
    of_expert: np.ndarray,
    expert_starts: np.ndarray,
    of_cluster: np.ndarray,
    starts: np.ndarray,
    clusters: np.ndarray,
    memberships: np.ndarray,
    primary: np.ndarray,
    groups: int,
    changed: np.ndarray,
    multipliers: np.ndarray,
    dropped: float,
    pool: np.ndarray,
    beside: bool,
    least: float,
) -> np.ndarray:
    """(r, 4) int64: of the items at `rows` of a ranking of k, which item, expert and cluster hold, -1 for none, and whether
    what the slate stands beside does, 1 or 0. `naming` says what is tried; what is proposed stands, or what is missed most.

    parts : `Weights` without its names.
    features : (F, m), their `mean` (F,).  columns, positions : (k,) int64.  scores : (k,) float32 as ranked.
    leading, labels : (r,) int64, the expert and the cluster that may be named, -1 for none.
    item : the one that is tried, -1 for none; without it the blend says what it says of features `without` (F, k), or, if that is
    empty, `instead` (k,) float64 is said in its place.
    of_expert : features, those of expert e from expert_starts[e] on.  of_cluster : features that tell of clusters.
    starts, clusters, memberships, primary : of the items' clusters, as CSR; the first of them.  groups : clusters in all.
    changed, multipliers : (x,) clusters whose weight the session changed.
    dropped : `log_weights`' least.  pool : (k,) float32, or empty.  least : by which log-odds must fall.
    """
    weights, k, r = Weights(*parts), len(columns), len(rows)
    own = np.empty((len(features), k), dtype=np.float32)
    for f in range(len(features)):
        row = features[f]
        for j in range(k):
            own[f, j] = row[columns[j]]
    first, straight = np.dot(weights.w1, own), np.dot(weights.skip, own)
    base = _finished(weights, first, straight)
    now, power = scores.astype(np.float64), np.empty(k)
    odds, then = np.empty(r), np.empty(r)
    out = np.full((r, 4), -1, dtype=np.int64)
    _odds_at(now, rows, power, odds)
    if item >= 0:
        if len(without):
            after = (scores + (_finished(weights, np.dot(weights.w1, without), np.dot(weights.skip, without)) - base)).astype(
                np.float64
            )
        else:
            after = scores + (instead - base)
        _odds_at(after, rows, power, then)
        for i in range(r):
            if odds[i] - then[i] >= least:
                out[i, 0] = item
    most = np.full(r, least)
    for e in range(len(expert_starts) - 1):
        tried = False
        for i in range(r):
            tried |= rows[i] < k and leading[i] == e
        if not tried:
            continue
        z, s = first.copy(), straight.copy()
        _silence(weights.w1, weights.skip, own, of_expert[expert_starts[e] : expert_starts[e + 1]], mean, z, s)
        _odds_at((scores + (_finished(weights, z, s) - base)).astype(np.float64), rows, power, then)
        for i in range(r):
            fall = odds[i] - then[i]
            if fall >= least and leading[i] == e:
                out[i, 1], most[i] = e, math.inf
            elif fall >= most[i]:
                out[i, 1], most[i] = e, fall
    z, s = first.copy(), straight.copy()
    _silence(weights.w1, weights.skip, own, of_cluster, np.zeros_like(mean), z, s)
    apart = scores + (_finished(weights, z, s) - base)
    for i in range(r):
        cluster, again = labels[i], rows[i] >= k or labels[i] < 0
        for earlier in range(i):
            again |= labels[earlier] == cluster and rows[earlier] < k
        if again:
            continue
        after = now.copy()
        for j in range(k):
            if primary[positions[j]] == cluster:
                after[j] = apart[j]
        for x in range(len(changed)):
            if changed[x] == cluster:
                by = np.ones(groups, dtype=np.float32)
                for y in range(len(changed)):
                    by[changed[y]] = multipliers[y]
                told = log_weights(positions, starts, clusters, memberships, by, dropped)
                by[cluster] = 1.0
                after += log_weights(positions, starts, clusters, memberships, by, dropped) - told
        _odds_at(after, rows, power, then)
        for j in range(r):
            if labels[j] == cluster and odds[j] - then[j] >= least:
                out[j, 2] = cluster
    for i in range(r):
        out[i, 3] = 0
    if beside:
        _odds_at((scores - pool).astype(np.float64) if len(pool) else now, rows, power, then)
        for i in range(r):
            out[i, 3] = 1 if odds[i] - then[i] >= least else 0
    return out


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
