"""The engines this process serves with, one a shop, swapped while requests run.

A request takes the engine once and keeps it; a swap changes what the next one takes. The engine before is kept, so
that sessions made under it are rebased with both at hand.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from recommendations import engine as loop
from recommendations import releases
from recommendations.engine import Engine
from recommendations.models import Release
from recommendations.session import Request

logger = logging.getLogger(__name__)

POLL_S = 2.0
"""How often a process looks for a new release by itself; the message of an activation makes it look at once."""


def active_releases() -> dict[int, str]:
    """Shop id -> number of its active release, from the database."""
    active = Release.objects.filter(state=Release.State.ACTIVE).order_by().values_list("shop_id", "number")
    return {shop: str(number) for shop, number in active}


def warm(engine: Engine, at: float) -> None:
    """One throwaway turn, so that lazily made tables and mapped pages are there before the first shopper is."""
    state = loop.start(engine, shop=0, session="warm-up", at=at)
    engine.catalogue.ids_of(["warm-up"])
    loop.recommend(engine, state, Request(now=at), loop.generator(state))


class Engines:
    """Engines by shop. find, load : where releases come from; the database and the releases directory by default."""

    def __init__(
        self,
        find: Callable[[], Mapping[int, str]] = active_releases,
        load: Callable[[int], Engine] = releases.load_active,
    ) -> None:
        self._find = find
        self._load = load
        self._now: dict[int, Engine] = {}
        self._before: dict[int, Engine] = {}
        self._refused: dict[int, str] = {}
        self._look = asyncio.Event()
        # One thread of its own: loading never waits behind, or holds up, whatever else uses the loop's pool.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engines")

    def get(self, shop: int) -> Engine | None:
        return self._now.get(shop)

    def made_under(self, shop: int, release: str) -> Engine | None:
        """The engine of an earlier release, if this process still has it."""
        before = self._before.get(shop)
        return before if before is not None and before.release == release else None

    def refused(self, shop: int) -> str:
        """Number of the shop's active release if it could not be loaded, else ""."""
        return self._refused.get(shop, "")

    def put(self, shop: int, engine: Engine) -> None:
        """Serve the shop with `engine` from the next request on."""
        current = self._now.get(shop)
        if current is not None and current.release != engine.release:
            self._before[shop] = current
        self._now[shop] = engine

    def look(self, _message: bytes = b"") -> None:
        """Look for new releases now."""
        self._look.set()

    async def refresh(self) -> None:
        """Take up every release that is active and isn't served yet; one that can't be loaded leaves the last in place."""
        loaded = await asyncio.get_running_loop().run_in_executor(self._pool, self._load_new)
        for shop, engine in loaded.items():
            self.put(shop, engine)
            logger.info("shop %s is served with release %s", shop, engine.release)

    def _load_new(self) -> dict[int, Engine]:
        loaded: dict[int, Engine] = {}
        try:
            for shop, number in self._find().items():
                current = self._now.get(shop)
                if current is not None and current.release == number:
                    continue
                try:
                    engine = self._load(shop)
                    warm(engine, time.time())
                    loaded[shop] = engine
                    self._refused.pop(shop, None)
                except Exception:
                    if self._refused.get(shop) != number:  # told once, not at every look
                        logger.exception("release %s of shop %s can't be served", number, shop)
                    self._refused[shop] = number
        finally:
            connections.close_all()
        return loaded

    async def watch(self) -> None:
        """Keep the engines up to date until cancelled."""
        while True:
            self._look.clear()
            try:
                await self.refresh()
            except Exception:
                logger.exception("looking for new releases failed; trying again")
            try:
                await asyncio.wait_for(self._look.wait(), POLL_S)
            except TimeoutError:
                continue

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
