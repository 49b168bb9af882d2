"""Data sets for the next-item measure: files of events, read, and split into training and test sessions.

A bad line costs only itself and is reported; a file that can't be read, or a split that leaves nothing, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clusters.catalogue import Catalogue, ItemRow, build_catalogue
from personas.event_records import EventRecords
from personas.events import OLDEST_S, EventError, check_id
from personas.files import FileError, RecordFile, Reject
from personas.importing import flag_of, number_of, text_of
from personas.sessions import NO_ITEM, SessionLog

FILES = ("events", "items", "users", "test_examples")
ENDINGS = (".csv.gz", ".csv")
TEST, VALID = frozenset({"test"}), frozenset({"valid", "validation", "val"})
MAX_SHOWN = 20


class DatasetError(ValueError):
    """A data set that can't be measured on, with the reason."""


class Rejected(NamedTuple):
    """A line that was not taken: its file and the reader's word on it."""

    file: str
    reject: Reject


class Example(NamedTuple):
    """A published test pair: external ids of the items so far, and of the one that came next; "" for an unknown session."""

    prefix: tuple[str, ...]
    target: str
    session: str = ""


@dataclass
class Dataset:
    """What PATH holds. Positions in `log` are into `items`, external ids in order of appearance.

    split : session key -> value of its `split` column, "" where there is none.  contexts : session key -> evidence.
    """

    name: str
    log: SessionLog
    items: list[str]
    facts: dict[str, ItemRow]
    split: dict[str, str]
    contexts: dict[str, dict[str, str]]
    examples: list[Example] | None
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True)
class Split:
    """A data set made ready for one protocol.

    train : all that is not test, positions into `catalogue`, which holds only what training may know.
    valid : keys of the training sessions that tuning uses, None for the last training days.
    test : sessions, events on items unseen in training left out.  examples : pairs of positions, instead of `test`.
    ids : of each pair the id of its session, "" where the file has none.
    """

    name: str
    protocol: str
    train: SessionLog
    valid: frozenset[str] | None
    test: SessionLog | None
    examples: list[tuple[tuple[int, ...], int]] | None
    catalogue: Catalogue
    contexts: Mapping[str, dict[str, str]]
    ids: tuple[str, ...] = ()


def read_dataset(path: Path, progress: Callable[[str, float], None] | None = None) -> Dataset:
    """Everything in a folder. progress : told the share of the events file that has been read. Raises DatasetError."""
    files = {name: next((f for e in ENDINGS if (f := path / f"{name}{e}").is_file()), None) for name in FILES}
    if not path.is_dir():
        raise DatasetError(f"{path} is not a folder; give one that holds events.csv or events.csv.gz")
    if files["events"] is None:
        raise DatasetError(f"{path} holds neither events.csv nor events.csv.gz")
    rejected: list[Rejected] = []
    users = _users(files["users"], rejected) if files["users"] else {}
    log, items, prices, split, contexts = _events(files["events"], users, rejected, progress)
    facts = _items(files["items"], rejected) if files["items"] else {}
    for item, price in zip(items, prices, strict=True):
        known = facts.get(item)
        if known is None:
            facts[item] = ItemRow(0, item, price=price)
        elif known.price is None and price is not None:
            facts[item] = ItemRow(**{**vars(known), "price": price})
    return Dataset(
        name=path.resolve().name,
        log=log,
        items=items,
        facts=facts,
        split=split,
        contexts=contexts,
        examples=_examples(files["test_examples"], rejected) if files["test_examples"] else None,
        rejected=rejected,
    )


def _records(
    path: Path,
    rejected: list[Rejected],
    take: Callable[[int, dict[str, Any]], None],
    progress: Callable[[str, float], None] | None = None,
) -> None:
    """Hand every record to `take`; what it refuses with EventError is reported. Raises DatasetError."""
    try:
        with RecordFile(path) as file:
            for count, entry in enumerate(file, 1):
                if progress and count % 20_000 == 0:
                    progress("reading", file.done / max(file.size, 1))
                if isinstance(entry, Reject):
                    rejected.append(Rejected(path.name, entry))
                    continue
                try:
                    take(entry.line, entry.values)
                except EventError as error:
                    rejected.append(Rejected(path.name, Reject(entry.line, error.field, error.reason)))
            if file.broke:
                raise DatasetError(f"{path.name}: {file.broke}")
    except FileError as error:
        raise DatasetError(str(error)) from error


