"""The engines this process serves with, one a shop, swapped while requests run: for another release, or another live overlay.

A request takes the engine once and keeps it; a swap changes what the next one takes. The engine of the release before is
kept, so that sessions made under it are rebased with both at hand; a new overlay needs none of that, for sessions hold ids.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from django.db import connections
from redis import Redis
from redis.exceptions import RedisError

from clusters.options import KEPT, Proposed, Situation, described
from clusters.policy import CONTRACT
from personas.components import to_parts
from personas.events import Event
from recommendations import engine as loop
from recommendations import overlays, releases
from recommendations.engine import Engine
from recommendations.models import Release
from recommendations.overlay import Overlay, with_overlay
from recommendations.serving import trials
from recommendations.serving.trials import Arm, ServedTrial, Trial
from recommendations.session import Membership, Request, SessionState

logger = logging.getLogger(__name__)

WARMING = 3
"""Events of the visit that warms a process up: the first, the second and the rest go different ways."""

POLL_S = 2.0
"""How often a process looks for new releases and overlays by itself; a message makes it look at once."""


def active_releases() -> dict[int, str]:
    """Shop id -> number of its active release, from the database."""
    active = Release.objects.filter(state=Release.State.ACTIVE).order_by().values_list("shop_id", "number")
    return {shop: str(number) for shop, number in active}


def read_in(engine: Engine) -> None:
    """Reads a byte of each page of the engine's files: a page first met in a shopper's step costs that step a fault."""
    for component in (engine.catalogue, engine.personas, engine.clusters, engine.ranker, engine.policy):
        for array in to_parts(component)[0].values():
            if array.size and array.flags.c_contiguous:
                array.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max()


def warm(engine: Engine, at: float) -> None:
    """All that is made when it is first needed, and a throwaway visit: so that tables, the merchandisers' rules as resolved and
    compiled loops are there before the first shopper is. What engines share is made here, never changed: one may be serving.
    """
    for name, value in vars(Engine).items():
        if isinstance(value, cached_property):
            getattr(engine, name)
    state = loop.start(engine, shop=0, session="warm-up", at=at)
    engine.catalogue.ids_of(["warm-up"])
    state, _ = loop.recommend(engine, state, Request(now=at), loop.draws(state))
    for n, position in enumerate(engine.ranker.popularity.top[:WARMING].tolist()):
        event = Event(f"warm-up-{n}", "view_item", at, at, (engine.catalogue.item_ids.item(position),))
        state, _ = loop.advance(engine, state, event, Request(now=at))
    dice: Any = loop.draws(state)  # of which a choice asks no more than that has
    dice.integers(2)  # a slot that is tried out is rare, and so is a decision
    for cluster in engine.clusters.cluster_ids[:1].tolist():
        asked = [(cluster, (KEPT, Proposed(CONTRACT)))]
        held, persona = state.adapted, state.persona.log_belief
        at_hand = Situation(engine.clusters, held.mass, held.weight, held.ignored, 0, frozenset(), {}, state.events, persona)
        _, x, action = described(at_hand, asked)
        engine.policy.choose(x, action, dice, floor=engine.bounds.floor)


class Overlays:
    """Where overlays come from: Redis, and the database when a process begins with one that Redis lost."""

    def versions(self, shops: Iterable[int]) -> Mapping[int, int]:
        """Shop id -> version; shops without an overlay are left out. {} while Redis is away: what is served with stays."""
        try:
            return overlays.version_in(self._client, shops)
        except RedisError as error:
            logger.warning("no look at the live overlays: %s", error)
            return {}

    def read(self, shop: int, release: str) -> Overlay:
        """As it lies over a release."""
        return overlays.overlay_for(shop, release, self._client)

    @cached_property
    def _client(self) -> Redis:
        return releases.redis_client()


class Engines:
    """Engines by shop. find, load : where releases come from; the database and the releases directory by default."""

    def __init__(
        self,
        find: Callable[[], Mapping[int, str]] = active_releases,
        load: Callable[[int], Engine] = releases.load_active,
        running: Callable[[], Mapping[int, Trial]] | None = None,
    ) -> None:
        """running : where experiments come from; by default the database where releases come from there, else nowhere."""
        self._find = find
        self._load = load
        self._running = running or (trials.running if find is active_releases else dict)
        self._trials: dict[int, ServedTrial] = {}
        self._untried: dict[int, Trial] = {}
        self._overlays = Overlays()
        self._now: dict[int, Engine] = {}
        self._before: dict[int, Engine] = {}
        self._refused: dict[int, str] = {}
        self._unlaid: dict[int, int] = {}
        self._look = asyncio.Event()
        # One thread of its own: loading never waits behind, or holds up, whatever else uses the loop's pool.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engines")

    def get(self, shop: int) -> Engine | None:
        return self._now.get(shop)

    def arm(
        self, shop: int, engine: Engine, session: str, shopper: str, state: SessionState | None
    ) -> tuple[Engine, Membership | None]:
        """The engine that serves a session, the shop's own unless an experiment says otherwise, and where in it the session is.

        engine : of `get`.  shopper : whom the request names.  state : of the session, None before its first turn.
        """
        served = self._trials.get(shop)
        member = None if served is None else served.of(session, shopper, state)
        return (engine, None) if served is None or member is None else (served.engines[member.arm], member)

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
        """Look for new releases and overlays now."""
        self._look.set()

    async def refresh(self) -> None:
        """Take up every release and overlay that isn't served with yet; one that can't be leaves the last in place."""
        loaded, tried = await asyncio.get_running_loop().run_in_executor(self._pool, self._load_new)
        for shop, served in tried.items():
            if served is None:
                self._trials.pop(shop, None)
            else:
                self._trials[shop] = served
        for shop, engine in loaded.items():
            before = self._now.get(shop)
            self.put(shop, engine)
            if before is None or before.release != engine.release:
                logger.info("shop %s is served with release %s", shop, engine.release)

    def _load_new(self) -> tuple[dict[int, Engine], dict[int, ServedTrial | None]]:
        loaded: dict[int, Engine] = {}
        try:
            for shop, number in self._find().items():
                current = self._now.get(shop)
                if current is not None and current.release == number:
                    continue
                try:
                    engine = self._load(shop)
                    read_in(engine)
                    loaded[shop] = self._under_overlay(shop, engine, alone=current is None)
                    self._refused.pop(shop, None)
                except Exception:
                    if self._refused.get(shop) != number:  # told once, not at every look
                        logger.exception("release %s of shop %s can't be served", number, shop)
                    self._refused[shop] = number
            self._load_overlays(loaded)
            tried = self._load_trials({**self._now, **loaded})
        finally:
            connections.close_all()
        return loaded, tried

    def _load_trials(self, serving: Mapping[int, Engine]) -> dict[int, ServedTrial | None]:
        """The experiments that began, or whose shop's engine is another now; None for those that ended."""
        if not serving:
            return {}
        running = self._running()
        tried: dict[int, ServedTrial | None] = {}
        for shop, engine in serving.items():
            trial, stands = running.get(shop), self._trials.get(shop)
            if trial is None:
                if stands is not None:
                    tried[shop] = None
            elif stands is None or stands.trial != trial or stands.base is not engine:
                made = ((arm, self._load_arm(shop, engine, trial, arm)) for arm in trial.arms)
                tried[shop] = ServedTrial(trial, engine, {arm.name: one for arm, one in made if one is not None})
        return tried

    def _load_arm(self, shop: int, base: Engine, trial: Trial, arm: Arm) -> Engine | None:
        """An arm's engine, warm; None where it can't be made, and its shoppers are served as the shop is, outside of it."""
        if arm.plain:
            return base
        try:
            engine = trials.arm_engine(base, arm, *trials.load_parts(shop, base.release, arm))
            warm(engine, time.time())
        except Exception:
            if self._untried.get(shop) != trial:  # told once, not at every look
                logger.exception("arm %s of experiment %s of shop %s can't be served with", arm.name, trial.number, shop)
            self._untried[shop] = trial
            return None
        return engine

    def _load_overlays(self, loaded: dict[int, Engine]) -> None:
        """Put newer overlays over the engines that are served with."""
        serving = {shop: engine for shop, engine in self._now.items() if shop not in loaded}
        for shop, version in self._overlays.versions(serving).items():
            engine = serving[shop]
            if version == engine.overlay.version:
                continue
            try:
                loaded[shop] = self._under_overlay(shop, engine)
            except Exception:
                if self._unlaid.get(shop) != version:  # told once, not at every look
                    logger.exception("version %s of the live overlay of shop %s can't be served with", version, shop)
                self._unlaid[shop] = version

    def _under_overlay(self, shop: int, engine: Engine, *, alone: bool = False) -> Engine:
        """The engine under the shop's overlay, warm. alone : whether the shop is served with nothing yet; it is then served
        with the release as it is rather than not at all, should the overlay be at fault.
        """
        try:
            under = with_overlay(engine, self._overlays.read(shop, engine.release))
            warm(under, time.time())
        except Exception:
            if not alone:
                raise
            warm(engine, time.time())
            logger.exception(
                "shop %s is served without its live overlay, which can't be put over release %s", shop, engine.release
            )
            return engine
        self._unlaid.pop(shop, None)
        return under

    async def watch(self) -> None:
        """Keep the engines up to date until cancelled."""
        while True:
            self._look.clear()
            try:
                await self.refresh()
            except Exception:
                logger.exception("looking for new releases and overlays failed; trying again")
            try:
                await asyncio.wait_for(self._look.wait(), POLL_S)
            except TimeoutError:
                continue

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
