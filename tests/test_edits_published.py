"""Edits of a trained shop's clusters, published: what is served follows the rows, and an undo brings back what was served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from clusters import editing
from clusters.lineage import Actor
from clusters.models import ClusterChange, Item, ItemCluster
from personas.models import ApiKey, Shop
from recommendations import activation, releases
from recommendations.cluster_runs import publish_edits
from recommendations.engine import Engine
from tests.worlds import World, make_world, train_world

pytestmark = pytest.mark.django_db
BY = Actor("merchandiser", who="Ann")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(sessions=200)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return train_world(world, most_examples=1_000)


@pytest.fixture
def shop(world: World, engine: Engine, settings: Any, tmp_path: Path) -> Shop:
    settings.DATA_DIR, settings.RELEASES_DIR = tmp_path, tmp_path / "releases"
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    c = world.catalogue
    Item.objects.bulk_create(
        Item(pk=int(c.item_ids[i]), shop=shop, external_id=c.external_ids[i], title=c.titles[i]) for i in range(len(c))
    )
    activation.activate(releases.publish(shop, engine, metrics={}), by=Actor(ClusterChange.Actor.TRAINING, who="Training 1"))
    return shop


def served(shop: Shop) -> dict[int, tuple[str, dict[int, float]]]:
    """Cluster id -> name and items of the active release."""
    engine = releases.load_active(shop.pk)
    ids = engine.catalogue.item_ids
    return {
        cluster: (
            engine.clusters.names[c],
            {int(ids[i]): round(float(w), 5) for i, w in zip(row.indices, row.data, strict=True)},
        )
        for c, cluster in enumerate(engine.clusters.cluster_ids.tolist())
        for row in (engine.clusters.items[c],)
    }


def clusters() -> list[ItemCluster]:
    return list(ItemCluster.objects.live().order_by("pk"))


def some(cluster: ItemCluster, count: int) -> list[int]:
    return list(cluster.memberships.order_by("-weight", "item").values_list("item_id", flat=True)[:count])


EDITS: dict[str, Callable[[list[ItemCluster]], tuple[ClusterChange, ...]]] = {
    "merge": lambda c: editing.merge(clusters=c[:2], name="Both", by=BY),
    "split": lambda c: editing.split(cluster=c[0], groups={"Half": some(c[0], 2)}, by=BY),
    "retire": lambda c: editing.retire(cluster=c[1], by=BY),
    "exclude": lambda c: editing.exclude(cluster=c[0], items=some(c[0], 1), by=BY),
    "core": lambda c: editing.set_core(cluster=c[0], items=some(c[1], 1), by=BY),
    "rename": lambda c: editing.rename(cluster=c[0], name="Mine", by=BY),
    "create": lambda c: editing.create(shop=c[0].shop, name="Own", items=some(c[0], 2) + some(c[1], 2), by=BY),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_served_and_its_undo_serves_what_was_before(shop: Shop, name: str) -> None:
    before, rows = served(shop), {c.pk: set(c.memberships.values_list("item_id", flat=True)) for c in clusters()}
    change = EDITS[name](clusters())[0]
    publish_edits(shop)
    after = served(shop)
    assert after != before
    for cluster in clusters():
        told, items = after[cluster.pk]
        assert (told, set(items)) == (cluster.name, set(cluster.memberships.values_list("item_id", flat=True)))
    assert len(after) == len(clusters())
    editing.undo(change=change, by=BY)
    publish_edits(shop)
    assert served(shop) == before
    assert {c.pk: set(c.memberships.values_list("item_id", flat=True)) for c in clusters()} == rows


def test_what_is_given_back_is_learned_again_and_what_is_restored_is_as_it_was_taken_out(shop: Shop) -> None:
    before, (a, b, *_) = served(shop), clusters()
    editing.merge(clusters=[a, b], by=BY)
    publish_edits(shop)
    editing.give_back(cluster=a, by=BY)
    publish_edits(shop)
    assert before[a.pk][1].keys() <= served(shop)[a.pk][1].keys(), "with what of the other has nowhere else to go"
    assert b.pk not in served(shop), "it stays out till somebody restores it"
    editing.restore(cluster=b, by=BY)
    publish_edits(shop)
    assert served(shop)[b.pk][1].keys() == before[b.pk][1].keys()
    editing.give_back(cluster=b, by=BY)
    publish_edits(shop)
    assert served(shop) == before


def test_alignment_adds_up_and_items_say_where_shoppers_go_on_to(shop: Shop, client: Client) -> None:
    key = ApiKey.objects.issue(shop=shop, name="k", scopes=["read"])[1]
    headers = {"authorization": f"Bearer {key}"}
    cluster = clusters()[0]
    told = client.get(f"/api/v1/clusters/{cluster.pk}/alignment/", headers=headers).json()
    assert [each["score"] for each in told] == sorted((each["score"] for each in told), reverse=True)
    assert len(told) == len(releases.load_active(shop.pk).personas.ids)
    for each in told:
        assert sum(term["value"] for term in each["terms"]) == pytest.approx(each["score"], abs=1e-6)
        assert 0 < each["score"] < 1
    rows = client.get(f"/api/v1/clusters/{cluster.pk}/items/", headers=headers).json()["results"]
    assert any("Shoppers who look at it go on to “" in sentence for row in rows for sentence in row["why"])
