"""Drawn devices: cameras, sound, screens. Each paints itself and gives the height of the floor it stands on."""

from __future__ import annotations

from recommendations.web.drawing.outlines import ellipse, limb, rounded
from recommendations.web.drawing.paint import Canvas, deep, disc, line, mix, num, oval, pale, shape

BODIES = ("#3a3d46", "#4a4d55", "#8d939b", "#d9d6cf", "#4d6d86")
STEEL, DARK = "#a9b1b8", "#2f323a"


def camera(canvas: Canvas, tier: int) -> float:
    body = mix(canvas.colour, DARK, 0.35)
    canvas.solid(rounded(66, 94, 34, 18, 5), "#c3c8cd")
    canvas.volume("M84 112L96 88H144L156 112z", body)
    canvas.volume(rounded(28, 106, 184, 122, 14), body)
    canvas.solid(rounded(28, 132, 184, 66, 2), deep(canvas.colour, 0.15), weave=canvas.dots(deep(body, 0.5), 6, 1, opacity=0.6))
    canvas.volume(ellipse(120, 168, 54, 54), "#3a3d46")
    canvas.solid(ellipse(120, 168, 40, 40), "#1f2129")
    canvas.solid(ellipse(120, 168, 29, 29), "#3f5a78")
    canvas.add(
        oval(109, 156, 10, 7, "#cfe3f2", opacity=0.85), disc(132, 182, 4, "#cfe3f2", opacity=0.5), disc(192, 120, 6, "#c3c8cd")
    )
    if tier >= 1:
        canvas.add(line(ellipse(120, 168, 47, 47), "#9aa3ab", 2, dash="2 3"))
    if tier >= 2:
        canvas.add(disc(46, 120, 4, "#b9363a"), line("M40 108Q20 60 60 40M200 108Q220 60 180 40", deep(canvas.colour, 0.4), 6))
    return 234


def video_camera(canvas: Canvas, tier: int) -> float:
    """A film camera on its rig."""
    body = mix(canvas.colour, DARK, 0.55)
    canvas.add(line("M74 100V70H160V100", "#4a4d55", 8))
    canvas.volume(rounded(64, 100, 112, 96, 8), body)
    canvas.volume(rounded(20, 120, 48, 60, 6), "#3a3d46")
    canvas.solid(ellipse(22, 150, 12, 34), "#22242b")
    canvas.solid(ellipse(21, 150, 7, 23), "#49688a")
    canvas.solid(rounded(150, 74, 66, 44, 5), "#22242b")
    canvas.solid(rounded(155, 79, 56, 34, 3), "#8fb3c9")
    for x in (84, 112, 140):
        canvas.add(disc(x, 180, 4, "#8d939b"))
    canvas.add(line("M84 116h40M84 128h28", "#b9bfc6", 2.4, opacity=0.7), disc(160, 130, 5, "#c0392b"))
    for x in (76, 120, 164):
        canvas.solid(limb(120, 198, x, 254, 8, 5), "#55585f")
    return 256


def tripod(canvas: Canvas, tier: int) -> float:
    for x in (64, 120, 176):
        canvas.solid(limb(120, 128, x, 252, 12, 7), mix(canvas.colour, DARK, 0.4))
        canvas.add(disc(x, 252, 6, DARK))
    canvas.solid(rounded(108, 100, 24, 44, 6), "#55585f")
    with canvas.placed(60, 20, scale=0.5):
        camera(canvas, tier)
    return 256


def speaker(canvas: Canvas, tier: int) -> float:
    mesh = canvas.dots(deep(canvas.colour, 0.55), 6, 1.3, opacity=0.7)
    if canvas.dice.fraction() < 0.5:
        canvas.volume("M66 92Q66 70 120 70T174 92V228Q174 250 120 250T66 228z", weave=mesh)
        canvas.solid(ellipse(120, 90, 54, 17), deep(canvas.colour, 0.35))
        canvas.add(
            line("M112 90h16M120 84v12", pale(canvas.colour, 0.7), 2.4),
            line("M67 226Q70 246 120 247T173 226", pale(canvas.colour, 0.5), 3),
        )
        return 252
    canvas.volume(rounded(48, 92, 144, 156, 16))
    canvas.solid(rounded(58, 102, 124, 136, 10), deep(canvas.colour, 0.45), weave=mesh)
    for y, r in ((134, 20), (190, 36)):
        canvas.solid(ellipse(120, y, r, r), "#2a2c33")
        canvas.solid(ellipse(120, y, r * 0.62, r * 0.62), "#4a4d55")
        canvas.add(disc(120, y, r * 0.25, "#1b1c21"), line(ellipse(120, y, r, r), STEEL if tier < 2 else "#c2994a", 2))
    if tier >= 1:
        canvas.add(line("M84 92Q84 60 120 60T156 92", deep(canvas.colour, 0.3), 6))
    return 252


def headphones(canvas: Canvas, tier: int) -> float:
    canvas.add(
        line("M48 186C40 20 200 20 192 186", deep(canvas.colour, 0.1), 15),
        line("M52 150C58 44 182 44 188 150", pale(canvas.colour, 0.3), 3, opacity=0.6),
    )
    for x, flip in ((58, False), (182, True)):
        with canvas.placed(x, 196, flip=flip):
            canvas.volume(rounded(-6, -44, 38, 88, 17), "#3a3d46")
            canvas.volume("M2 -42Q-34 -40 -34 0T2 42z")
            canvas.add(oval(-16, 0, 7, 15, pale(canvas.colour, 0.4), opacity=0.7))
            if tier >= 1:
                canvas.add(line("M-1 -38V38", STEEL if tier < 2 else "#c2994a", 2.4))
    return 250


