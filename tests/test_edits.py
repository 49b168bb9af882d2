"""What merchandisers' edits make of learned clusters, with and without a log; clusters of searches beside those of visits."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from clusters.catalogue import ItemRow, build_catalogue
from clusters.covisitation import count_visits
from clusters.edits import ClusterEdit, apply_edits
from clusters.item_clusters import CO_VISIT, SEARCH, ItemClusters, build_clusters, with_edits, with_ids, with_personas
from clusters.learned import Behaviour, Learned
from clusters.search_clusters import SearchClusters, Trace
from personas.components import to_parts
from personas.sessions import SessionLog
from tests.cluster_worlds import bare_catalogue, planted, views

TRACE = Trace((), (), (), "", ())


@pytest.fixture(scope="module")
def world():
    """Eight groups of twelve items, ids from 1; a third of the views is astray, so that there are weak members."""
    log, catalogue, truth = planted(groups=8, size=12, sessions=2_500, stray=0.3, seed=2)
    beliefs = np.random.default_rng(0).dirichlet((1.0, 1.0, 1.0), len(log.code))
    attributes = sparse.random(4, len(catalogue.descriptors), density=0.5, random_state=0, format="csr")
    return log, catalogue, truth, attributes, with_personas(build_clusters(log, catalogue), log, beliefs, attributes)


def ids_of(clusters: ItemClusters, cluster_id: int) -> set[int]:
    """Item ids of a cluster."""
    row = clusters.position_of[cluster_id]
    return set(clusters.item_ids[clusters.items[row].indices].tolist())


def weights_of(clusters: ItemClusters, cluster_id: int) -> dict[int, float]:
    """Item id -> weight as rows hold it."""
    row = clusters.position_of[cluster_id]
    entries = slice(clusters.items.indptr[row], clusters.items.indptr[row + 1])
    return dict(zip(clusters.item_ids[clusters.items.indices[entries]].tolist(), clusters.weight[entries].tolist(), strict=True))


def assert_same(a: ItemClusters, b: ItemClusters) -> None:
    assert (a.names, a.kinds, a.parts) == (b.names, b.kinds, b.parts)
    ours, theirs = to_parts(a)[0], to_parts(b)[0]
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def some_edits(clusters: ItemClusters) -> list[ClusterEdit]:
    merged = weights_of(clusters, 6) | weights_of(clusters, 7)
    return [
        ClusterEdit(1, CO_VISIT, core=frozenset({90, 91}), excluded=frozenset(list(ids_of(clusters, 1))[:2]), maximum=9),
        ClusterEdit(2, CO_VISIT, name="Our best", minimum=20),
        ClusterEdit(3, CO_VISIT, retired=True),
        ClusterEdit(4, CO_VISIT, locked=True, members=weights_of(clusters, 4)),
        ClusterEdit(6, "manual", name="Two in one", members=merged),
        ClusterEdit(7, CO_VISIT, retired=True),
        ClusterEdit(70, "imported", name="Gifts", members={3: 1.0, 50: 0.4, 999_999: 1.0}),
    ]


def test_edits_without_a_log_give_what_a_rebuild_with_them_gives(world):
    log, catalogue, _, attributes, clusters = world
    edits = some_edits(clusters)
    rebuilt = build_clusters(log, catalogue, previous=clusters, edits=edits, attribute_descriptors=attributes)
    assert_same(with_edits(clusters, catalogue, edits, attributes), rebuilt)


def test_counted_visits_stand_for_the_log(world):
    log, catalogue, _, _, clusters = world
    counted = count_visits(log, catalogue.item_ids)
    assert_same(build_clusters(None, catalogue, stats=counted), build_clusters(log, catalogue))
    with pytest.raises(ValueError, match="a log or its counted visits"):
        build_clusters(None, catalogue)


def test_edits_that_are_taken_off_leave_nothing(world):
    _, catalogue, _, attributes, clusters = world
    edited = with_edits(clusters, catalogue, some_edits(clusters), attributes)
    assert_same(with_edits(edited, catalogue, [], attributes), with_edits(clusters, catalogue, [], attributes))
    assert_same(with_edits(clusters, catalogue, [], attributes), clusters)


def test_memberships_sum_to_one_with_edits(world):
    _, catalogue, _, _, clusters = world
    edited = with_edits(clusters, catalogue, some_edits(clusters))
    assert np.allclose(edited.of_item.sum(1), 1.0, atol=1e-6)
    assert edited.share.sum() == pytest.approx(1.0, abs=1e-6)
    assert np.allclose(edited.transitions.sum(1), 1.0, atol=1e-5)


def test_a_core_item_weighs_the_median_at_least_and_an_excluded_one_is_gone(world):
    _, catalogue, _, _, clusters = world
    mine = weights_of(clusters, 1)
    strange = next(i for i in catalogue.item_ids.tolist() if i not in mine)
    out = max(mine, key=mine.__getitem__)
    weakest = min(mine.keys() - {out}, key=mine.__getitem__)
    core = frozenset({strange, weakest, 999_999})
    edited = with_edits(clusters, catalogue, [ClusterEdit(1, CO_VISIT, core=core, excluded=frozenset({out}))])
    after = weights_of(edited, 1)
    median = float(np.median([w for i, w in mine.items() if i != out]))
    assert after.keys() == (mine.keys() | {strange}) - {out}
    assert (after[strange], after[weakest]) == pytest.approx((median, median))
    assert edited.of(catalogue.position(out))  # it is in another


def test_above_the_maximum_the_least_typical_leave_and_core_items_stay(world):
    _, catalogue, _, _, clusters = world
    mine = weights_of(clusters, 2)
    weakest = min(mine, key=mine.__getitem__)
    edited = with_edits(clusters, catalogue, [ClusterEdit(2, CO_VISIT, core=frozenset({weakest}), maximum=5)])
    after = weights_of(edited, 2)
    kept = sorted((i for i in mine if i != weakest), key=lambda i: (-mine[i], i))[:4]
    assert after.keys() == {weakest, *kept}
    for item in mine.keys() - after.keys():  # each goes where shoppers of it go
        assert edited.of(catalogue.position(item))


def test_under_the_minimum_what_shoppers_move_to_comes_in_then_what_is_alike():
    # Two rings of four; item 5 (position 4) is often left for the first ring. Nobody has seen 9 and 10; 9 is like the first.
    sessions = [[0, 1, 2, 3, 0]] * 20 + [[4, 5, 6, 7, 4]] * 20 + [[4, 0]] * 4
    kinds = ["mugs"] * 4 + ["pots"] * 4 + ["mugs", "lamps"]
    colour = ["red"] * 4 + ["blue"] * 4 + ["blue", "green"]
    catalogue = build_catalogue(
        [ItemRow(i + 1, f"s{i}", category=k, colour=c) for i, (k, c) in enumerate(zip(kinds, colour, strict=True))]
    )
    clusters = build_clusters(views(*sessions), catalogue)
    first = int(clusters.cluster_ids[clusters.primary[0]])
    loose = ids_of(clusters, first) - {1, 2, 3, 4}
    edit = ClusterEdit(first, CO_VISIT, excluded=frozenset(loose), minimum=5)
    assert ids_of(with_edits(clusters, catalogue, [edit]), first) == {1, 2, 3, 4, 5}
    edit = replace(edit, excluded=frozenset(), core=frozenset({9}), minimum=6)
    assert ids_of(with_edits(clusters, catalogue, [edit]), first) == {1, 2, 3, 4, 5, 9}


def test_bounds_leave_the_items_of_locked_and_hand_made_clusters_alone(world):
    _, catalogue, _, _, clusters = world
    mine = {3: 1.0, 50: 0.4, 70: 0.2}
    for edit in (
        ClusterEdit(70, "manual", name="Few", members=mine, minimum=20),
        ClusterEdit(4, CO_VISIT, locked=True, members=mine, maximum=2),
    ):
        assert weights_of(with_edits(clusters, catalogue, [edit]), edit.cluster_id) == pytest.approx(mine)


def test_a_retired_cluster_is_not_learned_again_and_its_items_go_on(world):
    log, catalogue, _, _, clusters = world
    gone = ids_of(clusters, 3)
    edits = [ClusterEdit(3, CO_VISIT, retired=True)]
    for after in (
        with_edits(clusters, catalogue, edits),
        build_clusters(log.take(np.arange(len(log)) % 2 == 0), catalogue, previous=clusters, edits=edits),
    ):
        assert 3 not in after.position_of
        assert (after.primary[catalogue.positions(gone)] >= 0).all()
        assert len(after) == len(clusters) - 1


def test_locked_and_hand_made_clusters_keep_their_items_through_another_log(world):
    log, catalogue, _, _, clusters = world
    mine = {item: w for item, w in list(weights_of(clusters, 4).items())[:8]}
    edits = [
        ClusterEdit(4, CO_VISIT, locked=True, members=mine),
        ClusterEdit(70, "manual", name="Gifts", members={3: 1.0, 50: 0.4}),
    ]
    other = SessionLog.of(log.session_of, np.random.default_rng(5).permutation(96)[log.position], log.at)
    rebuilt = build_clusters(other, catalogue, previous=clusters, edits=edits)
    assert weights_of(rebuilt, 4) == pytest.approx(mine)
    assert weights_of(rebuilt, 70) == pytest.approx({3: 1.0, 50: 0.4})
    assert rebuilt.names[rebuilt.position_of[70]] == "Gifts"
    assert rebuilt.locked.tolist() == [c == 4 for c in rebuilt.cluster_ids.tolist()]
    again = build_clusters(log, catalogue, previous=rebuilt)  # without a word, as they were
    assert weights_of(again, 4) == pytest.approx(mine)
    assert weights_of(again, 70) == pytest.approx({3: 1.0, 50: 0.4})


def test_a_new_cluster_that_repeats_a_hand_made_one_is_not_made(world):
    log, catalogue, truth, _, _ = world
    group = [int(i) for i in catalogue.item_ids[truth == 5]]
    edits = [ClusterEdit(500, "manual", name="By hand", members=dict.fromkeys(group[:10], 1.0))]
    fresh = build_clusters(log, catalogue, edits=edits)
    assert len(fresh) == 8  # seven learned and this one
    assert ids_of(fresh, 500) == set(group[:10])
    assert (fresh.primary[truth == 5][:10] == fresh.position_of[500]).all()
    assert np.allclose(fresh.of_item.sum(1), 1.0, atol=1e-6)  # the two left over are somewhere


def test_a_department_that_was_imported_does_not_swallow_what_is_learned_in_it(world):
    log, catalogue, truth, _, _ = world
    everything = dict.fromkeys(catalogue.item_ids.tolist(), 1.0)
    clusters = build_clusters(log, catalogue, edits=[ClusterEdit(500, "imported", name="The shop", members=everything)])
    assert len(clusters) == 9
    assert CO_VISIT in {clusters.kinds[c] for c in clusters.primary.tolist()}


def test_a_cluster_given_back_before_it_was_learned_stays_till_a_rebuild_knows_it(world):
    log, catalogue, truth, _, clusters = world
    group = [int(i) for i in catalogue.item_ids[truth == 5]]
    made = with_edits(clusters, catalogue, [ClusterEdit(90, "manual", name="By hand", members=dict.fromkeys(group[:10], 0.8))])
    back = with_edits(made, catalogue, [ClusterEdit(90, CO_VISIT, name="By hand")])
    assert ids_of(back, 90) == set(group[:10])
    assert with_edits(back, catalogue, []).position_of.keys() == {*clusters.position_of, 90}
    rebuilt = build_clusters(log, catalogue, previous=back, edits=[])
    assert len(rebuilt) == 8  # it is the learned one that it repeated, or that one is it


def test_a_name_by_hand_stays_and_the_learned_one_comes_back(world):
    log, catalogue, _, _, clusters = world
    named = with_edits(clusters, catalogue, [ClusterEdit(2, CO_VISIT, name="Our best")])
    assert build_clusters(log, catalogue, previous=named).names == named.names
    assert build_clusters(log, catalogue, previous=named, edits=[]).names == clusters.names


def test_edits_of_another_catalogue_are_refused(world):
    *_, clusters = world
    with pytest.raises(ValueError, match="96 items are not of this catalogue, which has 1"):
        with_edits(clusters, build_catalogue([ItemRow(1, "x")]), [])


def test_what_a_large_retired_cluster_leaves_is_settled_a_part_at_a_time():
    # 15,000 items by 399 clusters would be 48 MB for each of several tables.
    n, c = 20_000, 400
    place = np.where(np.arange(n) < 5_000, np.arange(n) % (c - 1), c - 1)
    of_item = sparse.csr_matrix((np.ones(n, dtype=np.float32), (np.arange(n), place)), shape=(n, c))
    ids, names = np.arange(1, c + 1), tuple(f"cluster {i}" for i in range(c))
    learned = Learned(ids, names, (CO_VISIT,) * c, of_item, np.full(c, -1, dtype=np.int32), 1.0)
    a, b = np.random.default_rng(0).integers(0, n, (2, 60_000))
    moves = sparse.csr_matrix((np.ones(60_000, dtype=np.float32), (a, b)), shape=(n, n))
    behaviour = Behaviour(np.ones(n, dtype=np.float32), moves, np.zeros((n, 0), dtype=np.float32))
    catalogue = bare_catalogue(n)
    tracemalloc.start()
    edited = apply_edits(learned, behaviour, catalogue, [ClusterEdit(c, CO_VISIT, retired=True)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    either = (moves + moves.T) @ of_item[:, : c - 1]
    tied = np.asarray(either.max(1).todense()).ravel() > 0
    assert (np.diff(edited.weights.indptr)[5_000:] > 0).tolist() == tied[5_000:].tolist()


def test_a_cluster_that_is_not_made_takes_no_name_from_those_that_are():
    # Two rings of mugs; the first is a hand-made cluster's already, so the second is the only one that is learned.
    catalogue = build_catalogue([ItemRow(i + 1, f"s{i}", title=f"no. {i}", category=("mugs", "pots")[i // 8]) for i in range(16)])
    log = views(*[[4 * g + i for i in range(4)] * 2 for g in range(4)] * 10)
    edits = [ClusterEdit(500, "manual", name="By hand", members=dict.fromkeys(range(1, 5), 1.0))]
    clusters = build_clusters(log, catalogue, edits=edits, resolution=1.0)
    assert clusters.names[clusters.primary[4]] == "Mugs"
    assert len(clusters) == 4


# Clusters of searches


def picnic(truth: np.ndarray, groups: tuple[int, int] = (0, 1), title: str = "Picnic") -> SearchClusters:
    """Half of two groups, as a search for a picnic finds them."""
    members = np.isin(truth, groups) & (np.arange(len(truth)) % 2 == 0)
    of_item = sparse.csr_matrix(members.astype(np.float64)[:, None])
    return SearchClusters(of_item, (title,), (TRACE,), ({},))


def test_clusters_of_searches_stand_beside_those_of_visits(world):
    log, catalogue, truth, _, plain = world
    clusters = build_clusters(log, catalogue, searched=picnic(truth))
    row = clusters.kinds.index(SEARCH)
    assert clusters.names[row] == "Picnic"
    assert len(clusters) == len(plain) + 1
    inside = np.flatnonzero(np.isin(truth, (0, 1)) & (np.arange(96) % 2 == 0))
    assert clusters.items[row].indices.tolist() == inside.tolist()
    assert np.allclose(clusters.items[row].data, 0.4, atol=1e-6)
    assert np.allclose(clusters.of_item.sum(1), 1.0, atol=1e-6)
    assert (clusters.cluster_ids[clusters.primary] == plain.cluster_ids[plain.primary]).all()
    assert clusters.learned.source[clusters.learned.kinds.index(SEARCH)] == 0


def test_clusters_of_searches_keep_their_ids_and_names_and_are_not_taken_for_those_of_visits(world):
    log, catalogue, truth, _, plain = world
    whole = SearchClusters(sparse.csr_matrix((truth == 3).astype(np.float64)[:, None]), ("Camping",), (TRACE,), ({},))
    both = build_clusters(log, catalogue, previous=plain, searched=whole)
    assert both.cluster_ids.tolist() == [*plain.cluster_ids.tolist(), plain.cluster_ids.max() + 1]
    again = build_clusters(log, catalogue, previous=both, searched=replace(whole, titles=("Tents and stoves",)))
    assert again.cluster_ids.tolist() == both.cluster_ids.tolist()
    assert again.names == both.names


def test_an_item_of_a_search_alone_is_in_it_alone(world):
    log, catalogue, truth, _, _ = world
    rows = [ItemRow(i + 1, f"s{i}", category=str(truth[i])) for i in range(96)] + [ItemRow(97, "never seen")]
    searched = SearchClusters(sparse.csr_matrix(([0.3, 0.5], ([96, 0], [0, 0])), shape=(97, 1)), ("Rare",), (TRACE,), ({},))
    clusters = build_clusters(log, build_catalogue(rows), searched=searched)
    row = clusters.kinds.index(SEARCH)
    assert clusters.of(96) == ((row, 1.0),)
    assert clusters.primary[96] == row
    assert clusters.primary[0] != row


# Ids, relations, parts


def test_other_ids_for_the_same_clusters(world):
    _, catalogue, _, attributes, clusters = world
    edited = with_edits(clusters, catalogue, some_edits(clusters), attributes)
    renumbered = with_ids(edited, {1: 300, 2: 200})
    assert (np.diff(renumbered.cluster_ids) > 0).all()
    assert weights_of(renumbered, 300) == weights_of(edited, 1)
    a, b = edited.position_of[1], renumbered.position_of[300]
    assert renumbered.names[b] == edited.names[a]
    assert renumbered.persona_lift[b].tolist() == edited.persona_lift[a].tolist()
    assert renumbered.related[b, renumbered.position_of[200]] == edited.related[a, edited.position_of[2]]
    assert (renumbered.primary == b).tolist() == (edited.primary == a).tolist()
    later = with_ids(edited, {c: c + 300 for c in range(1, 100)})
    edits = [replace(e, cluster_id=e.cluster_id + 300) for e in some_edits(clusters)]
    assert_same(with_edits(later, catalogue, edits, attributes), later)
    with pytest.raises(ValueError, match="same id"):
        with_ids(clusters, {1: 2})


def test_related_follows_moves_and_likeness_and_likeness_alone_where_nobody_moved():
    # Shoppers go from the first ring to the second; the third, of the same kind as the first, is an island.
    sessions = [[3, 4]] * 20 + [[0, 1, 2, 3, 0]] * 30 + [[4, 5, 6, 7, 4]] * 30 + [[8, 9, 10, 11, 8]] * 30
    rows = [
        ItemRow(i + 1, f"s{i}", category=("mugs", "pots", "mugs")[i // 4], colour=("red", "blue", "grey")[i // 4])
        for i in range(12)
    ]
    clusters = build_clusters(views(*sessions), build_catalogue(rows), resolution=1.0)
    a, b, c = clusters.primary[[0, 4, 8]].tolist()
    assert clusters.related[a, b] > clusters.related[a, c] > 0
    assert clusters.related[c].argmax() == a
    assert clusters.related[c, a] == pytest.approx(1.0)
    assert np.diag(clusters.related).tolist() == [0.0, 0.0, 0.0]
    assert clusters.overlap[a, c] == clusters.overlap[c, a] > clusters.overlap[a, b]


def test_a_cluster_too_large_to_show_has_named_parts():
    # One department of four kinds, which shoppers view without leaving a kind; cut into one cluster by force.
    rng = np.random.default_rng(0)
    kinds = ("mugs", "pots", "pans", "jugs")
    catalogue = build_catalogue([ItemRow(i + 1, f"s{i}", title=f"{i}", category=kinds[i // 50]) for i in range(200)])
    sessions = [(50 * (s % 4) + rng.integers(0, 50, 5)).tolist() for s in range(1_500)]
    edit = ClusterEdit(900, "manual", name="Kitchen", members=dict.fromkeys(range(1, 201), 1.0))
    clusters = build_clusters(views(*sessions), catalogue, edits=[edit])
    row = clusters.position_of[900]
    entries = slice(clusters.items.indptr[row], clusters.items.indptr[row + 1])
    assert sorted(name.split()[0].lower() for name in clusters.parts[row]) == sorted(kinds)
    for number, name in enumerate(clusters.parts[row]):
        mine = clusters.items.indices[entries][clusters.part[entries] == number]
        assert {kinds[i // 50] for i in mine.tolist()} == {name.split()[0].lower()}
    assert all(not names for c, names in enumerate(clusters.parts) if c != row)


def test_descriptors_part_a_cluster_in_which_nobody_moved():
    catalogue = build_catalogue([ItemRow(i + 1, f"s{i}", category=("mugs", "pots", "pans")[i % 3]) for i in range(150)])
    edit = ClusterEdit(9, "imported", name="New in", members=dict.fromkeys(range(1, 151), 1.0))
    clusters = build_clusters(views(), catalogue, edits=[edit])
    assert sorted(clusters.parts[0]) == ["Mugs", "Pans", "Pots"]
    assert np.bincount(clusters.part).tolist() == [50, 50, 50]


def test_parts_of_a_cluster_that_changed_little_stay_and_take_in_what_is_like_them():
    # Two hundred items of four kinds; five mugs leave the cluster and come back, then half of everything leaves.
    kinds = ("mugs", "pots", "pans", "jugs")
    catalogue = build_catalogue([ItemRow(i + 1, f"s{i}", title=f"{i}", category=kinds[i // 50]) for i in range(200)])
    members = dict.fromkeys(range(1, 201), 1.0)
    edit = ClusterEdit(900, "manual", name="Kitchen", members=members)
    whole = build_clusters(views(), catalogue, edits=[edit])
    assert sorted(whole.parts[0]) == ["Jugs", "Mugs", "Pans", "Pots"]
    less = with_edits(whole, catalogue, [replace(edit, members=dict.fromkeys(range(6, 201), 1.0))])
    assert less.parts == whole.parts
    assert less.part.tolist() == whole.part[5:].tolist()
    assert_same(with_edits(less, catalogue, [edit]), whole)
    no_mugs = with_edits(whole, catalogue, [replace(edit, members=dict.fromkeys(range(51, 201), 1.0))])
    assert sorted(no_mugs.parts[0]) == ["Jugs", "Pans", "Pots"]
