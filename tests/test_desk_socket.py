"""The merchandisers' websocket: what happens in a shop, told to staff who may see its visits, for as long as they may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import redis
from asgiref.sync import sync_to_async
from django.conf import settings as given
from django.contrib.auth.models import Permission, User
from django.test import Client

from personas.models import Shop
from recommendations.engine import Engine
from recommendations.serving import desk, process
from recommendations.serving.activity import LoggedBlocked, LoggedDecision, LoggedEvent, Record, encode_record, log_key
from recommendations.serving.process import Process
from recommendations.serving.watching import pseudonym
from tests.live_shops import KEY, SHOP, Socket, call, put_key, start_process, view
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


@pytest.fixture
def shop(transactional_db: None) -> Shop:
    return Shop.objects.create(pk=SHOP, slug="small", name="Small")


@pytest.fixture
def staff(transactional_db: None) -> User:
    user = User.objects.create_user("mia", password="long enough for it", is_staff=True)
    user.user_permissions.add(Permission.objects.get(content_type__app_label="personas", codename="view_session"))
    return user


def cookie_of(user: User | None) -> str:
    client = Client()
    if user is None:
        return ""
    client.force_login(user)
    return client.cookies[given.SESSION_COOKIE_NAME].value


def socket(cookie: str, *, shop: str = "small", origin: bytes | None = b"http://localhost:8000") -> Socket:
    headers = [(b"host", b"localhost:8000"), (b"cookie", f"{given.SESSION_COOKIE_NAME}={cookie}".encode())]
    return Socket("/ws/v1/desk", f"shop={shop}", headers + ([] if origin is None else [(b"origin", origin)]))


async def receive(ws: Socket, kind: str) -> Any:
    while (message := await ws.receive())["type"] != kind:
        continue
    return message


async def opened(user: User) -> Socket:
    ws = socket(await sync_to_async(cookie_of)(user))
    assert await ws.connect()
    assert (await ws.receive())["type"] == "hello"
    return ws


async def test_a_desk_hears_of_visits_under_names_that_tell_nothing(here: Process, shop: Shop, staff: User) -> None:
    assert not here.watching.busy, "while nobody watches, nobody reads"
    ws = await opened(staff)
    await asyncio.sleep(0.2)
    for n in range(5):
        await call("POST", "/api/v1/events", {"session_id": "s1", "events": [view(f"e{n}")], "recommend": {"count": 2}})
    await call("POST", "/api/v1/events", {"session_id": "s2", "events": [view("f1")]})
    deadline, sessions = time.monotonic() + 5, []
    while len(sessions) < 2 and time.monotonic() < deadline:
        sessions = (await receive(ws, "sessions"))["sessions"]
    assert [s["session"] for s in sessions] == [pseudonym(SHOP, "s2"), pseudonym(SHOP, "s1")]
    assert (sessions[1]["event"], sessions[1]["events"], sessions[1]["known"]) == ("view_item", 5, False)
    assert sessions[1]["persona"]["name"]
    counters = (await receive(ws, "counters"))["counters"]
    while counters["events_per_s"] == 0:
        counters = (await receive(ws, "counters"))["counters"]
    assert (counters["sessions_active"], counters["today"]["sessions"]) == (2, 0)
    assert counters["events_per_s"] == 0.6
    await ws.close()
    assert not here.watching.busy, "the reader goes with the last who watched"


async def test_a_desk_hears_of_what_the_adaptation_did_and_what_bounds_stopped(
    here: Process, shop: Shop, staff: User, redis_client: redis.Redis
) -> None:
    ws = await opened(staff)
    await asyncio.sleep(0.2)
    engine = here.engines.get(SHOP)
    assert engine is not None
    one, other = engine.clusters.cluster_ids[:2].tolist()
    now = time.time()
    record = Record(
        shop=SHOP,
        session="s1",
        shopper="",
        context={},
        release="1",
        version=1,
        started_at=now,
        at=now,
        events=(LoggedEvent("e1", 0, now, now),),
        decisions=(
            LoggedDecision("e1", now, one, "expand", other, 0.7, (), "hand"),
            LoggedDecision("e1", now, other, "keep", 0, 0.9, (), "hand"),
        ),
        blocked=(LoggedBlocked("e1", now, other, "contract", "locked"),),
    )
    redis_client.xadd(log_key(3), {b"r": encode_record(record)})
    decisions = (await receive(ws, "adaptation"))["decisions"]
    assert [(d["action"], d["cluster"]["id"], d["blocked"]) for d in decisions] == [
        ("expand", one, None),
        ("contract", other, "locked"),
    ], "what was kept is no news"
    assert (decisions[0]["towards"]["id"], decisions[0]["probability"]) == (other, 0.7)
    await ws.close()


async def test_tests_are_nobodys_visit(here: Process, shop: Shop, staff: User) -> None:
    ws = await opened(staff)
    board = here.watching._boards[SHOP]
    now = time.time()
    board.take(Record(SHOP, "s1", "", {}, "1", 1, now, now, events=(LoggedEvent("e1", 0, now, now),), origin="test"))
    assert board.active(now) == 0
    await ws.close()


async def test_who_may_not_watch_is_told_so(here: Process, shop: Shop, staff: User) -> None:
    plain = await User.objects.acreate(username="no-staff")
    other = await User.objects.acreate(username="no-right", is_staff=True)
    for user, code in ((None, 4401), (plain, 4403), (other, 4403)):
        ws = socket(await sync_to_async(cookie_of)(user))
        assert await ws.connect()
        assert await ws.ended() == code
    ws = socket(await sync_to_async(cookie_of)(staff), shop="elsewhere")
    assert await ws.connect()
    assert await ws.ended() == 4404


@pytest.mark.parametrize("origin", [None, b"https://elsewhere.example", b"http://localhost:9000", b"null"])
async def test_another_sites_page_cannot_use_the_log_in(here: Process, shop: Shop, staff: User, origin: bytes | None) -> None:
    assert not await socket(await sync_to_async(cookie_of)(staff), origin=origin).connect()


@pytest.mark.parametrize("what", ["log-out", "right", "account", "password"])
async def test_a_right_that_is_taken_away_ends_the_socket_within_seconds(
    here: Process, shop: Shop, staff: User, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "LOOK_S", 0.2)
    ws = await opened(staff)

    @sync_to_async
    def take_away() -> None:
        if what == "log-out":
            from django.contrib.sessions.models import Session

            Session.objects.all().delete()
        elif what == "right":
            staff.user_permissions.clear()
        elif what == "account":
            User.objects.filter(pk=staff.pk).update(is_active=False)
        else:
            staff.set_password("another one that is long")
            staff.save()

    await take_away()
    assert await ws.ended() == 4403
    await ws.close()
