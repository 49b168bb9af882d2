"""A shop's clusters built, compared and activated beside the ranking and the personas of the active release."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import Max
from kombu.exceptions import OperationalError
from redis.exceptions import LockError, RedisError

from clusters import item_clusters
from clusters.catalogue import Catalogue
from clusters.edits import ClusterEdit
from clusters.item_clusters import ItemClusters, with_edits, with_ids
from clusters.lineage import Actor
from clusters.models import ClusterChange, ClusterSettings, ItemCluster
from clusters.provenance import Provenance
from clusters.search_clusters import SearchClusters, from_search_history, search_of
from clusters.searching import index_of
from personas.models import Shop
from recommendations import activation, cluster_reports, cluster_statistics, releases, search_words
from recommendations.cluster_statistics import Statistics, settings_of
from recommendations.engine import Engine
from recommendations.models import Release, TrainingRun
from recommendations.reading import read_edits
from recommendations.releases import ReleaseError
from recommendations.run_records import on_record
from recommendations.training import Progress

logger = logging.getLogger(__name__)

PUBLISH = "recommendations.tasks.publish_cluster_edits"
"""By name: the tasks import this module."""

SETTLE_S = 3.0
"""Seconds without a further edit until edits are published: one release for a row of them, not one each."""

PATIENCE_S = 20.0
"""Seconds after which they are published though more come."""

ASKED_S = 60
"""Seconds after which a request, or who attends to it, counts as lost, and the next edit asks again."""

CHOSEN_ON = "granularity_sessions"
"""Name, among a release's metrics, of the number of sessions on which it was chosen how fine its clusters are."""

GROWTH = 2.0
"""Times more, or fewer, sessions than that from which it is chosen anew: a shop's first clusters are too coarse for its
hundredth day, and clusters that a merchandiser knows shouldn't be cut anew each night."""


def build_clusters(shop: Shop, *, incremental: bool = True, progress: Progress | None = None) -> TrainingRun:
    """Build a shop's clusters anew over the active release's catalogue, and compare them with those that serve.

    incremental : count only what is new in the log, and keep how fine the clusters are unless the log has grown or shrunk a lot
        (`as_fine`); False reads and chooses all anew.

    The run's release is ready, not active: see `activate_build` and `discard_build`. Its report is the comparison
    ("clusters"), what was counted ("statistics") and the seconds it took. An older build that waits is discarded.
    Raises TrainingBusy, ValueError on a log without an event on a known item, ReleaseError where no release is active.
    """
    return on_record(shop, TrainingRun.Kind.CLUSTERS, progress, lambda run, tell: _build(shop, run, tell, incremental))


def _build(shop: Shop, run: TrainingRun, tell: Progress, incremental: bool) -> Release:
    started = time.perf_counter()
    tell("reading", 0.0)
    active = Release.objects.active(shop)
    if active is None:
        raise ReleaseError(f"{shop.slug} has no release whose clusters could be built anew: train it first")
    engine = releases.load(active)
    catalogue = engine.catalogue
    counted = cluster_statistics.count(shop, catalogue, incremental=incremental, told=lambda share: tell("reading", 0.5 * share))
    if not counted.statistics.visits.sessions:
        raise ValueError("the log has no event on a known item: import events, or let shoppers in, before building clusters")
    tell("searches", 0.5)
    searched = search_clusters(shop, counted.statistics, catalogue)
    tell("clusters", 0.7)
    first, edits = first_free_id(shop), read_edits(shop)
    known = frozenset(engine.clusters.learned.cluster_ids.tolist())
    previous, chosen_on = as_fine(engine.clusters, active, counted.statistics.visits.sessions, anew=not incremental)
    clusters = item_clusters.build_clusters(
        None,
        catalogue,
        previous=previous,
        edits=read_edits(shop, known=known),
        searched=searched,
        stats=counted.statistics.visits,
        first_id=first,
        attribute_descriptors=engine.personas.attribute_descriptors,
        progress=lambda done, of: tell("clusters", 0.7 + 0.2 * done / of),
    )
    tell("saving", 0.9)
    discard_waiting(shop, f"Run {run.pk} built them anew.")
    clusters = settle_ids(shop, clusters, first)
    run.report = {
        "clusters": cluster_reports.compare(engine.clusters, clusters, catalogue.titles, counted.statistics.visits.gain),
        cluster_statistics.KIND: {**counted.told, "resolution": clusters.learned.resolution, "chosen_on": chosen_on},
        "seconds": round(time.perf_counter() - started, 1),
    }
    release = releases.publish_clusters(
        shop,
        active.components,
        clusters,
        metrics={
            **releases.metrics_of(active),
            "clusters": len(clusters),
            "edits": activation.fingerprint(edits),
            CHOSEN_ON: chosen_on,
        },
        notes=f"Clusters built anew; all else as in {active}.",
        provenance=Provenance.of(searched, clusters),
    )
    return forget_erased(run, release)


