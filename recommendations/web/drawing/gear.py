"""Drawn tools and things for outdoors. Each gives the height of the floor it stands on, None if it hangs."""

from __future__ import annotations

import math

from recommendations.web.drawing.outlines import ellipse, limb, ring, rounded
from recommendations.web.drawing.paint import Canvas, deep, disc, line, mix, oval, pale, shape

GRIPS = ("#b9363a", "#d8863a", "#e2bd56", "#33655e", "#2f5d8c", "#3a3d46")
STEEL, DARK, WOOD = "#a9b1b8", "#2f323a", "#a9794e"


def saw(canvas: Canvas, tier: int) -> None:
    with canvas.placed(0, 40, turn=-14):
        teeth = "".join(f"l-8.5 {9 if i % 2 == 0 else -9}" for i in range(20))
        canvas.solid(f"M196 118L26 140V162l170 34{teeth}z", STEEL)
        canvas.solid("M196 118L22 138V160L196 196z", "#c3c9cf")
        canvas.volume(
            (
                "M170 104Q214 96 226 128Q232 196 206 210Q172 212 166 190"
                "Q182 170 170 104zM190 130Q186 160 194 182Q208 184 208 156T190 130z"
            ),
            mix(canvas.colour, WOOD, 0.3),
        )
        canvas.add(disc(182, 118, 3, "#d9c9a0"), disc(180, 198, 3, "#d9c9a0"))


def chainsaw(canvas: Canvas, tier: int) -> float:
    with canvas.placed(-4, 14, turn=-8):
        canvas.solid("M8 176Q4 158 22 154H132V196H22Q10 194 8 176z", STEEL)
        canvas.add(line("M22 154H132M132 196H22Q4 194 6 175T22 154", DARK, 5, dash="5 3"))
        canvas.volume("M120 128H190Q214 132 214 164V216H122z")
        canvas.solid(rounded(134, 170, 60, 32, 6), DARK)
        canvas.add(line("M128 128Q136 84 176 90T206 132", DARK, 11), line("M206 140Q238 150 232 190T200 214", DARK, 11))
        canvas.add(*(line(f"M{142 + 10 * i} 178v16", "#8d939b", 3) for i in range(5)))
    return 250


def drill(canvas: Canvas, tier: int) -> float:
    canvas.solid("M8 128H46V134H8L2 131z", "#8d939b")
    canvas.solid("M44 118L70 110V152L44 144z", DARK)
    canvas.volume("M68 100H186Q208 104 208 132Q206 158 182 160H156L164 222H114L108 162H68z")
    canvas.solid(rounded(98, 216, 84, 32, 7), DARK)
    canvas.solid("M98 164H112L116 186Q100 186 98 164z", DARK)
    canvas.add(*(line(f"M{170 + 8 * i} 116v28", deep(canvas.colour, 0.5), 3) for i in range(4)))
    if tier >= 1:
        canvas.solid(rounded(84, 116, 64, 18, 4), pale(canvas.colour, 0.6))
    if tier >= 2:
        canvas.add(*(disc(112 + 12 * i, 232, 3, "#7fc28a") for i in range(4)))
    return 252


def hammer(canvas: Canvas, tier: int) -> None:
    with canvas.placed(120, 160, turn=28):
        canvas.volume("M-10 -66H10L14 110Q0 122 -14 110z", mix(canvas.colour, WOOD, 0.5))
        canvas.volume("M-58 -104H-24V-98H18Q48 -104 70 -70Q46 -84 24 -64H-24V-56H-58z", STEEL)
        if tier >= 1:
            canvas.add(line("M-11 40H12M-12 60H13M-12 80H13", deep(canvas.colour, 0.5), 3))


def axe(canvas: Canvas, tier: int) -> None:
    with canvas.placed(120, 160, turn=24):
        canvas.volume("M-9 -106H9L12 116Q0 126 -14 116z", WOOD)
        canvas.volume("M-16 -94H10V-44H-18Q-42 -32 -66 -18Q-84 -70 -64 -116Q-38 -102 -16 -94z", STEEL)
        canvas.solid("M-66 -18Q-84 -70 -64 -116Q-60 -110 -56 -108Q-70 -70 -58 -24z", "#d5dade")
        canvas.solid("M-12 70H12L12 116Q0 126 -14 116z")


