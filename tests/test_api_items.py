"""Items written over the API: what is taken, what is refused and why, and that it asks for the live overlay."""

from __future__ import annotations

import gzip
import hashlib
import json
from decimal import Decimal

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client

from clusters.models import Item
from personas.models import ApiKey, Shop
from recommendations.overlay_requests import asked

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    shop, far = Shop.objects.create(slug="one", name="One"), Shop.objects.create(slug="two", name="Two")
    Item.objects.create(shop=shop, external_id="a", title="Skirt", category="skirts", price=10, tags=["new"])
    Item.objects.create(shop=far, external_id="far", price=10)
    return shop


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.objects.issue(shop=shop, name="the shop's server", scopes=["read", "manage"])[1]


def call(client: Client, method: str, path: str, key: str = "", body: object = None, raw: str = "") -> HttpResponse:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    data = raw or json.dumps(body)
    return client.generic(method, f"/api/v1/{path}", data, content_type="application/json", headers=headers)


def test_what_an_item_sells_for_is_changed_and_the_rest_stays(client: Client, shop: Shop, key: str) -> None:
    before = Item.objects.get(external_id="a")
    answer = call(client, "PATCH", "items/a/", key, {"price": 8.5, "regular_price": 10, "cost": 3, "in_stock": 0})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["item_id"], told["price"], told["in_stock"]) == ("a", "8.5000", False)
    item = Item.objects.get(external_id="a")
    assert (item.price, item.regular_price, item.cost, item.in_stock) == (Decimal("8.5"), 10, 3, False)
    assert (item.title, item.category, item.tags) == ("Skirt", "skirts", ["new"])
    assert item.updated_at > before.updated_at
    assert call(client, "PATCH", "items/a/", key, {"price": None}).json()["price"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"price": -1}, "price"),
        ({"price": "NaN"}, "price"),
        ({"price": "inf"}, "price"),
        ({"price": 1e12}, "price"),
        ({"cost": True}, "cost"),
        ({"in_stock": None}, "in_stock"),
        ({"in_stock": "perhaps"}, "in_stock"),
        ({"title": "Other"}, "title"),
        ({}, "body"),
        ([], "body"),
    ],
)
def test_what_is_no_offer_is_refused_by_its_name(client: Client, shop: Shop, key: str, body: object, field: str) -> None:
    answer = call(client, "PATCH", "items/a/", key, body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "invalid_field", field)
    assert Item.objects.get(external_id="a").price == 10


def test_a_number_that_json_does_not_have_is_no_json(client: Client, shop: Shop, key: str) -> None:
    assert call(client, "PATCH", "items/a/", key, raw='{"price": NaN}').json()["code"] == "malformed_json"


def test_many_are_written_and_a_bad_one_is_told_by_its_place(client: Client, shop: Shop, key: str) -> None:
    body = {
        "items": [
            {"item_id": "a", "price": 12},
            {"item_id": "b", "title": "Hat", "category": "hats", "price": 5, "in_stock": 3, "tags": ["sun"], "fabric": "straw"},
            {"item_id": "c", "price": -2},
            {"item_id": "b", "price": 6},
            {"title": "nobody"},
            7,
        ]
    }
    answer = call(client, "POST", "items/", key, body).json()
    assert (answer["added"], answer["updated"], answer["rejected"]) == (1, 1, 4)
    told = [(r["index"], r["item_id"], r["status"], r.get("field")) for r in answer["results"]]
    assert told == [
        (0, "a", "updated", None),
        (1, "b", "added", None),
        (2, "c", "rejected", "price"),
        (3, "b", "rejected", "item_id"),
        (4, "", "rejected", "item_id"),
        (5, "", "rejected", "item"),
    ]
    assert all(r["reason"] for r in answer["results"][2:])
    new = Item.objects.get(shop=shop, external_id="b")
    assert (new.title, new.price, new.in_stock, new.tags, new.attributes) == ("Hat", 5, True, ["sun"], {"fabric": "straw"})
    assert Item.objects.get(shop=shop, external_id="a").title == "Skirt"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"title": "a\ud800"}, "title"),
        ({"tags": ["\ud800"]}, "tags"),
        ({"fabric": "\ud800"}, "fabric"),
        ({"fab\ud800": "x"}, "line"),
        ({"item_id": "\ud800"}, "item_id"),
    ],
)
def test_half_of_a_pair_is_refused_and_not_kept(
    client: Client, shop: Shop, key: str, given: dict[str, object], field: str
) -> None:
    """JSON can write it; neither a database, nor Redis, nor an answer holds it, and a shop's overlay would have stopped at it."""
    answer = call(client, "POST", "items/", key, {"items": [{"item_id": "bad", **given}, {"item_id": "good"}]})
    assert answer.status_code == 200
    bad, good = answer.json()["results"]
    assert (bad["status"], bad["field"], bad["reason"], good["status"]) == ("rejected", field, "is not valid Unicode", "added")
    assert not Item.objects.filter(external_id="bad").exists()
    assert call(client, "PATCH", "items/a/", key, {"\ud800": 1}).json()["code"] == "invalid_field"


