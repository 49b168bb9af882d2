"""`manage.py backup FILE.tar`: everything that matters in one file, while the installation runs or not."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recsite import backup
from recsite.embedded import ServerFailed
from recsite.maintenance import redis_running_or_not
from recsite.supervisor import CannotRun


class Command(BaseCommand):
    help = "Write database, releases, session states and activity log to one tar file. The installation may be running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *, file: Path, **_: Any) -> None:
        try:
            with redis_running_or_not() as client:
                backup.make(file, client, self.stdout.write)
        except (backup.BackupError, CannotRun, ServerFailed, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Backup in {file}, {file.stat().st_size / 1e6:.1f} MB. It holds secrets: keep it where others can't read it."
        )
