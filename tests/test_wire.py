"""One connection carries what many ask at once: each gets its own answer, in order, or learns that nobody knows."""

from __future__ import annotations

import asyncio

import pytest
import redis
from redis.asyncio import Redis, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TooLong

from recommendations.serving import wire as wires
from recommendations.serving.wire import IN_FLIGHT, Wire


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


async def test_a_burst_waits_its_turn_and_who_waits_too_long_is_told(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server holds up what follows a command that blocks: no more than `IN_FLIGHT` askers get as far as that."""
    wire = Wire(Redis.from_url(redis_url))
    await wire.ask(("PING",))
    burst = [asyncio.create_task(wire.ask(("BLPOP", "nothing", 1) if not n else ("ECHO", n))) for n in range(IN_FLIGHT + 40)]
    await asyncio.sleep(0.1)
    assert len(wire._waiting) == IN_FLIGHT
    monkeypatch.setattr(wires, "WAIT_FOR_TURN_S", 0.05)
    with pytest.raises(TooLong, match="under way"):
        await wire.ask(("ECHO", "late"))
    assert await asyncio.gather(*burst) == [[None], *([b"%d" % n] for n in range(1, IN_FLIGHT + 40))]
    assert await wire.ask(("ECHO", "after")) == [b"after"]
    wire.close()


async def test_what_cannot_be_packed_shifts_nobodys_answer(redis_url: str) -> None:
    wire = Wire(Redis.from_url(redis_url))
    broken, fine = await asyncio.gather(
        wire.ask(("ECHO", "a"), ("ECHO", "\ud800")), wire.ask(("ECHO", "b")), return_exceptions=True
    )
    assert isinstance(broken, UnicodeEncodeError)
    assert fine == [b"b"]
    wire.close()


async def test_the_wire_logs_in_and_chooses_the_database_as_the_client_does(redis_url: str, redis_client: redis.Redis) -> None:
    """What it takes of redis-py: `Connection._writer`, after `connect()` has said everything there is to say."""
    client = Redis.from_url(redis_url)
    client.connection_pool.connection_kwargs |= {"db": 3, "client_name": "shared"}
    wire = Wire(client)
    (info,) = await wire.ask(("CLIENT", "INFO"))
    assert b" db=3 " in info
    assert b" name=shared " in info
    wire.close()


async def test_a_redis_py_that_keeps_its_stream_elsewhere_is_refused(redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    usual: type[UnixDomainSocketConnection] = client.connection_pool.connection_class

    class Elsewhere(usual):  # type: ignore[misc, valid-type]
        async def connect(self) -> None:
            await super().connect()
            self._elsewhere, self._writer = self._writer, None

    client.connection_pool.connection_class = Elsewhere
    with pytest.raises(RuntimeError, match="keeps its stream elsewhere"):
        await Wire(client).ask(("PING",))
