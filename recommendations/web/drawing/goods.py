"""Goods of a general store: an item's category, its tags and its title's words to the shape that is drawn for it."""

from __future__ import annotations

from typing import NamedTuple

from recommendations.web.drawing import (
    devices,
    festive,
    floral,
    food,
    furnishing,
    gear,
    homely,
    household,
    instruments,
    ornaments,
    produce,
    toiletries,
    trinkets,
    wear,
)
from recommendations.web.drawing.giftware import Drawer
from recommendations.web.drawing.paint import UNSAID


class Shelf(NamedTuple):
    """How a category is drawn.

    rules : ("word word ...", shape), the title's words; first match wins.
    styles : tag -> shape, for titles whose words say nothing.
    otherwise : the shape of the rest.
    colours : what an item of no named colour is painted with.
    """

    rules: tuple[tuple[str, Drawer], ...]
    styles: dict[str, Drawer]
    otherwise: Drawer
    colours: tuple[str, ...] = UNSAID


_WARM = ("#b5743f", "#8b5c3d", "#a5584f", "#4f6a7c", "#6f7d5c")
_HOT = ("#c8503a", "#d8863a", "#2f5d8c", "#5d8f66", "#d0a53a", "#33655e")
_GLAD = ("#bb4346", "#5d8f66", "#d1a648", "#d98ca0", "#6f93b0")

_PLANTS: tuple[tuple[str, Drawer], ...] = (
    ("succulent succulents aloe echeveria", floral.succulent),
    ("cactus cacti", floral.cactus),
    ("bonsai", floral.bonsai),
    ("plant planter jungle monstera snake philodendron bamboo fern palm", floral.plant),
)
_FLOWERS: tuple[tuple[str, Drawer], ...] = (
    ("boutonniere boutonnieres corsage", floral.corsage),
    ("wreath wreaths", floral.wreath),
    ("centerpiece urn", floral.centrepiece),
    ("vase arrangement jar", floral.arrangement),
    ("bouquet bouquets roses", floral.bouquet),
)
_TABLEWARE: tuple[tuple[str, Drawer], ...] = (
    ("hat", homely.hat_stand),
    ("teapot teapots", household.teapot),
    ("kettle", homely.kettle),
    ("coffee espresso chemex", homely.coffee),
    ("mug mugs cup cups teacup tea", household.mug),
    ("wine goblet goblets flute flutes champagne martini cocktail", homely.wine),
    ("beer whiskey tumbler tumblers glass glasses glassware mason", homely.tumblers),
    ("pitcher carafe decanter jug", homely.pitcher),
    ("skillet pan griddle wok", homely.pan),
    ("oven pot pots stockpot casserole cookware saucepan", homely.pot),
    ("knife knives cleaver", homely.knives),
    ("board boards", homely.board),
    ("utensil utensils spatula whisk ladle tongs", homely.utensils),
    ("cutlery flatware fork spoon spoons forks", household.cutlery),
    ("stove fireplace", homely.fireplace),
    ("vase", homely.vase),
    ("cake stand", household.cakestand),
    ("dining dinnerware setting table place plate plates dessert dish platter tableware", homely.setting),
    ("bowl bowls", household.bowl),
    ("bottle flask thermos", gear.flask),
    ("basket", homely.basket),
    ("jar canister shaker", household.jar),
    ("towel apron mitt linen napkin", toiletries.towels),
    ("sponge", homely.sponge),
)
_SWEETS: tuple[tuple[str, Drawer], ...] = (
    ("cupcake cupcakes muffin muffins", food.cupcake),
    ("cookie cookies gingerbread biscuits macarons", food.cookies),
)

