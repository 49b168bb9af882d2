"""`manage.py setup_demo SHOP`: a demo shop and the merchandiser who looks after it. Repeated, it does nothing."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from personas.management.import_command import shown_progress
from recommendations import demo


class Command(BaseCommand):
    help = "Import a demo shop from the data that ships with the project, or simulate its log, and create its merchandiser."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="fashion, gifts or outfitter")
        parser.add_argument(
            "--password-file", type=Path, help="file with the merchandiser's password; without it one is made and printed once"
        )

    def handle(self, *, shop: str, password_file: Path | None, **options: Any) -> None:
        password = "" if password_file is None else read_password(password_file)
        try:
            reports = demo.set_up(root=Path(settings.BASE_DIR) / "data", slug=shop, now=timezone.now(), shown=shown_progress)
        except demo.DemoError as error:
            raise CommandError(str(error)) from error
        for name, report in reports.items():
            self.stdout.write(f"{shop}: {report.added + report.known:,} {name}, {report.rejected:,} lines rejected")
        users = get_user_model()
        if password:
            demo.merchandiser(users, password)
        elif not users._default_manager.filter(username=demo.USER).exists():
            password = secrets.token_urlsafe(9)
            demo.merchandiser(users, password)
            self.stdout.write(f"Merchandiser's login: {demo.USER} / {password}")


def read_password(path: Path) -> str:
    """The password that a file holds. Raises CommandError if there is none."""
    try:
        password = path.read_text().strip()
    except OSError as error:
        raise CommandError(f"can't read {path}: {error.strerror}") from error
    if not password:
        raise CommandError(f"{path} is empty; write the merchandiser's password into it")
    return password
