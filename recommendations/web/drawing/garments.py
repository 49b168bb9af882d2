"""Drawn clothes: trousers, skirts and blouses in the item's own colour.

The category gives the shape, the id's hash the cut, and the price tier the detail of the line: plain at the bottom,
stitched in the middle, buttons, pleats and collars above, pattern, lace and brass at the top.
"""

from __future__ import annotations

from recommendations.web.drawing.blouses import draw_blouse
from recommendations.web.drawing.paint import MIXED, Canvas, accent, deep, lightness, line, mix, num, pale, shape
from recommendations.web.drawing.trimmings import button, lace, thread

KINDS = ("trousers", "skirts", "blouses")


def draw_garment(canvas: Canvas, kind: str, *, tier: int, mixed: bool) -> None:
    """Paints a garment. kind : one of `KINDS`.  tier : 0..3.  mixed : of many colours. Raises KeyError on another kind."""
    weave = _weave(canvas, tier, mixed)
    {"trousers": _trousers, "skirts": _skirt, "blouses": draw_blouse}[kind](canvas, tier, weave)


def _weave(canvas: Canvas, tier: int, mixed: bool) -> str:
    """Id of the cloth's pattern, "" for plain cloth. The dearer the item, the likelier a pattern."""
    dice, colour = canvas.dice, canvas.colour
    if mixed:
        style = dice.pick(("blossoms", "stripes", "dots", "blossoms"))
        tones = [dice.pick(MIXED) for _ in range(4)]
        if style == "blossoms":
            return canvas.blossoms(tones, "#f3e3b5", dice.between(40, 62))
        if style == "dots":
            return canvas.dots(dice.pick(MIXED), dice.between(14, 22), dice.between(2.4, 4), opacity=0.95)
        return canvas.stripes(
            dice.pick(MIXED), dice.between(12, 20), dice.between(4, 8), angle=dice.pick((0, 90, 45)), opacity=0.8
        )
    if dice.fraction() > (0.1, 0.25, 0.4, 0.6)[tier]:
        return ""
    tone = accent(colour, dice)
    style = dice.pick(("stripes", "pin", "check", "dots", "blossoms"))
    if style == "blossoms":
        return canvas.blossoms([tone, pale(colour, 0.45), tone], deep(tone, 0.2), dice.between(42, 60), opacity=0.75)
    if style == "dots":
        return canvas.dots(tone, dice.between(13, 20), dice.between(1.4, 2.6), opacity=0.7)
    if style == "check":
        return canvas.check(tone, dice.between(14, 24), dice.between(3, 6), opacity=0.2)
    if style == "pin":
        return canvas.stripes(tone, dice.between(8, 11), 0.9, opacity=0.5)
    return canvas.stripes(tone, dice.between(11, 18), dice.between(3, 6), angle=dice.pick((0, 90)), opacity=0.38)


