"""Celery tasks: thin, given ids only, safe to run twice."""

from __future__ import annotations

import logging

from celery import shared_task

from personas.models import Shop
from recommendations import cluster_runs, file_imports, overlays, releases, retention, runs
from recommendations.models import Release
from recommendations.releases import ReleaseError
from recommendations.run_records import TrainingBusy, TrainingCancelled
from recommendations.serving import access, archiving, memory, shops
from recommendations.visitors import launching, standing

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def archive_activity() -> None:
    """Take what the activity log holds into the database, and what that says of shoppers back to where visits read it."""
    archiving.archive(archiving.open_log(), consumer=archiving.consumer_name())
    memory.rebuild_wanted()
    for shop_id in memory.unsynced():
        sync_shoppers.delay(shop_id)


@shared_task(ignore_result=True)
def sync_shoppers(shop_id: int) -> None:
    """Write anew what Redis holds of a shop's shoppers: it may be lost, and every release reads purchases in its own way."""
    memory.sync(Shop.objects.get(pk=shop_id))


@shared_task(ignore_result=True)
def sync_all_shoppers() -> None:
    """`sync_shoppers` of every shop."""
    for shop_id in Shop.objects.order_by("pk").values_list("pk", flat=True):
        sync_shoppers.delay(shop_id)


@shared_task(ignore_result=True)
def train_shop(shop_id: int) -> None:
    """Train and activate the shop's next release; nothing to do if that is under way."""
    shop = Shop.objects.get(pk=shop_id)
    try:
        runs.train_shop(shop)
    except (TrainingBusy, TrainingCancelled) as why:
        logger.info("%s", why)
    else:
        _catch_up(shop)


@shared_task(ignore_result=True)
def fit_personas(shop_id: int) -> None:
    """Fit the shop's personas on what is published, and activate the release; nothing to do if a training is under way."""
    shop = Shop.objects.get(pk=shop_id)
    try:
        runs.fit_personas(shop)
    except (TrainingBusy, TrainingCancelled) as why:
        logger.info("%s", why)
    else:
        _catch_up(shop)


def _catch_up(shop: Shop) -> None:
    """A version that was published meanwhile found the shop busy: it is fitted now."""
    if runs.is_outdated(shop):
        fit_personas.delay(shop.pk)


@shared_task(ignore_result=True)
def fit_all_personas(after: int = 0) -> None:
    """Fit the personas of every shop that has a release and something new to learn, one a task as `train_all_shops`."""
    shop = Shop.objects.filter(pk__gt=after).order_by("pk").first()
    if shop is None:
        return
    try:
        if Release.objects.active(shop) is not None and runs.is_behind(shop):
            fit_personas(shop.pk)
    except Exception:
        logger.exception("the fit of the personas of %s failed; the next shop's is not held up", shop.slug)
    fit_all_personas.delay(after=shop.pk)


@shared_task(ignore_result=True)
def train_all_shops(after: int = 0) -> None:
    """Train every shop, those with ids beyond `after`: one a task, so that the archiver always finds a worker free.

    One that began from its catalogue, and had no visit to learn from since, is let be: no failure to tell of each morning.
    """
    shop = Shop.objects.filter(pk__gt=after).order_by("pk").first()
    if shop is None:
        return
    try:
        if runs.has_log(shop) or Release.objects.active(shop) is None:
            train_shop(shop.pk)
    except Exception:
        logger.exception("the training of shop %s failed; the next shop's is not held up", shop.pk)
    train_all_shops.delay(after=shop.pk)


@shared_task(ignore_result=True)
def build_clusters(shop_id: int, incremental: bool = True) -> None:
    """Build the shop's clusters anew, to be looked at and activated; nothing to do if a training is under way."""
    try:
        cluster_runs.build_clusters(Shop.objects.get(pk=shop_id), incremental=incremental)
    except (TrainingBusy, TrainingCancelled) as why:
        logger.info("%s", why)


@shared_task(ignore_result=True)
def publish_cluster_edits(shop_id: int) -> None:
    """Bring what merchandisers edited of the shop's clusters to its shoppers; nothing to do where nothing was."""
    try:
        cluster_runs.publish_asked(Shop.objects.get(pk=shop_id))
    except ReleaseError as error:
        logger.warning("%s", error)


@shared_task(ignore_result=True)
def publish_all_cluster_edits() -> None:
    """Edits that nobody brought to the shoppers, and releases that nobody announced, since the broker was away or a process
    was killed between the commit and the word of it."""
    for release in Release.objects.filter(state=Release.State.ACTIVE).select_related("shop").order_by("shop"):
        releases.announce_again(release)
        if cluster_runs.has_edits(release):
            publish_cluster_edits.delay(release.shop_id)


@shared_task(ignore_result=True)
def publish_overlay(shop_id: int) -> None:
    """Bring what the shop's rows say of its items and rules to every process; nothing to do where nothing changed."""
    try:
        overlays.publish_overlay(Shop.objects.get(pk=shop_id))
    except ReleaseError as error:
        logger.warning("%s", error)


@shared_task(ignore_result=True)
def publish_all_overlays() -> None:
    """`publish_overlay` of every shop that has a release: changes that nobody announced, and new releases."""
    for shop_id in Release.objects.filter(state=Release.State.ACTIVE).order_by("shop").values_list("shop_id", flat=True):
        publish_overlay.delay(shop_id)


@shared_task(ignore_result=True)
def prune_overlays() -> None:
    """Forget old versions of the overlays of every shop."""
    for shop in Shop.objects.order_by("pk"):
        overlays.prune(shop)


@shared_task(ignore_result=True)
def expire_shop(shop_id: int) -> None:
    """Delete what the shop keeps no longer than it said."""
    shop = Shop.objects.get(pk=shop_id)
    gone = {what: count for what, count in retention.expire(shop).items() if count}
    if gone:
        logger.info("%s keeps %s days: deleted %s", shop.slug, shop.retention_days, gone)


@shared_task(ignore_result=True)
def expire_all_shops() -> None:
    """`expire_shop` of every shop that keeps its log for a time only; and what of imported files is kept no longer goes."""
    file_imports.prune()
    for shop_id in Shop.objects.filter(retention_days__isnull=False).order_by("pk").values_list("pk", flat=True):
        expire_shop.delay(shop_id)


@shared_task(ignore_result=True)
def sync_keys() -> None:
    """Mend the hot path's copies of the API keys and shops: a revocation while Redis was away, or a Redis that lost its data."""
    access.sync_keys()
    shops.sync_shops()


@shared_task(ignore_result=True)
def import_file(import_id: int) -> None:
    """Import a file that was handed in; nothing to do if that is under way, or done."""
    file_imports.run(import_id)


@shared_task(ignore_result=True)
def let_visitors_in(shop_id: int, per_minute: int, minutes: int) -> None:
    """Have simulated visitors come to a shop; nothing to do where some do."""
    launching.launch(Shop.objects.get(pk=shop_id), per_minute, minutes)


@shared_task(ignore_result=True)
def resume_visitors() -> None:
    """Go on with simulated visitors whose process a restart ended before their time."""
    for shop in Shop.objects.order_by("pk"):
        if standing.ask_to_resume(shop.pk):
            launching.launch_again(shop)
