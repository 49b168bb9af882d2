"""Drawn blouses: sleeves, neck, body, front. The id's hash chooses the cut, the price tier the detail."""

from __future__ import annotations

from recommendations.web.drawing.paint import Canvas, Dice, deep, lightness, line, num, pale, shape
from recommendations.web.drawing.trimmings import button, lace, thread


def draw_blouse(canvas: Canvas, tier: int, weave: str) -> None:
    dice, colour = canvas.dice, canvas.colour
    sleeve = dice.pick(("none", "cap", "short", "elbow", "long", "bell", "long"))
    neck = dice.pick(("round", "vee", "boat", "collar", "wrap", "keyhole") if tier >= 1 else ("round", "vee", "boat", "wrap"))
    shoulder, chest = dice.between(46, 53), dice.between(43, 49)
    waist = chest - dice.between(1, 7)
    hem = chest + dice.between(3, 19)
    top, bottom = 58.0, dice.between(222, 258)
    throat = {"round": 19.0, "vee": 18.0, "boat": 30.0, "collar": 16.0, "wrap": 20.0, "keyhole": 17.0}[neck]
    arm = top + 66
    if sleeve != "none":
        for side in (1, -1):
            _sleeve(canvas, side, sleeve, shoulder, chest, top, arm, weave, tier)
    dip = {"round": 24.0, "vee": 46.0, "boat": 11.0, "collar": 30.0, "wrap": 58.0, "keyhole": 15.0}[neck]
    curve = f"L120 {num(top - 6 + dip)}L" if neck in ("vee", "collar", "wrap") else f"Q120 {num(top - 6 + dip * 1.75)} "
    inner = (
        f"M{num(120 - throat)} {num(top - 5)}"
        f"Q120 {num(top - 13)} {num(120 + throat)} {num(top - 5)}{curve}{num(120 - throat)} {num(top - 5)}z"
    )
    canvas.volume(inner, deep(colour, 0.3), depth=0.7)
    drop = 8.0 if sleeve != "none" else 13.0
    body = (
        f"M{num(120 - throat)} {num(top - 6)}{curve.replace('L120', 'L120', 1)}{num(120 + throat)} {num(top - 6)}"
        f"L{num(120 + shoulder)} {num(top + drop)}Q{num(120 + chest - 8)} {num(top + 32)} {num(120 + chest)} {num(arm)}"
        f"C{num(120 + waist)} {num(arm + 30)} {num(120 + waist)} {num(arm + 46)} {num(120 + waist + 2)} {num(arm + 60)}"
        f"C{num(120 + hem - 4)} {num(arm + 90)} {num(120 + hem)} {num(bottom - 24)} {num(120 + hem)} {num(bottom)}"
        f"Q120 {num(bottom + dice.between(2, 15))} {num(120 - hem)} {num(bottom)}"
        f"C{num(120 - hem)} {num(bottom - 24)} {num(120 - hem + 4)} {num(arm + 90)} {num(120 - waist - 2)} {num(arm + 60)}"
        f"C{num(120 - waist)} {num(arm + 46)} {num(120 - waist)} {num(arm + 30)} {num(120 - chest)} {num(arm)}"
        f"Q{num(120 - chest + 8)} {num(top + 32)} {num(120 - shoulder)} {num(top + drop)}z"
    )
    lean = dice.between(-8, 8)
    inside = [
        canvas.fold(
            f"M{num(120 - chest)} {num(arm - 4)}"
            f"Q{num(108 + lean)} {num(arm + 22)} {num(112 + lean)} {num(arm + 52)}"
            f"Q{num(98 + lean)} {num(arm + 30)} {num(120 - chest)} {num(arm + 14)}z",
            opacity=0.3,
        ),
        canvas.fold(
            f"M{num(120 + chest)} {num(arm - 4)}"
            f"Q{num(134 + lean)} {num(arm + 26)} {num(128 + lean)} {num(arm + 58)}"
            f"Q{num(146 + lean)} {num(arm + 34)} {num(120 + chest)} {num(arm + 16)}z",
            opacity=0.34,
        ),
        canvas.fold(f"M{num(104 + lean)} {num(arm + 56)}L{num(92 + lean)} {num(bottom + 8)}H{num(104 + lean)}z", opacity=0.3),
        canvas.fold(f"M{num(138 + lean)} {num(arm + 50)}L{num(150 + lean)} {num(bottom + 8)}H{num(138 + lean)}z", opacity=0.34),
        canvas.gleam(
            f"M{num(100 + lean)} {num(top + 26)}"
            f"Q{num(92 + lean)} {num(arm + 30)} {num(116 + lean)} {num(bottom - 8)}H{num(124 + lean)}"
            f"Q{num(106 + lean)} {num(arm + 20)} {num(112 + lean)} {num(top + 30)}z",
            opacity=0.3,
        ),
    ]
    canvas.volume(body, inside=inside, weave=weave)
    _front(canvas, neck, tier, throat=throat, dip=dip, top=top, arm=arm, chest=chest, waist=waist, hem=hem, bottom=bottom)


