"""What the schedule runs."""

from __future__ import annotations

import logging

import pytest
import redis

from personas.models import Shop
from recommendations import tasks
from recommendations.models import TrainingRun
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
    assert queued.llen("celery:celery") == 1
    tasks.train_all_shops(after=first.pk)
    tasks.train_all_shops(after=second.pk)
    assert [run.shop for run in TrainingRun.objects.order_by("pk")] == [first, second]
    assert queued.llen("celery:celery") == 2, "after the last shop nothing is put on the queue"


def test_every_task_of_the_schedule_is_there() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)
