"""Drawn housewares, books and what decorates. Each gives the height of its floor, None if it hangs."""

from __future__ import annotations

from recommendations.web.drawing.outlines import ellipse, limb, rounded, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, mix, num, oval, pale, shape

STEEL, DARK, WOOD, GOLD = "#b4bac2", "#3a3d46", "#b98a58", "#c9a24b"
GLAZES = ("#e9e2d4", "#7f97a8", "#93a583", "#c98f74", "#5b7f86", "#d9c3a0")


def basket(canvas: Canvas, tier: int) -> float:
    straw = mix(canvas.colour, "#c49a62", 0.55)
    weave = canvas.check(deep(straw, 0.5), 12, 3, opacity=0.35)
    if canvas.dice.fraction() < 0.6:
        canvas.add(
            line("M58 140Q64 50 120 48T182 140", deep(straw, 0.2), 10),
            line("M58 140Q64 50 120 48T182 140", pale(straw, 0.3), 3, dash="5 5"),
        )
    if tier >= 1:
        cloth = pale(accent(canvas.colour, canvas.dice), 0.4)
        canvas.solid("M44 142Q70 112 104 126Q136 108 196 142L184 168L160 156L136 172L112 156L84 172L64 156z", cloth)
    canvas.volume("M42 142H198L182 236Q178 252 160 252H80Q62 252 58 236z", straw, weave=weave)
    canvas.solid(
        rounded(36, 134, 168, 17, 8), deep(straw, 0.08), weave=canvas.stripes(deep(straw, 0.5), 9, 3, angle=30, opacity=0.4)
    )
    return 254


def vase(canvas: Canvas, tier: int) -> float:
    dice = canvas.dice
    for i in range(5):
        spread = i - 2
        with canvas.placed(120, 128, turn=spread * 15):
            canvas.add(
                line("M0 0V-84", "#8a9a6c", 2.6),
                *(oval(8 * (1 if k % 2 else -1), -30 - 12 * k, 7, 4.6, ("#93a583", "#b5c2a0")[k % 2]) for k in range(5)),
            )
    d = dice.pick(
        (
            "M102 120H138Q136 146 158 174Q178 214 146 252H94Q62 214 82 174Q104 146 102 120z",
            "M98 120H142V150Q172 160 172 200Q172 250 120 252T68 200Q68 160 98 150z",
            "M104 120H136L150 252H90z",
        )
    )
    canvas.volume(d, weave=weave_of(canvas, tier), inside=[canvas.gleam(ellipse(98, 196, 8, 30), opacity=0.6)])
    canvas.solid(ellipse(120, 120, 19, 5), deep(canvas.colour, 0.35))
    return 254


def picture(canvas: Canvas, tier: int) -> None:
    """Wall art: shapes in a frame."""
    dice = canvas.dice
    canvas.volume(rounded(42, 44, 156, 212, 3), GOLD if tier >= 2 else dice.pick((WOOD, DARK, "#efeae0")), depth=0.7)
    canvas.solid(rounded(52, 54, 136, 192, 1), "#f6f1e6")
    tone, other = canvas.colour, accent(canvas.colour, dice)
    canvas.add(
        disc(dice.between(100, 150), dice.between(104, 130), 30, other),
        shape("M66 232Q96 150 128 176T174 232z", tone),
        shape("M66 232Q110 196 174 214V232z", deep(tone, 0.25)),
        line("M86 232Q92 180 110 150", pale(tone, 0.5), 2),
    )


def poster(canvas: Canvas, tier: int) -> None:
    """A travel poster: a sky, a sun, far hills, and a place's own outline."""
    dice = canvas.dice
    sky = dice.pick(("#e9b98a", "#9cc3cf", "#d79a86", "#c3cfa8", "#8fa8c4"))
    canvas.volume(rounded(44, 36, 152, 224, 3), "#f6f1e6", depth=0.5)
    canvas.solid("M54 46H186V214H54z", sky)
    canvas.add(disc(dice.between(90, 150), dice.between(80, 110), 22, "#fff0c4"))
    land = canvas.colour
    canvas.add(shape("M54 178L92 128L118 158L150 110L186 160V214H54z", deep(sky, 0.35)))
    kind = dice.pick(("tower", "pyramids", "pines", "isle", "dome"))
    if kind == "tower":
        canvas.add(
            shape("M108 206Q118 150 120 92Q122 150 132 206H124Q120 184 116 206z", deep(land, 0.4)),
            line("M112 178h16M116 146h8", deep(land, 0.4), 3),
        )
    elif kind == "pyramids":
        canvas.add(
            shape("M62 206L104 144L146 206z", "#cf9f5c"),
            shape("M104 144L146 206H118z", "#a87a42"),
            shape("M128 206L156 164L184 206z", "#cf9f5c"),
        )
    elif kind == "pines":
        canvas.add(
            *(
                shape(f"M{x} {y}L{x - 15} 206H{x + 15}z", deep("#44684c", 0.12 * (i % 3)))
                for i, (x, y) in enumerate(((68, 150), (90, 136), (150, 140), (172, 156)))
            )
        )
    elif kind == "isle":
        canvas.add(
            shape("M54 186Q120 176 186 186V214H54z", "#4f8fa8"),
            line("M118 188Q122 150 138 126", "#7d5941", 5),
            *(
                line(f"M138 126q{dx} {dy} {dx * 1.7} {dy + 16}", "#5f8148", 5)
                for dx, dy in ((-20, -12), (20, -12), (-24, 4), (22, 4))
            ),
        )
    else:
        canvas.add(
            shape("M84 206V160Q84 126 120 118Q156 126 156 160V206z", "#f2ece0"),
            shape("M80 162Q88 118 120 108Q152 118 160 162z", deep(land, 0.05)),
            line("M120 108V92", deep(land, 0.3), 3),
        )
    canvas.add(shape("M54 204Q120 192 186 204V214H54z", deep(land, 0.25)), line("M70 230h100M92 244h56", land, 5))


