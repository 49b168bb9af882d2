"""API keys travel from the database to the hot path's copy, and away again."""

from __future__ import annotations

import json

import pytest
import redis

from personas.models import ApiKey, Shop
from recommendations import tasks
from recommendations.serving import access
from recommendations.serving.problems import Problem


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


def copied(client: redis.Redis) -> dict[str, object]:
    return {digest.decode(): json.loads(row) for digest, row in client.hgetall(access.KEYS).items()}


def test_a_key_is_written_through_when_saved_and_gone_when_revoked_or_deleted(
    shop: Shop, redis_client: redis.Redis, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        key, plaintext = ApiKey.objects.issue(shop=shop, name="server", scopes=["read"])
        other, _ = ApiKey.objects.issue(shop=shop, name="other", scopes=["ingest", "read"])
    assert copied(redis_client) == {
        key.sha256: {"shop": shop.pk, "scopes": ["read"], "key": key.pk},
        other.sha256: {"shop": shop.pk, "scopes": ["ingest", "read"], "key": other.pk},
    }
    assert plaintext not in str(copied(redis_client)), "only the hash is kept"
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        key.revoke()
    assert set(copied(redis_client)) == {other.sha256}
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        other.delete()
    assert not copied(redis_client)


def test_starting_makes_the_copy_equal_to_the_database(shop: Shop, redis_client: redis.Redis) -> None:
    key, _ = ApiKey.objects.issue(shop=shop, name="server", scopes=["read"])
    revoked, _ = ApiKey.objects.issue(shop=shop, name="old", scopes=["read"])
    revoked.revoke()
    redis_client.hset(access.KEYS, "left over", "{}")
    assert access.sync_keys() == 1
    assert set(copied(redis_client)) == {key.sha256}


def test_the_schedule_mends_a_revocation_that_did_not_reach_redis(shop: Shop, redis_client: redis.Redis) -> None:
    key, _ = ApiKey.objects.issue(shop=shop, name="server", scopes=["read"])
    tasks.sync_keys()
    assert set(copied(redis_client)) == {key.sha256}
    key.revoke()  # not committed, so not carried: as when Redis is away
    assert set(copied(redis_client)) == {key.sha256}
    tasks.sync_keys()
    assert not copied(redis_client)


def test_a_copy_that_is_right_is_left_alone(shop: Shop, redis_client: redis.Redis) -> None:
    """Else every process would forget what it knows of keys once a minute."""
    ApiKey.objects.issue(shop=shop, name="server", scopes=["read"])
    access.sync_keys()
    with redis_client.pubsub(ignore_subscribe_messages=True) as told:
        told.subscribe(access.CHANNEL)
        told.get_message(timeout=1)
        access.sync_keys()
        assert told.get_message(timeout=0.2) is None


def test_a_token_names_its_shop_and_session_until_it_expires() -> None:
    token = access.issue_session_token(5, "s:1", ttl_s=60, now=1_000.0)
    who = access.read_session_token(token, now=1_059.0)
    assert (who.shop, who.scopes, who.session, who.expires, who.key) == (5, access.TOKEN_SCOPES, "s:1", 1_060.0, 0)
    with pytest.raises(Problem, match="expired_token"):
        access.read_session_token(token, now=1_060.0)


@pytest.mark.parametrize("token", ["", ":", "a:b", "bnVsbA:x"])
def test_what_we_did_not_sign_is_refused(token: str) -> None:
    with pytest.raises(Problem, match="invalid_token"):
        access.read_session_token(token, now=0.0)
