"""Colours and cloth: what every drawn picture is painted with. Pure: the same arguments give the same SVG."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

WIDTH, HEIGHT = 240, 300

PIGMENTS = {
    "black": "#33343b",
    "gray": "#8d939b",
    "grey": "#8d939b",
    "silver": "#b4bac2",
    "zinc": "#a3abb2",
    "metal": "#9aa3ab",
    "white": "#f4f1ea",
    "ivory": "#efe6d2",
    "cream": "#efe3c8",
    "beige": "#d9c3a0",
    "natural": "#d6bd95",
    "wicker": "#c49a62",
    "wooden": "#b98a58",
    "wood": "#b98a58",
    "brown": "#7d5941",
    "chocolate": "#5f4030",
    "antique": "#b39a78",
    "gold": "#c9a24b",
    "brass": "#c2994a",
    "copper": "#bd7748",
    "navy blue": "#2f4165",
    "navy": "#2f4165",
    "blue": "#4b7cb3",
    "turquoise": "#4aa7a8",
    "aqua": "#6bb8bd",
    "green": "#5d8f66",
    "olive": "#84844a",
    "mint": "#a3cdb4",
    "lime": "#a3bb5b",
    "yellow": "#e2bd56",
    "orange": "#da8748",
    "peach": "#e9b694",
    "pink": "#dc95a8",
    "rose": "#d48796",
    "red": "#bb4346",
    "ruby": "#a3324a",
    "burgundy": "#75303f",
    "violet": "#866aa6",
    "purple": "#7b5e9e",
    "lilac": "#ac98c4",
    "lavender": "#ac98c4",
    "noir": "#33343b",
    "midnight": "#323a55",
    "charcoal": "#4a4c54",
    "stainless": "#a9b1b8",
    "steel": "#9aa3ab",
    "platinum": "#bfc4c9",
    "marble": "#e6e2da",
    "pearl": "#ece5d8",
    "sand": "#d8c3a0",
    "tan": "#c39a6b",
    "camel": "#bb9160",
    "caramel": "#b5743f",
    "cognac": "#99592f",
    "leather": "#8b5c3d",
    "suede": "#a07a58",
    "espresso": "#4f382c",
    "mocha": "#75543f",
    "walnut": "#71503a",
    "mahogany": "#6f3b2c",
    "oak": "#b98f5f",
    "bamboo": "#cdaa70",
    "rattan": "#c2955d",
    "denim": "#4d6b92",
    "sapphire": "#33559b",
    "azure": "#5b97c9",
    "teal": "#2f7c80",
    "emerald": "#2f7d5b",
    "sage": "#93a583",
    "forest": "#466a4b",
    "mustard": "#cf9f3d",
    "sunshine": "#e8bf50",
    "golden": "#c9a24b",
    "amber": "#cf8a3a",
    "honey": "#cf9a48",
    "tangerine": "#e0813f",
    "terracotta": "#bd6b48",
    "coral": "#e07f6c",
    "blush": "#e0b0a8",
    "fuchsia": "#b8457f",
    "scarlet": "#b9363a",
    "crimson": "#9f2c3d",
    "cherry": "#9a2f3d",
    "amethyst": "#8664a3",
    "plum": "#6a4066",
}
"""Colour word -> pigment. Slightly greyed, as cloth and glaze are, so that a wall of items stays calm."""

MIXED = ("#c8605c", "#e2b45c", "#5f9a8b", "#4f76a8", "#8a6a9e", "#e0d2ba")
"""The pigments of an item "of many colors"."""

UNSAID = ("#b8806a", "#7f97a8", "#a3a074", "#b59a80", "#8f86a3", "#c79a8e", "#7ba093")
"""Pigments for an item whose colour nobody has written down."""

BACKDROPS = ("#ece6dd", "#e3e8ec", "#e5eae1", "#efe5e1", "#e8e5ed", "#eae8e2")


class Dice:
    """Repeatable choices from an item's id: the n-th question always gets the same answer."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def fraction(self) -> float:
        """The next number in [0, 1)."""
        self._count += 1
        digest = hashlib.blake2b(f"{self._seed}/{self._count}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    def between(self, low: float, high: float) -> float:
        """The next number in [low, high)."""
        return low + (high - low) * self.fraction()

    def pick(self, options: Sequence[T]) -> T:
        """The next choice. Raises ValueError when there is nothing to choose from."""
        if not options:
            raise ValueError("nothing to pick from")
        return options[int(self.fraction() * len(options))]


def mix(one: str, other: str, share: float) -> str:
    """The colour `share` of the way from one hex colour to the other, 0 to 1."""
    pairs = ((int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def lightness(colour: str) -> float:
    """Perceived lightness of a hex colour, 0 (black) to 1 (white). ITU-R BT.601 luma."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return (0.299 * r + 0.587 * g + 0.114 * b) / 255


def deep(colour: str, share: float = 0.3) -> str:
    """The colour in shade: towards a cool dark, never to plain black."""
    return mix(colour, "#1e1c2c", share)


def pale(colour: str, share: float = 0.3) -> str:
    """The colour in light: towards a warm white."""
    return mix(colour, "#fffaf2", share)


def accent(colour: str, dice: Dice) -> str:
    """A second pigment that reads on the first."""
    options = ("#f4ecdd", "#e2bd8a", "#cfd9df") if lightness(colour) < 0.5 else ("#5b5560", "#a5584f", "#4d6d86")
    return dice.pick(options)


def num(value: float) -> str:
    """A number as SVG wants it: short."""
    return f"{value:.1f}".removesuffix(".0")


def shape(d: str, fill: str, *, opacity: float = 1.0, extra: str = "") -> str:
    """A filled path."""
    faint = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<path d="{d}" fill="{fill}"{faint}{extra}/>'


def line(d: str, colour: str, width: float = 1.2, *, dash: str = "", opacity: float = 1.0) -> str:
    """A drawn line: a seam, a stitch, a cord."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    faint = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{num(width)}" stroke-linecap="round"{dashes}{faint}/>'


def disc(x: float, y: float, r: float, fill: str, *, opacity: float = 1.0) -> str:
    """A filled circle."""
    faint = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<circle cx="{num(x)}" cy="{num(y)}" r="{num(r)}" fill="{fill}"{faint}/>'


def oval(x: float, y: float, rx: float, ry: float, fill: str, *, opacity: float = 1.0, extra: str = "") -> str:
    """A filled ellipse."""
    faint = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<ellipse cx="{num(x)}" cy="{num(y)}" rx="{num(rx)}" ry="{num(ry)}" fill="{fill}"{faint}{extra}/>'


class Canvas:
    """A picture under way. Volumes are lit from the upper left: a gradient across, a soft dark edge within."""

    def __init__(self, colour: str, dice: Dice) -> None:
        self.colour = colour
        self.dice = dice
        self._defs: list[str] = []
        self._body: list[str] = []
        self._lights: dict[str, str] = {}
        self._count = 0

    def name(self) -> str:
        """A new id within this picture."""
        self._count += 1
        return f"i{self._count}"

    def define(self, markup: str) -> None:
        """Adds to the picture's definitions."""
        self._defs.append(markup)

    def add(self, *markup: str) -> None:
        """Paints over what is there."""
        self._body.extend(markup)

    def volume(
        self, d: str, colour: str | None = None, *, inside: Sequence[str] = (), weave: str = "", depth: float = 1.0
    ) -> None:
        """A solid with soft light: body, weave over it, `inside` shading blurred and clipped to it, a darker rim.

        depth : how much light and shade differ; 1 for cloth, less for paper and card.
        """
        base = colour or self.colour
        clip, light = self.name(), self.name()
        dark = deep(base, 0.20 * depth if lightness(base) < 0.85 else 0.13 * depth)
        bright = pale(base, (0.09 + 0.11 * lightness(base)) * depth)
        self._defs.append(
            f'<clipPath id="{clip}"><path d="{d}"/></clipPath>'
            f'<linearGradient id="{light}" x1="0" y1="0" x2="1" y2=".35"><stop stop-color="{mix(base, dark, 0.35)}"/>'
            f'<stop offset=".28" stop-color="{bright}"/><stop offset=".6" stop-color="{base}"/>'
            f'<stop offset="1" stop-color="{dark}"/></linearGradient>'
        )
        parts = [f'<path d="{d}" fill="url(#{light})"/><g clip-path="url(#{clip})">']
        if weave:
            parts.append(f'<path d="{d}" fill="url(#{weave})"/>')
        rim = deep(base, 0.55 if lightness(base) < 0.85 else 0.38)
        parts.append('<g filter="url(#soft)">')
        parts.extend(inside)
        parts.append(f'<path d="{d}" fill="none" stroke="{rim}" stroke-width="{num(7 * depth)}" opacity=".34"/></g></g>')
        self._body.extend(parts)

    def solid(self, d: str, colour: str | None = None, *, weave: str = "") -> None:
        """A part, or a thing of many parts: light across it and a thin edge, a fifth of a volume's bytes."""
        base = colour or self.colour
        light = self._lights.get(base)
        if light is None:
            light = self._lights[base] = self.name()
            self._defs.append(
                f'<linearGradient id="{light}" x1="0" y1="0" x2="1" y2=".45"><stop stop-color="{pale(base, 0.22)}"/>'
                f'<stop offset=".45" stop-color="{base}"/><stop offset="1" stop-color="{deep(base, 0.24)}"/></linearGradient>'
            )
        self._body.append(f'<path d="{d}" fill="url(#{light})" stroke="{deep(base, 0.4)}"/>')
        if weave:
            self._body.append(f'<path d="{d}" fill="url(#{weave})"/>')

    @contextmanager
    def placed(self, x: float = 0, y: float = 0, *, turn: float = 0, scale: float = 1, flip: bool = False) -> Iterator[None]:
        """What is painted within is moved by (x, y), after being turned (degrees), scaled and mirrored about the origin."""
        across = -scale if flip else scale
        self._body.append(f'<g transform="translate({num(x)} {num(y)}) rotate({num(turn)}) scale({across:.2f} {scale:.2f})">')
        yield
        self._body.append("</g>")

    @contextmanager
    def stencil(self) -> Iterator[str]:
        """What is painted within is kept aside under the id given, for `stamp`: a leaf or a flower told once."""
        name, body = self.name(), self._body
        self._body = []
        yield name
        self._defs.append(f'<g id="{name}">{"".join(self._body)}</g>')
        self._body = body

    def stamp(self, name: str, x: float, y: float, *, turn: float = 0, scale: float = 1) -> None:
        """A stencil's picture, moved by (x, y) after being turned (degrees) and scaled."""
        turned = f" rotate({num(turn)})" if turn else ""
        scaled = f" scale({scale:.2f})" if scale != 1 else ""
        self._body.append(f'<use href="#{name}" transform="translate({num(x)} {num(y)}){turned}{scaled}"/>')

    def fold(self, d: str, *, opacity: float = 0.3, colour: str | None = None) -> str:
        """A fold's shade, for `inside` of a volume."""
        return shape(d, deep(colour or self.colour, 0.6), opacity=opacity)

    def gleam(self, d: str, *, opacity: float = 0.35) -> str:
        """A fold's light, for `inside` of a volume; faint on dark cloth, which would look like leather."""
        return shape(d, "#fff8ec", opacity=opacity * (0.45 + 0.55 * lightness(self.colour)))

    def stripes(self, colour: str, gap: float, width: float, *, angle: float = 0, opacity: float = 0.55) -> str:
        """Id of a striped weave."""
        name = self.name()
        self._defs.append(
            f'<pattern id="{name}" width="{num(gap)}" height="{num(gap)}" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate({num(angle)})"><rect width="{num(width)}" height="{num(gap)}" '
            f'fill="{colour}" opacity="{opacity:.2f}"/></pattern>'
        )
        return name

    def check(self, colour: str, gap: float, width: float, *, opacity: float = 0.3) -> str:
        """Id of a checked weave: two sets of stripes that darken where they cross."""
        name = self.name()
        self._defs.append(
            f'<pattern id="{name}" width="{num(gap)}" height="{num(gap)}" patternUnits="userSpaceOnUse">'
            f'<path d="M0 0h{num(width)}v{num(gap)}h-{num(width)}z" fill="{colour}" opacity="{opacity:.2f}"/>'
            f'<path d="M0 0h{num(gap)}v{num(width)}h-{num(gap)}z" fill="{colour}" opacity="{opacity:.2f}"/></pattern>'
        )
        return name

    def dots(self, colour: str, gap: float, r: float, *, opacity: float = 0.8) -> str:
        """Id of a dotted weave, rows set off by half."""
        name, half = self.name(), gap / 2
        spots = disc(half / 2, half / 2, r, colour, opacity=opacity) + disc(half * 1.5, half * 1.5, r, colour, opacity=opacity)
        self._defs.append(
            f'<pattern id="{name}" width="{num(gap)}" height="{num(gap)}" patternUnits="userSpaceOnUse">{spots}</pattern>'
        )
        return name

    def blossoms(self, petals: Sequence[str], heart: str, gap: float, *, opacity: float = 0.9) -> str:
        """Id of a flowered weave: one five-petalled flower for each colour given, with a leaf."""
        name, dice = self.name(), self.dice
        flowers = []
        places = ((0.25, 0.25), (0.75, 0.7), (0.3, 0.78), (0.78, 0.22))
        for (x, y), petal in zip(places, petals, strict=False):
            size, turn = gap * dice.between(0.07, 0.1), dice.between(0, 72)
            petal_shape = f'<ellipse rx="{num(size * 0.75)}" ry="{num(size)}" cy="-{num(size)}" transform="rotate('
            ring = "".join(f'{petal_shape}{num(turn + 72 * i)})"/>' for i in range(5))
            leaf = oval(size * 2, size * 1.5, size, size * 0.4, "#7c8f69")
            place = f"translate({num(gap * x)} {num(gap * y)})"
            flowers.append(f'<g transform="{place}">{leaf}<g fill="{petal}">{ring}</g>{disc(0, 0, size * 0.55, heart)}</g>')
        self._defs.append(
            f'<pattern id="{name}" width="{num(gap)}" height="{num(gap)}" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate({num(dice.between(-20, 20))})"><g opacity="{opacity:.2f}">{"".join(flowers)}</g></pattern>'
        )
        return name

    def svg(self, *, floor: float | None = None, title: str = "") -> str:
        """The finished picture on its backdrop. floor : height of the ground's shadow, None for what hangs on a wall."""
        ground = self.dice.pick(BACKDROPS)
        if lightness(self.colour) > 0.8:
            ground = deep(ground, 0.13)
        shadow = ""
        if floor is not None:
            shadow = oval(WIDTH / 2 + 4, floor, 74, 7, deep(ground, 0.75), opacity=0.26, extra=' filter="url(#soft)"')
        label = f"<title>{_escape(title)}</title>" if title else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{label}<defs>'
            f'<filter id="soft" x="-30%" y="-30%" width="160%" height="160%"><feGaussianBlur stdDeviation="4"/></filter>'
            f'<filter id="cast" x="-20%" y="-20%" width="140%" height="140%"><feDropShadow dx="4" dy="6" stdDeviation="6" '
            f'flood-color="{deep(ground, 0.8)}" flood-opacity=".26"/></filter>'
            f'<radialGradient id="wall" cx=".4" cy=".32" r=".9"><stop stop-color="{pale(ground, 0.6)}"/>'
            f'<stop offset="1" stop-color="{deep(ground, 0.07)}"/></radialGradient>{"".join(self._defs)}</defs>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="url(#wall)"/>{shadow}'
            f'<g filter="url(#cast)" stroke-width=".8">{"".join(self._body)}</g></svg>'
        )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
