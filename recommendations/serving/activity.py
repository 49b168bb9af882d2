"""The activity log: what was committed, in order, partitioned by session; and where one reads it.

A *record* is one commit of one session: its events, the adaptation's decisions and the slate, if any. The store
appends it in the same script that writes the state, so that neither exists without the other. `ActivityLog` is
what readers see of it; Redis Streams stand behind it here, and Kafka could: a partition is a topic partition, a
record a message, an id an offset.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import redis

from personas.events import CODE, Event

if TYPE_CHECKING:
    from clusters.adaptation import Decision

LIVE, TEST, SIMULATED = "live", "test", "simulated"
"""Of `personas.models.Origin`: where a record came from."""

FIELD = b"r"
"""The one field of a stream entry; it holds the record."""

DEMOGRAPHIC = frozenset({"age", "age_band", "gender", "sex", "income", "income_band"})
"""Evidence that is taken only with the shopper's recorded consent, which a request states by `consent`: true."""

PLACES_PER_MS = 1 << 20
PLACES_PER_ENTRY = 512
"""A stream id is (millisecond, sequence); with 512 places an entry, and 2,048 entries a millisecond, one bigint orders
every event of a partition until the year 2248."""

GONE_MS = 3_600_000
"""A consumer that asked for nothing this long is a process that ended."""

# One script, so that a consumer can't be handed an entry between the look and the removal, which would lose it.
_FORGET = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local forgotten = 0
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local is = {}
  for i = 1, #row, 2 do is[row[i]] = row[i + 1] end
  if is['pending'] == 0 and is['idle'] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is['name'])
    forgotten = forgotten + 1
  end
end
return forgotten
"""


class LoggedEvent(msgspec.Struct, array_like=True, frozen=True):
    """An event as logged: `personas.events.Event` with its code, and the items' external ids as they were sent."""

    event_id: str
    code: int
    at: float
    received_at: float
    items: tuple[int, ...] = ()
    refs: tuple[str, ...] = ()
    slots: tuple[int, ...] = ()
    query: str = ""
    dwell_s: float | None = None
    price: float | None = None
    quantity: float = 1.0
    recommendation_id: str = ""
    clock_ahead: bool = False
    value: float | None = None

    @classmethod
    def of(cls, event: Event, refs: Sequence[str]) -> LoggedEvent:
        return cls(
            event.event_id,
            CODE[event.name],
            event.at,
            event.received_at,
            event.items,
            tuple(refs),
            event.slots,
            event.query,
            event.dwell_s,
            event.price,
            event.quantity,
            event.recommendation_id,
            event.clock_ahead,
            event.value,
        )


class LoggedDecision(msgspec.Struct, array_like=True, frozen=True):
    """What the adaptation decided of one cluster upon one event; see `clusters.adaptation.Decision`.

    action to features : of what was taken.  options : (action code, target, features, items) of all that there was, of which
    `choice` is the place of what was taken; () in records of before options were logged.  propensities : of each.
    """

    event_id: str
    at: float
    cluster: int
    action: str
    target: int
    propensity: float
    features: tuple[float, ...]
    policy: str
    options: tuple[tuple[int, int, tuple[float, ...], int], ...] = ()
    choice: int = 0
    propensities: tuple[float, ...] = ()

    @classmethod
    def of(cls, event: Event, decision: Decision) -> LoggedDecision:
        return cls(
            event.event_id,
            event.at,
            decision.cluster,
            decision.action,
            decision.target,
            decision.propensity,
            decision.features,
            decision.policy,
            tuple([(o.action, o.target, o.features, o.items) for o in decision.options]),
            decision.choice,
            decision.propensities,
        )


class LoggedBlocked(msgspec.Struct, array_like=True, frozen=True):
    """An action that a bound kept the adaptation from, upon one event; see `clusters.adaptation.Blocked`."""

    event_id: str
    at: float
    cluster: int
    action: str
    bound: str


class LoggedItem(msgspec.Struct, array_like=True, frozen=True):
    """One slot of a served slate; ids, 0 where none. rules : of the merchandisers' rules that put the item there.
    expert : by which it was found, "" where nobody asked."""

    item: int
    slot: int
    score: float
    propensity: float
    persona: int
    cluster: int
    expert: str
    rules: tuple[int, ...] = ()


