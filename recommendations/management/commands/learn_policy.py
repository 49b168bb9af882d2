"""`manage.py learn_policy SHOP`: learn from what decisions led to, and judge. Exit code 2 where another worker is at it."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.learning.policies import Ended, learn_policy
from recommendations.management.training_command import shop_of, told_on_console

BUSY = 2


class Command(BaseCommand):
    help = "Credit a shop's decisions, learn a policy from them, judge it by the gate, and let it serve if it may."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument(
            "--at-once",
            action="store_true",
            help="don't wait until there is more to learn from; each look of the gate makes the next ones stricter",
        )

    def handle(self, *, shop: str, at_once: bool, **options: Any) -> None:
        row = shop_of(shop)
        with told_on_console(f"learning of {shop}") as progress:
            outcome = learn_policy(row, at_once=at_once, progress=progress)
        if outcome.ended is not Ended.DONE:
            raise CommandError(f"{row.name}: {outcome.told}", returncode=BUSY if outcome.ended is Ended.BUSY else 1)
        made = outcome.candidate
        if made is not None:
            learned = made.learned
            late = f", {learned['late']:,} of which came in too late to tell" if learned.get("late") else ""
            self.stdout.write(f"{row.name}: learned from {learned['credited']:,} decisions of {learned['decisions']:,}{late}.")
        self.stdout.write(f"{row.name}: {outcome.told}")
