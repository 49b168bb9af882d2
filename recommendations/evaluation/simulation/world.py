"""A shop's personas as shoppers: what they like, how they go about it, the words they use, who and where they are.

All of it follows from the shop's own attributes and archetypes, with seeded numbers where those say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clusters.catalogue import Catalogue, terms
from personas.archetypes import Archetype, Attribute, item_scores, mix_matrix
from personas.encoding import ItemFacts

OVERLAP = 0.15
"""Share of every taste and habit that all personas have in common: even the truest often acts like another."""

TASTE = 6.5
"""Utility of an item that suits a persona fully above one that doesn't suit it at all, before the overlap."""

PRICE = 1.2
"""Utility of one standard deviation of log price within the category, to a persona that weighs price alone."""

REDUCED = 3.0
"""Utility of a reduction to a persona that weighs it by 1."""

POPULAR = 0.3
"""Utility of one unit of log popularity."""

INTEREST = 0.9
"""How sharply a category is chosen by the mean utility of its items."""

HABIT = 2.0
"""Log-odds of a habit that an archetype weighs by 1."""

MOVES = ("browse", "home", "search", "return", "remove", "checkout")
"""How a step begins: a category's listing, the shop's first page, a search, an item seen before, the cart."""

USUAL_MOVES = (1.6, -0.3, 0.2, -0.6, -2.4, -1.0)
FOLLOW_UPS = ("nothing", "add_to_cart", "add_to_wishlist")
"""What may follow when an item has been looked at."""

USUAL_FOLLOW_UPS = (0.0, -3.6, -4.2)
DWELL = math.log(20.0)
"""Log of the usual dwell, seconds."""

_DWELL_SHIFTS = {"under_5s": -1.5, "under_15s": -0.75, "under_45s": 0.0, "under_2m": 0.75, "over_2m": 1.5}
_PRICE_WEIGHTS = {"low": -1.0, "middle": -0.3, "upper": 0.5, "top": 1.0}

DAYPARTS = ("night", "morning", "afternoon", "evening")
CONTEXT = {
    "country": ("Germany", "France", "Poland", "Sweden", "United Kingdom", "United States"),
    "device": ("mobile", "desktop", "tablet"),
    "weather": ("clear", "cloudy", "rain", "snow"),
    "daypart": DAYPARTS,
}
DEMOGRAPHICS = {"age_band": ("18-24", "25-34", "35-49", "50-64", "65+"), "income_band": ("low", "middle", "high")}
TOLD = 0.7
"""Spread of the seeded log-odds by which circumstances differ from persona to persona."""

USUAL_MAIN, OTHER_MAIN, ANY = 0.75, 0.15, 0.10
"""A known shopper's sessions: mostly the main persona, often a second, else any."""


@dataclass(frozen=True)
class Words:
    """W words that shoppers search with. share : (C, W), P(word | category), rows sum to 1 (or 0 without words).

    items : for each word the positions of the items that have it.
    """

    names: tuple[str, ...]
    share: np.ndarray
    items: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class World:
    """K personas in a shop of n items in C categories; items without one share a category of their own.

    personas : archetype keys, the order of every K.  prior : (K,) P(persona).
    taste : (K, n) utility of each item before the overlap.  popularity : (n,) positive.
    moves : (K, 6) log-odds of `MOVES`.  follow_ups : (K, 3) those of `FOLLOW_UPS`.  dwell : (K,) mean log seconds.
    category : (n,) 0..C-1.  members : positions of each category's items.
    context, demographics : variable -> (K, values) P(value | persona), values as in `CONTEXT` and `DEMOGRAPHICS`.
    """

    catalogue: Catalogue
    personas: tuple[str, ...]
    prior: np.ndarray
    taste: np.ndarray
    popularity: np.ndarray
    moves: np.ndarray
    follow_ups: np.ndarray
    dwell: np.ndarray
    category: np.ndarray
    members: tuple[np.ndarray, ...]
    words: Words
    context: dict[str, np.ndarray]
    demographics: dict[str, np.ndarray]

    @cached_property
    def second(self) -> np.ndarray:
        """(K, K) P(the other persona of a session of two | the first)."""
        k = len(self.personas)
        table = np.tile(self.prior, (k, 1))
        np.fill_diagonal(table, 0.0)
        return table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300)

    @cached_property
    def usual(self) -> np.ndarray:
        """(K, K) P(persona of a session | the main persona of the known shopper), over all second personas."""
        k = len(self.personas)
        if k == 1:
            return np.ones((1, 1))
        return USUAL_MAIN * np.eye(k) + OTHER_MAIN * self.second + ANY * self.prior


