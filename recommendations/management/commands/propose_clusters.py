"""`manage.py propose_clusters SHOP`: what decisions say of lasting changes, put into the inbox; nothing is changed."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from recommendations.learning.proposals import propose_cluster_changes
from recommendations.management.training_command import shop_of, told_on_console


class Command(BaseCommand):
    help = "Judge what a shop's decisions say of lasting changes of its clusters, and leave proposals to be decided on."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")

    def handle(self, *, shop: str, **options: Any) -> None:
        row = shop_of(shop)
        with told_on_console(f"judging the clusters of {shop}") as progress:
            progress("judging", 0.0)
            run = propose_cluster_changes(row)
        found = run.found
        self.stdout.write(
            f"{row.name}: {found.decisions:,} decisions of {found.sessions:,} visits, {found.tests:,} comparisons. "
            f"{run.opened:,} new proposals, {run.kept:,} judged anew, "
            f"{run.blocked:,} blocked by a bound, {run.stale:,} no longer so."
        )
