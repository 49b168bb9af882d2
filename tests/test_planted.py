"""What comes back of what was planted, on hand-made truths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from clusters.query_clusters import QueryClusters
from clusters.query_terms import QueryTerms
from recommendations.evaluation.planted import agreement, best_alone, groups_of_queries, planted_queries, planted_things, together
from recommendations.evaluation.simulation.missions import Missions, Occasion, Sought

FOUND = {"tent": [0, 1], "lantern": [2, 3], "boots": [4, 5, 0], "cup": [6, 7], "pot": [8], "mug": [6, 7]}
OCCASIONS = (Occasion("trip", ("tent", "lantern", "boots")), Occasion("tea", ("cup", "pot", "mug")))


@pytest.fixture
def missions() -> Missions:
    return Missions(OCCASIONS, (), {}, lambda words: np.array(FOUND[words]))


def clusters(*items: list[int]) -> sparse.csr_matrix:
    matrix = np.zeros((10, len(items)))
    for c, members in enumerate(items):
        matrix[members, c] = 0.5
    return sparse.csr_matrix(matrix)


def test_things_and_queries_know_their_occasion(missions: Missions) -> None:
    things, occasion = planted_things(missions)
    assert things == ("tent", "lantern", "boots", "cup", "pot", "mug")
    assert occasion.tolist() == [0, 0, 0, 1, 1, 1]
    sought = [Sought(0, 0, "tent"), Sought(1, 0, "cup"), Sought(0, 1, "cup"), Sought(1, 0, "cup"), Sought(1, 1, "Pot")]
    assert planted_queries(sought) == {"tent": 0, "cup": 1, "Pot": 1}
    assert planted_queries([Sought(1, 0, "x"), Sought(0, 0, "x")]) == {"x": 0}, "of equals, the first occasion"


def test_a_query_belongs_where_its_most_typical_term_does() -> None:
    of_query = sparse.csr_matrix(np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool))
    terms = QueryTerms(("a", "b", "c"), ("a", "b", "c"), of_query, ("", "", ""))
    groups = QueryClusters(np.array([4, 7, -1]), (), np.array([5, 5, 5]), np.array([0.2, 0.9, 0.0]))
    assert groups_of_queries(terms, groups).tolist() == [7, -1, -1]


def test_agreement_is_one_for_the_same_partition_and_falls_with_what_is_in_no_group() -> None:
    truth = np.repeat([0, 1, 2], 6)
    assert agreement(truth, (truth + 5) % 7) == pytest.approx(1.0)
    some = truth.copy()
    some[::3] = -1
    assert 0.3 < agreement(truth, some) < 0.9
    assert agreement(truth, np.full(18, -1)) == pytest.approx(0.0, abs=1e-9)
    assert agreement(truth, np.zeros(18, dtype=np.int64)) == pytest.approx(0.0, abs=1e-9)


def test_what_two_things_find_stands_for_neither() -> None:
    found = [np.array(FOUND[thing]) for thing in ("tent", "lantern", "boots")]
    assert [best_alone(found, i).tolist() for i in range(3)] == [[1], [2, 3], [4, 5]]


def test_things_are_together_in_a_cluster_that_holds_two_of_an_occasion(missions: Missions) -> None:
    """The first cluster holds tent and half the lanterns, not boots; cup and mug are the same items, so nothing goes with pot."""
    told = together(missions, clusters([1, 2], [8, 6, 7], [9]))
    assert told.things == pytest.approx(2 / 6)
    assert told.occasions == pytest.approx(1 / 2)
    assert told.own == pytest.approx((1 + 1 + 0) / 3)
    assert together(missions, clusters([1, 2, 3, 4, 5])).things == pytest.approx(3 / 6)
    assert together(missions, clusters([1, 6, 9])).own == pytest.approx(1 / 3)
    assert together(missions, clusters()) == (0.0, 0.0, 0.0)
