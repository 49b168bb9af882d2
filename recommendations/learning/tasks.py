"""Celery tasks of what is learned across sessions: thin, given ids only, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from personas.models import Shop
from recommendations.learning import policies


@shared_task(ignore_result=True)
def learn_policy(shop_id: int) -> None:
    """Learn from the decisions that can be judged by now; see `policies.learn_policy`."""
    policies.learn_policy(Shop.objects.get(pk=shop_id))


@shared_task(ignore_result=True)
def learn_all_policies() -> None:
    """`learn_policy` of every shop: one that was running when it was asked for again finds nothing left to do."""
    for shop_id in Shop.objects.order_by("pk").values_list("pk", flat=True):
        learn_policy.delay(shop_id)
