"""Why an archived slate holds an item, and what a past session would have been: the rows for it found, and told as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clusters.models import Item
from personas.events import UNKNOWN_ITEM
from personas.models import Session, Shop
from recommendations import asked, stories, why
from recommendations.counterfactual import Comparison, Edit, Moment, counterfactual
from recommendations.engine import Engine
from recommendations.models import MerchandisingRule, ServedSlate
from recommendations.reading import PastSession, events_of, read_session
from recommendations.replaying import stand
from recommendations.serving.payloads import cluster_json, persona_json
from recommendations.session import Request, Slate

CLOSE = 1e-3
"""Difference of scores up to which a slate made again is the one that was served."""

SHOWN_SLATES = 30
"""Moments of a session, the last ones, that a counterfactual makes slates for."""


MOST_EVENTS = 500
"""Events of a session that a counterfactual replays, the first ones, twice: some seconds' work."""


class NotThereError(LookupError):
    """What is asked for isn't archived, in words."""


@dataclass(frozen=True)
class Told:
    """Why an item is in a served slate. entry : as it was logged.  exact : its score made again is the one served.

    note : what isn't as it was then, "" for nothing.
    """

    slate: ServedSlate
    entry: dict[str, Any]
    engine: Engine
    account: why.Account
    exact: bool
    note: str


def explain(slate: ServedSlate, item: int) -> Told:
    """Why a served slate holds an item (id), told on the release and the overlay that served it where they can be read.

    Raises NotThereError, and ReleaseError if the shop has no release to tell it on.
    """
    entry = next((entry for entry in slate.items if entry["item"] == item), None)
    if entry is None:
        raise NotThereError("That slate doesn't hold this item.")
    session = Session.objects.select_related("shop", "shopper").filter(shop=slate.shop_id, session_id=slate.session_id).first()
    at = slate.at.timestamp()
    if session is not None:
        past = read_session(session, most=stories.MOST_EVENTS, till=at)
    elif slate.versions.get("alone"):
        past = PastSession(slate.session_id, shopper="", context={}, started_at=at, events=(), served=(), earlier={})
    else:
        raise NotThereError("The session of that slate isn't archived any more.")
    engine, note = stories.engine_of_slate(slate.shop, slate.versions)
    how = slate.versions.get("asked", {})
    lived = past._replace(served=tuple(s for s in past.served if s.at < at))
    state = stand(engine, stories.past_of(engine, slate.shop, lived, own=asked.own_of(how)))
    try:
        account = why.why(engine, state, asked.read(how, now=at, context=slate.context), item)
    except LookupError as error:
        raise NotThereError(f"{note} That release doesn't rank this item for this visit any more.".strip()) from error
    exact = not note and math.isclose(account.score, float(entry["score"]), abs_tol=CLOSE)
    if not note and not exact:
        note = "Something that isn't kept counted then too, such as evidence in mid-visit: the score made again is another."
    return Told(slate, entry, engine, account, exact, note)


def why_json(told: Told) -> dict[str, Any]:
    """The exact numbers, the shopper's words and the merchandiser's."""
    engine, account, slate, entry = told.engine, told.account, told.slate, told.entry
    rules = MerchandisingRule.objects.filter(pk__in=entry.get("rules", ())).order_by("pk")
    return {
        "recommendation_id": slate.recommendation_id,
        "session_id": "" if slate.versions.get("alone") else slate.session_id,
        "item_id": _external(engine, account.item),
        "slot": entry["slot"],
        "context": slate.context,
        "at": slate.at.timestamp(),
        "release": slate.versions.get("release"),
        "overlay": slate.versions.get("overlay", 0),
        "told_on": {"release": engine.release, "overlay": engine.overlay.version},
        "exact": told.exact,
        "note": told.note or None,
        "score": round(account.score, 6),
        "served_score": round(float(entry["score"]), 6),
        "propensity": entry["propensity"],
        "baseline": round(account.baseline, 6),
        "parts": [{"part": part.name, "value": round(part.value, 6)} for part in account.parts],
        "place": account.place + 1,
        "ranked": account.ranked,
        "log_odds": _finite(account.log_odds),
        "causes": [
            {"kind": t.kind, "id": _id(engine, t), "name": t.name, "fall": _finite(t.fall), "holds": t.holds}
            for t in account.tried
        ],
        "persona": persona_json(engine, entry["persona"]),
        "cluster": cluster_json(engine, entry["cluster"]),
        "expert": account.shown.expert if account.shown else entry["expert"],
        "because": _external(engine, account.shown.because) if account.shown and account.shown.because else None,
        "rules": [{"id": rule.pk, "name": rule.name} for rule in rules],
        "reason": account.shown.reason if account.shown else None,
        "sentences": sentences(told),
    }