def _trousers(canvas: Canvas, tier: int, weave: str) -> None:
    dice, colour = canvas.dice, canvas.colour
    waist = dice.between(37, 43)
    hip = waist + dice.between(9, 15)
    cut = dice.pick(("slim", "straight", "wide", "flared", "cropped"))
    hem = {"slim": 14.0, "straight": 21.0, "wide": 31.0, "flared": 27.0, "cropped": 20.0}[cut] * dice.between(0.93, 1.07)
    knee = {"slim": 18.5, "straight": 21.5, "wide": 27.0, "flared": 19.5, "cropped": 21.0}[cut]
    top, crotch = 34.0, 34 + dice.between(84, 98)
    bottom = 268.0 if cut != "cropped" else dice.between(205, 232)
    spread = dice.between(3, 9)
    mid = (crotch + bottom) / 2
    for side in (1, -1):
        foot = 120 - side * (spread + hem + 3)

        def x(value: float, side: int = side) -> str:
            return num(120 - side * value)

        leg = (
            f"M120 {num(top)}L{x(waist)} {num(top)}"
            f"C{x(waist + 3)} {num(top + 26)} {x(hip)} {num(top + 44)} {x(hip)} {num(top + 66)}"
            f"C{x(hip)} {num(crotch + 20)} {x(spread + 3 + knee * 2)} {num(mid - 26)} {x(spread + 3 + knee * 1.95)} {num(mid)}"
            f"C{x(spread + 3 + knee * 1.9)} {num(mid + 24)} {x(spread + 3 + knee * 0.5 + hem * 1.5)}"
            f" {num(bottom - 30)} {x(spread + 3 + hem * 2)} {num(bottom)}"
            f"Q{num(foot)} {num(bottom + 6)} {x(spread + 1)} {num(bottom)}"
            f"C{x(spread + 2)} {num(bottom - 50)} {x(spread)} {num(mid)} {x(1)} {num(crotch)}L120 {num(crotch - 2)}z"
        )
        drift = side * dice.between(-4, 4)
        inside = [
            canvas.fold(
                f"M{x(2)} {num(crotch - 6)}Q{x(hip * 0.5)} {num(crotch + 6)} {x(hip * 0.86)} {num(crotch - 18)}"
                f"Q{x(hip * 0.5)} {num(crotch + 22)} {x(2)} {num(crotch + 14)}z",
                opacity=0.16,
            ),
            canvas.fold(
                f"M{x(spread + 4)} {num(crotch + 10)}L{x(spread + knee * 0.9)} {num(mid + drift)}"
                f"L{x(spread + 4)} {num(bottom)}L{x(spread)} {num(bottom)}z",
                opacity=0.35,
            ),
            canvas.fold(
                f"M{x(spread + 6)} {num(mid - 8)}"
                f"Q{x(spread + knee)} {num(mid + 4)} {x(spread + knee * 1.9)} {num(mid - 10)}"
                f"Q{x(spread + knee)} {num(mid + 14)} {x(spread + 6)} {num(mid + 2)}z",
                opacity=0.18,
            ),
            canvas.gleam(
                f"M{x(hip * 0.62)} {num(top + 26)}"
                f"Q{x(hip * 0.74)} {num(crotch)} {x(spread + knee * 1.35)} {num(bottom - 12)}"
                f"L{x(spread + knee * 1.15)} {num(bottom - 12)}"
                f"Q{x(hip * 0.55)} {num(crotch)} {x(hip * 0.5)} {num(top + 30)}z"
            ),
        ]
        canvas.volume(leg, inside=inside, weave=weave)
        if tier >= 2 and cut != "slim":
            canvas.add(
                line(
                    f"M{x(hip * 0.52)} {num(top + 40)}Q{x(hip * 0.6)} {num(crotch)} {num(foot)} {num(bottom - 3)}",
                    deep(colour, 0.45),
                    1,
                    opacity=0.5,
                )
            )
        if cut == "cropped" or (tier >= 1 and dice.fraction() < 0.4):
            canvas.add(
                line(
                    f"M{x(spread + 2)} {num(bottom - 13)}"
                    f"Q{num(foot)} {num(bottom - 7)} {x(spread + 3 + hem * 2)} {num(bottom - 13)}",
                    deep(colour, 0.5),
                    1.3,
                    opacity=0.55,
                )
            )
        pocket = f"M{x(waist - 9)} {num(top + 13)}Q{x(waist - 6)} {num(top + 30)} {x(waist * 0.42 + hip * 0.58)} {num(top + 37)}"
        canvas.add(line(pocket, deep(colour, 0.5), 1.4, opacity=0.6))
        if tier >= 1:
            canvas.add(line(pocket, thread(colour), 0.9, dash="2.4 2.2", opacity=0.7))
    canvas.add(line(f"M120 {num(top + 12)}V{num(crotch - 4)}", deep(colour, 0.5), 1.2, opacity=0.5))
    if tier >= 1:
        canvas.add(
            line(
                f"M124 {num(top + 13)}V{num(top + 42)}Q124 {num(top + 52)} 120 {num(top + 56)}",
                thread(colour),
                0.9,
                dash="2.4 2.2",
                opacity=0.7,
            )
        )
    _waistband(canvas, waist, top, tier)


