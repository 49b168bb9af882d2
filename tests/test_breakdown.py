"""Bins of prefix length and of popularity, by hand."""

from __future__ import annotations

import numpy as np

from recommendations.evaluation.breakdown import length_bins, length_labels, popularity_bins


def test_lengths_fall_into_their_bins() -> None:
    labels = np.array(length_labels())
    told = labels[length_bins(np.array([1, 2, 3, 4, 5, 9, 10, 500]))].tolist()
    assert told == ["1", "2", "3 to 4", "3 to 4", "5 to 9", "5 to 9", "10 or more", "10 or more"]


def test_a_bin_holds_about_a_fifth_of_the_visits() -> None:
    visits = np.array([1] * 20 + [2] * 10 + [5] * 4 + [10, 10] + [20])
    told = popularity_bins(visits)
    assert [b.items for b in told.bins] == [1, 2, 4, 10, 20]
    assert [(b.low, b.high) for b in told.bins] == [(20, 20), (10, 10), (5, 5), (2, 2), (1, 1)]


def test_items_visited_as_often_share_a_bin_and_the_never_visited_are_in_the_tail() -> None:
    rng = np.random.default_rng(0)
    visits = rng.zipf(1.6, 400)
    visits[:30] = 0
    told = popularity_bins(visits)
    for count in np.unique(visits):
        assert len(set(told.bin_of[visits == count].tolist())) == 1
    assert (told.bin_of[visits == 0] == 4).all()
    assert sum(b.items for b in told.bins) == 370
    order = np.argsort(-visits, kind="stable")
    assert (np.diff(told.bin_of[order]) >= 0).all()


def test_no_visit_at_all_is_all_tail() -> None:
    assert popularity_bins(np.zeros(3, dtype=np.int64)).bin_of.tolist() == [4, 4, 4]
