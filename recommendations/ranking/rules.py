"""Merchandisers' rules: what they may say of a slate, and what that makes of a ranking.

A rule with a `holdout` stays away from that share of visits; `Acting.tried` says of which rules a visit can tell something.

Which rule gives way to which: what "exclude" or "margin" leaves out is never shown, pinned or not; a pin stands in its slot
whatever balance says, and counts for it; balance comes before boost and bury, which only change the odds. Of two pins on one
slot the lower id wins. No rule shows what the request itself leaves out: what is out of stock, or fails the shopper's filters.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters
from recommendations.ranking.ranker import Moves
from recommendations.ranking.rule_pins import Pin, pin_of, place_pins
from recommendations.ranking.rule_shapes import ACTIONS, BARRING, Rule, Scope, Target
from recommendations.ranking.rule_targets import margins, reached, target_positions

__all__ = [
    "ACTIONS",
    "NOTHING",
    "Acting",
    "Cap",
    "Pin",
    "Rule",
    "RuleSet",
    "Scope",
    "Target",
    "acting",
    "compile_rules",
    "margins",
    "place_pins",
    "target_positions",
]

_SIGN = {"boost": 1.0, "bury": -1.0}

LEAST_KEPT = 4
MOST_KEPT_BYTES = 16 << 20
"""What is worked out for combinations of rules is kept up to this size; a shop's scopes make few that come often."""

MOST_HELD = 0.5
"""Share of visits that may go without a rule: beyond it, nothing is known sooner."""

_BITS = 62
"""Rules that are told apart at once, in one integer."""


class Cap(NamedTuple):
    """A balance that acts. group : (n,) int of each item; at most `share` of the slots go to one group, -1 is never held back."""

    rule: int
    share: float
    group: np.ndarray

    def most(self, count: int) -> int:
        """Slots out of `count` that one group may have; one at least, for leaving out is another rule's work."""
        return max(1, math.floor(self.share * count + 1e-9))


