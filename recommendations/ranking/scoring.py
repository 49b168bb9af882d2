"""The blend's network, what carried its scores and what they would be without one of their causes, compiled.

`blend`, `explaining` and `naming` say what the numbers mean.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from recommendations.ranking.compiling import compiled, compiled_sums

LEAST = 1e-6
"""Gain below which nothing is said to have carried an item."""


class Weights(NamedTuple):
    """Of `blend.Blend`, read-only and C-contiguous."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    skip: np.ndarray


@compiled
def scores(weights: Weights, x: np.ndarray) -> np.ndarray:
    """(m,) float32 of features x (F, m)."""
    out = np.dot(weights.skip, x)
    hidden = np.dot(weights.w1, x)
    _hold(hidden, weights.b1)
    hidden = np.dot(weights.w2, hidden)
    _hold(hidden, weights.b2)
    return out + np.dot(weights.w3, hidden)


@compiled
def _hold(hidden: np.ndarray, bias: np.ndarray) -> None:
    """Rows of `hidden` plus the bias of each, nothing below 0, in place."""
    for i in range(len(bias)):
        for j in range(hidden.shape[1]):
            hidden[i, j] = max(hidden[i, j] + bias[i], np.float32(0.0))


@compiled
def silenced(
    weights: Weights, features: np.ndarray, columns: np.ndarray, rows: np.ndarray, starts: np.ndarray, average: np.ndarray
) -> np.ndarray:
    """(V, k) float32 scores of the k candidates at `columns`, in each of V cases with some features of one value for all.

    features : (F, m) of all candidates.  rows[starts[v]:starts[v + 1]] : those of case v.  average : (V,) bool, whether they have
    the mean of all candidates, or else 0.
    """
    out = np.empty((len(starts) - 1, len(columns)), dtype=np.float32)
    own = np.empty((features.shape[0], len(columns)), dtype=np.float32)
    for f in range(features.shape[0]):
        for j in range(len(columns)):
            own[f, j] = features[f, columns[j]]
    for v in range(len(out)):
        x = own.copy()
        for f in rows[starts[v] : starts[v + 1]]:
            value = np.float32(0.0)
            if average[v]:
                total = 0.0
                for j in range(features.shape[1]):
                    total += features[f, j]
                value = np.float32(total / features.shape[1])
            x[f] = value
        out[v] = scores(weights, x)
    return out


@compiled
def gradients(weights: Weights, x: np.ndarray) -> np.ndarray:
    """(F, m) float32, derivative of each score by each feature of x (F, m)."""
    first = np.dot(weights.w1, x)
    _hold(first, weights.b1)
    second = np.dot(weights.w2, first)
    _hold(second, weights.b2)
    for i in range(len(second)):
        for j in range(x.shape[1]):
            second[i, j] = weights.w3[i] if second[i, j] > 0.0 else np.float32(0.0)
    back = np.dot(weights.w2.T, second)
    for i in range(len(back)):
        for j in range(x.shape[1]):
            back[i, j] = back[i, j] if first[i, j] > 0.0 else np.float32(0.0)
    out = np.dot(weights.w1.T, back)
    for f in range(len(out)):
        for j in range(x.shape[1]):
            out[f, j] += weights.skip[f]
    return out


# What the session and the request make of a score


@compiled
def log_weights(
    positions: np.ndarray, starts: np.ndarray, clusters: np.ndarray, memberships: np.ndarray, multiplier: np.ndarray, least: float
) -> np.ndarray:
    """(m,) float32, log of the mean multiplier of each item's clusters, weighted by membership; `least` at least.

    positions : (m,) int64.  starts, clusters, memberships : of the items' clusters, as CSR.  multiplier : (C,) float32.
    """
    out = np.empty(len(positions), dtype=np.float32)
    for i in range(len(positions)):
        total, weighted = 0.0, 0.0
        for entry in range(starts[positions[i]], starts[positions[i] + 1]):
            total += memberships[entry]
            weighted += float(np.float32(memberships[entry] * multiplier[clusters[entry]]))
        if weighted == total or total <= 0.0:
            out[i] = 0.0
        else:
            out[i] = max(math.log(max(weighted / max(total, 1e-12), 1e-30)), least)
    return out