def _waistband(canvas: Canvas, waist: float, top: float, tier: int) -> None:
    dice, colour = canvas.dice, canvas.colour
    left, right, low = num(120 - waist - 1), num(120 + waist + 1), num(top + 13)
    band = (
        f"M{left} {num(top)}Q120 {num(top + 5)} {right} {num(top)}L{num(120 + waist + 2)} {low}"
        f"Q120 {num(top + 18)} {num(120 - waist - 2)} {low}z"
    )
    style = dice.pick(("self", "knit", "belt")) if tier >= 1 else dice.pick(("self", "knit"))
    belt = style == "belt"
    tone = mix(colour, dice.pick(("#5a3d2b", "#2d2b31", "#a67c52")), 0.88) if belt else deep(colour, 0.1)
    ribs = canvas.stripes(deep(colour, 0.5), 3.2, 1, opacity=0.4) if style == "knit" else ""
    canvas.volume(band, tone, weave=ribs, depth=0.8)
    if belt and tier >= 2:
        metal = "#d2b15f" if tier == 3 else "#c3c8cd"
        canvas.add(
            f'<rect x="113" y="{num(top + 3)}" width="15" height="14" rx="3" fill="none" stroke="{metal}" stroke-width="2.4"/>'
        )
    elif style == "self":
        canvas.add(button(120, top + 10, 3, "#d2b15f" if tier == 3 else pale(colour, 0.25)))
    if tier == 3:
        for x in (120 - waist * 0.62, 120 + waist * 0.62):
            canvas.add(shape(f"M{num(x - 2)} {num(top + 1)}h4v17h-4z", deep(colour, 0.22)))


