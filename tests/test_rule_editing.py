"""The merchandiser's hand on rules: what is taken, what is refused and at which field, and who may do it where."""

from __future__ import annotations

import datetime as dt
import html
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from clusters.cluster_drafts import EditConflict, EditError
from clusters.lineage import Actor
from clusters.models import ClusterChange, Item, ItemCluster
from personas.models import ApiKey, Archetype, Shop
from recommendations import activation, demo, overlays, releases, rule_editing, rule_words
from recommendations.api.rules import Rules
from recommendations.models import MerchandisingRule, RuleTally
from recommendations.ranking.rules import Rule, Scope, Target
from recommendations.reading import read_catalogue, read_rules
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db
MAY = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
PAGE = "admin:recommendations_merchandisingrule"


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shop(settings: Any, tmp_path: Path, redis_client: redis.Redis) -> Shop:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = Shop.objects.create(slug="one", name="One")
    rows = [
        Item(
            shop=shop, external_id=f"i{n}", title=f"Item <{n}>", category="camping" if n < 4 else "home",
            brand="North" if n % 2 else "", colour="red" if n < 2 else "", tags=["sale"] if n == 7 else [], price=10 * n + 10,
        )
        for n in range(8)
    ]  # fmt: skip
    Item.objects.bulk_create(rows)
    far = Shop.objects.create(slug="two", name="Two")
    Item.objects.create(shop=far, external_id="far", category="cars")
    return shop


@pytest.fixture
def ids(shop: Shop) -> dict[str, int]:
    return dict(Item.objects.values_list("external_id", "pk"))


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.objects.issue(shop=shop, name="the shop's server", scopes=["read", "manage"])[1]


def pin(shop: Shop, *items: int, **fields: Any) -> MerchandisingRule:
    return rule_editing.create(
        **{"shop": shop, "name": "Pin", "action": "pin", "slot": 1, "target": {"items": [*items]}} | fields
    )


# Verbs


