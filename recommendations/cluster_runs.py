"""A shop's clusters built, compared, activated and published beside the ranking and the personas of the active release."""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from personas.models import Shop

logger = logging.getLogger(__name__)

PUBLISH = "recommendations.tasks.publish_cluster_edits"
"""By name: the tasks import this module."""


def request_publish(shop: Shop) -> None:
    """Ask a worker to bring edits of the shop's clusters to the shoppers, once what is being written is committed.

    While the broker is away nothing is asked: what was edited is safe, and the next look by the minute finds it.
    """

    def ask() -> None:
        try:
            current_app.send_task(PUBLISH, args=(shop.pk,), retry=False)
        except OperationalError as error:
            logger.warning("edits of %s could not be asked to be published; done within a minute: %s", shop.slug, error)

    transaction.on_commit(ask)
