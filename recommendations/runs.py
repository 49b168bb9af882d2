"""A shop's training, or its personas' fit alone, from its database to an active release, on the record in a `TrainingRun`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.color import no_style
from django.db import connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from clusters.models import ClusterMembership, ClusterRelation, ItemCluster
from personas import versions
from personas.fitting import FitReport
from personas.models import ArchivedEvent, PersonaVersion, Shop
from personas.sessions import SessionLog
from recommendations import releases
from recommendations.engine import Engine
from recommendations.fit_reports import fit_report
from recommendations.models import Release, TrainingRun
from recommendations.reading import read_catalogue, read_log
from recommendations.training import QUICK, Progress, refit_personas, train_engine

logger = logging.getLogger(__name__)

LOCK_S = 60.0
"""Seconds a training lock outlives its last renewal."""

QUICK_NOTE = "Trained quickly, to have a release soon; the nightly training takes its time."
SHOWN_DESCRIPTORS = 8
SHOWN_RELATIONS = 8


class TrainingBusy(RuntimeError):
    """Another training of the shop is under way."""


def train_shop(shop: Shop, *, seed: int = 0, quick: bool = False, progress: Progress | None = None) -> Release:
    """Read, train, publish and activate. One at a time a shop. Raises TrainingBusy, ValueError, ReleaseError.

    quick : bound the work, and say so in the release's notes; the nightly training then takes its time.

    The run's row tells what is under way, and why it failed if it did; a failure leaves the active release as it was.
    """
    return _on_record(shop, TrainingRun.Kind.ALL, progress, lambda run, tell: _train(shop, run, tell, seed=seed, quick=quick))


def fit_personas(shop: Shop, *, progress: Progress | None = None) -> Release:
    """Fit the personas of the active release anew, on the log as it is and the version in force, and activate the result.

    Catalogue, clusters, ranking and policy stay those of the active release, but for what clusters know of personas. On
    the record as `train_shop`, and never beside one. Raises TrainingBusy, ValueError, and ReleaseError where no release
    is active: the first training makes personas and all else.
    """
    return _on_record(shop, TrainingRun.Kind.PERSONAS, progress, lambda run, tell: _refit(shop, run, tell))


def is_behind(shop: Shop) -> bool:
    """Whether a fit would see more than the active release's personas have: events since, or another version."""
    last = _last_report(shop).get("last_event", 0)
    return is_outdated(shop) or ArchivedEvent.objects.filter(shop=shop, pk__gt=last).exists()


def is_outdated(shop: Shop) -> bool:
    """Whether the active release's personas are of another version than the one in force."""
    version = versions.latest(shop)
    return _last_report(shop).get("version") != (version.number if version else None)


def _on_record(shop: Shop, kind: str, progress: Progress | None, work: Callable[[TrainingRun, Progress], Release]) -> Release:
    """Do the work alone, and tell how it goes in a row of its own."""
    with _alone(shop):
        TrainingRun.objects.filter(shop=shop, state=TrainingRun.State.RUNNING).update(
            state=TrainingRun.State.FAILED, error="interrupted", finished_at=timezone.now()
        )
        run = TrainingRun.objects.create(
            shop=shop, kind=kind, state=TrainingRun.State.RUNNING, stage="reading", started_at=timezone.now()
        )
        told = {"at": 0.0}

        def tell(stage: str, share: float) -> None:
            if progress:
                progress(stage, share)
            # The row is for people: once a second is as often as they look.
            if time.perf_counter() - told["at"] > 1.0:
                told["at"] = time.perf_counter()
                TrainingRun.objects.filter(pk=run.pk).update(stage=stage, progress=share)

        try:
            release = work(run, tell)
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


def _train(shop: Shop, run: TrainingRun, tell: Progress, *, seed: int, quick: bool) -> Release:
    started = time.perf_counter()
    tell("reading", 0.0)
    last_event = _last_event(shop)
    catalogue = read_catalogue(shop)
    log, contexts = read_log(shop, catalogue)
    version = versions.in_force(shop)
    attributes, archetypes = versions.read(version)
    try:
        previous: Engine | None = with_edits(shop, releases.load_active(shop.pk))
    except releases.ReleaseError:
        previous = None
    last = ItemCluster.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    fits: list[FitReport] = []
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
        jobs=settings.TRAINING_JOBS,
        progress=tell,
        fitted=fits.append,
    )
    tell("saving", 0.98)
    run.report = _report(shop, fits[0], engine, previous, log, last_event, version, time.perf_counter() - started)
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


def _refit(shop: Shop, run: TrainingRun, tell: Progress) -> Release:
    started = time.perf_counter()
    tell("reading", 0.0)
    active = Release.objects.active(shop)
    if active is None:
        raise releases.ReleaseError(f"{shop.slug} has no release whose personas could be fitted: train it first")
    previous = with_edits(shop, releases.load_engine(releases.root_of(shop), active.components, release=str(active.number)))
    last_event = _last_event(shop)
    log, contexts = read_log(shop, previous.catalogue)
    version = versions.in_force(shop)
    attributes, archetypes = versions.read(version)
    fits: list[FitReport] = []
    engine = refit_personas(
        previous,
        log,
        attributes=attributes,
        archetypes=archetypes,
        contexts=contexts,
        jobs=settings.TRAINING_JOBS,
        progress=lambda stage, share: tell(stage, 0.3 + 0.6 * share),
        fitted=fits.append,
    )
    tell("saving", 0.9)
    run.report = _report(shop, fits[0], engine, previous, log, last_event, version, time.perf_counter() - started)
    metrics = {
        **active.metrics,
        "sessions": len(log),
        "events": len(log.code),
        "personas": len(engine.personas.archetype_ids),
        "seconds": round(time.perf_counter() - started, 1),
    }
    release = releases.publish(shop, engine, metrics=metrics, notes=f"Personas fitted anew; all else as in {active}.")
    releases.activate(release)
    releases.prune(shop)
    return release


def _report(
    shop: Shop,
    fit: FitReport,
    engine: Engine,
    previous: Engine | None,
    log: SessionLog,
    last_event: int,
    version: PersonaVersion | None,
    seconds: float,
) -> dict[str, Any]:
    """`fit_reports.fit_report`, with what was fitted: version, number of events and sessions, the last event's pk, seconds."""
    earlier = {entry["id"]: entry["share"] for entry in _last_report(shop).get("archetypes", ())}
    before = None if previous is None else previous.personas
    # The groups of a shop without categories are found anew in a training: "group 3" is no longer the same items.
    same = before is None or len(engine.catalogue.categories) > 1 or engine.personas.facts is before.facts
    return {
        "version": None if version is None else version.number,
        "last_event": last_event,
        "events": len(log.code),
        "sessions": len(log),
        "seconds": round(seconds, 1),
        **fit_report(fit, engine.personas, before, shares=earlier, same_groups=same),
    }


def _last_event(shop: Shop) -> int:
    """Highest primary key of the shop's archived events, 0 where there is none."""
    return ArchivedEvent.objects.filter(shop=shop).order_by("-pk").values_list("pk", flat=True).first() or 0


def _last_report(shop: Shop) -> dict[str, Any]:
    """How the personas of the active release were fitted, {} where that isn't known."""
    run = TrainingRun.objects.filter(shop=shop, release__state=Release.State.ACTIVE).order_by("-pk").first()
    return run.report if run else {}


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
