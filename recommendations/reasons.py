"""What fills the slots, with the reasons: whom and what an item is for, what carried it, and that in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from personas.events import ENGAGEMENT, NAMES, UNKNOWN_ITEM
from personas.sessions import NO_ITEM
from recommendations.parts import Engine
from recommendations.ranking import explaining, wording
from recommendations.ranking.explaining import NO_CAUSE
from recommendations.ranking.features import EXPERTS
from recommendations.ranking.history import History
from recommendations.ranking.naming import name, nothing
from recommendations.ranking.ranker import Ranked
from recommendations.ranking.removals import Trial
from recommendations.ranking.rules import Acting
from recommendations.ranking.slate import Chosen
from recommendations.session import Request, SessionState, SlateItem

if TYPE_CHECKING:
    from recommendations.ranking.contexts import Context
    from recommendations.slates import View

_ENGAGEMENT = [ENGAGEMENT.get(event, 0.0) for event in NAMES]


def trial_of(
    engine: Engine, state: SessionState, seen: View, ranked: Ranked, cluster_weight: Mapping[int, float], place: Context
) -> Trial:
    """A ranking, ready to be made again without one of its causes. cluster_weight : as `ranker.rank` was given it."""
    own = engine.catalogue.positions(state.own)
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
    if not request.reasons:
        return _unexplained(engine, ranked, rows, slots, ruling)
    why = explaining.explain(engine.ranker, trial.history, ranked, rows)
    if place.relevance is None:
        labels = [chosen.cluster for chosen in slots], [chosen.persona for chosen in slots]
        named = name(trial, rows, why, *labels, beside=place.causes is not None)
    else:  # found by its words: what the session adds has been squeezed into a small part of the score
        named = nothing(len(rows))
    ids, model, clusters = engine.catalogue.item_ids, engine.personas, engine.clusters
    touched, pins = {touch.item for touch in state.touches}, {pin.rule for pin in ruling.pins}
    # Of each item that is named: its id, its title and what the shopper did with it, read once however many slots it led to.
    causes: dict[int, tuple[int, str, int]] = {NO_CAUSE: (UNKNOWN_ITEM, "", -1)}
    items = []
    for slot, (chosen, position, score, parts, cause, expert, of_cluster) in enumerate(
        zip(
            slots,
            ranked.positions[rows].tolist(),
            ranked.scores[rows].tolist(),
            why.shares.astype(np.float64).round(4).tolist(),
            named.because,
            named.experts,
            named.clusters,
            strict=True,
        )
    ):
        if cause not in causes:
            item = int(ids[cause])
            causes[cause] = item, engine.catalogue.titles[cause], _did(trial.history, cause) if item in touched else -1
        because, title, did = causes[cause]
        beside = place.causes.get(position) if place.causes and named.beside[slot] else None
        if beside is not None:
            because = ids.item(beside.anchor)
        rules = chosen.rules + (ruling.on(position) if ruling.weights is not None else ())
        cluster, persona = chosen.cluster, chosen.persona
        items.append(
            SlateItem(
                item=ids.item(position),
                slot=slot,
                score=score,
                propensity=chosen.propensity,
                persona=model.ids[persona] if persona >= 0 else 0,
                cluster=clusters.cluster_ids.item(cluster) if cluster >= 0 else 0,
                because=because,
                expert=expert,
                reason=wording.reason(
                    expert=expert,
                    explored=chosen.explored,
                    pinned=not pins.isdisjoint(chosen.rules),
                    because=title,
                    itself=cause == position,
                    did=did,
                    beside=beside.phrase.format(title=engine.catalogue.titles[beside.anchor]) if beside else "",
                    found=request.context == "search" and place.relevance is not None,
                    cluster=clusters.names[cluster] if of_cluster else "",
                ),
                experts={e: s for e, s in zip(EXPERTS, parts, strict=True) if s > 0.0},
                rules=rules,
            )
        )
    return tuple(items)


def _unexplained(engine: Engine, ranked: Ranked, rows: np.ndarray, slots: list[Chosen], ruling: Acting) -> tuple[SlateItem, ...]:
    """The items alone, of a slate that nobody is shown."""
    of_item, of_cluster, of_persona = engine.catalogue.item_ids, engine.clusters.cluster_ids, engine.personas.ids
    return tuple(
        SlateItem(
            item=of_item.item(position),
            slot=slot,
            score=score,
            propensity=chosen.propensity,
            persona=of_persona[chosen.persona] if chosen.persona >= 0 else 0,
            cluster=of_cluster.item(chosen.cluster) if chosen.cluster >= 0 else 0,
            because=UNKNOWN_ITEM,
            expert="",
            reason="",
            experts={},
            rules=chosen.rules + (ruling.on(position) if ruling.weights is not None else ()),
        )
        for slot, (chosen, position, score) in enumerate(
            zip(slots, ranked.positions[rows].tolist(), ranked.scores[rows].tolist(), strict=True)
        )
    )


def _did(history: History, position: int) -> int:
    """Code of the event that says most of what the session did with an item."""
    return max(history.codes[history.positions == position].tolist(), key=lambda code: _ENGAGEMENT[code])
