"""What a shop's log says of clusters, counted: kept for the part of the log that is over, so that a build reads what is new.

The counts lie beside the releases in `statistics/<version>/`; the report of the run that made them says where they end and
what they were counted from. They hold what people typed, so that whoever deletes sessions deletes them (`forget`).
"""

from __future__ import annotations

import datetime as dt
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Count, Max, Sum

from clusters import covisitation, search_history
from clusters.catalogue import Catalogue
from clusters.covisitation import VisitStats, count_visits
from clusters.models import ClusterSettings
from clusters.search_history import QueryStats, read_searches
from personas import component_files
from personas.component_files import ComponentError
from personas.models import Session, Shop
from personas.sessions import SessionLog
from recommendations import releases
from recommendations.models import TrainingRun
from recommendations.reading import read_log

logger = logging.getLogger(__name__)

KIND = "statistics"

OPEN = dt.timedelta(days=1)
"""Time before the last event from which a session may go on, and its events may still be on their way."""

KEPT = 0.9
"""Share of the items counted that must still be in the catalogue; with fewer, the log is read anew."""


@dataclass(frozen=True)
class Statistics:
    """A component: what a log says of searches and of visits."""

    queries: QueryStats
    visits: VisitStats


class End(NamedTuple):
    """Where the part of a log ends that is over: before `at`, None for an empty log; so many sessions and events of them."""

    at: dt.datetime | None
    sessions: int
    events: int


@dataclass(frozen=True)
class Counted:
    """A shop's whole log, counted. told : what the run's report keeps of it."""

    statistics: Statistics
    told: dict[str, Any]


FEWEST = 2
"""Visitors without whom no words of a search are told, whatever a shop's settings say: one person's are nobody else's to read."""


def least_visitors(shop: Shop) -> int:
    """Different visitors who must have searched for two things together before clusters tell of it."""
    return max(FEWEST, settings_of(shop).minimum_support)


def settings_of(shop: Shop) -> ClusterSettings:
    """The shop's own, or the defaults."""
    return ClusterSettings.objects.filter(shop=shop).first() or ClusterSettings(shop=shop)


def count(shop: Shop, catalogue: Catalogue, *, incremental: bool, told: Callable[[float], None]) -> Counted:
    """The shop's log over a catalogue: what is stored of it and what is new since, or all of it.

    All of it where nothing is stored, the settings moved, sessions that were counted are gone or went on, or a tenth of the
    items counted are no longer in the catalogue. told : called with the share that is done.
    """
    stored, last, why_all = _stored(shop, catalogue) if incremental else (None, {}, "asked for")
    end = ends(shop)
    log, contexts = read_log(shop, catalogue, since=dt.datetime.fromisoformat(last["until"]) if stored is not None else None)
    told(0.5)
    counted = count_log(shop, catalogue, log, contexts, end, stored)
    told(1.0)
    if stored is None:
        return replace(counted, told={**counted.told, "why_all": why_all})
    return replace(counted, told={**counted.told, "from": last["version"]})


def count_log(
    shop: Shop,
    catalogue: Catalogue,
    log: SessionLog,
    contexts: Sequence[Mapping[str, str]],
    end: End,
    stored: Statistics | None = None,
) -> Counted:
    """A log counted, on top of what is stored of sessions that it lacks. end : `ends` of before it was read."""
    settings, over = settings_of(shop), _over(shop, log, end)
    base = _add(stored, _count(log.take(over), catalogue, _picked(contexts, over), settings))
    whole = _add(base, _count(log.take(~over), catalogue, _picked(contexts, ~over), settings))
    told = {
        "until": end.at.isoformat() if end.at else "",
        "settled": [end.sessions, end.events],
        "settings": _settings(settings),
        "events": len(log.code),
        "sessions": len(log),
        "segments": whole.queries.segments,
    }
    return Counted(whole, {**told, "version": _store(shop, base, end)})


