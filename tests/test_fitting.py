"""MAP EM: against hmmlearn's own recursion, and on shops whose personas are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from personas import fitting
from personas.archetypes import starting_model
from personas.encoding import FACTORS, encode_log
from personas.events import CODE
from personas.fitting import expect, filter_log, fit
from personas.hmm import FactoredHMM, PersonaHMM, PseudoCounts, filter_sequence
from tests.persona_world import ARCHETYPES, ATTRIBUTES, DESCRIPTORS, World, world
from tests.test_hmm import random_codes, random_model

SIZES = (3, 5, 2)


def random_log(seed: int) -> tuple[PersonaHMM, PseudoCounts, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 15, 40)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    pseudo = PseudoCounts(rng.random(4) + 0.1, rng.random((4, 4)) + 0.1, tuple(rng.random((4, v)) + 0.1 for v in SIZES))
    return random_model(rng, 4, SIZES), pseudo, random_codes(rng, int(offsets[-1]), SIZES), offsets


def start_of(w: World, codes: np.ndarray) -> tuple[PersonaHMM, PseudoCounts]:
    return starting_model(ATTRIBUTES, ARCHETYPES, w.facts, DESCRIPTORS, w.item_descriptors, codes, len(w.log))


@pytest.mark.parametrize("seed", range(3))
def test_batched_e_step_equals_hmmlearns_recursion(seed: int) -> None:
    model, _, codes, offsets = random_log(seed)
    ours = expect(model, codes, offsets)
    oracle = FactoredHMM.of(model)
    log_likelihood, posteriors = oracle.score_samples(codes, np.diff(offsets))
    assert ours.log_likelihood == pytest.approx(log_likelihood, abs=1e-9)
    np.testing.assert_allclose(ours.posteriors, posteriors, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.initial, posteriors[offsets[:-1]].sum(axis=0), rtol=0, atol=1e-10)
    assert ours.transition.sum() == pytest.approx(len(codes) - len(offsets) + 1)


@pytest.mark.parametrize("iterations", [1, 6])
def test_fit_equals_hmmlearns_em_with_the_same_priors(iterations: int) -> None:
    model, pseudo, codes, offsets = random_log(7)
    ours, _ = fit(codes, offsets, start=model, pseudo_counts=pseudo, iterations=iterations)
    oracle = FactoredHMM.of(model, pseudo, n_iter=iterations)
    oracle.monitor_.tol = -np.inf  # all iterations, as ours
    oracle.tol = -np.inf
    theirs = oracle.fit(codes, np.diff(offsets)).to_model(ours.learned)
    np.testing.assert_allclose(np.exp(ours.log_initial), np.exp(theirs.log_initial), rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.exp(ours.log_transition), np.exp(theirs.log_transition), rtol=0, atol=1e-9)
    for a, b in zip(ours.log_emission, theirs.log_emission, strict=True):
        np.testing.assert_allclose(np.exp(a), np.exp(b), rtol=0, atol=1e-9)


def test_the_objective_never_falls_and_progress_reaches_its_end() -> None:
    model, pseudo, codes, offsets = random_log(11)
    seen: list[tuple[int, int]] = []
    _, report = fit(
        codes, offsets, start=model, pseudo_counts=pseudo, iterations=15, progress=lambda done, of: seen.append((done, of))
    )
    assert np.diff(report.objective).min() >= -1e-12
    assert seen[-1] == (15, 15)
    assert seen == sorted(seen)
    assert report.share.sum() == pytest.approx(1.0)


def test_states_keep_their_names_on_two_halves_of_the_log() -> None:
    w = world(3)
    models = []
    for half in (0, 1):
        log = w.log.take(np.arange(len(w.log)) % 2 == half)
        codes = encode_log(w.facts, log)
        models.append(fit(codes, log.offsets, start=start_of(w, codes)[0], pseudo_counts=start_of(w, codes)[1])[0])
    category, tier = FACTORS.index("category"), FACTORS.index("price_tier")
    for model in models:
        tables = [np.exp(model.log_emission[f]) for f in (category, tier)]
        assert tables[1][:, 0].argmax() == 0  # thrift has the most low prices
        assert tables[1][:, 3].argmax() == 1  # luxury the most top prices
        assert tables[0][:, 0].argmax() == 2  # boots
        assert tables[0][:, 2].argmax() == 3  # hats
    distance = [
        0.5 * np.abs(np.exp(a) - np.exp(b)).sum(axis=1) for a, b in zip(*(m.log_emission[1:3] for m in models), strict=True)
    ]
    assert np.max(distance) < 0.12  # total variation between the halves of one state


def test_fitted_filter_reaches_nine_tenths_of_the_exact_posteriors_accuracy() -> None:
    train, fresh = world(5, sessions=3_000), world(6, sessions=1_500)
    codes = encode_log(train.facts, train.log)
    start, pseudo = start_of(train, codes)
    model, _ = fit(codes, train.log.offsets, start=start, pseudo_counts=pseudo)
    truth = PersonaHMM(np.log(np.full(4, 0.25)), np.log(train.transition), (np.log(train.likelihood),), np.array([True]))
    exact = filter_log(truth, fresh.log.position[:, None], fresh.log.offsets)
    ours = filter_log(model, encode_log(fresh.facts, fresh.log), fresh.log.offsets)
    fifth = fresh.log.offsets[:-1][np.diff(fresh.log.offsets) >= 5] + 4
    accuracy = [(b[fifth].argmax(axis=1) == fresh.persona[fifth]).mean() for b in (ours, exact)]
    assert accuracy[0] >= 0.9 * accuracy[1]
    assert accuracy[1] > 0.5  # four personas: chance is a quarter


def test_a_log_of_views_leaves_carts_at_their_prior() -> None:
    w = world(8)
    views = dataclasses.replace(w.log, code=np.full_like(w.log.code, CODE["view_item"]))
    codes = encode_log(w.facts, views)
    start, pseudo = start_of(w, codes)
    model, _ = fit(codes, views.offsets, start=start, pseudo_counts=pseudo)
    learned = [name for name, taught in zip(FACTORS, model.learned.tolist(), strict=True) if taught]
    assert learned == ["category", "price_tier", "novelty"]  # one gap only, no dwell
    np.testing.assert_allclose(model.log_emission[0], start.log_emission[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_filter_log_matches_the_filter_of_each_session(seed: int) -> None:
    model, _, codes, offsets = random_log(seed)
    beliefs = filter_log(model, codes, offsets)
    for a, b in zip(offsets[:-1], offsets[1:], strict=True):
        np.testing.assert_allclose(beliefs[a:b], np.exp(filter_sequence(model, codes[a:b])), rtol=0, atol=1e-6)


def test_how_many_threads_share_the_chunks_makes_no_difference_and_neither_do_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pseudo, codes, offsets = random_log(5)
    whole, report = fit(codes, offsets, start=model, pseudo_counts=pseudo, iterations=5)
    monkeypatch.setattr(fitting, "CHUNK", 30)
    one, _ = fit(codes, offsets, start=model, pseudo_counts=pseudo, iterations=5)
    two, two_report = fit(codes, offsets, start=model, pseudo_counts=pseudo, iterations=5, jobs=2)
    for a, b in ((one, two), (one, whole)):
        np.testing.assert_allclose(a.log_transition, b.log_transition, rtol=0, atol=1e-9)
        for mine, theirs in zip(a.log_emission, b.log_emission, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)
    assert two_report.log_likelihood == pytest.approx(report.log_likelihood, abs=1e-12)


def test_filter_log_keeps_to_the_only_possible_state_800_nats_against_it() -> None:
    even = np.log(np.full((2, 2), 0.5))
    model = PersonaHMM(np.log([0.5, 0.5]), even, (np.array([[-800.0, 0.0], [0.0, -800.0]]),), np.array([True]))
    with np.errstate(divide="ignore"):
        prior = np.log([[1.0, 0.0]])
    beliefs = filter_log(model, np.array([[0], [1], [-1]]), np.array([0, 3]), log_prior=prior)
    np.testing.assert_allclose(beliefs, [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]], atol=1e-7)
    impossible = PersonaHMM(np.log([0.3, 0.7]), even, (np.full((2, 2), -np.inf),), np.array([True]))
    np.testing.assert_allclose(filter_log(impossible, np.array([[0]]), np.array([0, 1])), [[0.3, 0.7]], atol=1e-7)


def test_a_state_that_lost_what_names_it_is_reported_with_the_factor() -> None:
    """Two archetypes, named by the second factor; the log's states part by the first alone."""
    rng = np.random.default_rng(0)
    persona = np.repeat(rng.integers(0, 2, 400), 10)
    first = np.where(rng.random(4_000) < 0.9, persona, 1 - persona)
    named = np.array([[0.9, 0.1], [0.1, 0.9]])
    even = np.full((2, 2), 0.5)
    stay = np.array([[0.9, 0.1], [0.1, 0.9]])
    start = PersonaHMM(np.log([0.5, 0.5]), np.log(stay), (np.log(even), np.log(named)), np.ones(2, dtype=bool))
    pseudo = PseudoCounts(np.ones(2), 100 * stay, (100 * even, 100 * named))
    offsets = np.arange(0, 4_001, 10)
    for second, drifted in ((persona, False), (rng.integers(0, 2, 4_000), True)):
        _, report = fit(np.column_stack((first, second)), offsets, start=start, pseudo_counts=pseudo)
        assert report.worst.tolist() == [1, 1]
        assert report.drifted.tolist() == [drifted, drifted]
        assert (report.kept < fitting.NAME_KEPT).all() == drifted


