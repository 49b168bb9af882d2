"""Storefront pages without a browser: what they hold, what they cost, what they say when something is missing."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from clusters.catalogue import price_tiers
from clusters.models import Item
from personas.models import Archetype, Session, Shop, Shopper
from recommendations.models import Release, TrainingRun
from recommendations.serving.access import read_session_token
from recommendations.web import shoppers
from recommendations.web.cards import money, readable
from recommendations.web.kept import SESSION as COOKIE
from recommendations.web.storefront import price_tier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]
GENERATOR_SEED = 7


@pytest.fixture
def shop() -> Shop:
    return Shop.objects.create(slug="boutique", name="Boutique", currency="USD", demo=True)


@pytest.fixture
def items(shop: Shop) -> list[Item]:
    rng = np.random.default_rng(GENERATOR_SEED)
    return Item.objects.bulk_create(
        Item(
            shop=shop,
            external_id=f"X{i}" if i else "odd/1 &é",
            title=f"{'red' if i % 2 else 'blue'} thing {i}",
            category=("skirts", "blouses")[i % 2],
            colour="red" if i % 2 else "blue",
            price=None if i == 5 else int(rng.integers(3, 12)),
        )
        for i in range(60)
    )


def settings_of(page: Any) -> dict[str, Any]:
    """The settings that the panel's script reads."""
    found = re.search(r'<script id="panel-settings" type="application/json">(.*?)</script>', page.content.decode(), re.S)
    assert found is not None
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


def test_the_only_shop_is_where_the_front_door_leads(client: Client, shop: Shop) -> None:
    assert client.get("/").headers["Location"] == "/shop/boutique/"
    Shop.objects.create(slug="second", name="Second", demo=True)
    Shop.objects.create(slug="private", name="Private", demo=False)
    page = client.get("/").content.decode()
    assert "Boutique" in page
    assert "Second" in page
    assert "Private" not in page


def test_without_a_shop_the_page_says_what_to_do(client: Client) -> None:
    assert "manage.py setup_demo" in client.get("/").content.decode()


def test_home_lists_every_item_once_over_its_pages(client: Client, items: list[Item]) -> None:
    seen: list[str] = []
    for number in (1, 2, 3):
        page = client.get(f"/shop/boutique/?page={number}")
        seen += [card.external_id for card in page.context["cards"]]
    assert sorted(seen) == sorted(item.external_id for item in items)
    assert len(client.get("/shop/boutique/").context["rail"]) == 12


@pytest.mark.usefixtures("items")
def test_queries_do_not_grow_with_the_catalogue(
    client: Client, shop: Shop, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for path, most in (("/shop/boutique/", 12), ("/shop/boutique/item/X3/", 12), ("/shop/boutique/item/X3/picture.svg", 3)):
        with django_assert_max_num_queries(most):
            assert client.get(path).status_code == 200


def test_the_token_opens_the_sessions_own_session(client: Client, shop: Shop, items: list[Item]) -> None:
    page = client.get("/shop/boutique/")
    first = settings_of(page)
    principal = read_session_token(first["token"], now=0)
    assert (principal.shop, principal.session) == (shop.pk, first["session"])
    cookie = page.cookies[COOKIE]
    assert cookie.value == first["session"]
    assert cookie["samesite"] == "Lax"
    assert cookie["httponly"]
    assert settings_of(client.get("/shop/boutique/"))["session"] == first["session"]
    renewed = client.get("/shop/boutique/token/").json()
    assert read_session_token(renewed["token"], now=0).session == first["session"]


@pytest.mark.usefixtures("items")
def test_a_new_session_is_another_one_and_needs_a_post(client: Client) -> None:
    before = settings_of(client.get("/shop/boutique/"))["session"]
    assert client.get("/shop/boutique/new-session/").status_code == 405
    client.post("/shop/boutique/new-session/")
    assert settings_of(client.get("/shop/boutique/"))["session"] != before


@pytest.mark.usefixtures("items")
def test_a_made_up_cookie_is_replaced(client: Client) -> None:
    client.cookies[COOKIE] = "somebody-else's"
    session = settings_of(client.get("/shop/boutique/"))["session"]
    assert re.fullmatch("[0-9a-f]{32}", session)


@pytest.mark.usefixtures("items")
def test_an_item_with_an_odd_id_has_a_page_and_a_picture(client: Client) -> None:
    page = client.get("/shop/boutique/item/odd/1%20&%C3%A9/")
    assert page.context["item"].external_id == "odd/1 &é"
    picture = client.get(page.context["card"].picture)
    assert picture.headers["Content-Type"] == "image/svg+xml"


@pytest.mark.usefixtures("items")
def test_a_picture_is_sent_once(client: Client) -> None:
    first = client.get("/shop/boutique/item/X3/picture.svg")
    assert "max-age=604800" in first.headers["Cache-Control"]
    again = client.get("/shop/boutique/item/X3/picture.svg", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Item.objects.filter(external_id="X3").update(colour="green")
    assert client.get("/shop/boutique/item/X3/picture.svg").headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/shop/nowhere/", "no demo shop “nowhere”"),
        ("/shop/boutique/item/nothing/", "no item “nothing”"),
        ("/shop/boutique/category/hats/", "no category “hats”"),
        ("/elsewhere/", "The page may have moved"),
    ],
)
@pytest.mark.usefixtures("items")
def test_what_is_missing_is_named(client: Client, path: str, said: str) -> None:
    page = client.get(path)
    assert page.status_code == 404
    assert said in page.content.decode()


