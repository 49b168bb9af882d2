"""Drawn musical instruments. Each paints itself and gives the height of the floor it stands on, None if it hangs."""

from __future__ import annotations

from recommendations.web.drawing.outlines import ellipse, limb, rounded
from recommendations.web.drawing.paint import Canvas, deep, disc, line, mix, num, oval, pale, shape

WOODS = ("#b5743f", "#8a4b2c", "#c98f4a", "#6f3b2c", "#a9794e")
BRASS, STEEL, DARK = "#cba24b", "#b4bac2", "#2f2c30"

_WAIST = (
    "M0 -66C34 -66 40 -38 32 -16C26 2 34 10 46 28C64 62 44 100 0 100S-64 62 -46 28C-34 10 -26 2 -32 -16C-40 -38 -34 -66 0 -66z"
)
_HORNS = (
    "M-14 -48C-24 -66 -44 -70 -42 -44C-40 -22 -40 -10 -50 18C-62 60 -44 96 0 98C44 96 62 56 48 18C40 -4 38 -14 42 -34"
    "C44 -58 26 -62 14 -44Q0 -36 -14 -48z"
)


def _neck(canvas: Canvas, long: float, strings: int, wood: str) -> None:
    canvas.solid(limb(0, -50, 0, -long, 15, 11), wood)
    canvas.solid(
        f"M-9 {num(-long)}L-13 {num(-long - 34)}Q0 {num(-long - 42)} 13 {num(-long - 34)}L9 {num(-long)}z", deep(wood, 0.25)
    )
    for i in range(3):
        for x in (-15, 15):
            canvas.add(disc(x, -long - 8 - 10 * i, 3, "#d9dde0"))
    canvas.add(*(line(f"M-6 {num(-56 - (long - 60) * i / 8)}h12", "#d9c9a0", 1) for i in range(8)))
    for i in range(strings):
        at = -4.5 + 9 * i / (strings - 1)
        canvas.add(line(f"M{num(at)} 62L{num(at * 0.8)} {num(-long - 4)}", "#efe6d2", 0.7, opacity=0.9))


def guitar(canvas: Canvas, tier: int) -> float:
    """An acoustic guitar."""
    with canvas.placed(112, 160, turn=16, scale=0.92):
        canvas.volume(_WAIST, canvas.colour)
        if tier >= 1:
            canvas.add(line(_WAIST, deep(canvas.colour, 0.55), 3, opacity=0.6))
        canvas.solid(ellipse(0, 10, 21, 21), "#2f2018")
        canvas.add(line(ellipse(0, 10, 25, 25), "#e7d3a8", 2.4, dash="2 2" if tier >= 2 else ""))
        canvas.solid(rounded(-23, 60, 46, 9, 3), "#3d281e")
        _neck(canvas, 134, 6, "#5f4030")
    return 262


def electric_guitar(canvas: Canvas, tier: int) -> float:
    with canvas.placed(108, 164, turn=18, scale=0.95):
        canvas.volume(_HORNS, canvas.colour)
        canvas.solid(
            "M-22 -30Q12 -20 28 -36Q22 10 34 40Q20 70 -8 62Q-24 20 -22 -30z", "#f2ece0" if canvas.dice.fraction() < 0.6 else DARK
        )
        _neck(canvas, 134, 6, "#c9a06a")
        for y in (-12, 12, 34):
            canvas.solid(rounded(-15, y, 30, 9, 3), DARK if tier < 2 else STEEL)
        canvas.solid(rounded(-16, 56, 32, 10, 2), STEEL)
        canvas.add(disc(28, 56, 5, "#efe6d2"), disc(22, 72, 5, "#efe6d2"))
    return 262


def bass(canvas: Canvas, tier: int) -> float:
    with canvas.placed(106, 176, turn=18, scale=0.86):
        canvas.volume(_HORNS, canvas.colour)
        _neck(canvas, 158, 4, "#8a5f3f")
        for y in (0, 28):
            canvas.solid(rounded(-16, y, 32, 12, 3), DARK)
        canvas.solid(rounded(-16, 58, 32, 12, 2), STEEL)
    return 264


