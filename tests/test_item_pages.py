"""Items and versions of the live overlay in the admin: what is said of each, and who may look."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from clusters.models import Item
from personas.models import Shop
from recommendations import overlays
from recommendations.engine import Engine
from recommendations.models import OverlayChange, Release
from tests.overlay_shops import change, make_shop
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def trained() -> Engine:
    return train_world(make_world(sessions=120))


@pytest.fixture
def shop(trained: Engine, data_dir: Path, redis_client: redis.Redis) -> Shop:
    shop = make_shop(trained)
    overlays.publish_overlay(shop)
    return shop


def page(client: Client, path: str) -> str:
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_item_says_what_shoppers_see_of_it(admin_client: Client, shop: Shop) -> None:
    path = "clusters/item/3/change/"
    assert "Live as release 1 was trained: in stock at" in page(admin_client, path)
    change(3, in_stock=False)
    assert "on its way to the shoppers" in page(admin_client, path)
    overlays.publish_overlay(shop)
    assert "(version 2): sold out, and left out of recommendations" in page(admin_client, path)
    change(3, in_stock=True, price=4)
    overlays.publish_overlay(shop)
    assert "(version 3): in stock at 4.00" in page(admin_client, path)
    new = Item.objects.create(shop=shop, external_id="new", title="Hat", price=2)
    path = f"clusters/item/{new.pk}/change/"
    assert "on its way" in page(admin_client, path)
    overlays.publish_overlay(shop)
    told = page(admin_client, path)
    assert "Live as a new item since" in told
    assert "in stock at 2.00" in told
    Release.objects.update(state=Release.State.RETIRED)
    assert "no active release" in page(admin_client, path)
    assert "for shoppers" not in page(admin_client, "clusters/item/add/").lower()


def test_what_a_version_changed_is_told_with_links(admin_client: Client, shop: Shop) -> None:
    change(3, in_stock=False, price=4, cost=1.5)
    new = Item.objects.create(shop=shop, external_id="new", title="Hat <1>", category="hats", price=2)
    Item.objects.filter(pk=5).delete()
    row = overlays.publish_overlay(shop)
    assert row is not None
    listed = page(admin_client, "recommendations/overlaychange/")
    assert "1 price or stock, 1 new item, 1 item gone" in listed
    assert "begun anew, without changes" in listed
    told = page(admin_client, f"recommendations/overlaychange/{row.pk}/change/")
    for text in ("/admin/clusters/item/3/change/", "sold out", "1.50", f"/admin/clusters/item/{new.pk}/change/", "hats", "ids 5"):
        assert text in told
    assert "<1>" not in told


def test_versions_are_looked_at_by_who_may_and_changed_by_nobody(client: Client, admin_client: Client, shop: Shop) -> None:
    pk = OverlayChange.objects.get().pk
    assert admin_client.get("/admin/recommendations/overlaychange/add/").status_code == 403
    assert admin_client.post(f"/admin/recommendations/overlaychange/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"/admin/recommendations/overlaychange/{pk}/change/", {"version": 9}).status_code == 403
    user = get_user_model().objects.create_user("viewer", password="v", is_staff=True)
    client.force_login(user)
    assert client.get("/admin/recommendations/overlaychange/").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_overlaychange"))
    assert client.get("/admin/recommendations/overlaychange/").status_code == 200
