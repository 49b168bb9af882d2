"""`manage.py visitors SHOP`: simulated visitors come in through the public doors, marked as such, for some minutes."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from recommendations.management.training_command import shop_of
from recommendations.visitors.running import resume, run
from recommendations.visitors.standing import MOST_MINUTES, MOST_PER_MINUTE, VisitorsError


class Command(BaseCommand):
    help = "Let simulated visitors into a shop through its public doors, so that its dashboards live."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument("--per-minute", type=int, default=6, help=f"how many come a minute, at most {MOST_PER_MINUTE}")
        parser.add_argument("--minutes", type=int, default=10, help=f"for how long, at most {MOST_MINUTES}")
        parser.add_argument("--resume", action="store_true", help="go on with those whose process ended before their time")
        parser.add_argument(
            "--asked", action="store_true", help="they were asked for in the admin, and may have been stopped since"
        )
        parser.add_argument("--url", default=settings.VISITORS_URL, help="the installation's address (VISITORS_URL)")
        parser.add_argument("--seed", type=int, help="of the crowd; by default another each time")
        parser.add_argument("--pace", type=float, default=1.0, help="by which the visitors' times are multiplied")

    def handle(self, *, shop: str, per_minute: int, minutes: int, url: str, seed: int | None, pace: float, **how: Any) -> None:
        row = shop_of(shop)
        try:
            if how["resume"]:
                came = resume(row, base=url, seed=seed, pace=pace)
            else:
                came = run(row, base=url, per_minute=per_minute, minutes=minutes, seed=seed, pace=pace, asked=how["asked"])
        except VisitorsError as error:
            raise CommandError(str(error)) from error
        if came is not None:
            told = f", {came.failed} of which came to nothing" if came.failed else ""
            ended = f" It ended early: {came.told}." if came.told else ""
            self.stdout.write(f"{row.name}: {came.visits} simulated visits{told}; {came.bought} bought something.{ended}")
