"""The compiled loops of a step against the same in numpy (`ranking_oracle`), in random shops of random arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clusters.alignment import Selection
from personas.sessions import SessionLog
from recommendations.ranking import features, kernels, key_order, scoring, vote_kernels
from recommendations.ranking.blend import linear_blend, score, score_gradient
from recommendations.ranking.encoder import arrange
from recommendations.ranking.explaining import NO_CAUSE, explain
from recommendations.ranking.features import FEATURES, gather
from recommendations.ranking.history import History, Scratch
from recommendations.ranking.layout import ClusterRows, lay_out
from recommendations.ranking.neighbours import build_neighbours
from recommendations.ranking.popularity import Popularity
from recommendations.ranking.ranker import Ranked, Ranker
from recommendations.ranking.transitions import ItemRows
from tests import ranking_oracle as oracle
from tests.cluster_worlds import made_clusters

SEEDS = range(6)
CODES = 6


def made_shop(seed: int, *, c: int = 12, per_cluster: int = 25) -> tuple[Ranker, ClusterRows]:
    """A ranker of random arrays: no two votes are equal by design, for which of equals leads is nobody's promise."""
    rng = np.random.default_rng(seed)
    clusters = made_clusters(c=c, per_cluster=per_cluster)
    n = len(clusters.primary)
    lengths = rng.integers(0, 90, size=n)
    nnz = int(lengths.sum())
    values = rng.random((6, nnz), dtype=np.float32) * (rng.random((6, nnz)) < 0.5)
    rows = ItemRows(
        indptr=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        indices=np.concatenate([rng.permutation(n)[:length] for length in lengths]).astype(np.int32),
        values=values.astype(np.float32),
        decayed=rng.uniform(0.1, 1.0, (6, 10)).astype(np.float32),
    )
    visits = rng.integers(1, 40, size=900)
    popularity = rng.zipf(1.6, size=int(visits.sum())) % n
    log = SessionLog.of(np.repeat(np.arange(900), visits), popularity, np.arange(int(visits.sum()), dtype=float))
    index = replace(build_neighbours(log, n), idf=rng.uniform(0.2, 1.0, n).astype(np.float32))
    bias = rng.standard_normal(n)
    encoder = arrange(
        rng.standard_normal((n, 16)), bias, rng.random(10), rng.random(CODES), rng.standard_normal((16, 16)), clusters.primary
    )
    facts = Popularity(rng.standard_normal((n, 5)).astype(np.float32), np.arange(n, dtype=np.int32))
    blend = linear_blend(rng.standard_normal(len(FEATURES)))
    blend = replace(
        blend,
        w1=rng.standard_normal(blend.w1.shape).astype(np.float32) / 7,
        b1=rng.standard_normal(blend.b1.shape).astype(np.float32),
        w2=rng.standard_normal(blend.w2.shape).astype(np.float32) / 5,
        b2=rng.standard_normal(blend.b2.shape).astype(np.float32),
        w3=rng.standard_normal(blend.w3.shape).astype(np.float32),
    )
    return Ranker(encoder, rows, index, facts, blend, 1.0), lay_out(encoder, clusters)


def made_history(rng: np.random.Generator, n: int, length: int) -> History:
    """Items come again, now and then at once; half of the dwells are unknown."""
    positions = rng.integers(n, size=length)
    again = np.flatnonzero(rng.random(length) < 0.3)
    positions[again] = positions[rng.integers(length, size=len(again))]
    dwell = np.where(rng.random(length) < 0.5, rng.exponential(30.0, length), np.nan).astype(np.float32)
    at = 1e9 + np.cumsum(rng.exponential(40.0, length))
    return History(positions, rng.integers(CODES, size=length).astype(np.int8), at, dwell, float(at[-1]))


def made_selection(rng: np.random.Generator, clusters: int, size: int) -> Selection:
    rows = rng.permutation(clusters)[:size].astype(np.int32)
    score = np.sort(rng.random(size).astype(np.float32))[::-1].copy()
    return Selection(rows, score, np.ones(size, np.float32), np.zeros(size, np.int32), np.zeros((size, 4), np.float32))


