"""The cache keeps JSON in Redis, and nothing that could run when it is read."""

from __future__ import annotations

import json

import pytest
import redis
from django.conf import settings
from django.core.cache import cache


def test_what_is_kept_is_json_in_redis(redis_client: redis.Redis) -> None:
    cache.set("told", [3, {"price": 1.5}, "2026-11-23T16:00:00+00:00"], 60)
    raw = redis.Redis.from_url(settings.CACHES["default"]["LOCATION"]).get(cache.make_key("told"))
    assert raw is not None
    assert json.loads(raw) == cache.get("told") == [3, {"price": 1.5}, "2026-11-23T16:00:00+00:00"]


def test_integers_still_count(redis_client: redis.Redis) -> None:
    cache.set("count", 1, 60)
    assert cache.incr("count") == 2
    assert cache.get("count") == 2


def test_what_is_no_json_is_refused_where_it_is_written(redis_client: redis.Redis) -> None:
    with pytest.raises(TypeError):
        cache.set("thing", object(), 60)
