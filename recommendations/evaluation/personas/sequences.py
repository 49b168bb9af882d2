"""The persona HMM as a model of sequences: held-out likelihood beside simpler models, and names that stay in place.

All models foretell a session's next step from its steps before, are fitted on the same steps, and are asked of the same
ones: those that follow another step of their session.

- *The HMM* goes through `personas.fitting.filter_log`, the batch form of the online filter, time included.
- *The static mixture* has the same factors, archetypes, pseudo-counts and number of states, but a session keeps the
  persona that it began with: an HMM whose transitions are the identity, fitted by the same MAP EM.
- *The Markov chains* are of first order, one for each factor: what the factor showed last tells what it shows next. A
  factor that has shown nothing yet in its session is foretold by its overall shares.

A state that is named must stay what its name says: `names_kept` fits random halves of a log and asks whether each
state is still nearest to its archetype, and what holding the names costs in held-out likelihood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from personas.archetypes import KAPPA, Archetype, Attribute, starting_model
from personas.encoding import ABSENT, FACTORS, ItemFacts, sizes
from personas.fitting import filter_log, fit
from personas.hmm import HALF_LIFE_S, PersonaHMM, PseudoCounts, log_likelihoods

NEVER = 1e-300
"""A transition that EM can't revive."""

FREE = 0.1
"""Pseudo-count of every cell of an unconstrained fit: enough that no value is impossible, too little to name a state."""

TIE = 1e-9
"""Distances that differ by less are the same: two archetypes may mean the same of a factor."""

SMOOTHING = 1.0
"""Pseudo-count of a chain's row, spread by the factor's overall shares."""


@dataclass(frozen=True)
class Sequences:
    """Steps of S sessions: codes (N, F), offsets (S + 1,), and (N,) seconds since the session's previous step."""

    codes: np.ndarray
    offsets: np.ndarray
    elapsed_s: np.ndarray

    @property
    def session_of(self) -> np.ndarray:
        """(N,) the session of each step."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def later(self) -> np.ndarray:
        """(N,) bool, steps that follow another of their session."""
        later = np.ones(len(self.codes), dtype=bool)
        later[self.offsets[:-1][np.diff(self.offsets) > 0]] = False
        return later

    def take(self, sessions: np.ndarray) -> Sequences:
        """The sessions of a boolean mask."""
        return Sequences(
            self.codes[rows := sessions[self.session_of]],
            np.concatenate(([0], np.cumsum(np.diff(self.offsets)[sessions]))).astype(np.int64),
            self.elapsed_s[rows],
        )


@dataclass(frozen=True)
class Shop:
    """What names a shop's states: its attributes and archetypes, and the items that they speak of."""

    attributes: Sequence[Attribute]
    archetypes: Sequence[Archetype]
    facts: ItemFacts
    descriptors: tuple[str, ...]
    item_descriptors: sparse.csr_matrix

    def start(self, steps: Sequences) -> tuple[PersonaHMM, PseudoCounts]:
        """The model that a fit on `steps` starts from, and what holds it there; see `starting_model`."""
        return starting_model(
            self.attributes,
            self.archetypes,
            self.facts,
            self.descriptors,
            self.item_descriptors,
            steps.codes,
            len(steps.offsets) - 1,
        )


def foretold(model: PersonaHMM, steps: Sequences) -> np.ndarray:
    """(N, K) P(z_n | the session's steps before n), relaxed to the prior by the time gone by as the online filter does."""
    after = filter_log(model, steps.codes, steps.offsets, elapsed_s=steps.elapsed_s).astype(np.float64)
    prior = np.exp(model.log_initial)
    before = np.broadcast_to(prior, after.shape).copy()
    rows = np.flatnonzero(steps.later)
    kept = 0.5 ** (np.maximum(steps.elapsed_s[rows], 0.0) / HALF_LIFE_S)[:, None]
    before[rows] = kept * (after[rows - 1] @ model.transition) + (1.0 - kept) * prior
    return before


