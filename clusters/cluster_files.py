"""Clusters from a shop's own files: CSV, JSON lines or a JSON array, or records that a request brought.

A record is an item in a cluster, {"cluster", "item_id", "weight", "core"}, as CSV has it, or a whole cluster, {"name",
"items": ["sku", {"item_id", "weight", "core"}], "locked", "minimum_size", "maximum_size"}. Imported clusters are known by
the name that the file first gave them, whatever they were renamed to since; `cluster_id` names one, imported or made by
hand, by id. A file says what is in each cluster that it names; those that it doesn't name stay as they are.
"""

from __future__ import annotations

import csv
import gzip
import json
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clusters import editing
from clusters.cluster_drafts import BY_HAND, MAX_ITEMS, EditError, check_bound, check_name
from clusters.lineage import Actor, delta_of
from clusters.models import ClusterChange, Item, ItemCluster
from personas.events import EventError, check_id
from personas.files import GZIP_MAGIC, FileError, Record, RecordFile, Reject
from personas.importing import SHOWN_REJECTS, ImportReport, Progress, flag_of, number_of, renamed
from personas.models import Shop

MAX_ARRAY = 64 * 1024 * 1024
"""Bytes of a JSON array, unpacked: it is read as a whole, as JSON lines needn't be."""

MOST_CLUSTERS = 5_000
"""Clusters that one file may name."""

ALIASES = {
    "cluster_name": "cluster",
    "group": "cluster",
    "name": "cluster",
    "id": "item_id",
    "sku": "item_id",
    "product_id": "item_id",
    "external_id": "item_id",
}
KEYS = ("name", "cluster", "cluster_id", "items", "locked", "minimum_size", "maximum_size")
"""What a whole cluster's record may have."""


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


