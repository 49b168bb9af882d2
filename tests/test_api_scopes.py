"""Who gets in where: every address of the API by every scope. The table is made of the addresses, so that a new one is in it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
import redis
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, URLResolver
from drf_spectacular.generators import SchemaGenerator
from rest_framework.permissions import AllowAny, IsAuthenticatedOrReadOnly

from personas.models import SCOPES, ApiKey, Shop
from recommendations.api.hot import HotView
from recommendations.api.urls import urlpatterns
from recommendations.engine import Engine
from recommendations.serving import access, aliased, live, process
from recommendations.serving.process import Process
from tests.live_shops import KEY, SHOP, call, put_key, start_process, view
from tests.worlds import make_world, train_world

READ_BY_POST = {"v1/sessions/1/counterfactual"}
"""What is asked by POST, and changes nothing."""


def addresses(patterns: Sequence[Any] = urlpatterns, before: str = "") -> Iterator[tuple[str, str, Any]]:
    """Address, method and view of everything that Django answers; ids are 1."""
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from addresses(each.url_patterns, before + str(each.pattern))
            continue
        assert isinstance(each, URLPattern)
        told = str(each.pattern)
        if "format" in told:
            continue
        path = before + re.sub(r"<[^>]+>", "1", re.sub(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)", "1", told))
        path = path.replace("^", "").replace("$", "").replace("\\", "")
        callback: Any = each.callback
        kind = callback.cls
        if not issubclass(kind, HotView):
            methods = getattr(callback, "actions", None) or [
                m for m in ("get", "post", "put", "patch", "delete") if hasattr(kind, m)
            ]
            for method in methods:
                yield path, method, kind


CALLS = sorted({(path, method) for path, method, _ in addresses()})


def test_the_document_names_every_calls_scope() -> None:
    told = {}
    for path, calls in SchemaGenerator().get_schema(request=None, public=True)["paths"].items():
        for method, told_of in calls.items():
            told[re.sub(r"{[^}]+}", "1", path).removeprefix("/api/"), method] = told_of["x-scope"]
            assert f"`{told_of['x-scope']}`" in told_of["description"]
    live_ones = {(path.removeprefix("/api/").replace("s1", "1"), method.lower()): scope for (method, path), scope in LIVE.items()}
    assert told.items() >= live_ones.items()
    for path, method in told.keys() - live_ones.keys():
        assert told[path, method] == ("read" if method == "get" or path in READ_BY_POST else "manage"), (path, method)


def ask(client: Client, method: str, path: str, key: str = "", query: str = "") -> Any:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return client.generic(method.upper(), f"/api/{path}{query}", b"{}", content_type="application/json", headers=headers)


def test_no_view_is_open_to_everybody() -> None:
    found = {kind for _, _, kind in addresses()}
    assert len(found) > 25
    for kind in found:
        assert kind.permission_classes, kind
        assert not {AllowAny, IsAuthenticatedOrReadOnly} & set(kind.permission_classes), kind


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "method"), CALLS)
def test_every_address_asks_for_its_scope(client: Client, path: str, method: str, redis_client: redis.Redis) -> None:
    """Reading for `read`, all else for `manage`. Nor gets in a page's token, a stranger, or staff without the right."""
    shop = Shop.objects.create(slug="s", name="S")
    needed = "read" if method == "get" or path in READ_BY_POST else "manage"
    for scope in SCOPES:
        answer = ask(client, method, path, ApiKey.objects.issue(shop=shop, name=scope, scopes=[scope])[1])
        if scope == needed:
            assert answer.status_code not in (401, 403, 500)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
            assert repr(needed) in answer.json()["detail"], "which scope is missing"
    for credential, code in (("", "missing_credentials"), ("pc_nobodys", "invalid_key"), ("a:b:c", "invalid_token")):
        answer = ask(client, method, path, credential)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
    answer = ask(client, method, path, access.issue_session_token(shop.pk, "1"))
    assert (answer.status_code, answer.json()["code"]) == (403, "key_needed")
    assert "session token" in answer.json()["detail"]
    client.force_login(get_user_model().objects.create(username="plain", is_staff=True))
    assert ask(client, method, path, query="?shop=s").status_code == 403
    client.force_login(get_user_model().objects.create(username="customer", is_superuser=True))
    assert ask(client, method, path, query="?shop=s").status_code == 403, "an account that may not enter the admin"


# The live endpoints

BODY: dict[str, Any] = {"session_id": "s1", "events": [view("e1")]}
LIVE = {
    ("POST", live.EVENTS): "ingest",
    ("POST", live.RECOMMENDATIONS): "read",
    ("GET", live.RECOMMENDATIONS): "read",
    ("GET", "/api/v1/sessions/s1/profile"): "read",
    ("POST", live.TOKENS): "ingest",
    **{("POST", path): "ingest" for path in aliased.TRANSLATORS},
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=120))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    yield await start_process(redis_url, engine)
    await process.stop()


def test_the_table_of_live_endpoints_is_whole() -> None:
    told = {(method, path) for path, methods in live.HOT_PATHS.items() for method in methods}
    assert LIVE.keys() == {*told, ("GET", "/api/v1/sessions/s1/profile")}


async def test_every_live_endpoint_asks_for_its_scope(here: Process, redis_client: redis.Redis) -> None:
    for (method, path), needed in LIVE.items():
        body, query = (BODY, "") if method == "POST" else (None, "session_id=s1")
        for scope in SCOPES:
            put_key(redis_client, KEY, scopes=(scope,))
            here.keys.forget()
            answer = await call(method, path, body, query=query)
            if scope == needed:
                assert answer.status not in (401, 403, 500), (method, path, answer.body)
            else:
                assert (answer.status, answer.body["code"]) == (403, "missing_scope"), (method, path, scope)
        for credential, code in (("pc_nobodys", "invalid_key"), ("", "missing_credentials"), ("a:b:c", "invalid_token")):
            answer = await call(method, path, body, query=query, key=credential)
            assert (answer.status, answer.body["code"]) == (401, code)
        if path not in aliased.TRANSLATORS:  # there each entry is refused by itself
            answer = await call(method, path, body, query=query, key=access.issue_session_token(SHOP, "another"))
            assert answer.body["code"] == ("key_needed" if path == live.TOKENS else "foreign_session")
