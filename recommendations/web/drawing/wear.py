"""Drawn clothes and shoes. Each paints itself and gives the height of its floor, None if it hangs."""

from __future__ import annotations

import math

from recommendations.web.drawing.outlines import ellipse, rounded, star_path, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, mix, num, pale
from recommendations.web.drawing.trimmings import button, metal_of, thread

CLOTH = ("#4b6a8e", "#7d5941", "#6f7d5c", "#8d939b", "#a5584f", "#3f4a5e", "#c0a27a")
HIDE = ("#8b5c3d", "#b5743f", "#4f382c", "#33343b", "#99592f")


def jacket(canvas: Canvas, tier: int) -> None:
    """A jacket; its cut from the dice: zipped, with lapels, or quilted."""
    _coat(canvas, tier, canvas.dice.pick(("zip", "lapels", "zip")), 232)


def puffer(canvas: Canvas, tier: int) -> None:
    _coat(canvas, tier, "quilt", 226)


def denim(canvas: Canvas, tier: int) -> None:
    _coat(canvas, max(tier, 1), "denim", 214)


def overcoat(canvas: Canvas, tier: int) -> None:
    _coat(canvas, tier, "lapels", 268)


def _coat(canvas: Canvas, tier: int, cut: str, hem: float) -> None:
    cloth, stitch = canvas.colour, thread(canvas.colour)
    weave = canvas.stripes(deep(cloth, 0.55), 21, 2.2, angle=90, opacity=0.5) if cut == "quilt" else ""
    for side in (False, True):
        with canvas.placed(240 if side else 0, 0, flip=side):
            canvas.volume(f"M84 62Q50 70 42 112L26 {num(hem - 26)}Q38 {num(hem - 14)} 54 {num(hem - 20)}L80 122z",
                          deep(cloth, 0.05), weave=weave)  # fmt: skip
            canvas.add(line(f"M29 {num(hem - 38)}q12 10 27 5", stitch if tier else deep(cloth, 0.4), 1.6, opacity=0.7))
    canvas.volume(
        f"M88 58Q120 74 152 58L172 72Q166 140 174 {num(hem)}Q120 {num(hem + 10)} 66 {num(hem)}Q74 140 68 72z", weave=weave
    )
    if cut == "lapels":
        canvas.solid("M98 60Q120 78 142 60L122 124L118 124z", pale(mix(cloth, "#efe6d2", 0.75), 0.2))
        for side in (False, True):
            with canvas.placed(240 if side else 0, 0, flip=side):
                canvas.solid("M90 56Q98 58 104 68L120 126L96 104L100 94L84 88z", deep(cloth, 0.12))
                canvas.add(line(f"M78 {num(hem * 0.72)}h24", deep(cloth, 0.5), 2.2))
        canvas.add(*(button(122, 138 + 24 * i, 3.4, metal_of(tier)) for i in range(2 + (hem > 250) * 2)))
    else:
        canvas.solid("M84 60Q88 42 120 42T156 60Q140 76 120 76T84 60z", deep(cloth, 0.22))
        canvas.add(
            line(f"M120 74V{num(hem + 3)}", deep(cloth, 0.6), 3),
            line(f"M120 76V{num(hem)}", metal_of(tier), 1.4, dash="2 2"),
        )
        for x in (82, 134):
            if cut == "denim":
                canvas.add(line(f"M{x} 106h24v20l-12 8l-12 -8zM{x} 114h24", stitch, 1.3, dash="3 2"))
            else:
                canvas.add(line(f"M{x} {num(hem * 0.8)}l{18 if x < 100 else 24} {8 if x < 100 else 0}", deep(cloth, 0.5), 2))
    if tier >= 1:
        canvas.add(line(f"M68 {num(hem - 9)}Q120 {num(hem + 1)} 172 {num(hem - 9)}", stitch, 1, dash="3 2", opacity=0.7))
    if tier == 3:
        canvas.solid(rounded(140, 100, 14, 10, 2), metal_of(3))


