"""Archived decisions, and what followed them, as the columns that learning reads: the one way from rows to `DecisionLog`."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
from django.db import connection
from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast

from clusters.crediting import Followed
from clusters.decision_log import ABSENT, DecisionLog, joined
from clusters.policy import ACTIONS, FEATURES
from clusters.rewards import Engagement, Report
from personas.events import CODE, ENGAGEMENT, UNKNOWN_ITEM
from personas.models import ArchivedEvent, Epoch, Session, Shop, in_chunks
from recommendations.models import AdaptationDecision

logger = logging.getLogger(__name__)

REPORT = CODE["view_item_list"]
ENGAGED = tuple(CODE[name] for name in ENGAGEMENT)

LATE_S = 120.0
"""Seconds that an event may be on its way to us. What was decided upon one that took longer was decided long after it happened:
the slates around its time are not the decision's doing."""

BATCH = 4_000
"""Decisions that are read at a time: with their options as plain objects some tens of megabytes."""


class _Option(msgspec.Struct, array_like=True, gc=False):
    """The beginning of an option as `AdaptationDecision.options` keeps it."""

    action: int
    target: int
    features: list[float]


class Numbered(NamedTuple):
    """Decisions with the primary keys (n,) int64 of their rows and the names of their sessions, by `log.session`."""

    pks: np.ndarray
    log: DecisionLog
    sessions: tuple[str, ...]


def decisions_of(rows: QuerySet[AdaptationDecision]) -> DecisionLog:
    """Decisions as columns, in the order of `rows`; see `numbered`."""
    return numbered(rows).log


def numbered(rows: QuerySet[AdaptationDecision]) -> Numbered:
    """Decisions as columns, in the order of `rows`.

    Those from before options were logged are passed over, and those that don't hold together, which are told of. Where an
    option was described by fewer features than today's, the others are 0.
    """
    texts = (Cast(F("options"), TextField()), Cast(F("propensities"), TextField()))
    code: dict[str, int] = {}
    with uncollected():
        asked = rows.values_list("pk", "session_id", Epoch("at"), "cluster", "choice", "reward", *texts)
        parts = [_read(taken, code) for taken in batches(asked, BATCH)] or [_read([], code)]
    return Numbered(np.concatenate([pks for pks, _ in parts]), joined([log for _, log in parts]), tuple(code))


