"""What this process hears of Redis's pub/sub: all that is published once `listen` has returned, however listeners come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
import redis
from redis.asyncio import Redis

from recommendations.serving.bus import Bus


@pytest_asyncio.fixture
async def bus(redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Bus]:
    bus = Bus(Redis.from_url(redis_url))
    await bus.start({"fixed": lambda _message: None})
    yield bus
    await bus.stop()


async def until(heard: list[bytes], count: int) -> None:
    async with asyncio.timeout(5):
        while len(heard) < count:
            await asyncio.sleep(0.01)


async def test_what_is_published_after_listen_returned_is_heard(bus: Bus, redis_client: redis.Redis) -> None:
    heard: list[bytes] = []
    for n in range(200):
        await bus.listen(f"c{n}", heard.append)
        redis_client.publish(f"c{n}", str(n))  # by another connection, which may overtake a subscription that wasn't confirmed
    await until(heard, 200)
    assert heard == [str(n).encode() for n in range(200)]


async def test_who_leaves_takes_nothing_from_who_comes(bus: Bus, redis_client: redis.Redis) -> None:
    """A page that is loaded again: its old socket closes while the new one opens."""
    first: list[bytes] = []
    second: list[bytes] = []
    for n in range(50):
        await bus.listen("c", first.append)
        await asyncio.gather(bus.leave("c", first.append), bus.listen("c", second.append))
        redis_client.publish("c", str(n))
        await until(second, n + 1)
        await bus.leave("c", second.append)
    assert not first
    redis_client.publish("c", "nobody")
    await asyncio.sleep(0.05)
    assert len(second) == 50


async def test_listeners_are_told_to_look_after_a_lost_connection(bus: Bus, redis_client: redis.Redis) -> None:
    heard: list[bytes] = []
    await bus.listen("c", heard.append)
    for row in redis_client.client_list():
        if int(row["sub"]):
            redis_client.client_kill_filter(_id=row["id"])
    await until(heard, 1)
    assert heard == [b""]
    redis_client.publish("c", "on")
    await until(heard, 2)
    assert heard[-1] == b"on"
