"""Locks in Redis that are renewed while their holder lives: one that is killed frees its lock within seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError
from redis.lock import Lock

logger = logging.getLogger(__name__)


@contextmanager
def renewed(lock: Lock, *, every: float) -> Iterator[None]:
    """Renew a lock that is held, and was made with `thread_local=False`, every so many seconds; release it at the end.

    A Redis that is away meanwhile is told of, not raised: what was done stands, and the lock ends by itself.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(every):
            try:
                lock.reacquire()
            except RedisError as error:
                logger.warning("the lock %s was not renewed: %s", lock.name, error)

    renewing = threading.Thread(target=renew, name=f"renews {lock.name!s}", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        try:
            lock.release()
        except RedisError as error:
            logger.warning("the lock %s was not released: %s", lock.name, error)
