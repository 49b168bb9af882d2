"""A session's persona: the state that an event moves, the profile read from it, and the model behind both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from struct import pack
from typing import NamedTuple

import numpy as np
from scipy import sparse

from personas import courses, kernels
from personas.compiling import readonly
from personas.encoding import ABSENT, FACTORS, STEPS, ItemFacts, encode, searching, value_names
from personas.events import ENGAGEMENT, ITEM_ACTIONS, NAMES
from personas.evidence import EvidenceNetwork, log_prior
from personas.hmm import PersonaHMM, condition, predict, remembered
from personas.ledger import VALUE_LENGTH, FactorEvidence, LedgerEntry, Shift, StepEvidence, loudest, told_nats, whole
from personas.repeats import once, same_turn
from personas.sessions import NO_ITEM

ACTIVE_P = 0.25
"""Share of the latest steps from which a persona counts as active: at most three at once, and none while nothing is known."""

KEPT_A_STEP = 0.9
"""What a step leaves of the ones before in the shares: they speak of the last ten steps or so."""

SEVERAL_P = 0.5
"""Probability of two personas taking turns from which the profile says that several act: likelier than not."""

SHIFT_P = 0.5
"""Probability of one persona having given way to another from which a shift is told: likelier than not.

With `courses.HAZARD`, which was chosen on other worlds, it is the price of a false alarm. In simulated worlds of seeds 31
(fashion) and 32 (outfitter), 4.1 and 3.0 in 100 sessions of one persona are told a shift, and 44 and 43 in 100 shifts are
told within three steps; the best rule there is, which knows how shoppers choose, finds 75 and 77 at five false alarms."""

UNSURE_SHARE = 0.75
"""Entropy, as a share of log K, above which the profile says that it isn't sure yet."""

EARLIER_SHARE = 0.5
"""Weight of what earlier sessions taught in a returning shopper's prior; the other half stays with who and when."""

KEPT_A_VIEW = 0.85
"""Share of the attribute affinity that one view leaves standing; a purchase (engagement 5) counts as five views."""

OWN_SHARE, OWN_ITEMS = 0.5, 5.0
"""What the session's own items weigh in the attribute weights: at most half, and half of that after 5 item actions.
They speak for the shopper alone, but they are few."""

UNIT = 5_000
"""Parts of one in which occupancy and affinity are kept: three bytes a number, and exact to less than shows."""

LEDGER = 6
"""Ledger entries kept in the state; the whole ledger is a replay away."""

_DEEP = -745.0
"""The least log-probability of which exp is not 0, so that p log p stays a number."""

_RAREST = 1e-300
"""The least probability of which a logarithm is taken."""

_NO_TIME = -1.0
"""For `kernels.filtered`: no step of the chain is taken before the event counts."""

_NO_COURSES = np.frombuffer(bytes(2), dtype="<u2")[:0]
"""Of a session without an event; read-only, as are those of stored bytes."""

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
    def chain(self) -> np.ndarray:
        """The chain's tables and the constants of a step, in the order of `kernels.updated`."""
        constants = (courses.HAZARD, _RAREST, courses.LEAST, courses.PAIRS_P, UNIT, KEPT_A_STEP, _DEEP)
        return np.concatenate((constants, self.hmm.transition.ravel(), self.hmm.jumps.ravel(), self.hmm.rows.ravel()))

    @cached_property
    def scores(self) -> np.ndarray:
        """(n, A) `item_attributes`, as compiled loops read them."""
        return readonly(self.item_attributes, np.float32)

    @cached_property
    def values(self) -> tuple[tuple[str, ...], ...]:
        """Names of the values of each factor, by code."""
        return value_names(self.facts)

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """The factors that the log has taught."""
        return tuple(name for name, learned in zip(FACTORS, self.hmm.learned.tolist(), strict=True) if learned)

    @cached_property
    def usual_affinity(self) -> np.ndarray:
        """(A,) mean attribute scores of the catalogue's items: what an affinity means nothing below."""
        if not len(self.item_attributes):
            return np.zeros(len(self.attribute_ids))
        mean: np.ndarray = self.item_attributes.mean(axis=0).astype(np.float64)
        return mean


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


