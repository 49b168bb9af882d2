"""Records of a file as events: names of columns and of events as shops write them, times, and ids where a file has none.

The limits are those of `personas.events`, through its own checks; a record in the JSON form of the API (with an
`items` list) goes through `parse_event` itself.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from personas.events import (
    CLOCK_AHEAD_S,
    CODE,
    MAX_DWELL_S,
    MAX_QUERY,
    NAMES,
    NEEDS_ITEMS,
    OLDEST_S,
    EventError,
    check_id,
    parse_event,
)
from personas.importing import number_of, renamed, text_of
from personas.models import Clock

COLUMNS = {
    "session": "session_id",
    "sessionid": "session_id",
    "visit_id": "session_id",
    "ga_session_id": "session_id",
    "user": "user_id",
    "userid": "user_id",
    "shopper_id": "user_id",
    "customer_id": "user_id",
    "visitor_id": "user_id",
    "time": "timestamp",
    "datetime": "timestamp",
    "date": "timestamp",
    "event_time": "timestamp",
    "timestamp_micros": "timestamp",
    "event_timestamp": "timestamp",
    "order": "position",
    "event": "event_type",
    "event_name": "event_type",
    "name": "event_type",
    "type": "event_type",
    "item": "item_id",
    "itemid": "item_id",
    "product_id": "item_id",
    "sku": "item_id",
    "qty": "quantity",
    "unit_price": "price",
    "dwell": "dwell_seconds",
    "dwell_s": "dwell_seconds",
    "query": "search_term",
}
"""Other names of the columns."""

CONTEXT = frozenset({"country", "region", "city", "device", "referrer", "weather", "daypart", "language"})
"""Columns that become the session's context."""

USED = frozenset(COLUMNS.values()) | {
    "event_id",
    "engagement_time_msec",
    "recommendation_id",
    "index",
    "items",
    "context",
    *CONTEXT,
}

EVENTS = {
    "view": "view_item",
    "detail": "view_item",
    "product_view": "view_item",
    "product_viewed": "view_item",
    "detail_page_view": "view_item",
    "click": "select_item",
    "product_clicked": "select_item",
    "impression": "view_item_list",
    "product_list_viewed": "view_item_list",
    "products_searched": "search",
    "cart": "add_to_cart",
    "addtocart": "add_to_cart",
    "add_to_basket": "add_to_cart",
    "product_added": "add_to_cart",
    "remove_from_basket": "remove_from_cart",
    "product_removed": "remove_from_cart",
    "wishlist": "add_to_wishlist",
    "buy": "purchase",
    "transaction": "purchase",
    "order_completed": "purchase",
    "purchase_complete": "purchase",
    "return": "refund",
    "order_refunded": "refund",
}
"""Other names of the events: plain words, Segment's, Google Retail's."""

SECOND, DAY, ORDER = (clock.value for clock in (Clock.SECOND, Clock.DAY, Clock.ORDER))

COUNTED_SESSIONS = 20_000
"""Sessions of which repeated lines are still counted; a session's lines lie closer together than that in any file."""


class EventRecord(NamedTuple):
    """One event of a file, its items by external id. at : seconds since the epoch. place : see `ArchivedEvent`."""

    session_id: str
    user_id: str
    event_id: str
    code: int
    at: float
    place: int
    clock: str
    items: tuple[str, ...]
    slots: tuple[int, ...]
    price: float | None
    quantity: float
    dwell_s: float | None
    query: str
    recommendation_id: str
    context: dict[str, str]
    clock_ahead: bool


