"""Why an item was shown, in exact numbers: what its score is made of, and what it would miss of each cause. Pure.

The parts are Shapley values (Shapley, 1953; Lundberg & Lee, 2017, "A unified approach to interpreting model predictions") over
the experts: each one's part is what it adds to the blend's score, averaged over all orders in which the experts may be heard,
against a candidate of whom they say what they say of the average one. With what is added outside the blend, which adds up as it
is, they sum to the score less that of the average candidate. The causes are tried as in `ranking.removals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import NamedTuple

import numpy as np

from clusters import adaptation, alignment
from personas.sessions import NO_ITEM
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.ranking import blend as blending
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS, Evidence, gather_without
from recommendations.ranking.opening import odds
from recommendations.ranking.ranker import SCRATCH, Ranker, affinity, cluster_log_weight
from recommendations.ranking.removals import LEAST, log_odds, without
from recommendations.session import Request, SessionState, SlateItem
from recommendations.slates import Made, make

HEARD = tuple(e for e, expert in enumerate(EXPERTS) if EXPERT_COLUMNS[e].any())
"""Experts whose features the blend reads; the others speak before the first item."""

ROUNDING = 1e-3


class Part(NamedTuple):
    """What one voice adds to the score, in log-odds.

    name : an expert, or "cluster weights", "brought in", "spared", "lessened", "passed over" (of `_weighed`), "rules", "page"
    (what the slate stands beside), "other".
    """

    name: str
    value: float


class Tried(NamedTuple):
    """What the item would miss without one cause: by how much its log-odds against the others of the ranking would fall.

    kind : "item", "expert", "cluster", "persona" or "page".  key : id of the item, cluster or persona; 0 for others.
    name : title or name.  holds : whether the fall is more than rounding.
    """

    kind: str
    key: int
    name: str
    fall: float
    holds: bool


@dataclass(frozen=True)
class Account:
    """Why one item of a slate is in it.

    shown : the slot, as made again; None if the slate made again lacks the item.  place : in the ranking, from 0.
    ranked : items of the ranking.  score : of the item; `baseline` and `parts` add up to it.
    log_odds : of the item against the others of the ranking.
    """

    item: int
    shown: SlateItem | None
    place: int
    ranked: int
    score: float
    baseline: float
    log_odds: float
    parts: tuple[Part, ...]
    tried: tuple[Tried, ...]
    made: Made


def why(engine: Engine, state: SessionState, request: Request, item: int) -> Account:
    """Why an item is in the slate that `recommend` gives for a state. item : id.

    Raises LookupError if the ranking doesn't hold the item.
    """
    made = make(engine, state, request, loop.generator(state))
    position = engine.catalogue.position(item)
    places = made.trial.ranked.positions.tolist()
    if position not in places:
        raise LookupError(f"the ranking holds no item {item}")
    place = places.index(position)
    shown = next((i for i in made.slate.items if i.item == item), None)
    score = float(made.trial.ranked.scores[place])
    known = len(made.trial.scores)
    if place >= known:  # it fills the list up, or a rule put it there: nobody has a say of it
        return Account(item, shown, place, len(places), score, score, float("nan"), (), (), made)
    baseline, parts = _parts(engine, made, place, score)
    odds_now = float(log_odds(made.trial.scores[None, :])[0, place])
    return Account(item, shown, place, len(places), score, baseline, odds_now, parts, _tried(engine, made, place), made)


def shapley(ranker: Ranker, evidence: Evidence, column: int) -> tuple[float, np.ndarray]:
    """The blend's score of the average candidate, and each expert's part (E,) of a candidate's above it."""
    mean = evidence.features.mean(axis=1, dtype=np.float64).astype(np.float32)
    own = evidence.features[:, column]
    n = len(HEARD)
    worlds = np.repeat(mean[:, None], 1 << n, axis=1)
    for bit, expert in enumerate(HEARD):
        rows = np.flatnonzero(EXPERT_COLUMNS[expert])
        heard = np.flatnonzero(np.arange(1 << n) >> bit & 1)
        worlds[np.ix_(rows, heard)] = own[rows, None]
    value = blending.score(ranker.blend, np.ascontiguousarray(worlds)).astype(np.float64)
    parts = np.zeros(len(EXPERTS))
    for bit, expert in enumerate(HEARD):
        others = [b for b in range(n) if b != bit]
        for size in range(n):
            weight = factorial(size) * factorial(n - 1 - size) / factorial(n)
            for chosen in combinations(others, size):
                before = sum(1 << b for b in chosen)
                parts[expert] += weight * (value[before | 1 << bit] - value[before])
    return float(value[0]), parts


