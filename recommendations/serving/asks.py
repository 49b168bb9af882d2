"""What is asked of a slate, as it comes in: checked, and made the engine's request.

Over POST and the websocket it is the object `recommend`; over GET the same by parameters. A value that nothing in the shop
has is no mistake of form: the slate then says so in its notes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

import msgspec
from asgiref.sync import sync_to_async

from clusters.catalogue import PRICE_TIERS
from clusters.search_index import search
from clusters.searching import index_of
from personas.events import UNKNOWN_ITEM, EventError
from personas.models import Shop
from recommendations.parts import Engine
from recommendations.ranking.contexts import BESIDE_ITEMS
from recommendations.serving.problems import Problem, invalid
from recommendations.session import CONTEXTS, NO_FILTERS, Filters, Request

COUNT, MAX_COUNT = 12, 50
MAX_EXCLUDE = 200
MAX_ITEMS = 200
"""Items that a slate stands beside, or that a search found."""

MAX_QUERY = 256
MAX_VALUES = 20
MAX_VALUE = 200
MOST_FOUND = 200
"""Results of a search that are re-ranked, the most relevant ones."""

DIVERSITY = {"complementary": 0.3, "cart": 0.3}
"""How diverse a slate is where the caller doesn't say, 0 in other contexts. What goes with a dress is of more use as shoes, a bag
and a coat than as twelve bags. At home, personas share the slots already, and every bit of diversity costs accuracy
(docs/measurements.md); things like an item are meant to be alike, and a search's results are in the order of relevance."""

LISTS = ("category", "brand", "colour", "tag", "price_tier")
PRICES = ("price_from", "price_to")


class AskFilters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be shown: any value of a list will do, and all lists must agree. Prices are in the shop's currency."""

    category: list[str] = []
    brand: list[str] = []
    colour: list[str] = []
    tag: list[str] = []
    price_tier: list[str] = []
    price_from: float | None = None
    price_to: float | None = None

    def checked(self) -> None:
        """Raises Problem on what is out of bounds."""
        for name in LISTS:
            values = getattr(self, name)
            if len(values) > MAX_VALUES:
                raise invalid(EventError(f"recommend.filters.{name}", f"has {len(values)} values, more than {MAX_VALUES}"))
            if not all(0 < len(value) <= MAX_VALUE for value in values):
                raise invalid(EventError(f"recommend.filters.{name}", f"values must have 1 to {MAX_VALUE} characters"))
        if strange := [value for value in self.price_tier if value not in PRICE_TIERS]:
            said = f"{strange[0][:40]!r} is none of {', '.join(PRICE_TIERS)}"
            raise invalid(EventError("recommend.filters.price_tier", said))
        for name in PRICES:
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and price >= 0.0):
                raise invalid(EventError(f"recommend.filters.{name}", f"{price} is not a price"))
        if self.price_from is not None and self.price_to is not None and self.price_from > self.price_to:
            raise invalid(EventError("recommend.filters.price_from", f"{self.price_from} is above price_to, {self.price_to}"))

    def read(self) -> Filters:
        """The engine's form, the same for the same values in any order."""
        attributes = [(kind, tuple(sorted(set(getattr(self, kind))))) for kind in LISTS[1:] if getattr(self, kind)]
        return Filters(
            categories=tuple(sorted(set(self.category))),
            price_min=self.price_from,
            price_max=self.price_to,
            attributes=tuple(attributes),
        )


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a slate; `context` is the place that it is for, of `CONTEXTS`.

    item_id, items : external ids of what the slate stands beside; in "search", what was found, most relevant first.
    query : in "search", what was searched for.  diversity, allow_current : None for what suits the context.
    reasons : whether each item is told why it is there.
    """

    context: str = "home"
    count: int = COUNT
    item_id: str = ""
    items: list[str] = []
    query: str = ""
    filters: AskFilters | None = None
    diversity: float | None = None
    allow_seen: bool = True
    allow_current: bool | None = None
    allow_out_of_stock: bool = False
    exclude: list[str] = []
    reasons: bool = False

    def checked(self) -> Ask:
        """Itself. Raises Problem on what is out of bounds."""
        if self.context not in CONTEXTS:
            raise invalid(EventError("recommend.context", f"{self.context[:40]!r} is none of {', '.join(CONTEXTS)}"))
        if not 1 <= self.count <= MAX_COUNT:
            raise invalid(EventError("recommend.count", f"{self.count} is outside 1 to {MAX_COUNT}"))
        for name, values, most in (("exclude", self.exclude, MAX_EXCLUDE), ("items", self.items, MAX_ITEMS)):
            if len(values) > most:
                raise invalid(EventError(f"recommend.{name}", f"has {len(values)} entries, more than {most}"))
        if self.diversity is not None and not 0.0 <= self.diversity <= 1.0:
            raise invalid(EventError("recommend.diversity", f"{self.diversity} is outside 0 to 1"))
        if self.filters is not None:
            self.filters.checked()
        return self._fitting()

    def _fitting(self) -> Ask:
        """Itself, where what it names goes with its context."""
        search_only, beside = self.context == "search", self.context in BESIDE_ITEMS
        if self.item_id and not beside:
            raise invalid(EventError("recommend.item_id", f"goes with the contexts {', '.join(sorted(BESIDE_ITEMS))}"))
        if self.items and not beside and not search_only:
            raise invalid(EventError("recommend.items", f"goes with the contexts {', '.join(sorted(BESIDE_ITEMS))} and search"))
        if self.query and not search_only:
            raise invalid(EventError("recommend.query", "goes with the context search"))
        if len(self.query) > MAX_QUERY:
            raise invalid(EventError("recommend.query", f"has {len(self.query)} characters, more than {MAX_QUERY}"))
        if search_only and bool(self.query.strip()) == bool(self.items):
            raise invalid(EventError("recommend.query", "the context search takes either a query or the items that were found"))
        return self


class Sought(Ask, frozen=True, kw_only=True):
    """An ask whose query was searched for. found : (item id, score), best first."""

    found: tuple[tuple[int, float], ...] = ()


def read_ask(raw: object) -> Ask:
    """What a slate should be like. Raises Problem."""
    if type(raw) is dict and raw.keys() <= _OFTEN:  # what most callers ask, over and over
        count, reasons = raw.get("count", COUNT), raw.get("reasons", False)
        if type(count) is int and 1 <= count <= MAX_COUNT and type(reasons) is bool:
            return _plain(count, reasons)
    try:
        return msgspec.convert(raw, Ask).checked()
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_field", f"recommend: {error}", field="recommend") from error


_OFTEN = frozenset({"count", "reasons"})


@lru_cache(maxsize=2 * MAX_COUNT)
def _plain(count: int, reasons: bool) -> Ask:
    return Ask(count=count, reasons=reasons)


def read_parameters(query_string: str) -> dict[str, object]:
    """A GET's parameters in the shape of a POST's body. A filter's parameter may come several times. Raises Problem."""
    visit: dict[str, object] = {}
    ask: dict[str, object] = {}
    filters: dict[str, object] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        if name in {"session_id", "shopper_id"}:
            visit[name] = value
        elif name == "count":
            if not value.isascii() or not value.isdigit() or len(value) > 6:
                raise invalid(EventError("count", f"{value[:40]!r} is not a whole number"))
            ask[name] = int(value)
        elif name in {"context", "item_id", "query"}:
            ask[name] = value
        elif name in {"exclude", "items"}:
            ask[name] = [part for part in value.split(",") if part]
        elif name in {"allow_seen", "allow_current", "allow_out_of_stock", "reasons"}:
            if value not in {"true", "false"}:
                raise invalid(EventError(name, f"{value[:40]!r} is neither true nor false"))
            ask[name] = value == "true"
        elif name == "diversity":
            ask[name] = _number(name, value)
        elif name in PRICES:
            filters[name] = _number(name, value)
        elif name in LISTS:
            held = filters.setdefault(name, [])
            assert isinstance(held, list)
            held.append(value)
        else:
            raise invalid(EventError(name[:40], "is not a parameter of this call"))
    if filters:
        ask["filters"] = filters
    return {**visit, "recommend": ask}


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise invalid(EventError(name, f"{value[:40]!r} is not a number"))
    return number


