"""A shop's training from its database to an active release, on the record in a `TrainingRun`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from django.core.management.color import no_style
from django.db import connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from clusters.models import ClusterMembership, ClusterRelation, ItemCluster
from personas.models import Shop
from recommendations import releases
from recommendations.engine import Engine
from recommendations.models import Release, TrainingRun
from recommendations.reading import read_catalogue, read_log, read_personas
from recommendations.training import QUICK, train_engine

logger = logging.getLogger(__name__)

LOCK_S = 60.0
"""Seconds a training lock outlives its last renewal."""

QUICK_NOTE = "Trained quickly, to have a release soon; the nightly training takes its time."
SHOWN_DESCRIPTORS = 8
SHOWN_RELATIONS = 8


class TrainingBusy(RuntimeError):
    """Another training of the shop is under way."""


def train_shop(
    shop: Shop, *, seed: int = 0, quick: bool = False, progress: Callable[[str, float], None] | None = None
) -> Release:
    """Read, train, publish and activate. One at a time a shop. Raises TrainingBusy, ValueError, ReleaseError.

    quick : bound the work, and say so in the release's notes; the nightly training then takes its time.

    The run's row tells what is under way, and why it failed if it did; a failure leaves the active release as it was.
    """
    with _alone(shop):
        TrainingRun.objects.filter(shop=shop, state=TrainingRun.State.RUNNING).update(
            state=TrainingRun.State.FAILED, error="interrupted", finished_at=timezone.now()
        )
        run = TrainingRun.objects.create(shop=shop, state=TrainingRun.State.RUNNING, stage="reading", started_at=timezone.now())
        try:
            release = _train(shop, run, seed=seed, quick=quick, progress=progress)
        except Exception as error:
            _finish(run, TrainingRun.State.FAILED, error=f"{type(error).__name__}: {error}")
            raise
        _finish(run, TrainingRun.State.DONE, release=release)
        return release


@contextmanager
def _alone(shop: Shop) -> Iterator[None]:
    """Hold the shop's training lock, renewed while we live: one that is killed frees it within `LOCK_S` seconds."""
    lock = releases.redis_client().lock(f"training:{shop.pk}", timeout=LOCK_S, blocking=False, thread_local=False)
    if not lock.acquire():
        raise TrainingBusy(f"a training of {shop.slug} is under way; wait for it, or see Training runs in the admin")
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LOCK_S / 3):
            try:
                lock.reacquire()
            except RedisError as error:
                logger.warning("the training lock of %s was not renewed: %s", shop.slug, error)

    renewing = threading.Thread(target=renew, name=f"training-lock-{shop.pk}", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        try:
            lock.release()
        except RedisError as error:
            logger.warning("the training lock of %s was not released: %s", shop.slug, error)


def _train(shop: Shop, run: TrainingRun, *, seed: int, quick: bool, progress: Callable[[str, float], None] | None) -> Release:
    started = time.perf_counter()
    told = {"at": 0.0}

    def report(stage: str, share: float) -> None:
        if progress:
            progress(stage, share)
        # The row is for people: once a second is as often as they look.
        if time.perf_counter() - told["at"] > 1.0:
            told["at"] = time.perf_counter()
            TrainingRun.objects.filter(pk=run.pk).update(stage=stage, progress=share)

    report("reading", 0.0)
    catalogue = read_catalogue(shop)
    log, contexts = read_log(shop, catalogue)
    attributes, archetypes = read_personas(shop)
    try:
        previous: Engine | None = with_edits(shop, releases.load_active(shop.pk))
    except releases.ReleaseError:
        previous = None
    last = ItemCluster.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    engine = train_engine(
        log,
        catalogue,
        attributes=attributes,
        archetypes=archetypes,
        contexts=contexts,
        previous=previous,
        first_cluster_id=last + 1,
        most_examples=QUICK if quick else None,
        seed=seed,
        progress=report,
    )
    report("saving", 0.98)
    metrics = {
        "sessions": len(log),
        "events": len(log.code),
        "items": len(catalogue),
        "clusters": len(engine.clusters.cluster_ids),
        "personas": len(engine.personas.archetype_ids),
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_clusters(shop, engine)
    release = releases.publish(shop, engine, metrics=metrics, notes=QUICK_NOTE if quick else "")
    releases.activate(release)
    releases.prune(shop)
    return release


def with_edits(shop: Shop, engine: Engine) -> Engine:
    """The engine under the names and locks that merchandisers gave its clusters since it was trained."""
    edited = {
        pk: (name, locked) for pk, name, locked in ItemCluster.objects.filter(shop=shop).values_list("pk", "name", "locked")
    }
    clusters = engine.clusters
    now = [edited.get(pk, (clusters.names[c], bool(clusters.locked[c]))) for c, pk in enumerate(clusters.cluster_ids.tolist())]
    names, locked = tuple(name for name, _ in now), np.array([lock for _, lock in now], dtype=bool)
    return replace(engine, clusters=replace(clusters, names=names, locked=locked))


def write_clusters(shop: Shop, engine: Engine) -> None:
    """Arrays become rows: the clusters as merchandisers see them. Those that are gone are retired, never deleted."""
    clusters, catalogue = engine.clusters, engine.catalogue
    ids = clusters.cluster_ids.tolist()
    items = clusters.items
    with transaction.atomic():
        ItemCluster.objects.filter(shop=shop, retired_at=None).exclude(pk__in=ids).update(retired_at=timezone.now())
        ItemCluster.objects.bulk_create(
            [
                ItemCluster(
                    pk=pk,
                    shop=shop,
                    name=clusters.names[c],
                    kind=clusters.kinds[c],
                    size=int(items.indptr[c + 1] - items.indptr[c]),
                    share=float(clusters.share[c]),
                    locked=bool(clusters.locked[c]),
                    descriptors=_descriptors(engine, c),
                    retired_at=None,
                    updated_at=timezone.now(),
                )
                for c, pk in enumerate(ids)
            ],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["name", "kind", "size", "share", "descriptors", "retired_at", "updated_at"],
        )
        _advance_sequence()
        ClusterMembership.objects.filter(cluster__shop=shop).delete()
        rows = np.repeat(np.arange(len(ids)), np.diff(items.indptr))
        item_ids = catalogue.item_ids[items.indices]
        ClusterMembership.objects.bulk_create(
            [
                ClusterMembership(cluster_id=ids[c], item_id=i, weight=w)
                for c, i, w in zip(rows.tolist(), item_ids.tolist(), items.data.tolist(), strict=True)
            ],
            batch_size=2_000,
        )
        ClusterRelation.objects.filter(source__shop=shop).delete()
        ClusterRelation.objects.bulk_create(_relations(engine), batch_size=2_000)


def _advance_sequence() -> None:
    """PostgreSQL hands out ids from a sequence, which rows with ids of their own don't move; SQLite needs nothing."""
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), [ItemCluster]):
            cursor.execute(sql)