@pytest.mark.parametrize("items", [None, [], {}, [{"item_id": str(n)} for n in range(501)]])
def test_no_items_or_too_many_are_refused(client: Client, shop: Shop, key: str, items: object) -> None:
    answer = call(client, "POST", "items/", key, {"items": items})
    assert (answer.status_code, answer.json()["field"]) == (400, "items")


def test_a_key_writes_with_manage_and_its_own_shop_only(client: Client, shop: Shop, key: str) -> None:
    reads = ApiKey.objects.issue(shop=shop, name="reads", scopes=["read"])[1]
    for method, path, body in (("PATCH", "items/a/", {"price": 1}), ("POST", "items/", {"items": [{"item_id": "z"}]})):
        assert call(client, method, path, reads, body).status_code == 403
        assert call(client, method, path, "", body).status_code == 401
    assert call(client, "PATCH", "items/far/", key, {"price": 1}).status_code == 404
    assert call(client, "GET", "items/a/", reads).json()["price"] == "10.0000"


@pytest.mark.parametrize(
    ("rights", "patches", "posts"), [((), 403, 403), (("change",), 200, 403), (("add",), 403, 403), (("add", "change"), 200, 200)]
)
def test_staff_write_as_far_as_in_the_admin(
    client: Client, shop: Shop, rights: tuple[str, ...], patches: int, posts: int
) -> None:
    user = get_user_model().objects.create_user("m", password="m", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=[f"{right}_item" for right in (*rights, "view")]))
    client.force_login(user)
    assert call(client, "PATCH", "items/a/?shop=one", body={"price": 2}).status_code == patches
    assert call(client, "POST", "items/?shop=one", body={"items": [{"item_id": "n"}]}).status_code == posts


def test_every_door_asks_for_the_overlay(
    client: Client, shop: Shop, key: str, redis_client: redis.Redis, django_capture_on_commit_callbacks: object
) -> None:
    def asks() -> bool:
        return bool(redis_client.delete(asked(shop.pk)))

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        call(client, "PATCH", "items/a/", key, {"price": 3})
    assert asks()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        call(client, "POST", "items/", key, {"items": [{"item_id": "n"}]})
    assert asks()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        call(client, "POST", "items/", key, {"items": [{"item_id": ""}]})
    assert not asks(), "nothing was written"
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        Item.objects.get(external_id="n").delete()
    assert asks()


# Whole items, many, and none


def send_lines(client: Client, key: str, lines: list[object] | bytes, *, kind: str = "application/x-ndjson") -> HttpResponse:
    body = lines if isinstance(lines, bytes) else b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return client.generic("POST", "/api/v1/items/bulk", body, content_type=kind, headers={"authorization": f"Bearer {key}"})


def test_an_item_is_written_as_a_whole(client: Client, shop: Shop, key: str) -> None:
    made = call(client, "PUT", "items/n/", key, {"title": "New", "price": "15.00 USD", "item_group_id": "g", "fabric": "wool"})
    assert made.status_code == 201
    assert {name: made.json()[name] for name in ("price", "currency", "item_group_id", "attributes", "in_stock")} == {
        "price": "15.0000", "currency": "USD", "item_group_id": "g", "attributes": {"fabric": "wool"}, "in_stock": True,
    }  # fmt: skip
    again = call(client, "PUT", "items/a/", key, {"item_id": "a", "price": 3})
    assert (again.status_code, again.json()["title"], again.json()["tags"], again.json()["currency"]) == (200, "", [], "EUR")
    other = call(client, "PUT", "items/a/", key, {"item_id": "b"})
    assert (other.status_code, other.json()["field"]) == (400, "item_id")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"currency": "XYZ"}, "currency"),
        ({"currency": "euro"}, "currency"),
        ({"currency": "EUR", "price": "3 USD"}, "currency"),
        ({"price": "3 USD", "cost": "2 EUR"}, "cost"),
        ({"price": "3 XYZ"}, "price"),
        ({"item_group_id": ["g"]}, "item_group_id"),
    ],
)
def test_money_and_groups_that_can_not_be_are_refused(
    client: Client, shop: Shop, key: str, given: dict[str, object], field: str
) -> None:
    answer = call(client, "PUT", "items/n/", key, given)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert not Item.objects.filter(external_id="n").exists()


