"""Drawn flowers and plants. Each paints itself and gives the height of the floor it stands on, None if it hangs."""

from __future__ import annotations

import math

from recommendations.web.drawing.outlines import ellipse, rounded, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, mix, num, pale, shape

PETALS = ("#d98ca0", "#b9363a", "#f0e2d6", "#e2a24e", "#8a6fae", "#e6b8b0")
GREEN, PINE, RED, GOLD = "#6f8f5f", "#44684c", "#bb4346", "#d1a648"


def _head(canvas: Canvas, tone: str, kind: str) -> str:
    """The stencil of a flower's head, 20 across its half: rose, daisy, tulip or a ball of small petals."""
    with canvas.stencil() as name:
        if kind == "rose":
            canvas.solid(ellipse(0, 0, 20, 19), tone)
            canvas.add(
                line("M-13 4Q-12 -12 2 -12T12 2Q8 12 -4 10T-8 -2Q-2 -8 4 -2", deep(tone, 0.35), 2),
                line("M-17 8Q-4 20 16 8", pale(tone, 0.4), 2),
            )
        elif kind == "tulip":
            canvas.solid("M-17 -18L-7 -8L0 -22L7 -8L17 -18Q24 12 0 20Q-24 12 -17 -18z", tone)
        elif kind == "daisy":
            petals = "".join(f'<ellipse rx="5" ry="10" cy="-12" transform="rotate({45 * i})"/>' for i in range(8))
            canvas.add(f'<g fill="{tone}">{petals}</g>', disc(0, 0, 6, "#e2bd56"))
        else:
            canvas.add(disc(0, 0, 20, deep(tone, 0.25)))
            for i in range(8):
                r = 13 * (i / 8) ** 0.5
                canvas.add(disc(r * math.cos(2.4 * i), r * math.sin(2.4 * i), 6.6, pale(tone, 0.1 + 0.05 * (i % 3))))
    return name


def bloom(canvas: Canvas, x: float, y: float, r: float, tone: str, kind: str) -> None:
    """One flower's head about (x, y)."""
    canvas.stamp(_head(canvas, tone, kind), x, y, scale=r / 20)


def leaf_stencil(canvas: Canvas, tone: str, long: float, wide: float) -> str:
    """The stencil of a leaf that points up from its stalk at the origin."""
    with canvas.stencil() as name:
        canvas.solid(f"M0 0Q{num(-wide)} {num(-long * 0.5)} 0 {num(-long)}Q{num(wide)} {num(-long * 0.5)} 0 0z", tone)
    return name


def _spray(canvas: Canvas, centre: tuple[float, float], tier: int, *, wide: float, tones: tuple[str, ...]) -> None:
    """A dome of flowers and leaves."""
    x0, y0 = centre
    leaves = [leaf_stencil(canvas, tone, wide * 1.15, 15) for tone in (GREEN, "#88a374")]
    for i in range(7):
        canvas.stamp(leaves[i % 2], x0, y0 + 10, turn=-78 + 26 * i)
    kind = canvas.dice.pick(("rose", "daisy", "tulip", "ball", "rose"))
    heads = [_head(canvas, tone, k) for tone, k in zip(tones, ("rose", kind, "daisy"), strict=False)]
    places = (
        *((-0.62, -0.1), (0.62, -0.12), (-0.34, -0.52), (0.32, -0.55), (0, -0.86)),
        *((0, -0.22), (-0.74, -0.55), (0.74, -0.5), (-0.3, 0.08), (0.32, 0.06)),
    )
    for i, (dx, dy) in enumerate(places[: 7 + tier]):
        canvas.stamp(heads[i % 3], x0 + dx * wide, y0 + dy * wide, scale=wide * canvas.dice.between(0.25, 0.31) / 20)


def _tones(canvas: Canvas) -> tuple[str, ...]:
    return canvas.colour, pale(canvas.colour, 0.4), canvas.dice.pick(PETALS)


def bouquet(canvas: Canvas, tier: int) -> float:
    """Flowers wrapped in paper."""
    wrap = canvas.dice.pick(("#e8ddc9", "#d9c3a0", "#e6d3d0", "#cfd6cc"))
    canvas.solid("M48 132L120 262L192 132z", deep(wrap, 0.12))
    _spray(canvas, (120, 128), tier, wide=72, tones=_tones(canvas))
    canvas.volume("M40 128Q84 176 116 176L120 264Q112 268 104 264z", wrap, depth=0.7)
    canvas.volume("M200 128Q156 176 124 176L120 264Q130 268 138 264z", pale(wrap, 0.25), depth=0.7)
    ribbon = accent(canvas.colour, canvas.dice)
    canvas.solid(rounded(100, 214, 40, 11, 4), ribbon)
    canvas.solid("M120 220L92 206V236zM120 220L148 206V236z", ribbon)
    return 266