def _events(
    path: Path, users: Mapping[str, dict[str, str]], rejected: list[Rejected], progress: Callable[[str, float], None] | None
) -> tuple[SessionLog, list[str], list[float | None], dict[str, str], dict[str, dict[str, str]]]:
    """The log, items by position, each item's first price, and by session the split's value and the context."""
    reader = EventRecords(now=datetime.now(UTC).timestamp())
    index: dict[str, int] = {}
    prices: list[float | None] = []
    columns: list[tuple[str, str, int, int, float, int, float, float]] = []
    queries: list[str] = []
    clocks: set[str] = set()
    split: dict[str, str] = {}
    contexts: dict[str, dict[str, str]] = {}

    def take(line: int, values: dict[str, Any]) -> None:
        event = reader.read(values)
        clocks.add(event.clock)
        if event.session_id not in split:
            split[event.session_id] = str(values.get("split") or "").strip().lower()
            contexts[event.session_id] = {**users.get(event.user_id, {}), **event.context}
        for item in event.items or ("",):
            position = NO_ITEM
            if item:
                position = index.setdefault(item, len(index))
                if position == len(prices):
                    prices.append(event.price)
            dwell = np.nan if event.dwell_s is None else event.dwell_s
            price = np.nan if event.price is None else event.price
            columns.append((event.session_id, event.user_id, event.code, position, event.at, event.place, dwell, price))
            queries.append(event.query)

    _records(path, rejected, take, progress)
    if not columns:
        first = rejected[0].reject if rejected else None
        why = f"; line {first.line}: {first.field or 'the line'} {first.reason}" if first else ""
        raise DatasetError(f"{path.name} holds no event that can be used{why}")
    session, user, code, position, at, place, dwell, price = (np.array(c) for c in zip(*columns, strict=True))
    clock = "order" if "order" in clocks else "second" if "second" in clocks else "day"
    if clock == "order":
        at = _order(session, place)
    log = SessionLog.of(
        session,
        position,
        at,
        code=code,
        order=place,
        user=user,
        dwell_s=dwell.astype(np.float32),
        price=price,
        clock=clock,
        query=np.array(queries, dtype=object),
    )
    return log, list(index), prices, split, contexts


