"""Files that people hand in by a page: received piece by piece, imported by a worker, told of as it goes, cancelled, run again.

Each has a folder below `DATA_DIR/imports/`: the file, gone once it was read, and `rejected.csv`, the lines that were not taken.
The importers are those of the commands: a file that is imported again changes nothing.
"""

from __future__ import annotations

import csv
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from clusters.cluster_files import import_clusters
from clusters.importing import import_catalogue, import_events
from clusters.item_records import item_fields
from clusters.lineage import Actor
from clusters.models import ClusterChange, Item
from personas.event_records import EventRecords
from personas.events import EventError
from personas.files import FileError
from personas.importing import Batches, ImportReport
from personas.models import Origin, Shop
from recommendations import daily, releases
from recommendations.locks import renewed
from recommendations.models import FileImport

TASK = "recommendations.tasks.import_file"

KEPT = timedelta(days=30)
"""How long rejected lines are kept: their reasons may quote what stood there."""

SENT_WITHIN = timedelta(hours=2)
"""A file of which nothing more came for so long is not on its way any more."""

SPARE_BYTES = 200_000_000
"""What a file must leave of the disk, on which the database grows too."""

LOCK_S = 60.0
TELL_S = 1.0

State, Kind = FileImport.State, FileImport.Kind


class HandInError(ValueError):
    """What can't be done with an import, and why, in words for the page."""


class _Cancelled(Exception):
    """Somebody cancelled the import that is under way."""


# Handing in


def begin(shop: Shop, kind: str, name: str, size: int, *, by: Any, check: bool = False) -> FileImport:
    """A row and a folder for a file that is about to be sent. Raises HandInError on one that is empty or too large.

    check : only look what of it could be taken, and change nothing.
    """
    if kind not in Kind.values:
        raise HandInError("Say what the file holds: items, events or clusters.")
    if size <= 0:
        raise HandInError("The file is empty.")
    if size > settings.IMPORT_MAX_BYTES:
        most = settings.IMPORT_MAX_BYTES // 1_000_000
        raise HandInError(f"The file has {size / 1e6:,.0f} MB, more than {most:,}. Pack it with gzip, or split it.")
    prune()
    where = Path(settings.DATA_DIR) / "imports"
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    if size > shutil.disk_usage(where).free - SPARE_BYTES:
        raise HandInError("The server's disk has no room for it. Tell who runs it, or pack the file with gzip.")
    row = FileImport.objects.create(
        shop=shop,
        kind=kind,
        name=Path(name).name[:200] or "file",
        folder=secrets.token_hex(16),
        size=size,
        counts={"received": 0, **({"check": True} if check else {})},
        by=by,
    )
    folder_of(row).mkdir(parents=True, mode=0o700)
    return row


def take_piece(row: FileImport, offset: int, pieces: Iterable[bytes]) -> int:
    """Append to the file from `offset` on; how many bytes there are now. A piece that comes again is written over itself.

    Raises HandInError where a piece before is missing, more comes than was announced, or nothing is awaited any more.
    """
    if row.state != State.WAITING or is_whole(row):
        raise HandInError("The file was sent already, or the import was cancelled.")
    path = file_of(row)
    there = path.stat().st_size if path.exists() else 0
    if offset > there:
        raise HandInError(f"Piece at {offset:,} came too early: {there:,} bytes are there.")
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(offset)
        for piece in pieces:
            if file.tell() + len(piece) > row.size:
                raise HandInError("More was sent than was announced.")
            file.write(piece)
        file.truncate()
        there = file.tell()
    row.counts = {**row.counts, "received": there}
    row.save(update_fields=["counts"])
    return there


def is_whole(row: FileImport) -> bool:
    """Whether all of the file is there, or was."""
    return bool(row.counts.get("received", 0) >= row.size)


def ask(row: FileImport) -> None:
    """Have a worker import it. Raises kombu's OperationalError where the queue can't be reached."""
    current_app.send_task(TASK, args=(row.pk,), retry=False)