def log_scores(model: PersonaHMM, steps: Sequences) -> np.ndarray:
    """(N, F + 1) log P of what each factor showed, given the steps before, and in the last column of all of them at once.

    NaN where the factor is absent.
    """
    before = foretold(model, steps)
    scores = np.full((len(steps.codes), len(model.log_emission) + 1), np.nan)
    for f, table in enumerate(model.log_emission):
        present = steps.codes[:, f] >= 0
        chances = np.exp(table).T[steps.codes[present, f]]
        scores[present, f] = np.log((before[present] * chances).sum(axis=1))
    joint = log_likelihoods(model, steps.codes)
    top = joint.max(axis=1)
    scores[:, -1] = top + np.log((before * np.exp(joint - top[:, None])).sum(axis=1))
    return scores


def chain_scores(train: Sequences, test: Sequences, values: Sequence[int]) -> np.ndarray:
    """(N, F + 1) of `test` by the first-order Markov chains of `train`: as `log_scores`. values : of each factor."""
    scores = np.full((len(test.codes), len(values) + 1), np.nan)
    for f, v in enumerate(values):
        now, last = train.codes[:, f], _last(train, f)
        counts = np.bincount(now[now >= 0].astype(np.int64), minlength=v) + SMOOTHING / v
        overall = counts / counts.sum()
        pairs = np.zeros((v + 1, v))  # the last row is of a factor that has shown nothing yet: its overall shares
        both = (now >= 0) & (last >= 0)
        np.add.at(pairs, (last[both], now[both]), 1.0)
        table = (pairs + SMOOTHING * overall) / (pairs.sum(axis=1, keepdims=True) + SMOOTHING)
        shown = test.codes[:, f] >= 0
        scores[shown, f] = np.log(table[_last(test, f)[shown], test.codes[shown, f]])
    scores[:, -1] = np.nansum(scores[:, :-1], axis=1)
    return scores


def _last(steps: Sequences, f: int) -> np.ndarray:
    """(N,) the factor's value at the session's latest step before that showed one, -1 where none did."""
    codes = steps.codes[:, f].astype(np.int64)
    place = np.where(codes >= 0, np.arange(len(codes)), -1)
    reached = np.concatenate(([-1], np.maximum.accumulate(place)[:-1])) if len(codes) else place
    inside = reached >= steps.offsets[steps.session_of]
    return np.where(inside, codes[reached], -1)


def fit_mixture(steps: Sequences, *, start: PersonaHMM, pseudo_counts: PseudoCounts, iterations: int = 20) -> PersonaHMM:
    """The static mixture of the same factored categoricals, by the same MAP EM."""
    k = len(start.log_initial)
    never = np.where(np.eye(k, dtype=bool), 1.0, NEVER)
    begin = PersonaHMM(start.log_initial, np.log(never), start.log_emission, start.learned)
    held = PseudoCounts(pseudo_counts.initial, never, pseudo_counts.emission)
    return fit(steps.codes, steps.offsets, start=begin, pseudo_counts=held, iterations=iterations)[0]


def compare(shop: Shop, train: Sequences, test: Sequences, factors: Sequence[str], *, iterations: int = 20) -> dict[str, float]:
    """Mean held-out log-likelihood, nats a step, of three models fitted on `train`: "MODEL_FACTOR", and "MODEL_all".

    factors : names of the factors told one by one.  A factor's mean is over the steps that show it. Factors of which
    `train` shows one value or none are left out: there is nothing to foretell, and the HMM keeps them at their prior.
    """
    start, pseudo = shop.start(train)
    hmm, _ = fit(train.codes, train.offsets, start=start, pseudo_counts=pseudo, iterations=iterations)
    mixture = fit_mixture(train, start=start, pseudo_counts=pseudo, iterations=iterations)
    test = Sequences(np.where(hmm.learned, test.codes, ABSENT), test.offsets, test.elapsed_s)
    still = Sequences(test.codes, test.offsets, np.zeros(len(test.codes)))  # a mixture forgets nothing
    scores = {
        "hmm": log_scores(hmm, test),
        "markov": chain_scores(train, test, sizes(shop.facts)),
        "mixture": log_scores(mixture, still),
    }
    columns = {**{name: FACTORS.index(name) for name in factors}, "all": len(FACTORS)}
    rows = test.later
    return {f"{model}_{name}": float(np.nanmean(by[rows, f])) for name, f in columns.items() for model, by in scores.items()}


