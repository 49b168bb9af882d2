"""The persona HMM: hidden archetypes, factored categorical observations, filtered in log space.

P(o | z) is the product of P(o_f | z) over the factors f that are present. Reference: Rabiner (1989), "A tutorial on
hidden Markov models", section III; the names predict and condition are those of Bayesian filtering.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hmmlearn.base import BaseHMM

HALF_LIFE_S = 1_800.0
"""Silence after which half of what a session showed is forgotten.

Web analytics closes a session after 30 minutes of silence, so by then the prior should weigh as much as the belief;
between two clicks (some 30 s) the loss is one hundredth.
"""


@dataclass(frozen=True)
class PersonaHMM:
    """K hidden states over F factors; all tables are normalised log-probabilities, float64.

    log_initial : (K,).  log_transition : (K, K), rows from, columns to.
    log_emission : F tables (K, V_f), V_f values of factor f.
    learned : (F,) bool, factors whose table the log has taught; the others are at their prior.
    """

    log_initial: np.ndarray
    log_transition: np.ndarray
    log_emission: tuple[np.ndarray, ...]
    learned: np.ndarray

    def __post_init__(self) -> None:
        k = len(self.log_initial)
        if self.log_transition.shape != (k, k):
            raise ValueError(f"log_transition {self.log_transition.shape} != {(k, k)}")
        if len(self.log_emission) != len(self.learned):
            raise ValueError(f"log_emission has {len(self.log_emission)} factors, learned {len(self.learned)}")
        for f, table in enumerate(self.log_emission):
            if table.shape[0] != k:
                raise ValueError(f"log_emission[{f}] has {table.shape[0]} states, log_initial {k}")

    @cached_property
    def transition(self) -> np.ndarray:
        """(K, K) P(next | now)."""
        transition: np.ndarray = np.exp(self.log_transition)
        return transition

    @cached_property
    def jumps(self) -> np.ndarray:
        """(K, K) P(next | now, and it is another), rows summing to 1, or to 0 where there is no other."""
        jumps = self.transition * (1.0 - np.eye(len(self.transition)))
        total = jumps.sum(axis=1, keepdims=True)
        return np.divide(jumps, total, out=np.zeros_like(jumps), where=total > 0.0)

    @cached_property
    def rows(self) -> np.ndarray:
        """(sum V_f + 1, K): a row for each value of each factor, then one of zeros for what is absent."""
        return np.ascontiguousarray(np.vstack([table.T for table in self.log_emission] + [np.zeros((1, len(self.log_initial)))]))

    @cached_property
    def ones(self) -> np.ndarray:
        """(F,) ones, whose dot product with (F, K) terms is their sum, in a third of the time that a reduction takes."""
        return np.ones(len(self.log_emission))

    @cached_property
    def first_rows(self) -> tuple[int, ...]:
        """F + 1 ints: where each factor starts in `rows`, then the row of zeros."""
        return (0, *np.cumsum([table.shape[1] for table in self.log_emission]).tolist())

    def rows_of(self, codes: Sequence[int]) -> list[int]:
        """F places in `rows`. codes : F, negative where absent. Raises IndexError on a code beyond its table."""
        first = self.first_rows
        if len(codes) != len(first) - 1:
            raise ValueError(f"{len(codes)} codes, the model has {len(first) - 1} factors")
        absent = first[-1]
        rows = []
        for f, code in enumerate(codes):
            row = first[f] + code if code >= 0 else absent
            if code >= 0 and row >= first[f + 1]:
                raise IndexError(f"code {code} of factor {f}, which has {first[f + 1] - first[f]} values")
            rows.append(row)
        return rows


@dataclass(frozen=True)
class PseudoCounts:
    """Dirichlet priors as counts, alpha - 1: what the named archetypes weigh in a fit.

    initial : (K,).  transition : (K, K).  emission : F arrays (K, V_f). All positive, so that no probability is zero.
    """

    initial: np.ndarray
    transition: np.ndarray
    emission: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        for counts in (self.initial, self.transition, *self.emission):
            if not (counts > 0).all():
                raise ValueError(f"pseudo-counts must be positive, got {counts.min()} in one of shape {counts.shape}")


def remembered(elapsed_s: float) -> float:
    """Share of what a session showed that a silence of so many seconds leaves."""
    return float(0.5 ** (elapsed_s / HALF_LIFE_S))


def predict(model: PersonaHMM, log_belief: np.ndarray, *, elapsed_s: float, log_prior: np.ndarray) -> np.ndarray:
    """(K,) log-belief before the next observation: one transition, then relaxed to the prior by the time gone by.

    log_belief, log_prior : (K,) normalised.  elapsed_s : seconds since the last observation, at least 0.
    """
    belief = np.exp(log_belief).dot(model.transition)  # on arrays this small, half of what @ costs
    if elapsed_s > 0.0:
        kept = remembered(elapsed_s)
        belief *= kept
        belief += (1.0 - kept) * np.exp(log_prior)
    if min(belief.tolist()) > 0.0:
        predicted: np.ndarray = np.log(belief)
        return predicted
    with np.errstate(divide="ignore"):
        predicted = np.log(belief)
    return predicted


def condition(model: PersonaHMM, log_belief: np.ndarray, codes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Belief after one observation: ((K,) normalised log-belief, (F, K) each factor's log P(o_f | z)).

    codes : F codes, `ABSENT` (negative) where missing: its terms are 0. Raises IndexError on a code beyond its table.
    Log-prior and log-likelihood are added before the maximum is taken: a state of zero prior stays at zero however
    unlikely the observation is for the others. An observation impossible under every state leaves the belief as is.
    """
    terms = model.rows.take(model.rows_of(codes), axis=0)
    joint = log_belief + model.ones.dot(terms)
    top = max(joint.tolist())
    if top == -math.inf:
        return log_belief, terms
    joint -= top
    joint -= math.log(sum(np.exp(joint).tolist()))
    return joint, terms


