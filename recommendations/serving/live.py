"""The hot endpoints as a raw ASGI app beside Django: events in, slates and profiles out.

Nothing here touches the ORM or Django's request handler. `docs/integrators.md` shows every call.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
from asgiref.sync import sync_to_async
from redis.exceptions import RedisError

from personas.events import EventError, check_id
from recommendations.serving import access, aliased, alone, cors, idempotency, process, shops, turns
from recommendations.serving.access import Principal
from recommendations.serving.asks import look_up, read_ask, read_parameters
from recommendations.serving.bodies import read_body
from recommendations.serving.payloads import ToldSlate, profile_json, slate_json
from recommendations.serving.problems import Problem, internal, invalid, storage_unavailable
from recommendations.serving.process import Process
from recommendations.serving.throttling import rate_limited

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

EVENTS = "/api/v1/events"
RECOMMENDATIONS = "/api/v1/recommendations"
TOKENS = "/api/v1/session-tokens"
SESSIONS = "/api/v1/sessions/"
PROFILE = "/profile"

HOT_PATHS = {
    EVENTS: ("POST",),
    RECOMMENDATIONS: ("GET", "POST"),
    TOKENS: ("POST",),
    **dict.fromkeys(aliased.TRANSLATORS, ("POST",)),
}
"""Exact paths and their methods; the profile's path holds the session's id and is matched by its ends."""

TOKEN_IN_BODY = frozenset({EVENTS, RECOMMENDATIONS})
"""Paths whose POST may bring a session token in the body's `token`: a page that is being left can send no headers
(`navigator.sendBeacon`), and one of another origin spares the preflight that headers cost."""

COLLECT_AFTER = (2_000, 10, 100)
"""Objects made and not let go until the young are looked at for cycles; such looks until the middle-aged are; and of those until
all are."""

MIN_TOKEN_S, MAX_TOKEN_S = 60, 7 * 24 * 3600

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def handles(path: str, method: str = "GET") -> bool:
    """Whether this app answers the path, if only to refuse the method. What is asked of an event by its id is Django's."""
    return (path in HOT_PATHS and not (method == "GET" and path in aliased.TRANSLATORS)) or is_profile(path)


def is_profile(path: str) -> bool:
    return path.startswith(SESSIONS) and path.endswith(PROFILE) and len(path) > len(SESSIONS) + len(PROFILE)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI entry: `lifespan`, and `http` on the paths that `handles` names."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    headers: Headers = [cors.VARY]
    try:
        status, body = await answer(scope, receive, headers)
    except Problem as problem:
        await refuse(send, problem, headers)
    except (RedisError, OSError):
        logger.exception("%s %s: the session store failed", scope["method"], scope["path"])
        await refuse(send, storage_unavailable(), headers)
    except Exception:
        logger.exception("%s %s failed", scope["method"], scope["path"])
        await refuse(send, internal(), headers)
    else:
        await respond(send, status, headers, body)