def again(row: FileImport) -> None:
    """Put back to the queue what was interrupted or never begun. Raises HandInError where there is nothing to read any more."""
    if not file_of(row).exists() or not is_whole(row):
        raise HandInError("The file is gone: hand it in again.")
    if row.state == State.RUNNING and under_way([row]):
        raise HandInError("It is under way.")
    row.counts = {name: value for name, value in row.counts.items() if name != "cancelled"}  # that was the run before
    row.state, row.progress, row.error, row.finished_at = State.WAITING, 0.0, "", None
    row.save(update_fields=["counts", "state", "progress", "error", "finished_at"])
    ask(row)


def cancel(row: FileImport, who: str) -> None:
    """Stop an import that waits or runs; what was taken of it by then stays. Raises HandInError where it has ended."""
    with transaction.atomic():
        row = FileImport.objects.select_for_update().get(pk=row.pk)
        if row.state == State.RUNNING and under_way([row]):
            row.counts = {**row.counts, "cancelled": who}
            row.save(update_fields=["counts"])
        elif row.state in (State.WAITING, State.RUNNING):
            _end(row, State.FAILED, f"Cancelled by {who}.")
        else:
            raise HandInError("It has ended already.")


# Where things are


def folder_of(row: FileImport) -> Path:
    return Path(settings.DATA_DIR) / "imports" / row.folder


def file_of(row: FileImport) -> Path:
    return folder_of(row) / "file"


def rejects_of(row: FileImport) -> Path:
    return folder_of(row) / "rejected.csv"


def rejected(row: FileImport) -> Iterator[tuple[str, ...]]:
    """Line, field and reason of every line that was not taken. Raises FileNotFoundError once that was pruned."""
    with rejects_of(row).open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        next(lines, None)
        yield from (tuple(line) for line in lines)


def under_way(rows: Iterable[FileImport]) -> set[int]:
    """Those, by primary key, that a worker is at. One whose worker was killed is not, though its row says that it runs."""
    running = [row.pk for row in rows if row.state == State.RUNNING]
    if not running:
        return set()
    try:
        held = releases.redis_client().mget([_lock_name(pk) for pk in running])
    except RedisError:
        return set(running)
    return {pk for pk, holder in zip(running, held, strict=True) if holder is not None}


def _lock_name(pk: int) -> str:
    return f"importing:{pk}"


def prune() -> None:
    """Take away folders that are no longer kept."""
    old = FileImport.objects.exclude(folder="")
    ended = old.filter(finished_at__lt=timezone.now() - KEPT)
    for row in ended:
        shutil.rmtree(folder_of(row), ignore_errors=True)
    ended.update(folder="")
    given_up = old.filter(state=State.WAITING, started_at__lt=timezone.now() - SENT_WITHIN)
    for row in (row for row in given_up if not is_whole(row)):  # PostgreSQL compares no number in JSON with a column
        _end(row, State.FAILED, "The file was not sent to its end.")


# Importing


def run(pk: int) -> bool:
    """Import a file that waits, on its row; whether it was this process that did. What went wrong is told there."""
    row = FileImport.objects.select_related("shop", "by").filter(pk=pk).first()
    if row is None or not is_whole(row):
        return False
    lock = releases.redis_client().lock(_lock_name(pk), timeout=LOCK_S, blocking=False, thread_local=False)
    if not lock.acquire():
        return False
    with renewed(lock, every=LOCK_S / 3):
        row.refresh_from_db()
        if row.state not in (State.WAITING, State.RUNNING):
            return False
        row.state, row.progress, row.error = State.RUNNING, 0.0, ""
        row.save(update_fields=["state", "progress", "error"])
        try:
            report = _import(row, _teller(row))
        except _Cancelled:
            row.refresh_from_db()
            _end(row, State.FAILED, f"Cancelled by {row.counts.get('cancelled', 'somebody')}; what was taken by then stays.")
        except (FileError, EventError) as error:
            _end(row, State.FAILED, str(error).replace(str(file_of(row)), row.name))
        except Exception as error:
            _end(row, State.FAILED, f"Something failed here ({type(error).__name__}); it was logged.", keep=True)
            raise
        else:
            _tell_report(row, report)
    return True


