"""A persona model under other attributes and archetypes, before it is fitted on them: what a draft would change. Pure.

Publishing fits personas anew on the whole log, which takes as long as the log is. Here one round of that fit is taken from
where the model stands, without the log: the tables of a fit are counts of the log and pseudo-counts of the archetypes
(`archetypes.held`), so that the archetypes' part can be taken out and the draft's put in (Gauvain & Lee 1994, the M-step).
How the log's events fall to the personas stays as it was; later rounds of the fit move that too, mostly the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from personas.archetypes import (
    Archetype,
    Attribute,
    PersonaError,
    held,
    starting_model,
    tilted,
    tilts,
)
from personas.assembly import assemble
from personas.encoding import FACTORS
from personas.events import CODE, ITEM_ACTIONS
from personas.evidence import EvidenceNetwork
from personas.hmm import PersonaHMM
from personas.profile import PersonaModel

_ITEM_CODES = [CODE[name] for name in sorted(ITEM_ACTIONS)]


@dataclass(frozen=True)
class Fitted:
    """What a model was fitted to and on. events : steps of the log.  shares : archetype id -> its share of them; what is not
    known of is taken for an even share."""

    attributes: tuple[Attribute, ...]
    archetypes: tuple[Archetype, ...]
    events: float = 0.0
    shares: Mapping[int, float] | None = None


def reweighed(
    model: PersonaModel,
    fitted: Fitted,
    attributes: Sequence[Attribute],
    archetypes: Sequence[Archetype],
    descriptors: Sequence[str],
    item_descriptors: sparse.csr_matrix,
) -> PersonaModel:
    """The model with these attributes and archetypes in place of those it was fitted to, everything else as it was learned.

    Archetypes are matched by id. One that is new shows what its attributes say, and is as likely as any.
    descriptors : D names.  item_descriptors : (n, D), of the items of `model.facts`.
    The same definition gives the very same tables. Raises PersonaError where the definition can't be taken.
    """
    if not archetypes:
        raise PersonaError("archetypes", "is empty; at least one is needed")
    begin, _ = starting_model(attributes, archetypes, model.facts, descriptors, item_descriptors)
    place = {id_: k for k, id_ in enumerate(model.ids)}
    kept = [(k, place[a.id]) for k, a in enumerate(archetypes) if a.id in place]
    hmm = PersonaHMM(
        _merged_initial(model.hmm, begin, kept),
        _merged_transition(model.hmm, begin, kept),
        tuple(_tables(model, fitted, attributes, archetypes, descriptors, item_descriptors)),
        model.hmm.learned,
    )
    network = _network(model, hmm.log_initial, [place.get(a.id, -1) for a in archetypes])
    return assemble(hmm, network, model.facts, attributes, archetypes, descriptors, item_descriptors)


def _tables(
    model: PersonaModel,
    fitted: Fitted,
    attributes: Sequence[Attribute],
    archetypes: Sequence[Archetype],
    descriptors: Sequence[str],
    item_descriptors: sparse.csr_matrix,
) -> list[np.ndarray]:
    """F log-tables (K, V_f): of each, the log's counts and what the archetypes hold it by."""
    given = {a.id: k for k, a in enumerate(fitted.archetypes)}
    place = {id_: k for k, id_ in enumerate(model.ids)}
    if missing := [name for id_, name in zip(model.ids, model.archetype_names, strict=True) if id_ not in given]:
        raise PersonaError("archetypes", f"the model has {missing[0]!r}, which it isn't said to be fitted to")
    leant = tilts(fitted.attributes, fitted.archetypes, model.facts, descriptors, item_descriptors)
    leans = tilts(attributes, archetypes, model.facts, descriptors, item_descriptors)
    old, new, k = len(fitted.archetypes), len(archetypes), len(model.ids)
    order = [given[id_] for id_ in model.ids]
    even = 1.0 / k
    share = np.array([max((fitted.shares or {}).get(id_, even), 0.0) for id_ in model.ids])
    share /= share.sum()
    rows = np.array([place.get(a.id, -1) for a in archetypes])
    known = rows >= 0
    present = _present(model, share)
    tables = []
    for f in range(len(FACTORS)):
        table = np.exp(model.hmm.log_emission[f])
        usual = share @ table
        shown = fitted.events * present[f] if model.hmm.learned[f] else 0.0
        weight_before, weight = held(leant[f], shown / old)[order], held(leans[f], shown / new)
        before, after = weight_before * tilted(usual, leant[f])[order], weight * tilted(usual, leans[f])
        whole = (shown * share[:, None] + weight_before) * table
        counts = after.copy()
        told = whole[rows[known]]
        # What hardly anybody has shown isn't counted in full (`fitting`), so a part taken out may be more than there is.
        floor = np.minimum(told, after[known])
        counts[known] = np.maximum(told + after[known] - before[rows[known]], floor)
        counts /= counts.sum(axis=1, keepdims=True)
        logs = np.log(np.maximum(counts, 1e-300))
        same = known & (after == before[rows]).all(axis=1)
        logs[same] = model.hmm.log_emission[f][rows[same]]
        tables.append(logs)
    return tables


def _present(model: PersonaModel, share: np.ndarray) -> np.ndarray:
    """(F,) about which part of the steps has each factor, by what kinds of step the personas take."""
    event = share @ np.exp(model.hmm.log_emission[0])
    on_items = float(event[_ITEM_CODES].sum())
    by_factor = {"event": 1.0, "gap": 1.0, "query": float(event[CODE["search"]])}
    return np.array([by_factor.get(factor, on_items) for factor in FACTORS])


def _merged_initial(learned: PersonaHMM, begin: PersonaHMM, kept: Sequence[tuple[int, int]]) -> np.ndarray:
    if not kept:
        return begin.log_initial
    now, before = (list(side) for side in zip(*kept, strict=True))
    if len(kept) == len(begin.log_initial) == len(learned.log_initial):
        return learned.log_initial[before]
    initial = np.exp(begin.log_initial)
    initial[now] = np.exp(learned.log_initial[before])
    merged: np.ndarray = np.log(initial / initial.sum())
    return merged


def _merged_transition(learned: PersonaHMM, begin: PersonaHMM, kept: Sequence[tuple[int, int]]) -> np.ndarray:
    if not kept:
        return begin.log_transition
    now, before = (list(side) for side in zip(*kept, strict=True))
    if len(kept) == len(begin.log_initial) == len(learned.log_initial):
        return learned.log_transition[np.ix_(before, before)]
    transition = np.exp(begin.log_transition)
    transition[np.ix_(now, now)] = np.exp(learned.log_transition[np.ix_(before, before)])
    merged: np.ndarray = np.log(transition / transition.sum(axis=1, keepdims=True))
    return merged


def _network(model: PersonaModel, log_initial: np.ndarray, rows: Sequence[int]) -> EvidenceNetwork:
    """The evidence of those that stay; of a new persona, that of everybody."""
    at = np.array(rows)
    everybody = np.exp(model.network.log_initial)
    tables = []
    for table in model.network.log_tables:
        mean = np.log(np.maximum(everybody @ np.exp(table) / everybody.sum(), 1e-300))
        tables.append(np.where(at[:, None] >= 0, table[at], mean))
    return replace(model.network, log_initial=log_initial, log_tables=tuple(tables))
