"""One connection to Redis that all of a process's turns share: what they ask at the same time goes out, and comes back, together.

A pooled connection for each command costs a request several times what the command does: taking it, timing it, a task that
waits for it. Here a command is bytes and a future. Redis answers in order; commits that arrive together are synced to its disk
together. A command that blocks would hold up everybody's: those belong on the pooled client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TooLong

Command = tuple[str | bytes | int, ...]
Reply = Any
"""What Redis answered: bytes, int, None, or a list of those."""


IN_FLIGHT = 64
"""Askers whose commands are under way. Beyond them others wait their turn: a burst, or a slow server, takes no more."""

WAIT_FOR_TURN_S = 5.0

_NOT_YET = object()


def _reader() -> hiredis.Reader:
    return hiredis.Reader(notEnoughData=_NOT_YET)


class Wire(asyncio.Protocol):
    """Commands of one event loop over one connection, made anew when it is lost.

    client : who knows where the server is and how to log in to it; its pool is not used.
    """

    def __init__(self, client: Redis) -> None:
        self.client = client
        self._transport: asyncio.WriteTransport | None = None
        self._connection: Any = None
        self._connecting = asyncio.Lock()
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._unsent: list[bytes] = []
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._reader = _reader()

    async def ask(self, *commands: Command) -> list[Reply]:
        """The answers to commands, which reach the server in this order, one right after the other.

        Raises redis.RedisError: `NoScriptError` or `ResponseError` for the first that the server refuses, `ConnectionError` if
        the connection can't be made or was lost, and then nobody knows whether the commands were run; `TimeoutError`
        if they had to wait for too long, and then they were not.
        """
        if self._turns.locked():
            await self._wait()
        else:
            await self._turns.acquire()
        try:
            if self._transport is None:
                await self._reconnect()
            answers = self._queue(commands)
            try:
                return [await answer for answer in answers]
            finally:
                for answer in answers:  # of one that failed, or whose request was cancelled, nobody asks any more
                    if answer.done() and not answer.cancelled():
                        answer.exception()
        finally:
            self._turns.release()

    async def ask_one(self, command: Command) -> Reply:
        """The answer to one command, which is nearly all that turns ask; raises as `ask` does."""
        if self._turns.locked():
            await self._wait()
        else:
            await self._turns.acquire()
        try:
            if self._transport is None:
                await self._reconnect()
            return await self._queue((command,))[0]
        finally:
            self._turns.release()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(WAIT_FOR_TURN_S):
                await self._turns.acquire()
        except TimeoutError as error:
            raise TooLong(f"{IN_FLIGHT} requests to Redis were under way for {WAIT_FOR_TURN_S:g} s") from error

    async def _reconnect(self) -> None:
        async with self._connecting:
            if self._transport is None:
                await self._connect()

    def _queue(self, commands: Sequence[Command]) -> list[asyncio.Future[Reply]]:
        """What will be the commands' answers, once whoever runs in this turn of the loop has asked too."""
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # the stub knows tuples of one
        loop = asyncio.get_running_loop()
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent += packed
        answers = [loop.create_future() for _ in packed]
        self._waiting += answers
        return answers

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def _connect(self) -> None:
        pool = self.client.connection_pool
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        await connection.connect()  # address, TLS, log-in and database, as for every other connection
        self._reader = _reader()
        self._connection = connection
        # redis-py has no word for its stream. Should it keep it elsewhere some day, no process starts (`Store.connect`).
        transport = getattr(getattr(connection, "_writer", None), "transport", None)
        if transport is None:
            raise RuntimeError(f"{type(connection).__name__} of this redis-py keeps its stream elsewhere than in _writer")
        transport.set_protocol(self)
        self._transport = transport

    def _send(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        if self._transport is not None:
            self._transport.write(data)
        else:
            self._fail(LostConnection("the connection to Redis was lost"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _NOT_YET:
            if isinstance(reply, hiredis.PushNotification):
                continue
            answer = self._waiting.popleft()
            if answer.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                text = str(reply)
                answer.set_exception(NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text))
            else:
                answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self._connection = None
        self._unsent.clear()
        self._fail(LostConnection(f"the connection to Redis was lost{f': {exc}' if exc else ''}"))

    def _fail(self, error: Exception) -> None:
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(error)
