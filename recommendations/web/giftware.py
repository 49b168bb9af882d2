"""Drawn giftware: a shape for the thing that a title names, in the colour that it names."""

# ruff: noqa: E501 - one path is one line: broken up, its curves read worse.

from __future__ import annotations

import math
from collections.abc import Callable

from recommendations.web.paint import Canvas, accent, deep, disc, line, mix, num, oval, pale, shape

Drawer = Callable[[Canvas, int], float | None]
"""Paints the thing; gives the height of the floor that it stands on, None if it hangs. The int is the price tier."""


def _weave(canvas: Canvas, tier: int) -> str:
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


def _round(x: float, y: float, rx: float, ry: float) -> str:
    """An ellipse as a path, so that it can be a volume."""
    return f"M{num(x - rx)} {num(y)}a{num(rx)} {num(ry)} 0 1 1 {num(2 * rx)} 0a{num(rx)} {num(ry)} 0 1 1 {num(-2 * rx)} 0z"


def _box(x: float, y: float, w: float, h: float, r: float = 6) -> str:
    return (
        f"M{num(x + r)} {num(y)}h{num(w - 2 * r)}q{num(r)} 0 {num(r)} {num(r)}v{num(h - 2 * r)}q0 {num(r)} {num(-r)} {num(r)}h{num(-(w - 2 * r))}"
        f"q{num(-r)} 0 {num(-r)} {num(-r)}v{num(-(h - 2 * r))}q0 {num(-r)} {num(r)} {num(-r)}z"
    )


def _heart_path(x: float, y: float, s: float) -> str:
    return (
        f"M{num(x)} {num(y + s)}C{num(x - s * 0.5)} {num(y + s * 0.55)} {num(x - s * 1.15)} {num(y + s * 0.15)} {num(x - s * 1.05)} {num(y - s * 0.4)}"
        f"C{num(x - s * 0.95)} {num(y - s * 0.95)} {num(x - s * 0.25)} {num(y - s)} {num(x)} {num(y - s * 0.45)}"
        f"C{num(x + s * 0.25)} {num(y - s)} {num(x + s * 0.95)} {num(y - s * 0.95)} {num(x + s * 1.05)} {num(y - s * 0.4)}"
        f"C{num(x + s * 1.15)} {num(y + s * 0.15)} {num(x + s * 0.5)} {num(y + s * 0.55)} {num(x)} {num(y + s)}z"
    )


def _star_path(x: float, y: float, r: float, points: int = 5, waist: float = 0.45) -> str:
    corners = []
    for i in range(points * 2):
        radius = r if i % 2 == 0 else r * waist
        angle = math.pi * i / points - math.pi / 2
        corners.append(f"{num(x + radius * math.cos(angle))} {num(y + radius * math.sin(angle))}")
    return "M" + "L".join(corners) + "z"


def _cord(canvas: Canvas, y: float, x: float = 120) -> None:
    canvas.add(line(f"M{num(x)} {num(y)}L{num(x - 20)} 34M{num(x)} {num(y)}L{num(x + 20)} 34", "#b39a78", 1.8), disc(x, y, 3, "#a5865c"))


def heart(canvas: Canvas, tier: int) -> float | None:
    _cord(canvas, 96)
    size = canvas.dice.between(62, 76)
    canvas.volume(_heart_path(120, 162, size), weave=_weave(canvas, tier), inside=[canvas.gleam(_round(94, 138, 16, 22))])
    if tier >= 2:
        canvas.add(line(_heart_path(120, 162, size * 0.84), pale(canvas.colour, 0.55), 1.2, dash="3 3", opacity=0.8))
    return None