def _parts(engine: Engine, made: Made, place: int, score: float) -> tuple[float, tuple[Part, ...]]:
    """The score of the average candidate, and what makes the difference, the weightiest first."""
    trial = made.trial
    position = trial.items[place : place + 1]
    if trial.ranked.evidence is not None:
        baseline, experts = shapley(engine.ranker, trial.ranked.evidence, int(trial.ranked.columns[place]))
    else:
        baseline, experts = _opening(engine, made, position)
    parts = [Part(name, float(value)) for name, value in zip(EXPERTS, experts, strict=True)]
    if trial.cluster_weight:
        parts.append(Part("cluster weights", float(cluster_log_weight(engine.clusters, trial.cluster_weight, position)[0])))
    parts += _weighed(engine, made, int(position[0]))
    if made.ruling.weights is not None:
        parts.append(Part("rules", float(made.ruling.weigh(position)[0])))
    if trial.pool is not None:
        parts.append(Part("page", float(trial.pool[place])))
    rest = score - baseline - sum(part.value for part in parts)
    parts.append(Part("other", rest))
    told = [part for part in parts if abs(part.value) > (ROUNDING if part.name == "other" else 1e-9)]
    told.sort(key=lambda part: -abs(part.value))
    # What rounding leaves over goes to the baseline, so that the sum is the score.
    return score - sum(part.value for part in told), tuple(told)


def _weighed(engine: Engine, made: Made, position: int) -> list[Part]:
    """What the item weighs by itself, beside its clusters: by whether it came in with an expansion, is spared what a cluster lost
    or is lessened in the shop's clusters, and by how often the visit passed it over."""
    adapted = made.state.adapted
    own = {
        "brought in": adaptation.brought_weights(engine.reach, adapted).get(position, 1.0),
        "spared": adaptation.spared_weights(engine.reach, adapted).get(position, 1.0),
        "lessened": engine.clusters.kept.get(position, 1.0),
    }
    parts = [Part(name, float(np.log(by))) for name, by in own.items()]
    whole = float(np.log(max(made.item_weight.get(position, 1.0), 1e-6)))
    return [*parts, Part("passed over", whole - sum(part.value for part in parts))]


def _opening(engine: Engine, made: Made, position: np.ndarray) -> tuple[float, np.ndarray]:
    """Before the first item the score is a sum: log P(item), what the belief adds to it, what reminders add to that."""
    trial, shelves = made.trial, engine.shelves
    rates = engine.ranker.reminders if engine.ranker.reminders is not None else np.zeros(0)
    opening = trial.ranked.opening
    opened = opening.positions if opening is not None else trial.items
    nobody = odds(shelves, position, belief=None, own=trial.own[:0], rates=rates)
    guest = odds(shelves, position, belief=trial.belief, own=trial.own[:0], rates=rates)
    all_of_it = odds(shelves, position, belief=trial.belief, own=trial.own, rates=rates)
    baseline = float(shelves.every[opened].mean())
    parts = np.zeros(len(EXPERTS))
    parts[EXPERTS.index("popularity")] = float(nobody[0]) - baseline
    parts[EXPERTS.index("personas")] = float(guest[0] - nobody[0])
    parts[EXPERTS.index("reminders")] = float(all_of_it[0] - guest[0])
    return baseline, parts


def _tried(engine: Engine, made: Made, place: int) -> tuple[Tried, ...]:
    """Every cause that the item may have, the one it would miss most first."""
    trial, model = made.trial, engine.personas
    after: list[tuple[str, int, str, np.ndarray]] = []
    for position in dict.fromkeys(trial.history.positions[::-1].tolist()):
        item = engine.catalogue.item_ids.item(position)
        after.append(("item", item, engine.catalogue.titles[position], trial.without_item(position)))
    heard = [EXPERTS[e] for e in HEARD] if trial.ranked.evidence is not None else ["popularity", "personas", "reminders"]
    after += [("expert", 0, e, scores) for e, scores in zip(heard, trial.without_experts(heard), strict=True)]
    of_item = engine.clusters.of_item
    position = int(trial.items[place])
    for row in of_item.indices[of_item.indptr[position] : of_item.indptr[position + 1]].tolist():
        cluster = engine.clusters.cluster_ids.item(row)
        after.append(("cluster", cluster, engine.clusters.names[row], trial.without_cluster(row)))
    for k in made.seen.profile.active_positions or (int(trial.belief.argmax()),):
        after.append(("persona", model.ids[k], model.archetype_names[k], _without_persona(engine, made, k)))
    if trial.pool is not None:
        after.append(("page", 0, "what the slate stands beside", trial.without_beside()))
    falls = trial.falls([scores for _, _, _, scores in after])[:, place]
    told = [Tried(kind, key, name, float(f), bool(f >= LEAST)) for (kind, key, name, _), f in zip(after, falls, strict=True)]
    return tuple(sorted(told, key=lambda t: -t.fall if t.fall == t.fall else 0.0))


def _without_persona(engine: Engine, made: Made, persona: int) -> np.ndarray:
    """(k,) scores if the shopper were surely not this persona: other clusters are selected then, and the experts say it anew."""
    trial, evidence = made.trial, made.trial.ranked.evidence
    if evidence is None:
        return trial.without_persona(persona)
    seen, state = made.seen, made.state
    selection = alignment.select(
        engine.clusters,
        state.adapted,
        belief=without(trial.belief, persona),
        attributes=seen.profile.attribute_weights,
        affinity=affinity(engine.layout, seen.representation),
        active=tuple(k for k in seen.profile.active_positions if k != persona),
    )
    features = gather_without(
        engine.ranker,
        evidence,
        trial.ranked.columns,
        NO_ITEM,
        seen.representation,
        layout=engine.layout,
        selection=selection,
        scratch=SCRATCH,
    )
    base = blending.score(engine.ranker.blend, features)
    return np.asarray(trial.scores + (base - trial.base))