@dataclass(frozen=True)
class Tastes:
    """What the choice rules read, after the overlap; shapes as in `World`.

    utility : (K, n).  liking : (K, n), utility above the persona's mean over the shop, bounded.
    usual : (K, 1) that mean.  log_interest : (K, C) log P(category | a category's listing is opened).
    sought : (K, C) P(category | a search), the same over the categories that have words; all 0 where none has.
    """

    utility: np.ndarray
    usual: np.ndarray
    liking: np.ndarray
    log_interest: np.ndarray
    sought: np.ndarray
    moves: np.ndarray
    follow_ups: np.ndarray
    dwell: np.ndarray


def build_world(
    catalogue: Catalogue, attributes: Sequence[Attribute], archetypes: Sequence[Archetype], *, seed: int = 0
) -> World:
    """Shoppers of the archetypes for a catalogue. Raises ValueError on an empty catalogue, PersonaError on a bad mix."""
    if not len(catalogue):
        raise ValueError("the catalogue is empty: there is nothing to choose from")
    if not archetypes:
        raise ValueError("there are no archetypes: nobody would come")
    rng = np.random.default_rng(seed)
    mix = mix_matrix(attributes, archetypes)
    n, k = len(catalogue), len(archetypes)
    no_groups = ItemFacts(np.zeros(n, np.int16) - 1, np.zeros(n, np.int8) - 1, ())
    scores = item_scores(attributes, no_groups, catalogue.descriptors, catalogue.item_descriptors).astype(np.float64)
    category = np.where(catalogue.category < 0, len(catalogue.categories), catalogue.category).astype(np.int64)
    kept, category = np.unique(category, return_inverse=True)
    members = tuple(np.flatnonzero(category == c) for c in range(len(kept)))
    popularity = np.exp(rng.normal(0.0, 0.8, n))
    price = mix @ np.array([_price_weight(a) for a in attributes])
    bargain = mix @ _habit(attributes, "discount=reduced")
    taste = (
        TASTE * (mix @ scores.T)
        + PRICE * price[:, None] * _price_scores(catalogue.price, category)
        + REDUCED * bargain[:, None] * _reduced(catalogue)
        + POPULAR * np.log(popularity)
    )
    moves = np.tile(USUAL_MOVES, (k, 1))
    moves[:, MOVES.index("search")] += HABIT * (mix @ _habit(attributes, "event=search"))
    moves[:, MOVES.index("return")] += HABIT * (mix @ _habit(attributes, "novelty=return", "novelty=repeat"))
    moves[:, MOVES.index("checkout")] += HABIT * (mix @ _habit(attributes, "event=purchase"))
    follow_ups = np.tile(USUAL_FOLLOW_UPS, (k, 1))
    for i, name in enumerate(FOLLOW_UPS[1:], 1):
        follow_ups[:, i] += HABIT * (mix @ _habit(attributes, f"event={name}"))
    dwell = DWELL + mix @ sum(
        (shift * _habit(attributes, f"dwell={name}") for name, shift in _DWELL_SHIFTS.items()), np.zeros(len(attributes))
    )
    rise = {name: np.linspace(-1.0, 1.0, len(values)) for name, values in DEMOGRAPHICS.items()}
    context = {name: _table(rng, k, len(values)) for name, values in CONTEXT.items()}
    demographics = {
        name: _table(rng, k, len(values), 1.2 * price[:, None] * rise[name] if name == "income_band" else 0.0)
        for name, values in DEMOGRAPHICS.items()
    }
    return World(
        catalogue=catalogue,
        personas=tuple(a.key for a in archetypes),
        prior=rng.dirichlet(np.full(k, 20.0)),
        taste=taste,
        popularity=popularity,
        moves=moves,
        follow_ups=follow_ups,
        dwell=dwell,
        category=category,
        members=members,
        words=_words(catalogue, category, len(members)),
        context=context,
        demographics=demographics,
    )


