"""Payloads of Segment, Google Retail and GA4's Measurement Protocol, as their public documentation has them, are taken.

`payloads/*.json` names the page of each; items that our catalogue lacks are taken all the same, with a note.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from personas.events import NAMES
from recommendations.engine import Engine
from recommendations.serving import access, process
from recommendations.serving.activity import LoggedEvent, Record, decode_record, log_key
from recommendations.serving.process import Process
from tests.live_shops import KEY, SHOP, call, put_key, start_process
from tests.worlds import make_world, train_world

SEGMENT, RETAIL, GA4 = "/api/v1/events/segment", "/api/v1/events/google-retail", "/api/v1/events/ga4"
PAYLOADS = [
    pytest.param(path, sample, id=f"{file}: {sample['name']}")
    for path, file in ((SEGMENT, "segment"), (RETAIL, "google_retail"), (GA4, "ga4"))
    for sample in json.loads((Path(__file__).parent / "payloads" / f"{file}.json").read_text())
]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


def records(client: redis.Redis) -> list[Record]:
    return [decode_record(fields[b"r"]) for part in range(16) for _, fields in client.xrange(log_key(part))]


def events(client: redis.Redis) -> list[LoggedEvent]:
    return [event for record in records(client) for event in record.events]


def names(client: redis.Redis) -> list[str]:
    return [NAMES[event.code] for event in events(client)]


@pytest.mark.parametrize(("path", "sample"), PAYLOADS)
async def test_documented_payloads_are_taken_as_they_stand(
    here: Process, redis_client: redis.Redis, path: str, sample: dict[str, Any]
) -> None:
    answer = await call("POST", path, sample["body"])
    assert answer.status == 200
    assert [r["status"] for r in answer.body["results"]] == sample["answers"], answer.body
    assert names(redis_client) == sample.get("events", [])


async def test_segments_fields_become_ours(here: Process, redis_client: redis.Redis) -> None:
    products = [{"product_id": "sku-1", "price": "19.5", "quantity": 2}, {"sku": "sku-2", "position": 4}]
    call_ = {
        "type": "track",
        "messageId": "m1",
        "anonymousId": "anon",
        "userId": "u1",
        "event": "order completed",
        "properties": {"products": products},
        "timestamp": "2026-01-31T12:00:00.5+01:00",
        "context": {"device": {"type": "ios"}, "location": {"country": "pl"}},
    }
    answer = await call("POST", SEGMENT, call_)
    assert answer.body["results"] == [{"event_id": "m1", "status": "accepted"}]
    assert [s["session_id"] for s in answer.body["sessions"]] == ["anon"]
    (record,) = records(redis_client)
    (event,) = record.events
    assert (record.session, record.shopper, record.context) == ("anon", "u1", {"device": "mobile", "country": "PL"})
    assert (event.refs, event.price, event.quantity) == (("sku-1", "sku-2"), 19.5, 2.0)
    assert event.at == 1_769_857_200.5


async def test_one_payload_may_hold_several_visitors_and_answers_stay_in_order(here: Process, redis_client: redis.Redis) -> None:
    def viewed(visitor: str, item: str) -> dict[str, Any]:
        details = [{"product": {"id": item}}]
        return {
            "eventType": "detail-page-view",
            "visitorId": visitor,
            "eventTime": "2026-01-31T12:00:00Z",
            "productDetails": details,
        }

    payload = {"userEvents": [viewed("a", "sku-1"), viewed("b", "sku-2"), {"eventType": "search"}, viewed("a", "no-such-item")]}
    answer = await call("POST", RETAIL, payload)
    assert [r["status"] for r in answer.body["results"]] == ["accepted", "accepted", "rejected", "accepted"]
    assert answer.body["results"][2]["field"] == "visitorId"
    assert answer.body["results"][3]["notes"] == ["unknown_item"]
    assert {r.session: [e.refs for e in r.events] for r in records(redis_client)} == {
        "a": [("sku-1",), ("no-such-item",)],
        "b": [("sku-2",)],
    }


async def test_the_same_payload_again_counts_nothing_twice(here: Process, redis_client: redis.Redis) -> None:
    """Ids are made of the content, so a retry makes the same; two alike in one payload are two."""
    view = {"name": "view_item", "params": {"items": [{"item_id": "sku-1"}]}}
    payload = {"client_id": "c", "timestamp_micros": "1769857200000000", "events": [view, view]}
    first, again = await call("POST", GA4, payload), await call("POST", GA4, payload)
    assert [r["status"] for r in first.body["results"]] == ["accepted"] * 2
    assert [r["status"] for r in again.body["results"]] == ["duplicate"] * 2
    assert len(events(redis_client)) == 2


async def test_without_a_time_every_sending_is_another_event(here: Process, redis_client: redis.Redis) -> None:
    payload = {"client_id": "c", "events": [{"name": "view_item", "params": {"items": [{"item_id": "sku-1"}]}}]}
    await call("POST", GA4, payload)
    await call("POST", GA4, payload)
    assert len(events(redis_client)) == 2


async def test_ga4_numbers_may_be_text_and_sessions_are_the_clients_own(here: Process, redis_client: redis.Redis) -> None:
    spent = {
        "name": "user_engagement",
        "params": {"session_id": "17", "engagement_time_msec": "1500", "items": [{"item_id": "sku-1"}]},
    }
    seen = {"name": "view_item", "params": {"session_id": "17", "engagement_time_msec": "100", "items": [{"item_id": "sku-1"}]}}
    answer = await call("POST", GA4, {"client_id": "c.1", "user_id": "u", "events": [seen, spent]})
    assert [s["session_id"] for s in answer.body["sessions"]] == ["c.1.17"]
    view, engagement = events(redis_client)
    assert (view.dwell_s, engagement.dwell_s) == (None, 1.5), "on a view it is the time since anything, not spent on the item"


async def test_attribution_reaches_the_slate_that_was_served(here: Process, redis_client: redis.Redis) -> None:
    slate = (await call("POST", "/api/v1/recommendations", {"session_id": "v"})).body
    event = {
        "eventType": "detail-page-view",
        "visitorId": "v",
        "attributionToken": slate["recommendation_id"],
        "productDetails": [{"product": {"id": slate["items"][0]["item_id"]}}],
    }
    await call("POST", RETAIL, {"userEvent": json.dumps(event)})
    assert [e.recommendation_id for e in events(redis_client)] == [slate["recommendation_id"]]


async def test_a_visit_may_log_in_without_an_event(here: Process, redis_client: redis.Redis) -> None:
    answer = await call("POST", SEGMENT, {"type": "identify", "anonymousId": "anon", "userId": "u1"})
    assert answer.body["results"][0]["notes"] == ["visitor"]
    (record,) = records(redis_client)
    assert (record.session, record.shopper, record.events) == ("anon", "u1", ())


def tracked(event: str, properties: object, **more: object) -> dict[str, Any]:
    return {"type": "track", "anonymousId": "s", "event": event, "properties": properties, **more}


def by_retail(kind: str, **more: object) -> dict[str, Any]:
    return {"eventType": kind, "visitorId": "v", **more}


def by_ga4(params: object) -> dict[str, Any]:
    return {"client_id": "c", "events": [{"name": "view_item", "params": params}]}


@pytest.mark.parametrize(
    ("path", "payload", "field"),
    [
        (SEGMENT, tracked("Product Viewed", {"product_id": "a"}, anonymousId=None), "anonymousId"),
        (SEGMENT, tracked("Product Viewed", {"name": "x"}), "properties.product_id"),
        (SEGMENT, tracked("Product Viewed", []), "properties"),
        (SEGMENT, tracked("Order Completed", {"products": [{}]}), "properties.products[0].product_id"),
        (SEGMENT, tracked("Products Searched", {"query": {}}), "properties.query"),
        (SEGMENT, tracked("Product Viewed", {"id": "a"}, timestamp="2015-2-02T00:30:08.276Z"), "timestamp"),
        (SEGMENT, {"type": "fly", "anonymousId": "s"}, "type"),
        (SEGMENT, {"batch": ["x"]}, "event"),
        (RETAIL, by_retail("detail-page-view"), "productDetails"),
        (RETAIL, by_retail("detail-page-view", productDetails=[{"product": {}}]), "productDetails[0].product.id"),
        (RETAIL, by_retail("search", eventTime=5, searchQuery="x"), "eventTime"),
        (RETAIL, {"visitorId": "v"}, "eventType"),
        (GA4, {**by_ga4({"items": [{"item_id": "a"}]}), "client_id": ""}, "client_id"),
        (GA4, by_ga4({}), "items"),
        (GA4, by_ga4({"items": [{"item_name": "x"}]}), "items[0].item_id"),
        (GA4, {"client_id": "c", "events": [{"params": {}}]}, "name"),
        (GA4, {"client_id": "c", "events": [None]}, "event"),
    ],
)
async def test_what_lacks_something_is_refused_in_the_payloads_own_words(
    here: Process, redis_client: redis.Redis, path: str, payload: dict[str, Any], field: str
) -> None:
    answer = await call("POST", path, payload)
    assert answer.status == 200
    (result,) = answer.body["results"]
    assert (result["status"], result["field"]) == ("rejected", field)
    assert result["reason"]
    assert not events(redis_client)


@pytest.mark.parametrize(("path", "payload"), [(SEGMENT, {"batch": {}}), (RETAIL, {"userEvents": 3}), (GA4, {"client_id": "c"})])
async def test_a_payload_of_another_form_is_refused_whole(here: Process, path: str, payload: dict[str, Any]) -> None:
    answer = await call("POST", path, payload)
    assert (answer.status, answer.body["code"]) == (422, "invalid_field")


async def test_a_token_takes_its_own_session_only(here: Process, redis_client: redis.Redis) -> None:
    token = access.issue_session_token(SHOP, "mine")
    mine = {"type": "track", "anonymousId": "mine", "event": "Product Viewed", "properties": {"product_id": "sku-1"}}
    answer = await call("POST", SEGMENT, {"batch": [mine, {**mine, "anonymousId": "theirs"}]}, key=token)
    assert [r["status"] for r in answer.body["results"]] == ["accepted", "rejected"]
    assert [r.session for r in records(redis_client)] == ["mine"]


async def test_segments_libraries_may_send_the_key_their_way(here: Process) -> None:
    """Basic with the write key as the name and no password, or in the body."""
    body = {"type": "track", "anonymousId": "s", "event": "Product Viewed", "properties": {"product_id": "sku-1"}}
    basic = base64.b64encode(f"{KEY}:".encode()).decode()
    assert (await call("POST", SEGMENT, body, key="", headers={"authorization": f"Basic {basic}"})).status == 200
    assert (await call("POST", SEGMENT, body | {"writeKey": KEY}, key="")).status == 200
    assert (await call("POST", SEGMENT, body | {"writeKey": "pc_wrong"}, key="")).body["code"] == "invalid_key"
    assert (await call("POST", GA4, {"client_id": "c", "events": [], "writeKey": KEY}, key="")).status == 401


@pytest.mark.parametrize("user", [f"{KEY}:secret", KEY, "TOKEN:", "TOKEN", ":", "\xff:"])
async def test_basic_that_is_no_key_is_told_what_goes_there(here: Process, user: str) -> None:
    """A password, no colon, a session token (whose own colons make the rest of it a password), nobody, and no text."""
    named = user.replace("TOKEN", access.issue_session_token(SHOP, "s")).encode("latin-1")
    answer = await call("POST", SEGMENT, {}, key="", headers={"authorization": f"Basic {base64.b64encode(named).decode()}"})
    assert (answer.status, answer.body["code"]) == (401, "missing_credentials")
    assert "`Basic` takes an API key" in answer.body["detail"]
    assert "a session token goes as `Bearer`" in answer.body["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"
