"""What a learned policy is, drawn: its weights with what is sure of them, what it would do, and what decisions came to by day."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np
from django.utils.safestring import SafeString

from clusters.policy import ACTIONS, CONTRACT, EXPAND, FEATURES, KEEP, Policy, default_policy, propensities
from recommendations.learning.evidence import Day

Z = 1.96
"""Standard deviations of a 95 % interval."""

SHOWN_DAYS = 28

WORDS = {
    "mass": "holds much of the visit's interest",
    "transition": "likely to be next",
    "share": "popular with everybody",
    "last": "holds the item just touched",
    "ignored": "shown and passed over",
    "outside": "interest keeps falling outside",
    "persona": "suits this visit's personas",
    "bias": "by itself",
    "age": "later in the visit",
    "certainty": "personas are sure",
    "weight": "made larger earlier in the visit",
    "shown": "fills much of the slate",
    "related": "target is closely related",
    "target_transition": "target is likely to be next",
    "target_persona": "target suits the personas",
    "target_share": "target is popular",
    "items": "more items come in",
}
"""Of features, as what makes an action more worth where a weight is positive."""

TITLES = (
    "Leaving a cluster as it is is worth more where it …",
    "Expanding is worth more where …",
    "Contracting is worth more where it …",
)
DOES = ("leaves it", "expands", "contracts")


class Weight(NamedTuple):
    """A row of a chart, in percent of its width: from `left`, `width` wide, with a dot at `mark` and the hand rule at `rule`."""

    label: str
    value: float
    low: float
    high: float
    left: float
    width: float
    mark: float
    rule: float

    @property
    def sure(self) -> bool:
        """Whether the interval says which way it goes."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class Weights:
    """Of one action. zero : where 0 is, percent.  quiet : features of which nothing was learned, so that the hand rule stands."""

    title: str
    rows: tuple[Weight, ...]
    zero: float
    quiet: tuple[str, ...]


def weights(policy: Policy) -> list[Weights]:
    """The weights of each action with 95 % intervals, those that were learned of; looks a slate."""
    rule = default_policy()
    deviation = np.sqrt(np.diagonal(policy.covariance, axis1=1, axis2=2))
    before = np.sqrt(np.diagonal(rule.covariance, axis1=1, axis2=2))
    learned = deviation < 0.98 * before
    low, high = policy.mean - Z * deviation, policy.mean + Z * deviation
    shown = learned if learned.any() else np.ones_like(learned)
    least = min(0.0, float(low[shown].min()), float(rule.mean[shown].min()))
    most = max(0.0, float(high[shown].max()), float(rule.mean[shown].max()))
    span = (most - least) or 1.0

    def at(value: float) -> float:
        return round(100.0 * (value - least) / span, 2)

    charts = []
    for a in range(len(ACTIONS)):
        rows = [
            Weight(
                WORDS.get(FEATURES[f], FEATURES[f]),
                float(policy.mean[a, f]),
                float(low[a, f]),
                float(high[a, f]),
                at(float(low[a, f])),
                round(at(float(high[a, f])) - at(float(low[a, f])), 2),
                at(float(policy.mean[a, f])),
                at(float(rule.mean[a, f])),
            )
            for f in np.argsort(-np.abs(policy.mean[a]), kind="stable").tolist()
            if learned[a, f]
        ]
        quiet = tuple(WORDS.get(FEATURES[f], FEATURES[f]) for f in np.flatnonzero(~learned[a]).tolist())
        charts.append(Weights(TITLES[a], tuple(rows), at(0.0), quiet))
    return charts


# What it would do

_USUAL = {
    "bias": 1.0,
    "mass": -0.5,
    "transition": -0.5,
    "age": 0.2,
    "certainty": 0.5,
}
_TARGET = {"related": 0.5, "target_transition": -0.5, "items": 0.5}

