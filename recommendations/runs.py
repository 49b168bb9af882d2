"""A shop's training, or its personas' fit alone, from its database to an active release, on the record in a `TrainingRun`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from django.conf import settings

from clusters.lineage import Actor
from clusters.models import ClusterChange
from clusters.provenance import Provenance
from personas import versions
from personas.fitting import FitReport
from personas.models import ArchivedEvent, PersonaVersion, Shop
from personas.sessions import SessionLog
from recommendations import activation, cluster_reports, cluster_runs, cluster_statistics, releases
from recommendations.engine import Engine
from recommendations.fit_reports import fit_report
from recommendations.models import Release, TrainingRun
from recommendations.reading import read_catalogue, read_edits, read_log
from recommendations.run_records import on_record
from recommendations.training import QUICK, Progress, opening_log, refit_personas, train_engine

OPENING_NOTE = "From the catalogue alone: there was no log yet. It takes events and serves; train again once visits have come."
QUICK_NOTE = "Trained quickly, to have a release soon; the nightly training takes its time."


def train_shop(shop: Shop, *, seed: int = 0, quick: bool = False, progress: Progress | None = None) -> Release:
    """Read, train, publish and activate. One at a time a shop. Raises TrainingBusy, ValueError, ReleaseError.

    quick : bound the work, and say so in the release's notes; the nightly training then takes its time.

    The run's row tells what is under way, and why it failed if it did; a failure leaves the active release as it was.
    """
    run = on_record(shop, TrainingRun.Kind.ALL, progress, lambda run, tell: _train(shop, run, tell, seed=seed, quick=quick))
    return _release_of(run)


def fit_personas(shop: Shop, *, progress: Progress | None = None) -> Release:
    """Fit the personas of the active release anew, on the log as it is and the version in force, and activate the result.

    Catalogue, clusters, ranking and policy stay those of the active release, but for what clusters know of personas. On
    the record as `train_shop`, and never beside one. Raises TrainingBusy, ValueError, and ReleaseError where no release
    is active: the first training makes personas and all else.
    """
    return _release_of(on_record(shop, TrainingRun.Kind.PERSONAS, progress, lambda run, tell: _refit(shop, run, tell)))


def _release_of(run: TrainingRun) -> Release:
    assert run.release is not None, "a run that ends names its release"
    return run.release


def has_log(shop: Shop) -> bool:
    """Whether there is an event to learn from."""
    return ArchivedEvent.objects.learned_from(shop).exists()


def is_behind(shop: Shop) -> bool:
    """Whether a fit would see more than the active release's personas have: events since, or another version."""
    last = _last_report(shop).get("last_event", 0)
    return is_outdated(shop) or ArchivedEvent.objects.learned_from(shop).filter(pk__gt=last).exists()


def is_outdated(shop: Shop) -> bool:
    """Whether the active release's personas are of another version than the one in force."""
    version = versions.latest(shop)
    return _last_report(shop).get("version") != (version.number if version else None)