def _sleeve(
    canvas: Canvas, side: int, cut: str, shoulder: float, chest: float, top: float, arm: float, weave: str, tier: int
) -> None:
    dice = canvas.dice if side == 1 else Dice(f"{canvas.colour}{cut}")
    long = {"cap": 28.0, "short": 54.0, "elbow": 92.0, "long": 158.0, "bell": 140.0}[cut]
    out = {"cap": 16.0, "short": 20.0, "elbow": 24.0, "long": 28.0, "bell": 30.0}[cut]
    cuff = {"cap": 17.0, "short": 15.0, "elbow": 12.5, "long": 9.5, "bell": 23.0}[cut]

    def x(value: float) -> str:
        return num(120 - side * value)

    end = top + 10 + long
    centre = shoulder + out * (long / 150) + 5
    d = (
        f"M{x(shoulder - 10)} {num(top + 3)}"
        f"C{x(shoulder + 6)} {num(top + 8)} {x(shoulder + 13)} {num(top + 26)}"
        f" {x(centre + (cuff if cut == 'bell' else cuff + 3) * 0.9)} {num(top + 10 + long * 0.62)}"
        f"L{x(centre + cuff)} {num(end)}Q{x(centre)} {num(end + 7)} {x(centre - cuff)} {num(end + (3 if cut != 'cap' else -2))}"
        f"C{x(centre - cuff * 0.8)} {num(top + 10 + long * 0.7)} {x(chest - 2)}"
        f" {num(min(arm + 4, end - 6))} {x(chest - 8)} {num(min(arm - 12, end - 10))}"
        f"z"
    )
    inside = [
        canvas.fold(
            f"M{x(chest - 4)} {num(arm - 22)}L{x(centre + 1)} {num(end - 12)}L{x(centre - cuff)} {num(end + 6)}z", opacity=0.4
        ),
        canvas.gleam(
            f"M{x(shoulder + 3)} {num(top + 16)}"
            f"Q{x(shoulder + 10)} {num(top + 40)} {x(centre + cuff * 0.5)} {num(end - 10)}"
            f"L{x(centre + cuff * 0.15)} {num(end - 10)}"
            f"Q{x(shoulder + 2)} {num(top + 44)} {x(shoulder - 2)} {num(top + 20)}z"
        ),
    ]
    if cut in ("long", "elbow", "bell"):
        y = top + long * dice.between(0.5, 0.6)
        inside.append(
            canvas.fold(
                f"M{x(centre + cuff)} {num(y)}Q{x(centre - 4)} {num(y + 4)} {x(centre - cuff)} {num(y + 16)}"
                f"Q{x(centre)} {num(y + 16)} {x(centre + cuff)} {num(y + 9)}z",
                opacity=0.3,
            )
        )
    canvas.volume(d, inside=inside, weave=weave, depth=0.85)
    edge = f"M{x(centre + cuff)} {num(end - 9)}Q{x(centre)} {num(end - 2)} {x(centre - cuff)} {num(end - 6)}"
    if cut in ("long", "elbow", "short"):
        canvas.add(line(edge, deep(canvas.colour, 0.5), 1.2, opacity=0.5))
    if cut == "long" and tier >= 2:
        canvas.add(button(120 - side * (centre + 1), end - 1, 2.1, pale(canvas.colour, 0.4)))


