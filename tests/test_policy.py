"""The adaptation agent: propensities that are true, and an update that is Bayes' rule."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import BayesianRidge

from clusters.policy import (
    ACTIONS,
    CONTRACT,
    EXPAND,
    FEATURES,
    KEEP,
    Policy,
    choose,
    default_policy,
    features,
    propensities,
    update,
)
from personas.components import from_parts, to_parts

ALL = np.ones((1, 3), dtype=bool)
D = len(FEATURES)


def wild(seed: int = 0) -> Policy:
    """A policy with means and covariances of no particular shape."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, D, D)) * 0.4
    covariance = root @ root.transpose(0, 2, 1) + 0.05 * np.eye(D)
    return replace(default_policy(), mean=rng.normal(size=(3, D)), covariance=covariance, precision=np.linalg.inv(covariance))


def row(**values: float) -> np.ndarray:
    x = np.zeros((1, D))
    x[0, FEATURES.index("bias")] = 1.0
    for name, value in values.items():
        x[0, FEATURES.index(name)] = value
    return x


@pytest.mark.parametrize("allowed", [(1, 1, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1)])
def test_propensities_are_those_of_sampling_weights_and_taking_the_best(allowed):
    policy = replace(wild(), floor=0.0)
    x = np.random.default_rng(1).normal(size=(1, D)) * 0.5
    mask = np.array([allowed], dtype=bool)
    rng = np.random.default_rng(2)
    # Thompson sampling as it is defined: draw each action's weights, score, take the best of the allowed.
    drawn = np.stack([rng.multivariate_normal(policy.mean[a], policy.covariance[a], 200_000) @ x[0] for a in range(3)], axis=1)
    best = np.where(mask, drawn, -np.inf).argmax(1)
    assert propensities(policy, x, mask)[0] == pytest.approx(np.bincount(best, minlength=3) / len(best), abs=0.005)


def test_actions_are_drawn_with_the_logged_propensities():
    policy, rng = wild(3), np.random.default_rng(4)
    x = np.repeat(np.random.default_rng(5).normal(size=(1, D)) * 0.3, 60_000, axis=0)
    actions, chance = choose(policy, x, np.ones((len(x), 3), dtype=bool), rng)
    expected = propensities(policy, x[:1], ALL)[0]
    assert np.bincount(actions, minlength=3) / len(x) == pytest.approx(expected, abs=0.008)
    assert (chance == expected[actions]).all()


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.0, 1e-9, 0.1, 1.0, 30.0, 1e4]))
def test_propensities_sum_to_one_stay_over_the_floor_and_off_what_is_not_allowed(seed, scale):
    rng = np.random.default_rng(seed)
    policy = wild(seed % 7)
    x = rng.normal(size=(20, D)) * scale
    allowed = rng.random((20, 3)) < 0.6
    allowed[:, KEEP] |= ~allowed.any(1)
    chance = propensities(policy, x, allowed)
    assert np.allclose(chance.sum(1), 1.0, atol=1e-12)
    assert (chance[~allowed] == 0).all()
    assert (chance[allowed] >= policy.floor - 1e-12).all()


def test_equal_values_are_chosen_alike():
    level = replace(default_policy(), mean=np.zeros((3, D)))
    assert propensities(level, row(), ALL)[0] == pytest.approx([1 / 3] * 3, abs=1e-9)
    assert propensities(level, row(), np.array([[True, True, False]]))[0] == pytest.approx([0.5, 0.5, 0.0])


def test_a_single_option_is_certain():
    actions, chance = choose(default_policy(), row(), np.array([[False, False, True]]), np.random.default_rng(0))
    assert (actions.tolist(), chance.tolist()) == ([CONTRACT], [1.0])


def test_what_cannot_be_chosen_from_is_said():
    with pytest.raises(ValueError, match="row 0 allows no action"):
        propensities(default_policy(), row(), np.zeros((1, 3), dtype=bool))
    with pytest.raises(ValueError, match=r"allowed \(1, 2\) != \(1, 3\)"):
        propensities(default_policy(), row(), np.ones((1, 2), dtype=bool))


def test_the_hand_rule_expands_a_run_outside_and_contracts_what_is_passed_over():
    policy = default_policy()
    expand, contract = np.array([[1, 1, 0]], dtype=bool), np.array([[1, 0, 1]], dtype=bool)
    barely = propensities(policy, row(outside=0.5, last=1, transition=-1), expand)[0, EXPAND]
    long_run = propensities(policy, row(outside=1.0, last=1, transition=-1), expand)[0, EXPAND]
    assert 0.5 < barely < long_run
    unloved = propensities(policy, row(ignored=0.5, mass=-1, transition=-1), contract)[0, CONTRACT]
    more_so = propensities(policy, row(ignored=1.0, mass=-1, transition=-1), contract)[0, CONTRACT]
    held = propensities(policy, row(ignored=0.5, mass=-0.1, transition=-0.1), contract)[0, CONTRACT]
    assert held < 0.5 < unloved < more_so


