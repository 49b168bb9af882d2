"""What a live process knows of shops beside their releases: their names, and whose pages may call.

It reads the Redis hash `shops`, a copy of the database written through when a shop is saved.
"""

from __future__ import annotations

import contextlib
import json
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models.signals import post_delete, post_save
from django.http.request import validate_host
from redis.asyncio import Redis as AsyncRedis

from personas.models import Shop
from recommendations.serving.copies import Copy

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

    def origin_allowed(self, shop: int, origin: str, host: str) -> bool:
        """Whether a page of this origin may speak to the shop's sessions: one of ours, or on the shop's list.

        host : the request's own `Host`.
        """
        known = self._known.get(shop)
        return (known is not None and origin in known.origins) or is_own(origin, host)

    def any_allows(self, origin: str, host: str) -> bool:
        """Whether some shop's pages are of this origin; a browser that asks beforehand doesn't say whose."""
        return origin in self._any or is_own(origin, host)


_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=1_024)
def is_own(origin: str, host: str) -> bool:
    """Whether a page is one of the installation's own: it came from where its request goes, or is trusted with forms.

    origin : scheme://host[:port]; of another port it is another's page.  host : the request's `Host`, one of `ALLOWED_HOSTS`.
    A proxy that changes the host is what `CSRF_TRUSTED_ORIGINS` is for.
    """
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    with contextlib.suppress(ValueError):
        page, here = urlsplit(origin), urlsplit(f"{urlsplit(origin).scheme}://{host}")
        port = _PORTS.get(page.scheme)
        if page.hostname and (page.hostname, page.port or port) == (here.hostname, here.port or port):
            return validate_host(f"[{page.hostname}]" if ":" in page.hostname else page.hostname, settings.ALLOWED_HOSTS)
    return False


def _row(shop: Shop) -> str:
    return json.dumps({"slug": shop.slug, "origins": shop.allowed_origins})


def _rows() -> dict[str, str]:
    return {str(shop.pk): _row(shop) for shop in Shop.objects.only("slug", "allowed_origins")}


_copy = Copy(SHOPS, CHANNEL, _rows)
sync_shops = _copy.sync
"""Make the Redis copy equal to the database's shops; their number."""


def write_through(sender: type[Shop], instance: Shop, *, signal: Any, **_: object) -> None:
    """Carry a saved or deleted shop to Redis once the database has it for good."""
    _copy.carry(str(instance.pk), None if signal is post_delete else _row(instance))


def connect_signals() -> None:
    """Called once when the app is ready."""
    post_save.connect(write_through, sender=Shop, dispatch_uid="shop-saved")
    post_delete.connect(write_through, sender=Shop, dispatch_uid="shop-deleted")
