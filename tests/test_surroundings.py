"""What the world says of a visit reaches its session behind its back, and never costs it anything."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis
from pytest_django import Settings

from personas.models import Shop
from recommendations.engine import Engine
from recommendations.serving import access, process, surroundings
from recommendations.serving.activity import Record, decode_record, log_key
from recommendations.serving.process import Process
from recommendations.serving.store import encode_state
from recommendations.serving.surroundings import client_address
from recommendations.session import SessionState
from tests.live_shops import KEY, SHOP, Socket, call, put_key, start_process, view
from tests.test_returning import taught
from tests.weather_service import Service, weather_service
from tests.worlds import make_world, train_world

EVENTS = "/api/v1/events"
AMSTERDAM = "193.0.6.139"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return taught(train_world(make_world(sessions=150)))


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    with weather_service() as running:
        settings.WEATHER_URL = running.address
        yield running


@pytest_asyncio.fixture
async def here(
    engine: Engine, redis_client: redis.Redis, redis_url: str, service: Service, settings: Settings
) -> AsyncIterator[Process]:
    settings.TRUSTED_PROXIES = 1
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


async def visit(session: str, *, address: str = AMSTERDAM, **body: Any) -> Any:
    """A page's own request, through one proxy of ours."""
    token = access.issue_session_token(SHOP, session)
    sent = {"session_id": session, "events": [view(f"e{time.monotonic_ns()}")]} | body
    return await call("POST", EVENTS, sent, key=token, headers={"x-forwarded-for": address})


async def state_of(here: Process, session: str) -> SessionState:
    state = (await here.store.load(SHOP, session)).state
    assert state is not None
    return state


def records(client: redis.Redis) -> list[Record]:
    return [decode_record(fields[b"r"]) for part in range(16) for _, fields in client.xrange(log_key(part))]


async def test_country_region_and_weather_come_after_the_answer(
    here: Process, service: Service, redis_client: redis.Redis
) -> None:
    assert (await visit("s")).status == 200
    assert (await state_of(here, "s")).context == {}, "the answer didn't wait"
    await here.surroundings.settled()
    state = await state_of(here, "s")
    expected = {"country": "NL", "region": "Western Europe", "weather": "rain", "temperature": "cold"}
    assert (state.context, state.events) == (expected, 1)
    asked = {"latitude": "52.5", "longitude": "5"}
    assert service.asked[0].items() >= asked.items(), "a rounded place, not the shopper's"
    first, second = records(redis_client)
    assert (len(first.events), second.events, second.context) == (1, (), expected)


async def test_the_belief_moves_and_the_page_is_told(here: Process, redis_client: redis.Redis) -> None:
    token = access.issue_session_token(SHOP, "s")
    socket = Socket("/ws/v1/session", f"token={token}", [(b"x-forwarded-for", AMSTERDAM.encode())])
    assert await socket.connect()
    before = None
    for _ in range(20):
        message = await socket.receive()
        if message["type"] != "profile":
            continue
        profile = {b["id"]: b["probability"] for b in message["profile"]["belief"]}
        if before is not None and profile != before:
            break
        before = profile
    else:
        pytest.fail("the weather reached the session, and its page was never told")
    await socket.close()


async def test_the_requests_own_context_wins(here: Process) -> None:
    await visit("s", context={"country": "pl", "weather": "clear"})
    await here.surroundings.settled()
    state = await state_of(here, "s")
    assert state.context == {"country": "pl", "weather": "clear", "region": "Eastern Europe", "temperature": "cold"}
    await visit("s", context={"weather": "snow"})
    assert (await state_of(here, "s")).context["weather"] == "snow", "whenever it comes"


async def test_the_address_is_kept_nowhere(here: Process, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="recommendations"):
        await visit("s")
        await here.surroundings.settled()
    held: list[bytes] = []
    for key in redis_client.keys("*"):
        held += [key, redis_client.dump(key) or b""]
    assert AMSTERDAM.encode() not in b"".join(held)
    assert AMSTERDAM.encode() not in encode_state(await state_of(here, "s"))
    assert AMSTERDAM not in caplog.text


async def test_a_shops_server_speaks_from_its_own_address_not_the_shoppers(here: Process) -> None:
    await call("POST", EVENTS, {"session_id": "s", "events": [view("e1")]}, headers={"x-forwarded-for": AMSTERDAM})
    await here.surroundings.settled()
    assert (await state_of(here, "s")).context == {}
    await visit("s")
    await here.surroundings.settled()
    assert (await state_of(here, "s")).context["country"] == "NL", "its page comes from where the shopper is"


