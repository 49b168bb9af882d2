"""`manage.py import_events SHOP FILE`: past sessions into the archived activity log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.utils import timezone

from clusters.importing import import_events
from personas.importing import ImportReport, Progress
from personas.management.import_command import ImportCommand
from personas.models import Shop


class Command(ImportCommand):
    help = (
        "Import events. Columns: session_id, event_type, item_id, timestamp or position, and any of event_id, user_id, "
        "price, quantity, dwell_seconds, search_term, country, device and further context. Import the catalogue first."
    )
    noun = "events"

    def run_import(self, shop: Shop, file: Path, progress: Progress, options: dict[str, Any]) -> ImportReport:
        return import_events(shop, file, now=timezone.now(), rejects=options["rejects"], progress=progress)
