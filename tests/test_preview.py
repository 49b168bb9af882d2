"""A shopper made to order: what the preview shows as unpublished is what publishing serves, and a preview keeps nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from clusters import editing
from clusters.lineage import Actor
from clusters.models import ClusterChange, Item, ItemCluster
from personas.models import Shop
from recommendations import activation, overlays, releases, stories
from recommendations.desk import made_visits
from recommendations.desk.made_visits import Click, Visit
from recommendations.drafts import drafting
from recommendations.drafts import engines as draft_engines
from recommendations.engine import Engine
from recommendations.models import DraftEdit, MerchandisingRule
from recommendations.serving.asks import Ask, request_of
from recommendations.session import Slate
from tests.worlds import World, make_world, train_world

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]
PAGE = "/admin/recommendations/draftedit/preview/"
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(sessions=200)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return train_world(world, most_examples=1_000)


@pytest.fixture
def shop(world: World, engine: Engine, settings: Any, tmp_path: Path, redis_client: redis.Redis) -> Shop:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    c = world.catalogue
    Item.objects.bulk_create(
        Item(
            pk=int(c.item_ids[i]), shop=shop, external_id=c.external_ids[i], title=c.titles[i], colour=c.colours[c.colour[i]],
            category=c.categories[c.category[i]], price=round(float(c.price[i]), 4),
        )
        for i in range(len(c))
    )  # fmt: skip
    activation.activate(releases.publish(shop, engine, metrics={}), by=Actor(ClusterChange.Actor.TRAINING, who="Training 1"))
    overlays.publish_overlay(shop)
    return shop


@pytest.fixture
def anna() -> User:
    return get_user_model().objects.create_superuser("anna")


def visitors(shop: Shop, engine: Engine) -> list[Visit]:
    """Somebody new, somebody like the second persona, and one who looks, searches, buys and bought before."""
    a, b, c = (int(engine.catalogue.item_ids[i]) for i in (0, 1, 20))
    return [
        Visit(NOW),
        Visit(NOW, mix={engine.personas.ids[1]: 1.0}),
        Visit(NOW, bought=(c,), clicks=(Click("view_item", a), Click("search", query="red"), Click("add_to_cart", b))),
    ]


def slates(shop: Shop, engine: Engine) -> list[Slate]:
    """Of each visitor on each page, without what names the version it was made under."""
    found = []
    for visit in visitors(shop, engine):
        state = made_visits.begun(engine, visit, shop=shop.pk)
        item = engine.catalogue.external_ids[0]
        for ask in (
            Ask(count=8),
            Ask(context="similar", count=8, item_id=item),
            Ask(context="complementary", count=8, item_id=item),
            Ask(context="cart", count=8, items=[item]),
        ):
            slate = made_visits.slate(engine, state, request_of(engine, ask, NOW))
            found.append(replace(slate, overlay=0, release=""))
    return found


def numbered(found: list[Slate], clusters: int, rules: int) -> list[Slate]:
    """With clusters and rules beyond these ids counted from -1 down: a sequence doesn't take back what a preview drew from it."""
    fresh = sorted({c for s in found for c in (*s.clusters, *(e.cluster for e in s.items)) if c > clusters})
    acted = sorted({r for s in found for r in (*s.rules, *(r for e in s.items for r in e.rules)) if r > rules})

    def cluster(pk: int) -> int:
        return -1 - fresh.index(pk) if pk in fresh else pk

    def several(pks: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(-1 - acted.index(pk) if pk in acted else pk for pk in pks)

    return [
        replace(
            slate,
            items=tuple(e._replace(cluster=cluster(e.cluster), rules=several(e.rules)) for e in slate.items),
            clusters=tuple(map(cluster, slate.clusters)),
            rules=several(slate.rules),
        )
        for slate in found
    ]


def draft_several(shop: Shop, anna: User) -> None:
    a, b, c = ItemCluster.objects.live().filter(shop=shop).order_by("-size", "pk")[:3]
    best = list(a.memberships.order_by("-weight", "item").values_list("item_id", flat=True))
    for kind, verb, subject, values in (
        ("cluster", "rename", a.pk, {"name": "Picnic"}),
        ("cluster", "exclude", a.pk, {"items": best[:2]}),
        ("cluster", "merge", b.pk, {"others": [c.pk], "name": "Both"}),
        ("cluster", "create", None, {"name": "Own", "items": best[:4]}),
        ("rule", "create", None, {"fields": {"name": "Pin", "action": "pin", "slot": 3, "target": {"items": best[-1:]}}}),
        ("rule", "create", None, {"fields": {"name": "No shoes", "action": "exclude", "target": {"categories": ["shoes"]}}}),
    ):
        drafting.keep(shop, kind, verb, by=anna, subject=subject, values=values)  # type: ignore[arg-type]


def rows() -> dict[str, Any]:
    with connection.cursor() as cursor:
        told = {}
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f'SELECT * FROM "{table}"')
            told[table] = sorted(map(repr, cursor.fetchall()))
        return told


def test_the_preview_shows_what_publishing_serves_and_nothing_is_kept_of_it(shop: Shop, anna: User) -> None:
    served = slates(shop, stories.engine_of(shop))
    known = (
        max(ItemCluster.objects.values_list("pk", flat=True), default=0),
        max(MerchandisingRule.objects.values_list("pk", flat=True), default=0),
    )
    draft_several(shop, anna)
    before = rows()
    made = draft_engines.drafted(shop)
    assert made.differs
    shown = slates(shop, made.then)
    assert rows() == before, "no row, no lineage, no log: all is taken back"
    assert slates(shop, made.now) == served
    assert shown != served
    drafting.publish(shop, by=anna)
    activation.publish_edits(shop)
    overlays.publish_overlay(shop)
    assert numbered(slates(shop, stories.engine_of(shop)), *known) == numbered(shown, *known)
    after = draft_engines.drafted(shop)
    assert not after.differs, "nothing is unpublished any more"


