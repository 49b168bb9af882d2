"""The live overlay from the rows: what is compared, versions and their history, what Redis holds, retention."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from django.utils import timezone

from clusters.catalogue import ItemRow
from clusters.models import Item
from personas.models import Shop
from recommendations import overlays, tasks
from recommendations.activation import activate
from recommendations.engine import Engine
from recommendations.models import MerchandisingRule, OverlayChange, Release
from recommendations.overlay import NO_OVERLAY, Offer, Overlay, with_overlay
from tests.overlay_shops import change, make_shop, rounded, serve
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def trained() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
def shop(trained: Engine, data_dir: Path, redis_client: redis.Redis) -> Shop:
    return make_shop(trained)


def test_nothing_changed_and_the_first_version_says_so(shop: Shop, redis_client: redis.Redis) -> None:
    first = overlays.publish_overlay(shop)
    assert first is not None
    assert (first.version, first.release, first.delta) == (1, 1, {"whole": True, "currency": "EUR"})
    assert overlays.publish_overlay(shop) is None
    assert overlays.read_overlay(shop.pk) == Overlay(version=1, currency="EUR")


def test_a_change_of_each_kind_is_told_once_and_taken_back(shop: Shop) -> None:
    overlays.publish_overlay(shop)
    price = Item.objects.get(pk=3).price
    change(3, price=1, regular_price=2, cost=0.5)
    change(4, in_stock=False)
    new = Item.objects.create(shop=shop, external_id="new", title="Blue hat", category="hats", price=7, tags=["sun"])
    Item.objects.filter(pk=5).delete()
    rule = MerchandisingRule.objects.create(shop=shop, name="No shoes", action="exclude", target={"categories": ["shoes"]})
    second = overlays.publish_overlay(shop)
    assert second is not None
    assert second.version == 2
    told = overlays.read_overlay(shop.pk)
    assert told.offers[3] == Offer(1.0, 2.0, True, 0.5)
    assert (told.offers[4].in_stock, set(told.offers)) == (False, {3, 4})
    assert told.items == (ItemRow(new.pk, "new", "Blue hat", "hats", price=7.0, tags=("sun",)),)
    assert told.gone == {5}
    assert [r.rule_id for r in told.rules] == [rule.pk]
    assert overlays.publish_overlay(shop) is None, "nothing changed since"

    change(3, price=price, regular_price=None, cost=None)
    change(4, in_stock=True)
    new.delete()
    rule.enabled = False
    rule.save()
    overlays.publish_overlay(shop)
    assert overlays.read_overlay(shop.pk) == Overlay(version=3, gone=frozenset({5}), currency="EUR")


def test_every_version_is_known_by_its_number_and_by_its_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: what Redis held after each; whole versions come in between."""
    monkeypatch.setattr(overlays, "WHOLE_EVERY", 4)
    held, times = [], []
    for n in range(10):
        change(1 + n % 3, price=1 + n)
        overlays.publish_overlay(shop)
        held.append(overlays.read_overlay(shop.pk))
        times.append(timezone.now())
    assert [o.version for o in held] == list(range(1, 11))
    for overlay, at in zip(held, times, strict=True):
        assert overlays.overlay_of(shop, overlay.version) == overlay
        assert overlays.overlay_at(shop, at) == (1, overlay)
    assert overlays.overlay_at(shop, times[0] - dt.timedelta(hours=1)) is None
    assert overlays.overlay_of(shop, 11) is None


def test_what_redis_lost_is_told_again(shop: Shop, redis_client: redis.Redis) -> None:
    change(3, in_stock=False)
    overlays.publish_overlay(shop)
    before = overlays.read_overlay(shop.pk)
    redis_client.flushall()
    assert overlays.read_overlay(shop.pk) == before, "from the rows"
    assert overlays.version_in(redis_client, [shop.pk]) == {}
    assert overlays.publish_overlay(shop) is None
    assert overlays.version_in(redis_client, [shop.pk, shop.pk + 1]) == {shop.pk: 1}
    assert OverlayChange.objects.count() == 1


