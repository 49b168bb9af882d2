"""`manage.py import_catalogue SHOP FILE`: items, added or updated by their external id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clusters.importing import import_catalogue
from personas.importing import ImportReport, Progress
from personas.management.import_command import ImportCommand
from personas.models import Shop


class Command(ImportCommand):
    help = (
        "Import items. Columns: item_id, and any of title, description, category, brand, colour, price, currency, "
        "tags, image_url, in_stock; every other column is kept as an attribute."
    )
    noun = "items"

    def run_import(self, shop: Shop, file: Path, progress: Progress, options: dict[str, Any]) -> ImportReport:
        return import_catalogue(shop, file, rejects=options["rejects"], progress=progress)
