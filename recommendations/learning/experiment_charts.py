"""The difference that an experiment shows, drawn over time with its interval."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 30
LINE = 16
"""Height of a line of words: a tick that is nearer to nothing than that is left out."""

LEAST = 5e-5
"""What rounds to nothing in four digits is told as nothing."""


@dataclass(frozen=True)
class Curve:
    """A difference over time, in the units of an SVG of `WIDTH` x `HEIGHT`.

    band : polygon of the interval.  line : of the values.  zero : height of nothing.  ticks : (height, words).
    times : (place, anchor, words).  points : (time, value, low, high) in words, the last ones, for a table.
    """

    band: str
    line: str
    zero: float
    ticks: tuple[tuple[float, str], ...]
    times: tuple[tuple[float, str, str], ...]
    points: tuple[tuple[str, str, str, str], ...]


def curve(series: Sequence[Sequence[float]], *, shown: int = 8) -> Curve | None:
    """series : (seconds, value, low, high), in order of time. None where there are fewer than two."""
    if len(series) < 2:
        return None
    at, values, lows, highs = zip(*series, strict=True)
    # The first intervals are so wide that the rest would be a line: what is beyond three times the last is cut off.
    reach = 3.0 * max(abs(lows[-1]), abs(highs[-1]), 1e-12)
    low, high = max(min(*lows, 0.0), -reach), min(max(*highs, 0.0), reach)
    across, down = at[-1] - at[0] or 1.0, high - low or 1.0

    def x(moment: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (moment - at[0]) / across, 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(value, low), high)) / down, 1)

    upper = [f"{x(t)},{y(v)}" for t, v in zip(at, highs, strict=True)]
    lower = [f"{x(t)},{y(v)}" for t, v in zip(at, lows, strict=True)]
    ticks = [(y(v), signed(v)) for v in (high, 0.0, low)]
    last = [
        (_moment(t), signed(v), signed(a), signed(b)) for t, v, a, b in list(zip(at, values, lows, highs, strict=True))[-shown:]
    ]
    return Curve(
        band=" ".join([*upper, *reversed(lower)]),
        line=" ".join(f"{x(t)},{y(v)}" for t, v in zip(at, values, strict=True)),
        zero=y(0.0),
        ticks=tuple(tick for tick in ticks if tick[0] == y(0.0) or abs(tick[0] - y(0.0)) >= LINE),
        times=((x(at[0]), "start", _moment(at[0])), (x(at[-1]), "end", _moment(at[-1]))),
        points=tuple(last),
    )


def signed(value: float | None) -> str:
    """A difference in words: with its sign, to three digits."""
    if value is None:
        return "not known"
    if abs(value) < LEAST:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{'−' if value < 0 else '+'}{size:,.{digits}f}"


def percent(share: float, *, signed: bool = False) -> str:
    """ "15 %", or "−3.2 %" with its sign and a digit more."""
    return f"{100 * share:+.1f} %".replace("-", "−") if signed else f"{100 * share:.0f} %"


def figure(value: Any) -> str:
    """A mean in words; "–" where there is none."""
    return "–" if value is None else f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _moment(seconds: float) -> str:
    return timezone.localtime(dt.datetime.fromtimestamp(seconds, dt.UTC)).strftime("%d %b %H:%M")
