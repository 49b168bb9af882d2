"""Drawn things of the bath and the dressing table. Each gives the height of its floor, None if it hangs."""

from __future__ import annotations

from recommendations.web.drawing.floral import bow
from recommendations.web.drawing.outlines import limb, rounded, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, line, mix, pale

STEEL, DARK, WOOD, GOLD = "#b4bac2", "#3a3d46", "#b98a58", "#c9a24b"


def towels(canvas: Canvas, tier: int) -> float:
    for i, tone in enumerate((deep(canvas.colour, 0.1), pale(canvas.colour, 0.5), canvas.colour)):
        y = 204 - 46 * i
        canvas.volume(
            f"M44 {y}Q30 {y} 30 {y + 22}T44 {y + 46}H196Q210 {y + 46} 210 {y + 23}T196 {y}z",
            tone,
            weave=canvas.dots(deep(tone, 0.3), 6, 0.9, opacity=0.5),
        )
        canvas.add(line(f"M36 {y + 12}Q50 {y + 24} 36 {y + 36}", deep(tone, 0.4), 2), line(f"M176 {y}v46", pale(tone, 0.5), 4))
    if tier >= 1:
        bow(canvas, 112, 134, 0.7, accent(canvas.colour, canvas.dice))
    return 254


def soap(canvas: Canvas, tier: int) -> float:
    canvas.solid("M34 214H206L190 246H50z", WOOD)
    for x, y, tone, turn in ((90, 186, canvas.colour, 0), (150, 178, pale(canvas.colour, 0.5), -5))[: 1 + (tier >= 0)]:
        with canvas.placed(x, y, turn=turn):
            canvas.volume(rounded(-52, -26, 104, 54, 20), tone)
            canvas.add(line(rounded(-34, -13, 68, 28, 12), deep(tone, 0.25), 1.8))
    for x, y, r in ((66, 130, 15), (98, 108, 10), (48, 104, 7), (172, 122, 12)):
        canvas.add(disc(x, y, r, "#ffffff", opacity=0.45), disc(x - r * 0.3, y - r * 0.3, r * 0.25, "#ffffff"))
    return 250


def lotion(canvas: Canvas, tier: int) -> float:
    """A bottle with a pump and a smaller one."""
    canvas.volume(rounded(62, 118, 78, 134, 14))
    canvas.solid(rounded(88, 92, 26, 28, 4), GOLD if tier >= 2 else DARK)
    canvas.add(line("M101 94V74H66Q58 74 58 84", GOLD if tier >= 2 else DARK, 8))
    canvas.solid(rounded(70, 152, 62, 60, 3), "#f7f2e6")
    canvas.add(line("M82 170h38M88 184h26", "#8d857c", 2))
    canvas.volume(rounded(152, 166, 50, 86, 10), pale(canvas.colour, 0.4))
    canvas.solid(rounded(160, 144, 34, 24, 4), GOLD if tier >= 2 else DARK)
    return 254


def dropper(canvas: Canvas, tier: int) -> float:
    canvas.solid("M110 44Q120 32 130 44V84H110z", DARK)
    canvas.solid(rounded(98, 84, 44, 34, 5), GOLD if tier >= 1 else DARK)
    canvas.volume(
        "M88 120H152Q170 130 170 150V238Q170 252 156 252H84Q70 252 70 238V150Q70 130 88 120z", mix(canvas.colour, "#8a5326", 0.35)
    )
    canvas.solid(rounded(78, 166, 84, 58, 3), "#f7f2e6")
    canvas.add(line("M92 184h56M100 200h40", "#8d857c", 2.2), line("M82 138V158", "#ffffff", 5, opacity=0.5))
    return 254


def jar(canvas: Canvas, tier: int) -> float:
    """A pot of cream or balm."""
    canvas.volume(rounded(48, 148, 144, 102, 20))
    canvas.volume(rounded(42, 106, 156, 50, 10), GOLD if tier >= 2 else pale(canvas.colour, 0.5))
    canvas.solid(rounded(78, 178, 84, 44, 4), "#f7f2e6")
    canvas.add(line("M94 194h52M104 208h32", "#8d857c", 2.2))
    return 254


def lipstick(canvas: Canvas, tier: int) -> float:
    case = GOLD if tier >= 1 else DARK
    for x, tone in (
        ((66, deep(canvas.colour, 0.2)), (120, canvas.colour), (174, pale(canvas.colour, 0.25)))
        if tier >= 1
        else ((120, canvas.colour),)
    ):
        canvas.volume(f"M{x - 15} 150V100Q{x - 12} 74 {x + 15} 64V150z", tone)
        canvas.solid(rounded(x - 18, 148, 36, 40, 2), pale(case, 0.2))
        canvas.volume(rounded(x - 22, 184, 44, 68, 4), case)
    return 254


