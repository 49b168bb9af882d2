"""Which new cluster is which old one, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from clusters.identity import match, overlap


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
