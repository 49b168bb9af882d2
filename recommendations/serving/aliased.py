"""Payloads of other systems taken in: each session is a turn of its own, and every entry is answered in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from personas.events import EventError
from recommendations.serving import turns
from recommendations.serving.access import Principal
from recommendations.serving.aliases import Entry, ga4, google_retail, segment
from recommendations.serving.problems import Problem, invalid
from recommendations.serving.process import Process
from recommendations.serving.turns import MAX_EVENTS, Result, Turn

Translator = Callable[[Mapping[str, Any]], list[Entry]]

SEGMENT = "/api/v1/events/segment"
TRANSLATORS: dict[str, Translator] = {
    SEGMENT: segment.read,
    "/api/v1/events/google-retail": google_retail.read,
    "/api/v1/events/ga4": ga4.read,
}

IDENTIFIED = "visitor"
"""Note of an entry that told of the visit, and held no event."""


async def take(
    here: Process, who: Principal, path: str, payload: dict[str, Any], now: float
) -> tuple[dict[str, Any], list[Turn]]:
    """What became of every entry of a payload, and the turns that were taken of it.

    Sessions go one after the other, and what one is refused for stops no other. Raises Problem; what was committed before stays,
    and the same payload may be sent again.
    """
    who.require("ingest")
    try:
        entries = TRANSLATORS[path](payload)
    except EventError as error:
        raise invalid(error) from error
    if len(entries) > MAX_EVENTS:
        raise Problem(413, "too_many_events", f"{len(entries)} events in one request; send at most {MAX_EVENTS}.")
    results: list[Result] = []
    sessions: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        if entry.refused is not None:
            wrong = entry.refused
            results.append(Result(event_id=entry.event_id, status="rejected", field=wrong.field, reason=wrong.reason))
            continue
        results.append(Result(event_id=entry.event_id, status="ignored", reason=entry.ignored))
        if not entry.ignored:
            sessions.setdefault(entry.session, []).append(i)
    turned = []
    for places in sessions.values():
        try:
            turn = await _turn(here, who, [entries[i] for i in places], now)
        except Problem as problem:
            if problem.status >= 500:
                raise
            for i in places:
                results[i] = Result(
                    event_id=entries[i].event_id, status="rejected", field=problem.field or "session", reason=problem.detail
                )
            continue
        turned.append(turn)
        told = iter(turn.results)
        for i in places:
            results[i] = (
                next(told)
                if entries[i].event is not None
                else Result(event_id=entries[i].event_id, status="accepted", notes=(IDENTIFIED,))
            )
    moved = [{"session_id": t.state.session, "version": t.state.version, "release": t.engine.release} for t in turned]
    return {"results": results, "sessions": moved}, turned


async def _turn(here: Process, who: Principal, entries: list[Entry], now: float) -> Turn:
    """One session's turn. Raises Problem."""
    body: dict[str, Any] = {"session_id": entries[0].session, "context": {}}
    for entry in entries:
        body["context"] |= entry.context
        if entry.shopper:  # the last one named is who it is
            body["shopper_id"] = entry.shopper
    visit = turns.read_visit(who, body)
    who.require("ingest", visit.session)
    return await turns.take(here, visit, [entry.event for entry in entries if entry.event is not None], ask=None, now=now)