def filter_sequence(model: PersonaHMM, codes: np.ndarray) -> np.ndarray:
    """(T, K) log-beliefs, each after observations 0..t, with no time passing between them.

    codes : (T, F) ints. T may be 0.
    """
    beliefs = np.empty((len(codes), len(model.log_initial)))
    belief = model.log_initial
    for t, row in enumerate(codes.tolist()):
        predicted = predict(model, belief, elapsed_s=0.0, log_prior=model.log_initial) if t else belief
        belief, _ = condition(model, predicted, row)
        beliefs[t] = belief
    return beliefs


def log_likelihoods(model: PersonaHMM, codes: np.ndarray) -> np.ndarray:
    """(N, K) log P(o_n | z), the sum over the factors present. codes : (N, F) ints."""
    total = np.zeros((len(codes), len(model.log_initial)))
    for f, table in enumerate(model.log_emission):
        padded = np.vstack((table.T, np.zeros((1, table.shape[0]))))  # code -1 reads the last row
        total += padded[codes[:, f]]
    return total


def maximise(counts: np.ndarray, pseudo: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(K, V) MAP emission probabilities of one factor from expected counts and pseudo-counts, both (K, V).

    seen : (V,) bool, values that the log shows at all. The others keep their prior: nobody added anything to a cart
    in a log of views, so carts can't tell its personas apart by how many events each state happened to take.
    """
    k, v = counts.shape
    mass = pseudo.sum(axis=1, keepdims=True)
    prior = np.where(mass > 0, pseudo / np.where(mass > 0, mass, 1.0), 1.0 / v)
    if not seen.any():
        return prior
    posterior = np.where(seen, counts + pseudo, 0.0)
    total = posterior.sum(axis=1, keepdims=True)
    posterior = np.where(total > 0, posterior / np.where(total > 0, total, 1.0), seen / seen.sum())
    left = 1.0 - prior[:, ~seen].sum(axis=1, keepdims=True)
    return np.where(seen, left * posterior, prior)


class FactoredHMM(BaseHMM):  # type: ignore[misc]
    """The same model as a `hmmlearn` estimator over (N, F) int codes; -1 is an absent factor.

    Set `startprob_`, `transmat_` and `emissionprobs_` (F arrays (K, V_f)) before `fit`, or use `of`. It loops over
    sessions in Python, so `personas.fitting.fit` does the fitting of real logs; this is its oracle and gives hmmlearn's
    decoding, sampling and scoring. Pseudo-counts enter as in `maximise`.
    """

    def __init__(
        self, n_components: int = 1, *, pseudo_counts: PseudoCounts | None = None, n_iter: int = 10, tol: float = 0.0
    ) -> None:
        super().__init__(
            n_components=n_components,
            startprob_prior=1.0 if pseudo_counts is None else pseudo_counts.initial + 1.0,
            transmat_prior=1.0 if pseudo_counts is None else pseudo_counts.transition + 1.0,
            n_iter=n_iter,
            tol=tol,
            params="ste",
            init_params="",
        )
        self.pseudo_counts = pseudo_counts

    emissionprobs_: list[np.ndarray]

    @classmethod
    def of(cls, model: PersonaHMM, pseudo_counts: PseudoCounts | None = None, *, n_iter: int = 10) -> FactoredHMM:
        """An estimator that starts from `model`."""
        made = cls(len(model.log_initial), pseudo_counts=pseudo_counts, n_iter=n_iter)
        made.startprob_ = np.exp(model.log_initial)
        made.transmat_ = np.exp(model.log_transition)
        made.emissionprobs_ = [np.exp(table) for table in model.log_emission]
        return made

    def to_model(self, learned: np.ndarray) -> PersonaHMM:
        """The fitted model as our own."""
        with np.errstate(divide="ignore"):
            tables = tuple(np.log(table) for table in self.emissionprobs_)
            return PersonaHMM(np.log(self.startprob_), np.log(self.transmat_), tables, learned)

    def _init(self, X: np.ndarray, lengths: Any = None) -> None:
        super()._init(X, lengths)
        if X.shape[1] != len(self.emissionprobs_):
            raise ValueError(f"{X.shape[1]} columns, the model has {len(self.emissionprobs_)} factors")

    def _check(self) -> None:
        super()._check()
        for f, table in enumerate(self.emissionprobs_):
            if not np.allclose(table.sum(axis=1), 1.0):
                raise ValueError(f"emissionprobs_[{f}] rows must sum to 1, got {table.sum(axis=1)}")

    def _get_n_fit_scalars_per_param(self) -> dict[str, int]:
        k = self.n_components
        return {"s": k - 1, "t": k * (k - 1), "e": sum(k * (table.shape[1] - 1) for table in self.emissionprobs_)}

    def _compute_log_likelihood(self, X: np.ndarray) -> np.ndarray:
        total = np.zeros((len(X), self.n_components))
        with np.errstate(divide="ignore"):
            for f, table in enumerate(self.emissionprobs_):
                present = X[:, f] >= 0
                total[present] += np.log(table[:, X[present, f]]).T
        return total

    def _initialize_sufficient_statistics(self) -> dict[str, Any]:
        stats: dict[str, Any] = super()._initialize_sufficient_statistics()
        stats["obs"] = [np.zeros_like(table) for table in self.emissionprobs_]
        stats["seen"] = [np.zeros(table.shape[1], dtype=bool) for table in self.emissionprobs_]
        return stats

    def _accumulate_sufficient_statistics(
        self,
        stats: dict[str, Any],
        X: np.ndarray,
        lattice: np.ndarray,
        posteriors: np.ndarray,
        fwdlattice: np.ndarray,
        bwdlattice: np.ndarray,
    ) -> None:
        super()._accumulate_sufficient_statistics(stats, X, lattice, posteriors, fwdlattice, bwdlattice)
        for f, (counts, seen) in enumerate(zip(stats["obs"], stats["seen"], strict=True)):
            present = X[:, f] >= 0
            np.add.at(counts.T, X[present, f], posteriors[present])
            seen[X[present, f]] = True

    def _do_mstep(self, stats: dict[str, Any]) -> None:
        super()._do_mstep(stats)
        pseudo = self.pseudo_counts.emission if self.pseudo_counts else [np.zeros_like(t) for t in self.emissionprobs_]
        self.emissionprobs_ = [maximise(c, p, s) for c, p, s in zip(stats["obs"], pseudo, stats["seen"], strict=True)]
