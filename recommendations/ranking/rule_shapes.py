"""What merchandisers' rules may say; `recommendations.ranking.rules` says what that makes of a slate."""

from __future__ import annotations

from dataclasses import dataclass

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
