"""The page of unpublished changes: who sees and may do what, what is published, discarded and brought back, and what it asks."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from clusters import editing
from clusters.editing import Actor
from clusters.models import ClusterChange, ClusterMembership, Item, ItemCluster
from personas import versions
from personas.models import Archetype, Attribute, Shop
from recommendations.desk import draft_pages
from recommendations.drafts import drafting
from recommendations.drafts import outcomes as draft_outcomes
from recommendations.models import AuditEntry, DraftEdit

pytestmark = pytest.mark.django_db
PAGE = "/admin/recommendations/draftedit/"


@pytest.fixture
def shop(redis_client: redis.Redis) -> Shop:
    shop = Shop.objects.create(slug="one", name="One")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}", title=f"Item {n}") for n in range(6))
    return shop


@pytest.fixture
def anna() -> User:
    return get_user_model().objects.create_superuser("anna")


@pytest.fixture
def page(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def make(shop: Shop, name: str) -> ItemCluster:
    cluster = ItemCluster.objects.create(shop=shop, name=name, kind="co_visit", size=2)
    items = Item.objects.filter(shop=shop).order_by("pk")[:2]
    ClusterMembership.objects.bulk_create(ClusterMembership(cluster=cluster, item=item, weight=1.0) for item in items)
    return cluster


def rename(shop: Shop, by: User, cluster: ItemCluster, name: str) -> DraftEdit:
    return drafting.keep(shop, "cluster", "rename", by=by, subject=cluster.pk, values={"name": name}, reason="Spring")


def act(client: Client, what: str, shop: Shop, **sent: Any) -> str:
    """What the page says after a button."""
    response = client.post(reverse(f"admin:recommendations_draftedit_{what}", args=[shop.pk]), sent, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def personas(shop: Shop) -> Attribute:
    attribute = Attribute.objects.create(shop=shop, key="a", name="A", weights={"category=x": 1.0})
    Archetype.objects.create(shop=shop, key="p", name="P", colour="#0072b2", mix={"a": 1.0})
    versions.publish(shop)
    attribute.weights = {"category=x": 0.5}
    attribute.save()
    return attribute


def test_what_is_ticked_is_published_and_what_isnt_stays(shop: Shop, anna: User, page: Client) -> None:
    a, b = make(shop, "A"), make(shop, "B")
    first, second = rename(shop, anna, a, "Picnic"), rename(shop, anna, b, "Beach")
    text = page.get(PAGE).content.decode()
    assert "“A” is called “Picnic”." in text
    assert "Spring" in text
    assert "Published: 1 change." in act(page, "publish", shop, draft=[first.pk])
    assert set(ItemCluster.objects.values_list("name", flat=True)) == {"Picnic", "B"}
    assert list(DraftEdit.objects.values_list("pk", flat=True)) == [second.pk]
    assert "Nothing was ticked" in act(page, "publish", shop)


def test_what_somebody_changed_since_waits_until_one_says_so(shop: Shop, anna: User, page: Client) -> None:
    a = make(shop, "A")
    draft = rename(shop, anna, a, "Picnic")
    ben = get_user_model().objects.create_superuser("ben")
    editing.rename(cluster=a, name="Ben's", by=Actor(ClusterChange.Actor.MERCHANDISER, user=ben, who="ben"))
    text = page.get(PAGE).content.decode()
    assert "Somebody else changed the same since: ben, " in text
    assert "1 change stayed: somebody else changed the same since." in act(page, "publish", shop, draft=[draft.pk])
    act(page, "publish", shop, draft=[draft.pk], anyway=[draft.pk])
    a.refresh_from_db()
    assert a.name == "Picnic"


def test_what_is_discarded_can_be_brought_back_personas_too(shop: Shop, anna: User, page: Client) -> None:
    attribute = personas(shop)
    draft = rename(shop, anna, make(shop, "A"), "Picnic")
    text = page.get(PAGE).content.decode()
    assert "A: category=x 1 → 0.5." in text
    text = act(page, "discard", shop, draft=[draft.pk], personas="1")
    assert "Bring them back" in text
    assert "Everything is published." in text
    assert not versions.unpublished(shop)
    assert "2 changes are back." in act(page, "bring_back", shop)
    assert DraftEdit.objects.get().values == {"name": "Picnic"}
    assert Attribute.objects.get(pk=attribute.pk).weights == {"category=x": 0.5}


def test_personas_go_with_the_rest(shop: Shop, anna: User, page: Client) -> None:
    personas(shop)
    draft = rename(shop, anna, make(shop, "A"), "Picnic")
    text = act(page, "publish", shop, draft=[draft.pk], personas="1")
    assert "Published: 1 change and version 2 of the personas" in text
    assert not versions.unpublished(shop)
    assert "Everything is published." in text


def test_personas_are_said_to_be_seen_after_their_fit_and_edits_at_once() -> None:
    assert draft_pages._reach(edits=True, personas=False) == "Shoppers see it within seconds."
    assert "once the fit is done" in draft_pages._reach(edits=False, personas=True)
    both = draft_pages._reach(edits=True, personas=True)
    assert "the changes within seconds, the personas once the fit is done" in both


def test_a_corner_says_how_much_is_unpublished(shop: Shop, anna: User, page: Client) -> None:
    at = reverse("admin:recommendations_draftedit_count")
    assert page.get(at).status_code == 204
    personas(shop)
    rename(shop, anna, make(shop, "A"), "Picnic")
    assert "2 unpublished changes" in page.get(at).content.decode()


def test_it_is_a_file_too_and_a_kind_alone(shop: Shop, anna: User, page: Client) -> None:
    personas(shop)
    rename(shop, anna, make(shop, "A"), "=1+1")
    lines = b"".join(page.get(PAGE, {"format": "csv"})).decode().splitlines()  # type: ignore[arg-type]
    assert [line.split(",")[0] for line in lines] == ["\ufeffwhat", "cluster", "personas"]
    assert len(b"".join(page.get(PAGE, {"format": "csv", "kind": "personas"})).decode().splitlines()) == 2  # type: ignore[arg-type]
    assert page.get(PAGE, {"shop": "none"}).status_code == 404


def test_who_may_look_sees_what_they_may_look_at_and_who_may_not_change_changes_nothing(shop: Shop, anna: User) -> None:
    draft = rename(shop, anna, make(shop, "A"), "Picnic")
    viewer = User.objects.create(username="viewer", is_staff=True)
    client = Client()
    client.force_login(viewer)
    assert client.get(PAGE).status_code == 403
    assert client.get(reverse("admin:recommendations_draftedit_count")).status_code == 204
    viewer.user_permissions.add(Permission.objects.get(codename="view_merchandisingrule"))
    client.force_login(User.objects.get(pk=viewer.pk))
    assert "Picnic" not in client.get(PAGE).content.decode(), "a draft of a cluster is for those who see clusters"
    viewer.user_permissions.add(Permission.objects.get(codename="view_itemcluster"))
    client.force_login(User.objects.get(pk=viewer.pk))
    text = client.get(PAGE).content.decode()
    assert "Picnic" in text
    assert "Publish what is ticked" not in text
    for what in ("publish", "discard", "bring_back"):
        at = reverse(f"admin:recommendations_draftedit_{what}", args=[shop.pk])
        assert client.post(at, {"draft": [draft.pk]}).status_code == 403
        assert client.get(at).status_code == 405
    assert DraftEdit.objects.count() == 1


def test_many_drafts_are_shown_at_once_and_what_would_become_of_them_is_asked_for_after_and_kept(
    shop: Shop, anna: User, page: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    clusters = [make(shop, f"C{n}") for n in range(draft_outcomes.FEW + 1)]
    DraftEdit.objects.bulk_create(
        DraftEdit(shop=shop, kind="cluster", verb="rename", subject=c.pk, values={"name": f"D{c.pk}"}, by=anna, base="0")
        for c in clusters
    )
    with django_assert_max_num_queries(30):
        text = page.get(PAGE).content.decode()
    part = reverse("admin:recommendations_draftedit_outcomes")
    assert f'hx-get="{part}?shop=one"' in text
    told = page.get(part, {"shop": "one"}).content.decode()
    assert told.count("” is now “") == len(clusters)
    assert part not in told
    with django_assert_max_num_queries(30):
        text = page.get(PAGE).content.decode()
    assert text.count("” is now “") == len(clusters)
    assert part not in text
    ben = get_user_model().objects.create_superuser("ben")
    editing.rename(cluster=clusters[0], name="Ben's", by=Actor(ClusterChange.Actor.MERCHANDISER, user=ben, who="ben"))
    assert part in page.get(PAGE).content.decode(), "what was kept is of before"
    assert "Somebody else changed the same since: ben, " in page.get(part).content.decode()


def test_whose_draft_was_discarded_or_published_is_on_record(shop: Shop, anna: User, page: Client) -> None:
    ben = get_user_model().objects.create_superuser("ben")
    a, b = make(shop, "A"), make(shop, "B")
    drafts = [rename(shop, ben, each, f"Ben's {each.name}") for each in (a, b)]
    act(page, "discard", shop, draft=[drafts[0].pk])
    act(page, "bring_back", shop)
    act(page, "publish", shop, draft=[drafts[1].pk])
    rows = AuditEntry.objects.order_by("pk").values_list("actor", "action", "what")
    told = [row for row in rows if "ben" in row[2]]
    assert [(actor, action) for actor, action, _ in told] == [("anna", "deleted"), ("anna", "made"), ("anna", "changed")]
    assert "Drafted by ben." in told[-1][2]


def test_what_is_brought_back_of_somebody_who_is_gone_is_one_s_own(shop: Shop, anna: User, page: Client) -> None:
    ben = get_user_model().objects.create_superuser("ben")
    act(page, "discard", shop, draft=[rename(shop, ben, make(shop, "A"), "Picnic").pk])
    ben.delete()
    assert "1 change is back." in act(page, "bring_back", shop)
    assert DraftEdit.objects.get().by == anna


def test_the_page_asks_no_more_for_more_shops_and_a_little_for_each_draft(
    shop: Shop, anna: User, page: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(10):
        rename(shop, anna, make(shop, f"C{n}"), f"D{n}")
    page.get(PAGE)
    with django_assert_max_num_queries(30 + 10 * 20):  # each is rehearsed by the verb that publishing takes
        page.get(PAGE)