def kept_names(model: PersonaHMM, archetypes: Sequence[np.ndarray], named: np.ndarray) -> np.ndarray:
    """(K,) bool, the states whose own archetype is as near as any, by what names it.

    Nearness is the total variation distance, mean over the learned factors that the archetype is named by, or over all of
    them where it is named by none of those: an archetype of low prices says nothing of categories, so that its state may
    lean to one as the log has it.

    archetypes : F tables (K, V_f) of probabilities.  named : (F, K) bool.
    """
    k = len(model.log_initial)
    kept = np.zeros(k, dtype=bool)
    distances = np.stack(
        [
            0.5 * np.abs(np.exp(table)[:, None, :] - meant[None, :, :]).sum(axis=2)
            for table, meant in zip(model.log_emission, archetypes, strict=True)
        ]
    )
    for state in range(k):
        factors = model.learned & named[:, state]
        distance = distances[factors if factors.any() else model.learned, state].mean(axis=0)
        kept[state] = distance[state] <= distance.min() + TIE
    return kept


def names_kept(
    shop: Shop,
    steps: Sequences,
    *,
    seeds: Sequence[int],
    iterations: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Shares of states that keep their name, and what the names cost in nats a step.

    "kept" by the factors that name a state, "kept_by_all" by all that are learned, both also "_free" of pseudo-counts; "cost".

    For each seed the sessions are halved at random and both halves fitted, each held to its archetypes by the pseudo-counts
    that training uses, and once more from the same start with next to none (`FREE`). See `kept_names` for the name. The
    cost is the held-out log-likelihood of a half under the free fit of the other, less that under the held one, over the
    factors learned.
    """
    found: dict[str, list[float]] = {}
    for i, seed in enumerate(seeds):
        first = np.random.default_rng(seed).permutation(len(steps.offsets) - 1) % 2 == 0
        halves = (steps.take(first), steps.take(~first))
        for half, other in (halves, halves[::-1]):
            start, pseudo = shop.start(half)
            meant = [np.exp(table) for table in start.log_emission]
            named = np.array([counts.sum(axis=1) > KAPPA + 0.5 for counts in pseudo.emission])
            held, _ = fit(half.codes, half.offsets, start=start, pseudo_counts=pseudo, iterations=iterations)
            loose, _ = fit(half.codes, half.offsets, start=start, pseudo_counts=_free(pseudo), iterations=iterations)
            for name, by in (("kept", named), ("kept_by_all", np.ones_like(named))):
                for suffix, model in (("", held), ("_free", loose)):
                    found.setdefault(name + suffix, []).append(float(kept_names(model, meant, by).mean()))
            other = Sequences(np.where(held.learned, other.codes, ABSENT), other.offsets, other.elapsed_s)
            loss = log_scores(loose, other)[:, -1].mean() - log_scores(held, other)[:, -1].mean()
            found.setdefault("cost", []).append(float(loss))
        if progress:
            progress(i + 1, len(seeds))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _free(pseudo: PseudoCounts) -> PseudoCounts:
    return PseudoCounts(
        np.full_like(pseudo.initial, FREE),
        np.full_like(pseudo.transition, FREE),
        tuple(np.full_like(counts, FREE) for counts in pseudo.emission),
    )
