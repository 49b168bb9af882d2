"""Clusters from a shop's own files: CSV, JSON lines or a JSON array, or records that a request brought.

A record is an item in a cluster, {"cluster", "item_id", "weight", "core"}, as CSV has it, or a whole cluster, {"name",
"items": ["sku", {"item_id", "weight", "core"}], "locked", "minimum_size", "maximum_size"}. Imported clusters are known by
the name that the file first gave them, whatever they were renamed to since; `cluster_id` names one, imported or made by
hand, by id. A file says what is in each cluster that it names; those that it doesn't name stay as they are.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction

from clusters import editing
from clusters.cluster_drafts import (
    BY_HAND,
    MAX_ITEMS,
    Draft,
    EditError,
    Operation,
    check_bound,
    check_free,
    check_name,
    check_reason,
    count_items,
    drafts_of,
    live_names,
)
from clusters.lineage import Actor, delta_of
from clusters.models import ClusterChange, Item, ItemCluster
from personas.events import EventError, check_id
from personas.files import Record, RecordFile, Reject
from personas.importing import SHOWN_REJECTS, WRITTEN_REJECTS, ImportReport, Progress, flag_of, number_of, renamed
from personas.json_arrays import array_in
from personas.models import Shop

MOST_CLUSTERS = 5_000
"""Clusters that one file may name."""

AT_ONCE = 10_000
"""Items in the clusters that are written in one transaction: others who write wait for a second of it, not for a whole file."""

ALIASES = {
    "cluster_name": "cluster",
    "group": "cluster",
    "name": "cluster",
    "id": "item_id",
    "sku": "item_id",
    "product_id": "item_id",
    "external_id": "item_id",
}
Action = ClusterChange.Action
KEYS = ("name", "cluster", "cluster_id", "items", "locked", "minimum_size", "maximum_size")
"""What a whole cluster's record may have."""


@dataclass
class ClusterReport(ImportReport):
    """As `ImportReport`, of items in clusters. made, changed : clusters; where neither is, the file brought nothing new."""

    made: int = 0
    changed: int = 0


@dataclass
class _Given:
    """What a file says of one cluster. line : where it is first named.  whole : False once a line of it was rejected.

    items : the shop's own item id -> line, field, weight, core.
    """

    line: int
    name: str
    cluster_id: int | None
    items: dict[str, tuple[int, str, float, bool]] = field(default_factory=dict)
    locked: bool = False
    minimum_size: int | None = None
    maximum_size: int | None = None
    whole: bool = True

    def of(self, ids: Mapping[str, int]) -> tuple[dict[int, float], list[int]]:
        """Item id -> weight, and the ids of core items; of those that are known."""
        items = {ids[external]: weight for external, (_, _, weight, _) in self.items.items() if external in ids}
        return items, [ids[external] for external, (_, _, _, core) in self.items.items() if core and external in ids]


def import_clusters(
    shop: Shop,
    source: Path | Iterable[Mapping[str, object]],
    *,
    by: Actor,
    reason: str = "",
    rejects: Path | None = None,
    progress: Progress | None = None,
    check: bool = False,
) -> ClusterReport:
    """Take in a file's clusters, or those of records, whose lines are their places from 1; the report counts items in clusters.

    A known cluster's items become those of the file; none leaves where a line of its was rejected, or one that may have been
    of any cluster, or where the file broke off. Excluded items stay out and core ones in. Locks and bounds are taken when a
    cluster is made, later ones are the merchandiser's. All changes are of one batch. A line that can't be taken is rejected
    with field and reason, the rest kept; what was taken stays, should the import be cut short. With `check` all of it is only
    tried and nothing kept, as few clusters at a time as are taken together. Raises FileError and EditError, the latter for a
    reason that can't be kept.
    """
    return _Import(shop, by, reason, check=check).run(source, rejects, progress)


