"""What happens in a shop now, for whoever watches: told from the tail of the activity log.

One reader a process follows the log, and only while somebody watches here; shoppers' requests do nothing for it. What is kept is
bounded: sessions of the last minutes, counts of the last seconds, the last decisions.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from personas.events import CODE, ITEM_ACTIONS, NAMES
from personas.models import Origin
from recommendations.serving.activity import FIELD, Record, decode_record, log_key

logger = logging.getLogger(__name__)

ACTIVE_S = 300.0
"""A session with an event in so many seconds is active."""

OVER_S = 10
"""Seconds over which rates are taken."""

SESSIONS = 20_000
"""Sessions that a board keeps."""

DECISIONS = 200
"""Decisions that a board keeps."""

BLOCK_MS = 1_000
READ = 500
"""Entries of each partition that one look takes, at most."""

AGAIN_S = 1.0

_ENGAGED = frozenset(CODE[name] for name in ITEM_ACTIONS)


class Seen(NamedTuple):
    """A session as the log told of it last.

    event : its name, "" where only the archive knows.  persona : archetype id that the belief holds likeliest, 0 for none.
    p : how likely.
    """

    at: float
    event: str
    events: int
    persona: int
    p: float
    origin: str
    known: bool


class Decided(NamedTuple):
    """One decision that did something, or was kept from it. number : in the order in which they came here, from 1 on.

    blocked : the bound that stopped it, "" for one that was made.  p : with which probability it was drawn.
    """

    number: int
    at: float
    session: str
    cluster: int
    action: str
    target: int
    p: float
    blocked: str


class Board:
    """What is known of one shop since somebody began to watch it."""

    def __init__(self) -> None:
        self.watchers = 0
        self.sessions: OrderedDict[str, Seen] = OrderedDict()
        self.decided: deque[Decided] = deque(maxlen=DECISIONS)
        self.numbered = 0
        self._counted: OrderedDict[int, Counter[str]] = OrderedDict()

    def begin(self, sessions: Mapping[str, Seen]) -> None:
        """Sessions that the archive knows, the oldest first; of those that came in meanwhile it knows less than the log."""
        later, self.sessions = self.sessions, OrderedDict(sessions)
        for session, seen in later.items():
            self.sessions.pop(session, None)
            self.sessions[session] = seen

    def take(self, record: Record) -> None:
        """Count one commit. Tests are nobody's visit."""
        if record.origin == Origin.TEST:
            return
        second = self._counted.setdefault(int(record.at), Counter())
        while len(self._counted) > 2 * OVER_S:
            self._counted.popitem(last=False)
        second["events"] += len(record.events)
        second["slates"] += record.slate is not None
        second["engagements"] += sum(event.code in _ENGAGED for event in record.events)
        if record.events:
            before = self.sessions.pop(record.session, None)
            persona, p = max(record.belief.items(), key=lambda pair: pair[1], default=(0, 0.0))
            count = len(record.events) + (before.events if before else 0)
            name = NAMES[record.events[-1].code]
            self.sessions[record.session] = Seen(record.at, name, count, persona, p, record.origin, bool(record.shopper))
            if len(self.sessions) > SESSIONS:
                self.sessions.popitem(last=False)
        for decision in record.decisions:
            if decision.action != "keep":
                self._decide(record, decision.cluster, decision.action, decision.target, decision.propensity, "")
        for blocked in record.blocked:
            self._decide(record, blocked.cluster, blocked.action, 0, math.nan, blocked.bound)

    def _decide(self, record: Record, cluster: int, action: str, target: int, p: float, blocked: str) -> None:
        self.numbered += 1
        self.decided.append(Decided(self.numbered, record.at, record.session, cluster, action, target, p, blocked))

    def active(self, now: float) -> int:
        """Sessions with an event in the last `ACTIVE_S`; the others are forgotten."""
        while self.sessions and next(iter(self.sessions.values())).at < now - ACTIVE_S:
            self.sessions.popitem(last=False)
        return len(self.sessions)

    def rates(self, now: float) -> Mapping[str, float]:
        """Events, slates and engagements a second, over the last `OVER_S` whole seconds."""
        last = int(now)
        total: Counter[str] = Counter()
        for second in range(last - OVER_S, last):
            total += self._counted.get(second, Counter())
        return {name: round(total[name] / OVER_S, 1) for name in ("events", "slates", "engagements")}


class Watching:
    """The boards of the shops that somebody watches here, and the reader that fills them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._boards: dict[int, Board] = {}
        self._task: asyncio.Task[None] | None = None

    async def watch(self, shop: int) -> Board:
        """The shop's board, which is filled until `leave`."""
        board = self._boards.setdefault(shop, Board())
        board.watchers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="follow the log")
        return board

    async def leave(self, shop: int) -> None:
        board = self._boards[shop]
        board.watchers -= 1
        if not board.watchers:
            del self._boards[shop]
        if not self._boards:
            await self.stop()

    async def stop(self) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():  # a cancellation may be lost in the Redis client's timeouts
            task.cancel()
            await asyncio.wait([task], timeout=1.0)

    @property
    def busy(self) -> bool:
        """Whether the log is followed."""
        return self._task is not None

    async def _follow(self) -> None:
        """Read what is appended to the log, from now on.

        A read that waits is answered by the append itself, so that the archiver, which trims, comes too late to hide anything.
        """
        ids: dict[str, str] = {}
        while True:
            client: Any = Redis.from_url(self._url)  # its types don't know which answers are bytes
            try:
                ids = ids or await self._last(client)
                while True:
                    for key, entries in _of_streams(await client.xread(ids, count=READ, block=BLOCK_MS)):
                        ids[key] = entries[-1][0].decode()
                        for _, fields in entries:
                            self._take(fields.get(FIELD, b""))
            except (RedisError, OSError) as error:
                logger.warning("the activity log can't be followed (%s); trying again", error)
                await asyncio.sleep(AGAIN_S)
            finally:
                await client.aclose()

    async def _last(self, client: Any) -> dict[str, str]:
        ids = {}
        for part in range(settings.ACTIVITY_PARTITIONS):
            newest = await client.xrevrange(log_key(part), count=1)
            ids[log_key(part)] = newest[0][0].decode() if newest else "0-0"
        return ids

    def _take(self, data: bytes) -> None:
        try:
            record = decode_record(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # the archiver sets it aside, and says so
            return
        board = self._boards.get(record.shop)
        if board is not None and not record.alone:
            board.take(record)


def _of_streams(answer: Any) -> list[tuple[str, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """Stream and entries of an XREAD's answer: a list of pairs in RESP2, a map in RESP3, or nothing."""
    pairs = answer.items() if isinstance(answer, dict) else answer or ()
    return [(key.decode(), entries[0] if entries and isinstance(entries[0], list) else entries) for key, entries in pairs]


def pseudonym(shop: int, session: str) -> str:
    """A session's name on pages that many see: the same in all processes, and nobody without the secret can tell whose it is."""
    key = hashlib.blake2b(settings.SECRET_KEY.encode(), digest_size=32, person=b"live sessions").digest()
    return hashlib.blake2b(f"{shop}:{session}".encode(), key=key, digest_size=5).hexdigest()
