"""`manage.py restore FILE.tar`: the way back from `manage.py backup`, while the installation is stopped."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recsite import backup
from recsite.embedded import ServerFailed
from recsite.maintenance import redis_at_rest
from recsite.supervisor import CannotRun


class Command(BaseCommand):
    help = "Put back a backup. Verified before anything is touched; refuses to replace an installation without --force."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--force", action="store_true", help="replace what this installation holds")

    def handle(self, *, file: Path, force: bool, **_: Any) -> None:
        try:
            with redis_at_rest() as client:
                backup.restore(file, client, self.stdout.write, force=force)
        except (backup.BackupError, CannotRun, ServerFailed) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Restored. Start the installation again: make run")