SHELVES: dict[str, Shelf] = {
    "furniture": Shelf(
        (
            ("dining", furnishing.dining),
            ("conference boardroom", furnishing.dining),
            ("loveseat couch sofa sectional", furnishing.sofa),
            ("desk workspace workstation study", furnishing.desk),
            ("ergonomic gaming task executive", furnishing.office_chair),
            ("armchair lounge lounger accent recliner", furnishing.armchair),
            ("stool", furnishing.chair),
            ("coffee side bedside nightstand end", furnishing.low_table),
            ("vanity mirror", furnishing.mirror),
            ("sideboard console cabinet credenza apothecary bathroom", furnishing.cabinet),
            ("bookshelf shelf shelves bookcase shelving", furnishing.shelf),
            ("table", furnishing.table),
            ("dresser drawer drawers chest", furnishing.dresser),
            ("office", furnishing.desk),
            ("living", furnishing.living_room),
        ),
        {
            "tables": furnishing.table,
            "chairs": furnishing.chair,
            "sofas": furnishing.sofa,
            "dressers": furnishing.dresser,
        },
        furnishing.cabinet,
        furnishing.WOODS,
    ),
    "homedecor": Shelf(
        (
            ("mirror", furnishing.mirror),
            ("clock timepiece timekeeper", household.clock),
            ("candle candles aromatherapy votive tealight", household.candle),
            ("lantern lanterns", festive.lamp_post),
            ("chandelier", furnishing.chandelier),
            ("string fairy", ornaments.lights),
            ("floor tripod", furnishing.floor_lamp),
            ("pendant ceiling hanging edison", furnishing.pendant),
            ("lamp lamps light sconce", furnishing.table_lamp),
            ("basket baskets hamper", homely.basket),
            ("pillow pillows cushion", household.cushion),
            ("egg eggs", festive.egg),
            *_PLANTS,
            ("vase vases eucalyptus pitcher blooming", homely.vase),
            ("art wall print canvas painting", homely.picture),
            ("frame", household.frame),
            ("rug throw blanket", toiletries.towels),
        ),
        {
            "lighting": furnishing.table_lamp,
            "cushion": household.cushion,
            "clock": household.clock,
            "decorative": homely.vase,
        },
        homely.vase,
        homely.GLAZES,
    ),
    "apparel": Shelf(
        (
            ("sock socks", wear.socks),
            ("scarf shawl wrap pashmina", wear.scarf),
            ("puffer quilted", wear.puffer),
            ("denim", wear.denim),
            ("coat trench overcoat parka", wear.overcoat),
            ("boot boots", wear.boot),
            ("jacket blazer bomber windbreaker hoodie cardigan sweater", wear.jacket),
            ("flannel plaid check checkered", wear.plaid_shirt),
            ("tee t tank jersey top", wear.tee),
            ("dress gown jumpsuit", wear.gown),
            ("blanket throw", wear.scarf),
        ),
        {"jacket": wear.jacket, "shirt": wear.shirt, "scarf": wear.scarf, "socks": wear.socks},
        wear.shirt,
        wear.CLOTH,
    ),
    "accessories": Shelf(
        (
            ("sunglasses shades", trinkets.sunglasses),
            ("glasses eyeglasses eyewear spectacles frames readers", trinkets.glasses),
            ("smartwatch tracker", trinkets.smartwatch),
            ("belt", trinkets.belt),
            ("messenger briefcase satchel", trinkets.satchel),
            ("backpack daypack rucksack", trinkets.backpack),
            ("tote shopper", household.bag),
        ),
        {
            "backpack": trinkets.backpack,
            "bag": household.bag,
            "handbag": trinkets.handbag,
            "belt": trinkets.belt,
            "glasses": trinkets.sunglasses,
            "watch": trinkets.watch,
        },
        trinkets.handbag,
        wear.HIDE,
    ),
    "footwear": Shelf(
        (
            ("flop flops thong slides slide", wear.flip_flop),
            ("heels heel stiletto stilettos pumps pump platform strappy", wear.heel),
            ("boot boots booties", wear.boot),
            ("sandal sandals", wear.sandal),
            ("sneaker sneakers runner runners", wear.sneaker),
        ),
        {"formal": wear.oxford, "sneaker": wear.sneaker, "sandals": wear.sandal, "boot": wear.boot},
        wear.oxford,
        wear.HIDE,
    ),
    "jewelry": Shelf(
        (
            ("earring earrings studs", trinkets.earrings),
            ("bracelet bracelets bangle", trinkets.bracelet),
            ("necklace pendant pendants", trinkets.necklace),
            ("ring rings", trinkets.finger_ring),
        ),
        {"bracelet": trinkets.bracelet, "earrings": trinkets.earrings, "necklace": trinkets.necklace},
        trinkets.necklace,
        ("#33559b", "#2f7d5b", "#a3324a", "#8664a3", "#4aa7a8", "#ece5d8", "#c9a24b"),
    ),
    "electronics": Shelf(
        (
            ("tripod grip stabilizer gimbal", devices.tripod),
            ("cinema cinematic cine video vlogger rig camcorder", devices.video_camera),
            ("earbuds", devices.earbuds),
            ("headphones headset", devices.headphones),
            ("speaker speakers", devices.speaker),
            ("adapter charger plug extension hub", devices.charger),
            ("tv television", devices.television),
            ("laptop monitor computer", devices.computer),
            ("light lamp", furnishing.table_lamp),
        ),
        {
            "camera": devices.camera,
            "speaker": devices.speaker,
            "headphones": devices.headphones,
            "cable": devices.cable,
            "television": devices.television,
            "computer": devices.computer,
            "keyboard": devices.keyboard,
        },
        devices.charger,
        devices.BODIES,
    ),
    "tools": Shelf(
        (
            ("chainsaw", gear.chainsaw),
            ("screwdriver screwdrivers bit fastener", gear.screwdriver),
            ("kit toolkit toolset socket essentials", gear.toolbox),
            ("adjustable pipe plumber ratchet", gear.ratchet),
            ("pliers plier", gear.pliers),
            ("axe", gear.axe),
            ("table miter circular", gear.chainsaw),
        ),
        {
            "saw": gear.saw,
            "wrench": gear.wrench,
            "set": gear.toolbox,
            "hammer": gear.hammer,
            "plier": gear.pliers,
            "drill": gear.drill,
            "screwdriver": gear.screwdriver,
            "axe": gear.axe,
            "knife": gear.pocket_knife,
        },
        gear.toolbox,
        gear.GRIPS,
    ),
    "outdoors": Shelf(
        (
            ("tent", gear.tent),
            ("lantern lamp", festive.lamp_post),
            ("mug cup", household.mug),
            ("bottle flask thermos", gear.flask),
            ("lounger chair hammock", gear.lounger),
            ("paddle paddles", gear.paddle),
            ("kayak canoe", gear.kayak),
            ("jacket vest sweater", wear.jacket),
            ("boots boot", wear.boot),
            ("backpack", trinkets.backpack),
            ("reel", gear.reel),
            ("lure lures spinner bait", gear.lure),
            ("net", gear.net),
            ("collar leash harness", gear.collar),
            ("frisbee disc float", gear.frisbee),
            ("bone ball chew toy playset", gear.bone),
            ("portrait print art poster", homely.poster),
        ),
        {"fishing": gear.rod, "camping": gear.tent, "pet": gear.paws, "kayaking": gear.kayak},
        gear.tent,
        _HOT,
    ),
    "instruments": Shelf(
        (
            ("print poster", homely.poster),
            ("microphone mic condenser vocal", instruments.microphone),
            ("ukulele", instruments.ukulele),
            ("violin cello viola", instruments.violin),
            ("bass", instruments.bass),
            ("electric semi resonator", instruments.electric_guitar),
            ("guitar", instruments.guitar),
            ("djembe", instruments.djembe),
            ("tabla dhol", instruments.tabla),
            ("cymbal cymbals", instruments.cymbals),
            ("kit", instruments.drum_kit),
            ("grand", instruments.grand_piano),
            ("digital keyboard synth controller midi workstation studio", instruments.synthesizer),
            ("saxophone sax", instruments.saxophone),
            ("french", instruments.horn),
            ("flute clarinet woodwind", instruments.flute),
        ),
        {
            "strings": instruments.guitar,
            "percussion": instruments.drum,
            "keys": instruments.upright_piano,
            "microphone": instruments.microphone,
            "wind": instruments.trumpet,
        },
        instruments.note,
        instruments.WOODS,
    ),
    "floral": Shelf(
        (*_FLOWERS[:3], *_PLANTS, *_FLOWERS[3:]),
        {
            "plant": floral.plant,
            "arrangement": floral.arrangement,
            "bouquet": floral.bouquet,
            "wreath": floral.wreath,
            "centerpiece": floral.centrepiece,
        },
        floral.bouquet,
        floral.PETALS,
    ),
    "housewares": Shelf(_TABLEWARE, {"kitchen": household.plate, "bowls": household.bowl}, household.bowl, homely.GLAZES),
    "groceries": Shelf(
        (
            ("croissant croissants", food.croissant),
            ("bagel bagels donut donuts doughnut doughnuts", food.bun),
            *_SWEETS,
            ("pie pies tart quiche", food.pie),
            ("cake cakes cheesecake brownie torte", food.cake),
            ("butter", food.butter),
            ("milk cream", food.milk),
            ("parfait yogurt yoghurt", food.yoghurt),
            ("steak steaks ribeye sirloin tomahawk wagyu", food.steak),
            ("roast ham turkey tenderloin", food.roast),
            ("salmon fillet fillets tuna", food.fillet),
            ("shrimp prawn prawns", food.shrimp),
            ("crab crabs lobster lobsters", food.crab),
            ("oyster oysters clams mussels scallops", food.oysters),
            ("tomato tomatoes", produce.tomato),
            ("chili chilli habanero jalapeno", produce.chilli),
            ("pepper peppers bell", produce.pepper),
            ("broccoli cauliflower", produce.broccoli),
            ("lettuce spinach kale basil herb cabbage asparagus celery leek", produce.greens),
            ("carrot carrots beet beets radish radishes turnip", produce.roots),
            ("onion onions garlic shallot", produce.onion),
            ("mushroom mushrooms", produce.mushrooms),
            ("apple apples gala", produce.apple),
            ("pear pears bosc", produce.pear),
            ("banana bananas", produce.banana),
            ("citrus orange oranges lemon lemons lime grapefruit", produce.citrus),
            ("grape grapes", produce.grapes),
            ("berry berries blueberry strawberry strawberries raspberry cherry cherries", produce.berries),
            ("melon watermelon cantaloupe pineapple", produce.melon),
            ("soup stew salad platter", food.dish),
        ),
        {
            "bakery": food.loaf,
            "vegetables": produce.crate,
            "meat": food.cuts,
            "fruits": produce.peach,
            "dairy": food.cheese,
            "seafood": food.fish,
        },
        produce.crate,
        ("#6f8f5f", "#c98f74", "#5b7f86", "#d0a53a"),
    ),
    "food service": Shelf(
        (
            ("pizza", food.pizza),
            ("shrimp", food.shrimp),
            ("cola smoothie juice sips drink", food.drink),
            ("espresso cocoa chocolate", household.mug),
            ("peanuts cashews almond almonds nuts seeds", food.nuts),
            ("chips crisps nacho nachos", food.chips),
        ),
        {},
        food.dish,
        homely.GLAZES,
    ),
    "seasonal": Shelf(
        (
            ("wreath", floral.wreath),
            ("stocking", festive.stocking),
            ("snowman", festive.snowman),
            ("gnome", festive.gnome),
            ("reindeer moose deer", festive.reindeer),
            ("cane", festive.candy_cane),
            ("village house nativity crib scene", festive.village),
            ("garland", festive.garland),
            ("topper", festive.topper),
            ("gingerbread", festive.gingerbread),
            *_SWEETS,
            ("cake", food.cake),
            ("teddy bear", festive.teddy),
            ("chocolate chocolates candy treats truffles", festive.chocolates),
            ("skull skeleton bones", festive.skull),
            ("mask costume masquerade", festive.mask),
            ("pumpkin pumpkins jack", festive.pumpkin),
            ("bunny rabbit plush", festive.bunny),
            ("egg eggs nest", festive.egg),
            ("sign", festive.plaque),
            ("basket", homely.basket),
            ("lantern lamp lights light candle", festive.lamp_post),
            ("tree pine", ornaments.tree),
            ("ornament ornaments bauble", festive.ornament),
            ("bouquet roses rose", floral.bouquet),
            ("centerpiece", floral.centrepiece),
            ("mug cup", household.mug),
            ("pillow cushion", household.cushion),
            ("gift box", festive.gift),
            ("heart hearts love neon", festive.sweet_heart),
        ),
        {
            "christmas": festive.ornament,
            "halloween": festive.ghost,
            "easter": festive.egg,
            "valentine": festive.sweet_heart,
        },
        festive.gift,
        _GLAD,
    ),
    "beauty": Shelf(
        (
            ("toothbrush toothbrushes", toiletries.toothbrush),
            ("lipstick lips lip", toiletries.lipstick),
            ("nail polish", toiletries.polish),
            ("razor shaving shave", toiletries.razor),
            ("palette eyeshadow blush powder", toiletries.palette),
            ("brush brushes makeup mascara", toiletries.brushes),
            ("perfume cologne fragrance", toiletries.perfume),
            ("dropper oil elixir serum", toiletries.dropper),
            ("soap bar bars bombs", toiletries.soap),
            ("towel towels robe", toiletries.towels),
            ("balm tin cream", toiletries.jar),
            ("lotion shampoo wash moisturizing", toiletries.lotion),
        ),
        {"grooming": toiletries.brushes, "bathing": toiletries.lotion},
        toiletries.lotion,
        ("#d98ca0", "#b5574f", "#93a583", "#7f97a8", "#c9a57a"),
    ),
    "books": Shelf(
        (("bowl soup", food.dish),),
        {"travel": homely.poster, "cooking": homely.cookbook},
        household.book,
        _WARM,
    ),
}
"""Category -> how it is drawn. In `rules` the thing comes before what it goes with ("egg nest" before "basket")."""


def _index(shelf: Shelf) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, (words, _) in enumerate(shelf.rules):
        for word in words.split():
            places.setdefault(word, place)
    return places


_PLACES = {category: _index(shelf) for category, shelf in SHELVES.items()}


def shape_for(category: str, words: frozenset[str], tags: frozenset[str]) -> Drawer:
    """The shape of an item. category : a key of `SHELVES`.  words : of its title.  tags : lower case. Raises KeyError."""
    shelf, places = SHELVES[category], _PLACES[category]
    found = min((places[word] for word in words if word in places), default=None)
    styled = next((shelf.styles[tag] for tag in sorted(tags) if tag in shelf.styles), None)
    if found is not None:
        return shelf.rules[found][1]
    return styled or shelf.otherwise
