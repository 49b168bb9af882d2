"""The JSON forms of a slate and of a session's profile, the same over REST and websocket."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from clusters.alignment import TERMS
from clusters.currencies import currency_of_number
from personas.evidence import used
from personas.ledger import Shift
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.session import SessionState, Slate

MAX_TOLD = 20_000
"""Items, personas and clusters of which a process keeps, for an engine, what slates tell of them, some 4 MB."""

_encode = msgspec.json.Encoder().encode


class ToldSlate(msgspec.Struct):
    """A slate in the order of its JSON.

    items : a list of objects, each an item's facts, which are the same in all slates, then what is so in this one.
    """

    recommendation_id: str
    session_id: str
    context: str
    version: int
    release: str
    notes: tuple[str, ...]
    items: msgspec.Raw


def slate_json(engine: Engine, state: SessionState, slate: Slate, *, reasons: bool) -> ToldSlate:
    """A slate with what a page needs to show it, for the encoder of answers; ids of items are the shop's own.

    reasons : whether the slate was asked for with them; else items say nothing of why they are there.
    Numbers that aren't finite are null in JSON, which the encoder sees to.
    """
    told, parts = engine.told, []
    if len(told) > MAX_TOLD:
        told.clear()
    rounded = [round(item.score, 4) for item in slate.items] + [round(item.propensity, 4) for item in slate.items]
    numbers = _text(rounded)[1:-1].split(",")
    chances = numbers[len(slate.items) :]
    for (item, slot, _, _, persona, cluster, because, expert, reason, experts, _), score, chance in zip(
        slate.items, numbers, chances, strict=False
    ):
        facts = told.get(("item", item)) or _item_told(engine, item)
        whom = told.get(("persona", persona)) or _persona_told(engine, persona)
        group = told.get(("cluster", cluster)) or _cluster_told(engine, cluster)
        why = _why(engine, because, expert, experts, reason) if reasons else "}"
        parts.append(f'{facts}{slot},"score":{score},"propensity":{chance}{whom}{group}{why}')
    items = msgspec.Raw(f"[{','.join(parts)}]".encode())
    return ToldSlate(slate.recommendation_id, state.session, slate.context, state.version, slate.release, slate.notes, items)


def _why(engine: Engine, because: int, expert: str, experts: dict[str, float], reason: str) -> str:
    """The end of an item that is told with its reasons."""
    of = (engine.told.get(("id", because)) or _id_told(engine, because)) if because else "null"
    return f',"because":{of},"expert":"{expert}","experts":{_text(experts)},"reason":{_text(reason)}}}'


def _text(content: Any) -> str:
    return _encode(content).decode()


def _item_told(engine: Engine, item: int) -> str:
    """An item's facts, as the JSON of a slate has them, up to the number of its slot."""
    told = engine.told["item", item] = f'{_text(item_json(engine, item))[:-1]},"slot":'
    return told


def _persona_told(engine: Engine, persona: int) -> str:
    told = engine.told["persona", persona] = f',"persona":{_text(persona_json(engine, persona))}'
    return told


def _cluster_told(engine: Engine, cluster: int) -> str:
    told = engine.told["cluster", cluster] = f',"cluster":{_text(cluster_json(engine, cluster))}'
    return told


def _id_told(engine: Engine, item: int) -> str:
    told = engine.told["id", item] = _text(item_json(engine, item)["item_id"])
    return told


def item_json(engine: Engine, item: int) -> dict[str, Any]:
    """What the catalogue knows of an item of this release, by its integer id; None where it doesn't."""
    catalogue = engine.catalogue
    row = catalogue.position(item)
    price = catalogue.price.item(row)
    own = 0 if catalogue.currency is None else catalogue.currency.item(row)
    category, colour = catalogue.category.item(row), catalogue.colour.item(row)
    return {
        "item_id": catalogue.external_ids[row],
        "title": catalogue.titles[row],
        "price": None if math.isnan(price) else round(price, 4),
        "currency": currency_of_number(own) if own else engine.overlay.currency or None,
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


def _round(value: float) -> float | None:
    """Four decimals are more than anyone reads; JSON has no word for what isn't finite."""
    return round(value, 4) if math.isfinite(value) else None
