"""Which new cluster is which old one, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from clusters.identity import kinship, match, overlap


def test_overlap_is_weighted_jaccard_by_hand():
    old = sparse.csr_matrix(np.array([[1.0, 0], [0.5, 0.5], [0, 1]]))
    new = sparse.csr_matrix(np.array([[1.0], [1.0], [0]]))
    # Column 0: min 1*2 + .5*1 over max 1*2 + 1*1. Column 1: .5 over 1*2 + 1*1 + 1*4.
    assert overlap(old, new, np.array([2.0, 1.0, 4.0])) == pytest.approx(np.array([[2.5 / 3], [0.5 / 7]]))


def test_match_takes_the_greatest_overlap_first_and_each_once():
    overlaps = np.array([[0.9, 0.8, 0.1], [0.85, 0.2, 0.29]])
    assert match(overlaps).tolist() == [0, -1, -1]
    assert match(np.array([[0.9, 0.1], [0.85, 0.4]])).tolist() == [0, 1]
    assert match(np.zeros((0, 2))).tolist() == [-1, -1]


def disjoint(*groups: int) -> sparse.csr_matrix:
    """(n, C) memberships of one group an item, -1 for none."""
    labels = np.array(groups)
    rows = np.flatnonzero(labels >= 0)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, labels[rows])), shape=(len(labels), labels.max() + 1))


def test_kinship_by_hand():
    # Old 0 stays, 1 falls in two, 2 and 3 become one, 4 is gone; new 4 is of items that were in no cluster, and 5 a crumb of 0.
    old = disjoint(0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, -1, -1)
    new = disjoint(0, 0, 0, 0, 0, 5, 1, 1, 2, 2, 3, 3, 3, 3, -1, 4, 4)
    weight = np.ones(17)
    pairs = match(overlap(old, new, weight))
    kin = kinship(old, new, weight, pairs)
    assert kin.continued.tolist() == [0, 1, -1, 2, -1, -1]
    assert kin.split == {1: (1, 2)}
    assert kin.merged == {3: (2, 3)}
    assert kin.new == (4, 5)
    assert kin.retired == (4,)
    with pytest.raises(ValueError, match="pairs 2"):
        kinship(old, new, weight, pairs[:2])


def test_kinship_of_nothing():
    kin = kinship(sparse.csr_matrix((3, 0)), disjoint(0, 0, 1), np.ones(3), np.array([-1, -1]))
    assert (kin.new, kin.retired, kin.split, kin.merged) == ((0, 1), (), {}, {})
