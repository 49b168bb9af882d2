"""Asking for the live overlay to be brought up to date: light enough for every process that writes rows."""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from clusters.models import Item
from clusters.signals import catalogue_changed
from personas.models import Shop
from recommendations.learning.models import AdaptationSettings

logger = logging.getLogger(__name__)

PUBLISH = "recommendations.tasks.publish_overlay"
"""The task, by its name: the module of the tasks needs much more than this one."""

SETTLE_S = 0.3
"""Changes within this time make one version."""

ASKED_S = 20
"""How long one request stands for those after it: a worker that died with it delays the next ones no longer."""


def asked(shop_id: int) -> str:
    """Redis key that is there while a version is asked for."""
    return f"overlay:{shop_id}:asked"


def request_overlay(shop: Shop | int) -> None:
    """Ask a worker to bring what the shop's rows say to every process, once what is being written is committed.

    While the broker is away nothing is asked: what was written is safe, and the next look at all shops finds it.
    """
    shop_id = shop if isinstance(shop, int) else shop.pk
    transaction.on_commit(lambda: _ask(shop_id))


def _ask(shop_id: int) -> None:
    try:
        if Redis.from_url(settings.REDIS_URL).set(asked(shop_id), 1, nx=True, ex=ASKED_S):
            current_app.send_task(PUBLISH, args=(shop_id,), countdown=SETTLE_S, retry=False)
    except (OperationalError, RedisError) as error:
        logger.warning("a change of shop %s could not be announced; it is found within seconds: %s", shop_id, error)


def connect_signals() -> None:
    """Have every change of an item, and of how clusters adapt, ask, whoever makes it."""
    post_save.connect(_on_item, sender=Item, dispatch_uid="overlay of a saved item")
    post_delete.connect(_on_item, sender=Item, dispatch_uid="overlay of a deleted item")
    post_save.connect(_on_settings, sender=AdaptationSettings, dispatch_uid="overlay of saved settings of adaptation")
    post_delete.connect(_on_settings, sender=AdaptationSettings, dispatch_uid="overlay of deleted settings of adaptation")
    catalogue_changed.connect(_on_catalogue, dispatch_uid="overlay of a catalogue")


def _on_item(instance: Item, **_: Any) -> None:
    request_overlay(instance.shop_id)


def _on_settings(instance: AdaptationSettings, **_: Any) -> None:
    request_overlay(instance.shop_id)


def _on_catalogue(shop_id: int, **_: Any) -> None:
    request_overlay(shop_id)
