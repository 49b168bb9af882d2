"""Events: what a shopper did, in the GA4 e-commerce vocabulary, validated at the edge.

`parse_event` is the only way in, for REST, websocket and file import alike. It rejects with the field and the
reason; what is merely odd (a clock ahead of ours, an item that the catalogue lacks) is kept and marked.

Reference: Google Analytics 4, "Recommended events: online sales".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

NAMES = (
    "view_item",
    "select_item",
    "view_item_list",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "add_to_wishlist",
    "purchase",
    "refund",
    "user_engagement",
)
"""The vocabulary, append-only: an event's *code* is its place here, and codes are stored."""

CODE = {name: code for code, name in enumerate(NAMES)}
NEEDS_ITEMS = frozenset(NAMES) - {"search", "user_engagement"}
ITEM_ACTIONS = frozenset({"view_item", "select_item", "add_to_cart", "add_to_wishlist", "purchase"})
"""Events by which a shopper turns towards an item; the others are about lists, words, time or regret."""

ENGAGEMENT = {
    "view_item": 1.0,
    "select_item": 1.0,
    "add_to_wishlist": 2.0,
    "add_to_cart": 3.0,
    "purchase": 5.0,
    "remove_from_cart": -2.0,
    "refund": -3.0,
}
"""Reward of an event, the mission's "user feedback": a cart says more than a look, a purchase more than a cart."""

WORTH = frozenset({"purchase", "refund"})
"""Events that came to a sum of money."""

UNKNOWN_ITEM = 0
"""The integer id that stands for an item which the catalogue lacks; real ids start at 1."""

MAX_ITEMS = 200
MAX_QUERY = 256
MAX_ID = 128
MAX_DWELL_S = 3_600.0
CLOCK_AHEAD_S = 60.0
OLDEST_S = 946_684_800.0  # 2000-01-01: before web shops kept clocks worth believing

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class EventError(ValueError):
    """An event that can't be taken, with the field at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One thing the shopper did.

    at, received_at : seconds since the epoch; `at` is never after `received_at`.
    items : integer item ids, `UNKNOWN_ITEM` where the catalogue lacks it; one for most events.
    price, quantity : of the first item.  value : what all of a purchase, or a refund, came to; None where nobody said.
    slots : for `view_item_list`, the 0-based slot in which each item was seen.
    """

    event_id: str
    name: str
    at: float
    received_at: float
    items: tuple[int, ...] = ()
    query: str = ""
    dwell_s: float | None = None
    price: float | None = None
    quantity: float = 1.0
    recommendation_id: str = ""
    slots: tuple[int, ...] = ()
    clock_ahead: bool = False
    value: float | None = None

    @property
    def item(self) -> int:
        """The first item's id, or `UNKNOWN_ITEM`."""
        return self.items[0] if self.items else UNKNOWN_ITEM


def parse_event(
    raw: Mapping[str, object],
    *,
    received_at: float,
    item_ids: Callable[[Sequence[str]], Sequence[int]],
) -> Event:
    """A validated event from its JSON form.

    raw : `event_id`, `name`, and by name: `items` [{`item_id`, `index`, `price`, `quantity`}], `search_term`,
        `engagement_time_msec`, `recommendation_id`, `value`; `timestamp` (seconds since the epoch) or `timestamp_micros`.
    item_ids : external ids -> integer ids, `UNKNOWN_ITEM` where unknown.
    Raises EventError.
    """
    if type(raw) is not dict and not isinstance(raw, Mapping):  # asking an abstract class costs more than all that follows
        raise EventError("event", "must be an object")
    name = raw.get("name")
    if not isinstance(name, str) or name not in CODE:
        raise EventError("name", f"{_show(name)} is not one of {', '.join(NAMES)}")
    event_id = check_id("event_id", raw.get("event_id"))
    at, clock_ahead = _time(raw, received_at)
    externals, slots, price, quantity, worth = _items(raw, name)
    value = None
    if name in WORTH:
        value = check_number("value", raw["value"]) if raw.get("value") is not None else worth
    query = _query(raw, name) if name == "search" or "search_term" in raw else ""
    dwell_s = _dwell(raw) if "engagement_time_msec" in raw else None
    recommendation_id = ""
    if raw.get("recommendation_id") not in (None, ""):
        recommendation_id = check_id("recommendation_id", raw["recommendation_id"])
    return Event(
        event_id=event_id,
        name=name,
        at=at,
        received_at=received_at,
        items=tuple([int(i) for i in item_ids(externals)]) if externals else (),
        query=query,
        dwell_s=dwell_s,
        price=price,
        quantity=quantity,
        recommendation_id=recommendation_id,
        slots=slots,
        clock_ahead=clock_ahead,
        value=value,
    )


