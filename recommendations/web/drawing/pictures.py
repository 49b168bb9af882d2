"""A picture for an item that has no photograph: the same item always gets the same SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recommendations.web.drawing.garments import KINDS, draw_garment
from recommendations.web.drawing.giftware import drawer_for
from recommendations.web.drawing.goods import SHELVES, shape_for
from recommendations.web.drawing.paint import MIXED, PIGMENTS, UNSAID, Canvas, Dice, mix

STYLE = 2
"""Raised when the drawing changes, so that browsers fetch pictures anew."""

_WORD = re.compile(r"[a-z]+")
_MANY = ("of many colors", "many colours", "multicolour", "multicolor", "assorted")


def picture(external_id: str, *, title: str, category: str, colour: str, tier: int, tags: Sequence[str] = ()) -> str:
    """An SVG of the item.

    category : a kind of garment, "sale" for a garment of any kind; one of `goods.SHELVES`; anything else is drawn from the title.
    colour : the catalogue's word; "" to look for one in the title.
    tier : 0..3, the item's price tier within its category.
    tags : the item's tags; a style among them gives the shape where the title says nothing.
    Raises ValueError on another tier.
    """
    if not 0 <= tier <= 3:
        raise ValueError(f"price tier {tier} is not in 0..3")
    dice = Dice(external_id)
    kind = category.lower()
    mixed = colour.lower() in _MANY
    shelf = SHELVES.get(kind)
    canvas = Canvas(pigment(colour or title, dice, unsaid=shelf.colours if shelf else UNSAID), dice)
    if kind == "sale" or kind in KINDS:
        draw_garment(canvas, dice.pick(KINDS) if kind == "sale" else kind, tier=tier, mixed=mixed)
        return canvas.svg(title=title)
    lowered = title.lower()
    words = _WORD.findall(lowered)
    if shelf is not None:
        floor = shape_for(kind, frozenset(words), frozenset(tag.lower() for tag in tags))(canvas, tier)
        return canvas.svg(floor=floor, title=title)
    singular = {w.removesuffix("es") for w in words} | {w.removesuffix("s") for w in words}
    floor = drawer_for(frozenset(words) | singular, lowered)(canvas, tier)
    return canvas.svg(floor=floor, title=title)


def pigment(words: str, dice: Dice, *, unsaid: Sequence[str] = UNSAID) -> str:
    """The hex colour that a colour word or a title names, one of `unsaid` if it names none.

    It is moved a little, so that two blues are not the same blue.
    """
    text = words.lower()
    if text in _MANY:
        return mix(dice.pick(MIXED), "#efe6d6", 0.55)
    named = [p for name, p in PIGMENTS.items() if re.search(rf"\b{name}\b", text)]
    if "christmas" in text and not named:
        named = [dice.pick((PIGMENTS["red"], PIGMENTS["green"]))]
    base = named[0] if named else dice.pick(unsaid)
    return mix(base, dice.pick(("#ffffff", "#20202a", "#c98f5a", "#5a7fa8")), dice.between(0, 0.1))
