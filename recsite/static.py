"""Static files under ASGI: WhiteNoise's table of files, answered without Django's handler and its thread hop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import Response

Message = MutableMapping[str, Any]
MAX_PIECE = 256 * 1024


class StaticFiles:
    """The files found at start. While DEBUG is on the table is empty and Django's middleware finds them anew."""

    def __init__(self) -> None:
        self._files: MutableMapping[str, Any] = WhiteNoiseMiddleware(_no_page).files

    def has(self, path: str) -> bool:
        return path in self._files

    async def __call__(self, scope: Message, send: Callable[[Message], Awaitable[None]]) -> None:
        """Answer GET and HEAD with ETag, ranges and compressed variants, as WhiteNoise does; 405 for the rest."""
        environ = _environ(scope["headers"])
        response: Response = self._files[scope["path"]].get_response(scope["method"], environ)
        headers = [(name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in response.headers]
        headers.append((b"x-content-type-options", b"nosniff"))
        await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
        if response.file is not None:
            try:
                while piece := await asyncio.to_thread(response.file.read, MAX_PIECE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                response.file.close()
        await send({"type": "http.response.body", "body": b""})


def _environ(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1") for name, value in headers}


def _no_page(_: HttpRequest) -> HttpResponse:
    return HttpResponse(status=404)
