"""The websockets that a process holds, by whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recommendations.serving.sockets import Socket

RESTART = 1012
"""The close code of a server that stops: come back, to another or to the next."""

WHY = "the server stops"
STOP_S = 1.0


class Opened:
    """Which sockets are open here."""

    def __init__(self) -> None:
        self._of: dict[Hashable, set[Socket]] = {}
        self._count = 0
        self._speaking = 0
        self._stops = False

    def __len__(self) -> int:
        return self._count

    def of(self, whose: Hashable) -> int:
        """How many are open of one session, or of one account."""
        return len(self._of.get(whose, ()))

    def add(self, whose: Hashable, socket: Socket) -> None:
        self._of.setdefault(whose, set()).add(socket)
        self._count += 1
        if self._stops:
            socket.end(RESTART, WHY)

    def discard(self, whose: Hashable, socket: Socket) -> None:
        sockets = self._of.get(whose, set())
        if socket in sockets:
            sockets.discard(socket)
            self._count -= 1
        if not sockets:
            self._of.pop(whose, None)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """As long as a socket may have something to say, its last word too, which it says when it is no longer held."""
        self._speaking += 1
        try:
            yield
        finally:
            self._speaking -= 1

    async def close(self) -> None:
        """Have every socket say that the server stops, those too that come yet; returns when they did, or after `STOP_S`."""
        self._stops = True
        for sockets in list(self._of.values()):
            for socket in list(sockets):
                socket.end(RESTART, WHY)
        until = asyncio.get_running_loop().time() + STOP_S
        while self._speaking and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