@dataclass(frozen=True)
class Acting:
    """The rules that act on a request.

    pins : by slot, then id.  caps : by id.
    weights : (S,) float32 by signature (`RuleSet.signature`), what is added to an item's log-odds, -inf for what is left out;
        None where no rule moves anything or leaves anything out.
    acts : R bytes, 1 for a rule that acts.  of : the rules that it is about.
    held : places of the rules that would act, had the visit not been drawn to go without them.
    """

    pins: tuple[Pin, ...] = ()
    caps: tuple[Cap, ...] = ()
    weights: np.ndarray | None = None
    acts: bytes = b""
    of: RuleSet | None = None
    held: tuple[int, ...] = ()
    _told: dict[int, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.pins or self.caps or self.weights is not None)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the rules that act, be there anything for them to do or not."""
        return () if self.of is None else tuple(rule.rule_id for rule, acts in zip(self.of.rules, self.acts, strict=True) if acts)

    @property
    def on_trial(self) -> bool:
        """Whether some rule with a holdout acts, or would."""
        return bool(self.held) or (self.of is not None and any(self.acts[place] for place in self.of.trials))

    def tried(self) -> list[tuple[Rule, bool, Acting]]:
        """(rule, whether the visit goes without it, what would act were that the other way round) of each with a holdout."""
        found: list[tuple[Rule, bool, Acting]] = []
        if self.of is None:
            return found
        for place in self.of.trials:
            held = place in self.held
            if held or self.acts[place]:
                other = _bits(np.frombuffer(self.acts, dtype=bool)) ^ 1 << place
                found.append((self.of.rules[place], held, _kept(self.of, other)))
        return found

    @cached_property
    def moves(self) -> Moves | None:
        """What the rules add to log-odds; None where none moves anything or leaves anything out."""
        return Moves(self.of.signature, self.weights) if self.weights is not None and self.of is not None else None

    def weigh(self, positions: np.ndarray) -> np.ndarray:
        """(m,) float32 to add to the log-odds of the items at m positions, -inf where a rule leaves the item out."""
        return self.moves.of(positions) if self.moves is not None else np.zeros(len(positions), dtype=np.float32)

    def on(self, position: int) -> tuple[int, ...]:
        """Ids of the rules that leave the item at a position out; if none does, of those that boost or bury it."""
        if self.weights is None or self.of is None:
            return ()
        row = self.of.signature.item(position)
        told = self._told.get(row)
        if told is None:
            barred = self.weights.item(row) == -math.inf
            told = tuple([rule for i, rule, bars in self.of.touching(row) if bars == barred and self.acts[i]])
            self._told[row] = told
        return told


@dataclass(frozen=True)
class RuleSet:
    """A shop's rules, resolved against one catalogue: R rules in the order of their ids, n items, K archetypes, C clusters.

    positions : R times the target's positions, ascending (of a pin with named items: as named).  pins : by place.
    in_context : context -> (R,) bool; `anywhere` for contexts that no rule names.
    for_persona : (K, R) bool.  everybody, everywhere : (R,) bool, rules without persona, or cluster, in their scope.
    for_cluster : (C, R) bool, true too of rules that act everywhere.
    starts, ends : (R,) float64 seconds.  turns : the moments at which some rule begins or ends to act, ascending.
    signature : (n,) int32: items that the same rules move or leave out have the same number, of S.
    touched : (S, R) float32 CSR, 1 for the signatures whose items are a rule's.
    local : (L,) places of the rules with clusters in their scope.  touched_locally : (S, L), their columns of `touched`.
    log_weight : (R,) float32: of boosts and buries; -inf of what leaves out; else 0.
    groups : place of each balance -> `Cap.group`.
    trials : places of the rules that some visits go without.
    """

    rules: tuple[Rule, ...]
    positions: tuple[np.ndarray, ...]
    anywhere: np.ndarray
    in_context: Mapping[str, np.ndarray]
    everybody: np.ndarray
    for_persona: np.ndarray
    everywhere: np.ndarray
    for_cluster: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    turns: tuple[float, ...]
    signature: np.ndarray
    touched: sparse.csr_matrix
    local: np.ndarray
    touched_locally: sparse.csr_matrix
    log_weight: np.ndarray
    groups: Mapping[int, np.ndarray]
    pins: Mapping[int, Pin]
    trials: tuple[int, ...] = ()
    _latest: OrderedDict[int, Acting] = field(default_factory=OrderedDict, compare=False, repr=False)
    _bases: OrderedDict[bytes, np.ndarray] = field(default_factory=OrderedDict, compare=False, repr=False)
    _scopes: OrderedDict[Any, int] = field(default_factory=OrderedDict, compare=False, repr=False)
    _touching: dict[int, tuple[tuple[int, int, bool], ...]] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.rules)

    @cached_property
    def by_cluster(self) -> tuple[int, tuple[int, ...]]:
        """`_bits` of `everywhere`, and of each cluster's rules."""
        return _bits(self.everywhere), tuple([_bits(acts) for acts in self.for_cluster])

    def touching(self, row: int) -> tuple[tuple[int, int, bool], ...]:
        """(place, id, whether it leaves out) of each rule that moves, or leaves out, the items of a signature."""
        found = self._touching.get(row)
        if found is None:
            columns = self.touched.indices[self.touched.indptr[row] : self.touched.indptr[row + 1]].tolist()
            rules = [(i, self.rules[i]) for i in sorted(columns)]
            found = self._touching[row] = tuple((i, rule.rule_id, rule.action in BARRING) for i, rule in rules)
        return found


