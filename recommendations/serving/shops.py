"""What a live process knows of shops beside their releases: their names, and whose pages may call.

It reads the Redis hash `shops`, a copy of the database written through when a shop is saved.
"""

from __future__ import annotations

import contextlib
import json
import logging
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http.request import validate_host
from redis import Redis, RedisError
from redis.asyncio import Redis as AsyncRedis

from personas.models import Shop

logger = logging.getLogger(__name__)

SHOPS = "shops"
CHANNEL = "shops"
"""Told of every change."""


class _Known(NamedTuple):
    slug: str
    origins: frozenset[str]


class Shops:
    """All shops, as one process sees them."""

    def __init__(self, client: AsyncRedis) -> None:
        self._client = client
        self._known: dict[int, _Known] = {}
        self._any: frozenset[str] = frozenset()

    async def refresh(self) -> None:
        """Read the copy anew."""
        rows: Any = await self._client.hgetall(SHOPS)
        told = {int(shop): json.loads(row) for shop, row in rows.items()}
        self._known = {shop: _Known(row["slug"], frozenset(row["origins"])) for shop, row in told.items()}
        self._any = frozenset().union(*(known.origins for known in self._known.values()))

    def name(self, shop: int) -> str:
        """The shop's slug, or its number where nothing is known of it."""
        known = self._known.get(shop)
        return known.slug if known is not None else str(shop)

    def origin_allowed(self, shop: int, origin: str) -> bool:
        """Whether a page of this origin may speak to the shop's sessions: one of ours, or on the shop's list."""
        known = self._known.get(shop)
        return (known is not None and origin in known.origins) or is_own(origin)

    def any_allows(self, origin: str) -> bool:
        """Whether some shop's pages are of this origin; a browser that asks beforehand doesn't say whose."""
        return origin in self._any or is_own(origin)


@lru_cache(maxsize=1_024)
def is_own(origin: str) -> bool:
    """Whether an origin, scheme://host[:port], is on one of the installation's own hosts (`ALLOWED_HOSTS`)."""
    with contextlib.suppress(ValueError):
        host = urlsplit(origin).hostname
        return host is not None and validate_host(f"[{host}]" if ":" in host else host, settings.ALLOWED_HOSTS)
    return False


def _row(shop: Shop) -> str:
    return json.dumps({"slug": shop.slug, "origins": shop.allowed_origins})


def sync_shops(client: Redis | None = None) -> int:
    """Make the Redis copy equal to the database's shops; their number. Run at every start and every minute."""
    client = client or Redis.from_url(settings.REDIS_URL)
    rows = _rows()
    while client.hgetall(SHOPS) != {pk.encode(): row.encode() for pk, row in rows.items()}:
        pipe = client.pipeline(transaction=True)
        pipe.delete(SHOPS)
        if rows:
            pipe.hset(SHOPS, mapping=rows)  # type: ignore[arg-type]
        pipe.publish(CHANNEL, "all")
        pipe.execute()
        # A shop saved meanwhile was written through, and then overwritten here by what was read before.
        rows = _rows()
    return len(rows)


def _rows() -> dict[str, str]:
    return {str(shop.pk): _row(shop) for shop in Shop.objects.only("slug", "allowed_origins")}


def write_through(sender: type[Shop], instance: Shop, *, signal: Any, **_: object) -> None:
    """Carry a saved or deleted shop to Redis once the database has it for good."""
    row = None if signal is post_delete else _row(instance)
    pk = str(instance.pk)
    transaction.on_commit(lambda: _write(pk, row))


def _write(pk: str, row: str | None) -> None:
    try:
        pipe = Redis.from_url(settings.REDIS_URL).pipeline(transaction=True)
        if row is None:
            pipe.hdel(SHOPS, pk)
        else:
            pipe.hset(SHOPS, pk, row)
        pipe.publish(CHANNEL, pk)
        pipe.execute()
    except RedisError:
        logger.exception("shop %s was not carried to Redis; it will be within a minute of Redis being back", pk)


def connect_signals() -> None:
    """Called once when the app is ready."""
    post_save.connect(write_through, sender=Shop, dispatch_uid="shop-saved")
    post_delete.connect(write_through, sender=Shop, dispatch_uid="shop-deleted")
