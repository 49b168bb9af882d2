"""Bringing visitors to a shop for some minutes: at random moments, so many a minute, each a visit of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import numpy as np
from redis import Redis

from clusters.catalogue import Catalogue
from personas import versions
from personas.models import ApiKey, Shop
from recommendations import releases
from recommendations.evaluation.simulation.browsing import Browser, Habits
from recommendations.evaluation.simulation.crowd import Crowd
from recommendations.evaluation.simulation.world import build_world
from recommendations.locks import renewed
from recommendations.models import Release
from recommendations.reading import read_catalogue
from recommendations.visitors import standing
from recommendations.visitors.doors import DoorError, Doors
from recommendations.visitors.standing import VisitorsError
from recommendations.visitors.visit import visit

logger = logging.getLogger(__name__)

HABITS = Habits(leaves=2.0, carts=-4.6, buys=0.4)
"""A visit looks at some five pages, and one in ten or so ends with an order, as shops know it."""

KEY_NAME = "Simulated visitors"
MOST_INSIDE = 200
"""Visitors at a time; whoever comes then turns round at the door."""

LOOK_S = 1.0
MOST_FAILURES = 10
"""Visits in a row that came to nothing: then the shop is taken for closed."""

LEAVE_S = 90.0
"""After the end those who are inside have this long to leave."""


def run(
    shop: Shop, *, base: str, per_minute: int, minutes: int, seed: int | None = None, pace: float = 1.0, asked: bool = False
) -> standing.Standing | None:
    """Let visitors in for so many minutes; how it went. The key that they come by is issued here and ends here.

    base : the installation's address.  seed : of the crowd, by default another each time.
    asked : in the admin, by `standing.ask`; nobody comes where somebody said stop since.
    Raises VisitorsError if others are being let in, the shop has no release yet or nothing to choose from.
    """
    standing.check(per_minute, minutes)
    return _run(shop, base, per_minute=per_minute, until=time.time() + 60.0 * minutes, seed=seed, pace=pace, asked=asked)


def resume(shop: Shop, *, base: str, seed: int | None = None, pace: float = 1.0) -> standing.Standing | None:
    """Go on, until the time that was asked for, with visitors whose process ended before it; None where there are none.

    Who was inside is gone. Raises VisitorsError as `run`; where it isn't that others bring them, nobody tries again.
    """
    before = standing.unfinished(shop.pk)
    if before is None:
        return None
    try:
        return _run(shop, base, per_minute=before.per_minute, until=before.until, seed=seed, pace=pace, asked=True, before=before)
    except VisitorsError as error:
        if standing.unfinished(shop.pk) is not None:
            standing.note(shop.pk, releases.redis_client(), told=str(error))
        raise


def _run(
    shop: Shop,
    base: str,
    *,
    per_minute: int,
    until: float,
    seed: int | None,
    pace: float,
    asked: bool,
    before: standing.Standing | None = None,
) -> standing.Standing | None:
    """before : how those stand who are gone on with."""
    if Release.objects.active(shop) is None:
        raise VisitorsError(f"{shop} has no release yet: visitors would be shown nothing. Train it first")
    client = releases.redis_client()
    lock = client.lock(standing.lock_of(shop.pk), timeout=standing.HELD_S, blocking=False, thread_local=False)
    if not lock.acquire():
        raise VisitorsError(f"visitors come to {shop} already; stop those first")
    with renewed(lock, every=standing.HELD_S / 3):
        if wanted := standing.begin(shop.pk, standing.Wanted(per_minute, until), client, asked=asked):
            _let_in(shop, base, wanted, seed, pace, before, client)
    return standing.read(shop.pk, client)


def _let_in(
    shop: Shop,
    base: str,
    wanted: standing.Wanted,
    seed: int | None,
    pace: float,
    before: standing.Standing | None,
    client: Redis,
) -> None:
    """Arguments as of `_run`."""
    try:
        catalogue = read_catalogue(shop)
        crowd = _crowd(shop, catalogue, seed)
    except ValueError as error:
        raise VisitorsError(str(error)) from error
    key, plaintext = ApiKey.objects.issue(shop=shop, name=KEY_NAME, scopes=["ingest", "read"])
    key.expires_at = datetime.fromtimestamp(wanted.until, UTC) + timedelta(minutes=5)  # if this process is killed
    key.save(update_fields=["expires_at"])
    try:
        coming = _Coming(shop.pk, client, crowd, catalogue, wanted.per_minute, pace, before)
        asyncio.run(coming.bring(base, plaintext))
    except KeyboardInterrupt:
        standing.ask_to_stop(shop.pk, client)  # by hand: nobody goes on with them
        raise
    finally:
        key.revoke()


def _crowd(shop: Shop, catalogue: Catalogue, seed: int | None) -> Crowd:
    """The shop's personas as shoppers. Raises ValueError where nobody would come."""
    world = build_world(catalogue, *versions.current(shop), seed=shop.pk)
    return Crowd(world, HABITS, seed=time.time_ns() % (1 << 31) if seed is None else seed)


