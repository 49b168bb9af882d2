"""Files of records as shops hand them over: CSV or JSON lines, gzip'd or not, told apart by their content.

Reading is streamed, one record at a time, and a bad line costs only itself: it comes out as a `Reject` with its
number and reason, and the next line is read. A file that breaks off (half a gzip) yields all that comes before.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

MAX_LINE = 1_000_000
"""Bytes of one line; longer ones are rejected unread, so that a file without line ends can't fill the memory."""

MAX_DRAINED = 1_000
"""Times `MAX_LINE` that are read for the end of such a line: some MB of gzip may hold hours of one."""

MAX_JOINED = 30
"""Physical lines that one quoted CSV field may span. A stray quote would otherwise swallow the rest of the file."""

GZIP_MAGIC = b"\x1f\x8b"
_DELIMITERS = (",", ";", "\t", "|")


class FileError(ValueError):
    """A file that can't be read at all, with the reason."""


class Record(NamedTuple):
    """One record: its first line's number, from 1, and its values by column; CSV values are text, JSON ones typed."""

    line: int
    values: dict[str, object]


class Reject(NamedTuple):
    """A line that was not taken; `field` is "" where the line as a whole is at fault."""

    line: int
    field: str
    reason: str


class RecordFile:
    """A file being read. Use as a context manager, iterate over its records and rejects.

    source : its path, or a file that is open for reading at its beginning and can be rewound; it is closed at the end.
    size, done : bytes in the file, and read so far, as stored (compressed); what progress is measured by.
    columns : of a CSV file, its normalised header; columns without a name are left out.
    broke : after the last record, why the file ended early; "" if it didn't.
    """

    def __init__(self, source: Path | IO[bytes]) -> None:
        self.path = source if isinstance(source, Path) else "what was sent"
        self.columns: tuple[str, ...] = ()
        self.broke = ""
        self.line = 0
        try:
            self._raw: IO[bytes] = source.open("rb") if isinstance(source, Path) else source
            self.size = self._raw.seek(0, SEEK_END)
            self._raw.seek(0)
        except OSError as error:
            raise FileError(f"can't open {self.path}: {error.strerror or error}") from error
        try:
            magic = self._raw.read(2)
            self._raw.seek(0)
        except OSError as error:
            self._raw.close()
            raise FileError(f"can't read {self.path}: {error.strerror or error}") from error
        self._lines: IO[bytes] = gzip.GzipFile(fileobj=self._raw, mode="rb") if magic == GZIP_MAGIC else self._raw  # type: ignore[assignment]
        self._pushed: deque[tuple[int, bytes | Reject]] = deque()

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._raw.close()

    @property
    def done(self) -> int:
        return self._raw.tell()

    def __iter__(self) -> Iterator[Record | Reject]:
        """Records and rejects in the order of lines. Raises FileError if the file has no readable beginning."""
        first = self._next()
        while first is not None and isinstance(first[1], bytes) and not first[1].strip(b"\xef\xbb\xbf \t\r\n"):
            first = self._next()
        if first is None:
            if not self.broke:
                raise FileError(f"{self.path} is empty")
            return
        number, line = first
        if isinstance(line, Reject):
            raise FileError(f"{self.path} does not begin like CSV or JSON lines: line {number} {line.reason}")
        line = line.removeprefix(b"\xef\xbb\xbf")
        if line.lstrip().startswith(b"["):
            raise FileError(f"{self.path} is a JSON array; write JSON lines, one object a line")
        self._pushed.appendleft((number, line))
        yield from self._json() if line.lstrip().startswith(b"{") else self._csv()

    def _next(self) -> tuple[int, bytes | Reject] | None:
        """The next line with its number, None at the end; a line that is too long is drained and rejected."""
        if self._pushed:
            return self._pushed.popleft()
        if self.broke:
            return None
        try:
            line = self._lines.readline(MAX_LINE)
            if not line:
                return None
            self.line += 1
            if len(line) < MAX_LINE or line.endswith(b"\n"):
                return self.line, line
            for _ in range(MAX_DRAINED):
                if not line or line.endswith(b"\n"):
                    break
                line = self._lines.readline(MAX_LINE)
            else:
                self.broke = f"line {self.line} has no end within {MAX_DRAINED * MAX_LINE // 1_000_000:,} MB"
        except (EOFError, OSError, zlib.error) as error:
            self.broke = f"the file breaks off after line {self.line}: {error}"
            return None
        return self.line, Reject(self.line, "", f"is longer than {MAX_LINE:,} bytes")

    def _json(self) -> Iterator[Record | Reject]:
        decode = msgspec.json.Decoder().decode
        while (entry := self._next()) is not None:
            number, line = entry
            if isinstance(line, Reject):
                yield line
                continue
            if not line.strip():
                continue
            try:
                values = decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                yield Reject(number, "", f"is not JSON: {error}")
                continue
            if isinstance(values, dict):
                yield Record(number, {_column(key): value for key, value in values.items()})
            else:
                yield Reject(number, "", "is not a JSON object")

    def _csv(self) -> Iterator[Record | Reject]:
        entry = self._next()
        if entry is None or isinstance(entry[1], Reject):
            raise FileError(f"{self.path} has no header")
        try:
            header = entry[1].decode().strip("\r\n")
        except UnicodeDecodeError:
            raise FileError(f"{self.path} is neither UTF-8 text nor gzip") from None
        if "\x00" in header:
            raise FileError(f"{self.path} has no usable header: it holds zero bytes")
        if "\r" in header:
            raise FileError(f"{self.path} ends its lines with a carriage return alone; write line feeds")
        delimiter = max(_DELIMITERS, key=header.count)
        try:
            columns = tuple(_column(name) for name in next(csv.reader([header], delimiter=delimiter, strict=True)))
        except csv.Error as error:
            raise FileError(f"{self.path} has no usable header: {error}") from error
        # Spreadsheets leave commas without a name at the end; what is under them is nobody's.
        if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
            raise FileError(f"{self.path} names a column twice: {', '.join(twice)}")
        self.columns = tuple(filter(None, columns))
        width = len(columns)
        while (entry := self._next()) is not None:
            number, line = entry
            if isinstance(line, Reject):
                yield line
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                yield Reject(number, "", f"is not UTF-8: byte {error.start + 1} of the line")
                continue
            if not text.strip():
                continue
            cells = self._cells(text, delimiter) if '"' in text else text.rstrip("\r\n").split(delimiter)
            if isinstance(cells, str):
                yield Reject(number, "", cells)
            elif len(cells) != width:
                yield Reject(number, "", f"has {len(cells)} fields, the header has {width}")
            else:
                values: dict[str, object] = dict(zip(columns, cells, strict=True))
                values.pop("", None)
                yield Record(number, values)

    def _cells(self, text: str, delimiter: str) -> list[str] | str:
        """Fields of a line with quotes, joined with those that follow while a quoted field is open; else what is wrong."""
        taken: list[tuple[int, bytes | Reject]] = []
        while True:
            try:
                return next(csv.reader([text], delimiter=delimiter, strict=True))
            except csv.Error as error:
                # Strict parsing says so where the text ends inside quotes; anything else more lines won't mend.
                open_quote = "unexpected end of data" in str(error)
                entry = self._next() if open_quote and len(taken) < MAX_JOINED and len(text) < MAX_LINE else None
                if entry is not None:
                    taken.append(entry)
                    if isinstance(entry[1], bytes):
                        text += entry[1].decode(errors="replace")
                        continue
                self._pushed.extendleft(reversed(taken))
                return "has a quote that is never closed" if open_quote else f"is not CSV: {error}"


def _column(name: object) -> str:
    """A column's name in lower case with underscores: "Session ID" -> "session_id"."""
    return str(name).strip().lower().replace(" ", "_").replace("-", "_").replace(".", "_")
