"""What the sessions of a log of decisions saw and did, as columns; and how likely what stands where is engaged with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clusters.decision_log import DecisionLog
from clusters.rewards import Look, Rewards, attention

SLOT_PRIOR = 200.0
"""Sights by which a slot's part of the engagement leans towards `rewards.attention`."""


@dataclass(frozen=True)
class Slates:
    """S reported slates by session, then time; k sights of items by slate.

    session : (S,) int64, as in the log.  at : (S,) float64, seconds, when first reported.  starts : (S + 1,) int64, the sights of
    slate s are starts[s]:starts[s + 1].  item : (k,) int64 ids.  slot : (k,) int64, from 0.
    worth : (k,) float64, of what was done with the item there, in looks.  acted : (k,) bool, False where it was passed over.
    """

    session: np.ndarray
    at: np.ndarray
    starts: np.ndarray
    item: np.ndarray
    slot: np.ndarray
    worth: np.ndarray
    acted: np.ndarray

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.at) + 1 or self.session.shape != self.at.shape:
            raise ValueError(f"{len(self.at)} slates have {len(self.session)} sessions and {len(self.starts)} starts")
        if not len(self.item) == len(self.slot) == len(self.worth) == len(self.acted) == self.starts[-1]:
            raise ValueError(f"{self.starts[-1]} sights have {len(self.item)} items and {len(self.worth)} worths")
        if len(self.at) > 1 and (np.lexsort((self.at, self.session)) != np.arange(len(self.at))).any():
            raise ValueError("slates must be by session, then time")

    @property
    def slate(self) -> np.ndarray:
        """(k,) int64 slate of each sight."""
        return np.repeat(np.arange(len(self.at)), np.diff(self.starts))


def slates_of(looks: Mapping[int, Sequence[Look]]) -> Slates:
    """The looks of `rewards.looks` as columns. looks : session number -> its slates."""
    flat = [(session, look) for session, its in sorted(looks.items()) for look in its]
    sights = [(item, slot, look.done.get(item)) for _, look in flat for item, slot in look.slots.items()]
    return Slates(
        session=np.array([session for session, _ in flat], dtype=np.int64),
        at=np.array([look.at for _, look in flat], dtype=np.float64),
        starts=np.cumsum([0, *(len(look.slots) for _, look in flat)]).astype(np.int64),
        item=np.array([item for item, _, _ in sights], dtype=np.int64),
        slot=np.array([slot for _, slot, _ in sights], dtype=np.int64),
        worth=np.array([worth or 0.0 for _, _, worth in sights], dtype=np.float64),
        acted=np.array([worth is not None for _, _, worth in sights], dtype=bool),
    )


def following(log: DecisionLog, slates: Slates, rewards: Rewards) -> np.ndarray:
    """(n, 2) int64 first and last + 1 of the slates that each decision is credited with, as `rewards.credit` does."""
    found = np.zeros((len(log), 2), dtype=np.int64)
    begin = np.searchsorted(slates.session, log.session, side="left").tolist()
    end = np.searchsorted(slates.session, log.session, side="right").tolist()
    for n, (a, b, at) in enumerate(zip(begin, end, log.at.tolist(), strict=True)):
        times = slates.at[a:b]
        first = a + int(np.searchsorted(times, at, side="right"))
        last = a + int(np.searchsorted(times, at + rewards.window_s, side="right"))
        found[n] = first, min(last, first + rewards.reports)
    return found


def sights_of(after: np.ndarray, slates: Slates) -> tuple[np.ndarray, np.ndarray]:
    """(m,) row of `after` and (m,) sight, of all sights of each row's slates. after : (n, 2), of `following`."""
    begin, end = slates.starts[after[:, 0]], slates.starts[np.maximum(after[:, 1], after[:, 0])]
    length = end - begin
    row = np.repeat(np.arange(len(after)), length)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length) + np.repeat(begin, length)


def attentions(slots: np.ndarray) -> np.ndarray:
    """(m,) float64 `rewards.attention` of slots."""
    table = np.array([attention(slot) for slot in range(int(slots.max(initial=0)) + 1)])
    return np.asarray(table[slots])


def slot_rates(slates: Slates) -> np.ndarray:
    """(slots,) float64, how likely an item at each slot is engaged with, in all; leaning towards how slots are looked at."""
    slots = int(slates.slot.max(initial=0)) + 1
    count = np.bincount(slates.slot, minlength=slots).astype(np.float64)
    acted = np.bincount(slates.slot, slates.acted, minlength=slots)
    looked = attentions(np.arange(slots))
    first = acted.sum() / max(float(count @ looked), 1e-12)
    return np.asarray((acted + SLOT_PRIOR * first * looked) / (count + SLOT_PRIOR))
