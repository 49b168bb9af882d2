"""Catalogue feeds: files of a shop's items that are fetched on a schedule, and what came of it on the row."""

from __future__ import annotations

import datetime as dt
import logging
import tempfile
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from clusters.catalogue_writing import CatalogueReport, write_records
from clusters.feed_addresses import FeedError, fetch
from clusters.feed_files import FeedFile
from clusters.models import CatalogueFeed
from personas.files import FileError

logger = logging.getLogger(__name__)

LEAST_MINUTES, MOST_MINUTES = 5, 7 * 24 * 60

DEAD = dt.timedelta(minutes=30)
"""A fetch that told nothing for so long is not under way any more: its worker was killed."""

UNPACKED = 8
"""A packed file may be so many times as large unpacked as one may be that isn't packed."""

State = CatalogueFeed.State


def due(now: dt.datetime | None = None) -> list[int]:
    """Ids of feeds that it is time to look at."""
    now = now or timezone.now()
    waiting = CatalogueFeed.objects.filter(_free(now), enabled=True).values_list("pk", "checked_at", "every_minutes")
    return [pk for pk, at, minutes in waiting if at is None or at + dt.timedelta(minutes=minutes) <= now]


def _free(now: dt.datetime) -> Q:
    """Feeds that nobody is fetching."""
    return ~Q(state=State.RUNNING) | Q(checked_at__isnull=True) | Q(checked_at__lt=now - DEAD)


def run(feed: CatalogueFeed, *, anew: bool = False) -> bool:
    """Fetch a feed's file, unless it is the one of before, and write its items; whether it was this process that did.

    anew : have the file sent whether it changed or not. What went wrong is on the row; only what nobody foresaw is raised.
    """
    if not CatalogueFeed.objects.filter(_free(timezone.now()), pk=feed.pk).update(
        state=State.RUNNING, told="Fetching…", checked_at=timezone.now()
    ):
        return False
    feed.refresh_from_db()
    try:
        with tempfile.TemporaryDirectory() as folder:
            _run(feed, Path(folder) / "feed", anew)
    except (FeedError, FileError) as error:
        _tell(feed, State.FAILED, str(error))
    except Exception:
        _tell(feed, State.FAILED, "Something failed here; it was logged.")
        raise
    return True


def _run(feed: CatalogueFeed, path: Path, anew: bool) -> None:
    most = settings.FEED_MAX_BYTES
    known = {} if anew else {"etag": feed.etag, "last_modified": feed.last_modified}
    got = fetch(feed.url, path, most=most, private=settings.FEED_PRIVATE_HOSTS, **known)
    if not got.changed:
        _tell(feed, State.DONE, "The file is the one of before.")
        return
    file = FeedFile(path, most=UNPACKED * most)
    report = write_records(feed.shop, file, told=lambda so_far: _tell(feed, State.RUNNING, _words(so_far)))
    report.broke = file.broke
    whole = not report.broke
    feed.report, feed.changed_at = report.as_json(), timezone.now()
    feed.etag, feed.last_modified = (got.etag, got.last_modified) if whole else ("", "")
    feed.save(update_fields=["report", "changed_at", "etag", "last_modified"])
    taken = report.added + report.updated + report.unchanged
    _tell(feed, State.DONE if whole and taken else State.FAILED, f"{_words(report)} {report.broke}".strip())


def _words(report: CatalogueReport) -> str:
    rejected = f", {report.rejected:,} not taken" if report.rejected else ""
    return f"{report.read:,} read: {report.added:,} new, {report.updated:,} changed, {report.unchanged:,} as before{rejected}."


def _tell(feed: CatalogueFeed, state: str, words: str) -> None:
    """How it goes, for whoever looks; the time says that somebody is at it."""
    feed.state, feed.told, feed.checked_at = state, words, timezone.now()
    feed.save(update_fields=["state", "told", "checked_at"])
