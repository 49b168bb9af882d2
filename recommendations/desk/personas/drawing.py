"""Pictures of one persona as SVG, drawn on the server: hours of the day, and what each fit made of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT, TOP, LEFT, RIGHT, FOOT = 480.0, 110.0, 10.0, 42.0, 8.0, 18.0
"""The drawing's own units; a page scales it to its width."""


def hours(shares: Sequence[float], average: Sequence[float], *, sentence: str) -> str:
    """24 bars of a persona's shares, with a line where the shop's average is. sentence : what it says in words."""
    most = max([*shares, *average, 1e-9])
    step = (WIDTH - LEFT - RIGHT) / max(1, len(shares))
    ground = TOP + HEIGHT
    parts = [_open(sentence, "persona-hours"), _ticks(most)]
    for i, share in enumerate(shares):
        height = HEIGHT * share / most
        title = escape(f"{i:02d}:00 to {i:02d}:59: {100 * share:.1f} in 100, average {100 * average[i]:.1f}")
        parts.append(
            f'<g><title>{title}</title><rect class="persona-fill" x="{LEFT + i * step + 1:.1f}" y="{ground - height:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}" rx="1.5"/></g>'
        )
    line = "".join(
        f"{'M' if i == 0 else 'L'}{LEFT + i * step:.1f} {ground - HEIGHT * a / most:.1f}H{LEFT + (i + 1) * step:.1f}"
        for i, a in enumerate(average)
    )
    parts.append(f'<path class="persona-line" d="{line}"/>')
    for hour in range(0, 24, 6):
        parts.append(f'<text x="{LEFT + hour * step:.1f}" y="{ground + 14:.0f}">{hour:02d}:00</text>')
    return "".join(parts) + "</svg>"


def fits(kept: Sequence[float | None], share: Sequence[float], labels: Sequence[str], *, sentence: str) -> str:
    """Fit by fit, how much of what it is named by a persona shows (line with dots) and its share of events (bars), 0 to 1.

    kept : None where nothing names it; drawn and told within 0 and 1, as the tiles say it.
    labels : of the fits, written below the first and the last.
    """
    n = len(share)
    step = (WIDTH - LEFT - RIGHT) / max(1, n)
    ground = TOP + HEIGHT
    parts = [_open(sentence, "persona-fits"), _ticks(1.0)]
    points = []
    for i in range(n):
        middle = LEFT + (i + 0.5) * step
        height = HEIGHT * share[i]
        told = f"{labels[i]}: {100 * share[i]:.0f} % of the events"
        value = None if (known := kept[i]) is None else min(1.0, max(0.0, known))
        told += f", shows {100 * value:.0f} % of what it is named by" if value is not None else ""
        width = min(18.0, 0.6 * step)
        parts.append(
            f'<g><title>{escape(told)}</title><rect class="persona-fill" x="{middle - width / 2:.1f}" y="{ground - height:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}" rx="1.5"/></g>'
        )
        if value is not None:
            points.append((middle, ground - HEIGHT * value))
    if points:
        parts.append('<path class="persona-line" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + '"/>')
        parts += [f'<circle class="persona-dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points]
    if n:
        parts.append(f'<text x="{LEFT:.0f}" y="{ground + 14:.0f}">{escape(labels[0])}</text>')
    if n > 1:
        end = WIDTH - RIGHT
        parts.append(f'<text x="{end:.0f}" y="{ground + 14:.0f}" text-anchor="end">{escape(labels[-1])}</text>')
    return "".join(parts) + "</svg>"


def spark(values: np.ndarray, colour: str) -> str:
    """A small area without words, for beside a number that has them. values : (n,).  colour : as #rrggbb, a checked one."""
    width, height, n = 160.0, 30.0, len(values)
    most = max(float(values.max(initial=0.0)), 1e-9)
    step = width / max(1, n - 1)
    line = "L".join(f"{i * step:.1f} {height - 1 - (height - 3) * v / most:.1f}" for i, v in enumerate(values.tolist()))
    drawn = f'<path d="M0 {height:.0f}L{line}L{width:.0f} {height:.0f}Z" fill="{escape(colour)}"/>' if n > 1 else ""
    box = f"0 0 {width:.0f} {height:.0f}"
    return f'<svg viewBox="{box}" aria-hidden="true" class="persona-spark" preserveAspectRatio="none">{drawn}</svg>'


def _open(sentence: str, name: str) -> str:
    box = f"0 0 {WIDTH:.0f} {TOP + HEIGHT + FOOT:.0f}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(sentence)}" class="persona-drawn {name}">'


def _ticks(most: float) -> str:
    ground = TOP + HEIGHT
    drawn = []
    for share in (0.0, most):
        y = ground - HEIGHT * share / most
        drawn.append(f'<path class="persona-grid" d="M{LEFT:.0f} {y:.1f}H{WIDTH - RIGHT:.0f}"/>')
        drawn.append(f'<text x="{LEFT - 6:.0f}" y="{y + 4:.1f}" text-anchor="end">{100 * share:.0f} %</text>')
    return "".join(drawn)
