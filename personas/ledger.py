"""The evidence ledger: which factor of an event moved which persona, by how many nats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

VALUE_LENGTH = 24
"""Characters kept of a factor's value."""


FARTHEST = 32.0
"""Nats that a ledger entry tells at most: a factor that speaks louder has said all."""


class LedgerEntry(NamedTuple):
    """Which factor of an event moved which persona most; whole numbers where a state must stay small.

    event_id : its first 12 characters.  at : event time, seconds.  persona : archetype id.
    value : name of the factor's value, 24 characters at most.
    nats_1000 : thousandths of log P(value | persona) - log P(value), the factor's evidence.
    p_1000 : thousandths of the persona's probability afterwards.
    """

    event_id: str
    at: float
    persona: int
    factor: str
    value: str
    nats_1000: int
    p_1000: int

    @property
    def nats(self) -> float:
        """The factor's evidence, to a thousandth of a nat."""
        return self.nats_1000 / 1000.0

    @property
    def p(self) -> float:
        """The persona's probability afterwards, to a thousandth."""
        return self.p_1000 / 1000.0


class Shift(NamedTuple):
    """The last time that one persona gave way to another: archetype ids, when it was found, and the evidence that told.

    nats : log P(value | target) - log P(value | source) of the factor that spoke most for it.
    """

    source: int
    target: int
    at: float
    factor: str
    value: str
    nats: float


class FactorEvidence(NamedTuple):
    """One factor of an event. nats : (K,) log P(value | persona) - log P(value), P(value) by the belief before."""

    factor: str
    value: str
    nats: np.ndarray


@dataclass(frozen=True)
class StepEvidence:
    """All that an event said. Log-beliefs and nats over K personas, in the model's order.

    before : (K,) log-belief as it was.  time : (K,) nats that the transition and the time gone by moved each persona.
    factors : the factors present.  after : (K,) log-belief = before + time + the factors' nats, normalised.
    step : whether it was a step of the chain; if not, time did nothing.  elapsed_s : since the step before.
    """

    before: np.ndarray
    time: np.ndarray
    factors: tuple[FactorEvidence, ...]
    after: np.ndarray
    step: bool
    elapsed_s: float


def told_nats(terms: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(F, K) log P(o_f | z) - log P(o_f): the pointwise mutual information of each factor and persona.

    terms : (F, K) log P(o_f | z).  before : (K,) the belief by which P(o_f) is taken.
    """
    top = np.maximum(np.maximum.reduce(terms, axis=1), -1e300)
    usual = top + np.log(np.maximum(np.exp(terms - top[:, None]) @ before, 1e-300))
    nats: np.ndarray = terms - usual[:, None]
    return nats


def loudest(nats: Sequence[float], codes: Sequence[int]) -> int:
    """The factor present that speaks most; the first of all where none is present. Both of F entries."""
    present = [f for f, code in enumerate(codes) if code >= 0]
    return max(present, key=nats.__getitem__) if present else 0


def whole(nats: float) -> int:
    """Thousandths, as a ledger entry keeps them; nats beyond `FARTHEST` are told as that."""
    return round(1000.0 * min(max(nats, -FARTHEST), FARTHEST))
