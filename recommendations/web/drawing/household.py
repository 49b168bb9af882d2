"""Drawn household things. Each paints itself and gives the height of the floor it stands on, None if it hangs."""

from __future__ import annotations

import math

from recommendations.web.drawing.outlines import ellipse, heart_path, rounded, star_path, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, mix, num, oval, pale, shape


def candle(canvas: Canvas, tier: int) -> float | None:
    dice = canvas.dice
    half, high = dice.between(36, 50), dice.between(60, 96)
    top = 252 - high
    canvas.add(f'<g filter="url(#soft)">{disc(120, top - 22, 30, "#ffd98a", opacity=0.7)}</g>')
    canvas.add(
        shape(f"M120 {num(top - 46)}q13 20 0 32q-13 -12 0 -32z", "#f7b74a"),
        shape(f"M120 {num(top - 32)}q6 10 0 17q-6 -7 0 -17z", "#fff1c4"),
    )
    canvas.add(line(f"M120 {num(top - 16)}v14", "#5b4a3c", 2))
    canvas.volume(rounded(120 - half + 9, top - 4, 2 * half - 18, 40, 5), "#f5ecd8", depth=0.7)
    canvas.volume(
        rounded(120 - half, top + 16, 2 * half, high - 16, 9),
        weave=weave_of(canvas, tier),
        inside=[canvas.gleam(rounded(120 - half + 10, top + 16, 10, high, 4))],
    )
    if dice.fraction() < 0.5:
        canvas.volume(heart_path(120, top + 16 + (high - 16) / 2, 12), pale(canvas.colour, 0.65), depth=0.4)
    return 254


