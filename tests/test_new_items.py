"""Items that no visit touched: who their kin are, what they are given, and how often they are found when they are the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from personas.sessions import SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.ranking import fitting
from recommendations.ranking.features import gather
from recommendations.ranking.history import Scratch
from recommendations.ranking.kinship import Kinship
from recommendations.ranking.new_items import KIN, LEAST, SPOKEN_FOR, TRUST, find_kin, seen_by, with_unseen
from recommendations.session import evaluation_request
from tests.test_kernels import made_history, made_selection, made_shop
from tests.worlds import World, event, make_world, train_world

COUNT = 10


def test_kin_are_the_seen_items_of_the_largest_rarity_weighted_cosine() -> None:
    """Oracle: the cosines, one by one."""
    rng = np.random.default_rng(3)
    matrix = sparse.csr_matrix((rng.random((200, 40)) < 0.15).astype(np.float32))
    seen = rng.random(200) < 0.8
    unseen = np.flatnonzero(~seen)
    kin = find_kin(matrix, matrix[unseen], seen)
    dense = matrix.toarray() * np.log1p(200 / np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1))
    for i, item in enumerate(unseen.tolist()):
        length = np.linalg.norm(dense, axis=1) * np.linalg.norm(dense[item])
        cosine = np.where(seen, dense @ dense[item] / np.maximum(length, 1e-9), -1)
        best = [p for p in np.argsort(-cosine, kind="stable")[:KIN].tolist() if cosine[p] >= LEAST]
        got = kin.positions[i][kin.positions[i] >= 0]
        np.testing.assert_allclose(np.sort(cosine[got]), np.sort(cosine[best]), atol=1e-5)
        assert kin.weights[i].sum() == pytest.approx(1.0 if best else 0.0)
        assert (np.diff(kin.weights[i]) <= 1e-9).all(), "the most alike weighs most"


def test_without_descriptors_or_without_a_seen_item_nobody_speaks() -> None:
    seen = np.array([True, True, False])
    assert (
        find_kin(sparse.csr_matrix((3, 5), dtype=np.float32), sparse.csr_matrix((1, 5), dtype=np.float32), seen).positions < 0
    ).all()
    ones = sparse.csr_matrix(np.ones((3, 2), dtype=np.float32))
    assert (find_kin(ones, ones[2:], np.zeros(3, dtype=bool)).positions < 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_vote_for_kin_is_in_part_a_vote_for_the_unseen(seed: int) -> None:
    """Oracle: the votes of the same shop without kinship, shared out by hand."""
    ranker, layout = made_shop(seed)
    n, rng = len(layout.primary), np.random.default_rng(seed)
    unseen = rng.choice(n, 12, replace=False)
    source = rng.choice(np.setdiff1d(np.arange(n), unseen), 40, replace=False)
    target, share = rng.choice(unseen, 40), rng.uniform(0.1, 0.4, 40).astype(np.float32)
    order = np.argsort(source)
    starts = np.searchsorted(source[order], np.arange(n + 1))
    voice = np.arange(n, dtype=np.int32)
    voice[unseen] = source[: len(unseen)]
    spoken = replace(ranker, kinship=Kinship(voice, starts, target[order].astype(np.int32), share[order]))
    silent = replace(ranker, kinship=Kinship(voice, np.zeros(n + 1, dtype=np.int64), target[:0].astype(np.int32), share[:0]))
    for length in (1, 4, 12):
        history = made_history(rng, n, length)
        h = rng.standard_normal(16).astype(np.float32)
        asked = {"layout": layout, "selection": made_selection(rng, 12, 4), "scratch": Scratch()}
        plain, told = gather(silent, history, h, **asked), gather(spoken, history, h, **asked)
        votes = np.zeros((8, n))
        votes[:, plain.positions] = plain.votes[:8]
        chosen = set(plain.positions.tolist())
        expected = votes.copy()
        for s, t, part in zip(source.tolist(), target.tolist(), share.tolist(), strict=True):
            if s in chosen:
                chosen.add(t)
                expected[:, t] += part * votes[:, s]
        assert set(told.positions.tolist()) == chosen
        here = np.isin(told.positions, plain.positions)  # of one that only comes in so, its own votes weren't looked at before
        np.testing.assert_allclose(told.votes[:8, here], expected[:, told.positions[here]], rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module", params=(0, 1))
def hidden_world(request: pytest.FixtureRequest) -> tuple[World, np.ndarray, SessionLog]:
    """A shop, which tenth of its items is hidden from the log, and sessions of later."""
    world = make_world(seed=request.param, per_group=10, sessions=900)
    hidden = np.zeros(len(world.catalogue), dtype=bool)
    hidden[np.random.default_rng(request.param).permutation(len(hidden))[: len(hidden) // 10]] = True
    early = np.arange(len(world.log)) < 800
    train = world.log.take(early)
    return replace(world, log=train.where(~hidden[train.position])), hidden, world.log.take(~early)


def hits(engine: Engine, later: SessionLog) -> tuple[np.ndarray, np.ndarray, float]:
    """(N,) whether the next item is in the slate, (N,) which it is, and the share of slots that items never seen had."""
    found, truth, slots = [], [], []
    seen = seen_by(engine.ranker)
    for s in range(len(later)):
        first, last = int(later.offsets[s]), int(later.offsets[s + 1]) - 1
        state = loop.start(engine, shop=1, session=f"s{s}", at=float(later.at[first]))
        for row in range(first, last):
            item, at = int(engine.catalogue.item_ids[later.position[row]]), float(later.at[row])
            state = loop.observe(engine, state, event(row, item=item, at=at))
            state, slate = loop.recommend(engine, state, evaluation_request(at, COUNT), loop.generator(state))
            shown = engine.catalogue.positions(entry.item for entry in slate.items)
            found.append(later.position[row + 1] in shown)
            truth.append(int(later.position[row + 1]))
            slots.append(float((~seen[shown]).mean()))
    return np.array(found), np.array(truth), float(np.mean(slots))


def test_items_hidden_from_the_log_are_found_and_the_others_no_less(
    hidden_world: tuple[World, np.ndarray, SessionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a hidden item is the truth, it is in the first ten of 120 far above chance within its own category (10 of 30 items,
    which is what popularity within it comes to, as nobody ever visited it); of the others as many are found as without, but for
    what two standard errors of the difference allow."""
    world, hidden, later = hidden_world
    engine = train_world(world)
    found, truth, share = hits(engine, later)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "with_unseen", lambda ranker, descriptors: ranker)
        without, _, before = hits(train_world(world), later)
    new = hidden[truth]
    assert new.sum() > 40
    assert found[new].mean() > COUNT / 30 + 0.25
    assert found[new].mean() > without[new].mean() + 0.4, "without kin nobody finds them"
    difference = found[~new].astype(float) - without[~new]
    assert difference.mean() > -2 * difference.std() / np.sqrt(len(difference)) - 0.005
    assert before < 0.03 < share < 0.15, "as a tenth of the shop, they have about a tenth of the slots"


def test_what_was_learned_of_seen_items_stays(hidden_world: tuple[World, np.ndarray, SessionLog]) -> None:
    world, hidden, _ = hidden_world
    engine = train_world(world)
    ranker, kinship = engine.ranker, engine.ranker.kinship
    assert kinship is not None
    seen = seen_by(ranker)
    np.testing.assert_array_equal(seen, ~hidden)
    again = with_unseen(replace(ranker, kinship=None), engine.catalogue.item_descriptors)
    np.testing.assert_array_equal(again.encoder.inputs[seen], ranker.encoder.inputs[seen])
    np.testing.assert_array_equal(kinship.voice[seen], np.flatnonzero(seen))
    assert seen[kinship.voice[hidden]].all()
    assert not seen[kinship.items].any()
    assert np.diff(kinship.starts).max() <= SPOKEN_FOR
    assert np.bincount(kinship.items, kinship.shares).max() <= TRUST + 1e-6
    lengths = np.linalg.norm(ranker.encoder.inputs, axis=1)
    assert lengths[hidden].mean() == pytest.approx(lengths[seen].mean(), rel=0.25)


def test_a_shop_whose_items_were_all_seen_has_no_kinship() -> None:
    assert train_world(make_world(sessions=300)).ranker.kinship is None
