"""Drawn ornaments: what hangs, glitters or looks at you. Each paints itself and gives its floor, None if it hangs."""

from __future__ import annotations

import math

from recommendations.web.drawing.outlines import cord, ellipse, heart_path, rounded, star_path, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, num, oval, pale, shape


def heart(canvas: Canvas, tier: int) -> float | None:
    cord(canvas, 96)
    size = canvas.dice.between(62, 76)
    canvas.volume(heart_path(120, 162, size), weave=weave_of(canvas, tier), inside=[canvas.gleam(ellipse(94, 138, 16, 22))])
    if tier >= 2:
        canvas.add(line(heart_path(120, 162, size * 0.84), pale(canvas.colour, 0.55), 1.2, dash="3 3", opacity=0.8))
    return None


def tree(canvas: Canvas, tier: int) -> float | None:
    green = canvas.colour
    canvas.volume(rounded(111, 228, 18, 26, 3), "#7d5941")
    for top, half, low in ((140, 66, 234), (98, 52, 186), (58, 38, 136)):
        canvas.volume(
            f"M120 {top}Q{120 + half * 0.5} {low - 26} {120 + half} {low}Q120 {low + 16} {120 - half} {low}"
            f"Q{120 - half * 0.5} {low - 26} 120 {top}z",
            green,
        )
    for _ in range(7 + 2 * tier):
        y = canvas.dice.between(112, 226)
        x = 120 + canvas.dice.between(-0.34, 0.34) * (y - 60)
        tone = canvas.dice.pick(("#bb4346", "#e2bd56", "#f4ecdd"))
        canvas.add(disc(x, y, 5, tone), disc(x - 1.5, y - 1.6, 1.6, "#fff8ec"))
    canvas.add(shape(star_path(120, 58, 14), "#e2bd56"))
    return 254


def bauble(canvas: Canvas, tier: int) -> float | None:
    canvas.add(line("M120 34V92", "#b39a78", 1.8))
    canvas.volume(rounded(109, 84, 22, 18, 4), "#c9a24b")
    canvas.volume(
        ellipse(120, 166, 68, 68), weave=weave_of(canvas, tier + 1), inside=[canvas.gleam(ellipse(94, 140, 18, 24), opacity=0.7)]
    )
    return None


def bunting(canvas: Canvas, tier: int) -> float | None:
    tones = (canvas.colour, pale(canvas.colour, 0.45), accent(canvas.colour, canvas.dice))
    weave = weave_of(canvas, tier + 1)
    for row, y0 in enumerate((78, 168)):
        canvas.add(line(f"M14 {y0}Q120 {y0 + 52} 226 {y0}", "#b39a78", 2.4))
        for i in range(5):
            t = (i + 0.5) / 5
            x, y = 14 + 212 * t, y0 + 104 * t * (1 - t)
            canvas.volume(
                f"M{num(x - 18)} {num(y - 2)}L{num(x + 18)} {num(y - 2)}L{num(x)} {num(y + 44)}z",
                tones[(i + row) % 3],
                weave=weave if i % 2 else "",
            )
    return None


