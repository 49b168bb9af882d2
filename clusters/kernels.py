"""The arithmetic of choosing and labelling clusters, compiled: a step does it over all clusters, for a handful of numbers each.

`clusters.alignment` and `recommendations.ranking.slate` say what it means. Arrays of a release come read-only.
"""

from __future__ import annotations

import numpy as np

from personas.compiling import compiled


@compiled
def scored(
    share: np.ndarray,
    match: np.ndarray,
    likeness: np.ndarray,
    lift: np.ndarray,
    transitions: np.ndarray,
    sizes: np.ndarray,
    belief: np.ndarray,
    attributes: np.ndarray,
    learned: float,
    span: float,
    held: np.ndarray,
    mass: np.ndarray,
    affinity: np.ndarray,
    weights: np.ndarray,
    changed: np.ndarray,
    multipliers: np.ndarray,
) -> np.ndarray:
    """(6, C) float32: the weighted terms of `alignment.TERMS` of each cluster, its multiplier, its score.

    share : (C,) float32.  match : (C, A).  likeness : (A, A).  lift : (C, K), K may be 0.  transitions : (C, C).
    sizes : (C,) int64.  belief : (K,) float64.  attributes : (A,) float64.  learned, span : of `alignment`.
    held, mass : (q,) clusters that hold the session's engagement, and how much; none for a session without.
    affinity : (C,) float32, or empty.  weights : (4,) of the terms.  changed, multipliers : (x,) what the session changed.
    """
    size, k, a = len(share), lift.shape[1], len(attributes)
    out = np.empty((6, size), dtype=np.float32)
    out[:4] = 0.0
    out[4] = 1.0
    for i in range(len(changed)):
        out[4, changed[i]] = multipliers[i]
    squared = 0.0
    for i in range(a):
        for j in range(a):
            squared += attributes[i] * likeness[i, j] * attributes[j]
    each = span * (1.0 - learned) / np.sqrt(squared) if squared > 0.0 else 0.0
    persona, follows = out[3], out[1]
    total = np.float32(0.0)
    for c in range(size):
        suits = 0.5
        if k:
            mean = 0.0
            for j in range(k):
                mean += lift[c, j] * belief[j]
            suits = mean / (1.0 + mean)
        if each > 0.0:
            alike = 0.0
            for i in range(a):
                alike += match[c, i] * attributes[i]
            suits = learned * suits + 0.5 * (1.0 - learned) + each * alike
        persona[c] = share[c] * (suits / (1.0 - suits))
        total += persona[c]
    for c in range(size):
        persona[c] /= total
    if len(held):
        whole = 0.0
        for i in range(len(held)):
            whole += mass[i]
        for i in range(len(held)):
            part, row = np.float32(mass[i] / whole), transitions[held[i]]
            out[0, held[i]] = part
            for c in range(size):
                follows[c] += part * row[c]
    else:
        for i in range(size):
            part, row = persona[i], transitions[i]
            out[0, i] = part
            for c in range(size):
                follows[c] += part * row[c]
    if len(affinity):
        out[2] = affinity
    score = out[5]
    for c in range(size):
        together = np.float32(0.0)
        for t in range(4):
            out[t, c] *= weights[t]
            together += out[t, c]
        score[c] = together * out[4, c] if sizes[c] else np.float32(0.0)  # one made by hand, before its first item
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
def arranged(found: np.ndarray, rows: np.ndarray, personas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The chosen clusters, best first: (2, S) int32 positions and personas, (2, S) float32 scores and multipliers, (S, 4) terms.

    found : as `scored` gives it.  rows, personas : (S,) int64.
    """
    size, score = len(rows), found[5]
    order = np.empty(size, dtype=np.int64)
    for i in range(size):  # by insertion: a dozen, and of equals the first leads
        place = i
        while place > 0 and score[rows[order[place - 1]]] < score[rows[i]]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = i
    places, values, terms = np.empty((2, size), np.int32), np.empty((2, size), np.float32), np.empty((size, 4), np.float32)
    for i in range(size):
        row = rows[order[i]]
        places[0, i], places[1, i] = row, personas[order[i]]
        values[0, i], values[1, i] = found[5, row], found[4, row]
        for t in range(4):
            terms[i, t] = found[t, row]
    return places, values, terms


@compiled
def selected(
    share: np.ndarray,
    match: np.ndarray,
    likeness: np.ndarray,
    lift: np.ndarray,
    transitions: np.ndarray,
    sizes: np.ndarray,
    belief: np.ndarray,
    attributes: np.ndarray,
    learned: float,
    span: float,
    held: np.ndarray,
    mass: np.ndarray,
    affinity: np.ndarray,
    weights: np.ndarray,
    changed: np.ndarray,
    multipliers: np.ndarray,
    by_size: np.ndarray,
    shared: np.ndarray,
    count: int,
    room: float,
    active: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """The clusters chosen, as `arranged`, and whether each persona of `active` (a,) int64 has one: else whoever calls sees to it.

    share ... multipliers : of `scored`.  by_size ... room : of `within`.
    """
    found = scored(
        share, match, likeness, lift, transitions, sizes, belief, attributes, learned, span, held, mass, affinity, weights,
        changed, multipliers,
    )  # fmt: skip
    rows = within(found[5], by_size, sizes, shared, count, room)
    if not lift.shape[1] or not len(rows):
        places, values, terms = arranged(found, rows, np.full(len(rows), -1, dtype=np.int64))
        return places, values, terms, True
    personas = suited(lift, rows, active if len(active) else np.arange(lift.shape[1]), belief)
    every = True
    for persona in active:
        has = False
        for i in range(len(personas)):
            has |= personas[i] == persona
        every &= has
    places, values, terms = arranged(found, rows, personas)
    return places, values, terms, every


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