class PersonaState(NamedTuple):
    """Belief over K archetypes after `steps` events: plain values only, and few bytes of them.

    archetypes : K ids, in the order of the rest.  log_belief, log_prior : K normalised log-probabilities.
    last_at : time of the latest event, seconds.  affinity : A decayed means of the items' attribute scores, in `UNIT`ths.
    shift : the last time one persona gave way to another.  touched : item actions on known items.
    occupancy, doubt : of the belief after each step, in `UNIT`ths, and of its entropy, nats, the sums decayed by
        `KEPT_A_STEP`; K of them, empty before the first step, and a number.
    courses : `courses.pack` of how the session goes; empty before the first event.
    searched : what the search was about that no item has answered yet (`encoding.searching`).
    """

    archetypes: tuple[int, ...]
    log_belief: tuple[float, ...]
    log_prior: tuple[float, ...]
    last_at: float
    steps: int = 0
    affinity: tuple[int, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    shift: Shift | None = None
    touched: int = 0
    occupancy: tuple[int, ...] = ()
    doubt: float = 0.0
    courses: bytes = b""
    searched: int = ABSENT


@dataclass(frozen=True, slots=True)
class PersonaProfile:
    """What a state says of the shopper.

    archetypes, belief : K ids and probabilities.  attributes, attribute_weights : A ids and weights, summing to 1.
    entropy : nats.  entropy_share : of log K, 0 to 1.  unsure : whether that is too much to speak of a persona.
    shares : K shares of the latest steps, the prior before the first (`shares`).
    active, active_positions : ids, and places in `archetypes`, of the personas active now, largest share first: those of
        `ACTIVE_P` or more, and the two that take turns where `several` do.
    mixing : nats, entropy of the shares less the mean entropy of the beliefs: how much of the spread is several sure
        personas and not doubt (Jensen & Shannon's divergence of the beliefs).
    together, changed : P(two personas take turns) and P(one has given way to another since the last shift), against one
        throughout: what tells a session of two from one that fits none (`courses`).
    several : whether two take turns, `together` of `SEVERAL_P` or more.
    learned : the factors that the shop's log has taught.
    """

    archetypes: tuple[int, ...]
    belief: tuple[float, ...]
    attributes: tuple[int, ...]
    attribute_weights: np.ndarray
    entropy: float
    entropy_share: float
    unsure: bool
    shares: tuple[float, ...]
    mixing: float
    together: float
    changed: float
    several: bool
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
    return PersonaState(model.ids, belief, belief, at, affinity=(0,) * len(model.attributes))


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
    given = tuple(prior.tolist())
    held = courses.revise(state.courses, np.exp(state.log_prior), np.exp(prior))
    belief = np.array(state.log_belief) + prior - np.array(state.log_prior)
    belief = np.where(np.isfinite(belief), belief, -math.inf)
    total = np.logaddexp.reduce(belief)
    if not math.isfinite(total):
        return state._replace(log_prior=given, courses=held)
    return state._replace(log_prior=given, log_belief=tuple((belief - total).tolist()), courses=held)


def _prior(model: PersonaModel, evidence: Mapping[str, str], earlier: Sequence[float] | None) -> np.ndarray:
    prior = log_prior(model.network, evidence)
    if earlier is not None:
        given = np.asarray(earlier, dtype=np.float64)
        if given.shape != prior.shape or not (given >= 0).all() or not 0 < given.sum() < math.inf:
            raise ValueError(f"earlier {list(earlier)} is no distribution over {len(prior)} personas")
        prior = np.log((1.0 - EARLIER_SHARE) * np.exp(prior) + EARLIER_SHARE * given / given.sum())
    return prior


class _Reading(NamedTuple):
    """What a signal is to the chain. codes : F, without repeats.  step : whether it is one of the chain."""

    codes: tuple[int, ...]
    step: bool
    same_turn: bool
    elapsed_s: float


def _read(model: PersonaModel, state: PersonaState, signal: Signal) -> _Reading:
    if state.archetypes != model.ids:
        raise ValueError(f"state has archetypes {state.archetypes}, the model {model.ids}: rebase it first")
    elapsed = max(0.0, signal.at - state.last_at)
    codes = encode(
        model.facts,
        code=signal.code,
        position=signal.position,
        dwell_s=signal.dwell_s if state.steps else None,  # of no step: what it would say, training doesn't read either
        gap_s=elapsed if state.steps else None,
        novelty=signal.novelty,
        query=signal.query,
        searched=state.searched,
    )
    return _Reading(once(codes), signal.code in STEPS, same_turn(codes), elapsed)


def update(model: PersonaModel, state: PersonaState, signal: Signal) -> PersonaState:
    """One filter step: predict over the time gone by, condition on the event, note the evidence.

    An event that is no step (`encoding.STEPS`) takes none: a reported list leaves the state alone, an engagement adds
    its dwell to the evidence of the step before. A late event (`signal.at` before `state.last_at`) moves the belief with
    no time gone by and rewinds nothing.
    Raises ValueError if the state was made under other archetypes; see `rebase`.
    """
    read = _read(model, state, signal)
    if not read.step and max(read.codes) == ABSENT:
        return state
    k, a, kept = len(model.ids), len(model.attributes), _KEPT[signal.code]
    if len(state.affinity) != a or signal.position >= len(model.scores):  # the loops check no index
        raise ValueError(f"an affinity of {len(state.affinity)}, the model has {a}; or no item at {signal.position}")
    touches = signal.position >= 0 and kept < 1.0
    given = state.log_belief + state.log_prior + tuple(model.hmm.rows_of(read.codes)) + state.affinity + state.occupancy
    n = 2 * k + k * (k - 1) // 2
    out, packed = np.empty(2 * k + a + kernels.TOLD + n), np.empty(n, dtype=np.uint16)
    kernels.updated(
        np.frombuffer(pack(f"{len(given)}d", *given)),
        np.frombuffer(state.courses, dtype="<u2") if state.courses else _NO_COURSES,
        model.chain,
        model.scores,
        k,
        len(FACTORS),
        signal.position if touches else NO_ITEM,
        remembered(read.elapsed_s) if state.steps and read.step else _NO_TIME,
        kernels.STEP if read.step and not read.same_turn else kernels.ENRICH,
        read.step,
        kept,
        state.doubt,
        out,
        packed,
    )
    numbers = out[: 2 * k + a + kernels.TOLD].tolist()
    spoke, factor, nats, p, changed, doubt = numbers[2 * k + a :]
    name = FACTORS[int(factor)]
    value = model.values[int(factor)][read.codes[int(factor)]][:VALUE_LENGTH]
    entry = LedgerEntry(signal.event_id[:12], signal.at, model.ids[int(spoke)], name, value, whole(nats), round(1000.0 * p))
    held, shift = packed.tobytes(), state.shift
    if changed >= SHIFT_P and state.occupancy:
        course = out[2 * k + a + kernels.TOLD :]
        shift = _shift(model, state, signal, read, course)
        held = courses.pack(courses.settle(course, k))
    return PersonaState(
        state.archetypes,
        tuple(numbers[:k]),
        state.log_prior,
        max(state.last_at, signal.at) if read.step else state.last_at,
        state.steps + read.step,
        tuple(map(int, numbers[2 * k : 2 * k + a])) if touches else state.affinity,
        (*state.ledger, entry)[-LEDGER:],
        shift,
        state.touched + touches,
        tuple(map(int, numbers[k : 2 * k])) if read.step or state.occupancy else (),
        doubt,
        held,
        searching(state.searched, read.codes),
    )


def explain_step(model: PersonaModel, state: PersonaState, signal: Signal) -> StepEvidence:
    """All that `update` makes of a signal: every factor's nats for every persona, and what time did.

    A reported list says nothing: no factors, and `after` is `before`. Raises ValueError as `update` does.
    """
    read = _read(model, state, signal)
    before = predicted = np.array(state.log_belief)
    if state.steps and read.step:
        predicted = predict(model.hmm, before, elapsed_s=read.elapsed_s, log_prior=np.array(state.log_prior))
    log_belief, terms = condition(model.hmm, predicted, read.codes)
    nats = told_nats(terms, np.exp(predicted))
    return StepEvidence(
        before=before,
        time=np.where(np.isfinite(before), predicted - before, 0.0),
        factors=tuple(
            FactorEvidence(FACTORS[f], model.values[f][code], nats[f]) for f, code in enumerate(read.codes) if code != ABSENT
        ),
        after=log_belief,
        step=read.step,
        elapsed_s=read.elapsed_s,
    )


def _shift(model: PersonaModel, state: PersonaState, signal: Signal, read: _Reading, course: np.ndarray) -> Shift:
    """One persona that gave way to another: who has come, who was here most before, and what told. course : (n,)."""
    k = len(model.ids)
    target = int(course[k : 2 * k].argmax())
    acted = np.array(state.occupancy)
    acted[target] = -1
    source = int(acted.argmax())
    terms = model.hmm.rows.take(model.hmm.rows_of(read.codes), axis=0)
    nats = (terms[:, target] - terms[:, source]).tolist()
    f = loudest(nats, read.codes)
    return Shift(
        model.ids[source], model.ids[target], signal.at, FACTORS[f], model.values[f][read.codes[f]][:VALUE_LENGTH], nats[f]
    )


def shares(state: PersonaState) -> tuple[float, ...]:
    """K shares of the session's latest steps that each persona took, summing to 1; the prior before the first step."""
    total = sum(state.occupancy)
    if total <= 0:
        return tuple(map(math.exp, state.log_prior))
    return tuple([part / total for part in state.occupancy])


class Reading(NamedTuple):
    """Of a `PersonaProfile` what a slate is made by.

    belief : (K,) float64.  attribute_weights : (A,) float64, summing to 1.  The others as there.
    """

    belief: np.ndarray
    attribute_weights: np.ndarray
    shares: tuple[float, ...]
    active_positions: tuple[int, ...]
    several: bool
    entropy: float
    mixing: float
    together: float
    changed: float


def read(model: PersonaModel, state: PersonaState) -> Reading:
    """What the state says, as far as a slate is made by it. Attribute weights join the belief's mixes with the session's own
    items.

    Raises ValueError if the state was made under other archetypes.
    """
    if state.archetypes != model.ids:
        raise ValueError(f"state has archetypes {state.archetypes}, the model {model.ids}: rebase it first")
    k, a, share, acted = len(model.ids), len(model.attributes), shares(state), sum(state.occupancy)
    given = np.frombuffer(pack(f"{2 * k + a}d", *state.log_belief, *share, *state.affinity))
    told = kernels.profiled(
        given[:k],
        given[k : 2 * k],
        state.doubt * UNIT / acted if acted else -1.0,
        courses.unpack_weights(state.courses) if state.courses else courses.opening(np.exp(state.log_belief)),
        model.mix64,
        given[2 * k :],
        UNIT,
        model.usual_affinity,
        OWN_SHARE * state.touched / (state.touched + OWN_ITEMS),
    )
    entropy, mixing, together, changed, first, second = told[a + k :].tolist()
    several = together >= SEVERAL_P
    turns = (int(first), int(second)) if several else ()
    active = [i for i, p in enumerate(share) if p > ACTIVE_P or i in turns]
    if len(active) > 1:
        active.sort(key=lambda i: -share[i])
    return Reading(told[a : a + k], told[:a], share, tuple(active), several, entropy, mixing, together, changed)


def profile(model: PersonaModel, state: PersonaState, reading: Reading | None = None) -> PersonaProfile:
    """The state's persona profile. reading : `read` of the same, where there is one.

    Raises ValueError if the state was made under other archetypes.
    """
    seen = read(model, state) if reading is None else reading
    k = len(model.ids)
    share_of_most = seen.entropy / math.log(k) if k > 1 else 0.0
    return PersonaProfile(
        archetypes=state.archetypes,
        belief=tuple(seen.belief.tolist()),
        attributes=model.attributes,
        attribute_weights=seen.attribute_weights,
        entropy=seen.entropy,
        entropy_share=share_of_most,
        unsure=share_of_most > UNSURE_SHARE,
        shares=seen.shares,
        mixing=seen.mixing,
        together=seen.together,
        changed=seen.changed,
        several=seen.several,
        active=tuple(state.archetypes[k] for k in seen.active_positions),
        active_positions=seen.active_positions,
        ledger=state.ledger,
        shift=state.shift,
        learned=model.learned,
    )


def rebase(old: PersonaModel | None, new: PersonaModel, state: PersonaState) -> PersonaState:
    """The state under another model: archetypes are matched by id.

    Archetypes that `new` adds enter with their prior mass, those it drops give theirs up to the others in
    proportion. Without the old model the affinity starts again, for its attributes aren't known. How the session goes
    starts again from the belief unless the archetypes are the same.
    """
    affinity = dict(zip(old.attributes, state.affinity, strict=False)) if old else {}
    kept = frozenset(new.ids)
    belief = _carry_over(state.archetypes, state.log_belief, new)
    acted = dict(zip(state.archetypes, state.occupancy, strict=False))
    occupancy = tuple(acted.get(i, 0) for i in new.ids)
    left = sum(occupancy)
    same = state.archetypes == new.ids
    return state._replace(
        archetypes=new.ids,
        log_belief=belief,
        occupancy=occupancy if left else (),
        doubt=state.doubt * left / sum(state.occupancy) if left else 0.0,
        courses=state.courses if same or not state.courses else courses.pack(courses.opening(np.exp(belief))),
        log_prior=_carry_over(state.archetypes, state.log_prior, new),
        affinity=tuple(affinity.get(i, 0) for i in new.attributes),
        ledger=tuple(e for e in state.ledger if e.persona in kept),
        shift=state.shift if state.shift and {state.shift.source, state.shift.target} <= kept else None,
        searched=ABSENT,  # a place among the old release's categories
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
