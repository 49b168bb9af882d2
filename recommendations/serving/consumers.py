"""The websocket of one session: events in, and profile, shift and slates pushed as the session moves.

The token in the address names the session; nothing a client sends can name another. Slates are computed by the same
turn as over REST, so that each push is committed, logged and reproducible.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from channels.routing import URLRouter
from django.urls import path, re_path

from personas.events import EventError
from recommendations.serving import turns
from recommendations.serving.access import Principal, read_session_token
from recommendations.serving.asks import look_up, read_ask
from recommendations.serving.desk import desk_socket
from recommendations.serving.payloads import profile_json, slate_json
from recommendations.serving.problems import Problem, internal, invalid
from recommendations.serving.sockets import FORBIDDEN, NOT_FOUND, UNAUTHORISED, Refused, Socket
from recommendations.serving.store import channel

logger = logging.getLogger(__name__)

MAX_RAILS = 4
"""Slates of one page that are kept up to date: what a session keeps in mind of its slates is bounded (`session.MAX_PENDING`)."""

MAX_RAIL = 20

PAUSE_S = 0.1
"""Between two pushes to one socket: the first comes at once, and what moves meanwhile comes together. Nobody reads faster."""

NEVER = -1
UNKNOWN = object()


class Rail(NamedTuple):
    """A slate that a page keeps. shown : the session's version with the slate that was sent last, `NEVER` for none."""

    ask: turns.Ask
    shown: int = NEVER


