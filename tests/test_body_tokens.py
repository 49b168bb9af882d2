"""A page that can send no headers brings its session token in the body."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis

from recommendations.engine import Engine
from recommendations.serving import access, process
from recommendations.serving.process import Process
from tests.live_shops import KEY, SHOP, call, put_key, start_process, view
from tests.worlds import make_world, train_world

EVENTS, RECOMMENDATIONS = "/api/v1/events", "/api/v1/recommendations"
PLAIN = {"content-type": "text/plain;charset=UTF-8"}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


async def test_a_beacons_token_opens_its_session_and_no_other(here: Process) -> None:
    token = access.issue_session_token(SHOP, "s1")
    body = {"token": token, "session_id": "s1", "events": [view("e1")]}
    answer = await call("POST", EVENTS, body, key="", headers=PLAIN)
    assert (answer.status, answer.body["results"]) == (200, [{"event_id": "e1", "status": "accepted"}])
    slate = await call(
        "POST", RECOMMENDATIONS, {"token": token, "session_id": "s1", "recommend": {"count": 2}}, key="", headers=PLAIN
    )
    assert (slate.status, len(slate.body["items"])) == (200, 2)
    foreign = await call("POST", EVENTS, body | {"session_id": "s2"}, key="", headers=PLAIN)
    assert (foreign.status, foreign.body["code"]) == (403, "foreign_session")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "missing_credentials"),
        (7, "missing_credentials"),
        (KEY, "missing_credentials"),
        ("a:b", "invalid_token"),
        (access.issue_session_token(SHOP, "s1", ttl_s=1, now=time.time() - 9), "expired_token"),
    ],
    ids=["none", "no text", "an API key", "forged", "expired"],
)
async def test_nothing_else_in_a_body_opens_anything(here: Process, token: object, code: str) -> None:
    answer = await call("POST", EVENTS, {"token": token, "session_id": "s1", "events": [view("e1")]}, key="", headers=PLAIN)
    assert (answer.status, answer.body["code"]) == (401, code)


@pytest.mark.parametrize("path", ["/api/v1/session-tokens", "/api/v1/events/ga4", "/api/v1/events/segment"])
async def test_other_endpoints_take_no_token_in_the_body(here: Process, path: str) -> None:
    answer = await call("POST", path, {"token": access.issue_session_token(SHOP, "s1"), "events": []}, key="", headers=PLAIN)
    assert (answer.status, answer.body["code"]) == (401, "missing_credentials")


async def test_a_header_wins_over_the_body(here: Process) -> None:
    body = {"token": access.issue_session_token(SHOP, "s1"), "session_id": "s1", "events": [view("e9")]}
    answer = await call("POST", EVENTS, body, key="unknown")
    assert (answer.status, answer.body["code"]) == (401, "invalid_key")
