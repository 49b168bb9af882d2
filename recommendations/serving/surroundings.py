"""What the world says of a new visit, found out behind its back: where it comes from, and the weather there.

After a page's first turn was answered, a gatherer asks the adapters of `personas.context` and takes a turn of its own,
with evidence and no event. The queue is bounded: in a rush visits go without, which costs them a part of their prior.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from django.conf import settings
from django.db import connections
from redis.asyncio import Redis
from redis.exceptions import RedisError

from personas.context import places
from personas.context.weather import Weather
from personas.models import Shop
from recommendations.serving import turns
from recommendations.serving.problems import Problem

if TYPE_CHECKING:
    from recommendations.serving.process import Process

logger = logging.getLogger(__name__)

WAITING = 1_000
"""Visits that may wait to be looked at; beyond them new ones are dropped, and counted."""

GATHERERS = 4
"""At work at once: a weather service that hangs until its timeout holds up a few of them only."""

LOOKED_AT = 20_000
"""Sessions remembered as done with: a page that comes back is not asked about again."""

WEATHER_S = 1_800
"""Life of a weather report."""

FAILED_S = 300
"""Seconds for which a service that failed is left alone about a place."""

GRID = 2
"""Steps a degree to which places are rounded, so that neighbours share a report: half a degree is 55 km at most."""

SHOP_S = 300.0
"""How long a process trusts what it read of a shop's own place."""


class _Job(NamedTuple):
    shop: int
    session: str
    address: str
    context: Mapping[str, str]


class Surroundings:
    """The gatherers of one process. process : whose sessions they inform.

    dropped : visits that were not looked at because too many waited.
    """

    def __init__(self, process: Process, weather: Weather | None = None) -> None:
        self._process = process
        self._weather = weather or (Weather(settings.WEATHER_URL) if settings.WEATHER_URL else None)
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(WAITING)
        self._looked_at: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._asked: dict[str, asyncio.Task[dict[str, str]]] = {}
        self._places: dict[int, tuple[float, tuple[float, float] | None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.dropped = 0

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._gather(), name=f"surroundings {n}") for n in range(GATHERERS)]

    async def stop(self) -> None:
        for task in (*self._tasks, *self._asked.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._asked.values(), return_exceptions=True)
        if self._weather is not None:
            await self._weather.close()

    def look(self, turn: turns.Turn, scope: Mapping[str, Any] | None) -> None:
        """Have a session looked at, if it wasn't. scope : of the page's own connection, None if a shop's server asked.

        A session that a server opened is looked at again when its page comes, whose address is the shopper's.
        """
        state = turn.state
        key = (state.shop, state.session)
        if key in self._looked_at or (scope is None and not turn.opened):
            return
        address = "" if scope is None else client_address(scope)
        if scope is not None:
            self._looked_at[key] = None
            if len(self._looked_at) > LOOKED_AT:
                self._looked_at.popitem(last=False)
        if not address and self._weather is None:
            return
        try:
            self._queue.put_nowait(_Job(state.shop, state.session, address, state.context))
        except asyncio.QueueFull:
            if not self.dropped % WAITING:
                logger.warning("%s visits wait for their surroundings; new ones go without", WAITING)
            self.dropped += 1

    async def settled(self) -> None:
        """Return when every visit that waited has been looked at."""
        await self._queue.join()

    async def _gather(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                found = await self.context(job.shop, job.address, job.context)
                if found:
                    visit = turns.Visit(job.shop, job.session, offered=found)
                    await turns.take(self._process, visit, ask=None, now=time.time())
            except Problem as problem:
                logger.info("what was found out about a visit came to nothing: %s", problem.code)
            except Exception:
                logger.exception("looking at a visit's surroundings failed")
            finally:
                self._queue.task_done()

    async def context(self, shop: int, address: str, known: Mapping[str, str]) -> dict[str, str]:
        """Evidence that the adapters have beyond what is known: country, region, weather, temperature."""
        country = known.get("country", "")
        if not country and address:
            country = await asyncio.to_thread(places.country_of, address)
        found = places.where(country)
        if self._weather is not None and not known.keys() >= {"weather", "temperature"}:
            lives = places.countries().get(country.upper())
            place = await self._place_of(shop) or (lives.place if lives else None)
            if place is not None:
                found |= await self._weather_at(*place)
        return {name: value for name, value in found.items() if name not in known}

    async def _place_of(self, shop: int) -> tuple[float, float] | None:
        """The shop's own place: one with a street door has its customers' weather."""
        read = self._places.get(shop)
        if read is None or time.monotonic() - read[0] > SHOP_S:
            read = self._places[shop] = (time.monotonic(), await asyncio.to_thread(_place_of, shop))
        return read[1]

    async def _weather_at(self, latitude: float, longitude: float) -> dict[str, str]:
        """A report, out of Redis or asked for once however many want it."""
        latitude, longitude = round(latitude * GRID) / GRID, round(longitude * GRID) / GRID
        name = f"weather:{latitude:g}:{longitude:g}"
        if name not in self._asked:
            self._asked[name] = asyncio.create_task(self._ask(name, latitude, longitude), name=name)
            self._asked[name].add_done_callback(lambda _task: self._asked.pop(name, None))
        return await asyncio.shield(self._asked[name])

    async def _ask(self, name: str, latitude: float, longitude: float) -> dict[str, str]:
        client: Redis = self._process.client
        try:
            kept: Any = await client.get(name)
            if kept is not None:
                return msgspec.json.decode(kept, type=dict[str, str])
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            logger.info("a weather report can't be read from Redis (%s)", type(error).__name__)
        if self._weather is None:
            return {}
        report = await self._weather.at(latitude, longitude)
        try:
            await client.set(name, msgspec.json.encode(report or {}), ex=FAILED_S if report is None else WEATHER_S)
        except (RedisError, OSError) as error:
            logger.info("a weather report can't be kept in Redis (%s)", type(error).__name__)
        return report or {}


def _place_of(shop: int) -> tuple[float, float] | None:
    """`settings["place"]` of the shop, [latitude, longitude] in degrees; anything else there is no place."""
    try:
        given = Shop.objects.filter(pk=shop).values_list("settings", flat=True).first() or {}
        return _degrees(given.get("place")) if isinstance(given, dict) else None
    finally:
        connections.close_all()


def _degrees(given: object) -> tuple[float, float] | None:
    if not isinstance(given, list) or len(given) != 2 or not all(type(v) in (int, float) for v in given):
        return None
    latitude, longitude = (float(v) for v in given)
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def client_address(scope: Mapping[str, Any] | MutableMapping[str, Any]) -> str:
    """The shopper's own address, "" where it can't be known. It is used once and kept nowhere.

    `X-Forwarded-For` is believed only as far as our own proxies wrote it: with `TRUSTED_PROXIES` of them in front, the address
    that the outermost of them saw is so many places from the end, and whatever stands before was the client's to invent.
    """
    trusted = settings.TRUSTED_PROXIES
    if not trusted:
        client = scope.get("client")
        return _plain(client[0]) if client else ""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = ",".join(lines).split(",") if lines else []
    return _plain(hops[-trusted]) if len(hops) >= trusted else ""


def _plain(text: str) -> str:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return ""
