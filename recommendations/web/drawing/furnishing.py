"""Drawn furniture and lamps. Each paints itself and gives the height of the floor it stands on, None if it hangs."""

from __future__ import annotations

from recommendations.web.drawing.outlines import ellipse, limb, ring, rounded, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, mix, num, oval, pale, shape

WOODS = ("#b98a58", "#8a5f3f", "#c9a57a", "#75503a", "#a9794e")
BRASS, STEEL = "#c2994a", "#a9b1b8"


def _brace(canvas: Canvas, tier: int) -> str:
    """The metal of knobs and feet: brass on what is dear."""
    return BRASS if tier >= 2 else STEEL


def _grain(canvas: Canvas, x: float, y: float, wide: float) -> None:
    """Two lines of wood grain on a board."""
    for i in range(2):
        canvas.add(
            line(f"M{num(x)} {num(y + 5 * i)}q{num(wide / 2)} {num(canvas.dice.between(-3, 3))} {num(wide)} 0",
                 deep(canvas.colour, 0.4), 0.8, opacity=0.4)
        )  # fmt: skip


def _posy(canvas: Canvas, x: float, y: float) -> None:
    """A small vase with leaves, standing at (x, y)."""
    for turn in (-26, 0, 24):
        with canvas.placed(x, y - 16, turn=turn):
            canvas.solid("M0 0C-9 -14 -6 -26 0 -34C6 -26 9 -14 0 0z", "#6f8f5f")
    canvas.solid(f"M{num(x - 5)} {num(y - 18)}h10q6 10 1 18h-12q-5 -8 1 -18z", "#ece5d8")


def _top(canvas: Canvas, y: float, *, left: float = 26, right: float = 214) -> None:
    """A table's board in perspective, its front edge at y."""
    canvas.volume(f"M{num(left)} {num(y)}L{num(left + 30)} {num(y - 24)}H{num(right - 26)}L{num(right)} {num(y)}z", depth=0.6)
    canvas.solid(rounded(left, y - 1, right - left, 10, 3), deep(canvas.colour, 0.12))
    _grain(canvas, left + 40, y - 15, (right - left) * 0.55)


def table(canvas: Canvas, tier: int) -> float:
    dice = canvas.dice
    y, wood = dice.between(140, 156), deep(canvas.colour, 0.1)
    style = dice.pick(("legs", "splayed", "round"))
    if style == "round":
        canvas.solid(limb(120, y + 8, 120, 236, 18, 14), wood)
        for x in (78, 162):
            canvas.solid(f"M120 232Q{num((x + 120) / 2)} 228 {x} 252h{8 if x < 120 else -8}Q120 244 120 240z", wood)
        canvas.volume(ellipse(120, y, 92, 19), depth=0.7)
        canvas.add(line(f"M29 {num(y + 3)}A92 19 0 0 0 211 {num(y + 3)}", deep(canvas.colour, 0.35), 4))
    else:
        out = 10 if style == "splayed" else 0
        for x, foot, side in ((66, 238, -1), (178, 238, 1), (42, 252, -1), (200, 252, 1)):
            canvas.solid(limb(x, y + 4, x + side * out, foot, 11, 7), wood if foot > 240 else deep(wood, 0.25))
        _top(canvas, y)
    if tier >= 1:
        _posy(canvas, dice.between(92, 140), y - 8)
    if tier >= 2:
        canvas.solid(f"M{num(150)} {num(y - 15)}h34q-3 11 -17 11t-17 -11z", pale(canvas.colour, 0.45))
    return 254


def low_table(canvas: Canvas, tier: int) -> float:
    """A coffee or side table."""
    for x, foot, side in ((70, 234, -1), (170, 234, 1), (48, 252, -1), (192, 252, 1)):
        canvas.solid(limb(x, 192, x + 8 * side, foot, 10, 6), deep(canvas.colour, 0.15 if foot > 240 else 0.35))
    _top(canvas, 190)
    canvas.solid(rounded(66, 172, 56, 9, 2), "#9a6a5c")
    canvas.solid(rounded(72, 164, 46, 8, 2), "#d8cdb8")
    _posy(canvas, 156, 180)
    if tier >= 2:
        canvas.solid(rounded(56, 220, 128, 7, 3), deep(canvas.colour, 0.2))
    return 254


