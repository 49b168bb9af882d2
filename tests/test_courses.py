"""How a session goes: against enumeration of every way it could have gone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from personas import courses

K, T = 3, 5


def by_enumeration(prior: np.ndarray, jumps: np.ndarray, likelihoods: np.ndarray) -> tuple[float, float, float]:
    """P(one), P(two taking turns), P(one gave way to another), by summing over who took each step and when one changed."""
    one = mixed = changed = 0.0
    steps = range(len(likelihoods))
    for z in range(K):
        base = (1.0 - courses.PAIRS_P) * prior[z]
        one += base * (1.0 - courses.HAZARD) ** len(likelihoods) * np.prod([likelihoods[t, z] for t in steps])
        for first, other in itertools.product(steps, range(K)):
            p = base * (1.0 - courses.HAZARD) ** first * courses.HAZARD * jumps[z, other]
            changed += p * np.prod([likelihoods[t, other if t >= first else z] for t in steps])
    pairs = list(itertools.combinations(range(K), 2))
    total = sum(prior[i] * prior[j] for i, j in pairs)
    for i, j in pairs:
        p = courses.PAIRS_P * prior[i] * prior[j] / total
        for turns in itertools.product((i, j), repeat=len(likelihoods)):
            mixed += p * 0.5 ** len(likelihoods) * np.prod([likelihoods[t, z] for t, z in zip(steps, turns, strict=True)])
    everything = one + mixed + changed
    return one / everything, mixed / everything, changed / everything


@pytest.mark.parametrize("seed", range(3))
def test_courses_match_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prior, likelihoods = rng.dirichlet(np.ones(K)), rng.random((T, K))
    jumps = rng.random((K, K)) * (1 - np.eye(K))
    jumps /= jumps.sum(axis=1, keepdims=True)
    held = courses.opening(prior)
    for likelihood in likelihoods:
        held = courses.step(courses.unpack(courses.pack(held)), jumps, likelihood)
    np.testing.assert_allclose(courses.told(held, K), by_enumeration(prior, jumps, likelihoods), rtol=0, atol=2e-3)


def even(k: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(k, 1.0 / k), (1 - np.eye(k)) / max(1, k - 1)


def go(likelihoods: np.ndarray) -> tuple[float, float, float]:
    prior, jumps = even(likelihoods.shape[1])
    held = courses.opening(prior)
    for likelihood in likelihoods:
        held = courses.step(held, jumps, likelihood)
    return courses.told(held, len(prior))


def test_taking_turns_is_told_from_fitting_none_and_from_a_change() -> None:
    speaks = np.array([[8.0, 1, 1, 1], [1, 8, 1, 1]])
    turns, change = speaks[[0, 1] * 5], speaks[[0] * 5 + [1] * 5]
    assert go(turns)[1] > 0.8
    assert go(change)[2] > 0.9
    assert go(speaks[[0] * 10])[0] > 0.9
    assert go(np.ones((10, 4)))[1] == pytest.approx(courses.PAIRS_P)  # nothing said: nothing learned


def test_what_cannot_be_explained_leaves_the_courses_and_no_course_sinks_for_good() -> None:
    prior, jumps = even(3)
    held = courses.opening(prior)
    np.testing.assert_array_equal(courses.step(held, jumps, np.zeros(3))[:3] > 0, [True] * 3)
    for _ in range(500):
        held = courses.unpack(courses.pack(courses.step(held, jumps, np.array([1.0, 1e-9, 1e-9]))))
    assert np.isfinite(held).all()
    for _ in range(12):
        held = courses.unpack(courses.pack(courses.step(held, jumps, np.array([1e-3, 1.0, 1e-3]))))
    assert courses.told(held, 3)[2] > 0.99


def test_evidence_on_the_last_step_goes_to_whoever_took_it() -> None:
    held = courses.opening(np.full(2, 0.5))
    said = courses.enrich(held, np.array([1.0, 0.0]), np.array([0.7, 0.1]))
    joint = held * np.array([0.7, 0.1, 0.7, 0.1, 0.7])  # within the pair, the first took the step
    np.testing.assert_allclose(said, joint / joint.sum(), atol=1e-9)


def test_a_better_prior_revises_the_courses_as_if_it_had_been_known() -> None:
    prior, better = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.8, 0.1])
    likelihood = np.array([0.2, 0.5, 0.4])
    stay = np.zeros((3, 3))  # nobody changes, so that the courses' first prior is all there is
    late = courses.revise(courses.pack(courses.step(courses.opening(prior), stay, likelihood)), prior, better)
    known = courses.step(courses.opening(better), stay, likelihood)
    np.testing.assert_allclose(courses.told(courses.unpack(late), 3), courses.told(known, 3), atol=5e-3)


def test_one_persona_alone_is_one_throughout() -> None:
    alone = courses.step(courses.opening(np.ones(1)), np.zeros((1, 1)), np.array([0.3]))
    assert courses.told(alone, 1) == (1.0, 0.0, 0.0)


def test_a_change_that_was_told_is_who_acts_now_and_turns_keep_what_speaks_for_them() -> None:
    prior, jumps = even(3)
    held = courses.opening(prior)
    for z in (0, 0, 0, 1, 1, 1):
        held = courses.step(held, jumps, np.where(np.arange(3) == z, 1.0, 0.1))
    settled = courses.settle(held, 3)
    assert courses.told(settled, 3)[2] == 0.0
    assert settled[:3].argmax() == 1
    assert settled.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(settled[6:], held[6:])
