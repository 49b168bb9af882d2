"""Imports: what the three of them share (report, fields, batches), and shoppers with their demographics."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from personas.events import EventError, check_id
from personas.files import Record, RecordFile, Reject
from personas.models import Shop, Shopper, in_chunks

BATCH = 5_000
"""Records written in one transaction: what an import holds in memory, whatever the file's size."""

SHOWN_REJECTS = 20

WRITTEN_REJECTS = 1_000_000
"""Rejects in the file of them: a packed file of bad lines could otherwise fill the disk with their reasons."""

MAX_DEMOGRAPHICS = 40
MAX_WORD = 64

shoppers_changed = Signal()
"""Sent with `shop` and `external_ids` once shoppers who were known before are in the database as they are now."""

Progress = Callable[[int, int, int], None]
"""Called as (bytes read, bytes in all, records read)."""

_TRUE = frozenset({"1", "true", "yes", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "n", "f"})
_DECIMAL_COMMA = re.compile(r"\s*[+-]?(\d+|\d{1,3}(\.\d{3})+),\d{1,2}\s*")
"""9,50 and 1.234,50, as most of Europe's spreadsheets write numbers; 1,234 could be either, so it isn't taken."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass
class ImportReport:
    """How an import went.

    read : records read.  added : rows that are new.  known : records whose row was there already (updated, where
    the import updates).  rejected : lines not taken, of which `rejects` holds the first 20.
    broke : why the file ended early, "" if it didn't.  notes : what else is worth telling.
    """

    read: int = 0
    added: int = 0
    known: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)
    broke: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """True if the file broke off or nothing of it could be taken."""
        return bool(self.broke) or self.added + self.known == 0


class Batches:
    """A file's records in batches, with every rejected line counted on the report and, the first million, in the rejects file."""

    def __init__(self, path: Path, *, rejects: Path | None = None, progress: Progress | None = None) -> None:
        self.report = ImportReport()
        self.columns: tuple[str, ...] = ()
        self._path, self._rejects_path, self._progress = path, rejects, progress
        self._write: Callable[[Reject], Any] | None = None

    def __iter__(self) -> Iterator[list[Record]]:
        """Lists of at most `BATCH` records. Raises FileError."""
        with ExitStack() as stack:
            file = stack.enter_context(RecordFile(self._path))
            if self._rejects_path is not None:
                stream = stack.enter_context(self._rejects_path.open("w", newline="", encoding="utf-8", errors="replace"))
                self._write = csv.writer(stream).writerow
                csv.writer(stream).writerow(Reject._fields)
            batch: list[Record] = []
            for entry in file:
                self.columns = file.columns
                self.report.read += 1
                if isinstance(entry, Reject):
                    self.reject(entry.line, entry.field, entry.reason)
                else:
                    batch.append(entry)
                if len(batch) == BATCH:
                    yield batch
                    batch = []
                if self.report.read % BATCH == 0:  # whatever becomes of the lines: who waits may cancel a file of bad ones too
                    self._tell(file)
            self.report.broke = file.broke
            if batch:
                yield batch
            self._tell(file)

    def reject(self, line: int, field: str, reason: str) -> None:
        """Put a line on the report."""
        self.report.rejected += 1
        entry = Reject(line, field, reason)
        if len(self.report.rejects) < SHOWN_REJECTS:
            self.report.rejects.append(entry)
        if self._write and self.report.rejected <= WRITTEN_REJECTS:
            self._write(entry)

    def _tell(self, file: RecordFile) -> None:
        if self._progress:
            self._progress(file.done, file.size, self.report.read)


def renamed(values: Mapping[str, object], aliases: Mapping[str, str]) -> dict[str, object]:
    """Values under our names of their columns; where several names of one are present, ours wins, then the alias listed first."""
    if aliases.keys().isdisjoint(values):
        return dict(values)
    ours = {ours: values[theirs] for theirs, ours in reversed(list(aliases.items())) if theirs in values}
    return {**ours, **{k: v for k, v in values.items() if k not in aliases}}


def text_of(name: str, value: object, limit: int) -> str:
    """A value as trimmed text without control characters; "" where there is none. Raises EventError."""
    if value is None:
        return ""
    if type(value) is str and len(value) <= limit and value.isprintable():  # nearly every value, and much the fastest
        return value.strip()
    if isinstance(value, dict | list):
        raise EventError(name, "must be text")
    text = _CONTROL.sub(" ", str(value)).strip()
    if len(text) > limit:
        raise EventError(name, f"has {len(text)} characters, more than {limit}")
    try:
        text.encode()
    except UnicodeEncodeError:  # half a pair, which JSON can write and neither a database nor Redis takes
        raise EventError(name, "is not valid Unicode") from None
    return text