# Steps that a training takes too


def search_clusters(shop: Shop, statistics: Statistics, catalogue: Catalogue) -> SearchClusters | None:
    """Clusters of what shoppers search for together; None where the shop wants none, or nobody searched."""
    settings = settings_of(shop)
    if settings.search_history == ClusterSettings.SearchHistory.OFF or not statistics.queries.segments:
        return None
    search = search_of(index_of(shop), catalogue)
    return from_search_history(statistics.queries, catalogue, search, minimum_support=cluster_statistics.least_visitors(shop))


def as_fine(clusters: ItemClusters, release: Release, sessions: int, *, anew: bool = False) -> tuple[ItemClusters, int]:
    """The clusters to build on, and the sessions that their granularity was chosen on: so many that it may be kept, else all
    that there are now, and it is chosen anew.

    release : which they are of.  sessions : with a visit to an item, now.  anew : choose it whatever there is.
    """
    chosen_on = int(release.metrics.get(CHOSEN_ON, 0))
    if not anew and chosen_on and 1 / GROWTH <= sessions / chosen_on <= GROWTH:
        return clusters, chosen_on
    return replace(clusters, learned=replace(clusters.learned, resolution=0.0)), sessions


def first_free_id(shop: Shop) -> int:
    """Above every cluster's: new ones are told by it until `settle_ids` gives them theirs."""
    return (ItemCluster.objects.aggregate(last=Max("pk"))["last"] or 0) + 1


def settle_ids(shop: Shop, clusters: ItemClusters, first: int) -> ItemClusters:
    """The clusters with ids of the database's in the place of those from `first` on: nobody else is given the same.

    To be called alone (`run_records.alone`), when no build waits: what earlier ones left unused is removed.
    """
    ItemCluster.objects.reserved(shop).delete()
    new = [i for i in clusters.cluster_ids.tolist() if i >= first]
    return with_ids(clusters, dict(zip(new, ItemCluster.objects.reserve(shop, len(new)), strict=True)))


def forget_erased(run: TrainingRun, release: Release) -> Release:
    """The release without words that it learned of too few people, where somebody was erased while the run went on."""
    if search_words.erased_since(run.shop, run.started_at):
        with transaction.atomic():
            Shop.objects.select_for_update().get(pk=run.shop_id)
            search_words.forget_rare(run.shop)
        release.refresh_from_db()
    return release


# What becomes of a build


def activate_build(run: TrainingRun, *, by: Any = None) -> Release:
    """Let what a build made serve; the release that does. by : the user who decided so, None for nobody.

    Where another release of the same catalogue was activated since, its other components stay.
    Raises ReleaseError, where the run left nothing to activate, or the catalogue moved: then it is to be built again.
    """
    release, shop = run.release, run.shop
    if run.kind != TrainingRun.Kind.CLUSTERS or release is None or release.state != Release.State.READY:
        state = "left nothing to activate" if release is None else f"is {release.get_state_display().lower()} already"
        raise ReleaseError(f"the build of {run} {state}")
    active = Release.objects.active(shop)
    if active is not None and _others(active) != _others(release):
        if active.components["catalogue"] != release.components["catalogue"]:
            raise ReleaseError(f"{shop.slug} was trained on another catalogue since these clusters were built; build them again")
        release = _beside(run, release, active)
    who = Actor(ClusterChange.Actor.BUILD, user=by, who=f"Build {run.pk}")
    return activation.activate(release, by=who, reason=f"Build of {run.started_at:%-d %b %Y, %H:%M} activated.")


def activate(release: Release, *, by: Any) -> Release:
    """Let a release serve that somebody chose; the one that does. Raises ReleaseError. by : the user."""
    run = release.training_runs.filter(kind=TrainingRun.Kind.CLUSTERS).first()
    if run is not None and release.state == Release.State.READY:
        return activate_build(run, by=by)
    who = Actor(ClusterChange.Actor.MERCHANDISER, user=by, who=by.get_username())
    return activation.activate(release, by=who, reason=f"Release {release.number} activated.")


def _others(release: Release) -> dict[str, str]:
    return {kind: version for kind, version in release.components.items() if kind not in ("clusters", releases.SEARCHES)}


