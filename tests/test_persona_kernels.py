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


@pytest.mark.parametrize("seed", range(30))
def test_an_update_is_a_filtered_step_and_the_sums_over_steps(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    k, a, unit = int(rng.integers(1, 9)), int(rng.integers(1, 6)), 5_000
    model, n = made_model(rng, k), 2 * k + k * (k - 1) // 2
    belief, prior = np.log(rng.dirichlet(np.ones(k))), np.log(rng.dirichlet(np.ones(k)))
    rows = model.rows_of([int(rng.integers(-1, table.shape[1])) for table in model.log_emission])
    opened, is_step, moves = bool(rng.random() < 0.7), bool(rng.random() < 0.6), bool(rng.random() < 0.5)
    affinity, scores = rng.integers(0, unit, a), rng.random((4, a)).astype(np.float32)
    occupancy = rng.integers(0, 10 * unit, k) if opened else np.zeros(0)
    packed = courses.pack(courses.opening(np.exp(belief))) if opened else b""
    kept, mode, doubt = 0.8 if opened and is_step else -1.0, int(rng.integers(2)), float(rng.random())
    constants = (courses.HAZARD, 1e-300, courses.LEAST, courses.PAIRS_P, unit, 0.9, -745.0)
    chain = np.concatenate((constants, model.transition.ravel(), model.jumps.ravel(), model.rows.ravel()))

    weights = courses.unpack_weights(packed) if opened else courses.opening(np.exp(prior))
    one = kernels.filtered(
        belief, prior, model.transition, model.jumps, model.rows, np.array(rows), weights, kept, mode, *constants[:3]
    )
    out, depth = np.empty(2 * k + a + kernels.TOLD + n), np.empty(n, dtype=np.uint16)
    kernels.updated(
        np.concatenate((belief, prior, rows, affinity, occupancy)),
        np.frombuffer(packed or bytes(2), dtype="<u2")[: n if opened else 0],
        chain,
        scores,
        k,
        len(rows),
        2 if moves else -1,
        kept,
        mode,
        is_step,
        0.85,
        doubt,
        out,
        depth,
    )
    p, before, entropy = one[0][k : 2 * k], np.exp(belief), one[0][3 * k + 3]
    if opened and is_step:
        acted, unsure = np.floor(0.9 * occupancy + unit * p + 0.5), 0.9 * doubt + entropy
    elif opened:
        acted, unsure = np.maximum(0, occupancy + np.rint(unit * (p - before))), max(0.0, doubt + entropy + before @ belief)
    else:
        acted, unsure = (np.rint(unit * p), entropy) if is_step else (np.full(k, -1.0), 0.0)
    liked = np.floor(0.85 * affinity + unit * 0.15 * scores[2].astype(float) + 0.5) if moves else affinity
    told = out[2 * k + a : 2 * k + a + kernels.TOLD]
    assert out[:k] == pytest.approx(one[0][:k], abs=1e-12)
    assert out[k : 2 * k] == pytest.approx(acted, abs=1e-9)
    assert out[2 * k : 2 * k + a] == pytest.approx(liked, abs=1e-9)
    assert told[:3] == pytest.approx(one[0][3 * k : 3 * k + 3], abs=1e-9)
    assert told[3:].tolist() == pytest.approx([p[int(told[0])], one[0][3 * k + 4], unsure], abs=1e-9)
    assert out[2 * k + a + kernels.TOLD :] == pytest.approx(one[0][3 * k + 5 :], abs=1e-9)
    assert (depth == one[1]).all()
