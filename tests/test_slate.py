"""Slots: shared between active personas, explored with odds that are what they say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from clusters.alignment import Selection
from clusters.item_clusters import Behaviour, ItemClusters, Learned
from recommendations.ranking.diversity import Spread
from recommendations.ranking.ranker import Ranked
from recommendations.ranking.rules import Cap
from recommendations.ranking.slate import POOL, Chosen, compose


def two_clusters(n: int) -> ItemClusters:
    """Even items in cluster 0, odd ones in cluster 1."""
    items = sparse.csr_matrix(np.array([[1.0 - i % 2 for i in range(n)], [float(i % 2) for i in range(n)]], dtype=np.float32))
    return ItemClusters(
        cluster_ids=np.array([10, 11]),
        names=("even", "odd"),
        kinds=("hand", "hand"),
        items=items,
        of_item=sparse.csr_matrix(items.T),
        weight=np.ones(n, dtype=np.float32),
        primary=np.arange(n, dtype=np.int32) % 2,
        part=np.full(n, -1, dtype=np.int16),
        parts=((), ()),
        descriptor_lift=sparse.csr_matrix((2, 0)),
        transitions=np.full((2, 2), 0.5, dtype=np.float32),
        overlap=np.zeros((2, 2), dtype=np.float32),
        related=np.zeros((2, 2), dtype=np.float32),
        share=np.full(2, 0.5, dtype=np.float32),
        persona_lift=np.ones((2, 2), dtype=np.float32),
        attribute_match=np.zeros((2, 0), dtype=np.float32),
        attribute_likeness=np.zeros((0, 0), dtype=np.float32),
        locked=np.zeros(2, dtype=bool),
        behaviour=Behaviour.none(n),
        learned=Learned.none(n),
    )


def ranking(positions: list[int]) -> Ranked:
    m = len(positions)
    return Ranked(
        positions=np.array(positions, dtype=np.int32),
        scores=-np.arange(m, dtype=np.float64),
        evidence=None,
        columns=np.arange(m),
    )


SELECTION = Selection(
    rows=np.array([0, 1], dtype=np.int32),
    score=np.ones(2, dtype=np.float32),
    weight=np.ones(2, dtype=np.float32),
    persona=np.array([0, 1], dtype=np.int32),
    terms=np.zeros((2, 4), dtype=np.float32),
)
EVENS_FIRST = [*range(0, 40, 2), *range(1, 40, 2)]


def slots(
    *,
    belief: tuple[float, float] = (0.6, 0.4),
    active: tuple[int, ...] = (),
    count: int = 10,
    explore: float = 0.0,
    seed: int = 0,
) -> list[Chosen]:
    return compose(
        ranking(EVENS_FIRST),
        clusters=two_clusters(40),
        selection=SELECTION,
        belief=np.array(belief),
        active=active,
        count=count,
        explore=explore,
        rng=np.random.default_rng(seed),
    )


def test_without_sharing_or_exploration_the_slate_is_the_ranking() -> None:
    assert [c.row for c in slots()] == list(range(10))
    assert {c.propensity for c in slots()} == {1.0}


def test_each_active_persona_gets_its_share_even_when_ranked_last() -> None:
    shared = slots(active=(0, 1))
    assert [c.persona for c in shared].count(1) == 4, "0.4 of 10 slots; by rank it would be none"
    assert [c.persona for c in shared].count(0) == 6


def test_propensities_are_the_frequencies_with_which_items_fill_a_slot() -> None:
    explore, count, runs = 0.3, 4, 6_000
    drawn = [slots(count=count, explore=explore, seed=s)[0] for s in range(runs)]
    best = sum(c.row == 0 for c in drawn) / runs
    other = sum(c.row == 5 for c in drawn) / runs
    pool = POOL * count - 1
    assert best == pytest.approx(1 - explore, abs=0.02)
    assert other == pytest.approx(explore / pool, abs=0.008)
    assert {round(c.propensity, 6) for c in drawn} == {round(1 - explore, 6), round(explore / pool, 6)}
    assert all(c.explored == (c.row != 0) for c in drawn)


def test_a_slate_shorter_than_asked_holds_all_there_is_once() -> None:
    assert sorted(c.row for c in slots(count=100, explore=0.5)) == list(range(40))


def test_explore_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"explore 1.5"):
        slots(explore=1.5)


@pytest.mark.parametrize(("diversity", "active"), [(None, (0, 1)), (0.6, ()), (0.6, (0, 1))])
def test_propensities_hold_with_diversity_pins_a_balance_and_shared_slots(
    diversity: float | None, active: tuple[int, ...]
) -> None:
    """Oracle: frequencies. Of all slates that begin alike, an item fills the next slot as often as its propensity says."""
    m, explore, runs = 12, 0.4, 1_500
    rng = np.random.default_rng(7)
    likeness = rng.random((m, m))
    told: dict[tuple[int, ...], dict[int, float]] = {}
    begun: Counter[tuple[int, ...]] = Counter()
    for run in range(runs):
        chosen = compose(
            ranking(EVENS_FIRST[:m]),
            clusters=two_clusters(40),
            selection=SELECTION,
            belief=np.array([0.6, 0.4]),
            active=active,
            count=4,
            explore=explore,
            rng=np.random.default_rng(run),
            pins={1: (9, 7)},
            caps=[Cap(5, 0.5, np.arange(40) % 4)],
            spread=None if diversity is None else Spread(-np.arange(m) / 4, likeness, count=4, diversity=diversity),
        )
        rows = tuple(c.row for c in chosen)
        assert rows[1] == 7
        assert len(set(rows)) == 4
        for slot, c in enumerate(chosen):
            begun[rows[: slot + 1]] += 1
            assert told.setdefault(rows[:slot], {}).setdefault(c.row, c.propensity) == c.propensity, "given those above"
    for before, odds in told.items():
        n = begun[before] if before else runs
        if n < 300:
            continue
        assert sum(odds.values()) == pytest.approx(1.0, abs=1e-9), "all that may come did"
        for row, propensity in odds.items():
            margin = 5 * np.sqrt(propensity * (1 - propensity) / n)
            assert begun[*before, row] / n == pytest.approx(propensity, abs=margin + 1e-12)
