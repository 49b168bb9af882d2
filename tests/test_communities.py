"""Communities of small graphs by hand, and groups that hold still from one log to the next."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_mutual_info_score

from clusters.communities import communities, effective, merge_small, modularity, regroup
from clusters.covisitation import choose_groups, count_visits, covisit_graph
from clusters.identity import match, overlap
from tests.cluster_worlds import planted


def test_groups_under_four_join_their_strongest_neighbour():
    # Groups of 5 and 4, and a pair (9, 10) tied to the second more than to the first.
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6), (6, 7), (7, 8), (9, 10), (9, 5), (10, 6), (9, 0)]
    a, b = np.array(edges).T
    graph = sparse.csr_matrix((np.ones(len(edges)), (a, b)), shape=(12, 12))
    groups = merge_small(sparse.csr_matrix(graph + graph.T), np.array([0] * 5 + [1] * 4 + [2, 2, 3]))
    assert groups[9] == groups[10] == groups[5]
    assert groups[0] != groups[5]
    assert groups[11] == -1  # tied to nothing
    assert np.bincount(groups[groups >= 0]).tolist() == [6, 5]


def test_the_smallest_groups_beyond_the_most_are_merged():
    graph = sparse.csr_matrix(np.ones((20, 20)) - np.eye(20))
    groups = merge_small(graph, np.repeat(np.arange(5), 4), most=2)
    assert len(np.unique(groups)) == 2


def test_islands_do_not_count_as_much_as_groups():
    assert effective(np.repeat(np.arange(5), 20)) == pytest.approx(5.0)
    # Ten islands of four items beside one group of 160: 11 in number, 200^2 / (160^2 + 10 x 16) in effect.
    assert effective(np.concatenate((np.zeros(160, dtype=np.int64), np.repeat(np.arange(1, 11), 4), [-1]))) == pytest.approx(
        1.553, abs=1e-3
    )
    assert effective(np.array([-1, -1])) == 0.0


def graph_of(n: int, *edges: tuple[int, int]) -> sparse.csr_matrix:
    a, b = np.array(edges).T
    graph = sparse.csr_matrix((np.ones(len(edges)), (a, b)), shape=(n, n))
    return sparse.csr_matrix(graph + graph.T)


def clique(*items: int) -> list[tuple[int, int]]:
    return [(a, b) for a in items for b in items if a < b]


def test_modularity_by_hand():
    # Two triangles joined by one edge: 6 of 7 edges within, each triangle half of the degrees.
    graph = graph_of(6, *clique(0, 1, 2), *clique(3, 4, 5), (2, 3))
    groups = np.array([0, 0, 0, 1, 1, 1])
    assert modularity(graph, groups, 1.0) == pytest.approx(6 / 7 - 0.5)
    assert modularity(graph, groups, 2.0) == pytest.approx(6 / 7 - 1.0)
    assert modularity(graph, np.zeros(6, dtype=np.int64), 1.0) == pytest.approx(0.0)
    assert modularity(sparse.csr_matrix((3, 3)), np.array([0, 0, 1]), 1.0) == 0.0


def test_regrouping_moves_what_the_graph_moves_and_nothing_else():
    # Two groups of five, from before; item 4 has gone over to the second, item 10 is new beside it, 11 lost its ties,
    # 12 to 15 are a new group, 16 and 17 were a group that nobody visits any more.
    graph = graph_of(18, *clique(0, 1, 2, 3), *clique(4, 5, 6, 7, 8, 9), *[(10, i) for i in (5, 6, 7)], *clique(12, 13, 14, 15))
    start = np.array([0] * 5 + [1] * 5 + [-1, 0] + [-1] * 4 + [2, 2])
    groups = regroup(graph, start, 1.0)
    assert len(set(groups[[4, 5, 6, 7, 8, 9, 10]].tolist())) == 1
    assert len(set(groups[[0, 1, 2, 3, 11]].tolist())) == 1
    assert len(set(groups[[12, 13, 14, 15]].tolist())) == 1
    assert len({groups[0], groups[5], groups[12]}) == 3
    assert groups[16:].tolist() == [-1, -1]


def test_groups_hold_still_from_window_to_window_and_still_find_what_is_planted():
    log, catalogue, truth = planted(groups=30, size=16, sessions=3_000, stray=0.3, seed=5)
    n = len(catalogue)
    sets = [count_visits(log.take(np.arange(a, a + 2_000)), catalogue.item_ids) for a in (0, 400, 800)]
    graphs = [covisit_graph(stats) for stats in sets]
    found = choose_groups(graphs[0], sets[0])
    for graph, stats in zip(graphs[1:], sets[1:], strict=True):
        after = choose_groups(graph, stats, resolution=found.resolution, start=found.groups)
        overlaps = overlap(one_hot(found.groups, n), one_hot(after.groups, n), stats.gain + 1.0)
        assert (match(overlaps) >= 0).sum() >= 0.9 * overlaps.shape[0]
        assert adjusted_mutual_info_score(truth, after.groups) > 0.85
        found = after


def test_a_shop_that_has_changed_is_cut_anew():
    log, catalogue, truth = planted()
    stats = count_visits(log, catalogue.item_ids)
    graph = covisit_graph(stats)
    fresh = choose_groups(graph, stats)
    mixed = np.arange(len(truth)) % 15
    assert choose_groups(graph, stats, resolution=fresh.resolution, start=mixed // 8).groups.tolist() == fresh.groups.tolist()


def test_going_on_from_a_fresh_cut_changes_little():
    log, catalogue, _ = planted(stray=0.33, seed=3)
    graph = covisit_graph(count_visits(log, catalogue.item_ids))
    fresh = merge_small(graph, communities(graph, 1.0))
    after = regroup(graph, fresh, 1.0)
    assert adjusted_mutual_info_score(fresh, after) > 0.95
    assert modularity(graph, after, 1.0) >= modularity(graph, fresh, 1.0) - 1e-9


def one_hot(groups: np.ndarray, n: int) -> sparse.csr_matrix:
    inside = np.flatnonzero(groups >= 0)
    return sparse.csr_matrix((np.ones(len(inside)), (inside, groups[inside])), shape=(n, int(groups.max()) + 1))