def ukulele(canvas: Canvas, tier: int) -> float:
    with canvas.placed(116, 170, turn=12, scale=0.82):
        canvas.volume(_WAIST, canvas.colour)
        canvas.solid(ellipse(0, 12, 17, 17), "#2f2018")
        canvas.solid(rounded(-16, 58, 32, 8, 2), "#3d281e")
        _neck(canvas, 112, 4, "#75503a")
    return 260


def violin(canvas: Canvas, tier: int) -> float:
    """A violin with its bow; a cello when asked by the title is one as well, seen from afar."""
    with canvas.placed(108, 168, turn=14, scale=0.9):
        d = (
            "M0 -70C30 -70 38 -50 34 -32C24 -26 22 -6 34 4C56 18 58 92 0 92S-56 18 -34 4"
            "C-22 -6 -24 -26 -34 -32C-38 -50 -30 -70 0 -70z"
        )
        canvas.volume(d, canvas.colour)
        canvas.add(line(d, deep(canvas.colour, 0.5), 2, opacity=0.5))
        for side in (-1, 1):
            canvas.add(line(f"M{16 * side} -6q{8 * side} 14 {-1 * side} 18t{3 * side} 20", "#2f1a12", 2.6))
        canvas.solid("M-8 -66H8L6 30H-6z", DARK)
        canvas.solid("M-12 58H12L7 86H-7z", DARK)
        canvas.solid(rounded(-15, 36, 30, 5, 2), "#e0c592")
        canvas.solid(limb(0, -64, 0, -136, 13, 9), "#6f3b2c")
        canvas.add(line("M0 -134Q16 -146 6 -156Q-8 -154 -2 -144", "#6f3b2c", 6))
        canvas.add(*(line(f"M{-3 + 2 * i} 58V-128", "#efe6d2", 0.6) for i in range(4)))
    canvas.add(line("M206 52L168 250", "#6f3b2c", 4), line("M201 56L162 246", "#efe6d2", 1.6))
    return 260


def djembe(canvas: Canvas, tier: int) -> float:
    wood = mix(canvas.colour, "#a9653a", 0.5)
    canvas.volume("M54 88Q62 164 100 186Q98 222 84 250Q120 258 156 250Q142 222 140 186Q178 164 186 88z", wood)
    canvas.volume(ellipse(120, 86, 68, 22), "#efe2c8", depth=0.7)
    for i in range(7):
        x = 58 + 20 * i
        canvas.add(line(f"M{num(x)} 100L{num(66 + 18 * i)} 150L{num(x + 10)} 102", "#efe6d2", 1.8))
    canvas.add(line("M52 96Q120 132 188 96", deep(canvas.colour, 0.3), 6), line("M68 150Q120 176 172 150", "#d9c9a0", 3.4))
    if tier >= 1:
        canvas.add(line("M96 204Q120 212 144 204M92 226Q120 234 148 226", pale(wood, 0.45), 3, dash="5 4"))
    return 256


def drum(canvas: Canvas, tier: int) -> float:
    """A snare or marching drum with its sticks."""
    canvas.volume("M38 138V220Q40 246 120 248T202 220V138z")
    for y in (140, 220):
        canvas.add(line(f"M38 {y}Q44 {y + 27} 120 {y + 28}T202 {y}", STEEL if tier < 2 else BRASS, 8))
    canvas.volume(ellipse(120, 136, 82, 26), "#f4efe2", depth=0.6)
    canvas.add(
        *(line(f"M{52 + 34 * i} {163 if 0 < i < 4 else 154}V{240 if 0 < i < 4 else 234}", "#d9dde0", 3.4) for i in range(5))
    )
    for x, turn in ((92, 48), (148, -48)):
        with canvas.placed(x, 96, turn=turn):
            canvas.solid(limb(0, -62, 0, 40, 5, 8), "#cda26a")
            canvas.solid(ellipse(0, -64, 5, 7), "#cda26a")
    return 252