def check_id(field: str, value: object) -> str:
    """An id as shops write them: 1 to 128 printable characters. Raises EventError."""
    if type(value) is str and 0 < len(value) <= MAX_ID and value.isprintable():  # nearly all: no control, no half of a pair
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise EventError(field, "is missing; give a string of 1 to 128 characters")
    if len(value) > MAX_ID:
        raise EventError(field, f"has {len(value)} characters, more than {MAX_ID}")
    if _CONTROL.search(value):
        raise EventError(field, "holds control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EventError(field, "is not valid Unicode") from None
    return value


def check_number(field: str, value: object, *, low: float = 0.0, high: float = 1e12) -> float:
    """A finite number in [low, high]. Raises EventError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EventError(field, f"{_show(value)} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise EventError(field, f"{value} is not a finite number")
    if not low <= value <= high:  # before it becomes a float: a whole number may be too large for one
        raise EventError(field, f"{_show(value)} is outside {low:g} to {high:g}")
    return float(value)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _time(raw: Mapping[str, object], received_at: float) -> tuple[float, bool]:
    if raw.get("timestamp_micros") is not None:
        at = check_number("timestamp_micros", raw["timestamp_micros"], high=1e18) / 1e6
        field = "timestamp_micros"
    elif raw.get("timestamp") is not None:
        at = check_number("timestamp", raw["timestamp"])
        field = "timestamp"
    else:
        return received_at, False
    if at < OLDEST_S:
        raise EventError(field, "is before the year 2000; give seconds (or micros) since 1970")
    if at > received_at:
        return received_at, at > received_at + CLOCK_AHEAD_S
    return at, False


def _items(raw: Mapping[str, object], name: str) -> tuple[list[str], tuple[int, ...], float | None, float, float | None]:
    """External ids, slots, price and quantity of the first, and what the items with a price came to, None where none has one."""
    items = raw.get("items")
    if items is None and raw.get("item_id") is not None:
        items = [raw]
    if items is None or items == []:
        if name in NEEDS_ITEMS:
            raise EventError("items", f"{name} needs at least one item")
        return [], (), None, 1.0, None
    if type(items) is not list and (not isinstance(items, Sequence) or isinstance(items, str | bytes)):
        raise EventError("items", "must be a list")
    if len(items) > MAX_ITEMS:
        raise EventError("items", f"has {len(items)} entries, more than {MAX_ITEMS}")
    externals: list[str] = []
    slots: list[int] = []
    price: float | None = None
    quantity = 1.0
    worth: float | None = None
    for i, entry in enumerate(items):
        if type(entry) is not dict and not isinstance(entry, Mapping):
            raise EventError(f"items[{i}]", "must be an object with item_id")
        externals.append(check_id(f"items[{i}].item_id", entry.get("item_id")))
        index = entry.get("index")
        slots.append(i if index is None else int(check_number(f"items[{i}].index", index, high=100_000)))
        of_this, each = 1.0, None
        if entry.get("price") is not None:
            each = check_number(f"items[{i}].price", entry["price"])
            price = each if i == 0 else price
        if entry.get("quantity") is not None:
            of_this = check_number(f"items[{i}].quantity", entry["quantity"], high=1e6)
            quantity = of_this if i == 0 else quantity
        if each is not None:
            worth = (worth or 0.0) + each * of_this
    return externals, tuple(slots) if name == "view_item_list" else (), price, quantity, worth


def _query(raw: Mapping[str, object], name: str) -> str:
    value = raw.get("search_term")
    if value is None:
        if name == "search":
            raise EventError("search_term", "search needs its words")
        return ""
    if not isinstance(value, str):
        raise EventError("search_term", "must be a string")
    text = " ".join(_CONTROL.sub(" ", value).split())
    if name == "search" and not text:
        raise EventError("search_term", "is empty")
    if len(text) > MAX_QUERY:
        raise EventError("search_term", f"has {len(text)} characters, more than {MAX_QUERY}")
    return text


def _dwell(raw: Mapping[str, object]) -> float | None:
    value = raw.get("engagement_time_msec")
    if value is None:
        return None
    return min(check_number("engagement_time_msec", value) / 1e3, MAX_DWELL_S)