@pytest.mark.parametrize("seed", SEEDS)
def test_candidates_votes_and_features_are_those_of_the_oracle(seed: int) -> None:
    ranker, layout = made_shop(seed)
    rng = np.random.default_rng(100 + seed)
    scratch, n = Scratch(), len(layout.primary)
    for length in (1, 2, 3, 5, 12, 30):
        history = made_history(rng, n, length)
        h = rng.standard_normal(16).astype(np.float32)
        selection = made_selection(rng, 12, int(rng.integers(0, 6)))
        evidence = gather(ranker, history, h, layout=layout, selection=selection, scratch=scratch)
        chosen, expected, votes = oracle.gathered(ranker, history, h, layout=layout, selection=selection)
        assert len(evidence.positions) == len(set(evidence.positions.tolist()))
        assert set(evidence.positions.tolist()) == chosen
        np.testing.assert_allclose(evidence.votes, votes[:, evidence.positions], rtol=1e-4, atol=1e-6)
        for i, name in enumerate(FEATURES):
            np.testing.assert_allclose(
                evidence.features[i], expected[i, evidence.positions], rtol=1e-4, atol=1e-5, err_msg=f"{name}, {length} events"
            )


@pytest.mark.parametrize("m", [0, 1, 3, 150])
def test_the_blend_scores_as_the_oracle_does_and_its_gradient_is_that_of_the_scores(m: int) -> None:
    blend = made_shop(0)[0].blend
    x = np.random.default_rng(m).standard_normal((len(FEATURES), m)).astype(np.float32)
    np.testing.assert_allclose(score(blend, x), oracle.scores(blend, x), rtol=1e-4, atol=1e-4)
    gradient, step = score_gradient(blend, x), 1e-5
    kinks = 0
    for f in range(len(FEATURES)):
        moved = np.stack((x, x)).astype(np.float64)
        moved[:, f] += np.array([[step], [-step]])
        slope = (oracle.scores(blend, moved[0]) - oracle.scores(blend, moved[1])) / (2 * step)
        kinks += int((np.abs(gradient[f] - slope) > 1e-2).sum())  # a bend of the network within the step
    assert kinks <= 0.01 * x.size


@pytest.mark.parametrize("seed", SEEDS)
def test_what_carried_an_item_is_what_the_oracle_says(seed: int) -> None:
    ranker, layout = made_shop(seed)
    rng = np.random.default_rng(200 + seed)
    told = 0
    for length in (1, 3, 12, 30):
        history = made_history(rng, len(layout.primary), length)
        h = rng.standard_normal(16).astype(np.float32)
        evidence = gather(ranker, history, h, layout=layout, selection=made_selection(rng, 12, 4), scratch=Scratch())
        order = rng.permutation(len(evidence.positions))[:80]
        ranked = Ranked(evidence.positions[order], np.zeros(80, np.float32), evidence, order)
        rows = rng.permutation(80)[:20]
        why = explain(ranker, history, ranked, rows)
        shares, parts = oracle.caused(ranker, history, evidence, order, order[rows])
        # A kink of the blend beside the point is a difference for the oracle's finite steps, not for the gradient.
        near = np.abs(why.shares - shares).max(axis=1) < 1e-3
        assert near.mean() > 0.9
        sure = near & (np.ptp(np.sort(parts, axis=1)[:, -2:], axis=1) > 1e-3 if length > 1 else near)
        cause = np.where(parts.max(axis=1) > 0.0, parts.argmax(axis=1), NO_CAUSE)
        np.testing.assert_array_equal(why.because[sure], cause[sure])
        told += int(sure.sum())
    assert told > 20


def test_scratch_is_left_as_it_was_found() -> None:
    ranker, layout = made_shop(0)
    rng = np.random.default_rng(1)
    scratch = Scratch()
    for length in (1, 30, 4):
        history = made_history(rng, len(layout.primary), length)
        gather(ranker, history, np.ones(16, np.float32), layout=layout, selection=made_selection(rng, 12, 4), scratch=scratch)
    space = scratch.space(0, 0, 0, 0)
    for name in ("slot", "near", "ahead", "similarity", "cluster"):
        assert not getattr(space, name).any(), name


