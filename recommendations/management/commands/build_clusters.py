"""`manage.py build_clusters SHOP`: clusters built anew, compared with those that serve, and activated if asked for."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations import cluster_reports
from recommendations.cluster_runs import activate_build, build_clusters
from recommendations.management.training_command import shop_of, told_on_console
from recommendations.releases import ReleaseError


class Command(BaseCommand):
    help = "Build a shop's item clusters anew from its log, tell what they change, and leave them to be activated."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument("--full", action="store_true", help="read the whole log, and choose anew how fine clusters are")
        parser.add_argument("--activate", action="store_true", help="let them serve at once")

    def handle(self, *, shop: str, full: bool, activate: bool, **options: Any) -> None:
        row = shop_of(shop)
        with told_on_console(f"building the clusters of {shop}") as progress:
            run = build_clusters(row, incremental=not full, progress=progress)
        for line in cluster_reports.sentences(run.report["clusters"]):
            self.stdout.write(f"  {line}")
        for line in cluster_reports.counted_sentences(run.report["statistics"], run.report["seconds"]):
            self.stdout.write(f"  {line}")
        release = run.release
        if activate:
            try:
                release = activate_build(run)
            except ReleaseError as error:
                raise CommandError(str(error)) from error
        assert release is not None, "a build that ends names its release"
        ready = "is active" if activate else "is ready: activate it under Releases in the admin, or build with --activate"
        self.stdout.write(f"{row.name}: release {release.number} {ready}.")
