"""A session's persona: the state that an event moves, and the profile read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from personas.encoding import ItemFacts
from personas.evidence import EvidenceNetwork
from personas.hmm import PersonaHMM


@dataclass(frozen=True)
class PersonaModel:
    """The personas of a shop as one component: K archetypes, A attributes, n items, D descriptors.

    archetype_ids : (K,) int64, the states of `hmm` in order.  attribute_ids : (A,) int64.
    mix : (K, A) float32, each archetype's attribute weights, rows sum to 1.
    attribute_descriptors : (A, D) float32 CSR over the catalogue's descriptors.
    item_attributes : (n, A) float32 in [0, 1], how well each item suits each attribute.
    """

    hmm: PersonaHMM
    network: EvidenceNetwork
    facts: ItemFacts
    archetype_ids: np.ndarray
    archetype_keys: tuple[str, ...]
    archetype_names: tuple[str, ...]
    archetype_icons: tuple[str, ...]
    archetype_colours: tuple[str, ...]
    attribute_ids: np.ndarray
    attribute_keys: tuple[str, ...]
    attribute_names: tuple[str, ...]
    mix: np.ndarray
    attribute_descriptors: sparse.csr_matrix
    item_attributes: np.ndarray


class LedgerEntry(NamedTuple):
    """Which factor of an event moved which persona most.

    event_id : its first 12 characters.  at : event time, seconds.  persona : archetype id.
    nats : log P(value | persona) - log P(value), the factor's evidence.  p : the persona's probability afterwards.
    """

    event_id: str
    at: float
    persona: int
    factor: str
    nats: float
    p: float


class Shift(NamedTuple):
    """The last change of the leading persona: archetype ids, and the evidence that brought it."""

    source: int
    target: int
    at: float
    factor: str
    nats: float


class Signal(NamedTuple):
    """What an event tells the persona.

    code : event code.  position : catalogue position, `NO_ITEM` where none.  at : event time, seconds.
    dwell_s : the event's own dwell, None where unknown.  novelty : `encoding.novelty`, `ABSENT` without an item.
    """

    event_id: str
    code: int
    position: int
    at: float
    dwell_s: float | None
    novelty: int


@dataclass(frozen=True, slots=True)
class PersonaState:
    """Belief over K archetypes after `steps` events: plain values only.

    archetypes : K ids, in the order of the rest.  log_belief, log_prior : K normalised log-probabilities.
    last_at : time of the latest event, seconds.  affinity : A decayed means of the items' attribute scores.
    lead : id of the archetype that last led with confidence, 0 before one did.
    """

    archetypes: tuple[int, ...]
    log_belief: tuple[float, ...]
    log_prior: tuple[float, ...]
    last_at: float
    steps: int = 0
    affinity: tuple[float, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    lead: int = 0
    shift: Shift | None = None
