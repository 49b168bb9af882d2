"""The REST rows that Django answers: who sees which, and what is said to a request that can't be met."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client

from clusters.models import Item
from personas.models import ApiKey, Shop
from recommendations.models import Release


@pytest.fixture
def key(db: None) -> str:
    """A reading key of the first of two shops that have items and releases of the same names."""
    key = ""
    for slug in ("one", "two"):
        shop = Shop.objects.create(slug=slug, name=slug)
        Item.objects.bulk_create(Item(shop=shop, external_id=f"sku-{n}", title=f"{slug} {n}") for n in range(3))
        Release.objects.create(shop=shop, number=1, components={})
        key = key or ApiKey.objects.issue(shop=shop, name="k", scopes=["read"])[1]
    return key


def get(client: Client, path: str, key: str = "") -> HttpResponse:
    return client.get(path, headers={"authorization": f"Bearer {key}"} if key else {})


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/items/%00/", 404, None),  # no address at all: Django's page
        ("/api/v1/items/none/", 404, "not_found"),
        ("/api/v1/clusters/99999999999999999999/", 404, "not_found"),
        ("/api/v1/releases/x/", 404, "not_found"),
        ("/api/v1/items/?category=%00", 400, "invalid_field"),
    ],
)
def test_what_is_not_there_is_no_500(client: Client, key: str, path: str, status: int, code: str | None) -> None:
    answer = get(client, path, key)
    assert answer.status_code == status
    if code is not None:
        assert (answer["content-type"], answer.json()["code"]) == ("application/problem+json", code)


def test_absurd_pages_are_cut_to_what_is_allowed(client: Client, key: str) -> None:
    answer = get(client, "/api/v1/items/?limit=99999999999999999999", key)
    assert (answer.status_code, len(answer.json()["results"])) == (200, 3)


@pytest.mark.parametrize(("given", "code"), [("", "missing_credentials"), ("wrong", "invalid_key")])
def test_without_a_key_that_is_known_there_is_a_problem(client: Client, key: str, given: str, code: str) -> None:
    answer = get(client, "/api/v1/items/", given)
    assert (answer.status_code, answer["content-type"]) == (401, "application/problem+json")
    assert (answer.json()["code"], answer["www-authenticate"]) == (code, "Bearer")


def test_a_key_without_the_scope_is_told_so(client: Client, key: str) -> None:
    ingest = ApiKey.objects.issue(shop=Shop.objects.get(slug="one"), name="i", scopes=["ingest"])[1]
    answer = get(client, "/api/v1/items/", ingest)
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


def test_a_key_reads_its_own_shop_only(client: Client, key: str) -> None:
    titles = [row["title"] for row in get(client, "/api/v1/items/?shop=two", key).json()["results"]]
    assert titles == ["one 0", "one 1", "one 2"]
    assert get(client, "/api/v1/items/sku-1/", key).json()["title"] == "one 1"


def test_staff_name_the_shop_of_a_row(admin_client: Client, key: str) -> None:
    """Ids are the shops' own: two shops may have the same one."""
    answer = get(admin_client, "/api/v1/items/sku-1/")
    assert (answer.status_code, answer.json()["field"]) == (400, "shop")
    assert get(admin_client, "/api/v1/items/sku-1/?shop=two").json()["title"] == "two 1"
    assert len(get(admin_client, "/api/v1/items/").json()["results"]) == 6


def test_a_filter_that_is_neither_true_nor_false_is_refused(client: Client, key: str) -> None:
    Item.objects.filter(title="one 1").update(in_stock=False)
    told = [row["title"] for row in get(client, "/api/v1/items/?in_stock=true", key).json()["results"]]
    assert told == ["one 0", "one 2"]
    assert len(get(client, "/api/v1/items/?in_stock=", key).json()["results"]) == 3
    for address in (
        "items/?in_stock=maybe",
        "items/?in_stock=null",
        "clusters/?locked=2",
        "rules/?enabled=x",
        "feeds/?enabled=x",
    ):
        answer = get(client, f"/api/v1/{address}", key)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")


def test_an_address_of_the_api_that_is_none_is_a_problem_and_others_are_a_page(client: Client, key: str) -> None:
    answer = get(client, "/api/v1/nothing/", key)
    assert (answer.status_code, answer["content-type"], answer.json()["code"]) == (404, "application/problem+json", "not_found")
    assert "/api/docs/" in answer.json()["detail"]
    assert get(client, "/nothing/")["content-type"].startswith("text/html")
    assert get(client, "/api/v1/items", key).status_code == 301, "a slash that was left out is put in"
