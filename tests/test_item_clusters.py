"""Clusters found in planted worlds, their identity across rebuilds, and what small or empty shops get."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_mutual_info_score

from clusters.catalogue import ItemRow, build_catalogue
from clusters.covisitation import FINENESS, wanted
from clusters.item_clusters import ClusterEdit, ItemClusters, build_clusters, with_edits, with_ids, with_personas
from clusters.learning import coarse_groups
from clusters.naming import cluster_names, descriptor_lift
from personas.components import from_parts, to_parts
from personas.sessions import SessionLog
from tests.cluster_worlds import bare_catalogue, planted, views


@pytest.fixture(scope="module")
def world():
    log, catalogue, truth = planted()
    return log, catalogue, truth, build_clusters(log, catalogue)


def test_planted_groups_are_recovered(world):
    _, _, truth, clusters = world
    assert adjusted_mutual_info_score(truth, clusters.primary) > 0.95


def test_planted_groups_are_recovered_with_a_third_of_the_views_astray():
    log, catalogue, truth = planted(stray=0.33, seed=3)
    assert adjusted_mutual_info_score(truth, build_clusters(log, catalogue).primary) > 0.8


def test_the_log_chooses_the_planted_number_within_the_range(world):
    _, catalogue, _, clusters = world
    assert FINENESS[0] * wanted(len(catalogue)) <= 15 <= FINENESS[1] * wanted(len(catalogue))
    assert len(clusters) == 15


def test_memberships_sum_to_one_and_the_primary_is_the_strongest(world):
    *_, clusters = world
    assert np.allclose(clusters.of_item.sum(1), 1.0, atol=1e-6)
    dense = clusters.of_item.toarray()
    rows = np.arange(len(dense))
    assert (dense[rows, clusters.primary] == dense.max(1)).all()
    assert ((clusters.of_item.data > 0) & (clusters.of_item.data <= 1)).all()
    assert (clusters.items.toarray() == dense.T).all()
    assert [clusters.of(i)[0][0] for i in range(0, 240, 17)] == clusters.primary[::17].tolist()
    assert clusters.of(-1) == ()


def test_an_item_between_two_groups_belongs_weakly_to_the_other():
    # Item 0 is viewed with items 1-7, and half as often with items 8-15.
    rng = np.random.default_rng(1)
    sessions = [[0, *rng.choice(np.arange(1, 8), 2).tolist()] for _ in range(60)]
    sessions += [[0, *rng.choice(np.arange(8, 16), 2).tolist()] for _ in range(40)]
    sessions += [rng.choice(np.arange(1, 8), 3).tolist() for _ in range(100)]
    sessions += [rng.choice(np.arange(8, 16), 3).tolist() for _ in range(100)]
    clusters = build_clusters(views(*sessions), bare_catalogue(16))
    own, *others = clusters.of(0)
    assert own[0] == clusters.primary[1]
    assert [c for c, _ in others] == [clusters.primary[8]]
    assert 0.2 <= others[0][1] < own[1]


def test_transitions_are_the_share_of_moves_with_ten_moves_of_prior():
    # Two groups of four without a tie between them: 40 moves within the first, 20 within the second, none between.
    # Each session walks the ring a-b-c-d-a, so each has 4 moves.
    clusters = build_clusters(views(*[[0, 1, 2, 3, 0]] * 10, *[[4, 5, 6, 7, 4]] * 5), bare_catalogue(8))
    assert len(clusters) == 2
    a, b = clusters.primary[0], clusters.primary[4]
    share = np.array([51, 26]) / 77  # views, one added to each
    assert clusters.share[[a, b]] == pytest.approx(share, abs=1e-6)
    assert clusters.transitions[a, [a, b]] == pytest.approx([(40 + 10 * share[0]) / 50, 10 * share[1] / 50], abs=1e-6)
    assert clusters.transitions[b, [a, b]] == pytest.approx([10 * share[0] / 30, (20 + 10 * share[1]) / 30], abs=1e-6)


def test_names_say_what_is_over_represented_and_are_distinct(world):
    _, catalogue, truth, clusters = world
    assert len(set(clusters.names)) == len(clusters)
    for position, name in enumerate(clusters.names):
        item = int(np.flatnonzero(clusters.primary == position)[0])
        assert catalogue.categories[catalogue.category[item]] in name.lower()
    skirts = catalogue.descriptors.index("category=skirts")
    lift = clusters.descriptor_lift[clusters.primary[0], skirts]
    assert lift == pytest.approx((16 + 1) / (16 / 15 + 1), rel=0.1)


def test_without_descriptors_a_cluster_is_named_after_its_most_visited_item():
    sessions = [[0, 1, 2, 3]] * 5 + [[2, 0]] * 5 + [[4, 5, 6, 7]] * 5 + [[5, 6], [6, 7]] * 5
    clusters = build_clusters(views(*sessions, [2, 0, 2]), bare_catalogue(8))
    assert set(clusters.names) == {"Group around no. 2", "Group around no. 6"}


def test_words_of_titles_name_a_cluster_if_they_name_a_thing_and_once():
    # Rings of four of "candles with ..." and of "sets"; the words stand in a third of all titles at most.
    words = [["candle with star", "candles with ivy", "candle with bow", "candles with bell"], ["set of mats", "set of mats"] * 2]
    rows = [ItemRow(i + 1, f"sku-{i}", title=t) for i, t in enumerate(words[0] + words[1] + [f"no. {i}" for i in range(8)])]
    sessions = [[0, 1, 2, 3]] * 5 + [[4, 5, 6, 7]] * 5 + [[8, 9, 10, 11]] * 5 + [[12, 13, 14, 15]] * 5
    clusters = build_clusters(views(*sessions), build_catalogue(rows), resolution=1.0)
    assert clusters.names[clusters.primary[4]] == "Mats"
    assert clusters.names[clusters.primary[0]] == "Group around candle with star"  # "with" is all that three of them share


def test_names_are_short_however_long_the_titles():
    rows = [ItemRow(i + 1, f"sku-{i}", title=f"{i:03d}" * 100, category="c" * 120) for i in range(8)]
    clusters = build_clusters(views(*[[0, 1, 2, 3]] * 5, *[[4, 5, 6, 7]] * 5), build_catalogue(rows))
    assert len(set(clusters.names)) == len(clusters) == 2
    assert all(len(name) <= 120 for name in clusters.names)


def test_same_log_same_clusters(world):
    log, catalogue, _, clusters = world
    again = build_clusters(log, catalogue)
    for (name, a), (_, b) in zip(to_parts(clusters)[0].items(), to_parts(again)[0].items(), strict=True):
        assert np.array_equal(a, b), name
    assert again.names == clusters.names


def test_a_rebuild_on_the_same_log_moves_nothing():
    # Half of the views stray, so that some items are tied most to a larger group than their own; ten used to go there.
    log, catalogue, _ = planted(groups=12, size=20, sessions=500, stray=0.5, seed=1)
    once = build_clusters(log, catalogue)
    again = build_clusters(log, catalogue, previous=once)
    assert (again.cluster_ids[again.primary] == once.cluster_ids[once.primary]).all()


def test_rebuild_on_other_sessions_keeps_ids_names_and_locks(world):
    log, catalogue, _, clusters = world
    locked = clusters.locked.copy()
    locked[3] = True
    edited = replace(clusters, names=("Hand-picked", *clusters.names[1:]), locked=locked)
    rebuilt = build_clusters(log.take(np.arange(len(log)) >= 2_000), catalogue, previous=edited, first_id=1)
    assert rebuilt.cluster_ids.tolist() == clusters.cluster_ids.tolist()
    assert rebuilt.names == edited.names
    assert rebuilt.locked.tolist() == locked.tolist()
    assert adjusted_mutual_info_score(clusters.primary, rebuilt.primary) > 0.95


def test_ids_follow_items_to_other_positions(world):
    log, catalogue, truth, clusters = world
    # The shop loses its first 5 items: all positions move down by five.
    rows = [ItemRow(int(i), catalogue.external_ids[p]) for p, i in enumerate(catalogue.item_ids) if p >= 5]
    kept = log.where(log.position >= 5)
    moved = SessionLog.of(kept.session_of, kept.position - 5, kept.at)
    rebuilt = build_clusters(moved, build_catalogue(rows), previous=clusters)
    was = clusters.cluster_ids[clusters.primary[5:]]
    assert (rebuilt.cluster_ids[rebuilt.primary] == was).mean() > 0.95


def test_new_clusters_get_ids_above_all_old_ones(world):
    log, catalogue, _, clusters = world
    old = with_ids(clusters, {c: c + 100 for c in range(1, 16)})
    shuffled = SessionLog.of(log.session_of, np.random.default_rng(5).permutation(240)[log.position], log.at)
    rebuilt = build_clusters(shuffled, catalogue, previous=old, first_id=7)
    fresh = np.setdiff1d(rebuilt.cluster_ids, old.cluster_ids)
    assert len(fresh) > 6
    assert fresh.min() == 116
    assert (np.diff(rebuilt.cluster_ids) > 0).all()


def test_what_merchandisers_made_survives_a_rebuild(world):
    log, catalogue, _, clusters = world
    kept = with_edits(clusters, catalogue, [ClusterEdit(50, "manual", "Gifts for aunts", members={4: 1.0, 61: 1.0, 201: 1.0})])
    rebuilt = build_clusters(log, catalogue, previous=kept)
    row = rebuilt.position_of[50]
    assert (rebuilt.names[row], rebuilt.kinds[row]) == ("Gifts for aunts", "manual")
    assert rebuilt.items[row].indices.tolist() == [3, 60, 200]
    assert np.allclose(rebuilt.of_item.sum(1), 1.0, atol=1e-6)


def test_never_visited_items_join_by_descriptors_and_unlike_ones_stay_out():
    log, catalogue, truth = planted(groups=4, size=12, sessions=800)
    rows = [ItemRow(i + 1, f"sku-{i}", category=f"kind {truth[i]}") for i in range(48)]
    rows += [ItemRow(49, "new skirt", category="kind 2"), ItemRow(50, "nothing known")]
    clusters = build_clusters(log, build_catalogue(rows))
    joined = np.flatnonzero(clusters.primary[:48] == clusters.primary[48])
    assert truth[joined].tolist() == [2] * len(joined)
    assert clusters.primary[49] == -1
    assert clusters.of(49) == ()


def test_visited_items_tied_to_nothing_are_the_other_items():
    log, _, _ = planted(groups=4, size=12, sessions=800)
    alone = SessionLog.of(
        np.append(log.session_of, [9_000, 9_001]), np.append(log.position, [48, 49]), np.append(log.at, [1e9, 2e9])
    )
    clusters = build_clusters(alone, bare_catalogue(51))
    other = clusters.primary[48]
    assert clusters.names[other] == "Other items"
    assert clusters.primary[48:].tolist() == [other, other, -1]
    assert clusters.sizes[other] == 2
    again = build_clusters(alone, bare_catalogue(51), previous=clusters)
    assert again.cluster_ids.tolist() == clusters.cluster_ids.tolist()


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_visit_no_cluster(n):
    log = SessionLog.of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    clusters = build_clusters(log, bare_catalogue(n))
    assert len(clusters) == 0
    assert clusters.items.shape == (0, n)
    assert clusters.transitions.shape == (0, 0)
    assert clusters.primary.tolist() == [-1] * n
    filled = with_personas(clusters, log, np.zeros((0, 3)), sparse.csr_matrix((2, 0)))
    assert filled.persona_lift.shape == (0, 3)
    assert filled.attribute_match.shape == (0, 2)
    groups, names = coarse_groups(log, n)
    assert (groups.tolist(), names) == ([-1] * n, ())


def test_one_item_one_visit_is_one_cluster():
    clusters = build_clusters(views([0]), bare_catalogue(1))
    assert clusters.names == ("Other items",)
    assert clusters.transitions.tolist() == [[1.0]]
    assert clusters.share.tolist() == [1.0]


def test_three_items_are_one_cluster():
    clusters = build_clusters(views([0, 1, 2], [2, 1]), bare_catalogue(3))
    assert clusters.primary.tolist() == [0, 0, 0]


def test_coarse_groups_are_few_cover_what_was_visited_and_follow_the_planted_ones():
    log, _, truth = planted()
    groups, names = coarse_groups(log, 245, at_most=20)
    assert groups.dtype == np.int16
    assert groups[240:].tolist() == [-1] * 5
    assert groups[:240].min() == 0
    assert len(names) == groups.max() + 1 <= 20
    assert adjusted_mutual_info_score(truth, groups[:240]) > 0.85
    assert coarse_groups(log, 245, at_most=20)[0].tolist() == groups.tolist()
    with pytest.raises(ValueError, match="at_most 1"):
        coarse_groups(log, 245, at_most=1)


def test_coarse_groups_keep_the_limit_where_the_log_is_all_islands():
    log = views(*[[4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3] for i in range(100)])
    groups, names = coarse_groups(log, 400, at_most=10)
    assert len(names) <= 10
    assert groups.min() >= 0


def test_persona_lift_finds_the_planted_taste_and_stays_one_without_evidence():
    log, catalogue, truth = planted(groups=4, size=12, sessions=800, stray=0.0)
    clusters = build_clusters(log, catalogue)
    # Persona 0 visits the first two groups, persona 1 the others; persona 2 nobody ever was.
    belief = np.zeros((len(log.code), 3))
    belief[np.arange(len(log.code)), (truth[log.position] >= 2).astype(int)] = 1.0
    filled = with_personas(clusters, log, belief, sparse.csr_matrix((1, len(catalogue.descriptors))))
    first, last = clusters.primary[0], clusters.primary[47]
    # All views of the first cluster are persona 0's, whose part of all views is about a half.
    seen, part = clusters.of_item[log.position, first].sum(), belief[:, 0].mean()
    assert filled.persona_lift[first, 0] == pytest.approx((seen + 20) / (seen * part + 20), abs=1e-3)
    assert filled.persona_lift[first, 1] == pytest.approx(20 / (seen * (1 - part) + 20), abs=1e-3)
    assert filled.persona_lift[last, 1] > 1.7
    assert filled.persona_lift[:, 2].tolist() == [1.0] * len(clusters)
    assert clusters.persona_lift.shape == (len(clusters), 0)  # the argument is unchanged


def test_attribute_match_is_the_cosine_with_the_cluster_that_has_its_descriptors():
    log, catalogue, _ = planted(groups=4, size=12, sessions=800)
    clusters = build_clusters(log, catalogue)
    weights = np.zeros((2, len(catalogue.descriptors)))
    weights[0, catalogue.descriptors.index("category=skirts")] = 1.0
    weights[1, catalogue.descriptors.index("category=coats")] = 2.0
    filled = with_personas(clusters, log, np.ones((len(log.code), 1)), sparse.csr_matrix(weights))
    assert filled.attribute_match[clusters.primary[0]] == pytest.approx([1.0, 0.0], abs=1e-6)
    assert filled.attribute_match[clusters.primary[47]] == pytest.approx([0.0, 1.0], abs=1e-6)


def test_with_personas_says_what_does_not_fit(world):
    log, catalogue, _, clusters = world
    with pytest.raises(ValueError, match=r"beliefs \(3, 2\) do not fit"):
        with_personas(clusters, log, np.ones((3, 2)), sparse.csr_matrix((1, len(catalogue.descriptors))))
    with pytest.raises(ValueError, match="not the same descriptors"):
        with_personas(clusters, log, np.ones((len(log.code), 2)), sparse.csr_matrix((1, 3)))


def test_components_round_trip_through_json(world):
    log, catalogue, _, clusters = world
    filled = with_personas(clusters, log, np.ones((len(log.code), 2)), sparse.csr_matrix((3, len(catalogue.descriptors))))
    arrays, meta = to_parts(filled)
    back = from_parts(ItemClusters, arrays, json.loads(json.dumps(meta)))
    assert (back.names, back.kinds) == (filled.names, filled.kinds)
    for name, array in to_parts(back)[0].items():
        assert np.array_equal(array, arrays[name]), name
    assert back.position_of == filled.position_of


def test_of_two_clusters_of_the_same_name_the_second_says_what_many_of_its_items_are():
    # Twelve skirts of three colours, then twelve of which five are blue; beside them hats of other colours.
    colours = ["red", "grey", "green"] * 4 + ["blue"] * 5 + ["grey"] * 4 + ["green"] * 3 + ["red", "grey", "green"] * 16
    rows = [
        ItemRow(i + 1, f"s{i}", title=f"no. {i}", category="skirts" if i < 24 else "hats", colour=c)
        for i, c in enumerate(colours)
    ]
    catalogue = build_catalogue(rows)
    items = sparse.csr_matrix((np.arange(72)[None, :] // 12 == np.array([[0], [1]])).astype(np.float32))
    lift = descriptor_lift(items, catalogue.item_descriptors)
    assert cluster_names(items, lift, catalogue, np.ones(72), given=("", "")) == ("Skirts", "Skirts, often blue")


def named(groups: list[list[str]], categories: list[str], rest: int = 40) -> tuple[str, ...]:
    """Names of clusters of items with these titles, one category a cluster, in a shop of `rest` other items."""
    rows = [(title, category) for titles, category in zip(groups, categories, strict=True) for title in titles]
    rows += [(f"no. {i}", f"kind {i % 8}") for i in range(rest)]
    catalogue = build_catalogue([ItemRow(i + 1, f"s{i}", title=t, category=c) for i, (t, c) in enumerate(rows)])
    place = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
    shape = (len(groups), len(rows))
    items = sparse.csr_matrix((np.ones(len(place), dtype=np.float32), (place, np.arange(len(place)))), shape=shape)
    lift = descriptor_lift(items, catalogue.item_descriptors)
    return cluster_names(items, lift, catalogue, np.arange(len(rows), 0, -1.0), given=("",) * len(groups))


def test_clusters_of_one_category_are_told_apart_by_words_of_their_titles():
    groups = [
        ["RED EGG COSY", "BLUE EGG COSY", "GREEN EGG COSY", "EGG COSY"],
        ["LARGE CAKE TIN"] * 4,
        ["OWL", "FAN", "PEN", "CUP"],
    ]
    assert named(groups, ["kitchen", "kitchen", "toys"]) == ("Kitchen: cosy, egg", "Kitchen: cake, tin", "Toys")


def test_a_word_that_a_few_items_have_does_not_name_a_cluster_alone():
    # A heart on three of ten without a category, three of which are lanterns: the next words stand beside it.
    few = ["heart lantern", "heart lantern", "heart lantern", "owl", "fan", "pen", "cup", "map", "saw", "hen"]
    assert named([few], [""]) == ("Heart, lantern",)
    assert named([[title.removesuffix(" lantern") for title in few]], [""]) == ("Group around heart",)


def test_titles_in_capitals_are_not_shouted_in_names():
    bare = [["TALL BLUE VASE", "X", "Y", "Z"], ["RED HEN", "U", "V", "W"]]
    assert named(bare, ["", ""], rest=0) == ("Group around tall blue vase", "Group around red hen")
