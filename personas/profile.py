"""A session's persona: the state that an event moves, the profile read from it, and the model behind both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from personas.encoding import ABSENT, FACTORS, STEPS, ItemFacts, encode
from personas.events import ENGAGEMENT, ITEM_ACTIONS, NAMES
from personas.evidence import EvidenceNetwork, log_prior
from personas.hmm import PersonaHMM, condition, predict

ACTIVE_P = 0.25
"""Probability from which a persona counts as active: at most four at once, and none while nothing is known."""

UNSURE_SHARE = 0.75
"""Entropy, as a share of log K, above which the profile says that it isn't sure yet."""

LEAD_P = 0.5
"""Probability from which a persona leads: more likely than all the others together. A change of lead is a shift."""

EARLIER_SHARE = 0.5
"""Weight of what earlier sessions taught in a returning shopper's prior; the other half stays with who and when."""

KEPT_A_VIEW = 0.85
"""Share of the attribute affinity that one view leaves standing; a purchase (engagement 5) counts as five views."""

OWN_SHARE, OWN_ITEMS = 0.5, 5.0
"""What the session's own items weigh in the attribute weights: at most half, and half of that after 5 item actions.
They speak for the shopper alone, but they are few."""

LEDGER = 6
"""Ledger entries kept in the state; the whole ledger is a replay away."""

_KEPT = tuple(KEPT_A_VIEW ** ENGAGEMENT[name] if name in ITEM_ACTIONS else 1.0 for name in NAMES)


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

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Archetype ids as plain ints."""
        return tuple(self.archetype_ids.tolist())

    @cached_property
    def attributes(self) -> tuple[int, ...]:
        """Attribute ids as plain ints."""
        return tuple(self.attribute_ids.tolist())

    @cached_property
    def mix64(self) -> np.ndarray:
        """(K, A) `mix` in float64, so that weights sum to 1 to the last digit."""
        wide: np.ndarray = self.mix.astype(np.float64)
        wide /= wide.sum(axis=1, keepdims=True)
        return wide

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """The factors that the log has taught."""
        return tuple(name for name, learned in zip(FACTORS, self.hmm.learned.tolist(), strict=True) if learned)

    @cached_property
    def usual_affinity(self) -> np.ndarray:
        """(A,) mean attribute scores of the catalogue's items: what an affinity means nothing below."""
        return self.item_attributes.mean(axis=0) if len(self.item_attributes) else np.zeros(len(self.attribute_ids))


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
    query : the words of a search, "" where none.
    """

    event_id: str
    code: int
    position: int
    at: float
    dwell_s: float | None
    novelty: int
    query: str = ""


@dataclass(frozen=True, slots=True)
class PersonaState:
    """Belief over K archetypes after `steps` events: plain values only.

    archetypes : K ids, in the order of the rest.  log_belief, log_prior : K normalised log-probabilities.
    last_at : time of the latest event, seconds.  affinity : A decayed means of the items' attribute scores.
    lead : id of the archetype that last led with confidence, 0 before one did.  shift : the last change of lead.
    touched : item actions on known items.
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
    touched: int = 0


@dataclass(frozen=True, slots=True)
class PersonaProfile:
    """What a state says of the shopper.

    archetypes, belief : K ids and probabilities.  attributes, attribute_weights : A ids and weights, summing to 1.
    entropy : nats.  entropy_share : of log K, 0 to 1.  unsure : whether that is too much to speak of a persona.
    active, active_positions : ids, and places in `archetypes`, of the personas active now, most likely first.
    learned : the factors that the shop's log has taught.
    """

    archetypes: tuple[int, ...]
    belief: tuple[float, ...]
    attributes: tuple[int, ...]
    attribute_weights: np.ndarray
    entropy: float
    entropy_share: float
    unsure: bool
    active: tuple[int, ...]
    active_positions: tuple[int, ...]
    ledger: tuple[LedgerEntry, ...]
    shift: Shift | None
    learned: tuple[str, ...]


