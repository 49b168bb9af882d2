"""Rewards of many sessions' decisions at once: `rewards.credit` over columns, in a compiled loop. Pure.

`clusters.rewards` says what a decision earns and why; this says the same of a million, and is tested against it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clusters.rewards import Rewards, attention
from personas.compiling import compiled, readonly
from personas.events import CODE

FAR = 256
"""Slots from here on are looked at as the one before: `rewards.attention`."""

_ATTENTION = readonly(np.array([attention(slot) for slot in range(FAR)]), np.float64)


class Followed(NamedTuple):
    """What the shoppers of some sessions, numbered from 0, saw and did. Reports and acts are sorted by session, then time.

    session, at, slate : (R,) of each report that names its slate: number, seconds, number of the slate (each of one session).
    start : (R + 1,) where its items begin in `item` and `slot` (M,).  item : numbers from 0.  slot : 0 for the first.
    by, when, acted, code : (E,) of each engagement: session, seconds, number of the item, event code.
    late : (session, at) of events that came in too late for anything to be told of what they led to; see `reading.LATE_S`.
    """

    session: np.ndarray
    at: np.ndarray
    slate: np.ndarray
    start: np.ndarray
    item: np.ndarray
    slot: np.ndarray
    by: np.ndarray
    when: np.ndarray
    acted: np.ndarray
    code: np.ndarray
    late: frozenset[tuple[int, float]] = frozenset()


def credited(rewards: Rewards, session: np.ndarray, at: np.ndarray, followed: Followed) -> np.ndarray:
    """(n,) float64 reward of each decision, NaN where no reported slate followed within the window.

    session : (n,) int64, numbers as in `followed`.  at : (n,) float64 seconds. In any order.
    """
    order = np.lexsort((at, session))
    worth = np.full(max([*CODE.values(), *rewards.weights]) + 1, np.nan)
    worth[list(rewards.weights)] = list(rewards.weights.values())
    columns = (session[order], at[order], *followed[:-1], worth)
    arguments: list[Any] = [readonly(part, np.float64 if part.dtype.kind == "f" else np.int64) for part in columns]
    arguments += [_ATTENTION, CODE["select_item"], CODE["view_item"], rewards.ignored_cost, rewards.reports, rewards.window_s]
    found = np.empty(len(order))
    found[order] = _credited(*arguments)
    return found


@compiled
def _credited(
    decided_in: np.ndarray,
    decided: np.ndarray,
    session: np.ndarray,
    at: np.ndarray,
    slate: np.ndarray,
    start: np.ndarray,
    item: np.ndarray,
    slot: np.ndarray,
    by: np.ndarray,
    when: np.ndarray,
    acted: np.ndarray,
    code: np.ndarray,
    worth: np.ndarray,
    attention: np.ndarray,
    click: int,
    look: int,
    ignored_cost: float,
    reports: int,
    window: float,
) -> np.ndarray:
    """decided_in, decided : (n,) sessions and times, sorted by both. An *entry* is an item of a slate, by its place in `item`."""
    n, many, acts, most = len(decided), len(at), len(when), len(attention)
    out = np.full(n, np.nan)
    items = 1 + max(item.max() if len(item) else -1, acted.max() if len(acted) else -1)
    shown = np.full(items, -1, dtype=np.int64)  # entry of the last slate that showed an item
    shown_at = np.zeros(items)
    place = np.full(1 + (slate.max() if many else -1), -1, dtype=np.int64)
    of = np.full(len(item), -1, dtype=np.int64)  # entry -> slate by its place, -1 for what the slate had already
    done = np.zeros(len(item), dtype=np.int64)  # entry -> bits of the kinds of events
    began, gained, passed = np.zeros(many), np.zeros(many), np.zeros(many)
    newest, older = np.full(many, -1, dtype=np.int64), np.full(len(item), -1, dtype=np.int64)  # a slate's entries, chained
    d = r = a = slates = 0
    while d < n:
        here = decided_in[d]
        while r < many and session[r] < here:
            r += 1
        while a < acts and by[a] < here:
            a += 1
        first, base = slates, start[r]
        while True:
            last = r == many or session[r] != here
            while a < acts and by[a] == here and (last or when[a] < at[r]):
                entry, kind = shown[acted[a]], code[a]
                if kind == click:
                    kind = look
                if entry >= base and when[a] - shown_at[acted[a]] <= window and not np.isnan(worth[kind]):
                    done[entry] |= 1 << kind
                a += 1
            if last:
                break
            known = place[slate[r]]
            if known < 0:
                place[slate[r]] = slates
                began[slates] = at[r]
                slates += 1
            s = place[slate[r]]
            for k in range(start[r], start[r + 1]):
                entry = shown[item[k]]
                if entry < base or of[entry] != s:
                    entry = k
                    if known >= 0:  # told in parts: another slate may have shown the item meanwhile
                        e = newest[s]
                        while e >= 0 and item[e] != item[k]:
                            e = older[e]
                        entry = e if e >= 0 else k
                    if entry == k:
                        of[k], older[k], newest[s] = s, newest[s], k
                shown[item[k]] = entry
                shown_at[item[k]] = at[r]
            r += 1
        for e in range(base, start[r]):
            if of[e] < 0:
                continue
            if done[e] == 0:
                passed[of[e]] += attention[min(max(slot[e], 0), most - 1)]
            else:
                for kind in range(len(worth)):
                    if done[e] >> kind & 1:
                        gained[of[e]] += worth[kind]
        low = first
        while d < n and decided_in[d] == here:
            while low < slates and began[low] <= decided[d]:
                low += 1
            total, count = 0.0, 0
            while low + count < slates and count < reports and began[low + count] <= decided[d] + window:
                total += gained[low + count] - ignored_cost * passed[low + count]
                count += 1
            if count:
                out[d] = total / count
            d += 1
    return out
