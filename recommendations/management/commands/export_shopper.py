"""`manage.py export_shopper SHOP ID`: everything held of a shopper, as JSON."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from personas.models import Shopper
from recommendations import audit
from recommendations.exporting import export
from recommendations.management.training_command import shop_of
from recommendations.serving.problems import Problem


class Command(BaseCommand):
    help = "Write everything that is held of a shopper, as one JSON document, to hand over."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument("shopper", help="the shopper's id, or that of a guest merged into them")
        parser.add_argument("--output", default="", help="a new file, readable by its owner only; the terminal if left out")

    def handle(self, *, shop: str, shopper: str, output: str, **options: Any) -> None:
        try:
            row = shop_of(shop)
            text = json.dumps(export(row, shopper), indent=2, ensure_ascii=False)
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        audit.record(audit.SYSTEM, audit.EXPORTED, shop=row, model=Shopper, what="Everything held of a shopper, by manage.py.")
        if not output:
            self.stdout.write(text)
            return
        try:
            with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise CommandError(f"{output} can't be written: {error.strerror}") from error
        self.stdout.write(f"Written to {output}.")