def test_a_publisher_killed_before_it_told_anybody_is_made_good(shop: Shop, redis_client: redis.Redis) -> None:
    overlays.publish_overlay(shop)
    change(3, in_stock=False)
    told = redis_client.hgetall(overlays.key(shop.pk))
    overlays.publish_overlay(shop)
    after = overlays.read_overlay(shop.pk)
    redis_client.delete(overlays.key(shop.pk))
    redis_client.hset(overlays.key(shop.pk), mapping=told)  # as if it had died after the row was written
    assert overlays.publish_overlay(shop) is None
    assert overlays.read_overlay(shop.pk) == after


def test_a_publisher_killed_at_its_work_holds_the_next_one_up_for_seconds_only(
    shop: Shop, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock ends by itself; one that lives renews it, however long it takes."""
    monkeypatch.setattr(overlays, "LOCK_S", 0.3)
    redis_client.set(f"{overlays.key(shop.pk)}:by", "of a process that was killed", px=300)
    assert overlays.publish_overlay(shop) is not None
    redis_client.set(f"{overlays.key(shop.pk)}:by", "of a process that is busy")
    change(3, in_stock=False)
    assert overlays.publish_overlay(shop) is None, "and no worker waits for ever"
    redis_client.delete(f"{overlays.key(shop.pk)}:by")

    publish, held = overlays._publish, []

    def slowly(*told: Any) -> OverlayChange | None:
        time.sleep(0.8)
        held.append(redis_client.exists(f"{overlays.key(shop.pk)}:by"))
        return publish(*told)

    monkeypatch.setattr(overlays, "_publish", slowly)
    assert overlays.publish_overlay(shop) is not None
    assert held == [1]
    assert not redis_client.exists(f"{overlays.key(shop.pk)}:by")


def test_a_new_release_begins_anew_and_a_roll_back_too(shop: Shop, trained: Engine) -> None:
    """Items that the new release knows are no news; those of a release that is rolled back to are again."""
    new = Item.objects.create(shop=shop, external_id="new", title="red shoes new", category="shoes", colour="red", price=7)
    change(3, price=1)
    overlays.publish_overlay(shop)
    under = with_overlay(rounded(trained), overlays.read_overlay(shop.pk))
    knows = replace(under, bare=None, overlay=NO_OVERLAY)
    second = serve(shop, knows)
    change(4, in_stock=False)
    row = overlays.publish_overlay(shop)
    assert row is not None
    assert row.release == second.number
    offers = {4: Offer(float(Item.objects.get(pk=4).price), None, False)}
    assert overlays.read_overlay(shop.pk) == Overlay(2, offers, currency="EUR")
    Release.objects.filter(pk=second.pk).update(state=Release.State.RETIRED)
    Release.objects.filter(number=1).update(state=Release.State.ACTIVE)
    overlays.publish_overlay(shop)
    back = overlays.read_overlay(shop.pk)
    assert (set(back.offers), [r.item_id for r in back.items]) == ({3, 4}, [new.pk])


def test_who_still_serves_with_the_release_before_keeps_what_the_new_one_knows(
    shop: Shop, trained: Engine, redis_client: redis.Redis
) -> None:
    """A process that can't load a new release would else show again what was sold out when that one was trained."""
    new = Item.objects.create(shop=shop, external_id="new", title="red shoes new", category="shoes", colour="red", price=7)
    change(3, in_stock=False)
    change(5, in_stock=False)
    overlays.publish_overlay(shop)
    under = with_overlay(rounded(trained), overlays.read_overlay(shop.pk))
    serve(shop, replace(under, bare=None, overlay=NO_OVERLAY))
    change(4, in_stock=False)
    change(5, in_stock=True)
    overlays.publish_overlay(shop)
    told = overlays.read_overlay(shop.pk)
    assert overlays.overlay_for(shop.pk, "2", redis_client) == told
    assert (set(told.offers), told.items) == ({4, 5}, ())
    for _ in range(2):
        before = overlays.overlay_for(shop.pk, "1", redis_client)
        assert {item: offer.in_stock for item, offer in before.offers.items()} == {3: False, 4: False, 5: True}
        assert ([row.item_id for row in before.items], before.version) == ([new.pk], told.version)
        redis_client.flushall()  # and from the rows


def test_what_another_version_of_the_code_wrote_is_written_anew(shop: Shop, redis_client: redis.Redis) -> None:
    change(3, in_stock=False)
    overlays.publish_overlay(shop)
    before = overlays.read_overlay(shop.pk)
    redis_client.hset(overlays.key(shop.pk), "body", b"\x81\xa6offers\x01")
    assert overlays.read_overlay(shop.pk) == before, "from the rows"
    assert overlays.publish_overlay(shop) is None
    assert msgspec.msgpack.decode(redis_client.hget(overlays.key(shop.pk), "body"), type=Overlay) == before


def test_a_release_of_the_same_catalogue_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was changed behind Django's back is not read again: only what has moved lately is."""
    change(3, in_stock=False)
    overlays.publish_overlay(shop)
    first = Release.objects.get()
    again = Release.objects.create(shop=shop, number=2, components=first.components, state=Release.State.READY)
    Release.objects.filter(pk=first.pk).update(state=Release.State.RETIRED)
    Release.objects.filter(pk=again.pk).update(state=Release.State.ACTIVE)
    long_ago = timezone.now() - dt.timedelta(days=3)
    Item.objects.filter(pk=6).update(in_stock=False, updated_at=long_ago)
    row = overlays.publish_overlay(shop)
    assert row is not None
    assert (row.release, row.delta) == (2, {})
    assert set(overlays.read_overlay(shop.pk).offers) == {3}


def test_a_change_that_was_committed_late_is_found(shop: Shop) -> None:
    """An import gives its rows their time before it commits them."""
    overlays.publish_overlay(shop)
    Item.objects.filter(pk=6).update(in_stock=False, updated_at=timezone.now() - overlays.LATE / 2)
    overlays.publish_overlay(shop)
    assert set(overlays.read_overlay(shop.pk).offers) == {6}


def test_only_the_youngest_of_too_many_new_items_are_live(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlays, "MOST_NEW", 3)
    made = [Item.objects.create(shop=shop, external_id=f"n{n}", title=f"n{n}") for n in range(5)]
    overlays.publish_overlay(shop)
    assert [row.item_id for row in overlays.read_overlay(shop.pk).items] == [item.pk for item in made[2:]]
    assert overlays.publish_overlay(shop) is None
    assert overlays.read_overlay(shop.pk).gone == frozenset()


def test_a_shop_without_a_release_has_nothing_to_publish(redis_client: redis.Redis) -> None:
    shop = Shop.objects.create(slug="bare", name="Bare")
    assert overlays.publish_overlay(shop) is None
    assert overlays.read_overlay(shop.pk) == NO_OVERLAY
    tasks.publish_overlay(shop.pk)


def test_one_shop_s_changes_are_no_other_s(shop: Shop) -> None:
    other = Shop.objects.create(slug="two", name="Two")
    Item.objects.create(shop=other, external_id="far", price=3)
    overlays.publish_overlay(shop)
    assert overlays.read_overlay(shop.pk).items == ()
    assert overlays.read_overlay(other.pk) == NO_OVERLAY


def test_old_versions_are_forgotten_and_what_is_kept_is_still_known(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlays, "WHOLE_EVERY", 3)
    for n in range(8):
        change(1, price=1 + n)
        overlays.publish_overlay(shop)
    now = timezone.now()
    for version in range(1, 9):
        OverlayChange.objects.filter(version=version).update(at=now - dt.timedelta(days=100 - 10 * version))
    known = {v: overlays.overlay_of(shop, v) for v in range(1, 9)}
    assert overlays.prune(shop, now=now) == 0, "the one that served 90 days ago began with the first"
    Shop.objects.filter(pk=shop.pk).update(retention_days=35)
    shop.refresh_from_db()
    assert overlays.prune(shop, now=now) == 5, "35 days ago the sixth served, which is whole"
    for version in range(6, 9):
        assert overlays.overlay_of(shop, version) == known[version]
    assert overlays.prune(shop, now=now) == 0


def test_the_look_at_all_shops_and_an_activation_through_the_front_door(shop: Shop) -> None:
    """Oracle: an activation by the code that serves it makes a version of its own."""
    overlays.publish_overlay(shop)
    from clusters.lineage import Actor
    from clusters.models import ClusterChange

    release = Release.objects.create(shop=shop, number=9, components=Release.objects.get().components, state="ready")
    activate(release, by=Actor(ClusterChange.Actor.LEARNING, who="a test"))
    row = overlays.publish_overlay(shop)
    assert row is not None
    assert row.release == 9