def drum_kit(canvas: Canvas, tier: int) -> float:
    rim = STEEL if tier < 2 else BRASS
    for x, y, turn in ((46, 84, -12), (196, 76, 12)):
        canvas.add(line(f"M{x} {y}V250M{x - 16} 254L{x} 232L{x + 16} 254", "#8d939b", 3))
        with canvas.placed(x, y, turn=turn):
            canvas.solid(ellipse(0, 0, 42, 8), BRASS)
    canvas.volume(ellipse(120, 186, 62, 62))
    canvas.solid(ellipse(120, 186, 52, 52), "#f4efe2")
    canvas.add(line(ellipse(120, 186, 61, 61), rim, 3), disc(120, 186, 22, canvas.colour, opacity=0.85))
    for x, y, w in ((84, 116, 34), (156, 116, 34), (44, 178, 32), (202, 196, 34)):
        high = 34 if y < 150 else 44
        canvas.solid(f"M{x - w} {y}V{y + high}Q{x} {y + high + 14} {x + w} {y + high}V{y}z")
        canvas.solid(ellipse(x, y, w, 10), "#f7f2e6")
        canvas.add(line(ellipse(x, y, w, 10), rim, 2.4))
    return 256


def tabla(canvas: Canvas, tier: int) -> float:
    for x, w, tone in ((76, 54, STEEL), (174, 44, mix(canvas.colour, "#8a4b2c", 0.5))):
        canvas.volume(f"M{x - w} 140Q{x - w - 8} 236 {x} 246Q{x + w + 8} 236 {x + w} 140z", tone)
        canvas.add(
            *(
                line(f"M{num(x - w + 6 + 2 * (w - 6) * i / 6)} 148L{num(x - w + 14 + 2 * (w - 14) * i / 6)} 214", "#efe2c8", 2.6)
                for i in range(7)
            )
        )
        canvas.volume(ellipse(x, 140, w, 20), "#efe2c8", depth=0.6)
        canvas.solid(ellipse(x, 140, w * 0.42, 8), DARK)
    return 252


def cymbals(canvas: Canvas, tier: int) -> float:
    canvas.add(line("M120 120V250M84 256L120 226L156 256", "#8d939b", 4))
    for y, w in ((150, 70), (96, 98)):
        canvas.volume(ellipse(120, y, w, w * 0.24), mix(canvas.colour, BRASS, 0.8))
        canvas.add(*(line(ellipse(120, y, w * f, w * 0.24 * f), deep(BRASS, 0.3), 0.9, opacity=0.7) for f in (0.8, 0.6, 0.4)))
        canvas.solid(ellipse(120, y - 4, 17, 7), BRASS)
    return 258


def _keys(canvas: Canvas, x: float, y: float, wide: float, high: float, count: int) -> None:
    canvas.solid(rounded(x, y, wide, high, 1), "#faf6ec")
    step = wide / count
    canvas.add(*(line(f"M{num(x + step * i)} {num(y)}v{num(high)}", "#8d857c", 0.8) for i in range(1, count)))
    blacks = "".join(f"M{num(x + step * (i + 1) - step * 0.3)} {num(y)}h{num(step * 0.6)}v{num(high * 0.6)}h{num(-step * 0.6)}z"
                     for i in range(count - 1) if i % 7 not in (2, 6))  # fmt: skip
    canvas.add(shape(blacks, DARK))


