"""When API keys were used last: noted on the way, told to the database in the background."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from django.db import Error, connections

from personas.models import USE_TOLD, ApiKey, moment

logger = logging.getLogger(__name__)


class Usage:
    """Of one process: number of a key -> seconds since the epoch."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}

    def note(self, key: int, now: float) -> None:
        """A key was used; 0 is none."""
        if key:
            self._used[key] = now

    async def keep(self) -> None:
        """Tell the database for ever, as often as it is told."""
        while True:
            await asyncio.sleep(USE_TOLD.total_seconds())
            await self.tell()

    async def tell(self) -> None:
        """Tell what was noted. What the database won't take now is told the next time."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await asyncio.to_thread(_write, {key: moment(at) for key, at in used.items()})
        except Error:
            logger.warning("the database was not told which keys were used; it will be within minutes", exc_info=True)
            self._used = used | self._used


def _write(uses: dict[int, datetime]) -> None:
    try:
        ApiKey.objects.note_uses(uses)
    finally:
        connections.close_all()
