"""The websocket: opened by a token, pushed to when its session moves, and by no other session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis

from recommendations.engine import Engine
from recommendations.serving import access, process
from recommendations.serving.consumers import MAX_RAILS
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


def socket(session: str = "s1", *, token: str | None = None, origin: bytes | None = None, path: str = "/ws/v1/session") -> Socket:
    token = access.issue_session_token(SHOP, session) if token is None else token
    headers = [] if origin is None else [(b"origin", origin)]
    return Socket(path, f"token={token}", headers)


async def opened(session: str = "s1") -> Socket:
    """A connected socket whose hello, profile and first slate were read."""
    ws = socket(session)
    assert await ws.connect()
    first = [await ws.receive() for _ in range(3)]
    assert [m["type"] for m in first] == ["hello", "profile", "slate"]
    return ws


async def test_a_socket_begins_with_profile_and_slate(here: Process) -> None:
    ws = socket()
    assert await ws.connect()
    hello, profile, slate = [await ws.receive() for _ in range(3)]
    assert hello == {"type": "hello", "session_id": "s1"}
    assert profile["profile"]["events"] == 0
    assert len(slate["slate"]["items"]) == 12
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
    body = [{"session_id": "s1", "events": [view(f"e{n}", f"sku-{n + 1}")]} for n in range(20)]
    await asyncio.gather(*(call("POST", "/api/v1/events", b) for b in body))
    pushes = []
    while not pushes or pushes[-1]["profile"]["events"] < 20:
        message = await ws.receive()
        if message["type"] == "profile":
            pushes.append(message)
    assert len(pushes) < 20
    await ws.close()


async def test_what_was_asked_for_is_pushed_from_then_on(here: Process) -> None:
    ws = await opened()
    await ws.send({"type": "recommend", "recommend": {"count": 3, "context": "cart"}})
    assert len([await ws.receive() for _ in range(2)][1]["slate"]["items"]) == 3
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e1")]})
    slate = [await ws.receive() for _ in range(2)][1]["slate"]
    assert (len(slate["items"]), slate["context"]) == (3, "cart")
    await ws.close()


async def test_a_page_has_several_rails(here: Process) -> None:
    ws = await opened()
    await ws.send({"type": "recommend", "rail": "similar", "recommend": {"context": "similar", "item_id": "sku-1", "count": 2}})
    assert (await ws.receive())["type"] == "profile"
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


async def test_a_page_without_rails_still_has_its_profile(here: Process) -> None:
    ws = await opened()
    await ws.send({"type": "recommend", "recommend": None})
    await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view("e1")]})
    pushed = await ws.receive()
    assert (pushed["type"], pushed["profile"]["events"]) == ("profile", 1)
    assert await ws.is_silent(0.3)
    await ws.close()


async def test_a_page_has_only_so_many_rails(here: Process) -> None:
    ws = await opened()
    for n in range(MAX_RAILS - 1):
        await ws.send({"type": "recommend", "rail": f"rail-{n}", "recommend": {"count": 2}})
        assert [(await ws.receive())["type"] for _ in range(2)] == ["profile", "slate"]
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


@pytest.mark.parametrize("kind", ["none", "forged", "expired", "origin", "path"])
async def test_a_socket_is_refused(here: Process, kind: str) -> None:
    ws = {
        "none": lambda: socket(token=""),
        "forged": lambda: socket(token="abc:def"),
        "expired": lambda: socket(token=access.issue_session_token(SHOP, "s1", ttl_s=1, now=time.time() - 5)),
        "origin": lambda: socket(origin=b"https://elsewhere.example"),
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
