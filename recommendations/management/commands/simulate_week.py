"""`manage.py simulate_week SHOP`: a simulated week for a shop whose shoppers are simulated, and what learning makes of it."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations.management.training_command import shop_of, told_on_console
from recommendations.visitors.standing import VisitorsError
from recommendations.visitors.week import SESSIONS, simulate_week


class Command(BaseCommand):
    help = (
        "Let simulated shoppers live through the week before the last Monday in a shop whose shoppers are simulated, learn from "
        "it, and leave what learning proposes to be decided on. Done before for that week, it does nothing."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug, such as outfitter")
        parser.add_argument("--sessions", type=int, default=SESSIONS, help="visits of the week")

    def handle(self, *, shop: str, sessions: int, **options: Any) -> None:
        row = shop_of(shop)
        with told_on_console(f"a simulated week of {shop}") as progress:
            try:
                run = simulate_week(row, sessions=sessions, progress=progress)
            except VisitorsError as error:
                raise CommandError(str(error)) from error
        if run is None:
            self.stdout.write(f"{row.name}: the week before the last Monday was simulated already.")
        else:
            told = f"{sessions:,} simulated visits, {run.found.decisions:,} decisions judged; {run.opened:,} new proposals"
            self.stdout.write(f"{row.name}: {told}.")
