"""Trimmings that garments share: stitches, buttons, lace."""

from __future__ import annotations

from recommendations.web.drawing.paint import deep, disc, lightness, pale


def thread(colour: str) -> str:
    """The colour of stitches that show on the cloth."""
    return pale(colour, 0.5) if lightness(colour) < 0.6 else deep(colour, 0.4)


def button(x: float, y: float, r: float, colour: str) -> str:
    return (
        disc(x + 0.6, y + 0.9, r, deep(colour, 0.6), opacity=0.5)
        + disc(x, y, r, colour)
        + disc(x - r * 0.3, y - r * 0.3, r * 0.4, pale(colour, 0.6))
    )


def lace(left: float, right: float, y: float, colour: str) -> str:
    """A scalloped edge along the hem."""
    count = max(int((right - left) / 9), 1)
    step = (right - left) / count
    discs = []
    for i in range(count):
        x = left + step * (i + 0.5)
        drop = 6.4 * (1 - ((x - 120) / ((right - left) / 2)) ** 2)
        discs.append(
            disc(x, y + drop, step * 0.55, colour, opacity=0.85)
            + disc(x, y + drop + 1, step * 0.18, deep(colour, 0.3), opacity=0.6)
        )
    return "".join(discs)


def metal_of(tier: int) -> str:
    """The colour of buckles, studs and chains: gold on what is dear."""
    return "#c9a24b" if tier >= 2 else "#aab0b8"