class SessionSocket(Socket):
    """Messages in: `event`, `recommend`, `profile`, `resume`, `pong`. Out: `hello`, `profile`, `shift`, `slate`, `result`,
    `error`, `ping`; `docs/asyncapi.yaml` has them all.

    A page has a few rails, each asked for under its name; of what it didn't ask for nothing is computed.
    """

    who: Principal

    async def admit(self) -> Hashable:
        try:
            self.who = read_session_token(self.asked.get("token", ""), now=time.time())
        except Problem as problem:
            raise Refused(UNAUTHORISED, problem.code) from problem
        origin, host = (self.headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
        # Clients that aren't browsers send no origin.
        if b"origin" in self.headers and not self.here.shops.origin_allowed(self.who.shop, origin, host):
            raise Refused(FORBIDDEN, "foreign_origin")
        self.visit = turns.visit_of(self.who)
        self.rails: dict[str, Rail] = {}
        self.dirty = asyncio.Event()
        self.moved_to = self.profile_at = NEVER
        self.last_profile: object = None
        self.last_shift: object = UNKNOWN
        self.telling = asyncio.Lock()
        return self.who.shop, self.who.session

    async def opened(self) -> None:
        left_s = max(0.0, self.who.expires - time.time())
        self.expiry = asyncio.get_running_loop().call_later(left_s, self.end, UNAUTHORISED, "expired_token")
        # Listening comes before reading: an event between the two is pushed, not lost.
        await self.here.bus.listen(channel(self.who.shop, self.who.session), self.moved)
        try:
            await self.greet(known_version(self.asked.get("version")))
        except Problem as problem:
            await self.say({"type": "hello", "session_id": self.who.session, "version": None, "news": True})
            await self.say_problem(problem)
        self.run(self.push(), f"push {self.who.session}")

    async def left(self) -> None:
        self.expiry.cancel()
        await self.here.bus.leave(channel(self.who.shop, self.who.session), self.moved)

    def moved(self, message: bytes) -> None:
        """The session moved to a version, or (b"") it may have."""
        version = int(message) if message else NEVER
        if version < self.moved_to:
            # Messages come in the order of the commits: a session whose state was lost starts again.
            self.forget()
        self.moved_to = version
        if not message or version > self.profile_at or any(rail.shown < version for rail in self.rails.values()):
            self.dirty.set()

    def forget(self) -> None:
        """What was shown is no longer known to be the latest."""
        self.last_profile, self.profile_at = None, NEVER
        self.rails = {name: rail._replace(shown=NEVER) for name, rail in self.rails.items()}

    # Out

    async def push(self) -> None:
        """Tell what changed whenever the session has moved. What moves meanwhile is taken together."""
        while True:
            await self.dirty.wait()
            self.dirty.clear()
            try:
                async with self.telling:
                    await self.show()
            except Problem as problem:
                await self.say_problem(problem)
            except Exception:
                logger.exception("a push to session %s failed", self.who.session)
                await self.say_problem(internal())
            await asyncio.sleep(PAUSE_S)

    async def greet(self, seen: int) -> None:
        """Say what version the session has, and what a client that saw version `seen` missed."""
        turn = await self.turn()
        news = turn.state.version != seen
        await self.say({"type": "hello", "session_id": self.who.session, "version": turn.state.version, "news": news})
        if news:
            self.forget()
        await self.tell_profile(turn, silent=not news, missed=seen != NEVER)
        if news and self.rails:
            self.dirty.set()

    async def turn(self, ask: turns.Ask | None = None) -> turns.Turn:
        turn = await turns.take(self.here, self.visit, ask=ask, now=time.time())
        self.here.surroundings.look(turn, self.scope)
        return turn

    async def show(self) -> None:
        """Tell profile and shift if they changed, and make anew every slate that the session has left behind."""
        behind = [name for name, rail in self.rails.items() if rail.shown == NEVER or rail.shown < self.moved_to]
        if not behind:
            await self.tell_profile(await self.turn())
        for name in behind:
            await self.show_rail(name)

    async def show_rail(self, name: str) -> None:
        """Make a rail's slate and tell it, unless the page has given the rail up, or to something else, meanwhile."""
        rail = self.rails.get(name)
        if rail is None:
            return
        turn = await self.turn(rail.ask)
        await self.tell_profile(turn)
        if turn.slate is None or name not in self.rails or self.rails[name].ask is not rail.ask:
            return
        self.rails[name] = Rail(rail.ask, turn.state.version)
        slate = slate_json(turn.engine, turn.state, turn.slate, reasons=rail.ask.reasons)
        await self.say({"type": "slate", "rail": name, "version": turn.state.version, "slate": slate})

    async def tell_profile(self, turn: turns.Turn, *, silent: bool = False, missed: bool = False) -> None:
        """The profile, if it isn't the one told last; the shift, if it is another than before.

        silent : the client has both.  missed : the client has both of before, and the server doesn't know which.
        """
        self.profile_at = turn.state.version
        facts = facts_of(turn)
        if facts == self.last_profile:
            return
        profile = profile_json(turn.engine, turn.state, now=time.time())
        shift, before = profile["shift"], self.last_shift
        self.last_profile, self.last_shift = facts, shift
        if silent:
            return
        version = turn.state.version
        await self.say({"type": "profile", "version": version, "profile": profile})
        if shift is not None and (missed if before is UNKNOWN else shift != before):
            await self.say({"type": "shift", "version": version, "shift": shift})

    # In

    async def take(self, content: Mapping[str, Any]) -> None:
        kind = content.get("type")
        if kind == "event":
            await self.take_event(content)
        elif kind == "recommend":
            await self.subscribe(content)
        elif kind == "profile":
            self.forget()
            self.dirty.set()
        elif kind == "resume":
            async with self.telling:
                await self.greet(known_version(content.get("version")))
        else:
            raise Problem(400, "unknown_type", f"{str(kind)[:40]!r} is not one of event, recommend, profile, resume, pong.")

    async def subscribe(self, content: Mapping[str, Any]) -> None:
        """What a page asks for once is what it is pushed from then on, until it asks for nothing there."""
        rail = content.get("rail", "")
        if not isinstance(rail, str) or len(rail) > MAX_RAIL:
            raise invalid(EventError("rail", f"must be a name of at most {MAX_RAIL} characters"))
        if "recommend" in content and content["recommend"] is None:
            self.rails.pop(rail, None)
            return
        seen = known_version(content.get("version"))
        ask = await look_up(self.who.shop, read_ask(content.get("recommend") or {}))
        if rail not in self.rails and len(self.rails) == MAX_RAILS:
            raise invalid(EventError("rail", f"this page has {MAX_RAILS} rails already; ask for nothing (null) in one of them"))
        async with self.telling:
            self.rails[rail] = Rail(ask)
            if seen != NEVER and (await self.turn()).state.version == seen:
                self.rails[rail] = Rail(ask, seen)  # the page has this slate
            else:
                await self.show_rail(rail)

    async def take_event(self, content: Mapping[str, Any]) -> None:
        """Count the event. What it led to is pushed once, to this socket as to every other of the session; the answer says only
        what became of the event."""
        visit = turns.read_visit(self.who, {**content, "session_id": self.who.session})
        turn = await turns.take(self.here, visit, [content.get("event")], ask=None, now=time.time())
        self.here.surroundings.look(turn, self.scope)
        await self.say({"type": "result", "result": turn.results[0], "version": turn.state.version})


def known_version(given: object) -> int:
    """The version that a client says it has seen; `NEVER` if it doesn't say. Raises Problem."""
    if given is None:
        return NEVER
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 16:
        return int(given)
    if type(given) is int and given >= 0:
        return given
    raise invalid(EventError("version", "must be a whole number: that of the last profile or slate that came"))


def facts_of(turn: turns.Turn) -> object:
    """What a profile is made of. A slate leaves it alone, so that most comparisons are of the same objects."""
    state = turn.state
    return turn.engine.release, turn.engine.overlay.version, state.persona, state.adapted, state.events, state.context


async def session_socket(scope: Any, receive: Any, send: Any) -> None:
    await SessionSocket(scope, receive, send).serve()


async def nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """The answer to a websocket on any other path: refused, as a 404 would be."""
    await receive()
    await send({"type": "websocket.close", "code": NOT_FOUND})


websocket_application = URLRouter(
    [path("ws/v1/session", session_socket), path("ws/v1/desk", desk_socket), re_path("", nothing_here)]  # type: ignore[arg-type]
)
