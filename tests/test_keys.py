"""API keys' lives: rotated, ended, tests, and told when they were used; and what test keys send teaches nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from personas.models import ApiKey, ArchivedEvent, Origin, Session, Shop, Shopper, hash_key, moment
from recommendations.learning.models import BlockedAction
from recommendations.models import AdaptationDecision, MerchandisingRule, RuleTally, ServedSlate
from recommendations.serving import access, archiving, memory, shops
from recommendations.serving.activity import Entry, LoggedBlocked, LoggedItem, LoggedSlate, encode_record, log_key
from recommendations.serving.held import part_of
from recommendations.serving.store import ids_key
from recommendations.serving.usage import Usage
from tests.test_archiving import NOW, make_record


@pytest.fixture
def shop(db: None, redis_client: redis.Redis) -> Shop:
    return Shop.objects.create(slug="s", name="S")


def copied(client: redis.Redis) -> dict[str, Any]:
    return {digest.decode(): json.loads(row) for digest, row in client.hgetall(access.KEYS).items()}


# Keys' lives


def test_a_rotated_key_works_on_for_a_day_beside_the_new_one(shop: Shop, redis_client: redis.Redis) -> None:
    old, _ = ApiKey.objects.issue(shop=shop, name="server", scopes=["ingest", "read"], rate=30)
    new, plaintext = old.rotate()
    assert (new.name, new.scopes, new.rate, new.test, new.expires_at) == ("server", ["ingest", "read"], 30, False, None)
    assert new.sha256 == hash_key(plaintext) != old.sha256
    assert old.replaced_by == new
    assert old.expires_at is not None
    assert timedelta(hours=23) < old.expires_at - timezone.now() < timedelta(hours=25)
    assert set(ApiKey.objects.live()) == {old, new}
    access.sync_keys()
    assert copied(redis_client)[old.sha256]["expires"] == old.expires_at.timestamp()
    assert copied(redis_client)[new.sha256] == {"shop": shop.pk, "scopes": ["ingest", "read"], "key": new.pk, "rate": 30}
    with pytest.raises(ValidationError, match="rotated already"):
        old.rotate()


def test_an_ended_key_opens_nothing_and_leaves_the_copy(shop: Shop, redis_client: redis.Redis, client: Client) -> None:
    key, plaintext = ApiKey.objects.issue(shop=shop, name="k", scopes=["read"], expires_at=timezone.now() + timedelta(hours=1))
    headers = {"authorization": f"Bearer {plaintext}"}
    assert client.get("/api/v1/shops/", headers=headers).status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get("/api/v1/shops/", headers=headers).status_code == 401
    access.sync_keys()
    assert not copied(redis_client)
    key.refresh_from_db()
    with pytest.raises(ValidationError, match="has ended"):
        key.rotate()


def test_a_rotation_never_prolongs_a_key(shop: Shop) -> None:
    soon = timezone.now() + timedelta(hours=1)
    key, _ = ApiKey.objects.issue(shop=shop, name="k", scopes=["read"], expires_at=soon)
    new, _ = key.rotate()
    assert key.expires_at == new.expires_at == soon


def test_a_test_key_may_not_manage_and_says_what_it_is(shop: Shop, redis_client: redis.Redis) -> None:
    with pytest.raises(ValidationError, match="no test"):
        ApiKey.objects.issue(shop=shop, name="t", scopes=["manage"], test=True)
    key, plaintext = ApiKey.objects.issue(shop=shop, name="t", scopes=["ingest"], test=True)
    assert plaintext.startswith("pct_")
    assert key.prefix == plaintext[:8]
    access.sync_keys()
    assert copied(redis_client)[key.sha256]["test"] is True
    assert key.rotate()[1].startswith("pct_")


@pytest.mark.django_db(transaction=True)
async def test_last_use_is_told_in_the_background_once_a_minute() -> None:
    shop = await Shop.objects.acreate(slug="s", name="S")
    key = await ApiKey.objects.acreate(shop=shop, name="k", sha256="x", scopes=["read"])
    uses = Usage()
    for second in (0.0, 30.0, 59.0, 61.0):
        uses.note(key.pk, NOW + second)
        uses.note(0, NOW + second)
        await uses.tell()
        await key.arefresh_from_db()
        assert key.last_used_at == moment(NOW + (61.0 if second == 61.0 else 0.0))


def test_rows_api_tells_of_use_too(shop: Shop, client: Client, django_assert_num_queries: Any) -> None:
    key, plaintext = ApiKey.objects.issue(shop=shop, name="k", scopes=["read"])
    headers = {"authorization": f"Bearer {plaintext}"}
    client.get("/api/v1/shops/", headers=headers)
    key.refresh_from_db()
    assert key.last_used_at is not None
    key.note_use()
    with django_assert_num_queries(0):
        key.note_use()


def test_the_admin_issues_rotates_and_shows_once(admin_client: Client, shop: Shop) -> None:
    add, listed = "/admin/personas/apikey/add/", "/admin/personas/apikey/"
    form = {"shop": shop.pk, "name": "t", "scopes": ["ingest", "manage"], "test": "on"}
    assert "no test" in admin_client.post(add, form).content.decode()
    plaintext = admin_client.post(add, {**form, "scopes": ["ingest"]}).context["plaintext"]
    assert plaintext.startswith("pct_")
    key = ApiKey.objects.get()
    page = admin_client.post(listed, {"action": "rotate", "_selected_action": [key.pk]})
    new = ApiKey.objects.exclude(pk=key.pk).get()
    assert hash_key(page.context["plaintext"]) == new.sha256
    assert "no-store" in page["Cache-Control"]
    assert "which works until" in page.content.decode()
    page = admin_client.get(listed).content.decode()
    assert "until" in page
    assert ">test<" in page.replace(" ", "").replace("\n", "")
    both = admin_client.post(listed, {"action": "rotate", "_selected_action": [key.pk, new.pk]}, follow=True)
    assert "Choose one key" in both.content.decode()
    assert ApiKey.objects.count() == 2


# Whose pages may call


@pytest.mark.parametrize(
    "origins",
    [
        ["https://shop.example"], ["http://localhost:3000", "https://a.b-c.example:8443"], ["http://[::1]:5173"], [],
    ],
)  # fmt: skip
def test_origins_as_browsers_send_them_are_taken(shop: Shop, origins: list[str], redis_client: redis.Redis) -> None:
    shop.allowed_origins = origins
    shop.full_clean()
    shop.save()
    shops.sync_shops()
    assert json.loads(redis_client.hget(shops.SHOPS, str(shop.pk)) or b"") == {"slug": "s", "origins": origins}


@pytest.mark.parametrize(
    "origins",
    [
        "https://shop.example",
        ["https://shop.example/"],
        ["*"],
        ["shop.example"],
        ["https://Shop.example"],
        [3],
        ["ftp://x"],
        ["null"],
    ],
)
def test_what_no_browser_would_send_is_refused(shop: Shop, origins: object) -> None:
    shop.allowed_origins = origins
    with pytest.raises(ValidationError) as refused:
        shop.full_clean()
    assert set(refused.value.message_dict) == {"allowed_origins"}


def test_a_saved_shop_is_carried_to_the_live_processes(
    shop: Shop, redis_client: redis.Redis, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        shop.allowed_origins = ["https://shop.example"]
        shop.save()
    assert json.loads(redis_client.hget(shops.SHOPS, str(shop.pk)) or b"")["origins"] == ["https://shop.example"]
    with django_capture_on_commit_callbacks(execute=True):
        shop.delete()
    assert not redis_client.hgetall(shops.SHOPS)


# What test keys send


def visit(shop: Shop, session: str, n: int, **changes: Any) -> None:
    archiving.write(shop, [(Entry(0, f"{n + 1}-0", b""), make_record(shop.pk, session, n, **changes))])


def test_a_test_is_archived_as_one_and_read_by_nobody_who_learns(shop: Shop) -> None:
    rule = MerchandisingRule.objects.create(shop=shop, name="r", action="boost", strength=2.0)
    slate = LoggedSlate("t-r0", NOW, "home", (LoggedItem(3, 0, 0.5, 0.9, 1, 4, "blend", (rule.pk,)),), rules=(rule.pk,))
    blocked = (LoggedBlocked("e1.0", NOW, 4, "expand", "budget"),)
    visit(shop, "real", 0, shopper="anna", steps=3)
    visit(shop, "try", 1, origin="test", shopper="anna", steps=3, slate=slate, blocked=blocked)
    assert dict(Session.objects.values_list("session_id", "origin")) == {"real": "live", "try": "test"}
    assert set(ArchivedEvent.objects.filter(session__session_id="try").values_list("origin", flat=True)) == {"test"}
    assert ServedSlate.objects.get(session_id="try").versions["test"] is True
    assert [row.session_id for row in Session.objects.for_training(shop)] == ["real"]
    assert len(list(ArchivedEvent.objects.for_training(shop))) == 2
    assert set(AdaptationDecision.objects.values_list("session_id", flat=True)) == {"real"}
    assert not RuleTally.objects.exists()
    assert not BlockedAction.objects.exists()
    memory.rebuild(shop, ["anna"])
    told = memory._of_shoppers(shop, ["anna"], at=NOW)["anna"]
    assert told.sessions == 1


def test_a_slate_alone_is_archived_without_a_session(shop: Shop) -> None:
    visit(shop, "~0123", 0, alone=True, events=(), decisions=(), context={})
    assert not Session.objects.exists()
    assert not Shopper.objects.exists()
    assert ServedSlate.objects.get().versions["alone"] is True


# Did it arrive?


def arrived(client: Client, key: str, event: str, query: str) -> Any:
    return client.get(f"/api/v1/events/{event}{query}", headers={"authorization": f"Bearer {key}"})


def test_an_event_is_looked_up_by_its_id(shop: Shop, client: Client, redis_client: redis.Redis) -> None:
    key = ApiKey.objects.issue(shop=shop, name="k", scopes=["read"])[1]
    visit(shop, "s/1", 0, shopper="anna")
    told = arrived(client, key, "e0.1", "?session_id=s/1").json()
    assert (told["status"], told["archived"], told["name"], told["origin"]) == ("accepted", True, "view_item", Origin.LIVE)
    assert (told["shopper_id"], told["notes"]) == ("anna", [])
    assert arrived(client, key, "nothing", "?session_id=s/1").json() == {
        "event_id": "nothing",
        "session_id": "s/1",
        "status": "unknown",
        "archived": False,
    }
    part = part_of(shop.pk, "s2")
    redis_client.sadd(ids_key(part, shop.pk, "s2"), "e7.0", "of before the log was trimmed")
    redis_client.xadd(log_key(part), {b"r": encode_record(make_record(shop.pk, "s2", 7, origin="test"))})
    told = arrived(client, key, "e7.0", "?session_id=s2").json()
    assert (told["status"], told["archived"], told["name"], told["origin"]) == ("accepted", False, "view_item", "test")
    told = arrived(client, key, "of%20before%20the%20log%20was%20trimmed", "?session_id=s2").json()
    assert (told["status"], told["archived"], "name" in told) == ("accepted", False, False)


def test_looking_an_event_up_needs_the_session_and_the_scope(shop: Shop, client: Client) -> None:
    read = ApiKey.objects.issue(shop=shop, name="r", scopes=["read"])[1]
    ingest = ApiKey.objects.issue(shop=shop, name="i", scopes=["ingest"])[1]
    other = ApiKey.objects.issue(shop=Shop.objects.create(slug="o", name="O"), name="o", scopes=["read"])[1]
    visit(shop, "s1", 0)
    answer = arrived(client, read, "e0.1", "")
    assert (answer.status_code, answer.json()["field"]) == (400, "session_id")
    assert arrived(client, ingest, "e0.1", "?session_id=s1").status_code == 403
    assert arrived(client, other, "e0.1", "?session_id=s1").json()["status"] == "unknown"