SITUATIONS: tuple[tuple[str, int, dict[str, float]], ...] = (
    ("Two looks in a row fell outside what the visit was about", EXPAND, {"outside": 0.5, "mass": -0.3, "last": 1.0}),
    (
        "Four looks in a row fell outside, on things this persona likes",
        EXPAND,
        {"outside": 1.0, "mass": -0.2, "last": 1.0, "persona": 0.5, "target_persona": 0.5},
    ),
    (
        "A cluster was seen three times in vain, and holds little of the visit",
        CONTRACT,
        {"ignored": 0.5, "mass": -0.9, "shown": 0.3},
    ),
    ("A cluster was seen six times in vain, and fills half of the slate", CONTRACT, {"ignored": 1.0, "mass": -0.9, "shown": 0.5}),
    (
        "A cluster was seen six times in vain, though it suits the persona",
        CONTRACT,
        {"ignored": 1.0, "mass": -0.6, "persona": 0.5, "shown": 0.3},
    ),
    (
        "A cluster was seen three times in vain, and holds the item just looked at",
        CONTRACT,
        {"ignored": 0.5, "mass": -0.2, "last": 1.0},
    ),
)
"""In words, what may be done, and the features that are not as usual."""


class Choice(NamedTuple):
    """What two policies do in a situation: percent of the times that they act."""

    situation: str
    does: str
    this: float
    other: float


def choices(policy: Policy, other: Policy, floor: float) -> list[Choice]:
    """How often a policy, and another, would act rather than leave a cluster as it is, in situations that are typical."""
    at = {name: i for i, name in enumerate(FEATURES)}
    x = np.zeros((len(SITUATIONS), 2, len(FEATURES)))
    action = np.array([[KEEP, can] for _, can, _ in SITUATIONS], dtype=np.int8)
    for n, (_, can, seen) in enumerate(SITUATIONS):
        for name, value in (_USUAL | seen).items():
            x[n, :, at[name]] = value
        if can == EXPAND:
            for name, value in _TARGET.items():
                x[n, 1, at[name]] = value
    ours, theirs = (propensities(each, x, action, floor=floor)[:, 1] for each in (policy, other))
    return [
        Choice(said, DOES[can], 100.0 * this, 100.0 * that)
        for (said, can, _), this, that in zip(SITUATIONS, ours.tolist(), theirs.tolist(), strict=True)
    ]


# By day


class Mean(NamedTuple):
    """Reward a decision on one day, and its 95 % interval by sessions: None of fewer than two."""

    day: dt.date
    value: float
    low: float | None
    high: float | None
    decisions: int


def means(days: Iterable[Day]) -> list[Mean]:
    """Of days that have a reward, of whichever policies together."""
    found: dict[str, Day] = {}
    for day in days:
        found[day.day] = found[day.day].plus(day) if day.day in found else day
    return [_mean(day) for _, day in sorted(found.items()) if day.credited]


def _mean(day: Day) -> Mean:
    mean = day.reward / day.credited
    low = high = None
    if day.sessions > 1:
        # A ratio of sums over sessions, which are independent (Cochran 1977, "Sampling techniques", section 6.4).
        squares = max(0.0, day.square - 2.0 * mean * day.cross + mean * mean * day.count2)
        wide = Z * math.sqrt(squares * day.sessions / (day.sessions - 1)) / day.credited
        low, high = mean - wide, mean + wide
    return Mean(dt.date.fromisoformat(day.day), mean, low, high, day.credited)


class Shares(NamedTuple):
    """What was chosen on one day, in percent, by `ACTIONS`."""

    day: dt.date
    shares: tuple[float, ...]
    decisions: int


def shares(days: Iterable[Day]) -> list[Shares]:
    """Of days that have a decision."""
    found: dict[str, np.ndarray] = {}
    for day in days:
        found[day.day] = found.get(day.day, np.zeros(len(ACTIONS))) + np.array(day.actions, dtype=np.float64)
    return [
        Shares(dt.date.fromisoformat(day), tuple((100.0 * n / n.sum()).tolist()), int(n.sum()))
        for day, n in sorted(found.items())
        if n.sum()
    ]


WIDE, HIGH, LEFT, BELOW, ABOVE = 720.0, 200.0, 48.0, 28.0, 12.0