PARTS = {
    "transitions": "what is chosen next after the visit's items",
    "neighbours": "visits like this one",
    "encoder": "how alike it is to what was looked at",
    "popularity": "how much in demand it is",
    "session": "what this visit did with it already",
    "clusters": "the groups selected for this visit",
    "personas": "what the likely personas look for",
    "reminders": "what the shopper chose on earlier visits",
    "cluster weights": "how the visit's response moved its groups",
    "brought in": "coming in with a related group, as the visit was widened",
    "spared": "being spared as what a group is about that the visit was narrowed by",
    "lessened": "weighing less in its groups than it would by itself",
    "passed over": "being passed over in this visit",
    "rules": "merchandisers' rules",
    "page": "what the page shows beside it",
    "other": "the order of relevance",
}


def signed(value: float) -> str:
    """With a sign, a minus as typographers write it."""
    return f"{value:+.2f}".replace("-", "−")


def sentences(told: Told) -> list[str]:
    """What a merchandiser reads: whether chance had a part, what carried the item, what it would miss without its causes."""
    account, entry = told.account, told.entry
    words = []
    if entry["propensity"] < 0.5:
        chance = 100 * entry["propensity"]
        words.append(f"Tried out: the slot was given to chance, and this item had {chance:.2g} chances in 100 to be drawn.")
    ups = [part for part in account.parts if part.value > 0][:3]
    downs = [part for part in account.parts if part.value < -0.05][:1]
    if ups:
        score = account.score - account.baseline
        carried = ", ".join(f"{PARTS[part.name]} ({signed(part.value)})" for part in ups)
        held = f" Against it: {PARTS[downs[0].name]} ({signed(downs[0].value)})." if downs else ""
        words.append(f"Its score is {signed(score)} beside the average item's, carried by {carried}.{held}")
    named = {"item": "the look at “{}”", "cluster": "the group “{}”", "persona": "the persona {}", "expert": "{}", "page": "{}"}
    for tried in [t for t in account.tried if t.holds][:4]:
        name = named[tried.kind].format(PARTS[tried.name] if tried.kind == "expert" else tried.name)
        words.append(
            f"Without {name} its odds of being shown would be {math.exp(-tried.fall):.0%} of what they are.".replace("%", " %")
        )
    if not any(t.holds for t in account.tried) and account.parts:
        words.append("No single cause carries it: without any one of them it would stand as high among the others.")
    return words


def _id(engine: Engine, tried: why.Tried) -> str | int | None:
    return _external(engine, tried.key) if tried.kind == "item" else tried.key or None


def _external(engine: Engine, item: int) -> str:
    return engine.catalogue.external_ids[engine.catalogue.position(item)]


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


# What would have been


@dataclass(frozen=True)
class WhatIf:
    """A session beside what it would have been. note : what isn't as it was then, or isn't told."""

    engine: Engine
    past: PastSession
    comparison: Comparison
    note: str


