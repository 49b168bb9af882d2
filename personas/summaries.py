"""Whole sessions of a log in a line each: how long they were and which personas they were shopped as.

For sessions that no serving process observed, imported or simulated ones: the same filter, run over all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from personas.encoding import encode_steps, gaps
from personas.evidence import log_prior
from personas.fitting import filter_log
from personas.profile import KEPT_A_STEP, PersonaModel
from personas.repeats import steps_once
from personas.sessions import SessionLog


class Summaries(NamedTuple):
    """Of the T sessions of a log that have a step.

    sessions : (T,) their places in the log.  steps : (T,) int64.  belief, shares : (T, K) after the last step, the latter as
        `personas.profile.shares` has them; rows sum to 1.
    """

    sessions: np.ndarray
    steps: np.ndarray
    belief: np.ndarray
    shares: np.ndarray


def summarise(model: PersonaModel, log: SessionLog, evidence: Sequence[Mapping[str, str]]) -> Summaries:
    """What the online filter would have ended with. evidence : one mapping a session of the log. Raises ValueError."""
    if len(evidence) != len(log):
        raise ValueError(f"evidence of {len(evidence)} sessions for {len(log)}")
    steps = steps_once(encode_steps(model.facts, log))
    lengths = np.diff(steps.offsets)
    if not len(steps.sessions):
        none = np.zeros((0, len(model.archetype_ids)))
        return Summaries(steps.sessions, lengths, none, none)
    prior = np.array([log_prior(model.network, evidence[s]) for s in steps.sessions.tolist()])
    reached = filter_log(model.hmm, steps.codes, steps.offsets, log_prior=prior, elapsed_s=gaps(log)[steps.rows])
    to_the_end = np.repeat(steps.offsets[1:], lengths) - 1 - np.arange(len(steps.codes))
    kept = np.power(KEPT_A_STEP, to_the_end)[:, None]
    acted = np.add.reduceat(kept * reached, steps.offsets[:-1])
    return Summaries(steps.sessions, lengths, reached[steps.offsets[1:] - 1], acted / acted.sum(axis=1, keepdims=True))
