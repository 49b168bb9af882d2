"""`manage.py train SHOP`: from the archived log to an active release."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from recommendations.management.training_command import shop_of, told_on_console
from recommendations.runs import train_shop


class Command(BaseCommand):
    help = "Train a shop's personas, clusters and ranking from its log, and activate the release."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same release")
        parser.add_argument("--quick", action="store_true", help="bound the work; the nightly training takes its time")

    def handle(self, *, shop: str, seed: int, quick: bool, **options: Any) -> None:
        row = shop_of(shop)
        with told_on_console(f"training {shop}") as progress:
            release = train_shop(row, seed=seed, quick=quick, progress=progress)
        m = release.metrics
        self.stdout.write(
            f"{row.name}: release {release.number} is active. {m['events']:,} events of {m['sessions']:,} sessions, "
            f"{m['items']:,} items, {m['clusters']} clusters, {m['personas']} personas, in {m['seconds']} s."
        )
