"""The grid of clusters: what it finds, in which order, what its tiles say, and what it costs."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from clusters import editing
from clusters.lineage import Actor
from clusters.models import ClusterChange, ClusterMembership, Item, ItemCluster
from personas.models import Shop
from recommendations import daily, demo
from recommendations.cluster_reasons import alignment
from recommendations.desk.clusters import figures as cluster_figures
from recommendations.desk.clusters.suits import suits_of
from recommendations.stories import engine_of
from tests.overlay_shops import make_shop
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db
ANN = Actor(ClusterChange.Actor.MERCHANDISER, who="Ann")
GRID = "admin:clusters_itemcluster_grid"


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shop(settings: Any, tmp_path: Any, redis_client: redis.Redis) -> Shop:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = Shop.objects.create(slug="one", name="One")
    names = ("Tent", "Lantern", "Stove", "Mug", "Kettle", "Teapot <iron>")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}", title=name) for n, name in enumerate(names))
    return shop


def make(shop: Shop, name: str, *numbers: int, **fields: Any) -> ItemCluster:
    cluster = ItemCluster.objects.create(shop=shop, name=name, size=len(numbers), **fields)
    items = list(Item.objects.filter(shop=shop).order_by("pk").values_list("pk", flat=True))
    ClusterMembership.objects.bulk_create(
        ClusterMembership(cluster=cluster, item_id=items[n], weight=1 - 0.1 * place) for place, n in enumerate(numbers)
    )
    return cluster


def count(shop: Shop, cluster: ItemCluster, seen: float, clicked: float, *, days_ago: int = 0, origin: str = "live") -> None:
    day = timezone.now().astimezone(dt.UTC).date() - dt.timedelta(days=days_ago)
    key = str(cluster.pk)
    daily.add(shop, {(day, "cluster_seen", key, origin): seen, (day, "cluster_click", key, origin): clicked})


def page(client: Client, **given: str) -> str:
    answer: HttpResponse = client.get(reverse(GRID), given)
    assert answer.status_code == 200
    return answer.content.decode()


def names(client: Client, **given: str) -> list[str]:
    return re.findall(r'class="grid-tile[^"]*" data-cluster="\d+" data-name="([^"]*)"', page(client, **given))


def test_it_finds_by_name_by_descriptor_and_by_item(merchandiser: Client, shop: Shop) -> None:
    make(shop, "Camping", 0, 1, share=0.5)
    make(shop, "Kitchen", 4, share=0.3, descriptors=[{"name": "term=brühen", "lift": 2.0}])
    make(shop, "Tea", 5, share=0.2)
    ItemCluster.objects.reserve(shop, 1)
    assert names(merchandiser) == ["Camping", "Kitchen", "Tea"]
    assert names(merchandiser, q="camp") == ["Camping"]
    assert names(merchandiser, q="brühen") == ["Kitchen"]
    assert names(merchandiser, q="teapot") == ["Tea"]
    assert names(merchandiser, q="i5") == ["Tea"]
    assert "Teapot &lt;iron&gt;" in page(merchandiser, q="teapot")
    nothing = page(merchandiser, q="<b>nothing")
    assert "No cluster matches" in nothing
    assert 'value="&lt;b&gt;nothing"' in nothing


def test_filters_and_orders_lie_in_the_address_and_nonsense_in_it_is_as_if_it_were_not_there(
    merchandiser: Client, shop: Shop
) -> None:
    big, small = make(shop, "Big", 0, 1, 2, share=0.1), make(shop, "small", 3, share=0.6, locked=True)
    make(shop, "Gone", 4, retired_at=timezone.now())
    mine = make(shop, "Mine", 4, 5, kind="manual", share=0.3)
    count(shop, big, 1_000, 50)
    count(shop, small, 3, 1)
    count(shop, mine, 500, 60, days_ago=27)
    count(shop, mine, 9_000, 9_000, days_ago=28)  # before the days that count
    count(shop, small, 9_000, 9_000, origin="import")  # nobody saw those here
    editing.add_items(cluster=small, items=list(big.memberships.values_list("item_id", flat=True)), by=ANN)
    assert names(merchandiser, sort="size") == ["small", "Big", "Mine"]
    assert names(merchandiser, sort="name") == ["Big", "Mine", "small"]
    assert names(merchandiser, sort="seen") == ["Big", "Mine", "small"]
    assert names(merchandiser, sort="clicked") == ["Mine", "Big", "small"]
    assert names(merchandiser, sort="rate") == ["Mine", "small", "Big"], "by the lower end of 1 in 3: 6 in 100"
    assert names(merchandiser, sort="drift")[0] == "small"
    assert names(merchandiser, state="locked") == ["small"]
    assert names(merchandiser, state="own") == ["Mine"]
    assert names(merchandiser, kind="manual") == ["Mine"]
    assert names(merchandiser, state="retired") == ["Gone"]
    assert len(names(merchandiser, state="all")) == 4
    assert names(merchandiser, sort="<x>", kind="?", state="7", page="-3", persona="x") == ["small", "Mine", "Big"]
    assert merchandiser.get(reverse(GRID), {"shop": "elsewhere"}).status_code == 404
    told = page(merchandiser, sort="seen")
    assert "1,000, 50" in told
    assert "5.0 in 100 (3.8 to 6.5)" in told
    assert "3 in, 0 out" in told


def test_it_is_a_file_with_all_that_matches(merchandiser: Client, shop: Shop) -> None:
    make(shop, "=cmd()", 0, share=0.5)
    count(shop, make(shop, "Tea", 5, share=0.2), 40, 2)
    answer: Any = merchandiser.get(reverse(GRID), {"format": "csv"})
    body = b"".join(answer.streaming_content).decode("utf-8-sig")
    first, second = csv.DictReader(io.StringIO(body))
    assert first["cluster"] == "'=cmd()"
    assert (second["cluster"], second["seen_28_days"], second["picked_28_days"], second["items"]) == ("Tea", "40", "2", "1")


def test_a_page_of_sixty_costs_as_many_queries_as_one_of_three_and_there_are_more_pages(merchandiser: Client, shop: Shop) -> None:
    for n in range(3):
        editing.rename(cluster=make(shop, f"c{n}", n), name=f"d{n}", by=ANN)
    cluster_figures._moved.clear()
    with CaptureQueriesContext(connection) as few:
        page(merchandiser)
    for n in range(70):
        editing.rename(cluster=make(shop, f"m{n}", n % 6, (n + 1) % 6), name=f"n{n}", by=ANN)
    cluster_figures._moved.clear()
    with CaptureQueriesContext(connection) as many:
        assert len(names(merchandiser)) == 60
    assert len(many) <= len(few) <= 16
    assert len(names(merchandiser, page="2")) == 13
    assert len(names(merchandiser, page="99")) == 13


def test_who_may_not_see_clusters_is_refused_and_who_may_only_look_has_no_ticks(client: Client, shop: Shop) -> None:
    make(shop, "Camping", 0)
    user = get_user_model().objects.create(username="v", is_staff=True)
    client.force_login(user)
    assert client.get(reverse(GRID)).status_code == 403
    user.user_permissions.set(demo.merchandisers().permissions.filter(codename="view_itemcluster"))
    told = page(client)
    assert "Camping" in told
    assert 'name="cluster"' not in told
    assert 'draggable="true"' not in told


def test_a_shop_without_clusters_and_an_installation_without_shops_say_what_to_do(merchandiser: Client, shop: Shop) -> None:
    assert "has no clusters yet" in page(merchandiser)
    assert "no active release yet" in page(merchandiser)
    Shop.objects.all().delete()
    assert "There is no shop yet" in page(merchandiser)


def test_whom_clusters_suit_is_as_each_page_tells_it(
    merchandiser: Client, settings: Any, tmp_path: Any, redis_client: redis.Redis
) -> None:
    """Oracle: `cluster_reasons.alignment`, which takes a score apart term by term."""
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = make_shop(train_world(make_world(sessions=120), most_examples=500))
    engine = engine_of(shop)
    for cluster, name in zip(engine.clusters.cluster_ids.tolist(), engine.clusters.names, strict=True):
        ItemCluster.objects.create(pk=cluster, shop=shop, name=name)
    suits = suits_of(shop, engine)
    for cluster in engine.clusters.cluster_ids.tolist():
        alone = {one.archetype_id: 100 * one.score for one in alignment(engine, cluster)}
        at_once = {one.persona.id: one.percent for one in suits.of(cluster)}
        assert at_once == pytest.approx(alone, abs=1e-3)
    told = page(merchandiser, view="suits")
    assert len(re.findall(r'<td class="heat-cell', told)) == len(suits.personas) * len(engine.clusters)
    found = {cluster: [one.persona.id for one in suits.best(cluster)] for cluster in engine.clusters.cluster_ids.tolist()}
    who = next(iter(best[0] for best in found.values() if best), 0)
    if who:
        shown = set(names(merchandiser, persona=str(who)))
        assert shown == {engine.clusters.names[engine.clusters.position_of[c]] for c, best in found.items() if who in best}
