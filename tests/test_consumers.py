"""The websocket: opened by a token, pushed to when its session moves, and by no other session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
import redis
from pytest_django import Settings

from recommendations.api import asyncapi
from recommendations.engine import Engine
from recommendations.serving import access, process, sockets
from recommendations.serving.activity import decode_record, log_key
from recommendations.serving.consumers import MAX_RAILS, PAUSE_S
from recommendations.serving.process import Process
from tests.live_shops import KEY, SHOP, Socket, call, put_key, start_process, view
from tests.worlds import make_world, train_world


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


def socket(
    session: str = "s1",
    *,
    token: str | None = None,
    origin: bytes | None = None,
    path: str = "/ws/v1/session",
    version: int | None = None,
) -> Socket:
    token = access.issue_session_token(SHOP, session) if token is None else token
    headers = [] if origin is None else [(b"origin", origin), (b"host", b"localhost:8000")]
    return Socket(path, f"token={token}" + ("" if version is None else f"&version={version}"), headers)


def slates(client: redis.Redis) -> list[str]:
    """Recommendations that were committed, of whatever session."""
    records = [decode_record(fields[b"r"]) for part in range(16) for _, fields in client.xrange(log_key(part))]
    return [record.slate.recommendation_id for record in records if record.slate is not None]


async def opened(session: str = "s1", *, rails: bool = True) -> Socket:
    """A connected socket whose hello and profile were read, and the first slate of a rail without a name."""
    ws = socket(session)
    assert await ws.connect()
    assert [(await ws.receive())["type"] for _ in range(2)] == ["hello", "profile"]
    if rails:
        await ws.send({"type": "recommend"})
        assert (await ws.receive())["type"] == "slate"
    return ws


async def test_a_socket_begins_with_hello_and_profile_and_slates_are_asked_for(here: Process, redis_client: redis.Redis) -> None:
    ws = socket()
    assert await ws.connect()
    hello, profile = [await ws.receive() for _ in range(2)]
    assert hello == {"type": "hello", "session_id": "s1", "version": profile["version"], "news": True}
    assert profile["profile"]["events"] == 0
    assert await ws.is_silent(0.3)
    assert not slates(redis_client), "nobody asked for a slate, so none was made"
    await ws.send({"type": "recommend"})
    slate = await ws.receive()
    assert (slate["type"], slate["rail"], len(slate["slate"]["items"])) == ("slate", "", 12)
    assert slate["version"] == slate["slate"]["version"] > profile["version"]
    await ws.close()


async def test_an_event_over_rest_is_pushed_to_its_session_only(here: Process) -> None:
    mine, other = await opened("s1"), await opened("s2")
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e1", "sku-7")]})
    profile, slate = [await mine.receive() for _ in range(2)]
    assert (profile["type"], profile["profile"]["events"]) == ("profile", 1)
    assert slate["type"] == "slate"
    assert slate["slate"]["session_id"] == "s1"
    assert await other.is_silent(0.3)
    await mine.close()
    await other.close()


async def test_an_event_over_the_socket_is_answered_and_pushed(here: Process) -> None:
    ws = await opened()
    await ws.send({"type": "event", "event": view("e1")})
    await ws.send({"type": "event", "event": {"name": "fly"}})
    received = [await ws.receive() for _ in range(4)]
    results = [m["result"] for m in received if m["type"] == "result"]
    assert [r["status"] for r in results] == ["accepted", "rejected"]
    assert sorted(m["type"] for m in received) == ["profile", "result", "result", "slate"]
    await ws.close()


async def test_a_burst_is_pushed_together(here: Process) -> None:
    ws = await opened()
    started = time.monotonic()
    for n in range(100):  # a hundred events a second of one session
        await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view(f"e{n}", f"sku-{n % 70 + 1}")]})
        await asyncio.sleep(max(0.0, started + (n + 1) / 100 - time.monotonic()))
    pushes: list[dict[str, Any]] = []
    while not pushes or pushes[-1]["profile"]["events"] < 100:
        message = await ws.receive()
        if message["type"] == "profile":
            pushes.append(message)
    assert len(pushes) <= 2 + (time.monotonic() - started) / PAUSE_S
    while (message := await ws.receive())["type"] != "slate":
        assert message["type"] == "shift", "what may come between the two"
    assert message["version"] >= pushes[-1]["version"], "the last slate is of after the last event"
    await ws.close()


async def test_what_is_sent_fits_the_document(here: Process) -> None:
    ws = socket()
    assert await ws.connect()
    for said in ({"type": "recommend"}, {"type": "event", "event": view("e1")}, {"type": "dance"}):
        await ws.send(said)
    told = {}
    while len(told) < 5 or told["profile"]["profile"]["events"] == 0:
        message = await ws.receive()
        told[message["type"]] = message
    for kind in ("hello", "profile", "slate", "result", "error"):
        schema = asyncapi.with_references(asyncapi.document()["components"]["messages"][kind]["payload"])
        jsonschema.validate(told[kind], schema)
    await ws.close()


async def test_an_event_over_the_socket_is_told_once(here: Process) -> None:
    ws = await opened()
    await ws.send({"type": "event", "event": view("e1")})
    assert sorted([(await ws.receive())["type"] for _ in range(3)]) == ["profile", "result", "slate"]
    assert await ws.is_silent(0.4)
    await ws.close()


async def test_who_comes_back_gets_what_was_missed(here: Process) -> None:
    ws = await opened()
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e1")]})
    seen = [await ws.receive() for _ in range(2)][1]["version"]
    await ws.close()
    again = socket(version=seen)
    assert await again.connect()
    assert await again.receive() == {"type": "hello", "session_id": "s1", "version": seen, "news": False}
    await again.send({"type": "recommend", "version": seen})
    assert await again.is_silent(0.3), "the page has all of it"
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e2", "sku-3")]})
    assert [(await again.receive())["type"] for _ in range(2)] == ["profile", "slate"]
    await again.close()
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e3", "sku-9")]})
    late = socket(version=seen)
    assert await late.connect()
    hello, profile = await late.receive(), await late.receive()
    assert (hello["news"], profile["profile"]["events"]) == (True, 3)
    await late.send({"type": "resume", "version": profile["version"]})
    assert (await late.receive())["news"] is False
    await late.send({"type": "resume", "version": seen})
    assert [(await late.receive())["type"] for _ in range(2)] == ["hello", "profile"]
    await late.send({"type": "resume", "version": "soon"})
    assert (await late.receive())["field"] == "version"
    await late.close()


async def test_a_shift_is_told_when_it_comes(here: Process) -> None:
    ws = await opened("s1", rails=False)
    told, profiles = [], []
    for n in range(60):
        item = f"sku-{1 + n % 6}" if n < 30 else f"sku-{66 + n % 5}"
        await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view(f"e{n}", item)]})
        await asyncio.sleep(PAUSE_S + 0.02)
        while ws.waiting():
            message = await ws.receive()
            (told if message["type"] == "shift" else profiles).append(message)
        if told:
            break
    shifts = [m["profile"]["shift"] for m in profiles if m["profile"]["shift"] is not None]
    assert told, "thirty views of one kind and then of another"
    assert told[0]["shift"] == shifts[0]
    assert [m["shift"] for m in told] == [s for i, s in enumerate(shifts) if i == 0 or s != shifts[i - 1]]
    await ws.close()


async def test_a_socket_that_speaks_too_much_is_closed(here: Process) -> None:
    ws = await opened()
    for _ in range(int(sockets.MESSAGES_AT_ONCE) + 20):
        await ws.send({"type": "pong"})
    assert await ws.ended() == 4429
    await ws.close()


async def test_a_session_has_only_so_many_sockets(here: Process) -> None:
    held = [await opened(rails=False) for _ in range(sockets.SOCKETS_EACH)]
    more, other = socket(), socket("s2")
    assert await more.connect(), "a page sees the code only of a socket that was opened"
    assert await more.ended() == 4429
    assert await other.connect()
    for ws in (*held, other):
        await ws.close()
    assert len(here.opened) == 0


async def test_a_process_has_only_so_many_sockets(here: Process, settings: Settings) -> None:
    settings.SOCKETS_MAX = 1
    ws, more = await opened(), socket("s2")
    assert await more.connect()
    assert await more.ended() == 4503
    await ws.close()


async def test_a_silent_socket_is_asked_and_then_closed(here: Process, settings: Settings) -> None:
    settings.SOCKET_PING_S = 0.2
    alive, dead = await opened("s1", rails=False), await opened("s2", rails=False)
    for _ in range(5):
        assert await alive.receive() == {"type": "ping"}
        await alive.send({"type": "pong"})
    assert await dead.ended() == 4408
    await alive.close()
    await dead.close()


async def test_the_server_says_that_it_stops(here: Process) -> None:
    ws = await opened()
    await here.opened.close()
    assert await ws.ended() == 1012
    await ws.close()


async def test_what_was_asked_for_is_pushed_from_then_on(here: Process) -> None:
    ws = await opened()
    await ws.send({"type": "recommend", "recommend": {"count": 3, "context": "cart"}})
    assert len((await ws.receive())["slate"]["items"]) == 3
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e1")]})
    slate = [await ws.receive() for _ in range(2)][1]["slate"]
    assert (len(slate["items"]), slate["context"]) == (3, "cart")
    await ws.close()


async def test_a_page_has_several_rails(here: Process) -> None:
    ws = await opened()
    await ws.send({"type": "recommend", "rail": "similar", "recommend": {"context": "similar", "item_id": "sku-1", "count": 2}})
    first = await ws.receive()
    assert (first["type"], first["rail"], first["slate"]["context"]) == ("slate", "similar", "similar")
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e1")]})
    pushed = [await ws.receive() for _ in range(3)]
    assert [(m["type"], m.get("rail")) for m in pushed] == [("profile", None), ("slate", ""), ("slate", "similar")]
    await ws.send({"type": "recommend", "rail": "similar", "recommend": None})
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e2")]})
    assert [(await ws.receive()).get("rail") for _ in range(2)] == [None, ""]
    assert await ws.is_silent(0.3)
    await ws.close()


async def test_a_page_without_rails_still_has_its_profile_and_costs_no_slate(here: Process, redis_client: redis.Redis) -> None:
    ws = await opened()
    made = slates(redis_client)
    await ws.send({"type": "recommend", "recommend": None})
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e1")]})
    pushed = await ws.receive()
    assert (pushed["type"], pushed["profile"]["events"]) == ("profile", 1)
    assert await ws.is_silent(0.3)
    assert slates(redis_client) == made
    await ws.close()


async def test_a_page_has_only_so_many_rails(here: Process) -> None:
    ws = await opened()
    for n in range(MAX_RAILS - 1):
        await ws.send({"type": "recommend", "rail": f"rail-{n}", "recommend": {"count": 2}})
        assert (await ws.receive())["type"] == "slate"
    await ws.send({"type": "recommend", "rail": "one more", "recommend": {"count": 2}})
    message = await ws.receive()
    assert (message["type"], message["field"]) == ("error", "rail")
    await ws.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "malformed_json"),
        ("[]", "malformed_json"),
        ('{"type": "dance"}', "unknown_type"),
        ("{}", "unknown_type"),
        ('{"type": "recommend", "recommend": {"count": 999}}', "invalid_field"),
        ('{"type": "event", "context": 5}', "invalid_field"),
        (" " * 200_000, "body_too_large"),
    ],
)
async def test_what_cannot_be_understood_is_answered_with_its_code(here: Process, text: str, code: str) -> None:
    ws = await opened()
    await ws.send_text(text)
    message = await ws.receive()
    assert (message["type"], message["code"]) == ("error", code)
    await ws.send({"type": "event", "event": view("e1")})
    assert (await ws.receive())["type"] == "result", "the socket goes on"
    await ws.close()


async def test_an_event_cannot_name_another_session(here: Process) -> None:
    ws = await opened("s1")
    await ws.send({"type": "event", "session_id": "s2", "event": view("e1")})
    await ws.receive()
    assert (await here.store.load(SHOP, "s2")).state is None
    await ws.close()


@pytest.mark.parametrize("kind", ["none", "forged", "expired", "origin", "port", "path"])
async def test_a_socket_is_refused(here: Process, kind: str) -> None:
    ws = {
        "none": lambda: socket(token=""),
        "forged": lambda: socket(token="abc:def"),
        "expired": lambda: socket(token=access.issue_session_token(SHOP, "s1", ttl_s=1, now=time.time() - 5)),
        "origin": lambda: socket(origin=b"https://elsewhere.example"),
        "port": lambda: socket(origin=b"http://localhost:9000"),
        "path": lambda: socket(path="/ws/v2/other"),
    }[kind]()
    assert not await ws.connect()


async def test_a_socket_ends_with_its_token(here: Process) -> None:
    ws = socket(token=access.issue_session_token(SHOP, "s1", ttl_s=2))
    assert await ws.connect()
    assert await ws.ended() == 4401
    await ws.close()


async def test_a_page_of_our_own_host_is_let_in(here: Process) -> None:
    ws = socket(origin=b"http://localhost:8000")
    assert await ws.connect()
    await ws.close()


async def test_a_closed_socket_leaves_nothing_behind(here: Process) -> None:
    before = len(here.bus._listeners)
    ws = await opened()
    assert len(here.bus._listeners) == before + 1
    await ws.close()
    assert len(here.bus._listeners) == before
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("push ")]


async def test_sockets_hear_again_after_the_connection_for_messages_was_lost(here: Process, redis_client: redis.Redis) -> None:
    ws = await opened()
    for row in redis_client.client_list():
        if int(row["sub"]):
            redis_client.client_kill_filter(_id=row["id"])
    deadline = time.monotonic() + 10
    pushed = 0
    while not pushed and time.monotonic() < deadline:
        await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view(f"e{time.monotonic_ns()}")]})
        await asyncio.sleep(0.1)
        while ws.waiting():
            pushed += (await ws.receive())["type"] == "slate"
    assert pushed
    await ws.close()