class _Coming:
    """Who comes, who is inside, and what is told of it."""

    def __init__(
        self,
        shop_id: int,
        client: Redis,
        crowd: Crowd,
        catalogue: Catalogue,
        per_minute: int,
        pace: float,
        before: standing.Standing | None,
    ) -> None:
        self.shop_id, self.client, self.crowd, self.catalogue = shop_id, client, crowd, catalogue
        self.per_minute, self.pace = per_minute, pace
        self.visits, self.bought, self.failed = (before.visits, before.bought, before.failed) if before else (0, 0, 0)
        self.in_a_row = 0
        self.inside: set[asyncio.Task[None]] = set()

    async def bring(self, base: str, key: str) -> None:
        rng = np.random.default_rng(self.crowd.seed)
        async with Doors(base, key) as doors:
            looking = asyncio.create_task(self._look(), name="visitors' standing")
            try:
                while await self._open():
                    await asyncio.sleep(min(10.0, float(rng.exponential(60.0 / self.per_minute))))
                    if len(self.inside) < MOST_INSIDE and await self._open():
                        self._enter(doors)
                if self.inside:
                    await asyncio.wait(self.inside, timeout=LEAVE_S * self.pace + 5.0)
            finally:
                for task in (*self.inside, looking):
                    task.cancel()
                await asyncio.gather(*self.inside, looking, return_exceptions=True)
                with suppress(Exception):
                    self._note()

    def _enter(self, doors: Doors) -> None:
        self.visits += 1
        shopper, context = self.crowd.comes(self.visits, time.time())
        task = asyncio.create_task(self._visit(doors, shopper, context, self.visits))
        self.inside.add(task)
        task.add_done_callback(self.inside.discard)

    async def _visit(self, doors: Doors, shopper: Browser, context: dict[str, str], number: int) -> None:
        try:
            told = await visit(
                doors,
                self.catalogue,
                shopper,
                context,
                rng=np.random.default_rng((self.crowd.seed, number, 7)),
                pace=self.pace,
            )
        except DoorError as error:
            self.failed += 1
            self.in_a_row += 1
            logger.warning("a simulated visit came to nothing: %s", error)
        except Exception:
            self.failed += 1
            self.in_a_row += 1
            logger.exception("a simulated visit failed")
        else:
            self.in_a_row = 0
            self.bought += told.bought

    async def _open(self) -> bool:
        if self.in_a_row >= MOST_FAILURES:
            await asyncio.to_thread(
                standing.note,
                self.shop_id,
                self.client,
                told=f"{MOST_FAILURES} visits in a row came to nothing; the log says why",
            )
            return False
        return time.time() < await asyncio.to_thread(standing.asked_until, self.shop_id, self.client)

    async def _look(self) -> None:
        while True:
            await asyncio.to_thread(self._note)
            await asyncio.sleep(LOOK_S)

    def _note(self) -> None:
        standing.note(
            self.shop_id, self.client, visits=self.visits, inside=len(self.inside), bought=self.bought, failed=self.failed
        )
