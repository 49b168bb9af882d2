"""Run as a program by the browser tests: a demo shop from the first of the real sessions, and its trained release."""

from __future__ import annotations

import gzip
import itertools
import sys
from pathlib import Path

import django

LINES = 6_000
PASSWORD = "of the browser's merchandiser"


def main(folder: Path) -> None:
    """Make tables, shop and release in the installation that the environment names. folder : for the shortened log."""
    django.setup()
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from personas.models import Shop
    from recommendations.demo import merchandiser, write_personas

    data = Path(settings.BASE_DIR) / "data" / "fashion"
    shortened = folder / "events.csv"
    with gzip.open(data / "events.csv.gz", "rt") as whole, shortened.open("w") as part:
        part.writelines(itertools.islice(whole, LINES))
    call_command("migrate", verbosity=0)
    shop = Shop.objects.create(slug="fashion", name="Fashion", currency="USD", demo=True)
    write_personas(shop, data / "personas.json")
    call_command("import_catalogue", "fashion", str(data / "items.csv.gz"))
    call_command("import_events", "fashion", str(shortened))
    call_command("train", "fashion")
    merchandiser(get_user_model(), PASSWORD)
    Shop.objects.create(slug="waiting", name="Waiting", currency="USD", demo=True, settings={"preparing": True})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
