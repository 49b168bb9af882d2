"""What every page of the admin has in common: where one is, lists without rows, forms in lines, pages that one may not see."""

from __future__ import annotations

import html

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.test import Client

from clusters.models import Item
from personas.line_fields import LinesField, PairsField
from personas.models import Shop

pytestmark = pytest.mark.django_db


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == status, path
    return html.unescape(answer.content.decode())


def test_lines_and_pairs_come_back_as_they_were() -> None:
    """What a form shows of a value is read as the same value: the round trip is the oracle."""
    lines, pairs = LinesField(), PairsField()
    for words in ([], ["sale"], ["late summer", "a:b"]):
        assert lines.clean(lines.prepare_value(words)) == words
        assert not lines.has_changed(words, lines.prepare_value(words))
    for known in ({}, {"material": "wool"}, {"fit": "loose: very", "care": ""}):
        assert pairs.clean(pairs.prepare_value(known)) == known


@pytest.mark.parametrize(
    ("text", "told"), [("wool", "Line 1"), ("a: 1\n\n: 2", "Line 3"), ("a: 1\na: 2", "Line 2 names “a” again")]
)
def test_a_line_that_is_no_pair_is_named(text: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PairsField().clean(text)


def test_an_item_is_changed_by_a_form_without_json(admin_client: Client) -> None:
    shop = Shop.objects.create(slug="s", name="S")
    item = Item.objects.create(
        shop=shop, external_id="a", title="Hat", price="4.5000", tags=["sale"], attributes={"material": "wool"}
    )
    shown = page(admin_client, f"clusters/item/{item.pk}/change/")
    assert "material: wool" in shown
    assert 'value="4.50"' in shown
    assert "{" not in shown.split('name="attributes"')[1].split("</textarea>")[0]
    given = {
        "title": "Hat",
        "price": "4.50",
        "tags": "sale\nnew in",
        "attributes": "material: felt\nbrim: wide",
        "in_stock": "on",
    }
    answer = admin_client.post(f"/admin/clusters/item/{item.pk}/change/", given)
    assert answer.status_code == 302, html.unescape(answer.content.decode())[:2000]
    item.refresh_from_db()
    assert item.tags == ["sale", "new in"]
    assert item.attributes == {"material": "felt", "brim": "wide"}


def test_a_shop_s_origins_are_lines_and_a_wrong_one_is_told(admin_client: Client) -> None:
    shop = Shop.objects.create(slug="s", name="S", settings={"clock": "day"})
    given = {
        "name": "S",
        "currency": "EUR",
        "settings": '{"clock": "day"}',
        "allowed_origins": "https://a.example\nhttps://b.example",
    }
    assert admin_client.post(f"/admin/personas/shop/{shop.pk}/change/", given).status_code == 302
    shop.refresh_from_db()
    assert shop.allowed_origins == ["https://a.example", "https://b.example"]
    answer = admin_client.post(f"/admin/personas/shop/{shop.pk}/change/", given | {"allowed_origins": "a.example/path"})
    assert answer.status_code == 200
    assert "a.example/path" in answer.content.decode()
    shop.refresh_from_db()
    assert shop.allowed_origins == ["https://a.example", "https://b.example"]


def test_a_list_without_rows_says_what_to_do_and_one_filtered_empty_how_to_see_all(admin_client: Client) -> None:
    empty = page(admin_client, "clusters/item/")
    assert "No items yet" in empty
    assert "Hand in a file" in empty
    Item.objects.create(shop=Shop.objects.create(slug="s", name="S"), external_id="a", title="Hat")
    filtered = page(admin_client, "clusters/item/?q=nothing-like-it")
    assert "Nothing like that" in filtered
    assert "Show all" in filtered
    assert "0 found" in filtered


def test_the_bar_above_a_page_speaks_the_sidebar_s_words(admin_client: Client) -> None:
    for path, words in (
        ("recommendations/release/", ("Data", "Releases")),
        ("recommendations/experiment/", ("Learning", "Experiments")),
    ):
        bar = page(admin_client, path).split("<h1", 1)[1].split("</h1>", 1)[0]
        assert all(word in bar for word in words)
        assert "Releases and recommendations" not in bar


def test_who_may_not_is_told_so_and_led_back(client: Client) -> None:
    user = User.objects.create_user("v", password="x", is_staff=True)
    user.groups.add(Group.objects.get_or_create(name="Nobody")[0])
    client.force_login(user)
    told = page(client, "personas/shop/add/", status=403)
    assert "Your role doesn’t allow this" in told
    assert 'href="/admin/"' in told
    assert "Http404" not in page(client, "personas/session/visits/0/", status=403)