def test_a_rule_is_read_as_the_engine_takes_it(shop: Shop, ids: dict[str, int]) -> None:
    hunter = Archetype.objects.create(shop=shop, key="hunter", name="Hunter")
    cluster = ItemCluster.objects.create(shop=shop, name="Tents")
    row = rule_editing.create(
        shop=shop,
        name="  Sale ",
        action="boost",
        strength=2,
        target={"items": [ids["i1"]], "brands": ["North"], "attributes": ["tag=sale", "price_tier=top"], "price_max": 90},
        personas=[hunter.pk],
        clusters=[cluster.pk],
        contexts=["home", "cart"],
        starts_at=MAY,
    )
    off = pin(shop, ids["i2"], slot=3, enabled=False)
    assert read_rules(shop) == (
        Rule(
            row.pk,
            "Sale",
            "boost",
            Target(items=(ids["i1"],), brands=("North",), attributes=("tag=sale", "price_tier=top"), price_max=90.0),
            Scope((hunter.pk,), ("home", "cart"), (cluster.pk,), MAY.timestamp(), None),
            strength=2.0,
        ),
    )
    rule_editing.switch(rule=off, on=True)
    assert [rule.slot for rule in read_rules(shop)] == [0, 2], "places count from 0 there"
    rule_editing.retire(rule=row)
    assert [rule.rule_id for rule in read_rules(shop)] == [off.pk]
    rule_editing.restore(rule=row)
    assert len(read_rules(shop)) == 2


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 121}),
        ("action", {"action": "promote"}),
        ("slot", {"slot": None}),
        ("slot", {"slot": 0}),
        ("slot", {"slot": 51}),
        ("slot", {"slot": 10**400}),
        ("slot", {"slot": 1.5}),
        ("slot", {"slot": True}),
        ("strength", {"strength": 2.0}),
        ("strength", {"action": "boost", "slot": None}),
        ("strength", {"action": "boost", "slot": None, "strength": math.nan}),
        ("strength", {"action": "bury", "slot": None, "strength": 1.0}),
        ("strength", {"action": "bury", "slot": None, "strength": math.inf}),
        ("share", {"action": "balance", "slot": None, "share": 0.0}),
        ("share", {"action": "balance", "slot": None, "share": 1.1}),
        ("margin", {"action": "margin", "slot": None, "margin": 1.0}),
        ("margin", {"action": "margin", "slot": None, "margin": math.nan}),
        ("target", {"target": {}}),
        ("target", {"target": [1]}),
        ("target.colour", {"target": {"colour": "red"}}),
        ("target.items", {"target": {"items": [987_654]}}),
        ("target.items", {"target": {"items": ["i1"]}}),
        ("target.categories", {"target": {"categories": ["cars"]}}),
        ("target.brands", {"target": {"brands": ["South"]}}),
        ("target.attributes", {"target": {"attributes": ["red"]}}),
        ("target.attributes", {"target": {"attributes": ["colour=blue"]}}),
        ("target.attributes", {"target": {"attributes": ["size=9"]}}),
        ("target.clusters", {"target": {"clusters": [5]}}),
        ("target.price_min", {"target": {"price_min": -1}}),
        ("target.price_max", {"target": {"price_min": 5, "price_max": 4}}),
        ("target.price_max", {"target": {"price_max": math.nan}}),
        ("personas", {"personas": [99]}),
        ("clusters", {"clusters": [99]}),
        ("contexts", {"contexts": ["checkout"]}),
        ("starts_at", {"starts_at": "tomorrow"}),
        ("starts_at", {"starts_at": dt.datetime(2026, 5, 1)}),
        ("ends_at", {"starts_at": MAY, "ends_at": MAY}),
        ("enabled", {"enabled": "yes"}),
        ("colour", {"colour": "red"}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_its_field_and_nothing_is_written(
    shop: Shop, ids: dict[str, int], field: str, given: dict[str, Any]
) -> None:
    sound = {"name": "Pin", "action": "pin", "slot": 1, "target": {"items": [ids["i1"]]}}
    with pytest.raises(EditError) as refused:
        rule_editing.create(shop=shop, **sound | given)
    assert refused.value.field == field
    assert not MerchandisingRule.objects.exists()


def test_another_shops_items_personas_and_clusters_are_unknown(shop: Shop, ids: dict[str, int]) -> None:
    far = Shop.objects.get(slug="two")
    foreign = {
        "target.items": {"target": {"items": [ids["far"]]}},
        "personas": {"personas": [Archetype.objects.create(shop=far, key="x", name="X").pk]},
        "clusters": {"clusters": [ItemCluster.objects.create(shop=far, name="Far").pk]},
    }
    for field, given in foreign.items():
        with pytest.raises(EditError) as refused:
            pin(shop, ids["i1"], **given)
        assert refused.value.field == field


def test_a_change_keeps_what_it_does_not_name_and_a_new_action_asks_for_its_number(shop: Shop, ids: dict[str, int]) -> None:
    rule = pin(shop, ids["i1"], contexts=["cart"])
    assert rule_editing.change(rule=rule, slot=4, name="Pin") == ["slot"]
    assert (rule.slot, rule.contexts, rule.target) == (4, ["cart"], {"items": [ids["i1"]]})
    assert rule_editing.change(rule=rule, slot=4) == []
    with pytest.raises(EditError, match="strength is missing"):
        rule_editing.change(rule=rule, action="boost")
    assert set(rule_editing.change(rule=rule, action="boost", strength=3.0)) == {"action", "slot", "strength"}
    rule.refresh_from_db()
    assert (rule.action, rule.slot, rule.strength) == ("boost", None, 3.0)


def test_a_rule_that_was_taken_out_is_only_brought_back(shop: Shop, ids: dict[str, int]) -> None:
    rule = pin(shop, ids["i1"])
    assert rule_editing.retire(rule=rule)
    assert not rule_editing.retire(rule=rule)
    for edit in (lambda: rule_editing.change(rule=rule, slot=2), lambda: rule_editing.switch(rule=rule, on=False)):
        with pytest.raises(EditConflict, match="was taken out: restore it first"):
            edit()
    assert rule_editing.restore(rule=rule)
    assert not rule_editing.restore(rule=rule)


def test_a_shop_has_no_more_rules_than_it_may(shop: Shop, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_editing, "MOST_RULES", 2)
    first, _ = pin(shop, ids["i1"]), pin(shop, ids["i2"])
    with pytest.raises(EditConflict, match="one more than the 2"):
        pin(shop, ids["i3"])
    rule_editing.retire(rule=first)
    pin(shop, ids["i3"])
    with pytest.raises(EditConflict, match="one more than the 2"):
        rule_editing.restore(rule=first)


def test_every_edit_asks_for_it_to_act_and_what_changes_nothing_does_not(
    shop: Shop, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Shop] = []
    monkeypatch.setattr(overlays, "request_overlay", asked.append)
    rule = pin(shop, ids["i1"])
    for edit in (
        lambda: rule_editing.change(rule=rule, slot=2),
        lambda: rule_editing.change(rule=rule, slot=2),
        lambda: rule_editing.switch(rule=rule, on=True),
        lambda: rule_editing.switch(rule=rule, on=False),
        lambda: rule_editing.retire(rule=rule),
        lambda: rule_editing.restore(rule=rule),
    ):
        edit()
    assert len(asked) == 5


def test_words_say_what_a_rule_does_where_and_when(shop: Shop, ids: dict[str, int]) -> None:
    hunter = Archetype.objects.create(shop=shop, key="hunter", name="Hunter")
    rule = pin(shop, ids["i1"], ids["i2"], ids["i3"], slot=2, personas=[hunter.pk], contexts=["home"], ends_at=MAY)
    names = rule_words.Names.of([rule])
    assert rule_words.what(rule, names) == "Pins “Item <1>”, “Item <2>” and 1 more to slot 2"
    assert rule_words.where(rule, names) == "On home page, for Hunter"
    assert rule_words.when(rule, MAY) == f"ended {timezone.localtime(MAY):%-d %b %Y, %H:%M}"
    low = MerchandisingRule(name="m", action="margin", margin=0.2, target={"categories": ["home"], "price_min": 5.0})
    assert rule_words.what(low, names) == "Leaves out home, priced from 5 with a margin below 20 %"
    assert rule_words.where(low, names) == "Everywhere"
    assert rule_words.when(low, MAY) == "always"


# Admin


def text(answer: HttpResponse, code: int = 200) -> str:
    assert answer.status_code == code, answer.content[:500]
    return html.unescape(answer.content.decode())


def at(name: str, *args: object) -> str:
    return reverse(f"{PAGE}_{name}", args=args)


def form_of(shop: Shop, **given: Any) -> dict[str, Any]:
    return {"shop": shop.pk, "name": "First", "action": "pin", "slot": 2, "enabled": "on", **given}


def test_a_rule_is_made_changed_taken_out_and_brought_back_in_the_admin(
    merchandiser: Client, shop: Shop, ids: dict[str, int]
) -> None:
    answer = merchandiser.post(at("add"), form_of(shop, item=[ids["i1"]], ids="i3, i1"), follow=True)
    rule = MerchandisingRule.objects.get()
    assert "It acts from the first release on." in text(answer)
    assert (rule.slot, rule.target, rule.created_by.username) == (2, {"items": [ids["i1"], ids["i3"]]}, demo.USER)  # type: ignore[union-attr]
    page = text(merchandiser.get(at("change", rule.pk)))
    assert f'value="{ids["i3"]}" checked' in page
    assert "Pins “Item <1>” and “Item <3>” to slot 2" in page
    merchandiser.post(
        at("change", rule.pk),
        form_of(
            shop, action="balance", slot=7, share="25", categories=["camping"], contexts=["home"], starts_at="2026-05-01T10:00"
        ),
    )
    rule.refresh_from_db()
    assert (rule.action, rule.slot, rule.share, rule.target) == ("balance", None, 0.25, {"categories": ["camping"]})
    assert rule.starts_at is not None
    assert "Bring it back" in text(merchandiser.post(at("retire", rule.pk), follow=True))
    assert "It is taken out" in text(merchandiser.get(at("change", rule.pk)))
    assert "is back" in text(merchandiser.post(at("restore", rule.pk), follow=True))
    told = list(LogEntry.objects.filter(object_id=str(rule.pk)).order_by("pk").values_list("change_message", flat=True))
    assert [words.split(":")[0] for words in told] == ["Made.", "Changed", "Taken out.", "Restored."]


def test_a_condition_whose_cluster_is_gone_is_not_lost_when_the_rule_is_saved(
    merchandiser: Client, shop: Shop, ids: dict[str, int]
) -> None:
    """Without its condition the rule would act on every visit."""
    tents, hikes = (ItemCluster.objects.create(shop=shop, name=name) for name in ("Tents", "Hikes"))
    rule = pin(shop, ids["i1"], clusters=[tents.pk, hikes.pk])
    ItemCluster.objects.filter(pk=tents.pk).update(retired_at=timezone.now())
    page = text(merchandiser.get(at("change", rule.pk)))
    assert "Tents (no longer there)" in page
    assert f'name="clusters" value="{tents.pk}" id="id_clusters_1" checked' in page
    page = text(merchandiser.post(at("change", rule.pk), form_of(shop, item=[ids["i1"]], clusters=[tents.pk, hikes.pk])))
    assert f"Names {tents.pk}, which is no live cluster" in page
    merchandiser.post(at("change", rule.pk), form_of(shop, item=[ids["i1"]], clusters=[hikes.pk]))
    rule.refresh_from_db()
    assert (rule.name, rule.clusters) == ("First", [hikes.pk])


def test_a_rule_with_more_items_than_are_ticked_keeps_them_all_in_their_order(
    merchandiser: Client, shop: Shop, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommendations.desk.clusters.items.MOST_TICKED", 2)
    monkeypatch.setattr("recommendations.desk.rules.forms.MOST_TICKED", 2)
    named = [ids[f"i{n}"] for n in (5, 2, 7, 1)]
    rule = pin(shop, *named)
    page = merchandiser.get(at("change", rule.pk))
    ticked = [row["item"].pk for row in page.context["found"]["rows"]]  # type: ignore[index]
    pasted = page.context["form"]["ids"].value()  # type: ignore[index]
    assert (ticked, pasted.split()) == (named[:2], ["i7", "i1"])
    merchandiser.post(at("change", rule.pk), form_of(shop, item=ticked, ids=pasted))
    rule.refresh_from_db()
    assert (rule.name, rule.target) == ("First", {"items": named})


def test_a_rule_all_of_whose_items_are_gone_does_not_become_one_about_all_items(
    merchandiser: Client, shop: Shop, ids: dict[str, int]
) -> None:
    rule = rule_editing.create(shop=shop, name="m", action="margin", margin=0.2, target={"items": [ids["i1"]]})
    Item.objects.filter(pk=ids["i1"]).delete()
    page = text(merchandiser.post(at("change", rule.pk), form_of(shop, action="margin", margin="20")))
    assert "are all gone" in page
    rule.refresh_from_db()
    assert rule.target == {"items": [ids["i1"]]}


def test_a_refused_switch_is_no_page(merchandiser: Client, shop: Shop, ids: dict[str, int]) -> None:
    """The rule's name is anybody's, and the answer is shown as it is."""
    rule = pin(shop, ids["i1"], name="<script>x</script>")
    rule_editing.retire(rule=rule)
    answer = merchandiser.post(at("switch", rule.pk), {"to": "off"})
    assert (answer.status_code, answer["Content-Type"]) == (409, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Say which items to pin."),
        ({"ids": "i1, nothing"}, "names nothing, which One doesn't have"),
        ({"ids": "i1", "slot": ""}, "Say which slot."),
        ({"ids": "i1", "slot": "99"}, "less than or equal to 50"),
        ({"ids": "i1", "brands": "South"}, "Names South; no item of One has that brand."),
        ({"ids": "i1", "starts_at": "2026-05-02T00:00", "ends_at": "2026-05-01T00:00"}, "Must be after the start."),
    ],
)
def test_what_the_form_cannot_take_is_told_at_its_field_and_typed_things_stay(
    merchandiser: Client, shop: Shop, ids: dict[str, int], given: dict[str, Any], words: str
) -> None:
    page = text(merchandiser.post(at("add"), form_of(shop, **given)))
    assert words.lower() in page.lower()
    assert 'value="First"' in page
    assert not MerchandisingRule.objects.exists()


def test_the_list_says_what_each_does_how_often_and_switches_it(merchandiser: Client, shop: Shop, ids: dict[str, int]) -> None:
    assert "There are no rules yet" in text(merchandiser.get(at("changelist")))
    rule = pin(shop, ids["i1"], name="Lantern")
    today = timezone.now().astimezone(dt.UTC).date()
    for back, slates in ((0, 1_200), (6, 4), (7, 9_000)):
        RuleTally.objects.create(rule=rule, day=today - dt.timedelta(days=back), slates=slates, items=2 * slates)
    gone = pin(shop, ids["i2"], name="Gone")
    rule_editing.retire(rule=gone)
    page = text(merchandiser.get(at("changelist")))
    assert "Pins “Item <1>” to slot 1" in page
    assert "1,204 slates" in page, "of the last seven days"
    assert "Gone" not in page
    assert "Gone" in text(merchandiser.get(at("changelist"), {"out": "yes"}))
    button = text(merchandiser.post(at("switch", rule.pk), {"to": "off"}, headers={"HX-Request": "true"}))
    assert 'aria-checked="false"' in button
    rule.refresh_from_db()
    assert not rule.enabled
    merchandiser.post(at("changelist"), {"action": "switch_on", "_selected_action": [rule.pk]})
    rule.refresh_from_db()
    assert rule.enabled


def test_the_list_needs_no_more_queries_for_more_rules(merchandiser: Client, shop: Shop, ids: dict[str, int]) -> None:
    counts = []
    for _ in range(2):
        for n in range(3):
            pin(shop, ids[f"i{n}"])
        with CaptureQueriesContext(connection) as captured:
            text(merchandiser.get(at("changelist")))
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_who_may_look_sees_the_rules_and_changes_none(viewer: Client, shop: Shop, ids: dict[str, int]) -> None:
    rule = pin(shop, ids["i1"])
    assert "Pins “Item <1>” to slot 1" in text(viewer.get(at("changelist")))
    assert "You may look at rules" in text(viewer.get(at("change", rule.pk)))
    text(viewer.get(at("conflicts")))
    assert viewer.get(at("add")).status_code == 403
    for url, data in (
        (at("add"), form_of(shop, ids="i1")),
        (at("change", rule.pk), form_of(shop, ids="i1")),
        (at("switch", rule.pk), {"to": "off"}),
        (at("retire", rule.pk), {}),
        (at("restore", rule.pk), {}),
    ):
        assert viewer.post(url, data).status_code == 403, url
    viewer.post(at("changelist"), {"action": "switch_off", "_selected_action": [rule.pk]})
    rule.refresh_from_db()
    assert (rule.enabled, rule.retired_at, MerchandisingRule.objects.count()) == (True, None, 1)
    nobody = Client()
    nobody.force_login(get_user_model().objects.create(username="nobody", is_staff=True))
    for url in (at("changelist"), at("change", rule.pk), at("conflicts"), at("found", shop.pk)):
        assert nobody.get(url).status_code == 403, url
    assert nobody.post(at("tried", shop.pk), form_of(shop)).status_code == 403


@pytest.fixture
def served(shop: Shop) -> Shop:
    """The shop with the items of a small world, a release of it, and its personas as rows."""
    world = make_world(sessions=150)
    Item.objects.filter(shop=shop).delete()
    catalogue = world.catalogue
    Item.objects.bulk_create(
        Item(
            shop=shop, external_id=catalogue.external_ids[p], title=catalogue.titles[p],
            category=catalogue.categories[catalogue.category[p]], colour=catalogue.colours[catalogue.colour[p]],
            price=round(float(catalogue.price[p]), 2),
        )
        for p in range(len(catalogue))
    )  # fmt: skip
    engine = train_world(replace(world, catalogue=read_catalogue(shop)))
    made = releases.publish(shop, engine, metrics={})
    activation.activate(made, by=Actor(ClusterChange.Actor.TRAINING, who="Training 1"))
    return shop


def tried(client: Client, shop: Shop, **given: Any) -> str:
    return text(client.post(at("tried", shop.pk), form_of(shop, **given)))


def test_a_page_shows_what_a_rule_will_come_to_before_it_is_saved(viewer: Client, served: Shop) -> None:
    page = tried(viewer, served, action="exclude", categories=["skirts"])
    assert ">18</b> of 72 items" in page
    assert "A home page before and after" in page
    assert "goes" in page
    page = tried(viewer, served, ids="sku-70", slot=3, name="")
    assert ">1</b> of 72 items" in page
    pinned = Item.objects.get(shop=served, external_id="sku-70").title
    assert [words.split("<")[0] for words in page.split("With it</h4>")[1].split("<span>")[1:]][2].strip() == pinned
    assert "No item's cost is known" in tried(viewer, served, action="margin", margin=20)
    assert "<b>Which items:</b> Say which items to pin." in tried(viewer, served)
    assert "doesn't act on this visit" in tried(
        viewer, served, ids="sku-70", starts_at="2019-01-01T00:00", ends_at="2019-02-01T00:00"
    )
    assert not MerchandisingRule.objects.exists()


@pytest.mark.parametrize(
    ("context", "place"),
    [("similar", "Items like “"), ("complementary", "What goes with “"), ("cart", "A cart with “"), ("search", "A search for “")],
)
def test_a_rule_for_another_place_is_shown_there(viewer: Client, served: Shop, context: str, place: str) -> None:
    title = dict(Item.objects.filter(shop=served).values_list("external_id", "title"))
    page = tried(viewer, served, ids="sku-70", slot=3, contexts=[context])
    assert place in page
    assert "A home page" not in page
    assert "doesn't act on this visit" not in page
    assert [words.split("<")[0].strip() for words in page.split("With it</h4>")[1].split("<span>")[1:]][2] == title["sku-70"]
    assert "A home page" in tried(viewer, served, ids="sku-70", slot=3, contexts=[context, "home"])


def test_a_pin_far_down_is_shown_where_it_stands(viewer: Client, served: Shop) -> None:
    pinned = Item.objects.get(shop=served, external_id="sku-70").title
    page = tried(viewer, served, ids="sku-70", slot=20)
    assert [words.split("<")[0].strip() for words in page.split("With it</h4>")[1].split("<span>")[1:]][19] == pinned


def test_rules_in_each_others_way_are_told_in_the_list_and_before_saving(viewer: Client, served: Shop) -> None:
    items = dict(Item.objects.filter(shop=served).values_list("external_id", "pk"))
    pin(served, items["sku-70"], name="Shoe")
    rule_editing.create(shop=served, name="No shoes", action="exclude", target={"categories": ["shoes"]})
    pin(served, items["sku-1"], name="Cart", contexts=["cart"])
    page = text(viewer.get(at("conflicts")))
    assert "“No shoes” leaves out all of its items that “Shoe” pins" in page
    assert "“Cart” pins to slot 1, and so does “Shoe”, which came first and wins" in page
    page = tried(viewer, served, ids="sku-2", slot=1, contexts=["search"])
    assert "so does “Shoe”" in page
    assert "so does “Cart”" not in page, "those two never meet"


# API


def call(client: Client, method: str, path: str, key: str = "", body: object = None) -> HttpResponse:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    data = "" if body is None else json.dumps(body)
    return client.generic(method, f"/api/v1/{path}", data, content_type="application/json", headers=headers)


def test_rules_over_the_api(client: Client, shop: Shop, key: str, ids: dict[str, int]) -> None:
    body = {"name": "Lantern", "action": "pin", "slot": 3, "target": {"items": ["i3", "i1"]}, "starts_at": "2026-05-01T00:00:00Z"}
    answer = call(client, "POST", "rules/", key, body)
    made = answer.json()
    assert answer.status_code == 201, made
    assert made["target"] == {"items": ["i3", "i1"]}
    assert (made["slot"], made["does"], made["acts"], made["enabled"]) == (
        3, "Pins “Item <3>” and “Item <1>” to slot 3", "Everywhere", True,
    )  # fmt: skip
    assert MerchandisingRule.objects.get().target == {"items": [ids["i3"], ids["i1"]]}
    at = f"rules/{made['id']}/"
    assert call(client, "PATCH", at, key, {"enabled": False}).json()["enabled"] is False
    assert call(client, "PATCH", at, key, {"slot": 9}).json()["slot"] == 9
    call(client, "POST", "rules/", key, {"name": "B", "action": "margin", "margin": 0.1})
    assert [r["name"] for r in call(client, "GET", "rules/?ordering=-name", key).json()["results"]] == ["Lantern", "B"]
    assert [r["name"] for r in call(client, "GET", "rules/?action=margin", key).json()["results"]] == ["B"]
    assert [r["name"] for r in call(client, "GET", "rules/?enabled=false", key).json()["results"]] == ["Lantern"]
    RuleTally.objects.create(rule_id=made["id"], day=timezone.now().astimezone(dt.UTC).date(), slates=3, items=4)
    tallies = call(client, "GET", f"{at}tallies/?days=2", key).json()
    assert (tallies["slates"], tallies["items"], len(tallies["days"])) == (3, 4, 1)
    assert call(client, "DELETE", at, key).json()["retired_at"] is not None
    assert [r["name"] for r in call(client, "GET", "rules/", key).json()["results"]] == ["B"]
    assert [r["name"] for r in call(client, "GET", "rules/?retired=true", key).json()["results"]] == ["Lantern"]
    assert call(client, "PATCH", at, key, {"slot": 2}).status_code == 409
    assert call(client, "POST", f"{at}restore/", key).json()["retired_at"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "pin"}, "name"),
        ({"name": "x", "action": "promote"}, "action"),
        ({"name": "x", "action": "pin", "slot": 1, "target": {"items": ["far"]}}, "target.items"),
        ({"name": "x", "action": "pin", "slot": 1, "target": {"item": ["i1"]}}, "target.item"),
        ({"name": "x", "action": "pin", "slot": 77, "target": {"items": ["i1"]}}, "slot"),
        ({"name": "x", "action": "pin", "slot": 10**400, "target": {"items": ["i1"]}}, "slot"),
        ({"name": "x", "action": "exclude"}, "target"),
        ({"name": "x", "action": "exclude", "target": {"price_max": "low"}}, "target.price_max"),
        ({"name": "x", "action": "margin", "margin": 0.2, "contexts": ["checkout"]}, "contexts"),
        ({"name": "x", "action": "margin", "margin": 0.2, "personas": [77]}, "personas"),
        ({"name": "x", "action": "margin", "margin": 0.2, "ends_at": "never"}, "ends_at"),
        ({"name": "x", "action": "margin", "margin": 0.2, "colour": "red"}, "colour"),
    ],
)
def test_the_api_names_the_field_at_fault(client: Client, shop: Shop, key: str, body: dict[str, Any], field: str) -> None:
    answer = call(client, "POST", "rules/", key, body)
    assert answer.status_code == 400
    assert answer.json()["field"].split("[")[0] == field, answer.json()
    assert not MerchandisingRule.objects.exists()