def candle(canvas: Canvas, tier: int) -> float | None:
    dice = canvas.dice
    half, high = dice.between(36, 50), dice.between(60, 96)
    top = 252 - high
    canvas.add(f'<g filter="url(#soft)">{disc(120, top - 22, 30, "#ffd98a", opacity=0.7)}</g>')
    canvas.add(shape(f"M120 {num(top - 46)}q13 20 0 32q-13 -12 0 -32z", "#f7b74a"), shape(f"M120 {num(top - 32)}q6 10 0 17q-6 -7 0 -17z", "#fff1c4"))
    canvas.add(line(f"M120 {num(top - 16)}v14", "#5b4a3c", 2))
    canvas.volume(_box(120 - half + 9, top - 4, 2 * half - 18, 40, 5), "#f5ecd8", depth=0.7)
    canvas.volume(_box(120 - half, top + 16, 2 * half, high - 16, 9), weave=_weave(canvas, tier), inside=[canvas.gleam(_box(120 - half + 10, top + 16, 10, high, 4))])
    if dice.fraction() < 0.5:
        canvas.volume(_heart_path(120, top + 16 + (high - 16) / 2, 12), pale(canvas.colour, 0.65), depth=0.4)
    return 254


def lantern(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.add(line("M98 92Q120 44 142 92", deep(colour, 0.2), 4))
    canvas.volume("M86 100L108 76H132L154 100z", deep(colour, 0.1))
    canvas.volume(_box(80, 100, 80, 140, 4), "#f6e6bd", depth=0.6, inside=[canvas.gleam(_round(120, 190, 26, 40), opacity=0.8)])
    canvas.volume(_box(106, 188, 28, 46, 4), "#f3ead8", depth=0.7)
    canvas.add(shape("M120 160q10 14 0 24q-10 -10 0 -24z", "#f4ab3f"))
    for x in (80, 116, 153) if tier >= 1 else (80, 153):
        canvas.volume(_box(x, 100, 7, 140, 2), colour)
    canvas.volume(_box(74, 236, 92, 14, 4), colour)
    return 252


def bag(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    wide, top = dice.between(58, 68), dice.between(112, 126)
    for shift, tone in ((6, deep(colour, 0.4)), (0, deep(colour, 0.15))):
        canvas.add(line(f"M{num(94 + shift)} {num(top + 8)}C{num(94 + shift)} 48 {num(140 + shift)} 48 {num(140 + shift)} {num(top + 8)}", tone, 6.5))
    body = f"M{num(120 - wide)} {num(top)}Q120 {num(top + 6)} {num(120 + wide)} {num(top)}L{num(120 + wide - 6)} 244Q{num(120 + wide - 7)} 252 {num(120 + wide - 16)} 252H{num(120 - wide + 16)}Q{num(120 - wide + 7)} 252 {num(120 - wide + 6)} 244z"
    canvas.volume(body, weave=_weave(canvas, tier + 1), inside=[canvas.fold("M92 130L84 252H100z"), canvas.gleam("M112 126L108 250H122z")])
    canvas.add(line(f"M{num(120 - wide + 3)} {num(top + 10)}Q120 {num(top + 16)} {num(120 + wide - 3)} {num(top + 10)}", pale(colour, 0.5), 1, dash="3 3", opacity=0.7))
    return 254


def mug(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    wide, top = canvas.dice.between(46, 54), canvas.dice.between(128, 146)
    canvas.add(line(f"M{num(114 + wide)} {num(top + 26)}C{num(152 + wide)} {num(top + 22)} {num(150 + wide)} {num(top + 84)} {num(110 + wide)} {num(top + 78)}", deep(colour, 0.12), 11))
    body = f"M{num(114 - wide)} {num(top)}H{num(114 + wide)}L{num(110 + wide)} 236Q{num(108 + wide)} 250 {num(94 + wide)} 250H{num(134 - wide)}Q{num(120 - wide)} 250 {num(118 - wide)} 236z"
    canvas.volume(body, weave=_weave(canvas, tier), inside=[canvas.gleam(_box(122 - wide, top + 8, 11, 100, 5))])
    canvas.volume(_round(114, top, wide, 9), pale(colour, 0.4), depth=0.5)
    canvas.add(oval(114, top + 1.5, wide - 6, 6, "#7c5638"))
    return 252


def teapot(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.add(line("M176 160C214 158 210 222 168 222", deep(colour, 0.12), 10))
    canvas.volume("M74 200C50 196 52 160 32 150L46 142C70 150 66 172 84 176z", deep(colour, 0.06))
    canvas.volume(_round(122, 198, 62, 52), weave=_weave(canvas, tier), inside=[canvas.gleam(_round(96, 176, 14, 24))])
    canvas.volume("M84 154Q122 128 160 154Q122 164 84 154z", pale(colour, 0.1))
    canvas.add(disc(122, 136, 8, colour), disc(119.5, 133.5, 3, pale(colour, 0.6)))
    return 252


def clock(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    canvas.volume(_round(120, 152, 78, 78))
    canvas.volume(_round(120, 152, 63, 63), "#f7f2e6", depth=0.5)
    for i in range(12):
        a = math.pi * i / 6
        r0 = 50 if i % 3 == 0 else 54
        canvas.add(line(f"M{num(120 + r0 * math.cos(a))} {num(152 + r0 * math.sin(a))}L{num(120 + 58 * math.cos(a))} {num(152 + 58 * math.sin(a))}", "#5b5560", 2.6 if i % 3 == 0 else 1.3))
    hour, minute = dice.between(0, 2 * math.pi), dice.between(0, 2 * math.pi)
    for a, r, w in ((hour, 30, 4.2), (minute, 44, 2.8)):
        canvas.add(line(f"M120 152L{num(120 + r * math.cos(a))} {num(152 + r * math.sin(a))}", "#3c3a44", w))
    canvas.add(disc(120, 152, 4.6, deep(colour, 0.1)))
    if tier >= 2:
        canvas.add(line("M82 78Q74 56 94 58M158 78Q166 56 146 58", deep(colour, 0.2), 6))
    return None


def box(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    wide, high = dice.between(60, 74), dice.between(66, 104)
    weave = _weave(canvas, tier + 1)
    canvas.volume(_box(120 - wide + 4, 250 - high, 2 * wide - 8, high, 7), weave=weave, inside=[canvas.fold(_box(120 - wide, 250 - high, 2 * wide, 14, 2), opacity=0.5)])
    canvas.volume(_box(120 - wide, 232 - high, 2 * wide, 28, 7), pale(colour, 0.12), weave=weave)
    if tier >= 1:
        canvas.volume(_box(104, 250 - high + 18, 32, 22, 4), "#f5ecdb", depth=0.4)
    return 252


def parcel(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    wide, high = dice.between(54, 70), dice.between(86, 116)
    ribbon = accent(colour, dice)
    canvas.volume(_box(120 - wide, 250 - high, 2 * wide, high, 5), weave=_weave(canvas, tier))
    canvas.volume(_box(112, 250 - high, 16, high, 1), ribbon, depth=0.6)
    canvas.volume(_box(120 - wide, 250 - high * 0.6, 2 * wide, 15, 1), ribbon, depth=0.6)
    y = 250 - high
    for side in (1, -1):
        canvas.volume(f"M120 {num(y)}C{num(120 - side * 14)} {num(y - 36)} {num(120 - side * 56)} {num(y - 34)} {num(120 - side * 46)} {num(y - 8)}C{num(120 - side * 40)} {num(y + 4)} {num(120 - side * 18)} {num(y + 2)} 120 {num(y)}z", ribbon)
    canvas.add(disc(120, y - 2, 7.5, deep(ribbon, 0.15)))
    return 252


def tree(canvas: Canvas, tier: int) -> float | None:
    green = canvas.colour
    canvas.volume(_box(111, 228, 18, 26, 3), "#7d5941")
    for top, half, low in ((140, 66, 234), (98, 52, 186), (58, 38, 136)):
        canvas.volume(f"M120 {top}Q{120 + half * 0.5} {low - 26} {120 + half} {low}Q120 {low + 16} {120 - half} {low}Q{120 - half * 0.5} {low - 26} 120 {top}z", green)
    for _ in range(7 + 2 * tier):
        y = canvas.dice.between(112, 226)
        x = 120 + canvas.dice.between(-0.34, 0.34) * (y - 60)
        tone = canvas.dice.pick(("#bb4346", "#e2bd56", "#f4ecdd"))
        canvas.add(disc(x, y, 5, tone), disc(x - 1.5, y - 1.6, 1.6, "#fff8ec"))
    canvas.add(shape(_star_path(120, 58, 14), "#e2bd56"))
    return 254


def bauble(canvas: Canvas, tier: int) -> float | None:
    canvas.add(line("M120 34V92", "#b39a78", 1.8))
    canvas.volume(_box(109, 84, 22, 18, 4), "#c9a24b")
    canvas.volume(_round(120, 166, 68, 68), weave=_weave(canvas, tier + 1), inside=[canvas.gleam(_round(94, 140, 18, 24), opacity=0.7)])
    return None


def bunting(canvas: Canvas, tier: int) -> float | None:
    tones = (canvas.colour, pale(canvas.colour, 0.45), accent(canvas.colour, canvas.dice))
    weave = _weave(canvas, tier + 1)
    for row, y0 in enumerate((78, 168)):
        canvas.add(line(f"M14 {y0}Q120 {y0 + 52} 226 {y0}", "#b39a78", 2.4))
        for i in range(5):
            t = (i + 0.5) / 5
            x, y = 14 + 212 * t, y0 + 104 * t * (1 - t)
            canvas.volume(f"M{num(x - 18)} {num(y - 2)}L{num(x + 18)} {num(y - 2)}L{num(x)} {num(y + 44)}z", tones[(i + row) % 3], weave=weave if i % 2 else "")
    return None


def cushion(canvas: Canvas, tier: int) -> float | None:
    d = "M44 92Q120 108 196 92Q184 164 196 236Q120 222 44 236Q56 164 44 92z"
    canvas.volume(d, weave=_weave(canvas, tier + 1), inside=[canvas.gleam(_round(100, 140, 34, 30), opacity=0.3), canvas.fold("M44 236L82 206L70 232z"), canvas.fold("M196 92L160 122L172 98z")])
    if tier >= 1:
        canvas.add(line("M54 101Q120 116 186 101Q176 164 186 227Q120 213 54 227Q64 164 54 101z", pale(canvas.colour, 0.5), 1.2, dash="4 3", opacity=0.75))
    return 244


def plate(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(_round(120, 156, 84, 84), weave=_weave(canvas, tier))
    canvas.volume(_round(120, 156, 57, 57), pale(canvas.colour, 0.35), depth=0.7)
    if tier >= 1:
        canvas.add(line(_round(120, 156, 76, 76), pale(canvas.colour, 0.6), 2, opacity=0.8))
    return None


def bowl(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(_box(96, 236, 48, 14, 5), deep(canvas.colour, 0.15))
    canvas.volume("M42 158H198C196 212 164 242 120 242C76 242 44 212 42 158z", weave=_weave(canvas, tier), inside=[canvas.gleam(_round(86, 196, 12, 26))])
    canvas.volume(_round(120, 158, 78, 14), pale(canvas.colour, 0.2), depth=0.8)
    canvas.add(oval(120, 160, 69, 10, deep(canvas.colour, 0.3), opacity=0.55))
    return 252


def cakestand(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume("M112 186H128L134 238Q152 242 154 250H86Q88 242 106 238z", colour)
    canvas.volume(_round(120, 186, 82, 13), colour)
    canvas.volume("M72 124H168V168Q120 188 72 168z", "#e9c7a2", depth=0.7)
    canvas.volume("M66 124Q66 104 120 104Q174 104 174 124Q174 134 166 142Q158 132 148 144Q138 134 126 146Q114 134 104 144Q94 132 84 142Q66 138 66 124z", pale(accent(colour, canvas.dice), 0.5), depth=0.6)
    canvas.add(disc(120, 98, 10, "#bb4346"), disc(117, 95, 3, "#f0b5b0"))
    if tier >= 2:
        canvas.add("".join(disc(44 + 19 * i, 194 + 6 * math.sin(math.pi * i / 8), 4, pale(colour, 0.5)) for i in range(9)))
    return 252


def card(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    canvas.add('<g transform="rotate(-7 120 160)">')
    canvas.volume(_box(62, 76, 128, 164, 4), "#f3ecdf", depth=0.5)
    canvas.add("</g>")
    canvas.add(f'<g transform="rotate({num(dice.between(2, 6))} 120 160)">')
    canvas.volume(_box(54, 70, 128, 168, 4), weave=_weave(canvas, tier + 1), depth=0.5)
    canvas.volume(_box(76, 122, 84, 60, 4), "#f7f2e6", depth=0.3)
    canvas.volume(dice.pick((_heart_path(118, 152, 17), _star_path(118, 152, 20))), mix(colour, "#a5584f", 0.35), depth=0.5)
    canvas.add("</g>")
    return None


def book(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(_box(70, 82, 114, 166, 5), "#efe6d2", depth=0.6)
    canvas.volume(_box(60, 78, 116, 168, 6), weave=_weave(canvas, tier + 1), depth=0.7, inside=[canvas.fold("M60 78h14v168h-14z", opacity=0.55)])
    canvas.volume(_box(92, 112, 62, 34, 4), "#f7f2e6", depth=0.3)
    canvas.add(line("M102 124h42M108 134h30", "#8d857c", 1.8, opacity=0.8))
    return 250


def sign(canvas: Canvas, tier: int) -> float | None:
    canvas.add(line("M66 126L120 54L174 126", "#b39a78", 2.2), disc(120, 54, 4, "#8a6f4c"))
    canvas.volume(_box(34, 122, 172, 78, 7), inside=[canvas.fold("M34 148h172v4H34z", opacity=0.3), canvas.fold("M34 176h172v3H34z", opacity=0.3)])
    ink = accent(canvas.colour, canvas.dice)
    canvas.add(line("M66 150q8 -14 16 0t16 0t16 0t16 0t16 0t16 0t14 -2", ink, 3, opacity=0.9), line("M86 174q7 -10 14 0t14 0t14 0t14 0t12 -1", ink, 2.2, opacity=0.75))
    if tier >= 1:
        canvas.add(line(_box(41, 129, 158, 64, 5), ink, 1.2, opacity=0.6))
    return None


def jar(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume("M84 116Q66 126 66 146V232Q66 250 84 250H156Q174 250 174 232V146Q174 126 156 116z", pale(colour, 0.4), depth=0.9, inside=[canvas.gleam(_box(78, 132, 14, 104, 6), opacity=0.8)])
    canvas.volume("M70 176H170V232Q170 246 156 246H84Q70 246 70 232z", colour, weave=_weave(canvas, tier), depth=0.8)
    canvas.volume(_box(82, 84, 76, 32, 7), deep(mix(colour, "#c2994a", 0.5), 0.1))
    canvas.volume(_box(88, 190, 64, 34, 4), "#f7f2e6", depth=0.3)
    return 252


def bottle(canvas: Canvas, tier: int) -> float | None:
    canvas.volume("M106 78H134V118C134 136 164 140 164 172V234Q164 250 148 250H92Q76 250 76 234V172C76 140 106 136 106 118z", weave=_weave(canvas, tier), inside=[canvas.gleam(_box(88, 160, 11, 80, 5), opacity=0.6)])
    canvas.volume(_box(102, 58, 36, 24, 5), deep(canvas.colour, 0.3))
    return 252


def umbrella(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.add(line("M120 66V236Q120 258 102 256Q90 254 92 242", "#7d5941", 5.5))
    canvas.volume("M30 164C34 96 74 66 120 64C166 66 206 96 210 164Q195 148 180 164Q165 148 150 164Q135 148 120 164Q105 148 90 164Q75 148 60 164Q45 148 30 164z", weave=_weave(canvas, tier + 1))
    for x in (60, 90, 150, 180):
        canvas.add(line(f"M120 66Q{num(120 + (x - 120) * 0.9)} 104 {x} 162", deep(colour, 0.5), 1.2, opacity=0.4))
    canvas.add(line("M120 64V52", "#7d5941", 4))
    return None


def doll(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume("M120 62C156 62 164 92 158 118C182 146 184 250 120 250C56 250 58 146 82 118C76 92 84 62 120 62z", weave=_weave(canvas, tier))
    canvas.volume(_round(120, 104, 28, 29), "#f0d4bb", depth=0.5)
    canvas.add(shape("M92 100Q96 74 120 76Q144 74 148 100Q134 84 120 86Q106 84 92 100z", "#6a4a37"))
    canvas.add(disc(110, 106, 2.6, "#3c3a44"), disc(130, 106, 2.6, "#3c3a44"), disc(103, 114, 4.6, "#dd9a94", opacity=0.7), disc(137, 114, 4.6, "#dd9a94", opacity=0.7))
    canvas.add(line("M114 117q6 5 12 0", "#a5584f", 2))
    canvas.volume(_round(120, 190, 34, 40), pale(colour, 0.45), depth=0.5)
    canvas.volume(_heart_path(120, 190, 14), "#bb4346" if tier else deep(colour, 0.1), depth=0.5)
    return 252


def jewel(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    chain = "#c9a24b" if tier >= 2 else "#aab0b8"
    for i in range(33):
        a = math.pi * (0.04 + 0.92 * i / 32)
        canvas.add(disc(120 - 74 * math.cos(a), 74 + 112 * math.sin(a), 3 if i % 4 else 5.5, chain if i % 4 else colour))
    canvas.volume(_star_path(120, 214, 32, 6 + tier, 0.78), inside=[canvas.gleam(_round(110, 202, 9, 10), opacity=0.8)])
    canvas.add(shape(_star_path(120, 214, 16, 6, 0.7), pale(colour, 0.5), opacity=0.7))
    return None


def frame(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(_box(48, 62, 144, 184, 8 + 6 * tier), inside=[canvas.gleam("M48 62h144v8H48z", opacity=0.4)])
    canvas.volume(_box(68, 82, 104, 144, 5), "#dbe4e8", depth=0.6, inside=[canvas.gleam("M68 180L150 82H172L68 206z", opacity=0.8)])
    if tier >= 1:
        canvas.add(line(_box(60, 74, 120, 160, 7), pale(canvas.colour, 0.5), 1.6, opacity=0.7))
    return 250


def flower(canvas: Canvas, tier: int) -> float | None:
    canvas.add(line("M120 150Q116 200 122 250", "#6f8a5c", 5))
    canvas.volume("M120 220Q76 216 70 178Q112 180 120 220z", "#7c9a69")
    canvas.volume("M121 232Q160 226 170 194Q130 194 121 232z", "#6f8f5f")
    for i in range(6 + tier):
        canvas.add(f'<g transform="rotate({num(360 / (6 + tier) * i)} 120 120)">')
        canvas.volume("M120 116C98 92 100 56 120 52C140 56 142 92 120 116z")
        canvas.add("</g>")
    canvas.volume(_round(120, 120, 19, 19), "#e2bd56")
    return 254


def star(canvas: Canvas, tier: int) -> float | None:
    _cord(canvas, 84)
    canvas.volume(_star_path(120, 160, 84, 5, 0.48), weave=_weave(canvas, tier), inside=[canvas.gleam(_round(98, 138, 14, 18))])
    return None


def bird(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume("M46 176L18 154L30 196z", deep(colour, 0.1))
    canvas.volume("M34 178C52 118 112 98 150 124C170 100 204 116 200 142L216 150L198 158C190 214 136 236 96 220C66 214 42 200 34 178z", weave=_weave(canvas, tier))
    canvas.volume("M76 158C102 136 140 148 150 180C126 204 92 196 76 158z", deep(colour, 0.18))
    canvas.add(disc(182, 138, 4.4, "#2e2c35"), disc(180.6, 136.6, 1.4, "#fff"), line("M112 222V248M130 222V248", "#a5764a", 3.4))
    return 252


def rabbit(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    for x, a in ((98, -10), (142, 10)):
        canvas.add(f'<g transform="rotate({a} {x} 110)">')
        canvas.volume(_round(x, 84, 14, 44))
        canvas.add(oval(x, 88, 6, 28, "#e3b1ad", opacity=0.8), "</g>")
    canvas.volume(_round(120, 210, 54, 44), weave=_weave(canvas, tier))
    canvas.volume(_round(120, 148, 44, 38))
    canvas.add(disc(104, 144, 4, "#2e2c35"), disc(136, 144, 4, "#2e2c35"), shape("M114 158h12l-6 7z", "#c98684"), line("M120 165q-6 8 -12 4M120 165q6 8 12 4", deep(colour, 0.5), 1.6))
    return 254


def butterfly(canvas: Canvas, tier: int) -> float | None:
    weave = _weave(canvas, tier + 1)
    for side in (1, -1):

        def x(value: float, side: int = side) -> str:
            return num(120 + side * value)

        canvas.volume(f"M{x(4)} 150C{x(30)} 70 {x(104)} 74 {x(94)} 124C{x(88)} 156 {x(40)} 164 {x(4)} 154z", weave=weave)
        canvas.volume(f"M{x(4)} 158C{x(44)} 156 {x(84)} 176 {x(68)} 214C{x(52)} 238 {x(16)} 206 {x(4)} 164z", deep(canvas.colour, 0.12))
    canvas.volume(_round(120, 162, 6, 38), "#4a4048")
    canvas.add(line("M118 126Q110 100 96 96M122 126Q130 100 144 96", "#4a4048", 2.2))
    return None


def lights(canvas: Canvas, tier: int) -> float | None:
    tones = (canvas.colour, pale(canvas.colour, 0.4), "#e2bd56")
    for row in range(3):
        y0 = 66 + row * 66
        canvas.add(line(f"M10 {y0}Q120 {y0 + 60} 230 {y0}", "#6b7468", 2.4))
        for i in range(5):
            t = (i + 0.5) / 5
            x, y = 10 + 220 * t, y0 + 120 * t * (1 - t)
            tone = tones[(i + row) % 3]
            canvas.add(f'<g filter="url(#soft)">{disc(x, y + 16, 16, pale(tone, 0.4), opacity=0.6)}</g>')
            canvas.volume(f"M{num(x - 4)} {num(y + 2)}h8q7 12 5 19q-9 10 -18 0q-2 -7 5 -19z", tone)
    return None


def pencil(canvas: Canvas, tier: int) -> float | None:
    tones = (canvas.colour, pale(canvas.colour, 0.35), accent(canvas.colour, canvas.dice), deep(canvas.colour, 0.2))
    for i, tone in enumerate(tones):
        x = 66 + i * 28
        canvas.add(f'<g transform="rotate({(i - 1.5) * 4:g} 120 250)">')
        canvas.volume(f"M{x} 110L{x + 11} 78L{x + 22} 110z", "#ecd2a8", depth=0.5)
        canvas.add(shape(f"M{x + 7} 89L{x + 11} 78L{x + 15} 89z", deep(tone, 0.3)))
        canvas.volume(_box(x, 108, 22, 140, 2), tone, weave=_weave(canvas, tier) if i == 0 else "")
        canvas.add("</g>")
    return 252


def knob(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(_box(70, 84, 100, 34, 12), mix(canvas.colour, "#8a6f4c", 0.3))
    canvas.add(line("M120 112V176Q120 212 152 204Q170 198 168 178", deep(canvas.colour, 0.15), 11), disc(168, 176, 12, canvas.colour), disc(164, 172, 4.4, pale(canvas.colour, 0.6)))
    canvas.add(disc(86, 101, 4, "#d9d4c8"), disc(154, 101, 4, "#d9d4c8"))
    if tier >= 1:
        canvas.volume(_heart_path(120, 100, 11), pale(canvas.colour, 0.5), depth=0.4)
    return None


def cutlery(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    for x in (76, 120, 164):
        canvas.volume(_box(x - 9, 158, 18, 94, 8), colour, weave=_weave(canvas, tier) if x == 76 else "")
        canvas.volume(_box(x - 4, 112, 8, 50, 3), "#b9c0c7")
    canvas.volume("M62 66h6v34h5V66h6v34h5V66h6v44q0 14 -14 14t-14 -14z", "#c3cad0")
    canvas.volume("M112 122V72Q114 60 128 62V122z", "#c3cad0")
    canvas.volume(_round(164, 88, 15, 26), "#c3cad0")
    return None


def mat(canvas: Canvas, tier: int) -> float | None:
    canvas.volume("M40 112H200L222 224H18z", weave=_weave(canvas, tier + 1))
    canvas.add(line("M50 120H190L208 216H32z", pale(canvas.colour, 0.5), 2.4, opacity=0.75))
    return 230


SHAPES: tuple[tuple[str, Drawer], ...] = (
    ("teapot", teapot), ("tea pot", teapot), ("cakestand", cakestand), ("cake stand", cakestand), ("cake", cakestand), ("umbrella", umbrella),
    ("parasol", umbrella), ("bunting", bunting), ("garland", bunting), ("lantern", lantern), ("lights", lights), ("clock", clock),
    ("doormat", mat), ("door mat", mat), ("cutlery", cutlery), ("spoon", cutlery), ("necklace", jewel), ("bracelet", jewel), ("earring", jewel),
    ("ring", jewel), ("charm", jewel), ("bead", jewel), ("brooch", jewel), ("cushion", cushion), ("mirror", frame), ("frame", frame), ("pencil", pencil),
    ("crayon", pencil), ("pen", pencil), ("hook", knob), ("hanger", knob), ("knob", knob), ("water bottle", bottle), ("jug", jar), ("jar", jar),
    ("bottle", bottle), ("vase", bottle), ("mug", mug), ("cup", mug), ("bag", bag), ("handbag", bag), ("shopper", bag), ("purse", bag), ("basket", bag),
    ("t-light", candle), ("candle", candle), ("candlestick", candle), ("incense", candle), ("warmer", bottle), ("notebook", book), ("book", book),
    ("journal", book), ("card", card), ("wrap", card), ("paper", card), ("sticker", card), ("letter", card), ("tissues", card), ("napkins", card),
    ("sign", sign), ("plaque", sign), ("chalkboard", sign), ("blackboard", sign), ("bowl", bowl), ("dish", bowl), ("plate", plate), ("tray", plate),
    ("coaster", plate), ("doily", plate), ("tin", box), ("box", box), ("case", box), ("drawer", box), ("cabinet", box), ("chest", box), ("trinket", box),
    ("doll", doll), ("dolly", doll), ("babushka", doll), ("spaceboy", doll), ("butterfly", butterfly), ("bird", bird), ("hen", bird), ("chick", bird),
    ("owl", bird), ("dove", bird), ("rabbit", rabbit), ("bunny", rabbit), ("tree", tree), ("bauble", bauble), ("ball", bauble), ("egg", bauble),
    ("christmas", bauble), ("heart", heart), ("love", heart), ("star", star), ("light", candle), ("flower", flower), ("rose", flower), ("daisy", flower),
    ("blossom", flower), ("garden", flower), ("tea", mug), ("towel", mat), ("rug", mat), ("apron", bag), ("tape", bauble), ("picture", frame), ("photo", frame),
)  # fmt: skip
"""Title word -> shape, first match wins: the thing before what it is decorated with ("heart t-light holder" is a candle)."""


def drawer_for(words: frozenset[str], title: str) -> Drawer:
    """The shape that a title asks for, a parcel if none. words : the title's words, lower case, singular and plural."""
    for word, drawer in SHAPES:
        if word in words or ((" " in word or "-" in word) and word in title):
            return drawer
    return parcel
