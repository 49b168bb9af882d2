"""Many items into the catalogue, from files, feeds and requests: what is there already as it is told is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from django.db import transaction

from clusters.item_records import item_fields
from clusters.models import Item
from clusters.signals import catalogue_changed
from personas.events import EventError
from personas.files import Record, Reject
from personas.models import Shop, in_chunks

BATCH = 500
"""Items written in one transaction: what a killed writer can lose, and what others wait for."""

LISTED = 1_000
"""Rejects that a report lists; all are counted."""


class Written(NamedTuple):
    """External ids of what was new, of what changed, and of what was there already as it was told."""

    added: set[str]
    updated: set[str]
    unchanged: set[str]


@dataclass
class CatalogueReport:
    """How the writing of many items went.

    read : records.  added, updated, unchanged : items.  rejected : records that were not taken, of which `rejects` has the first.
    broke : why the records ended early, "" if they didn't.
    """

    read: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)
    broke: str = ""

    def reject(self, line: int, field: str, reason: str) -> None:
        self.rejected += 1
        if len(self.rejects) < LISTED:
            self.rejects.append(Reject(line, field, reason))

    def as_json(self) -> dict[str, Any]:
        told = asdict(self) | {"rejects": [reject._asdict() for reject in self.rejects]}
        return told if self.broke else {name: value for name, value in told.items() if name != "broke"}


def write_records(
    shop: Shop,
    records: Iterable[Record | Reject],
    *,
    read: Callable[[Mapping[str, object]], dict[str, Any]] = item_fields,
    told: Callable[[CatalogueReport], None] | None = None,
    wrote: Callable[[], None] | None = None,
) -> CatalogueReport:
    """Items by external id, `BATCH` a transaction: new ones are added, known ones take the fields that the record has.

    A record that can't be taken is rejected by its line, the others are kept; of two of one item the later counts. To be run
    again where it broke off: what was written changes nothing then.
    read : a record to the fields of a row.  told : after each batch.  wrote : in the transaction of each that changes
        something.
    """
    report = CatalogueReport()
    batch: dict[str, dict[str, Any]] = {}
    size = 0

    def flush() -> None:
        nonlocal batch, size
        if batch:
            with transaction.atomic():
                written = write_batch(shop, batch)
                if wrote is not None and (written.added or written.updated):
                    wrote()
            _count(report, written)
        batch, size = {}, 0
        if told is not None:
            told(report)

    for entry in records:
        report.read += 1
        if isinstance(entry, Reject):
            report.reject(*entry)
            continue
        try:
            values = read(entry.values)
        except EventError as error:
            report.reject(entry.line, error.field, error.reason)
            continue
        known = batch.get(values["external_id"])
        batch[values["external_id"]] = values if known is None else known | values
        size += 1
        if size == BATCH:
            flush()
    flush()
    if report.added or report.updated:
        catalogue_changed.send(sender=Item, shop_id=shop.pk)
    return report


def _count(report: CatalogueReport, written: Written) -> None:
    report.added += len(written.added)
    report.updated += len(written.updated)
    report.unchanged += len(written.unchanged)


def write_batch(shop: Shop, items: Mapping[str, dict[str, Any]]) -> Written:
    """Upsert of fields by external id, all or nothing. A row that says so already is not written: its time stays, too."""
    with transaction.atomic():
        Shop.objects.select_for_update(no_key=True).get(pk=shop.pk)  # what is new is counted once
        known: dict[str, Item] = {}
        for chunk in in_chunks(items):
            known.update((row.external_id, row) for row in Item.objects.filter(shop=shop, external_id__in=chunk))
        changed = {
            external
            for external, fields in items.items()
            if external in known and any(getattr(known[external], name) != value for name, value in fields.items())
        }
        added = items.keys() - known.keys()
        write_items(shop, [fields for external, fields in items.items() if external in added or external in changed])
    return Written(added, changed, known.keys() - changed)


def write_items(shop: Shop, items: Iterable[dict[str, Any]]) -> None:
    """Upsert, of fields by `item_fields`. JSON lines may differ in their fields: one statement for each set of fields."""
    groups: dict[frozenset[str], list[Item]] = {}
    for values in items:
        groups.setdefault(frozenset(values), []).append(Item(shop=shop, **values))
    for fields, rows in groups.items():
        Item.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["shop", "external_id"],
            update_fields=[*sorted(fields - {"external_id"}), "updated_at"],
        )
