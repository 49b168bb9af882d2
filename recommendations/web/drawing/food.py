"""Drawn food, in the colours of what it is. Each paints itself and gives the height of the floor it stands on."""

from __future__ import annotations

import math

from recommendations.web.drawing.outlines import ellipse, rounded
from recommendations.web.drawing.paint import Canvas, deep, disc, line, mix, num, oval, pale

LEAF, CRUST, CHOCOLATE = "#6f8f5f", "#c58a4c", "#5a3a2b"


def board(canvas: Canvas, tier: int, y: float = 214) -> None:
    """What it is served on: wood, or at the top a plate."""
    if tier >= 2:
        canvas.solid(ellipse(120, y + 10, 104, 30), "#efeae0")
        canvas.add(line(ellipse(120, y + 8, 84, 22), "#d5cfc2", 1.6))
    else:
        canvas.solid(f"M20 {num(y + 14)}L44 {num(y - 14)}H196L220 {num(y + 14)}V{num(y + 24)}H20z", "#b98a58")
        canvas.add(line(f"M50 {num(y - 4)}H190M40 {num(y + 6)}H202", "#8a5f3f", 0.9, opacity=0.5))


def _berries(canvas: Canvas, spots: tuple[tuple[float, float], ...], tone: str, r: float) -> None:
    for x, y in spots:
        canvas.add(disc(x, y, r, tone), disc(x - r * 0.3, y - r * 0.35, r * 0.28, pale(tone, 0.7)))


def loaf(canvas: Canvas, tier: int) -> float:
    board(canvas, tier)
    if canvas.dice.fraction() < 0.5:
        canvas.volume("M40 210Q22 152 62 128Q120 104 178 128Q218 152 200 210Q120 224 40 210z", CRUST)
        for i in range(4):
            x = 70 + 32 * i
            canvas.solid(f"M{x - 13} 176Q{x - 6} 142 {x + 12} 132Q{x + 8} 156 {x - 1} 182z", "#edd3a4")
    else:
        canvas.volume(ellipse(120, 172, 82, 54), CRUST)
        canvas.add(line("M120 122V220M52 172H188M76 136Q120 172 84 212M164 136Q120 172 156 212", "#f3dfb8", 4, opacity=0.85))
    return 240


def bun(canvas: Canvas, tier: int) -> float:
    """A bagel or doughnut, twice."""
    board(canvas, tier)
    glaze = canvas.dice.pick(("#d98ca0", CHOCOLATE, "#efe3cc", CRUST))
    for x, y, s in ((88, 146, 0.92), (142, 184, 1.0)):
        with canvas.placed(x, y, scale=s):
            canvas.volume(ellipse(0, 0, 62, 44), CRUST)
            if glaze != CRUST:
                canvas.solid("M-58 -6Q-52 -42 0 -42T58 -6Q50 6 40 -2T18 8T-8 4T-34 8T-58 -6z", glaze)
            canvas.solid(ellipse(0, -4, 17, 10), deep(CRUST, 0.35))
            for i in range(14):
                a = 2.4 * i
                canvas.add(oval(38 * math.cos(a), -12 + 16 * math.sin(a), 3, 1.6, "#f7ecd0" if i % 2 else "#d8bd7c"))
    return 244


def croissant(canvas: Canvas, tier: int) -> float:
    board(canvas, tier)
    canvas.volume("M26 206Q30 126 120 118T214 206Q196 216 184 198Q160 164 120 164T56 198Q44 216 26 206z", "#cd8f45")
    for x0, x1 in ((62, 78), (96, 104), (144, 136), (178, 162)):
        canvas.add(
            line(
                (
                    f"M{x0} {num(146 - (abs(120 - x0) < 40) * 22 + (abs(120 - x0) > 40) * 4)}"
                    f"L{x1} {num(176 - (abs(120 - x0) < 40) * 8)}"
                ),
                "#8f5a26",
                3,
                opacity=0.7,
            )
        )
    return 240


