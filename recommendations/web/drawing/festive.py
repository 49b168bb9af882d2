"""Drawn things of feasts. Each paints itself and gives the height of its floor, None if it hangs."""

from __future__ import annotations

import math

from recommendations.web.drawing.floral import bloom, bow, leaf_stencil
from recommendations.web.drawing.outlines import ellipse, heart_path, limb, ring, rounded, star_path, weave_of
from recommendations.web.drawing.paint import Canvas, accent, deep, disc, lightness, line, mix, num, oval, pale, shape

PINE, RED, GOLD, CHOCOLATE = "#44684c", "#bb4346", "#d1a648", "#5a3a2b"


def ornament(canvas: Canvas, tier: int) -> None:
    """Baubles on a fir branch."""
    twigs = []
    for tone in (PINE, "#5d7f58"):
        with canvas.stencil() as twig:
            canvas.add(line("M0 0l-11 30M0 0l12 28", tone, 5))
        twigs.append(twig)
    for i in range(22):
        canvas.stamp(twigs[i % 2], 12 + 10 * i, 64 - 10 * math.sin(i / 7))
    canvas.add(line("M6 66Q120 40 234 66", "#7d5941", 7))
    for x, y, r, tone in ((70, 168, 40, canvas.colour), (166, 196, 46, accent(canvas.colour, canvas.dice)), (122, 134, 26, GOLD)):
        canvas.add(line(f"M{x} 70V{y - r - 8}", "#b39a78", 1.8))
        canvas.solid(rounded(x - 9, y - r - 10, 18, 14, 3), GOLD)
        canvas.volume(ellipse(x, y, r, r), tone, weave=weave_of(canvas, 0) if r > 42 else "")
        canvas.add(oval(x - r * 0.35, y - r * 0.4, r * 0.2, r * 0.3, "#ffffff", opacity=0.5))


def snowman(canvas: Canvas, tier: int) -> float:
    for y, r in ((204, 50), (136, 38), (84, 28)):
        canvas.volume(ellipse(120, y, r, r), "#f4f3ef")
    canvas.solid("M92 64H148V74H92zM102 28H138V66H102z", "#3a3d46")
    canvas.solid("M92 106Q120 120 148 106L150 120Q138 128 136 126L142 162L124 160L122 126Q100 124 90 120z", canvas.colour)
    canvas.add(
        disc(110, 80, 3, "#23252c"),
        disc(130, 80, 3, "#23252c"),
        shape("M118 86L146 92L118 95z", "#df8436"),
        *(disc(114, y, 3.4, "#3a3d46") for y in (146, 190, 212)),
    )
    canvas.add(line("M84 136L44 108M52 114l-2 -16M156 136L198 112M188 118l4 -16", "#7d5941", 4))
    return 254


def gnome(canvas: Canvas, tier: int) -> float:
    canvas.volume("M66 250Q58 178 84 152H156Q182 178 174 250Q120 258 66 250z", mix(canvas.colour, "#8d939b", 0.5))
    canvas.volume("M76 150Q80 236 120 244Q160 236 164 150z", "#efeae0", weave=canvas.stripes("#cfc8ba", 9, 1.4, opacity=0.8))
    canvas.volume("M58 156Q104 80 134 30Q152 96 182 156Q120 176 58 156z", weave=weave_of(canvas, tier))
    canvas.volume(ellipse(120, 164, 15, 14), "#e8b795")
    canvas.add(disc(134, 32, 9, "#f4f3ef"))
    return 256