def _skirt(canvas: Canvas, tier: int, weave: str) -> None:
    dice, colour = canvas.dice, canvas.colour
    cut = dice.pick(("pencil", "a-line", "flared", "pleated", "tiered", "wrap"))
    waist = dice.between(33, 39)
    top = dice.between(46, 56)
    bottom = top + (dice.between(150, 196) if cut != "flared" else dice.between(130, 165))
    hem = {"pencil": 47.0, "a-line": 70.0, "flared": 90.0, "pleated": 72.0, "tiered": 80.0, "wrap": 62.0}[cut] * dice.between(
        0.94, 1.05
    )
    hip = {"pencil": 54.0, "a-line": 52.0, "flared": 52.0, "pleated": 50.0, "tiered": 52.0, "wrap": 54.0}[cut]
    tall = bottom - top
    waves = {"flared": 5, "tiered": 6}.get(cut, 0)
    edge = _hem(120 + hem, 120 - hem, bottom, waves)
    body = (
        f"M{num(120 - waist)} {num(top)}Q120 {num(top + 5)} {num(120 + waist)} {num(top)}"
        f"C{num(120 + hip)} {num(top + tall * 0.22)} "
        f"{num(120 + hip + (hem - hip) * 0.4)} {num(top + tall * 0.5)} {num(120 + hem)} {num(bottom)}{edge}"
        f"C{num(120 - hip - (hem - hip) * 0.4)} {num(top + tall * 0.5)}"
        f" {num(120 - hip)} {num(top + tall * 0.22)} {num(120 - waist)} {num(top)}"
        f"z"
    )
    inside = []
    count = {"pencil": 2, "a-line": 4, "flared": 7, "pleated": 0, "tiered": 7, "wrap": 3}[cut]
    for i in range(count):
        at = (i + 0.5) / count * 2 - 1 + dice.between(-0.07, 0.07)
        x0, x1, width = 120 + at * waist * 0.9, 120 + at * hem * 0.95, hem / (count + 2) * dice.between(0.5, 0.9)
        start = top + tall * dice.between(0.08, 0.4)
        inside.append(
            canvas.fold(f"M{num(x0)} {num(start)}L{num(x1 + width / 2)} {num(bottom + 4)}H{num(x1 - width / 2)}z", opacity=0.32)
        )
        inside.append(
            canvas.gleam(
                f"M{num(x0 - 3)} {num(start + 6)}L{num(x1 - width * 0.6)} {num(bottom)}H{num(x1 - width * 1.3)}z", opacity=0.26
            )
        )
    canvas.volume(body, inside=inside, weave=weave)
    if cut == "pleated":
        pleats = 7 + dice.pick((0, 2, 4))
        for i in range(1, pleats):
            at = i / pleats * 2 - 1
            x0, xm, x1 = 120 + at * waist, 120 + at * hip * 1.03, 120 + at * hem
            d = f"M{num(x0)} {num(top + 4)}Q{num(xm)} {num(top + tall * 0.35)} {num(x1)} {num(bottom + 3)}"
            canvas.add(
                line(d, deep(colour, 0.5), 1.6, opacity=0.42),
                f'<g transform="translate(-2.4 0)">{line(d, pale(colour, 0.5), 1.6, opacity=0.28)}</g>',
            )
    if cut == "tiered":
        for share in (0.36, 0.68):
            y, half = top + tall * share, _width(share, (waist, hip, hip + (hem - hip) * 0.4, hem)) - 1
            d = f"M{num(120 - half)} {num(y)}Q120 {num(y + 11)} {num(120 + half)} {num(y)}"
            canvas.add(
                line(d, deep(colour, 0.55), 2.6, opacity=0.35),
                f'<g transform="translate(0 -2)">{line(d, pale(colour, 0.4), 1.4, opacity=0.45)}</g>',
            )
    if cut == "wrap":
        d = (
            f"M{num(120 + waist * 0.5)} {num(top + 3)}"
            f"C{num(128)} {num(top + tall * 0.4)} {num(112)} {num(top + tall * 0.8)} {num(104)} {num(bottom + 5)}"
        )
        canvas.add(
            f'<g transform="translate(-3 0)">{line(d, deep(colour, 0.6), 4, opacity=0.22)}</g>',
            line(d, deep(colour, 0.4), 1.4, opacity=0.6),
        )
    if cut == "pencil":
        canvas.add(
            line(f"M{num(120 + hem * 0.3)} {num(bottom + 3)}V{num(bottom - tall * 0.24)}", deep(colour, 0.55), 1.6, opacity=0.6)
        )
    if tier >= 1:
        inset = f"M{num(120 - hem + 3)} {num(bottom - 7)}Q120 {num(bottom + 5)} {num(120 + hem - 3)} {num(bottom - 7)}"
        if not waves:
            canvas.add(line(inset, thread(colour), 0.9, dash="2.4 2.4", opacity=0.6))
    if tier >= 2 and cut in ("a-line", "pencil", "wrap"):
        gold = "#d2b15f" if tier == 3 else pale(colour, 0.35)
        for i in range(5):
            canvas.add(button(120 + (0 if cut != "wrap" else 8), top + 26 + i * tall * 0.15, 2.8, gold))
    if tier == 3 and not waves:
        canvas.add(lace(120 - hem, 120 + hem, bottom, pale(colour, 0.55) if lightness(colour) < 0.75 else deep(colour, 0.2)))
    _waistband(canvas, waist, top - 9, min(tier, 2))


def _width(share: float, across: tuple[float, float, float, float]) -> float:
    """Half width of a skirt's side, the Bezier curve with controls at 0, 0.22, 0.5 and 1 of its height, at a share of it."""
    low, high = 0.0, 1.0
    for _ in range(20):
        t = (low + high) / 2
        down = 0.66 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t**3
        low, high = (t, high) if down < share else (low, t)
    a, b, c, d = across
    return a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t * t * (1 - t) + d * t**3


def _hem(start: float, end: float, y: float, waves: int) -> str:
    """The lower edge from right to left: one soft curve, or as many waves as the cloth falls in."""
    if not waves:
        return f"Q120 {num(y + 13)} {num(end)} {num(y)}"
    step = (end - start) / waves
    return "".join(
        f"Q{num(start + step * (i + 0.5))} {num(y + (14 if i % 2 == 0 else 2) + 5)}"
        f" {num(start + step * (i + 1))} {num(y + 3 if i < waves - 1 else y)}"
        for i in range(waves)
    )
