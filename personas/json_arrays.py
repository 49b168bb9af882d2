"""Files that hold one JSON array of records, gzip'd or not: read as a whole, unlike those of `personas.files`."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from personas.files import GZIP_MAGIC, FileError, Record, Reject

MAX_ARRAY = 64 * 1024 * 1024
"""Bytes of an array, unpacked."""


class JsonArray:
    """Entries of an array up to where it breaks off; their lines are their places from 1.

    broke : after the last entry, why the array ended early; "" if it didn't.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.broke = ""

    def __iter__(self) -> Iterator[Record | Reject]:
        decode, place, number = json.JSONDecoder().raw_decode, self._text.index("[") + 1, 0
        while True:
            place = _past_spaces(self._text, place)
            if number == 0 and self._text[place : place + 1] == "]":
                return
            try:
                value, place = decode(self._text, place)
            except (ValueError, RecursionError) as error:
                self.broke = f"the file breaks off after entry {number}: {error}"
                return
            number += 1
            yield Record(number, value) if isinstance(value, dict) else Reject(number, "", "is not a JSON object")
            place = _past_spaces(self._text, place)
            if self._text[place : place + 1] == "]":
                return
            if self._text[place : place + 1] != ",":
                self.broke = f"the file breaks off after entry {number}: a comma or ] is missing"
                return
            place += 1


def array_in(path: Path) -> JsonArray | None:
    """The array that a file holds, as far as it can be read; None for any other file. Raises FileError."""
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
        return JsonArray(content.decode("utf-8-sig"))
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