def number_of(name: str, value: object, *, low: float = 0.0, high: float = 1e9) -> float | None:
    """A finite number in [low, high] from text or a number; None where there is none. Raises EventError."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and "," in value and _DECIMAL_COMMA.fullmatch(value):
        value = value.replace(".", "").replace(",", ".")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise EventError(name, f"{_show(value)} is not a number") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise EventError(name, f"{_show(value)} is not a finite number")
    if not low <= number <= high:
        raise EventError(name, f"{_show(value)} is outside {low:g} to {high:g}")
    return number


def flag_of(name: str, value: object) -> bool | None:
    """True or false from yes/no, true/false, 1/0; None where there is none. Raises EventError."""
    if value is None or value == "":
        return None
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise EventError(name, f"{_show(value)} is neither true nor false")
    return word in _TRUE


def words_of(values: Mapping[str, object], *, limit: int, most: int) -> dict[str, str]:
    """Free columns as words, those without a value left out. Raises EventError on more than `most`, or one too long."""
    words = {text_of("line", key, MAX_WORD): text_of(key[:MAX_WORD], value, limit) for key, value in values.items()}
    kept = {key: word for key, word in words.items() if key and word}
    if len(kept) > most:
        raise EventError("line", f"has {len(kept)} further columns, more than {most}")
    return kept


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


USER_ALIASES = {
    "user": "user_id",
    "userid": "user_id",
    "shopper_id": "user_id",
    "customer_id": "user_id",
    "customerid": "user_id",
    "visitor_id": "user_id",
    "consent_demographics": "consent",
}


@dataclass(frozen=True, slots=True)
class _User:
    external_id: str
    consent: bool | None
    demographics: dict[str, str]


def import_users(
    shop: Shop,
    path: Path,
    *,
    now: datetime,
    consent: bool = False,
    rejects: Path | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Shoppers by external id. Every column but `user_id` and `consent` is a demographic.

    consent : the shop states that all of the file's shoppers consented; a `consent` column that says no wins.
    Without consent a shopper is kept and the demographics are not; a stated "no" withdraws an earlier yes and clears them.
    Raises FileError.
    """
    batches = Batches(path, rejects=rejects, progress=progress)
    withheld = 0
    for batch in batches:
        users: dict[str, _User] = {}
        for record in batch:
            try:
                user = _user(record.values, consent)
            except EventError as error:
                batches.reject(record.line, error.field, error.reason)
                continue
            withheld += bool(user.demographics) and not user.consent
            users[user.external_id] = user
        with transaction.atomic():
            known = _write_users(shop, users, now)
        if known:
            shoppers_changed.send(sender=Shopper, shop=shop, external_ids=known)
        batches.report.added += len(users) - len(known)
        batches.report.known += len(known)
    if withheld:
        batches.report.notes.append(
            f"{withheld:,} shoppers without recorded consent: their demographics were not kept "
            "(add a consent column, or --consent if all of them consented)"
        )
    return batches.report


def _user(raw: Mapping[str, object], everyone: bool) -> _User:
    values = renamed(raw, USER_ALIASES)
    external_id = check_id("user_id", _trimmed(values.pop("user_id", None)))
    stated = flag_of("consent", values.pop("consent", None))
    demographics = words_of(values, limit=MAX_WORD, most=MAX_DEMOGRAPHICS)
    return _User(external_id, stated if stated is not None else everyone or None, demographics)


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _write_users(shop: Shop, users: Mapping[str, _User], now: datetime) -> list[str]:
    """Upsert; ids of those who were known. A shopper of whose consent nothing is said keeps what is recorded."""
    known: dict[str, Shopper] = {}
    for chunk in in_chunks(users):
        known.update((s.external_id, s) for s in Shopper.objects.filter(shop=shop, external_id__in=chunk))
    changed: list[Shopper] = []
    for external_id, user in users.items():
        shopper = known.get(external_id) or Shopper(shop=shop, external_id=external_id)
        if user.consent is not None:
            shopper.consent_at = (shopper.consent_at or now) if user.consent else None
            shopper.consent_demographics = user.consent
            shopper.demographics = user.demographics if user.consent else {}
        changed.append(shopper)
    fields = ["consent_demographics", "consent_at", "demographics"]
    Shopper.objects.bulk_create([s for s in changed if s.pk is None], batch_size=BATCH)
    Shopper.objects.bulk_update([s for s in changed if s.pk is not None], fields, batch_size=200)
    return list(known)