def soften(world: World, overlap: float) -> Tastes:
    """Tastes and habits of which a share `overlap`, 0 to 1, is the mean of all personas. Raises ValueError outside that."""
    if not 0.0 <= overlap <= 1.0:
        raise ValueError(f"overlap {overlap} is not between 0 and 1")

    def mixed(own: np.ndarray) -> np.ndarray:
        softened: np.ndarray = (1.0 - overlap) * own + overlap * own.mean(axis=0)
        return softened

    utility = mixed(world.taste)
    usual = utility.mean(axis=1, keepdims=True)
    drawn = np.stack([INTEREST * utility[:, m].mean(axis=1) + 0.3 * math.log(len(m)) for m in world.members], axis=1)
    log_interest = drawn - np.logaddexp.reduce(drawn, axis=1, keepdims=True)
    sought = np.exp(log_interest) * (world.words.share.sum(axis=1) > 0)
    sought /= np.maximum(sought.sum(axis=1, keepdims=True), 1e-300)
    return Tastes(
        utility=utility,
        usual=usual,
        liking=np.clip(utility - usual, -2.0, 3.0),
        log_interest=log_interest,
        sought=sought,
        moves=mixed(world.moves),
        follow_ups=mixed(world.follow_ups),
        dwell=mixed(world.dwell),
    )


def _price_weight(attribute: Attribute) -> float:
    weight = sum(w * attribute.weights.get(f"price_tier={tier}", 0.0) for tier, w in _PRICE_WEIGHTS.items())
    return min(1.0, max(-1.0, weight))


def _habit(attributes: Sequence[Attribute], *names: str) -> np.ndarray:
    """(A,) each attribute's mean weight on the behaviours."""
    return np.array([sum(a.behaviours.get(name, 0.0) for name in names) / len(names) for a in attributes])


def _price_scores(price: np.ndarray, category: np.ndarray) -> np.ndarray:
    """(n,) standard scores of the log price within the category, at most 2 either way; 0 where there is no price."""
    score = np.zeros(len(price))
    told = np.isfinite(price) & (price > 0)
    for c in np.unique(category):
        rows = np.flatnonzero((category == c) & told)
        if len(rows) > 1:
            logs = np.log(price[rows].astype(np.float64))
            score[rows] = (logs - logs.mean()) / max(float(logs.std()), 1e-9)
    return np.clip(score, -2.0, 2.0)


def _reduced(catalogue: Catalogue) -> np.ndarray:
    return catalogue.reduced.astype(np.float64) if len(catalogue.reduced) else np.zeros(len(catalogue))


def _table(rng: np.random.Generator, k: int, values: int, lean: np.ndarray | float = 0.0) -> np.ndarray:
    """(k, values) P(value | persona): shares of the whole shop, tilted persona by persona."""
    odds = rng.normal(0.0, 0.5, values) + TOLD * rng.normal(0.0, 1.0, (k, values)) + lean
    table: np.ndarray = np.exp(odds)
    return table / table.sum(axis=1, keepdims=True)


def _words(catalogue: Catalogue, category: np.ndarray, categories: int) -> Words:
    """Words of titles, tags and categories that two items or more have; the more a word is the category's own, the likelier."""
    tags = [name.removeprefix("tag=") if name.startswith("tag=") else "" for name in catalogue.descriptors]
    indptr, indices = catalogue.item_descriptors.indptr.tolist(), catalogue.item_descriptors.indices.tolist()
    having: dict[str, list[int]] = {}
    for i in range(len(catalogue)):
        code = int(catalogue.category[i])
        text = [catalogue.titles[i], catalogue.categories[code] if code >= 0 else ""]
        text += [tags[d] for d in indices[indptr[i] : indptr[i + 1]]]
        for word in set(terms(" ".join(text))):
            having.setdefault(word, []).append(i)
    names = tuple(sorted(word for word, items in having.items() if len(items) > 1))
    items = tuple(np.array(having[word]) for word in names)
    counts = np.zeros((categories, len(names)))
    for w, positions in enumerate(items):
        np.add.at(counts[:, w], category[positions], 1.0)
    weight = counts * (counts / np.maximum(counts.sum(axis=0), 1.0)) ** 2
    return Words(names, weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300), items)