class _Import:
    def __init__(self, shop: Shop, by: Actor, reason: str, *, check: bool) -> None:
        self.shop, self.by, self.reason, self.batch = shop, by, check_reason(reason), uuid.uuid4()
        self.check = check
        self.report = ClusterReport()
        self._given: dict[str | int, _Given] = {}
        self._all_told = True  # False once a line was rejected that doesn't say of which cluster it is
        self._write: Callable[[Reject], Any] | None = None

    def run(
        self, source: Path | Iterable[Mapping[str, object]], rejects: Path | None, progress: Progress | None
    ) -> ClusterReport:
        with ExitStack() as stack:
            if rejects is not None:
                stream = stack.enter_context(rejects.open("w", newline="", encoding="utf-8", errors="replace"))
                self._write = csv.writer(stream).writerow
                csv.writer(stream).writerow(Reject._fields)
            for entry in self._entries(source, progress):
                self.report.read += 1
                if isinstance(entry, Reject):
                    self._reject(*entry)
                    self._all_told = False
                    continue
                try:
                    self._read(entry)
                except (EventError, EditError) as error:
                    self._reject(entry.line, error.field, error.reason)
                    named = renamed(entry.values, ALIASES)
                    self._all_told &= any(named.get(key) not in (None, "") for key in ("cluster", "cluster_id"))
            self._take_all()
        if self._given:
            made, changed = self.report.made, self.report.changed
            self.report.notes.append(
                f"{made:,} cluster{'' if made == 1 else 's'} made, {changed:,} changed, {len(self._given):,} named in all"
            )
        return self.report

    def _entries(self, source: Path | Iterable[Mapping[str, object]], progress: Progress | None) -> Iterator[Record | Reject]:
        if not isinstance(source, Path):
            for place, record in enumerate(source, start=1):
                yield Record(place, dict(record)) if isinstance(record, Mapping) else Reject(place, "", "is not a JSON object")
            return
        array = array_in(source)
        if array is not None:
            yield from array
            self.report.broke = array.broke
            return
        with RecordFile(source) as file:
            for count, entry in enumerate(file, start=1):
                yield entry
                if progress and count % 1_000 == 0:
                    progress(file.done, file.size, count)
            self.report.broke = file.broke

    def _reject(self, line: int, name: str, reason: str) -> None:
        self.report.rejected += 1
        entry = Reject(line, name, reason)
        if len(self.report.rejects) < SHOWN_REJECTS:
            self.report.rejects.append(entry)
        if self._write and self.report.rejected <= WRITTEN_REJECTS:
            self._write(entry)

    # What the file says

    def _read(self, record: Record) -> None:
        """One record onto what its cluster is given. Raises EventError and EditError on one that is of no cluster."""
        if "items" in record.values:
            self._read_cluster(record)
            return
        values = renamed(record.values, ALIASES)
        given = self._cluster(record.line, values)
        try:
            self._read_item(given, record.line, "", values)
        except EventError as error:
            given.whole = False
            self._reject(record.line, error.field, error.reason)

    def _read_cluster(self, record: Record) -> None:
        values = record.values
        if unknown := [key for key in values if key not in KEYS]:
            raise EditError(str(unknown[0])[:60], f"is not known; a cluster has {', '.join(KEYS)}")
        items = values["items"]
        if not isinstance(items, list) or not items:
            raise EditError("items", "must be a list of at least one item")
        locked = flag_of("locked", values.get("locked")) or False
        bounds = [check_bound(name, values.get(name)) for name in ("minimum_size", "maximum_size")]
        given = self._cluster(record.line, {"cluster": values.get("name"), **values})
        given.locked = locked
        given.minimum_size, given.maximum_size = bounds
        for place, item in enumerate(items):
            entry = item if isinstance(item, dict) else {"item_id": item}
            try:
                self._read_item(given, record.line, f"items[{place}].", renamed(entry, ALIASES))
            except EventError as error:
                given.whole = False
                self._reject(record.line, error.field, error.reason)

    def _cluster(self, line: int, values: Mapping[str, object]) -> _Given:
        """What the cluster that a record names was given so far. Raises EditError and EventError."""
        number = number_of("cluster_id", values.get("cluster_id"), low=1, high=2**53)
        if number is not None and number != int(number):
            raise EditError("cluster_id", f"{number:g} is not a whole number")
        key: str | int
        name = ""
        if number is not None:
            key = int(number)
        else:
            value = values.get("cluster")
            name = check_name(str(value) if isinstance(value, int) and not isinstance(value, bool) else value, "cluster")
            key = name.casefold()
        if key not in self._given and len(self._given) >= MOST_CLUSTERS:
            raise EditError("cluster", f"is one more than the {MOST_CLUSTERS:,} that one file may name")
        return self._given.setdefault(key, _Given(line, name, None if number is None else int(number)))

    def _read_item(self, given: _Given, line: int, prefix: str, values: Mapping[str, object]) -> None:
        """Raises EventError. An item that is named again counts once, as it was named last."""
        try:
            item = values.get("item_id")
            external = check_id("item_id", item.strip() if isinstance(item, str) else item)
            weight = number_of("weight", values.get("weight"), low=0.0, high=1.0)
            if weight == 0:
                raise EventError("weight", "is 0; weights are above 0 and at most 1")
            core = flag_of("core", values.get("core")) or False
        except EventError as error:
            raise EventError(prefix + error.field, error.reason) from error
        if external not in given.items and len(given.items) >= MAX_ITEMS:
            raise EventError(f"{prefix}item_id", f"is one more than the {MAX_ITEMS:,} that a cluster may have")
        given.items[external] = (line, f"{prefix}item_id", 1.0 if weight is None else weight, core)

    # What becomes of it

    def _take_all(self) -> None:
        places = self._places()
        batch: dict[str | int, _Given] = {}
        held = 0
        for key, given in self._given.items():
            if batch and held + len(given.items) > AT_ONCE:
                self._take(batch, places)
                batch, held = {}, 0
            batch[key] = given
            held += len(given.items)
        self._take(batch, places)

    def _places(self) -> dict[str | int, int]:
        """Ids of the clusters that the file names, by its key; one that it names twice, by id and by name, is put together."""
        first, current = _known(self.shop)
        places: dict[str | int, int] = {}
        for key, given in self._given.items():
            place = first.get(given.name.casefold()) if given.cluster_id is None else given.cluster_id
            if place is not None:
                places[key] = place
        taken = set(places.values())
        # An imported cluster is known by the name that it has now where no line means it by its first.
        places |= {
            key: current[key]
            for key in self._given
            if isinstance(key, str) and key not in places and key in current and current[key] not in taken
        }
        named: dict[int, _Given] = {}
        for key, place in places.items():
            given = self._given[key]
            one = named.setdefault(place, given)
            if one is not given:
                one.items |= given.items
                one.whole &= given.whole
                del self._given[key]
        return places

    def _take(self, batch: Mapping[str | int, _Given], places: Mapping[str | int, int]) -> None:
        """Some of the clusters, in one transaction, which is undone where they are only tried."""
        with editing.editing(self.shop):
            ids = Item.objects.ids_of(self.shop, {external: None for given in batch.values() for external in given.items})
            drafts = drafts_of(places[key] for key in batch if key in places)
            names = live_names(self.shop)
            operation = Operation(self.shop, self.by, self.reason, self.batch)
            for key, given in batch.items():
                for external, (line, name, _, _) in given.items.items():
                    if external not in ids:
                        self._reject(line, name, f"{external!r} is not in the catalogue of {self.shop.name}")
                        given.whole = False
                if given.items.keys().isdisjoint(ids):
                    continue
                try:
                    if key in places:
                        self._define(operation, given, drafts.get(places[key]), ids, names)
                    else:
                        self._make(operation, given, ids, names)
                except EditError as error:
                    self._reject(given.line, error.field, error.reason)
            operation.finish()
            if self.check:
                transaction.set_rollback(True)

    def _make(self, operation: Operation, given: _Given, ids: Mapping[str, int], names: dict[str, list[int]]) -> None:
        """Raises EditError."""
        kind = ItemCluster.Kind.IMPORTED
        row = ItemCluster(shop=self.shop, name=given.name, kind=kind, named_by_hand=True, locked=given.locked)
        check_free(row, names)
        items, core = given.of(ids)
        draft = editing.drafted(row, items, core, given.minimum_size, given.maximum_size)
        operation.put(draft, Action.CREATED, f"Made with {count_items(len(draft.members))}")
        names[row.name.casefold()] = [row.pk]
        self.report.made += 1
        self.report.added += len(items)

    def _define(
        self, operation: Operation, given: _Given, draft: Draft | None, ids: Mapping[str, int], names: dict[str, list[int]]
    ) -> None:
        """Raises EditError for a cluster that takes no file's items."""
        if draft is None or draft.row.shop_id != self.shop.pk or not draft.row.name:
            raise EditError("cluster_id", f"{given.cluster_id} is no cluster of {self.shop.name}")
        row = draft.row
        back = row.retired_at is not None
        if back:
            if not _was_undone(row):
                raise EditError("cluster", f"“{row.name}” was taken out; restore it, to import it again")
            check_free(row, names)
            row.retired_at = None
        if row.kind not in (BY_HAND if given.cluster_id is not None else (ItemCluster.Kind.IMPORTED,)):
            kind = row.get_kind_display().lower()
            raise EditError("cluster", f"“{row.name}” ({kind}, id {row.pk}) isn't an imported one; name another")
        items, core = given.of(ids)
        editing.define(draft, items, core, whole=given.whole and self._all_told and not self.report.broke)
        told = f"Brought back with {count_items(len(draft.members))}" if back else editing.items_told(draft.delta)
        delta = operation.put(draft, Action.RESTORED if back else Action.ITEMS, told)
        if back:
            names.setdefault(row.name.casefold(), []).append(row.pk)
        self.report.changed += bool(delta)
        self.report.added += delta.entered
        self.report.known += len(items) - delta.entered


def _was_undone(cluster: ItemCluster) -> bool:
    """Whether a cluster is gone only because the import that made it was taken back."""
    last = ClusterChange.objects.filter(cluster=cluster, delta__fields__has_key="retired_at").select_related("undoes").first()
    return last is not None and last.undoes is not None and delta_of(last.undoes).made_it


def _known(shop: Shop) -> tuple[dict[str, int], dict[str, int]]:
    """Ids of imported clusters by the name that a file gave them first, and of live clusters by theirs; names casefolded."""
    there = set(ItemCluster.objects.filter(shop=shop).exclude(name="").values_list("pk", flat=True))
    made = ClusterChange.objects.filter(shop=shop, action=Action.CREATED, delta__fields__kind__1=ItemCluster.Kind.IMPORTED.value)
    # Names alone: the deltas hold the items that each was made with.
    first = {
        str(name).casefold(): pk
        for pk, name in made.order_by("pk").values_list("cluster", "delta__fields__name__1")
        if pk in there
    }
    return first, {name: pks[0] for name, pks in live_names(shop).items()}