def test_an_item_that_the_ranker_does_not_know_is_refused_and_leaves_no_trace() -> None:
    ranker, layout = made_shop(0)
    rng = np.random.default_rng(2)
    scratch = Scratch()
    history = made_history(rng, len(layout.primary), 3)
    options = {"layout": layout, "selection": made_selection(rng, 12, 3), "scratch": scratch}
    beyond = replace(history, positions=np.array([1, len(layout.primary), 2]))
    with pytest.raises(IndexError, match="not among the ranker's"):
        gather(ranker, beyond, np.ones(16, np.float32), **options)  # type: ignore[arg-type]
    assert not scratch.space(0, 0, 0, 0).slot.any()


@pytest.mark.parametrize("keep", [0, 1, 12, 64, 65, 300])
def test_the_leading_are_those_of_a_stable_sort(keep: int) -> None:
    """Oracle: all of them sorted. Of equals, a zero of either sign among them, the first; what is not finite never leads."""
    rng = np.random.default_rng(keep)
    for m in (0, 1, 40, 223, 500):
        scores = rng.standard_normal(m).round(1).astype(np.float32)
        for odd in (-np.inf, np.inf, np.nan, -0.0):
            scores[rng.random(m) < 0.05] = odd
        order = (-scores).argsort(kind="stable")
        np.testing.assert_array_equal(scoring.leading(scores, keep), order[np.isfinite(scores[order])][:keep])


@pytest.mark.parametrize("count", [1, 7, 499, 500, 501, 999, 1000, 1001, 20_000])
def test_the_best_keys_come_to_the_front(count: int) -> None:
    rng = np.random.default_rng(count)
    for keys in (rng.integers(2**63, size=count, dtype=np.uint64), np.arange(count, dtype=np.uint64), np.zeros(count, np.uint64)):
        expected = np.sort(keys)[::-1][:500]
        kept = key_order.lead(keys, count, 500)
        np.testing.assert_array_equal(np.sort(keys[:kept])[::-1], expected)


@pytest.mark.parametrize("d", [1, 7, 64, 100])
def test_coarse_outputs_are_within_half_a_step(d: int) -> None:
    outputs = np.random.default_rng(d).standard_normal((50, d)).astype(np.float32)
    outputs[3] = 0.0
    coarse, unit = vote_kernels.coarsened(outputs)
    most = np.abs(outputs).max(axis=1, keepdims=True)
    assert (np.abs(coarse * unit[:, None] - outputs) <= most / 253).all()


def test_keys_are_sorted_by_score_and_equals_stay_in_their_order() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(1, 40, size=600).astype(np.float32) / 7
    keys = (scores.view(np.uint32).astype(np.uint64) << np.uint64(32)) | np.arange(600, dtype=np.uint64)
    key_order.by_rank(keys, np.empty_like(keys), 600)
    np.testing.assert_array_equal((keys & np.uint64(0xFFFFFFFF)).astype(np.int64), np.argsort(-scores, kind="stable"))


def test_one_compiled_version_serves_training_and_a_release_on_disk() -> None:
    """Read-only arrays are another type to the compiler: both kinds must reach it as one, or each process compiles twice."""
    before = len(kernels.gather.signatures)  # type: ignore[attr-defined]
    for writeable in (True, False):
        ranker, layout = made_shop(3)
        for part in (ranker.rows, ranker.neighbours, ranker.encoder, ranker.popularity, layout):
            for array in vars(part).values():
                if isinstance(array, np.ndarray):
                    array.flags.writeable = writeable
        rng = np.random.default_rng(4)
        for dtype in (np.int32, np.int64):
            history = made_history(rng, len(layout.primary), 4)
            history = replace(history, positions=history.positions.astype(dtype))
            gather(
                ranker,
                history,
                np.ones(16, np.float32),
                layout=layout,
                selection=made_selection(rng, 12, 3),
                scratch=Scratch(),
            )
    assert len(kernels.gather.signatures) <= max(before, 1)  # type: ignore[attr-defined]


def test_the_features_filled_are_those_named() -> None:
    assert len(FEATURES) == 3 * len(features.VOTERS) + len(features.FACTS) + 10 + 3 + 9
