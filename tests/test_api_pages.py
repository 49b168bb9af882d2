"""Pages of lists over the API: all rows once, in order, whatever comes and goes meanwhile; and entity tags of single rows."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from clusters.models import Item, ItemCluster
from personas.models import ApiKey, Session, Shop
from recommendations.models import MerchandisingRule, Release

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return Shop.objects.create(slug="one", name="One")


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.objects.issue(shop=shop, name="k", scopes=["read", "manage"])[1]


def get(client: Client, address: str, key: str, **headers: str) -> HttpResponse:
    path = address if address.startswith("http") else f"/api/v1/{address}"
    return client.get(path, headers={"authorization": f"Bearer {key}", **headers})


def pages(client: Client, address: str | None, key: str, *, way: str = "next") -> list[list[Any]]:
    found = []
    while address is not None:
        answer = get(client, address, key).json()
        found.append(answer["results"])
        address = answer[way]
    return found


@pytest.fixture
def rules(shop: Shop) -> list[MerchandisingRule]:
    """Eleven, of which some begin at one moment and some have no beginning."""
    now = timezone.now()
    Item.objects.create(shop=shop, external_id="of a brand", brand="x")
    to = {"brands": ["x"]}
    starts = [None, now, now, None, now - dt.timedelta(days=1), now, None, now + dt.timedelta(days=1), None, now, now]
    return [
        MerchandisingRule.objects.create(shop=shop, name=f"rule {n % 4}", action="exclude", target=to, starts_at=at)
        for n, at in enumerate(starts)
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 11, 50])
@pytest.mark.parametrize("order", ["", "id", "-id", "name", "-name", "starts_at", "-starts_at", "name,-starts_at"])
def test_pages_hold_every_row_once_forwards_and_back(
    client: Client, key: str, rules: list[MerchandisingRule], order: str, limit: int
) -> None:
    """Oracle: all of them on one page."""
    whole = [row["id"] for row in get(client, f"rules/?ordering={order}&limit=500", key).json()["results"]]
    assert sorted(whole) == [rule.pk for rule in rules]
    forwards = pages(client, f"rules/?ordering={order}&limit={limit}", key)
    assert [row["id"] for page in forwards for row in page] == whole
    assert all(len(page) == limit for page in forwards[:-1])
    last = f"rules/?ordering={order}&limit={limit}"
    while (following := get(client, last, key).json()["next"]) is not None:
        last = following
    back = pages(client, last, key, way="previous")
    assert [row["id"] for page in reversed(back) for row in page] == whole


def test_rows_without_a_beginning_come_last_either_way(client: Client, key: str, rules: list[MerchandisingRule]) -> None:
    for order in ("starts_at", "-starts_at"):
        told = [row["starts_at"] for row in get(client, f"rules/?ordering={order}", key).json()["results"]]
        assert [at is None for at in told] == [False] * 7 + [True] * 4


def test_what_comes_and_goes_meanwhile_moves_no_page(client: Client, shop: Shop, key: str) -> None:
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}") for n in range(10))
    first = get(client, "items/?limit=4", key).json()
    Item.objects.filter(external_id__in=["i0", "i3"]).delete()  # the row that the page ended with, too
    Item.objects.create(shop=shop, external_id="i10")
    rest = [row["item_id"] for page in pages(client, first["next"], key) for row in page]
    assert rest == [f"i{n}" for n in range(4, 11)]


@pytest.mark.parametrize(
    "cursor", ["x", "%00", "a" * 3_000, "W10", "bnVsbA", *(
        base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
        for told in (["n", "pk", ["x"]], ["n", "pk", [1, 2]], ["n", "-pk", [1]], ["z", "pk", [1]], ["n", "pk", [{}]], [], {}, 7)
    )],
)  # fmt: skip
def test_a_cursor_that_nobody_was_given_is_refused(client: Client, shop: Shop, key: str, cursor: str) -> None:
    answer = get(client, f"items/?cursor={cursor}", key)
    assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


@pytest.mark.parametrize("value", ["\ud800", "\0", 1e400, 10**400, True, [], "2026-01-01"])
def test_no_value_in_a_cursor_breaks_the_query(client: Client, shop: Shop, key: str, value: object) -> None:
    for order in ("name,pk", "starts_at,pk", "pk"):
        told = json.dumps(["n", order, [value, 1][: 1 + ("," in order)]]).encode()
        cursor = base64.urlsafe_b64encode(told).decode().rstrip("=")
        answer = get(client, f"rules/?ordering={order.removesuffix(',pk')}&cursor={cursor}", key)
        assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    ("query", "field"), [("limit=0", "limit"), ("limit=x", "limit"), ("limit=-1", "limit"), ("offset=5", "offset")]
)
def test_what_pages_do_not_know_is_refused_by_name(client: Client, shop: Shop, key: str, query: str, field: str) -> None:
    answer = get(client, f"items/?{query}", key)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_visits_that_end_at_one_moment_are_all_told(client: Client, shop: Shop, key: str) -> None:
    now = timezone.now()
    Session.objects.bulk_create(Session(shop=shop, session_id=f"s{n}", started_at=now, last_at=now) for n in range(7))
    told = [row["session_id"] for page in pages(client, "sessions?limit=2", key) for row in page]
    assert sorted(told) == [f"s{n}" for n in range(7)]


def test_lists_ask_few_questions_however_long_they_are(
    client: Client, shop: Shop, key: str, rules: list[MerchandisingRule], django_assert_max_num_queries: Any
) -> None:
    """One for the key, one for the rows; rules look up what they name, by kind."""
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}", currency="") for n in range(300))
    ItemCluster.objects.bulk_create(ItemCluster(shop=shop, name=f"c{n}", size=n) for n in range(60))
    for number in range(1, 40):
        Release.objects.create(shop=shop, number=number, components={})
    get(client, "shops/", key)  # the key's use is noted, once a minute
    for address, most in (("items/?limit=300", 2), ("clusters/?limit=60", 2), ("releases/?limit=39", 2), ("rules/?limit=11", 5)):
        with django_assert_max_num_queries(most):
            assert get(client, address, key).status_code == 200


# Entity tags


def test_a_row_that_the_caller_has_is_not_sent_again(client: Client, shop: Shop, key: str) -> None:
    item = Item.objects.create(shop=shop, external_id="a", price=3)
    cluster = ItemCluster.objects.create(shop=shop, name="c", size=1)
    Release.objects.create(shop=shop, number=1, components={})
    for address in ("items/a/", f"clusters/{cluster.pk}/", "releases/1/"):
        first = get(client, address, key)
        assert first.status_code == 200
        for named in (first["etag"], f'"other", W/{first["etag"]}', "*"):
            again = get(client, address, key, **{"if-none-match": named})
            assert (again.status_code, again.content, again["etag"]) == (304, b"", first["etag"])
        assert get(client, address, key, **{"if-none-match": '"other"'}).status_code == 200
    tag = get(client, "items/a/", key)["etag"]
    item.price = 4
    item.save()
    assert get(client, "items/a/", key, **{"if-none-match": tag}).status_code == 200


def test_nobody_writes_over_what_they_did_not_see(client: Client, shop: Shop, key: str, rules: list[MerchandisingRule]) -> None:
    Item.objects.create(shop=shop, external_id="a", title="A", price=3)
    cluster = ItemCluster.objects.create(shop=shop, name="c", kind=ItemCluster.Kind.MANUAL)
    for address, body in (
        ("items/a/", {"price": 5}),
        (f"clusters/{cluster.pk}/", {"name": "d"}),
        (f"rules/{rules[0].pk}/", {"name": "r"}),
    ):
        tag = get(client, address, key)["etag"]
        told = {"authorization": f"Bearer {key}", "if-match": '"of yesterday"'}
        for method in ("PATCH", "DELETE"):
            stale = client.generic(method, f"/api/v1/{address}", json.dumps(body), content_type="application/json", headers=told)
            assert (stale.status_code, stale.json()["code"]) == (412, "changed_meanwhile")
        assert get(client, address, key)["etag"] == tag, "nothing was changed"
        told["if-match"] = tag
        done = client.patch(f"/api/v1/{address}", json.dumps(body), content_type="application/json", headers=told)
        assert done.status_code == 200, done.content
        assert get(client, address, key)["etag"] != tag


def test_an_item_is_made_only_where_it_is_not(client: Client, shop: Shop, key: str) -> None:
    told = {"authorization": f"Bearer {key}", "if-none-match": "*"}
    put = lambda **headers: client.put("/api/v1/items/n/", '{"title": "N"}', content_type="application/json", headers=headers)  # noqa: E731
    assert put(**told | {"if-match": "*", "if-none-match": ""}).status_code == 412, "there is none to match"
    assert put(**told).status_code == 201
    again = put(**told)
    assert (again.status_code, again.json()["code"]) == (412, "there_already")
