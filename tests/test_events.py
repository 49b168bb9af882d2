"""The door for events: what is taken, what is rejected, and with which field and reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personas.events import MAX_ITEMS, Event, EventError, parse_event

NOW = 1_700_000_000.0
KNOWN = {"sku-1": 1, "sku-2": 2}


def ids(externals: Sequence[str]) -> list[int]:
    return [KNOWN.get(e, 0) for e in externals]


def parse(**raw: object) -> Event:
    return parse_event(
        {"event_id": "e1", "name": "view_item", "items": [{"item_id": "sku-1"}]} | raw, received_at=NOW, item_ids=ids
    )


def test_ga4_purchase_is_read_field_by_field() -> None:
    got = parse(
        name="purchase",
        timestamp_micros=int((NOW - 5) * 1e6),
        items=[{"item_id": "sku-2", "price": 9.5, "quantity": 2}, {"item_id": "sku-1", "price": 1}],
    )
    assert (got.items, got.price, got.quantity, got.at) == ((2, 1), 9.5, 2.0, NOW - 5)


def test_engagement_in_milliseconds_becomes_dwell_in_seconds() -> None:
    assert parse(name="user_engagement", engagement_time_msec=2_500).dwell_s == 2.5


def test_unknown_item_is_kept_as_zero() -> None:
    assert parse(items=[{"item_id": "nobody-knows"}]).items == (0,)


def test_clock_ahead_is_clamped_and_marked() -> None:
    ahead = parse(timestamp=NOW + 3_600)
    assert (ahead.at, ahead.clock_ahead) == (NOW, True)
    assert parse(timestamp=NOW + 1).clock_ahead is False


def test_impressions_keep_the_slots_they_were_seen_in() -> None:
    items = [{"item_id": "sku-1", "index": 4}, {"item_id": "sku-2", "index": 7}]
    assert parse(name="view_item_list", items=items, recommendation_id="r1").slots == (4, 7)


@pytest.mark.parametrize(
    ("raw", "field", "reason"),
    [
        ({"name": "view_itme"}, "name", "is not one of"),
        ({"name": None}, "name", "is not one of"),
        ({"event_id": ""}, "event_id", "is missing"),
        ({"event_id": "x" * 129}, "event_id", "129 characters"),
        ({"event_id": "a\x00b"}, "event_id", "control"),
        ({"event_id": "\ud800"}, "event_id", "Unicode"),
        ({"items": []}, "items", "at least one item"),
        ({"items": "sku-1"}, "items", "must be a list"),
        ({"items": [{}]}, "items[0].item_id", "is missing"),
        ({"items": ["sku-1"]}, "items[0]", "must be an object"),
        ({"items": [{"item_id": "sku-1"}] * (MAX_ITEMS + 1)}, "items", "more than"),
        ({"items": [{"item_id": "sku-1", "price": -1}]}, "items[0].price", "outside"),
        ({"items": [{"item_id": "sku-1", "price": float("nan")}]}, "items[0].price", "finite"),
        ({"items": [{"item_id": "sku-1", "quantity": True}]}, "items[0].quantity", "not a number"),
        ({"engagement_time_msec": "long"}, "engagement_time_msec", "not a number"),
        ({"engagement_time_msec": -1}, "engagement_time_msec", "outside"),
        ({"engagement_time_msec": 10**400}, "engagement_time_msec", "outside"),
        ({"timestamp": 10**400}, "timestamp", "outside"),
        ({"timestamp": 5}, "timestamp", "before the year 2000"),
        ({"timestamp": float("inf")}, "timestamp", "finite"),
        ({"name": "search"}, "search_term", "needs its words"),
        ({"name": "search", "search_term": " \x00 "}, "search_term", "is empty"),
        ({"name": "search", "search_term": "x" * 257}, "search_term", "257 characters"),
        ({"name": "search", "search_term": 5}, "search_term", "must be a string"),
    ],
)
def test_rejection_names_the_field_and_the_reason(raw: Mapping[str, object], field: str, reason: str) -> None:
    with pytest.raises(EventError, match=reason) as caught:
        parse(**raw)
    assert caught.value.field == field


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["event_id", "name", "items", "timestamp", "search_term", "engagement_time_msec", "recommendation_id", "item_id"]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=st.dictionaries(fields, json_values))
def test_hostile_json_is_either_an_event_or_an_event_error(raw: dict[str, object]) -> None:
    base = {"event_id": "e", "name": "view_item", "items": [{"item_id": "sku-1"}]}
    try:
        got = parse_event(base | raw, received_at=NOW, item_ids=ids)
    except EventError:
        return
    assert got.at <= got.received_at


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"items": [{"item_id": "a", "price": 10, "quantity": 2}, {"item_id": "b", "price": 4.5}]}, 24.5),
        ({"items": [{"item_id": "a", "price": 10, "quantity": 2}, {"item_id": "b"}], "value": 31}, 31.0),
        ({"items": [{"item_id": "a"}]}, None),
    ],
    ids=["of its items", "as told", "nobody said"],
)
def test_a_purchase_came_to_a_sum(given: dict[str, object], value: float | None) -> None:
    raw = {"event_id": "e", "name": "purchase", **given}
    event = parse_event(raw, received_at=1_800_000_000.0, item_ids=lambda ids: [1] * len(ids))
    assert event.value == value
    looked = parse_event({**raw, "name": "view_item"}, received_at=1_800_000_000.0, item_ids=lambda ids: [1] * len(ids))
    assert looked.value is None


@pytest.mark.parametrize("value", [-1, float("nan"), "12", True])
def test_a_sum_that_is_none_is_refused(value: object) -> None:
    raw = {"event_id": "e", "name": "purchase", "items": [{"item_id": "a"}], "value": value}
    with pytest.raises(EventError, match="^value: "):
        parse_event(raw, received_at=1_800_000_000.0, item_ids=lambda ids: [1])
