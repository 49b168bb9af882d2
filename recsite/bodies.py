"""How much a page may be sent. Django writes the whole body to disk before it looks who asks, however long it is."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from redis.exceptions import RedisError

from recommendations.serving import live, process
from recommendations.serving.live import Receive, Scope, Send
from recommendations.serving.problems import Problem, storage_unavailable

MOST = 10_000_000
"""Bytes of a body, unless it is a catalogue. Forms and JSON have bounds far below (`DATA_UPLOAD_MAX_MEMORY_SIZE`)."""

CATALOGUE = "/api/v1/items/bulk"
"""Takes as much as a feed may have (`FEED_MAX_MB`), of a key that may manage."""


class Bounded:
    """An ASGI application that is given no body beyond its bound; who sends more is answered by 413."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            most = await _catalogue_bound(headers) if scope["path"] == CATALOGUE else MOST
        except Problem as problem:
            problem.headers["connection"] = "close"
            await live.refuse(send, problem, [])
            return
        told = headers.get(b"content-length", b"0")
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


async def _catalogue_bound(headers: dict[bytes, bytes]) -> int:
    """Bytes that a caller may send as a catalogue: what a feed may have, with a key that may manage; without one, as of any page.

    Raises Problem on a key that may not, before it sends half a gigabyte to hear so.
    """
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if not authorization:
        return MOST
    try:
        here, now = await process.current(), time.time()
        who = await here.keys.principal(authorization, now=now)
    except (RedisError, OSError) as error:
        raise storage_unavailable() from error
    if who.session or now >= who.expires:
        return MOST  # which kind of credential it is, or that it ended, is told where keys are read
    who.require("manage")
    return int(settings.FEED_MAX_BYTES)


async def _refuse(send: Send, most: int) -> None:
    detail = f"The body has more than {most:,} bytes." + ("" if most > MOST else f" {CATALOGUE} takes more, with an API key.")
    await live.refuse(send, Problem(413, "body_too_large", detail, headers={"connection": "close"}), [])
