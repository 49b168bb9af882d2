"""What fills the slots, with the reasons: whom and what an item is for, what carried it, and that in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from personas.events import ENGAGEMENT, NAMES, UNKNOWN_ITEM
from personas.sessions import NO_ITEM
from recommendations.parts import Engine
from recommendations.ranking import explaining, wording
from recommendations.ranking.explaining import NO_CAUSE
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.history import History
from recommendations.ranking.naming import Named, name, nothing
from recommendations.ranking.ranker import Ranked
from recommendations.ranking.removals import Trial
from recommendations.ranking.rules import Acting
from recommendations.ranking.slate import Chosen
from recommendations.session import Request, SessionState, SlateItem

if TYPE_CHECKING:
    from recommendations.ranking.contexts import Context
    from recommendations.slates import View

_NOBODYS = np.zeros(0, dtype=np.int32)
_ENGAGEMENT = [ENGAGEMENT.get(event, 0.0) for event in NAMES]


def trial_of(
    engine: Engine, state: SessionState, seen: View, ranked: Ranked, cluster_weight: Mapping[int, float], place: Context
) -> Trial:
    """A ranking, ready to be made again without one of its causes. cluster_weight : as `ranker.rank` was given it."""
    own = engine.catalogue.positions(state.own) if state.own else _NOBODYS
    pool = None
    if place.pool is not None:
        weight = dict(zip(place.pool.positions.tolist(), place.pool.log_weight.tolist(), strict=True))
        pool = np.array([weight.get(p, 0.0) for p in ranked.positions[: len(ranked.columns)].tolist()], dtype=np.float32)
    return Trial(
        ranker=engine.ranker,
        ranked=ranked,
        history=seen.history,
        layout=engine.layout,
        clusters=engine.clusters,
        selection=seen.selection,
        cluster_weight=cluster_weight,
        shelves=engine.shelves,
        belief=seen.belief,
        own=own[own != NO_ITEM],
        pool=pool,
    )


def slate_items(
    engine: Engine, state: SessionState, trial: Trial, slots: list[Chosen], ruling: Acting, place: Context, request: Request
) -> tuple[SlateItem, ...]:
    """The items of a slate. ruling : the rules that acted on it.  place : where it stands.  request : what was asked."""
    ranked = trial.ranked
    rows = np.array([chosen.row for chosen in slots], dtype=np.intp)
    found = ranked.positions[rows]
    positions = found.tolist()
    ids, of_cluster, of_persona = engine.catalogue.item_ids, engine.clusters.cluster_ids, engine.personas.ids
    shown = (
        ids[found].tolist(),
        range(len(slots)),
        ranked.scores[rows].tolist(),
        [chosen.propensity for chosen in slots],
        [of_persona[chosen.persona] if chosen.persona >= 0 else 0 for chosen in slots],
        [of_cluster.item(chosen.cluster) if chosen.cluster >= 0 else 0 for chosen in slots],
    )
    rules = [chosen.rules for chosen in slots]
    if ruling.weights is not None:
        rules = [held + ruling.on(position) for held, position in zip(rules, positions, strict=True)]
    if not request.reasons:
        nothing_told: tuple[list[Any], ...] = (
            [UNKNOWN_ITEM] * len(slots),
            [""] * len(slots),
            [""] * len(slots),
            [{} for _ in slots],
        )
        return tuple(map(SlateItem, *shown, *nothing_told, rules))
    why = explaining.explain(engine.ranker, trial.history, ranked, rows)
    if place.relevance is None:
        labels = [chosen.cluster for chosen in slots], [chosen.persona for chosen in slots]
        named = name(trial, rows, why, *labels, beside=place.causes is not None)
    else:  # found by its words: what the session adds has been squeezed into a small part of the score
        named = nothing(len(rows))
    because, reasons = _words(engine, state, trial.history, slots, positions, named, ruling, place, request)
    parts = why.shares.astype(np.float64).round(4).tolist()
    experts = [{e: s for e, s in zip(EXPERTS, part, strict=False) if s > 0.0} for part in parts]
    return tuple(map(SlateItem, *shown, because, named.experts, reasons, experts, rules))


def _words(
    engine: Engine,
    state: SessionState,
    history: History,
    slots: list[Chosen],
    positions: list[int],
    named: Named,
    ruling: Acting,
    place: Context,
    request: Request,
) -> tuple[list[int], list[str]]:
    """The id of the item for which each slot is as it is, and the reason in words; the same reason is put into words once."""
    titles, ids = engine.catalogue.titles, engine.catalogue.item_ids
    touched, pins = {touch.item for touch in state.touches}, {pin.rule for pin in ruling.pins}
    found = request.context == "search" and place.relevance is not None
    # Of each item that is named: its id, its title and what the shopper did with it.
    causes: dict[int, tuple[int, str, int]] = {NO_CAUSE: (UNKNOWN_ITEM, "", -1)}
    said: dict[tuple[object, ...], str] = {}
    because, reasons = [], []
    for slot, (chosen, position, cause, expert, of_cluster) in enumerate(
        zip(slots, positions, named.because, named.experts, named.clusters, strict=True)
    ):
        if cause not in causes:
            item = int(ids[cause])
            causes[cause] = item, titles[cause], _did(history, cause) if item in touched else -1
        item, title, did = causes[cause]
        beside = place.causes.get(position) if place.causes and named.beside[slot] else None
        if beside is not None:
            item = ids.item(beside.anchor)
        cluster = chosen.cluster if of_cluster else NO_CAUSE
        key = (expert, chosen.explored, chosen.rules, cause, cause == position, cluster, beside)
        if key not in said:
            said[key] = wording.reason(
                expert=expert,
                explored=chosen.explored,
                pinned=not pins.isdisjoint(chosen.rules),
                because=title,
                itself=cause == position,
                did=did,
                beside=beside.phrase.format(title=titles[beside.anchor]) if beside else "",
                found=found,
                cluster=engine.clusters.names[cluster] if of_cluster else "",
            )
        because.append(item)
        reasons.append(said[key])
    return because, reasons


def _did(history: History, position: int) -> int:
    """Code of the event that says most of what the session did with an item."""
    return max(history.codes[history.positions == position].tolist(), key=lambda code: _ENGAGEMENT[code])
