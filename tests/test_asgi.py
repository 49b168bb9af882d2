"""The one port: static files, pages, hot endpoints and websockets each reach the part that answers them."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async

from personas.models import ApiKey, Shop
from recommendations.serving import process
from recsite import bodies
from recsite.asgi import application
from recsite.security import OWN_PAGES


async def answer(method: str, path: str, **headers: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of one request to the application, without a server."""
    sent: list[dict[str, Any]] = []

    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in requests:
            return message
        await asyncio.Event().wait()  # the client stays connected
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")]
        + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
    }
    await application(scope, receive, send)
    named = {name.lower(): value for name, value in sent[0]["headers"]}
    return sent[0]["status"], named, b"".join(message.get("body", b"") for message in sent[1:])


async def test_static_file_is_whole_and_then_not_modified() -> None:
    status, headers, body = await answer("GET", "/static/unfold/css/styles.css")
    assert status == 200
    assert headers[b"content-type"].startswith(b"text/css")
    assert len(body) == int(headers[b"content-length"])
    again, _, nothing = await answer("GET", "/static/unfold/css/styles.css", if_none_match=headers[b"etag"].decode())
    assert (again, nothing) == (304, b"")
    status, headers, body = await answer("HEAD", "/static/unfold/css/styles.css")
    assert (status, body) == (200, b"")


async def test_static_text_is_compressed_for_whoever_takes_that() -> None:
    _, plain, whole = await answer("GET", "/static/panel.js")
    assert b"content-encoding" not in plain
    for _ in range(2):  # the second answer comes from what the first compressed
        status, headers, body = await answer("GET", "/static/panel.js", accept_encoding="br, gzip")
        assert (status, headers[b"content-encoding"], headers[b"vary"]) == (200, b"gzip", b"Accept-Encoding")
        assert int(headers[b"content-length"]) == len(body) < len(whole)
        assert gzip.decompress(body) == whole
    status, headers, part = await answer("GET", "/static/panel.js", accept_encoding="gzip", range="bytes=0-9")
    assert (status, part) == (206, whole[:10])
    assert b"content-encoding" not in headers


async def test_static_file_by_ranges() -> None:
    _, _, whole = await answer("GET", "/static/unfold/css/styles.css")
    status, _, part = await answer("GET", "/static/unfold/css/styles.css", range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])


@pytest.mark.parametrize(
    "path", ["/static/no-such.css", "/static/../recsite/settings.py", "/static/%2e%2e/manage.py", "/nowhere"]
)
@pytest.mark.django_db
async def test_what_is_not_there_is_404(path: str) -> None:
    assert (await answer("GET", path))[0] == 404


async def test_pages_carry_the_policy_and_nothing_from_other_hosts() -> None:
    status, headers, _ = await answer("GET", "/healthz")
    assert status == 200
    assert headers[b"content-security-policy"].decode() == OWN_PAGES
    assert "http" not in OWN_PAGES


@pytest.mark.django_db
async def test_admin_login_loads_from_here_only() -> None:
    status, _, body = await answer("GET", "/admin/login/")
    assert status == 200
    assert b'src="http' not in body
    assert b'href="http' not in body.replace(b'href="https://localhost', b"")


@pytest.mark.django_db(transaction=True)
async def test_hot_endpoint_is_not_a_django_page(redis_client: redis.Redis) -> None:
    """Django would answer a POST without a CSRF token with 403 and an HTML page."""
    try:
        status, headers, _ = await answer("POST", "/api/v1/events")
    finally:
        await process.stop()
    assert status == 401
    assert headers[b"content-type"].startswith(b"application/problem+json")


async def test_unknown_kind_of_connection_raises() -> None:
    with pytest.raises(ValueError, match="scope type 'webtransport'"):
        await application({"type": "webtransport"}, None, None)  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (None, (413, "body_too_large")),
        ((), (401, "invalid_key")),
        (("ingest", "read"), (403, "missing_scope")),
        (("manage",), (400, "malformed_json")),
    ],
    ids=["nobody", "a wrong key", "a key that may not", "a key that may"],
)
async def test_a_catalogue_is_taken_of_a_key_that_may_write_it(
    redis_client: redis.Redis, scopes: tuple[str, ...] | None, expected: tuple[int, str]
) -> None:
    """Whoever may not hears so before the body is read: it may have half a gigabyte."""
    key = "pc_nobodys"
    if scopes:
        shop = await sync_to_async(Shop.objects.create)(slug="s", name="S")
        key = (await sync_to_async(ApiKey.objects.issue)(shop=shop, name="k", scopes=list(scopes)))[1]
    size = bodies.MOST + 1
    body = [{"type": "http.request", "body": b"x" * size, "more_body": False}]
    headers = [(b"host", b"localhost"), (b"content-length", b"%d" % size), (b"content-type", b"application/x-ndjson")]
    headers += [] if scopes is None else [(b"authorization", f"Bearer {key}".encode())]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not body:
            await asyncio.Event().wait()  # the client stays connected
        return body.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": bodies.CATALOGUE, "headers": headers}
    more = {
        "scheme": "http",
        "raw_path": bodies.CATALOGUE.encode(),
        "query_string": b"",
        "client": ("::1", 5),
        "server": ("::1", 80),
    }
    try:
        await application(scope | more, receive, send)
    finally:
        await process.stop()
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == expected
    assert len(body) == (0 if scopes == ("manage",) else 1), "read only where it may be written"


@pytest.mark.parametrize("told", [True, False], ids=["its length said", "in chunks"])
async def test_a_page_is_sent_no_more_than_it_may_be(monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """Django would write all of it to disk before it asks who sends it."""
    monkeypatch.setattr(bodies, "MOST", 1_000)
    taken: list[int] = []
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        taken.append(1)
        return {"type": "http.request", "body": b"x" * 400, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost")] + ([(b"content-length", b"1001")] if told else [])
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/api/v1/rules/", "headers": headers}
    more = {"scheme": "http", "raw_path": b"/api/v1/rules/", "query_string": b"", "client": ("::1", 5), "server": ("::1", 80)}
    await application(scope | more, receive, send)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (413, "body_too_large")
    assert len(taken) == (0 if told else 3)
