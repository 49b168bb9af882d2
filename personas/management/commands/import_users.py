"""`manage.py import_users SHOP FILE`: shoppers, and their demographics where consent is recorded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.utils import timezone

from personas.importing import ImportReport, Progress, import_users
from personas.management.import_command import ImportCommand
from personas.models import Shop


class Command(ImportCommand):
    help = "Import shoppers. Columns: user_id, consent (true or false); every other column is a demographic."
    noun = "shoppers"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--consent", action="store_true", help="every shopper of the file consented")

    def run_import(self, shop: Shop, file: Path, progress: Progress, options: dict[str, Any]) -> ImportReport:
        return import_users(
            shop, file, now=timezone.now(), consent=options["consent"], rejects=options["rejects"], progress=progress
        )
