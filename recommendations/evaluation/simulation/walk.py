"""One session as it unfolds, each step a choice from what is shown.

A step begins with a move (a category's listing, the first page, a search, an item seen before, the cart), by
multinomial logit on the acting persona's habits. From a listing the shopper picks one item by multinomial logit on
utility less a bias against later slots, looks at it for a log-normal time that grows with how well it is liked, and may
put it into the cart or on the wish list. Every term is kept, so that the exact posterior can be told.

Reference for the choice rule: McFadden (1974), "Conditional logit analysis of qualitative choice behavior".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from personas.events import Event
from recommendations.evaluation.simulation.posterior import Trace
from recommendations.evaluation.simulation.world import FOLLOW_UPS, MOVES, Tastes, World

SHOWN = 24
"""Items of a listing."""

SLOT_BIAS = 0.35
"""Utility lost with the log of the slot."""

SEEN = 3.0
"""Utility lost, in a listing, by an item that was looked at before: who wants it back goes back to it."""

PASSED_BY = 5.0
"""Utility, above the persona's mean over the shop, of turning away from the first page without a choice: of popular items,
four pages in ten lead on at `outfitter`; of items picked for the persona, eight."""

LISTED, ENGAGED, SELECTED = 0.06, 0.25, 0.25
"""Chances that a listing's view is reported, that the time on an item is, that a click is told as `select_item`."""

LIKED_DWELL, DWELL_SPREAD, LONGEST_DWELL_S = 0.35, 0.7, 1_800.0
"""Log seconds for one unit of liking; spread of the log; bound in seconds."""

LIKED_CART, LIKED_WISHLIST, LIKED_CHECKOUT = 0.7, 0.5, 0.4
REPENTS = 0.7
"""How sharply an item is taken out of the cart for being liked less."""

TWO_WORDS = 0.4

SEARCH, RETURN, REMOVE, CHECKOUT = (MOVES.index(move) for move in ("search", "return", "remove", "checkout"))

Show = Callable[["Visit", np.random.Generator], Sequence[int]]
"""What the first page shows at this point of a session: item ids, best first; none for the shop's own choice."""


@dataclass(frozen=True)
class Visit:
    """What the shop knows of a session so far."""

    key: str
    shopper: str
    context: Mapping[str, str]
    demographics: Mapping[str, str]
    started_at: float
    events: tuple[Event, ...]


