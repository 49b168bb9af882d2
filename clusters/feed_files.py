"""Files of items as feeds are: CSV, JSON lines, a JSON array, or the XML of Google's Merchant Center, packed or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

from personas.files import GZIP_MAGIC, FileError, Record, RecordFile, Reject
from personas.json_arrays import array_in

MAX_FIELD = 50_000
MOST_FIELDS = 200
CHUNK = 65_536
MAX_TAG = 1_000_000

KEPT = frozenset(
    (
        "id", "title", "description", "image_link", "availability", "price", "sale_price", "brand", "color", "item_group_id",
        "product_type", "google_product_category", "cost_of_goods_sold", "gtin", "mpn", "condition", "size", "material",
        "pattern", "gender", "age_group", "tags", *(f"custom_label_{n}" for n in range(5)),
    )
)  # fmt: skip
"""Fields of Google's product data specification that say something of an item here; shipping, taxes and links don't."""


class FeedFile:
    """The records of a file, whatever it is. broke : after the last one, why it ended early; "" if it didn't."""

    def __init__(self, path: Path, *, most: int) -> None:
        """most : bytes, unpacked."""
        self._path, self._most, self.broke = path, most, ""

    def __iter__(self) -> Iterator[Record | Reject]:
        """Raises FileError on a file that can't be read at all."""
        path = self._unpacked()
        with path.open("rb") as file:
            start = file.read(4_096).removeprefix(b"\xef\xbb\xbf").lstrip()
        if start.startswith(b"<"):
            yield from self._xml(path)
        elif start.startswith(b"["):
            array = array_in(path)
            assert array is not None
            yield from map(_plain, array)
            self.broke = self.broke or array.broke
        else:
            with RecordFile(path) as records:
                yield from map(_plain, records)
                self.broke = self.broke or records.broke

    def _unpacked(self) -> Path:
        """The file, unpacked where it was packed. Raises FileError on one that is too large then."""
        with self._path.open("rb") as file:
            if file.read(2) != GZIP_MAGIC:
                return self._path
        path, size = self._path.with_suffix(".unpacked"), 0
        with gzip.open(self._path) as packed, path.open("wb") as file:
            try:
                while part := packed.read1(CHUNK):
                    size += len(part)
                    if size > self._most:
                        raise FileError(f"it has more than {self._most:,} bytes, unpacked")
                    file.write(part)
            except (EOFError, OSError, zlib.error) as error:
                self.broke = f"the packed file breaks off: {error}"
        return path

    def _xml(self, path: Path) -> Iterator[Record]:
        reader = _Reader()
        try:
            with path.open("rb") as file:
                while part := file.read(CHUNK):
                    yield from reader.feed(part)
                yield from reader.feed(b"", last=True)
        except expat.ExpatError as error:
            if not reader.found:
                raise FileError(f"this is not XML: {error}") from error
            self.broke = self.broke or f"the file breaks off: {error}"
        if not reader.found:
            raise FileError("this XML has no items: neither <item> nor <entry>")


class _Reader:
    """Items of RSS 2.0 or Atom, as they end. found : how many so far."""

    def __init__(self) -> None:
        self.found = self._fed = 0
        self._done: list[Record] = []
        self._depth = 0  # within an item, 0 outside
        self._line = 0
        self._values: dict[str, object] = {}
        self._text: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, part: bytes, *, last: bool = False) -> list[Record]:
        self._fed += len(part)
        self._parser.Parse(part, last)
        if self._fed - self._parser.CurrentByteIndex > MAX_TAG:  # the parser keeps all of it until it ends
            raise FileError(f"this XML holds a tag or a comment of more than {MAX_TAG:,} bytes")
        done, self._done = self._done, []
        return done

    def _doctype(self, *_: Any) -> None:
        raise FileError("this XML declares a document type, which is not read: entities can be bombs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth:
            self._depth += 1
            self._text = []
        elif _local(name) in ("item", "entry"):
            self._depth, self._line, self._values = 1, self._parser.CurrentLineNumber, {}

    def _characters(self, text: str) -> None:
        if self._depth == 2 and sum(map(len, self._text)) < MAX_FIELD:
            self._text.append(text)

    def _end(self, name: str) -> None:
        if not self._depth:
            return
        self._depth -= 1
        if self._depth == 1 and _local(name) in KEPT and len(self._values) < MOST_FIELDS:
            self._values.setdefault(_local(name), "".join(self._text).strip())
        elif self._depth == 0:
            self.found += 1
            self._done.append(Record(self._line, dict(categorised(self._values))))


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()


def _plain(entry: Record | Reject) -> Record | Reject:
    return Record(entry.line, dict(categorised(entry.values))) if isinstance(entry, Record) else entry


def categorised(values: Mapping[str, object]) -> Mapping[str, object]:
    """A record with its category, where it has it as Google does: the last part of `product_type`, "Home > Women > Dresses", or
    of Google's own."""
    if values.get("category") or values.keys().isdisjoint(("product_type", "google_product_category")):
        return values
    rest = {name: value for name, value in values.items() if name not in ("product_type", "google_product_category")}
    for name in ("product_type", "google_product_category"):
        told = str(values.get(name) or "").split(",")[0].rpartition(">")[2].strip()
        if told and not told.isdigit():
            return {**rest, "category": told}
    return rest