def test_a_shop_that_is_no_demo_has_no_storefront(client: Client, shop: Shop, items: list[Item]) -> None:
    Shop.objects.update(demo=False)
    assert client.get("/shop/boutique/").status_code == 404
    assert client.get("/shop/boutique/item/X3/picture.svg").status_code == 404


@pytest.mark.usefixtures("items")
def test_before_the_first_release_the_panel_says_how_to_train(client: Client, shop: Shop) -> None:
    page = client.get("/shop/boutique/")
    assert "manage.py train boutique" in page.content.decode()
    assert settings_of(page)["live"] is False
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    page = client.get("/shop/boutique/")
    assert "manage.py train" not in page.content.decode()
    assert settings_of(page)["live"] is True


def test_personas_stand_in_the_merchandisers_order(client: Client, shop: Shop, items: list[Item]) -> None:
    made = [Archetype.objects.create(shop=shop, key=f"p{i}", name=f"P{i}", icon="tag", place=3 - i) for i in range(3)]
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    page = client.get("/shop/boutique/").content.decode()
    assert re.findall(r'<li data-id="(\d+)"><span class="face"', page) == [str(a.pk) for a in reversed(made)]


def test_price_tiers_agree_with_the_catalogues(items: list[Item]) -> None:
    fresh = list(Item.objects.order_by("pk"))
    prices = np.array([np.nan if i.price is None else float(i.price) for i in fresh], dtype=np.float32)
    categories = np.array([i.category == "skirts" for i in fresh])
    oracle = price_tiers(prices, categories).tolist()
    assert [-1 if (tier := price_tier(item)) is None else tier for item in fresh] == oracle
    assert len(set(oracle)) == 5


def test_money_and_titles_by_hand(shop: Shop) -> None:
    assert money(shop, Decimal("1234.5")) == "$1,234.50"
    assert money(shop, None) == ""
    shop.currency = "PLN"
    assert money(shop, Decimal("2.55")) == "2.55 PLN"
    assert readable("WHITE HANGING HEART T-LIGHT HOLDER") == "White hanging heart t-light holder"
    assert readable("navy blue trousers A1") == "navy blue trousers A1"


@pytest.mark.parametrize("folder", ["fashion", "gifts", "outfitter"])
def test_every_persona_of_a_demo_shop_has_its_icon(folder: str) -> None:
    root = Path(__file__).resolve().parent.parent
    drawn = set(re.findall(r'<symbol id="([a-z]+)"', (root / "static" / "icons.svg").read_text()))
    personas = json.loads((root / "data" / folder / "personas.json").read_text())
    assert {a["icon"] for a in personas["archetypes"]} <= drawn
    assert {"tag", "gem", "compass", "repeat", "star", "user"} <= drawn, "those of a shop that brings no personas"


def a_shopper(shop: Shop, external_id: str, visits: int) -> Shopper:
    shopper = Shopper.objects.create(shop=shop, external_id=external_id)
    now = timezone.now()
    Session.objects.bulk_create(
        Session(shop=shop, session_id=f"{external_id}-{n}", shopper=shopper, started_at=now, last_at=now) for n in range(visits)
    )
    return shopper


def tickets(page: Any) -> list[str]:
    return re.findall(r'name="shopper" value="([^"]+)"', page.content.decode())


@pytest.mark.usefixtures("items")
def test_a_visitor_goes_on_as_a_shopper_on_offer_and_the_token_vouches_for_them(
    client: Client, shop: Shop, redis_url: str
) -> None:
    for name, visits in (("seldom", 1), ("ada", 3), ("bea", 2)):
        a_shopper(shop, name, visits)
    page = client.get("/shop/boutique/sign-in/")
    assert re.findall(r"Shopper (\w+)</strong>", page.content.decode()) == ["ada", "bea"], "who came back, most visits first"
    guest = settings_of(client.get("/shop/boutique/"))
    assert read_session_token(guest["token"], now=0).shopper == ""
    chosen, other = tickets(page)
    assert client.post("/shop/boutique/sign-in/", {"shopper": chosen}).status_code == 302
    known = settings_of(client.get("/shop/boutique/"))
    assert known["session"] == guest["session"], "the visit goes on"
    assert read_session_token(known["token"], now=0).shopper == "ada"
    renewed = client.get("/shop/boutique/token/").json()["token"]
    assert read_session_token(renewed, now=0).shopper == "ada"
    client.post("/shop/boutique/sign-in/", {"shopper": other})
    after = settings_of(client.get("/shop/boutique/"))
    assert read_session_token(after["token"], now=0).shopper == "bea"
    assert after["session"] != known["session"], "what one did is not the other's"
    client.post("/shop/boutique/new-session/")
    assert read_session_token(settings_of(client.get("/shop/boutique/"))["token"], now=0).shopper == ""