def start(model: PersonaModel, *, evidence: Mapping[str, str], at: float, earlier: Sequence[float] | None = None) -> PersonaState:
    """The state before the first event: the prior by who, where and when.

    evidence : value by variable; unknown ones carry no weight.  at : seconds since the epoch.
    earlier : (K,) probabilities, in the model's order, that earlier sessions of the shopper have left, already
        decayed; None for a guest. Raises ValueError if they are no distribution over K.
    """
    prior = _prior(model, evidence, earlier)
    belief = tuple(prior.tolist())
    return PersonaState(model.ids, belief, belief, at, affinity=(0.0,) * len(model.attributes))


def revise(
    model: PersonaModel, state: PersonaState, *, evidence: Mapping[str, str], earlier: Sequence[float] | None = None
) -> PersonaState:
    """The state once more is known of who, where and when: the new prior takes the place of the one it started from.

    What the session's events said stands: the belief is multiplied by new prior over old, which is Bayes' rule while no
    time has relaxed it. evidence : all of it, the old too.  earlier : as for `start`.
    Raises ValueError as `start` does, or if the state was made under other archetypes.
    """
    if state.archetypes != model.ids:
        raise ValueError(f"state has archetypes {state.archetypes}, the model {model.ids}: rebase it first")
    prior = _prior(model, evidence, earlier)
    belief = np.array(state.log_belief) + prior - np.array(state.log_prior)
    belief = np.where(np.isfinite(belief), belief, -math.inf)
    total = np.logaddexp.reduce(belief)
    if not math.isfinite(total):
        return replace(state, log_prior=tuple(prior.tolist()))
    return replace(state, log_prior=tuple(prior.tolist()), log_belief=tuple((belief - total).tolist()))


def _prior(model: PersonaModel, evidence: Mapping[str, str], earlier: Sequence[float] | None) -> np.ndarray:
    prior = log_prior(model.network, evidence)
    if earlier is not None:
        given = np.asarray(earlier, dtype=np.float64)
        if given.shape != prior.shape or not (given >= 0).all() or not 0 < given.sum() < math.inf:
            raise ValueError(f"earlier {list(earlier)} is no distribution over {len(prior)} personas")
        prior = np.log((1.0 - EARLIER_SHARE) * np.exp(prior) + EARLIER_SHARE * given / given.sum())
    return prior


def update(model: PersonaModel, state: PersonaState, signal: Signal) -> PersonaState:
    """One filter step: predict over the time gone by, condition on the event, note the evidence.

    An event that is no step (`encoding.STEPS`) takes none: a reported list leaves the state alone, an engagement adds
    its dwell to the evidence of the step before. A late event (`signal.at` before `state.last_at`) moves the belief with
    no time gone by and rewinds nothing.
    Raises ValueError if the state was made under other archetypes; see `rebase`.
    """
    if state.archetypes != model.ids:
        raise ValueError(f"state has archetypes {state.archetypes}, the model {model.ids}: rebase it first")
    elapsed = max(0.0, signal.at - state.last_at)
    codes = encode(
        model.facts,
        code=signal.code,
        position=signal.position,
        dwell_s=signal.dwell_s,
        gap_s=elapsed if state.steps else None,
        novelty=signal.novelty,
        query=signal.query,
    )
    step = signal.code in STEPS
    if not step and max(codes) == ABSENT:
        return state
    predicted = np.array(state.log_belief)
    if state.steps and step:
        predicted = predict(model.hmm, predicted, elapsed_s=elapsed, log_prior=np.array(state.log_prior))
    log_belief, terms = condition(model.hmm, predicted, codes)
    entry = _explain(model, signal, codes, predicted, log_belief, terms)
    lead, shift = _lead(state, log_belief, entry)
    touched, affinity = state.touched, state.affinity
    if signal.position >= 0 and _KEPT[signal.code] < 1.0:
        touched += 1
        kept = _KEPT[signal.code]
        affinity = tuple((kept * np.array(affinity) + (1.0 - kept) * model.item_attributes[signal.position]).tolist())
    return PersonaState(
        archetypes=state.archetypes,
        log_belief=tuple(log_belief.tolist()),
        log_prior=state.log_prior,
        last_at=max(state.last_at, signal.at) if step else state.last_at,
        steps=state.steps + step,
        affinity=affinity,
        ledger=(*state.ledger, entry)[-LEDGER:],
        lead=lead,
        shift=shift,
        touched=touched,
    )