def test_a_persona_that_nearly_everybody_is_has_not_drifted() -> None:
    """Of 400 sessions 392 are the first persona's, just as its archetype has it: it is the usual shopper, and still itself."""
    rng = np.random.default_rng(1)
    persona = np.repeat(np.arange(400) >= 392, 10).astype(int)
    shown = np.where(rng.random(4_000) < 0.9, persona, 1 - persona)[:, None]
    named, stay = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.99, 0.01], [0.01, 0.99]])
    start = PersonaHMM(np.log([0.5, 0.5]), np.log(stay), (np.log(named),), np.ones(1, dtype=bool))
    _, report = fit(
        shown, np.arange(0, 4_001, 10), start=start, pseudo_counts=PseudoCounts(np.ones(2), 100 * stay, (100 * named,))
    )
    assert report.share[0] > 0.9
    np.testing.assert_allclose(report.kept, 1.0, atol=0.25)
    assert not report.drifted.any()


def test_an_empty_log_gives_the_priors_model() -> None:
    model, pseudo, codes, _ = random_log(1)
    fitted, report = fit(codes[:0], np.zeros(1, dtype=np.int64), start=model, pseudo_counts=pseudo)
    np.testing.assert_allclose(np.exp(fitted.log_initial), pseudo.initial / pseudo.initial.sum())
    assert not fitted.learned.any()
    assert np.isfinite(report.objective).all()
    assert filter_log(model, codes[:0], np.zeros(1, dtype=np.int64)).shape == (0, 4)