def cookbook(canvas: Canvas, tier: int) -> float:
    canvas.volume(rounded(66, 62, 124, 188, 5), "#efe6d2", depth=0.5)
    canvas.volume(rounded(56, 56, 126, 190, 6), depth=0.7, inside=[canvas.fold("M56 56h15v190h-15z", opacity=0.55)])
    canvas.solid(rounded(84, 76, 86, 30, 3), "#f7f2e6")
    canvas.add(line("M94 87h66M104 97h46", "#8d857c", 2.4))
    canvas.solid(ellipse(127, 168, 40, 40), "#f4efe4")
    canvas.solid(ellipse(127, 168, 29, 29), canvas.dice.pick(("#c8602f", "#8fae5c", "#d8a24a", "#a8433f")))
    canvas.add(
        *(
            oval(127 + dx, 168 + dy, 8, 5, tone)
            for dx, dy, tone in ((-10, -8, "#6f9a52"), (9, -4, "#f0d9a4"), (-2, 10, "#f4ecdd"))
        )
    )
    canvas.add(line("M76 140v54M72 140v18M80 140v18", "#efe6d2", 2.4))
    return 252


def pan(canvas: Canvas, tier: int) -> None:
    """A cast-iron pan from above."""
    iron = mix(canvas.colour, DARK, 0.6)
    with canvas.placed(0, 0, turn=0):
        canvas.volume("M112 190H128L134 272Q120 284 106 272z", iron)
        canvas.add(disc(120, 266, 5, "#cfcac0"))
        canvas.volume(ellipse(120, 126, 84, 84), iron)
        canvas.solid(ellipse(120, 126, 71, 71), deep(iron, 0.25))
    canvas.add(line("M66 108Q80 72 116 64", "#ffffff", 5, opacity=0.25))
    if tier >= 1:
        canvas.solid("M92 120Q88 88 122 92Q162 92 156 132Q150 160 116 156Q90 152 92 120z", "#fbf8f0")
        canvas.solid(ellipse(122, 124, 18, 17), "#efb93f")


def pot(canvas: Canvas, tier: int) -> float:
    """A pot with its lid."""
    for x in (22, 192):
        canvas.add(
            line(
                f"M{x + 13} 164q-26 0 -20 20q6 14 24 10" if x < 100 else f"M{x + 13} 164q26 0 20 20q-6 14 -24 10",
                deep(canvas.colour, 0.25),
                9,
            )
        )
    canvas.volume("M36 146H204V220Q204 250 172 250H68Q36 250 36 220z", inside=[canvas.gleam(rounded(54, 156, 14, 80, 6))])
    canvas.volume("M30 146Q34 112 120 108T210 146z", pale(canvas.colour, 0.08))
    canvas.solid(rounded(26, 142, 188, 11, 5), deep(canvas.colour, 0.2))
    canvas.solid(ellipse(120, 100, 19, 12), GOLD if tier >= 2 else DARK)
    return 254


def kettle(canvas: Canvas, tier: int) -> float:
    canvas.add(line("M150 104Q214 92 206 178", DARK, 11))
    canvas.add(line("M78 214Q34 206 46 150T22 110", mix(canvas.colour, STEEL, 0.3), 10))
    canvas.volume(
        "M74 128Q120 112 166 128L186 236Q184 250 170 250H70Q56 250 54 236z",
        mix(canvas.colour, STEEL, 0.2),
        inside=[canvas.gleam(ellipse(92, 190, 9, 40), opacity=0.7)],
    )
    canvas.solid("M80 128Q120 96 160 128Q120 138 80 128z", deep(canvas.colour, 0.15))
    canvas.solid(ellipse(120, 104, 11, 9), DARK)
    if tier >= 1:
        canvas.add(line("M58 232Q120 246 182 232", GOLD if tier >= 2 else STEEL, 3))
    return 254


