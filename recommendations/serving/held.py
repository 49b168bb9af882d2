"""What Redis holds of given sessions and shoppers, for the calls that show, change or erase it. Synchronous, off the hot path.

Whatever is found is found by looking: states and log entries name shoppers inside, and no index of them is kept, since
that would be one more place that knows who was where.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from django.conf import settings
from django.utils.crypto import salted_hmac
from redis import Redis, WatchError

from recommendations.serving.activity import FIELD, Record, decode_record, log_key, partition
from recommendations.serving.problems import busy
from recommendations.serving.store import StateError, channel, decode_state, encode_state, ids_key, state_key
from recommendations.session import SessionState

logger = logging.getLogger(__name__)

PAGE = 500
"""Keys or entries asked for at a time."""

ATTEMPTS = 20
"""Tries to change a state that a session's own turns keep changing."""

SALT = "recommendations.erased"


def connect() -> Redis:
    """The installation's Redis."""
    return Redis.from_url(settings.REDIS_URL)


def course_key(pk: int) -> str:
    """Where a session's course is kept for some minutes while somebody looks at it (`recommendations.visits.course`)."""
    return f"course:{pk}"


def forget_courses(client: Redis, pks: Iterable[int]) -> None:
    """Drop what is kept of the courses of sessions, by their primary keys."""
    if keys := [course_key(pk) for pk in pks]:
        client.delete(*keys)


def part_of(shop: int, session: str) -> int:
    """The partition of a session in this installation."""
    return partition(shop, session, settings.ACTIVITY_PARTITIONS)


def aside_key(part: int) -> str:
    return f"{{{part}}}:aside"


def is_aside(stream: str) -> bool:
    """Whether a stream is one of what was set aside."""
    return stream.endswith(":aside")


# Live states


def live_states(client: Redis, shop: int, *, sessions: Collection[str], shoppers: Collection[str]) -> dict[str, SessionState]:
    """Session id -> state, of these sessions and of those that name one of the shoppers. States that can't be read have none."""
    found = {}
    for _, data in _states(client, shop, sessions, shoppers):
        try:
            state = decode_state(data)
        except StateError:
            continue
        if state.session in sessions or state.shopper in shoppers:
            found[state.session] = state
    return found