def test_what_waits_for_a_decision_is_left_out_and_told(shop: Shop, anna: User) -> None:
    draft_several(shop, anna)
    ben = get_user_model().objects.create_superuser("ben")
    a = ItemCluster.objects.live().filter(shop=shop).order_by("-size", "pk")[0]
    editing.rename(cluster=a, name="Ben's", by=Actor(ClusterChange.Actor.MERCHANDISER, user=ben, who="ben"))
    made = draft_engines.drafted(shop)
    assert made.notes == ("1 change waits for a decision under Unpublished changes and is left out here.",)
    assert "Ben's" in made.then.clusters.names


def test_a_preview_is_made_once_as_long_as_nothing_changes(
    shop: Shop, anna: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    draft_several(shop, anna)
    made = draft_engines.drafted(shop)
    with django_assert_max_num_queries(9):
        assert draft_engines.drafted(shop) is made
    DraftEdit.objects.latest("pk").delete()
    assert draft_engines.drafted(shop) is not made


def test_a_mix_comes_in_as_earlier_visits_do(engine: Engine) -> None:
    ids = engine.personas.ids
    nobody, like = (
        made_visits.believed(engine, made_visits.begun(engine, Visit(NOW, mix=mix), shop=1)) for mix in ({}, {ids[1]: 1.0})
    )
    expected = 0.5 * np.array([nobody.shares[i] for i in ids]) + 0.5 * np.array([i == ids[1] for i in ids])
    assert np.allclose([like.shares[i] for i in ids], expected), "half of the prior, as of any returning shopper"


# The page


@pytest.fixture
def client_of_anna(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def test_the_address_holds_the_shopper(shop: Shop, anna: User, client_of_anna: Client, engine: Engine) -> None:
    draft_several(shop, anna)
    key, item = engine.personas.archetype_keys[1], engine.catalogue.external_ids[0]
    first = client_of_anna.get(PAGE, {"shop": "boutique", "like": key, "do": f"view_item:{item}", "add": "search:red skirts"})
    assert first.status_code == 302
    address = first["Location"]
    assert f"p.{key}=100" in address
    page = client_of_anna.get(address)
    assert page.context["asked"].does == (("view_item", item), ("search", "red skirts"))
    assert [place.name for place in page.context["places"]] == [
        "Home page", "Item page: similar", "Item page: goes with it", "Cart", "Search",
    ]  # fmt: skip
    assert page.context["places"][4].beside == "for “red skirts”"
    assert page.context["differ"] > 0
    part = client_of_anna.get(address, headers={"HX-Request": "true"})
    assert part["HX-Push-Url"] == address
    assert b"<html" not in part.content
    assert client_of_anna.get(f"{address}&drop=0")["Location"] == address.replace(f"do=view_item%3A{item}&", "")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"do": "view_item:nothing"}, "isn’t in the catalogue"),
        ({"do": "fly:1"}, "nothing that a shopper can do"),
        ({"at": "yesterday"}, "can’t be read"),
        ({"p.{key}": "a lot"}, "must be a number"),
        ({"item": "nothing"}, "isn’t in the catalogue"),
    ],
)
def test_what_cannot_be_meant_is_told_and_the_rest_is_shown(
    shop: Shop, client_of_anna: Client, engine: Engine, query: dict[str, str], words: str
) -> None:
    asked = {name.format(key=engine.personas.archetype_keys[0]): value for name, value in query.items()}
    page = client_of_anna.get(PAGE, {"shop": "boutique", **asked})
    assert page.status_code == 200
    assert words in page.content.decode()
    assert len(page.context["places"]) == 5


def test_the_page_asks_little_however_much_it_shows(
    shop: Shop, anna: User, client_of_anna: Client, django_assert_max_num_queries: DjangoAssertNumQueries, engine: Engine
) -> None:
    draft_several(shop, anna)
    client_of_anna.get(PAGE, {"shop": "boutique"})
    items = [f"view_item:{external}" for external in list(engine.catalogue.external_ids)[:20]]
    with django_assert_max_num_queries(24):
        client_of_anna.get(PAGE, {"shop": "boutique", "do": items})


def test_a_shop_that_nothing_serves_says_what_to_do(client_of_anna: Client, redis_client: redis.Redis) -> None:
    assert "There is no shop yet" in client_of_anna.get(PAGE).content.decode()
    Shop.objects.create(slug="new", name="New")
    assert "Train it first" in client_of_anna.get(PAGE).content.decode()


def test_only_who_may_look_at_all_three_may_preview(shop: Shop) -> None:
    viewer = User.objects.create(username="viewer", is_staff=True)
    client = Client()
    client.force_login(viewer)
    assert client.get(PAGE).status_code == 403
    for codename in ("view_itemcluster", "view_merchandisingrule", "view_archetype"):
        viewer.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(User.objects.get(pk=viewer.pk))
    assert client.get(PAGE, {"shop": "boutique"}).status_code == 200
    found = client.get(reverse("admin:recommendations_draftedit_preview_found", args=[shop.pk]), {"q": "red"})
    assert found.status_code == 200
    assert "Look at" in found.content.decode()
