"""The benchmark of the desk's pages: what it sends is what a browser would; the form of a rule as it stands is one of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from personas.models import Archetype, Shop
from recommendations.benchmarks.desk_asks import fields

PAGE = """
<form id="other"><input name="not" value="mine"></form>
<form method="post" id="mine">
  <input type="hidden" name="shop" value="3"><input name="name" value="Sale &amp; more"><input name="empty">
  <input type="checkbox" name="tick" value="1" checked><input type="checkbox" name="tick" value="2">
  <input type="checkbox" name="tick" value="3" checked>
  <select name="kind"><option value="a">A</option><option value="b" selected>B</option></select>
  <textarea name="ids">
x-1
x-2</textarea>
  <input type="submit" name="how" value="save"><button name="how" value="draft">Draft</button>
</form>
"""


def test_a_form_is_read_as_a_browser_sends_it() -> None:
    sent = fields(SimpleNamespace(content=PAGE.encode()), 'id="mine"')
    assert sent == {
        "shop": ["3"], "name": ["Sale & more"], "empty": [""], "tick": ["1", "3"], "kind": ["b"], "ids": ["x-1\nx-2"],
    }  # fmt: skip
    with pytest.raises(ValueError, match="no form"):
        fields(SimpleNamespace(content=PAGE.encode()), 'id="gone"')


@pytest.mark.django_db
def test_boxes_of_a_rules_form_say_what_is_ticked(admin_client: Client) -> None:
    shop = Shop.objects.create(slug="boxes", name="Boxes")
    _, two = (Archetype.objects.create(shop=shop, key=key, name=f"{key} <b>") for key in ("saver", "spender"))
    add = reverse("admin:recommendations_merchandisingrule_add")
    page = admin_client.get(f"{add}?shop={shop.pk}")
    assert "personas" not in fields(page, 'id="rule-form"')
    assert "saver &lt;b&gt;" in page.content.decode()
    # Sent without a name, it comes back as it was filled in.
    sent = fields(page, 'id="rule-form"') | {"personas": [str(two.pk)], "contexts": ["cart", "home"]}
    back = fields(admin_client.post(f"{add}?shop={shop.pk}", sent), 'id="rule-form"')
    assert back["personas"] == [str(two.pk)]
    assert sorted(back["contexts"]) == ["cart", "home"]
