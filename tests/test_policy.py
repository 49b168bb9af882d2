"""The adaptation agent: propensities that are true, and learning that is Bayes' rule."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import BayesianRidge, Ridge

from clusters.policy import (
    ABSENT,
    ACTIONS,
    BASELINE_RIDGE,
    COMMON,
    CONTRACT,
    EXPAND,
    FEATURES,
    KEEP,
    NOISE_WEIGHT,
    PRIOR_VARIANCE,
    WIDTH,
    Policy,
    Statistics,
    choose,
    default_policy,
    learn,
    nothing,
    posterior,
    propensities,
    statistics,
    values,
)
from personas.components import from_parts, to_parts

D = len(FEATURES)
AT = {name: i for i, name in enumerate(FEATURES)}


def wild(seed: int = 0, scale: float = 0.4) -> Policy:
    """A policy with means and covariances of no particular shape."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, D, D)) * scale
    covariance = root @ root.transpose(0, 2, 1) + 0.05 * np.eye(D)
    return replace(default_policy(), mean=rng.normal(size=(3, D)), covariance=covariance, precision=np.linalg.inv(covariance))


def row(**told: float) -> np.ndarray:
    x = np.zeros(D)
    x[AT["bias"]] = 1.0
    for name, value in told.items():
        x[AT[name]] = value
    return x


def asked(*options: tuple[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[x for _, x in options]]), np.array([[a for a, _ in options]], dtype=np.int8)


def sampled(policy: Policy, x: np.ndarray, action: np.ndarray, n: int, seed: int) -> np.ndarray:
    """(O,) how often each option's value is the greatest, drawn as Thompson sampling draws: the oracle of `propensities`."""
    rng = np.random.default_rng(seed)
    mean = (x * policy.mean[action]).sum(-1)
    deviation = WIDTH * np.sqrt(np.einsum("oi,oij,oj->o", x, policy.covariance[action], x))
    best = (mean + deviation * rng.normal(size=(n, len(mean)))).argmax(1)
    return np.bincount(best, minlength=len(mean)) / n


@pytest.mark.parametrize("options", [1, 2, 3, 4, 5, 6])
def test_propensities_are_those_of_drawing_each_value_and_taking_the_greatest(options):
    policy = wild(options)
    rng = np.random.default_rng(1)
    for trial in range(3):
        x, action = rng.normal(size=(options, D)) * 0.5, rng.integers(0, 3, options).astype(np.int8)
        found = propensities(policy, x[None], action[None], floor=0.0)[0]
        assert found == pytest.approx(sampled(policy, x, action, 400_000, trial), abs=0.003)


def test_propensities_of_the_same_options_in_one_call_or_in_many_are_the_same():
    policy, rng = wild(9), np.random.default_rng(2)
    x, action = rng.normal(size=(50, 4, D)) * 0.4, rng.integers(-1, 3, (50, 4)).astype(np.int8)
    action[:, 0] = KEEP
    together = propensities(policy, x, action)
    assert (together == np.concatenate([propensities(policy, x[i : i + 1], action[i : i + 1]) for i in range(50)])).all()


def test_where_options_stand_does_not_matter():
    policy, rng = wild(3), np.random.default_rng(3)
    x, action = rng.normal(size=(1, 5, D)) * 0.3, np.array([[0, 1, 1, 2, 1]], dtype=np.int8)
    order = [4, 2, 0, 1, 3]
    assert propensities(policy, x[:, order], action[:, order])[0] == pytest.approx(propensities(policy, x, action)[0, order])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.0, 1e-9, 0.1, 1.0, 30.0, 1e4]))
def test_propensities_sum_to_one_stay_over_the_floor_and_off_what_is_not_there(seed, scale):
    rng = np.random.default_rng(seed)
    policy = wild(seed % 7)
    x = rng.normal(size=(20, 6, D)) * scale
    action = rng.integers(-1, 3, (20, 6)).astype(np.int8)
    action[:, 0] = KEEP
    chance = propensities(policy, x, action)
    assert np.allclose(chance.sum(1), 1.0, atol=1e-12)
    assert (chance[action == ABSENT] == 0).all()
    assert (chance[action != ABSENT] >= policy.floor - 1e-12).all()


