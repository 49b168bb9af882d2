"""Plots of figures with their intervals as inline SVG: colours come from the page's classes, marks differ in shape too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from recommendations.evaluation.resampling import Interval

WIDTH = 760.0
"""The drawing's own units; a page scales it."""

LABELS, VALUES, ROW = 180.0, 195.0, 34.0
HEIGHT, LEFT, BELOW, ABOVE = 300.0, 46.0, 58.0, 40.0
SHAPES = 4


@dataclass(frozen=True)
class Mark:
    """One row of a forest plot. series : 0 to 3, its colour and shape."""

    label: str
    interval: Interval
    series: int = 0


@dataclass(frozen=True)
class Series:
    """One model in a plot by category. points : one a category, None where nothing was asked."""

    label: str
    points: Sequence[Interval | None]
    series: int


def forest(marks: Sequence[Mark], *, sentence: str, unit: str = "%", signed: bool = False) -> str:
    """Rows of a dot with its interval, and the figures beside. signed : differences, around a line at 0."""
    low = min([m.interval.low for m in marks] + [0.0])
    high = max([m.interval.high for m in marks] + [0.0])
    ticks = _ticks(low, high)
    left, right = LABELS, WIDTH - VALUES
    bottom = ROW * len(marks) + 8.0

    def x(value: float) -> float:
        return left + (right - left) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [_opening(bottom + 26.0, sentence)]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{bottom:.1f}"/>')
        parts.append(_text(x(tick), bottom + 18.0, _number(tick, signed), "tick", "middle"))
    if signed:
        parts.append(f'<line class="zero" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="4" y2="{bottom:.1f}"/>')
    for i, mark in enumerate(marks):
        y = ROW * i + ROW / 2 + 4.0
        value, lower, upper = mark.interval
        said = f"{_figure(value, signed)} ({_figure(lower, signed)} to {_figure(upper, signed)})"
        parts.append(f'<g class="s{mark.series}"><title>{escape(f"{mark.label}: {said} {unit}")}</title>')
        parts.append(f'<line class="span" x1="{x(lower):.1f}" x2="{x(upper):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_shape(mark.series, x(value), y) + "</g>")
        parts.append(_text(left - 12.0, y + 5.0, mark.label, "name", "end"))
        parts.append(_text(WIDTH, y + 5.0, said, "value", "end"))
    return "".join(parts) + "</svg>"


def by_category(categories: Sequence[str], series: Sequence[Series], *, sentence: str, axis: str) -> str:
    """Each series' dots with their intervals over the categories, from 0 up. axis : what the categories are."""
    known = [p for s in series for p in s.points if p is not None]
    ticks = _ticks(0.0, max([p.high for p in known] + [1.0]))
    step = (WIDTH - LEFT) / max(len(categories), 1)
    bottom = HEIGHT - BELOW

    def y(value: float) -> float:
        return bottom - (bottom - ABOVE) * value / ticks[-1]

    parts = [_opening(HEIGHT, sentence)]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(_text(LEFT - 8.0, y(tick) + 4.0, _number(tick, False), "tick", "end"))
    for i, category in enumerate(categories):
        parts.append(_text(LEFT + step * (i + 0.5), bottom + 22.0, category, "name", "middle"))
    parts.append(_text(LEFT + step * len(categories) / 2, HEIGHT - 10.0, axis, "tick", "middle"))
    apart = min(22.0, 0.6 * step / max(len(series), 1))
    legend = LEFT
    for place, one in enumerate(series):
        shift = apart * (place - (len(series) - 1) / 2)
        dots = [(LEFT + step * (i + 0.5) + shift, p) for i, p in enumerate(one.points) if p is not None]
        parts.append(f'<g class="s{one.series}">')
        parts.append(f'<polyline class="thread" points="{" ".join(f"{x:.1f},{y(p.value):.1f}" for x, p in dots)}"/>')
        for x, point in dots:
            said = f"{one.label}: {point.value:.1f} ({point.low:.1f} to {point.high:.1f}) %"
            parts.append(f"<g><title>{escape(said)}</title>")
            parts.append(f'<line class="span" x1="{x:.1f}" x2="{x:.1f}" y1="{y(point.low):.1f}" y2="{y(point.high):.1f}"/>')
            parts.append(_shape(one.series, x, y(point.value)) + "</g>")
        parts.append(_shape(one.series, legend + 6.0, 12.0) + "</g>")
        parts.append(_text(legend + 18.0, 17.0, one.label, "name", "start"))
        legend += 34.0 + 8.2 * len(one.label)
    return "".join(parts) + "</svg>"


def curves(
    at: Sequence[float], series: Sequence[Series], *, sentence: str, axis: str, marks: Sequence[tuple[float, str]] = ()
) -> str:
    """Each series' line with its interval as a band, over numbers `at`, ascending; its name stands at its end.

    marks : (place, words) of lines across.
    """
    known = [p for s in series for p in s.points if p is not None]
    ticks = _ticks(min([p.low for p in known] + [0.0]), max([p.high for p in known] + [0.0]))
    along = _ticks(0.0, at[-1])
    right, bottom = WIDTH - LABELS, HEIGHT - BELOW

    def x(value: float) -> float:
        return LEFT + (right - LEFT) * value / along[-1]

    def y(value: float) -> float:
        return bottom - (bottom - 16.0) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [_opening(HEIGHT, sentence)]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(_text(LEFT - 8.0, y(tick) + 4.0, _number(tick, False), "tick", "end"))
    for tick in along:
        parts.append(_text(x(tick), bottom + 20.0, _number(tick, False), "tick", "middle"))
    parts.append(_text((LEFT + right) / 2, HEIGHT - 10.0, axis, "tick", "middle"))
    for place, words in marks:
        parts.append(f'<line class="zero" x1="{x(place):.1f}" x2="{x(place):.1f}" y1="16" y2="{bottom:.1f}"/>')
        parts.append(_text(x(place) + 5.0, 26.0, words, "tick", "start"))
    ends: list[tuple[float, Series]] = []
    for one in series:
        dots = [(x(a), p) for a, p in zip(at, one.points, strict=True) if p is not None]
        if not dots:
            continue
        band = [f"{a:.1f},{y(p.low):.1f}" for a, p in dots] + [f"{a:.1f},{y(p.high):.1f}" for a, p in reversed(dots)]
        last = dots[-1][1]
        parts.append(f'<g class="s{one.series}"><title>{escape(f"{one.label}: {last.value:.2f} at the end")}</title>')
        parts.append(f'<polygon class="band" points="{" ".join(band)}"/>')
        parts.append(f'<polyline class="line" points="{" ".join(f"{a:.1f},{y(p.value):.1f}" for a, p in dots)}"/></g>')
        ends.append((y(last.value), one))
    lowest = -math.inf
    for height, one in sorted(ends, key=lambda end: end[0]):
        lowest = max(height, lowest + 18.0)
        parts.append(f'<g class="s{one.series}">{_shape(one.series, right + 14.0, lowest)}</g>')
        parts.append(_text(right + 26.0, lowest + 5.0, one.label, "name", "start"))
    return "".join(parts) + "</svg>"


def _opening(height: float, sentence: str) -> str:
    return f'<svg class="plot" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(sentence)}">'


def _text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _shape(series: int, x: float, y: float) -> str:
    """Circle, square, diamond, triangle: for eyes and printers that don't tell the colours apart."""
    kind = series % SHAPES
    if kind == 0:
        return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
    if kind == 1:
        return f'<rect class="dot" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
    if kind == 2:
        return f'<path class="dot" d="M{x:.1f} {y - 6.5:.1f}l6.5 6.5-6.5 6.5-6.5-6.5z"/>'
    return f'<path class="dot" d="M{x:.1f} {y - 6:.1f}l6 10.5h-12z"/>'


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers that begin at or under `low` and end at or above `high`."""
    span = max(high - low, 1e-9)
    size = 10.0 ** math.floor(math.log10(span / 4.0))
    size = next(size * k for k in (1.0, 2.0, 5.0, 10.0) if span / (size * k) <= 6.0)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return [size * i for i in range(first, max(last, first + 1) + 1)]


def _number(value: float, signed: bool) -> str:
    text = f"{value:g}" if abs(value) < 1e-9 or not signed else f"{value:+g}"
    return "0" if abs(value) < 1e-9 else text.replace("-", "\N{MINUS SIGN}")


def _figure(value: float, signed: bool) -> str:
    return signed_text(value) if signed else f"{value:.1f}"


def signed_text(value: float) -> str:
    """A difference with its sign, nothing having none."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0.0 else text.replace("-", "\N{MINUS SIGN}")