def upright_piano(canvas: Canvas, tier: int) -> float:
    wood = canvas.colour
    canvas.volume(rounded(34, 66, 172, 182, 4), wood)
    canvas.solid(rounded(28, 58, 184, 12, 3), deep(wood, 0.15))
    canvas.solid(rounded(48, 82, 144, 58, 3), pale(wood, 0.1))
    canvas.solid(rounded(92, 86, 56, 44, 1), "#f5f0e2")
    canvas.add(line("M98 96h44M98 106h44M98 116h44", "#8d857c", 1.2))
    canvas.solid(rounded(22, 168, 196, 16, 3), deep(wood, 0.1))
    _keys(canvas, 34, 154, 172, 20, 21)
    for x in (28, 200):
        canvas.solid(rounded(x, 180, 13, 72, 2), deep(wood, 0.22))
    if tier >= 1:
        canvas.add(*(oval(110 + 10 * i, 244, 4, 2.4, BRASS) for i in range(3)))
    if tier >= 2:
        for x in (56, 184):
            canvas.add(line(f"M{x} 96v-12", BRASS, 3), disc(x, 82, 4, "#ffe9b0"))
    return 252


def grand_piano(canvas: Canvas, tier: int) -> float:
    wood = mix(canvas.colour, DARK, 0.35)
    for x in (44, 112, 196):
        canvas.solid(limb(x, 190, x, 250, 13, 7), wood)
        canvas.add(disc(x, 250, 4, BRASS))
    canvas.solid("M50 150L92 48Q160 34 214 66L200 150z", deep(wood, 0.2))
    canvas.solid("M62 148L98 60Q158 48 204 74L192 148z", "#b98a58")
    canvas.add(*(line(f"M{84 + 14 * i} 146L{112 + 10 * i} 66", "#e7d3a8", 0.8) for i in range(8)))
    canvas.volume("M20 166Q20 150 40 150H196Q224 150 220 180Q214 200 190 198H24z", wood)
    canvas.add(line("M196 150L210 84", wood, 4))
    _keys(canvas, 28, 172, 124, 18, 15)
    canvas.solid("M18 188H156V200H18z", deep(wood, 0.2))
    return 254


def synthesizer(canvas: Canvas, tier: int) -> float:
    canvas.add(line("M64 196L150 256M176 196L90 256", "#55585f", 7))
    canvas.volume(rounded(14, 134, 212, 66, 8), mix(canvas.colour, DARK, 0.6))
    _keys(canvas, 22, 162, 196, 34, 22)
    canvas.solid(rounded(98, 140, 46, 16, 2), "#7fb0cf")
    canvas.add(
        *(disc(30 + 11 * i, 148, 3.6, ("#e07f6c", "#e2bd56", "#7fc28a")[i % 3]) for i in range(5)),
        *(disc(160 + 12 * i, 148, 4, "#8d939b") for i in range(5)),
    )
    return 256


def microphone(canvas: Canvas, tier: int) -> float:
    mesh = canvas.dots("#55585f", 6, 1.3)
    if canvas.dice.fraction() < 0.5:
        with canvas.placed(120, 150, turn=30):
            canvas.volume("M-18 -26H18L12 118Q0 126 -12 118z", mix(canvas.colour, DARK, 0.5))
            canvas.solid(rounded(-22, -38, 44, 16, 4), STEEL if tier < 2 else BRASS)
            canvas.volume(ellipse(0, -72, 37, 38), "#b4bac2", weave=mesh)
            canvas.add(line("M-36 -70Q0 -56 36 -70", "#8d939b", 5))
            canvas.solid(rounded(-5, 10, 10, 20, 4), "#d9dde0")
        return 262
    canvas.add(line("M72 118V170Q72 206 120 206T168 170V118", "#55585f", 6), line("M120 206V246", "#55585f", 7))
    canvas.solid(ellipse(120, 250, 48, 9), "#3a3d46")
    canvas.volume(rounded(84, 52, 72, 134, 34), mix(canvas.colour, STEEL, 0.35))
    canvas.solid(rounded(88, 56, 64, 76, 30), "#c3c8cd", weave=mesh)
    canvas.solid(rounded(84, 130, 72, 8, 1), STEEL if tier < 2 else BRASS)
    canvas.add(disc(120, 156, 5, "#bb4346"))
    return 258


