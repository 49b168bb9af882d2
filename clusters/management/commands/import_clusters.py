"""`manage.py import_clusters SHOP FILE`: a shop's own clusters, made or brought in line with the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clusters.cluster_files import import_clusters
from clusters.lineage import Actor
from clusters.models import ClusterChange
from personas.importing import ImportReport, Progress
from personas.management.import_command import ImportCommand
from personas.models import Shop


class Command(ImportCommand):
    help = (
        "Import clusters. CSV columns: cluster (a name) or cluster_id, item_id, and weight (0 to 1) and core (yes or no) where "
        'wanted. JSON, lines or one array: {"name", "items": ["sku", {"item_id", "weight", "core"}], "locked", '
        '"minimum_size", "maximum_size"}. A file says what is in the clusters that it names; others stay as they are.'
    )
    noun = "records"

    def run_import(self, shop: Shop, file: Path, progress: Progress, options: dict[str, Any]) -> ImportReport:
        by = Actor(ClusterChange.Actor.IMPORT, who=file.name)
        return import_clusters(shop, file, by=by, rejects=options["rejects"], progress=progress)