def test_update_is_the_closed_form_of_bayesian_ridge():
    """scikit-learn's BayesianRidge with its hyperparameters held: same posterior mean and covariance."""
    rng = np.random.default_rng(6)
    x, rewards = rng.normal(size=(50, D)), rng.normal(size=50)
    ridge = BayesianRidge(max_iter=1, fit_intercept=False).fit(x, rewards)
    lam = float(ridge.lambda_)  # precision of a weight, and alpha_ of the noise, that its last step settled on
    precision = np.broadcast_to(np.eye(D) * lam, (3, D, D))
    start = replace(default_policy(), mean=np.zeros((3, D)), noise=1 / float(ridge.alpha_), precision=precision)
    learned = update(start, x, np.full(50, EXPAND), rewards)
    assert learned.mean[EXPAND] == pytest.approx(ridge.coef_, abs=1e-10)
    assert learned.covariance[EXPAND] == pytest.approx(ridge.sigma_, abs=1e-10)
    assert (learned.mean[KEEP] == 0).all()


def test_one_reward_by_hand():
    """Prior 0 with variance 0.02 on the bias alone, reward 1 with noise 1: mean 0.02 / 1.02."""
    start = replace(default_policy(), mean=np.zeros((3, D)))
    learned = update(start, row(), np.array([KEEP]), np.array([1.0]))
    assert learned.mean[KEEP, FEATURES.index("bias")] == pytest.approx(0.02 / 1.02)


def test_update_does_not_mind_order_or_batches():
    rng = np.random.default_rng(7)
    x, actions, rewards = rng.normal(size=(40, D)), rng.integers(0, 3, 40), rng.normal(size=40)
    whole = update(default_policy(), x, actions, rewards)
    shuffled = rng.permutation(40)
    halves = default_policy()
    for part in np.array_split(shuffled, 5):
        halves = update(halves, x[part], actions[part], rewards[part])
    assert halves.mean == pytest.approx(whole.mean, abs=1e-9)
    assert halves.covariance == pytest.approx(whole.covariance, abs=1e-9)
    assert halves.version == whole.version != default_policy().version


def test_update_leaves_its_arguments_and_rejects_what_does_not_fit():
    policy = default_policy()
    before = [a.copy() for a in (policy.mean, policy.precision, policy.covariance)]
    update(policy, row(last=1), np.array([EXPAND]), np.array([2.0]))
    for was, now in zip(before, (policy.mean, policy.precision, policy.covariance), strict=True):
        assert (was == now).all()
    with pytest.raises(ValueError, match=r"rewards \(2,\) do not fit"):
        update(policy, row(), np.array([KEEP]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"must be finite, got \[nan\]"):
        update(policy, row(), np.array([KEEP]), np.array([np.nan]))


def test_nothing_learned_changes_nothing():
    assert update(default_policy(), np.zeros((0, D)), np.zeros(0, dtype=int), np.zeros(0)).version == default_policy().version


def test_the_agent_learns_that_expanding_pays():
    """A world in which expanding earns 1 when the run outside is long, and costs 1 when short."""
    rng = np.random.default_rng(8)
    policy = default_policy()
    allowed = np.ones((200, 3), dtype=bool)
    for _ in range(40):
        long = rng.random(200) < 0.5
        x = np.repeat(row(), 200, axis=0)
        x[:, FEATURES.index("outside")] = long
        actions, _ = choose(policy, x, allowed, rng)
        pays = np.where(actions == EXPAND, np.where(long, 1.0, -1.0), 0.0)
        policy = update(policy, x, actions, pays + rng.normal(size=200))
    assert propensities(policy, row(outside=1), ALL)[0, EXPAND] > 0.85
    assert propensities(policy, row(outside=0), ALL)[0, EXPAND] < 0.1


def test_features_are_bounded_and_in_order():
    x = features(
        mass=np.array([0.0, 1.0]),
        transition=np.array([0.1, 1.0]),
        relative_share=np.array([1e-9, 1e9]),
        last=np.array([0.0, 1.0]),
        ignored=np.array([3, 100]),
        outside=2,
        lift=np.array([1.0, 3.0]),
    )
    assert x == pytest.approx(np.array([[-1, -0.5, -1, 0, 0.5, 0.5, 0, 1], [0, 0, 1, 1, 1, 0.5, 0.5, 1]]))
    assert x.shape == (2, D)


def test_policy_round_trips_through_json():
    policy = update(default_policy(), row(last=1), np.array([EXPAND]), np.array([2.0]))
    arrays, meta = to_parts(policy)
    back = from_parts(Policy, arrays, json.loads(json.dumps(meta)))
    assert (back.mean == policy.mean).all()
    assert (back.noise, back.floor, back.version) == (policy.noise, policy.floor, policy.version)
    assert ACTIONS == ("keep", "expand", "contract")