def wrench(canvas: Canvas, tier: int) -> None:
    tone = mix(canvas.colour, STEEL, 0.6)
    for turn, scale in ((-34, 1.0), (22, 0.8))[: 1 + (tier >= 1)]:
        with canvas.placed(120, 158, turn=turn, scale=scale):
            canvas.volume(
                "M-12 -60Q-46 -76 -40 -112Q-32 -96 -16 -96Q0 -96 0 -118Q26 -106 28 -84Q28 -68 14 -60L16 62"
                "Q38 70 40 92Q40 116 18 126Q24 108 8 100Q-8 104 -4 124Q-34 116 -32 90Q-30 68 -12 62z", tone
            )  # fmt: skip
            canvas.solid(rounded(-6, -44, 14, 92, 6), deep(tone, 0.14))


def ratchet(canvas: Canvas, tier: int) -> None:
    """An adjustable or pipe wrench."""
    with canvas.placed(120, 164, turn=-26):
        canvas.volume("M-15 -40H17L20 112Q2 126 -16 112z")
        canvas.volume("M-18 -36Q-44 -60 -40 -104L-16 -116V-84H8V-96Q44 -88 40 -52Q34 -34 18 -34z", STEEL)
        canvas.solid(rounded(-14, -60, 28, 13, 4), "#6b7078", weave=canvas.stripes("#33353c", 4, 1.4))
        canvas.add(disc(2, 100, 6, deep(canvas.colour, 0.5)))


def pliers(canvas: Canvas, tier: int) -> None:
    for flip in (False, True):
        with canvas.placed(120, 124, flip=flip):
            canvas.volume("M2 18Q48 40 44 134Q38 152 24 140Q26 62 -14 26z")
            canvas.solid("M-16 24Q-22 -20 -2 -86Q6 -90 4 -84L2 6Q12 12 8 24z", STEEL)
    canvas.solid(ellipse(120, 142, 13, 13), "#8d939b")
    canvas.add(disc(117, 139, 4, "#d5dade"))


def screwdriver(canvas: Canvas, tier: int) -> None:
    for x, turn in ((74, -14), (120, 0), (166, 14))[: 1 + min(tier + 1, 2)]:
        with canvas.placed(x, 160, turn=turn):
            canvas.solid(limb(0, 10, 0, -100, 8, 8), STEEL)
            canvas.solid("M-6 -96H6L4 -116H-4z", "#8d939b")
            canvas.volume("M-14 8Q0 0 14 8V28Q22 48 16 84Q0 98 -16 84Q-22 48 -14 28z")
            canvas.add(line("M-7 34V78M7 34V78", deep(canvas.colour, 0.5), 2.4))


def pocket_knife(canvas: Canvas, tier: int) -> None:
    with canvas.placed(120, 160, turn=-32):
        canvas.solid("M-16 -20Q-20 -84 6 -122Q20 -80 14 -20z", "#c3c9cf")
        canvas.add(line("M2 -112Q12 -70 9 -24", "#8d939b", 1.6))
        canvas.volume("M-18 -24H18Q28 40 20 108Q0 124 -18 106Q-26 40 -18 -24z", mix(canvas.colour, WOOD, 0.4))
        canvas.add(disc(0, -6, 4, "#c2994a"), disc(2, 84, 4, "#c2994a"))


def toolbox(canvas: Canvas, tier: int) -> float:
    """A case of tools, open."""
    canvas.volume(rounded(26, 62, 188, 84, 10), deep(canvas.colour, 0.15))
    canvas.solid(rounded(36, 72, 168, 66, 5), "#33353c")
    for i in range(5):
        x = 54 + 32 * i
        canvas.solid(rounded(x - 5, 82, 10, 26, 4), canvas.colour if i % 2 else "#e2bd56")
        canvas.solid(rounded(x - 2, 108, 4, 24, 1), STEEL)
    canvas.volume(rounded(20, 150, 200, 98, 10))
    canvas.solid(rounded(32, 158, 176, 52, 5), "#33353c")
    for i in range(8):
        canvas.solid(ellipse(48 + 20.6 * i, 176, 5 + i * 0.5, 5 + i * 0.5), STEEL)
        if tier >= 1:
            canvas.solid(ellipse(48 + 20.6 * i, 198, 4 + i * 0.4, 4 + i * 0.4), "#c3c9cf")
    for x in (66, 154):
        canvas.solid(rounded(x, 216, 22, 20, 4), STEEL)
    canvas.add(line("M98 226Q120 238 142 226", DARK, 7))
    return 252


