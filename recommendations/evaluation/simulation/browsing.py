"""Shoppers in front of slates: how far down they look, what they choose, how they tire of what they saw before.

A page holds a slate of m items. The shopper looks at the slots one after the other and stops after each with the same
chance (Craswell et al. 2008, "An experimental comparison of click position-bias models", the cascade without a choice in
it): what lies further down is seen less. The page knows only which rows were on the screen, and reports those. Of what was
seen, one item is chosen by multinomial logit (McFadden 1974) on the acting persona's utility, more for what they came for,
less boredom, which grows with the log of earlier sights of the item; or none: then the shopper looks alone, or leaves. A
choice may lead to the cart, and the cart to a purchase. Some shop against their type: they come like one persona and choose
like another (`crowd`).

Randomness is drawn page by page for all items at once, from the session's seed: two ways to fill the same page meet the
same shopper in the same mood, so that they can be compared by pairs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from clusters.rewards import Rewards, attention
from personas.events import CODE
from recommendations.evaluation.simulation.walk import SEEN, pick
from recommendations.evaluation.simulation.world import Tastes, World

ROW = 4
"""Slots of a row: a screen shows whole ones."""

NOTHING, ALONE, LEAVES = -1, -2, -3
"""What may be chosen beside an item: only NOTHING is no choice at all (nothing was seen)."""


@dataclass(frozen=True)
class Habits:
    """How shoppers look at slates, and what they think of them.

    looks_on : chance to look at the next slot after one.  bored : utility lost with the log of 1 + earlier sights.
    alone, leaves : utility, above the persona's mean over the shop, of looking alone, and of leaving.
    sharpness : by which tastes are multiplied: at 1 they are as the log's.
    carts, liked_carts : log-odds of the cart after a choice, and what one unit of liking adds.
    buys : chance that what is in the cart is bought.  reported : chance that a page tells what was seen.
    against : share of sessions that shop against type.  longest : pages of a session at most.
    mission : utility of what the shopper came for, a category, above the same elsewhere, until some of it is in the cart.
    purposeful : share of sessions that came for something.
    """

    looks_on: float = 0.9
    bored: float = 1.0
    alone: float = 2.6
    leaves: float = 1.2
    sharpness: float = 1.5
    carts: float = -3.0
    liked_carts: float = 0.6
    buys: float = 0.5
    reported: float = 0.9
    against: float = 0.1
    longest: int = 20
    mission: float = 2.0
    purposeful: float = 0.6


@dataclass(frozen=True)
class Worth:
    """What engagement is worth, and what an item in each slot costs that was on the screen in vain: in the units of a reward.

    ignored : (slots,).
    """

    look: float
    cart: float
    purchase: float
    ignored: np.ndarray


def worth_of(rewards: Rewards, slots: int) -> Worth:
    """What `clusters.rewards` counts, for slates of so many slots."""
    weights = rewards.weights
    ignored = rewards.ignored_cost * np.array([attention(slot) for slot in range(slots)])
    return Worth(weights[CODE["view_item"]], weights[CODE["add_to_cart"]], weights[CODE["purchase"]], ignored)


@dataclass(frozen=True)
class Page:
    """What a shopper did with one page. screen : positions on the screen, top first.  chosen : position, or of the constants.

    listed : what the shopper found who looked alone, NOTHING else.  dwell_s : on what was chosen or found.
    carted, bought : what follows of it.  told : whether the page reports what was seen.
    """

    screen: np.ndarray
    chosen: int
    listed: int
    dwell_s: float
    carted: bool
    bought: bool
    told: bool

    @property
    def item(self) -> int:
        """Position of the item turned to, NOTHING if the shopper leaves."""
        return self.chosen if self.chosen >= 0 else self.listed


class Browser:
    """One shopper of a session, page after page.

    tastes : as they are at the time.  persona : whose tastes are followed.  seed : of the session's randomness.
    """

    def __init__(self, world: World, tastes: Tastes, habits: Habits, *, persona: int, seed: tuple[int, ...]) -> None:
        self.habits, self.popularity, self.category = habits, world.popularity, world.category
        rng = np.random.default_rng((*seed, 1 << 20))
        purposeful = len(world.members) > 1 and rng.random() < habits.purposeful
        self.wanted = pick(rng, np.exp(tastes.log_interest[persona])) if purposeful else NOTHING
        self.like(tastes, persona)
        self.sights = np.zeros(len(world.catalogue))
        self.known = np.zeros(len(world.catalogue))
        self.pages = 0
        self._seed = seed
        self._later: tuple[int, Tastes, int] | None = None

    def shift(self, page: int, tastes: Tastes, persona: int) -> None:
        """From that page on, counted from 0, another persona goes on."""
        self._later = (page, tastes, persona)

    def like(self, tastes: Tastes, persona: int) -> None:
        """From now on these tastes."""
        liking = tastes.utility[persona] - tastes.usual[persona]
        self.utility = self.habits.sharpness * liking + self.habits.mission * (self.category == self.wanted)
        self.liking = tastes.liking[persona]

    def beside(self, throw: int) -> Browser:
        """The same shopper as now, whose dice from here on are others': of `throw`, the same for all who ask for it."""
        other = copy.copy(self)
        other.utility, other.sights, other.known = self.utility.copy(), self.sights.copy(), self.known.copy()
        other._seed = (*self._seed, 5, throw)
        return other

    def turn(self, slate: np.ndarray) -> Page:
        """The next page: a slate of positions is looked at, and something done. Remembers what was seen."""
        habits = self.habits
        rng = np.random.default_rng((*self._seed, self.pages))
        self.pages += 1
        if self._later is not None and self.pages == self._later[0]:
            self.like(*self._later[1:])
        depth = min(int(rng.geometric(1.0 - habits.looks_on)), len(slate))
        chance = rng.random(5)
        noise = rng.gumbel(size=len(self.utility) + 2)
        dwell_s = float(rng.lognormal(3.0, 0.7))
        seen = slate[:depth]
        others = (habits.alone + noise[-2], habits.leaves + noise[-1])
        felt = self._felt(seen) + noise[seen]
        chosen = NOTHING
        if len(seen) and felt.max() > max(others):
            chosen = int(seen[felt.argmax()])
        elif others[1] > others[0] or self.pages >= habits.longest:
            chosen = LEAVES
        else:
            chosen = ALONE
        if self.pages >= habits.longest:
            chosen = LEAVES
        self.sights[seen] += 1.0
        listed = NOTHING
        if chosen == ALONE:
            # Among all goods, the popular ones met first: what a listing shows.
            listed = int((self.utility - self.known + 0.5 * np.log(self.popularity) + noise[:-2]).argmax())
        item = chosen if chosen >= 0 else listed
        carted = bool(item >= 0 and chance[0] < self._carts(np.array([item]))[0])
        if item >= 0:
            self.known[item] = SEEN
        if carted and self.category[item] == self.wanted:
            self.utility[self.category == self.wanted] -= self.habits.mission
            self.wanted = NOTHING
        screen = slate[: -(-depth // ROW) * ROW]
        bought = carted and bool(chance[1] < habits.buys)
        return Page(screen, chosen, listed, dwell_s, carted, bought, bool(chance[2] < habits.reported))

    def expects(self, slate: np.ndarray, worth: Worth) -> float:
        """What the slate would bring as the next page, in expectation over how far down the shopper looks and what is chosen.

        With m slots, P(depth d) = (1 - g) g^(d - 1), the rest at m, for g = `looks_on`; given the depth the choice is by logit
        among d items, looking alone and leaving; what follows of a choice is worth its look, cart and purchase.
        """
        m = len(slate)
        if not m:
            return 0.0
        habits = self.habits
        weight = np.exp(self._felt(slate))
        carts = self._carts(slate)
        gain = worth.look + carts * (worth.cart + habits.buys * worth.purchase)
        total = np.cumsum(weight)
        chosen = total / (total + np.exp(habits.alone) + np.exp(habits.leaves))
        worth_at = np.cumsum(weight * gain) / np.maximum(total, 1e-300)
        depth = np.arange(1, m + 1)
        shown = np.minimum(-(-depth // ROW) * ROW, m)
        cost = np.concatenate(([0.0], np.cumsum(worth.ignored[:m])))
        # What was chosen costs nothing; its own slot's cost is its mean over what is chosen.
        saved = chosen * np.cumsum(weight * worth.ignored[:m]) / np.maximum(total, 1e-300)
        value = chosen * worth_at - cost[shown] + saved
        share = (1.0 - habits.looks_on) * habits.looks_on ** (depth - 1)
        share[-1] = habits.looks_on ** (m - 1)
        return float(share @ value)

    def _felt(self, items: np.ndarray) -> np.ndarray:
        """(m,) utility now: what was seen often bores, what was looked at before isn't chosen in a list again."""
        return self.utility[items] - self.habits.bored * np.log1p(self.sights[items]) - self.known[items]

    def _carts(self, items: np.ndarray) -> np.ndarray:
        odds = self.habits.carts + self.habits.liked_carts * self.liking[items]
        return np.asarray(1.0 / (1.0 + np.exp(-odds)))