def earbuds(canvas: Canvas, tier: int) -> float:
    canvas.volume(rounded(60, 176, 120, 72, 30))
    canvas.add(line("M62 200H178", deep(canvas.colour, 0.4), 2), disc(120, 214, 4, "#7fc28a"))
    for x, flip in ((88, False), (152, True)):
        with canvas.placed(x, 116, flip=flip):
            canvas.volume("M-14 -20Q6 -40 20 -18Q24 4 8 8V52Q4 60 -4 52V8Q-20 2 -14 -20z")
            canvas.solid(ellipse(-12, -10, 8, 10), "#55585f")
    return 252


def cable(canvas: Canvas, tier: int) -> float:
    canvas.add(line("M120 70C30 70 30 190 120 190S210 110 120 110S60 160 120 160S170 220 120 232", deep(canvas.colour, 0.1), 9))
    canvas.add(line("M120 68C28 68 28 192 120 192S212 108 120 108", pale(canvas.colour, 0.5), 1.6, opacity=0.6))
    for y, turn in ((70, 90), (232, 90)):
        with canvas.placed(122, y, turn=turn - 90):
            canvas.volume(rounded(-2, -12, 40, 24, 6), deep(canvas.colour, 0.35))
            canvas.solid(rounded(38, -8, 20, 16, 2), STEEL if tier < 2 else "#c9a24b")
    return 250


def charger(canvas: Canvas, tier: int) -> float:
    """A plug or adapter."""
    canvas.add(line("M120 214Q120 250 168 246T200 200", "#55585f", 6))
    for x in (98, 134):
        canvas.solid(rounded(x, 56, 9, 40, 3), STEEL)
    canvas.volume(rounded(66, 90, 108, 126, 22), pale(canvas.colour, 0.3))
    for i in range(2):
        canvas.solid(rounded(92, 140 + 30 * i, 56, 14, 3), DARK)
    canvas.add(disc(120, 116, 4, "#7fc28a"))
    return 254


def television(canvas: Canvas, tier: int) -> float:
    canvas.solid("M84 214H156L166 236H74z", "#4a4d55")
    canvas.volume(rounded(14, 84, 212, 132, 6), "#25272e")
    _screen(canvas, 20, 90, 200, 118)
    if tier >= 1:
        canvas.solid(rounded(30, 236, 180, 16, 3), mix(canvas.colour, "#8a5f3f", 0.5))
    return 254


def _screen(canvas: Canvas, x: float, y: float, w: float, h: float) -> None:
    """A lit screen: a sky, a sun and hills."""
    sky = canvas.dice.pick(("#7fb0cf", "#e0a37d", "#8a82b5", "#5f9aa0"))
    canvas.solid(rounded(x, y, w, h, 3), sky)
    canvas.add(disc(x + w * 0.7, y + h * 0.36, h * 0.16, "#fff0c4"))
    low = num(y + h)
    far = f"M{num(x)} {num(y + h * 0.7)}L{num(x + w * 0.3)} {num(y + h * 0.38)}L{num(x + w * 0.62)} {low}H{num(x)}z"
    near = f"M{num(x + w * 0.3)} {low}L{num(x + w * 0.72)} {num(y + h * 0.55)}L{num(x + w)} {num(y + h * 0.8)}V{low}z"
    glint = f"M{num(x + 8)} {num(y + h - 12)}L{num(x + w * 0.4)} {num(y + 8)}"
    canvas.add(shape(far, deep(sky, 0.35)), shape(near, deep(sky, 0.55)), line(glint, "#ffffff", 9, opacity=0.12))


def computer(canvas: Canvas, tier: int) -> float:
    if canvas.dice.fraction() < 0.5:
        canvas.volume(rounded(52, 88, 136, 104, 8), "#55585f")
        _screen(canvas, 59, 95, 122, 88)
        canvas.volume("M44 194H196L222 238Q222 246 212 246H28Q18 246 18 238z", "#c3c8cd")
        canvas.solid("M60 200H180L192 222H48z", "#6b7078")
        canvas.solid("M102 226H138L142 240H98z", "#aab0b8")
        return 250
    canvas.solid("M108 200H132L138 236H102z", "#aab0b8")
    canvas.solid(ellipse(120, 240, 44, 8), "#9aa3ab")
    canvas.volume(rounded(20, 78, 200, 126, 8), "#33353c")
    _screen(canvas, 27, 85, 186, 106)
    return 248


def keyboard(canvas: Canvas, tier: int) -> float:
    with canvas.placed(0, 30, turn=-6):
        canvas.volume(rounded(4, 128, 220, 92, 10), deep(canvas.colour, 0.35))
        for r in range(4):
            y = 136 + 19 * r
            keys = 12 if r < 3 else 7
            x = 12.0
            for k in range(keys):
                wide = 70 if r == 3 and k == 3 else 14.6
                tone = (
                    ("#e07f6c", "#e2bd56", "#7fc28a", "#62b5e5", "#a58ac4")[(k + r) % 5]
                    if tier >= 1
                    else pale(canvas.colour, 0.45)
                )
                canvas.add(f'<rect x="{num(x)}" y="{num(y)}" width="{num(wide)}" height="15" rx="3" fill="{tone}"/>')
                x += wide + 2.6
    return 250