def arrangement(canvas: Canvas, tier: int) -> float:
    """Flowers in a vase."""
    _spray(canvas, (120, 126), tier, wide=72, tones=_tones(canvas))
    vase = canvas.dice.pick(("#dfe8ea", "#ece5d8", "#b9c7cc", "#c9a57a"))
    d = canvas.dice.pick(
        (
            "M88 150H152L144 190Q164 220 144 252H96Q76 220 96 190z",
            "M84 152H156V240Q156 252 144 252H96Q84 252 84 240z",
            "M92 150H148Q180 200 150 252H90Q60 200 92 150z",
        )
    )
    canvas.volume(d, vase, depth=0.7)
    if tier >= 1:
        canvas.add(line("M104 168V236", "#ffffff", 6, opacity=0.45))
    return 254


def centrepiece(canvas: Canvas, tier: int) -> float:
    """A low bowl of flowers between candles."""
    for x in (40, 200):
        canvas.solid(rounded(x - 7, 120, 14, 110, 3), "#f3ead8")
        canvas.add(shape(f"M{x} 92q10 15 0 25q-10 -10 0 -25z", "#f4ab3f"))
        canvas.solid(rounded(x - 15, 226, 30, 12, 4), GOLD)
    _spray(canvas, (120, 186), tier, wide=66, tones=_tones(canvas))
    canvas.volume("M52 202H188Q182 246 150 246H90Q58 246 52 202z", "#e9e1d2")
    return 250


def corsage(canvas: Canvas, tier: int) -> None:
    """A boutonniere: one flower, pinned."""
    for turn in (-40, 30, -8):
        canvas.stamp(leaf_stencil(canvas, GREEN, 84, 16), 120, 150, turn=turn)
    canvas.add(line("M120 160Q116 210 122 250M124 160Q136 210 134 246", "#5f8148", 5))
    bloom(canvas, 120, 146, 46, canvas.colour, "rose")
    bloom(canvas, 158, 178, 18, "#f4ecdd", "daisy")
    canvas.solid("M120 216L94 202V232zM120 216L148 202V232z", accent(canvas.colour, canvas.dice))


def wreath(canvas: Canvas, tier: int) -> None:
    leafy = canvas.dice.pick(("#5d7f58", PINE, "#7f8a58", "#8a6a48"))
    canvas.add(line(ellipse(120, 150, 68, 68), "#7d5941", 15))
    leaves = [leaf_stencil(canvas, mix(leafy, "#a3b58a", 0.16 * i), 40, 13) for i in range(3)]
    for i in range(30):
        a = 2 * math.pi * i / 30
        x, y = 120 + 68 * math.cos(a), 150 + 68 * math.sin(a)
        canvas.stamp(leaves[i % 3], x, y, turn=math.degrees(a) + (55 if i % 2 else 120))
    with canvas.stencil() as berry:
        canvas.add(disc(0, 0, 7, canvas.colour), disc(-2, -2, 2.2, pale(canvas.colour, 0.7)))
    for i in range(6 + 2 * tier):
        a = 2 * math.pi * i / (6 + 2 * tier) + 0.3
        canvas.stamp(berry, 120 + 68 * math.cos(a), 150 + 68 * math.sin(a))
    if tier >= 1:
        bow(canvas, 120, 222, 1.0, accent(canvas.colour, canvas.dice) if canvas.dice.fraction() < 0.4 else RED)


def bow(canvas: Canvas, x: float, y: float, scale: float, tone: str) -> None:
    with canvas.placed(x, y, scale=scale):
        canvas.solid("M-4 4L-24 44L-8 38L0 48L8 38L24 44L4 4z", deep(tone, 0.15))
        canvas.solid("M0 0C-14 -26 -48 -28 -44 0C-48 24 -14 24 0 0zM0 0C14 -26 48 -28 44 0C48 24 14 24 0 0z", tone)
        canvas.solid(ellipse(0, 0, 9, 9), deep(tone, 0.1))