def desk(canvas: Canvas, tier: int) -> float:
    dice, metal = canvas.dice, _brace(canvas, tier)
    canvas.solid(limb(46, 158, 42, 252, 11, 8), deep(canvas.colour, 0.15))
    canvas.solid(limb(72, 158, 70, 238, 9, 6), deep(canvas.colour, 0.35))
    canvas.volume(rounded(140, 158, 66, 90, 4), depth=0.8)
    for i in range(3):
        y = 162 + i * 29
        canvas.add(line(rounded(145, y, 56, 25, 3), deep(canvas.colour, 0.45), 1.2, opacity=0.7), disc(173, y + 12, 3, metal))
    _top(canvas, 156)
    canvas.solid(rounded(82, 84, 76, 50, 4), "#3a3d46")
    canvas.solid(rounded(86, 88, 68, 42, 2), dice.pick(("#8fb3c9", "#b7c7b0", "#d3b7a4")))
    canvas.solid("M114 134h12l3 9h-18z", "#8d939b")
    if tier >= 1:
        canvas.add(line("M186 142V104L170 90", metal, 3.4), oval(186, 143, 11, 3.4, metal))
        canvas.solid("M178 78L156 92Q160 104 172 102z", accent(canvas.colour, dice))
    return 252


def _side_chair(canvas: Canvas, x: float, *, flip: bool) -> None:
    """A dining chair from the side, its back at x."""
    wood = deep(canvas.colour, 0.18)
    with canvas.placed(x, 0, flip=flip):
        canvas.solid(limb(0, 120, 8, 200, 7, 8), wood)
        canvas.solid(limb(7, 196, 2, 254, 8, 6), wood)
        canvas.solid(limb(46, 200, 50, 254, 8, 6), wood)
        canvas.solid(rounded(2, 192, 52, 11, 5), "#cbb798")


def dining(canvas: Canvas, tier: int) -> float:
    """A table and its chairs."""
    _side_chair(canvas, 18, flip=False)
    _side_chair(canvas, 222, flip=True)
    for x in (74, 166):
        canvas.solid(limb(x, 168, x, 252, 12, 9), deep(canvas.colour, 0.2))
    _top(canvas, 166, left=44, right=196)
    _posy(canvas, 120, 158)
    if tier >= 1:
        for x in (84, 156):
            canvas.add(oval(x, 153, 15, 4.5, "#f5f0e6"), oval(x, 153, 9, 2.6, "#dcd5c6"))
    if tier >= 2:
        canvas.add(line("M120 34V66", "#5b5560", 2))
        canvas.solid("M96 90Q100 64 120 64T144 90z", BRASS)
    return 254


def chair(canvas: Canvas, tier: int) -> float:
    """A wooden chair with a seat pad."""
    dice = canvas.dice
    wood, top = canvas.colour, dice.between(58, 74)
    for x in (78, 162):
        canvas.solid(limb(x + (4 if x < 120 else -4), 168, x, 238, 8, 6), deep(wood, 0.3))
    for x in (80, 160):
        canvas.solid(limb(x, top, x, 176, 8, 10), wood)
    if dice.fraction() < 0.5:
        for i in range(4):
            canvas.solid(limb(96 + i * 16, top + 14, 96 + i * 16, 164, 6, 6), wood)
    else:
        for i in range(3):
            canvas.solid(rounded(82, top + 22 + i * 28, 76, 11, 5), wood)
    canvas.volume(f"M76 {num(top)}Q120 {num(top - 14)} 164 {num(top)}v18Q120 {num(top + 6)} 76 {num(top + 18)}z", wood)
    for x, side in ((68, -1), (172, 1)):
        canvas.solid(limb(x, 190, x + 4 * side, 254, 11, 7), wood)
    canvas.solid("M74 170H166L182 190Q120 200 58 190z", wood)
    pad = mix(accent(wood, dice), "#b5a48e", 0.4)
    canvas.volume("M80 166H160L172 184Q120 192 68 184z", pad, weave=weave_of(canvas, tier), depth=0.6)
    return 255


