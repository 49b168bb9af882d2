"""Retention: what a shop keeps no longer than it said (`Shop.retention_days`) is deleted, every night."""

from __future__ import annotations

import time
from collections import Counter

from django.db import transaction

from personas.models import Session, Shop, Shopper, in_chunks, moment
from recommendations import rights
from recommendations.models import ServedSlate
from recommendations.serving import held, memory

BATCH = 500
"""Sessions deleted in one transaction, with all that hangs on them: others wait for the database no longer than that."""

DAY_S = 86_400.0


def expire(shop: Shop, *, now: float | None = None, batch: int = BATCH) -> dict[str, int]:
    """Delete the sessions whose last event is older than the shop keeps them, with their events, slates and decisions.

    Shoppers who are left with no session and without consent go with them; what is remembered of the others is written
    anew. now : seconds since the epoch. Returns how many rows of each went; {} where the shop keeps everything. Interrupted,
    it is taken up by the next call.
    """
    if shop.retention_days is None:
        return {}
    before = (time.time() if now is None else now) - shop.retention_days * DAY_S
    client = held.connect()
    counts: Counter[str] = Counter({"log entries": held.forget_old(client, shop.pk, before=before)})
    while True:
        with transaction.atomic():
            # The archiver's lock: nothing is written of a session, nor of its shopper, between the look and the deletion.
            Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)
            old = Session.objects.filter(shop=shop, last_at__lt=moment(before)).order_by("last_at", "pk")
            rows = list(old.values_list("pk", "session_id", "shopper")[:batch])
            sessions = {pk: session_id for pk, session_id, _ in rows}
            counts.update(rights.delete_sessions(shop, sessions))
            met = Shopper.objects.filter(pk__in={pk for *_, pk in rows if pk is not None})
            gone = list(met.filter(consent_demographics=False, sessions__isnull=True))
            forgotten = [name for shopper in gone for name in rights.ids_of(shopper)]
            counts.update(rights.delete_shoppers([shopper.pk for shopper in gone]))
            staying = list(met.values_list("external_id", flat=True))
        held.forget_sessions(client, shop.pk, sessions.values())
        memory.forget(shop.pk, forgotten)
        memory.want(shop.pk, staying)
        if len(rows) < batch:
            break
    counts["slates"] += _expire_alone(shop, before, batch)
    return dict(counts)


def _expire_alone(shop: Shop, before: float, batch: int) -> int:
    """Delete slates that belong to no session, which no session takes along; how many."""
    gone = 0
    while True:
        rows = ServedSlate.objects.filter(shop=shop, at__lt=moment(before), versions__alone=True).order_by("at", "pk")
        pks = list(rows.values_list("pk", flat=True)[:batch])
        for chunk in in_chunks(pks):
            gone += ServedSlate.objects.filter(pk__in=chunk).delete()[0]
        if len(pks) < batch:
            return gone
