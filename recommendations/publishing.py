"""Publishing a shop's personas: the new version, and the fit that brings it to the shoppers."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction
from kombu.exceptions import OperationalError

from personas import versions
from personas.models import PersonaVersion, Shop
from recommendations import tasks
from recommendations.models import Release

logger = logging.getLogger(__name__)


def publish(shop: Shop, *, note: str = "", user: Any = None) -> PersonaVersion:
    """The draft as the version in force, and a fit on it under way. Raises as `personas.versions.publish`."""
    version = versions.publish(shop, note=note, user=user)
    request_fit(shop)
    return version


def restore(shop: Shop, number: int, *, user: Any = None) -> PersonaVersion:
    """An earlier version in force again, and a fit on it under way. Raises as `personas.versions.restore`."""
    version = versions.restore(shop, number, user=user)
    request_fit(shop)
    return version


def request_fit(shop: Shop) -> None:
    """Ask a worker to fit the shop's personas. A shop without a release needs none: its first training reads the version.

    While the broker is away nothing is asked: what is published is safe, and the nightly fit finds it.
    """
    if Release.objects.active(shop) is None:
        return

    def ask() -> None:
        try:
            tasks.fit_personas.apply_async(args=(shop.pk,), retry=False)
        except OperationalError as error:
            logger.warning("no fit of %s could be asked for; the nightly one will do it: %s", shop.slug, error)

    transaction.on_commit(ask)
