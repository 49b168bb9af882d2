"""/healthz says that the process lives; /readyz says whether it can serve, and if not, why."""

from __future__ import annotations

import asyncio

import pytest
import redis
from django.test import Client
from pytest_django import Settings

from personas.models import Shop
from recommendations.engine import Engine
from recommendations.models import Release
from recommendations.releases import ReleaseError, pointer
from recommendations.serving.engines import Engines

pytestmark = pytest.mark.django_db


def ready(client: Client) -> tuple[int, dict[str, str]]:
    response = client.get("/readyz")
    return response.status_code, response.json()["checks"]


def test_alive_whatever_else_is_down(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere.sock"
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_only_when_a_shop_is_served(client: Client, redis_client: redis.Redis) -> None:
    status, checks = ready(client)
    assert status == 503
    assert "setup_demo" in checks["shops"]

    shop = Shop.objects.create(slug="corner", name="Corner", currency="EUR")
    status, checks = ready(client)
    assert status == 503
    assert checks["shop corner"] == "has no active release: run manage.py train"

    Release.objects.create(shop=shop, number=4, state=Release.State.ACTIVE)
    status, checks = ready(client)
    assert status == 503
    assert "release 4 is active, but Redis announces none" in checks["shop corner"]

    redis_client.set(pointer(shop.pk), 4)
    assert ready(client) == (200, {"database": "ok", "redis": "ok", "shop corner": "ok"})


def test_a_new_shop_is_told_of_and_takes_no_other_away(client: Client, redis_client: redis.Redis) -> None:
    served = Shop.objects.create(slug="corner", name="Corner")
    Release.objects.create(shop=served, number=1, state=Release.State.ACTIVE)
    redis_client.set(pointer(served.pk), 1)
    Shop.objects.create(slug="new", name="New")
    status, checks = ready(client)
    assert (status, checks["shop corner"]) == (200, "ok")
    assert checks["shop new"] == "has no active release: run manage.py train"


def test_not_ready_when_this_process_could_not_load_the_release(
    client: Client, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.objects.create(slug="corner", name="Corner")
    Release.objects.create(shop=shop, number=4, state=Release.State.ACTIVE)
    redis_client.set(pointer(shop.pk), 4)

    def damaged(shop: int) -> Engine:
        raise ReleaseError("damaged")

    engines = Engines(find=lambda: {shop.pk: "4"}, load=damaged)
    monkeypatch.setattr("recommendations.serving.process.engines_here", lambda: engines)
    assert ready(client)[1]["shop corner"] == "its release is being loaded"
    asyncio.run(engines.refresh())
    engines.close()
    status, checks = ready(client)
    assert status == 503
    assert "release 4 can't be loaded" in checks["shop corner"]


def test_redis_down_is_told_without_its_address(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///secret/place.sock"
    status, checks = ready(client)
    assert status == 503
    assert checks["redis"] == "can't be reached"
    assert "place" not in str(checks)


def test_probes_cost_two_queries(client: Client, redis_client: redis.Redis, django_assert_max_num_queries) -> None:
    for n in range(5):
        Shop.objects.create(slug=f"shop-{n}", name="S", currency="EUR")
    with django_assert_max_num_queries(2):
        client.get("/readyz")
