"""The arithmetic of choosing and labelling clusters, compiled: a step does it over all clusters, for a handful of numbers each.

`clusters.alignment` and `recommendations.ranking.slate` say what it means. Arrays of a release come read-only.
"""

from __future__ import annotations

import numpy as np

from personas.compiling import compiled


@compiled
def terms(
    share: np.ndarray,
    match: np.ndarray,
    lift: np.ndarray,
    transitions: np.ndarray,
    belief: np.ndarray,
    wanted: np.ndarray,
    learned: float,
    places: np.ndarray,
    mass: np.ndarray,
    affinity: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """(4, C) float32, the weighted terms of `alignment.TERMS` for each cluster.

    share : (C,) float32.  match : (C, A).  lift : (C, K), K may be 0.  transitions : (C, C).  belief : (K,) float32.
    wanted : (A,) float32, what a unit of match adds to the alignment; empty where attributes say nothing.
    learned : part of the alignment that lift decides.  places, mass : (q,) clusters that hold the session's engagement, and
    their shares of it; none for a session without.  affinity : (C,) float32, or empty.  weights : (4,) of the terms.
    """
    size, k, a = len(share), lift.shape[1], len(wanted)
    out = np.zeros((4, size), dtype=np.float32)
    persona, follows = out[3], out[1]
    total = np.float32(0.0)
    for c in range(size):
        mean = np.float32(0.0)
        for j in range(k):
            mean += lift[c, j] * belief[j]
        suits = mean / (np.float32(1.0) + mean) if k else np.float32(0.5)
        if a:
            likeness = np.float32(0.0)
            for i in range(a):
                likeness += match[c, i] * wanted[i]
            suits = np.float32(learned * suits + 0.5 * (1.0 - learned)) + likeness
        persona[c] = share[c] * (suits / (np.float32(1.0) - suits))
        total += persona[c]
    for c in range(size):
        persona[c] /= total
    if len(places):
        for i in range(len(places)):
            out[0, places[i]] = mass[i]
            row, part = transitions[places[i]], mass[i]
            for c in range(size):
                follows[c] += part * row[c]
    else:
        for i in range(size):
            part = persona[i]
            out[0, i] = part
            row = transitions[i]
            for c in range(size):
                follows[c] += part * row[c]
    if len(affinity):
        out[2] = affinity
    for t in range(4):
        for c in range(size):
            out[t, c] *= weights[t]
    return out


@compiled
def within(score: np.ndarray, by_size: np.ndarray, sizes: np.ndarray, shared: np.ndarray, count: int, room: float) -> np.ndarray:
    """Positions of at most `count` clusters by score for their size, with at most `room` items between them.

    score : (C,) float32.  by_size : (C,) float64, what a score counts for.  sizes : (C,) int64.  shared : (C, C) int32.
    """
    size = len(score)
    most = min(3 * count, size)
    best, value, held = np.empty(most, dtype=np.int64), np.empty(most), 0
    for c in range(size):
        v = score[c] * by_size[c]
        if held == most and v <= value[held - 1]:
            continue
        place = held if held < most else held - 1
        while place > 0 and value[place - 1] < v:
            if place < most:
                value[place], best[place] = value[place - 1], best[place - 1]
            place -= 1
        value[place], best[place] = v, c
        held = min(held + 1, most)
    first, whole = min(count, held), 0
    for i in range(first):
        whole += sizes[best[i]]
    if score[best[first - 1]] > 0.0 and whole <= room:
        return best[:first].copy()  # most often the best fit, whatever they have in common
    chosen, taken, common = np.empty(count, dtype=np.int64), 0, np.zeros(held, dtype=np.int64)
    for i in range(held):
        if score[best[i]] <= 0.0:
            break
        added = sizes[best[i]] - common[i]
        if taken and added > room:
            continue
        chosen[taken] = best[i]
        taken += 1
        if taken == count:
            break
        room -= added
        for j in range(held):
            common[j] = max(common[j], shared[best[i], best[j]])
    return chosen[:taken].copy()


@compiled
def suited(lift: np.ndarray, chosen: np.ndarray, among: np.ndarray, belief: np.ndarray) -> np.ndarray:
    """(S,) of the personas `among`, for each chosen cluster the one whose belief x lift is greatest.

    lift : (C, K) float32, K of one or more.  chosen : (S,) int64.  among : (a,) int64, a of one or more.  belief : (K,) float64.
    """
    out = np.empty(len(chosen), dtype=np.int64)
    for i in range(len(chosen)):
        most = -np.inf
        for k in among:
            fit = lift[chosen[i], k] * belief[k]
            if fit > most:
                most, out[i] = fit, k
    return out


@compiled
def labels(
    positions: np.ndarray,
    starts: np.ndarray,
    clusters: np.ndarray,
    memberships: np.ndarray,
    primary: np.ndarray,
    rows: np.ndarray,
    personas: np.ndarray,
    top: int,
) -> np.ndarray:
    """(m, 2) int64, cluster and persona of items: the selected cluster that holds each most, and whom it is for.

    positions : (m,) intp.  starts, clusters, memberships : of the items' clusters, as CSR.  primary : (n,) int32.
    rows, personas : (S,) int32 of the selection.  top : the likeliest persona, -1 for none.
    """
    out = np.empty((len(positions), 2), dtype=np.int64)
    for i in range(len(positions)):
        item = positions[i]
        most, best = 0.0, -1
        for entry in range(starts[item], starts[item + 1]):
            membership = memberships[entry]
            for s in range(len(rows)):
                if rows[s] == clusters[entry]:
                    if membership > most or (membership == most and s < best):
                        most, best = membership, s
                    break
        out[i, 0] = rows[best] if best >= 0 else primary[item]
        out[i, 1] = personas[best] if best >= 0 and personas[best] >= 0 else top
    return out
