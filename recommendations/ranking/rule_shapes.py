"""What merchandisers' rules may say; `recommendations.ranking.rules` says what that makes of a slate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

ACTIONS = ("pin", "boost", "bury", "exclude", "balance", "margin")
BARRING = frozenset({"exclude", "margin"})
"""Actions that leave items out."""


@dataclass(frozen=True, slots=True)
class Target:
    """The items that a rule is about: those that meet every condition given; without a condition, all items.

    items : ids.  categories, brands : names.  attributes : descriptors, "colour=blue", "tag=sale", any of which will do.
    clusters : ids of item clusters.  price_min, price_max : None for no bound; an item without a price meets no bound.
    """

    items: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    clusters: tuple[int, ...] = ()
    price_min: float | None = None
    price_max: float | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """When a rule acts: where every condition given holds.

    personas : ids of archetypes, one of which must be active (or the likeliest).  contexts : of `session.CONTEXTS`.
    clusters : ids, one of which must be selected for the session.  starts, ends : seconds since the epoch, None for open.
    """

    personas: tuple[int, ...] = ()
    contexts: tuple[str, ...] = ()
    clusters: tuple[int, ...] = ()
    starts: float | None = None
    ends: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a shop.

    pin : the target's best item (its items in their order, where they are named) stands in `slot`, from 0.
    boost, bury : the target's odds are multiplied, or divided, by `strength` (> 1).
    exclude : the target is left out.
    balance : at most `share` (0 to 1) of the slots show one category (or, with a target, the target).
    margin : items whose margin, (price - cost) / price, is known and below `margin` are left out of the target.
    holdout : share of visits that go without it, 0 to 0.5, so that it is known what it brings.
    """

    rule_id: int
    name: str
    action: str
    target: Target = Target()
    scope: Scope = Scope()
    slot: int = 0
    strength: float = 1.0
    share: float = 1.0
    margin: float = 0.0
    holdout: float = 0.0

    @property
    def mark(self) -> str:
        """8 characters that stay as long as the rule asks for the same, of the same share of visits; name and dates don't matter.

        Visits with it and without it are compared under one mark: a rule that was changed is another one.
        """
        same = replace(self, name="", scope=replace(self.scope, starts=None, ends=None))
        return hashlib.blake2b(repr(same).encode(), digest_size=4).hexdigest()

    def goes_without(self, shop: int, session: str) -> bool:
        """Whether a visit is drawn to go without it: the same answer on every process, at every step, and in a replay."""
        if self.holdout <= 0.0:
            return False
        drawn = hashlib.blake2b(f"holdout:{shop}:{session}:{self.rule_id}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < self.holdout * 2.0**64