def test_who_may_do_what_over_the_api(
    client: Client, shop: Shop, viewer: Client, merchandiser: Client, ids: dict[str, int]
) -> None:
    rule = pin(shop, ids["i1"])
    reads = ApiKey.objects.issue(shop=shop, name="reader", scopes=["read"])[1]
    far = ApiKey.objects.issue(shop=Shop.objects.get(slug="two"), name="far", scopes=["read", "manage"])[1]
    body = {"name": "x", "action": "margin", "margin": 0.2}
    writes = [
        ("POST", "rules/?shop=one", body), ("PATCH", f"rules/{rule.pk}/", {"slot": 2}), ("DELETE", f"rules/{rule.pk}/", None),
        ("POST", f"rules/{rule.pk}/restore/", None),
    ]  # fmt: skip
    anonymous = Client()
    for method, path, given in writes:
        assert call(anonymous, method, path, body=given).status_code == 401
        assert call(anonymous, method, path, reads, given).status_code == 403
        assert call(viewer, method, path, body=given).status_code == 403
        if method != "POST" or "restore" in path:
            assert call(anonymous, method, path, far, given).status_code == 404
    rule.refresh_from_db()
    assert (rule.slot, rule.retired_at) == (1, None)
    for who, which in ((anonymous, reads), (viewer, "")):
        assert call(who, "GET", f"rules/{rule.pk}/", which).status_code == 200
        assert call(who, "GET", f"rules/{rule.pk}/tallies/", which).status_code == 200
    assert call(anonymous, "GET", "rules/").status_code == 401
    assert call(merchandiser, "PATCH", f"rules/{rule.pk}/", body={"slot": 5}).status_code == 200
    assert LogEntry.objects.get(object_id=str(rule.pk)).change_message == "Changed: slot."


def test_the_schema_tells_of_rules() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(schema)
    assert {"/api/v1/rules/", "/api/v1/rules/{id}/", "/api/v1/rules/{id}/tallies/", "/api/v1/rules/{id}/restore/"} <= set(
        schema["paths"]
    )
    assert Rules.ordering_fields


def test_a_new_rule_is_for_the_shop_that_the_address_names_by_id_or_by_name(shop: Shop, merchandiser: Client) -> None:
    other = Shop.objects.create(slug="zeal", name="Zeal")
    for named in ("zeal", str(other.pk)):
        assert merchandiser.get(at("add"), {"shop": named}).context["shop"] == other
    assert merchandiser.get(at("add"), {"shop": "nobodys"}).status_code == 404
    assert merchandiser.get(at("add")).context["shop"] == shop