class LoggedSlate(msgspec.Struct, array_like=True, frozen=True):
    """A slate as served. overlay, rules, trials : as of `session.Slate`.  asked : by `asked.told`."""

    recommendation_id: str
    at: float
    context: str
    items: tuple[LoggedItem, ...]
    overlay: int = 0
    rules: tuple[int, ...] = ()
    asked: dict[str, Any] = {}
    trials: tuple[tuple[int, str, bool], ...] = ()


class Record(msgspec.Struct, array_like=True, frozen=True):
    """One commit of one session. New fields go to the end, with a default: old records stay readable.

    version : the state's version after the commit.  belief : archetype id -> probability after the commit.
    context : what came with the visit; what was remembered of the shopper is not repeated here.
    shares : archetype id -> share of the session's steps so far.  steps : of the persona, so far.
    earlier, history : what the shopper's memory gave the prior: archetype id -> share, and evidence of purchases.
    experiment, arm, unit : as of `session.Membership`; 0 and "" outside of experiments.
    alone : whether it is a slate's that belongs to no session; `session` is then a name made for it.
    """

    shop: int
    session: str
    shopper: str
    context: dict[str, str]
    release: str
    version: int
    started_at: float
    at: float
    events: tuple[LoggedEvent, ...] = ()
    decisions: tuple[LoggedDecision, ...] = ()
    slate: LoggedSlate | None = None
    belief: dict[int, float] = {}
    origin: str = LIVE
    shares: dict[int, float] = {}
    steps: int = 0
    earlier: dict[int, float] = {}
    history: dict[str, str] = {}
    blocked: tuple[LoggedBlocked, ...] = ()
    experiment: int = 0
    arm: str = ""
    unit: str = ""
    alone: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Raises msgspec.MsgspecError (a ValueError) on what isn't a record."""
    return _decoder.decode(data)


def partition(shop: int, session: str, partitions: int) -> int:
    """The partition of a session: the same on every machine, in every version."""
    return zlib.crc32(f"{shop}:{session}".encode()) % partitions


def log_key(part: int) -> str:
    return f"{{{part}}}:log"


