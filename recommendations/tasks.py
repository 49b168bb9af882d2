"""Celery tasks: thin, given ids only, safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.core.management import call_command

from personas.models import Shop
from recommendations.serving import archiving


@shared_task(ignore_result=True)
def archive_activity() -> int:
    """Take what the activity log holds into the database."""
    return archiving.archive(archiving.open_log(), consumer=archiving.consumer_name())


@shared_task(ignore_result=True)
def train_shop(shop_id: int) -> None:
    """Train and activate the shop's next release."""
    call_command("train", Shop.objects.get(pk=shop_id).slug)


@shared_task(ignore_result=True)
def train_all_shops() -> None:
    """One training task for every shop."""
    for shop_id in Shop.objects.values_list("pk", flat=True):
        train_shop.delay(shop_id)
