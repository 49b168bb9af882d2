"""Session neighbours: what the sessions most like this one went on to look at.

V-SKNN with the position rules of VSTAN (Garg et al., 2019, "Sequence and time aware neighborhood"; Ludewig et al.,
2021): an item -> sessions index by recency, scores weighted by the distance from the match and by idf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personas.sessions import SessionLog
from recommendations.ranking import vote_kernels
from recommendations.ranking.compiling import readonly
from recommendations.ranking.history import History, Scratch, segments
from recommendations.ranking.tables import Nearest, Visits

SAMPLE = 1_000
"""Latest sessions read of each item of the history."""

NEIGHBOURS = 500
READ = 10
"""Distinct items of the history that are looked up, the latest ones."""

LAG_DECAY = 0.75
DISTANCE_DECAY = 0.6
"""By how much an item counts less for each place it stands further from the match."""

MAX_SESSION = 30
IDF_WEIGHT = 2.0


@dataclass(frozen=True)
class Neighbours:
    """Sessions by age, each with its items.

    visit_starts : (n + 1,) int64; visits of item i are visit_starts[i]:visit_starts[i + 1], the latest `SAMPLE` sessions.
    visit_session : (visits,) int32.  visit_place : (visits,) int16, place of the item in that session.
    session_starts : (S + 1,) int64.  session_items : (events,) int32.
    idf : (n,) float32, 1 + IDF_WEIGHT * log(S / sessions with the item), scaled to at most 1.
    """

    visit_starts: np.ndarray
    visit_session: np.ndarray
    visit_place: np.ndarray
    session_starts: np.ndarray
    session_items: np.ndarray
    idf: np.ndarray


@dataclass(frozen=True)
class Found:
    """Votes for the items of the neighbour sessions, each once, (m,): `near` the match, and `ahead` of it only."""

    items: np.ndarray
    near: np.ndarray
    ahead: np.ndarray
    sessions: int


NOTHING = Found(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32), 0)


def find(index: Neighbours, history: History, scratch: Scratch) -> Found:
    """The votes of the `NEIGHBOURS` most similar sessions; of equally similar ones, of the younger."""
    if not len(history):
        return NOTHING
    space = scratch.space(len(index.idf), len(index.session_starts), 0, 0)
    count, sessions = vote_kernels.ask_neighbours(visits(index), space, history.positions.astype(np.int64), nearest())
    items = space.voted[:count].astype(np.intp)
    found = Found(items, space.near[items], space.ahead[items], sessions)
    vote_kernels.forget(space, count)
    return found


def visits(index: Neighbours) -> Visits:
    """The index as compiled loops read it."""
    return Visits(
        visit_starts=readonly(index.visit_starts, np.int64),
        visit_session=readonly(index.visit_session, np.int32),
        visit_place=readonly(index.visit_place, np.int16),
        session_starts=readonly(index.session_starts, np.int64),
        session_items=readonly(index.session_items, np.int32),
        idf=readonly(index.idf, np.float32),
        decays=_DECAYS,
    )


def nearest() -> Nearest:
    """How far the index is read."""
    return Nearest(items=READ, sessions=NEIGHBOURS, lag_decay=LAG_DECAY)


# The matched item itself is as near as its neighbour.
_DECAYS = readonly(DISTANCE_DECAY ** np.maximum(np.arange(MAX_SESSION), 1), np.float32)


def build_neighbours(log: SessionLog, n: int) -> Neighbours:
    """Index of item actions; sessions of one item say nothing, and of long ones the last `MAX_SESSION` events count."""
    order = np.argsort(log.at[log.offsets[1:] - 1], kind="stable") if len(log) else np.zeros(0, dtype=np.int64)
    lengths = np.diff(log.offsets)[order]
    order, lengths = order[lengths > 1], np.minimum(lengths[lengths > 1], MAX_SESSION)
    events = segments(log.offsets[1:][order] - lengths, lengths)
    items = log.position[events]
    session = np.repeat(np.arange(len(order)), lengths)
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    place = np.arange(len(items)) - starts[session]
    by = np.lexsort((-place, -session, items))
    first = np.ones(len(by), dtype=bool)
    first[1:] = (items[by][1:] != items[by][:-1]) | (session[by][1:] != session[by][:-1])
    by = by[first]  # one visit an item and session, its last
    counts = np.bincount(items[by], minlength=n)
    begin = np.concatenate(([0], np.cumsum(counts)))
    by = by[np.arange(len(by)) - begin[items[by]] < SAMPLE]
    idf = 1.0 + IDF_WEIGHT * np.log(max(len(order), 1) / np.maximum(counts, 1))
    return Neighbours(
        visit_starts=np.concatenate(([0], np.cumsum(np.minimum(counts, SAMPLE)))).astype(np.int64),
        visit_session=session[by].astype(np.int32),
        visit_place=place[by].astype(np.int16),
        session_starts=starts,
        session_items=items.astype(np.int32),
        idf=(idf / max(float(idf.max()), 1e-12) if n else idf).astype(np.float32),
    )