def test_a_sure_option_among_unsure_ones_has_its_chance():
    """Sixteen times surer than the widest is as sure as it gets, which costs the rule of summing nothing that shows."""
    policy = wild(4)
    tight = policy.covariance.copy()
    tight[KEEP] *= 1e-8
    policy = replace(policy, covariance=tight)
    rng = np.random.default_rng(5)
    x, action = rng.normal(size=(4, D)) * 0.4, np.array([0, 1, 1, 2], dtype=np.int8)
    found = propensities(policy, x[None], action[None], floor=0.0)[0]
    assert found == pytest.approx(sampled(policy, x, action, 400_000, 6), abs=0.01)


def test_actions_are_drawn_with_the_logged_propensities():
    policy, rng = wild(3), np.random.default_rng(4)
    x = np.repeat(np.random.default_rng(5).normal(size=(1, 5, D)) * 0.3, 60_000, axis=0)
    action = np.repeat(np.array([[0, 1, 1, 1, 1]], dtype=np.int8), 60_000, axis=0)
    choice, chance = choose(policy, x, action, rng)
    assert np.bincount(choice, minlength=5) / len(x) == pytest.approx(chance[0], abs=0.008)
    assert (chance == propensities(policy, x[:1], action[:1])).all()
    assert policy.choose(x[:3], action[:3], np.random.default_rng(4))[0].tolist() == choice[:3].tolist()


def test_equal_values_are_chosen_alike():
    level = replace(default_policy(), mean=np.zeros((3, D)))
    x, action = asked((KEEP, row()), (EXPAND, row()), (CONTRACT, row()))
    assert propensities(level, x, action)[0] == pytest.approx([1 / 3] * 3, abs=1e-12)
    assert propensities(level, x[:, :2], action[:, :2])[0] == pytest.approx([0.5, 0.5])


def test_a_single_option_is_certain():
    x, action = asked((CONTRACT, row()))
    choice, chance = choose(default_policy(), x, action, np.random.default_rng(0))
    assert (choice.tolist(), chance.tolist()) == ([0], [[1.0]])


def test_what_cannot_be_chosen_from_is_said():
    x, action = asked((ABSENT, row()), (ABSENT, row()))
    with pytest.raises(ValueError, match="row 0 has no option"):
        propensities(default_policy(), x, action)
    with pytest.raises(ValueError, match="do not fit each other and 17 features"):
        propensities(default_policy(), x[:, :, :4], action)


def test_the_floor_of_the_shop_may_be_another():
    sure = replace(default_policy(), mean=np.where(np.arange(3)[:, None] == CONTRACT, 0.5, 0.0) * np.ones(D))
    x, action = asked((KEEP, row()), (CONTRACT, row(ignored=1)))
    assert propensities(sure, x, action, floor=0.2)[0, 0] == pytest.approx(0.2, abs=0.01)
    assert propensities(default_policy(), x, action, floor=0.9)[0] == pytest.approx([0.5, 0.5])


def test_the_hand_rule_expands_towards_what_personas_like_and_contracts_what_fills_a_slate_in_vain():
    def expands(persona: float) -> float:
        seen = {"outside": 0.5, "last": 1.0, "mass": -0.1, "transition": -0.5}
        ways = [(EXPAND, row(**seen, related=0.1, target_persona=persona, items=n)) for n in (0.25, 0.75)]
        other = [(EXPAND, row(**seen, related=0.1, target_persona=0.0, items=n)) for n in (0.25, 0.75)]
        return float(propensities(default_policy(), *asked((KEEP, row(**seen)), *ways, *other))[0, 1:3].sum())

    def contracts(shown: float, share: float) -> float:
        seen = row(ignored=0.5, mass=-0.8, transition=-0.5, shown=shown, share=share)
        return float(propensities(default_policy(), *asked((KEEP, seen), (CONTRACT, seen)))[0, 1])

    assert expands(-0.3) < expands(0.0) < expands(0.3)
    assert 0.5 < contracts(0.1, -0.1) < contracts(0.1, 0.0) < contracts(0.4, 0.3) <= 1.0 - default_policy().floor