@pytest.mark.usefixtures("items")
def test_nobody_can_be_who_was_not_offered(client: Client, shop: Shop, redis_url: str) -> None:
    a_shopper(shop, "ada", 2)
    elsewhere = Shop.objects.create(slug="elsewhere", name="Elsewhere", demo=True)
    a_shopper(elsewhere, "ada", 2)
    foreign = tickets(client.get("/shop/elsewhere/sign-in/"))[0]
    for ticket in ("", "ada", foreign, signing.Signer(salt="another").sign_object({"s": shop.pk, "u": "ada"})):
        assert client.post("/shop/boutique/sign-in/", {"shopper": ticket}).status_code == 404
        client.cookies[shoppers.cookie(shop)] = ticket
        assert read_session_token(settings_of(client.get("/shop/boutique/"))["token"], now=0).shopper == ""
    client.cookies.clear()
    client.post("/shop/boutique/sign-in/", {"shopper": tickets(client.get("/shop/boutique/sign-in/"))[0]})
    assert read_session_token(settings_of(client.get("/shop/boutique/"))["token"], now=0).shopper == "ada"
    Shopper.objects.all().delete()
    assert read_session_token(settings_of(client.get("/shop/boutique/"))["token"], now=0).shopper == "", "gone since"


@pytest.mark.usefixtures("items")
def test_who_one_is_in_a_shop_is_not_forgotten_in_another(client: Client, shop: Shop, redis_url: str) -> None:
    """Else a second sign-in here would go on with the session of the first shopper: the page would not know of them."""
    elsewhere = Shop.objects.create(slug="elsewhere", name="Elsewhere", demo=True)
    for place, names in ((shop, ("ada", "bea")), (elsewhere, ("cid",))):
        for name in names:
            a_shopper(place, name, 2)
    ada, bea = tickets(client.get("/shop/boutique/sign-in/"))
    client.post("/shop/boutique/sign-in/", {"shopper": ada})
    client.post("/shop/elsewhere/sign-in/", {"shopper": tickets(client.get("/shop/elsewhere/sign-in/"))[0]})
    before = settings_of(client.get("/shop/boutique/"))
    assert read_session_token(before["token"], now=0).shopper == "ada"
    client.post("/shop/boutique/sign-in/", {"shopper": bea})
    assert settings_of(client.get("/shop/boutique/"))["session"] != before["session"]


@pytest.mark.usefixtures("items")
def test_what_is_simulated_says_so_on_every_page(client: Client, shop: Shop, redis_url: str) -> None:
    paths = ("/shop/boutique/", "/shop/boutique/item/X3/", "/shop/boutique/search/?q=red", "/shop/boutique/sign-in/")
    said = "Invented goods and simulated shoppers"
    assert not any(said in client.get(path).content.decode() for path in paths)
    Shop.objects.update(settings={"simulated": True})
    assert all(said in client.get(path).content.decode() for path in paths)
    Shop.objects.create(slug="second", name="Second", demo=True)
    assert said in client.get("/").content.decode()


@pytest.mark.usefixtures("items")
def test_a_shop_on_its_way_in_says_how_far_it_is(client: Client, shop: Shop) -> None:
    Shop.objects.update(settings={"preparing": True})
    page = client.get("/shop/boutique/").content.decode()
    assert "Boutique is being prepared" in page
    assert "60 goods and 0 past visits are in." in page
    said = client.get("/shop/boutique/progress/").json()
    assert (said["ready"], said["open"], said["waiting"]) == (False, False, True)
    Shop.objects.update(settings={"preparing": True, "preparing_failed": "DemoError: the disk is full."})
    assert "could not be prepared: DemoError: the disk is full." in client.get("/shop/boutique/progress/").json()["said"]
    Shop.objects.update(settings={"preparing": False, "demo_data": "x"})
    assert "learning from them begins" in client.get("/shop/boutique/").content.decode()
    run = TrainingRun.objects.create(
        shop=shop, state=TrainingRun.State.RUNNING, stage="ranking", progress=0.5, started_at=timezone.now()
    )
    assert "ranking, 50 in 100 done" in client.get("/shop/boutique/").content.decode()
    run.delete()
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    assert client.get("/shop/boutique/progress/").json()["ready"] is True


def test_the_front_door_waits_for_a_second_shop_until_it_is_ready(client: Client, shop: Shop, items: list[Item]) -> None:
    second = Shop.objects.create(slug="second", name="Second", demo=True, settings={"preparing": True})
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    assert client.get("/").headers["Location"] == "/shop/boutique/"
    assert 'href="/shop/second/">Second</a>' in client.get("/shop/boutique/").content.decode()
    Release.objects.create(shop=second, number=1, state=Release.State.ACTIVE)
    assert {"Boutique", "Second"} <= set(re.findall(r"<strong>(\w+)</strong>", client.get("/").content.decode()))