def rewards_drawn(series: Sequence[tuple[str, Sequence[Mean]]], today: dt.date) -> SafeString:
    """Reward a decision by day, a dot with its interval, of up to two series: (name, means)."""
    first = today - dt.timedelta(days=SHOWN_DAYS - 1)
    shown = [(name, [m for m in each if m.day >= first]) for name, each in series]
    known = [m for _, each in shown for m in each]
    if not known:
        return SafeString("")
    ends = [v for m in known for v in (m.value, m.low, m.high) if v is not None]
    ticks = _ticks(min(0.0, *ends), max(0.0, *ends))
    bottom = HIGH - BELOW

    def y(value: float) -> float:
        return bottom - (bottom - ABOVE) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [_opening(_said(shown))]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDE}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts += _dates(first, today)
    for n, (name, each) in enumerate(shown):
        parts.append(f'<g class="s{n}">')
        for m in each:
            x = _x(m.day, first) + (4.0 * n - 2.0 * (len(shown) - 1))
            parts.append(f"<g><title>{escape(f'{m.day:%d %B}, {name}: {told(m)}')}</title>")
            if m.low is not None and m.high is not None:
                parts.append(f'<line class="span" x1="{x:.1f}" x2="{x:.1f}" y1="{y(m.low):.1f}" y2="{y(m.high):.1f}"/>')
            mark = f'<circle cx="{x:.1f}" cy="{y(m.value):.1f}" r="4"/>'
            square = f'<rect x="{x - 3.5:.1f}" y="{y(m.value) - 3.5:.1f}" width="7" height="7"/>'
            parts.append((square if n else mark) + "</g>")
        parts.append("</g>")
    return SafeString("".join(parts) + "</svg>")


def shares_drawn(days: Sequence[Shares], today: dt.date) -> SafeString:
    """What was chosen by day, in columns: left as they were below, expanded, contracted on top."""
    first = today - dt.timedelta(days=SHOWN_DAYS - 1)
    shown = [s for s in days if s.day >= first]
    if not shown:
        return SafeString("")
    last, bottom = shown[-1], HIGH - BELOW
    acted = f"{last.day:%d %B}: {_listed(last)}, of {last.decisions:,} decisions."
    parts = [_opening(f"Share of each choice by day. {acted}")]
    for tick in (0, 50, 100):
        y = bottom - (bottom - ABOVE) * tick / 100.0
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick} %</text>')
    parts += _dates(first, today)
    step = (WIDE - LEFT) / SHOWN_DAYS
    for s in shown:
        parts.append(f"<g><title>{escape(f'{s.day:%d %B}: {_listed(s)}, of {s.decisions:,} decisions')}</title>")
        upto = bottom
        for a, share in enumerate(s.shares):
            tall = (bottom - ABOVE) * share / 100.0
            upto -= tall
            x = _x(s.day, first) - 0.38 * step
            parts.append(f'<rect class="a{a}" x="{x:.1f}" y="{upto:.1f}" width="{0.76 * step:.1f}" height="{tall:.1f}"/>')
        parts.append("</g>")
    return SafeString("".join(parts) + "</svg>")


def told(mean: Mean) -> str:
    """A day's reward in words."""
    interval = "" if mean.low is None or mean.high is None else f" ({mean.low:.3f} to {mean.high:.3f})"
    return f"{mean.value:.3f}{interval} looks a slate, {mean.decisions:,} decisions"


def _said(series: Sequence[tuple[str, Sequence[Mean]]]) -> str:
    lasts = [f"{name}, {each[-1].day:%d %B}: {told(each[-1])}" for name, each in series if each]
    return f"Reward by day with its 95 % interval. {'; '.join(lasts)}."


def _listed(day: Shares) -> str:
    left, expanded, contracted = day.shares
    return f"{left:.0f} % left as they were, {expanded:.0f} % expanded, {contracted:.0f} % contracted"


def _opening(sentence: str) -> str:
    return f'<svg class="policy-days" viewBox="0 0 {WIDE:g} {HIGH:g}" role="img" aria-label="{escape(sentence)}">'


def _x(day: dt.date, first: dt.date) -> float:
    return LEFT + (WIDE - LEFT) * ((day - first).days + 0.5) / SHOWN_DAYS


def _dates(first: dt.date, today: dt.date) -> list[str]:
    days = [today - dt.timedelta(days=back) for back in range(0, SHOWN_DAYS, 7)]
    return [
        f'<text x="{_x(day, first):.1f}" y="{HIGH - 8:g}" text-anchor="{"end" if day == today else "middle"}">{day:%d %b}</text>'
        for day in days
    ]


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that take in both."""
    span = (high - low) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / 3.0))
    step = next(unit * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if span / (unit * m) <= 5.0)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * n, 10) for n in range(start, max(end, start + 1) + 1)]
