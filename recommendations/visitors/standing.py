"""What is known of a shop's simulated visitors, in Redis: whether they are switched on, until when, and how many came.

One process at a time brings visitors to a shop; it holds a lock that it renews, so that one that was killed is no hindrance.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis

from recommendations import releases

MOST_PER_MINUTE = 120
MOST_MINUTES = 240
KEPT_S = 24 * 3600
START_S = 60.0
"""How long a process may take to bring the first."""

BY_HAND = "stopped by hand"
"""What is told of visitors whom somebody stopped."""

HELD_S = 15
"""Life of the lock of a process that was killed."""


class VisitorsError(ValueError):
    """Why visitors can't come, in words."""


@dataclass(frozen=True)
class Standing:
    """per_minute : how many come.  until : seconds since the epoch.  visits, inside, bought, failed : so far; inside now.

    running : whether a process brings them.  coming : whether one was asked to, a moment ago.
    told : why it ended, if not because the time was over.
    """

    per_minute: int
    until: float
    visits: int
    inside: int
    bought: int
    failed: int
    running: bool
    coming: bool
    told: str


def check(per_minute: int, minutes: int) -> None:
    """Raises VisitorsError where one is out of bounds."""
    if not 1 <= per_minute <= MOST_PER_MINUTE:
        raise VisitorsError(f"per minute: {per_minute} is outside 1 to {MOST_PER_MINUTE}")
    if not 1 <= minutes <= MOST_MINUTES:
        raise VisitorsError(f"minutes: {minutes} is outside 1 to {MOST_MINUTES}")


def name_of(shop_id: int) -> str:
    return f"visitors:{shop_id}"


def lock_of(shop_id: int) -> str:
    return f"visitors:{shop_id}:lock"


def read(shop_id: int, client: Redis | None = None) -> Standing | None:
    """None if nobody was let in for a day."""
    client = client or releases.redis_client()
    kept: Any = client.hgetall(name_of(shop_id))
    raw = {name.decode(): value.decode() for name, value in kept.items()}
    if not raw:
        return None
    running = bool(client.exists(lock_of(shop_id)))
    return Standing(
        per_minute=int(raw.get("per_minute", 0)),
        until=float(raw.get("until", 0.0)),
        visits=int(raw.get("visits", 0)),
        inside=int(raw.get("inside", 0)),
        bought=int(raw.get("bought", 0)),
        failed=int(raw.get("failed", 0)),
        running=running,
        coming=not running and not raw.get("told") and time.time() - float(raw.get("asked", 0.0)) < START_S,
        told=raw.get("told", ""),
    )


def ask(shop_id: int, per_minute: int, minutes: int) -> None:
    """Say that somebody wants visitors, until a process begins. Raises VisitorsError if they come or are about to."""
    check(per_minute, minutes)
    client = releases.redis_client()
    now = read(shop_id, client)
    if now is not None and (now.running or now.coming):
        raise VisitorsError("Simulated visitors come there already")
    with client.pipeline(transaction=True) as pipe:
        _put(shop_id, pipe, {"per_minute": per_minute, "until": time.time() + 60.0 * minutes, "asked": time.time()})
        pipe.execute()


def take_back(shop_id: int) -> None:
    """Nobody could be asked: else they would come later, as though a restart had kept them from it."""
    releases.redis_client().delete(name_of(shop_id))


class Wanted(NamedTuple):
    """How many a minute, and the time at which they end."""

    per_minute: int
    until: float


def begin(shop_id: int, wanted: Wanted, client: Redis, *, asked: bool = False) -> Wanted | None:
    """Say that they come; how, or None where they may not.

    asked : by somebody who may have stopped them before the first one came, or asked for others since, who then come.
    """
    name = name_of(shop_id)

    def unless_stopped(pipe: Any) -> Wanted | None:
        told, per_minute, until = pipe.hmget(name, "told", "per_minute", "until")
        pipe.multi()
        if asked and told == BY_HAND.encode():
            return None
        latest = Wanted(int(per_minute), float(until)) if asked and per_minute and until else wanted
        _put(shop_id, pipe, latest._asdict())
        return latest

    return client.transaction(unless_stopped, name, value_from_callable=True)  # type: ignore[arg-type,return-value]


def unfinished(shop_id: int, client: Redis | None = None) -> Standing | None:
    """How visitors stand who are due still, and whom no process brings any more: it was killed, or the machine went down."""
    found = read(shop_id, client)
    due = found is not None and found.per_minute and found.until > time.time()
    return found if due and found is not None and not (found.running or found.told) else None


def ask_to_resume(shop_id: int, client: Redis | None = None) -> bool:
    """Whether a process should be started that goes on with them; then nobody else is told so for a moment."""
    client = client or releases.redis_client()
    found = unfinished(shop_id, client)
    if found is None or found.coming:
        return False
    client.hset(name_of(shop_id), "asked", str(time.time()))
    return True


def _put(shop_id: int, pipe: Any, values: dict[str, float]) -> None:
    """In place of what was there, with the pipeline's other commands."""
    pipe.delete(name_of(shop_id))
    pipe.hset(name_of(shop_id), mapping=values)
    pipe.expire(name_of(shop_id), KEPT_S)


def note(shop_id: int, client: Redis, **values: int | str) -> None:
    client.hset(name_of(shop_id), mapping=values)  # type: ignore[arg-type]


def ask_to_stop(shop_id: int, client: Redis | None = None) -> None:
    """Nobody comes any more; those who are inside leave."""
    client = client or releases.redis_client()
    if client.exists(name_of(shop_id)):
        note(shop_id, client, until=str(time.time()), told=BY_HAND)


def asked_until(shop_id: int, client: Redis) -> float:
    raw = client.hget(name_of(shop_id), "until")
    return float(raw) if raw else 0.0
