"""`manage.py train SHOP`: from the archived log to an active release."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from personas.models import Shop
from recommendations.releases import ReleaseError
from recommendations.runs import TrainingBusy, train_shop


class Command(BaseCommand):
    help = "Train a shop's personas, clusters and ranking from its log, and activate the release."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same release")
        parser.add_argument("--quick", action="store_true", help="bound the work; the nightly training takes its time")

    def handle(self, *, shop: str, seed: int, quick: bool, **options: Any) -> None:
        row = Shop.objects.filter(slug=shop).first()
        if row is None:
            known = ", ".join(Shop.objects.values_list("slug", flat=True)) or "none yet: run manage.py setup_demo"
            raise CommandError(f"there is no shop {shop!r}; there are: {known}")
        columns = TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn()
        console = Console(stderr=True)
        try:
            with Progress(*columns, console=console) as bar:
                task = bar.add_task("reading", total=1.0)
                told = {"stage": ""}

                def progress(stage: str, share: float) -> None:
                    bar.update(task, description=stage, completed=share)
                    if not console.is_terminal and stage != told["stage"]:
                        told["stage"] = stage
                        console.print(f"training {shop}: {stage}")

                release = train_shop(row, seed=seed, quick=quick, progress=progress)
                bar.update(task, description="done", completed=1.0)
        except (TrainingBusy, ReleaseError, ValueError) as error:
            raise CommandError(str(error)) from error
        m = release.metrics
        self.stdout.write(
            f"{row.name}: release {release.number} is active. {m['events']:,} events of {m['sessions']:,} sessions, "
            f"{m['items']:,} items, {m['clusters']} clusters, {m['personas']} personas, in {m['seconds']} s."
        )
