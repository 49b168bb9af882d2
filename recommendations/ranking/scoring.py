"""The blend's network, and what the session and the request make of its scores, compiled. `blend` says what the numbers mean."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from recommendations.ranking.compiling import compiled
from recommendations.ranking.key_order import in_order, lead

FEW = 64
"""So many are put in order sooner by insertion."""


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
    hold(hidden, weights.b1)
    hidden = np.dot(weights.w2, hidden)
    hold(hidden, weights.b2)
    return out + np.dot(weights.w3, hidden)


@compiled
def hold(hidden: np.ndarray, bias: np.ndarray) -> None:
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
    hold(first, weights.b1)
    second = np.dot(weights.w2, first)
    hold(second, weights.b2)
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
    keys, count = np.empty(len(found), dtype=np.uint64), 0
    score = np.zeros(1, dtype=np.float32)
    bits = score.view(np.uint32)
    for j in range(len(found)):
        score[0] = found[j] + np.float32(0.0)  # of the two zeros the one
        keys[count] = in_order(bits[0]) | np.uint64(0xFFFFFFFF - j)
        count += math.isfinite(found[j])
    count = lead(keys, count, keep)
    best, few = np.empty(count, dtype=np.int64), count <= FEW
    for i in range(1, count if few else 0):  # by insertion
        key, place = keys[i], i
        while place > 0 and keys[place - 1] > key:
            keys[place] = keys[place - 1]
            place -= 1
        keys[place] = key
    if not few:
        keys[:count].sort()
    for i in range(count):
        best[count - 1 - i] = np.int64(0xFFFFFFFF) - np.int64(keys[i] & np.uint64(0xFFFFFFFF))
    return best


@compiled
def _kept_out(found: np.ndarray, moved: np.ndarray, slots: int) -> np.ndarray:
    """(<= m,) int64 places that are moved down, or out, from where they would be among the first `slots` of scores (m,)."""
    keys, score = np.empty(len(found), dtype=np.uint64), np.zeros(1, dtype=np.float32)
    bits = score.view(np.uint32)
    for j in range(len(found)):
        score[0] = found[j] + np.float32(0.0)  # of the two zeros the one
        keys[j] = in_order(bits[0])
    least = np.uint64(0)
    if len(found) > slots:
        best = keys.copy()
        least = best[: lead(best, len(found), slots)].min()
    places, count = np.empty(len(found), dtype=np.int64), 0
    for j in range(len(found)):
        places[count] = j
        count += moved[j] < 0.0 and keys[j] >= least and math.isfinite(found[j])
    return places[:count]


@compiled
def ordered(
    parts: tuple[Any, ...], asked: tuple[Any, ...], keep: int, signature: np.ndarray, moves: np.ndarray, slots: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The `leading` by `weighed` and by rules, (<= keep,) each: their places among the positions, their positions and their
    scores; and the positions that rules keep out of the first `slots`.

    parts : `Weights` without its names.  asked : what `weighed` is given besides.
    signature, moves : (n,) int32, and float32 by signature: what rules add to a score; empty where none does.
    """
    found, positions = weighed(Weights(*parts), *asked), asked[1]
    unruled = np.empty(0, dtype=np.int64)
    if len(moves):
        moved = np.empty(len(found), dtype=np.float32)
        for j in range(len(found)):
            moved[j] = moves[signature[positions[j]]]
        if slots:
            unruled = positions[_kept_out(found, moved, slots)]
        found += moved
    order = leading(found, keep)
    return order, positions[order], found[order], unruled