def _beside(run: TrainingRun, release: Release, active: Release) -> Release:
    """The build's clusters beside the components of a release that was activated since."""
    engine, edits = releases.load(active), read_edits(run.shop)
    clusters = beside(engine, releases.load(release).clusters, edits)
    composed = releases.publish_clusters(
        release.shop,
        active.components,
        clusters,
        metrics={
            **releases.metrics_of(active),
            "clusters": len(clusters),
            "edits": activation.fingerprint(edits),
            CHOSEN_ON: release.metrics.get(CHOSEN_ON, 0),
        },
        notes=f"{release.notes} Composed anew beside {active}.",
        provenance=releases.provenance_of(release),
    )
    releases.discard(release, f"In {composed}, beside what was activated since.")
    TrainingRun.objects.filter(pk=run.pk).update(release=composed)
    run.release = composed
    return composed


def beside(engine: Engine, clusters: ItemClusters, edits: Sequence[ClusterEdit]) -> ItemClusters:
    """Clusters of the engine's catalogue, made for other personas, with what the engine's own know of its personas."""
    behaviour = replace(clusters.behaviour, persona=engine.clusters.behaviour.persona)
    told = replace(clusters, behaviour=behaviour)
    return with_edits(told, engine.catalogue, edits, engine.personas.attribute_descriptors)


def discard_build(run: TrainingRun, why: str = "Discarded.") -> None:
    """Take back what a build made. Nothing is done to what serves, or did."""
    if run.release is None or run.release.state != Release.State.READY:
        return
    built = releases.load_component(
        releases.root_of(run.shop), "clusters", run.release.components["clusters"], catalogue=run.release.components["catalogue"]
    )
    releases.discard(run.release, why)
    ItemCluster.objects.reserved(run.shop).filter(pk__in=built.cluster_ids.tolist()).delete()


def discard_waiting(shop: Shop, why: str) -> None:
    """Take back the builds that wait to be activated."""
    for run in TrainingRun.objects.filter(shop=shop, kind=TrainingRun.Kind.CLUSTERS, release__state=Release.State.READY):
        discard_build(run, why)


# Edits


def publish_edits(shop: Shop) -> Release:
    """Bring edits that shoppers don't see yet to them: see `activation.publish_edits`."""
    return activation.publish_edits(shop)


def has_edits(active: Release) -> bool:
    """Whether merchandisers edited the shop's clusters since the active release took up their edits."""
    return activation.edits_of(active) != activation.fingerprint(read_edits(active.shop, with_barred=False))


def request_publish(shop: Shop) -> None:
    """Ask a worker to bring edits of the shop's clusters to the shoppers, once what is being written is committed.

    A row of edits is published once, when none came for `SETTLE_S` seconds. While the broker is away nothing is asked: what
    was edited is safe, and the next look by the minute finds it.
    """
    transaction.on_commit(lambda: _ask(shop, edited=True))


def _ask(shop: Shop, *, edited: bool = False) -> None:
    client, key = releases.redis_client(), _asked(shop.pk)
    try:
        if edited:
            client.set(f"{key}:edited", time.time(), ex=ASKED_S)
        if client.set(key, time.time(), nx=True, ex=ASKED_S):
            current_app.send_task(PUBLISH, args=(shop.pk,), countdown=SETTLE_S, retry=False)
    except (OperationalError, RedisError) as error:
        logger.warning("edits of %s could not be asked to be published; done within a minute: %s", shop.slug, error)


def publish_asked(shop: Shop) -> Release | None:
    """`publish_edits` as it was asked for. None while more edits come, and while another worker is at it: then it is asked again.

    An edit that this one doesn't see any more finds nothing asked for, and asks.
    """
    client, key, now = releases.redis_client(), _asked(shop.pk), time.time()
    first, edited = (float(told or 0.0) for told in client.mget(key, f"{key}:edited"))
    client.delete(key)
    if now < edited + SETTLE_S and now < first + PATIENCE_S:
        _ask(shop)
        client.set(key, first, xx=True, ex=ASKED_S)  # it waits since then
        return None
    lock = client.lock(f"{key}:by", timeout=ASKED_S, blocking=False)
    if not lock.acquire():
        _ask(shop)
        return None
    try:
        return publish_edits(shop)
    finally:
        with suppress(LockError):  # it took so long that it isn't ours any more
            lock.release()


def _asked(shop_id: int) -> str:
    """Redis key that is there while edits of the shop are asked to be published: since when."""
    return f"publishing:{shop_id}"
