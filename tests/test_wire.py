"""One connection carries what many ask at once: each gets its own answer, in order, or learns that nobody knows."""

from __future__ import annotations

import asyncio

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import NoScriptError, ResponseError

from recommendations.serving.wire import Wire


async def test_each_of_many_at_once_gets_its_own_answer(redis_url: str, redis_client: redis.Redis) -> None:
    wire = Wire(Redis.from_url(redis_url))
    answers = await asyncio.gather(*(wire.ask(("SET", f"k{n}", n), ("GET", f"k{n}")) for n in range(200)))
    assert answers == [[b"OK", b"%d" % n] for n in range(200)]
    assert await wire.ask(("GET", "none")) == [None]
    wire.close()


async def test_a_refusal_is_the_askers_alone(redis_url: str) -> None:
    wire = Wire(Redis.from_url(redis_url))
    refused, unknown, fine = await asyncio.gather(
        wire.ask(("HGET", "k")), wire.ask(("EVALSHA", "0" * 40, 0)), wire.ask(("ECHO", "x")), return_exceptions=True
    )
    assert isinstance(refused, ResponseError)
    assert isinstance(unknown, NoScriptError)
    assert fine == [b"x"]
    wire.close()


async def test_who_waits_when_the_connection_is_lost_is_told_and_the_next_one_connects_anew(
    redis_url: str, redis_client: redis.Redis
) -> None:
    wire = Wire(Redis.from_url(redis_url))
    (mine,) = await wire.ask(("CLIENT", "ID"))
    waiting = asyncio.create_task(wire.ask(("BLPOP", "nothing", 30)))
    await asyncio.sleep(0.05)
    redis_client.client_kill_filter(_id=mine)
    with pytest.raises(LostConnection):
        await waiting
    assert await wire.ask(("ECHO", "again")) == [b"again"]
    wire.close()


async def test_a_request_that_gave_up_leaves_the_others_their_answers(redis_url: str) -> None:
    wire = Wire(Redis.from_url(redis_url))
    await wire.ask(("PING",))
    gone = asyncio.create_task(wire.ask(("ECHO", "gone")))
    await asyncio.sleep(0)
    stays = asyncio.create_task(wire.ask(("ECHO", "stays")))
    gone.cancel()
    assert await stays == [b"stays"]
    assert await wire.ask(("ECHO", "next")) == [b"next"]
    wire.close()
