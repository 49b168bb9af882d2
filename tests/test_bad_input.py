"""What a real live process answers to input that makes no sense. `docs/measurements.md` has the table, row by row as here."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import redis
from granian.constants import Interfaces
from granian.server.embed import Server

from recommendations.serving import live, process
from recommendations.serving.access import issue_session_token
from tests.live_shops import KEY, SHOP, put_key, start_process, view
from tests.worlds import make_world, train_world

EVENTS, SLATES, TOKENS, PROFILE = (
    "/api/v1/events",
    "/api/v1/recommendations",
    "/api/v1/session-tokens",
    "/api/v1/sessions/s/profile",
)
SEGMENT = "/api/v1/events/segment"
YEAR_2020, YEAR_2100, YEAR_1999 = 1_600_000_000, 4_102_444_800, 915_148_800


class Case(NamedTuple):
    """told : status, and the problem's code or the event's status, with the field at fault or the note, as the table has it.

    session : of the session token that is sent; "" for the key.
    """

    what: str
    told: str
    path: str = EVENTS
    body: Any = None
    raw: bytes | None = None
    query: str = ""
    method: str = ""
    headers: dict[str, str] = {}
    session: str = ""


def events(*given: object) -> dict[str, Any]:
    return {"session_id": "s", "events": list(given)}


def priced(price: object) -> dict[str, Any]:
    return events(view("e", items=[{"item_id": "sku-1", "price": price}]))


def asks(**ask: object) -> dict[str, Any]:
    return {"session_id": "s", "recommend": ask}


MANY = [f"sku-{n}" for n in range(1_000)]
DEEP = b'{"session_id": ' + b"[" * 100_000
CASES = (
    # Wrong types
    Case("a list as `session_id`", "422 invalid_field `session_id`", body={"session_id": ["s"], "events": []}),
    Case("an object as `events`", "422 invalid_field `events`", body={"session_id": "s", "events": {}}),
    Case("text as an event", "200 rejected `event`", body=events("view_item")),
    Case("a name that no event has", "200 rejected `name`", body=events(view("e", name="fly"))),
    Case("text as `items`", "200 rejected `items`", body=events(view("e", items="sku-1"))),
    Case("text as a price", "200 rejected `items[0].price`", body=priced("dear")),
    Case("a list as evidence", "422 invalid_field `context.country`", body=events() | {"context": {"country": []}}),
    Case("text as `count`", "422 invalid_field `recommend`", SLATES, asks(count="many")),
    Case("an id of 129 characters", "200 rejected `event_id`", body=events(view("e" * 129))),
    Case("control characters in an id", "422 invalid_field `session_id`", body={"session_id": "a\x00b", "events": []}),
    # Missing fields
    Case("no `session_id`", "422 invalid_field `session_id`", body={"events": []}),
    Case("no `events`", "422 invalid_field `events`", body={"session_id": "s"}),
    Case("an event without an id", "200 rejected `event_id`", body=events({"name": "view_item", "item_id": "sku-1"})),
    Case("a view of no item", "200 rejected `items`", body=events({"event_id": "e", "name": "view_item"})),
    Case("a search without words", "200 rejected `search_term`", body=events({"event_id": "e", "name": "search"})),
    Case("no credential", "401 missing_credentials", body=events(), headers={"authorization": ""}),
    # Numbers
    Case("`NaN`", "400 malformed_json", raw=b'{"session_id": "s", "events": [{"event_id": "e", "price": NaN}]}'),
    Case("a price of 1e999", "400 malformed_json", raw=json.dumps(events(view("e", price="P"))).replace('"P"', "1e999").encode()),
    Case("a price below 0", "200 rejected `items[0].price`", body=priced(-1)),
    Case("a `count` of 0", "422 invalid_field `recommend.count`", SLATES, asks(count=0)),
    Case("`price_from` above `price_to`", "422 invalid_field `recommend.filters.price_from`", SLATES,
         asks(filters={"price_from": 9, "price_to": 1})),
    # Too much
    Case("a body of 10 MB", "413 body_too_large", raw=b"x" * 10_000_000),
    Case("50 MB in a packed body of 50 kB", "413 body_too_large", raw=gzip.compress(b" " * 50_000_000),
         headers={"content-encoding": "gzip"}),
    Case("501 events", "413 too_many_events", body=events(*[view(f"e{n}") for n in range(501)])),
    Case("501 events of Segment", "413 too_many_events", SEGMENT, {"batch": [{}] * 501}),
    Case("1,000 values in a filter", "422 invalid_field `recommend.filters.category`", SLATES, asks(filters={"category": MANY})),
    Case("1,000 ids in a filter by GET", "422 invalid_field `recommend.filters.brand`", SLATES,
         query="session_id=s&" + "&".join(f"brand={name}" for name in MANY)),
    Case("1,000 ids to leave out", "422 invalid_field `recommend.exclude`", SLATES, asks(exclude=MANY)),
    Case("1,000 items in an event", "200 rejected `items`", body=events(view("e", items=[{"item_id": name} for name in MANY]))),
    Case("21 names of evidence", "422 invalid_field `context`", body=events() | {"context": {f"n{n}": 1 for n in range(21)}}),
    # Things that aren't there
    Case("an item that the catalogue lacks", "200 accepted `unknown_item`", body=events(view("e-unknown", "no-such-item"))),
    Case("a slate beside such an item", "200 slate `no_anchors`", SLATES, asks(context="similar", item_id="no-such-item")),
    Case("a filter by a value that nothing has", "200 slate `unknown_filter:colour=blu`", SLATES,
         asks(filters={"colour": ["blu"]})),
    Case("a context that there isn't", "422 invalid_field `recommend.context`", SLATES, asks(context="moon")),
    Case("a parameter that there isn't", "422 invalid_field `cuont`", SLATES, query="session_id=s&cuont=3"),
    # Times
    Case("a time in the year 2100", "200 accepted `clock_ahead`", body=events(view("e-future", timestamp=YEAR_2100))),
    Case("a time in milliseconds", "200 rejected `timestamp`", body=events(view("e", timestamp=YEAR_2020 * 1_000))),
    Case("a time in the year 1999", "200 rejected `timestamp`", body=events(view("e", timestamp=YEAR_1999))),
    Case("a time as text", "200 rejected `timestamp`", body=events(view("e", timestamp="yesterday"))),
    # The same again
    Case("an id twice in one request", "200 accepted, duplicate", body=events(view("e-twice"), view("e-twice", "sku-2"))),
    Case("an id sent before", "200 duplicate", body=events(view("e-before"))),
    # What isn't JSON
    Case("`{`", "400 malformed_json", raw=b"{"),
    Case("a JSON list", "400 malformed_json", raw=b"[1]"),
    Case("bytes that aren't UTF-8", "400 malformed_json", raw=b"\xff\xfe"),
    Case("half of a pair of surrogates", "400 malformed_json", raw=b'{"session_id": "\\ud800", "events": []}'),
    Case("lists nested 100,000 deep", "400 malformed_json", raw=DEEP),
    Case("a body that says it is gzip", "400 malformed_gzip", raw=b"{}", headers={"content-encoding": "gzip"}),
    # Who asks
    Case("a wrong key", "401 invalid_key", body=events(), headers={"authorization": "Bearer pc_wrong"}),
    Case("an expired token", "401 expired_token", PROFILE, session="expired"),
    Case("a token that was changed", "401 invalid_token", PROFILE, session="changed"),
    Case("another session's token", "403 foreign_session", body=events(view("e")), session="mine"),
    Case("a token that names a shopper", "403 foreign_shopper", body=events() | {"session_id": "mine", "shopper_id": "anna"},
         session="mine"),
    Case("a token that asks for tokens", "403 key_needed", TOKENS, {"session_id": "s"}, session="mine"),
    Case("a key from a page", "403 key_in_page", body=events(), headers={"origin": "https://shop.example"}),
    Case("a token from a page that isn't listed", "403 foreign_origin", body=events() | {"session_id": "mine"},
         headers={"origin": "https://evil.example"}, session="mine"),
    Case("another method", "405 method_not_allowed", method="DELETE"),
)  # fmt: skip


@pytest.fixture(scope="module")
def port(redis_url: str) -> Iterator[int]:
    """A live process behind a real server, on a loop and in a thread of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = train_world(make_world(sessions=100))
    server = Server(live.app, port=port, interface=Interfaces.ASGINL, log_enabled=False)
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        await start_process(redis_url, engine)
        try:
            await server.serve()
        finally:
            await process.stop()

    client = redis.Redis.from_url(redis_url)
    client.flushall()
    put_key(client, KEY)
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield port
    loop.call_soon_threadsafe(server.stop)
    thread.join(30)
    loop.close()
    client.close()


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    """Session tokens: one of a session, one of it that was changed, one that has expired."""
    mine = issue_session_token(SHOP, "mine")
    expired = issue_session_token(SHOP, "s", ttl_s=60, now=time.time() - 61)
    return {"mine": mine, "changed": mine[:-1] + ("A" if mine[-1] != "A" else "B"), "expired": expired}


