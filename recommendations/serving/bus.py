"""What Redis's pub/sub tells this process: one connection, any number of listeners.

Messages are hints to look, never the thing itself: after a lost connection every listener is told to look.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

Listener = Callable[[bytes], None]
"""Called on the loop with the message, or b"" when messages may have been lost. Must not block or raise."""

RECONNECT_S = 0.5

PING_S = 15.0
"""A connection that said nothing for this long is asked whether it still stands, and given up if it doesn't say so in as long."""

_NOT_YET = object()


class Bus(asyncio.Protocol):
    """Listeners by channel, and the connection that feeds them.

    Read as it arrives, on the loop: a task and a timeout for each message, as redis-py's client has them, cost more than all
    that a listener does.

    client : who knows where the server is and how to log in to it; its pool is not used.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._listeners: dict[str, set[Listener]] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._connection: Any = None
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._asked: deque[asyncio.Future[None]] = deque()
        self._heard = True
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, fixed: dict[str, Listener]) -> None:
        """Begin to listen. fixed : listeners that stay for good. Raises redis.RedisError or OSError."""
        for name, listener in fixed.items():
            self._listeners.setdefault(name, set()).add(listener)
        await self._connect()
        self._task = asyncio.create_task(self._keep(), name="bus")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    async def listen(self, name: str, listener: Listener) -> None:
        """Hear a channel; when this returns, the server has confirmed it, and no later message is missed.

        While the connection is lost it returns at once: once it is back, every listener is told to look.
        """
        listeners = self._listeners.setdefault(name, set())
        listeners.add(listener)
        # Whoever is not the first asks again: the first one's subscription may not have been confirmed yet.
        if self._transport is not None:
            await self._subscribe([name])

    async def leave(self, name: str, listener: Listener) -> None:
        listeners = self._listeners.get(name, set())
        listeners.discard(listener)
        if not listeners and self._listeners.pop(name, None) is not None and self._transport is not None:
            # Written now: a subscription that is asked for after it comes after it.
            self._transport.write(_packed(("UNSUBSCRIBE", name)))

    async def _subscribe(self, names: Iterable[str]) -> None:
        """Raises nothing: a connection that is lost meanwhile is made anew, and subscribes to all that is listened to."""
        if self._transport is None:
            return
        loop, answers = asyncio.get_running_loop(), []
        for name in names:
            self._transport.write(_packed(("SUBSCRIBE", name)))
            answers.append(loop.create_future())
        self._asked += answers
        await asyncio.gather(*answers, return_exceptions=True)

    async def _connect(self) -> None:
        pool = self._client.connection_pool
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        await connection.connect()  # address, TLS, log-in and database, as for every other connection
        transport = getattr(getattr(connection, "_writer", None), "transport", None)
        if transport is None:
            raise RuntimeError(f"{type(connection).__name__} of this redis-py keeps its stream elsewhere than in _writer")
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        transport.set_protocol(self)
        self._connection, self._transport, self._heard = connection, transport, True
        self._lost.clear()
        await self._subscribe(list(self._listeners))

    async def _keep(self) -> None:
        """Look after the connection: ask whether it stands, and make it anew when it is lost."""
        while True:
            try:
                await asyncio.wait_for(self._lost.wait(), PING_S)
            except TimeoutError:
                if self._transport is None:
                    continue
                if self._heard:
                    self._heard = False
                    self._transport.write(_packed(("PING",)))
                else:
                    self._transport.abort()
                continue
            try:
                await self._connect()
                self._tell_all()
            except (RedisError, OSError) as error:
                logger.warning("the connection for live messages can't be made (%s); trying again", error)
                await asyncio.sleep(RECONNECT_S)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _NOT_YET:
            if not isinstance(reply, list) or not reply:
                continue
            if reply[0] == b"message":
                self._tell(reply[1].decode(), reply[2])
            elif reply[0] == b"subscribe" and self._asked:
                answer = self._asked.popleft()
                if not answer.done():
                    answer.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None and not self._task.cancelling() and not self._task.done():
            logger.warning("the connection for live messages was lost (%s); connecting again", exc or "closed by the server")
        self._transport = self._connection = None
        while self._asked:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(LostConnection("the connection for live messages was lost"))
        self._lost.set()

    def _tell(self, name: str, data: bytes) -> None:
        for listener in tuple(self._listeners.get(name, ())):
            listener(data)

    def _tell_all(self) -> None:
        for name in tuple(self._listeners):
            self._tell(name, b"")


def _packed(command: tuple[str, ...]) -> bytes:
    return hiredis.pack_command(command)  # type: ignore[arg-type]  # the stub knows tuples of one
