"""Items that are seen again and again and passed over, against what their slots and their cluster lead to expect. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from scipy import stats

from clusters.contrasts import discoveries
from clusters.sights import Slates, slot_rates

HALF = 0.5
"""An item is passed over where it has at most this part of the engagement that is expected of it."""

GOES = 0.25
"""It goes where it surely has less than this part; else it weighs less."""

LEAST_FACTOR = 0.25
"""What is left, at least, of an item that weighs less."""


class PassedOver(NamedTuple):
    """observed, expected : times that it was engaged with, over its sights.  factor : their ratio, leaning to 1, within bounds.

    goes : whether even the upper end of the ratio is under `GOES`.
    """

    item: int
    observed: float
    expected: float
    factor: float
    goes: bool
    sights: int
    sessions: int


def passed_over(slates: Slates, items: Collection[int], *, among: np.ndarray, least: int, rate: float) -> list[PassedOver]:
    """Items of one cluster that are passed over, the worst first, by sessions that had engaged with the cluster before.

    Before, not ever: a session that is picked by what it did in a slate did more there than others do. What it had engaged with
    itself is left out.

    among : bool by session number, sessions to look at.  least : sessions that must have passed an item over.
    rate : of false discoveries among them. Each item is compared with the cluster's others at the same slots; errors are by
    sessions.
    """
    rates = slot_rates(slates)
    own = np.isin(slates.item, np.fromiter(items, dtype=np.int64, count=len(items)))
    slate = slates.slate
    session = slates.session[slate]
    there = np.flatnonzero(own & among[session])
    if not len(there):
        return []
    ids, column = np.unique(slates.item[there], return_inverse=True)
    acted, of, at = slates.acted[there], session[there], slate[there]
    never = len(slates.at)
    first = np.full(len(among), never)
    np.minimum.at(first, of[acted], at[acted])
    _, pair = np.unique(of * len(ids) + column, return_inverse=True)
    own_first = np.full(int(pair.max()) + 1, never)
    np.minimum.at(own_first, pair[acted], at[acted])
    stays = (at > first[of]) & (at <= own_first[pair])
    there, column, acted, of = there[stays], column[stays], acted[stays], of[stays]
    if not len(there):
        return []
    slot = rates[slates.slot[there]]
    done, due = np.bincount(column, acted, minlength=len(ids)), np.bincount(column, slot, minlength=len(ids))
    level = (done.sum() - done) / np.maximum(due.sum() - due, 1e-12)  # of the cluster's others
    residual = acted - level[column] * slot
    pairs, place = np.unique(np.stack((column, of)), axis=1, return_inverse=True)
    by_session = np.bincount(place.ravel(), residual, minlength=pairs.shape[1])
    spread = np.sqrt(np.bincount(pairs[0], by_session**2, minlength=len(ids)))
    # What was never engaged with varies by chance too: at least as a Poisson count of what is expected would.
    expected = level * due
    spread = np.maximum(spread, np.sqrt(np.maximum(expected, 1e-12)))
    sessions = np.bincount(pairs[0], minlength=len(ids))
    tested = np.flatnonzero(sessions >= least)
    p = stats.norm.cdf((done - expected)[tested] / spread[tested])
    believed = tested[discoveries(p, rate)]
    sights = np.bincount(column, minlength=len(ids))
    found = []
    for n in believed.tolist():
        ratio = float((done[n] + 1.0) / (expected[n] + 1.0))
        if ratio > HALF:
            continue
        upper = float((done[n] + 1.96 * max(spread[n], 1.0)) / expected[n])
        factor = min(max(ratio, LEAST_FACTOR), HALF)
        found.append(
            PassedOver(int(ids[n]), float(done[n]), float(expected[n]), factor, upper < GOES, int(sights[n]), int(sessions[n]))
        )
    return sorted(found, key=lambda f: f.observed / f.expected)
