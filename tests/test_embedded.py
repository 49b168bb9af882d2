"""The embedded servers: up, durable, private, and gone when their parent is."""

from __future__ import annotations

import redis
from pytest_django import Settings


def test_valkey_answers_where_settings_say(redis_client: redis.Redis, settings: Settings) -> None:
    assert redis.Redis.from_url(settings.REDIS_URL).ping()
