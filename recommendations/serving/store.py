"""Session states in Redis: load, and commit by compare-and-set together with the activity log.

A commit is one script: it compares the state's header with what the caller loaded, checks and adds the event ids,
writes the state, appends the record to the partition's stream and tells the session's subscribers. All of its keys
share the hash tag `{partition}`, so that it is atomic on a cluster too.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from recommendations.serving.activity import FIELD, log_key, partition
from recommendations.serving.wire import Command, Wire
from recommendations.session import SessionState

logger = logging.getLogger(__name__)

SCHEMA = 3
"""First byte of a stored state. A state of another schema is not guessed at: the session starts again from the prior."""

HEADER = 13
"""Bytes before the body: schema (1), version (8), CRC-32 of the body (4). They are what compare-and-set compares."""

CACHED_STATES = 4_096
"""Decoded states that a process keeps, at most some 40 MB. They save decoding; Redis stays the truth."""

WAIT_AOF_MS = 5_000

MAX_EVENTS = 20_000
"""Events of one session: their ids are some 100 bytes each in Redis, and no shopper makes so many."""

HOLDS = 0.98
"""Share of sessions found as this process left them, or new where it had left none, from which on it supposes so, and leaves
the asking to the commit. To have supposed wrongly costs a whole turn, which is dozens of times what asking costs; where processes
share sessions, they ask."""

REMEMBERS = 0.99
"""Of that share, what is kept at each look."""

# KEYS: state, ids, log.  ARGV: expected header, new state, TTL, record, channel, message, event ids...
# Answers 1 (committed), 0 (someone else committed first), -1 (too many events), or the places (1-based) of ids already counted.
_COMMIT = """
if redis.call('GETRANGE', KEYS[1], 0, %d) ~= ARGV[1] then return 0 end
if #ARGV > 6 then
  local seen = redis.call('SMISMEMBER', KEYS[2], unpack(ARGV, 7))
  local found = {}
  for i = 1, #seen do if seen[i] == 1 then found[#found + 1] = i end end
  if #found > 0 then return found end
  if redis.call('SCARD', KEYS[2]) + #seen > %d then return -1 end
  redis.call('SADD', KEYS[2], unpack(ARGV, 7))
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
if ARGV[4] ~= '' then redis.call('XADD', KEYS[3], '*', '%s', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return 1
""" % (HEADER - 1, MAX_EVENTS, FIELD.decode())  # noqa: UP031 - braces are Lua's


class Durability(Enum):
    """What a commit waits for: the server syncs every write itself; we wait for its AOF; nothing."""

    ALWAYS = "always"
    WAITAOF = "waitaof"
    EVERYSEC = "everysec"


class NotDurableError(RuntimeError):
    """The server did not confirm in time that a commit is on its disk."""


class SessionFullError(RuntimeError):
    """The session has counted `MAX_EVENTS` events."""


class StateError(ValueError):
    """Bytes that aren't a state of this schema."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SessionState)
_header = Struct(">BQI").pack


def encode_state(state: SessionState) -> bytes:
    body = _encoder.encode(state)
    return _header(SCHEMA, state.version, zlib.crc32(body)) + body


def decode_state(data: bytes) -> SessionState:
    """Inverse of `encode_state`. Raises StateError on another schema, damage, or fields that don't fit."""
    if len(data) < HEADER or data[0] != SCHEMA:
        raise StateError(f"{len(data)} bytes of schema {data[0] if data else 'none'}, not of schema {SCHEMA}")
    body = memoryview(data)[HEADER:]
    if zlib.crc32(body) != int.from_bytes(data[9:HEADER], "big"):
        raise StateError("damaged: its checksum does not match")
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"of another shape ({error})") from error


def state_key(part: int, shop: int, session: str) -> str:
    return f"{{{part}}}:state:{shop}:{session}"


def ids_key(part: int, shop: int, session: str) -> str:
    return f"{{{part}}}:ids:{shop}:{session}"


def channel(shop: int, session: str) -> str:
    """Pub/sub channel on which a session's subscribers hear that it moved; the message is the version it has then."""
    return f"session:{shop}:{session}"


class Place(NamedTuple):
    """Where a session is kept: the keys of its state, its event ids and its log; the channel that tells of it."""

    state: str
    ids: str
    log: str
    channel: str


@lru_cache(maxsize=CACHED_STATES)
def place_of(shop: int, session: str, partitions: int) -> Place:
    """Where a session is kept, of so many partitions."""
    part = partition(shop, session, partitions)
    return Place(state_key(part, shop, session), ids_key(part, shop, session), log_key(part), channel(shop, session))


class Loaded(NamedTuple):
    """A session as loaded. state : None if there is none, or none that can be read.  seen : ids already counted.

    supposed : it is what this process committed or read last, or never heard of. Only a commit upon it tells whether it holds.
    """

    state: SessionState | None
    header: bytes
    seen: frozenset[str]
    supposed: bool = False


_NONE: frozenset[str] = frozenset()
_NEW = Loaded(None, b"", _NONE, supposed=True)


