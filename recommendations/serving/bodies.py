"""Bodies of requests to the live endpoints: read no further than allowed, unpacked if they come packed."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from recommendations.serving.problems import Problem

MAX_BODY = 1_000_000
"""Bytes of a request's body, packed and unpacked; 500 events of ordinary size are a tenth of it."""

GZIP = 31
"""zlib's word for a gzip header and checksum, and its largest window."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The body as it was before it was packed. Raises Problem."""
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 18 or int(length) > MAX_BODY:  # Python refuses to read thousands of digits
        raise too_large()
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "cut_off", "The request ended before its body did.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY:
            raise too_large()
        chunks.append(chunk)
        if not message.get("more_body"):
            break
    body = b"".join(chunks)
    packed = headers.get(b"content-encoding")
    return body if packed is None else _unpacked(body, packed.strip().lower())


def _unpacked(body: bytes, packed: bytes) -> bytes:
    if packed in {b"", b"identity"}:
        return body
    if packed != b"gzip":
        raise Problem(415, "unsupported_encoding", "Send the body as it is, or with Content-Encoding: gzip.")
    reader = zlib.decompressobj(GZIP)
    try:
        text = reader.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise Problem(400, "malformed_gzip", "The body says that it is gzip, and isn't.") from error
    if len(text) > MAX_BODY:
        raise too_large()
    if not reader.eof or reader.unused_data:
        raise Problem(400, "malformed_gzip", "The body isn't one whole gzip stream.")
    return text


def too_large() -> Problem:
    return Problem(413, "body_too_large", f"The body has more than {MAX_BODY} bytes.", headers={"connection": "close"})
