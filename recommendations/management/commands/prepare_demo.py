"""`manage.py prepare_demo SHOP`: a demo shop from nothing to its first release. Repeated, it does what is left to do."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError

from personas.models import Shop
from recommendations import releases
from recommendations.visitors.week import SESSIONS


class Command(BaseCommand):
    help = "Set up a demo shop and train its first release, quickly, unless it has one; a simulated shop gets a simulated week."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("shop", help="fashion, gifts or outfitter")
        parser.add_argument("--password-file", help="as for setup_demo")
        parser.add_argument("--visits", type=int, default=SESSIONS, help="of the simulated week")

    def handle(self, *, shop: str, password_file: str | None, visits: int, **options: Any) -> None:
        forget_failure(shop)  # of the last time: whoever waits is told of this one
        try:
            call_command("setup_demo", shop, *(["--password-file", password_file] if password_file else []))
            row = Shop.objects.get(slug=shop)
            try:
                releases.load_active(row.pk)
            except releases.ReleaseError:
                call_command("train", shop, "--quick")
        except Exception as error:
            # Its page says so to who waits there; the log has the traceback.
            for row in Shop.objects.filter(slug=shop):
                row.settings = {**row.settings, "preparing_failed": f"{type(error).__name__}: {error}"[:300]}
                row.save(update_fields=["settings"])
            if isinstance(error, CommandError):
                raise
            raise CommandError(f"{shop} could not be prepared: {type(error).__name__}: {error}") from error
        if row.settings.get("simulated") is True:
            self._week(shop, visits)

    def _week(self, shop: str, visits: int) -> None:
        """The shop serves already: a week that can't be simulated leaves the inbox of proposals empty, and no more."""
        try:
            call_command("simulate_week", shop, sessions=visits)
        except (CommandError, RedisError, releases.ReleaseError) as error:
            self.stderr.write(f"no week was simulated: {error}")


def forget_failure(slug: str) -> None:
    for row in Shop.objects.filter(slug=slug, settings__has_key="preparing_failed"):
        row.settings = {name: value for name, value in row.settings.items() if name != "preparing_failed"}
        row.save(update_fields=["settings"])