def lantern(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.add(line("M98 92Q120 44 142 92", deep(colour, 0.2), 4))
    canvas.volume("M86 100L108 76H132L154 100z", deep(colour, 0.1))
    canvas.volume(
        rounded(80, 100, 80, 140, 4), "#f6e6bd", depth=0.6, inside=[canvas.gleam(ellipse(120, 190, 26, 40), opacity=0.8)]
    )
    canvas.volume(rounded(106, 188, 28, 46, 4), "#f3ead8", depth=0.7)
    canvas.add(shape("M120 160q10 14 0 24q-10 -10 0 -24z", "#f4ab3f"))
    for x in (80, 116, 153) if tier >= 1 else (80, 153):
        canvas.volume(rounded(x, 100, 7, 140, 2), colour)
    canvas.volume(rounded(74, 236, 92, 14, 4), colour)
    return 252


def bag(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    wide, top = dice.between(58, 68), dice.between(112, 126)
    for shift, tone in ((6, deep(colour, 0.4)), (0, deep(colour, 0.15))):
        canvas.add(
            line(
                f"M{num(94 + shift)} {num(top + 8)}C{num(94 + shift)} 48 {num(140 + shift)} 48 {num(140 + shift)} {num(top + 8)}",
                tone,
                6.5,
            )
        )
    body = (
        f"M{num(120 - wide)} {num(top)}Q120 {num(top + 6)} {num(120 + wide)} {num(top)}"
        f"L{num(120 + wide - 6)} 244Q{num(120 + wide - 7)} 252 {num(120 + wide - 16)} 252"
        f"H{num(120 - wide + 16)}Q{num(120 - wide + 7)} 252 {num(120 - wide + 6)} 244z"
    )
    canvas.volume(
        body, weave=weave_of(canvas, tier + 1), inside=[canvas.fold("M92 130L84 252H100z"), canvas.gleam("M112 126L108 250H122z")]
    )
    canvas.add(
        line(
            f"M{num(120 - wide + 3)} {num(top + 10)}Q120 {num(top + 16)} {num(120 + wide - 3)} {num(top + 10)}",
            pale(colour, 0.5),
            1,
            dash="3 3",
            opacity=0.7,
        )
    )
    return 254


def mug(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    wide, top = canvas.dice.between(46, 54), canvas.dice.between(128, 146)
    canvas.add(
        line(
            f"M{num(114 + wide)} {num(top + 26)}"
            f"C{num(152 + wide)} {num(top + 22)} {num(150 + wide)} {num(top + 84)} {num(110 + wide)} {num(top + 78)}",
            deep(colour, 0.12),
            11,
        )
    )
    body = (
        f"M{num(114 - wide)} {num(top)}H{num(114 + wide)}L{num(110 + wide)} 236"
        f"Q{num(108 + wide)} 250 {num(94 + wide)} 250H{num(134 - wide)}"
        f"Q{num(120 - wide)} 250 {num(118 - wide)} 236z"
    )
    canvas.volume(body, weave=weave_of(canvas, tier), inside=[canvas.gleam(rounded(122 - wide, top + 8, 11, 100, 5))])
    canvas.volume(ellipse(114, top, wide, 9), pale(colour, 0.4), depth=0.5)
    canvas.add(oval(114, top + 1.5, wide - 6, 6, "#7c5638"))
    return 252


def teapot(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.add(line("M176 160C214 158 210 222 168 222", deep(colour, 0.12), 10))
    canvas.volume("M74 200C50 196 52 160 32 150L46 142C70 150 66 172 84 176z", deep(colour, 0.06))
    canvas.volume(ellipse(122, 198, 62, 52), weave=weave_of(canvas, tier), inside=[canvas.gleam(ellipse(96, 176, 14, 24))])
    canvas.volume("M84 154Q122 128 160 154Q122 164 84 154z", pale(colour, 0.1))
    canvas.add(disc(122, 136, 8, colour), disc(119.5, 133.5, 3, pale(colour, 0.6)))
    return 252


def clock(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    canvas.volume(ellipse(120, 152, 78, 78))
    canvas.volume(ellipse(120, 152, 63, 63), "#f7f2e6", depth=0.5)
    for i in range(12):
        a = math.pi * i / 6
        r0 = 50 if i % 3 == 0 else 54
        canvas.add(
            line(
                f"M{num(120 + r0 * math.cos(a))} {num(152 + r0 * math.sin(a))}"
                f"L{num(120 + 58 * math.cos(a))} {num(152 + 58 * math.sin(a))}",
                "#5b5560",
                2.6 if i % 3 == 0 else 1.3,
            )
        )
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
    weave = weave_of(canvas, tier + 1)
    canvas.volume(
        rounded(120 - wide + 4, 250 - high, 2 * wide - 8, high, 7),
        weave=weave,
        inside=[canvas.fold(rounded(120 - wide, 250 - high, 2 * wide, 14, 2), opacity=0.5)],
    )
    canvas.volume(rounded(120 - wide, 232 - high, 2 * wide, 28, 7), pale(colour, 0.12), weave=weave)
    if tier >= 1:
        canvas.volume(rounded(104, 250 - high + 18, 32, 22, 4), "#f5ecdb", depth=0.4)
    return 252


def parcel(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    wide, high = dice.between(54, 70), dice.between(86, 116)
    ribbon = accent(colour, dice)
    canvas.volume(rounded(120 - wide, 250 - high, 2 * wide, high, 5), weave=weave_of(canvas, tier))
    canvas.volume(rounded(112, 250 - high, 16, high, 1), ribbon, depth=0.6)
    canvas.volume(rounded(120 - wide, 250 - high * 0.6, 2 * wide, 15, 1), ribbon, depth=0.6)
    y = 250 - high
    for side in (1, -1):
        canvas.volume(
            f"M120 {num(y)}C{num(120 - side * 14)} {num(y - 36)}"
            f" {num(120 - side * 56)} {num(y - 34)} {num(120 - side * 46)} {num(y - 8)}"
            f"C{num(120 - side * 40)} {num(y + 4)} {num(120 - side * 18)} {num(y + 2)} 120 {num(y)}z",
            ribbon,
        )
    canvas.add(disc(120, y - 2, 7.5, deep(ribbon, 0.15)))
    return 252


def cushion(canvas: Canvas, tier: int) -> float | None:
    d = "M44 92Q120 108 196 92Q184 164 196 236Q120 222 44 236Q56 164 44 92z"
    canvas.volume(
        d,
        weave=weave_of(canvas, tier + 1),
        inside=[
            canvas.gleam(ellipse(100, 140, 34, 30), opacity=0.3),
            canvas.fold("M44 236L82 206L70 232z"),
            canvas.fold("M196 92L160 122L172 98z"),
        ],
    )
    if tier >= 1:
        canvas.add(
            line(
                "M54 101Q120 116 186 101Q176 164 186 227Q120 213 54 227Q64 164 54 101z",
                pale(canvas.colour, 0.5),
                1.2,
                dash="4 3",
                opacity=0.75,
            )
        )
    return 244


def plate(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(ellipse(120, 156, 84, 84), weave=weave_of(canvas, tier))
    canvas.volume(ellipse(120, 156, 57, 57), pale(canvas.colour, 0.35), depth=0.7)
    if tier >= 1:
        canvas.add(line(ellipse(120, 156, 76, 76), pale(canvas.colour, 0.6), 2, opacity=0.8))
    return None


def bowl(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(rounded(96, 236, 48, 14, 5), deep(canvas.colour, 0.15))
    canvas.volume(
        "M42 158H198C196 212 164 242 120 242C76 242 44 212 42 158z",
        weave=weave_of(canvas, tier),
        inside=[canvas.gleam(ellipse(86, 196, 12, 26))],
    )
    canvas.volume(ellipse(120, 158, 78, 14), pale(canvas.colour, 0.2), depth=0.8)
    canvas.add(oval(120, 160, 69, 10, deep(canvas.colour, 0.3), opacity=0.55))
    return 252


def cakestand(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume("M112 186H128L134 238Q152 242 154 250H86Q88 242 106 238z", colour)
    canvas.volume(ellipse(120, 186, 82, 13), colour)
    canvas.volume("M72 124H168V168Q120 188 72 168z", "#e9c7a2", depth=0.7)
    canvas.volume(
        "M66 124Q66 104 120 104Q174 104 174 124Q174 134 166 142Q158 132 148 144Q138 134 126 146"
        "Q114 134 104 144Q94 132 84 142Q66 138 66 124z",
        pale(accent(colour, canvas.dice), 0.5),
        depth=0.6,
    )
    canvas.add(disc(120, 98, 10, "#bb4346"), disc(117, 95, 3, "#f0b5b0"))
    if tier >= 2:
        canvas.add("".join(disc(44 + 19 * i, 194 + 6 * math.sin(math.pi * i / 8), 4, pale(colour, 0.5)) for i in range(9)))
    return 252


def card(canvas: Canvas, tier: int) -> float | None:
    colour, dice = canvas.colour, canvas.dice
    canvas.add('<g transform="rotate(-7 120 160)">')
    canvas.volume(rounded(62, 76, 128, 164, 4), "#f3ecdf", depth=0.5)
    canvas.add("</g>")
    canvas.add(f'<g transform="rotate({num(dice.between(2, 6))} 120 160)">')
    canvas.volume(rounded(54, 70, 128, 168, 4), weave=weave_of(canvas, tier + 1), depth=0.5)
    canvas.volume(rounded(76, 122, 84, 60, 4), "#f7f2e6", depth=0.3)
    canvas.volume(dice.pick((heart_path(118, 152, 17), star_path(118, 152, 20))), mix(colour, "#a5584f", 0.35), depth=0.5)
    canvas.add("</g>")
    return None


def book(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(rounded(70, 82, 114, 166, 5), "#efe6d2", depth=0.6)
    canvas.volume(
        rounded(60, 78, 116, 168, 6),
        weave=weave_of(canvas, tier + 1),
        depth=0.7,
        inside=[canvas.fold("M60 78h14v168h-14z", opacity=0.55)],
    )
    canvas.volume(rounded(92, 112, 62, 34, 4), "#f7f2e6", depth=0.3)
    canvas.add(line("M102 124h42M108 134h30", "#8d857c", 1.8, opacity=0.8))
    return 250


def sign(canvas: Canvas, tier: int) -> float | None:
    canvas.add(line("M66 126L120 54L174 126", "#b39a78", 2.2), disc(120, 54, 4, "#8a6f4c"))
    canvas.volume(
        rounded(34, 122, 172, 78, 7),
        inside=[canvas.fold("M34 148h172v4H34z", opacity=0.3), canvas.fold("M34 176h172v3H34z", opacity=0.3)],
    )
    ink = accent(canvas.colour, canvas.dice)
    canvas.add(
        line("M66 150q8 -14 16 0t16 0t16 0t16 0t16 0t16 0t14 -2", ink, 3, opacity=0.9),
        line("M86 174q7 -10 14 0t14 0t14 0t14 0t12 -1", ink, 2.2, opacity=0.75),
    )
    if tier >= 1:
        canvas.add(line(rounded(41, 129, 158, 64, 5), ink, 1.2, opacity=0.6))
    return None


def jar(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.volume(
        "M84 116Q66 126 66 146V232Q66 250 84 250H156Q174 250 174 232V146Q174 126 156 116z",
        pale(colour, 0.4),
        depth=0.9,
        inside=[canvas.gleam(rounded(78, 132, 14, 104, 6), opacity=0.8)],
    )
    canvas.volume("M70 176H170V232Q170 246 156 246H84Q70 246 70 232z", colour, weave=weave_of(canvas, tier), depth=0.8)
    canvas.volume(rounded(82, 84, 76, 32, 7), deep(mix(colour, "#c2994a", 0.5), 0.1))
    canvas.volume(rounded(88, 190, 64, 34, 4), "#f7f2e6", depth=0.3)
    return 252


def bottle(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(
        "M106 78H134V118C134 136 164 140 164 172V234Q164 250 148 250H92Q76 250 76 234V172C76 140 106 136 106 118z",
        weave=weave_of(canvas, tier),
        inside=[canvas.gleam(rounded(88, 160, 11, 80, 5), opacity=0.6)],
    )
    canvas.volume(rounded(102, 58, 36, 24, 5), deep(canvas.colour, 0.3))
    return 252


def umbrella(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    canvas.add(line("M120 66V236Q120 258 102 256Q90 254 92 242", "#7d5941", 5.5))
    canvas.volume(
        "M30 164C34 96 74 66 120 64C166 66 206 96 210 164Q195 148 180 164Q165 148 150 164Q135 148 120 164"
        "Q105 148 90 164Q75 148 60 164Q45 148 30 164z",
        weave=weave_of(canvas, tier + 1),
    )
    for x in (60, 90, 150, 180):
        canvas.add(line(f"M120 66Q{num(120 + (x - 120) * 0.9)} 104 {x} 162", deep(colour, 0.5), 1.2, opacity=0.4))
    canvas.add(line("M120 64V52", "#7d5941", 4))
    return None


def frame(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(rounded(48, 62, 144, 184, 8 + 6 * tier), inside=[canvas.gleam("M48 62h144v8H48z", opacity=0.4)])
    canvas.volume(
        rounded(68, 82, 104, 144, 5), "#dbe4e8", depth=0.6, inside=[canvas.gleam("M68 180L150 82H172L68 206z", opacity=0.8)]
    )
    if tier >= 1:
        canvas.add(line(rounded(60, 74, 120, 160, 7), pale(canvas.colour, 0.5), 1.6, opacity=0.7))
    return 250


def pencil(canvas: Canvas, tier: int) -> float | None:
    tones = (canvas.colour, pale(canvas.colour, 0.35), accent(canvas.colour, canvas.dice), deep(canvas.colour, 0.2))
    for i, tone in enumerate(tones):
        x = 66 + i * 28
        canvas.add(f'<g transform="rotate({(i - 1.5) * 4:g} 120 250)">')
        canvas.volume(f"M{x} 110L{x + 11} 78L{x + 22} 110z", "#ecd2a8", depth=0.5)
        canvas.add(shape(f"M{x + 7} 89L{x + 11} 78L{x + 15} 89z", deep(tone, 0.3)))
        canvas.volume(rounded(x, 108, 22, 140, 2), tone, weave=weave_of(canvas, tier) if i == 0 else "")
        canvas.add("</g>")
    return 252


def knob(canvas: Canvas, tier: int) -> float | None:
    canvas.volume(rounded(70, 84, 100, 34, 12), mix(canvas.colour, "#8a6f4c", 0.3))
    canvas.add(
        line("M120 112V176Q120 212 152 204Q170 198 168 178", deep(canvas.colour, 0.15), 11),
        disc(168, 176, 12, canvas.colour),
        disc(164, 172, 4.4, pale(canvas.colour, 0.6)),
    )
    canvas.add(disc(86, 101, 4, "#d9d4c8"), disc(154, 101, 4, "#d9d4c8"))
    if tier >= 1:
        canvas.volume(heart_path(120, 100, 11), pale(canvas.colour, 0.5), depth=0.4)
    return None


def cutlery(canvas: Canvas, tier: int) -> float | None:
    colour = canvas.colour
    for x in (76, 120, 164):
        canvas.volume(rounded(x - 9, 158, 18, 94, 8), colour, weave=weave_of(canvas, tier) if x == 76 else "")
        canvas.solid(rounded(x - 4, 112, 8, 50, 3), "#b9c0c7")
    canvas.solid("M62 66h6v34h5V66h6v34h5V66h6v44q0 14 -14 14t-14 -14z", "#c3cad0")
    canvas.solid("M112 122V72Q114 60 128 62V122z", "#c3cad0")
    canvas.solid(ellipse(164, 88, 15, 26), "#c3cad0")
    return None


def mat(canvas: Canvas, tier: int) -> float | None:
    canvas.volume("M40 112H200L222 224H18z", weave=weave_of(canvas, tier + 1))
    canvas.add(line("M50 120H190L208 216H32z", pale(canvas.colour, 0.5), 2.4, opacity=0.75))
    return 230
