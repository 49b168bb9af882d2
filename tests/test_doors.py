"""The live doors: pages of other origins, requests sent again, packed bodies, slates without a session, full sessions."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
import redis

from recommendations.engine import Engine
from recommendations.serving import access, idempotency, live, memory, process, shops, store
from recommendations.serving.activity import Record, decode_record, log_key
from recommendations.serving.process import Process
from tests.live_shops import KEY, SHOP, call, put_key, start_process, view
from tests.worlds import make_world, train_world

EVENTS, RECOMMENDATIONS, PROFILE = "/api/v1/events", "/api/v1/recommendations", "/api/v1/sessions/s1/profile"
OURS, LISTED, FOREIGN = "http://testserver:8000", "https://shop.example", "https://evil.example"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=120))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    redis_client.hset(shops.SHOPS, str(SHOP), json.dumps({"slug": "one", "origins": [LISTED]}))
    redis_client.hset(shops.SHOPS, "2", json.dumps({"slug": "two", "origins": ["https://two.example"]}))
    yield await start_process(redis_url, engine)
    await process.stop()


def records(client: redis.Redis) -> list[Record]:
    return [decode_record(fields[b"r"]) for part in range(16) for _, fields in client.xrange(log_key(part))]


# Pages of other origins


@pytest.mark.parametrize("origin", [OURS, LISTED])
async def test_pages_on_the_list_and_ours_may_call_with_a_token(here: Process, origin: str) -> None:
    token = access.issue_session_token(SHOP, "s1")
    answer = await call("GET", PROFILE, key=token, headers={"origin": origin})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers, "no cookie is ever needed"


STRANGE = [
    "null",
    "x",
    "https://shop.example.evil.example",
    "https://shop.example:8443",
    "http://testserver:9000",
    "http://testserver",
]


@pytest.mark.parametrize("origin", [FOREIGN, *STRANGE])
async def test_other_pages_may_not_even_with_a_token(here: Process, origin: str) -> None:
    token = access.issue_session_token(SHOP, "s1")
    answer = await call("GET", PROFILE, key=token, headers={"origin": origin})
    assert (answer.status, answer.body["code"]) == (403, "foreign_origin")
    assert "access-control-allow-origin" not in answer.headers


async def test_another_shops_page_may_not(here: Process) -> None:
    answer = await call("GET", PROFILE, key=access.issue_session_token(SHOP, "s1"), headers={"origin": "https://two.example"})
    assert (answer.status, answer.body["code"]) == (403, "foreign_origin")


async def test_a_key_in_a_page_is_refused_in_words(here: Process) -> None:
    answer = await call("GET", PROFILE, headers={"origin": LISTED})
    assert (answer.status, answer.body["code"]) == (403, "key_in_page")
    assert "servers" in answer.body["detail"]
    assert answer.headers["access-control-allow-origin"] == LISTED, "so that the page's author can read why"
    assert (await call("GET", PROFILE, headers={"origin": OURS})).status == 200, "our own pages try calls out"
    assert (await call("GET", PROFILE)).status == 200, "a server sends no origin"


async def test_browsers_are_answered_beforehand(here: Process) -> None:
    sent: list[dict[str, object]] = []
    scope = {"type": "http", "method": "OPTIONS", "path": EVENTS, "query_string": b"", "headers": [(b"origin", LISTED.encode())]}

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await live.app(scope, receive, send)  # type: ignore[arg-type]
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}  # type: ignore[attr-defined]
    assert sent[0]["status"] == 204
    assert headers["access-control-allow-origin"] == LISTED
    assert headers["access-control-allow-methods"] == "POST"
    assert {"authorization", "content-type", "idempotency-key"} <= set(headers["access-control-allow-headers"].split(", "))
    sent.clear()
    await live.app({**scope, "headers": [(b"origin", FOREIGN.encode())]}, receive, send)  # type: ignore[arg-type]
    assert not any(name.startswith(b"access-control") for name, _ in sent[0]["headers"])  # type: ignore[attr-defined]


async def test_a_page_that_is_left_sends_its_token_in_the_body(here: Process, redis_client: redis.Redis) -> None:
    """`navigator.sendBeacon` can't set a header."""
    token = access.issue_session_token(SHOP, "s1")
    body = {"session_id": "s1", "events": [view("e1")]}
    answer = await call("POST", EVENTS, body | {"token": token}, key="", headers={"content-type": "text/plain", "origin": LISTED})
    assert answer.body["results"] == [{"event_id": "e1", "status": "accepted"}]
    assert (await call("POST", EVENTS, body | {"token": KEY}, key="")).status == 401, "a key doesn't belong there"
    assert (await call("POST", EVENTS, raw=b"{", key="")).status == 401