async def look_up(shop: int, ask: Ask) -> Ask:
    """The ask with what its query finds in the shop's catalogue; itself where it has none."""
    if not ask.query:
        return ask
    found = await sync_to_async(_search)(shop, ask.query)
    return msgspec.convert(msgspec.structs.asdict(ask) | {"found": found}, Sought, from_attributes=True)


def _search(shop: int, query: str) -> tuple[tuple[int, float], ...]:
    # The index is made of files; a row is only read where it must be made first.
    found = search(index_of(Shop(pk=shop)), query, count=MOST_FOUND, facets=False)
    return tuple(zip(found.item_ids.tolist(), found.scores.tolist(), strict=True))


def request_of(engine: Engine, ask: Ask, now: float) -> Request:
    """The engine's request. Items that its catalogue lacks are left out."""
    items = _known(engine, [*ask.items, ask.item_id] if ask.item_id else ask.items) if ask.items or ask.item_id else ()
    found: tuple[tuple[int, float], ...] = ()
    if isinstance(ask, Sought):
        found = ask.found
    elif ask.context == "search":
        found, items = tuple([(item, 0.0) for item in items]), ()
    return Request(
        now=now,
        count=ask.count,
        context=ask.context,
        anchors=items if items or not (ask.item_id or ask.items) else (UNKNOWN_ITEM,),
        found=found,
        filters=ask.filters.read() if ask.filters is not None else NO_FILTERS,
        allow_seen=ask.allow_seen,
        allow_current=ask.context == "search" if ask.allow_current is None else ask.allow_current,
        allow_out_of_stock=ask.allow_out_of_stock,
        diversity=DIVERSITY.get(ask.context, 0.0) if ask.diversity is None else ask.diversity,
        exclude=_known(engine, ask.exclude) if ask.exclude else (),
        reasons=ask.reasons,
    )


def _known(engine: Engine, externals: Sequence[str]) -> tuple[int, ...]:
    return tuple([item for item in engine.catalogue.ids_of(externals) if item != UNKNOWN_ITEM])
