"""How much a page may be sent. Django writes the whole body to disk before it looks who asks, however long it is."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from recommendations.serving import live
from recommendations.serving.live import Receive, Scope, Send
from recommendations.serving.problems import Problem

MOST = 10_000_000
"""Bytes of a body, unless it is a catalogue. Forms and JSON have bounds far below (`DATA_UPLOAD_MAX_MEMORY_SIZE`)."""

CATALOGUE = "/api/v1/items/bulk"
"""Takes as much as a feed may have (`FEED_MAX_MB`)."""


class Bounded:
    """An ASGI application that is given no body beyond its bound; who sends more is answered by 413."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = settings.FEED_MAX_BYTES if scope["path"] == CATALOGUE else MOST
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or len(told) > 18 or int(told) > most:
            await _refuse(send, most)
            return
        size, answered = 0, False

        async def bounded() -> Any:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message if size <= most else {"type": "http.disconnect"}

        async def noted(message: Any) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self._application(scope, bounded, noted)
        if size > most and not answered:
            await _refuse(send, most)


async def _refuse(send: Send, most: int) -> None:
    detail = f"The body has more than {most:,} bytes."
    await live.refuse(send, Problem(413, "body_too_large", detail, headers={"connection": "close"}), [])