def _pot(canvas: Canvas, tier: int) -> None:
    pot, dice = canvas.colour, canvas.dice
    if dice.fraction() < 0.5:
        canvas.volume("M76 190H164L152 244Q150 252 142 252H98Q90 252 88 244z", pot, weave=weave_of(canvas, tier))
        canvas.solid(rounded(70, 180, 100, 17, 4), pale(pot, 0.12))
    else:
        canvas.volume("M68 186H172Q180 244 142 252H98Q60 244 68 186z", pot, weave=weave_of(canvas, tier))
        canvas.solid(ellipse(120, 187, 52, 9), "#5a4636")


def _frond(canvas: Canvas, kind: str, tone: str) -> str:
    """The stencil of a pot plant's leaf with its stalk, 120 high. kind : broad, blades or fronds."""
    with canvas.stencil() as name:
        if kind == "blades":
            canvas.solid("M-9 0Q-15 -60 0 -120Q15 -60 9 0z", tone)
            canvas.add(line("M0 -8V-106", "#d9dca0", 2, opacity=0.7))
        elif kind == "broad":
            canvas.add(line("M0 0V-60", "#5f8148", 3))
            canvas.solid("M0 -42C-42 -66 -26 -120 0 -130C26 -120 42 -66 0 -42z", tone)
            canvas.add(line("M0 -48V-120", pale(tone, 0.4), 1.4))
        else:
            canvas.add(line("M0 0Q6 -72 14 -120", tone, 3))
            for t in (0.3, 0.5, 0.7, 0.88):
                x, y = 14 * t * t, -120 * t
                canvas.add(line(f"M{num(x - 18)} {num(y - 12)}L{num(x)} {num(y)}l19 -8", tone, 5))
    return name


def plant(canvas: Canvas, tier: int) -> float:
    """A leafy plant in its pot."""
    dice = canvas.dice
    leaf = dice.pick(("#5f8a55", "#4f7a56", "#7c9a5a"))
    kind = dice.pick(("broad", "blades", "fronds"))
    count = 7 + tier
    leaves = [_frond(canvas, kind, tone) for tone in (leaf, mix(leaf, "#b5c98a", 0.3))]
    for i in range(count):
        spread = (i + 0.5) / count * 2 - 1
        turn = spread * (24 if kind == "blades" else 66)
        canvas.stamp(leaves[i % 2], 120 + spread * 18, 192, turn=turn, scale=dice.between(0.78, 1.18) * (1 - 0.15 * abs(spread)))
    _pot(canvas, tier)
    return 254


def succulent(canvas: Canvas, tier: int) -> float:
    leaf = canvas.dice.pick(("#7fa08a", "#93a583", "#8aa9a0", "#a9a98a"))
    for layer, (count, size) in enumerate(((9, 84), (8, 62), (6, 40))):
        petal = leaf_stencil(canvas, mix(pale(leaf, 0.14 * layer), "#d98c98", 0.1 * layer), size, size * 0.34)
        for i in range(count):
            canvas.stamp(petal, 120, 158, turn=360 / count * i + 18 * layer)
    canvas.volume("M64 190Q120 204 176 190L164 242Q160 252 150 252H90Q80 252 76 242z", weave=weave_of(canvas, tier))
    return 254


def cactus(canvas: Canvas, tier: int) -> float:
    green = canvas.dice.pick(("#5f8a5a", "#6f9a78"))
    ribs = canvas.stripes(deep(green, 0.4), 11, 1.6, opacity=0.6)
    for d in (
        "M74 126Q74 112 86 112T98 126V148H110V170H90Q74 168 74 152z",
        "M166 106Q166 94 155 94T144 106V140H132V160H148Q166 158 166 142z",
        "M94 190V84Q94 56 120 56T146 84V190z",
    ):
        canvas.volume(d, green, weave=ribs)
    bloom(canvas, 120, 56, 15, "#d98ca0", "daisy")
    _pot(canvas, tier)
    return 254


def bonsai(canvas: Canvas, tier: int) -> float:
    canvas.add(line("M124 214Q104 186 130 166T112 120M130 170Q164 160 168 138M118 142Q90 136 76 122", "#7d5941", 12))
    for x, y, w in ((112, 96, 52), (176, 130, 38), (66, 118, 36)):
        canvas.volume(
            f"M{x - w} {y + 14}Q{x - w} {y - 26} {x} {y - 30}T{x + w} {y + 14}Q{x} {y + 26} {x - w} {y + 14}z",
            "#56805a",
            weave=canvas.dots("#7fa56f", 9, 2.2, opacity=0.6),
        )
    canvas.volume("M50 212H190L178 244Q174 250 166 250H74Q66 250 62 244z")
    canvas.solid("M58 212Q120 196 182 212z", "#6a5a44")
    return 254
