"""Outlines and patterns that many drawn things share."""

from __future__ import annotations

import math

from recommendations.web.drawing.paint import Canvas, accent, disc, line, num, pale


def weave_of(canvas: Canvas, tier: int) -> str:
    """Id of the thing's pattern, "" for a plain one."""
    dice = canvas.dice
    tone = accent(canvas.colour, dice)
    style = dice.pick(("", "dots", "stripes", "blossoms", "check") if tier else ("", "", "dots", "stripes"))
    if style == "dots":
        return canvas.dots(tone, dice.between(14, 20), dice.between(2, 3.4), opacity=0.75)
    if style == "stripes":
        return canvas.stripes(tone, dice.between(12, 18), dice.between(3, 6), angle=dice.pick((0, 90, 45)), opacity=0.45)
    if style == "check":
        return canvas.check(tone, dice.between(14, 20), dice.between(4, 7), opacity=0.25)
    if style == "blossoms":
        return canvas.blossoms([tone, pale(canvas.colour, 0.5), tone], "#e7cf8d", dice.between(40, 56), opacity=0.8)
    return ""


def ellipse(x: float, y: float, rx: float, ry: float) -> str:
    """An ellipse as a path, so that it can be a volume."""
    return f"M{num(x - rx)} {num(y)}a{num(rx)} {num(ry)} 0 1 1 {num(2 * rx)} 0a{num(rx)} {num(ry)} 0 1 1 {num(-2 * rx)} 0z"


def rounded(x: float, y: float, w: float, h: float, r: float = 6) -> str:
    """A box with rounded corners."""
    return (
        f"M{num(x + r)} {num(y)}h{num(w - 2 * r)}q{num(r)} 0 {num(r)} {num(r)}v{num(h - 2 * r)}"
        f"q0 {num(r)} {num(-r)} {num(r)}h{num(-(w - 2 * r))}"
        f"q{num(-r)} 0 {num(-r)} {num(-r)}v{num(-(h - 2 * r))}q0 {num(-r)} {num(r)} {num(-r)}z"
    )


def heart_path(x: float, y: float, s: float) -> str:
    """A heart about (x, y), s its half width."""
    return (
        f"M{num(x)} {num(y + s)}"
        f"C{num(x - s * 0.5)} {num(y + s * 0.55)} {num(x - s * 1.15)} {num(y + s * 0.15)} {num(x - s * 1.05)} {num(y - s * 0.4)}"
        f"C{num(x - s * 0.95)} {num(y - s * 0.95)} {num(x - s * 0.25)} {num(y - s)} {num(x)} {num(y - s * 0.45)}"
        f"C{num(x + s * 0.25)} {num(y - s)} {num(x + s * 0.95)} {num(y - s * 0.95)} {num(x + s * 1.05)} {num(y - s * 0.4)}"
        f"C{num(x + s * 1.15)} {num(y + s * 0.15)} {num(x + s * 0.5)} {num(y + s * 0.55)} {num(x)} {num(y + s)}z"
    )


def star_path(x: float, y: float, r: float, points: int = 5, waist: float = 0.45) -> str:
    """A star of as many points; waist: inner radius over outer."""
    corners = []
    for i in range(points * 2):
        radius = r if i % 2 == 0 else r * waist
        angle = math.pi * i / points - math.pi / 2
        corners.append(f"{num(x + radius * math.cos(angle))} {num(y + radius * math.sin(angle))}")
    return "M" + "L".join(corners) + "z"


def cord(canvas: Canvas, y: float, x: float = 120) -> None:
    """What a hanging thing hangs by, from the top of the picture to y."""
    canvas.add(
        line(f"M{num(x)} {num(y)}L{num(x - 20)} 34M{num(x)} {num(y)}L{num(x + 20)} 34", "#b39a78", 1.8), disc(x, y, 3, "#a5865c")
    )


def limb(x0: float, y0: float, x1: float, y1: float, start: float, end: float) -> str:
    """A straight limb from one point to another, so wide at its start and at its end: a leg, a handle, a neck."""
    long = math.hypot(x1 - x0, y1 - y0)
    across, down = (y0 - y1) / long / 2, (x1 - x0) / long / 2
    return (
        f"M{num(x0 + across * start)} {num(y0 + down * start)}L{num(x1 + across * end)} {num(y1 + down * end)}"
        f"L{num(x1 - across * end)} {num(y1 - down * end)}L{num(x0 - across * start)} {num(y0 - down * start)}z"
    )


def ring(x: float, y: float, rx: float, ry: float, width: float) -> str:
    """A flat ring: paint it with `fill-rule` as it is, the inner outline runs the other way."""
    inner = rx - width, ry - width
    return ellipse(x, y, rx, ry) + (
        f"M{num(x - inner[0])} {num(y)}a{num(inner[0])} {num(inner[1])} 0 1 0 {num(2 * inner[0])} 0"
        f"a{num(inner[0])} {num(inner[1])} 0 1 0 {num(-2 * inner[0])} 0z"
    )
