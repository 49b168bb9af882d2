"""The websocket of one session: events in, and profile and slates pushed as the session moves.

The token in the address names the session; nothing a client sends can name another. Slates are computed by the same
turn as over REST, so that each push is committed, logged and reproducible.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import URLRouter
from django.conf import settings
from django.http.request import validate_host
from django.urls import path, re_path

from personas.events import EventError
from recommendations.serving import live, process, turns
from recommendations.serving.access import Principal, read_session_token
from recommendations.serving.asks import look_up, read_ask
from recommendations.serving.payloads import profile_json, slate_json
from recommendations.serving.problems import Problem, internal, invalid
from recommendations.serving.process import Process
from recommendations.serving.store import channel

logger = logging.getLogger(__name__)

MAX_MESSAGE = 100_000
"""Characters of one message; what is longer belongs to the REST endpoint."""

MAX_RAILS = 4
"""Slates of one page that are kept up to date: what a session keeps in mind of its slates is bounded (`session.MAX_PENDING`)."""

MAX_RAIL = 20

UNAUTHORISED, FORBIDDEN_ORIGIN, NOT_FOUND = 4401, 4403, 4404
"""Close codes, after the HTTP statuses that they stand for."""


class SessionConsumer(AsyncJsonWebsocketConsumer):
    """Messages in: `event`, `recommend`, `profile`. Out: `hello`, `profile`, `slate`, `result`, `error`.

    A page may have several rails, each asked for under its name; the one without a name is there from the start.
    """

    async def connect(self) -> None:
        self.here: Process = await process.current()
        self.asks: dict[str, turns.Ask] = {"": turns.Ask()}
        self.seen_version = -1
        self.dirty = asyncio.Event()
        self.pusher: asyncio.Task[None] | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self.gone = False
        self.channel_name_of_session = ""
        if not origin_allowed(dict(self.scope["headers"])):
            await self.close(code=FORBIDDEN_ORIGIN)
            return
        token = parse_qs(self.scope["query_string"].decode("latin-1")).get("token", [""])[0]
        try:
            self.who: Principal = read_session_token(token, now=time.time())
        except Problem:
            await self.close(code=UNAUTHORISED)
            return
        self.visit = turns.Visit(self.who.shop, self.who.session, self.who.shopper, test=self.who.test)
        self.channel_name_of_session = channel(self.who.shop, self.who.session)
        # Listening comes before reading: an event between the two is pushed, not lost.
        await self.here.bus.listen(self.channel_name_of_session, self.moved)
        await self.accept()
        await self.send_json({"type": "hello", "session_id": self.who.session})
        self.pusher = asyncio.create_task(self.push(), name=f"push {self.channel_name_of_session}")
        self.dirty.set()
        left_s = max(0.0, self.who.expires - time.time())
        self.expiry = asyncio.get_running_loop().call_later(left_s, self.expired)

    def expired(self) -> None:
        """The token's time is over; the page comes back with a fresh one."""
        self.closing = asyncio.create_task(self.close(code=UNAUTHORISED))

    async def disconnect(self, code: int) -> None:
        if self.expiry is not None:
            self.expiry.cancel()
        if self.channel_name_of_session:
            await self.here.bus.leave(self.channel_name_of_session, self.moved)
        if self.pusher is not None:
            # The flag too: a cancellation that comes while the Redis client holds a timeout can be lost in it.
            self.gone = True
            self.pusher.cancel()
            await asyncio.gather(self.pusher, return_exceptions=True)

    def moved(self, message: bytes) -> None:
        """The session moved on from what this socket has shown, or (b"") it may have."""
        if not message or int(message) > self.seen_version:
            self.dirty.set()

    async def push(self) -> None:
        """Send profile and slate whenever the session has moved; what moves meanwhile is taken together."""
        while not self.gone:
            await self.dirty.wait()
            self.dirty.clear()
            try:
                # The asks may change while a slate is made; a page without rails still has its profile.
                for i, (rail, ask) in enumerate(list(self.asks.items()) or [("", None)]):
                    if ask is None or self.asks.get(rail) is ask:
                        await self.send_slate(rail, ask, profile=i == 0)
            except Problem as problem:
                await self.send_problem(problem)
            except Exception:
                logger.exception("a push to session %s failed", self.who.session)
                await self.send_problem(internal())

    async def send_slate(self, rail: str, ask: turns.Ask | None, *, profile: bool) -> None:
        now = time.time()
        turn = await turns.take(self.here, self.visit, ask=ask, now=now)
        # Not the highest: a session whose state was lost starts again.
        self.seen_version = turn.state.version
        self.here.surroundings.look(turn, self.scope)
        if self.gone:
            return
        if profile:
            await self.send_json({"type": "profile", "profile": profile_json(turn.engine, turn.state, now=now)})
        if turn.slate is not None:
            await self.send_json({"type": "slate", "rail": rail, "slate": slate_json(turn.engine, turn.state, turn.slate)})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        try:
            if not text_data:
                raise Problem(400, "malformed_json", "Send JSON as text.")
            if len(text_data) > MAX_MESSAGE:
                raise Problem(413, "body_too_large", f"A message has at most {MAX_MESSAGE} characters.")
            await self.receive_json(live.decode_object(text_data))
        except Problem as problem:
            await self.send_problem(problem)

    async def receive_json(self, content: Mapping[str, Any], **_: Any) -> None:
        kind = content.get("type")
        if kind == "event":
            await self.take_event(content)
        elif kind == "recommend":
            await self.subscribe(content)
        elif kind == "profile":
            self.dirty.set()
        else:
            raise Problem(400, "unknown_type", f"{str(kind)[:40]!r} is not one of event, recommend, profile.")

    async def subscribe(self, content: Mapping[str, Any]) -> None:
        """What a page asks for once is what it is pushed from then on, until it asks for nothing there."""
        rail = content.get("rail", "")
        if not isinstance(rail, str) or len(rail) > MAX_RAIL:
            raise invalid(EventError("rail", f"must be a name of at most {MAX_RAIL} characters"))
        if "recommend" in content and content["recommend"] is None:
            self.asks.pop(rail, None)
            return
        ask = await look_up(self.who.shop, read_ask(content.get("recommend") or {}))
        if rail not in self.asks and len(self.asks) == MAX_RAILS:
            raise invalid(EventError("rail", f"this page has {MAX_RAILS} rails already; ask for nothing (null) in one of them"))
        self.asks[rail] = ask
        await self.send_slate(rail, ask, profile=True)

    async def take_event(self, content: Mapping[str, Any]) -> None:
        """Count the event; the push that follows comes as it does for every subscriber of the session."""
        visit = turns.read_visit(self.who, {**content, "session_id": self.who.session})
        turn = await turns.take(self.here, visit, [content.get("event")], ask=None, now=time.time())
        self.here.surroundings.look(turn, self.scope)
        await self.send_json({"type": "result", "result": turn.results[0], "version": turn.state.version})

    async def send_problem(self, problem: Problem) -> None:
        await self.send_json({"type": "error", **{k: v for k, v in problem.as_json().items() if k != "type"}})

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        return live.encode_text(content)


def origin_allowed(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser's page may open a socket: its host must be one of ours. Clients that aren't browsers send none."""
    origin = headers.get(b"origin")
    if origin is None:
        return True
    with contextlib.suppress(ValueError):
        host = urlsplit(origin.decode("latin-1")).hostname
        return host is not None and validate_host(f"[{host}]" if ":" in host else host, settings.ALLOWED_HOSTS)
    return False


async def nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """The answer to a websocket on any other path: refused, as a 404 would be."""
    await receive()
    await send({"type": "websocket.close", "code": NOT_FOUND})


websocket_application = URLRouter([path("ws/v1/session", SessionConsumer.as_asgi()), re_path("", nothing_here)])  # type: ignore[arg-type]