def cake(canvas: Canvas, tier: int) -> float:
    icing = canvas.dice.pick((CHOCOLATE, "#f3e6d4", "#e3a8b0", "#e9cf94"))
    sponge = canvas.dice.pick(("#e6c08c", "#8a5a3c", "#f0d9b4"))
    canvas.solid(ellipse(120, 232, 98, 18), "#efeae0")
    canvas.volume("M48 146V222Q50 238 120 240T192 222V146z", sponge)
    canvas.solid("M48 186Q60 204 120 206T192 186V198Q180 214 120 216T48 198z", pale(icing, 0.3))
    canvas.volume(
        "M48 148Q48 122 120 122T192 148Q194 176 184 176T170 162T156 184T138 166T118 188T98 166T78 180T62 162T48 148z",
        icing,
        depth=0.8,
    )
    _berries(
        canvas,
        ((84, 122), (104, 114), (126, 118), (148, 114), (162, 124)),
        canvas.dice.pick(("#b9363a", "#4a4f86", "#a3324a")),
        9.5,
    )
    if tier >= 2:
        canvas.add(line("M52 230Q120 246 188 230", "#d8bd7c", 3, dash="1 6"))
    return 250


def cupcake(canvas: Canvas, tier: int) -> float:
    icing = canvas.dice.pick(("#f0c7cb", "#f3e6d4", CHOCOLATE, "#cfe0c6"))
    for x, s in ((74, 0.72), (150, 1.0)) if tier else ((120, 1.0),):
        with canvas.placed(x, 252, scale=s):
            canvas.volume(
                "M-58 -88H58L42 0H-42z", canvas.colour, weave=canvas.stripes(deep(canvas.colour, 0.5), 13, 3, opacity=0.4)
            )
            for y, w in ((-92, 66), (-120, 50), (-144, 32)):
                canvas.volume(ellipse(0, y, w, 24), icing, depth=0.7)
            canvas.add(disc(0, -172, 11, "#b9363a"), disc(-3, -175, 3, "#f0b5b0"))
    return 254


def cookies(canvas: Canvas, tier: int) -> float:
    board(canvas, tier)
    tone = canvas.dice.pick(("#cf9a5b", "#b98049", "#8a5a3c"))
    for x, y in ((82, 184), (156, 190), (120, 156), (112, 128)):
        canvas.volume(ellipse(x, y, 48, 27), tone)
        canvas.add(*(oval(x - 24 + 12 * i, y - 7 + 9 * ((i * 2) % 3), 5, 3.4, CHOCOLATE) for i in range(5)))
    return 240


def pie(canvas: Canvas, tier: int) -> float:
    fruit = canvas.dice.pick(("#a3324a", "#c9772f", "#4f4a80"))
    canvas.solid("M28 176L52 238H188L212 176z", "#b9bfc6")
    canvas.volume(ellipse(120, 172, 98, 44), CRUST)
    canvas.solid(ellipse(120, 168, 82, 34), fruit)
    canvas.add(
        *(
            line(f"M{60 + 30 * i} {num(144 + abs(2 - i) * 6)}L{48 + 36 * i} {num(196 - abs(2 - i) * 8)}", "#deb374", 9)
            for i in range(5)
        )
    )
    canvas.add(line("M44 158Q120 140 196 158M40 176Q120 166 200 176", "#d2a25f", 9))
    return 244


def cheese(canvas: Canvas, tier: int) -> float:
    board(canvas, tier)
    tone = canvas.dice.pick(("#ecc75e", "#f0dca4", "#e8b04c"))
    canvas.volume("M36 172L150 116Q196 128 206 172z", pale(tone, 0.25))
    canvas.volume("M36 172H206V212Q120 220 36 212z", tone)
    for x, y, r in ((74, 194, 11), (118, 184, 7), (156, 198, 12), (188, 184, 6)):
        canvas.add(oval(x, y, r, r * 0.8, deep(tone, 0.26)))
    canvas.add(oval(132, 148, 14, 6, deep(tone, 0.2)))
    if tier >= 1:
        _berries(canvas, ((52, 216), (64, 224), (58, 206), (72, 214)), "#5b4a7c", 8)
    return 242


def milk(canvas: Canvas, tier: int) -> float:
    for x, s in ((84, 0.86), (152, 1.0)) if tier >= 1 else ((120, 1.0),):
        with canvas.placed(x, 252, scale=s):
            canvas.volume(
                "M-20 -176H20V-138Q42 -116 42 -92V-12Q42 0 30 0H-30Q-42 0 -42 -12V-92Q-42 -116 -20 -138z", "#e9eef0", depth=0.7
            )
            canvas.solid("M-36 -104Q0 -96 36 -104V-14Q36 -6 28 -6H-28Q-36 -6 -36 -14z", "#fbf7ec")
            canvas.solid(rounded(-24, -190, 48, 18, 5), canvas.colour)
            canvas.solid(rounded(-27, -74, 54, 38, 4), pale(canvas.colour, 0.35))
    return 254