def _teller(row: FileImport) -> Callable[[int, int, int], None]:
    told = 0.0

    def tell(done: int, size: int, records: int) -> None:
        nonlocal told
        if time.monotonic() - told < TELL_S:
            return
        told = time.monotonic()
        FileImport.objects.filter(pk=row.pk).update(progress=min(done / max(size, 1), 1.0))
        counts = FileImport.objects.values_list("counts", flat=True).get(pk=row.pk)
        if "cancelled" in counts:
            raise _Cancelled

    return tell


def _import(row: FileImport, tell: Callable[[int, int, int], None]) -> ImportReport:
    path, rejects = file_of(row), rejects_of(row)
    if row.counts.get("check"):
        return _check(row, tell)
    if row.kind == Kind.ITEMS:
        return import_catalogue(row.shop, path, rejects=rejects, progress=tell)
    if row.kind == Kind.EVENTS:
        report = import_events(row.shop, path, now=timezone.now(), rejects=rejects, progress=tell)
        daily.recount(row.shop, origins=(Origin.IMPORT,))
        return report
    return _import_clusters(row, tell)


def _import_clusters(row: FileImport, tell: Callable[[int, int, int], None], *, check: bool = False) -> ImportReport:
    by = Actor(ClusterChange.Actor.IMPORT, user=row.by, who=row.name)
    return import_clusters(row.shop, file_of(row), by=by, rejects=rejects_of(row), progress=tell, check=check)


def _check(row: FileImport, tell: Callable[[int, int, int], None]) -> ImportReport:
    """What an import would take and reject; nothing is changed by it."""
    if row.kind == Kind.CLUSTERS:
        return _import_clusters(row, tell, check=True)
    batches = Batches(file_of(row), rejects=rejects_of(row), progress=tell)
    reader = EventRecords(now=time.time())
    for batch in batches:
        ids: list[str] = []
        items: set[str] = set()
        for record in batch:
            try:
                if row.kind == Kind.ITEMS:
                    ids.append(item_fields(record.values)["external_id"])
                else:
                    event = reader.read(record.values)
                    ids.append(event.event_id)
                    items.update(event.items)
            except EventError as error:
                batches.reject(record.line, error.field, error.reason)
        if row.kind == Kind.ITEMS:
            known = len(Item.objects.ids_of(row.shop, set(ids)))
            batches.report.known += known
            batches.report.added += len(set(ids)) - known
        else:
            batches.report.added += len(ids)
            if items and (lacking := len(items) - len(Item.objects.ids_of(row.shop, items))):
                batches.report.notes = [f"some items are not in the catalogue ({lacking:,} of the last part read)"]
    return batches.report


def _tell_report(row: FileImport, report: ImportReport) -> None:
    row.refresh_from_db()
    row.counts = {
        **row.counts,
        "read": report.read,
        "added": report.added,
        "known": report.known,
        "notes": report.notes[:20],
        "rejects": [list(reject) for reject in report.rejects],
    }
    row.rejected = report.rejected
    if report.failed:
        _end(row, State.FAILED, report.broke or "Nothing of it could be taken.")
    else:
        row.progress = 1.0
        _end(row, State.DONE, "")


def _end(row: FileImport, state: str, error: str, *, keep: bool = False) -> None:
    """keep : the file, so that the import can be tried again."""
    row.state, row.error, row.finished_at = state, error, timezone.now()
    row.save(update_fields=["state", "error", "finished_at", "counts", "rejected", "progress"])
    if not keep:
        file_of(row).unlink(missing_ok=True)
