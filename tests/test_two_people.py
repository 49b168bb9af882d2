"""Two people at one thing: each is told of the other, and neither overrules unawares what the other saved meanwhile."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from clusters.models import ClusterSettings, Item, ItemCluster
from personas.models import Archetype, Attribute, Shop
from recommendations import presence, rule_editing
from recommendations.learning.models import AdaptationSettings
from recommendations.models import DraftEdit, MerchandisingRule

pytestmark = pytest.mark.django_db
PRESENT = "admin:recommendations_draftedit_present"


@pytest.fixture
def shop(redis_client: redis.Redis) -> Shop:
    shop = Shop.objects.create(slug="one", name="One")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}", title=f"Item {n}") for n in range(3))
    return shop


@pytest.fixture
def rule(shop: Shop) -> MerchandisingRule:
    item = Item.objects.earliest("pk").pk
    return rule_editing.create(shop=shop, name="Pin", action="pin", slot=1, target={"items": [item]})


def enter(name: str) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser(name))
    return client


def at(rule: MerchandisingRule) -> str:
    return reverse("admin:recommendations_merchandisingrule_change", args=[rule.pk])


def opened(client: Client, rule: MerchandisingRule, page: str | None = None) -> dict[str, Any]:
    """What the page's form would send."""
    text = client.get(at(rule)).content.decode() if page is None else page
    hidden = {name: re.search(rf'name="{name}" value="([^"]*)"', text) for name in ("shown", "told")}
    return {
        "shop": rule.shop_id, "rule": rule.pk, "name": rule.name, "action": rule.action, "slot": rule.slot, "enabled": "on",
        "item": rule.target["items"], "holdout": 0, **{name: found[1] if found else "" for name, found in hidden.items()},
    }  # fmt: skip


