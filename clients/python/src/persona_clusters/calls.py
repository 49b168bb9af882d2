"""Requests as values: what both clients send, how an answer is read, and when a request is tried again."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from persona_clusters.errors import PersonaError, RateLimited, Unavailable, Unreachable, error_of
from persona_clusters.shapes import Context, Event

MOST_EVENTS = 500
MOST_ITEMS = 500
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
AWAY = (RateLimited, Unavailable, Unreachable)
"""Errors of a server that may be there again later."""

LONGEST_BACKOFF_S = 5.0
LONGEST_WAIT_S = 30.0
"""A server that asks for more has no retries waited for."""


class Call(NamedTuple):
    """One request. again : whether it is tried anew where it failed; all calls here may be, being the same twice."""

    method: str
    path: str
    json: Any = None
    timeout: float | None = None
    again: bool = True


def events(session_id: str, told: Sequence[Event], more: Mapping[str, Any]) -> list[Call]:
    """Requests of at most `MOST_EVENTS` each, an id and a time in every event. The last one has what is asked beside."""
    now = time.time()
    whole = [{"event_id": uuid.uuid4().hex, "timestamp": now, **event} for event in told]
    for event in whole:
        if "timestamp_micros" in event:
            del event["timestamp"]
    parts = [whole[i : i + MOST_EVENTS] for i in range(0, len(whole), MOST_EVENTS)] or [[]]
    given = {name: value for name, value in more.items() if value is not None}
    asked = given.pop("recommend", None)
    calls = [Call("POST", "/api/v1/events", {"session_id": session_id, **given, "events": part}) for part in parts]
    if asked is not None:
        calls[-1].json["recommend"] = asked
    return calls


def recommend(session_id: str, context: Context, options: Mapping[str, Any], *, patience: float) -> Call:
    ask = {"context": context, **{name: value for name, value in options.items() if value is not None}}
    return Call("POST", "/api/v1/recommendations", {"session_id": session_id, "recommend": ask}, patience, again=False)


def profile(session_id: str) -> Call:
    return Call("GET", f"/api/v1/sessions/{quote(session_id)}/profile")


def session_token(session_id: str, shopper_id: str | None, ttl_s: int | None) -> Call:
    body = {"session_id": session_id, "shopper_id": shopper_id, "ttl_s": ttl_s}
    return Call("POST", "/api/v1/session-tokens", {name: value for name, value in body.items() if value is not None})


def upsert(items: Sequence[Mapping[str, Any]]) -> list[Call]:
    parts = [list(items[i : i + MOST_ITEMS]) for i in range(0, len(items), MOST_ITEMS)]
    return [Call("POST", "/api/v1/items/", {"items": part}) for part in parts]


def patch(item_id: str, offer: Mapping[str, Any]) -> Call:
    return Call("PATCH", f"/api/v1/items/{quote(item_id, safe='')}/", dict(offer))


def delete(item_id: str) -> Call:
    return Call("DELETE", f"/api/v1/items/{quote(item_id, safe='')}/")


def shopper(method: str, shopper_id: str, what: str = "", body: Any = None) -> Call:
    return Call(method, f"/api/v1/shoppers/{quote(shopper_id, safe='')}{what}", body)


def wait_before_retry(call: Call, attempt: int, retries: int, answer: httpx.Response | httpx.TransportError) -> float | None:
    """Seconds until the next attempt; None if there is to be none. attempt : from 0."""
    if not call.again or attempt >= retries or (isinstance(answer, httpx.Response) and answer.status_code not in BUSY):
        return None
    backoff = min(LONGEST_BACKOFF_S, 0.2 * 2.0**attempt) * (0.5 + random.random() / 2)
    told = error_of(answer).retry_after if isinstance(answer, httpx.Response) else None
    return None if told is not None and told > LONGEST_WAIT_S else max(backoff, told or 0.0)


def read(call: Call, attempt: int, answer: httpx.Response | httpx.TransportError) -> Any:
    """The JSON of a final answer, None for one without. Raises PersonaError."""
    if isinstance(answer, httpx.TransportError):
        raise Unreachable("unreachable", f"{type(answer).__name__}: {answer}") from answer
    if attempt and call.method == "DELETE" and answer.status_code == 404:
        return None  # the attempt before did it, and its answer was lost
    if answer.status_code >= 400:
        raise error_of(answer)
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        raise PersonaError("not_json", f"{call.path} answered no JSON", status=answer.status_code) from None
