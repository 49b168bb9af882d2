"""What a serving process holds: its connections, engines, keys and state cache. One for each event loop."""

from __future__ import annotations

import asyncio
import logging
import time

from django.conf import settings
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from recommendations import overlays, releases
from recommendations.serving import access, shops
from recommendations.serving.bus import Bus
from recommendations.serving.cohorts import Cohorts
from recommendations.serving.engines import Engines
from recommendations.serving.opened import Opened
from recommendations.serving.shops import Shops
from recommendations.serving.store import Durability, Store
from recommendations.serving.surroundings import Surroundings
from recommendations.serving.throttling import EXCHANGE_S, Exchange, Limits
from recommendations.serving.usage import Usage
from recommendations.serving.watching import Watching

logger = logging.getLogger(__name__)

CONNECTIONS = 64
"""To Redis, for each process. Beyond them requests wait their turn, which bounds what a burst can take."""

WAIT_FOR_CONNECTION_S = 5.0
SHOPS_AGAIN_S = 1.0


class Process:
    """Everything that requests and sockets of this process share."""

    def __init__(self, url: str, engines: Engines) -> None:
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=WAIT_FOR_CONNECTION_S)
        self.client = Redis(connection_pool=pool)
        self.engines = engines
        self.keys = access.Keys(self.client)
        self.shops = Shops(self.client)
        self.limits = Limits()
        self.usage = Usage()
        self.bus = Bus(Redis.from_url(url))
        self.opened = Opened()
        self.watching = Watching(url)
        self.store = Store(
            self.client,
            ttl_s=settings.SESSION_TTL_S,
            partitions=settings.ACTIVITY_PARTITIONS,
            durability=Durability(settings.DURABILITY),
        )
        self.cohorts = Cohorts()
        self.surroundings = Surroundings(self)
        self._tasks: list[asyncio.Task[None]] = []
        self._shops_moved = asyncio.Event()

    async def start(self) -> None:
        """Connect, load every active release, and begin to follow changes. Raises if Redis can't be reached."""
        await self.store.connect()
        await self.bus.start(
            {
                releases.CHANNEL: self.engines.look,
                overlays.CHANNEL: self.engines.look,
                access.CHANNEL: lambda _message: self.keys.forget(),
                shops.CHANNEL: lambda _message: self._shops_moved.set(),
            },
        )
        await self.shops.refresh()
        await self.engines.refresh()
        self._tasks = [
            asyncio.create_task(self.engines.watch(), name="watch releases"),
            asyncio.create_task(self._watch_shops(), name="watch shops"),
            asyncio.create_task(self._share_limits(), name="share limits"),
            asyncio.create_task(self.usage.keep(), name="tell of keys' use"),
        ]
        self.surroundings.start()

    async def stop(self) -> None:
        await self.opened.close()
        await self.watching.stop()
        await self.surroundings.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.usage.tell()
        await self.bus.stop()
        self.engines.close()
        self.store.close()
        await self.client.aclose()
        await self.client.connection_pool.disconnect()

    async def _watch_shops(self) -> None:
        """Read the shops anew when they moved, or may have."""
        while True:
            await self._shops_moved.wait()
            self._shops_moved.clear()
            try:
                await self.shops.refresh()
            except (RedisError, OSError, ValueError, LookupError):
                logger.exception("shops can't be read; they are as they were, and are read again")
                await asyncio.sleep(SHOPS_AGAIN_S)
                self._shops_moved.set()

    async def _share_limits(self) -> None:
        """Tell the other processes what was asked of this one, and learn of them. Without Redis each holds limits by itself."""
        exchange = Exchange(self.limits)
        while True:
            await asyncio.sleep(EXCHANGE_S)
            try:
                pipe = self.client.pipeline(transaction=False)
                asked = exchange.queue(pipe, now=time.time())
                if len(pipe):
                    exchange.answered(asked, await pipe.execute())
            except (RedisError, OSError):
                self.limits.alone()
                logger.warning("limits can't be shared with other processes: Redis can't be reached")


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


async def end_sockets() -> None:
    """Have the sockets of this loop's process say that the server stops; none where it never started."""
    if _current is not None and _current[0] is asyncio.get_running_loop() and _current[1].done() and not _failed(_current[1]):
        await _current[1].result().opened.close()


async def stop() -> None:
    """Close what `current` opened on this loop."""
    global _current
    if _current is not None and _current[0] is asyncio.get_running_loop():
        task = _current[1]
        _current = None
        await (await task).stop()
