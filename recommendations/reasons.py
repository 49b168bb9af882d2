"""What fills the slots, with the reasons: whom and what an item is for, what carried it, and that in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from personas.events import ENGAGEMENT, NAMES, UNKNOWN_ITEM
from personas.sessions import NO_ITEM
from recommendations.parts import Engine
from recommendations.ranking import explaining, naming, wording
from recommendations.ranking.explaining import NO_CAUSE
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.history import History
from recommendations.ranking.naming import Named
from recommendations.ranking.ranker import Ranked
from recommendations.ranking.removals import Trial
from recommendations.ranking.rules import Acting
from recommendations.ranking.slate import Slots
from recommendations.session import Request, SessionState, SlateItem

if TYPE_CHECKING:
    from recommendations.ranking.contexts import Cause, Context
    from recommendations.session_view import View

_item = partial(tuple.__new__, SlateItem)
"""An item of a tuple of all its fields, in a third of the time."""

MAX_SAID = 20_000
"""Reasons of which a process keeps the words, for an engine, some 4 MB."""


class Mark(NamedTuple):
    """What a slot has of its place and of rules. pinned : by a merchandiser.  beside : how it stands to what the slate stands
    beside, None where that may not be named.  found : by a search."""

    pinned: bool
    beside: Cause | None
    found: bool


UNMARKED = Mark(pinned=False, beside=None, found=False)

_NOBODYS = np.zeros(0, dtype=np.int32)
_ENGAGEMENT = [ENGAGEMENT.get(event, 0.0) for event in NAMES]


def trial_of(
    engine: Engine, state: SessionState, seen: View, ranked: Ranked, cluster_weight: Mapping[int, float], place: Context
) -> Trial:
    """A ranking, ready to be made again without one of its causes. cluster_weight : as `ranker.rank` was given it."""
    own = _NOBODYS
    if state.own:
        own = engine.catalogue.positions(state.own)
        own = own[own != NO_ITEM]
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
        own=own,
        pool=pool,
    )


def slate_items(
    engine: Engine,
    state: SessionState,
    ranked: Ranked,
    to_try: Callable[[], Trial],
    slots: Slots,
    ruling: Acting,
    place: Context,
    request: Request,
) -> tuple[SlateItem, ...]:
    """The items of a slate. to_try : makes the trial of the ranking, asked for only where reasons are.  ruling : the rules that
    acted on it.  place : where it stands.  request : what was asked."""
    count = len(slots)
    rows = slots.rows
    found = ranked.positions[rows]
    of_cluster, of_persona = engine.clusters.cluster_ids, engine.personas.ids
    shown = (
        engine.catalogue.item_ids[found].tolist(),
        range(count),
        ranked.scores[rows].tolist(),
        slots.propensities,
        [of_persona[persona] if persona >= 0 else 0 for persona in slots.personas],
        [of_cluster.item(cluster) if cluster >= 0 else 0 for cluster in slots.clusters],
    )
    rules = slots.rules
    if ruling.weights is not None:
        rules = [held + ruling.on(position) for held, position in zip(rules, found.tolist(), strict=True)]
    if not request.reasons:
        empty: list[dict[str, float]] = [{} for _ in range(count)]
        return tuple(map(_item, zip(*shown, repeat(UNKNOWN_ITEM), repeat(""), repeat(""), empty, rules, strict=False)))
    positions, trial, beside = found.tolist(), to_try(), place.causes is not None
    if ranked.evidence is not None and place.relevance is None:
        named, shares = naming.told(trial, rows, slots.clusters, beside=beside)
    else:
        why = explaining.explain(engine.ranker, trial.history, ranked, rows)
        shares = why.shares.astype(np.float64).round(4)
        # Of what is found by its words, what the session adds has been squeezed into a small part of the score.
        searched = place.relevance is not None
        named = naming.nothing(count) if searched else naming.opened(trial, rows, why, slots.clusters, beside=beside)
    because, reasons = _words(engine, state, trial.history, slots, positions, named, ruling, place, request)
    experts = [{EXPERTS[e]: part for e, part in enumerate(parts) if part} for parts in shares.tolist()]  # none is below 0
    return tuple(map(_item, zip(*shown, because, named.experts, reasons, experts, rules, strict=True)))


def _words(
    engine: Engine,
    state: SessionState,
    history: History,
    slots: Slots,
    positions: list[int],
    named: Named,
    ruling: Acting,
    place: Context,
    request: Request,
) -> tuple[list[int], list[str]]:
    """The id of the item for which each slot is as it is, and the reason in words; the same reason is put into words once."""
    ids, said = engine.catalogue.item_ids, engine.said
    if len(said) > MAX_SAID:
        said.clear()
    # Of each item that is named: its id and what the shopper did with it.
    causes: dict[int, tuple[int, int]] = {NO_CAUSE: (UNKNOWN_ITEM, -1)}
    for cause in {*named.because}.difference(causes):
        item = ids.item(cause)
        causes[cause] = item, _did(history, cause) if any(touch.item == item for touch in state.touches) else -1
    marks = _marks(slots, positions, named, ruling, place, request)
    because, reasons = [], []
    slot = zip(
        named.because,
        named.experts,
        named.clusters,
        slots.explored,
        slots.clusters,
        positions,
        marks or repeat(UNMARKED),
        strict=False,
    )
    for cause, expert, of_cluster, explored, cluster, position, mark in slot:
        item, did = causes[cause]
        key = (expert, explored, cause, did, cause == position, cluster if of_cluster else NO_CAUSE, mark)
        words = said.get(key)
        if words is None:
            titles, beside = engine.catalogue.titles, mark.beside
            words = said[key] = wording.reason(
                expert=expert,
                explored=explored,
                pinned=mark.pinned,
                because=titles[cause] if cause != NO_CAUSE else "",
                itself=cause == position,
                did=did,
                beside=beside.phrase.format(title=titles[beside.anchor]) if beside else "",
                found=mark.found,
                cluster=engine.clusters.names[cluster] if of_cluster else "",
            )
        because.append(item if mark.beside is None else ids.item(mark.beside.anchor))
        reasons.append(words)
    return because, reasons


def _marks(
    slots: Slots, positions: list[int], named: Named, ruling: Acting, place: Context, request: Request
) -> list[Mark] | None:
    """What slots have of their place and of rules; None where no slot has any."""
    causes, found = place.causes or {}, request.context == "search" and place.relevance is not None
    pins = {pin.rule for pin in ruling.pins}
    if not (causes or found or pins):
        return None
    told = zip(slots.rules, positions, named.beside, strict=True)
    return [Mark(not pins.isdisjoint(rules), causes.get(position) if by else None, found) for rules, position, by in told]


def _did(history: History, position: int) -> int:
    """Code of the event that says most of what the session did with an item."""
    codes = zip(history.positions.tolist(), history.codes.tolist(), strict=True)
    return max([code for item, code in codes if item == position], key=_ENGAGEMENT.__getitem__)