def _read(taken: Sequence[tuple[Any, ...]], code: dict[str, int]) -> tuple[np.ndarray, DecisionLog]:
    """Primary keys and decisions of some rows. code : session -> number, to which those are added that are new."""
    options = msgspec.json.decode(as_one(row[6] for row in taken), type=list[list[_Option]])
    propensities = msgspec.json.decode(as_one(row[7] for row in taken), type=list[list[float]])
    kept = [n for n, row in enumerate(taken) if options[n] and _holds(options[n], propensities[n], row[4])]
    odd = sum(map(bool, options)) - len(kept)
    if odd:
        logger.warning("%s decisions whose options don't fit their propensities are passed over", odd)
    counts = np.array([len(options[n]) for n in kept], dtype=np.int64)
    row = np.repeat(np.arange(len(kept)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    n, most = len(kept), int(counts.max(initial=1))
    flat = [option for n in kept for option in options[n]]
    x = np.zeros((n, most, len(FEATURES)))
    x[row, place] = features_array([option.features for option in flat])
    action = np.full((n, most), ABSENT, dtype=np.int8)
    action[row, place] = [option.action for option in flat]
    target = np.zeros((n, most), dtype=np.int64)
    target[row, place] = [option.target for option in flat]
    chances = np.zeros((n, most))
    chances[row, place] = [p for n in kept for p in propensities[n]]
    session = np.array([code.setdefault(taken[n][1], len(code)) for n in kept], dtype=np.int64)
    reward = [np.nan if taken[n][5] is None else taken[n][5] for n in kept]
    log = DecisionLog(
        x=x,
        action=action,
        choice=np.array([taken[n][4] for n in kept], dtype=np.int64),
        propensities=chances,
        reward=np.array(reward, dtype=np.float64),
        session=session,
        at=np.array([taken[n][2] for n in kept], dtype=np.float64),
        cluster=np.array([taken[n][3] for n in kept], dtype=np.int64),
        target=target,
    )
    return np.array([taken[n][0] for n in kept], dtype=np.int64), log


def features_array(features: Sequence[Sequence[float]]) -> np.ndarray:
    """(n, d) float64; what wasn't known of yet when a row was written is 0. None may be longer than d."""
    lengths = {len(each) for each in features}
    if lengths <= {len(FEATURES)}:
        return np.array(features, dtype=np.float64).reshape(-1, len(FEATURES))
    x = np.zeros((len(features), len(FEATURES)))
    for length in lengths:
        rows = [n for n, each in enumerate(features) if len(each) == length]
        x[rows, :length] = [features[n] for n in rows]
    return x


def as_one(texts: Iterable[str]) -> str:
    """JSON texts as one JSON array: decoded in one go, which costs a tenth of one at a time."""
    return f"[{','.join(texts)}]"


def _holds(options: list[_Option], propensities: list[float], choice: int) -> bool:
    return (
        len(options) == len(propensities)
        and choice < len(options)
        and propensities[choice] > 0.0
        and all(0 <= option.action < len(ACTIONS) and len(option.features) <= len(FEATURES) for option in options)
    )


@dataclass
class Happenings:
    """What the shopper of one session saw and did, by the times of the events. A report's slots are () where it told none."""

    reports: list[Report] = field(default_factory=list)
    engagements: list[Engagement] = field(default_factory=list)


class _Data(msgspec.Struct, gc=False):
    """What of `ArchivedEvent.data` is read here."""

    items: tuple[int, ...] = ()
    slots: tuple[int, ...] = ()
    recommendation_id: str = ""


def happenings(shop: Shop, session_ids: Iterable[str]) -> dict[str, Happenings]:
    """Session id -> what happened, of those archived sessions of the shop. Items that the catalogue lacks are left out.

    A report counts only where it names the slate; an engagement with several items is one with each.
    """
    names = {pk: name for name, pk in Session.objects.ids_of(shop, session_ids).items()}
    found = {name: Happenings() for name in names.values()}
    columns = ("session_id", "code", Epoch("at"), "item", Cast(F("data"), TextField()))
    for chunk in in_chunks(names):
        events = ArchivedEvent.objects.filter(shop=shop, session__in=chunk, code__in=(REPORT, *ENGAGED))
        rows = plain(events.order_by("session_id", "at", "place", "pk").values_list(*columns))
        told = msgspec.json.decode(as_one(row[4] or "{}" for row in rows), type=list[_Data])
        for (session, code, at, item, _), data in zip(rows, told, strict=True):
            of, items = found[names[session]], data.items or (item,)
            if code != REPORT:
                of.engagements += [Engagement(at, i, code) for i in items if i != UNKNOWN_ITEM]
            elif data.recommendation_id and any(items):
                of.reports.append(_report(at, items, data.recommendation_id, data.slots))
    return found


def _report(at: float, items: tuple[int, ...], slate: str, slots: tuple[int, ...]) -> Report:
    if len(slots) != len(items):
        slots = ()
    if UNKNOWN_ITEM in items:
        known = [n for n, i in enumerate(items) if i != UNKNOWN_ITEM]
        items, slots = tuple(items[n] for n in known), tuple(slots[n] for n in known) if slots else ()
    return Report(at, items, slate, slots)


def followed(shop: Shop, session_ids: Sequence[str]) -> Followed:
    """What happened in archived sessions of the shop, numbered by their place, as columns; what counts is as of `happenings`."""
    pks = Session.objects.ids_of(shop, session_ids)
    number = {pks[name]: n for n, name in enumerate(session_ids) if name in pks}
    columns = ("session_id", "code", Epoch("at"), Epoch("received_at"), "item", Cast(F("data"), TextField()))
    rows: list[tuple[Any, ...]] = []
    for some in in_chunks(number):
        events = ArchivedEvent.objects.filter(shop=shop, session__in=some, code__in=(REPORT, *ENGAGED))
        rows += plain(events.order_by("session_id", "place").values_list(*columns))  # as the index has them
    sessions, codes, times, received, own, texts = zip(*rows, strict=True) if rows else ((),) * 6
    told = msgspec.json.decode(as_one(text or "{}" for text in texts), type=list[_Data])
    session, code = np.array([number[pk] for pk in sessions], dtype=np.int64), np.array(codes, dtype=np.int64)
    at, came = np.array(times, dtype=np.float64), np.array(received, dtype=np.float64)
    named = np.array([bool(data.recommendation_id) for data in told], dtype=bool)
    order = np.lexsort((at, session))

    def listed(which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of some rows, each's items one after the other: place in `which`, slot, item; what the catalogue lacks is left out."""
        data = [told[n] for n in which.tolist()]
        items = [each.items or (own[n],) for n, each in zip(which.tolist(), data, strict=True)]
        lengths = np.array([len(each) for each in items], dtype=np.int64)
        of, item = np.repeat(np.arange(len(which)), lengths), np.array(list(chain.from_iterable(items)), dtype=np.int64)
        told_slots = np.array([len(each.slots) for each in data], dtype=np.int64) == lengths
        given = chain.from_iterable(each.slots for each, fits in zip(data, told_slots.tolist(), strict=True) if fits)
        slot = np.zeros(len(item), dtype=np.int64)
        slot[told_slots[of]] = list(given)
        known = item != UNKNOWN_ITEM
        of, slot, item = of[known], slot[known], item[known]
        return of, np.where(told_slots[of], slot, np.arange(len(of)) - np.searchsorted(of, of)), item

    reports, acts = order[((code == REPORT) & named)[order]], order[(code != REPORT)[order]]
    of, slot, item = listed(reports)
    did, _, acted = listed(acts)
    full, start = np.unique(of, return_index=True)
    reports, acts = reports[full], acts[did]
    numbers = np.unique(np.concatenate((item, acted)), return_inverse=True)[1].reshape(-1)
    slates: dict[tuple[int, str], int] = {}
    names = zip(session[reports].tolist(), (told[n].recommendation_id for n in reports.tolist()), strict=True)
    slate = [slates.setdefault(name, len(slates)) for name in names]
    late = np.flatnonzero(came - at > LATE_S)
    return Followed(
        session[reports],
        at[reports],
        np.array(slate, dtype=np.int64),
        np.append(start, len(of)),
        numbers[: len(item)],
        slot,
        session[acts],
        at[acts],
        numbers[len(item) :],
        code[acts],
        frozenset(zip(session[late].tolist(), at[late].tolist(), strict=True)),
    )


def plain(rows: QuerySet[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows as the database gives them: of columns that need no conversion, in a third of the time."""
    return [row for some in batches(rows, 10_000) for row in some]


def batches(rows: QuerySet[Any, tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    """`plain`, so many at a time."""
    with connection.cursor() as cursor:
        cursor.execute(*rows.query.sql_with_params())
        while some := cursor.fetchmany(size):
            yield some


@contextmanager
def uncollected() -> Iterator[None]:
    """Without looks for cycles among the objects made here: rows by the hundred thousand form none, and to look took a fifth."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
