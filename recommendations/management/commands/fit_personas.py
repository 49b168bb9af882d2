"""`manage.py fit_personas SHOP`: the active release with its personas fitted anew."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from recommendations import fit_reports
from recommendations.management.training_command import shop_of, told_on_console
from recommendations.runs import fit_personas


class Command(BaseCommand):
    help = "Fit a shop's personas anew on its log and the published version, and activate the release."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")

    def handle(self, *, shop: str, **options: Any) -> None:
        row = shop_of(shop)
        with told_on_console(f"fitting the personas of {shop}") as progress:
            release = fit_personas(row, progress=progress)
        self.stdout.write(f"{row.name}: release {release.number} is active.")
        for line in fit_reports.sentences(release.training_runs.latest("pk").report):
            self.stdout.write(f"  {line}")