def butter(canvas: Canvas, tier: int) -> float:
    canvas.solid(ellipse(120, 222, 104, 26), "#efeae0")
    canvas.volume("M44 168L80 140H204L180 168z", "#f5e29a")
    canvas.volume("M44 168H180V214H44z", "#efd37a")
    canvas.solid("M180 168L204 140V186L180 214z", "#d8b858")
    canvas.solid("M44 168L30 158V204L44 214z", "#e6e0d2")
    return 246


def yoghurt(canvas: Canvas, tier: int) -> float:
    """Layers in a glass."""
    canvas.volume("M66 94H174L158 236Q156 250 144 250H96Q84 250 82 236z", "#f6f1e4", depth=0.7)
    for y, tone in ((206, "#a3324a"), (168, "#d8b276"), (130, "#a3324a")):
        inset = (250 - y) * -0.11 + 18
        canvas.solid(
            (
                f"M{num(66 + inset * 0.6)} {y}H{num(174 - inset * 0.6)}"
                f"L{num(172 - inset * 0.6 - 3)} {y + 18}H{num(68 + inset * 0.6 + 3)}z"
            ),
            tone,
        )
    _berries(canvas, ((94, 90), (116, 82), (138, 88), (154, 94), (106, 98)), "#4a4f86", 10)
    canvas.add(line("M68 94H172", "#ffffff", 4))
    return 252


def steak(canvas: Canvas, tier: int) -> float:
    board(canvas, tier)
    cooked = canvas.dice.fraction() < 0.35
    meat = "#8a4a34" if cooked else "#b5444a"
    canvas.volume("M40 190Q26 138 84 124Q122 112 168 128Q218 148 204 188Q190 214 140 204Q96 200 74 214Q46 216 40 190z", "#f0dfd0")
    canvas.volume("M52 186Q42 148 90 136Q124 126 164 140Q204 158 192 184Q180 200 140 192Q98 188 74 202Q56 202 52 186z", meat)
    if cooked:
        canvas.add(line("M70 152L104 192M100 142L136 186M134 138L168 184", "#4a2a20", 6, opacity=0.75))
    else:
        canvas.add(
            line(
                "M78 164Q100 152 112 168T150 164M96 182Q120 172 140 180M140 148Q158 152 168 166M84 150q10 -6 20 0", "#f2d5cd", 3.4
            )
        )
    canvas.add(
        line("M176 214Q196 196 214 186", LEAF, 3),
        *(line(f"M{182 + 7 * i} {208 - 6 * i}l{4 - 8 * (i % 2)} -9", LEAF, 2.4) for i in range(5)),
    )
    return 242


def cuts(canvas: Canvas, tier: int) -> float:
    """Meat in slices, cubes or sausages."""
    board(canvas, tier)
    tone = canvas.dice.pick(("#c0555a", "#d98c86", "#a8433f"))
    if canvas.dice.fraction() < 0.5:
        for i in range(5):
            with canvas.placed(58 + 30 * i, 176 + 5 * (i % 2), turn=-12):
                canvas.volume(ellipse(0, 0, 27, 40), "#f2e0d2")
                canvas.solid(ellipse(2, 2, 21, 33), tone)
                canvas.add(line("M-8 -16Q4 -4 -6 12M8 -18Q2 0 12 16", pale(tone, 0.6), 2.4))
        return 240
    for x, y in ((60, 198), (104, 204), (150, 202), (190, 194), (84, 168), (130, 172), (172, 164), (108, 138), (148, 140)):
        with canvas.placed(x, y):
            canvas.solid("M-20 -10L2 -22L22 -12L20 12L-2 22L-20 12z", tone)
            canvas.add(line("M-20 -10L0 0L22 -12M0 0L-2 22M-12 2q6 4 8 10", pale(tone, 0.55), 2))
    return 240