def _train(shop: Shop, run: TrainingRun, tell: Progress, *, seed: int, quick: bool) -> Release:
    started = time.perf_counter()
    tell("reading", 0.0)
    last_event, end = _last_event(shop), cluster_statistics.ends(shop)
    catalogue = read_catalogue(shop)
    log, contexts = read_log(shop, catalogue)
    version = versions.in_force(shop)
    attributes, archetypes = versions.read(version)
    tell("searches", 0.0)
    counted = cluster_statistics.count_log(shop, catalogue, log, contexts, end)
    previous, chosen_on = _previous(shop, counted.statistics.visits.sessions)
    searched = cluster_runs.search_clusters(shop, counted.statistics, catalogue)
    first, edits = cluster_runs.first_free_id(shop), read_edits(shop)
    known = frozenset() if previous is None else frozenset(previous.clusters.learned.cluster_ids.tolist())
    fits: list[FitReport] = []
    opens = not len(log) and Release.objects.active(shop) is None
    engine = train_engine(
        opening_log(catalogue) if opens else log,
        catalogue,
        attributes=attributes,
        archetypes=archetypes,
        contexts=None if opens else contexts,
        previous=previous,
        edits=read_edits(shop, known=known),
        searched=searched,
        stats=counted.statistics.visits,
        first_cluster_id=first,
        most_examples=QUICK if quick else None,
        seed=seed,
        jobs=settings.TRAINING_JOBS,
        progress=tell,
        fitted=fits.append,
    )
    tell("saving", 0.98)
    cluster_runs.discard_waiting(shop, "A training made clusters anew.")
    engine = replace(engine, clusters=cluster_runs.settle_ids(shop, engine.clusters, first))
    before = None if previous is None else previous.clusters
    run.report = {
        **_report(shop, fits[0], engine, previous, log, last_event, version, time.perf_counter() - started),
        "clusters": cluster_reports.compare(before, engine.clusters, catalogue.titles, counted.statistics.visits.gain),
        cluster_statistics.KIND: {**counted.told, "resolution": engine.clusters.learned.resolution, "chosen_on": chosen_on},
    }
    metrics = {
        "sessions": len(log),
        "events": len(log.code),
        "items": len(catalogue),
        "clusters": len(engine.clusters.cluster_ids),
        "personas": len(engine.personas.archetype_ids),
        "seconds": round(time.perf_counter() - started, 1),
        "edits": activation.fingerprint(edits),
        cluster_runs.CHOSEN_ON: chosen_on,
    }
    release = releases.publish(
        shop,
        engine,
        metrics=metrics,
        notes=" ".join(note for note, so in ((OPENING_NOTE, opens), (QUICK_NOTE, quick)) if so),
        provenance=Provenance.of(searched, engine.clusters),
    )
    release = cluster_runs.forget_erased(run, release)
    return activation.activate(release, by=Actor(ClusterChange.Actor.TRAINING, who=f"Training {run.pk}"))


def _previous(shop: Shop, sessions: int) -> tuple[Engine | None, int]:
    """The engine to go on from, None where none can be read, and the sessions that its clusters' granularity is chosen on."""
    active = Release.objects.active(shop)
    try:
        engine = None if active is None else releases.load(active)
    except releases.ReleaseError:
        engine = None
    if active is None or engine is None:
        return None, sessions
    clusters, chosen_on = cluster_runs.as_fine(engine.clusters, active, sessions)
    return replace(engine, clusters=clusters), chosen_on


def _refit(shop: Shop, run: TrainingRun, tell: Progress) -> Release:
    started = time.perf_counter()
    tell("reading", 0.0)
    active = Release.objects.active(shop)
    if active is None:
        raise releases.ReleaseError(f"{shop.slug} has no release whose personas could be fitted: train it first")
    previous = releases.load(active)
    last_event = _last_event(shop)
    log, contexts = read_log(shop, previous.catalogue)
    version = versions.in_force(shop)
    attributes, archetypes = versions.read(version)
    fits: list[FitReport] = []
    opens = not len(log) and releases.metrics_of(active).get("sessions") == 0  # personas may be edited before the first visit
    engine = refit_personas(
        previous,
        opening_log(previous.catalogue) if opens else log,
        attributes=attributes,
        archetypes=archetypes,
        contexts=None if opens else contexts,
        jobs=settings.TRAINING_JOBS,
        progress=lambda stage, share: tell(stage, 0.3 + 0.6 * share),
        fitted=fits.append,
    )
    tell("saving", 0.9)
    now = Release.objects.active(shop) or active
    if (
        now.components["clusters"] != active.components["clusters"]
        and now.components["catalogue"] == active.components["catalogue"]
    ):
        # Clusters were edited, or a build was activated, while this went on.
        engine = replace(engine, clusters=cluster_runs.beside(engine, releases.load(now).clusters, read_edits(shop)))
        active = now
    run.report = _report(shop, fits[0], engine, previous, log, last_event, version, time.perf_counter() - started)
    metrics = {
        **releases.metrics_of(active),
        "sessions": len(log),
        "events": len(log.code),
        "personas": len(engine.personas.archetype_ids),
        "seconds": round(time.perf_counter() - started, 1),
    }
    release = releases.publish(
        shop,
        engine,
        metrics=metrics,
        notes=f"Personas fitted anew; all else as in {active}.",
        provenance=releases.provenance_of(active),
    )
    return activation.activate(release, by=Actor(ClusterChange.Actor.TRAINING, who=f"Fit {run.pk}"))


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
    active = Release.objects.active(shop)
    run = TrainingRun.objects.fit_of(active) if active else None
    return run.report if run else {}
