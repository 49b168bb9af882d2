"""Edits of clusters: what each verb does to the rows and writes into the lineage, what it refuses, and its undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from clusters import editing
from clusters.cluster_drafts import Draft
from clusters.editing import Actor, EditConflict, EditError
from clusters.lineage import history
from clusters.models import ClusterChange, ClusterItemRule, ClusterMembership, Item, ItemCluster
from personas.models import Shop

pytestmark = pytest.mark.django_db
API = Actor("api", who="a key")


@pytest.fixture
def shop() -> Shop:
    shop = Shop.objects.create(slug="s", name="Shop S")
    Item.objects.bulk_create(Item(shop=shop, external_id=f"i{n}", title=f"Item {n}") for n in range(12))
    return shop


def ids(*numbers: int) -> list[int]:
    known = dict(Item.objects.filter(shop__slug="s").values_list("external_id", "pk"))
    return [known[f"i{n}"] for n in numbers]


def make(shop: Shop, name: str, *numbers: int, kind: str = "co_visit") -> ItemCluster:
    """A cluster with these items, of falling weight, as a training leaves it."""
    cluster = ItemCluster.objects.create(shop=shop, name=name, kind=kind, size=len(numbers))
    ClusterMembership.objects.bulk_create(
        ClusterMembership(
            cluster=cluster, item_id=item, weight=1.0 - 0.1 * place, via=[[0, place + 1]] if kind == "search" else []
        )
        for place, item in enumerate(ids(*numbers))
    )
    return cluster


def numbers(cluster: ItemCluster) -> set[int]:
    names = cluster.memberships.values_list("item__external_id", flat=True)
    return {int(name[1:]) for name in names}


def rules(cluster: ItemCluster) -> dict[int, str]:
    return {int(name[1:]): rule for name, rule in cluster.item_rules.values_list("item__external_id", "rule")}


def snapshot(shop: Shop) -> dict[str, Any]:
    """All that edits may change, retirement as yes or no."""
    fields = ("pk", "name", "named_by_hand", "kind", "locked", "minimum_size", "maximum_size", "size")
    return {
        "clusters": {
            row["pk"]: {**row, "retired": row["retired_at"] is not None} | {"retired_at": None}
            for row in ItemCluster.objects.filter(shop=shop).values(*fields, "retired_at")
        },
        "members": sorted(map(repr, ClusterMembership.objects.values_list("cluster", "item", "weight", "via"))),
        "rules": sorted(ClusterItemRule.objects.values_list("cluster", "item", "rule")),
    }


def test_a_cluster_is_made_by_hand_with_what_it_is_to_keep(shop: Shop) -> None:
    ann = get_user_model().objects.create(username="ann")
    (change,) = editing.create(
        shop=shop, name=" Picnic ", items={ids(0)[0]: 0.5, ids(1)[0]: 1.0}, core=ids(2), maximum_size=3,
        by=Actor("merchandiser", ann), reason="Summer",
    )  # fmt: skip
    cluster = ItemCluster.objects.get()
    assert (cluster.name, cluster.kind, cluster.named_by_hand, cluster.size) == ("Picnic", "manual", True, 3)
    assert (numbers(cluster), rules(cluster)) == ({0, 1, 2}, {2: "core"})
    change.refresh_from_db()
    assert (change.actor, change.user, change.action, change.reason) == ("merchandiser", ann, "created", "Summer")
    assert change.summary == "Made with 3 items"
    assert change.delta["members"] == {
        str(ids(0)[0]): [None, 0.5], str(ids(1)[0]): [None, 1.0], str(ids(2)[0]): [None, 1.0],
    }  # fmt: skip
    assert change.delta["fields"]["name"] == [None, "Picnic"]


@pytest.mark.parametrize("kind", ["co_visit", "search"])
def test_in_a_learned_cluster_adding_makes_core_and_removing_excludes(shop: Shop, kind: str) -> None:
    cluster = make(shop, "A", 0, 1, 2, kind=kind)
    (added,) = editing.add_items(cluster=cluster, items=ids(2, 3), by=API)
    assert (numbers(cluster), rules(cluster)) == ({0, 1, 2, 3}, {2: "core", 3: "core"})
    assert added.summary == "1 item in, 2 now core"
    assert cluster.memberships.get(item__external_id="i3").weight == pytest.approx(0.9), "as typical as the middle one"
    (removed,) = editing.remove_items(cluster=cluster, items=ids(0, 3, 7), by=API)
    assert (numbers(cluster), rules(cluster)) == ({1, 2}, {0: "excluded", 2: "core", 3: "excluded"}), "7 was never in"
    assert removed.summary == "2 items out, 2 now excluded"
    cluster.refresh_from_db()
    assert cluster.size == 2


@pytest.mark.parametrize("kind", ["manual", "imported"])
def test_in_a_cluster_of_ones_own_adding_and_removing_leave_no_rule(shop: Shop, kind: str) -> None:
    cluster = make(shop, "A", 0, 1, 2, kind=kind)
    editing.set_core(cluster=cluster, items=ids(1), by=API)
    editing.add_items(cluster=cluster, items={ids(3)[0]: 0.25}, by=API)
    editing.remove_items(cluster=cluster, items=ids(0, 1), by=API)
    assert (numbers(cluster), rules(cluster)) == ({2, 3}, {})
    assert cluster.memberships.get(item__external_id="i3").weight == 0.25


def test_a_core_item_that_is_excluded_changes_its_rule_and_back(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1)
    editing.set_core(cluster=cluster, items=ids(0, 5), by=API)
    assert (numbers(cluster), rules(cluster)) == ({0, 1, 5}, {0: "core", 5: "core"})
    editing.exclude(cluster=cluster, items=ids(0), by=API)
    assert (numbers(cluster), rules(cluster)) == ({1, 5}, {0: "excluded", 5: "core"})
    editing.set_core(cluster=cluster, items=ids(0), by=API)
    assert (numbers(cluster), rules(cluster)) == ({0, 1, 5}, {0: "core", 5: "core"})
    editing.clear_rule(cluster=cluster, items=ids(0, 1), by=API)
    assert (numbers(cluster), rules(cluster)) == ({0, 1, 5}, {5: "core"})


def test_what_is_so_already_is_no_change(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1)
    assert editing.rename(cluster=cluster, name="A", by=API) == ()
    assert editing.set_locked(cluster=cluster, locked=False, by=API) == ()
    assert editing.set_bounds(cluster=cluster, minimum_size=None, maximum_size=None, by=API) == ()
    assert editing.remove_items(cluster=cluster, items=ids(9), by=API) == ()
    assert editing.clear_rule(cluster=cluster, items=ids(0), by=API) == ()
    assert not ClusterChange.objects.exists()
    cluster.refresh_from_db()
    assert not cluster.named_by_hand


def test_name_lock_and_bounds_are_told_in_words(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1)
    editing.rename(cluster=cluster, name="Lamps", by=API)
    editing.set_locked(cluster=cluster, locked=True, by=API)
    editing.set_bounds(cluster=cluster, minimum_size=2, maximum_size=1_200, by=API)
    editing.set_bounds(cluster=cluster, minimum_size=None, maximum_size=None, by=API)
    assert [(c.action, c.summary) for c in history(cluster)] == [
        ("bounded", "No bounds on its size"),
        ("bounded", "At least 2, at most 1,200 items, once learning decides on its items"),
        ("locked", "Locked with 2 items"),
        ("renamed", "“A” is now “Lamps”"),
    ]
    cluster.refresh_from_db()
    assert (cluster.named_by_hand, cluster.locked) == (True, True)


def test_a_merge_keeps_the_first_with_the_rules_of_all(shop: Shop) -> None:
    a, b, c = make(shop, "A", 0, 1), make(shop, "B", 1, 2), make(shop, "C", 3, kind="manual")
    editing.set_locked(cluster=a, locked=True, by=API)
    editing.exclude(cluster=a, items=ids(2, 4), by=API)
    editing.set_core(cluster=b, items=ids(2), by=API)
    editing.exclude(cluster=b, items=ids(5), by=API)
    before = snapshot(shop)
    changes = editing.merge(clusters=[a, b, c], name="All", by=API, reason="One range")
    a.refresh_from_db()
    assert (a.name, a.kind, a.locked, a.size) == ("All", "manual", True, 4)
    assert (numbers(a), rules(a)) == ({0, 1, 2, 3}, {2: "core", 4: "excluded", 5: "excluded"})
    assert a.memberships.get(item__external_id="i1").weight == 1.0, "where it counted most"
    assert set(ItemCluster.objects.live()) == {a}
    assert {change.batch for change in changes} == {changes[0].batch}
    assert [(change.cluster, change.summary) for change in changes] == [
        (b, "Merged into “All”"),
        (c, "Merged into “All”"),
        (a, "2 items in from “B”, “C”"),
    ]
    assert changes[2].others == [b.pk, c.pk]
    editing.undo(change=changes[0], by=API)
    assert snapshot(shop) == before, "the undo of one takes the whole merge back"


def test_a_split_gives_each_group_an_id_and_leaves_the_rest(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1, 2, 3, kind="search")
    editing.set_core(cluster=cluster, items=ids(1, 3), by=API)
    editing.set_bounds(cluster=cluster, minimum_size=3, maximum_size=None, by=API)
    before = snapshot(shop)
    changes = editing.split(cluster=cluster, groups={"B": ids(1, 2)}, by=API)
    cluster.refresh_from_db()
    made = changes[1].cluster
    assert (numbers(cluster), rules(cluster), cluster.kind, cluster.minimum_size) == ({0, 3}, {3: "core"}, "manual", None)
    assert (numbers(made), rules(made), made.kind, made.name) == ({1, 2}, {1: "core"}, "manual", "B")
    after = snapshot(shop)
    undone = editing.undo(change=changes[1], by=API)
    restored = snapshot(shop)
    assert restored["clusters"].pop(made.pk)["retired"], "ids are for ever"
    assert restored["clusters"] == before["clusters"]
    assert {row for row in restored["members"] if not row.startswith(f"({made.pk},")} == set(before["members"]), "with via"
    editing.undo(change=undone[0], by=API)
    again = snapshot(shop)
    assert again["clusters"] == after["clusters"]
    assert again["rules"] == after["rules"]


def test_a_cluster_splits_by_its_parts(shop: Shop) -> None:
    cluster = make(shop, "Lamps", 0, 1, 2, 3)
    cluster.parts = [{"number": 1, "name": "Desk lamps", "size": 2}, {"number": 2, "name": "Lamps", "size": 1}]
    cluster.save()
    cluster.memberships.filter(item__in=ids(0, 1)).update(part=1)
    cluster.memberships.filter(item__in=ids(2)).update(part=2)
    groups = editing.items_of_parts(cluster, [1, 2])
    assert groups == {"Desk lamps": ids(0, 1), "Lamps of Lamps": ids(2)}
    editing.split(cluster=cluster, groups=groups, by=API)
    assert numbers(cluster) == {3}
    with pytest.raises(EditError, match="have no number 7"):
        editing.items_of_parts(cluster, [7])


def test_a_learned_cluster_taken_out_is_locked_and_comes_back_as_ones_own(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1)
    editing.retire(cluster=cluster, by=API)
    cluster.refresh_from_db()
    assert (cluster.locked, cluster.kind, numbers(cluster)) == (True, "co_visit", {0, 1})
    assert cluster.retired_at is not None
    make(shop, "a", 5)
    with pytest.raises(EditConflict, match="“A” is taken"):
        editing.restore(cluster=cluster, by=API)
    editing.restore(cluster=cluster, name="B", by=API)
    cluster.refresh_from_db()
    assert (cluster.name, cluster.kind, cluster.locked, cluster.retired_at) == ("B", "manual", False, None)
    editing.give_back(cluster=cluster, by=API)
    cluster.refresh_from_db()
    assert cluster.kind == "co_visit"
    with pytest.raises(EditConflict, match="is learned already"):
        editing.give_back(cluster=cluster, by=API)


def test_given_back_it_is_of_the_kind_that_it_was(shop: Shop) -> None:
    cluster, own = make(shop, "A", 0, 1, kind="search"), make(shop, "B", 2, kind="manual")
    editing.merge(clusters=[cluster, own], by=API)
    editing.give_back(cluster=cluster, by=API)
    cluster.refresh_from_db()
    assert cluster.kind == "search"
    mine = make(shop, "C", 3, kind="manual")
    editing.give_back(cluster=mine, by=API)
    mine.refresh_from_db()
    assert mine.kind == "co_visit"


def test_a_cluster_that_a_rebuild_retired_comes_back_with_what_it_had(shop: Shop) -> None:
    """A rebuild leaves a retired cluster no rows: its items are in the lineage."""
    cluster = make(shop, "A", 0, 1)
    had = {str(i): [w, None] for i, w in cluster.memberships.values_list("item_id", "weight")}
    cluster.memberships.all().delete()
    ItemCluster.objects.filter(pk=cluster.pk).update(retired_at=timezone.now())
    delta = {"fields": {"retired_at": [None, timezone.now().isoformat()]}, "members": had}
    ClusterChange.objects.create(shop=shop, cluster=cluster, actor="build", action="retired", summary="Gone", delta=delta)
    Item.objects.filter(external_id="i1").delete()
    editing.restore(cluster=cluster, by=API)
    cluster.refresh_from_db()
    assert (numbers(cluster), cluster.kind, cluster.size) == ({0}, "manual", 1)


LONG = "x" * 121


@pytest.mark.parametrize(
    ("edit", "field", "reason"),
    [
        (lambda c, o: editing.rename(cluster=c, name="", by=API), "name", "1 to 120 characters"),
        (lambda c, o: editing.rename(cluster=c, name=LONG, by=API), "name", "has 121 characters"),
        (lambda c, o: editing.rename(cluster=c, name="a\x00b", by=API), "name", "control characters"),
        (lambda c, o: editing.rename(cluster=c, name="b", by=API), "name", "“b” is taken by cluster"),
        (lambda c, o: editing.rename(cluster=c, name="C", by=API, reason="x" * 301), "reason", "has 301 characters"),
        (lambda c, o: editing.add_items(cluster=c, items=[], by=API), "items", "at least one item"),
        (lambda c, o: editing.add_items(cluster=c, items=[o, 999_999], by=API), "items", "999999, which Shop S doesn't have"),
        (lambda c, o: editing.add_items(cluster=c, items={ids(5)[0]: 0.0}, by=API), "items", "above 0 and at most 1"),
        (lambda c, o: editing.add_items(cluster=c, items={ids(5)[0]: float("nan")}, by=API), "items", "above 0 and at most 1"),
        (lambda c, o: editing.set_bounds(cluster=c, minimum_size=0, maximum_size=None, by=API), "minimum_size", "from 1 to"),
        (lambda c, o: editing.set_bounds(cluster=c, minimum_size=5, maximum_size=4, by=API), "minimum_size", "more than the max"),
        (lambda c, o: editing.set_core(cluster=c, items=ids(0, 1, 2), by=API), "maximum_size", "no room for the 3 core items"),
        (lambda c, o: editing.merge(clusters=[c], by=API), "clusters", "must be 2 to 20"),
        (lambda c, o: editing.merge(clusters=[c, c], by=API), "clusters", "must be 2 to 20"),
        (lambda c, o: editing.split(cluster=c, groups={"X": ids(0, 1)}, by=API), "groups", "leave nothing in “A”"),
        (lambda c, o: editing.split(cluster=c, groups={"X": []}, by=API), "groups", "gives “X” no item"),
        (lambda c, o: editing.split(cluster=c, groups={"X": ids(7)}, by=API), "groups", "aren't in “A”"),
        (lambda c, o: editing.split(cluster=c, groups={"X": ids(0), "Y": ids(0)}, by=API), "groups", "given twice"),
        (lambda c, o: editing.split(cluster=c, groups={"B": ids(0)}, by=API), "name", "“B” is taken"),
        (lambda c, o: editing.restore(cluster=c, by=API), "cluster", "isn't retired"),
        (lambda c, o: editing.define(Draft(c), {ids(0)[0]: 1.0}, whole=True), "cluster", "is learned"),
    ],
)
def test_what_can_not_be_done_is_told_by_field_and_changes_nothing(
    shop: Shop, edit: Callable[[ItemCluster, int], object], field: str, reason: str
) -> None:
    cluster = make(shop, "A", 0, 1)
    make(shop, "B", 5)
    editing.set_bounds(cluster=cluster, minimum_size=None, maximum_size=2, by=API)
    other = Item.objects.create(shop=Shop.objects.create(slug="t", name="T"), external_id="i0")
    before, changes = snapshot(shop), ClusterChange.objects.count()
    with pytest.raises(EditError, match=reason) as raised:
        edit(cluster, other.pk)
    assert raised.value.field == field
    assert (snapshot(shop), ClusterChange.objects.count()) == (before, changes)


def test_clusters_of_two_shops_are_not_merged_and_retired_ones_not_edited(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1)
    far = ItemCluster.objects.create(shop=Shop.objects.create(slug="t", name="T"), name="A")
    with pytest.raises(EditError, match="must be of one shop"):
        editing.merge(clusters=[cluster, far], by=API)
    editing.retire(cluster=cluster, by=API)
    with pytest.raises(EditConflict, match="is retired: restore it first"):
        editing.rename(cluster=cluster, name="B", by=API)


def test_no_more_items_than_can_be_kept_by_hand(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.cluster_drafts.MAX_ITEMS", 3)
    cluster = make(shop, "A", 0, 1, 2, kind="manual")
    with pytest.raises(EditError, match="more than the 3"):
        editing.add_items(cluster=cluster, items=ids(3), by=API)
    large = make(shop, "B", 4, 5, 6, 7)
    with pytest.raises(EditError, match="more than the 3"):
        editing.exclude(cluster=large, items=ids(4, 5, 6, 7), by=API)
    with pytest.raises(EditError, match="more than the 3"):
        editing.merge(clusters=[cluster, large], by=API)


EDITS: dict[str, Callable[[ItemCluster], tuple[ClusterChange, ...]]] = {
    "rename": lambda c: editing.rename(cluster=c, name="New", by=API),
    "lock": lambda c: editing.set_locked(cluster=c, locked=True, by=API),
    "bounds": lambda c: editing.set_bounds(cluster=c, minimum_size=1, maximum_size=9, by=API),
    "add": lambda c: editing.add_items(cluster=c, items=ids(7, 8), by=API),
    "remove": lambda c: editing.remove_items(cluster=c, items=ids(0, 2), by=API),
    "core": lambda c: editing.set_core(cluster=c, items=ids(0, 6), by=API),
    "exclude": lambda c: editing.exclude(cluster=c, items=ids(1, 9), by=API),
    "retire": lambda c: editing.retire(cluster=c, by=API),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("kind", ["co_visit", "search", "manual"])
def test_an_undo_brings_back_all_and_is_itself_undone(shop: Shop, name: str, kind: str) -> None:
    cluster = make(shop, "A", 0, 1, 2, kind=kind)
    editing.exclude(cluster=cluster, items=ids(6), by=API)
    before = snapshot(shop)
    (change,) = EDITS[name](cluster)
    after = snapshot(shop)
    (undone,) = editing.undo(change=change, by=API, reason="Too early")
    assert snapshot(shop) == before
    assert (undone.undoes, undone.summary, undone.reason) == (change, f"Undone: {change.summary}", "Too early")
    with pytest.raises(EditConflict, match="was undone on"):
        editing.undo(change=change, by=API)
    (redone,) = editing.undo(change=undone, by=API)
    # How a search had found an item isn't told again of one that the undo of an undo takes out and puts in.
    assert snapshot(shop) == after
    assert redone.action == change.action


def test_a_cluster_made_is_undone_by_retiring_it(shop: Shop) -> None:
    (change,) = editing.create(shop=shop, name="A", items=ids(0), by=API)
    (undone,) = editing.undo(change=change, by=API)
    assert (undone.action, ItemCluster.objects.live().count()) == ("retired", 0)
    editing.undo(change=undone, by=API)
    assert numbers(ItemCluster.objects.live().get()) == {0}


def test_a_change_that_was_changed_since_is_not_undone_and_says_by_what(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1)
    (first,) = editing.rename(cluster=cluster, name="B", by=API)
    (second,) = editing.rename(cluster=cluster, name="C", by=API)
    with pytest.raises(EditConflict, match=r"name of “C” changed since: renamed on .* \(“B” is now “C”\)"):
        editing.undo(change=first, by=API)
    editing.undo(change=second, by=API)
    editing.undo(change=first, by=API)
    cluster.refresh_from_db()
    assert (cluster.name, cluster.named_by_hand) == ("A", False)


def test_items_changed_since_stand_in_the_way_and_other_items_do_not(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1, kind="manual")
    (first,) = editing.add_items(cluster=cluster, items=ids(2, 3), by=API)
    editing.add_items(cluster=cluster, items=ids(4), by=API)
    (second,) = editing.remove_items(cluster=cluster, items=ids(3), by=API)
    with pytest.raises(EditConflict, match=r"1 item of “A” changed since: items changed on"):
        editing.undo(change=first, by=API)
    editing.undo(change=second, by=API)
    editing.undo(change=first, by=API)
    assert numbers(cluster) == {0, 1, 4}


def test_a_weight_given_twice_is_undone_from_the_last_and_learning_may_weigh_anew(shop: Shop) -> None:
    cluster = make(shop, "A", 0, kind="manual")
    (first,) = editing.add_items(cluster=cluster, items={ids(0)[0]: 0.5}, by=API)
    (second,) = editing.add_items(cluster=cluster, items={ids(0)[0]: 0.25}, by=API)
    with pytest.raises(EditConflict, match="1 item of “A” changed since"):
        editing.undo(change=first, by=API)
    cluster.memberships.update(weight=0.3)  # as the release that follows may have it
    editing.undo(change=second, by=API)
    assert cluster.memberships.get().weight == 0.5


def test_a_merge_whose_cluster_was_edited_since_is_not_undone_at_all(shop: Shop) -> None:
    a, b = make(shop, "A", 0, 1), make(shop, "B", 2)
    changes = editing.merge(clusters=[a, b], by=API)
    editing.remove_items(cluster=a, items=ids(2), by=API)
    before = snapshot(shop)
    with pytest.raises(EditConflict, match="1 item of “A” changed since"):
        editing.undo(change=changes[0], by=API)
    assert snapshot(shop) == before


def test_a_split_whose_part_was_edited_since_is_not_undone_at_all(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1, 2)
    rest, made = editing.split(cluster=cluster, groups={"B": ids(1)}, by=API)
    (added,) = editing.add_items(cluster=made.cluster, items=ids(5), by=API)
    before = snapshot(shop)
    with pytest.raises(EditConflict, match="1 item of “B” changed since: items changed on"):
        editing.undo(change=rest, by=API)
    assert snapshot(shop) == before, "what came into the part would be in nothing"
    editing.undo(change=added, by=API)
    editing.undo(change=rest, by=API)
    assert numbers(cluster) == {0, 1, 2}


def test_groups_of_a_split_have_names_of_their_own_and_items_are_named_as_the_shop_does(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1, 2)
    with pytest.raises(EditError, match="groups have two of one name"):
        editing.split(cluster=cluster, groups={"B": ids(1), "b ": ids(2)}, by=API)
    with pytest.raises(EditError, match=r"that aren't in “A” or are given twice: i5, i7, 999999$"):
        editing.split(cluster=cluster, groups={"B": [*ids(5, 7), 999_999]}, by=API)


def test_an_undo_that_would_give_a_name_twice_is_refused(shop: Shop) -> None:
    a, b = make(shop, "A", 0), make(shop, "B", 1)
    (change,) = editing.rename(cluster=a, name="C", by=API)
    editing.rename(cluster=b, name="A", by=API)
    with pytest.raises(EditConflict, match="“A” is taken"):
        editing.undo(change=change, by=API)


def test_a_rebuild_is_undone_by_its_release_not_here(shop: Shop) -> None:
    cluster = make(shop, "A", 0)
    change = ClusterChange.objects.create(shop=shop, cluster=cluster, actor="build", action="rebuilt", summary="1 item in")
    with pytest.raises(EditConflict, match="activate the release before it, under Releases"):
        editing.undo(change=change, by=API)


def test_an_item_that_left_the_catalogue_does_not_stand_in_the_way(shop: Shop) -> None:
    cluster = make(shop, "A", 0, 1, kind="manual")
    (change,) = editing.add_items(cluster=cluster, items=ids(2, 3), by=API)
    (removed,) = editing.remove_items(cluster=cluster, items=ids(0), by=API)
    Item.objects.filter(external_id__in=("i0", "i3")).delete()
    editing.undo(change=removed, by=API)
    editing.undo(change=change, by=API)
    assert numbers(cluster) == {1}
    cluster.refresh_from_db()
    assert cluster.size == 1, "an item that is gone doesn't count"