def armchair(canvas: Canvas, tier: int) -> float:
    dice, cloth = canvas.dice, canvas.colour
    top = dice.between(72, 92)
    for x, side in ((72, -1), (168, 1)):
        canvas.solid(limb(x, 226, x + 5 * side, 255, 9, 5), "#75503a")
    weave = weave_of(canvas, max(0, tier - 1))
    canvas.volume(
        f"M62 214V{num(top + 40)}Q62 {num(top)} 120 {num(top)}T178 {num(top + 40)}V214z", weave=weave,
        inside=[canvas.fold("M74 190Q120 176 166 190V216H74z", opacity=0.4)],
    )  # fmt: skip
    if tier >= 2:
        for x, y in ((96, top + 30), (120, top + 22), (144, top + 30), (108, top + 56), (132, top + 56)):
            canvas.add(disc(x, y, 3, deep(cloth, 0.45)), disc(x - 1, y - 1, 1.1, pale(cloth, 0.4)))
    canvas.volume("M74 178H166Q174 178 174 190V212H66V190Q66 178 74 178z", pale(cloth, 0.07), weave=weave)
    for x in (40, 172):
        canvas.volume(rounded(x, 150, 28, 82, 13), deep(cloth, 0.05))
    canvas.solid(rounded(64, 210, 112, 20, 5), deep(cloth, 0.12))
    return 255


def office_chair(canvas: Canvas, tier: int) -> float:
    cloth = mix(canvas.colour, "#3a3d46", 0.25)
    canvas.solid(limb(120, 186, 120, 232, 9, 9), "#6b7078")
    for x in (66, 92, 120, 148, 174):
        canvas.add(line(f"M120 230L{x} {num(246 - abs(x - 120) * 0.08)}", "#4a4d55", 6), disc(x, 250, 5, "#33353c"))
    for x, side in ((66, 1), (174, -1)):
        canvas.add(line(f"M{x} 140V162Q{x} 178 {x + 18 * side} 180", "#4a4d55", 6))
        canvas.solid(rounded(x - 9, 132, 18, 9, 4), "#3a3d46")
    canvas.volume("M80 150Q72 84 88 66Q120 54 152 66Q168 84 160 150Q120 162 80 150z", cloth,
                  weave=canvas.stripes(deep(cloth, 0.5), 8, 1.4, angle=90, opacity=0.35) if tier else "")  # fmt: skip
    canvas.volume("M72 166Q120 152 168 166Q176 184 164 190H76Q64 184 72 166z", cloth)
    if tier >= 2:
        canvas.volume(rounded(92, 40, 56, 22, 10), cloth)
    return 256


def sofa(canvas: Canvas, tier: int) -> float:
    dice, cloth = canvas.dice, canvas.colour
    seats = dice.pick((2, 3, 2))
    weave = weave_of(canvas, 0)
    for x in (46, 194):
        canvas.solid(limb(x, 222, x, 242, 8, 5), "#75503a")
    canvas.volume(rounded(30, 122, 180, 92, 16), weave=weave)
    wide = 152 / seats
    for i in range(seats):
        left = 44 + i * wide
        canvas.solid(rounded(left + 1, 130, wide - 2, 54, 9), pale(cloth, 0.04))
        if tier >= 2:
            canvas.add(*(disc(left + wide * f, 152, 2, deep(cloth, 0.45)) for f in (0.3, 0.7)))
    for i in range(seats):
        canvas.solid(rounded(44 + i * wide, 180, wide, 28, 8), pale(cloth, 0.1))
    canvas.solid(rounded(40, 206, 160, 18, 4), deep(cloth, 0.14))
    for x in (20, 190):
        canvas.volume(rounded(x, 150, 30, 76, 13), deep(cloth, 0.03))
    pillow = accent(cloth, dice)
    for x, turn in ((70, -8), (172, 10))[: 1 + (tier > 0)]:
        with canvas.placed(x, 166, turn=turn):
            canvas.solid("M-19 -17Q0 -12 19 -17Q14 0 19 17Q0 12 -19 17Q-14 0 -19 -17z", pillow)
    return 244


def living_room(canvas: Canvas, tier: int) -> float:
    """A sofa with a lamp behind and a table before it."""
    canvas.add(line("M200 226V84", "#6b5a48", 3))
    canvas.solid("M186 86L192 56H210L216 86z", "#efe0bd")
    with canvas.placed(14, 16, scale=0.84):
        sofa(canvas, 1)
    for x in (84, 140):
        canvas.solid(limb(x, 226, x, 250, 6, 4), "#75503a")
    canvas.solid(ellipse(112, 224, 46, 10), "#b98a58")
    return 252


