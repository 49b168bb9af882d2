"""A cluster change's page: told as a story, by whom and with what, and how it is taken back."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from clusters import editing
from clusters.editing import Actor
from clusters.models import ClusterChange, Item, ItemCluster
from tests.proposal_shops import bare_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(client: Client) -> User:
    user = User.objects.create_superuser("ada", password="correct horse")
    client.force_login(user)
    return user


def read(client: Client, change: ClusterChange) -> str:
    answer = client.get(reverse("admin:clusters_clusterchange_change", args=[change.pk]))
    assert answer.status_code == 200
    return " ".join(html.unescape(answer.content.decode()).partition("<main")[2].partition("</main>")[0].split())


def test_what_learning_did_is_a_story_with_its_items_and_who_approved_it(
    data_dir: Any, redis_client: Any, ada: User, client: Client, django_assert_max_num_queries: Any
) -> None:
    shop = bare_shop()
    skirts = ItemCluster.objects.get(shop=shop, name="Skirts")
    came = list(Item.objects.filter(shop=shop, category="Blouses").order_by("pk")[:3])
    by = Actor(ClusterChange.Actor.LEARNING, user=ada, who="Proposal 7")
    (change,) = editing.take_in(cluster=skirts, items=[item.pk for item in came], by=by, reason="They go together.")
    with django_assert_max_num_queries(20):
        told = read(client, change)
    assert "Learning, approved by ada, changed the items of this cluster. The reason: They go together." in told
    assert '<h2 id="group-1">3 items came in</h2>' in told
    assert all(item.title in told for item in came)
    assert reverse("admin:clusters_clusterchange_undo", args=[change.pk]) in told
    assert "<table" not in told

    (undone,) = editing.undo(change=change, by=Actor(ClusterChange.Actor.MERCHANDISER, user=ada, who="ada"))
    told = read(client, change)
    assert "It was taken back on" in told
    assert reverse("admin:clusters_clusterchange_undo", args=[change.pk]) not in told
    told = read(client, undone)
    assert "ada took back an earlier change of this cluster." in told
    assert "3 items went" in told


def test_a_merge_tells_of_the_clusters_that_went_with_it(data_dir: Any, redis_client: Any, ada: User, client: Client) -> None:
    shop = bare_shop()
    one, other = ItemCluster.objects.filter(shop=shop, name__in=("Coats", "Bags")).order_by("pk")
    by = Actor(ClusterChange.Actor.MERCHANDISER, user=ada, who="ada")
    changes = editing.merge(clusters=[one, other], name="Out and about", by=by)
    told = read(client, next(change for change in changes if change.cluster_id == one.pk))
    assert "Done with it" in told
    assert str(other) in told


def test_who_may_not_see_changes_sees_none(data_dir: Any, redis_client: Any, ada: User) -> None:
    shop = bare_shop()
    cluster = ItemCluster.objects.filter(shop=shop).first()
    assert cluster is not None
    (change,) = editing.rename(cluster=cluster, name="Other", by=Actor(ClusterChange.Actor.MERCHANDISER, user=ada))
    nobody = User.objects.create_user("nobody", is_staff=True)
    client = Client()
    client.force_login(nobody)
    at = reverse("admin:clusters_clusterchange_change", args=[change.pk])
    assert client.get(at).status_code == 403
    nobody.user_permissions.add(Permission.objects.get(codename="view_clusterchange"))
    told = html.unescape(client.get(at).content.decode())
    assert "It is called “Other”" in told
    assert reverse("admin:clusters_clusterchange_undo", args=[change.pk]) not in told