@compiled
def weighed(
    weights: Weights,
    features: np.ndarray,
    positions: np.ndarray,
    starts: np.ndarray,
    clusters: np.ndarray,
    memberships: np.ndarray,
    groups: int,
    changed: np.ndarray,
    multipliers: np.ndarray,
    items: np.ndarray,
    item_multipliers: np.ndarray,
    least: float,
    exclude: np.ndarray,
    told: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """(m,) float32: `scores` of features (F, m), with the logarithms of the multipliers of clusters and items; -inf for those at
    the positions `exclude`.

    starts, clusters, memberships : of the items' clusters, as CSR, of `groups` clusters.  changed, multipliers : (x,) clusters.
    items, item_multipliers : (y,) positions.  least : of a logarithm.  told, out : (n,) float32 and bool zeros, and left so.
    """
    found = scores(weights, features)
    if len(changed):
        by = np.ones(groups, dtype=np.float32)
        for x in range(len(changed)):
            by[changed[x]] = multipliers[x]
        found += log_weights(positions, starts, clusters, memberships, by, least)
    if len(items):
        for y in range(len(items)):
            told[items[y]] = max(math.log(max(item_multipliers[y], 1e-30)), least)
        for j in range(len(positions)):
            found[j] += told[positions[j]]
        for y in range(len(items)):
            told[items[y]] = 0.0
    for e in range(len(exclude)):
        out[exclude[e]] = True
    for j in range(len(positions)):
        if out[positions[j]]:
            found[j] = -np.inf
    for e in range(len(exclude)):
        out[exclude[e]] = False
    return found


@compiled
def leading(found: np.ndarray, keep: int) -> np.ndarray:
    """(<= keep,) int64 places of the highest finite scores (m,) float32, best first, of equals the first; for few."""
    best, held = np.empty(min(keep, len(found)), dtype=np.int64), 0
    for j in range(len(found)):
        score = found[j]
        if not math.isfinite(score) or not keep or (held == keep and score <= found[best[held - 1]]):
            continue
        place = held if held < keep else held - 1
        while place > 0 and found[best[place - 1]] < score:
            best[place] = best[place - 1]
            place -= 1
        best[place] = j
        held = min(held + 1, keep)
    return best[:held].copy()


@compiled
def ordered(
    parts: tuple[Any, ...],
    features: np.ndarray,
    positions: np.ndarray,
    starts: np.ndarray,
    clusters: np.ndarray,
    memberships: np.ndarray,
    groups: int,
    changed: np.ndarray,
    multipliers: np.ndarray,
    items: np.ndarray,
    item_multipliers: np.ndarray,
    least: float,
    exclude: np.ndarray,
    told: np.ndarray,
    out: np.ndarray,
    keep: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `leading` by `weighed`, (<= keep,) each: their places among the positions, their positions and their scores.

    parts : `Weights` without its names.
    """
    found = weighed(
        Weights(*parts), features, positions, starts, clusters, memberships, groups, changed, multipliers,
        items, item_multipliers, least, exclude, told, out,
    )  # fmt: skip
    order = leading(found, keep)
    return order, positions[order], found[order]


# What carried a score


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


# Without a cause


@compiled
def _finished(weights: Weights, first: np.ndarray, straight: np.ndarray) -> np.ndarray:
    """(k,) float32 scores, of what the first layer adds up to (H, k), without its bias, and the skip (k,)."""
    hidden = first.copy()
    _hold(hidden, weights.b1)
    hidden = np.dot(weights.w2, hidden)
    _hold(hidden, weights.b2)
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
