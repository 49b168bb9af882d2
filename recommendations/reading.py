"""Rows become arrays: a shop's items and log as training reads them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clusters.catalogue import Catalogue, build_catalogue
from clusters.models import Item
from personas.models import ArchivedEvent, Session, Shop, TrainingEvent
from personas.sessions import SessionLog

CHUNK = 50_000
"""Rows read at a time, so that a million events are never a million Python tuples at once."""


def read_catalogue(shop: Shop) -> Catalogue:
    """All items of a shop."""
    return build_catalogue(Item.objects.filter(shop=shop).as_rows())


def read_log(shop: Shop, catalogue: Catalogue) -> tuple[SessionLog, list[dict[str, str]]]:
    """The archived log of a shop, and the context of each of its sessions in the log's order."""
    rows = ArchivedEvent.objects.for_training(shop)
    columns: list[np.ndarray] = []
    buffer: list[tuple[float, ...]] = []
    queries: list[str] = []
    for *row, query in rows:
        buffer.append(tuple(np.nan if value is None else value for value in row))
        queries.append(query)
        if len(buffer) == CHUNK:
            columns.append(np.array(buffer, dtype=np.float64))
            buffer = []
    if buffer:
        columns.append(np.array(buffer, dtype=np.float64))
    table = np.concatenate(columns) if columns else np.zeros((0, len(TrainingEvent._fields) - 1))
    session, code, item, at, place, dwell, price, _ = table.T
    sessions = {row.pk: row for row in Session.objects.for_training(shop)}
    keys = session.astype(np.int64)
    log = SessionLog.of(
        keys,
        catalogue.positions(item.astype(np.int64).tolist()),
        at,
        code=code.astype(np.int8),
        order=place,
        user=np.array([sessions[k].shopper for k in keys.tolist()]) if len(keys) else None,
        dwell_s=dwell,
        price=price,
        clock=_coarsest({row.clock for row in sessions.values()}),
        query=np.array(queries, dtype=object),
    )
    read = [sessions[int(k)] for k in log.keys.tolist()]
    return log, [_words({**row.context, **row.demographics}) for row in read]


def _coarsest(clocks: set[str]) -> str:
    """What can be said of every session's time, when a file knew only the day and live events know the second."""
    return next((c for c in ("order", "day") if c in clocks), "second")


def _words(context: Mapping[str, object]) -> dict[str, str]:
    return {str(k): str(v) for k, v in context.items() if v not in (None, "")}