def _explain(
    model: PersonaModel, signal: Signal, codes: tuple[int, ...], predicted: np.ndarray, log_belief: np.ndarray, terms: np.ndarray
) -> LedgerEntry:
    """The persona whose probability the event moved most, and the factor that spoke most in that direction."""
    before = np.exp(predicted)
    change = np.exp(log_belief) - before
    k = int(np.abs(change).argmax())
    # log P(o_f | persona) - log P(o_f), P(o_f) by the belief before: the pointwise mutual information
    nats = terms[:, k] - np.log(np.exp(terms) @ before)
    f = int((nats if change[k] >= 0 else -nats).argmax())
    return LedgerEntry(signal.event_id[:12], signal.at, model.ids[k], FACTORS[f], float(nats[f]), math.exp(log_belief[k]))


def _lead(state: PersonaState, log_belief: np.ndarray, entry: LedgerEntry) -> tuple[int, Shift | None]:
    k = int(log_belief.argmax())
    target = state.archetypes[k]
    if log_belief[k] < math.log(LEAD_P) or target == state.lead:
        return state.lead, state.shift
    if not state.lead:
        return target, state.shift
    return target, Shift(state.lead, target, entry.at, entry.factor, entry.nats)


def profile(model: PersonaModel, state: PersonaState) -> PersonaProfile:
    """The state's persona profile. Attribute weights join the belief's mixes with the session's own items.

    Raises ValueError if the state was made under other archetypes.
    """
    if state.archetypes != model.ids:
        raise ValueError(f"state has archetypes {state.archetypes}, the model {model.ids}: rebase it first")
    exact = np.exp(np.array(state.log_belief))
    weights = exact @ model.mix64
    if state.touched:
        own = np.maximum(np.array(state.affinity) - model.usual_affinity, 0.0)
        total = float(np.add.reduce(own))
        if total > 0:
            share = OWN_SHARE * state.touched / (state.touched + OWN_ITEMS)
            weights = (1.0 - share) * weights + share * own / total
    weights /= np.add.reduce(weights)
    belief = exact.tolist()
    entropy = -sum(p * math.log(p) for p in belief if p > 0)
    share_of_most = entropy / math.log(len(belief)) if len(belief) > 1 else 0.0
    active = tuple(sorted((k for k, p in enumerate(belief) if p > ACTIVE_P), key=lambda k: -belief[k]))
    return PersonaProfile(
        archetypes=state.archetypes,
        belief=tuple(belief),
        attributes=model.attributes,
        attribute_weights=weights,
        entropy=entropy,
        entropy_share=share_of_most,
        unsure=share_of_most > UNSURE_SHARE,
        active=tuple(state.archetypes[k] for k in active),
        active_positions=active,
        ledger=state.ledger,
        shift=state.shift,
        learned=model.learned,
    )


def rebase(old: PersonaModel | None, new: PersonaModel, state: PersonaState) -> PersonaState:
    """The state under another model: archetypes are matched by id.

    Archetypes that `new` adds enter with their prior mass, those it drops give theirs up to the others in
    proportion. Without the old model the affinity starts again, for its attributes aren't known.
    """
    affinity = dict(zip(old.attributes, state.affinity, strict=False)) if old else {}
    kept = frozenset(new.ids)
    return replace(
        state,
        archetypes=new.ids,
        log_belief=_carry_over(state.archetypes, state.log_belief, new),
        log_prior=_carry_over(state.archetypes, state.log_prior, new),
        affinity=tuple(affinity.get(i, 0.0) for i in new.attributes),
        ledger=tuple(e for e in state.ledger if e.persona in kept),
        lead=state.lead if state.lead in kept else 0,
        shift=state.shift if state.shift and {state.shift.source, state.shift.target} <= kept else None,
    )


def _carry_over(ids: tuple[int, ...], logs: tuple[float, ...], new: PersonaModel) -> tuple[float, ...]:
    prior = np.exp(new.hmm.log_initial)
    held = dict(zip(ids, logs, strict=True))
    known = np.array([i in held for i in new.ids])
    if not known.any():
        return tuple(new.hmm.log_initial.tolist())
    carried = np.array([held.get(i, -math.inf) for i in new.ids])
    carried -= np.logaddexp.reduce(carried[known])
    carried += math.log(prior[known].sum())
    return tuple(np.where(known, carried, new.hmm.log_initial).tolist())
