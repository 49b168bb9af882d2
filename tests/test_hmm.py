"""The filter: against enumeration of every path, at its limits, and with factors missing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from personas.hmm import HALF_LIFE_S, FactoredHMM, PersonaHMM, PseudoCounts, condition, filter_sequence, maximise, predict


def random_model(rng: np.random.Generator, k: int, sizes: tuple[int, ...]) -> PersonaHMM:
    tables = tuple(np.log(rng.dirichlet(np.ones(v), size=k)) for v in sizes)
    return PersonaHMM(
        np.log(rng.dirichlet(np.ones(k))), np.log(rng.dirichlet(np.ones(k), size=k)), tables, np.ones(len(sizes), dtype=bool)
    )


def random_codes(rng: np.random.Generator, n: int, sizes: tuple[int, ...]) -> np.ndarray:
    return np.column_stack([rng.integers(-1, v, n) for v in sizes])


def by_enumeration(model: PersonaHMM, codes: np.ndarray) -> np.ndarray:
    """P(z_T | o_1..T) by summing the probability of every path of states."""
    k = len(model.log_initial)
    total = np.zeros(k)
    for path in itertools.product(range(k), repeat=len(codes)):
        p = np.exp(model.log_initial[path[0]])
        for a, b in itertools.pairwise(path):
            p *= np.exp(model.log_transition[a, b])
        for z, row in zip(path, codes, strict=True):
            for table, code in zip(model.log_emission, row, strict=True):
                p *= np.exp(table[z, code]) if code >= 0 else 1.0
        total[path[-1]] += p
    return total / total.sum()


@pytest.mark.parametrize("seed", range(4))
def test_filter_matches_path_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = (3, 4, 2)
    model, codes = random_model(rng, 3, sizes), random_codes(rng, 6, sizes)
    beliefs = np.exp(filter_sequence(model, codes))
    for t in range(len(codes)):
        np.testing.assert_allclose(beliefs[t], by_enumeration(model, codes[: t + 1]), rtol=0, atol=1e-12)


def two_states(log_emission: list[list[float]]) -> PersonaHMM:
    """One factor of as many values as given; only value 0 is used."""
    return PersonaHMM(np.log([0.5, 0.5]), np.log([[0.5, 0.5], [0.5, 0.5]]), (np.array(log_emission),), np.array([True]))


def test_minus_800_nats_against_a_zero_prior_stays_with_the_only_possible_state() -> None:
    with np.errstate(divide="ignore"):
        log_belief = np.log([1.0, 0.0])
    after, terms = condition(two_states([[-800.0], [0.0]]), log_belief, (0,))
    np.testing.assert_array_equal(np.exp(after), [1.0, 0.0])
    np.testing.assert_array_equal(terms, [[-800.0, 0.0]])


def test_an_observation_impossible_under_every_state_leaves_the_belief() -> None:
    log_belief = np.log([0.3, 0.7])
    after, _ = condition(two_states([[-np.inf], [-np.inf]]), log_belief, (0,))
    np.testing.assert_array_equal(after, log_belief)


def test_ten_thousand_steps_of_a_hundred_states_stay_finite_and_normalised() -> None:
    rng = np.random.default_rng(0)
    sizes = (5, 40)
    beliefs = filter_sequence(random_model(rng, 100, sizes), random_codes(rng, 10_000, sizes))
    assert np.isfinite(beliefs).all()
    np.testing.assert_allclose(np.exp(beliefs).sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_a_missing_factor_contributes_nothing() -> None:
    rng = np.random.default_rng(1)
    model = random_model(rng, 4, (3, 5))
    without = PersonaHMM(model.log_initial, model.log_transition, model.log_emission[:1], model.learned[:1])
    codes = rng.integers(0, 3, (30, 1))
    np.testing.assert_array_equal(
        filter_sequence(model, np.column_stack((codes, np.full(30, -1)))),
        filter_sequence(without, codes),
    )
    _, terms = condition(model, model.log_initial, (2, -1))
    np.testing.assert_array_equal(terms[1], np.zeros(4))


def test_time_relaxes_the_belief_to_the_prior_by_half_in_a_half_life() -> None:
    rng = np.random.default_rng(2)
    model = random_model(rng, 4, (3,))
    belief, prior = np.log(rng.dirichlet(np.ones(4))), np.log(rng.dirichlet(np.ones(4)))
    at_once, half, ever = (np.exp(predict(model, belief, elapsed_s=t, log_prior=prior)) for t in (0.0, HALF_LIFE_S, 1e9))
    np.testing.assert_allclose(at_once, np.exp(belief) @ np.exp(model.log_transition), rtol=0, atol=1e-15)
    np.testing.assert_allclose(half, (at_once + np.exp(prior)) / 2, rtol=0, atol=1e-15)
    np.testing.assert_allclose(ever, np.exp(prior), rtol=0, atol=1e-15)


def test_steps_leave_their_arguments_unchanged() -> None:
    rng = np.random.default_rng(3)
    model = random_model(rng, 3, (2, 2))
    belief = model.log_initial.copy()
    kept = belief.copy()
    predict(model, belief, elapsed_s=60.0, log_prior=belief)
    condition(model, belief, (1, 0))
    np.testing.assert_array_equal(belief, kept)


def test_a_code_beyond_its_table_is_an_error_not_the_next_factors_row() -> None:
    model = random_model(np.random.default_rng(4), 2, (3, 4))
    with pytest.raises(IndexError, match="code 3 of factor 0, which has 3 values"):
        condition(model, model.log_initial, (3, 0))
    with pytest.raises(ValueError, match="1 codes, the model has 2 factors"):
        condition(model, model.log_initial, (0,))


def test_tables_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"log_transition \(2, 2\) != \(3, 3\)"):
        PersonaHMM(np.zeros(3), np.zeros((2, 2)), (), np.zeros(0, dtype=bool))
    with pytest.raises(ValueError, match="pseudo-counts must be positive, got 0"):
        PseudoCounts(np.zeros(2), np.ones((2, 2)), ())


def test_values_the_log_never_shows_keep_their_prior() -> None:
    counts = np.array([[90.0, 10.0, 0.0], [5.0, 5.0, 0.0]])
    pseudo = np.array([[4.0, 4.0, 2.0], [4.0, 4.0, 2.0]])
    table = maximise(counts, pseudo, np.array([True, True, False]))
    np.testing.assert_allclose(table[:, 2], 0.2)  # not 2/110 against 2/20, which only says how busy each state was
    np.testing.assert_allclose(table[0, :2], 0.8 * np.array([94.0, 14.0]) / 108.0)


def test_the_hmmlearn_class_ends_at_the_filters_belief() -> None:
    rng = np.random.default_rng(5)
    model = random_model(rng, 3, (4, 3))
    codes = random_codes(rng, 40, (4, 3))
    estimator = FactoredHMM.of(model)
    np.testing.assert_allclose(estimator.predict_proba(codes)[-1], np.exp(filter_sequence(model, codes)[-1]), rtol=0, atol=1e-10)
