"""What the import commands share: arguments, the progress bar, the report, the exit code."""

from __future__ import annotations

import abc
import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from personas.files import FileError
from personas.importing import ImportReport, Progress
from personas.models import Shop

SILENT_S = 5.0
"""Between the lines of progress where standard error is no terminal."""


class ImportCommand(BaseCommand, abc.ABC):
    """An import of one file into one shop. Exit code 1 if the file broke off or nothing of it could be taken."""

    noun = "records"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument("file", type=Path, help="CSV or JSON lines, gzip'd or not")
        parser.add_argument("--rejects", type=Path, metavar="FILE", help="write all rejected lines to this CSV")

    @abc.abstractmethod
    def run_import(self, shop: Shop, file: Path, progress: Progress, options: dict[str, Any]) -> ImportReport:
        """Import `file` into `shop`, telling `progress`; what was read, taken and rejected."""

    def handle(self, *, shop: str, file: Path, **options: Any) -> None:
        row = find_shop(shop)
        started = time.perf_counter()
        try:
            with shown_progress(self.noun) as progress:
                report = self.run_import(row, file, progress, options)
        except (FileError, OSError) as error:
            raise CommandError(str(error)) from error
        self.tell(report, time.perf_counter() - started, options["rejects"])
        if report.failed:
            raise CommandError(report.broke or f"nothing in {file} could be taken")

    def tell(self, report: ImportReport, seconds: float, rejects: Path | None) -> None:
        """The report, for people: counts on standard output, rejected lines on standard error."""
        self.stdout.write(
            f"{report.read:,} {self.noun} read in {seconds:.1f} s: {report.added:,} new, {report.known:,} known already, "
            f"{report.rejected:,} lines rejected."
        )
        for note in report.notes:
            self.stdout.write(f"Note: {note}.")
        for line, field, reason in report.rejects:
            self.stderr.write(f"line {line}: {field + ' ' if field else ''}{reason}")
        if report.rejected > len(report.rejects):
            rest = f"{report.rejected - len(report.rejects):,} more"
            self.stderr.write(f"{rest}, in {rejects}" if rejects else f"{rest}; --rejects FILE writes all of them")


def find_shop(slug: str) -> Shop:
    """The shop of a slug. Raises CommandError, naming those that exist."""
    shop = Shop.objects.filter(slug=slug).first()
    if shop is None:
        known = ", ".join(Shop.objects.values_list("slug", flat=True))
        raise CommandError(f"there is no shop {slug!r}; " + (f"there are: {known}" if known else "none exists yet"))
    return shop


@contextmanager
def shown_progress(noun: str) -> Iterator[Progress]:
    """A progress bar on standard error, or a line every few seconds where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told = time.monotonic()

        def line(done: int, size: int, records: int) -> None:
            nonlocal told
            if time.monotonic() - told >= SILENT_S:
                told = time.monotonic()
                console.print(f"{records:,} {noun}, {100 * done // max(size, 1)} %")

        yield line
        return
    columns = TextColumn("{task.fields[records]:>11,} " + noun), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("", total=None, records=0)

        def move(done: int, size: int, records: int) -> None:
            bar.update(task, total=max(size, 1), completed=done, records=records)

        yield move