class Walk:
    """One session as it unfolds: its events, the likelihood of each under every persona, what was seen, what is in the cart."""

    def __init__(self, world: World, tastes: Tastes, rng: np.random.Generator, visit: Visit, show: Show | None) -> None:
        self.world, self.tastes, self.rng, self.visit, self.show = world, tastes, rng, visit, show
        self.events: list[Event] = []
        self.actors: list[int] = []
        self.purchases: list[int] = []
        self._terms: list[np.ndarray] = []
        self._steps: list[int] = []
        self._silent: list[np.ndarray] = []
        self._now = visit.started_at
        self._owed: np.ndarray | None = None
        self._seen: list[int] = []
        self._seen_before = np.zeros(len(world.catalogue))
        self._cart: list[int] = []
        self._zero = np.zeros(len(world.personas))

    def trace(self) -> Trace:
        return Trace(np.array(self._terms), np.array(self._steps), np.array(self._silent))

    def begin(self, persona: int) -> None:
        """A new step, taken by that persona."""
        self.actors.append(persona)
        self._silent.append(self._zero)

    def tell(self, name: str, item: int | None = None, *, after: float = 0.0, **fields: object) -> None:
        """One more event, of the item at a catalogue position; it carries what was owed since the last."""
        self._now = round(self._now + after, 3)
        catalogue = self.world.catalogue
        if item is not None:
            price = float(catalogue.price[item])
            fields |= {"items": (int(catalogue.item_ids[item]),), "price": None if math.isnan(price) else round(price, 4)}
        event_id = f"{self.visit.key}-{len(self.events)}"
        self.events.append(Event(event_id=event_id, name=name, at=self._now, received_at=self._now, **fields))  # type: ignore[arg-type]
        self._terms.append(self._zero if self._owed is None else self._owed)
        self._steps.append(len(self.actors) - 1)
        self._owed = None

    def step(self) -> None:
        """One step from its move to what follows on the item."""
        if len(self.actors) > 1:
            self._now += 2.0
        move = MOVES[self._choose(self._move_logits())]
        if move == "checkout":
            self.buy()
        elif move == "remove":
            item = self._cart[self._choose(-REPENTS * self.tastes.liking[:, self._cart])]
            self._cart.remove(item)
            self.tell("remove_from_cart", item, after=3.0)
        elif move == "return":
            others = sorted(set(self._seen) - {self._seen[-1]})
            self._look(others[self._choose(self.tastes.liking[:, others])], "view_item")
        else:
            self._pick_from_listing(move)

    def seek(self, query: str, found: np.ndarray, looks: int) -> None:
        """A step that the shopper had in mind before coming: a search with those words, its list, and so many looks.

        found : catalogue positions, best first; what the list shows of them is reported.
        """
        self.pause(2.0)
        self.tell("search", query=query)
        self.pause(2.0)
        items = found[:SHOWN]
        if not len(items):
            self._keep_silent()
            return
        ids = tuple(self.world.catalogue.item_ids[items].tolist())
        self.tell("view_item_list", items=ids, slots=tuple(range(len(ids))))
        for _ in range(min(looks, len(items))):
            self.pause(float(self.rng.lognormal(2.0, 0.5)))
            utility = self.tastes.utility[:, items] - _bias(len(items)) - self._seen_before[items]
            self._look(int(items[self._choose(utility)]), "view_item")

    def buy(self) -> None:
        """All that is in the cart is bought."""
        for item in self._cart:
            self.tell("purchase", item, after=1.0)
        self.purchases += self._cart
        self._cart = []

    def pause(self, seconds: float) -> None:
        self._now += seconds

    def _move_logits(self) -> np.ndarray:
        logits = self.tastes.moves.copy()
        if not self.tastes.sought.any():
            logits[:, SEARCH] = -np.inf
        if len(set(self._seen)) < 2:
            logits[:, RETURN] = -np.inf
        if self._cart:
            logits[:, CHECKOUT] += LIKED_CHECKOUT * self.tastes.liking[:, self._cart].sum(axis=1) / len(self._cart)
        else:
            logits[:, REMOVE] = logits[:, CHECKOUT] = -np.inf
        return logits

    def _pick_from_listing(self, move: str) -> None:
        listed = self.rng.random() < LISTED
        if move == "home":
            items, listed = self._front_page(), True
        elif move == "browse":
            items = self._page(self.world.members[self._choose(self.tastes.log_interest)])
        else:
            items = self._page(self._search())
        utility = self.tastes.utility[:, items] - _bias(len(items)) - self._seen_before[items]
        if listed:
            ids = tuple(self.world.catalogue.item_ids[items].tolist())
            self.tell("view_item_list", items=ids, slots=tuple(range(len(ids))))
            self._now += float(self.rng.lognormal(2.0, 0.5))
        if move == "home":
            utility = np.concatenate((utility, self.tastes.usual + PASSED_BY), axis=1)
        slot = self._choose(utility)
        if slot == len(items):
            self._keep_silent()
        else:
            self._look(int(items[slot]), "select_item" if self.rng.random() < SELECTED else "view_item")

    def _front_page(self) -> np.ndarray:
        if self.show is not None:
            visit = self.visit
            so_far = Visit(visit.key, visit.shopper, visit.context, visit.demographics, visit.started_at, tuple(self.events))
            positions = self.world.catalogue.positions(self.show(so_far, self.rng))
            if (positions >= 0).any():
                return positions[positions >= 0]
        return self._page(np.arange(len(self.world.catalogue)))

    def _page(self, items: np.ndarray) -> np.ndarray:
        """At most `SHOWN` of the items, popular ones likelier and earlier: an exponential race."""
        arrival = self.rng.standard_exponential(len(items)) / self.world.popularity[items]
        if len(items) > SHOWN:
            kept = np.argpartition(arrival, SHOWN)[:SHOWN]
            return items[kept[np.argsort(arrival[kept])]]
        return items[np.argsort(arrival)]

    def _search(self) -> np.ndarray:
        """Words that the persona would use, typed; the items that have all of them, else any."""
        words, sought = self.world.words, self.tastes.sought
        share = words.share[pick(self.rng, sought[self.actors[-1]])]
        count = 1 + int(self.rng.random() < TWO_WORDS)
        typed = list(dict.fromkeys(pick(self.rng, share) for _ in range(count)))
        p = words.share[:, typed]
        once = 1.0 - TWO_WORDS if len(typed) == 1 else 0.0
        twice = p[:, 0] * p[:, -1]  # one word typed may be the same one drawn twice
        likelihood = once * p[:, 0] + TWO_WORDS * twice
        self._owe(np.log(np.maximum(sought @ likelihood, 1e-300)))
        self.tell("search", query=" ".join(words.names[w] for w in typed))
        self._now += 2.0
        found = words.items[typed[0]]
        for w in typed[1:]:
            both = np.intersect1d(found, words.items[w], assume_unique=True)
            found = both if len(both) else np.union1d(found, words.items[w])
        return found

    def _look(self, item: int, name: str) -> None:
        """A look at an item, and what follows on it."""
        rng, liking = self.rng, self.tastes.liking[:, item]
        self.tell(name, item)
        self._seen.append(item)
        self._seen_before[item] = SEEN
        usual = self.tastes.dwell + LIKED_DWELL * liking
        drawn = usual[self.actors[-1]] + DWELL_SPREAD * float(rng.standard_normal())
        dwell = round(min(LONGEST_DWELL_S, max(0.1, math.exp(drawn))), 3)
        self._owe(-0.5 * ((math.log(dwell) - usual) / DWELL_SPREAD) ** 2)
        self._now += dwell
        if rng.random() < ENGAGED:
            self.tell("user_engagement", items=(int(self.world.catalogue.item_ids[item]),), dwell_s=dwell)
        logits = self.tastes.follow_ups.copy()
        logits[:, 1] = -np.inf if item in self._cart else logits[:, 1] + LIKED_CART * liking
        logits[:, 2] += LIKED_WISHLIST * liking
        follow_up = FOLLOW_UPS[self._choose(logits)]
        if follow_up == "nothing":
            self._keep_silent()
            return
        if follow_up == "add_to_cart":
            self._cart.append(item)
        self.tell(follow_up, item, after=1.0)

    def _choose(self, logits: np.ndarray) -> int:
        """The acting persona's choice by (K, m) logits; its log-probabilities are owed to the next event."""
        shares = logits - logits.max(axis=1, keepdims=True)
        np.exp(shares, out=shares)
        below = shares.cumsum(axis=1)
        drawn = self.rng.random() * below[self.actors[-1], -1]
        choice = min(int(below[self.actors[-1]].searchsorted(drawn, side="right")), shares.shape[1] - 1)
        self._owe(np.log(np.maximum(shares[:, choice] / below[:, -1], 1e-300)))
        return choice

    def _owe(self, term: np.ndarray) -> None:
        self._owed = term if self._owed is None else self._owed + term

    def _keep_silent(self) -> None:
        """What is owed shows only when the next step begins."""
        if self._owed is not None:
            self._silent[-1] = self._silent[-1] + self._owed
            self._owed = None


@cache
def _bias(slots: int) -> np.ndarray:
    """(slots,) utility lost by being shown later."""
    bias: np.ndarray = SLOT_BIAS * np.log1p(np.arange(slots))
    return bias


def pick(rng: np.random.Generator, shares: np.ndarray) -> int:
    """A place in (m,) shares, by chance; they need not sum to 1."""
    below = shares.cumsum()
    return min(int(below.searchsorted(rng.random() * below[-1], side="right")), len(shares) - 1)
