"""What followed a decision of the adaptation, in one number: what shoppers did with the slates that they saw next. Pure.

A slate counts whole, not by the decided cluster's own part: contraction gives its place to others, and their clicks are its
doing. Only what the page reported as seen counts. How likely a slot is looked at falls with its place, as in the discount
of nDCG (Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques"): what stands far down costs little
when it is passed over, for it was hardly seen.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from personas.events import CODE, ENGAGEMENT

WORTH: Mapping[int, float] = {CODE[name]: worth for name, worth in ENGAGEMENT.items()}
"""Event code -> what it is worth, in looks."""

_LOOK, _CLICK = CODE["view_item"], CODE["select_item"]

_FAR = 256
_ATTENTION = tuple(1.0 / math.log2(slot + 2) for slot in range(_FAR))


def attention(slot: int) -> float:
    """How likely a slot is looked at that was on the screen, against the first: 1, 0.63, 0.5, ... by place from 0."""
    return _ATTENTION[min(max(slot, 0), _FAR - 1)]


@dataclass(frozen=True)
class Rewards:
    """What a slate is worth.

    weights : event code -> worth in looks, of what is done with an item of it.
    ignored_cost : of an item that was looked at and passed over, in looks; less by `attention` where it may not have been.
    reports : slates after a decision that are its doing: it acts from the next on, and fades.
    window_s : seconds after which nothing is its doing, nor a slate's.
    """

    weights: Mapping[int, float] = field(default_factory=lambda: dict(WORTH))
    ignored_cost: float = 0.05
    reports: int = 3
    window_s: float = 1800.0


class Report(NamedTuple):
    """Items of a slate that the page says were on the screen. slate : recommendation id.  slots : of the items, () for their
    order."""

    at: float
    items: Sequence[int]
    slate: str
    slots: Sequence[int] = ()


class Engagement(NamedTuple):
    """What was done with an item. code : event code."""

    at: float
    item: int
    code: int


class Look(NamedTuple):
    """A slate that was seen. at : when first.  slots : item -> slot.  done : item -> worth of what was done with it, in looks;
    items that were passed over are not in it."""

    at: float
    slots: Mapping[int, int]
    done: Mapping[int, float]


def looks(rewards: Rewards, reports: Sequence[Report], engagements: Sequence[Engagement]) -> list[Look]:
    """The slates of one session that were reported, in order of time.

    A slate reported in parts is one. An engagement counts to the last slate that showed its item before, within the window,
    and there once a kind of event; a click and the look at the page that it leads to are one look. Reports without a slate
    tell of a list that isn't ours.
    """
    slates: dict[str, int] = {}
    began: list[float] = []
    slots: list[dict[int, int]] = []
    done: list[dict[int, set[int]]] = []
    showed: dict[int, tuple[int, float]] = {}
    acts = sorted(engagements, key=lambda e: e.at)
    at_act = 0
    for report in [*sorted(reports, key=lambda r: r.at), None]:
        until = math.inf if report is None else report.at
        while at_act < len(acts) and acts[at_act].at < until:
            at, item, code = acts[at_act]
            at_act += 1
            shown, kind = showed.get(item), _LOOK if code == _CLICK else code
            if shown is not None and at - shown[1] <= rewards.window_s and kind in rewards.weights:
                done[shown[0]].setdefault(item, set()).add(kind)
        if report is None or not report.slate:
            continue
        slate = slates.get(report.slate)
        if slate is None:
            slate = slates[report.slate] = len(began)
            began.append(report.at)
            slots.append({})
            done.append({})
        here = slots[slate]
        for slot, item in zip(report.slots or range(len(report.items)), report.items, strict=True):
            if item not in here:
                here[item] = slot
        showed.update(dict.fromkeys(report.items, (slate, report.at)))
    return [
        Look(at, shown_at, {item: sum(rewards.weights[code] for code in sorted(codes)) for item, codes in acted.items()})
        for at, shown_at, acted in zip(began, slots, done, strict=True)
    ]


def worths(rewards: Rewards, reports: Sequence[Report], engagements: Sequence[Engagement]) -> list[tuple[float, float]]:
    """(when it was first seen, worth) of each slate of one session that was reported, in order of time."""
    found = []
    for at, slots, done in looks(rewards, reports, engagements):
        passed = sum(
            [_ATTENTION[slot] if 0 <= slot < _FAR else attention(slot) for item, slot in slots.items() if item not in done]
        )
        found.append((at, sum(done.values()) - rewards.ignored_cost * passed))
    return found


def credit(
    rewards: Rewards, decided_at: Sequence[float], reports: Sequence[Report], engagements: Sequence[Engagement]
) -> np.ndarray:
    """(n,) float64 reward of each decision of one session, NaN where no reported slate followed within the window.

    decided_at : (n,) seconds.  The reward is the mean worth of the next `reports` slates that were first seen after it: the
    one that it was decided upon was made before.
    """
    found = np.full(len(decided_at), np.nan)
    slates = worths(rewards, reports, engagements)
    began = [at for at, _ in slates]
    worth = [w for _, w in slates]
    for i, at in enumerate(decided_at):
        first = bisect_right(began, at)
        last = min(first + rewards.reports, bisect_right(began, at + rewards.window_s))
        if first < last:
            found[i] = sum(worth[first:last]) / (last - first)
    return found
