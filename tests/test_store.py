"""The store keeps what it acknowledged, once, and refuses what someone else overtook."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
from redis.asyncio import Redis

from clusters.adaptation import AdaptedClusters
from personas.profile import PersonaState
from recommendations.serving.activity import Record, StreamLog, decode_record, encode_record, log_key, partition, place
from recommendations.serving.store import (
    Durability,
    StateError,
    Store,
    channel,
    decode_state,
    encode_state,
    ids_key,
    state_key,
)
from recommendations.session import SessionState

SHOP, SESSION, PARTITIONS = 3, "s{1}:x", 16
PART = partition(SHOP, SESSION, PARTITIONS)


def state_at(version: int, session: str = SESSION) -> SessionState:
    persona = PersonaState(archetypes=(1, 2), log_belief=(-0.1, -2.4), log_prior=(-0.7, -0.7), last_at=1.0 * version)
    return SessionState(
        shop=SHOP,
        session=session,
        seed=7,
        release="1",
        persona=persona,
        adapted=AdaptedClusters(),
        version=version,
        events=version,
    )


def record(version: int, session: str = SESSION) -> bytes:
    return encode_record(Record(SHOP, session, "", {}, "1", version, 0.0, float(version)))


@pytest_asyncio.fixture
async def client(redis_client: redis.Redis, redis_url: str) -> AsyncIterator[Redis]:
    connected = Redis.from_url(redis_url)
    yield connected
    await connected.aclose()
    await connected.connection_pool.disconnect()


@pytest.fixture
def store(client: Redis) -> Store:
    return Store(client, ttl_s=60, partitions=PARTITIONS)


async def test_a_commit_is_read_back_with_its_record_and_ids(store: Store, redis_client: redis.Redis) -> None:
    empty = await store.load(SHOP, SESSION, ["a"])
    assert empty == (None, b"", frozenset(), False)
    assert await store.commit(empty, state_at(1), record=record(1), event_ids=["a"])
    loaded = await store.load(SHOP, SESSION, ["a", "b"])
    assert loaded.state == state_at(1)
    assert loaded.seen == {"a"}
    entries = redis_client.xrange(log_key(PART))
    assert [decode_record(fields[b"r"]).version for _, fields in entries] == [1]
    for key in (state_key(PART, SHOP, SESSION), ids_key(PART, SHOP, SESSION)):
        assert 0 < redis_client.ttl(key) <= 60


async def test_ids_are_kept_as_long_as_the_state_even_if_no_event_comes(store: Store, redis_client: redis.Redis) -> None:
    """A page may ask for slates for days between two events."""
    assert await store.commit(await store.load(SHOP, SESSION), state_at(1), event_ids=["a"])
    redis_client.expire(ids_key(PART, SHOP, SESSION), 5)
    assert await store.commit(await store.load(SHOP, SESSION), state_at(2))
    assert redis_client.ttl(ids_key(PART, SHOP, SESSION)) > 50


async def test_an_overtaken_commit_writes_nothing(store: Store, client: Redis, redis_client: redis.Redis) -> None:
    first = await store.load(SHOP, SESSION)
    assert await store.commit(first, state_at(1), record=record(1), event_ids=["a"])
    other = Store(client, ttl_s=60, partitions=PARTITIONS)
    assert not await other.commit(first, state_at(1), record=record(1), event_ids=["b"], message=b"1")
    assert redis_client.xlen(log_key(PART)) == 1
    assert (await other.load(SHOP, SESSION, ["b"])).seen == frozenset()


async def test_a_counted_id_refuses_the_commit(store: Store) -> None:
    assert await store.commit(await store.load(SHOP, SESSION), state_at(1), event_ids=["a"])
    loaded = await store.load(SHOP, SESSION)
    assert not await store.commit(loaded, state_at(2), event_ids=["b", "a"])
    assert (await store.load(SHOP, SESSION)).state == state_at(1)


async def test_racing_commits_without_a_lock_lose_nothing(client: Redis, redis_client: redis.Redis) -> None:
    async def writer(name: str) -> None:
        mine = Store(client, ttl_s=60, partitions=PARTITIONS)
        for n in range(30):
            while True:
                loaded = await mine.load(SHOP, SESSION)
                version = (loaded.state.version if loaded.state else 0) + 1
                if await mine.commit(loaded, state_at(version), record=record(version), event_ids=[f"{name}{n}"]):
                    break

    await asyncio.gather(*(writer(name) for name in "abcd"))
    versions = [decode_record(fields[b"r"]).version for _, fields in redis_client.xrange(log_key(PART))]
    assert versions == list(range(1, 121)), "each commit built on the one before it"
    assert redis_client.scard(ids_key(PART, SHOP, SESSION)) == 120


@pytest.mark.parametrize(
    "damage",
    [lambda d: b"", lambda d: b"\x00", lambda d: bytes([99]) + d[1:], lambda d: d[:-3], lambda d: d[:40] + b"\xff" + d[41:]],
    ids=["empty", "one byte", "other schema", "cut", "changed byte"],
)
async def test_a_damaged_state_starts_again_and_can_be_replaced(
    store: Store, client: Redis, redis_client: redis.Redis, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set(state_key(PART, SHOP, SESSION), damage(encode_state(state_at(5))))  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        loaded = await store.load(SHOP, SESSION)
    assert loaded.state is None
    assert SESSION in caplog.text
    assert await store.commit(loaded, state_at(1))
    assert (await Store(client, ttl_s=60, partitions=PARTITIONS).load(SHOP, SESSION)).state == state_at(1)


async def test_a_body_of_another_shape_is_refused() -> None:
    other = dataclasses.replace(state_at(1), touches=("no touch",))  # type: ignore[arg-type]
    with pytest.raises(StateError, match="another shape"):
        decode_state(encode_state(other))


async def test_the_cache_never_answers_for_bytes_it_has_not_seen(store: Store, client: Redis) -> None:
    """Same version, other content: as after a state expired and the session began anew elsewhere."""
    assert await store.commit(await store.load(SHOP, SESSION), state_at(1))
    await client.delete(state_key(PART, SHOP, SESSION))
    other = Store(client, ttl_s=60, partitions=PARTITIONS)
    elsewhere = dataclasses.replace(state_at(1), shopper="someone")
    assert await other.commit(await other.load(SHOP, SESSION), elsewhere)
    assert (await store.load(SHOP, SESSION)).state == elsewhere


async def test_the_cache_is_bounded_and_saves_decoding(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(client, ttl_s=60, partitions=PARTITIONS, cached=2)
    for name in "abc":
        assert await store.commit(await store.load(SHOP, name), state_at(1, name))
    decoded: list[bytes] = []

    def counting(data: bytes) -> SessionState:
        decoded.append(data)
        return decode_state(data)

    monkeypatch.setattr("recommendations.serving.store.decode_state", counting)
    assert (await store.load(SHOP, "c")).state == state_at(1, "c")
    assert not decoded
    assert (await store.load(SHOP, "a")).state == state_at(1, "a")
    assert len(decoded) == 1


async def test_what_a_process_left_is_supposed_to_hold_and_the_commit_tells(store: Store, client: Redis) -> None:
    assert store.suppose(SHOP, SESSION) is None, "nothing was ever seen of it"
    assert await store.commit(await store.load(SHOP, SESSION), state_at(1), event_ids=["a"])
    supposed = store.suppose(SHOP, SESSION)
    assert supposed is not None
    assert supposed.state == state_at(1)
    assert not await store.commit(supposed, state_at(2), event_ids=["a"]), "counted before, which nobody had asked"
    assert store.suppose(SHOP, SESSION) is None, "once it failed, one asks"
    assert (await store.load(SHOP, SESSION, ["a"])).seen == {"a"}
    supposed = store.suppose(SHOP, SESSION)
    assert supposed is not None
    other = Store(client, ttl_s=60, partitions=PARTITIONS)
    assert await other.commit(await other.load(SHOP, SESSION), state_at(2), event_ids=["b"])
    assert not await store.commit(supposed, state_at(2), event_ids=["c"]), "another process came first"
    assert (await store.load(SHOP, SESSION, ["b", "c"])) == (state_at(2), encode_state(state_at(2))[:13], {"b"}, False)


async def test_where_strangers_are_nearly_always_new_they_are_supposed_to_be(store: Store, client: Redis) -> None:
    for n in range(400):
        await store.load(SHOP, f"new-{n}")
    supposed = store.suppose(SHOP, "another")
    assert supposed is not None
    assert (supposed.state, supposed.supposed) == (None, True)
    assert await store.commit(supposed, state_at(1, "another"), event_ids=["a"])
    other = Store(client, ttl_s=60, partitions=PARTITIONS)
    assert (await other.load(SHOP, "another", ["a"])).seen == {"a"}
    assert await other.commit(await other.load(SHOP, "theirs"), state_at(3, "theirs"))
    for n in range(3):  # others' sessions come here: asked about again, before long
        supposed = store.suppose(SHOP, "theirs")
        if supposed is not None:
            assert not await store.commit(supposed, state_at(1, "theirs"), event_ids=[f"b{n}"])
    assert store.suppose(SHOP, "theirs") is None
    assert (await store.load(SHOP, "theirs", ["b0"])) == (
        state_at(3, "theirs"),
        encode_state(state_at(3, "theirs"))[:13],
        set(),
        False,
    )


async def test_where_processes_share_sessions_nothing_is_supposed(store: Store, client: Redis) -> None:
    """Two that take turns: each finds what the other left. Supposing otherwise would cost every turn twice."""
    other, wrong = Store(client, ttl_s=60, partitions=PARTITIONS), 0
    for version in range(1, 41):
        mine = (store, other)[version % 2]
        loaded = mine.suppose(SHOP, SESSION)
        if loaded is not None and not await mine.commit(loaded, state_at(version)):
            wrong, loaded = wrong + 1, None
        if loaded is None:
            assert await mine.commit(await mine.load(SHOP, SESSION), state_at(version))
    assert wrong <= 2 * 3
    assert store.suppose(SHOP, SESSION) is None
    for version in range(41, 441):  # alone again, it learns to trust
        assert await store.commit(await store.load(SHOP, SESSION), state_at(version))
    assert store.suppose(SHOP, SESSION) is not None


async def test_flushed_scripts_are_loaded_again(store: Store, redis_client: redis.Redis) -> None:
    assert await store.commit(await store.load(SHOP, SESSION), state_at(1))
    redis_client.script_flush()
    assert await store.commit(await store.load(SHOP, SESSION), state_at(2))


async def test_waitaof_confirms_a_commit(client: Redis) -> None:
    store = Store(client, ttl_s=60, partitions=PARTITIONS, durability=Durability.WAITAOF)
    assert await store.commit(await store.load(SHOP, SESSION), state_at(1), record=record(1))


async def test_subscribers_hear_of_a_commit_with_a_message(store: Store, client: Redis) -> None:
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(channel(SHOP, SESSION))
    assert await store.commit(await store.load(SHOP, SESSION), state_at(1))
    assert await store.commit(await store.load(SHOP, SESSION), state_at(2), message=b"2")
    heard = None
    while heard is None:
        heard = await pubsub.get_message(timeout=2)
    assert heard["data"] == b"2", "the silent commit told nothing"
    await pubsub.aclose()  # type: ignore[no-untyped-call]


def test_partitions_never_move() -> None:
    """Stored keys depend on them. The oracle is the CRC-32 of b"3:abc"."""
    assert partition(3, "abc", 1 << 32) == 1_968_223_582
    assert {partition(1, f"s-{n}", 16) for n in range(400)} == set(range(16))


def test_places_follow_the_log() -> None:
    order = [("1700000000000-0", 0), ("1700000000000-0", 499), ("1700000000000-1", 0), ("1700000000001-0", 0)]
    places = [place(entry, i) for entry, i in order]
    assert places == sorted(set(places))
    assert places[-1] < 2**63


def test_a_dead_consumers_entries_are_claimed_and_trimming_waits_for_them(redis_client: redis.Redis) -> None:
    log = StreamLog(redis_client, partitions=2)
    for n in range(4):
        redis_client.xadd(log_key(n % 2), {b"r": record(n)})
    held = log.read_group("dead", count=1, idle_ms=60_000)
    rest = log.read_group("alive", count=10, idle_ms=60_000)
    assert (len(held), len(rest)) == (2, 2)
    log.ack(rest)
    assert log.trim() == 0, "the unacknowledged entries come first in each stream"
    assert log.backlog() == 2
    claimed = log.read_group("alive", count=10, idle_ms=0)
    assert {e.entry_id for e in claimed} == {e.entry_id for e in held}
    log.ack(claimed)
    assert log.trim() == 4
    assert log.backlog() == 0


def test_consumers_that_are_gone_are_forgotten_unless_they_hold_entries(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StreamLog(redis_client, partitions=1)
    redis_client.xadd(log_key(0), {b"r": record(1)})
    log.read_group("holds", count=1, idle_ms=60_000)
    log.read_group("idle", count=1, idle_ms=60_000)
    monkeypatch.setattr("recommendations.serving.activity.GONE_MS", -1)
    log.trim()
    assert [row["name"] for row in redis_client.xinfo_consumers(log_key(0), "archive")] == [b"holds"]