def ends(shop: Shop) -> End:
    """Where the part of a shop's log ends that is over."""
    last: dt.datetime | None = Session.objects.filter(shop=shop).aggregate(last=Max("last_at"))["last"]
    return End(None, 0, 0) if last is None else _until(shop, last - OPEN)


def forget(shop: Shop) -> None:
    """Delete what is stored of a shop's log: some of it was erased."""
    shutil.rmtree(releases.root_of(shop) / KIND, ignore_errors=True)


def _until(shop: Shop, at: dt.datetime) -> End:
    over = Session.objects.filter(shop=shop, last_at__lt=at).aggregate(sessions=Count("pk"), events=Sum("events"))
    return End(at, over["sessions"], over["events"] or 0)


def _over(shop: Shop, log: SessionLog, end: End) -> np.ndarray:
    """(S,) bool, sessions of the log that are over."""
    pks = Session.objects.filter(shop=shop, last_at__lt=end.at).values_list("pk", flat=True) if end.at else ()
    return np.isin(log.keys, np.array([str(pk) for pk in pks], dtype=str)) if len(log) else np.zeros(0, dtype=bool)


def _picked(contexts: Sequence[Mapping[str, str]], which: np.ndarray) -> list[Mapping[str, str]]:
    return [contexts[s] for s in np.flatnonzero(which).tolist()]


def _count(log: SessionLog, catalogue: Catalogue, contexts: list[Mapping[str, str]], settings: ClusterSettings) -> Statistics:
    off = settings.search_history == ClusterSettings.SearchHistory.OFF
    searched, told = (log.take(np.zeros(len(log), dtype=bool)), []) if off else (log, contexts)
    gap_s = 60.0 * settings.inactivity_minutes
    return Statistics(
        queries=read_searches(searched, catalogue.item_ids, told, gap_s=gap_s), visits=count_visits(log, catalogue.item_ids)
    )


def _add(a: Statistics | None, b: Statistics) -> Statistics:
    if a is None:
        return b
    return Statistics(search_history.merge(a.queries, b.queries), covisitation.merge(a.visits, b.visits))


def _settings(settings: ClusterSettings) -> list[Any]:
    """What counts depend on."""
    return [str(settings.search_history), settings.inactivity_minutes]


def _stored(shop: Shop, catalogue: Catalogue) -> tuple[Statistics | None, dict[str, Any], str]:
    """The counts of the last run that made some, what its report says of them, and why not, where they won't do."""
    run = TrainingRun.objects.filter(shop=shop, report__has_key=KIND).order_by("-pk").first()
    told: dict[str, Any] = run.report[KIND] if run else {}
    if not told.get("version") or not told.get("until"):
        return None, told, "nothing was counted before"
    if told["settings"] != _settings(settings_of(shop)):
        return None, told, "the settings changed"
    end = _until(shop, dt.datetime.fromisoformat(told["until"]))
    if [end.sessions, end.events] != told["settled"]:
        return None, told, "sessions of before were added, went on or were deleted"
    try:
        stored = component_files.load_component(releases.root_of(shop), KIND, Statistics, told["version"])
    except ComponentError as error:
        logger.info("the log of %s is read anew: %s", shop.slug, error)
        return None, told, "what was counted before can't be read"
    if len(stored.visits) and float(np.isin(stored.visits.item_ids, catalogue.item_ids).mean()) < KEPT:
        return None, told, "many items are gone from the catalogue"
    return stored, told, ""


def _store(shop: Shop, base: Statistics, end: End) -> str:
    """Save the counts in the place of those before; their version, "" where some of what they count was erased meanwhile."""
    root = releases.root_of(shop)
    version = component_files.save_component(root, KIND, base)
    if end.at is not None and _until(shop, end.at) != end:
        forget(shop)
        return ""
    for path in (root / KIND).iterdir():
        if path.name != version:
            shutil.rmtree(path, ignore_errors=True)
    return version