def what_if(
    session: Session,
    edits: Sequence[Edit],
    *,
    context: Mapping[str, str] | None = None,
    request: Request | None = None,
    slates: int = SHOWN_SLATES,
) -> WhatIf:
    """A past session as it would have been, on the release and overlay of its last slate; on the active one if it had none.

    request : how slates are asked for; None for as the last one was.
    Raises EditError; NotThereError without an event; ReleaseError if there is no release to tell it on.
    """
    past = read_session(session, most=MOST_EVENTS)
    if not past.events:
        raise NotThereError("No event of this session is archived.")
    mine = ServedSlate.objects.filter(shop=session.shop_id, session_id=session.session_id)
    last = mine.select_related("shop").order_by("-at", "-pk").first()
    if last is None:
        engine = stories.engine_of(session.shop)
        note = f"No slate of this session is archived: told on the active release, {engine.release}."
    else:
        engine, note = stories.engine_of_slate(session.shop, last.versions)
        if request is None and last.context != "search":  # what was found then was found for what was typed
            request = asked.read(last.versions.get("asked", {}), now=last.at.timestamp(), context=last.context)
    if len(past.events) == MOST_EVENTS and (events := events_of(session).count()) > MOST_EVENTS:
        note = f"{note} Told up to event {MOST_EVENTS:,} of {events:,}.".strip()
    comparison = counterfactual(
        engine,
        stories.past_of(engine, session.shop, past),
        edits,
        context=context,
        request=request,
        slates=slates,
    )
    return WhatIf(engine, past, comparison, note)


def what_if_json(told: WhatIf) -> dict[str, Any]:
    """Both courses, moment by moment."""
    engine, comparison = told.engine, told.comparison
    was = [_moment(engine, moment) for moment in comparison.was]
    would = [_moment(engine, moment) for moment in comparison.would]
    return {
        "session_id": told.past.session,
        "release": engine.release,
        "overlay": engine.overlay.version,
        "note": told.note or None,
        "moments": [
            {"was": None if i is None else was[i], "would": None if j is None else would[j]} for i, j in comparison.pairs
        ],
        "end": changes(engine, comparison.was[-1], comparison.would[-1]),
    }


def changes(engine: Engine, was: Moment, would: Moment) -> dict[str, Any]:
    """What differs between two moments: belief, clusters, items of the slates."""
    keys = engine.personas.archetype_keys
    before, after = _items(was.slate), _items(would.slate)
    return {
        "belief": {key: round(b - a, 6) for key, a, b in zip(keys, was.belief, would.belief, strict=True)},
        "clusters": {
            "out": [cluster_json(engine, c) for c in was.clusters if c not in would.clusters],
            "in": [cluster_json(engine, c) for c in would.clusters if c not in was.clusters],
        },
        "items": {
            "out": [_external(engine, i) for i in before if i not in after],
            "in": [_external(engine, i) for i in after if i not in before],
        },
    }


def _items(slate: Slate | None) -> list[int]:
    return [item.item for item in slate.items] if slate is not None else []


def _moment(engine: Engine, moment: Moment) -> dict[str, Any]:
    event, keys = moment.event, engine.personas.archetype_keys
    known = event is not None and event.item != UNKNOWN_ITEM and engine.catalogue.position(event.item) >= 0
    return {
        "event_id": event.event_id if event else None,
        "event": event.name if event else None,
        "item_id": _external(engine, event.item) if event and known else None,
        "search_term": (event.query or None) if event else None,
        "belief": {key: round(p, 6) for key, p in zip(keys, moment.belief, strict=True)},
        "shares": {key: round(p, 6) for key, p in zip(keys, moment.shares, strict=True)},
        "clusters": [cluster_json(engine, cluster) for cluster in moment.clusters],
        "slate": None
        if moment.slate is None
        else [
            {
                "item_id": _external(engine, item.item),
                "slot": item.slot,
                "score": round(item.score, 6),
                "persona": persona_json(engine, item.persona),
                "cluster": cluster_json(engine, item.cluster),
                "reason": item.reason,
            }
            for item in moment.slate.items
        ],
    }


def item_of(shop: Shop, external_id: str) -> int | None:
    """Id of a shop's item by its own name, None for none."""
    return Item.objects.filter(shop=shop, external_id=external_id).values_list("pk", flat=True).first()