def roast(canvas: Canvas, tier: int) -> float:
    board(canvas, max(tier, 2))
    canvas.volume("M44 206Q28 146 84 122Q150 98 194 140Q220 176 196 208Q120 226 44 206z", "#a35f36")
    canvas.add(
        line("M82 128Q70 170 86 214M118 114Q104 168 122 220M156 118Q146 168 158 216", "#efe0c0", 3),
        oval(100, 140, 30, 10, "#d99a64", opacity=0.6),
    )
    _berries(canvas, ((40, 224), (60, 232), (184, 230), (204, 220)), "#c9772f", 10)
    return 248


def fish(canvas: Canvas, tier: int) -> float:
    board(canvas, max(tier, 2), 208)
    tone = canvas.dice.pick(("#8fa6b2", "#c98a78", "#9aa58f"))
    canvas.volume("M26 170Q70 116 136 126Q170 132 188 162L220 132Q214 168 224 206L188 180Q160 216 112 212Q60 206 26 170z", tone)
    canvas.add(disc(58, 164, 6, "#f5f0e4"), disc(57, 164, 3, "#23252c"), line("M80 140Q92 168 78 196", deep(tone, 0.5), 2.4))
    for i in range(4):
        canvas.add(line(f"M{100 + 22 * i} {146 + 2 * i}q10 10 0 20q10 10 0 18", pale(tone, 0.5), 2, opacity=0.8))
    canvas.solid("M104 126Q126 96 150 130z", deep(tone, 0.15))
    return 244


def fillet(canvas: Canvas, tier: int) -> float:
    board(canvas, tier)
    for y, x in ((188, 110), (150, 130)):
        with canvas.placed(x, y):
            canvas.volume("M-84 14Q-76 -22 -20 -26T82 -8Q90 14 74 24Q0 34 -84 14z", "#e58a63")
            canvas.add(
                *(
                    line(f"M{-60 + 26 * i} {-16 + 2 * (i == 5)}Q{-46 + 26 * i} 4 {-58 + 26 * i} 22", "#f6c9ad", 3)
                    for i in range(6)
                )
            )
    canvas.solid("M170 214A26 26 0 0 1 222 214z", "#f0d25e")
    canvas.add(line("M196 214V194M196 214L180 200M196 214L212 200", "#fff6cf", 2))
    return 242


def shrimp(canvas: Canvas, tier: int) -> float:
    board(canvas, max(tier, 2))
    for x, y, turn in ((78, 178, 0), (150, 190, 40), (124, 142, -30)):
        with canvas.placed(x, y, turn=turn):
            canvas.volume("M-38 10Q-40 -36 4 -40Q46 -36 40 8Q36 34 12 36Q26 22 20 2Q12 -14 -6 -8Q-20 0 -38 10z", "#e9865f")
            canvas.add(line("M-10 -38Q-10 -20 -14 -8M14 -38Q12 -20 4 -10M36 -14Q24 -10 18 -2M40 10Q28 12 22 16", "#fbd9c4", 3))
            canvas.solid("M12 34L-6 48L16 46z", "#d5653f")
    return 244


def crab(canvas: Canvas, tier: int) -> float:
    """A crab; a lobster is drawn so as well."""
    tone = canvas.dice.pick(("#c8503a", "#d46a3f", "#5f7f9c"))
    board(canvas, max(tier, 2))
    for flip in (False, True):
        with canvas.placed(240 if flip else 0, 0, flip=flip):
            canvas.add(
                line("M72 186Q40 176 28 206M76 200Q48 200 40 224M84 210Q62 216 60 234", tone, 7),
                line("M78 164Q40 150 44 120", tone, 10),
            )
            canvas.volume("M30 120Q22 84 54 76L50 104L66 84Q76 112 52 126z", tone)
    canvas.volume("M56 178Q58 136 120 134T184 178Q180 216 120 218T56 178z", tone)
    canvas.add(
        line("M104 138V126M136 138V126", tone, 4),
        disc(104, 124, 5, "#23252c"),
        disc(136, 124, 5, "#23252c"),
        oval(94, 156, 14, 7, pale(tone, 0.5), opacity=0.7),
    )
    return 244


def oysters(canvas: Canvas, tier: int) -> float:
    canvas.solid(ellipse(120, 192, 106, 56), "#e3e8ea")
    for i, (x, y) in enumerate(((70, 172), (128, 158), (180, 184), (92, 212), (148, 216))):
        with canvas.placed(x, y, turn=30 * i):
            canvas.volume("M-34 4Q-30 -26 4 -26T36 6Q28 28 -4 26T-34 4z", "#8a8f8c")
            canvas.solid("M-26 4Q-22 -18 4 -18T28 6Q20 20 -2 19T-26 4z", "#efece2")
            canvas.solid(ellipse(0, 2, 15, 9), "#c9bfae")
    canvas.solid("M98 150A24 24 0 0 1 144 142z", "#f0d25e")
    return 246