def dresser(canvas: Canvas, tier: int) -> float:
    dice, metal = canvas.dice, _brace(canvas, tier)
    high, columns, rows = dice.between(116, 146), dice.pick((1, 2, 2)), dice.pick((3, 4))
    left, wide = (44, 152) if columns == 2 else (62, 116)
    top = 238 - high
    for x, side in ((left + 12, -1), (left + wide - 12, 1)):
        canvas.solid(limb(x, 234, x + 4 * side, 255, 10, 6), deep(canvas.colour, 0.3))
    canvas.volume(rounded(left, top, wide, high, 5), depth=0.7)
    w, h = (wide - 8) / columns, (high - 10) / rows
    for r in range(rows):
        for c in range(columns):
            across, down = left + 4 + c * w, top + 6 + r * h
            canvas.solid(rounded(across + 2, down + 2, w - 4, h - 4, 3), pale(canvas.colour, 0.08))
            canvas.add(disc(across + w / 2, down + h / 2, 3.2, metal))
    canvas.solid(rounded(left - 5, top - 7, wide + 10, 10, 3), deep(canvas.colour, 0.06))
    if tier >= 1:
        _posy(canvas, left + wide * 0.72, top - 6)
    return 256


def cabinet(canvas: Canvas, tier: int) -> float:
    """A sideboard with doors."""
    metal = _brace(canvas, tier)
    for x, side in ((40, -1), (200, 1)):
        canvas.solid(limb(x, 224, x + 5 * side, 254, 9, 5), deep(canvas.colour, 0.3))
    canvas.volume(rounded(24, 140, 192, 88, 5), depth=0.7)
    slats = canvas.stripes(deep(canvas.colour, 0.5), 6, 1.2, opacity=0.35) if canvas.dice.fraction() < 0.5 else ""
    for i in range(3):
        canvas.solid(rounded(30 + 61 * i, 147, 58, 74, 3), pale(canvas.colour, 0.08), weave=slats)
        canvas.solid(rounded(80 + 61 * i if i < 2 else 158, 176, 4, 18, 2), metal)
    canvas.solid(rounded(20, 133, 200, 10, 3), deep(canvas.colour, 0.06))
    _posy(canvas, 66, 134)
    if tier >= 1:
        canvas.solid(rounded(140, 84, 50, 48, 3), "#e9e2d4")
        canvas.add(line("M148 124l14 -22l10 12l8 -14l6 24", "#8a9a8c", 2))
    return 256


def mirror(canvas: Canvas, tier: int) -> float:
    """A vanity: drawers under a round mirror."""
    canvas.solid(ring(120, 98, 52, 52, 8), _brace(canvas, tier))
    canvas.solid(ellipse(120, 98, 45, 45), "#dfe8ec")
    canvas.add(line("M94 104L126 66M104 118L144 72", "#ffffff", 4, opacity=0.7))
    for x in (58, 182):
        canvas.solid(limb(x, 190, x, 255, 9, 6), deep(canvas.colour, 0.2))
    canvas.volume(rounded(44, 152, 152, 46, 4), depth=0.7)
    for x in (50, 122):
        canvas.solid(rounded(x, 160, 68, 30, 3), pale(canvas.colour, 0.08))
        canvas.add(disc(x + 34, 175, 3, _brace(canvas, tier)))
    return 256


def shelf(canvas: Canvas, tier: int) -> float:
    """Shelves with books on them."""
    canvas.solid(rounded(58, 48, 124, 204, 4), deep(canvas.colour, 0.35))
    for i in range(4):
        y = 96 + 48 * i
        x = 68.0
        for _ in range(4 + (i % 2)):
            wide, high = canvas.dice.between(8, 15), canvas.dice.between(24, 36)
            tone = canvas.dice.pick(("#9a5c50", "#d6c6a8", "#5f7f8c", "#84844a"))
            canvas.solid(rounded(x, y - high, wide, high, 1), tone)
            x += wide + 1
        canvas.solid(rounded(58, y, 124, 8, 2))
    for x in (54, 178):
        canvas.solid(rounded(x, 44, 9, 210, 3))
    canvas.solid(rounded(54, 42, 133, 9, 3))
    if tier >= 1:
        _posy(canvas, 158, 192)
    return 255


