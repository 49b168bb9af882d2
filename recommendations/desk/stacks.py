"""Stacked bars of personas as SVG, drawn on the server: colour stands for a persona, grey for what is not known yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, TOP = 960.0, 150.0, 18.0
"""The drawing's own units; a page scales it to its width. TOP is the room that marks have above the bars."""

MOST_COLUMNS = 160
"""Columns of a chart, 6 units each: of more, the last of every few stands for them."""

WIDEST, GAP = 48.0, 1.5


def standing(probability: float, count: int) -> float:
    """How far a persona stands above an even guess among `count`, 0 to 1; what all leave over is "not sure yet".

    The same as the storefront's panel draws (`static/belief.js`).
    """
    return max(0.0, (probability - 1.0 / count) * count / (count - 1)) if count > 1 else 1.0


@dataclass(frozen=True)
class Column:
    """One bar. shares : (K,) each persona's part of its height, 0 to 1.  title : what it says to a pointer.

    mark : what happened here, "" for nothing.
    """

    shares: Sequence[float]
    title: str
    mark: str = ""


def draw(columns: Sequence[Column], colours: Sequence[str], *, sentence: str) -> str:
    """An SVG picture, `sentence` being what it says in words. colours : (K,) as #rrggbb.

    Every text is escaped; colours must be checked ones.
    """
    shown = thin(columns)
    step = min(WIDEST, WIDTH / max(1, len(shown)))
    parts = [
        f'<svg viewBox="0 0 {step * len(shown):.1f} {HEIGHT + TOP:.0f}" role="img" aria-label="{escape(sentence)}" '
        f'preserveAspectRatio="none" class="stack" style="max-width:{width(len(columns))}px">'
    ]
    for i, column in enumerate(shown):
        parts.append(_column(column, colours, i * step, step - (GAP if step > 3 * GAP else 0.0)))
    parts += [_mark(column.mark, i * step) for i, column in enumerate(shown) if column.mark]
    return "".join(parts) + "</svg>"


def width(columns: int) -> int:
    """Pixels that a chart of so many columns is wide at most."""
    return round(min(WIDTH, WIDEST * max(1, columns)))


def thin(columns: Sequence[Column]) -> list[Column]:
    """At most `MOST_COLUMNS`: of every few the last, with the marks of all of them."""
    every = -(-len(columns) // MOST_COLUMNS)
    if every <= 1:
        return list(columns)
    groups = [columns[i : i + every] for i in range(0, len(columns), every)]
    return [Column(g[-1].shares, g[-1].title, next((c.mark for c in g if c.mark), "")) for g in groups]


def _column(column: Column, colours: Sequence[str], x: float, width: float) -> str:
    drawn = [f'<g><title>{escape(column.title)}</title><rect class="stack-unsure" x="{x:.1f}" y="{TOP:.0f}" '
             f'width="{width:.1f}" height="{HEIGHT:.0f}"/>']  # fmt: skip
    y = TOP + HEIGHT
    for share, colour in zip(column.shares, colours, strict=True):
        height = HEIGHT * min(1.0, max(0.0, share))
        if height < 0.5:
            continue
        y -= height
        drawn.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{escape(colour)}"/>')
    return "".join(drawn) + "</g>"


def _mark(text: str, x: float) -> str:
    """A line through the bars with a flag above them."""
    return (
        f'<g class="stack-mark"><title>{escape(text)}</title><path d="M{x:.1f} 2V{TOP + HEIGHT:.0f}"/>'
        f'<path class="stack-flag" d="M{x:.1f} 2h9l-3 4 3 4h-9z"/></g>'
    )


def key(names: Sequence[str], colours: Sequence[str], seen: Mapping[int, float]) -> list[dict[str, str]]:
    """Name and colour of the personas that show, those with the most first. seen : position -> how much of it shows."""
    shown = sorted((k for k, much in seen.items() if much > 0.0), key=lambda k: -seen[k])
    return [{"name": names[k], "colour": colours[k]} for k in shown]