def _states(client: Redis, shop: int, sessions: Collection[str], shoppers: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """(key, bytes) of states that may be meant: named so, or with a shopper's name somewhere in them."""
    names = [shopper.encode() for shopper in shoppers]
    named = {state_key(part_of(shop, s), shop, s) for s in sessions}
    for keys in _in_pages(scan(client, "state", shop) if names else iter(named)):
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.get(key)
        for key, data in zip(keys, pipe.execute(), strict=True):
            if data is not None and (key in named or any(name in data for name in names)):
                yield key, data


def scan(client: Redis, kind: str, shop: int) -> Iterator[str]:
    """Keys `{partition}:kind:shop:...`, and no other: an id that holds ":state:1:" makes a key that the pattern finds too."""
    whole = re.compile(rf"\{{\d+\}}:{kind}:{shop}:".encode())
    for key in client.scan_iter(match=f"*:{kind}:{shop}:*", count=PAGE):
        if whole.match(key):
            yield key.decode()


def _in_pages(values: Iterable[str]) -> Iterator[list[str]]:
    page: list[str] = []
    for value in values:
        page.append(value)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def event_ids(client: Redis, shop: int, session: str) -> list[str]:
    """Ids of the events that the session has counted."""
    members: Any = client.smembers(ids_key(part_of(shop, session), shop, session))
    return sorted(member.decode() for member in members)


def forget_sessions(client: Redis, shop: int, sessions: Iterable[str]) -> int:
    """Delete states and event ids; the number of states that were there."""
    pipe = client.pipeline(transaction=False)
    for session in sessions:
        part = part_of(shop, session)
        pipe.delete(state_key(part, shop, session))
        pipe.delete(ids_key(part, shop, session))
    return sum(int(n) for n in pipe.execute()[::2])


def change_state(client: Redis, shop: int, session: str, change: Callable[[SessionState], SessionState]) -> bool:
    """Put `change(state)`, one version on, in the place of a live session's state; whether it changed.

    Keeps the time that the state has left to live, and tells the session's subscribers. Raises Problem 503 if the session's own
    turns came first every time.
    """
    key = state_key(part_of(shop, session), shop, session)
    for _ in range(ATTEMPTS):
        with client.pipeline(transaction=True) as pipe:
            pipe.watch(key)
            data: Any = pipe.get(key)
            try:
                state = decode_state(data) if data is not None else None
            except StateError:
                state = None
            changed = None if state is None else change(state)
            if changed is None or changed is state:
                return False
            pipe.multi()
            pipe.set(key, encode_state(changed), keepttl=True)
            pipe.publish(channel(shop, session), b"%d" % changed.version)
            try:
                pipe.execute()
            except WatchError:
                continue
            return True
    raise busy()


# The activity log


@dataclass(frozen=True)
class LogEntry:
    """An entry of a stream, with the record that it holds."""

    stream: str
    entry_id: bytes
    record: Record


def log_entries(client: Redis, shop: int, *, sessions: Collection[str], shoppers: Collection[str]) -> list[LogEntry]:
    """Entries of the log, and of those set aside, that are about the sessions or name one of the shoppers."""
    found = []
    for part in range(settings.ACTIVITY_PARTITIONS):
        for stream in (log_key(part), aside_key(part)):
            found += list(_entries(client, stream, shop, sessions, shoppers))
    return found


def _entries(client: Redis, stream: str, shop: int, sessions: Collection[str], shoppers: Collection[str]) -> Iterator[LogEntry]:
    after = "-"
    while True:
        page: Any = client.xrange(stream, min=after, count=PAGE)
        for entry_id, fields in page:
            try:
                record = decode_record(fields.get(FIELD, b""))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # what can't be read names nobody that could be told
            if record.shop == shop and (record.session in sessions or record.shopper in shoppers):
                yield LogEntry(stream, entry_id, record)
        if len(page) < PAGE:
            return
        after = f"({page[-1][0].decode()}"


def forget_unreadable(client: Redis, names: Collection[str]) -> int:
    """Delete entries set aside that are no record and hold one of the names, spelled as in one, all the same; their number."""
    spelled, gone = [msgspec.msgpack.encode(name) for name in names], 0
    for part in range(settings.ACTIVITY_PARTITIONS):
        rows: Any = client.xrange(aside_key(part))
        for entry_id, fields in rows:
            try:
                decode_record(fields.get(FIELD, b""))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                if any(name in value for value in fields.values() for name in spelled):
                    gone += int(client.xdel(aside_key(part), entry_id))
    return gone


def forget_old(client: Redis, shop: int, *, before: float) -> int:
    """Delete the shop's entries that were set aside before a time, in seconds since the epoch; their number."""
    gone = 0
    for part in range(settings.ACTIVITY_PARTITIONS):
        rows: Any = client.xrange(aside_key(part), max=f"({int(1000 * before)}")
        for entry_id, fields in rows:
            try:
                of_shop = decode_record(fields.get(FIELD, b"")).shop == shop
            except (msgspec.MsgspecError, UnicodeDecodeError):
                of_shop = False
            gone += int(client.xdel(aside_key(part), entry_id)) if of_shop else 0
    return gone


def forget_entries(client: Redis, entries: Iterable[LogEntry]) -> int:
    """Delete entries from their streams; the number that were still there."""
    pipe = client.pipeline(transaction=False)
    for entry in entries:
        pipe.xdel(entry.stream, entry.entry_id)
    return sum(int(n) for n in pipe.execute())


# Those who were erased: what still comes in of them is not kept


def _erased_key(shop: int, kind: str, name: str) -> str:
    return f"erased:{shop}:{salted_hmac(SALT, f'{kind}:{name}', algorithm='sha256').hexdigest()}"


def deny(client: Redis, shop: int, *, sessions: Iterable[str], shoppers: Iterable[str], now: float) -> None:
    """Keep nothing more of these sessions, nor of what the shoppers began before `now` (seconds since the epoch).

    Only keyed hashes are stored, for as long as a session's state may live: nothing of before can come in after that.
    """
    pipe = client.pipeline(transaction=False)
    for session in sessions:
        pipe.set(_erased_key(shop, "session", session), "inf", ex=settings.SESSION_TTL_S)
    for shopper in shoppers:
        pipe.set(_erased_key(shop, "shopper", shopper), repr(now), ex=settings.SESSION_TTL_S)
    pipe.execute()


def refused(client: Redis, shop: int, records: Iterable[Record]) -> set[str]:
    """Session ids out of the records of which nothing may be kept, because they or their shopper were erased.

    Their live states are deleted: a page that goes on under an erased id leaves nothing behind.
    """
    rows = list({(r.session, r.shopper, r.started_at) for r in records})
    pipe = client.pipeline(transaction=False)
    for session, shopper, _ in rows:
        pipe.get(_erased_key(shop, "session", session))
        pipe.get(_erased_key(shop, "shopper", shopper))
    answers = pipe.execute()
    gone = {
        session
        for (session, shopper, started_at), mine, whose in zip(rows, answers[::2], answers[1::2], strict=True)
        if mine is not None or (shopper and whose is not None and started_at <= float(whose))
    }
    if gone:
        # From now on the session itself is denied, for as long as its page goes on.
        deny(client, shop, sessions=gone, shoppers=(), now=0.0)
        forget_sessions(client, shop, gone)
        logger.info("%s sessions of shop %s that were erased went on; what came of them was dropped", len(gone), shop)
    return gone
