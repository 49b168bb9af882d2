"""LinUCB as MABWiser has it, asked as our own policies are: what they have to beat.

Strong, Kleynhans & Kadioglu (2019), "MABWiser: a parallelizable contextual multi-armed bandit library for Python"; Li et al.
(2010), "A contextual-bandit approach to personalized news article recommendation", for the bandit.
"""

from __future__ import annotations

import numpy as np

from clusters.decision_log import ABSENT, DecisionLog
from clusters.policy import ACTIONS, FEATURES
from recommendations.benchmarks.load import BenchmarkError
from recommendations.evaluation.adaptation.learners import Choice, certain


class LinUCB:
    """One ridge regression an action, over the features of its option; the option with the highest upper bound is taken.

    alpha : standard deviations that the bound lies above the mean; MABWiser's default is 1. Raises BenchmarkError where
    MABWiser isn't installed.
    """

    def __init__(self, alpha: float = 1.0, name: str = "linucb") -> None:
        try:
            from mabwiser.mab import MAB, LearningPolicy
        except ImportError:
            raise BenchmarkError("LinUCB needs MABWiser: run `make install-proof`") from None
        self.name = name
        self.bandit = MAB(arms=list(range(len(ACTIONS))), learning_policy=LearningPolicy.LinUCB(alpha=alpha, l2_lambda=1.0))
        # Rewards of nothing: it wants to be fitted before it is asked.
        nothing = np.zeros((len(ACTIONS), len(FEATURES)))
        self.bandit.fit(decisions=list(range(len(ACTIONS))), rewards=[0.0] * len(ACTIONS), contexts=nothing)

    def choose(self, x: np.ndarray, action: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> Choice:
        told = self.bandit.predict_expectations(x.reshape(-1, x.shape[2]))
        rows = [told] if isinstance(told, dict) else told
        bounds = np.array([[row[a] for a in range(len(ACTIONS))] for row in rows]).reshape(*action.shape, len(ACTIONS))
        mine = np.take_along_axis(bounds, np.maximum(action, 0)[..., None].astype(np.intp), axis=2)[..., 0]
        return certain(np.where(action != ABSENT, mine, -np.inf).argmax(axis=1), action)

    def learn(self, log: DecisionLog) -> None:
        self.bandit.partial_fit(decisions=log.chosen.astype(int).tolist(), rewards=log.reward.tolist(), contexts=log.chosen_x)
