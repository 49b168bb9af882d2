"""Which clusters are selected for a profile, against scores worked out by hand and by loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from clusters import derived
from clusters.adaptation import AdaptedClusters
from clusters.alignment import PULL, explain, persona_scores, select
from clusters.item_clusters import ItemClusters
from tests.cluster_worlds import made_clusters

EVEN = np.array([0.5, 0.5])
NONE = np.zeros(0)


def with_lift(clusters: ItemClusters, **lifts: list[float]) -> ItemClusters:
    """Clusters whose lift by persona is as given, by cluster position in the name ("c3")."""
    lift = clusters.persona_lift.copy()
    for name, values in lifts.items():
        lift[int(name[1:])] = values
    return replace(clusters, persona_lift=lift)


def test_scores_are_the_formula_by_hand():
    clusters = made_clusters(4)
    affinity = np.array([0.1, 0.2, 0.3, 0.4])
    adapted = AdaptedClusters(mass={101: 3.0, 103: 1.0}, weight={103: 0.5})
    chosen = select(clusters, adapted, belief=EVEN, attributes=NONE, affinity=affinity, active=(), max_share=1.0)
    q = np.array([0.75, 0, 0.25, 0])
    by_hand = 0.45 * q @ clusters.transitions + 0.35 * q + 0.1 * affinity + 0.1 * np.full(4, 0.25)
    by_hand *= [1, 1, 0.5, 1]
    assert chosen.rows.tolist() == np.argsort(-by_hand).tolist()
    assert chosen.score == pytest.approx(by_hand[chosen.rows], abs=1e-6)
    assert chosen.weight == pytest.approx(np.array([1, 1, 0.5, 1])[chosen.rows])
    assert chosen.terms.sum(1) * chosen.weight == pytest.approx(chosen.score, abs=1e-6)
    first = int(np.flatnonzero(chosen.rows == 0)[0])
    assert chosen.terms[first] == pytest.approx([0.35 * 0.75, 0.45 * (q @ clusters.transitions)[0], 0.01, 0.025], abs=1e-6)


def test_without_an_affinity_the_other_terms_share_its_part():
    clusters = made_clusters(4)
    adapted = AdaptedClusters(mass={102: 1.0})
    chosen = select(clusters, adapted, belief=EVEN, attributes=NONE, affinity=None, active=(), max_share=1.0)
    assert chosen.terms[:, 2].tolist() == [0, 0, 0, 0]
    assert chosen.score.sum() == pytest.approx(1.0, abs=1e-5)  # q, qT and persona each sum to 1
    assert chosen.rows[0] == 1


def test_a_new_session_starts_from_the_shares_tilted_by_the_personas():
    clusters = replace(with_lift(made_clusters(4), c2=[3.0, 0.5]), share=np.array([0.4, 0.3, 0.2, 0.1], dtype=np.float32))
    new = AdaptedClusters()
    neutral = select(clusters, new, belief=np.array([0.2, 0.8]), attributes=NONE, affinity=None, active=(), max_share=1)
    keen = select(clusters, new, belief=np.array([1.0, 0.0]), attributes=NONE, affinity=None, active=(), max_share=1)
    assert neutral.rows[0] == 0
    assert keen.rows[0] == 2  # share 0.2 x lift 3 is above 0.4


def test_an_expanded_cluster_borrows_half_its_sources_mass():
    clusters = made_clusters(8)
    plain = AdaptedClusters(mass={101: 1.0})
    pulled = replace(plain, expanded={106: 101}, weight={106: 1.5})
    options = {"belief": EVEN, "attributes": NONE, "affinity": None, "active": (), "count": 2, "max_share": 1.0}
    assert 5 not in select(clusters, plain, **options).rows
    chosen = select(clusters, pulled, **options)
    assert 5 in chosen.rows
    row = int(np.flatnonzero(chosen.rows == 5)[0])
    assert chosen.terms[row, 0] == pytest.approx(0.35 / 0.9 * PULL / (1 + PULL), abs=1e-6)


def test_dropped_clusters_are_out_and_contraction_moves_down():
    clusters = made_clusters(8)
    adapted = AdaptedClusters(mass={101: 1.0, 104: 0.9}, weight={101: 0.0, 104: 0.2})
    chosen = select(clusters, adapted, belief=EVEN, attributes=NONE, affinity=None, active=(), max_share=1.0)
    assert 0 not in chosen.rows
    assert len(chosen.rows) == 7
    fresh = select(clusters, replace(adapted, weight={}), belief=EVEN, attributes=NONE, affinity=None, active=(), max_share=1.0)
    assert fresh.rows.tolist().index(3) < chosen.rows.tolist().index(3)


def test_every_dropped_cluster_is_an_empty_selection():
    clusters = made_clusters(2)
    adapted = AdaptedClusters(weight={101: 0.0, 102: 0.0})
    assert len(select(clusters, adapted, belief=EVEN, attributes=NONE, affinity=None, active=(0,)).rows) == 0


def test_no_clusters_is_an_empty_selection():
    chosen = select(made_clusters(0), AdaptedClusters(), belief=EVEN, attributes=NONE, affinity=None, active=(0, 1))
    assert (chosen.rows.shape, chosen.score.shape, chosen.terms.shape) == ((0,), (0,), (0, 4))


def test_the_share_of_the_catalogue_is_bounded_but_the_best_cluster_is_in():
    clusters = made_clusters(8)
    options = {"belief": EVEN, "attributes": NONE, "affinity": None, "active": (), "few": 0}
    assert len(select(clusters, AdaptedClusters(mass={101: 1.0}), max_share=0.5, **options).rows) == 4
    alone = select(clusters, AdaptedClusters(mass={105: 1.0}), max_share=0.01, **options)
    assert alone.rows.tolist() == [4]


def test_a_small_shop_may_select_more_of_its_items_but_no_more_than_half():
    options = {"belief": EVEN, "attributes": NONE, "affinity": None, "active": (), "max_share": 0.1}
    first = AdaptedClusters(mass={101: 1.0})
    assert len(select(made_clusters(30), first, few=50, **options).rows) == 5  # 50 of 300 items
    assert len(select(made_clusters(8), first, few=50, **options).rows) == 4  # half of 80


def test_where_room_is_short_small_clusters_go_before_large_ones():
    # The second and third are of 40 and 10 items; the second suits the session a little more, but not four times as much.
    clusters = replace(made_clusters(6), transitions=np.eye(6, dtype=np.float32))
    both = clusters.of_item.toarray()
    both[30:, 1] = 0.5
    large = replace(clusters, items=sparse.csr_matrix(both.T), of_item=sparse.csr_matrix(both))
    adapted = AdaptedClusters(mass={101: 1.0, 102: 0.5, 103: 0.45})
    options = {"belief": EVEN, "attributes": NONE, "affinity": None, "active": (), "few": 0}
    assert select(large, adapted, max_share=0.4, **options).rows.tolist()[:2] == [0, 2]
    assert select(large, adapted, max_share=1.0, **options).rows.tolist()[:3] == [0, 1, 2]


def test_items_in_two_clusters_count_once_towards_the_share():
    clusters = made_clusters(4)
    both = clusters.of_item.toarray()
    both[:10, 1] = 0.5  # the items of the first are weak members of the second, which so covers half the catalogue
    overlapping = replace(clusters, items=sparse.csr_matrix(both.T), of_item=sparse.csr_matrix(both))
    options = {"belief": EVEN, "attributes": NONE, "affinity": None, "active": (), "max_share": 0.5, "few": 0}
    assert select(overlapping, AdaptedClusters(mass={101: 1.0}), **options).rows.tolist() == [0, 1]


def test_every_active_persona_gets_a_cluster():
    clusters = with_lift(made_clusters(8, personas=3), c0=[2, 0.5, 0.5], c1=[2, 0.8, 1.4], c6=[0.4, 4, 1])
    chosen = select(
        clusters,
        AdaptedClusters(mass={101: 1.0}),
        belief=np.array([0.8, 0.1, 0.1]),
        attributes=NONE,
        affinity=None,
        active=(0, 1, 2),
        count=4,
    )
    assert set(chosen.persona.tolist()) == {0, 1, 2}
    by_row = dict(zip(chosen.rows.tolist(), chosen.persona.tolist(), strict=True))
    assert by_row[0] == 0
    assert by_row[1] == 2  # suits the third persona, and was in already


def test_a_persona_that_nothing_chosen_suits_brings_its_own_cluster():
    clusters = with_lift(made_clusters(8), **({f"c{i}": [1.2, 0.3] for i in range(8)} | {"c6": [0.4, 4]}))
    options = {"attributes": NONE, "affinity": None, "count": 3}
    adapted = AdaptedClusters(mass={101: 1.0})
    assert 6 not in select(clusters, adapted, belief=np.array([0.9, 0.1]), active=(0,), **options).rows
    chosen = select(clusters, adapted, belief=np.array([0.9, 0.1]), active=(0, 1), **options)
    by_row = dict(zip(chosen.rows.tolist(), chosen.persona.tolist(), strict=True))
    assert by_row[6] == 1
    assert len(by_row) == 3
    assert (np.diff(chosen.score) <= 0).all()


def test_without_personas_clusters_are_for_nobody():
    chosen = select(made_clusters(4, personas=0), AdaptedClusters(), belief=NONE, attributes=NONE, affinity=None, active=())
    assert chosen.persona.tolist() == [-1, -1]


def described(
    lifts: list[list[float]], attributes: list[list[float]], persona_lift: list[list[float]]
) -> tuple[ItemClusters, sparse.csr_matrix]:
    """Clusters with these log lifts over descriptors, matched with attributes of these weights."""
    log_lift = sparse.csr_matrix(np.array(lifts))
    lift = sparse.csr_matrix((np.exp(log_lift.data), log_lift.indices, log_lift.indptr), shape=log_lift.shape, dtype=np.float32)
    wanted = sparse.csr_matrix(np.array(attributes, dtype=np.float32))
    clusters = replace(
        made_clusters(len(lifts), personas=len(persona_lift[0])),
        descriptor_lift=lift,
        persona_lift=np.array(persona_lift, dtype=np.float32),
        attribute_match=derived.attribute_matches(lift, wanted),
        attribute_likeness=derived.attribute_likeness(wanted),
    )
    return clusters, wanted


def test_persona_scores_blend_the_cosine_and_the_lift():
    # Attributes speak of descriptors 0 and 1, or of 1 alone; nobody speaks of 2, which so doesn't make the first less alike.
    clusters, _ = described([[2, 0, 9], [0, 1, 0], [0, 0, 1]], [[3, 4, 0], [0, 7, 0]], [[3, 1], [1, 1], [1, 1]])
    profile = 0.75 * np.array([0.6, 0.8]) + 0.25 * np.array([0, 1])
    cosine = np.array([[1, 0], [0, 1], [0, 0]]) @ profile / np.linalg.norm(profile)
    scores = persona_scores(clusters, np.array([1.0, 0.0]), np.array([3.0, 1.0]))
    assert scores == pytest.approx(0.5 * np.array([0.75, 0.5, 0.5]) + 0.5 * (0.5 + 0.499 * cosine), abs=1e-6)
    assert persona_scores(clusters, np.array([1.0, 0.0]), np.zeros(2)) == pytest.approx([0.75, 0.5, 0.5])


def test_an_attribute_that_speaks_of_nothing_here_changes_nothing():
    clusters, _ = described([[1, 0], [0, 1]], [[1, 0], [0, 0]], [[1], [1]])
    belief = np.ones(1)
    alone = persona_scores(clusters, belief, np.array([1.0, 0.0]))
    assert persona_scores(clusters, belief, np.array([0.5, 0.5])) == pytest.approx(alone, abs=1e-6)
    assert persona_scores(clusters, belief, np.array([0.0, 1.0])) == pytest.approx([0.5, 0.5])


def test_explained_terms_say_what_the_score_is_made_of():
    clusters, wanted = described([[2, 0, 9], [0, 1, 0]], [[3, 4, 0], [0, 7, 0]], [[3, 1], [1, 1]])
    options = {
        "belief": np.array([0.8, 0.2]),
        "attributes": np.array([0.75, 0.25]),
        "attribute_descriptors": wanted,
        "descriptors": ("colour=red", "category=hats", "brand=x"),
        "attribute_names": ("Bold", "Hatter"),
        "persona_names": ("Aunt", "Clerk"),
    }
    first, second = explain(clusters, 0, **options), explain(clusters, 1, **options)
    assert first[0] == ("everybody", "", 0.5, "")
    assert [(t.kind, t.name, t.attribute) for t in first[1:]] == [("descriptor", "colour=red", "Bold"), ("persona", "Aunt", "")]
    assert {(t.name, t.attribute) for t in second[1:]} == {("category=hats", "Bold"), ("category=hats", "Hatter")}
    assert first[2].value == pytest.approx(0.5 * 0.8 * 2 / (2 * 3.6))  # mean lift 2.6
    with pytest.raises(ValueError, match="1 attributes and 2 personas, the clusters know 2 and 2"):
        explain(clusters, 0, **(options | {"attribute_names": ("Bold",)}))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 100_000))
def test_explained_terms_add_up_to_the_score(seed):
    rng = np.random.default_rng(seed)
    c, d, a, k = (int(rng.integers(1, 8)) for _ in range(4))
    lifts = rng.gamma(1, 1, (c, d)) * (rng.random((c, d)) < 0.5)
    clusters, wanted = described(
        lifts.tolist(), (rng.random((a, d)) * (rng.random((a, d)) < 0.5)).tolist(), rng.gamma(4, 0.25, (c, k)).tolist()
    )
    belief, weights = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(a)) * (rng.random(a) < 0.7)
    scores = persona_scores(clusters, belief, weights)
    assert ((scores > 0) & (scores < 1)).all()
    names = {"descriptors": [f"d{i}" for i in range(d)], "attribute_names": ["a"] * a, "persona_names": ["p"] * k}
    for row in range(c):
        terms = explain(clusters, row, belief=belief, attributes=weights, attribute_descriptors=wanted, **names)
        assert sum(t.value for t in terms) == pytest.approx(scores[row], abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 100_000))
def test_any_selection_keeps_its_promises(seed):
    rng = np.random.default_rng(seed)
    c, k = int(rng.integers(1, 40)), int(rng.integers(1, 6))
    clusters = replace(made_clusters(c, personas=k), persona_lift=rng.gamma(4, 0.25, (c, k)).astype(np.float32))
    # A third of the items are weak members of the next cluster too.
    weak = sparse.csr_matrix(clusters.of_item.toarray()[:, np.roll(np.arange(c), 1)] * (rng.random((10 * c, 1)) < 0.3))
    of_item = sparse.csr_matrix(clusters.of_item.maximum(0.5 * weak), dtype=np.float32)
    clusters = replace(clusters, of_item=of_item, items=sparse.csr_matrix(of_item.T))
    ids = clusters.cluster_ids
    some = rng.choice(ids, min(c, 5), replace=False).tolist()
    weight = {i: float(rng.choice([0.0, 0.25, 0.5])) for i in some[:2]}
    adapted = AdaptedClusters(mass={i: float(rng.random()) for i in some}, weight=weight)
    before = (dict(adapted.mass), dict(adapted.weight), clusters.persona_lift.copy())
    active = tuple(rng.choice(k, int(rng.integers(0, k + 1)), replace=False).tolist())
    count, max_share = int(rng.integers(1, 12)), float(rng.choice([0.1, 0.5, 1.0]))
    few = int(rng.choice([0, 30]))
    options = {"belief": rng.dirichlet(np.ones(k)), "attributes": NONE, "affinity": None, "active": active, "few": few}
    chosen = select(clusters, adapted, count=count, max_share=max_share, **options)
    rows = chosen.rows.tolist()
    assert len(set(rows)) == len(rows) <= count
    assert not {clusters.position_of[i] for i, w in weight.items() if w == 0.0} & set(rows)
    covered = len(np.unique(clusters.items[rows].indices)) if rows else 0
    assert len(rows) <= 1 or covered <= max(max_share * 10 * c, min(few, 5 * c)) + 1e-9
    assert (np.diff(chosen.score) <= 0).all()
    assert np.allclose(chosen.terms.sum(1) * chosen.weight, chosen.score, atol=1e-6)
    if active and rows:
        assert set(chosen.persona.tolist()) <= set(active)
        assert len(set(chosen.persona.tolist())) == min(len(active), len(rows))
    again = select(clusters, adapted, count=count, max_share=max_share, **options)
    assert all((getattr(again, f) == getattr(chosen, f)).all() for f in ("rows", "score", "weight", "persona", "terms"))
    assert (adapted.mass, adapted.weight) == before[:2]
    assert (clusters.persona_lift == before[2]).all()


def test_a_cluster_without_items_is_never_selected() -> None:
    clusters = made_clusters(c=4)
    empty = clusters.items.copy()
    empty.data[empty.indptr[2] : empty.indptr[3]] = 0.0
    empty.eliminate_zeros()
    clusters = replace(clusters, items=empty)
    pull = np.array([0.05, 0.05, 0.85, 0.05], dtype=np.float32)
    chosen = select(clusters, AdaptedClusters(), belief=EVEN, attributes=NONE, affinity=pull, active=(), max_share=1.0)
    assert 2 not in chosen.rows
