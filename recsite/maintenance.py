"""Redis for a command that works on the data while the installation may or may not be running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django.conf import settings

from recsite import embedded
from recsite.supervisor import SingleInstance


@contextmanager
def redis_at_rest() -> Iterator[redis.Redis]:
    """A client while nothing else runs on this data; the embedded server is started for the time, if it is ours.

    Raises CannotRun when the installation is running.
    """
    lock = SingleInstance(settings.DATA_DIR)
    server = None
    try:
        if "REDIS_URL" not in os.environ:
            server = embedded.start_valkey(settings.DATA_DIR / "valkey", fsync=settings.ACTIVITY_FSYNC)
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            yield client
    finally:
        if server is not None:
            server.stop()
        lock.release()


@contextmanager
def redis_running_or_not() -> Iterator[redis.Redis]:
    """A client of the running installation, or as `redis_at_rest`."""
    with redis.Redis.from_url(settings.REDIS_URL, retry=embedded.NO_RETRY) as client:
        try:
            client.ping()
        except redis.exceptions.RedisError:
            running = False
        else:
            running = True
        if running:
            yield client
            return
    with redis_at_rest() as client:
        yield client