def shirt(canvas: Canvas, tier: int) -> None:
    """A shirt with buttons."""
    weave = weave_of(canvas, tier)
    _sleeves(canvas, 196, weave)
    canvas.volume("M92 62Q120 76 148 62L170 76Q164 150 170 236Q120 248 70 236Q76 150 70 76z", weave=weave)
    canvas.add(line("M120 82V242", deep(canvas.colour, 0.4), 1.4, opacity=0.7))
    canvas.add(*(button(120, 100 + 28 * i, 2.6, pale(canvas.colour, 0.6)) for i in range(5)))
    for flip in (False, True):
        with canvas.placed(240 if flip else 0, 0, flip=flip):
            canvas.solid("M96 50L120 78L98 92L86 62z", pale(canvas.colour, 0.16))
    if tier >= 1:
        canvas.add(line("M136 112h24v24l-12 7l-12 -7z", deep(canvas.colour, 0.4), 1.3, opacity=0.7))


def plaid_shirt(canvas: Canvas, tier: int) -> None:
    weave = canvas.check(deep(canvas.colour, 0.6), 26, 11, opacity=0.42)
    _sleeves(canvas, 196, weave)
    canvas.volume("M92 62Q120 76 148 62L170 76Q164 150 170 236Q120 248 70 236Q76 150 70 76z", weave=weave)
    canvas.add(line("M120 82V242", deep(canvas.colour, 0.5), 1.6))
    canvas.add(*(button(120, 100 + 28 * i, 2.6, "#f4ecdd") for i in range(5)))
    for flip in (False, True):
        with canvas.placed(240 if flip else 0, 0, flip=flip):
            canvas.solid("M96 50L120 78L98 92L86 62z", deep(canvas.colour, 0.1))


def tee(canvas: Canvas, tier: int) -> None:
    weave = weave_of(canvas, 0) if canvas.dice.fraction() < 0.4 else ""
    _sleeves(canvas, 132, weave)
    canvas.volume("M92 60Q120 82 148 60L172 74Q166 150 170 240Q120 250 70 240Q74 150 68 74z", weave=weave,
                  inside=[canvas.fold("M84 120Q112 150 96 240H84z", opacity=0.2)])  # fmt: skip
    canvas.add(
        line("M93 60Q120 90 147 60", deep(canvas.colour, 0.3), 5), line("M93 60Q120 90 147 60", pale(canvas.colour, 0.2), 1)
    )
    if tier >= 1:
        canvas.add(line("M70 232Q120 242 170 232", thread(canvas.colour), 1, dash="3 2", opacity=0.6))


def _sleeves(canvas: Canvas, end: float, weave: str) -> None:
    for flip in (False, True):
        with canvas.placed(240 if flip else 0, 0, flip=flip):
            wide = 20 if end > 150 else 30
            canvas.volume(
                f"M86 62Q56 66 46 100L{num(60 - end * 0.17)} {num(end)}l{wide} 8L82 124z", deep(canvas.colour, 0.05), weave=weave
            )


def gown(canvas: Canvas, tier: int) -> None:
    """A dress."""
    weave = weave_of(canvas, tier)
    canvas.volume("M92 44Q100 84 120 84T148 44H158Q164 96 150 126Q176 190 190 258Q120 276 50 258Q64 190 90 126Q76 96 82 44z",
                  weave=weave, inside=[canvas.fold("M108 132L84 262H104z"), canvas.fold("M136 132L152 262H134z")])  # fmt: skip
    canvas.solid("M90 122Q120 130 150 122V134Q120 142 90 134z", deep(canvas.colour, 0.2))


def scarf(canvas: Canvas, tier: int) -> None:
    """A scarf, once round, its ends hanging."""
    tone = accent(canvas.colour, canvas.dice)
    style = canvas.dice.pick(("check", "stripes", "own"))
    if style == "check":
        weave = canvas.check(tone, 28, 9, opacity=0.35)
    else:
        weave = canvas.stripes(tone, 30, 8, angle=90, opacity=0.55) if style == "stripes" else weave_of(canvas, 0)
    for x, end, turn in ((104, 252, 5), (138, 226, -6)):
        with canvas.placed(x, 112, turn=turn):
            canvas.volume(f"M-20 0H20L24 {end - 112}H-24z", deep(canvas.colour, 0.03), weave=weave)
            canvas.add(*(line(f"M{-22 + 6 * i} {end - 112}v15", canvas.colour, 2.4) for i in range(8)))
    canvas.volume("M60 82Q62 52 120 50T180 82Q184 128 120 134T60 82z", weave=weave,
                  inside=[canvas.fold("M70 92Q120 130 172 92Q150 124 120 124T70 92z", opacity=0.4)])  # fmt: skip
    canvas.volume("M82 80Q90 68 120 68T158 80Q150 100 120 100T82 80z", deep(canvas.colour, 0.4), depth=0.6)


