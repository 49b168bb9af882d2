"""Items lessened and clusters tied: what the verbs write, what a release makes of it, and that history and undo know of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from clusters import editing
from clusters.derived import tied
from clusters.editing import Actor, EditConflict, EditError
from clusters.edits import ClusterEdit
from clusters.item_clusters import CO_VISIT, ItemClusters, build_clusters, with_edits
from clusters.lineage import factors_at, members_at, ties_at
from clusters.models import ClusterChange, ClusterItemRule, ClusterTie, ItemCluster
from personas.models import Shop
from recommendations.reading import read_edits
from tests.cluster_worlds import planted
from tests.test_editing import ids, make, numbers, rules, shop  # noqa: F401 - a fixture

LEARNING = Actor("learning", who="Proposals")


@pytest.fixture(scope="module")
def learned() -> tuple[ItemClusters, object]:
    log, catalogue, _ = planted(groups=8, size=12, sessions=2_500, stray=0.3, seed=2)
    return build_clusters(log, catalogue), catalogue


# What a release makes of them


def test_a_lessened_item_keeps_its_factor_of_its_membership_and_nobody_gains_what_it_loses(learned) -> None:
    bare, catalogue = learned
    item = next(iter(weights_of(bare, 0)))
    ours = ClusterEdit(999, "manual", "Ours", members={item: 0.5})
    clusters = with_edits(bare, catalogue, [ours])
    c, place = 0, catalogue.position(item)
    edited = with_edits(bare, catalogue, [ours, ClusterEdit(int(bare.cluster_ids[c]), CO_VISIT, lessened={item: 0.25})])
    before, after = clusters.of_item[place].toarray().ravel(), edited.of_item[place].toarray().ravel()
    assert after[c] == pytest.approx(0.25 * before[c], rel=1e-5)
    np.testing.assert_allclose(np.delete(after, c), np.delete(before, c), rtol=1e-5)
    assert edited.kept == {place: pytest.approx(1.0 - 0.75 * float(before[c]), abs=1e-5)}
    assert clusters.kept == {}
    assert weights_of(edited, c)[item] == pytest.approx(0.25 * weights_of(clusters, c)[item]), "what rows hold is lessened too"


def weights_of(clusters: ItemClusters, c: int) -> dict[int, float]:
    """Item id -> weight as rows hold it, of the cluster at a position."""
    row = slice(clusters.items.indptr[c], clusters.items.indptr[c + 1])
    return dict(zip(clusters.item_ids[clusters.items.indices[row]].tolist(), clusters.weight[row].tolist(), strict=True))


def test_the_rows_of_a_locked_cluster_have_the_factor_in_them_already(learned) -> None:
    clusters, catalogue = learned
    first, *others = weights_of(clusters, 0)
    rows = dict.fromkeys(others, 0.8) | {first: 0.2}
    edit = ClusterEdit(int(clusters.cluster_ids[0]), CO_VISIT, locked=True, members=rows, lessened={first: 0.25})
    assert weights_of(with_edits(clusters, catalogue, [edit]), 0) == pytest.approx(rows)


def test_the_least_typical_give_way_counted_as_lessened(learned) -> None:
    clusters, catalogue = learned
    weights = weights_of(clusters, 0)
    item = max(weights, key=weights.__getitem__)
    edit = ClusterEdit(int(clusters.cluster_ids[0]), CO_VISIT, maximum=len(weights) - 1)
    assert item in weights_of(with_edits(clusters, catalogue, [edit]), 0)
    assert item not in weights_of(with_edits(clusters, catalogue, [replace(edit, lessened={item: 0.001})]), 0)


def test_a_tie_gives_its_share_of_the_relations_and_the_others_share_the_rest() -> None:
    related = np.array([[0, 0.75, 0.25], [0.5, 0, 0.5], [0, 0, 0]], dtype=np.float32)
    result = tied(related, {(0, 2): 0.4, (2, 0): 0.3})
    np.testing.assert_allclose(result, [[0, 0.6, 0.4], [0.5, 0, 0.5], [1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(tied(related, {(0, 1): 0.4}), related, atol=1e-6, err_msg="it had more than that")
    np.testing.assert_allclose(tied(related, {(1, 0): 0.9, (1, 2): 0.9})[1], [0.5, 0, 0.5], atol=1e-6)


def test_a_tie_to_a_cluster_that_is_not_served_has_no_effect(learned) -> None:
    clusters, catalogue = learned
    first, second = clusters.cluster_ids[:2].tolist()
    edited = with_edits(clusters, catalogue, [ClusterEdit(first, CO_VISIT, ties={second: 0.9, 10**6: 0.5})])
    assert edited.related[0, 1] == pytest.approx(0.9)
    np.testing.assert_allclose(edited.related.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(with_edits(edited, catalogue, []).related, clusters.related, atol=1e-6, err_msg="off again")


# What the verbs write


@pytest.mark.django_db
def test_lessening_is_a_rule_with_a_factor_that_another_replaces_and_that_can_be_cleared(shop: Shop) -> None:  # noqa: F811
    cluster = make(shop, "A", 0, 1, 2)
    (change,) = editing.lessen(cluster=cluster, items={ids(0)[0]: 0.5, ids(7)[0]: 0.5}, by=LEARNING, reason="Passed over")
    assert (rules(cluster), change.summary) == ({0: "lessened"}, "1 now weighing less"), "7 isn't in it"
    assert cluster.memberships.get(item__external_id="i0").weight == pytest.approx(0.5)
    editing.lessen(cluster=cluster, items={ids(0)[0]: 0.2}, by=LEARNING)
    assert cluster.memberships.get(item__external_id="i0").weight == pytest.approx(0.2), "of what it weighs by itself"
    assert cluster.item_rules.get().factor == 0.2
    (edit,) = read_edits(shop)
    assert edit.lessened == {ids(0)[0]: 0.2}
    editing.clear_rule(cluster=cluster, items=ids(0), by=LEARNING)
    assert cluster.memberships.get(item__external_id="i0").weight == pytest.approx(1.0)
    assert not ClusterItemRule.objects.exists()


@pytest.mark.django_db
def test_what_is_made_core_or_taken_out_is_no_longer_lessened(shop: Shop) -> None:  # noqa: F811
    cluster = make(shop, "A", 0, 1, 2)
    editing.lessen(cluster=cluster, items=dict.fromkeys(ids(0, 1), 0.5), by=LEARNING)
    editing.set_core(cluster=cluster, items=ids(0), by=LEARNING)
    editing.exclude(cluster=cluster, items=ids(1), by=LEARNING)
    assert (rules(cluster), numbers(cluster)) == ({0: "core", 1: "excluded"}, {0, 2})
    assert set(cluster.item_rules.values_list("factor", flat=True)) == {None}
    assert cluster.memberships.get(item__external_id="i0").weight == pytest.approx(1.0)
    with pytest.raises(EditConflict, match="core"):
        editing.lessen(cluster=cluster, items={ids(0)[0]: 0.5}, by=LEARNING)
    with pytest.raises(EditError, match="below 1"):
        editing.lessen(cluster=cluster, items={ids(2)[0]: 1.0}, by=LEARNING)


@pytest.mark.django_db
def test_in_a_cluster_of_ones_own_the_weight_itself_is_changed(shop: Shop) -> None:  # noqa: F811
    cluster = make(shop, "A", 0, 1, kind="manual")
    editing.lessen(cluster=cluster, items={ids(0)[0]: 0.5}, by=LEARNING)
    assert (rules(cluster), cluster.memberships.get(item__external_id="i0").weight) == ({}, pytest.approx(0.5))


@pytest.mark.django_db
def test_ties_and_factors_are_undone_and_the_lineage_tells_them_at_any_time(shop: Shop) -> None:  # noqa: F811
    one, other = make(shop, "A", 0, 1), make(shop, "B", 2)
    before = timezone.now()
    (less,) = editing.lessen(cluster=one, items={ids(0)[0]: 0.5}, by=LEARNING)
    (tie,) = editing.relate(source=one, target=other, weight=0.3, by=LEARNING)
    assert (tie.action, tie.cluster_id, read_edits(shop)[0].ties) == ("related", one.pk, {other.pk: 0.3})
    between = timezone.now()
    editing.relate(source=one, target=other, weight=0.4, by=LEARNING)
    with pytest.raises(EditConflict, match="ties to other clusters"):
        editing.undo(change=tie, by=LEARNING)
    editing.undo(change=ClusterChange.objects.latest("pk"), by=LEARNING)
    assert dict(ClusterTie.objects.values_list("target", "weight")) == {other.pk: 0.3}
    (undone,) = editing.undo(change=tie, by=LEARNING)
    assert (undone.action, ClusterTie.objects.count()) == ("unrelated", 0)
    editing.undo(change=less, by=LEARNING)
    assert rules(one) == {}
    assert one.memberships.get(item__external_id="i0").weight == pytest.approx(1.0)
    item = ids(0)[0]
    assert (members_at(one, before)[item], factors_at(one, before), ties_at(one, before)) == (1.0, {}, {})
    assert (members_at(one, between)[item], factors_at(one, between)) == (0.5, {item: 0.5})
    assert ties_at(one, between) == {other.pk: 0.3}
    assert (factors_at(one, timezone.now() + timedelta(1)), ties_at(one, timezone.now() + timedelta(1))) == ({}, {})


@pytest.mark.django_db
def test_what_cannot_be_related_is_refused(shop: Shop) -> None:  # noqa: F811
    one = make(shop, "A", 0)
    elsewhere = ItemCluster.objects.create(shop=Shop.objects.create(slug="t", name="T"), name="X")
    for target in (one, elsewhere):
        with pytest.raises(EditError, match="another cluster of the same shop"):
            editing.relate(source=one, target=target, weight=0.3, by=LEARNING)
    with pytest.raises(EditError, match="above 0"):
        editing.relate(source=one, target=make(shop, "B", 1), weight=0.0, by=LEARNING)


# What learning takes in, it may take out


@pytest.mark.django_db
def test_what_learning_takes_in_is_no_core_item_and_may_weigh_less_or_go_again(shop: Shop) -> None:  # noqa: F811
    cluster = make(shop, "A", 0, 1)
    editing.set_core(cluster=cluster, items=ids(0), by=Actor("merchandiser"))
    (taken,) = editing.take_in(cluster=cluster, items=ids(0, 5, 6), by=LEARNING)
    assert (rules(cluster), numbers(cluster)) == ({0: "core", 5: "taken", 6: "taken"}, {0, 1, 5, 6})
    (edit,) = read_edits(shop)
    assert (edit.core, edit.taken) == ({ids(0)[0]}, set(ids(5, 6)))
    editing.lessen(cluster=cluster, items={ids(5)[0]: 0.5}, by=LEARNING)
    (edit,) = read_edits(shop)
    assert (edit.lessened, edit.taken) == ({ids(5)[0]: 0.5}, set(ids(5, 6))), "it stays in, and weighs less"
    editing.remove_items(cluster=cluster, items=ids(6), by=LEARNING)
    assert rules(cluster) == {0: "core", 5: "taken", 6: "excluded"}
    editing.undo(change=ClusterChange.objects.latest("pk"), by=LEARNING)
    editing.undo(change=ClusterChange.objects.filter(delta__has_key="factors").latest("pk"), by=LEARNING)
    editing.undo(change=taken, by=LEARNING)
    assert (rules(cluster), numbers(cluster)) == ({0: "core"}, {0, 1})


@pytest.mark.django_db
def test_a_merchandiser_may_keep_what_learning_took_in_and_a_cluster_of_their_own_needs_no_rule(shop: Shop) -> None:  # noqa: F811
    one, own = make(shop, "A", 0), make(shop, "B", 1, kind="manual")
    editing.take_in(cluster=one, items=ids(5), by=LEARNING)
    editing.set_core(cluster=one, items=ids(5), by=Actor("merchandiser"))
    editing.take_in(cluster=one, items=ids(5), by=LEARNING)
    editing.take_in(cluster=own, items=ids(5), by=LEARNING)
    assert (rules(one), rules(own), numbers(own)) == ({5: "core"}, {}, {1, 5})


def test_what_was_taken_in_outlives_a_rebuild_gives_way_above_the_maximum_and_is_no_core_item_of_a_session(learned) -> None:
    clusters, catalogue = learned
    cluster, own = int(clusters.cluster_ids[0]), weights_of(clusters, 0)
    fresh = next(i for i in catalogue.item_ids.tolist() if i not in own)
    edit = ClusterEdit(cluster, CO_VISIT, taken=frozenset({fresh}))
    edited = with_edits(clusters, catalogue, [edit])
    assert weights_of(edited, 0)[fresh] > 0
    assert not len(edited.core)
    core = with_edits(clusters, catalogue, [replace(edit, taken=frozenset(), core=frozenset({fresh}))])
    assert weights_of(core, 0) == pytest.approx(weights_of(edited, 0)), "but for that they are the same"
    assert len(core.core) == 1
    least = with_edits(clusters, catalogue, [replace(edit, lessened={fresh: 0.01}, maximum=len(own))])
    assert fresh not in weights_of(least, 0)
    assert fresh not in weights_of(with_edits(clusters, catalogue, [replace(edit, excluded=frozenset({fresh}))]), 0)
