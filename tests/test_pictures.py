"""Drawn goods: every item gets a well-formed picture of its own, the same every time."""

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recommendations.web.drawing.giftware import SHAPES, drawer_for
from recommendations.web.drawing.goods import SHELVES, shape_for
from recommendations.web.drawing.household import parcel
from recommendations.web.drawing.paint import PIGMENTS, Dice, deep, lightness, mix
from recommendations.web.drawing.pictures import picture, pigment

DATA = Path(__file__).resolve().parent.parent / "data"
SVG = "{http://www.w3.org/2000/svg}"


def items(shop: str) -> list[dict[str, str]]:
    with gzip.open(DATA / shop / "items.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def draw(row: dict[str, str], tier: int = 1) -> str:
    tags = tuple(row.get("tags", "").split("|"))
    colour = row.get("colour", "")
    return picture(row["item_id"], title=row["title"], category=row.get("category", ""), colour=colour, tier=tier, tags=tags)


@pytest.mark.parametrize(("shop", "step", "share"), [("fashion", 1, 1.0), ("gifts", 9, 0.99), ("outfitter", 7, 0.99)])
def test_items_look_distinct_and_each_picture_repeats(shop: str, step: int, share: float) -> None:
    rows = items(shop)[::step]
    drawn = [draw(row) for row in rows]
    assert drawn == [draw(row) for row in rows]
    assert len({svg.split("</title>", 1)[1] for svg in drawn}) >= share * len(rows)


@pytest.mark.parametrize("shop", ["fashion", "gifts", "outfitter"])
def test_pictures_are_well_formed_small_and_refer_only_to_themselves(shop: str) -> None:
    for row in items(shop)[::20]:
        svg = draw(row, tier=3)
        root = ElementTree.fromstring(svg)
        ids = {e.get("id") for e in root.iter() if e.get("id")}
        used = {part.split(")")[0] for part in svg.split("url(#")[1:]}
        assert used <= ids, f"{row['item_id']} refers to {used - ids}"
        assert "nan" not in svg.split("</title>")[1]
        assert svg.count("://") == 1, "only the namespace's own name"
        assert len(svg) < 16_000


def test_every_shape_is_drawn_at_every_tier() -> None:
    for word, _ in SHAPES:
        for tier in range(4):
            root = ElementTree.fromstring(picture(f"x{word}", title=f"RED {word.upper()}", category="", colour="", tier=tier))
            assert len(list(root.iter(f"{SVG}path"))) >= 3, word


def test_the_thing_wins_over_its_decoration() -> None:
    def shape(title: str) -> str:
        words = frozenset(title.lower().replace("-", " ").split())
        return drawer_for(words, title.lower()).__name__

    assert shape("WHITE HANGING HEART T-LIGHT HOLDER") == "candle"
    assert shape("RED HEART MUG") == "mug"
    assert shape("CREAM CUPID HEARTS COAT HANGER") == "knob"
    assert shape("HEART OF WICKER") == "heart"
    assert drawer_for(frozenset({"thing"}), "thing") is parcel


def test_every_outfitter_item_is_small_and_soon_drawn() -> None:
    spent = time.process_time()
    sizes = {row["title"]: len(draw(row, tier=i % 4).encode()) for i, row in enumerate(items("outfitter"))}
    spent = time.process_time() - spent
    assert max(sizes.values()) < 6_144, max(sizes, key=lambda title: sizes[title])
    assert spent / len(sizes) < 0.005, "seconds of this process for each"


@pytest.mark.parametrize("category", sorted(SHELVES))
@pytest.mark.parametrize("tier", range(4))
def test_every_shape_of_a_shelf_draws_itself_at_every_price(category: str, tier: int) -> None:
    shelf = SHELVES[category]
    asked = [(words.split()[0], "", drawer) for words, drawer in shelf.rules]
    asked += [("", style, drawer) for style, drawer in shelf.styles.items()]
    for word, style, drawer in [*asked, ("", "", shelf.otherwise)]:
        assert shape_for(category, frozenset({word}), frozenset({style})) is drawer, (word, style)
        for seed in range(3):
            svg = picture(f"{seed}", title=word, category=category, colour="", tier=tier, tags=(style,))
            root = ElementTree.fromstring(svg)
            ids = {e.get("id") for e in root.iter() if e.get("id")}
            referred = {part.split(")")[0] for part in svg.split("url(#")[1:]}
            referred |= {(e.get("href") or "#")[1:] for e in root.iter(f"{SVG}use")}
            assert referred <= ids


def test_words_of_a_title_outweigh_the_tag_and_the_category_catches_the_rest() -> None:
    def name(title: str, *tags: str, category: str = "furniture") -> str:
        return shape_for(category, frozenset(title.lower().split()), frozenset(tags)).__name__

    assert name("Modern Dining Set", "tables") == "dining"
    assert name("Rustic Harmony", "sofas") == "sofa"
    assert name("Rustic Harmony", "women") == "cabinet"
    assert name("Jumbo Tiger Prawns", "seafood", category="groceries") == "shrimp"
    assert {row["category"] for row in items("outfitter")} <= set(SHELVES)


def test_a_dearer_garment_has_more_detail() -> None:
    strokes = [sum(draw(row, tier=t).count("stroke-dasharray") for row in items("fashion")) for t in range(4)]
    assert strokes[0] == 0 < strokes[1]
    lace = [sum(len(draw(row, tier=t)) for row in items("fashion")) for t in (0, 3)]
    assert lace[1] > 1.2 * lace[0]


def test_the_colour_is_the_items_own() -> None:
    for name in ("black", "red", "olive"):
        found = pigment(name, Dice("any"))
        wanted = PIGMENTS[name]
        distance = sum(abs(int(found[i : i + 2], 16) - int(wanted[i : i + 2], 16)) for i in (1, 3, 5))
        assert distance <= 75, f"{name}: {found} against {wanted}"
    assert pigment("navy blue", Dice("a"))[1:3] < pigment("blue", Dice("a"))[1:3]
    assert lightness(pigment("white", Dice("a"))) > 0.8


def test_titles_are_escaped() -> None:
    root = ElementTree.fromstring(picture("a", title='<b>&"', category="", colour="", tier=0))
    assert root.findtext(f"{SVG}title") == '<b>&"'


def test_mix_and_deep_by_hand() -> None:
    assert mix("#000000", "#ff8040", 0.5) == "#804020"
    assert deep("#ffffff", 1.0) == "#1e1c2c"


def test_impossible_arguments_raise() -> None:
    with pytest.raises(ValueError, match=r"price tier 4 is not in 0\.\.3"):
        picture("a", title="", category="", colour="", tier=4)
    with pytest.raises(ValueError, match="nothing to pick from"):
        Dice("a").pick(())
