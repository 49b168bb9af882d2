"""The compiled step of the persona's chain does what `hmm` and `courses` say, on random models, beliefs and events."""

from __future__ import annotations

import numpy as np
import pytest

from personas import courses, kernels
from personas.hmm import PersonaHMM, condition, predict, remembered


def made_model(rng: np.random.Generator, k: int) -> PersonaHMM:
    def logs(*shape: int) -> np.ndarray:
        table: np.ndarray = np.log(rng.dirichlet(np.ones(shape[-1]), shape[0]))
        return table

    emission = tuple(logs(k, values) for values in (5, 3, 7))
    return PersonaHMM(logs(1, k)[0], logs(k, k), emission, np.ones(3, dtype=bool))


@pytest.mark.parametrize("seed", range(30))
def test_a_filtered_step_is_prediction_condition_and_courses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 9))
    model = made_model(rng, k)
    belief, prior = np.log(rng.dirichlet(np.ones(k))), np.log(rng.dirichlet(np.ones(k)))
    codes = [int(rng.integers(-1, table.shape[1])) for table in model.log_emission]
    weights = courses.opening(np.exp(prior))
    elapsed, steps, enriches = float(rng.choice([0.0, 40.0, 4_000.0])), bool(rng.random() < 0.7), bool(rng.random() < 0.4)

    predicted = predict(model, belief, elapsed_s=elapsed, log_prior=prior) if steps else belief
    after, terms = condition(model, predicted, codes)
    total = terms.sum(axis=0)
    likelihood = np.exp(total - total.max())
    course = courses.enrich(weights, np.exp(belief), likelihood) if enriches else courses.step(weights, model.jumps, likelihood)

    moved, packed = kernels.filtered(
        belief,
        prior,
        model.transition,
        model.jumps,
        model.rows,
        np.array(model.rows_of(codes)),
        weights,
        remembered(elapsed) if steps else -1.0,
        kernels.ENRICH if enriches else kernels.STEP,
        courses.HAZARD,
        1e-300,
        courses.LEAST,
    )
    assert moved[:k] == pytest.approx(after, abs=1e-9)
    assert moved[k : 2 * k] == pytest.approx(np.exp(after), abs=1e-9)
    assert moved[3 * k + 5 :] == pytest.approx(course, abs=1e-9)
    assert moved[3 * k + 3] == pytest.approx(-(np.exp(after) @ after), abs=1e-9)
    assert moved[3 * k] == np.abs(np.exp(after) - np.exp(predicted)).argmax()
    assert np.abs(packed.astype(int) - np.frombuffer(courses.pack(course), dtype="<u2").astype(int)).max() <= 1


def test_an_event_that_nobody_could_cause_leaves_the_belief_and_the_courses() -> None:
    with np.errstate(divide="ignore"):
        never = np.log(np.array([[1.0, 0.0], [1.0, 0.0]]))
    half = np.log(np.full(2, 0.5))
    model = PersonaHMM(half, np.log(np.full((2, 2), 0.5)), (never,), np.ones(1, dtype=bool))
    belief, weights = np.log(np.array([0.3, 0.7])), courses.opening(np.array([0.5, 0.5]))
    moved, _ = kernels.filtered(
        belief, half, model.transition, model.jumps, model.rows, np.array([1]), weights, -1.0, 1, 0.02, 1e-300, courses.LEAST
    )
    assert moved[:2] == pytest.approx(belief)
    assert moved[11:] == pytest.approx(weights)