def import_clusters(
    shop: Shop,
    source: Path | Iterable[Mapping[str, object]],
    *,
    by: Actor,
    reason: str = "",
    rejects: Path | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Take in a file's clusters, or those of records, whose lines are their places from 1; the report counts items in clusters.

    A known cluster's items become those of the file; none leaves where a line of its was rejected or the file broke off.
    Excluded items stay out and core ones in. Locks and bounds are taken when a cluster is made, later ones are the
    merchandiser's. All changes are of one batch. A line that can't be taken is rejected with field and reason, the rest kept.
    Raises FileError.
    """
    return _Import(shop, by, reason).run(source, rejects, progress)


class _Import:
    def __init__(self, shop: Shop, by: Actor, reason: str) -> None:
        self.shop, self.by, self.reason, self.batch = shop, by, reason, uuid.uuid4()
        self.report = ImportReport()
        self.made = self.changed = 0
        self._given: dict[str | int, _Given] = {}
        self._write: Callable[[Reject], Any] | None = None

    def run(self, source: Path | Iterable[Mapping[str, object]], rejects: Path | None, progress: Progress | None) -> ImportReport:
        with ExitStack() as stack:
            if rejects is not None:
                stream = stack.enter_context(rejects.open("w", newline="", encoding="utf-8", errors="replace"))
                self._write = csv.writer(stream).writerow
                csv.writer(stream).writerow(Reject._fields)
            for entry in self._entries(source, progress):
                self.report.read += 1
                if isinstance(entry, Reject):
                    self._reject(*entry)
                    continue
                try:
                    self._read(entry)
                except (EventError, EditError) as error:
                    self._reject(entry.line, error.field, error.reason)
            known = _known(self.shop)
            for given in self._given.values():
                self._take(given, known)
        if self._given:
            self.report.notes.append(f"{self.made:,} clusters made, {self.changed:,} changed, {len(self._given):,} named in all")
        return self.report

    def _entries(self, source: Path | Iterable[Mapping[str, object]], progress: Progress | None) -> Iterator[Record | Reject]:
        if not isinstance(source, Path):
            for place, record in enumerate(source, start=1):
                yield Record(place, dict(record)) if isinstance(record, Mapping) else Reject(place, "", "is not a JSON object")
            return
        array = _array_text(source)
        if array is not None:
            yield from self._array(array)
            return
        with RecordFile(source) as file:
            for count, entry in enumerate(file, start=1):
                yield entry
                if progress and count % 1_000 == 0:
                    progress(file.done, file.size, count)
            self.report.broke = file.broke

    def _array(self, text: str) -> Iterator[Record | Reject]:
        """Entries of a JSON array up to where it breaks off; their lines are their places from 1."""
        decode, place, number = json.JSONDecoder().raw_decode, text.index("[") + 1, 0
        while True:
            place = _past_spaces(text, place)
            if number == 0 and text[place : place + 1] == "]":
                return
            try:
                value, place = decode(text, place)
            except (ValueError, RecursionError) as error:
                self.report.broke = f"the file breaks off after entry {number}: {error}"
                return
            number += 1
            yield Record(number, value) if isinstance(value, dict) else Reject(number, "", "is not a JSON object")
            place = _past_spaces(text, place)
            if text[place : place + 1] == "]":
                return
            if text[place : place + 1] != ",":
                self.report.broke = f"the file breaks off after entry {number}: a comma or ] is missing"
                return
            place += 1

    def _reject(self, line: int, name: str, reason: str) -> None:
        self.report.rejected += 1
        entry = Reject(line, name, reason)
        if len(self.report.rejects) < SHOWN_REJECTS:
            self.report.rejects.append(entry)
        if self._write:
            self._write(entry)

    # What the file says

    def _read(self, record: Record) -> None:
        """One record onto what its cluster is given. Raises EventError and EditError."""
        if "items" in record.values:
            self._read_cluster(record)
            return
        values = renamed(record.values, ALIASES)
        given = self._cluster(record.line, values)
        try:
            self._read_item(given, record.line, "", values)
        except EventError:
            given.whole = False
            raise

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

    def _take(self, given: _Given, known: Mapping[str, ItemCluster]) -> None:
        ids = Item.objects.ids_of(self.shop, given.items)
        for external, (line, name, _, _) in given.items.items():
            if external not in ids:
                self._reject(line, name, f"{external!r} is not in the catalogue of {self.shop.name}")
        if not ids:
            return
        items = {ids[external]: weight for external, (_, _, weight, _) in given.items.items() if external in ids}
        core = [ids[external] for external, (_, _, _, core) in given.items.items() if core and external in ids]
        try:
            cluster = self._known_cluster(given, known)
            if cluster is None:
                changes = editing.create(
                    shop=self.shop,
                    name=given.name,
                    items=items,
                    core=core,
                    kind=ItemCluster.Kind.IMPORTED,
                    locked=given.locked,
                    minimum_size=given.minimum_size,
                    maximum_size=given.maximum_size,
                    by=self.by,
                    reason=self.reason,
                    batch=self.batch,
                )
                self.made += 1
            else:
                if cluster.retired_at is not None:
                    editing.restore(cluster=cluster, by=self.by, reason=self.reason, batch=self.batch)
                whole = given.whole and len(ids) == len(given.items) and not self.report.broke
                changes = editing.define(
                    cluster=cluster, items=items, core=core, whole=whole, by=self.by, reason=self.reason, batch=self.batch
                )
                self.changed += bool(changes)
        except EditError as error:
            self._reject(given.line, error.field, error.reason)
            return
        entered = sum(delta_of(change).entered for change in changes)
        self.report.added += entered
        self.report.known += len(items) - entered

    def _known_cluster(self, given: _Given, known: Mapping[str, ItemCluster]) -> ItemCluster | None:
        """The cluster that a file names, None for a new one. Raises EditError for one that takes no file's items."""
        if given.cluster_id is not None:
            cluster = ItemCluster.objects.filter(shop=self.shop, pk=given.cluster_id).exclude(name="").first()
            if cluster is None:
                raise EditError("cluster_id", f"{given.cluster_id} is no cluster of {self.shop.name}")
        else:
            cluster = known.get(given.name.casefold())
            if cluster is None:
                return None
        if cluster.retired_at is not None and not _was_undone(cluster):
            raise EditError("cluster", f"“{cluster.name}” was taken out; restore it, to import it again")
        if cluster.kind not in (BY_HAND if given.cluster_id is not None else (ItemCluster.Kind.IMPORTED,)):
            kind = cluster.get_kind_display().lower()
            raise EditError("cluster", f"“{cluster.name}” ({kind}, id {cluster.pk}) isn't an imported one; name another")
        return cluster


def _was_undone(cluster: ItemCluster) -> bool:
    """Whether a cluster is gone only because the import that made it was taken back."""
    last = ClusterChange.objects.filter(cluster=cluster, delta__fields__has_key="retired_at").select_related("undoes").first()
    return last is not None and last.undoes is not None and delta_of(last.undoes).made_it


def _known(shop: Shop) -> dict[str, ItemCluster]:
    """Imported clusters by the name that a file gave them, then others by theirs; names casefolded."""
    clusters = {c.pk: c for c in ItemCluster.objects.filter(shop=shop).exclude(name="")}
    known = {c.name.casefold(): c for c in clusters.values() if c.retired_at is None}
    made = ClusterChange.objects.filter(shop=shop, action=ClusterChange.Action.CREATED).order_by("pk")
    for change in made.iterator(chunk_size=200):
        fields = delta_of(change).fields
        if fields.get("kind", ("", ""))[1] == ItemCluster.Kind.IMPORTED and change.cluster_id in clusters:
            known[str(fields["name"][1]).casefold()] = clusters[change.cluster_id]
    return known


def _array_text(path: Path) -> str | None:
    """The text of a file that is a JSON array, as far as it can be read; None for any other file. Raises FileError."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
            start = stream.read(4_096)
            if not start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
                return None
            content = bytearray(start)
            while (part := _next_part(stream)) and len(content) <= MAX_ARRAY:
                content += part
    except OSError as error:
        raise FileError(f"can't open {path}: {error.strerror or error}") from error
    except (EOFError, zlib.error):
        return None  # it breaks off before anything of it can be told: `RecordFile` says so
    if len(content) > MAX_ARRAY:
        raise FileError(f"{path} is a JSON array of more than {MAX_ARRAY:,} bytes; write JSON lines, one object a line")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text: byte {error.start + 1}") from error


def _next_part(stream: Any) -> bytes:
    """The next bytes; none where a gzip breaks off, so that what came before is kept."""
    try:
        return bytes(stream.read1(65_536))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""


def _past_spaces(text: str, place: int) -> int:
    while text[place : place + 1].isspace():
        place += 1
    return place
