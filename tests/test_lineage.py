"""Lineage: who was in a cluster when, against snapshots taken along random edits; and what a change's row holds."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import datetime

import pytest
from django.utils import timezone

from clusters import editing, lineage
from clusters.editing import Actor, EditError
from clusters.lineage import Delta, Entry
from clusters.models import ClusterChange, ClusterMembership, Item, ItemCluster
from personas.models import Shop

pytestmark = pytest.mark.django_db
BY = Actor("api", who="a key")


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="s", name="S")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}") for n in range(15))
    return shop


def edit(shop: Shop, choice: random.Random, number: int) -> None:
    """One random edit, or none where it can't be made."""
    items = choice.sample(list(Item.objects.values_list("pk", flat=True)), choice.randint(1, 4))
    weights = {item: choice.choice((0.25, 0.5, 1.0)) for item in items}
    clusters = list(ItemCluster.objects.live())
    verb = choice.choice(("create", "add", "remove", "core", "exclude", "merge", "split", "retire", "restore", "undo", "give"))
    if verb == "create" or not clusters:
        editing.create(shop=shop, name=f"C{number}", items=weights, by=BY)
        return
    cluster = choice.choice(clusters)
    match verb:
        case "add":
            editing.add_items(cluster=cluster, items=weights, by=BY)
        case "remove":
            editing.remove_items(cluster=cluster, items=items, by=BY)
        case "core":
            editing.set_core(cluster=cluster, items=items, by=BY)
        case "exclude":
            editing.exclude(cluster=cluster, items=items, by=BY)
        case "merge":
            editing.merge(clusters=choice.sample(clusters, min(2, len(clusters))), by=BY)
        case "split":
            members = list(cluster.memberships.values_list("item_id", flat=True))
            editing.split(cluster=cluster, groups={f"C{number}": members[: len(members) // 2]}, by=BY)
        case "retire":
            editing.retire(cluster=cluster, by=BY)
        case "restore":
            editing.restore(cluster=choice.choice(list(ItemCluster.objects.all())), by=BY)
        case "give":
            editing.give_back(cluster=cluster, by=BY)
        case "undo":
            editing.undo(change=choice.choice(list(ClusterChange.objects.all()[:6])), by=BY)


def everyone() -> dict[int, dict[int, float]]:
    members: dict[int, dict[int, float]] = {pk: {} for pk in ItemCluster.objects.values_list("pk", flat=True)}
    for cluster, item, weight in ClusterMembership.objects.values_list("cluster", "item", "weight"):
        members[cluster][item] = weight
    return members


@pytest.mark.parametrize("seed", range(3))
def test_who_was_in_when_is_what_a_snapshot_of_then_says(shop: Shop, seed: int) -> None:
    choice, taken = random.Random(seed), list[tuple[datetime, dict[int, dict[int, float]]]]()
    done = 0
    for number in range(40):
        with suppress(EditError):
            edit(shop, choice, number)
            done += 1
        taken.append((timezone.now(), everyone()))
    assert done >= 20
    assert ClusterChange.objects.filter(undoes__isnull=False).exists()
    clusters = list(ItemCluster.objects.all())
    for moment, members in taken:
        for cluster in clusters:
            assert lineage.members_at(cluster, moment) == members.get(cluster.pk, {})


def test_a_delta_is_read_as_it_was_written(shop: Shop) -> None:
    cluster = ItemCluster.objects.create(shop=shop, name="A")
    delta = Delta(
        fields={"name": ("A", "B"), "minimum_size": (None, 3)},
        members={1: (None, 0.1), 2: (0.25, None), 3: (0.5, 0.75)},
        rules={1: (None, "core")},
        via={2: [[0, 3]]},
    )
    (change,) = lineage.record(shop, [Entry(cluster.pk, "items", delta, "x" * 400)], by=BY, reason="r")
    change.refresh_from_db()
    assert lineage.delta_of(change) == delta
    assert (delta.entered, delta.left, delta.made_it) == (1, 1, False)
    assert (len(change.summary), change.who, change.reason) == (300, "a key", "r")
    assert list(lineage.history(cluster)) == [change]
    assert not Delta()