def _descriptors(engine: Engine, c: int) -> list[dict[str, object]]:
    lift = engine.clusters.descriptor_lift
    a, b = lift.indptr[c], lift.indptr[c + 1]
    ranked = sorted(zip(lift.data[a:b].tolist(), lift.indices[a:b].tolist(), strict=True), reverse=True)
    return [{"name": engine.catalogue.descriptors[d], "lift": round(v, 3)} for v, d in ranked[:SHOWN_DESCRIPTORS]]


def _relations(engine: Engine) -> list[ClusterRelation]:
    """The strongest transitions out of each cluster: where expansion may go."""
    ids = engine.clusters.cluster_ids
    relations = []
    for c, row in enumerate(np.asarray(engine.clusters.transitions)):
        others = [t for t in np.argsort(-row, kind="stable")[: SHOWN_RELATIONS + 1].tolist() if t != c and row[t] > 0]
        relations += [
            ClusterRelation(source_id=int(ids[c]), target_id=int(ids[t]), weight=float(row[t])) for t in others[:SHOWN_RELATIONS]
        ]
    return relations


def _finish(run: TrainingRun, state: str, *, error: str = "", release: Release | None = None) -> None:
    run.state, run.error, run.release, run.finished_at = state, error, release, timezone.now()
    run.stage, run.progress = ("done", 1.0) if release else (run.stage, run.progress)
    run.save()