def tent(canvas: Canvas, tier: int) -> float:
    pole = pale(canvas.colour, 0.5)
    if canvas.dice.fraction() < 0.55:
        canvas.volume("M12 246Q34 96 120 92T228 246z")
        canvas.volume("M74 246Q86 138 128 128Q168 148 178 246z", pale(canvas.colour, 0.2), depth=0.7)
        canvas.solid("M104 246Q112 168 128 150Q146 176 152 246z", deep(canvas.colour, 0.7))
        canvas.add(line("M12 246Q70 70 178 246M62 246Q150 70 228 246", pole, 2.6, opacity=0.8))
    else:
        canvas.volume("M18 246L120 86L222 246z")
        canvas.solid("M120 86L84 246H120z", "#2f323a")
        canvas.solid("M120 86L156 246H120z", "#23252c")
        canvas.solid("M120 86L66 246H88z", pale(canvas.colour, 0.3))
        canvas.solid("M120 86L174 246H152z", pale(canvas.colour, 0.15))
        canvas.add(line("M120 86V70", "#7d5941", 4))
    canvas.add(line("M18 240L2 254M222 240L238 254", "#7d5941", 2))
    if tier >= 1:
        canvas.solid("M120 70L146 78L120 88z", "#bb4346")
    return 250


def kayak(canvas: Canvas, tier: int) -> None:
    with canvas.placed(120, 158, turn=-28):
        canvas.volume(
            "M-124 4Q-60 -34 0 -34T124 4Q60 36 0 36T-124 4z",
            weave=canvas.stripes(pale(canvas.colour, 0.5), 60, 8) if tier else "",
        )
        canvas.solid("M-34 0Q-20 -18 4 -18T40 2Q20 18 0 18T-34 0z", "#33353c")
        canvas.add(line("M-118 4H-40M46 4H118", deep(canvas.colour, 0.4), 2))
    paddle(canvas, tier)


def paddle(canvas: Canvas, tier: int) -> None:
    tone = mix(canvas.colour, "#e2bd56", 0.6)
    with canvas.placed(120, 150, turn=34):
        canvas.solid(limb(-92, 0, 92, 0, 6, 6), "#c9a57a")
        for flip in (False, True):
            with canvas.placed(0, 0, flip=flip):
                canvas.volume("M74 -8Q86 -22 112 -20Q130 -12 130 2Q128 16 108 18Q86 18 74 8z", tone)


def rod(canvas: Canvas, tier: int) -> float:
    """A fishing rod and its reel."""
    canvas.add(line("M52 252L204 34", mix(canvas.colour, "#3a3d46", 0.5), 5), line("M52 252L82 209", "#c49a62", 11))
    canvas.add(line("M204 34Q222 120 196 196", "#8d939b", 1.2))
    for x, y in ((128, 143), (160, 97), (186, 60)):
        canvas.add(line(ellipse(x + 5, y + 4, 5, 5), STEEL, 2))
    with canvas.placed(46, 84, scale=0.62):
        reel(canvas, tier)
    canvas.add(line("M196 196q10 12 0 18t-8 -6", "#6b7078", 2), disc(196, 188, 6, "#bb4346"))
    return 256


def reel(canvas: Canvas, tier: int) -> float:
    body = mix(canvas.colour, STEEL, 0.35)
    canvas.add(line("M120 66V120M88 60H152", "#4a4d55", 9))
    canvas.volume(ellipse(120, 166, 66, 66), body)
    canvas.solid(ellipse(120, 166, 50, 50), deep(body, 0.35))
    for i in range(8):
        a = math.pi * i / 4
        canvas.add(disc(120 + 33 * math.cos(a), 166 + 33 * math.sin(a), 8.5, pale(body, 0.35)))
    canvas.solid(ellipse(120, 166, 15, 15), "#c2994a" if tier >= 2 else STEEL)
    canvas.add(line("M120 166L176 206", "#55585f", 9))
    canvas.volume(ellipse(182, 210, 15, 15), DARK)
    return 244


def lure(canvas: Canvas, tier: int) -> None:
    tone = pale(canvas.colour, 0.5)
    canvas.add(line("M18 92H40", STEEL, 3))
    canvas.volume("M36 100Q70 54 138 84Q178 104 200 136Q158 142 120 138Q60 136 36 100z",
                  weave=canvas.dots(deep(canvas.colour, 0.4), 14, 3.4) if tier else "")  # fmt: skip
    canvas.solid("M196 134L226 112L222 160z", tone)
    canvas.add(disc(64, 96, 10, "#f5f0e4"), disc(63, 96, 5.4, "#23252c"))
    for x in (92, 158):
        canvas.add(line(f"M{x} 138V168M{x} 168q-2 34 -20 26t-6 -20M{x} 168q2 34 20 26t6 -20", "#6b7078", 3.4))


