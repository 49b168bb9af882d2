"""Where clusters lie in the ranker: in one piece as they were trained, anywhere after a swap, and the same scores either way."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from clusters.alignment import Selection
from clusters.item_clusters import CO_VISIT, ClusterEdit, ItemClusters, with_edits
from recommendations import engine as loop
from recommendations.ranking import features
from recommendations.ranking.encoder import Encoder, arrange
from recommendations.ranking.features import FROM_ENCODER, encoder_candidates
from recommendations.ranking.history import Scratch
from recommendations.ranking.layout import ClusterRows, lay_out
from recommendations.session import Request
from tests.cluster_worlds import made_clusters
from tests.worlds import MONDAY, event, make_world, train_world


def made_encoder(clusters: ItemClusters, seed: int = 0) -> Encoder:
    rng = np.random.default_rng(seed)
    n, d = len(clusters.primary), 8
    some = np.ones(3, dtype=np.float32)
    return arrange(rng.standard_normal((n, d)), rng.standard_normal(n), some, some, np.eye(d), clusters.primary)


def shuffled(clusters: ItemClusters, seed: int = 1) -> ItemClusters:
    """The same clusters, of other items."""
    order = np.random.default_rng(seed).permutation(len(clusters.primary))
    of_item = sparse.csr_matrix(clusters.of_item[order])
    return replace(clusters, of_item=of_item, items=sparse.csr_matrix(of_item.T), primary=clusters.primary[order])


def selected(*rows: int) -> Selection:
    one = np.ones(len(rows), dtype=np.float32)
    return Selection(np.array(rows, dtype=np.int32), one, one, np.zeros(len(rows), dtype=np.int32), np.zeros((len(rows), 4)))


def spans(layout: ClusterRows) -> list[int]:
    """From the first to the last row of each cluster."""
    return [int(np.ptp(layout.rows[start:end])) + 1 for start, end in itertools.pairwise(layout.starts[:-1].tolist())]


def test_clusters_of_training_lie_in_one_piece_and_those_of_another_build_do_not() -> None:
    clusters = made_clusters(c=4, per_cluster=50)
    encoder = made_encoder(clusters)
    assert spans(lay_out(encoder, clusters)) == [50, 50, 50, 50]
    assert min(spans(lay_out(encoder, shuffled(clusters)))) > 100


@pytest.mark.parametrize("swapped", [False, True])
def test_every_cluster_s_rows_are_its_primary_items_and_its_centroid_their_mean(swapped: bool) -> None:
    trained = made_clusters(c=4, per_cluster=50)
    encoder = made_encoder(trained)
    clusters = shuffled(trained) if swapped else trained
    layout = lay_out(encoder, clusters)
    for c in range(4):
        items = np.flatnonzero(clusters.primary == c)
        rows = layout.rows[layout.starts[c] : layout.starts[c + 1]]
        assert sorted(encoder.item_at[rows].tolist()) == items.tolist()
        np.testing.assert_allclose(layout.centroids[c], encoder.outputs[encoder.row_of[items]].mean(axis=0), atol=1e-5)


def test_a_cluster_of_another_kind_has_all_its_items_though_primary_elsewhere() -> None:
    clusters = made_clusters(c=3, per_cluster=10)
    extra = sparse.csr_matrix(np.isin(np.arange(30), [1, 11, 21]).astype(np.float32)[:, None])
    of_item = sparse.csr_matrix(sparse.hstack([clusters.of_item, extra]))
    both = replace(
        clusters,
        cluster_ids=np.append(clusters.cluster_ids, 900),
        names=(*clusters.names, "For a picnic"),
        kinds=(*clusters.kinds, "search"),
        of_item=of_item,
        items=sparse.csr_matrix(of_item.T),
    )
    encoder = made_encoder(clusters)
    layout = lay_out(encoder, both)
    assert sorted(encoder.item_at[layout.rows[layout.starts[3] : layout.starts[4]]].tolist()) == [1, 11, 21]
    assert np.diff(layout.starts)[:3].tolist() == [10, 10, 10]


@pytest.mark.parametrize("swapped", [False, True])
def test_candidates_are_the_best_of_the_selected_clusters_wherever_they_lie(swapped: bool) -> None:
    trained = made_clusters(c=4, per_cluster=80)
    encoder = made_encoder(trained)
    clusters = shuffled(trained) if swapped else trained
    h = np.random.default_rng(2).standard_normal(8).astype(np.float32)
    found = encoder_candidates(encoder, h, lay_out(encoder, clusters), selected(1, 3), Scratch())
    inside = np.flatnonzero(np.isin(clusters.primary, [1, 3]))
    rows = encoder.row_of[inside]
    best = inside[np.argsort(-(encoder.outputs[rows] @ h + encoder.bias[rows]))[:FROM_ENCODER]]
    assert set(found.tolist()) == set(best.tolist())


def test_of_clusters_too_large_to_score_the_most_popular_are_looked_at_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "ITEMS_SCORED", 60)
    clusters = made_clusters(c=4, per_cluster=80)
    encoder = made_encoder(clusters)
    found = encoder_candidates(encoder, np.zeros(8, dtype=np.float32), lay_out(encoder, clusters), selected(1, 3), Scratch())
    for cluster in (1, 3):
        inside = np.flatnonzero(clusters.primary == cluster)
        best = inside[np.argsort(-encoder.bias[encoder.row_of[inside]])[:30]]
        assert set(found[clusters.primary[found] == cluster].tolist()) == set(best.tolist())


def test_a_shop_without_clusters_has_the_items_of_none() -> None:
    clusters = made_clusters(c=2, per_cluster=5)
    none = replace(
        made_clusters(c=0),
        primary=np.full(10, -1, dtype=np.int32),
        items=sparse.csr_matrix((0, 10), dtype=np.float32),
        of_item=sparse.csr_matrix((10, 0), dtype=np.float32),
    )
    encoder = made_encoder(clusters)
    found = encoder_candidates(encoder, np.ones(8, dtype=np.float32), lay_out(encoder, none), selected(), Scratch())
    assert sorted(found.tolist()) == list(range(10))


def test_clusters_of_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="clusters of 20 items do not fit a ranker of 30"):
        lay_out(made_encoder(made_clusters(c=3)), made_clusters(c=2))


def test_other_clusters_serve_under_the_same_ranker() -> None:
    # A planted cluster is retired and another one made by hand: what was trained stays, and slates come from the new ones.
    world = make_world(seed=3, sessions=200)
    engine = train_world(world, most_examples=2_000)
    gone, kept = (int(engine.clusters.cluster_ids[engine.clusters.primary[i]]) for i in (0, len(world.group) - 1))
    by_hand = dict.fromkeys(world.catalogue.item_ids[::7].tolist(), 1.0)
    edits = [ClusterEdit(gone, CO_VISIT, retired=True), ClusterEdit(700, "manual", name="Every seventh", members=by_hand)]
    edited = replace(engine, clusters=with_edits(engine.clusters, world.catalogue, edits))
    assert edited.ranker is engine.ranker
    state = loop.start(edited, shop=1, session="s", at=MONDAY + 1_000_000.0)
    request = Request(count=6, now=MONDAY + 1_000_100.0)
    selected: set[int] = set()
    for n, item in enumerate((1, 8, 15)):
        state, slate = loop.advance(edited, state, event(n, item=item), request)
        assert len(slate.items) == 6
        selected |= set(slate.clusters)
    assert 700 in selected
    assert gone not in selected
    assert kept in edited.clusters.position_of