def test_the_posterior_is_the_closed_form_of_bayesian_ridge():
    """scikit-learn's BayesianRidge with its hyperparameters held: same posterior mean and covariance."""
    rng = np.random.default_rng(6)
    x, rewards = rng.normal(size=(50, D)), rng.normal(size=50)
    ridge = BayesianRidge(max_iter=1, fit_intercept=False).fit(x, rewards)
    lam = float(ridge.lambda_)  # precision of a weight, and alpha_ of the noise, that its last step settled on
    precision = np.broadcast_to(np.eye(D) * lam, (3, D, D))
    start = replace(default_policy(), mean=np.zeros((3, D)), noise=1 / float(ridge.alpha_), precision=precision)
    seen = statistics(x, np.full(50, EXPAND), rewards)
    learned = posterior(start, seen.precision, seen.pull)
    assert learned.mean[EXPAND] == pytest.approx(ridge.coef_, abs=1e-10)
    assert learned.covariance[EXPAND] == pytest.approx(ridge.sigma_, abs=1e-10)
    assert (learned.mean[KEEP] == 0).all()


def test_one_reward_by_hand():
    """Prior 0 with variance v on the bias alone, reward 1 with noise 1: mean v / (1 + v)."""
    start = replace(default_policy(), mean=np.zeros((3, D)))
    seen = statistics(row()[None], np.array([KEEP]), np.array([1.0]))
    assert posterior(start, seen.precision, seen.pull).mean[KEEP, AT["bias"]] == pytest.approx(
        PRIOR_VARIANCE / (1 + PRIOR_VARIANCE)
    )


def test_an_action_learns_what_it_adds_to_what_the_visit_foretells_whatever_is_done():
    """Against scikit-learn: what a ridge on the common features leaves of the rewards is what the posterior is of."""
    rng = np.random.default_rng(7)
    x, actions = rng.normal(size=(300, D)), rng.integers(0, 3, 300)
    x[:, AT["bias"]] = 1.0
    rewards = 5.0 + x[:, 0] + 0.5 * (actions == EXPAND) + rng.normal(size=300) * 0.3
    common = x[:, :COMMON]
    left = rewards - Ridge(alpha=BASELINE_RIDGE, fit_intercept=False).fit(common, rewards).predict(common)
    noise = (NOISE_WEIGHT * 1.0 + float(left @ left)) / (NOISE_WEIGHT + 300)
    seen = statistics(x, actions, left)
    expected = posterior(replace(default_policy(), noise=noise), seen.precision, seen.pull)
    learned = learn(default_policy(), statistics(x, actions, rewards))
    assert learned.noise == pytest.approx(noise)
    assert learned.mean == pytest.approx(expected.mean, abs=1e-9)
    assert learned.covariance == pytest.approx(expected.covariance, abs=1e-9)


def test_order_and_batches_do_not_matter():
    rng = np.random.default_rng(7)
    x, actions, rewards = rng.normal(size=(40, D)), rng.integers(0, 3, 40), rng.normal(size=40)
    whole = learn(default_policy(), statistics(x, actions, rewards))
    parts = nothing()
    for part in np.array_split(rng.permutation(40), 5):
        parts = statistics(x[part], actions[part], rewards[part]) + parts
    halves = learn(default_policy(), parts)
    assert halves.mean == pytest.approx(whole.mean, abs=1e-9)
    assert halves.covariance == pytest.approx(whole.covariance, abs=1e-9)
    assert halves.version == whole.version != default_policy().version


def test_a_weight_of_two_is_twice_the_same_and_scaling_is_weighing():
    rng = np.random.default_rng(8)
    x, actions, rewards = rng.normal(size=(20, D)), rng.integers(0, 3, 20), rng.normal(size=20)
    once, twice = statistics(x, actions, rewards), statistics(x, actions, rewards, np.full(20, 2.0))
    for other in (once + once, once.scaled(2.0)):
        for name in ("precision", "pull", "count", "reward", "square"):
            assert getattr(twice, name) == pytest.approx(getattr(other, name))


def test_statistics_survive_json_and_those_of_fewer_features_are_read():
    rng = np.random.default_rng(9)
    x, actions, rewards = rng.normal(size=(30, D)), rng.integers(0, 3, 30), rng.normal(size=30)
    seen = statistics(x, actions, rewards)
    told = json.loads(json.dumps(seen.to_json()))
    back = Statistics.from_json(told)
    for name in ("precision", "pull", "count", "reward", "square"):
        assert (getattr(back, name) == getattr(seen, name)).all()
    few = statistics(x[:, :8], actions, rewards)
    upper = np.triu_indices(8)
    old = few.to_json() | {"features": list(FEATURES[:8]), "pull": few.pull[:, :8].tolist()}
    old["precision"] = [of_action[:8, :8][upper].tolist() for of_action in few.precision]
    assert (Statistics.from_json(old).precision == few.precision).all()
    with pytest.raises(ValueError, match="known are"):
        Statistics.from_json(told | {"features": ["colour", *FEATURES[1:]]})


