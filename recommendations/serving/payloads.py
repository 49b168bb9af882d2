"""The JSON forms of a slate and of a session's profile, the same over REST and websocket."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from clusters.alignment import TERMS
from personas.evidence import used
from personas.ledger import Shift
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.session import SessionState, Slate

MAX_TOLD = 20_000
"""Items whose facts a process keeps of an engine, ready to be told, some 4 MB."""


class Told(msgspec.Struct):
    """An item of a slate, in the order of its JSON: its facts, which are the same in all slates, then what is so in this one."""

    item_id: str
    title: str
    price: float | None
    category: str | None
    colour: str | None
    slot: int
    score: float | None
    propensity: float | None
    persona: dict[str, Any] | None
    cluster: dict[str, Any] | None
    because: str | None
    expert: str
    experts: dict[str, float]
    reason: str


def slate_json(engine: Engine, state: SessionState, slate: Slate) -> dict[str, Any]:
    """A slate with what a page needs to show it, for the encoder of answers; ids of items are the shop's own."""
    personas = {p: persona_json(engine, p) for p in {item.persona for item in slate.items}}
    clusters = {c: cluster_json(engine, c) for c in {item.cluster for item in slate.items}}
    told, items = engine.told, []
    for item in slate.items:
        facts = told.get(item.item)
        if facts is None:
            if len(told) >= MAX_TOLD:
                told.clear()
            facts = told[item.item] = tuple(item_json(engine, item.item).values())
        items.append(
            Told(
                *facts,  # type: ignore[call-arg]  # the first five fields, in their order
                item.slot,
                _round(item.score),
                _round(item.propensity),
                personas[item.persona],
                clusters[item.cluster],
                _external(engine, item.because) if item.because else None,
                item.expert,
                item.experts,
                item.reason,
            )
        )
    return {
        "recommendation_id": slate.recommendation_id,
        "session_id": state.session,
        "context": slate.context,
        "version": state.version,
        "release": slate.release,
        "notes": slate.notes,
        "items": items,
    }


def item_json(engine: Engine, item: int) -> dict[str, Any]:
    """What the catalogue knows of an item of this release, by its integer id; None where it doesn't."""
    catalogue = engine.catalogue
    row = catalogue.position(item)
    price = catalogue.price.item(row)
    category, colour = catalogue.category.item(row), catalogue.colour.item(row)
    return {
        "item_id": catalogue.external_ids[row],
        "title": catalogue.titles[row],
        "price": None if math.isnan(price) else round(price, 4),
        "category": catalogue.categories[category] if category >= 0 else None,
        "colour": catalogue.colours[colour] if colour >= 0 else None,
    }


def persona_json(engine: Engine, persona: int) -> dict[str, Any] | None:
    """A persona by its id; None for 0, or for one that this release lacks."""
    ids = engine.personas.ids
    return _persona(engine, ids.index(persona)) if persona and persona in ids else None


def _persona(engine: Engine, row: int) -> dict[str, Any]:
    model = engine.personas
    return {
        "id": model.ids[row],
        "key": model.archetype_keys[row],
        "name": model.archetype_names[row],
        "icon": model.archetype_icons[row],
        "colour": model.archetype_colours[row],
    }


def cluster_json(engine: Engine, cluster: int) -> dict[str, Any] | None:
    """A cluster by its id; None for 0, or for one that this release lacks."""
    row = engine.clusters.position_of.get(cluster)
    return {"id": cluster, "name": engine.clusters.names[row]} if cluster and row is not None else None


def profile_json(engine: Engine, state: SessionState, *, now: float) -> dict[str, Any]:
    """Who the shopper is taken for at `now` (seconds since the epoch), why, and which clusters follow from it."""
    seen = loop.view(engine, state, now=now)
    profile, model = seen.profile, engine.personas
    belief = sorted(enumerate(seen.belief.tolist()), key=lambda pair: -pair[1])
    weights = sorted(enumerate(profile.attribute_weights.tolist()), key=lambda pair: -pair[1])
    return {
        "session_id": state.session,
        "version": state.version,
        "release": engine.release,
        "events": state.events,
        "belief": [_persona(engine, k) | {"probability": _round(p)} for k, p in belief],
        "entropy": _round(profile.entropy),
        "unsure": bool(profile.unsure),
        "several": bool(profile.several),
        "together": _round(profile.together),
        "mixing": _round(profile.mixing),
        "shares": {key: _round(share) for key, share in zip(model.archetype_keys, profile.shares, strict=True)},
        "active": [model.archetype_keys[k] for k in profile.active_positions],
        "shift": _shift(engine, profile.shift) if profile.shift else None,
        "attributes": [
            {"key": model.attribute_keys[a], "name": model.attribute_names[a], "weight": _round(w)} for a, w in weights
        ],
        "evidence": [
            {
                "event": entry.event_id,
                "at": entry.at,
                "persona": persona_json(engine, entry.persona),
                "factor": entry.factor,
                "value": entry.value,
                "nats": _round(entry.nats),
                "probability": _round(entry.p),
            }
            for entry in profile.ledger
        ],
        "evidence_used": used(model.network, loop.clock_evidence(state.started_at) | state.context),
        "learned": list(profile.learned),
        "clusters": _clusters(engine, state, seen),
    }


def _shift(engine: Engine, shift: Shift) -> dict[str, Any]:
    return {
        "from": persona_json(engine, shift.source),
        "to": persona_json(engine, shift.target),
        "at": shift.at,
        "factor": shift.factor,
        "value": shift.value,
        "nats": _round(shift.nats),
    }


def _clusters(engine: Engine, state: SessionState, seen: loop.View) -> list[dict[str, Any]]:
    """The clusters selected, best first, with what the session changed of them."""
    selection = seen.selection
    found = []
    for i, row in enumerate(selection.rows.tolist()):
        cluster = int(engine.clusters.cluster_ids[row])
        persona = int(selection.persona[i])
        weight = float(selection.weight[i])
        change = "expanded" if cluster in state.adapted.expanded else "contracted" if weight < 1 else "kept"
        found.append(
            {
                "id": cluster,
                "name": engine.clusters.names[row],
                "score": _round(float(selection.score[i])),
                "weight": _round(weight),
                "persona": engine.personas.archetype_keys[persona] if persona >= 0 else None,
                "change": change,
                "terms": {name: _round(float(v)) for name, v in zip(TERMS, selection.terms[i], strict=True)},
            }
        )
    return found


def _external(engine: Engine, item: int) -> str:
    return engine.catalogue.external_ids[engine.catalogue.position(item)]


def _round(value: float) -> float | None:
    """Four decimals are more than anyone reads; JSON has no word for what isn't finite."""
    return round(value, 4) if math.isfinite(value) else None
