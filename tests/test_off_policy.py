"""Off-policy estimates: worked by hand, against `obp`, and on made logs whose truth is known."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clusters.decision_log import ABSENT, DecisionLog
from clusters.off_policy import Estimate, difference, estimate, foretold, kish
from recommendations.benchmarks import known_decisions, off_policy
from recommendations.benchmarks.load import BenchmarkError

OBP = json.loads((Path(__file__).parent / "off_policy_obp.json").read_text())
"""What obp 0.5.7 says of the log of `obps_log`: IPS, SNIPS, DR, and the first and last clipped. Recorded in Python 3.10."""


def log_of(
    chances: Sequence[Sequence[float]],
    choice: Sequence[int],
    reward: Sequence[float],
    session: Sequence[int] | None = None,
) -> DecisionLog:
    p = np.array(chances)
    n, options = p.shape
    none = np.zeros((n, options), dtype=np.int64)
    return DecisionLog(
        np.ones((n, options, 1)),
        np.tile(np.arange(options, dtype=np.int8), (n, 1)),
        np.array(choice),
        p,
        np.array(reward, dtype=float),
        np.array(session if session is not None else range(n)),
        np.zeros(n),
        none[:, 0],
        none,
    )


def obps_log() -> tuple[DecisionLog, np.ndarray, np.ndarray]:
    """The log, target and rewards foretold that `OBP` was recorded on."""
    rng = np.random.default_rng(OBP["seed"])
    shape = OBP["decisions"], OBP["options"]
    ours = np.exp(rng.normal(size=shape))
    ours /= ours.sum(1, keepdims=True)
    theirs = np.exp(1.5 * rng.normal(size=shape))
    theirs /= theirs.sum(1, keepdims=True)
    choice = np.minimum((rng.random(shape[0])[:, None] > ours.cumsum(1)).sum(1), shape[1] - 1)
    q = rng.random(shape)
    reward = np.round(rng.exponential(size=shape[0]) * (rng.random(shape[0]) < 0.4), 3)
    return log_of(ours.tolist(), choice.tolist(), reward.tolist()), theirs, q


def test_two_decisions_worked_by_hand() -> None:
    # Weights 0.9 / 0.5 = 1.8 and 0.2 / 0.8 = 0.25; rewards 1 and 2.
    log = log_of([[0.5, 0.5], [0.8, 0.2]], [0, 0], [1.0, 2.0])
    target = np.array([[0.9, 0.1], [0.2, 0.8]])
    q = np.array([[0.5, 1.0], [1.0, 3.0]])
    found = estimate(log, target, q=q, clip=1.0)
    assert found.ips.value == pytest.approx((1.8 * 1 + 0.25 * 2) / 2)
    assert found.clipped.value == pytest.approx((1.0 * 1 + 0.25 * 2) / 2)
    assert found.snips.value == pytest.approx((1.8 * 1 + 0.25 * 2) / 2.05)
    assert found.dr is not None
    # Foretold 0.9 x 0.5 + 0.1 x 1 = 0.55 and 0.2 x 1 + 0.8 x 3 = 2.6; corrected by 1.8 (1 - 0.5) and 0.25 (2 - 1).
    assert found.dr.value == pytest.approx((0.55 + 0.9 + 2.6 + 0.25) / 2)
    assert found.clipped_dr is not None
    assert found.clipped_dr.value == pytest.approx((0.55 + 0.5 + 2.6 + 0.25) / 2)
    assert found.effective == pytest.approx(2.05**2 / (1.8**2 + 0.25**2))
    assert found.largest == pytest.approx(1.8)


def test_a_difference_worked_by_hand() -> None:
    log = log_of([[0.5, 0.5], [0.8, 0.2]], [0, 0], [1.0, 2.0])
    target, baseline = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.4, 0.6], [0.4, 0.6]])
    assert difference(log, target).ips.value == pytest.approx((0.8 * 1 - 0.75 * 2) / 2)  # against what was observed
    assert difference(log, target, baseline).ips.value == pytest.approx(((1.8 - 0.8) * 1 + (0.25 - 0.5) * 2) / 2)
    seen = difference(log, log.propensities)
    assert seen.ips == seen.snips == Estimate(0.0, 0.0, 0.0)


def test_what_obp_computes_too_is_the_same() -> None:
    log, target, q = obps_log()
    found = estimate(log, target, q=q, clip=OBP["clip"])
    for name in ("ips", "clipped", "snips", "dr", "clipped_dr"):
        assert getattr(found, name).value == pytest.approx(OBP[name], abs=1e-9)


def test_a_session_is_one_draw_however_many_decisions_it_has() -> None:
    rng = np.random.default_rng(3)
    p, choice, reward = np.full((60, 2), 0.5), rng.integers(0, 2, 60), rng.normal(size=60)
    target = np.tile([0.7, 0.3], (60, 1))
    once = estimate(log_of(p.tolist(), choice.tolist(), reward.tolist()), target)
    thrice = log_of(
        np.repeat(p, 3, axis=0).tolist(), np.repeat(choice, 3).tolist(), np.repeat(reward, 3).tolist(), np.repeat(range(60), 3)
    )
    again = estimate(thrice, np.repeat(target, 3, axis=0))
    assert again.ips == pytest.approx(once.ips)  # value and interval: copies tell nothing new
    assert again.sessions == once.sessions == 60
    assert again.effective == pytest.approx(3 * once.effective)
    assert again.effective_sessions == pytest.approx(once.effective_sessions)


@pytest.mark.parametrize("kind", known_decisions.KINDS)
def test_intervals_hold_the_truth_and_estimates_have_no_bias(kind: str) -> None:
    """300 logs of 300 sessions: at least 93 in 100 intervals hold it; the mean error is within 3 of its standard errors."""
    figures = off_policy.covered(kind, sessions=300, seeds=300, report=lambda done, of: None)
    for name in off_policy.ESTIMATORS:
        for what in ("", "_gain"):
            prefix = f"{kind}_300_{name}{what}"
            assert float(figures[f"{prefix}_coverage"]) >= 0.93, prefix
            # SNIPS, a ratio, has a bias of order 1 / n.
            assert abs(float(figures[f"{prefix}_bias"])) <= 3.0 * float(figures[f"{prefix}_bias_error"]) + 1e-4, prefix


def test_a_reward_model_that_foretells_narrows_the_interval() -> None:
    made = known_decisions.make(5, 1_000, "even")
    found = estimate(made.log, made.target, q=foretold(made.log))
    assert found.dr is not None
    assert found.dr.high - found.dr.low < found.ips.high - found.ips.low


def test_a_reward_is_foretold_without_its_own_session() -> None:
    made = known_decisions.make(6, 60, "even")
    last = made.log.session == made.log.session[-1]
    other = replace(made.log, reward=np.where(last, made.log.reward + 100.0, made.log.reward))
    np.testing.assert_allclose(foretold(other)[last], foretold(made.log)[last])


def test_what_is_foretold_comes_near_the_truth() -> None:
    made = known_decisions.make(7, 3_000, "even")
    there = made.log.action != ABSENT
    assert np.corrcoef(foretold(made.log)[there], made.worth[there])[0, 1] > 0.95
    assert (foretold(made.log)[~there] == 0).all()


def test_one_session_tells_no_interval_and_no_decision_is_an_error() -> None:
    alone = estimate(log_of([[0.5, 0.5]], [0], [1.0]), np.array([[1.0, 0.0]]))
    assert alone.ips == Estimate(2.0, -math.inf, math.inf)
    empty = known_decisions.make(1, 3, "even").log.rows(np.zeros(0, dtype=np.int64))
    with pytest.raises(ValueError, match="no decisions"):
        estimate(empty, empty.propensities)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ([[0.5, 0.4]], "sum to 1"),
        ([[1.5, -0.5]], "0 or more"),
        ([[1.0]], "does not fit"),
        ([[math.nan, 1.0]], "0 or more"),
    ],
)
def test_propensities_that_are_none_are_refused(target: list[list[float]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        estimate(log_of([[0.5, 0.5]], [0], [1.0]), np.array(target))


def test_rewards_that_are_missing_are_refused() -> None:
    log = log_of([[0.5, 0.5]] * 2, [0, 0], [1.0, math.nan])
    with pytest.raises(ValueError, match="credited"):
        estimate(log, log.propensities)


def test_what_the_log_could_never_take_is_told() -> None:
    log = log_of([[1.0, 0.0], [0.5, 0.5]], [0, 0], [1.0, 1.0])
    assert estimate(log, np.array([[0.5, 0.5], [0.5, 0.5]])).unsupported == pytest.approx(0.25)


def test_effective_sample_sizes() -> None:
    assert kish(np.ones(7)) == pytest.approx(7)
    assert kish(np.array([0.0, 5.0, 0.0])) == pytest.approx(1)
    assert kish(np.zeros(3)) == 0


def test_the_benchmark_tells_what_it_leaves_out(tmp_path: Path) -> None:
    options = argparse.Namespace(data=None, only="zozo", seeds=2)
    assert off_policy.run(options) == {"open_bandit_zozo": "left out: no --data"}
    with pytest.raises(BenchmarkError, match="--only"):
        off_policy.run(argparse.Namespace(data=None, only="zoo", seeds=2))
    folder = tmp_path / "open_bandit_zozo"
    folder.mkdir()
    (folder / "events.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(BenchmarkError, match="events.csv.gz"):
        off_policy.run(argparse.Namespace(data=tmp_path, only="zozo", seeds=2))