def _order(session: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(N,) times that only count events: by `place` if it numbers the whole file, else session after session."""
    if len(np.unique(place)) == len(place):
        by = np.argsort(place, kind="stable")
    else:
        _, first, inverse = np.unique(session, return_index=True, return_inverse=True)
        by = np.lexsort((place, first[inverse]))
    at = np.empty(len(place))
    at[by] = OLDEST_S + np.arange(len(place))
    return at


def _items(path: Path, rejected: list[Rejected]) -> dict[str, ItemRow]:
    facts: dict[str, ItemRow] = {}

    def take(line: int, values: dict[str, Any]) -> None:
        item = check_id("item_id", str(values.get("item_id") or "").strip())
        title, category, brand, colour = (text_of(c, values.get(c), 300) for c in ("title", "category", "brand", "colour"))
        price, regular = (number_of(c, values.get(c)) for c in ("price", "regular_price"))
        facts[item] = ItemRow(0, item, title, category, brand, colour, price, regular_price=regular)

    _records(path, rejected, take)
    return facts


def _users(path: Path, rejected: list[Rejected]) -> dict[str, dict[str, str]]:
    """Demographics by user; only of those whose consent is recorded in a `consent` column."""
    users: dict[str, dict[str, str]] = {}

    def take(line: int, values: dict[str, Any]) -> None:
        user = check_id("user_id", str(values.get("user_id") or "").strip())
        if flag_of("consent", values.get("consent") or "no"):
            users[user] = {k: str(v) for k, v in values.items() if k not in ("user_id", "consent") and v not in (None, "")}

    _records(path, rejected, take)
    return users


def _examples(path: Path, rejected: list[Rejected]) -> list[Example]:
    examples: list[Example] = []

    def take(line: int, values: dict[str, Any]) -> None:
        prefix = tuple(str(values.get("prefix") or "").split())
        target = str(values.get("target") or "").strip()
        if not prefix or not target:
            raise EventError("prefix" if not prefix else "target", "is missing")
        examples.append(Example(prefix, target, str(values.get("session_id") or "").strip()))

    _records(path, rejected, take)
    if not examples:
        raise DatasetError(f"{path.name} holds no example")
    return examples


def split_dataset(data: Dataset, how: str | None = None) -> Split:
    """Training and test by `how`: "examples", "column", "days=N", "from=DATE", or None for the default.

    Default: the examples if there are any, else the `split` column if it is filled, else the last tenth of the days.
    Raises DatasetError.
    """
    kind, _, value = (how or _default(data)).partition("=")
    log = data.log
    labels = np.array([data.split[k] for k in log.keys.tolist()])
    valid: frozenset[str] | None = None
    if kind in ("examples", "column") and not value:
        test = np.isin(labels, list(TEST))
        if kind == "examples" and data.examples is None:
            raise DatasetError("there is no test_examples file; choose --split column, days=N or from=DATE")
        if kind == "column" and not test.any():
            raise DatasetError('no session has "test" in a `split` column')
        chosen = np.isin(labels, list(VALID))
        valid = frozenset(log.keys[chosen].tolist()) or None
    elif kind == "days":
        test = _last_days(log, _whole(value))
    elif kind == "from":
        test = log.starts >= _moment(value, log)
    elif kind == "tenth" and not value:
        test = _last_tenth(log)
    else:
        raise DatasetError(f"--split {how!r} is not one of examples, column, days=N, from=DATE")
    return _prepare(data, f"{kind}={value}" if value else kind, test, valid)


def _default(data: Dataset) -> str:
    if data.examples is not None:
        return "examples"
    return "column" if TEST & set(data.split.values()) else "tenth"


def _whole(value: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise DatasetError(f"days={value} is not a whole number of days, at least 1")
    return int(value)


def _last_days(log: SessionLog, days: int) -> np.ndarray:
    if log.clock == "order":
        raise DatasetError("the events have no time of day, only an order: there are no days to split by")
    day = np.floor(log.starts / 86_400.0)
    return day > day.max() - days


def _last_tenth(log: SessionLog) -> np.ndarray:
    """Sessions of the last tenth of the days, at least one day; without a clock, the last tenth of the sessions."""
    if log.clock == "order" or not len(log):
        return np.arange(len(log)) >= len(log) - max(1, len(log) // 10)
    day = np.floor(log.starts / 86_400.0)
    span = int(day.max() - day.min()) + 1
    return day > day.max() - max(1, round(span / 10))


def _moment(value: str, log: SessionLog) -> float:
    if log.clock == "order":
        raise DatasetError("the events have no time of day, only an order: there is no date to split at")
    try:
        moment = datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
    except ValueError:
        raise DatasetError(f"from={value} is not a date like 2008-08-01") from None
    return moment.timestamp()


def _prepare(data: Dataset, protocol: str, test: np.ndarray, valid: frozenset[str] | None) -> Split:
    train = data.log.take(~test)
    if not len(train):
        raise DatasetError(f"--split {protocol} leaves no session to train on")
    visited = np.zeros(len(data.items), dtype=bool)
    visited[train.position[train.position != NO_ITEM]] = True
    # An item that only test sessions hold, and no items file lists, is not known at training time.
    listed = [item for i, item in enumerate(data.items) if visited[i]]
    seen = set(data.items)
    listed += [item for item in data.facts if item not in seen]
    catalogue = build_catalogue(ItemRow(**{**vars(data.facts[item]), "item_id": i + 1}) for i, item in enumerate(listed))
    place = np.full(len(data.items) + 1, NO_ITEM, dtype=np.int32)  # the last entry serves NO_ITEM, -1
    place[:-1][visited] = np.arange(int(visited.sum()))
    examples = tested = None
    ids: tuple[str, ...] = ()
    if protocol == "examples" and data.examples is not None:
        known = {item: i for i, item in enumerate(listed[: int(visited.sum())])}
        pairs = ((tuple(known[i] for i in e.prefix if i in known), known.get(e.target), e.session) for e in data.examples)
        kept = [(prefix, target, session) for prefix, target, session in pairs if prefix and target is not None]
        examples, ids = [(prefix, target) for prefix, target, _ in kept], tuple(session for *_, session in kept)
        if not examples:
            raise DatasetError("no example has a prefix and a target that training has seen")
    else:
        part = data.log.take(test)
        tested = part.where((part.position == NO_ITEM) | visited[part.position])
        if not len(tested):
            raise DatasetError(f"--split {protocol} leaves no test session with an item that training has seen")
        tested = _moved(tested, place)
    return Split(data.name, protocol, _moved(train, place), valid, tested, examples, catalogue, data.contexts, ids)


def _moved(log: SessionLog, place: np.ndarray) -> SessionLog:
    return SessionLog(**{**vars(log), "position": place[log.position]})
