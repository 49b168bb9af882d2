"""What the events of a session tell at best: the exact posterior under the rules by which it was made.

Hidden is the kind of session, its one or two personas, who acts at each step, and the step of the shift. Given the
hypothesis all terms are known, so the hypotheses are weighed one by one: K of one persona, K (K - 1) / 2 mixed pairs
(a step's likelihood is the mean of both), K (K - 1) ordered pairs times the steps at which they may shift. That a session
goes on tells, too: one that shifts has steps left when it does.

What the shop showed (listings) counts as given: the shop knows it, and it doesn't depend on the persona but through choices
that are weighed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recommendations.evaluation.simulation.kinds import AFTER, SHIFTS, Kinds, log_goes_on, shift_shares


@dataclass(frozen=True)
class Trace:
    """Likelihood terms of a session of N events in S steps, for each of K personas.

    terms : (N, K) log P(event | who acts, what came before).  step : (N,) each event's step, from 0.
    silent : (S, K) what a step tells only when it is over: that nothing followed, how long the last look took.
    """

    terms: np.ndarray
    step: np.ndarray
    silent: np.ndarray


class Exact(NamedTuple):
    """What is known after each of N events.

    persona : (N, K) P(persona acting at event n | events <= n).  kind : (N, 3) P(kind | events <= n).
    shifted : (N, K) P(the session has shifted, and to that persona | events <= n).
    """

    persona: np.ndarray
    kind: np.ndarray
    shifted: np.ndarray


def exact(trace: Trace, first: np.ndarray, second: np.ndarray, kinds: Kinds) -> Exact:
    """The posterior of a session.

    first : (K,) P(first persona, the session's circumstances), up to a factor.  second : (K, K) P(other | first).
    """
    within, done = _sums(trace)
    step, k = trace.step, len(first)
    with np.errstate(divide="ignore"):
        log_first = np.log(first / first.sum())
        log_second = np.log(second)
        log_kind = np.log(np.array(kinds.shares))
        log_shift = np.log(shift_shares())
    goes_on = log_goes_on(step)
    throughout = done[step] + within
    single = log_kind[0] + log_first + throughout + goes_on[:, None]
    if k == 1:
        return Exact(np.ones((len(step), 1)), np.tile([1.0, 0.0, 0.0], (len(step), 1)), np.zeros((len(step), 1)))

    a, b = np.triu_indices(k, 1)
    ends = _ends(trace)
    mixed_steps = np.logaddexp(ends[:, a], ends[:, b]) - math.log(2.0)
    mixed_done = np.concatenate((np.zeros((1, len(a))), np.cumsum(mixed_steps, axis=0)))[step]
    mixed_now = np.logaddexp(within[:, a], within[:, b]) - math.log(2.0)
    pair = np.logaddexp(log_first[a] + log_second[a, b], log_first[b] + log_second[b, a])
    mixed = log_kind[1] + pair + mixed_done + mixed_now + goes_on[:, None]
    is_a = 1.0 / (1.0 + np.exp(np.clip(within[:, b] - within[:, a], -700, 700)))

    # (N, T, K, K): the first persona's steps before the shift, the second's from there on.
    shifts = np.array(SHIFTS)
    at = np.minimum(shifts, len(done) - 1)
    before = np.where((step[:, None] >= shifts)[:, :, None], done[at][None], throughout[:, None])
    after = np.where((step[:, None] >= shifts)[:, :, None], throughout[:, None] - done[at][None], 0.0)
    lasts = np.where(step[:, None] < shifts + AFTER, 0.0, goes_on[:, None])
    shifting = log_kind[2] + (log_first[:, None] + log_second) + (log_shift + lasts)[:, :, None, None]
    shifting = shifting + before[:, :, :, None] + after[:, :, None, :]

    top = np.maximum(np.maximum(single.max(axis=1), mixed.max(axis=1)), shifting.max(axis=(1, 2, 3)))
    p_single = np.exp(single - top[:, None])
    p_mixed = np.exp(mixed - top[:, None])
    p_shifting = np.exp(shifting - top[:, None, None, None])
    posterior = p_single.copy()
    np.add.at(posterior.T, a, (p_mixed * is_a).T)
    np.add.at(posterior.T, b, (p_mixed * (1.0 - is_a)).T)
    over = (step[:, None] >= shifts)[:, :, None]
    shifted = (over * p_shifting.sum(axis=2)).sum(axis=1)
    posterior += shifted + (~over * p_shifting.sum(axis=3)).sum(axis=1)
    by_kind = np.stack((p_single.sum(axis=1), p_mixed.sum(axis=1), p_shifting.sum(axis=(1, 2, 3))), axis=1)
    total = by_kind.sum(axis=1, keepdims=True)
    return Exact(posterior / total, by_kind / total, shifted / total)


def _sums(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) log-likelihood of a step's events up to each, and (S + 1, K) of all steps before each."""
    running = np.cumsum(trace.terms, axis=0)
    begin = np.searchsorted(trace.step, np.arange(len(trace.silent)))
    carried = np.concatenate((np.zeros((1, trace.terms.shape[1])), running))[begin]
    within = running - carried[trace.step]
    return within, np.concatenate((np.zeros((1, trace.terms.shape[1])), np.cumsum(_ends(trace), axis=0)))


def _ends(trace: Trace) -> np.ndarray:
    """(S, K) log-likelihood of each step when it is over."""
    ends = trace.silent.copy()
    np.add.at(ends, trace.step, trace.terms)
    return ends
