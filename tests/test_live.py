"""The hot endpoints: what they take, what they refuse, and in which words."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import redis
from redis.asyncio import Redis

from clusters.models import Item
from clusters.searching import index_of
from personas.events import CODE
from personas.models import Shop
from recommendations.engine import Engine
from recommendations.serving import access, process
from recommendations.serving.activity import Record, decode_record, log_key, partition
from recommendations.serving.engines import Engines
from recommendations.serving.process import Process
from recommendations.serving.store import encode_state, state_key
from tests.live_shops import KEY, SHOP, call, put_key, start_process, view
from tests.worlds import make_world, train_world

EVENTS, RECOMMENDATIONS = "/api/v1/events", "/api/v1/recommendations"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


def records(client: redis.Redis) -> list[Record]:
    found = []
    for part in range(16):
        found += [decode_record(fields[b"r"]) for _, fields in client.xrange(log_key(part))]
    return found


async def test_events_in_and_a_slate_out(here: Process, redis_client: redis.Redis) -> None:
    body = {
        "session_id": "s1",
        "shopper_id": "anna",
        "context": {"country": "PL", "age": 34},
        "events": [view("e1"), view("e2", "sku-2")],
        "recommend": {"count": 5, "context": "similar", "reasons": True},
    }
    answer = await call("POST", EVENTS, body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body["results"] == [{"event_id": "e1", "status": "accepted"}, {"event_id": "e2", "status": "accepted"}]
    slate = answer.body["slate"]
    assert len({item["item_id"] for item in slate["items"]}) == 5
    assert "sku-2" not in {item["item_id"] for item in slate["items"]}, "the current item is left out"
    assert all(item["reason"] and item["cluster"]["name"] and 0 < item["propensity"] <= 1 for item in slate["items"])
    (record,) = records(redis_client)
    assert [e.event_id for e in record.events] == ["e1", "e2"]
    assert record.events[0].refs == ("sku-1",)
    assert record.events[0].code == CODE["view_item"]
    assert (record.shopper, record.context) == ("anna", {"country": "PL"}), "demographics need consent"
    assert record.slate is not None
    assert record.slate.recommendation_id == slate["recommendation_id"]
    assert [i.slot for i in record.slate.items] == list(range(5))
    assert sum(record.belief.values()) == pytest.approx(1.0, abs=0.01)


async def test_demographics_are_taken_with_consent(here: Process, redis_client: redis.Redis) -> None:
    await call("POST", EVENTS, {"session_id": "s1", "consent": True, "context": {"age": 34}, "events": [view("e1")]})
    assert records(redis_client)[0].context == {"age": "34"}


async def test_a_repeated_event_id_counts_once(here: Process, redis_client: redis.Redis) -> None:
    body = {"session_id": "s1", "events": [view("e1"), view("e1", "sku-9"), view("e2")]}
    first = await call("POST", EVENTS, body)
    again = await call("POST", EVENTS, body)
    assert [r["status"] for r in first.body["results"]] == ["accepted", "duplicate", "accepted"]
    assert [r["status"] for r in again.body["results"]] == ["duplicate"] * 3
    assert again.body["version"] == first.body["version"]
    assert [e.event_id for r in records(redis_client) for e in r.events] == ["e1", "e2"]


async def test_a_bad_event_is_refused_with_field_and_reason_and_stops_no_other(here: Process) -> None:
    events = [view("e1"), {"event_id": "e2", "name": "fly"}, "no object", {"name": "search"}, view("e5")]
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": events})
    results = answer.body["results"]
    assert [r["status"] for r in results] == ["accepted", "rejected", "rejected", "rejected", "accepted"]
    assert [r.get("field") for r in results] == [None, "name", "event", "event_id", None]
    assert "fly" in results[1]["reason"]


async def test_odd_events_are_taken_and_marked(here: Process, redis_client: redis.Redis) -> None:
    soon, late = time.time() + 3_600, time.time() - 86_400
    events = [view("e1", "no-such-item"), view("e2", timestamp=soon), view("e3", timestamp=late)]
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": events})
    assert [r.get("notes") for r in answer.body["results"]] == [["unknown_item"], ["clock_ahead"], None]
    unknown, ahead, old = records(redis_client)[0].events
    assert (unknown.items, unknown.refs) == ((0,), ("no-such-item",))
    assert ahead.at <= time.time()
    assert old.at == pytest.approx(late)


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"[1]", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"session_id": "s1", "events": [{"event_id": "e", "name": "view_item", "price": NaN}]}', 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'{"session_id": "\\ud800", "events": []}', 400, "malformed_json"),
        (b'{"session_id": "s1"}', 422, "invalid_field"),
        (b'{"events": []}', 422, "invalid_field"),
        (b'{"session_id": "a\\u0000b", "events": []}', 422, "invalid_field"),
        (b'{"session_id": "s1", "events": [], "context": {"x": []}}', 422, "invalid_field"),
        (b'{"session_id": "s1", "events": [], "recommend": {"count": 0}}', 422, "invalid_field"),
        (b'{"session_id": "s1", "events": [], "recommend": {"count": "many"}}', 422, "invalid_field"),
        (b'{"session_id": "s1", "events": [' + b",".join([b"{}"] * 501) + b"]}", 413, "too_many_events"),
        (b"x" * 10_000_000, 413, "body_too_large"),
    ],
)
async def test_hostile_bodies_get_a_problem_and_change_nothing(
    here: Process, redis_client: redis.Redis, raw: bytes, status: int, code: str
) -> None:
    answer = await call("POST", EVENTS, raw=raw)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert not records(redis_client)
    assert not redis_client.keys("*:state:*")


@pytest.mark.parametrize("length", ["9" * 5_000, "-1", "ten", ""])
async def test_a_body_whose_length_is_no_sensible_number_is_refused(here: Process, length: str) -> None:
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": []}, headers={"content-length": length})
    assert (answer.status, answer.body["code"]) == (413, "body_too_large")


async def test_a_body_longer_than_it_says_is_cut_off(here: Process) -> None:
    answer = await call("POST", EVENTS, raw=b"x" * 2_000_000, headers={"content-length": "10"})
    assert answer.status == 413


async def test_numbers_beyond_any_float_are_refused(here: Process) -> None:
    raw = b'{"session_id": "s1", "events": [{"event_id": "e1", "name": "view_item", "item_id": "sku-1", "price": 1e999}]}'
    answer = await call("POST", EVENTS, raw=raw)
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert answer.body["results"][0]["status"] == "rejected"


async def test_500_events_are_one_commit(here: Process, redis_client: redis.Redis) -> None:
    events = [view(f"e{n}", f"sku-{1 + n % 70}") for n in range(500)]
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": events})
    assert {r["status"] for r in answer.body["results"]} == {"accepted"}
    (record,) = records(redis_client)
    assert len(record.events) == 500
    assert record.version == 500


@pytest.mark.parametrize("count", [1, 12, 50])
async def test_recommendations_over_get_and_post_agree_in_form(here: Process, count: int) -> None:
    got = await call("GET", RECOMMENDATIONS, query=f"session_id=s1&count={count}&exclude=sku-3")
    posted = await call("POST", RECOMMENDATIONS, {"session_id": "s2", "recommend": {"count": count, "exclude": ["sku-3"]}})
    assert got.status == posted.status == 200
    for answer in (got, posted):
        items = [i["item_id"] for i in answer.body["items"]]
        assert len(items) == count
        assert "sku-3" not in items


async def test_items_say_why_they_are_there_when_that_is_asked_for(here: Process, redis_client: redis.Redis) -> None:
    """The items are the same either way, and so is all else that is told of them."""
    words = {"because", "expert", "experts", "reason"}
    told = []
    for session, ask in (("plain", {"count": 6}), ("told", {"count": 6, "reasons": True})):
        events = [view(f"e{n}", f"sku-{n}") for n in range(1, 4)]
        answer = await call("POST", EVENTS, {"session_id": session, "events": events, "recommend": ask})
        told.append(answer.body["slate"]["items"])
    plain, with_words = told
    assert all(words.isdisjoint(item) for item in plain)
    assert all(words <= set(item) and item["reason"] for item in with_words)
    assert {item["because"] for item in with_words} & {"sku-1", "sku-2", "sku-3"}
    assert all(abs(sum(item["experts"].values()) - 1.0) < 1e-3 for item in with_words)
    assert min(item["propensity"] for item in plain + with_words) > 0.5, "sessions of these names explore nothing"
    assert [{name: value for name, value in item.items() if name not in words} for item in with_words] == plain
    assert {
        item.expert
        for record in records(redis_client)
        if record.session == "plain" and record.slate
        for item in record.slate.items
    } == {""}
    got = (await call("GET", RECOMMENDATIONS, query="session_id=told&count=2&reasons=true")).body
    assert all(item["reason"] for item in got["items"])
    answer = await call("GET", RECOMMENDATIONS, query="session_id=told&reasons=1")
    assert (answer.status, answer.body["field"]) == (422, "reasons")
    answer = await call("POST", RECOMMENDATIONS, {"session_id": "told", "recommend": {"reasons": "yes"}})
    assert (answer.status, answer.body["field"]) == (422, "recommend")


async def test_unknown_parameters_are_named(here: Process) -> None:
    answer = await call("GET", RECOMMENDATIONS, query="session_id=s1&cuont=3")
    assert (answer.status, answer.body["field"]) == (422, "cuont")


async def test_the_profile_moves_and_says_why(here: Process) -> None:
    before = await call("GET", "/api/v1/sessions/s%2F1/profile")
    assert (before.status, before.body["events"]) == (200, 0)
    await call("POST", EVENTS, {"session_id": "s/1", "events": [view(f"e{n}", f"sku-{n}") for n in range(1, 5)]})
    after = await call("GET", "/api/v1/sessions/s%2F1/profile")
    assert after.body["events"] == 4
    assert sum(b["probability"] for b in after.body["belief"]) == pytest.approx(1.0, abs=0.01)
    assert after.body["belief"] != before.body["belief"]
    assert after.body["evidence"]
    assert after.body["evidence"][-1]["persona"]["name"]
    assert after.body["clusters"]
    assert {c["change"] for c in after.body["clusters"]} <= {"kept", "expanded", "contracted"}


async def test_methods_are_named(here: Process) -> None:
    answer = await call("DELETE", EVENTS)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


# Who may


@pytest.mark.parametrize("key", ["", "pc_wrong", "a:b:c", "x" * 2_000])
async def test_a_wrong_key_opens_nothing(here: Process, key: str) -> None:
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1")]}, key=key)
    assert answer.status == 401
    assert answer.body["code"] in {"missing_credentials", "invalid_key", "invalid_token"}


async def test_scopes_are_kept(here: Process, redis_client: redis.Redis) -> None:
    put_key(redis_client, "pc_ingest", scopes=("ingest",))
    put_key(redis_client, "pc_read", scopes=("read",))
    body = {"session_id": "s1", "events": [view("e1")]}
    assert (await call("POST", EVENTS, body, key="pc_ingest")).status == 200
    assert (await call("POST", EVENTS, body | {"recommend": {}}, key="pc_ingest")).body["code"] == "missing_scope"
    assert (await call("POST", EVENTS, body, key="pc_read")).status == 403
    assert (await call("POST", "/api/v1/session-tokens", {"session_id": "s1"}, key="pc_read")).status == 403


async def test_a_token_opens_its_own_session_only(here: Process) -> None:
    token = (await call("POST", "/api/v1/session-tokens", {"session_id": "s1"})).body["token"]
    assert (await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1")]}, key=token)).status == 200
    assert (await call("GET", "/api/v1/sessions/s1/profile", key=token)).status == 200
    for answer in (
        await call("POST", EVENTS, {"session_id": "s2", "events": [view("e1")]}, key=token),
        await call("GET", RECOMMENDATIONS, query="session_id=s2", key=token),
        await call("GET", "/api/v1/sessions/s2/profile", key=token),
    ):
        assert (answer.status, answer.body["code"]) == (403, "foreign_session")
    assert (await call("POST", "/api/v1/session-tokens", {"session_id": "s2"}, key=token)).body["code"] == "key_needed"


async def test_an_expired_or_changed_token_is_refused(here: Process) -> None:
    old = access.issue_session_token(SHOP, "s1", ttl_s=60, now=time.time() - 61)
    good = access.issue_session_token(SHOP, "s1")
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    codes = [(await call("GET", "/api/v1/sessions/s1/profile", key=k)).body["code"] for k in (old, changed)]
    assert codes == ["expired_token", "invalid_token"]


async def test_a_revoked_key_is_forgotten_upon_the_message(here: Process, redis_client: redis.Redis) -> None:
    assert (await call("GET", RECOMMENDATIONS, query="session_id=s1")).status == 200
    redis_client.delete(access.KEYS)
    assert (await call("GET", RECOMMENDATIONS, query="session_id=s1")).status == 200, "remembered for a moment"
    redis_client.publish(access.CHANNEL, "all")
    for _ in range(100):
        await asyncio.sleep(0.01)
        if (await call("GET", RECOMMENDATIONS, query="session_id=s1")).status == 401:
            break
    else:
        pytest.fail("the key still works a second after the message")


# Releases and states


async def test_a_shop_without_a_release_says_what_to_do(here: Process, redis_client: redis.Redis) -> None:
    put_key(redis_client, "pc_other", shop=77)
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1")]}, key="pc_other")
    assert (answer.status, answer.body["code"]) == (503, "no_release")
    assert "manage.py train" in answer.body["detail"]


async def test_a_release_that_cannot_be_loaded_leaves_the_one_before_it_in_place(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(shop: int) -> Engine:
        raise ValueError("damaged")

    engines = Engines(find=lambda: {SHOP: "2"}, load=broken)
    await engines.refresh()
    await engines.refresh()
    assert (engines.get(SHOP), engines.refused(SHOP)) == (None, "2")
    assert caplog.text.count("release 2 of shop 1 can't be served") == 1, "told once, not at every look"
    engines.put(SHOP, replace(engine, release="1"))
    await engines.refresh()
    served = engines.get(SHOP)
    assert served is not None
    assert served.release == "1"
    engines.close()


async def test_a_new_release_takes_over_and_the_session_goes_on(here: Process, engine: Engine) -> None:
    first = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1"), view("e2")]})
    other = train_world(make_world(sessions=150, seed=0), previous=engine, seed=1)
    here.engines.put(SHOP, replace(other, release="2"))
    second = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e3")], "recommend": {}})
    assert (first.body["release"], second.body["release"]) == ("1", "2")
    assert second.body["slate"]["release"] == "2"
    loaded = await here.store.load(SHOP, "s1")
    assert loaded.state is not None
    assert (loaded.state.events, loaded.state.release) == (3, "2")
    assert [t.item for t in loaded.state.touches] == [1, 1, 1]


async def test_a_state_that_cannot_be_read_never_is_a_500(
    here: Process, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1")]})
    redis_client.set(state_key(partition(SHOP, "s1", 16), SHOP, "s1"), b"\x63garbage")
    with caplog.at_level(logging.WARNING):
        answer = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1"), view("e2")], "recommend": {}})
    assert answer.status == 200
    assert [r["status"] for r in answer.body["results"]] == ["duplicate", "accepted"], "ids are kept beside the state"
    assert "starts again from the prior" in caplog.text


async def test_states_stay_within_2_kb(here: Process) -> None:
    sizes = []
    for s in range(30):
        for n in range(6):
            events = [view(f"e{n}.{i}", f"sku-{1 + (7 * s + 5 * n + i) % 72}") for i in range(4)]
            await call("POST", EVENTS, {"session_id": f"s{s}", "events": events, "recommend": {}})
        state = (await here.store.load(SHOP, f"s{s}")).state
        assert state is not None
        sizes.append(len(encode_state(state)))
    assert sorted(sizes)[int(0.99 * len(sizes))] <= 2_048, json.dumps(sizes)


async def test_a_store_that_is_gone_is_a_503(here: Process) -> None:
    here.store.client = Redis.from_url("unix:///nonexistent.sock")
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1")]})
    assert (answer.status, answer.body["code"]) == (503, "storage_unavailable")


async def test_a_slate_stands_where_the_request_says(here: Process, engine: Engine) -> None:
    """Oracle: the world's categories and colours."""
    ask = {"context": "similar", "item_id": "sku-1", "count": 4}
    slate = (await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": ask})).body
    assert slate["context"] == "similar"
    assert slate["notes"] == []
    assert "sku-1" not in {item["item_id"] for item in slate["items"]}
    assert [item["category"] for item in slate["items"]].count("skirts") >= 3, "a quarter would be chance"
    got = (await call("GET", RECOMMENDATIONS, query="session_id=s1&context=complementary&item_id=sku-1&count=4")).body
    assert got["items"]
    assert "skirts" not in {item["category"] for item in got["items"]}


async def test_filters_are_the_same_over_get_and_post(here: Process) -> None:
    filters = {"category": ["shoes", "skirts"], "colour": ["red"], "price_to": 80}
    posted = await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": {"filters": filters, "count": 30}})
    query = "session_id=s2&category=shoes&category=skirts&colour=red&price_to=80&count=30"
    got = await call("GET", RECOMMENDATIONS, query=query)
    for answer in (posted, got):
        assert answer.status == 200
        assert {item["category"] for item in answer.body["items"]} <= {"shoes", "skirts"}
        assert all(item["colour"] == "red" and item["price"] <= 80 for item in answer.body["items"])
    assert {i["item_id"] for i in posted.body["items"]} == {i["item_id"] for i in got.body["items"]}
    unknown = await call("GET", RECOMMENDATIONS, query="session_id=s1&category=hats")
    assert (unknown.status, unknown.body["items"], unknown.body["notes"]) == (200, [], ["unknown_filter:category=hats"])


async def test_what_was_found_is_ordered_and_nothing_is_added(here: Process) -> None:
    items = [f"sku-{n}" for n in range(1, 13)] + ["nobody"]
    ask = {"context": "search", "items": items, "count": 20}
    slate = (await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": ask})).body
    assert {item["item_id"] for item in slate["items"]} == set(items[:-1])


@pytest.fixture
def indexed(db: None, data_dir: Path, engine: Engine) -> set[str]:
    """The shop's rows as its search finds them: every third item is a lantern. Their external ids."""
    shop = Shop.objects.create(pk=SHOP, slug="small", name="Small")
    Item.objects.bulk_create(
        Item(pk=n, shop=shop, external_id=f"sku-{n}", title=f"Brass {'lantern' if n % 3 == 0 else 'kettle'} {n}")
        for n in engine.catalogue.item_ids.tolist()
    )
    index_of(shop)
    return {f"sku-{n}" for n in engine.catalogue.item_ids.tolist() if n % 3 == 0}


async def test_a_query_is_searched_for_in_the_shops_own_index(
    here: Process, indexed: set[str], redis_client: redis.Redis
) -> None:
    """Oracle: the rows' titles."""
    ask = {"context": "search", "query": "lanterns", "count": 50, "allow_out_of_stock": True}
    posted = await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": ask})
    assert posted.status == 200
    assert {item["item_id"] for item in posted.body["items"]} == indexed
    got = await call("GET", RECOMMENDATIONS, query="session_id=s2&context=search&query=lantern&count=4&diversity=1")
    assert len(got.body["items"]) == 4
    assert {item["item_id"] for item in got.body["items"]} <= indexed
    nothing = await call("GET", RECOMMENDATIONS, query="session_id=s3&context=search&query=submarine")
    assert (nothing.status, nothing.body["items"]) == (200, [])
    record = records(redis_client)[0]
    assert record.slate is not None
    assert len(record.slate.asked["found"]) == len(indexed), "a replay finds what was found"


async def test_a_pages_item_counts_beside_the_items_named_with_it(here: Process) -> None:
    ask = {"context": "similar", "items": ["sku-2"], "item_id": "sku-1", "count": 50, "allow_out_of_stock": True}
    slate = (await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": ask})).body
    assert not {item["item_id"] for item in slate["items"]} & {"sku-1", "sku-2"}


@pytest.mark.parametrize("context", ["similar", "complementary", "cart"])
async def test_of_several_anchors_the_known_ones_count(here: Process, context: str) -> None:
    ask = {"context": context, "items": ["nobody", "sku-1", "no one", "sku-1"], "count": 4}
    slate = (await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": ask})).body
    assert "no_anchors" not in slate["notes"]
    assert len(slate["items"]) == 4
    assert "sku-1" not in {item["item_id"] for item in slate["items"]}
    unknown = {"context": context, "items": ["nobody"] * 200, "count": 4}
    slate = (await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": unknown})).body
    assert (len(slate["items"]), slate["notes"]) == (4, ["no_anchors"])


async def test_the_largest_filters_are_answered(here: Process) -> None:
    filters = {name: [f"{name} {n} " + "x" * 150 for n in range(20)] for name in ("category", "brand", "colour", "tag")}
    slate = (await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": {"filters": filters}})).body
    assert slate["items"] == []
    wide = {"price_from": 0, "price_to": 1e308}
    answer = await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": {"filters": wide, "count": 3}})
    assert (answer.status, len(answer.body["items"])) == (200, 3)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_bound_that_is_no_number_is_refused(here: Process, number: str) -> None:
    raw = b'{"session_id": "s1", "recommend": {"filters": {"price_from": %b}}}' % number.encode()
    answer = await call("POST", RECOMMENDATIONS, raw=raw)
    assert answer.status in {400, 422}
    answer = await call("GET", RECOMMENDATIONS, query=f"session_id=s1&price_from={number}")
    assert (answer.status, answer.body["field"]) == (422, "price_from")


async def test_an_item_that_the_release_lacks_is_said(here: Process) -> None:
    slate = (await call("GET", RECOMMENDATIONS, query="session_id=s1&context=similar&item_id=nobody")).body
    assert slate["notes"] == ["no_anchors"]
    assert slate["items"]


@pytest.mark.parametrize(
    ("ask", "field", "words"),
    [
        ({"context": "product"}, "recommend.context", "none of home, similar, complementary, cart, search"),
        ({"item_id": "sku-1"}, "recommend.item_id", "goes with the contexts cart, complementary, similar"),
        ({"items": ["sku-1"]}, "recommend.items", "and search"),
        ({"query": "red"}, "recommend.query", "goes with the context search"),
        ({"context": "search"}, "recommend.query", "either a query or the items"),
        ({"context": "search", "query": "x" * 300}, "recommend.query", "300 characters, more than 256"),
        ({"context": "search", "query": "x" * 10_000}, "recommend.query", "10000 characters, more than 256"),
        ({"context": "cart", "items": ["a"] * 300}, "recommend.items", "300 entries, more than 200"),
        ({"context": "similar", "items": [f"sku-{n}" for n in range(1_000)]}, "recommend.items", "1000 entries, more than 200"),
        ({"diversity": 1.5}, "recommend.diversity", "1.5 is outside 0 to 1"),
        ({"filters": {"price_from": -1}}, "recommend.filters.price_from", "-1.0 is not a price"),
        ({"filters": {"price_from": 5, "price_to": 1}}, "recommend.filters.price_from", "5.0 is above price_to, 1.0"),
        ({"filters": {"colour": [""]}}, "recommend.filters.colour", "1 to 200 characters"),
        ({"filters": {"category": ["c"] * 21}}, "recommend.filters.category", "21 values, more than 20"),
        ({"filters": {"price_tier": ["dear"]}}, "recommend.filters.price_tier", "none of low, middle, upper, top"),
        ({"filters": {"size": ["l"]}}, "recommend", "unknown field `size`"),
        ({"filters": {"colour": "red"}}, "recommend", "Expected `array`"),
    ],
)
async def test_an_ask_out_of_bounds_is_refused_by_its_field(
    here: Process, ask: dict[str, object], field: str, words: str
) -> None:
    answer = await call("POST", RECOMMENDATIONS, {"session_id": "s1", "recommend": ask})
    assert (answer.status, answer.body["field"]) == (422, field)
    assert words in answer.body["detail"]


@pytest.mark.parametrize("parameter", ["diversity=much", "diversity=nan", "price_to=inf", "size=l", "count=x"])
async def test_a_parameter_that_cannot_be_read_is_named(here: Process, parameter: str) -> None:
    answer = await call("GET", RECOMMENDATIONS, query=f"session_id=s1&{parameter}")
    assert (answer.status, answer.body["field"]) == (422, parameter.partition("=")[0])