def compile_rules(
    rules: Sequence[Rule],
    catalogue: Catalogue,
    clusters: ItemClusters,
    personas: Sequence[int],
    popularity: np.ndarray | None = None,
) -> RuleSet:
    """Rules ready to act. personas : (K,) ids of the archetypes in the engine's order.

    popularity : (n,) by which a pin chooses among items that no session speaks for; None for their order in the catalogue.

    Items, clusters and personas that aren't there are nothing: a condition that names only such holds nowhere.
    Raises ValueError on an unknown action, a repeated id or numbers out of bounds.
    """
    rules = tuple(sorted(rules, key=lambda rule: rule.rule_id))
    _check(rules)
    positions = tuple(reached(rule, catalogue, clusters) for rule in rules)
    scopes = [rule.scope for rule in rules]
    signature, touched = _signatures(rules, positions, len(catalogue))
    anywhere = np.array([not scope.contexts for scope in scopes], dtype=bool)
    named = {context for scope in scopes for context in scope.contexts}
    return RuleSet(
        rules=rules,
        positions=positions,
        anywhere=anywhere,
        in_context={name: anywhere | np.array([name in s.contexts for s in scopes], dtype=bool) for name in sorted(named)},
        everybody=np.array([not scope.personas for scope in scopes], dtype=bool),
        for_persona=np.array([k in s.personas for k in personas for s in scopes], dtype=bool).reshape(len(personas), len(rules)),
        everywhere=(everywhere := np.array([not scope.clusters for scope in scopes], dtype=bool)),
        for_cluster=_by_cluster(scopes, clusters) | everywhere,
        starts=np.array([-np.inf if scope.starts is None else scope.starts for scope in scopes], dtype=np.float64),
        ends=np.array([np.inf if scope.ends is None else scope.ends for scope in scopes], dtype=np.float64),
        turns=tuple(sorted({t for scope in scopes for t in (scope.starts, scope.ends) if t is not None})),
        signature=signature,
        touched=touched,
        local=(local := np.flatnonzero(~everywhere)),
        touched_locally=touched[:, local].tocsr(),
        log_weight=np.array([_log_weight(rule) for rule in rules], dtype=np.float32),
        groups={
            i: _group(rule, found, catalogue)
            for i, (rule, found) in enumerate(zip(rules, positions, strict=True))
            if rule.action == "balance"
        },
        pins={
            i: pin_of(rule, found, popularity, len(catalogue))
            for i, (rule, found) in enumerate(zip(rules, positions, strict=True))
            if rule.action == "pin"
        },
        trials=tuple(i for i, rule in enumerate(rules) if rule.holdout > 0.0),
    )


def acting(
    rule_set: RuleSet,
    *,
    now: float,
    context: str,
    personas: Sequence[int],
    clusters: np.ndarray,
    visit: tuple[int, str] | None = None,
) -> Acting:
    """What acts on one request. personas : positions of those active (or the likeliest).  clusters : positions of those selected.

    visit : (shop, session), by which it is drawn which rules it goes without; None for all that act.
    The answer depends on which rules act alone, so that the latest few are kept.
    """
    if not len(rule_set):
        return NOTHING
    when = bisect_right(rule_set.turns, now)
    scope = (context, when, *personas)
    acts = rule_set._scopes.get(scope)
    if acts is None:
        within = rule_set.in_context.get(context, rule_set.anywhere) & (rule_set.starts <= now) & (now < rule_set.ends)
        within &= rule_set.everybody | np.logical_or.reduce(rule_set.for_persona[list(personas)], axis=0)
        acts = _bits(within)
        _keep(rule_set._scopes, scope, acts, len(within))
    somewhere, by_cluster = rule_set.by_cluster
    for cluster in clusters.tolist():
        somewhere |= by_cluster[cluster]
    acts &= somewhere
    held: tuple[int, ...] = ()
    if rule_set.trials and visit is not None:
        held = tuple([i for i in rule_set.trials if acts >> i & 1 and rule_set.rules[i].goes_without(*visit)])
        for i in held:
            acts ^= 1 << i
    found = _kept(rule_set, acts)
    return replace(found, held=held) if held else found


def _bits(acts: np.ndarray) -> int:
    """(R,) bool as one number, the first rule its lowest bit: quicker than arrays of a few hundred."""
    return int.from_bytes(np.packbits(acts, bitorder="little").tobytes(), "little")