async def test_a_saved_list_acts_upon_the_message(here: Process, redis_client: redis.Redis) -> None:
    redis_client.hset(shops.SHOPS, str(SHOP), json.dumps({"slug": "one", "origins": [FOREIGN]}))
    redis_client.publish(shops.CHANNEL, str(SHOP))
    for _ in range(100):
        if here.shops.origin_allowed(SHOP, FOREIGN, "testserver:8000"):
            break
        await asyncio.sleep(0.02)
    assert here.shops.origin_allowed(SHOP, FOREIGN, "testserver:8000")
    assert not here.shops.origin_allowed(SHOP, LISTED, "testserver:8000")


async def test_shops_that_could_not_be_read_are_read_again(here: Process, redis_client: redis.Redis) -> None:
    """Nobody tells a second time: a list of origins that was shortened would stay as long as the process lives."""
    redis_client.hset(shops.SHOPS, str(SHOP), "{")
    redis_client.publish(shops.CHANNEL, "1")
    await asyncio.sleep(0.2)
    assert here.shops.origin_allowed(SHOP, LISTED, "testserver:8000")
    redis_client.hset(shops.SHOPS, str(SHOP), json.dumps({"slug": "one", "origins": []}))
    for _ in range(60):
        if not here.shops.origin_allowed(SHOP, LISTED, "testserver:8000"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the shops were not read again")


# Requests sent again


async def test_the_same_request_under_its_key_is_answered_as_before(here: Process, redis_client: redis.Redis) -> None:
    body = {"session_id": "s1", "events": [view("e1")], "recommend": {"count": 3}}
    first = await call("POST", EVENTS, body, headers={"idempotency-key": "k1"})
    again = await call("POST", EVENTS, body, headers={"idempotency-key": "k1"})
    assert again.body == first.body, "the slate too, which another request would draw anew"
    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert "idempotent-replayed" not in first.headers
    assert len(records(redis_client)) == 1


async def test_another_request_under_the_same_key_is_refused(here: Process) -> None:
    await call("POST", EVENTS, {"session_id": "s1", "events": [view("e1")]}, headers={"idempotency-key": "k1"})
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e2")]}, headers={"idempotency-key": "k1"})
    assert (answer.status, answer.body["code"]) == (422, "idempotency_mismatch")
    other = await call("POST", RECOMMENDATIONS, {"session_id": "s1"}, headers={"idempotency-key": "k1"})
    assert other.body["code"] == "idempotency_mismatch"


async def test_while_one_is_under_way_another_waits_its_turn(here: Process, redis_client: redis.Redis) -> None:
    body = {"session_id": "s1", "events": [view("e1")]}
    asked = (b"POST", EVENTS.encode(), b"", json.dumps(body).encode())
    held = idempotency.ticket(SHOP, idempotency.whose(("ingest", "read")), "k1", *asked)
    assert await idempotency.begin(here.client, held) is None
    answer = await call("POST", EVENTS, body, headers={"idempotency-key": "k1"})
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (409, "idempotency_in_progress", "1")
    await idempotency.let_go(here.client, held)
    assert (await call("POST", EVENTS, body, headers={"idempotency-key": "k1"})).status == 200


async def test_what_failed_may_be_sent_again_under_its_key(here: Process) -> None:
    assert (await call("POST", EVENTS, {"session_id": "s1"}, headers={"idempotency-key": "k1"})).status == 422
    assert (await call("POST", EVENTS, {"session_id": "s1", "events": []}, headers={"idempotency-key": "k1"})).status == 200


async def test_one_sessions_key_is_not_anothers(here: Process) -> None:
    tokens = {name: access.issue_session_token(SHOP, name) for name in ("a", "b")}
    bodies = {name: {"session_id": name, "events": [view("e1")]} for name in tokens}
    for name, token in tokens.items():
        answer = await call("POST", EVENTS, bodies[name], key=token, headers={"idempotency-key": "k1"})
        assert answer.status == 200


async def test_what_a_test_was_answered_is_not_what_is_answered_for_real(here: Process, redis_client: redis.Redis) -> None:
    """Else the events of a shop that went live with the requests it was tried with would be lost."""
    put_key(redis_client, "pct_trial", test=True)
    put_key(redis_client, "pc_reader", scopes=("read",))
    body = {"session_id": "s1", "events": []}
    again = {"idempotency-key": "k1"}
    assert (await call("POST", EVENTS, body | {"session_id": "t"}, key="pct_trial", headers=again)).status == 200
    real = await call("POST", EVENTS, body | {"session_id": "t", "events": []}, headers=again)
    assert "idempotent-replayed" not in real.headers
    assert (await call("POST", EVENTS, body, headers={"idempotency-key": "k2"})).status == 200
    other = await call("POST", EVENTS, body, key="pc_reader", headers={"idempotency-key": "k2"})
    assert (other.status, other.body["code"]) == (403, "missing_scope")


async def test_an_erasure_forgets_the_answers_that_name_somebody(here: Process, redis_client: redis.Redis) -> None:
    for session in ('s"1', "s2"):
        body = {"session_id": session, "recommend": {"count": 2}}
        assert (await call("POST", RECOMMENDATIONS, body, headers={"idempotency-key": session})).status == 200
    assert len(redis_client.keys("idempotent:*:*")) == 2
    assert idempotency.forget(redis_client, SHOP, {'s"1', "anna"}) == 1
    again = await call(
        "POST", RECOMMENDATIONS, {"session_id": "s2", "recommend": {"count": 2}}, headers={"idempotency-key": "s2"}
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert len(redis_client.keys("idempotent:*:*")) == redis_client.zcard(f"idempotent:{{{SHOP}}}") == 1


@pytest.mark.parametrize("key", ["x" * 129, "\x01"])
async def test_keys_that_can_not_be_are_named(here: Process, key: str) -> None:
    answer = await call("POST", EVENTS, {"session_id": "s1", "events": []}, headers={"idempotency-key": key})
    assert (answer.status, answer.body["field"]) == (400, "Idempotency-Key")


async def test_the_latest_answers_of_a_shop_are_kept(
    here: Process, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "KEPT", 5)
    for n in range(9):
        body = {"session_id": "s1", "events": [view(f"e{n}")]}
        await call("POST", EVENTS, body, headers={"idempotency-key": f"k{n}"})
    assert len(redis_client.keys("idempotent:*:*")) == 5
    assert redis_client.zcard(f"idempotent:{{{SHOP}}}") == 5


# Packed bodies


async def test_a_packed_body_is_unpacked(here: Process) -> None:
    raw = gzip.compress(json.dumps({"session_id": "s1", "events": [view("e1")]}).encode())
    answer = await call("POST", EVENTS, raw=raw, headers={"content-encoding": "gzip"})
    assert answer.body["results"][0]["status"] == "accepted"


@pytest.mark.parametrize(
    ("raw", "encoding", "status", "code"),
    [
        (gzip.compress(b" " * 50_000_000, mtime=0), "gzip", 413, "body_too_large"),
        (b"{}", "gzip", 400, "malformed_gzip"),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", 400, "malformed_gzip"),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", 400, "malformed_gzip"),
        (b"{}", "br", 415, "unsupported_encoding"),
    ],
    ids=["too large", "not packed", "cut off", "more behind", "another way"],
)
async def test_what_can_not_be_unpacked_is_refused(here: Process, raw: bytes, encoding: str, status: int, code: str) -> None:
    started = time.thread_time()
    answer = await call("POST", EVENTS, raw=raw, headers={"content-encoding": encoding})
    assert (answer.status, answer.body["code"]) == (status, code)
    assert time.thread_time() - started < 0.5, "50 MB were not unpacked"


# Slates without a session


async def test_a_slate_beside_an_item_needs_no_session(here: Process, redis_client: redis.Redis) -> None:
    answer = await call("GET", RECOMMENDATIONS, query="context=similar&item_id=sku-3&count=5")
    assert answer.status == 200
    assert len(answer.body["items"]) == 5
    assert (answer.body["session_id"], answer.body["notes"]) == ("", ["no_session"])
    assert "sku-3" not in {item["item_id"] for item in answer.body["items"]}
    (record,) = records(redis_client)
    assert record.alone
    assert record.slate is not None
    assert record.slate.recommendation_id == answer.body["recommendation_id"]
    assert not redis_client.keys("*:state:*"), "nothing is remembered but the slate"
    other = await call("GET", RECOMMENDATIONS, query="context=similar&item_id=sku-3&count=5")
    assert other.body["recommendation_id"] != answer.body["recommendation_id"]


async def test_a_shoppers_slate_names_nobody_in_the_log(here: Process, redis_client: redis.Redis) -> None:
    answer = await call("POST", RECOMMENDATIONS, {"shopper_id": "anna", "recommend": {"count": 4}})
    assert len(answer.body["items"]) == 4
    (record,) = records(redis_client)
    assert "anna" not in repr(record)


async def test_a_shoppers_slate_is_as_their_next_visit_would_open(here: Process, redis_client: redis.Redis) -> None:
    """It is made from the memory that a visit would begin with: what they wanted before is there to be reminded of."""
    own = tuple(here.engines.get(SHOP).catalogue.ids_of(["sku-11", "sku-12"]))  # type: ignore[union-attr]
    held = memory.Memory(sessions=2, own=own, at=time.time())
    redis_client.set(memory.key(SHOP, "anna", 16), msgspec.msgpack.encode(held))
    for query in ("shopper_id=anna", "shopper_id=anna&session_id=s1", "session_id=s2", "shopper_id=other"):
        await call("GET", RECOMMENDATIONS, query=query)
    asked = {(r.alone, tuple(r.slate.asked.get("own", ()))) for r in records(redis_client) if r.slate is not None}
    assert asked == {(True, own), (False, own), (False, ()), (True, ())}


async def test_without_anything_to_go_by_the_session_is_asked_for(here: Process) -> None:
    answer = await call("GET", RECOMMENDATIONS, query="count=5")
    assert (answer.status, answer.body["field"]) == (422, "session_id")


async def test_a_tokens_slate_is_its_own_sessions(here: Process) -> None:
    token = access.issue_session_token(SHOP, "s1")
    answer = await call("GET", RECOMMENDATIONS, query="count=3", key=token)
    assert answer.body["session_id"] == "s1"


# Keys


async def test_a_test_keys_session_is_marked_and_stays_apart(here: Process, redis_client: redis.Redis) -> None:
    put_key(redis_client, "pct_try", test=True)
    body = {"session_id": "s1", "events": [view("e1")], "recommend": {"count": 3}}
    answer = await call("POST", EVENTS, body, key="pct_try")
    assert len(answer.body["slate"]["items"]) == 3
    assert [r.origin for r in records(redis_client)] == ["test"]
    live_answer = await call("POST", EVENTS, {"session_id": "s1", "events": [view("e2")]})
    assert (live_answer.status, live_answer.body["code"]) == (409, "mixed_session")
    await call("POST", EVENTS, {"session_id": "s2", "events": [view("e1")]})
    assert (await call("POST", EVENTS, {"session_id": "s2", "events": [view("e2")]}, key="pct_try")).status == 409
    token = (await call("POST", "/api/v1/session-tokens", {"session_id": "s1"}, key="pct_try")).body["token"]
    assert (await call("POST", EVENTS, {"session_id": "s1", "events": [view("e3")]}, key=token)).status == 200
    alone = await call("GET", RECOMMENDATIONS, query="shopper_id=x", key="pct_try")
    assert alone.status == 200
    assert sorted(r.origin for r in records(redis_client)) == ["live", "test", "test", "test"]


async def test_a_key_ends_when_it_is_to(here: Process, redis_client: redis.Redis) -> None:
    put_key(redis_client, "pc_ends", expires=time.time() + 0.6)
    assert (await call("GET", PROFILE, key="pc_ends")).status == 200
    await asyncio.sleep(0.7)
    answer = await call("GET", PROFILE, key="pc_ends")  # still remembered by the process
    assert (answer.status, answer.body["code"]) == (401, "invalid_key")
    assert "ended" in answer.body["detail"]


# Full sessions, and what is said of shops


async def test_a_session_counts_so_many_events_and_no_more(
    engine: Engine, redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_COMMIT", store._COMMIT.replace(str(store.MAX_EVENTS), "10"))
    put_key(redis_client, KEY)
    await start_process(redis_url, engine)
    try:
        many = [view(f"e{n}") for n in range(10)]
        assert (await call("POST", EVENTS, {"session_id": "s1", "events": many})).status == 200
        full = await call("POST", EVENTS, {"session_id": "s1", "events": [view("more")]})
        assert (full.status, full.body["code"]) == (422, "session_full")
        assert (await call("GET", RECOMMENDATIONS, query="session_id=s1")).status == 200
        assert (await call("POST", EVENTS, {"session_id": "s1", "events": many[:2]})).body["results"][0]["status"] == "duplicate"
    finally:
        await process.stop()


async def test_a_shop_without_a_release_is_named_by_its_slug(here: Process, redis_client: redis.Redis) -> None:
    put_key(redis_client, "pc_two", shop=2)
    answer = await call("GET", RECOMMENDATIONS, query="session_id=s1", key="pc_two")
    assert (answer.status, answer.body["code"]) == (503, "no_release")
    assert "Shop two has" in answer.body["detail"]