def net(canvas: Canvas, tier: int) -> float:
    mesh = canvas.check("#6b7468", 12, 1.6, opacity=0.8)
    canvas.add(shape("M72 96Q60 210 120 236Q180 210 168 96z", f"url(#{mesh})"))
    canvas.add(line(ellipse(120, 94, 52, 44), mix(canvas.colour, WOOD, 0.4), 7))
    canvas.solid(limb(120, 138, 120, 262, 9, 11), mix(canvas.colour, WOOD, 0.4))
    return 264


def lounger(canvas: Canvas, tier: int) -> float:
    """A camping chair."""
    canvas.add(line("M62 246L176 160M178 246L64 160", "#55585f", 6), line("M58 250V96M182 250V96", "#4a4d55", 6))
    canvas.volume("M58 84Q120 98 182 84L178 170Q120 182 62 170z")
    canvas.volume("M58 164Q120 186 182 164L192 200Q120 222 48 200z", deep(canvas.colour, 0.08))
    for x in (40, 172):
        canvas.solid(rounded(x, 148, 28, 11, 5), DARK)
    if tier >= 1:
        canvas.add(line("M66 98Q120 110 174 98", pale(canvas.colour, 0.5), 3))
    return 254


def flask(canvas: Canvas, tier: int) -> float:
    """A water bottle."""
    canvas.volume(rounded(82, 104, 76, 148, 18))
    canvas.solid("M90 106Q92 84 104 82H136Q148 84 150 106z", deep(canvas.colour, 0.1))
    canvas.volume(rounded(98, 56, 44, 30, 7), DARK)
    canvas.add(line("M108 56Q120 30 132 56", DARK, 6), line("M94 124V232", "#ffffff", 6, opacity=0.35))
    if tier >= 1:
        canvas.solid(rounded(82, 158, 76, 32, 1), pale(canvas.colour, 0.4))
    return 254


def bone(canvas: Canvas, tier: int) -> float:
    """A dog's toys."""
    with canvas.placed(120, 140, turn=-24):
        canvas.volume(
            "M-58 -15Q-92 -52 -98 -16Q-120 0 -98 18Q-92 52 -58 17H58Q92 52 98 18Q120 0 98 -16Q92 -52 58 -15z",
            pale(canvas.colour, 0.45),
        )
    canvas.volume(ellipse(176, 220, 30, 30))
    canvas.add(line("M148 212Q176 226 204 210M160 244Q172 220 164 194", pale(canvas.colour, 0.7), 4))
    return 252


def collar(canvas: Canvas, tier: int) -> float:
    canvas.volume(ring(120, 142, 88, 56, 24))
    canvas.add(*(disc(120 + 76 * math.cos(a / 2), 142 + 45 * math.sin(a / 2), 3.4, "#d9dde0") for a in range(1, 6)))
    canvas.solid(rounded(100, 176, 40, 26, 5), STEEL)
    canvas.add(line("M120 202v12", STEEL, 4))
    canvas.volume(
        "M106 214Q98 190 120 210Q142 190 134 214Q150 230 134 236Q142 258 120 240Q98 258 106 236Q90 230 106 214z",
        "#c9a24b" if tier >= 1 else STEEL,
    )
    return 250


def paws(canvas: Canvas, tier: int) -> float:
    """A bowl with a paw on it, for a pet's other things."""
    canvas.volume("M56 178H184L206 240Q206 250 194 250H46Q34 250 34 240z")
    canvas.volume(ellipse(120, 178, 66, 16), deep(canvas.colour, 0.3))
    canvas.add(*(disc(84 + 12 * i, 172 - 5 * (i % 2), 8, ("#a9794e", "#8a5f3f")[i % 2]) for i in range(7)))
    paw = pale(canvas.colour, 0.65)
    canvas.add(oval(120, 224, 14, 11, paw), *(disc(x, y, 5.4, paw) for x, y in ((102, 212), (113, 204), (127, 204), (138, 212))))
    return 252


def frisbee(canvas: Canvas, tier: int) -> float:
    canvas.volume(ellipse(120, 168, 92, 58))
    canvas.volume(ellipse(120, 160, 72, 42), pale(canvas.colour, 0.15), depth=0.6)
    canvas.add(
        line(ellipse(120, 160, 52, 29), deep(canvas.colour, 0.3), 2), line(ellipse(120, 160, 30, 16), pale(canvas.colour, 0.6), 5)
    )
    return 236
