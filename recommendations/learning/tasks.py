"""Celery tasks of what is learned across sessions: thin, given ids only, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from personas.models import Shop
from recommendations.learning import experiment_schedule, experiments, policies, proposals


@shared_task(ignore_result=True)
def learn_policy(shop_id: int) -> None:
    """Learn from the decisions that can be judged by now; see `policies.learn_policy`."""
    policies.learn_policy(Shop.objects.get(pk=shop_id))


@shared_task(ignore_result=True)
def learn_all_policies() -> None:
    """`learn_policy` of every shop: one that was running when it was asked for again finds nothing left to do."""
    for shop_id in Shop.objects.order_by("pk").values_list("pk", flat=True):
        learn_policy.delay(shop_id)


@shared_task(ignore_result=True)
def look_at_experiment(shop_id: int) -> None:
    """Begin and end a shop's experiments as planned, count their visits, tell what is known by now; see `experiments.look`."""
    shop = Shop.objects.get(pk=shop_id)
    experiment_schedule.keep_to_dates(shop)
    experiments.look(shop)


@shared_task(ignore_result=True)
def look_at_experiments() -> None:
    """`look_at_experiment` of every shop whose experiment runs, ran lately, or is to begin by now."""
    for shop_id in sorted({*experiments.shops_to_look_at(), *experiment_schedule.shops_with_dates()}):
        look_at_experiment.delay(shop_id)


@shared_task(ignore_result=True)
def propose_cluster_changes(shop_id: int) -> None:
    """Judge what decisions say of lasting changes; see `proposals.propose_cluster_changes`."""
    proposals.propose_cluster_changes(Shop.objects.get(pk=shop_id))


@shared_task(ignore_result=True)
def propose_all_cluster_changes() -> None:
    """`propose_cluster_changes` of every shop."""
    for shop_id in Shop.objects.order_by("pk").values_list("pk", flat=True):
        propose_cluster_changes.delay(shop_id)