def wine(canvas: Canvas, tier: int) -> float:
    """Stemmed glasses, filled a little."""
    liquid = canvas.dice.pick(("#8a2f44", "#e2c46a", "#d98c94"))
    for x, s in ((78, 0.92), (160, 1.0)):
        with canvas.placed(x, 252, scale=s):
            canvas.solid(ellipse(0, -4, 36, 7), "#dfe6e8")
            canvas.solid(limb(0, -6, 0, -84, 5, 6), "#dfe6e8")
            canvas.solid("M-34 -190H34Q46 -116 14 -92Q0 -82 -14 -92Q-46 -116 -34 -190z", "#e8eef0")
            canvas.solid("M-38 -146H38Q38 -112 13 -94Q0 -86 -13 -94Q-38 -112 -38 -146z", liquid)
            canvas.add(line("M-25 -182Q-32 -140 -24 -118", "#ffffff", 4, opacity=0.8))
            if tier >= 2:
                canvas.add(line("M-34 -190H34", GOLD, 3))
    return 254


def tumblers(canvas: Canvas, tier: int) -> float:
    """Glasses without stems, or a beer."""
    beer = canvas.dice.fraction() < 0.4
    for x, s in ((76, 0.9), (164, 0.9)) if not beer else ((116, 1.1),):
        with canvas.placed(x, 252, scale=s):
            if beer:
                canvas.add(line("M40 -120Q84 -118 78 -70T38 -30", "#d5dde0", 11))
            canvas.solid("M-40 -150H40L34 -6Q32 0 26 0H-26Q-32 0 -34 -6z", "#e4ecee")
            canvas.solid(
                "M-38 -104H38L33 -12H-33z" if not beer else "M-39 -138H39L33 -10H-33z",
                "#d9a13c" if beer else pale(canvas.colour, 0.35),
            )
            canvas.add(line("M-22 -128L-18 -22M14 -128L12 -22", "#ffffff", 4, opacity=0.5))
            if beer:
                canvas.solid(
                    (
                        "M-46 -142Q-50 -170 -20 -166Q0 -182 22 -166Q50 -168 45 -140"
                        "Q30 -128 20 -138Q6 -124 -8 -138Q-30 -124 -46 -142z"
                    ),
                    "#fbf6ea",
                )
    return 254


def knives(canvas: Canvas, tier: int) -> float:
    """Kitchen knives in a block, or on a board."""
    if canvas.dice.fraction() < 0.5:
        for i in range(4):
            with canvas.placed(82 + 28 * i, 132 - 4 * i, turn=16):
                canvas.solid(rounded(-9, -76, 18, 66, 6), mix(canvas.colour, DARK, 0.7))
                canvas.solid(rounded(-7, -14, 14, 16, 1), STEEL)
                canvas.add(disc(0, -58, 2, STEEL), disc(0, -32, 2, STEEL))
        canvas.volume("M52 142L172 112L202 236Q200 250 186 250H72Q60 250 58 240z", WOOD)
        return 254
    canvas.volume(rounded(30, 62, 132, 190, 12), WOOD)
    canvas.solid(ellipse(96, 84, 11, 11), deep(WOOD, 0.5))
    with canvas.placed(176, 170, turn=8):
        canvas.solid("M-14 18H16V-104Q-12 -60 -14 18z", "#c9cfd5")
        canvas.solid(rounded(-14, 18, 28, 72, 8), mix(canvas.colour, DARK, 0.6))
        canvas.add(disc(0, 36, 2.6, STEEL), disc(0, 70, 2.6, STEEL))
    if tier >= 1:
        canvas.solid(ellipse(84, 190, 34, 30), "#c8402f")
        canvas.solid("M84 160l-10 -9l8 12l-12 4l13 0l6 10l2 -11l11 -2l-11 -5z", "#5f8148")
    return 256


def board(canvas: Canvas, tier: int) -> float:
    """A board for serving or cutting."""
    wood = mix(canvas.colour, WOOD, 0.5)
    canvas.volume("M104 40Q120 30 136 40V78Q190 80 190 112V230Q190 252 168 252H72Q50 252 50 230V112Q50 80 104 78z", wood)
    canvas.solid(ellipse(120, 56, 8, 8), deep(wood, 0.5))
    for i in range(4):
        canvas.add(line(f"M{72 + 28 * i} 110q{num(canvas.dice.between(-6, 6))} 60 0 130", deep(wood, 0.4), 1, opacity=0.5))
    if tier >= 2:
        canvas.solid("M50 204H190V222H50z", "#e6e2da")
    return 256