class EventRecords:
    """Reads records in a file's order; keeps what it takes to tell repeated lines of a session apart."""

    def __init__(self, *, now: float) -> None:
        self._now = now
        self._seen: OrderedDict[str, Counter[bytes]] = OrderedDict()

    def read(self, raw: Mapping[str, object]) -> EventRecord:
        """One record. Raises EventError with the field and the reason."""
        values = renamed(raw, COLUMNS)
        session_id = _id("session_id", values.get("session_id"))
        user = values.get("user_id")
        at, clock = self._at(values)
        position = number_of("position", values.get("position"), high=1e15)
        if position is None and clock == ORDER:
            raise EventError("timestamp", "is missing, and so is position; an event needs one of them")
        name = _name(values.get("event_type"))
        if clock == ORDER:
            # No clock at all: seconds since a fixed day keep the order, and the session's clock says what they are.
            at = OLDEST_S + (position or 0.0) % 1e8
        items, slots, price, quantity, query, dwell_s, recommendation_id = self._parts(values, name)
        return EventRecord(
            session_id=session_id,
            user_id="" if user is None or user == "" else _id("user_id", user),
            event_id=self._event_id(session_id, values),
            code=CODE[name],
            at=min(at, self._now),
            place=int(position) if position is not None else round(at * 1e6),
            clock=clock,
            items=items,
            slots=slots,
            price=price,
            quantity=quantity,
            dwell_s=dwell_s,
            query=query,
            recommendation_id=recommendation_id,
            context=_context(values),
            clock_ahead=at > self._now + CLOCK_AHEAD_S,
        )

    def _at(self, values: Mapping[str, object]) -> tuple[float, str]:
        value = values.get("timestamp")
        if value is None or value == "":
            return 0.0, ORDER
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise EventError("timestamp", f"{str(value)[:40]!r} is not a time")
        at, clock = parse_time(value)
        if at < OLDEST_S:
            raise EventError("timestamp", f"{str(value)[:40]!r} is before the year 2000")
        return at, clock

    def _parts(
        self, values: dict[str, object], name: str
    ) -> tuple[tuple[str, ...], tuple[int, ...], float | None, float, str, float | None, str]:
        """Items, slots, price, quantity, query, dwell and recommendation id."""
        if "items" in values:
            found: list[str] = []

            def keep(externals: object) -> list[int]:
                found.extend(externals)  # type: ignore[arg-type]
                return [0] * len(found)

            form = {**values, "name": name, "event_id": "-", "timestamp": None}
            event = parse_event(form, received_at=self._now, item_ids=keep)
            return tuple(found), event.slots, event.price, event.quantity, event.query, event.dwell_s, event.recommendation_id
        item = values.get("item_id")
        items = () if item is None or item == "" else (_id("item_id", item),)
        if not items and name in NEEDS_ITEMS:
            raise EventError("item_id", f"is missing; {name} needs an item")
        query = text_of("search_term", values.get("search_term"), MAX_QUERY)
        if name == "search" and not query:
            raise EventError("search_term", "is missing; search needs its words")
        # A return is often written with a negative quantity.
        quantity = number_of("quantity", values.get("quantity"), low=-1e6 if name == "refund" else 0.0, high=1e6)
        slot = number_of("index", values.get("index"), high=100_000)
        recommendation = values.get("recommendation_id")
        return (
            items,
            (int(slot or 0),) if name == "view_item_list" else (),
            number_of("price", values.get("price"), high=1e12),
            1.0 if quantity is None else abs(quantity),
            " ".join(query.split()),
            _dwell(values),
            _id("recommendation_id", recommendation) if recommendation else "",
        )

    def _event_id(self, session_id: str, values: Mapping[str, object]) -> str:
        """The file's own id; else a digest of the line, and for a line without position of its occurrence in the session.

        So the same file gives the same ids, and a line that a session holds twice (two of the same item on one
        invoice) counts twice.
        """
        given = values.get("event_id")
        if given is not None and given != "":
            return _id("event_id", given)
        text = "\x1f".join(map(str, map(values.get, _IDENTITY)))
        digest = blake2b(text.encode(errors="replace"), digest_size=12).digest()
        if values.get("position") in (None, ""):
            counts = self._seen.get(session_id)
            if counts is None:
                counts = self._seen[session_id] = Counter()
                if len(self._seen) > COUNTED_SESSIONS:
                    self._seen.popitem(last=False)
            counts[digest] += 1
            if counts[digest] > 1:
                return f"f-{digest.hex()}-{counts[digest]}"
        return f"f-{digest.hex()}"


_IDENTITY = ("user_id", "timestamp", "position", "event_type", "item_id", "quantity", "price", "search_term", "index", "items")


def parse_time(value: str | int | float) -> tuple[float, str]:
    """Seconds since the epoch, and whether second or only day is known. Times without a zone are UTC.

    value : ISO 8601, a day (2024-01-31, 20240131), or seconds, milli-, micro- or nanoseconds since 1970, told apart by size.
    Raises EventError.
    """
    return _parse_time(value if isinstance(value, str) else repr(value))


@lru_cache(maxsize=50_000)
def _parse_time(text: str) -> tuple[float, str]:
    text = text.strip()
    try:
        if text.replace(".", "", 1).isdigit() and len(text.partition(".")[0]) >= 9:
            seconds = float(text)
            while seconds >= 1e11:
                seconds /= 1e3
            return seconds, SECOND
        if len(text) == 10 or (len(text) == 8 and text.isdigit()):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp(), DAY
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), SECOND
    except (ValueError, OverflowError):
        raise EventError("timestamp", f"{text[:40]!r} is not ISO 8601, a day or seconds since 1970") from None


def _id(field: str, value: object) -> str:
    return check_id(field, value.strip() if isinstance(value, str) else value)


def _name(value: object) -> str:
    """The event's name in our vocabulary; a file without event types is a log of views."""
    if value is None:
        return "view_item"
    if not isinstance(value, str):
        raise EventError("event_type", f"{str(value)[:40]!r} is not a name")
    name = _known_name(value[:80])
    if name is None:
        raise EventError("event_type", f"{value[:40]!r} is not one of {', '.join(NAMES)}")
    return name


@lru_cache(maxsize=1_000)
def _known_name(value: str) -> str | None:
    word = value.strip().lower().replace(" ", "_").replace("-", "_")
    name = EVENTS.get(word, word)
    return name if name in CODE else None


def _dwell(values: Mapping[str, object]) -> float | None:
    seconds = number_of("dwell_seconds", values.get("dwell_seconds"))
    if seconds is None:
        milliseconds = number_of("engagement_time_msec", values.get("engagement_time_msec"), high=1e12)
        seconds = None if milliseconds is None else milliseconds / 1e3
    return None if seconds is None else min(seconds, MAX_DWELL_S)


def _context(values: Mapping[str, object]) -> dict[str, str]:
    given = values.get("context")
    context = {k: text_of(k, given[k], 64) for k in CONTEXT & given.keys()} if isinstance(given, dict) else {}
    for key in CONTEXT & values.keys():
        context[key] = text_of(key, values[key], 64)
    return {k: v for k, v in context.items() if v}
