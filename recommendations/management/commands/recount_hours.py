"""`manage.py recount_hours SHOP`: what the desk tells by the hour and by the day, counted again from the archive."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations import daily, hourly
from recommendations.management.training_command import shop_of


class Command(BaseCommand):
    help = "Count what happened, by the hour and by the day, from the archive anew: after an upgrade from before that, say."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", metavar="SHOP", help="slug of the shop")
        parser.add_argument("--days", type=int, metavar="N", help="the last N days only; all of the archive if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        shop = shop_of(options["shop"])
        days = options["days"]
        if days is not None and days < 1:
            raise CommandError("--days must be 1 or more.")
        since = dt.datetime.now(dt.UTC) - dt.timedelta(days=days) if days is not None else None
        rows, by_day = hourly.recount(shop, since), daily.recount(shop, since)
        kept = "What is told of personas is kept as it was counted live."
        self.stdout.write(f"{shop}: {rows:,} counts by the hour, {by_day:,} by the day. {kept}")
