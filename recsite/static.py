"""Static files under ASGI: WhiteNoise's table of files, answered without Django's handler and its thread hop."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import Response

Message = MutableMapping[str, Any]
MAX_PIECE = 256 * 1024
COMPRESSED = ("text/", "application/javascript", "application/json", "image/svg+xml")
"""Content types that are sent compressed to whoever takes that."""


class StaticFiles:
    """The files found at start. While DEBUG is on the table is empty and Django's middleware finds them anew."""

    def __init__(self) -> None:
        self._files: MutableMapping[str, Any] = WhiteNoiseMiddleware(_no_page).files
        self._compressed: dict[str, bytes] = {}

    def has(self, path: str) -> bool:
        return path in self._files

    async def __call__(self, scope: Message, send: Callable[[Message], Awaitable[None]]) -> None:
        """Answer GET and HEAD with ETag, ranges and compressed variants, as WhiteNoise does; 405 for the rest."""
        environ = _environ(scope["headers"])
        response: Response = self._files[scope["path"]].get_response(scope["method"], environ)
        told = {str(name).lower(): str(value) for name, value in response.headers}
        told["x-content-type-options"] = "nosniff"
        if response.status == 200 and "content-encoding" not in told and told.get("content-type", "").startswith(COMPRESSED):
            told["vary"] = "Accept-Encoding"
            if response.file is not None and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
                await self._send_compressed(scope["path"], response.file, told, send)
                return
        await send({"type": "http.response.start", "status": int(response.status), "headers": _encoded(told)})
        if response.file is not None:
            try:
                while piece := await asyncio.to_thread(response.file.read, MAX_PIECE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                response.file.close()
        await send({"type": "http.response.body", "body": b""})

    async def _send_compressed(
        self, path: str, file: Any, told: dict[str, str], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """The file compressed, which is done once: the table of files doesn't change while the process lives."""
        body = self._compressed.get(path)
        with file:
            if body is None:
                # In a thread: a large script takes the time of many events.
                body = self._compressed[path] = await asyncio.to_thread(lambda: gzip.compress(file.read(), mtime=0))
        told |= {"content-encoding": "gzip", "content-length": str(len(body))}
        await send({"type": "http.response.start", "status": 200, "headers": _encoded(told)})
        await send({"type": "http.response.body", "body": body})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _environ(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1") for name, value in headers}


def _no_page(_: HttpRequest) -> HttpResponse:
    return HttpResponse(status=404)
