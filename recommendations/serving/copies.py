"""Copies in Redis of rows that live processes know by heart: written through as rows are saved, and made equal now and then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from redis import Redis, RedisError

logger = logging.getLogger(__name__)


class Copy(NamedTuple):
    """name : of the hash in Redis.  channel : told of every change.  rows : all of it as the database has it now, by field."""

    name: str
    channel: str
    rows: Callable[[], dict[str, str]]

    def sync(self, client: Redis | None = None) -> int:
        """Make the copy equal to the database; how many rows there are. Run at every start and every minute."""
        client = client or Redis.from_url(settings.REDIS_URL)
        rows = self.rows()
        while client.hgetall(self.name) != {field.encode(): row.encode() for field, row in rows.items()}:
            pipe = client.pipeline(transaction=True)
            pipe.delete(self.name)
            if rows:
                pipe.hset(self.name, mapping=rows)  # type: ignore[arg-type]
            pipe.publish(self.channel, "all")
            pipe.execute()
            # A row saved meanwhile was written through, and then overwritten here by what was read before.
            rows = self.rows()
        return len(rows)

    def carry(self, field: str, row: str | None) -> None:
        """Write one row, None where it is gone, once the database has it for good."""
        transaction.on_commit(lambda: self._write(field, row))

    def _write(self, field: str, row: str | None) -> None:
        try:
            pipe = Redis.from_url(settings.REDIS_URL).pipeline(transaction=True)
            if row is None:
                pipe.hdel(self.name, field)
            else:
                pipe.hset(self.name, field, row)
            pipe.publish(self.channel, field)
            pipe.execute()
        except RedisError:
            # The database holds the truth; the schedule and every start of a serving process copy it.
            logger.exception("%s %s isn't in Redis yet; it will be within a minute of Redis being back", self.name, field[:8])
