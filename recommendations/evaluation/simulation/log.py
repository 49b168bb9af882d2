"""Simulated sessions in the form that training reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from clusters.catalogue import Catalogue
from personas.events import CODE, Event
from personas.sessions import SessionLog


class Shopped(Protocol):
    """What any simulated session has; shapes as in `SimulatedSession`."""

    @property
    def key(self) -> str: ...

    @property
    def shopper(self) -> str: ...

    @property
    def events(self) -> Sequence[Event]: ...

    @property
    def context(self) -> Mapping[str, str]: ...

    @property
    def demographics(self) -> Mapping[str, str]: ...


def to_log(sessions: Iterable[Shopped], catalogue: Catalogue) -> tuple[SessionLog, list[dict[str, str]]]:
    """The sessions' log, and each one's context and demographics in the log's order."""
    keys: list[str] = []
    users: list[str] = []
    items: list[int] = []
    rows: list[tuple[int, float, float, float]] = []
    queries: list[str] = []
    evidence: dict[str, dict[str, str]] = {}
    for session in sessions:
        evidence[session.key] = {**session.context, **session.demographics}
        for event in session.events:
            keys.append(session.key)
            users.append(session.shopper)
            items.append(event.item)
            rows.append((CODE[event.name], event.at, _told(event.dwell_s), _told(event.price)))
            queries.append(event.query)
    code, at, dwell_s, price = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    log = SessionLog.of(
        np.array(keys, dtype=str),
        catalogue.positions(items),
        at,
        code=code.astype(np.int8),
        user=np.array(users, dtype=str),
        dwell_s=dwell_s,
        price=price,
        query=np.array(queries, dtype=str),
    )
    return log, [evidence[key] for key in log.keys.tolist()]


def _told(value: float | None) -> float:
    return np.nan if value is None else value