def _front(
    canvas: Canvas,
    neck: str,
    tier: int,
    *,
    throat: float,
    dip: float,
    top: float,
    arm: float,
    chest: float,
    waist: float,
    hem: float,
    bottom: float,
) -> None:
    dice, colour = canvas.dice, canvas.colour
    seam, low = deep(colour, 0.5), top - 6 + dip
    gold = "#d2b15f" if tier == 3 else pale(colour, 0.45) if lightness(colour) < 0.8 else deep(colour, 0.25)
    if neck in ("round", "boat", "keyhole"):
        d = f"M{num(120 - throat - 3)} {num(top - 4)}Q120 {num(top + dip * 1.75)} {num(120 + throat + 3)} {num(top - 4)}"
        canvas.add(line(d, seam, 1.2, opacity=0.45))
    if neck == "keyhole":
        canvas.add(shape(f"M120 {num(low + 9)}q6 9 0 20q-6 -11 0 -20z", deep(colour, 0.45)), button(120, low + 8, 2.4, gold))
    if neck == "wrap":
        d = (
            f"M{num(120 + throat)} {num(top - 4)}L118 {num(low + 2)}"
            f"Q{num(104)} {num(arm + 36)} {num(120 - waist + 2)} {num(arm + 44)}"
        )
        canvas.add(
            f'<g transform="translate(2 3)">{line(d, deep(colour, 0.6), 4, opacity=0.2)}</g>', line(d, seam, 1.4, opacity=0.6)
        )
    if neck == "vee" and tier >= 1:
        d = f"M{num(120 - throat - 3)} {num(top - 3)}L120 {num(low + 5)}L{num(120 + throat + 3)} {num(top - 3)}"
        canvas.add(line(d, thread(colour), 0.9, dash="2.4 2.2", opacity=0.7))
    if neck == "collar":
        canvas.add(
            line(f"M120 {num(low)}V{num(bottom + 5)}", seam, 1.2, opacity=0.5),
            line(f"M126 {num(low + 4)}V{num(bottom + 5)}", seam, 1, opacity=0.35),
        )
        for i in range(6):
            canvas.add(button(123, low + 12 + i * (bottom - low - 22) / 5.4, 2.4, gold))
        for side in (1, -1):
            d = (
                f"M{num(120 - side * (throat - 1))} {num(top - 12)}"
                f"Q{num(120 - side * (throat + 7))} {num(top - 6)} {num(120 - side * (throat + 9))} {num(top + 6)}"
                f"L{num(120 - side * 13)} {num(low + 4)}L120 {num(low)}z"
            )
            canvas.volume(d, pale(colour, 0.14), depth=0.6)
    if tier >= 2 and neck in ("round", "boat"):
        for at in (-16, -8, 8, 16):
            canvas.add(line(f"M{120 + at} {num(low + 18)}V{num(arm + 14)}", seam, 1.1, opacity=0.42))
    if dice.fraction() < 0.45:
        y = arm + dice.between(14, 24)
        sash = (
            f"M{num(120 - waist - 1)} {num(y)}Q120 {num(y + 6)} {num(120 + waist + 1)} {num(y)}"
            f"L{num(120 + waist)} {num(y + 10)}Q120 {num(y + 17)} {num(120 - waist)} {num(y + 10)}z"
        )
        canvas.volume(sash, deep(colour, 0.16) if lightness(colour) > 0.3 else pale(colour, 0.14), depth=0.7)
        if tier >= 1:
            canvas.add(
                shape(
                    f"M120 {num(y + 9)}q-15 -11 -17 1q3 9 17 1q14 10 18 -1q-3 -11 -18 -1zM118 {num(y + 11)}"
                    f"l-8 26 6 1 5 -24zM121 {num(y + 11)}l9 24 -6 2z",
                    pale(colour, 0.16),
                    opacity=0.95,
                )
            )
    if tier >= 1:
        canvas.add(
            line(
                f"M{num(120 - hem + 3)} {num(bottom - 6)}Q120 {num(bottom + 4)} {num(120 + hem - 3)} {num(bottom - 6)}",
                thread(colour),
                0.9,
                dash="2.4 2.4",
                opacity=0.6,
            )
        )
    if tier == 3 and neck != "collar":
        canvas.add(lace(120 - hem, 120 + hem, bottom, pale(colour, 0.55) if lightness(colour) < 0.75 else deep(colour, 0.18)))
