"""What the cache keeps in Redis, as JSON: Django's own would pickle it, and who may write to Redis could then run code here."""

from __future__ import annotations

from typing import Any

import msgspec


class JsonSerializer:
    """Of `django.core.cache.backends.redis.RedisCache`, by its OPTIONS["serializer"]. Integers stay as they are, for `incr`."""

    def dumps(self, value: Any) -> bytes | int:
        return value if type(value) is int else msgspec.json.encode(value)

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)
