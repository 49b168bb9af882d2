"""`Idempotency-Key`: the answer of a request that was made before under the same key, given again.

A key belongs to the credential's shop and to what the credential may do: what a test was answered is not what is answered for
real, and no key is given what it couldn't have asked for. A token's belongs to its session.

While a request is under way its key is held, so that a retry doesn't run beside it; an answer of 200 to 299 is kept, anything
else lets go of the key, since sending it again is what the caller should do. The latest `KEPT` answers of a shop are there for a
day; one larger than `MAX_KEPT` bytes is not kept, and the events' own ids still see to it that nothing counts twice.

After the IETF's draft "The Idempotency-Key HTTP Header Field".
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from recommendations.serving.problems import Problem

HEADER = "idempotency-key"
MAX_KEY = 128
TTL_S = 24 * 3600
HELD_S = 60
"""Seconds after which a request whose process died lets go of its key."""

KEPT = 5_000
MAX_KEPT = 65_536

FORGOTTEN_AT_ONCE = 100

_UNDER_WAY = b"?"
_DONE = b"="
_FINGERPRINT = 32

_encode = msgspec.json.Encoder().encode

# KEYS: answer, index.  ARGV: what is kept, its TTL, now, most.  Drops the oldest beyond most; all keys share a hash tag.
_KEEP = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], KEYS[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then
  local old = redis.call('ZPOPMIN', KEYS[2], over)
  for i = 1, #old, 2 do redis.call('DEL', old[i]) end
end
return 1
"""


class Answer(NamedTuple):
    """What is kept of an answer."""

    status: int
    content_type: str
    body: bytes


class Ticket(NamedTuple):
    """A request's hold on its key. kept : the names of the shop's answers, by age.

    fingerprint : of what was asked, so that another request under the same key is told.
    """

    name: str
    kept: str
    fingerprint: bytes


def whose(scopes: Iterable[str], *, session: str = "", test: bool = False) -> str:
    """Of which credentials an answer is: those that may do the same. session : of a session token, "" for a key."""
    return "\0".join((session, "test" if test else "", *sorted(scopes)))


def ticket(shop: int, whose: str, key: str, *asked: bytes) -> Ticket:
    """The ticket of a request. whose : by the function of that name.  asked : method, path, query and body.

    Raises Problem 400 on a key that can't be one.
    """
    if not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise Problem(
            400, "invalid_field", f"Idempotency-Key must have 1 to {MAX_KEY} printable characters.", field="Idempotency-Key"
        )
    named = hashlib.sha256(f"{whose}\0{key}".encode()).hexdigest()[:32]
    fingerprint = hashlib.sha256(b"\0".join(b"%d:%b" % (len(part), part) for part in asked)).digest()
    return Ticket(f"idempotent:{{{shop}}}:{named}", f"idempotent:{{{shop}}}", fingerprint)


async def begin(client: AsyncRedis, held: Ticket) -> Answer | None:
    """Hold the key, or the answer that was given. Raises Problem 409 while another holds it, 422 if it asked something else."""
    if await client.set(held.name, _UNDER_WAY + held.fingerprint, nx=True, ex=HELD_S):
        return None
    return _read(held, await client.get(held.name))


async def keep(client: AsyncRedis, held: Ticket, answer: Answer) -> None:
    """Keep an answer, and let go of the key."""
    data = _data(held, answer)
    if data is None:
        await client.delete(held.name)
    else:
        await client.register_script(_KEEP)(keys=[held.name, held.kept], args=[data, TTL_S, time.time(), KEPT])


async def let_go(client: AsyncRedis, held: Ticket) -> None:
    """Let go of the key without an answer."""
    await client.delete(held.name)


def begin_sync(held: Ticket) -> Answer | None:
    """As `begin`, for Django's threads."""
    client = connect()
    if client.set(held.name, _UNDER_WAY + held.fingerprint, nx=True, ex=HELD_S):
        return None
    return _read(held, client.get(held.name))


def finish_sync(held: Ticket, answer: Answer | None) -> None:
    """As `keep`, or, without an answer, `let_go`."""
    client, data = connect(), None if answer is None else _data(held, answer)
    if data is None:
        client.delete(held.name)
    else:
        client.register_script(_KEEP)(keys=[held.name, held.kept], args=[data, TTL_S, time.time(), KEPT])


def forget(client: Redis, shop: int, names: Collection[str]) -> int:
    """Delete the kept answers of a shop that name one of these ids, as an erasure must; how many."""
    sought = [_encode(name)[1:-1] for name in names]
    found = 0
    index = f"idempotent:{{{shop}}}"
    kept: Any = client.zrange(index, 0, -1)
    for start in range(0, len(kept), FORGOTTEN_AT_ONCE):
        some = kept[start : start + FORGOTTEN_AT_ONCE]
        data: Any = client.mget(some)
        gone = [name for name, each in zip(some, data, strict=True) if each is not None and _names(each, sought)]
        if gone:
            client.delete(*gone)
            client.zrem(index, *gone)
            found += len(gone)
    return found


def _names(data: bytes, sought: Iterable[bytes]) -> bool:
    if data[:1] != _DONE:
        return False
    body = zlib.decompress(data[1 + _FINGERPRINT :])
    return any(each in body for each in sought)


def connect() -> Redis:
    """The installation's Redis."""
    return Redis.from_url(settings.REDIS_URL)


def _data(held: Ticket, answer: Answer) -> bytes | None:
    """What is kept of an answer; None for one that isn't."""
    if not 200 <= answer.status < 300:
        return None
    packed = zlib.compress(msgspec.msgpack.encode(answer), 1)
    return _DONE + held.fingerprint + packed if len(packed) <= MAX_KEPT else None


def _read(held: Ticket, data: Any) -> Answer | None:
    if data is None:
        raise _under_way()
    if data[1 : 1 + _FINGERPRINT] != held.fingerprint:
        detail = "This Idempotency-Key came before with another request; use a new one for each."
        raise Problem(422, "idempotency_mismatch", detail, field="Idempotency-Key")
    if data[:1] == _UNDER_WAY:
        raise _under_way()
    return msgspec.msgpack.decode(zlib.decompress(data[1 + _FINGERPRINT :]), type=Answer)


def _under_way() -> Problem:
    detail = "A request with this Idempotency-Key is under way; ask again for its answer."
    return Problem(409, "idempotency_in_progress", detail, headers={"retry-after": "1"})
