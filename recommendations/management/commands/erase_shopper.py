"""`manage.py erase_shopper SHOP ID --yes`: everything held of a shopper, deleted in every store."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommendations import rights
from recommendations.management.training_command import shop_of
from recommendations.serving.problems import Problem


class Command(BaseCommand):
    help = "Delete everything that is held of a shopper, in the database and in Redis. It can't be undone."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="the shop's slug")
        parser.add_argument("shopper", help="the shopper's id, or that of a guest merged into them")
        parser.add_argument("--yes", action="store_true", help="do it")

    def handle(self, *, shop: str, shopper: str, yes: bool, **options: Any) -> None:
        row = shop_of(shop)
        if not yes:
            raise CommandError("this can't be undone; say --yes to do it (manage.py export_shopper shows what would go)")
        try:
            done = rights.erase(row, shopper, by="manage.py")
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        self.stdout.write("Erased: " + ", ".join(f"{count} {what}" for what, count in done.counts.items()) + ".")