class Store:
    """States of all sessions, as one process sees them.

    client : an asyncio client that answers in bytes.
    ttl_s : seconds for which a state outlives its last commit.
    """

    def __init__(
        self,
        client: Redis,
        *,
        ttl_s: int,
        partitions: int,
        durability: Durability = Durability.ALWAYS,
        cached: int = CACHED_STATES,
    ) -> None:
        self.client = client
        self.ttl_s = ttl_s
        self.partitions = partitions
        self.durability = durability
        self._cached = cached
        self._cache: OrderedDict[tuple[int, str], tuple[bytes, SessionState]] = OrderedDict()
        self._locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()
        self._sha = ""
        self._shared: Wire | None = None
        self._held = 1.0
        self._new = 0.0

    def _wire(self) -> Wire:
        if self._shared is None or self._shared.client is not self.client:
            self._shared = Wire(self.client)
        return self._shared

    async def connect(self) -> None:
        """Connect now, rather than upon the first request. Raises redis.RedisError; RuntimeError if this redis-py can't do it."""
        self._sha = await self.client.script_load(_COMMIT)
        await self._wire().ask(("PING",))

    def close(self) -> None:
        """Let go of the connection; the client stays its owner's."""
        if self._shared is not None:
            self._shared.close()

    def lock(self, shop: int, session: str) -> asyncio.Lock:
        """One session's turns in this process go one after the other; across processes compare-and-set decides."""
        return self._locks.setdefault((shop, session), asyncio.Lock())

    def suppose(self, shop: int, session: str) -> Loaded | None:
        """The session as this process left it, or as a new one, without asking, where that holds nearly always; for whoever will
        commit upon it."""
        hit = self._cache.get((shop, session))
        if hit is None:
            return _NEW if self._new >= HOLDS else None
        return Loaded(hit[1], hit[0], _NONE, supposed=True) if self._held >= HOLDS else None

    def _found(self, *, held: bool) -> None:
        self._held = REMEMBERS * self._held + (1.0 - REMEMBERS) * held

    def _found_new(self, new: bool) -> None:
        self._new = REMEMBERS * self._new + (1.0 - REMEMBERS) * new

    async def load(self, shop: int, session: str, event_ids: Sequence[str] = ()) -> Loaded:
        """The session's state and which of `event_ids` it has counted, in one round trip."""
        place = place_of(shop, session, self.partitions)
        seen = _NONE
        get = ("GET", place.state)
        if event_ids:
            # The ids come after the state: they are then never older than it, and a newer state fails the commit.
            data, known = await self._wire().ask(get, ("SMISMEMBER", place.ids, *event_ids))
            seen = frozenset([e for e, k in zip(event_ids, known, strict=True) if k])
        else:
            data = await self._wire().ask_one(get)
        left = self._cache.get((shop, session))
        if left is not None:
            self._found(held=data is not None and left[0] == data[:HEADER])
        else:
            self._found_new(data is None)
        if data is None:
            self._cache.pop((shop, session), None)
            return Loaded(None, b"", seen)
        return Loaded(self._decode(shop, session, data), data[:HEADER], seen)

    def _decode(self, shop: int, session: str, data: bytes) -> SessionState | None:
        key = (shop, session)
        hit = self._cache.get(key)
        if hit is not None and hit[0] == data[:HEADER] and len(data) > HEADER:
            self._cache.move_to_end(key)
            return hit[1]
        try:
            state = decode_state(data)
        except StateError as error:
            logger.warning("session %s of shop %s starts again from the prior: its state is %s", session, shop, error)
            return None
        self._remember(key, data[:HEADER], state)
        return state

    def _remember(self, key: tuple[int, str], header: bytes, state: SessionState) -> None:
        self._cache[key] = (header, state)
        self._cache.move_to_end(key)
        while len(self._cache) > self._cached:
            self._cache.popitem(last=False)

    async def commit(
        self, loaded: Loaded, state: SessionState, *, record: bytes = b"", event_ids: Sequence[str] = (), message: bytes = b""
    ) -> bool:
        """Write `state`, made from `loaded`, with its record; True if it is in place, as durably as was set.

        False means that nothing was written, because another commit came first: load again and replay.
        message : what the session's subscribers are told, b"" for nothing.
        Raises NotDurableError if the state is in place but the server's disk did not confirm in time; SessionFullError if the
        session has counted too many events, and then nothing was written.
        """
        place, data = place_of(state.shop, state.session, self.partitions), encode_state(state)
        told = place.channel if message else ""
        asked: Command = (3, *place[:3], loaded.header, data, self.ttl_s, record, told, message, *event_ids)
        if not self._sha:
            self._sha = await self.client.script_load(_COMMIT)
        evaluate = self._synced if self.durability is Durability.WAITAOF else self._wire().ask_one
        try:
            answer = await evaluate(("EVALSHA", self._sha, *asked))
        except NoScriptError:  # the server was restarted or flushed its scripts
            self._sha = await self.client.script_load(_COMMIT)
            answer = await evaluate(("EVALSHA", self._sha, *asked))
        if answer == -1:
            raise SessionFullError(f"{state.session} of shop {state.shop} has counted {MAX_EVENTS} events")
        if loaded is _NEW:
            self._found_new(answer == 1)
        elif loaded.supposed:
            self._found(held=answer == 1)
        if answer != 1:
            self._cache.pop((state.shop, state.session), None)
            return False
        self._remember((state.shop, state.session), data[:HEADER], state)
        return True

    async def append(self, part: int, record: bytes) -> None:
        """Log a record that moves no session, as durably as was set. Raises NotDurableError."""
        command: Command = ("XADD", log_key(part), "*", FIELD, record)
        await (self._synced(command) if self.durability is Durability.WAITAOF else self._wire().ask_one(command))

    async def _synced(self, command: Command) -> Any:
        """The answer to a command, once what it wrote is on the server's disk. Raises NotDurableError."""
        # WAITAOF speaks of the connection's own last write, so it travels with the command, on one that may wait.
        pipe = self.client.pipeline(transaction=False)
        pipe.execute_command(*command)
        pipe.execute_command("WAITAOF", 1, 0, WAIT_AOF_MS)
        answer, synced = await pipe.execute()
        if (answer == 1 or isinstance(answer, bytes)) and synced[0] < 1:
            raise NotDurableError(
                f"what was written to {command[1 if answer != 1 else 3]!r} was not on disk after {WAIT_AOF_MS} ms"
            )
        return answer
