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
from recommendations.session import SessionState, Slate, SlateItem

MAX_TOLD = 20_000
"""Items whose JSON a process keeps of an engine, some 4 MB."""

_encode = msgspec.json.Encoder().encode


def slate_json(engine: Engine, state: SessionState, slate: Slate) -> dict[str, Any]:
    """A slate with what a page needs to show it; ids of items are the shop's own. Its items are JSON already."""
    personas = {p: persona_json(engine, p) for p in {item.persona for item in slate.items}}
    clusters = {c: cluster_json(engine, c) for c in {item.cluster for item in slate.items}}
    return {
        "recommendation_id": slate.recommendation_id,
        "session_id": state.session,
        "context": slate.context,
        "version": state.version,
        "release": slate.release,
        "notes": list(slate.notes),
        "items": [_slate_item(engine, item, personas, clusters) for item in slate.items],
    }


def _slate_item(engine: Engine, item: SlateItem, personas: dict[int, Any], clusters: dict[int, Any]) -> msgspec.Raw:
    """The item's facts, which are written once for all slates, then what is so in this one."""
    facts = engine.told.get(item.item)
    if facts is None:
        if len(engine.told) >= MAX_TOLD:
            engine.told.clear()
        facts = engine.told[item.item] = _encode(item_json(engine, item.item))[:-1]
    here = {
        "slot": item.slot,
        "score": _round(item.score),
        "propensity": _round(item.propensity),
        "persona": personas[item.persona],
        "cluster": clusters[item.cluster],
        "because": _external(engine, item.because) if item.because else None,
        "expert": item.expert,
        "experts": item.experts,
        "reason": item.reason,
    }
    return msgspec.Raw(b"%b,%b" % (facts, _encode(here)[1:]))


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
