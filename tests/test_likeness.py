"""What is like an item: of its own category alone, where that has enough to fill slates from."""

from __future__ import annotations

import numpy as np
import pytest

from clusters.catalogue import ItemRow, build_catalogue
from personas.events import NAMES
from recommendations.ranking.encoder import LAGS, arrange
from recommendations.ranking.likeness import ENOUGH, Likeness

D = 8


@pytest.mark.parametrize(("skirts", "alone"), [(ENOUGH + 1, True), (ENOUGH, False)])
def test_a_category_with_enough_items_is_looked_through_alone(skirts: int, alone: bool) -> None:
    """The trousers share the anchor's words, colour and price and its place in visits; all but one skirt share nothing."""
    rng = np.random.default_rng(0)
    rows = [ItemRow(1, "i1", "blue lace hem", "skirts", "", "blue", 20.0)]
    rows += [ItemRow(n + 1, f"i{n + 1}", "plain", "skirts", "", "red", 900.0) for n in range(1, skirts)]
    rows += [ItemRow(n + 1, f"i{n + 1}", "blue lace hem", "trousers", "", "blue", 20.0) for n in range(skirts, skirts + 60)]
    n = len(rows)
    vectors = rng.standard_normal((n, D))
    vectors[skirts:] = vectors[0]
    encoder = arrange(vectors, np.zeros(n), np.ones(LAGS), np.ones(len(NAMES)), np.eye(D), np.full(n, -1))
    like = Likeness(build_catalogue(rows), encoder, np.full(n, 100)).like(0)
    assert bool((like.positions < skirts).all()) is alone
