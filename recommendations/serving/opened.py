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
TURNS, TURN_S = 50, 0.02
"""How often it is looked whether all have said it, and how long between: a second, or as long as a busy machine makes of it, for
each look gives every socket its turn."""


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
        """Have every socket say that the server stops, those too that come yet; returns when they did, or after `TURNS`."""
        self._stops = True
        for sockets in list(self._of.values()):
            for socket in list(sockets):
                socket.end(RESTART, WHY)
        for _ in range(TURNS):
            if not self._speaking:
                return
            await asyncio.sleep(TURN_S)
