"""Baselines against the papers' rules, read plainly."""

from __future__ import annotations

import numpy as np
import pytest

from personas.sessions import SessionLog
from recommendations.evaluation.baselines import LAG_WEIGHTS, VSKNN, PopularityBaseline, SequentialRules


def log_of(*sessions: list[int]) -> SessionLog:
    session = np.repeat(np.arange(len(sessions)), [len(s) for s in sessions])
    return SessionLog.of(session, np.concatenate(sessions), np.arange(len(session), dtype=float))


def test_popularity_counts_visits() -> None:
    model = PopularityBaseline.fit(log_of([0, 1, 1], [1]), 3)
    np.testing.assert_array_equal(model.scores(np.array([2])), [1, 3, 0])


def test_sequential_rules_of_two_sessions_worked_by_hand() -> None:
    model = SequentialRules.fit(log_of([0, 1, 2], [0, 2]), 3, steps=10, weighting="div")
    np.testing.assert_allclose(model.scores(np.array([2, 0])), [0.0, 1.0, 1.5])
    near = SequentialRules.fit(log_of([0, 1, 2], [0, 2]), 3, steps=1, weighting="div")
    np.testing.assert_allclose(near.scores(np.array([0])), [0.0, 1.0, 1.0])


def plain(
    log: SessionLog, n: int, prefix: list[int], *, k: int, sample: int, weighting: str, score_weighting: str, idf: float
) -> np.ndarray:
    """V-SKNN as the paper words it, one session after another."""
    sessions = [set(log.position[rows].tolist()) for rows in log.slices()]
    length = len(prefix)
    step = {item: length - max(i for i, x in enumerate(prefix) if x == item) for item in prefix}
    weight = {
        "quadratic": lambda s: ((length - s + 1) / length) ** 2,
        "div": lambda s: (length - s + 1) / length,
        "same": lambda s: 1.0,
    }[weighting]
    related = [s for s, items in enumerate(sessions) if items & set(prefix)][-sample:]
    likeness = {s: sum(weight(step[i]) for i in sessions[s] & set(prefix)) / len(set(prefix)) for s in related}
    near = sorted(related, key=lambda s: (-likeness[s], -s))[:k]
    scores = np.zeros(n)
    for s in near:
        decay = LAG_WEIGHTS[score_weighting](min(step[i] for i in sessions[s] & set(prefix)))
        for item in sessions[s]:
            rarity = np.log(len(sessions) / sum(item in other for other in sessions))
            scores[item] += likeness[s] * decay * (1.0 + idf * rarity)
    return scores


@pytest.mark.parametrize(
    ("weighting", "score_weighting", "k", "sample"),
    [("quadratic", "div", 4, 9), ("div", "quadratic", 50, 500), ("same", "linear", 5, 30)],
)
def test_vsknn_matches_the_rule_read_plainly(weighting: str, score_weighting: str, k: int, sample: int) -> None:
    rng = np.random.default_rng(0)
    log = log_of(*(rng.integers(12, size=rng.integers(1, 6)).tolist() for _ in range(40)))
    options = {"k": k, "sample": sample, "weighting": weighting, "score_weighting": score_weighting}
    model = VSKNN.fit(log, 12, idf_weight=5.0, **options)
    for _ in range(15):
        prefix = rng.integers(12, size=rng.integers(1, 6)).tolist()
        np.testing.assert_allclose(model.scores(np.array(prefix)), plain(log, 12, prefix, idf=5.0, **options), atol=1e-9)


def test_vsknn_of_an_unvisited_item_scores_nothing() -> None:
    np.testing.assert_array_equal(VSKNN.fit(log_of([0, 1]), 3).scores(np.array([2])), 0.0)
