"""A websocket as this process holds it, whatever goes over it: who may open one, how fast it may speak, when it is let go.

What is sent waits for the socket to take it, and nothing is queued: whoever has news tells the newest when its turn comes.
So a slow reader costs one message, and nobody else's time.

The server (Granian 2.8) sends a close frame only where nobody waits to receive: hence the reader is stopped before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Hashable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from django.conf import settings

from recommendations.serving import live, process
from recommendations.serving.problems import Problem, internal
from recommendations.serving.process import Process

logger = logging.getLogger(__name__)

MAX_MESSAGE = 100_000
"""Characters of one message; what is longer belongs to the REST endpoint."""

MESSAGES_PER_S = 20.0
MESSAGES_AT_ONCE = 100.0
"""Messages that a socket may send: so many a second, and so many at once after a silence. Who sends more is let go."""

SOCKETS_EACH = 8
"""Sockets of one session, or of one account, in one process: a page has one, and people have a few tabs."""

SLOW_S = 10.0
"""How long a message may wait for the socket to take it."""

CLOSE_S = 1.0

UNAUTHORISED, FORBIDDEN, NOT_FOUND, SLOW, TOO_MANY, FULL = 4401, 4403, 4404, 4408, 4429, 4503
"""Close codes, after the HTTP statuses that they stand for."""

FAILED = 1011


class Refused(Exception):
    """Whoever knocks isn't let in.

    told : whether a page should see the code, for which the socket must be opened first; else the handshake is refused, and
    the page sees 1006.
    """

    def __init__(self, code: int, reason: str, *, told: bool = False) -> None:
        super().__init__(reason)
        self.code, self.reason, self.told = code, reason, told


class Closing(NamedTuple):
    """How a socket ends. code : 0 where the other side went, and nothing is left to say."""

    code: int
    reason: str = ""


class Socket(ABC):
    """One websocket. `admit` says whose it is, `opened` what is told, `take` what a message means, `left` what is let go of."""

    def __init__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        self._receive, self._send = receive, send
        self._ended: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tokens, self._counted = MESSAGES_AT_ONCE, asyncio.get_running_loop().time()
        self._heard = True
        self._pinged = False
        self.here: Process

    @abstractmethod
    async def admit(self) -> Hashable:
        """Whose socket it is, of whom only so many are let in. Raises Refused."""

    @abstractmethod
    async def opened(self) -> None:
        """Called once the socket is open, before anything is read."""

    @abstractmethod
    async def take(self, content: Mapping[str, Any]) -> None:
        """A message came. Raises Problem, which is answered; the socket goes on."""

    @abstractmethod
    async def left(self) -> None:
        """Called when the socket is closed, or as good as, once `opened` was called, whatever came of that."""

    # What subclasses use

    @property
    def gone(self) -> bool:
        return self._ended.done()

    async def say(self, content: object) -> None:
        """Send a message, once the socket takes it. A socket that takes none for `SLOW_S` is let go."""
        text = live.encode_text(content)
        async with self._writing:
            if self.gone:
                return
            try:
                async with asyncio.timeout(SLOW_S):
                    await self._send({"type": "websocket.send", "text": text})
            except TimeoutError:
                self.end(SLOW, f"took nothing for {SLOW_S:g} s")
            except (OSError, RuntimeError):  # closed between the last look and now
                self.end(0)

    async def say_problem(self, problem: Problem) -> None:
        await self.say({"type": "error", **{k: v for k, v in problem.as_json().items() if k != "type"}})

    def end(self, code: int, reason: str = "") -> None:
        """Close the socket, soon; the first word of it counts."""
        if not self._ended.done():
            self._ended.set_result(Closing(code, reason))

    def run(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Do something beside, as long as the socket is open. What fails there ends the socket."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)
            self.end(FAILED, "something failed here; it was logged")

    # The way of a socket

    async def serve(self) -> None:
        """From the handshake to the end."""
        await self._receive()
        self.here = await process.current()
        try:
            whose = await self._admitted()
        except Refused as refused:
            if refused.told:
                await self._send({"type": "websocket.accept"})
            await self._send({"type": "websocket.close", "code": refused.code, "reason": refused.reason})
            return
        with self.here.opened.speaking():
            closing = await self._open(whose)
            if closing.code:
                with contextlib.suppress(TimeoutError, OSError, RuntimeError):
                    async with asyncio.timeout(CLOSE_S):
                        await self._send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})

    async def _open(self, whose: Hashable) -> Closing:
        """From the handshake's answer to the last word, which is left to be said."""
        self.here.opened.add(whose, self)
        begun = False
        try:
            await self._send({"type": "websocket.accept"})
            begun = True
            await self.opened()
            self.run(self._read(), "read a socket")
            self.run(self._keep(), "keep a socket")
            return await self._ended
        finally:
            self.end(0)
            self.here.opened.discard(whose, self)
            await self._stop()
            if begun:
                await self.left()

    async def _admitted(self) -> Hashable:
        if len(self.here.opened) >= settings.SOCKETS_MAX:
            raise Refused(FULL, f"this process has {settings.SOCKETS_MAX} sockets already", told=True)
        whose = await self.admit()
        if self.here.opened.of(whose) >= SOCKETS_EACH:
            raise Refused(TOO_MANY, f"{SOCKETS_EACH} sockets are open here already", told=True)
        return whose

    async def _stop(self) -> None:
        """End what runs beside: again and again, for a cancellation that comes while the Redis client holds a timeout can be
        lost in it."""
        while tasks := [task for task in self._tasks if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.0)

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.end(0)
                return
            self._heard = True
            if not self._may_speak():
                self.end(TOO_MANY, f"more than {MESSAGES_PER_S:g} messages a second")
                return
            await self._understand(message.get("text"))

    def _may_speak(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._tokens = min(MESSAGES_AT_ONCE, self._tokens + (now - self._counted) * MESSAGES_PER_S) - 1.0
        self._counted = now
        return self._tokens >= 0.0

    async def _understand(self, text: str | None) -> None:
        try:
            if not text:
                raise Problem(400, "malformed_json", "Send JSON as text.")
            if len(text) > MAX_MESSAGE:
                raise Problem(413, "body_too_large", f"A message has at most {MAX_MESSAGE} characters.")
            content = live.decode_object(text)
            if content.get("type") != "pong":
                await self.take(content)
        except Problem as problem:
            await self.say_problem(problem)
        except Exception:
            logger.exception("a message of a socket failed")
            await self.say_problem(internal())

    async def _keep(self) -> None:
        """Ask every so often whether the other side is there; any message says so."""
        while True:
            self._heard = False
            await asyncio.sleep(settings.SOCKET_PING_S)
            if not self._heard and self._pinged:
                self.end(SLOW, f"silent for {2 * settings.SOCKET_PING_S} s")
                return
            self._pinged = not self._heard
            await self.say({"type": "ping"})