def reindeer(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#a9794e", "#8a5f3f", GOLD))
    for side in (1, -1):
        canvas.add(
            line(
                (
                    f"M{120 + 14 * side} 92Q{120 + 34 * side} 74 {120 + 38 * side} 36"
                    f"M{120 + 32 * side} 66l{22 * side} -16M{120 + 36 * side} 50l{-14 * side} -16"
                ),
                deep(tone, 0.35),
                6,
            )
        )
        canvas.solid(
            f"M{120 + 24 * side} 100Q{120 + 54 * side} 84 {120 + 62 * side} 104Q{120 + 46 * side} 120 {120 + 26 * side} 114z",
            tone,
        )
    canvas.volume("M84 106Q88 78 120 78T156 106Q154 150 142 176Q134 196 120 196T98 176Q86 150 84 106z", tone)
    canvas.volume("M74 254Q76 196 102 188Q120 206 138 188Q164 196 166 254z", deep(tone, 0.06))
    canvas.solid("M82 196Q120 222 158 196L162 214Q120 240 78 214z")
    canvas.add(
        disc(104, 122, 4.4, "#23252c"),
        disc(136, 122, 4.4, "#23252c"),
        oval(120, 176, 15, 12, RED),
        oval(115, 171, 4, 3, "#f3c0ba"),
    )
    return 256


def candy_cane(canvas: Canvas, tier: int) -> None:
    for x, flip in ((92, False), (148, True)):
        with canvas.placed(x, 0, turn=-14 if flip else 14, flip=flip):
            d = "M0 246V110Q0 74 -30 74T-60 104"
            canvas.add(
                line(d, "#f4efe6", 19),
                line(d, canvas.colour if lightness(canvas.colour) < 0.7 else RED, 19, dash="13 15"),
                line("M-4 240V112", "#ffffff", 3, opacity=0.6),
            )
    bow(canvas, 120, 168, 0.9, PINE)


def gingerbread(canvas: Canvas, tier: int) -> None:
    icing = "#f7f0e2"
    d = (
        "M120 50Q156 50 156 86Q156 104 146 114Q176 116 206 128Q214 148 198 156"
        "Q176 152 158 156L164 196Q184 226 178 246Q158 254 146 242"
        "L120 206L94 242Q82 254 62 246Q56 226 76 196L82 156Q64 152 42 156Q26 148 34 128Q64 116 94 114Q84 104 84 86Q84 50 120 50z"
    )
    canvas.volume(d, "#b57a45")
    canvas.add(
        line(d, icing, 2.4, dash="7 5"),
        disc(108, 84, 4, "#3a2a24"),
        disc(132, 84, 4, "#3a2a24"),
        line("M106 98q14 12 28 0", icing, 3),
    )
    canvas.add(*(disc(120, y, 6, canvas.colour) for y in (134, 158, 182)))


def pumpkin(canvas: Canvas, tier: int) -> float:
    tone = canvas.dice.pick(("#d9792f", "#e08a35", "#cf8a4a"))
    canvas.solid("M110 96Q106 66 128 54L140 62Q128 76 132 98z", "#6f7d4a")
    for x, w in ((60, 46), (180, 46), (88, 48), (152, 48), (120, 46)):
        canvas.volume(ellipse(x, 172, w, 76 - abs(x - 120) * 0.14), tone)
    if canvas.dice.fraction() < 0.6:
        canvas.add(
            shape(
                (
                    "M72 152L98 152L84 128zM142 152L168 152L156 128zM112 174L128 174L120 158zM62 188"
                    "Q120 206 178 188Q164 230 142 222L136 212L126 226H114L104 212L96 222Q74 226 62 188z"
                ),
                "#3b2417",
            )
        )
        canvas.add(f'<g filter="url(#soft)">{oval(120, 206, 36, 10, "#ffce5a", opacity=0.7)}</g>')
    return 252


def skull(canvas: Canvas, tier: int) -> float:
    bone = mix(canvas.colour, "#ece4d2", 0.8)
    canvas.volume("M48 132Q48 52 120 52T192 132Q190 170 168 182V216Q166 232 150 232H90Q74 232 72 216V182Q50 170 48 132z", bone)
    canvas.solid(ellipse(90, 144, 24, 26), "#2d2926")
    canvas.solid(ellipse(150, 144, 24, 26), "#2d2926")
    canvas.add(
        shape("M120 168L132 192H108z", "#2d2926"),
        line("M92 208V232M108 206V233M132 206V233M148 208V232M78 206H162", "#8a8172", 2.4),
    )
    if tier >= 1:
        bloom(canvas, 164, 70, 20, RED, "rose")
        bloom(canvas, 134, 58, 14, "#e2a24e", "daisy")
    return 240


def mask(canvas: Canvas, tier: int) -> None:
    """A Venetian mask."""
    for i in range(7):
        with canvas.placed(120, 128, turn=-66 + 22 * i):
            canvas.solid("M0 0Q-19 -54 0 -104Q19 -54 0 0z", mix(accent(canvas.colour, canvas.dice), canvas.colour, 0.3 * (i % 2)))
    canvas.volume("M22 126Q66 92 120 124Q174 92 218 126Q220 176 176 192Q140 198 120 168Q100 198 64 192Q20 176 22 126z")
    for flip in (False, True):
        with canvas.placed(240 if flip else 0, 0, flip=flip):
            canvas.solid("M48 144Q76 124 100 148Q76 168 48 144z", "#2a272c")
            canvas.add(line("M42 142Q76 116 106 148Q76 176 42 142z", GOLD, 2.6))
    canvas.add(
        line("M26 130Q70 98 120 130Q170 98 214 130", GOLD, 3, dash="1 7" if tier else ""),
        disc(120, 132, 9, GOLD),
        disc(118, 130, 3, "#fff4d0"),
    )
    if tier >= 1:
        canvas.add(line("M24 140Q6 190 20 250M216 140Q234 190 220 250", deep(canvas.colour, 0.1), 4))


def ghost(canvas: Canvas, tier: int) -> float:
    canvas.volume("M60 246V120Q60 58 120 58T180 120V246L160 228L140 248L120 228L100 248L80 228z", "#f2efe8")
    canvas.add(
        oval(102, 120, 9, 13, "#2d2926"),
        oval(138, 120, 9, 13, "#2d2926"),
        oval(120, 154, 10, 13, "#2d2926"),
        oval(84, 140, 9, 5, "#e6b0a6", opacity=0.6),
        oval(156, 140, 9, 5, "#e6b0a6", opacity=0.6),
    )
    canvas.volume("M70 80Q120 60 170 80L186 92Q120 104 54 92z", "#4a3f5c")
    canvas.volume("M84 82L134 8L156 82Q120 92 84 82z", "#4a3f5c")
    canvas.solid("M84 74Q120 84 154 74V84Q120 94 84 84z")
    return 252


def egg(canvas: Canvas, tier: int) -> float:
    """Three painted eggs in a nest."""
    tones = (canvas.colour, pale(canvas.colour, 0.45), canvas.dice.pick(("#e8c46a", "#9db8cf", "#c9a0b8", "#a9c49a")))
    for (x, y, turn), tone in zip(((74, 176, -14), (166, 176, 14), (120, 154, 0)), tones, strict=True):
        with canvas.placed(x, y, turn=turn):
            canvas.volume("M0 -66C34 -66 50 -14 46 14Q40 50 0 50T-46 14C-50 -14 -34 -66 0 -66z", tone)
            canvas.add(
                line("M-45 -8L-30 4L-15 -8L0 4L15 -8L30 4L45 -8", pale(tone, 0.7), 4),
                *(disc(-28 + 14 * i, 22, 4, accent(tone, canvas.dice)) for i in range(5)),
            )
    canvas.volume(
        "M26 200Q120 226 214 200Q210 250 160 252H80Q30 250 26 200z", "#b98a58", weave=canvas.check("#7d5941", 11, 2, opacity=0.5)
    )
    for i in range(9):
        canvas.add(line(f"M{30 + 21 * i} {num(206 + 8 * math.sin(i))}q14 -12 26 2", "#d6bd95", 3))
    return 256


def bunny(canvas: Canvas, tier: int) -> float:
    fur = mix(canvas.colour, "#eadfce", 0.6)
    for x, a in ((102, -9), (138, 9)):
        with canvas.placed(x, 84, turn=a):
            canvas.volume(ellipse(0, -10, 15, 52), fur)
            canvas.add(oval(0, -6, 6.4, 34, "#e3b1ad", opacity=0.8))
    canvas.volume(ellipse(120, 206, 56, 48), fur)
    canvas.volume(ellipse(120, 138, 44, 39), fur)
    canvas.add(
        disc(104, 134, 4.4, "#2e2c35"),
        disc(136, 134, 4.4, "#2e2c35"),
        shape("M113 148h14l-7 8z", "#c98684"),
        line("M120 156q-7 9 -14 4M120 156q7 9 14 4", deep(fur, 0.5), 1.6),
    )
    bow(canvas, 120, 180, 0.62, canvas.colour)
    for x in (92, 148):
        canvas.solid(ellipse(x, 246, 20, 10), pale(fur, 0.3))
    return 256


def teddy(canvas: Canvas, tier: int) -> float:
    fur = canvas.dice.pick(("#b5834f", "#8a5f42", "#d9bf98", "#e6d9c8"))
    for x in (84, 156):
        canvas.volume(ellipse(x, 72, 20, 20), fur)
        canvas.add(disc(x, 73, 10, pale(fur, 0.4)))
    for d in (ellipse(70, 182, 18, 34), ellipse(170, 182, 18, 34), ellipse(120, 200, 52, 52)):
        canvas.volume(d, fur)
    canvas.volume(ellipse(120, 108, 50, 46), fur)
    for x in (82, 158):
        canvas.solid(ellipse(x, 238, 24, 18), fur)
        canvas.add(disc(x, 238, 10, pale(fur, 0.45)))
    canvas.solid(ellipse(120, 124, 22, 17), pale(fur, 0.45))
    canvas.add(
        disc(102, 98, 5, "#2a2420"),
        disc(138, 98, 5, "#2a2420"),
        oval(120, 116, 8, 6, "#2a2420"),
        line("M120 122v7q-8 6 -12 0M120 129q8 6 12 0", "#2a2420", 1.8),
    )
    canvas.solid(heart_path(120, 198, 25), canvas.colour)
    return 256


def chocolates(canvas: Canvas, tier: int) -> float:
    """An open box of chocolates."""
    box = canvas.colour
    with canvas.placed(0, 0):
        d = heart_path(120, 158, 92) if canvas.dice.fraction() < 0.5 else rounded(26, 84, 188, 150, 12)
        canvas.volume(d, box)
        inner = heart_path(120, 156, 80) if d[0:4] != "M38 " else rounded(37, 95, 166, 128, 7)
        canvas.solid(inner, "#f3e8d8")
    for i, (x, y) in enumerate(((72, 126), (104, 140), (136, 140), (168, 126), (88, 168), (120, 172), (152, 168), (120, 204))):
        tone = (CHOCOLATE, "#7d5138", "#efe0c8", "#3f2a20")[(i + tier) % 4]
        canvas.solid((ellipse(x, y, 14, 12), rounded(x - 13, y - 11, 26, 22, 5), heart_path(x, y, 12))[i % 3], tone)
        canvas.add(line(f"M{x - 7} {y - 3}q7 -6 14 0", pale(tone, 0.4), 2))
    return 250


def sweet_heart(canvas: Canvas, tier: int) -> None:
    """A standing or hanging heart with light in it."""
    size = canvas.dice.between(70, 82)
    canvas.add(f'<g filter="url(#soft)">{shape(heart_path(120, 156, size + 8), pale(canvas.colour, 0.3), opacity=0.6)}</g>')
    if canvas.dice.fraction() < 0.5:
        canvas.add(
            line(heart_path(120, 156, size), canvas.colour, 13), line(heart_path(120, 156, size), pale(canvas.colour, 0.65), 5)
        )
        return
    canvas.volume(
        heart_path(120, 156, size), weave=weave_of(canvas, tier), inside=[canvas.gleam(ellipse(92, 132, 16, 20), opacity=0.6)]
    )
    if tier >= 1:
        canvas.add(line(heart_path(120, 156, size * 0.82), pale(canvas.colour, 0.6), 1.6, dash="4 4"))


def village(canvas: Canvas, tier: int) -> float:
    """Small houses in the snow; a crib is drawn so as well."""
    for x, y, w, h, tone in ((30, 150, 70, 92, "#a5584f"), (144, 134, 66, 108, canvas.colour), (90, 172, 66, 72, "#c9a57a")):
        canvas.volume(f"M{x} {y}h{w}v{h}h{-w}z", tone)
        canvas.solid(f"M{x - 9} {y + 4}L{num(x + w / 2)} {y - 44}L{x + w + 9} {y + 4}z", "#f4f3ef")
        for dx in (0.2, 0.6):
            canvas.add(f'<rect x="{num(x + w * dx)}" y="{y + 16}" width="14" height="18" rx="2" fill="#ffd98a"/>')
        canvas.solid(rounded(x + w / 2 - 9, y + h - 30, 18, 30, 8), deep(tone, 0.5))
    canvas.solid("M10 244Q60 228 120 240T230 242V256H10z", "#f4f3ef")
    if tier >= 1:
        canvas.solid("M22 240L38 196L54 240z", PINE)
        canvas.add(disc(196, 60, 12, "#fff0c4"))
    return 258


def garland(canvas: Canvas, tier: int) -> None:
    leaves = [leaf_stencil(canvas, tone, 34, 11) for tone in (PINE, "#5d7f58")]
    for i in range(34):
        t = i / 33
        canvas.stamp(leaves[i % 2], 10 + 220 * t, 84 + 250 * t * (1 - t), turn=60 * (i % 6) - 150)
    for i in range(9):
        t = (i + 0.5) / 9
        x, y = 10 + 220 * t, 90 + 250 * t * (1 - t)
        tone = (canvas.colour, GOLD, RED)[i % 3]
        canvas.add(disc(x, y, 9, tone), disc(x - 2.6, y - 3, 2.8, pale(tone, 0.7)))
    for x in (14, 226):
        bow(canvas, x, 86, 0.66, RED)


def gift(canvas: Canvas, tier: int) -> float:
    """Two presents."""
    ribbon = accent(canvas.colour, canvas.dice)
    canvas.volume(rounded(40, 128, 116, 122, 4), weave=weave_of(canvas, tier + 1))
    canvas.solid("M90 128h16v122h-16z", ribbon)
    canvas.solid(rounded(34, 116, 128, 24, 3), pale(canvas.colour, 0.1))
    canvas.solid("M90 116h16v24h-16z", ribbon)
    bow(canvas, 98, 112, 0.8, ribbon)
    canvas.volume(rounded(136, 186, 76, 66, 4), ribbon)
    canvas.solid("M168 186h12v66h-12z", pale(canvas.colour, 0.2))
    bow(canvas, 174, 184, 0.6, pale(canvas.colour, 0.2))
    return 256


def topper(canvas: Canvas, tier: int) -> float:
    """A decorated cake, for toppers and iced feasts."""
    canvas.volume("M46 190H194V244Q120 258 46 244z", "#f3ead8", depth=0.7)
    canvas.solid("M46 190Q50 178 120 178T194 190Q194 214 182 212T166 200T150 216T132 202T114 218T96 202T78 214T62 202T46 206z")
    canvas.add(line("M120 180V128M84 182V146M156 182V146", "#d9c9a0", 4))
    canvas.solid(star_path(120, 104, 30), GOLD)
    for x in (84, 156):
        canvas.solid(heart_path(x, 134, 15), canvas.colour)
    return 254


def stocking(canvas: Canvas, tier: int) -> None:
    canvas.add(line("M150 44V66", "#b39a78", 3))
    canvas.volume(
        "M92 84H164V166Q166 190 164 210Q160 250 112 248H74Q48 240 56 214Q64 198 88 194Q96 180 92 84z",
        weave=weave_of(canvas, tier + 1),
    )
    canvas.volume(rounded(84, 62, 88, 34, 10), "#f4f1ea", depth=0.6)
    canvas.solid("M56 214Q64 198 82 196Q86 224 70 247Q48 240 56 214z", "#f4f1ea")
    canvas.solid(ring(150, 48, 8, 8, 2.6), GOLD)


def plaque(canvas: Canvas, tier: int) -> None:
    """A sign, with a feast's words left to the fancy."""
    canvas.add(line("M70 112L120 54L170 112", "#b39a78", 3))
    wood = mix(canvas.colour, "#a9794e", 0.4)
    for y in (108, 152, 196):
        canvas.volume(rounded(30, y, 180, 42, 4), wood, depth=0.6)
    ink = accent(wood, canvas.dice)
    canvas.add(
        line("M54 132q9 -14 18 0t18 0t18 0t18 0t18 0t18 0t16 0", ink, 3.4), line("M76 176q8 -12 16 0t16 0t16 0t16 0t16 0", ink, 3)
    )
    canvas.solid(heart_path(120, 218, 13), ink)
    for x, y in ((36, 250), (204, 250)):
        canvas.add(line(f"M{x} {y}v2", wood, 1))


def lamp_post(canvas: Canvas, tier: int) -> float:
    """A lantern with a candle and some green."""
    metal = mix(canvas.colour, "#3a3d46", 0.45)
    canvas.add(line(ellipse(120, 48, 16, 16), metal, 4))
    canvas.solid("M74 94L104 62H136L166 94z", metal)
    canvas.solid(rounded(78, 94, 84, 132, 3), "#f8e9c4")
    canvas.add(f'<g filter="url(#soft)">{oval(120, 168, 26, 36, "#ffc860", opacity=0.8)}</g>')
    canvas.solid(rounded(104, 178, 32, 48, 3), "#f3ead8")
    canvas.add(shape("M120 146q11 16 0 28q-11 -12 0 -28z", "#f4ab3f"))
    for x in (76, 116, 156) if tier else (76, 156):
        canvas.solid(limb(x + 4, 94, x + 4, 226, 7, 7), metal)
    canvas.solid(rounded(68, 224, 104, 18, 3), metal)
    for i in range(6):
        with canvas.placed(70 + 20 * i, 246, turn=-50 + 20 * i):
            canvas.solid("M0 4Q-9 -10 0 -26Q9 -10 0 4z", PINE)
    return 252