@pytest.fixture(scope="module")
def client(port: int) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {KEY}"}
    transport = httpx.HTTPTransport(retries=10)  # until the server listens
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, transport=transport) as client:
        client.post(EVENTS, json=events(view("e-before"))).raise_for_status()
        yield client


def told(answer: httpx.Response) -> str:
    """An answer as the table has it."""
    body = answer.json()
    if answer.status_code != 200:
        field = f" `{body['field']}`" if "field" in body else ""
        return f"{answer.status_code} {body['code']}{field}"
    if "results" not in body:
        return f"200 slate `{body['notes'][0]}`"
    of = [f"{r['status']} `{r.get('field') or (r.get('notes') or [''])[0]}`".removesuffix(" ``") for r in body["results"]]
    return f"200 {', '.join(of)}"


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_nonsense_is_answered_in_words_and_moves_nothing(client: httpx.Client, tokens: dict[str, str], case: Case) -> None:
    before = client.get(PROFILE).json()["events"]
    headers = case.headers | ({"authorization": f"Bearer {tokens[case.session]}"} if case.session else {})
    body: dict[str, Any] = {"content": case.raw} if case.raw is not None else {} if case.body is None else {"json": case.body}
    method = case.method or ("POST" if body else "GET")
    answer = client.request(method, f"{case.path}{'?' if case.query else ''}{case.query}", headers=headers, **body)
    assert told(answer) == case.told, answer.text[:500]
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["detail"]) > 20, "in words"
    taken = 0 if answer.status_code != 200 else sum(r["status"] == "accepted" for r in answer.json().get("results", ()))
    assert client.get(PROFILE).json()["events"] == before + taken


def test_the_table_tells_what_was_answered() -> None:
    text = (Path(__file__).parent.parent / "docs" / "measurements.md").read_text()
    missing = [case.what for case in CASES if f"| {case.what} | {case.told} |" not in text]
    assert not missing
