"""The measures of the personas: statistics against hand counts and sklearn, sequence models against enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from personas.encoding import encode_steps, gaps
from personas.hmm import HALF_LIFE_S, PersonaHMM
from recommendations.evaluation.personas import sequences
from recommendations.evaluation.personas.sequences import Sequences, Shop
from recommendations.evaluation.personas.statistics import auc, calibration_error, classwise_error, resample
from tests.persona_world import ARCHETYPES, ATTRIBUTES, DESCRIPTORS, world


def test_calibration_error_of_claims_that_are_off_by_a_known_amount() -> None:
    """1,000 claims of 0.9 that come true 7 times in 10, and 1,000 of 0.5 that are right half the time: (0.2 + 0) / 2."""
    probability = np.repeat([0.9, 0.5], 1_000)
    correct = np.concatenate((np.arange(1_000) % 10 < 7, np.arange(1_000) % 2 == 0))
    assert calibration_error(probability, correct) == pytest.approx(0.1, abs=1e-12)
    only_the_second = np.repeat([0.0, 1.0], 1_000)
    assert calibration_error(probability, correct, only_the_second) == pytest.approx(0.0, abs=1e-12)


def test_calibration_error_lies_within_one_bin_where_claims_are_certain() -> None:
    assert calibration_error(np.ones(10), np.ones(10, dtype=bool)) == 0.0
    assert calibration_error(np.ones(10), np.zeros(10, dtype=bool)) == 1.0
    assert math.isnan(calibration_error(np.zeros(0), np.zeros(0, dtype=bool)))


def test_over_and_under_claims_cancel_within_a_bin_only() -> None:
    """Two claims in one bin, wrong by +0.01 and -0.01 about what came true, leave nothing; in two bins both count."""
    correct = np.arange(200) % 2 == 0
    same = np.where(np.arange(200) < 100, 0.49, 0.51)
    assert calibration_error(same, correct) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(same, correct, bins=2) == pytest.approx(0.01, abs=1e-12)


def test_classwise_error_sees_what_the_likeliest_class_hides() -> None:
    """Always (0.6, 0.3, 0.1) where truth is (0.6, 0.1, 0.3): the top class is honest, two others are off by 0.2."""
    truth = np.array([0] * 60 + [1] * 10 + [2] * 30)
    belief = np.tile([0.6, 0.3, 0.1], (100, 1))
    assert calibration_error(belief.max(axis=1), truth == 0) == pytest.approx(0.0, abs=1e-12)
    assert classwise_error(belief, truth) == pytest.approx(0.4 / 3, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_sklearns_ties_and_weights_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, positive, weights = rng.integers(0, 12, 300) / 4.0, rng.random(300) < 0.3, rng.integers(0, 4, 300).astype(float)
    assert auc(score, positive) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
    assert auc(score, positive, weights) == pytest.approx(roc_auc_score(positive, score, sample_weight=weights), abs=1e-12)


def test_auc_without_one_of_the_kinds_is_unknown() -> None:
    assert math.isnan(auc(np.arange(3.0), np.ones(3, dtype=bool)))


def test_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    x = np.random.default_rng(3).normal(2.0, 1.0, 2_000)
    told = resample(lambda w: float(w @ x / w.sum()), len(x), draws=1_000)
    half = 1.96 * x.std() / math.sqrt(len(x))
    assert told.value == pytest.approx(x.mean(), abs=1e-12)
    assert told.low == pytest.approx(x.mean() - half, abs=0.1 * half)
    assert told.high == pytest.approx(x.mean() + half, abs=0.1 * half)


def small_hmm() -> PersonaHMM:
    rng = np.random.default_rng(5)
    tables = tuple(np.log(rng.dirichlet(np.ones(v), size=2)) for v in (3, 2))
    return PersonaHMM(np.log([0.7, 0.3]), np.log([[0.8, 0.2], [0.3, 0.7]]), tables, np.ones(2, dtype=bool))


def test_log_scores_are_those_of_a_path_enumeration() -> None:
    """P(o_n | o_1..n-1) from sums over all paths, no time passing: each factor alone, and all at once."""
    model = small_hmm()
    codes = np.array([[0, 1], [2, -1], [1, 0], [1, 1]])
    steps = Sequences(codes, np.array([0, 4]), np.zeros(4))
    initial, transition = np.exp(model.log_initial), np.exp(model.log_transition)
    tables = [np.exp(t) for t in model.log_emission]

    def chance(rows: list[list[int]]) -> float:
        total = 0.0
        for path in itertools.product(range(2), repeat=len(rows)):
            p = initial[path[0]]
            for before, now in itertools.pairwise(path):
                p *= transition[before, now]
            for z, row in zip(path, rows, strict=True):
                for f, code in enumerate(row):
                    p *= tables[f][z, code] if code >= 0 else 1.0
            total += p
        return total

    scores = sequences.log_scores(model, steps)
    for n in range(4):
        past = codes[:n].tolist()
        for f, code in enumerate(codes[n].tolist()):
            if code < 0:
                assert np.isnan(scores[n, f])
                continue
            alone = [code if g == f else -1 for g in range(2)]
            assert scores[n, f] == pytest.approx(math.log(chance([*past, alone]) / chance(past or [[-1, -1]])), abs=1e-5)
        whole = math.log(chance([*past, codes[n].tolist()]) / chance(past or [[-1, -1]]))
        assert scores[n, -1] == pytest.approx(whole, abs=1e-5)


def test_silence_of_a_half_life_foretells_half_from_the_prior() -> None:
    model = small_hmm()
    codes = np.array([[0, 1], [2, 0]])
    at_once = sequences.foretold(model, Sequences(codes, np.array([0, 2]), np.array([0.0, 0.0])))
    later = sequences.foretold(model, Sequences(codes, np.array([0, 2]), np.array([0.0, HALF_LIFE_S])))
    np.testing.assert_allclose(later[1], 0.5 * at_once[1] + 0.5 * np.exp(model.log_initial), atol=1e-6)


def test_a_chain_reads_the_last_value_shown_and_no_other_session() -> None:
    """Trained on a, b, a, b: after a comes b. A gap is bridged; a session's first value is foretold by overall shares."""
    train = Sequences(np.array([[0], [1]] * 50), np.array([0, 100]), np.zeros(100))
    test = Sequences(np.array([[0], [-1], [1], [0]]), np.array([0, 3, 4]), np.zeros(4))
    scores = sequences.chain_scores(train, test, [2])
    after_a = math.log((50 + 0.5) / (50 + 1.0))
    np.testing.assert_allclose(scores[:, 0], [math.log(0.5), np.nan, after_a, math.log(0.5)], atol=1e-12)
    np.testing.assert_allclose(scores[:, 1], [math.log(0.5), 0.0, after_a, math.log(0.5)], atol=1e-12)


