"""Visits counted, by hand and in parts, and the groups that planted worlds are cut into."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from clusters.covisitation import VisitStats, choose_groups, count_visits, covisit_graph, foretell, merge, of_items, wanted
from personas.components import from_parts, to_parts
from personas.events import CODE
from personas.sessions import SessionLog
from tests.cluster_worlds import planted, views

IDS = np.arange(1, 100)


def test_foretelling_prefers_the_planted_groups_to_coarser_ones_and_to_noise():
    log, catalogue, truth = planted()
    stats = count_visits(log, catalogue.item_ids)
    rng = np.random.default_rng(0)
    true = foretell(truth, stats)
    assert true > foretell(truth // 2, stats) + 0.3
    assert true > foretell(rng.permutation(truth), stats) + 0.5


def test_an_old_visit_weighs_half_after_a_half_life():
    log = SessionLog.of(np.array([0, 1]), np.array([0, 1]), np.array([0.0, 3600.0]))
    assert count_visits(log, IDS[:2], 3600.0).visits.tolist() == [0.5, 1.0]
    assert count_visits(replace(log, clock="order"), IDS[:2], 3600.0).visits.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"half_life_s -1"):
        count_visits(log, IDS[:2], -1.0)


def test_cosine_of_visits_by_hand():
    # Items 0 and 1 meet in two sessions, 0 and 2 in one; visits 3, 2, 1.
    graph = covisit_graph(count_visits(views([0, 1], [1, 0], [0, 2]), IDS[:4]))
    assert graph[0, 1] == pytest.approx(2 / np.sqrt(3 * 2))
    assert graph[2, 0] == pytest.approx(1 / np.sqrt(3))
    assert graph[1, 2] == 0
    assert graph[3].nnz == 0


def test_searches_and_unknown_items_make_no_visit():
    code = np.array([CODE["search"], CODE["view_item"], CODE["refund"]])
    log = SessionLog.of(np.zeros(3, dtype=np.int64), np.array([-1, 0, 1]), np.arange(3.0), code=code)
    assert count_visits(log, IDS[:2]).visits.tolist() == [1.0, 0.0]


def test_choose_groups_of_no_edges_is_no_group():
    stats = count_visits(views([0], [1]), IDS[:2])
    assert choose_groups(covisit_graph(stats), stats).groups.tolist() == [-1, -1]


def test_counts_of_a_session_by_hand():
    # Twelve actions: the first and the last are eleven apart, which is beyond the window.
    stats = count_visits(views([0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2], [1, 0]), IDS[:3])
    assert stats.visits.tolist() == [2, 11, 1]
    assert stats.sessions == 2
    assert stats.pairs.toarray().tolist() == [[0, 11, 0], [11, 0, 10], [0, 10, 0]]
    assert stats.moves.toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]


def dense(stats: VisitStats) -> list[np.ndarray]:
    return [stats.pairs.toarray(), stats.visits, stats.gain, stats.moves.toarray(), stats.held.toarray()]


@pytest.mark.parametrize("half_life", [None, 5_000.0])
def test_counts_of_two_parts_add_up_to_those_of_the_whole(half_life):
    log, catalogue, _ = planted(groups=4, size=8, sessions=300)
    # The later part knows two items that the earlier one lacks, and lacks two that it knows.
    whole = count_visits(log, catalogue.item_ids, half_life)
    early, late = (log.take(np.arange(300) < 200), log.take(np.arange(300) >= 200))
    rest = early.where(early.position >= 2)
    first = count_visits(replace(rest, position=rest.position - 2), catalogue.item_ids[2:], half_life)
    merged = merge(first, count_visits(late, catalogue.item_ids, half_life))
    full = merge(count_visits(early, catalogue.item_ids, half_life), count_visits(late, catalogue.item_ids, half_life))
    assert (full.sessions, full.until, full.half_life_s) == (300, whole.until, whole.half_life_s)
    for a, b in zip(dense(full), dense(whole), strict=True):
        assert np.allclose(a, b, rtol=1e-5)
    assert merged.item_ids.tolist() == catalogue.item_ids.tolist()
    assert np.allclose(merged.visits[2:], whole.visits[2:])
    none = count_visits(log.take(np.zeros(0, dtype=np.int64)), catalogue.item_ids, 7.0)
    assert np.allclose(merge(none, whole).visits, whole.visits)
    with pytest.raises(ValueError, match="half-lives"):
        merge(whole, replace(whole, half_life_s=1.0))


def test_counts_follow_their_items_to_another_catalogue():
    stats = count_visits(views([0, 1, 2], [2, 1]), np.array([10, 20, 30]))
    moved = of_items(stats, np.array([5, 20, 30]))
    assert moved.visits.tolist() == [0, 2, 2]
    assert moved.moves.toarray().tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_a_known_resolution_gives_the_groups_that_the_search_found():
    log, catalogue, truth = planted()
    stats = count_visits(log, catalogue.item_ids)
    graph = covisit_graph(stats)
    found = choose_groups(graph, stats)
    assert adjusted_mutual_info_score(truth, found.groups) > 0.95
    again = choose_groups(graph, stats, resolution=found.resolution)
    assert again.resolution == found.resolution
    assert again.groups.tolist() == found.groups.tolist()


def test_counts_round_trip_as_a_component():
    stats = count_visits(views([0, 1, 2], [2, 1]), IDS[:3])
    arrays, meta = to_parts(stats)
    back = from_parts(VisitStats, arrays, json.loads(json.dumps(meta)))
    assert all(np.array_equal(a, b) for a, b in zip(dense(back), dense(stats), strict=True))
    assert (back.sessions, back.until) == (stats.sessions, stats.until)


@pytest.mark.parametrize(("items", "groups"), [(9, 2), (217, 18), (2_000, 110), (40_000, 110), (1_000_000, 500)])
def test_groups_wanted(items, groups):
    assert wanted(items) == pytest.approx(groups, rel=0.01)


def test_a_log_of_a_few_large_groups_is_not_cut_into_pieces():
    # Six groups of 100, where 50 pieces would be wanted.
    log, catalogue, truth = planted(groups=6, size=100, sessions=4_000)
    stats = count_visits(log, catalogue.item_ids)
    found = choose_groups(covisit_graph(stats), stats)
    assert wanted(len(catalogue)) == 50
    assert adjusted_mutual_info_score(truth, found.groups) > 0.95


def test_groups_that_go_on_from_themselves_stay_however_often_they_are_built():
    # Overlapping groups: a third of the views stray, so that some items could as well be elsewhere.
    log, catalogue, _ = planted(groups=12, size=12, sessions=1_500, stray=0.35)
    stats = count_visits(log, catalogue.item_ids)
    graph = covisit_graph(stats)
    found = choose_groups(graph, stats)
    again = choose_groups(graph, stats, resolution=found.resolution, start=found.groups)
    assert again.groups.tolist() == found.groups.tolist()


def test_an_item_of_a_small_shop_is_tied_to_a_part_of_the_others_only():
    rng = np.random.default_rng(0)
    everything = views(*(rng.permutation(200)[:8].tolist() for _ in range(2_000)))
    graph = covisit_graph(count_visits(everything, np.arange(1, 201)))
    kept = np.diff(graph.indptr)  # an edge stays where either of its ends keeps it
    assert kept.min() >= 10
    assert np.median(kept) < 25
