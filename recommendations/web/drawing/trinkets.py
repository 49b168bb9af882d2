"""Drawn bags, belts, glasses, watches and jewellery. Each gives the height of its floor, None if it hangs."""

from __future__ import annotations

import math

from recommendations.web.drawing.outlines import ellipse, heart_path, ring, rounded, star_path, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, mix, num, pale, shape
from recommendations.web.drawing.trimmings import metal_of, thread

METAL = ("#c9a24b", "#b4bac2", "#cf9f8a")


def backpack(canvas: Canvas, tier: int) -> float:
    cloth, tone = canvas.colour, accent(canvas.colour, canvas.dice)
    strap = mix(deep(cloth, 0.35), "#6b4a33", 0.4)
    canvas.add(line("M104 62Q104 36 120 36T136 62", strap, 7))
    for x in (40, 176):
        canvas.volume(rounded(x, 168, 26, 66, 11), deep(cloth, 0.14))
    canvas.volume("M58 240Q52 110 70 78Q86 56 120 56T170 78Q188 110 182 240Q182 254 168 254H72Q58 254 58 240z",
                  weave=weave_of(canvas, 0))  # fmt: skip
    canvas.volume(rounded(74, 160, 92, 80, 14), pale(cloth, 0.08), depth=0.8)
    canvas.add(
        line("M80 180Q120 188 160 180", deep(cloth, 0.6), 2.4),
        line("M80 182Q120 190 160 182", metal_of(tier), 1, dash="2 2"),
    )
    canvas.volume("M62 98Q66 60 120 60T178 98Q178 128 160 132H80Q62 128 62 98z", deep(cloth, 0.06), depth=0.7)
    for x in (88, 144):
        canvas.solid(rounded(x, 112, 9, 50, 3), strap)
        canvas.solid(rounded(x - 3, 140, 15, 11, 2), metal_of(tier))
    if tier >= 1:
        canvas.solid(rounded(108, 204, 24, 16, 3), tone)
    return 256


def handbag(canvas: Canvas, tier: int) -> float:
    metal = metal_of(tier)
    style = canvas.dice.pick(("flap", "dome", "clutch"))
    if style == "clutch":
        canvas.volume(rounded(34, 120, 172, 110, 12), weave=weave_of(canvas, tier))
        canvas.volume("M34 132Q34 120 46 120H194Q206 120 206 132L124 190H116z", deep(canvas.colour, 0.1))
        canvas.add(disc(120, 186, 8, metal), disc(118, 184, 3, pale(metal, 0.7)))
        return 236
    canvas.add(line("M76 134C76 52 164 52 164 134", deep(canvas.colour, 0.25), 8))
    d = (
        "M52 126H188L206 236Q206 250 190 250H50Q34 250 34 236z"
        if style == "flap"
        else "M40 244Q32 124 120 122T200 244Q200 252 190 252H50Q40 252 40 244z"
    )
    canvas.volume(d, weave=weave_of(canvas, max(0, tier - 1)))
    if style == "flap":
        canvas.volume("M50 122H190L196 176Q120 208 44 176z", deep(canvas.colour, 0.08))
        canvas.solid(rounded(108, 176, 24, 22, 5), metal)
    else:
        canvas.add(line("M48 168Q120 140 192 168", metal, 2.6), disc(184, 166, 4, metal))
    for x in (76, 164):
        canvas.add(line(ellipse(x, 134, 6, 6), metal, 3))
    if tier >= 1:
        canvas.add(line("M46 240H194", thread(canvas.colour), 1, dash="3 2"))
    return 254


def satchel(canvas: Canvas, tier: int) -> float:
    """A messenger bag or briefcase."""
    metal = metal_of(tier)
    canvas.add(
        line("M40 150C30 30 210 30 200 150", deep(canvas.colour, 0.4), 6),
        line("M96 132Q96 112 120 112T144 132", deep(canvas.colour, 0.35), 7),
    )
    canvas.volume(rounded(30, 130, 180, 120, 10))
    canvas.volume("M28 128H212V188Q212 200 200 200H40Q28 200 28 188z", deep(canvas.colour, 0.08))
    for x in (70, 156):
        canvas.solid(rounded(x, 176, 14, 46, 3), deep(canvas.colour, 0.35))
        canvas.solid(rounded(x - 4, 200, 22, 14, 3), metal)
    if tier >= 1:
        canvas.add(line("M36 136H204V186Q204 192 198 192H42Q36 192 36 186z", thread(canvas.colour), 1, dash="3 2"))
    return 252


