"""What is kept for when the system is away: events to be sent, and the last slates."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import OrderedDict
from typing import Any, cast

from persona_clusters.calls import Call
from persona_clusters.shapes import Slate

MOST_REQUESTS = 100_000
MOST_SLATES = 1_000
AWAY_S = 1.0


class Outbox:
    """Requests of events that wait, oldest first, in memory or in an SQLite file that processes may share."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._lock = threading.Lock()
        self._rows = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=5.0, isolation_level=None)
        self._rows.execute("CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL)")

    def put(self, body: Any) -> None:
        with self._lock:
            place = self._rows.execute("INSERT INTO outbox (body) VALUES (?)", (json.dumps(body),)).lastrowid or 0
            self._rows.execute("DELETE FROM outbox WHERE id <= ?", (place - MOST_REQUESTS,))

    def first(self) -> tuple[int, Call] | None:
        with self._lock:
            row = self._rows.execute("SELECT id, body FROM outbox ORDER BY id LIMIT 1").fetchone()
        return (row[0], Call("POST", "/api/v1/events", json.loads(row[1]))) if row else None

    def drop(self, place: int) -> None:
        with self._lock:
            self._rows.execute("DELETE FROM outbox WHERE id = ?", (place,))

    def __len__(self) -> int:
        with self._lock:
            return int(self._rows.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def close(self) -> None:
        self._rows.close()


class LastSlates:
    """The last slate of each session and ask, and whether the system was away just now."""

    def __init__(self) -> None:
        self._slates: OrderedDict[str, Slate] = OrderedDict()
        self._lock = threading.Lock()
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        return time.monotonic() < self._away_until

    def failed(self) -> None:
        self._away_until = time.monotonic() + AWAY_S

    def keep(self, call: Call, slate: Slate) -> Slate:
        with self._lock:
            self._slates[json.dumps(call.json)] = slate
            self._slates.move_to_end(json.dumps(call.json))
            while len(self._slates) > MOST_SLATES:
                self._slates.popitem(last=False)
        return slate

    def last(self, call: Call) -> Slate | None:
        with self._lock:
            kept = self._slates.get(json.dumps(call.json))
        return cast("Slate", {**kept, "stale": True}) if kept is not None else None
