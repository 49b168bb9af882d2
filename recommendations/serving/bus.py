"""What Redis's pub/sub tells this process: one connection, any number of listeners.

Messages are hints to look, never the thing itself: after a lost connection every listener is told to look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

Listener = Callable[[bytes], None]
"""Called on the loop with the message, or b"" when messages may have been lost. Must not block or raise."""

RECONNECT_S = 0.5


class Bus:
    """Listeners by channel, and the task that feeds them."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._listeners: dict[str, set[Listener]] = {}
        self._pubsub: PubSub | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, fixed: dict[str, Listener]) -> None:
        """Begin to listen. fixed : listeners that stay for good; there must be one at least."""
        for name, listener in fixed.items():
            self._listeners.setdefault(name, set()).add(listener)
        self._pubsub = await self._connect()
        self._task = asyncio.create_task(self._run(), name="bus")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pubsub is not None:
            await self._pubsub.aclose()

    async def listen(self, name: str, listener: Listener) -> None:
        """Hear a channel; when this returns, no later message is missed."""
        listeners = self._listeners.setdefault(name, set())
        listeners.add(listener)
        if len(listeners) == 1 and self._pubsub is not None:
            await self._pubsub.subscribe(name)

    async def leave(self, name: str, listener: Listener) -> None:
        listeners = self._listeners.get(name, set())
        listeners.discard(listener)
        if not listeners and self._listeners.pop(name, None) is not None and self._pubsub is not None:
            await self._pubsub.unsubscribe(name)

    async def _connect(self) -> PubSub:
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        await pubsub.subscribe(*self._listeners)
        return pubsub

    async def _run(self) -> None:
        while True:
            try:
                if self._pubsub is None:
                    self._pubsub = await self._connect()
                    self._tell_all()
                message = await self._pubsub.get_message(timeout=None)
                if message is not None:
                    self._tell(message["channel"].decode(), message["data"])
            except (RedisError, OSError) as error:
                logger.warning("the connection for live messages was lost (%s); connecting again", error)
                if self._pubsub is not None:
                    await asyncio.gather(self._pubsub.aclose(), return_exceptions=True)
                self._pubsub = None
                await asyncio.sleep(RECONNECT_S)

    def _tell(self, name: str, data: bytes) -> None:
        for listener in tuple(self._listeners.get(name, ())):
            listener(data)

    def _tell_all(self) -> None:
        for name in tuple(self._listeners):
            self._tell(name, b"")
