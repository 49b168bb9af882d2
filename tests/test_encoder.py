"""The sequence encoder: what it learns in worlds whose rule is known, and how it is laid out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from personas.sessions import SessionLog
from recommendations.ranking import encoder as encoding
from recommendations.ranking.encoder import LAGS, Encoder, encode, event_parts, train_encoder
from recommendations.ranking.history import History, prefix

ITEMS = 40


def ring(*, seed: int, sessions: int = 600) -> SessionLog:
    """Sessions that walk round a ring of items, one step at a time."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(ITEMS, size=sessions)
    position = (starts[:, None] + np.arange(5)) % ITEMS
    session = np.repeat(np.arange(sessions), 5)
    return SessionLog.of(session, position.ravel(), np.arange(session.size, dtype=float))


def fit(log: SessionLog, *, epochs: int = 6, **options: object) -> Encoder:
    block = np.arange(ITEMS, dtype=np.int32) // 10
    block[-1] = -1
    return train_encoder(log, ITEMS, block=block, seed=3, dimensions=16, epochs=epochs, **options)  # type: ignore[arg-type]


def hits(encoder: Encoder, log: SessionLog) -> float:
    """Share of the last items that are ranked first."""
    right = []
    for rows in log.slices():
        h = encode(encoder, prefix(log, rows.start, rows.stop - 1))
        scores = encoder.outputs @ h + encoder.bias
        right.append(encoder.item_at[scores.argmax()] == log.position[rows.stop - 1])
    return float(np.mean(right))


@pytest.mark.parametrize("full", [True, False])
def test_next_item_of_a_ring_is_learnt_with_whole_and_sampled_softmax(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "FULL_SOFTMAX", ITEMS if full else 0)
    monkeypatch.setattr(encoding, "BATCH", 64)
    assert hits(fit(ring(seed=0)), ring(seed=1, sessions=100)) > 0.95  # chance is 1 in 40


def test_weighted_targets_are_learnt_and_those_of_no_weight_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BATCH", 64)
    forward, backward = ring(seed=0), ring(seed=1)
    both = SessionLog.of(
        np.concatenate((forward.session_of, backward.session_of + len(forward))),
        np.concatenate((forward.position, (-backward.position) % ITEMS)),
        np.arange(2.0 * len(forward.code)),
    )
    weight = (both.session_of < len(forward)).astype(float)
    assert hits(fit(both, weight=weight), ring(seed=2, sessions=100)) > 0.9  # half of the log walks the other way


def test_layout_keeps_blocks_together_and_loses_no_item() -> None:
    encoder = fit(ring(seed=0, sessions=20))
    np.testing.assert_array_equal(encoder.item_at[encoder.row_of], np.arange(ITEMS))
    of_block = np.delete(encoder.item_at, np.flatnonzero(encoder.item_at == ITEMS - 1)) // 10
    assert (np.diff(of_block) >= 0).all()  # item 39 is in no block
    np.testing.assert_allclose(np.linalg.norm(encoder.outputs, axis=1) * encoding.TEMPERATURE, 1.0, atol=1e-5)


def test_session_vector_is_a_unit_and_nothing_for_an_empty_session() -> None:
    log = ring(seed=0, sessions=20)
    encoder = fit(log)
    assert np.linalg.norm(encode(encoder, prefix(log, 0, 4))) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(encode(encoder, prefix(log, 0, 0)), 0.0)


def test_parts_of_the_events_sum_to_the_score() -> None:
    log = ring(seed=0, sessions=20)
    encoder = fit(log)
    many = np.arange(14, dtype=np.int32)  # more events than the encoder reads
    history = History(many, np.zeros(14, dtype=np.int8), np.arange(14.0), np.full(14, np.nan, dtype=np.float32), 14.0)
    items = np.array([3, 17, 39])
    total = event_parts(encoder, history, items).sum(axis=0)
    scores = encoder.outputs[encoder.row_of[items]] @ encode(encoder, history)
    np.testing.assert_allclose(total / np.linalg.norm(total), scores / np.linalg.norm(scores), atol=1e-4)
    assert len(event_parts(encoder, history, items)) == LAGS


def test_a_long_training_goes_on_from_an_encoder_and_keeps_what_it_knew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BATCH", 64)
    known, fresh = ring(seed=0), ring(seed=1, sessions=20)
    at_first = fit(known)
    np.testing.assert_array_equal(fit(fresh, start=at_first).outputs, fit(fresh).outputs)  # too short to save time on
    monkeypatch.setattr(encoding, "LONG", 0)
    assert hits(fit(fresh, start=at_first, epochs=1), ring(seed=2, sessions=100)) > 0.95
    assert hits(fit(fresh, epochs=1), ring(seed=2, sessions=100)) < 0.5  # 20 sessions alone teach little


def test_an_encoder_of_before_lags_weighed_dimensions_encodes_as_it_did() -> None:
    log = ring(seed=0, sessions=20)
    older = replace(fit(log), lag_weight=np.linspace(1.0, 0.1, LAGS, dtype=np.float32), latest=None)
    history = prefix(log, 0, 4)
    summed = sum(older.lag_weight[lag] * older.inputs[item] for lag, item in enumerate(history.positions[::-1].tolist()))
    mixed = older.mixing @ summed
    np.testing.assert_allclose(encode(older, history), mixed / np.linalg.norm(mixed), atol=1e-5)
    items = np.array([3, 17])
    scores = older.outputs[older.row_of[items]] @ encode(older, history)
    total = event_parts(older, history, items).sum(axis=0)
    np.testing.assert_allclose(total / np.linalg.norm(total), scores / np.linalg.norm(scores), atol=1e-4)


def test_same_seed_gives_the_same_encoder() -> None:
    log = ring(seed=0, sessions=30)
    np.testing.assert_array_equal(fit(log).outputs, fit(log).outputs)


def test_a_log_of_single_events_gives_an_encoder_that_scores_evenly() -> None:
    log = SessionLog.of(np.arange(5), np.arange(5), np.arange(5.0))
    assert np.isfinite(fit(log).outputs).all()


def test_a_bound_on_the_work_takes_whole_epochs_off() -> None:
    log = ring(seed=0)
    count = len(log.position) - len(log)  # every item that follows another
    np.testing.assert_array_equal(fit(log, most_examples=6 * count).outputs, fit(log).outputs)
    np.testing.assert_array_equal(fit(log, most_examples=3 * count - 1).outputs, fit(log, epochs=2).outputs)
    np.testing.assert_array_equal(fit(log, most_examples=1).outputs, fit(log, epochs=1).outputs)
