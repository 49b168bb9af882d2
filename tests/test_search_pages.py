"""The storefront's search page without a browser: what it lists, what it says, and that its address holds its state."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from clusters.models import Item
from personas.models import Shop

pytestmark = pytest.mark.django_db
AT = "/shop/boutique/search/"


@pytest.fixture(autouse=True)
def shop(data_dir: Path) -> Shop:
    shop = Shop.objects.create(slug="boutique", name="Boutique", currency="USD", demo=True)
    Item.objects.bulk_create(
        Item(
            shop=shop,
            external_id=f"X{i}",
            title=f"{'RED' if i % 2 else 'BLUE'} THING {i}",
            category=("skirts", "blouses")[i % 2],
            colour="red" if i % 2 else "blue",
            brand="Acme & Sons",
            price=None if i == 5 else 3 + i % 7,
            in_stock=i != 7,
        )
        for i in range(60)
    )
    return shop


def text_of(page: HttpResponse) -> str:
    return re.sub(r"\s+", " ", page.content.decode())


def titles(page: Any) -> list[str]:
    return [card.title for card in page.context["cards"]]


def test_every_word_is_found_and_told_to_the_panel(client: Client) -> None:
    page = client.get(f"{AT}?q=RED++thing")
    assert page.context["page"].paginator.count == 30
    assert all(title.startswith("Red thing") for title in titles(page))
    settings = re.search(r'<script id="panel-settings" type="application/json">(.*?)</script>', page.content.decode(), re.S)
    assert settings is not None
    assert json.loads(settings[1])["query"] == "RED thing"
    assert client.get(f"{AT}?q=").status_code == 302
    assert client.get("/shop/nowhere/search/?q=red").status_code == 404


def test_a_misspelled_word_is_said_to_be_read_otherwise(client: Client) -> None:
    page = client.get(f"{AT}?q=bleu+thing")
    assert page.context["page"].paginator.count == 30
    assert "Showing results for <strong>“blue thing”</strong>" in text_of(page)
    assert "Showing results for" not in text_of(client.get(f"{AT}?q=blue+things")), "a plural is no mistake"


def test_what_is_relaxed_is_said_in_words(client: Client) -> None:
    page = text_of(client.get(f"{AT}?q=red+zebra"))
    assert "No item goes by all of these words; these go by some of them. Nothing here goes by “zebra”." in page


def test_nothing_found_leads_on(client: Client) -> None:
    page = text_of(client.get(f"{AT}?q=zebra"))
    assert "Nothing here goes by “zebra”." in page
    assert 'href="/shop/boutique/category/skirts/"' in page


def test_choices_narrow_and_can_be_taken_back(client: Client) -> None:
    page = client.get(f"{AT}?q=thing&colour=red&price_to=5&in_stock=true")
    rows = Item.objects.filter(colour="red", price__lte=5, in_stock=True)
    assert page.context["page"].paginator.count == rows.count() > 0
    said = text_of(page)
    assert 'name="colour" value="red" checked' in said
    assert 'href="?q=thing&amp;price_to=5&amp;in_stock=true"' in said, "the page without the colour"
    assert 'href="?q=thing&amp;colour=red&amp;in_stock=true"' in said, "the page without the price"
    none = text_of(client.get(f"{AT}?q=thing&colour=green"))
    assert "Nothing that goes by “thing” is left." in none
    assert '<a href="?q=thing">all of them</a>' in none


def test_words_and_choices_survive_the_pages(client: Client) -> None:
    page = client.get(f"{AT}?q=%26+thing&brand=Acme+%26+Sons")
    assert 'href="?q=%26+thing&amp;brand=Acme+%26+Sons&amp;page=2"' in page.content.decode()
    every = [t for n in (1, 2, 3) for t in titles(client.get(f"{AT}?q=thing&page={n}"))]
    assert len(set(every)) == 60
    assert titles(client.get(f"{AT}?q=thing&page=99")) == titles(client.get(f"{AT}?q=thing&page=3"))


@pytest.mark.parametrize(
    "query",
    [
        "q=%00x", "q=...", "q=%F0%9F%8E%89", "q=" + "x" * 10_000, "q=%3Cscript%3Ealert(1)%3C/script%3E", "q=thing&page=-1",
        "q=thing&page=x", "q=thing&page=" + "9" * 30, "q=thing&price_from=cheap&price_to=nan", "q=thing&price_tier=x",
        "q=thing&colour=%00", "q=thing&in_stock=perhaps", "q=%1B%5B2J",
    ],
)  # fmt: skip
def test_no_address_breaks_the_page(client: Client, query: str) -> None:
    page = client.get(f"{AT}?{query}")
    assert page.status_code == 200
    assert "<script>alert" not in page.content.decode()
    assert client.get(f"{AT}suggest/?{query}").status_code == 200


def test_prices_keep_their_digits_in_addresses(client: Client) -> None:
    page = client.get(f"{AT}?q=thing&price_from=0.25&price_to=1234567.89")
    assert "price_from=0.25&price_to=1234567.89" in page.context["carry"]
    for beyond in ("1e300", "-1e300", "inf", "nan"):
        page = client.get(f"{AT}?q=thing&price_from={beyond}")
        assert (page.status_code, page.context["filters"].price_from) == (200, None)


def test_price_and_stock_come_from_the_row(client: Client) -> None:
    assert "Out of stock" not in text_of(client.get(f"{AT}?q=thing+12"))
    Item.objects.filter(external_id="X12").update(in_stock=False, price=999)
    page = text_of(client.get(f"{AT}?q=thing+12"))
    assert "Out of stock" in page
    assert "$999.00" in page
    Item.objects.filter(external_id="X12").delete()
    assert titles(client.get(f"{AT}?q=thing+12")) == []


def test_suggestions_lead_somewhere(client: Client) -> None:
    groups = {g["label"]: g["options"] for g in client.get(f"{AT}suggest/?q=b").json()["groups"]}
    assert {"text": "blue", "url": f"{AT}?q=blue"} in groups["Searches"]
    assert groups["Categories"] == [{"text": "Blouses", "url": "/shop/boutique/category/blouses/"}]
    assert len(groups["Items"]) == 4
    assert {"text", "note", "url", "picture"} == set(groups["Items"][0])
    for group in groups.values():
        assert client.get(group[0]["url"]).status_code == 200
    assert client.get(f"{AT}suggest/?q=acm").json()["groups"][1]["options"] == [
        {"text": "Acme & Sons", "url": f"{AT}?q=Acme+%26+Sons"}
    ]
    assert client.get(f"{AT}suggest/").json() == {"groups": []}
    assert client.post(f"{AT}suggest/").status_code == 405


def test_an_empty_shop_can_be_searched(client: Client) -> None:
    Item.objects.all().delete()
    page = client.get(f"{AT}?q=thing")
    assert page.status_code == 200
    assert "Nothing here goes by “thing”" in text_of(page)