def brushes(canvas: Canvas, tier: int) -> float:
    """Make-up brushes in a cup."""
    for x, turn, w in ((84, -15, 15), (106, -4, 20), (134, 5, 17), (156, 16, 12)):
        with canvas.placed(x, 196, turn=turn):
            canvas.solid(limb(0, 0, 0, -72, 8, 8), deep(canvas.colour, 0.2))
            canvas.solid(f"M{-w * 0.6:.0f} -72H{w * 0.6:.0f}V-92H{-w * 0.6:.0f}z", GOLD if tier >= 1 else STEEL)
            canvas.solid(f"M{-w * 0.6:.0f} -92Q{-w} -126 0 -142Q{w} -126 {w * 0.6:.0f} -92z", "#6b4a3c")
    canvas.volume("M66 170H174L166 244Q164 252 156 252H84Q76 252 74 244z", weave=weave_of(canvas, tier))
    return 254


def toothbrush(canvas: Canvas, tier: int) -> None:
    for x, turn, tone in ((96, -14, canvas.colour), (146, 12, pale(canvas.colour, 0.4))):
        with canvas.placed(x, 160, turn=turn):
            canvas.volume(rounded(-9, -52, 18, 152, 9), tone)
            canvas.solid(limb(0, -48, 0, -66, 11, 9), tone)
            canvas.solid(rounded(-9, -112, 18, 50, 6), tone)
            canvas.solid(rounded(8, -108, 17, 42, 2), "#f4f1ea", weave=canvas.stripes("#cfc8ba", 5, 1.2, angle=90))


def razor(canvas: Canvas, tier: int) -> float:
    """A razor and a shaving brush."""
    metal = GOLD if tier >= 2 else STEEL
    with canvas.placed(80, 168, turn=-10):
        canvas.volume(rounded(-9, -44, 18, 124, 8), metal, weave=canvas.check(deep(metal, 0.4), 6, 1, opacity=0.5))
        canvas.solid(limb(0, -44, 0, -72, 8, 8), metal)
        canvas.solid(rounded(-36, -92, 72, 22, 6), pale(metal, 0.2))
    canvas.volume(
        "M132 176Q126 112 148 96Q166 88 184 96Q206 112 198 176z", "#e6dccb", weave=canvas.stripes("#9a8a78", 6, 1, opacity=0.6)
    )
    canvas.volume("M134 174H196Q188 196 200 218Q204 250 190 252H140Q126 250 130 218Q142 196 134 174z")
    return 254


def polish(canvas: Canvas, tier: int) -> float:
    """Nail polish in three shades."""
    for x, tone in ((58, canvas.colour), (120, pale(canvas.colour, 0.4)), (182, accent(canvas.colour, canvas.dice))):
        canvas.volume(f"M{x - 11} 96H{x + 11}L{x + 14} 176H{x - 14}z", DARK if tier < 2 else GOLD)
        canvas.volume(
            (
                f"M{x - 14} 176H{x + 14}Q{x + 28} 186 {x + 27} 208V240Q{x + 26} 250 {x + 16} 250"
                f"H{x - 16}Q{x - 26} 250 {x - 27} 240V208Q{x - 28} 186 {x - 14} 176z"
            ),
            tone,
        )
        canvas.add(line(f"M{x - 16} 206v28", "#ffffff", 5, opacity=0.5))
    return 254


def palette(canvas: Canvas, tier: int) -> float:
    """Eye shadow or powder, its lid open."""
    case = GOLD if tier >= 2 else DARK
    canvas.volume(rounded(34, 62, 172, 88, 8), case)
    canvas.solid(rounded(44, 72, 152, 68, 4), "#dbe4e8")
    canvas.add(line("M60 128L110 80", "#ffffff", 9, opacity=0.6))
    canvas.volume(rounded(28, 154, 184, 94, 8), case)
    for i in range(8):
        tone = mix(canvas.colour, ("#f2dccb", "#7d5138", "#c98684", "#e2bd8a")[i % 4], 0.25 + 0.07 * i)
        canvas.solid(rounded(40 + 41 * (i % 4), 164 + 39 * (i // 4), 36, 34, 4), tone)
    return 252


def perfume(canvas: Canvas, tier: int) -> float:
    canvas.volume(rounded(100, 74, 40, 46, 5), GOLD if tier >= 1 else DARK)
    canvas.solid(rounded(108, 118, 24, 18, 2), STEEL)
    canvas.volume(rounded(56, 134, 128, 118, 16), pale(canvas.colour, 0.35))
    canvas.solid(rounded(70, 176, 100, 64, 8), canvas.colour)
    canvas.add(line("M72 150V232", "#ffffff", 6, opacity=0.6))
    return 254
