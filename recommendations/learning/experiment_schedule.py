"""Experiments begun and ended on their dates: called by the schedule twice a minute, by any number of workers at once."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from clusters.cluster_drafts import EditError
from personas.models import Shop
from recommendations import audit, releases
from recommendations.learning import experiments
from recommendations.learning.experiment_dates import moment_words
from recommendations.learning.models import Experiment

logger = logging.getLogger(__name__)

State = Experiment.State

ENDED = "Ended as planned."
TOO_LATE = "its end had come before anything could begin it"


def shops_with_dates(now: dt.datetime | None = None) -> list[int]:
    """Shops in which an experiment is to begin or to end by now."""
    now = now or timezone.now()
    due = Q(state=State.RUNNING, ends_at__lte=now) | Q(state=State.DRAFT, starts_at__lte=now)
    return sorted(set(Experiment.objects.filter(due).order_by().values_list("shop_id", flat=True)))


def keep_to_dates(shop: Shop, now: dt.datetime | None = None) -> None:
    """End what is to end by now, then begin what is to begin; safe to run twice, and at once.

    What can't begin goes back among those that are begun by hand, with the reason, and waits on *Today*.
    """
    now = now or timezone.now()
    for row in Experiment.objects.filter(shop=shop, state=State.RUNNING, ends_at__lte=now):
        with transaction.atomic():
            if _stands(row, ends_at=row.ends_at):
                experiments.stop(row, reason=ENDED)
    for row in Experiment.objects.filter(shop=shop, state=State.DRAFT, starts_at__lte=now).order_by("starts_at", "pk"):
        if row.ends_at is not None and row.ends_at <= now:
            _not_begun(row, TOO_LATE, now)
            continue
        try:
            with transaction.atomic():
                if not _stands(row, starts_at=row.starts_at):
                    continue
                experiments.start(row)
                audit.record(audit.SYSTEM, "started", subject=row, what="Began as planned.")
        except (EditError, releases.ReleaseError) as error:
            _not_begun(row, f"it {error.reason}" if isinstance(error, EditError) else str(error), now)


def _stands(row: Experiment, **plan: dt.datetime | None) -> bool:
    """Whether nobody planned it anew, begun or ended it since it was read; nobody will, until the transaction is over."""
    Shop.objects.select_for_update(no_key=True).get(pk=row.shop_id)
    return Experiment.objects.filter(pk=row.pk, state=row.state, **plan).exists()


def _not_begun(row: Experiment, why: str, now: dt.datetime) -> None:
    """Take its dates away, unless somebody begun it or planned it anew since."""
    assert row.starts_at is not None
    reason = f"Was to begin {moment_words(row.starts_at, now)}, and could not: {why.rstrip('.')}."
    with transaction.atomic():
        planned = Experiment.objects.filter(pk=row.pk, state=State.DRAFT, starts_at=row.starts_at)
        if planned.update(starts_at=None, ends_at=None, reason=reason[:300]):
            audit.record(audit.SYSTEM, audit.CHANGED, subject=row, what=reason)
            logger.warning("experiment %s of %s: %s", row.pk, row.shop.slug, reason)
