"""Limits of requests a second: one process, several, and what a caller is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
from pytest_django import Settings

from recommendations.engine import Engine
from recommendations.serving import access, process, throttling
from recommendations.serving.process import Process
from recommendations.serving.throttling import Exchange, Limits
from tests.live_shops import KEY, SHOP, call, put_key, start_process, view
from tests.worlds import make_world, train_world


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_a_second_and_fills_at_its_rate() -> None:
    clock = Clock()
    limits = Limits(clock)
    assert [limits.take("a", 10).allowed for _ in range(12)] == [True] * 10 + [False] * 2
    assert limits.take("b", 10).allowed, "another's bucket is another"
    clock.now += 0.25
    standing = [limits.take("a", 10) for _ in range(3)]
    assert [s.allowed for s in standing] == [True, True, False]
    assert standing[-1].wait_s == pytest.approx(0.05)
    assert standing[-1].headers() == {
        "retry-after": "1",
        "ratelimit-limit": "10",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "1",
    }
    clock.now += 60
    assert limits.take("a", 10).remaining == 9, "no more than a second's worth is saved up"


def test_what_nobody_asks_for_is_forgotten() -> None:
    clock = Clock()
    limits = Limits(clock)
    for n in range(1_000):
        limits.take(f"session:{n}", 20)
    limits.told()
    clock.now += 5
    limits.told()
    assert not limits._buckets


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((100, 100, 100, 100), 100.0), ((300, 20, 20, 20), 100.0), ((60, 30, 0, 0), 90.0), ((5, 5, 5, 5), 20.0)],
)
def test_several_processes_keep_to_one_limit(redis_client: redis.Redis, asked: tuple[int, ...], expected: float) -> None:
    """What passes in a second, in the mean of twenty, once they know of one another; the limit is 100."""
    clock = Clock()
    processes = [Exchange(Limits(clock)) for _ in asked]
    passed = 0
    for second in range(24):
        for tenth in range(10):
            clock.now += 0.1
            for exchange, count in zip(processes, asked, strict=True):
                for _ in range(count * (tenth + 1) // 10 - count * tenth // 10):
                    passed += exchange.limits.take("key", 100).allowed and second >= 4
        for exchange in processes:
            pipe = redis_client.pipeline(transaction=False)
            told = exchange.queue(pipe, now=1_000_000.5 + second)
            exchange.answered(told, pipe.execute())
    assert passed / 20 == pytest.approx(expected, rel=0.06)


def test_without_the_others_a_process_keeps_the_limit_by_itself() -> None:
    limits = Limits(Clock())
    exchange = Exchange(limits)
    pipe = redis.Redis(host="nowhere").pipeline(transaction=False)
    [limits.take("a", 10) for _ in range(20)]
    exchange.queue(pipe, now=1.0)  # and nothing comes back
    assert not limits.take("a", 10).allowed


def test_who_hears_no_more_of_the_others_goes_back_to_the_whole_limit() -> None:
    """A share learnt in a burst was a tenth; with Redis away it would stay so for as long as somebody asks."""
    clock = Clock()
    limits = Limits(clock)
    [limits.take("a", 10) for _ in range(20)]
    limits.learn(limits.told(), {"a": 200})
    clock.now += 1.0
    assert sum(limits.take("a", 10).allowed for _ in range(20)) == 1
    limits.alone()
    clock.now += 1.0
    assert sum(limits.take("a", 10).allowed for _ in range(20)) == 10


# At the door


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=120))


@pytest_asyncio.fixture
async def here(engine: Engine, redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Process]:
    put_key(redis_client, KEY)
    yield await start_process(redis_url, engine)
    await process.stop()


async def test_a_key_is_told_where_it_stands_and_when_to_come_again(here: Process, redis_client: redis.Redis) -> None:
    put_key(redis_client, "pc_slow", rate=3)
    answers = [await call("GET", "/api/v1/sessions/s/profile", key="pc_slow") for _ in range(5)]
    assert answers[0].headers["ratelimit-limit"] == "3"
    assert answers[0].headers["ratelimit-remaining"] == "2"
    last = answers[-1]
    assert (last.status, last.body["code"], last.headers["retry-after"]) == (429, "rate_limited", "1")
    assert (await call("GET", "/api/v1/sessions/s/profile")).status == 200, "another key is another bucket"
    assert "ratelimit-limit" not in (await call("GET", "/api/v1/sessions/s/profile")).headers, "this one has no limit"


async def test_a_session_token_has_the_installations_limit(here: Process, redis_client: redis.Redis, settings: Settings) -> None:
    settings.THROTTLE_TOKEN_PER_S = 2
    tokens = [access.issue_session_token(SHOP, session) for session in ("a", "a", "b")]
    events = [{"session_id": "a", "events": [view(f"e{n}")]} for n in range(4)]
    codes = [(await call("POST", "/api/v1/events", body, key=tokens[n % 2])).status for n, body in enumerate(events)]
    assert codes == [200, 200, 429, 429], "two tokens of one session share its bucket"
    assert (await call("POST", "/api/v1/events", {"session_id": "b", "events": []}, key=tokens[2])).status == 200


def test_djangos_threads_keep_to_it_too(redis_client: redis.Redis) -> None:
    took = [throttling.take_sync("key:of-this-test", 5) for _ in range(7)]
    assert [s.allowed for s in took if s is not None] == [True] * 5 + [False] * 2
    assert throttling.take_sync("key:of-this-test", 0) is None
