"""The ranker in a small shop whose structure is known: what it finds, what moves it, and that it is pure."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from clusters.item_clusters import ItemClusters, build_clusters
from personas.components import from_parts, to_parts
from personas.events import CODE
from personas.sessions import SessionLog
from recommendations.ranking import fitting
from recommendations.ranking.explaining import NO_CAUSE, explain
from recommendations.ranking.features import EXPERTS, FEATURES
from recommendations.ranking.fitting import train_ranker
from recommendations.ranking.history import History, prefix
from recommendations.ranking.layout import lay_out
from recommendations.ranking.ranker import Ranked, Ranker, affinity, rank, represent
from tests.worlds import World, make_world

NONE = np.zeros(0, dtype=np.int32)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=1, sessions=500)


@pytest.fixture(scope="module")
def clusters(world: World) -> ItemClusters:
    return build_clusters(world.log, world.catalogue, previous=None, first_id=1, progress=None)


@pytest.fixture(scope="module")
def ranker(world: World, clusters: ItemClusters) -> Ranker:
    return train_ranker(world.log, world.catalogue, clusters, seed=0)


def history_of(*items: int) -> History:
    n = len(items)
    nothing = np.full(n, np.nan, dtype=np.float32)
    return History(np.array(items, dtype=np.int32), np.zeros(n, dtype=np.int8), 10.0 * np.arange(n), nothing, 10.0 * n)


def ranked(ranker: Ranker, clusters: ItemClusters, history: History, *, keep: int = 20, **options: object) -> Ranked:
    h = represent(ranker, history)
    layout = lay_out(ranker.encoder, clusters)
    selection = fitting._selecting(clusters)(0, history, affinity(layout, h))
    arguments: dict[str, object] = {"selection": selection, "item_weight": None, "exclude": NONE} | options
    return rank(ranker, history, h, clusters=clusters, layout=layout, keep=keep, **arguments)  # type: ignore[arg-type]


def test_items_of_the_planted_group_lead(world: World, clusters: ItemClusters, ranker: Ranker) -> None:
    right = []
    for start in range(0, len(world.group), 5):
        mates = np.flatnonzero(world.group == world.group[start])
        top = ranked(ranker, clusters, history_of(int(mates[0]), int(mates[1])), keep=6).positions
        right.append(np.mean(world.group[top] == world.group[start]))
    assert np.mean(right) > 0.85  # 6 of 72 items are of the group


def test_a_ranking_is_well_formed(clusters: ItemClusters, ranker: Ranker) -> None:
    result = ranked(ranker, clusters, history_of(1, 2, 3, 2), keep=30)
    assert len(set(result.positions.tolist())) == len(result.positions) == 30
    assert (np.diff(result.scores) <= 0).all()


def test_reasons_are_well_formed_and_the_same_whichever_items_are_asked_for(clusters: ItemClusters, ranker: Ranker) -> None:
    history = history_of(1, 2, 3, 2)
    result = ranked(ranker, clusters, history, keep=30)
    why = explain(ranker, history, result, np.arange(30))
    assert why.shares.shape == (30, len(EXPERTS))
    np.testing.assert_allclose(why.shares.sum(axis=1), 1.0, atol=1e-4)
    assert (why.shares >= 0).all()
    assert why.because.min() >= NO_CAUSE
    assert why.because.max() < 4
    some = np.array([17, 3, 29])
    again = explain(ranker, history, result, some)
    np.testing.assert_allclose(again.shares, why.shares[some], atol=1e-5)
    np.testing.assert_array_equal(again.because, why.because[some])


def test_popular_items_that_fill_a_ranking_up_are_explained_by_nothing_else(clusters: ItemClusters, ranker: Ranker) -> None:
    history = history_of(1)
    result = ranked(ranker, clusters, history, keep=72)
    filled = np.arange(len(result.columns), len(result.positions))
    assert len(filled)
    why = explain(ranker, history, result, np.append(filled, 0))
    np.testing.assert_array_equal(why.shares[:-1, EXPERTS.index("popularity")], 1.0)
    assert set(why.because[:-1].tolist()) == {NO_CAUSE}
    assert why.because[-1] == 0


def test_same_input_same_ranking_on_many_threads(world: World, clusters: ItemClusters, ranker: Ranker) -> None:
    rng = np.random.default_rng(0)
    histories = [history_of(*rng.integers(len(world.group), size=rng.integers(1, 9)).tolist()) for _ in range(60)]
    alone = [ranked(ranker, clusters, h) for h in histories]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda h: ranked(ranker, clusters, h), histories))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.positions, b.positions)
        np.testing.assert_array_equal(a.scores, b.scores)


def test_what_is_excluded_does_not_appear_and_popular_items_fill_up(world: World, clusters: ItemClusters, ranker: Ranker) -> None:
    first = ranked(ranker, clusters, history_of(1, 2)).positions
    rest = ranked(ranker, clusters, history_of(1, 2), exclude=first, keep=len(world.group))
    assert not set(first.tolist()) & set(rest.positions.tolist())
    assert len(rest.positions) == len(world.group) - len(first)
    assert len(ranked(ranker, clusters, history_of(1), exclude=np.arange(len(world.group)), keep=5).positions) == 0


def place(result: Ranked, item: int) -> int:
    return int(np.flatnonzero(result.positions == item)[0])


def test_an_item_weight_moves_the_odds_by_itself(clusters: ItemClusters, ranker: Ranker) -> None:
    plain = ranked(ranker, clusters, history_of(1, 2), keep=40)
    item = int(plain.positions[0])
    lowered = ranked(ranker, clusters, history_of(1, 2), keep=40, item_weight={item: 0.25})
    before, after = plain.scores[0], lowered.scores[place(lowered, item)]
    assert after - before == pytest.approx(np.log(0.25), abs=1e-4)
    dropped = ranked(ranker, clusters, history_of(1, 2), keep=40, item_weight={item: 0.0})
    assert item not in dropped.positions[:20]


def test_contracting_a_cluster_lowers_its_items_and_dropping_it_sinks_them(clusters: ItemClusters, ranker: Ranker) -> None:
    plain = ranked(ranker, clusters, history_of(1, 2), keep=60)
    cluster = int(clusters.primary[plain.positions[0]])
    mine = plain.positions[clusters.primary[plain.positions] == cluster]
    halved = ranked(ranker, clusters, history_of(1, 2), keep=60, cluster_weight={cluster: 0.5})
    still = [item for item in mine.tolist() if item in halved.positions]  # the last ones fall off the list
    assert len(still) > len(mine) / 2
    for item in still:
        assert halved.scores[place(halved, item)] < plain.scores[place(plain, item)]
    gone = ranked(ranker, clusters, history_of(1, 2), keep=10, cluster_weight={cluster: 0.0})
    alone = np.diff(clusters.of_item.indptr)[mine] == 1
    assert not set(mine[alone].tolist()) & set(gone.positions.tolist())


def test_the_selection_s_own_weights_hold_by_default(clusters: ItemClusters, ranker: Ranker) -> None:
    history = history_of(1, 2)
    h = represent(ranker, history)
    selection = fitting._selecting(clusters)(0, history, affinity(lay_out(ranker.encoder, clusters), h))
    weighed = dataclasses.replace(selection, weight=np.where(np.arange(len(selection.rows)) == 0, 0.5, 1.0))
    given = {int(selection.rows[0]): 0.5}
    a = ranked(ranker, clusters, history, selection=weighed)
    b = ranked(ranker, clusters, history, selection=selection, cluster_weight=given)
    np.testing.assert_array_equal(a.positions, b.positions)


def test_taking_the_cause_away_lowers_the_item(world: World, clusters: ItemClusters, ranker: Ranker) -> None:
    rng = np.random.default_rng(4)
    lower = []
    for _ in range(40):
        items = rng.integers(len(world.group), size=3).tolist()
        result = ranked(ranker, clusters, history_of(*items), keep=72)
        cause = int(explain(ranker, history_of(*items), result, np.array([0])).because[0])
        if cause < 0 or len(set(items)) < 3:
            continue
        without = ranked(ranker, clusters, history_of(*(x for i, x in enumerate(items) if i != cause)), keep=72)
        lower.append(place(without, int(result.positions[0])) > 0)
    assert len(lower) > 20
    assert np.mean(lower) > 0.9


def test_an_empty_session_gets_popular_items_and_no_reasons_of_its_own(clusters: ItemClusters, ranker: Ranker) -> None:
    history = history_of()
    np.testing.assert_array_equal(represent(ranker, history), 0.0)
    result = ranked(ranker, clusters, history, keep=10)
    np.testing.assert_array_equal(result.positions, ranker.popularity.top[:10])
    assert set(explain(ranker, history, result, np.arange(10)).because.tolist()) == {NO_CAUSE}


def test_affinity_is_a_distribution_that_knows_the_session_s_cluster(clusters: ItemClusters, ranker: Ranker) -> None:
    found = []
    for item in range(0, 60, 7):
        pull = affinity(lay_out(ranker.encoder, clusters), represent(ranker, history_of(item)))
        assert pull.sum() == pytest.approx(1.0, abs=1e-4)
        found.append(pull.argmax() == clusters.primary[item])
    assert np.mean(found) > 0.8


def test_a_ranker_survives_being_stored(clusters: ItemClusters, ranker: Ranker) -> None:
    arrays, meta = to_parts(ranker)
    again = from_parts(Ranker, {k: v.copy() for k, v in arrays.items()}, json.loads(json.dumps(meta)))
    a, b = (ranked(r, clusters, history_of(3, 9, 4)) for r in (ranker, again))
    np.testing.assert_array_equal(a.positions, b.positions)
    np.testing.assert_array_equal(a.scores, b.scores)


def test_read_only_arrays_serve(clusters: ItemClusters, ranker: Ranker) -> None:
    arrays, meta = to_parts(ranker)
    frozen = {k: v.copy() for k, v in arrays.items()}
    for array in frozen.values():
        array.setflags(write=False)  # as memory-mapped releases are
    ranked(from_parts(Ranker, frozen, meta), clusters, history_of(3, 9, 4))


def test_training_is_seeded_and_tells_its_progress(world: World, clusters: ItemClusters, ranker: Ranker) -> None:
    told: list[float] = []
    again = train_ranker(world.log, world.catalogue, clusters, seed=0, progress=lambda done, of: told.append(done / of))
    np.testing.assert_array_equal(again.blend.w1, ranker.blend.w1)
    np.testing.assert_array_equal(again.encoder.outputs, ranker.encoder.outputs)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_a_prefix_knows_only_what_was_known_then(world: World) -> None:
    rows = next(r for r in world.log.slices() if r.stop - r.start > 4)
    history = prefix(world.log, rows.start, rows.start + 3)
    np.testing.assert_array_equal(history.positions, world.log.position[rows.start : rows.start + 3])
    assert np.isnan(history.dwell_s[-1])  # the latest item is still on the screen
    assert not np.isnan(history.dwell_s[:-1]).any()
    assert history.now == world.log.at[rows.start + 2]


def test_events_that_are_not_item_actions_teach_nothing(world: World, clusters: ItemClusters, ranker: Ranker) -> None:
    log = world.log
    noise = SessionLog.of(
        np.concatenate((log.session_of, log.session_of)),
        np.concatenate((log.position, log.position)),
        np.concatenate((log.at, log.at + 0.5)),
        code=np.concatenate((log.code, np.full(len(log.code), CODE["remove_from_cart"], dtype=np.int8))),
        dwell_s=np.concatenate((log.dwell_s, log.dwell_s)),
    )
    again = train_ranker(noise, world.catalogue, clusters, seed=0)
    np.testing.assert_array_equal(again.rows.indices, ranker.rows.indices)


@pytest.mark.parametrize("sessions", [[[0]], [[0], [1], [2]], [[0, 1]], [[0, 1, 2], [2, 1, 0]]])
def test_a_tiny_log_trains_and_ranks(world: World, sessions: list[list[int]]) -> None:
    session = np.repeat(np.arange(len(sessions)), [len(s) for s in sessions])
    log = SessionLog.of(session, np.concatenate(sessions), 1e9 + np.arange(len(session), dtype=float))
    clusters = build_clusters(log, world.catalogue, previous=None, first_id=1, progress=None)
    ranker = train_ranker(log, world.catalogue, clusters, seed=0)
    assert len(ranked(ranker, clusters, history_of(0), keep=5).positions) == 5


def test_features_are_named_once() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
