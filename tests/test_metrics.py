"""Metrics against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.evaluation.metrics import MISS, gains, list_diversity, measure, rank_in_scores, rank_in_slate


def test_metrics_of_five_ranks_worked_by_hand() -> None:
    m = measure(np.array([1, 2, 20, 21, MISS]), recommended=30, items=120)
    assert m.hr == pytest.approx(60.0)
    assert m.mrr == pytest.approx(100 * (1 + 1 / 2 + 1 / 20) / 5)
    assert m.ndcg == pytest.approx(100 * (1 + 1 / np.log2(3) + 1 / np.log2(21)) / 5)
    assert m.coverage == pytest.approx(25.0)
    assert m.examples == 5


def test_a_tie_counts_against_the_model() -> None:
    scores = np.array([3.0, 1.0, 1.0, 1.0, 2.0])
    assert rank_in_scores(scores, 0) == 1
    assert rank_in_scores(scores, 4) == 2
    assert [rank_in_scores(scores, t) for t in (1, 2, 3)] == [5, 5, 5]
    assert rank_in_scores(np.zeros(1_000), 0) == 1_000  # a scorer that says nothing finds nothing
    assert rank_in_scores(np.array([np.nan, 1.0]), 0) == MISS


def test_rank_in_a_slate() -> None:
    assert rank_in_slate(np.array([7, 3, 5]), 5) == 3
    assert rank_in_slate(np.array([7, 3, 5]), 4) == MISS


def test_no_example_gives_zeros() -> None:
    assert measure(np.zeros(0), recommended=0, items=0).examples == 0


def test_what_a_prediction_adds_is_its_share_of_each_mean() -> None:
    ranks = np.array([1, 2, 20, 21, MISS])
    m = measure(ranks, recommended=0, items=1)
    assert 100 * gains(ranks).mean(axis=0) == pytest.approx([m.hr, m.mrr, m.ndcg])


def test_diversity_is_the_share_of_pairs_that_differ() -> None:
    lists = np.array([[1, 1, 2, -1], [3, 3, 3, 3], [5, -1, -1, -1], [1, 2, 3, 4]])
    # Of the first list's three known items, two of the three pairs differ; the third list has no pair.
    assert list_diversity(lists)[[0, 1, 3]] == pytest.approx([2 / 3, 0.0, 1.0])
    assert np.isnan(list_diversity(lists)[2])
