"""What a next-item measure asks of every model, in one order: so that any two models' answers are paired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from personas.sessions import SessionLog
from recommendations.evaluation.breakdown import LENGTHS, POPULARITY_BINS, Popularity, length_bins
from recommendations.ranking.history import item_actions

ALL = 0
"""Segment that every prediction is in; those of prefix lengths follow, then those of popularity."""

SEGMENTS = 1 + len(LENGTHS) + POPULARITY_BINS


@dataclass(frozen=True)
class Test:
    """What is to be foretold: sessions, or published pairs of a prefix and its target.

    ids : of each pair, the id of its session, "" where unknown; None if none is known.
    """

    sessions: SessionLog | None
    examples: list[tuple[tuple[int, ...], int]] | None
    contexts: Mapping[str, Mapping[str, str]]
    starts_at: float = 0.0
    ids: Sequence[str] | None = None


@dataclass(frozen=True)
class Asked:
    """The m predictions that every model is asked for, in one order.

    session : (m,) int64, 0..S-1, of each.  length : (m,) int64, items of the prefix.  target : (m,) int64.
    unit : what was taken for a session: "session", "pair", or "session or pair" where only some ids are known.
    """

    session: np.ndarray
    length: np.ndarray
    target: np.ndarray
    unit: str


def asked_of(test: Test) -> Asked:
    """What is asked, in the order in which every model answers."""
    if test.examples is not None:
        return _of_pairs(test.examples, test.ids)
    assert test.sessions is not None
    log = item_actions(test.sessions)
    session = log.session_of
    place = np.arange(len(session)) - log.offsets[session]
    later = np.flatnonzero(place > 0)
    _, group = np.unique(session[later], return_inverse=True)
    return Asked(group.astype(np.int64), place[later], log.position[later].astype(np.int64), "session")


def _of_pairs(examples: Sequence[tuple[tuple[int, ...], int]], ids: Sequence[str] | None) -> Asked:
    order = sorted(range(len(examples)), key=examples.__getitem__)
    known = [ids[i] if ids else "" for i in order]
    # A number is no id: a pair without an id is a session of its own.
    group: dict[str | int, int] = {}
    session = [group.setdefault(name or i, len(group)) for i, name in enumerate(known)]
    unit = "session" if all(known) else "session or pair" if any(known) else "pair"
    return Asked(
        session=np.array(session, dtype=np.int64),
        length=np.array([len(examples[i][0]) for i in order], dtype=np.int64),
        target=np.array([examples[i][1] for i in order], dtype=np.int64),
        unit=unit,
    )


def segments_of(asked: Asked, popularity: Popularity) -> np.ndarray:
    """(m, 3) the segments that each prediction is in, out of `SEGMENTS`."""
    every = np.full(len(asked.target), ALL, dtype=np.int64)
    popular = 1 + len(LENGTHS) + popularity.bin_of[asked.target]
    return np.column_stack((every, 1 + length_bins(asked.length), popular))


def prefixes_of(test: Test) -> Iterator[tuple[np.ndarray, int]]:
    """Every prefix with its target, in the order of `asked_of`."""
    if test.examples is not None:
        return ((np.array(prefix), target) for prefix, target in sorted(test.examples))
    assert test.sessions is not None
    return pairs_of(item_actions(test.sessions))


def pairs_of(log: SessionLog) -> Iterator[tuple[np.ndarray, int]]:
    """Every prefix of at least one item with the item that follows it."""
    for rows in log.slices():
        for row in range(rows.start + 1, rows.stop):
            yield log.position[rows.start : row], int(log.position[row])