def setting(canvas: Canvas, tier: int) -> None:
    """Plates laid for a meal."""
    metal = GOLD if tier >= 2 else STEEL
    canvas.volume(ellipse(120, 156, 74, 74))
    canvas.solid(ellipse(120, 156, 56, 56), pale(canvas.colour, 0.45), weave=weave_of(canvas, tier))
    canvas.solid(ellipse(120, 156, 34, 34), pale(canvas.colour, 0.7))
    canvas.add(line("M22 250V146M16 78V126M22 78V126M28 78V126M16 126Q22 142 28 126", metal, 5), line("M214 250V158", metal, 6))
    canvas.solid("M208 160V84Q224 96 224 132Q224 152 218 160z", metal)


def pitcher(canvas: Canvas, tier: int) -> float:
    canvas.add(line("M158 110Q214 108 204 168T160 214", deep(canvas.colour, 0.12), 12))
    canvas.volume(
        "M70 88L56 76Q96 84 160 84Q154 120 166 158Q186 214 156 252H84Q54 214 74 158Q86 120 70 88z",
        weave=weave_of(canvas, tier),
        inside=[canvas.gleam(ellipse(90, 196, 9, 30), opacity=0.6)],
    )
    canvas.solid("M62 80Q100 92 160 86Q110 98 62 80z", deep(canvas.colour, 0.4))
    return 254


def coffee(canvas: Canvas, tier: int) -> float:
    """A coffee maker or a pour-over."""
    canvas.volume("M70 76H170L132 144V156H108V144z", pale(canvas.colour, 0.3))
    canvas.solid("M80 84H160L150 100H90z", "#5a3a2b")
    canvas.solid(rounded(96, 140, 48, 18, 3), mix(canvas.colour, WOOD, 0.6))
    canvas.volume("M104 160H136Q178 190 176 228Q174 250 150 250H90Q66 250 64 228Q62 190 104 160z", "#e4ecee")
    canvas.solid("M72 208H168Q178 244 150 244H90Q62 244 72 208z", "#5a3a2b")
    canvas.add(line("M84 190Q76 206 78 226", "#ffffff", 5, opacity=0.7))
    return 254


def utensils(canvas: Canvas, tier: int) -> float:
    """Kitchen helpers in a crock."""
    for x, turn, d in (
        (88, -15, ellipse(0, -120, 21, 30)),
        (112, -3, "M-15 -146H15V-92H-15z"),
        (138, 7, ellipse(0, -122, 19, 27)),
        (158, 18, "M-12 -142Q0 -152 12 -142L8 -90H-8z"),
    ):
        with canvas.placed(x, 208, turn=turn):
            canvas.solid(limb(0, 0, 0, -104, 8, 8), WOOD)
            canvas.solid(d, WOOD if turn < 0 else STEEL)
    canvas.volume("M64 168H176L168 244Q166 252 158 252H82Q74 252 72 244z", weave=weave_of(canvas, tier))
    return 254


def sponge(canvas: Canvas, tier: int) -> float:
    canvas.volume("M40 178L76 138H210L178 178z", "#5d8f66")
    canvas.volume("M40 178H178V234H40z", "#e2bd56", weave=canvas.dots("#b5923a", 13, 2.4))
    canvas.solid("M178 178L210 138V190L178 234z", "#c9a548")
    return 250


def fireplace(canvas: Canvas, tier: int) -> float:
    """A stove, hearth or other warm thing."""
    canvas.volume(rounded(46, 84, 148, 166, 6), DARK)
    canvas.solid(rounded(64, 112, 112, 100, 4), "#241a16")
    for x, h, tone in ((96, 66, "#d9622f"), (142, 58, "#d9622f"), (120, 84, "#f0a53c"), (120, 48, "#ffe29a")):
        canvas.add(shape(f"M{x} {206 - h}q{h * 0.42:.0f} {h * 0.6:.0f} 0 {h}q{-h * 0.42:.0f} {-h * 0.4:.0f} 0 {-h}z", tone))
    canvas.solid(rounded(36, 72, 168, 16, 3), mix(canvas.colour, WOOD, 0.5))
    return 254


def hat_stand(canvas: Canvas, tier: int) -> float:
    canvas.solid(limb(120, 44, 120, 246, 9, 11), mix(canvas.colour, WOOD, 0.5))
    canvas.add(
        line(
            "M120 96Q90 96 84 70M120 96Q150 96 156 70M120 130Q96 130 88 108M120 130Q144 130 152 108M84 254L120 232L156 254",
            deep(WOOD, 0.2),
            6,
        )
    )
    canvas.volume("M128 62Q130 40 154 40T180 62L198 70Q154 84 112 70z", canvas.colour)
    return 256
