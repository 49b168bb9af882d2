"""What goes in and comes out, as the API has it. Fields that are not named here are passed through."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

EventName = Literal[
    "view_item", "select_item", "view_item_list", "search", "add_to_cart", "remove_from_cart", "add_to_wishlist", "purchase",
    "refund", "user_engagement",
]  # fmt: skip
Context = Literal["home", "similar", "complementary", "cart", "search"]


class _EventItem(TypedDict):
    item_id: str


class EventItem(_EventItem, total=False):
    index: int
    price: float
    quantity: float


class _Event(TypedDict):
    name: EventName


class Event(_Event, total=False):
    """`event_id` and `timestamp` (seconds since 1970) are filled in where they are left out."""

    event_id: str
    timestamp: float
    items: list[EventItem]
    search_term: str
    engagement_time_msec: float
    recommendation_id: str


class _Result(TypedDict):
    event_id: str
    status: Literal["accepted", "duplicate", "rejected", "kept"]


class Result(_Result, total=False):
    """status : "kept" where the event waits here for a server that is away."""

    field: str
    reason: str
    notes: list[str]


class _SlateItem(TypedDict):
    item_id: str
    slot: int


class SlateItem(_SlateItem, total=False):
    """reason, because : where `reasons` were asked for."""

    title: str
    price: float | None
    persona: dict[str, Any] | None
    cluster: dict[str, Any]
    propensity: float
    reason: str
    because: str | None


class _Slate(TypedDict):
    recommendation_id: str
    items: list[SlateItem]


class Slate(_Slate, total=False):
    """stale : it is the last one that could be had, the system being away."""

    version: int
    notes: list[str]
    stale: bool


class _Told(TypedDict):
    results: list[Result]
    kept: bool


class Told(_Told, total=False):
    """What became of events. kept : they wait here, with the ids in `results`, and are sent later."""

    version: int
    release: str
    slate: Slate


class Persona(TypedDict):
    id: int
    key: str
    name: str
    probability: float


class _Profile(TypedDict):
    belief: list[Persona]
    version: int


class Profile(_Profile, total=False):
    active: list[str]
    unsure: bool
    several: bool
    shift: dict[str, Any] | None
    clusters: list[dict[str, Any]]


class Token(TypedDict):
    token: str
    session_id: str
    websocket: str


class ItemsWritten(TypedDict):
    added: int
    updated: int
    rejected: int
    results: list[dict[str, Any]]