async def test_a_report_is_asked_for_once_a_place(here: Process, service: Service, redis_client: redis.Redis) -> None:
    service.delay_s = 0.1
    await asyncio.gather(*(visit(f"s{n}") for n in range(8)))
    await here.surroundings.settled()
    assert len(service.asked) == 1
    assert all([(await state_of(here, f"s{n}")).context["weather"] == "rain" for n in range(8)])
    (key,) = redis_client.keys("weather:*")
    assert 0 < redis_client.ttl(key) <= surroundings.WEATHER_S


async def test_a_service_that_fails_costs_the_weather_only_and_is_left_alone(
    here: Process, service: Service, redis_client: redis.Redis
) -> None:
    service.status = 500
    await visit("s1")
    await here.surroundings.settled()
    await visit("s2")
    await here.surroundings.settled()
    for name in ("s1", "s2"):
        assert (await state_of(here, name)).context == {"country": "NL", "region": "Western Europe"}
    assert len(service.asked) == 1
    (key,) = redis_client.keys("weather:*")
    assert 0 < redis_client.ttl(key) <= surroundings.FAILED_S


async def test_a_shop_with_a_place_has_its_customers_weather(here: Process, service: Service) -> None:
    await asyncio.to_thread(Shop.objects.create, pk=SHOP, slug="s", name="S", settings={"place": [-33.9, 151.2]})
    await visit("s")
    await here.surroundings.settled()
    assert service.asked[0].items() >= {"latitude": "-34", "longitude": "151"}.items()


@pytest.mark.parametrize("place", [None, "Sydney", [1], [1, 2, 3], [91, 0], [0, 181], [True, False], ["1", "2"], {"lat": 1}])
def test_a_place_that_is_none_is_none(place: object) -> None:
    assert surroundings._degrees(place) is None


async def test_a_rush_drops_looks_and_counts_them_and_no_visit_suffers(
    here: Process, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service.delay_s = 0.3
    here.surroundings._queue = asyncio.Queue(2)
    await here.surroundings.stop()
    here.surroundings._tasks = []
    answers = await asyncio.gather(*(visit(f"s{n}") for n in range(6)))
    assert {a.status for a in answers} == {200}
    assert here.surroundings.dropped == 4
    assert len([r for r in caplog.records if "wait for their surroundings" in r.message]) == 1


async def test_without_a_weather_service_there_is_no_weather(
    engine: Engine, redis_client: redis.Redis, redis_url: str, settings: Settings
) -> None:
    settings.WEATHER_URL, settings.TRUSTED_PROXIES = "", 1
    put_key(redis_client, KEY)
    here = await start_process(redis_url, engine)
    try:
        await visit("s")
        await visit("home", address="127.0.0.1")
        await here.surroundings.settled()
        assert (await state_of(here, "s")).context == {"country": "NL", "region": "Western Europe"}
        assert (await state_of(here, "home")).context == {}
    finally:
        await process.stop()


@pytest.mark.parametrize(
    ("trusted", "lines", "expected"),
    [
        (0, ["8.8.8.8"], "203.0.113.9"),
        (1, ["8.8.8.8"], "8.8.8.8"),
        (1, ["6.6.6.6, 8.8.8.8"], "8.8.8.8"),
        (1, ["6.6.6.6", "8.8.8.8"], "8.8.8.8"),
        (2, ["6.6.6.6, 8.8.8.8, 10.0.0.1"], "8.8.8.8"),
        (2, ["8.8.8.8"], ""),
        (1, [], ""),
        (1, ["nonsense"], ""),
        (1, [""], ""),
    ],
)
def test_a_forwarded_address_is_believed_as_far_as_our_own_proxies_wrote_it(
    settings: Settings, trusted: int, lines: list[str], expected: str
) -> None:
    settings.TRUSTED_PROXIES = trusted
    headers = [(b"host", b"shop"), *((b"x-forwarded-for", line.encode()) for line in lines)]
    assert client_address({"client": ("203.0.113.9", 4711), "headers": headers}) == expected


def test_a_socket_of_no_network_has_no_address(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 0
    assert client_address({"client": None, "headers": []}) == ""
    assert client_address({"headers": []}) == ""
