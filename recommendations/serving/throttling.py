"""Limits of requests a second, by API key and by session token: token buckets in a process's memory, shared through Redis.

A request costs a look into a dictionary. Once a second each process tells Redis how much was asked of the buckets that were asked
for much, and reads how much all processes were asked: from then on it lets through what the others leave, or, where all want more
than there is, its share by what it was asked. The first second of a burst may pass once in each process; what goes on is held.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from redis import Redis, RedisError

from recommendations.serving.problems import Problem

logger = logging.getLogger(__name__)

EXCHANGE_S = 1.0
TOLD_FROM = 0.125
"""Share of its limit from which on a bucket is told of: what eight processes are asked below it stays within the limit."""

LEAST_SHARE = 0.05
"""Of its limit, what a process lets through whatever the others do: whoever moves to another process is not shut out."""

KEPT_S = 10
"""Seconds for which Redis keeps what was told of a second."""

MOST_BUCKETS = 100_000


class Standing(NamedTuple):
    """How a credential stands after a request. limit : requests a second.  remaining : at once, now.

    reset_s : until nothing of the limit is used.  wait_s : until a request is let through, 0 where this one was.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    wait_s: float

    def headers(self) -> dict[str, str]:
        """As of the IETF's draft "RateLimit header fields for HTTP"; whole seconds."""
        told = {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(math.ceil(self.reset_s)),
        }
        return told if self.allowed else {"retry-after": str(max(1, math.ceil(self.wait_s))), **told}


class _Bucket:
    """rate : this process's requests a second.  asked : since the last exchange.  told : what was told at it."""

    __slots__ = ("asked", "at", "limit", "rate", "told", "tokens")

    def __init__(self, limit: float, at: float) -> None:
        self.limit = self.rate = self.tokens = limit
        self.at = at
        self.asked = self.told = 0


class Limits:
    """The buckets of one process, which its threads share. A bucket holds a second's worth of the process's share.

    clock : seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()
        self._exchanged = clock()

    def take(self, subject: str, limit: float) -> Standing:
        """Count a request. subject : whose it is.  limit : requests a second, above 0."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(subject)
            if bucket is None or bucket.limit != limit:
                if len(self._buckets) >= MOST_BUCKETS:
                    self._buckets.clear()
                bucket = self._buckets[subject] = _Bucket(limit, now)
            tokens = min(max(1.0, bucket.rate), bucket.tokens + (now - bucket.at) * bucket.rate)
            bucket.at = now
            bucket.asked += 1
            if allowed := tokens >= 1.0:
                tokens -= 1.0
            bucket.tokens = tokens
        wait_s = 0.0 if allowed else (1.0 - tokens) / bucket.rate
        return Standing(allowed, int(limit), int(tokens), max(0.0, bucket.rate - tokens) / bucket.rate, wait_s)

    def told(self) -> dict[str, int]:
        """What to tell of this second, and forgets buckets that are full again. To be followed by `learn`, a second later."""
        with self._lock:
            now, found = self._clock(), {}
            for subject, bucket in list(self._buckets.items()):
                if bucket.asked >= TOLD_FROM * bucket.limit:
                    found[subject] = bucket.asked
                elif not bucket.asked and bucket.tokens + (now - bucket.at) * bucket.rate >= bucket.rate:
                    del self._buckets[subject]
                    continue
                else:
                    bucket.rate = bucket.limit
                bucket.asked = 0
            return found

    def learn(self, told: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """Take what is left by the others. told : by this process of a second.  totals : by all of the same second."""
        with self._lock:
            for subject, own in told.items():
                bucket, total = self._buckets.get(subject), max(totals.get(subject, 0), own)
                if bucket is not None:
                    share = bucket.limit - (total - own) if total <= bucket.limit else bucket.limit * own / total
                    bucket.rate = max(share, LEAST_SHARE * bucket.limit)

    def alone(self) -> None:
        """Let through what one process may that hears nothing of the others: not for ever the share of the last burst."""
        with self._lock:
            for bucket in self._buckets.values():
                bucket.rate = bucket.limit

    def due(self) -> bool:
        """Whether it is time for an exchange; True once for whoever asks first."""
        with self._lock:
            now = self._clock()
            if now - self._exchanged < EXCHANGE_S:
                return False
            self._exchanged = now
            return True


def key_of(second: int) -> str:
    """Where processes tell of a second since the epoch: a hash of requests by subject."""
    return f"throttle:{second}"


class Exchange:
    """What one process and Redis tell each other. It says what to ask; whoever has a client, of either kind, asks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._second = 0
        self._told: dict[str, int] = {}

    def queue(self, pipe: Any, *, now: float) -> dict[str, int]:
        """Put commands into a pipeline, to be run if it holds any. now : seconds since the epoch.

        Returns what was told of the second before, whose totals are the last answer, in this order; {} if they aren't asked for.
        """
        before, asked = self._second, self._told
        self._second, self._told = int(now), self.limits.told()
        for subject, count in self._told.items():
            pipe.hincrby(key_of(self._second), subject, count)
        if self._told:
            pipe.expire(key_of(self._second), KEPT_S)
        if asked:
            pipe.hmget(key_of(before), list(asked))
        return asked

    def answered(self, asked: Mapping[str, int], answers: Sequence[Any]) -> None:
        """What the pipeline answered. asked : by `queue`."""
        if asked:
            self.limits.learn(asked, {subject: int(n or 0) for subject, n in zip(asked, answers[-1], strict=True)})


_pages = Limits()
"""Of the threads of this process that answer for Django, beside the live endpoints."""

_exchange = Exchange(_pages)


def limit_of_key(rate: int | None) -> float:
    """Requests a second of a key with this `ApiKey.rate`; 0 for no limit."""
    return float(settings.THROTTLE_KEY_PER_S if rate is None else rate)


def subject_of_key(digest: str) -> str:
    """Whose bucket a key's is, by its SHA-256: one for all of its requests, over whichever door."""
    return f"key:{digest[:32]}"


def take_sync(subject: str, limit: float) -> Standing | None:
    """Count a request that Django answers, in any thread; None where there is no limit. Once a second it asks Redis."""
    if limit <= 0:
        return None
    if _pages.due():
        try:
            pipe = Redis.from_url(settings.REDIS_URL).pipeline(transaction=False)
            asked = _exchange.queue(pipe, now=time.time())
            _exchange.answered(asked, pipe.execute())
        except RedisError:
            _pages.alone()
            logger.warning("limits can't be shared with other processes: Redis can't be reached")
    return _pages.take(subject, limit)


def rate_limited(standing: Standing) -> Problem:
    """The refusal of a request that came too soon."""
    detail = f"More than {standing.limit} requests a second came with this credential. Wait as long as Retry-After says."
    return Problem(429, "rate_limited", detail, headers=standing.headers())
