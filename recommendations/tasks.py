"""Celery tasks: thin, given ids only, safe to run twice."""

from __future__ import annotations

import logging

from celery import shared_task

from personas.models import Shop
from recommendations import runs
from recommendations.serving import archiving

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def archive_activity() -> None:
    """Take what the activity log holds into the database."""
    archiving.archive(archiving.open_log(), consumer=archiving.consumer_name())


@shared_task(ignore_result=True)
def train_shop(shop_id: int) -> None:
    """Train and activate the shop's next release; nothing to do if that is under way."""
    try:
        runs.train_shop(Shop.objects.get(pk=shop_id))
    except runs.TrainingBusy as busy:
        logger.info("%s", busy)


@shared_task(ignore_result=True)
def train_all_shops() -> None:
    """One training task for every shop."""
    for shop_id in Shop.objects.values_list("pk", flat=True):
        train_shop.delay(shop_id)
