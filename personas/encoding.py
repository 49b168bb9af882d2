"""An event and its item's facts to observation codes, one code a factor.

`encode` (one event, online) and `encode_log` (a whole log, training) must agree to the last code, so both follow
what an online step can know:

- *Item factors* (category, price tier, novelty) are present for the events by which a shopper turns towards an
  item (`ITEM_ACTIONS`). A list says what we showed, a refund what is regretted: neither says who is shopping.
- *Dwell* is present on `user_engagement` alone, the event that brings it. The `dwell_s` of a view in a log is the
  gap to the event after it, which nobody knows at the time of the view; the next event's *gap* carries it.
- *Gap* is the time since the session's previous event: absent on the first event, on a late one, and where the
  log's clock doesn't tell seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personas.events import CODE, ITEM_ACTIONS, NAMES
from personas.sessions import NO_ITEM, SessionLog

FACTORS = ("event", "category", "price_tier", "dwell", "gap", "novelty")
"""The factors in the order in which codes are stored."""

ABSENT = -1
"""Code of a factor that the event doesn't have. It contributes nothing."""

MAX_CATEGORIES = 40
PRICE_TIERS = ("low", "middle", "upper", "top")
DWELL_EDGES_S = (5.0, 15.0, 45.0, 120.0)
DWELLS = ("under_5s", "under_15s", "under_45s", "under_2m", "over_2m")
GAP_EDGES_S = (5.0, 15.0, 30.0, 60.0, 180.0, 600.0)
GAPS = ("under_5s", "under_15s", "under_30s", "under_1m", "under_3m", "under_10m", "over_10m")
NOVELTIES = ("new", "return", "repeat")
NEW, RETURN, REPEAT = range(3)

NOVELTY_WINDOW = 30
"""Item actions remembered for novelty: as many as a session's state keeps, so that training sees what serving sees."""

_ITEM_CODES = frozenset(CODE[name] for name in ITEM_ACTIONS)
_IS_ITEM_CODE = np.array([name in ITEM_ACTIONS for name in NAMES])
_ENGAGEMENT_CODE = CODE["user_engagement"]


@dataclass(frozen=True)
class ItemFacts:
    """What the factors need of each of n items, by catalogue position.

    category : (n,) int16 into `category_names`, at most 40 groups (the shop's category, or a coarse co-visit group
        where the shop has none), -1 where missing.
    price_tier : (n,) int8, 0..3, -1 where missing.
    """

    category: np.ndarray
    price_tier: np.ndarray
    category_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.category.shape != self.price_tier.shape:
            raise ValueError(f"category {self.category.shape} != price_tier {self.price_tier.shape}")
        if len(self.category_names) > MAX_CATEGORIES:
            raise ValueError(f"{len(self.category_names)} categories, more than {MAX_CATEGORIES}; see item_facts")
        if len(self.category) and int(self.category.max()) >= len(self.category_names):
            raise ValueError(f"category {int(self.category.max())} has no name; there are {len(self.category_names)}")