def test_who_has_a_thing_open_is_told_to_the_others_until_they_leave(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, ben = enter("anna"), enter("ben")

    def said(client: Client, what: str = "rule-7") -> str:
        return str(client.get(reverse(PRESENT), {"what": what}).json()["said"])

    assert said(anna) == ""
    assert re.fullmatch(r"anna is editing this too, since \d\d:\d\d\.", said(ben))
    assert said(anna).startswith("ben is editing")
    assert said(ben, "rule-8") == "", "another one"
    now = presence.time.time()
    monkeypatch.setattr(presence.time, "time", lambda: now + presence.KEPT_S + 1)
    assert said(anna) == "", "his page gave no sign since"


def test_presence_is_for_those_who_may_edit_and_of_what_there_is(shop: Shop) -> None:
    anna = enter("anna")
    assert anna.get(reverse(PRESENT), {"what": "rule-x"}).json() == {"said": ""}
    assert anna.get(reverse(PRESENT), {"what": "shop-1"}).json() == {"said": ""}
    viewer = Client()
    viewer.force_login(User.objects.create(username="viewer", is_staff=True))
    assert viewer.get(reverse(PRESENT), {"what": "rule-1"}).status_code == 403


def test_what_another_set_meanwhile_of_other_fields_stands(rule: MerchandisingRule) -> None:
    anna, ben = enter("anna"), enter("ben")
    hers, his = opened(anna, rule), opened(ben, rule)
    assert ben.post(at(rule), {**his, "slot": 5}).status_code == 302
    assert anna.post(at(rule), {**hers, "name": "Hers"}).status_code == 302
    rule.refresh_from_db()
    assert (rule.name, rule.slot) == ("Hers", 5)


def test_the_same_field_is_refused_once_with_who_and_what_and_then_it_is_known(rule: MerchandisingRule) -> None:
    anna, ben = enter("anna"), enter("ben")
    hers, his = opened(anna, rule), opened(ben, rule)
    ben.post(at(rule), {**his, "slot": 5, "name": "His"})
    refused = anna.post(at(rule), {**hers, "slot": 3})
    assert refused.status_code == 200
    page = refused.content.decode()
    assert re.search(r"slot is now 5, by ben at \d\d:\d\d", page)
    rule.refresh_from_db()
    assert (rule.slot, rule.name) == (5, "His")
    again = opened(
        anna, MerchandisingRule(pk=rule.pk, shop=rule.shop, name="Pin", action="pin", slot=3, target=rule.target), page
    )
    assert anna.post(at(rule), again).status_code == 302
    rule.refresh_from_db()
    assert (rule.slot, rule.name) == (3, "His"), "what she didn't touch is still his"


@pytest.fixture
def attribute(shop: Shop) -> Attribute:
    row = Attribute.objects.create(shop=shop, key="thrift", name="Thrift", weights={"price_tier=low": 1.0})
    Archetype.objects.create(shop=shop, key="p", name="P", colour="#0072b2", mix={"thrift": 1.0})
    return row


def form_of(client: Client, address: str) -> dict[str, Any]:
    """All that the page's form would send, as a browser does."""
    response = client.get(address)
    form = response.context["adminform"].form
    sent: dict[str, Any] = {"shown": form.watched["shown"], "told": form.watched["told"]}
    for bound in form:
        value = bound.value()
        if isinstance(value, dict):  # rows of names and weights
            sent |= {f"{bound.html_name}-name": list(value), f"{bound.html_name}-weight": list(map(str, value.values()))}
        elif isinstance(value, bool):
            sent |= {bound.html_name: "on"} if value else {}
        elif value is not None:
            sent[bound.html_name] = value
    return sent


def test_plain_forms_merge_and_refuse_likewise(attribute: Attribute) -> None:
    anna, ben = enter("anna"), enter("ben")
    address = reverse("admin:personas_attribute_change", args=[attribute.pk])
    hers, his = form_of(anna, address), form_of(ben, address)
    assert ben.post(address, {**his, "name": "Frugal"}).status_code == 302
    assert anna.post(address, {**hers, "description": "Looks for low prices."}).status_code == 302
    attribute.refresh_from_db()
    assert (attribute.name, attribute.description) == ("Frugal", "Looks for low prices.")
    refused = anna.post(address, {**hers, "name": "Mine"})
    assert refused.status_code == 200
    assert "name is now “Frugal”, by ben at" in refused.content.decode()
    told = refused.context["adminform"].form.watched["told"]
    assert anna.post(address, {**hers, "name": "Mine", "told": told}).status_code == 302
    attribute.refresh_from_db()
    assert (attribute.name, attribute.description) == ("Mine", "Looks for low prices."), "what she said before stands"


def test_settings_of_the_adaptation_are_merged_with_what_is_beside_the_form(shop: Shop) -> None:
    row = AdaptationSettings.objects.create(shop=shop)
    anna, ben = enter("anna"), enter("ben")
    address = reverse("admin:recommendations_adaptationsettings_change", args=[row.pk])
    hers, his = form_of(anna, address), form_of(ben, address)
    assert ben.post(address, {**his, "worth_view_item": "2"}).status_code == 302
    assert anna.post(address, {**hers, "consistent_outside": "3"}).status_code == 302
    row.refresh_from_db()
    assert row.consistent_outside == 3
    assert row.reward_weights == {"view_item": 2.0}, "she didn't touch it"


def test_a_rule_can_wait_as_a_draft(rule: MerchandisingRule) -> None:
    anna = enter("anna")
    response = anna.post(at(rule), {**opened(anna, rule), "slot": 4, "how": "draft"})
    assert response.status_code == 302
    assert response["Location"].endswith("draftedit/?shop=one")
    rule.refresh_from_db()
    assert rule.slot == 1
    assert DraftEdit.objects.get().values == {"fields": {"slot": 4}, "was": {"slot": 1}}


def test_settings_of_builds_are_merged_and_the_same_one_is_refused_once(shop: Shop) -> None:
    anna, ben = enter("anna"), enter("ben")
    ClusterSettings.objects.create(shop=shop)
    url = reverse("admin:clusters_clustersettings_build", args=[shop.pk])

    def form(client: Client) -> dict[str, Any]:
        text = client.get(url).content.decode()
        assert f"what=clustersettings-{shop.pk}" in text
        hidden = {name: re.search(rf'name="{name}" value="([^"]*)"', text) for name in ("shown", "told")}
        row = ClusterSettings.objects.get(shop=shop)
        values = {n: getattr(row, n) for n in ("search_history", "inactivity_minutes", "minimum_support")}
        return values | {name: found[1] if found else "" for name, found in hidden.items()}

    hers, his = form(anna), form(ben)
    anna.post(url, {**hers, "inactivity_minutes": 40})
    assert ben.post(url, {**his, "minimum_support": 9}).status_code == 302
    row = ClusterSettings.objects.get(shop=shop)
    assert (row.inactivity_minutes, row.minimum_support) == (40, 9)
    again = ben.post(url, {**his, "inactivity_minutes": 50})
    assert "inactivity minutes is now 40, by anna at" in again.content.decode()
    assert ClusterSettings.objects.get(shop=shop).inactivity_minutes == 40


def test_who_splits_or_merges_a_cluster_is_told_of_who_has_it_open(shop: Shop) -> None:
    anna = enter("anna")
    clusters = [ItemCluster.objects.create(shop=shop, name=name, size=0) for name in ("Skirts", "Coats")]
    split = anna.get(reverse("admin:clusters_itemcluster_split", args=[clusters[0].pk])).content.decode()
    assert f"what=cluster-{clusters[0].pk}" in split
    merge = anna.get(reverse("admin:clusters_itemcluster_merge"), {"cluster": [c.pk for c in clusters]}).content.decode()
    assert all(f"what=cluster-{c.pk}" in merge for c in clusters)
