"""How likely Thompson sampling takes each option: the chance that its value is the greatest of independent normals. Compiled.

Reference: Agrawal & Goyal (2013), "Thompson sampling for contextual bandits with linear payoffs".
"""

from __future__ import annotations

import math

import numpy as np

from personas.compiling import compiled

FAR = 8.0
"""Standard deviations beyond which a normal has no more than 1e-15 of its mass."""

STEP = 0.75
"""Of the trapezoidal rule, in the narrowest option's standard deviations: of a normal it errs by exp(-2 (pi / step)^2), 1e-15."""

NARROWEST = 1.0 / 16.0
"""Of the widest option's standard deviation, below which no option's falls: it bounds the steps, and an option that is known far
better than another is drawn as if known sixteen times better."""

_FAR, _STEP, _NARROWEST = FAR, STEP, NARROWEST


@compiled
def chances(x: np.ndarray, action: np.ndarray, mean: np.ndarray, covariance: np.ndarray, floor: float) -> np.ndarray:
    """(m, O) chance of each option, at least min(floor, 1 / options) of those there are, 0 of those there aren't.

    x : (m, O, d) float64.  action : (m, O) int8, below 0 where there is no option.  mean : (A, d).  covariance : (A, d, d).
    All arrays read-only. Two options have a closed form; of more, P(j is greatest) = integral of f_j(v) prod_k F_k(v) dv.
    """
    m, most, d = x.shape
    out = np.zeros((m, most))
    place = np.empty(most, dtype=np.int64)
    centre, wide, below, chance = np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    for i in range(m):
        n, widest = 0, 1e-9
        for o in range(most):
            a = action[i, o]
            if a < 0:
                continue
            value, variance = 0.0, 0.0
            for p in range(d):
                row = 0.0
                for q in range(d):
                    row += covariance[a, p, q] * x[i, o, q]
                variance += row * x[i, o, p]
                value += mean[a, p] * x[i, o, p]
            place[n], centre[n], wide[n] = o, value, math.sqrt(max(variance, 0.0))
            widest = max(widest, wide[n])
            n += 1
        if n == 0:
            continue
        narrowest = widest
        for k in range(n):
            wide[k] = max(wide[k], widest * _NARROWEST)
            narrowest = min(narrowest, wide[k])
            chance[k] = 0.0
        if n == 1:
            chance[0] = 1.0
        elif n == 2:
            z = (centre[0] - centre[1]) / math.sqrt(wide[0] * wide[0] + wide[1] * wide[1])
            chance[0], chance[1] = 0.5 * math.erfc(-z / math.sqrt(2.0)), 0.5 * math.erfc(z / math.sqrt(2.0))
        else:
            low = high = -math.inf
            for k in range(n):
                low, high = max(low, centre[k] - _FAR * wide[k]), max(high, centre[k] + _FAR * wide[k])
            steps = int((high - low) / (_STEP * narrowest)) + 2
            for s in range(steps + 1):
                v = low + (high - low) * s / steps
                for k in range(n):
                    below[k] = 0.5 * math.erfc((centre[k] - v) / (wide[k] * math.sqrt(2.0)))
                for j in range(n):
                    z = (v - centre[j]) / wide[j]
                    if abs(z) > _FAR:
                        continue
                    density = math.exp(-0.5 * z * z) / wide[j]
                    for k in range(n):
                        if k != j:
                            density *= below[k]
                    chance[j] += density
        total = 0.0
        for k in range(n):
            total += chance[k]
        least = min(floor, 1.0 / n)
        for k in range(n):
            out[i, place[k]] = least + (1.0 - least * n) * (chance[k] / total)
    return out


@compiled
def drawn(chance: np.ndarray, dice: np.ndarray) -> np.ndarray:
    """(m,) int64 places of the options that dice (m,) in [0, 1) fall on, by chances (m, O)."""
    m, most = chance.shape
    place = np.zeros(m, dtype=np.int64)
    for i in range(m):
        whole = 0.0
        for o in range(most):
            whole += chance[i, o]
        left = dice[i] * whole
        for o in range(most):
            if chance[i, o] > 0.0:
                place[i] = o
                left -= chance[i, o]
                if left < 0.0:
                    break
    return place
