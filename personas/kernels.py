"""The arithmetic of one step of the persona's chain, compiled: on arrays this small a numpy call costs more than its work.

`personas.hmm` and `personas.courses` say what the equations are and where they come from; their functions, which training and
explanations use, are what these are tested against. A kernel answers in as few arrays as it can, for what a call costs is
mostly those that go in and out.
"""

from __future__ import annotations

import math

import numpy as np

from personas.compiling import compiled

STEP, ENRICH = 0, 1
"""What an event is to the courses: a draw of its own, or more about the last one."""

CONSTANTS = 7
"""Numbers at the head of `updated`'s `chain`, before its tables."""

TOLD = 6
"""Numbers that `updated` answers between the affinity and the courses."""


@compiled
def updated(
    numbers: np.ndarray,
    packed: np.ndarray,
    chain: np.ndarray,
    scores: np.ndarray,
    k: int,
    factors: int,
    position: int,
    elapsed: float,
    mode: int,
    is_step: bool,
    kept_affinity: float,
    doubt: float,
    out: np.ndarray,
    depth: np.ndarray,
) -> None:
    """All that one event does to the numbers of a persona's state, `profile.update`: one call instead of a dozen.

    numbers : K log-belief, K log-prior, F rows of `PersonaHMM.rows`, A affinity, and K occupancy or none before the first step.
    packed : (n,) uint16, `courses.pack`, empty before the first event.
    chain : hazard of a change, least probability of which a logarithm is taken, least that a course is kept of, probability of a
    pair, parts of one in which occupancy and affinity are kept, what a step leaves of the occupancy, least log-probability
    that is told from none; then transition and jumps, (K, K), and `PersonaHMM.rows`, (V, K), row by row.
    scores : (n, A) float32 of the items.  position : of the event's item where it moves the affinity, else below 0.
    elapsed : share of the belief that the time gone by leaves; below 0 where no step of the chain is taken.
    mode : STEP or ENRICH.  is_step : whether the event is one.  kept_affinity : share of the affinity that the item leaves.
    doubt : the state's.
    out : for (2 K + A + 6 + n) answers, since what a compiled function returns is dear: log-belief; occupancy, below 0 where
    there is still none; affinity; the persona that moved most, the factor that spoke most that way, its nats, that persona's
    probability, mass of the courses that changed, doubt; the courses.  depth : for (n,) uint16, the courses as they are kept.
    """
    hazard, rarest, least, pairs_p = chain[0], chain[1], chain[2], chain[3]
    unit, kept_step, deep = chain[4], chain[5], chain[6]
    a, n = scores.shape[1], 2 * k + k * (k - 1) // 2
    square = k * k
    transition = chain[CONSTANTS : CONSTANTS + square].reshape(k, k)
    jumps = chain[CONSTANTS + square : CONSTANTS + 2 * square].reshape(k, k)
    table = chain[CONSTANTS + 2 * square :].reshape((len(chain) - CONSTANTS - 2 * square) // k, k)
    log_belief, log_prior = numbers[:k], numbers[k : 2 * k]
    rows = numbers[2 * k : 2 * k + factors].astype(np.int64)
    affinity, occupancy = numbers[2 * k + factors : 2 * k + factors + a], numbers[2 * k + factors + a :]
    weights = np.empty(n)
    if len(packed):
        for i in range(n):
            weights[i] = math.exp(-0.01 * packed[i])
    else:
        _open(log_prior, pairs_p, weights)
    moved, kept = filtered(log_belief, log_prior, transition, jumps, table, rows, weights, elapsed, mode, hazard, rarest, least)
    depth[:] = kept
    told = out[2 * k + a : 2 * k + a + TOLD]
    told[0], told[1], told[2], told[4] = moved[3 * k], moved[3 * k + 1], moved[3 * k + 2], moved[3 * k + 4]
    told[3] = moved[k + int(moved[3 * k])]
    entropy = moved[3 * k + 3]
    out[:k] = moved[:k]
    if len(occupancy) == 0:
        for j in range(k):
            out[k + j] = np.rint(unit * moved[k + j]) if is_step else -1.0
        told[5] = entropy if is_step else 0.0
    elif is_step:
        for j in range(k):
            out[k + j] = math.floor(kept_step * occupancy[j] + unit * moved[k + j] + 0.5)
        told[5] = kept_step * doubt + entropy
    else:  # what is no step mends the last one's part
        spread = 0.0
        for j in range(k):
            log_p = max(log_belief[j], deep)
            before = math.exp(log_p)
            out[k + j] = max(0.0, occupancy[j] + np.rint(unit * (moved[k + j] - before)))
            spread += before * log_p
        told[5] = max(0.0, doubt + entropy + spread)
    for i in range(a):
        out[2 * k + i] = affinity[i]
        if position >= 0:
            new = unit * (1.0 - kept_affinity) * scores[position, i]
            out[2 * k + i] = math.floor(kept_affinity * affinity[i] + new + 0.5)
    out[2 * k + a + TOLD :] = moved[3 * k + 5 :]


@compiled
def _open(log_prior: np.ndarray, pairs_p: float, courses: np.ndarray) -> None:
    """`courses.opening` of (K,) log-probabilities into (n,) courses."""
    k, place, total = len(log_prior), 2 * len(log_prior), 0.0
    if k == 1:
        courses[0], courses[1] = 1.0, 0.0
        return
    for j in range(k):
        courses[j], courses[k + j] = (1.0 - pairs_p) * math.exp(log_prior[j]), 0.0
        for i in range(j + 1, k):
            courses[place] = math.exp(log_prior[j]) * math.exp(log_prior[i]) + 1e-12
            total += courses[place]
            place += 1
    for i in range(2 * k, len(courses)):
        courses[i] *= pairs_p / total


@compiled
def filtered(
    log_belief: np.ndarray,
    log_prior: np.ndarray,
    transition: np.ndarray,
    jumps: np.ndarray,
    table: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    kept: float,
    mode: int,
    hazard: float,
    rarest: float,
    least: float,
) -> tuple[np.ndarray, np.ndarray]:
    """One filter step, what it was by, and the courses after it.

    log_belief, log_prior : (K,) float64.  transition, jumps : (K, K).  table : `PersonaHMM.rows`.  rows : (F,) int64 into it,
    the last row where a factor is absent.  weights : (n,) of the courses, up to a factor.
    kept : share of the belief that the time gone by leaves; below 0 where no step of the chain is taken.
    mode : STEP or ENRICH.  hazard : of a change.  rarest : the least probability of which a logarithm is taken.
    least : probability below which no course is kept.
    Answers (3 K + 5 + n): log-belief; belief; log-likelihood of the event; the persona that moved most, the factor that spoke
    most that way, its nats; entropy of the belief; mass of the courses that changed; the courses.
    And (n,) uint16, the courses as `courses.pack` keeps them.
    """
    k, n, present = len(log_belief), len(weights), len(rows)
    absent = len(table) - 1
    before = np.exp(log_belief)
    held = before.copy()
    if kept >= 0.0:
        for j in range(k):
            total = 0.0
            for i in range(k):
                total += held[i] * transition[i, j]
            before[j] = total
        if kept < 1.0:
            for j in range(k):
                before[j] = kept * before[j] + (1.0 - kept) * math.exp(log_prior[j])
    out = np.empty(3 * k + 5 + n)
    told, top, most = out[2 * k : 3 * k], -math.inf, -math.inf
    for j in range(k):
        said = 0.0
        for f in range(present):
            said += table[rows[f], j]
        told[j] = said
        most = max(most, said)
        out[j] = said + (math.log(before[j]) if before[j] > 0.0 else -math.inf) if kept >= 0.0 else said + log_belief[j]
        top = max(top, out[j])
    if top == -math.inf:  # impossible under every persona: the belief stays
        for j in range(k):
            out[j] = (math.log(before[j]) if before[j] > 0.0 else -math.inf) if kept >= 0.0 else log_belief[j]
    else:
        total = 0.0
        for j in range(k):
            total += math.exp(out[j] - top)
        scale = top + math.log(total)
        for j in range(k):
            out[j] -= scale
    # Whom the event moved most, and what spoke most in that direction.
    persona, moved, entropy = 0, -1.0, 0.0
    for j in range(k):
        p = math.exp(out[j])
        out[k + j] = p
        if p > 0.0:
            entropy -= p * out[j]
        if abs(p - before[j]) > moved:
            moved, persona = abs(p - before[j]), j
    way = 1.0 if out[k + persona] >= before[persona] else -1.0
    factor, loudest = 0, -math.inf
    for f in range(present):
        if rows[f] == absent:
            continue
        usual = 0.0
        for j in range(k):
            usual += math.exp(table[rows[f], j]) * before[j]
        nats = way * (table[rows[f], persona] - math.log(max(usual, rarest)))
        if nats > loudest:
            loudest, factor = nats, f
    out[3 * k], out[3 * k + 1], out[3 * k + 2], out[3 * k + 3] = persona, factor, way * loudest, entropy
    courses = out[3 * k + 5 :]
    for j in range(k):
        held[j] = math.exp(log_belief[j]) + 1e-12
    _weigh(weights, jumps, told, most, held, mode, hazard, courses)
    changed = 0.0
    for j in range(k, 2 * k):
        changed += courses[j]
    out[3 * k + 4] = changed
    depth = np.empty(n, dtype=np.uint16)
    for i in range(n):
        depth[i] = int(-100.0 * math.log(max(courses[i], least)) + 0.5)
    return out, depth


@compiled
def _weigh(
    weights: np.ndarray,
    jumps: np.ndarray,
    told: np.ndarray,
    most: float,
    shares: np.ndarray,
    mode: int,
    hazard: float,
    courses: np.ndarray,
) -> None:
    """`courses.step`, or `courses.enrich`, of (n,) weights into `courses`.

    told : (K,) log-likelihood, `most` its greatest.  shares : (K,) of who took the last step.
    """
    k = len(told)
    courses[:] = weights
    if mode == STEP and k > 1:
        for j in range(k):
            came = 0.0
            for i in range(k):
                came += weights[i] * jumps[i, j]
            courses[j] = (1.0 - hazard) * weights[j]
            courses[k + j] = weights[k + j] + hazard * came
    weighed, total, place = np.empty(len(courses)), 0.0, 2 * k
    for j in range(k):
        likelihood = math.exp(told[j] - most)
        weighed[j], weighed[k + j] = courses[j] * likelihood, courses[k + j] * likelihood
        total += weighed[j] + weighed[k + j]
        for i in range(j + 1, k):
            other = math.exp(told[i] - most)
            if mode == STEP:
                mixed = 0.5 * (likelihood + other)
            else:
                mixed = (shares[j] * likelihood + shares[i] * other) / (shares[j] + shares[i])
            weighed[place] = courses[place] * mixed
            total += weighed[place]
            place += 1
    if 0.0 < total < math.inf:
        for i in range(len(courses)):
            courses[i] = weighed[i] / total
    else:  # no course explains it: they stay as they were
        total = 0.0
        for i in range(len(courses)):
            total += courses[i]
        for i in range(len(courses)):
            courses[i] /= total


@compiled
def profiled(
    log_belief: np.ndarray,
    shares: np.ndarray,
    doubt: float,
    weights: np.ndarray,
    mix: np.ndarray,
    affinity: np.ndarray,
    unit: float,
    usual: np.ndarray,
    own_share: float,
) -> np.ndarray:
    """What a profile is made of, `profile.PersonaProfile`.

    log_belief, shares : (K,) float64.  doubt : mean entropy of the beliefs, nats; below 0 before the first step.
    weights : (n,) of the courses, up to a factor.  mix : (K, A) float64.  affinity, usual : (A,) float64, the session's mean
    attribute scores, in `unit`s, and the catalogue's.  own_share : weight of what lies above it.
    Answers (A + K + 6): attribute weights, belief, entropy, mixing, P(two take turns), P(changed), and the likeliest two.
    """
    k, a, n = len(log_belief), len(usual), len(weights)
    out = np.empty(a + k + 6)
    out[:a] = 0.0
    entropy = spread = 0.0
    for j in range(k):
        p = math.exp(log_belief[j])
        out[a + j] = p
        if p > 0.0:
            entropy -= p * math.log(p)
        if shares[j] > 0.0:
            spread -= shares[j] * math.log(shares[j])
        for i in range(a):
            out[i] += p * mix[j, i]
    own = 0.0
    if own_share > 0.0:
        for i in range(a):
            own += max(affinity[i] / unit - usual[i], 0.0)
    total = 0.0
    for i in range(a):
        if own > 0.0:
            out[i] = (1.0 - own_share) * out[i] + own_share * max(affinity[i] / unit - usual[i], 0.0) / own
        total += out[i]
    for i in range(a):
        out[i] /= total
    whole = one = changed = 0.0
    best, pair, first, second = -1.0, 2 * k, 0, 0
    for i in range(n):
        whole += weights[i]
        if i < k:
            one += weights[i]
        elif i < 2 * k:
            changed += weights[i]
    for i in range(k):
        for j in range(i + 1, k):
            if weights[pair] > best:
                best, first, second = weights[pair], i, j
            pair += 1
    one, changed = one / whole, changed / whole
    rest = out[a + k :]
    rest[0], rest[1] = entropy, max(0.0, spread - doubt) if doubt >= 0.0 else 0.0
    rest[2], rest[3], rest[4], rest[5] = max(0.0, 1.0 - one - changed), changed, first, second
    return out
