"""The catalogue search over the API: who may, what comes back, and what is said to parameters that can't be taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from clusters.models import Item
from personas.models import ApiKey, Shop


@pytest.fixture
def key(db: None, data_dir: Path) -> str:
    """A reading key of the first of two shops."""
    key = ""
    for slug in ("one", "two"):
        shop = Shop.objects.create(slug=slug, name=slug)
        Item.objects.bulk_create(
            Item(
                shop=shop, external_id=f"{slug}-{n}", title=f"{slug} lamp {n}", category="Lights", brand="Acme", price=n + 1,
                in_stock=n != 2, colour=("red", "blue")[n % 2],
            )
            for n in range(6)
        )  # fmt: skip
        key = key or ApiKey.objects.issue(shop=shop, name="k", scopes=["read"])[1]
    return key


def get(client: Client, query: str, key: str = "", path: str = "search") -> tuple[int, Any]:
    answer = client.get(f"/api/v1/{path}?{query}", headers={"authorization": f"Bearer {key}"} if key else {})
    return answer.status_code, answer.json()


def test_a_key_searches_its_own_shop(client: Client, key: str) -> None:
    status, found = get(client, "q=lmap&count=2&offset=1", key)
    assert (status, found["total"], found["offset"], found["relaxed"]) == (200, 6, 1, False)
    assert [item["item_id"] for item in found["items"]] == ["one-1", "one-3"]
    assert found["words"] == [{"typed": "lmap", "how": "spelling", "read": ["lamp"]}]
    assert found["facets"]["colour"] == [{"value": "blue", "count": 3}, {"value": "red", "count": 3}]
    assert get(client, "q=two", key)[1]["total"] == 0


def test_filters_narrow_and_repeat(client: Client, key: str) -> None:
    def ids(query: str) -> list[str]:
        return [item["item_id"] for item in get(client, f"q=lamp&{query}", key)[1]["items"]]

    assert ids("colour=red") == ["one-0", "one-4", "one-2"], "what is sold out comes after its likes"
    assert ids("colour=red&colour=blue&price_from=5") == ["one-4", "one-5"]
    assert ids("in_stock=false") == ["one-2"]
    assert ids("price_to=1.5&in_stock=1") == ["one-0"]
    assert ids("price_tier=top") == ["one-4", "one-5"]
    assert ids("brand=Bolt") == []


def test_price_and_stock_are_those_of_the_row(client: Client, key: str) -> None:
    assert get(client, "q=lamp", key)[1]["items"][0]["in_stock"]
    Item.objects.filter(external_id="one-0").update(in_stock=False, price=99)
    Item.objects.filter(external_id="one-1").delete()
    items = get(client, "q=lamp", key)[1]["items"]
    assert (items[0]["in_stock"], float(items[0]["price"])) == (False, 99.0)
    assert [item["item_id"] for item in items] == ["one-0", "one-3", "one-4", "one-5", "one-2"], "what is erased is gone at once"


def test_suggestions(client: Client, key: str) -> None:
    status, found = get(client, "q=la", key, "search/suggest")
    assert (status, found["queries"]) == (200, ["lamp"])
    assert found["items"][0] == {"item_id": "one-0", "title": "one lamp 0"}
    assert get(client, "q=li", key, "search/suggest")[1]["categories"] == ["Lights"]
    assert get(client, "q=a&count=1", key, "search/suggest")[1]["brands"] == ["Acme"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=%20", "q"),
        (f"q={'x' * 10_000}", "q"),
        ("q=lamp&count=-1", "count"),
        ("q=lamp&count=many", "count"),
        ("q=lamp&offset=1.5", "offset"),
        ("q=lamp&price_from=cheap", "price_from"),
        ("q=lamp&price_to=nan", "price_to"),
        ("q=lamp&price_tier=4", "price_tier"),
        ("q=lamp&in_stock=maybe", "in_stock"),
        (f"q=lamp&brand={'x' * 200}", "brand"),
        ("q=lamp" + "".join(f"&colour={n}" for n in range(60)), "colour"),
    ],
)
def test_a_bad_parameter_is_named(client: Client, key: str, query: str, field: str) -> None:
    status, problem = get(client, query, key)
    assert (status, problem["code"], problem["field"]) == (400, "invalid_field", field)


@pytest.mark.parametrize("query", ["%00", "%3Cscript%3E", "...", "%F0%9F%8E%89", "%1B%5B2J", "%ff"])
def test_odd_words_find_nothing_and_break_nothing(client: Client, key: str, query: str) -> None:
    status, found = get(client, f"q={query}", key)
    assert (status, found["items"]) == (200, [])
    assert get(client, f"q={query}", key, "search/suggest")[0] == 200


def test_only_readers_and_staff_who_may_view_items(
    client: Client, admin_client: Client, key: str, django_user_model: Any
) -> None:
    ingest = ApiKey.objects.issue(shop=Shop.objects.get(slug="one"), name="i", scopes=["ingest"])[1]
    assert get(client, "q=lamp")[0] == 401
    assert get(client, "q=lamp", ingest)[0] == 403
    assert get(admin_client, "q=lamp")[1]["field"] == "shop"
    assert get(admin_client, "q=lamp&shop=two")[1]["items"][0]["item_id"] == "two-0"
    client.force_login(django_user_model.objects.create_user("bob", is_staff=True))
    assert get(client, "q=lamp&shop=two")[0] == 403


def test_the_schema_tells_of_it(admin_client: Client) -> None:
    paths = admin_client.get("/api/schema/?format=json").json()["paths"]
    names = {parameter["name"] for parameter in paths["/api/v1/search"]["get"]["parameters"]}
    assert {"q", "category", "brand", "colour", "price_tier", "price_from", "price_to", "in_stock", "count", "offset"} <= names
    assert "/api/v1/search/suggest" in paths