def place(entry_id: str, index: int) -> int:
    """A bigint that orders events as they were committed: `index` is the event's place within its record."""
    millisecond, sequence = (int(part) for part in entry_id.split("-"))
    return millisecond * PLACES_PER_MS + min(sequence, PLACES_PER_MS // PLACES_PER_ENTRY - 1) * PLACES_PER_ENTRY + index


class Entry(NamedTuple):
    """A record in the log, still encoded: one that can't be read must not stop those behind it."""

    partition: int
    entry_id: str
    data: bytes


class ActivityLog(Protocol):
    """What a consumer group sees of the log. An entry is delivered until it is acknowledged: at least once."""

    def read_group(self, consumer: str, *, count: int, idle_ms: int) -> list[Entry]:
        """Up to `count` entries a partition: first those that a dead consumer left for `idle_ms`, then new ones."""

    def ack(self, entries: Iterable[Entry]) -> None:
        """These entries are done with."""

    def set_aside(self, entries: Iterable[Entry]) -> None:
        """Keep entries that can't be used where an operator finds them."""

    def trim(self) -> int:
        """Drop what every group has acknowledged; the number of entries dropped."""

    def backlog(self) -> int:
        """Entries not yet acknowledged."""


class StreamLog:
    """`ActivityLog` over one Redis stream a partition.

    client : a synchronous client that answers in bytes.
    """

    def __init__(self, client: redis.Redis, *, partitions: int, group: str = "archive") -> None:
        self.client = client
        self.partitions = partitions
        self.group = group
        self._ready = False

    def read_group(self, consumer: str, *, count: int, idle_ms: int) -> list[Entry]:
        """See `ActivityLog`. A group that is missing (first run, or a store that was emptied) is made."""
        self._make_groups()
        try:
            return self._read(consumer, count, idle_ms)
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self._ready = False
            self._make_groups()
            return self._read(consumer, count, idle_ms)

    def _make_groups(self) -> None:
        if self._ready:
            return
        pipe = self.client.pipeline(transaction=False)
        for part in range(self.partitions):
            pipe.xgroup_create(log_key(part), self.group, id="0", mkstream=True)
        for answer in pipe.execute(raise_on_error=False):
            if isinstance(answer, redis.ResponseError) and "BUSYGROUP" not in str(answer):
                raise answer
        self._ready = True

    def _read(self, consumer: str, count: int, idle_ms: int) -> list[Entry]:
        # One command a partition, not one for all: on Redis Cluster the partitions live on different nodes.
        pipe = self.client.pipeline(transaction=False)
        for part in range(self.partitions):
            pipe.execute_command("XAUTOCLAIM", log_key(part), self.group, consumer, idle_ms, "0-0", "COUNT", count)
            pipe.execute_command("XREADGROUP", "GROUP", self.group, consumer, "COUNT", count, "STREAMS", log_key(part), ">")
        answers = pipe.execute()
        found: list[Entry] = []
        for part in range(self.partitions):
            claimed, fresh = answers[2 * part], answers[2 * part + 1]
            found += [Entry(part, *entry) for entry in _entries(claimed[1])]
            found += [Entry(part, *entry) for entry in _entries(_of_stream(fresh))]
        return found

    def ack(self, entries: Iterable[Entry]) -> None:
        pipe = self.client.pipeline(transaction=False)
        for part, ids in _by_partition(entries).items():
            pipe.xack(log_key(part), self.group, *ids)
        pipe.execute()

    def set_aside(self, entries: Iterable[Entry]) -> None:
        pipe = self.client.pipeline(transaction=False)
        for entry in entries:
            pipe.xadd(f"{{{entry.partition}}}:aside", {b"id": entry.entry_id, FIELD: entry.data})
        pipe.execute()

    def trim(self) -> int:
        """See `ActivityLog`. The bound is the lowest id that some group has pending, or hasn't been given yet.

        Consumers that are long gone and hold nothing are forgotten with it: every restart makes new ones.
        """
        dropped = 0
        forget = self.client.register_script(_FORGET)
        for part in range(self.partitions):
            key = log_key(part)
            forget(keys=[key], args=[self.group, GONE_MS])
            bounds = []
            for group in self.client.xinfo_groups(key) if self.client.exists(key) else ():
                if group["pending"]:
                    bounds.append(_stream_id(self.client.xpending(key, group["name"])["min"]))
                else:
                    millisecond, sequence = _stream_id(group["last-delivered-id"])
                    bounds.append((millisecond, sequence + 1))
            if bounds:
                dropped += int(self.client.xtrim(key, minid="{}-{}".format(*min(bounds)), approximate=False))
        return dropped

    def oldest(self) -> float | None:
        """When the first record that is still here was committed, in seconds, or None: what is older was archived."""
        pipe = self.client.pipeline(transaction=False)
        for part in range(self.partitions):
            pipe.xrange(log_key(part), count=1)
        first = [_stream_id(entries[0][0])[0] for entries in pipe.execute() if entries]
        return min(first) / 1000.0 if first else None

    def backlog(self) -> int:
        total = 0
        for part in range(self.partitions):
            key = log_key(part)
            for group in self.client.xinfo_groups(key) if self.client.exists(key) else ():
                if group["name"] == self.group.encode():
                    behind = self.client.xrange(key, min=b"(" + group["last-delivered-id"], count=10_000)
                    total += int(group["pending"]) + len(behind or ())
        return total


def _of_stream(answer: Any) -> Iterable[Any]:
    """The entries of the one stream in an XREADGROUP answer: a list of pairs in RESP2, a map in RESP3, or nothing."""
    if not answer:
        return []
    return next(iter(answer.values())) if isinstance(answer, dict) else answer[0][1]


def _entries(rows: Iterable[Any]) -> list[tuple[str, bytes]]:
    """(id, record) pairs; an entry deleted since it was delivered comes without fields and is skipped."""
    found = []
    for entry_id, fields in rows:
        if fields is None:
            continue
        values = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
        found.append((entry_id.decode(), values.get(FIELD, b"")))
    return found


def _by_partition(entries: Iterable[Entry]) -> dict[int, list[str]]:
    ids: dict[int, list[str]] = {}
    for entry in entries:
        ids.setdefault(entry.partition, []).append(entry.entry_id)
    return ids


def _stream_id(raw: bytes) -> tuple[int, int]:
    millisecond, _, sequence = raw.decode().partition("-")
    return int(millisecond), int(sequence or 0)