def socks(canvas: Canvas, tier: int) -> None:
    dice, tone = canvas.dice, accent(canvas.colour, canvas.dice)
    style = dice.pick(("stripes", "dots", "check"))
    if style == "stripes":
        weave = canvas.stripes(tone, 22, 8, angle=90, opacity=0.75)
    else:
        weave = canvas.dots(tone, 18, 3.4) if style == "dots" else canvas.check(tone, 20, 5)
    for x, turn in ((-24, -6), (34, 5)):
        with canvas.placed(x, 8, turn=turn):
            canvas.volume("M74 62H122V158Q126 172 148 186Q170 202 156 222Q142 238 112 222L82 196Q72 186 74 170z", weave=weave)
            canvas.solid("M72 56H124V84Q98 92 72 84z", pale(tone, 0.1))
            canvas.solid("M140 182Q172 202 156 222Q148 232 132 229Q128 202 140 182z", tone)
            if tier >= 1:
                canvas.solid("M74 170Q74 188 84 198Q96 190 92 172Q82 162 74 170z", tone)


def sneaker(canvas: Canvas, tier: int) -> float:
    dice = canvas.dice
    high, tone = dice.fraction() < 0.45, accent(canvas.colour, dice)
    top = 104 if high else 140
    sole = "#f2eee4" if dice.fraction() < 0.75 else deep(canvas.colour, 0.5)
    for back, x, y in ((True, 20, -22), (False, 0, 0)):
        with canvas.placed(x, y):
            colour = deep(canvas.colour, 0.18) if back else canvas.colour
            canvas.volume(
                f"M30 {top}Q56 {top + 8} 84 {top - 4}Q100 152 132 174Q176 184 206 200Q218 210 212 224H28Q22 180 30 {top}z", colour
            )
            canvas.solid("M24 220H214Q220 240 202 242H36Q22 240 24 220z", sole)
            canvas.add(line("M28 230H212", deep(sole, 0.2), 1.4))
            if back:
                continue
            canvas.solid("M168 184Q216 194 213 221H160Q158 198 168 184z", pale(colour, 0.4) if tier else colour)
            canvas.add(*(line(f"M{num(88 + 14 * i)} {num(142 + 11 * i)}l22 -7", "#f7f2e8", 4) for i in range(4)))
            canvas.solid(f"M44 216Q70 {190 - 10 * tier} 128 196Q92 206 74 218z", tone)
            if high:
                canvas.add(disc(56, 140, 12, pale(tone, 0.3)), line(star_path(56, 140, 7), colour, 1.6))
    return 250


def boot(canvas: Canvas, tier: int) -> float:
    dice = canvas.dice
    top = dice.pick((62, 84, 40))
    sole = deep(canvas.colour, 0.6)
    for back, x, y in ((True, 22, -16), (False, 0, 0)):
        with canvas.placed(x, y):
            colour = deep(canvas.colour, 0.2) if back else canvas.colour
            canvas.volume(f"M42 {top}H112Q108 130 116 160Q156 174 190 190Q210 202 206 230H44Q38 170 42 {top}z", colour)
            canvas.solid("M40 226H208Q212 244 200 246H100L96 240L88 250H42z", sole)
            if back:
                continue
            canvas.solid(f"M40 {top - 4}H114V{top + 12}H40z", deep(colour, 0.22))
            canvas.add(line("M44 219H205", pale(colour, 0.4), 1.2, dash="3 2"))
            for i in range(5):
                y0 = top + 26 + i * (150 - top) / 5
                canvas.add(line(f"M92 {num(y0)}l22 -5", pale(colour, 0.5), 3), disc(91, y0, 2.4, metal_of(tier)))
            if tier >= 2:
                canvas.add(line(f"M44 {top + 40}Q70 {top + 60} 56 220", pale(colour, 0.4), 1.2, dash="3 2"))
    return 254