def _kept(rule_set: RuleSet, acts: int) -> Acting:
    """What the rules do that act, by their `_bits`; of the latest few it is known."""
    found = rule_set._latest.get(acts)
    if found is None:
        packed = np.frombuffer(acts.to_bytes((len(rule_set) + 7) // 8, "little"), dtype=np.uint8)
        found = _worked_out(rule_set, np.unpackbits(packed, count=len(rule_set), bitorder="little").astype(bool))
        _keep(rule_set._latest, acts, found, len(rule_set.touched.indptr))
    return found


def _worked_out(rule_set: RuleSet, acts: np.ndarray) -> Acting:
    pins = [pin for i, pin in rule_set.pins.items() if acts[i]]
    caps = [(rule_set.rules[i], group) for i, group in rule_set.groups.items() if acts[i]]
    return Acting(
        pins=tuple(sorted(pins, key=lambda pin: (pin.slot, pin.rule))),
        caps=tuple(Cap(rule.rule_id, rule.share, group) for rule, group in caps),
        weights=_weights(rule_set, acts),
        acts=acts.tobytes(),
        of=rule_set,
    )


def _weights(rule_set: RuleSet, acts: np.ndarray) -> np.ndarray | None:
    """`Acting.weights`. Clusters that are selected differ from visit to visit; what acts whatever they are is worked out once."""
    acts = acts & (rule_set.log_weight != 0)
    if not acts.any():
        return None
    fixed = acts & rule_set.everywhere
    key = fixed.tobytes()
    base = rule_set._bases.get(key)
    if base is None:
        base = rule_set.touched @ np.where(fixed, rule_set.log_weight, np.float32(0.0))
        _keep(rule_set._bases, key, base, len(base))
    here = acts[rule_set.local]
    if not here.any():
        return base
    return base + rule_set.touched_locally @ np.where(here, rule_set.log_weight[rule_set.local], np.float32(0.0))


def _keep(latest: OrderedDict[Any, Any], key: object, value: object, size: int) -> None:
    latest[key] = value
    while len(latest) > max(LEAST_KEPT, MOST_KEPT_BYTES // (4 * size)):
        latest.popitem(last=False)


def _log_weight(rule: Rule) -> float:
    return -math.inf if rule.action in BARRING else _SIGN.get(rule.action, 0.0) * math.log(rule.strength)


def _group(rule: Rule, positions: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    if rule.target == Target():
        return catalogue.category
    group = np.full(len(catalogue), -1, dtype=np.int16)
    group[positions] = 0
    return group


def _check(rules: Sequence[Rule]) -> None:
    if len({rule.rule_id for rule in rules}) < len(rules):
        raise ValueError("two rules have one id")
    for rule in rules:
        sound = {
            "pin": rule.slot >= 0,
            "boost": 1.0 <= rule.strength < math.inf,
            "bury": 1.0 <= rule.strength < math.inf,
            "exclude": True,
            "balance": 0.0 < rule.share <= 1.0,
            "margin": -math.inf < rule.margin < 1.0,
        }
        if not sound.get(rule.action, False) or not 0.0 <= rule.holdout <= MOST_HELD:
            raise ValueError(f"rule {rule.rule_id} can't be: {rule}")


def _signatures(rules: Sequence[Rule], positions: Sequence[np.ndarray], n: int) -> tuple[np.ndarray, sparse.csr_matrix]:
    """`RuleSet.signature` and `RuleSet.touched`. Only rules that move or leave out are told apart."""
    told = [i for i, rule in enumerate(rules) if rule.action in _SIGN or rule.action in BARRING]
    signature = np.zeros(n, dtype=np.int64)
    for start in range(0, len(told), _BITS):
        bits = np.zeros(n, dtype=np.int64)
        for bit, i in enumerate(told[start : start + _BITS]):
            bits[positions[i]] |= np.int64(1) << bit
        distinct, bits = np.unique(bits, return_inverse=True)
        signature = np.unique(signature * len(distinct) + bits, return_inverse=True)[1]
    distinct, first = np.unique(signature, return_index=True)
    place = np.full(n, -1, dtype=np.int64)
    place[first] = distinct
    rows, columns = [], []
    for i in told:
        here = place[positions[i]]
        here = here[here >= 0]
        rows.append(here)
        columns.append(np.full(len(here), i))
    row = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    column = np.concatenate(columns) if columns else np.zeros(0, dtype=np.int64)
    parts = (np.ones(len(row), dtype=np.float32), (row, column))
    return signature.astype(np.int32), sparse.csr_matrix(parts, shape=(len(distinct), len(rules)))


def _by_cluster(scopes: Sequence[Scope], clusters: ItemClusters) -> np.ndarray:
    named = np.zeros((len(clusters), len(scopes)), dtype=bool)
    for i, scope in enumerate(scopes):
        named[[clusters.position_of[c] for c in scope.clusters if c in clusters.position_of], i] = True
    return named


NOTHING = Acting()
"""Where no rule acts."""