def dish(canvas: Canvas, tier: int) -> float:
    """A served meal in a bowl: salad, soup, curry."""
    broth = canvas.dice.pick(("#c8602f", "#8fae5c", "#d8a24a", "#a8433f"))
    canvas.volume("M26 166H214Q208 244 150 250H90Q32 244 26 166z", mix(canvas.colour, "#f1ece2", 0.55))
    canvas.solid(ellipse(120, 166, 94, 30), "#f7f3ea")
    canvas.solid(ellipse(120, 168, 82, 24), broth)
    for x, y, r, tone in (
        (84, 162, 13, "#86ad62"),
        (112, 174, 12, "#efe3c8"),
        (140, 160, 14, "#c8402f"),
        (160, 174, 10, "#6f9a52"),
        (116, 156, 9, "#e2b53c"),
    ):
        canvas.add(oval(x, y, r, r * 0.6, tone), oval(x - 2, y - 2, r * 0.4, r * 0.2, pale(tone, 0.6)))
    if tier >= 1:
        canvas.add(line("M96 128q-8 -16 2 -28t0 -26M140 128q-8 -16 2 -28t0 -26", "#ffffff", 4, opacity=0.55))
    return 252


def pizza(canvas: Canvas, tier: int) -> float:
    canvas.volume("M120 256L34 104Q120 62 206 104z", "#f0cf76")
    canvas.volume("M28 108Q24 88 44 82Q120 50 196 82Q216 88 212 108Q120 72 28 108z", CRUST)
    for x, y in ((92, 128), (148, 122), (118, 166), (138, 194), (118, 220)):
        canvas.solid(ellipse(x, y, 15, 13), "#b5392f")
    canvas.add(*(oval(x, y, 8, 4, LEAF) for x, y in ((118, 116), (96, 156), (150, 156))))
    return 258


def drink(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#c8602f", "#7a3a2a", "#e0a53c", "#d98ca0"))
    canvas.add(line("M132 110L158 40", "#d98ca0", 6))
    canvas.volume("M70 88H170L156 240Q154 252 142 252H98Q86 252 84 240z", "#e4eef0", depth=0.6)
    canvas.solid("M75 120H165L154 236Q152 246 142 246H98Q88 246 86 236z", tone)
    for x, y in ((96, 132), (126, 126), (142, 148)):
        canvas.add(f'<rect x="{x}" y="{y}" width="24" height="22" rx="4" fill="#ffffff" opacity=".5"/>')
    canvas.solid(ellipse(172, 92, 24, 24), "#efcb45")
    canvas.add(line("M172 72V112M152 92H192", "#fff6cf", 2.4))
    return 254


def nuts(canvas: Canvas, tier: int) -> float:
    for row, count in enumerate((3, 5, 6)):
        for i in range(count):
            with canvas.placed(120 + (i - (count - 1) / 2) * 28, 128 + 18 * row, turn=47 * i + 30 * row):
                canvas.solid("M-15 0Q-8 -11 2 -9T17 2Q8 13 -3 10T-15 0z", ("#b07a45", "#c99a62", "#8f5a30")[(i + row) % 3])
    canvas.volume("M34 168H206Q200 244 150 248H90Q40 244 34 168z", mix(canvas.colour, "#b98a58", 0.5))
    return 252


def chips(canvas: Canvas, tier: int) -> float:
    canvas.volume("M58 66L182 66L190 244Q120 256 50 244z")
    canvas.solid("M56 60H184V78H56zM48 236Q120 248 192 236V250Q120 260 48 250z", pale(canvas.colour, 0.4))
    canvas.solid(ellipse(120, 138, 48, 34), "#f4ecdd")
    for x, y, turn in ((96, 202, -20), (140, 198, 20), (120, 214, 0)):
        with canvas.placed(x, y, turn=turn):
            canvas.solid("M-26 0Q-16 -18 4 -16T27 2Q12 18 -6 15T-26 0z", "#e6bd5a")
    canvas.add(line("M92 138h56M102 150h36", deep(canvas.colour, 0.2), 5))
    return 254
