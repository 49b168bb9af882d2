"""Celery tasks: thin, given ids only, safe to run twice."""

from __future__ import annotations

import logging

from celery import shared_task

from personas.models import Shop
from recommendations import runs
from recommendations.serving import access, archiving

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
def train_all_shops(after: int = 0) -> None:
    """Train every shop, those with ids beyond `after`: one a task, so that the archiver always finds a worker free."""
    shop_id = Shop.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True).first()
    if shop_id is None:
        return
    try:
        train_shop(shop_id)
    except Exception:
        logger.exception("the training of shop %s failed; the next shop's is not held up", shop_id)
    train_all_shops.delay(after=shop_id)


@shared_task(ignore_result=True)
def sync_keys() -> None:
    """Mend the hot path's copy of the API keys: a revocation while Redis was away, or a Redis that lost its data."""
    access.sync_keys()