def test_a_robots_endless_session_costs_no_more_steps_than_the_longest_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "LONGEST", 50)
    model, pseudo, _, _ = random_log(2)
    codes = random_codes(np.random.default_rng(0), 1_000, SIZES)
    cut, _ = fit(codes, np.array([0, 120, 1_000]), start=model, pseudo_counts=pseudo, iterations=2)
    pieces = np.array([0, 50, 100, *range(120, 1_000, 50), 1_000])
    by_hand, _ = fit(codes, pieces, start=model, pseudo_counts=pseudo, iterations=2)
    np.testing.assert_array_equal(cut.log_transition, by_hand.log_transition)


def test_shapes_that_disagree_are_refused() -> None:
    model, pseudo, codes, offsets = random_log(3)
    with pytest.raises(ValueError, match="offsets end at 5"):
        fit(codes, np.array([0, 5]), start=model, pseudo_counts=pseudo)
    with pytest.raises(ValueError, match="the model has 3 factors"):
        expect(model, codes[:, :2], offsets)
    with pytest.raises(ValueError, match="code 3 of factor 0, which has 3 values"):
        expect(model, codes + (codes == 2), offsets)


def test_a_value_seen_once_makes_no_persona_likelier() -> None:
    """Two states, one with a hundredth of the events; a third value seen a single time must not speak for the small one."""
    rng = np.random.default_rng(0)
    n = 20_000
    rare = rng.random(n) < 0.01
    first = np.where(rare, rng.random(n) < 0.9, rng.random(n) < 0.1).astype(np.int16)
    second = rng.integers(0, 2, n).astype(np.int16)
    second[0] = 2
    codes = np.column_stack((first, second))
    named = np.array([[0.9, 0.1], [0.1, 0.9]])
    silent = np.tile([0.49, 0.49, 0.02], (2, 1))
    even = np.log(np.full(2, 0.5))
    stay = np.log(np.array([[0.9, 0.1], [0.1, 0.9]]))
    start = PersonaHMM(even, stay, (np.log(named), np.log(silent)), np.ones(2, dtype=bool))
    pseudo = PseudoCounts(np.array([190.0, 10.0]), 200 * np.array([[0.99, 0.01], [0.9, 0.1]]), (2_000 * named, 200 * silent))
    model, _ = fit(codes, np.arange(0, n + 1, 5), start=start, pseudo_counts=pseudo)
    lift = model.log_emission[1][:, 2] - model.log_emission[1][:, 2].mean()
    assert np.abs(lift).max() < 0.1
    np.testing.assert_allclose(np.exp(model.log_emission[1]).sum(axis=1), 1.0, atol=1e-12)
