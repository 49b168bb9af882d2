"""Items written over the API: what is taken, what is refused and why, and that it asks for the live overlay."""

from __future__ import annotations

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