def test_a_deleted_item_is_gone_and_so_are_many(client: Client, shop: Shop, key: str) -> None:
    assert call(client, "DELETE", "items/a/", key).status_code == 204
    assert call(client, "DELETE", "items/a/", key).status_code == 404
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}") for n in range(4))
    answer = call(client, "POST", "items/bulk-delete", key, {"items": ["i0", "i2", "far", "i0", "none"]})
    assert (answer.status_code, answer.json()) == (200, {"deleted": 2, "unknown": ["far", "none"]})
    assert sorted(Item.objects.values_list("external_id", flat=True)) == ["far", "i1", "i3"]
    for items in ([], None, [{}], ["x"] * 501):
        assert call(client, "POST", "items/bulk-delete", key, {"items": items}).json()["field"] == "items"


def test_lines_are_taken_one_by_one_and_may_be_sent_again(client: Client, shop: Shop, key: str) -> None:
    lines = [{"item_id": f"n{n}", "title": f"Item {n}", "price": n, "tags": ["x"]} for n in range(1_203)]
    lines[700] = {"item_id": "n700", "price": "dear"}
    lines[900] = {"title": "nobody"}
    told = send_lines(client, key, [*lines, {"item_id": "a", "price": 10}]).json()
    assert {name: told[name] for name in ("read", "added", "updated", "unchanged", "rejected")} == {
        "read": 1_204, "added": 1_201, "updated": 0, "unchanged": 1, "rejected": 2,
    }  # fmt: skip
    assert [(reject["line"], reject["field"]) for reject in told["rejects"]] == [(701, "price"), (901, "item_id")]
    times = dict(Item.objects.values_list("external_id", "updated_at"))
    lines[5]["price"] = 99
    again = send_lines(client, key, gzip.compress(b"\n".join(json.dumps(line).encode() for line in lines[:600]))).json()
    assert (again["read"], again["updated"], again["unchanged"]) == (600, 1, 599)
    moved = [e for e, at in Item.objects.values_list("external_id", "updated_at") if at != times[e]]
    assert moved == ["n5"]


def test_rejects_are_listed_to_a_thousand_and_all_counted(client: Client, shop: Shop, key: str) -> None:
    told = send_lines(client, key, b'{"title": "nobody"}\n' * 1_500 + b'{"item_id": "last"}\n[1]\nnull\n').json()
    assert (told["rejected"], len(told["rejects"]), told["added"]) == (1_502, 1_000, 1)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"\n", "application/x-ndjson", 400, "malformed_json"),
        (b'[{"item_id": "x"}]', "application/x-ndjson", 400, "malformed_json"),
        (b"\xff\xfe", "application/x-ndjson", 400, "malformed_json"),
        (b'{"item_id": "x"}', "application/json", 415, "json_needed"),
        (b'{"item_id": "x"}', "text/csv", 415, "json_needed"),
    ],
)
def test_what_is_no_lines_of_json_is_refused(
    client: Client, shop: Shop, key: str, body: bytes, kind: str, status: int, code: str
) -> None:
    answer = send_lines(client, key, body, kind=kind)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Item.objects.filter(shop=shop).count() == 1


def test_a_gzip_that_breaks_off_keeps_what_came_before(client: Client, shop: Shop, key: str) -> None:
    noise = [{"item_id": f"n{n}", "title": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(2_000)]
    packed = gzip.compress(b"\n".join(json.dumps(line).encode() for line in noise))
    told = send_lines(client, key, packed[: len(packed) // 2]).json()
    assert 0 < told["added"] < 2_000
    assert "breaks off" in told["broke"]


def test_many_are_written_and_deleted_with_the_rights_for_it_only(client: Client, shop: Shop, key: str) -> None:
    reads = ApiKey.objects.issue(shop=shop, name="reads", scopes=["read"])[1]
    assert send_lines(client, reads, [{"item_id": "z"}]).status_code == 403
    for method, path, body in (
        ("PUT", "items/z/", {}),
        ("DELETE", "items/a/", None),
        ("POST", "items/bulk-delete", {"items": ["a"]}),
    ):
        assert call(client, method, path, reads, body).status_code == 403
    user = get_user_model().objects.create_user("m", password="m", is_staff=True)
    client.force_login(user)
    assert call(client, "POST", "items/bulk-delete?shop=one", body={"items": ["a"]}).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename__in=["delete_item", "view_item"]))
    assert call(client, "PUT", "items/z/?shop=one", body={}).status_code == 403
    assert call(client, "POST", "items/bulk-delete?shop=one", body={"items": ["a"]}).json()["deleted"] == 1