def table_lamp(canvas: Canvas, tier: int) -> float:
    dice = canvas.dice
    shade = pale(mix(canvas.colour, "#efe0bd", 0.7), 0.1)
    base = canvas.colour
    canvas.add(f'<g filter="url(#soft)">{oval(120, 138, 66, 50, "#ffe2a0", opacity=0.45)}</g>')
    style = dice.pick(("gourd", "stem", "block"))
    if style == "gourd":
        canvas.volume("M112 146h16q2 18 22 36q18 22 4 48q-4 18 -34 18t-34 -18q-14 -26 4 -48q20 -18 22 -36z", base)
    elif style == "stem":
        canvas.solid(limb(120, 140, 120, 240, 8, 8), _brace(canvas, tier))
        canvas.solid(ellipse(120, 244, 38, 9), base)
    else:
        canvas.volume(rounded(94, 176, 52, 72, 8), base, weave=weave_of(canvas, tier))
        canvas.solid(limb(120, 146, 120, 178, 6, 6), _brace(canvas, tier))
    flare = dice.between(6, 26)
    canvas.volume(f"M{num(70 + flare)} 62H{num(170 - flare)}L178 148H62z", shade, depth=0.6)
    if tier >= 2:
        canvas.add(line("M63 142H177", BRASS, 2))
    return 252


def floor_lamp(canvas: Canvas, tier: int) -> float:
    metal = _brace(canvas, tier)
    canvas.add(f'<g filter="url(#soft)">{oval(120, 84, 58, 40, "#ffe2a0", opacity=0.45)}</g>')
    if canvas.dice.fraction() < 0.5:
        for x in (84, 120, 156):
            canvas.solid(limb(120, 110, x, 254, 6, 5), mix(canvas.colour, "#8a5f3f", 0.3))
    else:
        canvas.solid(limb(120, 96, 120, 246, 5, 5), metal)
        canvas.solid(ellipse(120, 248, 36, 7), metal)
    canvas.volume("M92 42H148L166 108H74z", pale(mix(canvas.colour, "#efe0bd", 0.65), 0.1), depth=0.6)
    return 254


def pendant(canvas: Canvas, tier: int) -> None:
    """A lamp that hangs."""
    dice, metal = canvas.dice, _brace(canvas, tier)
    canvas.add(line("M120 0V96", "#4a4d55", 2.4), f'<g filter="url(#soft)">{oval(120, 196, 70, 44, "#ffe2a0", opacity=0.5)}</g>')
    canvas.solid(rounded(111, 88, 18, 20, 4), metal)
    style = dice.pick(("dome", "globe", "cone", "woven"))
    if style == "globe":
        canvas.volume(ellipse(120, 160, 58, 56), mix(canvas.colour, "#fff4da", 0.6), depth=0.6)
    else:
        d = {"dome": "M50 182C50 120 84 104 120 104S190 120 190 182z", "cone": "M104 104H136L188 186H52z",
             "woven": "M98 104H142C190 118 190 186 160 200H80C50 186 50 118 98 104z"}[style]  # fmt: skip
        weave = canvas.check(deep(canvas.colour, 0.5), 9, 2.4, opacity=0.4) if style == "woven" else ""
        canvas.volume(d, weave=weave)
        if style != "woven":
            canvas.add(oval(120, 184, 68 if style == "dome" else 66, 8, "#fff0c4"), disc(120, 188, 13, "#fff8e2"))
        if tier >= 2:
            canvas.add(line("M56 176Q120 188 184 176", BRASS, 2.4))


def chandelier(canvas: Canvas, tier: int) -> None:
    metal = _brace(canvas, tier)
    canvas.add(line("M120 0V120", metal, 3), f'<g filter="url(#soft)">{oval(120, 150, 90, 46, "#ffe2a0", opacity=0.4)}</g>')
    for x in (40, 80, 160, 200):
        canvas.add(line(f"M120 196C{num(120 + (x - 120) * 0.5)} 226 {x} 214 {x} 172", metal, 4))
    for x, y in ((40, 170), (80, 172), (160, 172), (200, 170), (120, 150)):
        canvas.solid(rounded(x - 5, y - 28, 10, 28, 2), "#f7f0df")
        canvas.add(shape(f"M{x} {y - 50}q8 12 0 20q-8 -8 0 -20z", "#f7c15c"))
    canvas.solid("M112 120h16l4 60q-12 26 -24 0z", metal)
    for x in (60, 100, 140, 180):
        canvas.solid(f"M{x} 206l5 9l-5 11l-5 -11z", mix(canvas.colour, "#e4eef2", 0.7))