def belt(canvas: Canvas, tier: int) -> float:
    """A belt, coiled, its buckle to the front."""
    metal = metal_of(tier)
    weave = weave_of(canvas, tier) if canvas.dice.fraction() < 0.4 else ""
    canvas.volume("M46 116Q46 84 120 84T194 116V164Q194 132 120 132T46 164z", deep(canvas.colour, 0.35))
    canvas.volume("M40 120Q40 170 120 176T200 120V172Q200 226 120 230T40 172z", weave=weave)
    canvas.add(
        line("M45 130Q52 178 120 183T195 130M45 168Q52 216 120 221T195 168", thread(canvas.colour), 1.2, dash="4 3", opacity=0.8)
    )
    canvas.solid(rounded(86, 168, 58, 70, 9), metal)
    canvas.solid(rounded(96, 180, 38, 46, 4), deep(canvas.colour, 0.12))
    canvas.solid(rounded(90, 199, 44, 7, 3), pale(metal, 0.3))
    canvas.add(*(disc(158 + 14 * i, 197 - 5 * i, 2.4, deep(canvas.colour, 0.6)) for i in range(3)))
    return 240


def glasses(canvas: Canvas, tier: int) -> float:
    """Spectacles with clear lenses."""
    return _glasses(canvas, tier, "#dfeaf0", 0.55)


def sunglasses(canvas: Canvas, tier: int) -> float:
    return _glasses(canvas, tier, canvas.dice.pick(("#3a3d46", "#5d4638", "#3f5a5c", "#5b4a6a")), 0.92)


def _glasses(canvas: Canvas, tier: int, glass: str, thickness: float) -> float:
    dice, frame = canvas.dice, canvas.colour
    cut = dice.pick(("round", "square", "cat", "aviator"))
    wide = 4 + 2.4 * (3 - tier) if dice.fraction() < 0.4 else 8
    lens = {"round": ellipse(0, 0, 40, 40), "square": rounded(-43, -31, 86, 64, 16),
            "cat": "M-42 -20Q-40 -34 -6 -34T48 -40Q44 34 2 36T-42 -20z",
            "aviator": "M-38 -30Q0 -38 40 -30Q46 20 12 40Q-30 44 -40 0Q-42 -20 -38 -30z"}[cut]  # fmt: skip
    canvas.add(line("M28 158Q34 116 60 104M212 158Q206 116 180 104", deep(frame, 0.3), 5))
    for x, flip in ((71, True), (169, False)):
        with canvas.placed(x, 168, flip=flip):
            canvas.add(shape(lens, glass, opacity=thickness), line(lens, frame, wide))
            canvas.add(
                line("M-20 14L8 -20M-4 20L20 -8", "#ffffff", 3.4, opacity=0.5), line(lens, pale(frame, 0.5), 1, opacity=0.5)
            )
    canvas.add(line("M110 160Q120 150 130 160", frame, wide))
    if tier >= 2:
        canvas.add(disc(30, 156, 3.4, "#d2b15f"), disc(210, 156, 3.4, "#d2b15f"))
    return 226


def watch(canvas: Canvas, tier: int) -> None:
    dice, metal = canvas.dice, dice_metal(canvas)
    strap, face = canvas.colour, dice.pick(("#f7f2e6", "#2f3442", "#f1ece2", "#36506b"))
    links = canvas.stripes(deep(strap, 0.5), 13, 1.6, angle=90, opacity=0.6) if dice.fraction() < 0.4 else ""
    canvas.volume("M96 20H144L150 110H90z", strap, weave=links)
    canvas.volume("M90 190H150L144 284H96z", strap, weave=links)
    canvas.volume(ellipse(120, 150, 62, 62), metal)
    canvas.solid(rounded(180, 143, 11, 14, 3), metal)
    canvas.solid(ellipse(120, 150, 51, 51), face)
    ink = "#5b5560" if face[1] == "f" else "#e8e2d4"
    for i in range(12):
        a = math.pi * i / 6
        canvas.add(disc(120 + 43 * math.cos(a), 150 + 43 * math.sin(a), 2.6 if i % 3 == 0 else 1.4, ink))
    a, b = dice.between(0, 6.28), dice.between(0, 6.28)
    for angle, r, w in ((a, 24, 4), (b, 36, 2.6)):
        canvas.add(line(f"M120 150L{num(120 + r * math.cos(angle))} {num(150 + r * math.sin(angle))}", ink, w))
    canvas.add(disc(120, 150, 4, metal))
    if tier >= 2:
        canvas.add(line(ellipse(120, 172, 11, 11), ink, 1), line("M120 172v-8", ink, 1.2))


def smartwatch(canvas: Canvas, tier: int) -> None:
    canvas.volume("M94 20H146L150 100H90z")
    canvas.volume("M90 200H150L146 284H94z")
    canvas.volume(rounded(66, 88, 108, 124, 30), "#4a4d55")
    canvas.solid(rounded(76, 98, 88, 104, 22), "#15171c")
    for r, tone in ((34, "#e07f6c"), (26, "#a3cf6b"), (18, "#62b5e5")):
        canvas.add(line(f"M120 {150 - r}A{r} {r} 0 1 1 {num(120 - r * 0.8)} {num(150 - r * 0.6)}", tone, 5))


def dice_metal(canvas: Canvas) -> str:
    return canvas.dice.pick(METAL)