async def lifespan(receive: Receive, send: Send) -> None:
    """Start before the first request and stop after the last."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await process.current()
                await sync_to_async(access.sync_keys)()
                await sync_to_async(shops.sync_shops)()
                settle_memory()
            except Exception as error:
                logger.exception("the live process can't start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await process.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def settle_memory() -> None:
    """Have the collector of cycles leave alone what lives as long as the process, and look at the rest seldom.

    A look at all that is loaded takes some 135 ms on `fashion`, of which every request under way waits; among 4,000 requests
    there was one. The young are looked at in small numbers: 2,000 take a millisecond, 20,000 took 13. Nearly all that a
    request makes is in no cycle and goes by itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def refuse(send: Send, problem: Problem, headers: Headers) -> None:
    """headers : that the answer would have had."""
    headers.append((b"content-type", b"application/problem+json"))
    headers += [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    await respond(send, problem.status, headers, _encode(problem.as_json()))


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    headers += [(b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Asked(NamedTuple):
    """A request as far as every endpoint reads it. body : b"" of a GET.  now : seconds since the epoch."""

    here: Process
    who: Principal
    scope: Scope
    body: bytes
    now: float


async def answer(scope: Scope, receive: Receive, headers: Headers) -> tuple[int, bytes]:
    """Status and JSON of the answer to a request, and to `headers` what it has of them beside. Raises Problem."""
    path, method = scope["path"], scope["method"]
    allowed = ("GET",) if is_profile(path) else HOT_PATHS[path]
    given = dict(scope["headers"])
    here = await process.current()
    origin, host = given.get(b"origin"), given.get(b"host", b"")
    if method == "OPTIONS":
        headers.append((b"allow", ", ".join(allowed).encode()))
        headers += cors.preflight(here.shops, origin, host, allowed) if origin else []
        return 204, b""
    if origin is not None:
        headers += cors.told(here.shops, origin, host)
    if method not in allowed:
        detail = f"{path} answers {' and '.join(allowed)}."
        raise Problem(405, "method_not_allowed", detail, headers={"allow": ", ".join(allowed)})
    now = time.time()
    authorization = given.get(b"authorization", b"").decode("latin-1")
    body: bytes | None = None
    if not authorization and method == "POST":  # what a page sends as it is left can't carry the header
        body = await read_body(given, receive)
        authorization = _within(path, body)
    who = here.keys.at_once(authorization) or await here.keys.principal(authorization, now=now)
    if origin is not None:
        cors.check(here.shops, who, origin, host)
    admit(here, who, headers, now)
    if body is None:
        body = await read_body(given, receive) if method == "POST" else b""
    asked = Asked(here, who, scope, body, now)
    key = given.get(idempotency.HEADER.encode()) if method == "POST" else None
    text = _encode(await reply(asked)) if key is None else await once(asked, key.decode("latin-1"), headers)
    headers.append((b"content-type", b"application/json"))
    return 200, text


def admit(here: Process, who: Principal, headers: Headers, now: float) -> None:
    """Let a credential in, if it hasn't ended, and not too often. Raises Problem."""
    if now >= who.expires:
        detail = "The API key has ended, as one does that was rotated. Use the new one."
        raise Problem(401, "invalid_key", detail, headers={"www-authenticate": "Bearer"})
    if who.limit:
        standing = here.limits.take(who.subject, who.limit)
        if not standing.allowed:
            raise rate_limited(standing)
        headers += [(name.encode(), value.encode()) for name, value in standing.headers().items()]
    here.usage.note(who.key, now)


def _within(path: str, body: bytes) -> str:
    """The credential that a body brings: a page's session `token`, or the `writeKey` of Segment's libraries; "" for none."""
    try:
        given = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return ""
    credential = given.get("token") if isinstance(given, dict) and path in TOKEN_IN_BODY else None
    if isinstance(credential, str) and ":" in credential:
        return f"Bearer {credential}"
    credential = given.get("writeKey") if isinstance(given, dict) and path == aliased.SEGMENT else None
    return f"Bearer {credential}" if isinstance(credential, str) and credential.isascii() else ""


async def once(asked: Asked, key: str, headers: Headers) -> bytes:
    """The answer to a request with an `Idempotency-Key`: made now, or as it was made before. Raises Problem."""
    scope, client = asked.scope, asked.here.client
    parts = (scope["method"].encode(), scope["path"].encode(), scope["query_string"], asked.body)
    whose = idempotency.whose(asked.who.scopes, session=asked.who.session, test=asked.who.test)
    held = idempotency.ticket(asked.who.shop, whose, key, *parts)
    kept = await idempotency.begin(client, held)
    if kept is not None:
        headers.append((b"idempotent-replayed", b"true"))
        return kept.body
    try:
        text = _encode(await reply(asked))
    except BaseException:
        await idempotency.let_go(client, held)
        raise
    await idempotency.keep(client, held, idempotency.Answer(200, "application/json", text))
    return text


async def reply(asked: Asked) -> dict[str, Any] | ToldSlate:
    """What the endpoint answers. Raises Problem."""
    here, who, scope, text, now = asked
    path = scope["path"]
    if is_profile(path):
        return await read_profile(here, who, scope, now)
    if scope["method"] == "GET":
        return await recommend(here, who, scope, read_parameters(scope["query_string"].decode("latin-1")), now)
    body = decode_object(text)
    if path == EVENTS:
        return await take_events(here, who, scope, body, now)
    if path == RECOMMENDATIONS:
        return await recommend(here, who, scope, body, now)
    if path == TOKENS:
        return issue_token(who, body, now)
    told, taken = await aliased.take(here, who, path, body, now)
    for turn in taken:
        look_around(here, who, scope, turn)
    return told


async def take_events(here: Process, who: Principal, scope: Scope, body: dict[str, Any], now: float) -> dict[str, Any]:
    """POST events: what became of each, and a slate if `recommend` is there."""
    visit = turns.read_visit(who, body)
    who.require("ingest", visit.session)
    ask = None
    if body.get("recommend") is not None:
        who.require("read")
        ask = await look_up(who.shop, read_ask(body["recommend"]))
    events = body.get("events")
    if not isinstance(events, list):
        raise invalid(EventError("events", "must be a list"))
    turn = await turns.take(here, visit, events, ask=ask, now=now)
    look_around(here, who, scope, turn)
    answer: dict[str, Any] = {"results": turn.results, "version": turn.state.version, "release": turn.engine.release}
    if turn.slate is not None:
        answer["slate"] = slate_json(turn.engine, turn.state, turn.slate, reasons=ask is not None and ask.reasons)
    return answer


async def recommend(here: Process, who: Principal, scope: Scope, body: dict[str, Any], now: float) -> ToldSlate:
    """A slate for the session as it stands; a session not seen before gets one from its prior. Without a session, a slate alone;
    a token's is its own."""
    session = body.get("session_id") or who.session
    visit = turns.read_visit(who, {**body, "session_id": session or alone.name()})
    who.require("read", visit.session)
    ask = await look_up(who.shop, read_ask(body.get("recommend") or {}))
    if not session:
        return await alone.slate(here, visit, ask, now)
    turn = await turns.take(here, visit, ask=ask, now=now)
    look_around(here, who, scope, turn)
    if turn.slate is None:
        raise RuntimeError("a slate was asked for and none came")
    return slate_json(turn.engine, turn.state, turn.slate, reasons=ask.reasons)


def look_around(here: Process, who: Principal, scope: Scope, turn: turns.Turn) -> None:
    """Have the world asked about a new session. Only a page's own request comes from where its shopper is; a simulated visitor
    is nowhere."""
    if who.simulated:
        return
    here.surroundings.look(turn, scope if who.session else None)


async def read_profile(here: Process, who: Principal, scope: Scope, now: float) -> dict[str, Any]:
    """The profile of a session; before its first event, its prior."""
    raw = scope.get("raw_path")
    path = unquote(raw.split(b"?")[0].decode("latin-1")) if raw else scope["path"]
    # Looking logs nobody in: only a turn does, and that is committed.
    visit = turns.read_visit(who, {"session_id": path[len(SESSIONS) : -len(PROFILE)]})._replace(shopper="")
    who.require("read", visit.session)
    engine = turns.engine_of(here, who.shop)
    loaded = await here.store.load(visit.shop, visit.session)
    engine, _ = here.engines.arm(who.shop, engine, visit.session, visit.shopper, loaded.state)
    return profile_json(engine, turns.resume(here, engine, visit, loaded.state, now=now), now=now)


def issue_token(who: Principal, body: dict[str, Any], now: float) -> dict[str, Any]:
    """A session token for a page, given to the shop's own server."""
    who.require("ingest")
    if who.session:
        raise Problem(403, "key_needed", "A session token can't issue tokens; use an API key.")
    try:
        session = check_id("session_id", body.get("session_id"))
        shopper = "" if body.get("shopper_id") in (None, "") else check_id("shopper_id", body["shopper_id"])
    except EventError as error:
        raise invalid(error) from error
    ttl_s = body.get("ttl_s")
    if ttl_s is not None and (type(ttl_s) is not int or not MIN_TOKEN_S <= ttl_s <= MAX_TOKEN_S):
        raise invalid(EventError("ttl_s", f"must be a whole number of seconds, {MIN_TOKEN_S} to {MAX_TOKEN_S}"))
    simulated = body.get("simulated", False)
    if type(simulated) is not bool:
        raise invalid(EventError("simulated", "must be true or false"))
    token = access.issue_session_token(
        who.shop, session, ttl_s=ttl_s, now=now, shopper=shopper, test=who.test, simulated=simulated
    )
    return {"token": token, "session_id": session, "websocket": "/ws/v1/session"}


def decode_object(text: bytes | str) -> dict[str, Any]:
    """A JSON object. NaN, Infinity and broken Unicode are not JSON. Raises Problem."""
    try:
        body = _decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Problem(400, "malformed_json", f"This is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Problem(400, "malformed_json", "This must be a JSON object.")
    return body


def encode_text(content: Any) -> str:
    """JSON as text, with the same encoder as every answer."""
    return _encode(content).decode()
