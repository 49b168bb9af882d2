"""Bag, wishes, checkout and what is kept of a visit, without a browser: what they take, refuse and forget."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from clusters.models import Item
from personas.models import Shop
from recommendations.serving.access import read_session_token
from recommendations.web import kept

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]

ADDRESS = {"name": "A", "email": "a@b.example", "street": "1 High St", "postcode": "12345", "city": "T", "country": "Poland"}


@pytest.fixture
def shop() -> Shop:
    return Shop.objects.create(slug="boutique", name="Boutique", currency="USD", demo=True)


@pytest.fixture(autouse=True)
def items(shop: Shop) -> list[Item]:
    return Item.objects.bulk_create(
        Item(shop=shop, external_id=f"X{i}", title=f"thing {i}", category="skirts", price=Decimal(i), in_stock=i != 9)
        for i in range(1, 80)
    )


def change(client: Client, item: str, **fields: Any) -> Any:
    data = {"item": item, **fields}
    return client.post("/shop/boutique/bag/change/", data, headers={"accept": "application/json"})


def lines(answer: Any) -> dict[str, int]:
    return {line["item_id"]: line["quantity"] for line in answer.json()["lines"]}


def test_pieces_are_added_set_and_taken_out(client: Client) -> None:
    assert lines(change(client, "X2", add=2)) == {"X2": 2}
    answer = change(client, "X3", add=1)
    assert lines(answer) == {"X2": 2, "X3": 1}
    assert (answer.json()["count"], answer.json()["total"]) == (3, "$7.00")
    assert lines(change(client, "X2", quantity=5)) == {"X2": 5, "X3": 1}
    assert lines(change(client, "X2", quantity=0)) == {"X3": 1}
    assert lines(change(client, "X3", add=99)) == {"X3": kept.MAX_QUANTITY}


@pytest.mark.parametrize("given", ["", "-1", "1.5", "two", "100", "٣"])
def test_what_is_no_number_of_pieces_is_refused_in_words(client: Client, given: str) -> None:
    change(client, "X2", add=1)
    answer = change(client, "X2", quantity=given)
    assert (answer.status_code, answer.json()["detail"]) == (422, "How many? Give a whole number, 0 to 99.")
    page = client.post("/shop/boutique/bag/change/", {"item": "X2", "quantity": given})
    assert page.status_code == 422
    assert "How many? Give a whole number, 0 to 99." in page.content.decode()
    assert "thing 2" in page.content.decode(), "the bag is as it was"


def test_what_is_out_of_stock_or_not_there_is_refused(client: Client) -> None:
    assert "is out of stock" in change(client, "X9", add=1).json()["detail"]
    assert change(client, "nothing", add=1).status_code == 404
    for i in [i for i in range(1, 60) if i != 9][: kept.MAX_LINES]:
        assert change(client, f"X{i}", add=1).status_code == 200
    assert "different things" in change(client, "X79", add=1).json()["detail"]


def test_a_bag_is_of_one_visit_of_one_shop(client: Client) -> None:
    other = Shop.objects.create(slug="other", name="Other", demo=True)
    change(client, "X2", add=2)
    assert client.get("/shop/other/bag/").context["bag"].count == 0
    # Another shop's cookie is signed for that shop.
    client.cookies[f"shop_bag_{other.pk}"] = client.cookies[f"shop_bag_{Shop.objects.get(slug='boutique').pk}"].value
    assert client.get("/shop/other/bag/").context["bag"].count == 0
    client.post("/shop/boutique/new-session/")
    assert client.get("/shop/boutique/bag/").context["bag"].count == 0


def test_a_page_shows_what_is_known_of_the_goods_not_of_the_log(client: Client, shop: Shop) -> None:
    Item.objects.create(shop=shop, external_id="X0", title="thing 0", attributes={"views": "2265", "size": "m"})
    page = client.get("/shop/boutique/item/X0/")
    assert dict(page.context["facts"]) == {"Size": "m"}


def test_a_made_up_bag_is_none(client: Client, shop: Shop) -> None:
    change(client, "X2", add=2)
    client.cookies[f"shop_bag_{shop.pk}"] = "made:up"
    assert client.get("/shop/boutique/bag/").context["bag"].count == 0


def test_an_order_empties_the_bag_and_is_shown_again_to_its_own_visit_only(client: Client) -> None:
    change(client, "X2", add=2)
    placed = client.post("/shop/boutique/checkout/", ADDRESS)
    assert placed.status_code == 302
    for _ in range(2):
        page = client.get(placed.headers["Location"])
        assert "2 pieces" in page.content.decode()
        assert page.context["panel"]["order"]["items"] == [{"item_id": "X2", "quantity": 2, "price": 2.0}]
        assert page.context["bag"].count == 0
    assert not any("example" in morsel.value for morsel in client.cookies.values()), "the address is forgotten"
    assert Client().get(placed.headers["Location"]).status_code == 404


def test_an_order_of_many_goods_with_long_ids_fits_its_cookie(client: Client, shop: Shop) -> None:
    """A browser drops a cookie of more than 4,096 bytes without a word, and the order with it."""
    names = [f"{n:03}-{hashlib.sha512(str(n).encode()).hexdigest()}"[:128] for n in range(kept.MAX_LINES)]
    Item.objects.bulk_create(Item(shop=shop, external_id=name, title=name, price=Decimal("19.99")) for name in names)
    for name in names:
        change(client, name, add=2)
    placed = client.post("/shop/boutique/checkout/", ADDRESS)
    assert all(len(f"{name}={morsel.value}") < 4_096 for name, morsel in placed.cookies.items())
    assert len(client.get(placed.headers["Location"]).context["panel"]["order"]["items"]) == kept.MAX_LINES


def test_an_address_is_checked_and_an_empty_bag_has_no_checkout(client: Client) -> None:
    assert client.get("/shop/boutique/checkout/").headers["Location"] == "/shop/boutique/bag/"
    change(client, "X2", add=1)
    page = client.post("/shop/boutique/checkout/", {**ADDRESS, "email": "nobody", "country": "Nowhere", "name": "x" * 121})
    assert set(page.context["form"].errors) == {"email", "country", "name"}
    assert client.get("/shop/boutique/bag/").context["bag"].count == 1


def test_what_went_out_of_stock_holds_the_checkout_up_in_words(client: Client) -> None:
    change(client, "X2", add=1)
    Item.objects.filter(external_id="X2").update(in_stock=False)
    assert client.get("/shop/boutique/checkout/").headers["Location"] == "/shop/boutique/bag/"
    assert "Out of stock by now: Thing 2" in client.get("/shop/boutique/bag/").content.decode().replace("thing 2", "Thing 2")


def test_wishes_and_looks_are_kept_latest_first(client: Client) -> None:
    client.get("/shop/boutique/")
    for i in (2, 3, 2):
        client.get(f"/shop/boutique/item/X{i}/")
    assert [c.external_id for c in client.get("/shop/boutique/").context["seen"]] == ["X2", "X3"]
    for item, wished in (("X2", "1"), ("X3", "1"), ("X2", "0")):
        client.post("/shop/boutique/wishes/change/", {"item": item, "wished": wished})
    assert [c.external_id for c in client.get("/shop/boutique/wishes/").context["cards"]] == ["X3"]


@pytest.mark.parametrize("at", ["https://elsewhere.example/", "//elsewhere.example/shop/boutique/", "/admin/", ""])
def test_forms_lead_to_pages_of_the_shop_only(client: Client, at: str) -> None:
    client.get("/shop/boutique/")
    assert client.post("/shop/boutique/pause/", {"paused": "1", "next": at}).headers["Location"] == "/shop/boutique/"
    answer = client.post("/shop/boutique/wishes/change/", {"item": "X2", "next": at})
    assert answer.headers["Location"] == "/shop/boutique/wishes/"


def test_while_paused_a_page_may_ask_as_nobody_only(client: Client) -> None:
    visit = client.get("/shop/boutique/").context["panel"]["session"]
    client.post("/shop/boutique/pause/", {"paused": "1", "next": "/shop/boutique/"})
    panels = [client.get("/shop/boutique/").context["panel"] for _ in range(2)]
    asked_as = {read_session_token(panel["token"], now=0).session for panel in panels}
    assert len(asked_as | {visit}) == 3
    client.post("/shop/boutique/pause/", {"paused": "0"})
    assert client.get("/shop/boutique/").context["panel"]["session"] == visit


def test_lists_are_in_the_order_asked_for(client: Client) -> None:
    cheapest = client.get("/shop/boutique/category/skirts/?sort=cheapest").context["cards"]
    assert [c.external_id for c in cheapest] == [f"X{i}" for i in range(1, 25)]
    dearest = client.get("/shop/boutique/category/skirts/?sort=dearest&page=2").context["cards"]
    assert [c.external_id for c in dearest] == [f"X{i}" for i in range(55, 31, -1)]
    assert client.get("/shop/boutique/category/skirts/?sort=nonsense").status_code == 200


def test_reductions_and_variants_are_told(client: Client, shop: Shop) -> None:
    Item.objects.filter(external_id="X8").update(regular_price=Decimal(10), item_group_id="g", colour="red")
    Item.objects.filter(external_id="X7").update(item_group_id="g", colour="blue")
    page = client.get("/shop/boutique/item/X8/").content.decode()
    assert "$10.00" in page
    assert "20 % less" in page
    assert [said for said, _ in client.get("/shop/boutique/item/X8/").context["variants"]] == ["blue", "red"]
    assert [c.external_id for c in client.get("/shop/boutique/").context["reduced"]] == ["X8"]
    assert client.get("/shop/boutique/item/X5/").context["variants"] == []