def bracelet(canvas: Canvas, tier: int) -> float:
    metal, style = metal_of(tier), canvas.dice.pick(("beads", "bangle", "charms"))
    if style == "bangle":
        canvas.volume(ring(120, 160, 84, 62, 17), metal if tier >= 1 else None)
        for i in range(5 + 2 * tier):
            a = math.pi * (0.25 + 0.5 * i / (4 + 2 * tier))
            canvas.add(
                disc(120 + 76 * math.cos(a), 160 + 54 * math.sin(a), 5, canvas.colour),
                disc(118 + 76 * math.cos(a), 158 + 54 * math.sin(a), 1.7, "#fff"),
            )
        return 228
    canvas.add(line(ellipse(120, 154, 78, 56), metal, 2.4))
    for i in range(26 if style == "beads" else 12):
        a = 2 * math.pi * i / (26 if style == "beads" else 12)
        x, y = 120 + 78 * math.cos(a), 154 + 56 * math.sin(a)
        tone = canvas.colour if i % 4 else metal
        canvas.add(
            disc(x, y, 9 if style == "beads" else 6, deep(tone, 0.12)),
            disc(x - 1, y - 1, 7.6 if style == "beads" else 5, tone),
            disc(x - 3, y - 3, 2.2, pale(tone, 0.7)),
        )
    if style == "charms":
        for x, y, d in ((84, 220, heart_path(0, 0, 13)), (120, 228, star_path(0, 0, 15)), (156, 220, ellipse(0, 0, 11, 11))):
            canvas.add(line(f"M{x} {y - 24}v12", metal, 2))
            with canvas.placed(x, y):
                canvas.solid(d, metal if x != 120 else canvas.colour)
    return 240


def earrings(canvas: Canvas, tier: int) -> None:
    metal = metal_of(tier)
    style = canvas.dice.pick(("drop", "hoop", "stud"))
    for x in (76, 164):
        with canvas.placed(x, 0):
            if style == "hoop":
                canvas.volume(ring(0, 164, 46, 52, 8), metal)
                canvas.add(*(disc(26 * (i - 1), 212 - 7 * abs(i - 1), 5, canvas.colour) for i in range(3)))
                continue
            canvas.add(line("M0 104Q0 84 12 86T14 108", metal, 2.6))
            if style == "drop":
                canvas.solid(ellipse(0, 122, 10, 10), metal)
                canvas.volume(
                    "M0 136Q34 186 24 212Q14 232 0 232T-24 212Q-34 186 0 136z",
                    inside=[canvas.gleam(ellipse(-9, 196, 6, 16), opacity=0.9)],
                )
                canvas.add(line("M0 134Q36 186 26 214Q14 236 0 236T-26 214Q-36 186 0 134z", metal, 2.4))
            else:
                canvas.volume(star_path(0, 150, 36, 6 + tier, 0.8), inside=[canvas.gleam(ellipse(-10, 138, 9, 9), opacity=0.9)])
                canvas.add(
                    line(star_path(0, 150, 22, 6, 0.8), pale(canvas.colour, 0.6), 1.6), line(ellipse(0, 150, 37, 37), metal, 3)
                )


def necklace(canvas: Canvas, tier: int) -> None:
    metal = metal_of(tier)
    canvas.add(
        line("M52 40C50 130 88 178 120 190C152 178 190 130 188 40", metal, 3.2),
        line("M52 40C50 130 88 178 120 190C152 178 190 130 188 40", pale(metal, 0.6), 1.2, dash="2 4"),
    )
    style = canvas.dice.pick(("heart", "drop", "disc", "star"))
    canvas.add(line(ellipse(120, 194, 5, 6), metal, 2.6))
    d = {"heart": heart_path(120, 224, 22), "disc": ellipse(120, 224, 24, 24), "star": star_path(120, 226, 27),
         "drop": "M120 200Q146 234 138 248Q130 258 120 258T102 248Q94 234 120 200z"}[style]  # fmt: skip
    canvas.volume(d, inside=[canvas.gleam(ellipse(112, 216, 7, 8), opacity=0.9)])
    canvas.add(line(d, metal, 2.6))
    if tier >= 2:
        for i in range(1, 7):
            x = 120 + (i if i < 4 else 3 - i) * 17
            y = 190 - abs(x - 120) * 0.52
            canvas.add(disc(x, y, 4.6, canvas.colour), disc(x - 1.4, y - 1.4, 1.5, "#fff"))


def finger_ring(canvas: Canvas, tier: int) -> float:
    metal = metal_of(tier)
    canvas.volume(ring(120, 186, 60, 60, 10), metal)
    canvas.solid("M104 130L96 108H144L136 130z", metal)
    canvas.volume("M92 104L104 86H136L148 104L120 134z", pale(canvas.colour, 0.25))
    canvas.add(line("M92 104H148M104 86L112 104L120 134L128 104L136 86", "#ffffff", 1.2, opacity=0.8))
    return 250