def oxford(canvas: Canvas, tier: int) -> float:
    """A laced leather shoe."""
    for back, x, y in ((True, 18, -20), (False, 0, 0)):
        with canvas.placed(x, y):
            colour = deep(canvas.colour, 0.22) if back else canvas.colour
            canvas.volume("M28 148Q60 142 92 150Q122 178 160 186Q204 192 214 210Q216 222 210 226H28Q20 186 28 148z", colour,
                          inside=[] if back else [canvas.gleam(ellipse(176, 198, 26, 7), opacity=0.7)])  # fmt: skip
            canvas.solid("M24 224H214Q216 234 206 236H84V244H26z", deep(colour, 0.6))
            if back:
                continue
            canvas.add(line("M150 185Q134 204 152 226M92 152Q78 190 98 226", deep(colour, 0.5), 1.6))
            canvas.add(*(line(f"M{96 + 13 * i} {160 + 8 * i}l16 -5", "#2d2b31", 2.6) for i in range(4)))
            if tier >= 1:
                canvas.add(line("M157 188Q142 206 158 222M32 214H208", pale(colour, 0.45), 1.4, dash="1 4"))
            if tier >= 2:
                canvas.add(*(disc(174 + 7 * math.cos(a), 205 + 5 * math.sin(a), 1.2, deep(colour, 0.6)) for a in range(6)))
    return 248


def heel(canvas: Canvas, tier: int) -> float:
    """A shoe with a high heel."""
    tone = pale(canvas.colour, 0.3)
    for back, x, y in ((True, 22, -22), (False, 0, 0)):
        with canvas.placed(x, y):
            colour = deep(canvas.colour, 0.22) if back else canvas.colour
            canvas.solid("M34 144Q44 190 40 250H48Q56 196 66 172z", deep(colour, 0.3))
            canvas.volume(
                (
                    "M30 118Q44 104 52 120Q72 160 126 196Q150 206 196 226"
                    "Q214 236 206 246H150Q118 246 90 206Q62 172 40 168Q26 150 30 118z"
                ),
                colour,
            )
            canvas.solid("M60 134Q92 178 140 202Q112 212 92 190Q72 168 56 150z", mix(colour, "#e8cfae", 0.7))
            if not back and tier >= 1:
                canvas.add(line("M66 142Q104 116 122 190", deep(colour, 0.1), 5 + tier))
            if not back and tier >= 2:
                canvas.add(disc(104, 146, 5, "#d2b15f"), disc(102.6, 144.6, 1.8, tone))
    return 252


def flip_flop(canvas: Canvas, tier: int) -> None:
    tone = accent(canvas.colour, canvas.dice)
    strap = deep(tone, 0.1)
    for x, flip in ((72, False), (168, True)):
        with canvas.placed(x, 0, turn=-6 if not flip else 6, flip=flip):
            sole = "M-34 92Q-30 48 4 46Q38 50 38 104Q34 140 30 176Q32 236 0 256Q-32 250 -30 196Q-26 150 -34 92z"
            canvas.solid(sole, deep(canvas.colour, 0.35))
            with canvas.placed(0, -5):
                canvas.volume(sole, weave=weave_of(canvas, tier) if tier else "", depth=0.6)
            canvas.add(line("M6 86Q-30 108 -30 166M6 86Q34 112 32 168", strap, 9 + tier), disc(6, 84, 6, deep(strap, 0.2)))


def sandal(canvas: Canvas, tier: int) -> float:
    """A pair of leather sandals from above, with straps and a buckle."""
    for x, flip in ((70, False), (170, True)):
        with canvas.placed(x, 0, flip=flip):
            sole = "M-36 84Q-28 44 6 42Q40 48 40 104Q36 140 32 178Q32 238 0 254Q-32 250 -31 196Q-27 150 -36 84z"
            canvas.solid(sole, deep(canvas.colour, 0.45))
            with canvas.placed(0, -5):
                canvas.solid(sole, mix(canvas.colour, "#caa97c", 0.65))
                canvas.solid(ellipse(1, 90, 25, 28), mix(canvas.colour, "#8f6a44", 0.5))
            for y, lean in ((92, 10), (126, -8)):
                canvas.volume(
                    f"M-42 {y + lean}Q0 {y - 34} 44 {y - lean}V{y - lean + 21}Q0 {y - 12} -42 {y + lean + 22}z", depth=0.7
                )
            canvas.add(
                line("M-33 188Q0 158 34 186", canvas.colour, 12),
                line("M-33 188Q0 158 34 186", thread(canvas.colour), 1, dash="3 3"),
            )
            canvas.solid(rounded(24, 172, 15, 17, 3), metal_of(tier))
    return 256
