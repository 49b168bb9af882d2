"""Lines by the hour as SVG, drawn on the server: how many, how many a week before, and marks where something changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT, TOP, LEFT, RIGHT, FOOT = 960.0, 150.0, 22.0, 44.0, 12.0, 20.0
"""The drawing's own units; a page scales it to its width."""

SPARK = (120.0, 28.0)

APART = 32.0
"""Nearer than this, two flags would overlap."""


class Mark(NamedTuple):
    """Something that happened at hour `at` (a fraction counts). number : in the list beside the chart.  title : what it was."""

    at: float
    number: int
    title: str


def course(now: np.ndarray, before: np.ndarray, labels: Sequence[str], marks: Sequence[Mark], *, sentence: str) -> str:
    """An area of `now` (n,), a grey line of `before` (n,), and a flag for each mark. labels : (n,), "" where none is written.

    sentence : what the picture says in words. Every text is escaped.
    """
    most = nice(float(max(now.max(initial=0.0), before.max(initial=0.0))))
    n = len(now)
    step = (WIDTH - LEFT - RIGHT) / max(1, n - 1)
    ground = TOP + HEIGHT

    def y(value: float) -> float:
        return ground - HEIGHT * value / most

    parts = [
        f'<svg viewBox="0 0 {WIDTH:.0f} {ground + FOOT:.0f}" role="img" aria-label="{escape(sentence)}" class="desk-course">'
    ]
    for share in (0.0, 0.5, 1.0):
        parts.append(f'<path class="grid" d="M{LEFT:.0f} {y(share * most):.1f}H{WIDTH - RIGHT:.0f}"/>')
        parts.append(f'<text x="{LEFT - 8:.0f}" y="{y(share * most) + 4:.1f}" text-anchor="end">{share * most:,.0f}</text>')
    for i, label in enumerate(labels):
        if label:
            parts.append(f'<text x="{LEFT + i * step:.1f}" y="{ground + 16:.0f}">{escape(label)}</text>')
    if n:
        line = "L".join(f"{LEFT + i * step:.1f} {y(v):.1f}" for i, v in enumerate(now.tolist()))
        last = LEFT + (n - 1) * step
        parts.append(f'<path class="area" d="M{LEFT:.0f} {ground:.0f}L{line}L{last:.1f} {ground:.0f}Z"/>')
        parts.append(f'<path class="line" d="M{line}"/>')
        then = "L".join(f"{LEFT + i * step:.1f} {y(v):.1f}" for i, v in enumerate(before.tolist()))
        parts.append(f'<path class="before" d="M{then}"/>')
    for x, flag, titles in _flags([(LEFT + min(max(mark.at, 0.0), max(0, n - 1)) * step, mark) for mark in marks]):
        half = 9.0 if len(flag) == 1 else 15.0
        middle = min(x, WIDTH - half)
        parts.append(
            f'<g class="mark"><title>{escape(titles)}</title><path d="M{x:.1f} {TOP - 4:.0f}V{ground:.0f}"/>'
            f'<rect x="{middle - half:.1f}" y="{TOP - 21:.0f}" width="{2 * half:.0f}" height="18" rx="9"/>'
            f'<text x="{middle:.1f}" y="{TOP - 8:.0f}" text-anchor="middle">{flag}</text></g>'
        )
    return "".join(parts) + "</svg>"


def _flags(placed: Sequence[tuple[float, Mark]]) -> Iterator[tuple[float, str, str]]:
    """(x, number or numbers, titles) of each flag. Neighbours in the list whose flags would overlap share one."""
    found: list[list[tuple[float, Mark]]] = []
    for x, mark in placed:
        if found and abs(found[-1][0][0] - x) < APART:
            found[-1].append((x, mark))
        else:
            found.append([(x, mark)])
    for group in found:
        first, last = group[0][1], group[-1][1]
        flag = f"{first.number}" if first is last else f"{first.number}–{last.number}"
        yield group[0][0], flag, "\n".join(mark.title for _, mark in group)


def spark(now: np.ndarray, before: np.ndarray) -> str:
    """A small line without words, for beside a number that has them. now : (n,), of today so far.  before : (m,), m >= n."""
    width, height = SPARK
    most = max(float(now.max(initial=0.0)), float(before.max(initial=0.0)), 1e-9)
    step = width / max(1, len(before) - 1)

    def path(values: np.ndarray) -> str:
        points = "L".join(f"{i * step:.1f} {height - 2 - (height - 4) * v / most:.1f}" for i, v in enumerate(values.tolist()))
        return f"M{points}" if len(values) > 1 else ""

    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" aria-hidden="true" class="desk-spark" preserveAspectRatio="none">'
        f'<path class="before" d="{path(before)}"/><path class="line" d="{path(now)}"/></svg>'
    )


def nice(most: float) -> float:
    """The next of 2, 4, 10, 20, 40, 100 ... at or above, so that its half is whole."""
    step = 2.0
    while True:
        for factor in (1.0, 2.0, 5.0):
            if step * factor >= most:
                return step * factor
        step *= 10.0
