"""What the schedule runs."""

from __future__ import annotations

import logging

import pytest
import redis

from personas.models import Archetype, Attribute, Shop
from recommendations import publishing, releases, tasks
from recommendations.models import Release, TrainingRun
from recsite.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture
def queued(redis_client: redis.Redis) -> redis.Redis:
    """The broker, emptied: what a task puts on the queue stays there, since no worker runs."""
    return redis_client


def test_nightly_training_puts_one_shop_after_the_other(queued: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    """The worker has two places; were they both training, the archiver would have to wait."""
    first, second = (Shop.objects.create(slug=slug, name=slug) for slug in ("one", "two"))
    with caplog.at_level(logging.ERROR):
        tasks.train_all_shops()
    assert f"training of shop {first.pk} failed" in caplog.text, "it has no items, and holds up no other"
    assert [run.shop for run in TrainingRun.objects.all()] == [first]
    assert queued.llen("celery:long") == 1
    tasks.train_all_shops(after=first.pk)
    tasks.train_all_shops(after=second.pk)
    assert [run.shop for run in TrainingRun.objects.order_by("pk")] == [first, second]
    assert queued.llen("celery:long") == 2, "after the last shop nothing is put on the queue"


@pytest.mark.usefixtures("queued")
def test_nightly_training_lets_a_shop_be_that_began_from_its_catalogue_and_had_no_visit() -> None:
    """It would fail, and Today would tell of a failed training every morning."""
    shop = Shop.objects.create(slug="one", name="One")
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    tasks.train_all_shops()
    assert not TrainingRun.objects.exists()


def test_nightly_fits_pass_by_shops_that_have_nothing_new(queued: redis.Redis) -> None:
    shop = Shop.objects.create(slug="one", name="One")
    tasks.fit_all_personas()
    assert not TrainingRun.objects.exists(), "no release: nothing to fit"
    release = Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    TrainingRun.objects.create(shop=shop, release=release, report={"version": None, "last_event": 0, "archetypes": []})
    tasks.fit_all_personas()
    assert TrainingRun.objects.count() == 1, "no version and no event since"
    Archetype.objects.create(shop=shop, key="saver", name="Saver", mix={"budget": 1.0})
    Attribute.objects.create(shop=shop, key="budget", name="Budget", weights={"price_tier=low": 1.0})
    publishing.publish(shop)
    tasks.fit_all_personas()
    run = TrainingRun.objects.latest("pk")
    assert (run.kind, run.state) == (TrainingRun.Kind.PERSONAS, TrainingRun.State.FAILED), "tried; the release has no parts"
    assert queued.llen("celery:long") == 3, "each night goes on to the next shop"


@pytest.mark.django_db(transaction=True)
def test_publishing_asks_for_a_fit_where_there_is_a_release(queued: redis.Redis) -> None:
    shop = Shop.objects.create(slug="one", name="One")
    Attribute.objects.create(shop=shop, key="budget", name="Budget", weights={"price_tier=low": 1.0})
    Archetype.objects.create(shop=shop, key="saver", name="Saver", mix={"budget": 1.0})
    publishing.publish(shop)
    assert queued.llen("celery:long") == 0, "the first training reads the version anyway"
    Release.objects.create(shop=shop, number=1, state=Release.State.ACTIVE)
    Archetype.objects.update(name="Thrifty")
    publishing.publish(shop)
    publishing.restore(shop, 1)
    assert queued.llen("celery:long") == 2


def test_a_fit_asked_for_twice_is_made_once(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop.objects.create(slug="one", name="One")
    with releases.redis_client().lock(f"training:{shop.pk}", timeout=30), caplog.at_level(logging.INFO):
        tasks.fit_personas(shop.pk)
    assert "under way" in caplog.text
    assert not TrainingRun.objects.exists()


def test_every_task_of_the_schedule_is_there() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)