@pytest.fixture(scope="module")
def shop_and_steps() -> tuple[Shop, Sequences]:
    made = world(seed=2, sessions=3_000)
    steps = encode_steps(made.facts, made.log)
    shop = Shop(ATTRIBUTES, ARCHETYPES, made.facts, DESCRIPTORS, made.item_descriptors)
    return shop, Sequences(steps.codes, steps.offsets, gaps(made.log)[steps.rows])


def test_a_mixture_never_changes_its_persona(shop_and_steps: tuple[Shop, Sequences]) -> None:
    shop, steps = shop_and_steps
    start, pseudo = shop.start(steps)
    mixture = sequences.fit_mixture(steps, start=start, pseudo_counts=pseudo, iterations=5)
    np.testing.assert_allclose(mixture.transition, np.eye(len(ARCHETYPES)), atol=1e-12)


def test_where_personas_change_the_hmm_foretells_better_than_mixture_and_chains(shop_and_steps: tuple[Shop, Sequences]) -> None:
    """In a world that is such an HMM (its personas stay with 0.95), both simpler models must lose on held-out sessions."""
    shop, steps = shop_and_steps
    first = np.arange(len(steps.offsets) - 1) < 2_000
    told = sequences.compare(shop, steps.take(first), steps.take(~first), ("category",))
    assert told["hmm_all"] > told["mixture_all"]
    assert told["hmm_all"] > told["markov_all"]
    assert told["hmm_category"] > told["markov_category"]


def test_states_keep_their_names_on_halves(shop_and_steps: tuple[Shop, Sequences]) -> None:
    shop, steps = shop_and_steps
    kept, _, cost = sequences.names_kept(shop, steps, seeds=(0, 1), iterations=10)
    assert kept == 1.0
    assert cost < 0.1


def test_nearest_is_by_total_variation_over_the_learned_factors() -> None:
    model = small_hmm()
    own = [np.exp(t) for t in model.log_emission]
    assert sequences.nearest(model, own).tolist() == [0, 1]
    assert sequences.nearest(model, [t[::-1] for t in own]).tolist() == [1, 0]
    first_only = PersonaHMM(model.log_initial, model.log_transition, model.log_emission, np.array([True, False]))
    assert sequences.nearest(first_only, [own[0], own[1][::-1]]).tolist() == [0, 1]
