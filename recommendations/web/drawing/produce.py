"""Drawn vegetables and fruit in their own colours. Each paints itself and gives the height of its floor."""

from __future__ import annotations

from recommendations.web.drawing.food import board
from recommendations.web.drawing.outlines import ellipse, rounded
from recommendations.web.drawing.paint import Canvas, deep, disc, line, mix, oval, pale, shape

LEAF = "#6f8f5f"


def tomato(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#c8402f", "#d2502f", "#e0932f"))
    for x, y, r in ((78, 196, 44), (160, 194, 48), (120, 150, 46)):
        canvas.volume(
            (
                f"M{x - r} {y}Q{x - r} {y - r} {x - 8} {y - r * 0.86}Q{x} {y - r * 0.76} {x + 8} {y - r * 0.86}"
                f"Q{x + r} {y - r} {x + r} {y}Q{x + r} {y + r} {x} {y + r}T{x - r} {y}z"
            ),
            tone,
        )
        with canvas.placed(x, y - r * 0.8):
            canvas.solid("M0 0L-22 -6L-8 4L-14 16L2 6L18 16L8 3L22 -6L4 -4L2 -16L-3 -16z", "#5f8148")
    return 246


def pepper(canvas: Canvas, tier: int) -> float:
    tones = canvas.dice.pick((("#c8402f", "#e2b53c"), ("#5d8f4a", "#c8402f"), ("#e0832f", "#5d8f4a")))
    for (x, y), tone in zip(((84, 186), (154, 190)), tones, strict=True):
        with canvas.placed(x, y):
            canvas.volume(
                "M-46 -40Q-40 -62 -16 -54Q0 -46 16 -54Q42 -60 46 -36Q48 20 24 54Q12 62 0 54Q-14 62 -26 52Q-48 18 -46 -40z", tone
            )
            canvas.add(
                line("M-16 -50Q-24 0 -12 52M16 -50Q24 0 12 52", deep(tone, 0.35), 3, opacity=0.6),
                line("M0 -48Q0 -72 14 -80", "#5f8148", 9),
            )
            canvas.add(oval(-30, -16, 6, 18, "#ffffff", opacity=0.4))
    return 250


def chilli(canvas: Canvas, tier: int) -> float:
    board(canvas, tier)
    for x, y, turn, tone in (
        (100, 150, 20, "#c8362b"),
        (140, 160, -16, "#d9532f"),
        (76, 176, 62, "#5d8f4a"),
        (164, 182, -60, "#c8362b"),
    ):
        with canvas.placed(x, y, turn=turn):
            canvas.volume("M-13 -50Q0 -62 14 -50Q20 0 -8 54Q-12 0 -13 -50z", tone)
            canvas.add(line("M1 -54Q2 -72 14 -76", "#5f8148", 6))
    return 242


def broccoli(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#5b8a47", "#5b8a47", "#efe8d4"))
    canvas.volume("M96 250Q104 206 76 176L120 160L166 176Q138 206 146 250z", "#a8bf7c")
    for x, y, r in ((74, 152, 36), (166, 152, 36), (120, 168, 34), (96, 116, 38), (146, 116, 38), (120, 94, 30)):
        canvas.add(
            disc(x + 2, y + 3, r, deep(tone, 0.3)),
            disc(x, y, r, tone),
            disc(x - r * 0.3, y - r * 0.3, r * 0.5, pale(tone, 0.22), opacity=0.8),
        )
    dots = canvas.dots(deep(tone, 0.35), 9, 2, opacity=0.5)
    canvas.add(oval(120, 128, 76, 54, f"url(#{dots})"))
    return 252


def greens(canvas: Canvas, tier: int) -> float:
    """Lettuce, spinach, herbs: a bunch of leaves."""
    for turn, tone in ((-46, "#6f9a52"), (46, "#6f9a52"), (-26, "#86ad62"), (26, "#7ea65c"), (0, "#97bb72")):
        with canvas.placed(120, 236, turn=turn):
            canvas.volume("M-8 0Q-18 -40 -42 -74Q-56 -112 -30 -136Q0 -164 32 -134Q56 -108 40 -72Q18 -40 8 0z", tone)
            canvas.add(line("M0 -6Q2 -70 0 -128M0 -50L-22 -84M0 -60L22 -92", pale(tone, 0.55), 3))
    canvas.solid(rounded(98, 214, 44, 22, 6), mix(canvas.colour, "#efe6d2", 0.3))
    return 252


def roots(canvas: Canvas, tier: int) -> float:
    """Carrots, radishes and their like."""
    tones = canvas.dice.pick((("#df8436",) * 4, ("#b8456a", "#df8436", "#efe3c8", "#7a3f5c")))
    for (x, turn), tone in zip(((70, 16), (104, 5), (138, -6), (172, -17)), tones, strict=True):
        with canvas.placed(x, 124, turn=turn):
            canvas.add(*(line(f"M0 0Q{a} -34 {a * 1.6} -62", "#6f9a52", 4) for a in (-14, 0, 14)))
            canvas.volume("M-19 0Q0 -14 19 0Q18 70 0 128Q-18 70 -19 0z", tone)
            canvas.add(line("M-14 28h12M4 56h9M-9 84h8", deep(tone, 0.3), 2))
    return 254


def onion(canvas: Canvas, tier: int) -> float:
    tones = canvas.dice.pick((("#b98a4c", "#8a3f5c"), ("#8a3f5c", "#efe8da"), ("#efe8da", "#b98a4c")))
    for (x, y), tone in zip(((84, 182), (156, 192)), tones, strict=True):
        with canvas.placed(x, y):
            canvas.volume("M-4 -84Q4 -84 6 -62Q56 -46 56 4Q54 54 0 54T-56 4Q-54 -46 -8 -62z", tone)
            canvas.add(
                line("M-4 -62Q-44 0 -10 52M4 -62Q40 0 12 52M0 -60V54", deep(tone, 0.3), 1.8, opacity=0.7),
                line("M-4 54l-4 8M2 54v10M7 53l6 8", "#a9895c", 2),
            )
    return 256


def mushrooms(canvas: Canvas, tier: int) -> float:
    for x, y, s in ((80, 196, 0.9), (158, 200, 1.0), (116, 168, 0.8)):
        with canvas.placed(x, y, scale=s):
            canvas.volume("M-18 -6H18Q16 30 24 48Q0 58 -24 48Q-16 30 -18 -6z", "#efe4d2")
            canvas.volume("M-58 0Q-54 -58 0 -60T58 0Q30 14 0 12T-58 0z", "#b99a7c")
    return 252


def crate(canvas: Canvas, tier: int) -> float:
    """A box of mixed vegetables."""
    for x, y, r, tone in (
        (60, 150, 30, "#c8402f"),
        (104, 136, 34, "#86ad62"),
        (150, 140, 32, "#e2b53c"),
        (186, 154, 26, "#7a3f5c"),
        (126, 160, 28, "#df8436"),
    ):
        canvas.volume(ellipse(x, y, r, r), tone)
    canvas.add(line("M104 104Q98 84 84 78M104 104Q110 82 126 78", "#5f8148", 6))
    for i in range(3):
        canvas.solid(rounded(24, 168 + 28 * i, 192, 22, 2), "#c49a62")
        canvas.add(line(f"M34 {176 + 28 * i}q60 6 172 0", "#8a5f3f", 0.9, opacity=0.5))
    for x in (30, 196):
        canvas.solid(rounded(x, 162, 14, 88, 1), "#a9794e")
    return 252


def apple(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#b9363a", "#a8b84e", "#d4703c"))
    return _orchard(canvas, tone, "M0 -40Q-20 -56 -42 -40Q-62 -16 -44 26Q-26 58 0 46Q26 58 44 26Q62 -16 42 -40Q20 -56 0 -40z")


def pear(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#b9b04e", "#a8843c", "#c9b85a"))
    return _orchard(
        canvas, tone, "M-10 -58Q0 -66 10 -58Q20 -36 28 -18Q50 12 42 36Q28 58 0 56T-42 36Q-50 12 -28 -18Q-20 -36 -10 -58z"
    )


def peach(canvas: Canvas, tier: int) -> float:
    """Peaches, apricots, nectarines, plums."""
    tone = canvas.dice.pick(("#e59a5c", "#e8a878", "#c8604a"))
    return _orchard(canvas, tone, "M0 -46Q-50 -50 -50 2T0 54T50 2T0 -46z")


def _orchard(canvas: Canvas, tone: str, d: str) -> float:
    for x, y, s in ((76, 190, 0.94), (164, 192, 0.94), (120, 156, 1.0)):
        with canvas.placed(x, y, scale=s):
            canvas.volume(d, tone)
            canvas.add(line("M0 -42Q2 -60 10 -66", "#6a4a37", 4), oval(-20, -12, 7, 14, "#ffffff", opacity=0.35))
            canvas.solid("M6 -56Q22 -74 40 -62Q26 -48 6 -56z", LEAF)
    return 248


def banana(canvas: Canvas, tier: int) -> float:
    for shift, tone in ((0, "#d8ae3a"), (22, "#e6c04a"), (44, "#efcf5e")):
        with canvas.placed(shift - 10, shift * 0.4 - 4, turn=-shift * 0.1):
            canvas.volume("M62 82Q70 76 76 84Q70 170 132 202Q164 216 182 214Q186 224 176 230Q118 244 82 206Q46 164 62 82z", tone)
    canvas.solid("M50 66L88 70L100 96L60 92z", "#7d6a2c")
    return 252


def citrus(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#e6912f", "#efcb45", "#a3bb4b", "#e58a63"))
    canvas.volume(ellipse(92, 164, 60, 58), tone)
    canvas.add(disc(84, 122, 4, "#6f8f5f"), oval(72, 144, 12, 16, "#ffffff", opacity=0.3))
    canvas.solid("M90 108Q112 78 146 90Q124 116 90 108z", LEAF)
    canvas.solid(ellipse(160, 196, 54, 54), tone)
    canvas.solid(ellipse(160, 196, 47, 47), "#f8efd2")
    for i in range(8):
        with canvas.placed(160, 196, turn=45 * i):
            canvas.add(shape("M0 -5Q-17 -24 -14 -39Q0 -47 14 -39Q17 -24 0 -5z", pale(tone, 0.12)))
    return 252


def grapes(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#6a4a7c", "#9db356", "#7a3448"))
    canvas.add(line("M120 92Q118 66 134 52", "#7d5941", 6))
    canvas.solid("M124 84Q150 48 188 64Q186 100 124 84z", LEAF)
    for row, count in enumerate((4, 5, 4, 3, 2, 1)):
        for i in range(count):
            x, y = 120 + (i - (count - 1) / 2) * 33 + (row % 2) * 3, 106 + 27 * row
            canvas.add(disc(x + 1, y + 2, 19, deep(tone, 0.4)), disc(x, y, 18, tone), disc(x - 6, y - 6, 5, pale(tone, 0.55)))
    return 262


def berries(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#b9363a", "#4a4f86", "#a3324a"))
    for row, count in enumerate((3, 4, 5, 6)):
        for i in range(count):
            x, y = 120 + (i - (count - 1) / 2) * 29, 116 + 19 * row
            canvas.add(disc(x, y, 17, deep(tone, 0.25)), disc(x - 1, y - 1, 15, tone), disc(x - 5, y - 6, 4, pale(tone, 0.6)))
    canvas.volume("M34 180H206Q200 244 150 248H90Q40 244 34 180z", mix(canvas.colour, "#e9e4d8", 0.4))
    return 252


def melon(canvas: Canvas, tier: int) -> float:
    rind, flesh = canvas.dice.pick((("#5d8f4a", "#cf4f4a"), ("#c9b870", "#e9a765"), ("#b0bf6a", "#dfe0a0")))
    canvas.volume(ellipse(104, 158, 78, 70), rind)
    canvas.add(line("M60 104Q40 158 60 212M104 88V228M148 104Q168 158 148 212", deep(rind, 0.35), 5, opacity=0.5))
    canvas.volume("M86 236Q130 150 220 176Q206 254 140 258Q104 256 86 236z", rind)
    canvas.solid("M96 232Q134 160 212 182Q198 244 142 248Q112 248 96 232z", flesh)
    canvas.add(*(oval(132 + 16 * i, 222 - 8 * i, 3, 4.6, "#3a2a24") for i in range(4)))
    return 260