def trumpet(canvas: Canvas, tier: int) -> None:
    metal = mix(canvas.colour, BRASS, 0.75)
    with canvas.placed(120, 156, turn=-14):
        canvas.add(
            line("M-104 -6H20M-60 -6Q-84 -6 -84 16T-60 40H40Q62 40 62 18T40 -6", metal, 10),
            line("M-104 -9H20M-60 37H40", pale(metal, 0.6), 2),
        )
        canvas.volume("M10 -12Q70 -12 104 -46Q112 -6 104 36Q70 2 10 2z", metal)
        canvas.solid(ellipse(106, -5, 8, 41), deep(metal, 0.25))
        for x in (-32, -12, 8):
            canvas.solid(rounded(x - 7, -32, 14, 84, 4), metal)
            canvas.add(line(f"M{x} -34V-46", "#d9dde0", 4), oval(x, -47, 8, 3, "#f2ece0"))
        canvas.solid("M-120 -14L-100 -9V-3L-120 2z", "#d9dde0")


def saxophone(canvas: Canvas, tier: int) -> None:
    metal = mix(canvas.colour, BRASS, 0.75)
    canvas.add(line("M62 66Q88 44 96 70", metal, 9))
    canvas.solid("M50 64L66 58L70 70L52 76z", DARK)
    canvas.volume(
        (
            "M90 66H104L122 196Q128 224 146 220Q162 212 158 150L146 126"
            "Q176 118 206 132Q190 150 188 190Q184 258 138 258Q104 258 98 214z"
        ),
        metal,
    )
    canvas.solid(ellipse(176, 128, 31, 9), deep(metal, 0.4))
    canvas.add(
        *(disc(102 + 3.6 * i, 92 + 22 * i, 7, pale(metal, 0.45)) for i in range(6)),
        line("M116 90L138 220", deep(metal, 0.4), 2.4),
    )


def horn(canvas: Canvas, tier: int) -> None:
    """A French horn."""
    metal = mix(canvas.colour, BRASS, 0.75)
    canvas.volume("M150 150Q196 150 224 196Q190 268 128 250Q140 220 138 176z", metal)
    canvas.solid("M224 196Q190 268 128 250Q190 244 224 196z", deep(metal, 0.4))
    for r in (64, 46):
        canvas.add(line(ellipse(106, 132, r, r), metal, 11), line(ellipse(104, 130, r, r), pale(metal, 0.6), 2))
    canvas.add(line("M54 92Q36 62 22 60", metal, 6), line("M76 132h60", metal, 8))
    canvas.add(*(disc(88 + 20 * i, 132, 8, "#d9dde0") for i in range(3)))


def flute(canvas: Canvas, tier: int) -> None:
    """A flute or clarinet."""
    for shift, tone in ((0, DARK if canvas.dice.fraction() < 0.5 else STEEL), (38, canvas.colour)):
        with canvas.placed(106 + shift, 156, turn=32):
            canvas.volume("M-9 -114H9L12 92Q20 110 20 118H-20Q-20 110 -12 92z", tone)
            canvas.add(*(disc(0, -84 + 24 * i, 5, pale("#c3c8cd", 0.3)) for i in range(7)))


def note(canvas: Canvas, tier: int) -> float:
    """Sheet music on a stand: what has no shape of its own."""
    canvas.add(line("M120 190V244M92 256L120 234L148 256", "#55585f", 5))
    canvas.solid("M44 84H196L188 194H52z", "#4a4d55")
    for x, flip in ((120, True), (120, False)):
        with canvas.placed(x, 0, flip=flip):
            canvas.solid("M0 78Q34 66 66 76L62 178Q34 170 0 182z", "#f7f2e6")
            canvas.add(
                *(
                    line(
                        (
                            f"M10 {98 + 22 * i}Q34 {90 + 22 * i} 56 {96 + 22 * i}"
                            f"M10 {104 + 22 * i}Q34 {96 + 22 * i} 56 {102 + 22 * i}"
                        ),
                        "#8d857c",
                        1,
                    )
                    for i in range(4)
                )
            )
    canvas.add(*(disc(x, y, 4, canvas.colour) for x, y in ((84, 104), (100, 122), (150, 100), (166, 126), (90, 148), (160, 150))))
    return 258
