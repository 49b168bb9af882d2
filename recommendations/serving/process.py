"""What a serving process holds: its connections, engines, keys and state cache. One for each event loop."""

from __future__ import annotations

import asyncio
import logging

from django.conf import settings
from redis.asyncio import BlockingConnectionPool, Redis

from recommendations import overlays, releases
from recommendations.serving import access
from recommendations.serving.bus import Bus
from recommendations.serving.engines import Engines
from recommendations.serving.store import Durability, Store
from recommendations.serving.surroundings import Surroundings

logger = logging.getLogger(__name__)

CONNECTIONS = 64
"""To Redis, for each process. Beyond them requests wait their turn, which bounds what a burst can take."""

WAIT_FOR_CONNECTION_S = 5.0


class Process:
    """Everything that requests and sockets of this process share."""

    def __init__(self, url: str, engines: Engines) -> None:
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=WAIT_FOR_CONNECTION_S)
        self.client = Redis(connection_pool=pool)
        self.engines = engines
        self.keys = access.Keys(self.client)
        self.bus = Bus(Redis.from_url(url))
        self.store = Store(
            self.client,
            ttl_s=settings.SESSION_TTL_S,
            partitions=settings.ACTIVITY_PARTITIONS,
            durability=Durability(settings.DURABILITY),
        )
        self.surroundings = Surroundings(self)
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, load every active release, and begin to follow changes. Raises if Redis can't be reached."""
        await self.store.connect()
        await self.bus.start(
            {
                releases.CHANNEL: self.engines.look,
                overlays.CHANNEL: self.engines.look,
                access.CHANNEL: lambda _message: self.keys.forget(),
            },
        )
        await self.engines.refresh()
        self._watch = asyncio.create_task(self.engines.watch(), name="watch releases")
        self.surroundings.start()

    async def stop(self) -> None:
        await self.surroundings.stop()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self.bus.stop()
        self.engines.close()
        self.store.close()
        await self.client.aclose()
        await self.client.connection_pool.disconnect()


_current: tuple[asyncio.AbstractEventLoop, asyncio.Task[Process]] | None = None


async def current() -> Process:
    """The running loop's process, started by whoever asks first: the server's lifespan, or else a request."""
    global _current
    loop = asyncio.get_running_loop()
    if _current is None or _current[0] is not loop or _failed(_current[1]):
        _current = (loop, loop.create_task(start(settings.REDIS_URL, Engines())))
    if _current[1].done():
        return _current[1].result()
    return await asyncio.shield(_current[1])


def engines_here() -> Engines | None:
    """The engines that this process serves with, whichever thread asks; None if it serves pages only, or just starts."""
    if _current is None or not _current[1].done() or _failed(_current[1]):
        return None
    return _current[1].result().engines


def _failed(task: asyncio.Task[Process]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def start(url: str, engines: Engines) -> Process:
    """A started process; what was opened is closed again if that fails."""
    process = Process(url, engines)
    try:
        await process.start()
    except BaseException:
        await process.stop()
        raise
    return process


def serve_with(process: asyncio.Task[Process]) -> None:
    """Make a process, once started, the running loop's own: for an embedder that brings its own engines."""
    global _current
    _current = (asyncio.get_running_loop(), process)


async def stop() -> None:
    """Close what `current` opened on this loop."""
    global _current
    if _current is not None and _current[0] is asyncio.get_running_loop():
        task = _current[1]
        _current = None
        await (await task).stop()