def doll(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume(
        "M120 62C156 62 164 92 158 118C182 146 184 250 120 250C56 250 58 146 82 118C76 92 84 62 120 62z",
        weave=weave_of(canvas, tier),
    )
    canvas.volume(ellipse(120, 104, 28, 29), "#f0d4bb", depth=0.5)
    canvas.add(shape("M92 100Q96 74 120 76Q144 74 148 100Q134 84 120 86Q106 84 92 100z", "#6a4a37"))
    canvas.add(
        disc(110, 106, 2.6, "#3c3a44"),
        disc(130, 106, 2.6, "#3c3a44"),
        disc(103, 114, 4.6, "#dd9a94", opacity=0.7),
        disc(137, 114, 4.6, "#dd9a94", opacity=0.7),
    )
    canvas.add(line("M114 117q6 5 12 0", "#a5584f", 2))
    canvas.volume(ellipse(120, 190, 34, 40), pale(colour, 0.45), depth=0.5)
    canvas.volume(heart_path(120, 190, 14), "#bb4346" if tier else deep(colour, 0.1), depth=0.5)
    return 252


def jewel(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    chain = "#c9a24b" if tier >= 2 else "#aab0b8"
    for i in range(33):
        a = math.pi * (0.04 + 0.92 * i / 32)
        canvas.add(disc(120 - 74 * math.cos(a), 74 + 112 * math.sin(a), 3 if i % 4 else 5.5, chain if i % 4 else colour))
    canvas.volume(star_path(120, 214, 32, 6 + tier, 0.78), inside=[canvas.gleam(ellipse(110, 202, 9, 10), opacity=0.8)])
    canvas.add(shape(star_path(120, 214, 16, 6, 0.7), pale(colour, 0.5), opacity=0.7))
    return None


def flower(canvas: Canvas, tier: int) -> float | None:
    canvas.add(line("M120 150Q116 200 122 250", "#6f8a5c", 5))
    canvas.volume("M120 220Q76 216 70 178Q112 180 120 220z", "#7c9a69")
    canvas.volume("M121 232Q160 226 170 194Q130 194 121 232z", "#6f8f5f")
    for i in range(6 + tier):
        canvas.add(f'<g transform="rotate({num(360 / (6 + tier) * i)} 120 120)">')
        canvas.volume("M120 116C98 92 100 56 120 52C140 56 142 92 120 116z")
        canvas.add("</g>")
    canvas.volume(ellipse(120, 120, 19, 19), "#e2bd56")
    return 254


def star(canvas: Canvas, tier: int) -> float | None:
    cord(canvas, 84)
    canvas.volume(star_path(120, 160, 84, 5, 0.48), weave=weave_of(canvas, tier), inside=[canvas.gleam(ellipse(98, 138, 14, 18))])
    return None


def bird(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume("M46 176L18 154L30 196z", deep(colour, 0.1))
    canvas.volume(
        "M34 178C52 118 112 98 150 124C170 100 204 116 200 142L216 150L198 158C190 214 136 236 96 220C66 214 42 200 34 178z",
        weave=weave_of(canvas, tier),
    )
    canvas.volume("M76 158C102 136 140 148 150 180C126 204 92 196 76 158z", deep(colour, 0.18))
    canvas.add(disc(182, 138, 4.4, "#2e2c35"), disc(180.6, 136.6, 1.4, "#fff"), line("M112 222V248M130 222V248", "#a5764a", 3.4))
    return 252


def rabbit(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    for x, a in ((98, -10), (142, 10)):
        canvas.add(f'<g transform="rotate({a} {x} 110)">')
        canvas.volume(ellipse(x, 84, 14, 44))
        canvas.add(oval(x, 88, 6, 28, "#e3b1ad", opacity=0.8), "</g>")
    canvas.volume(ellipse(120, 210, 54, 44), weave=weave_of(canvas, tier))
    canvas.volume(ellipse(120, 148, 44, 38))
    canvas.add(
        disc(104, 144, 4, "#2e2c35"),
        disc(136, 144, 4, "#2e2c35"),
        shape("M114 158h12l-6 7z", "#c98684"),
        line("M120 165q-6 8 -12 4M120 165q6 8 12 4", deep(colour, 0.5), 1.6),
    )
    return 254


def butterfly(canvas: Canvas, tier: int) -> float | None:
    weave = weave_of(canvas, tier + 1)
    for side in (1, -1):

        def x(value: float, side: int = side) -> str:
            return num(120 + side * value)

        canvas.volume(f"M{x(4)} 150C{x(30)} 70 {x(104)} 74 {x(94)} 124C{x(88)} 156 {x(40)} 164 {x(4)} 154z", weave=weave)
        canvas.volume(
            f"M{x(4)} 158C{x(44)} 156 {x(84)} 176 {x(68)} 214C{x(52)} 238 {x(16)} 206 {x(4)} 164z", deep(canvas.colour, 0.12)
        )
    canvas.volume(ellipse(120, 162, 6, 38), "#4a4048")
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
            canvas.solid(f"M{num(x - 4)} {num(y + 2)}h8q7 12 5 19q-9 10 -18 0q-2 -7 5 -19z", tone)
    return None