def test_learning_leaves_its_arguments_and_rejects_what_does_not_fit():
    policy = default_policy()
    before = [a.copy() for a in (policy.mean, policy.precision, policy.covariance)]
    learn(policy, statistics(row(last=1)[None], np.array([EXPAND]), np.array([2.0])))
    for was, now in zip(before, (policy.mean, policy.precision, policy.covariance), strict=True):
        assert (was == now).all()
    with pytest.raises(ValueError, match=r"rewards \(2,\) do not fit"):
        statistics(row()[None], np.array([KEEP]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"must be finite, got \[nan\]"):
        statistics(row()[None], np.array([KEEP]), np.array([np.nan]))


def test_nothing_learned_changes_nothing():
    assert learn(default_policy(), nothing()).version == default_policy().version


def test_a_policy_of_before_features_were_appended_serves_on():
    """Eight features were all there were: what it learned of them stays, of the others it thinks as the hand rule does."""
    now = default_policy()
    mean = now.mean[:, :8] + 0.3
    old = Policy(mean, now.precision[:, :8, :8] * 2, now.covariance[:, :8, :8] / 2, 1.0, 0.05, "of before")
    assert (old.mean[:, :8] == mean).all()
    assert (old.mean[:, 8:] == now.mean[:, 8:]).all()
    assert np.allclose(old.precision @ old.covariance, np.eye(D))
    assert old.covariance[0, 12, 12] == PRIOR_VARIANCE
    assert old.version == "of before"


def test_values_are_means_and_nothing_where_there_is_no_option():
    policy = wild(2)
    x = np.random.default_rng(0).normal(size=(1, 3, D))
    action = np.array([[EXPAND, ABSENT, CONTRACT]], dtype=np.int8)
    assert values(policy, x, action)[0] == pytest.approx([x[0, 0] @ policy.mean[1], 0.0, x[0, 2] @ policy.mean[2]])


def test_the_agent_learns_that_expanding_pays_towards_what_is_near_and_explores_less():
    """Expanding earns 1 towards near clusters and costs 1 towards far ones, in visits that differ by ten times that."""
    rng = np.random.default_rng(8)
    policy, seen = default_policy(), nothing()
    action = np.repeat(np.array([[KEEP, EXPAND, EXPAND]], dtype=np.int8), 200, axis=0)
    first = None
    for _ in range(30):
        x = np.repeat(np.repeat(row()[None, None], 3, axis=1), 200, axis=0)
        x[:, :, AT["age"]] = rng.random(200)[:, None]
        near = rng.random((200, 2)) < 0.5
        x[:, 1:, AT["related"]] = near
        choice, chance = choose(policy, x, action, rng)
        rows = np.arange(200)
        adds = np.concatenate([np.zeros((200, 1)), np.where(near, 1.0, -1.0)], axis=1)[rows, choice]
        seen += statistics(x[rows, choice], action[rows, choice], 10.0 * x[:, 0, AT["age"]] + adds + rng.normal(size=200))
        policy = learn(default_policy(), seen)
        spread = float(-(chance * np.log(chance)).sum(1).mean())
        first = spread if first is None else first
    near_far = asked((KEEP, row(age=0.5)), (EXPAND, row(age=0.5, related=1)), (EXPAND, row(age=0.5)))
    chance = propensities(policy, *near_far)[0]
    assert chance[1] > 0.85
    assert chance[2] == pytest.approx(policy.floor, abs=0.01)
    assert first is not None
    assert spread < 0.95 * first, "the posterior narrows, and exploration with it"


def test_policy_round_trips_through_json():
    policy = learn(default_policy(), statistics(row(last=1)[None], np.array([EXPAND]), np.array([2.0])))
    arrays, meta = to_parts(policy)
    back = from_parts(Policy, arrays, json.loads(json.dumps(meta)))
    assert (back.mean == policy.mean).all()
    assert (back.noise, back.floor, back.version) == (policy.noise, policy.floor, policy.version)
    assert ACTIONS == ("keep", "expand", "contract")
    assert FEATURES[:8] == ("mass", "transition", "share", "last", "ignored", "outside", "persona", "bias")
