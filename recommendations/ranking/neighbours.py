"""Session neighbours: what the sessions most like this one went on to look at.

V-SKNN with the position rules of VSTAN (Garg et al., 2019, "Sequence and time aware neighborhood"; Ludewig et al.,
2021): an item -> sessions index by recency, scores weighted by the distance from the match and by idf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personas.sessions import SessionLog
from recommendations.ranking.history import History, Scratch, distinct, segments

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
    """The votes of the `NEIGHBOURS` most similar sessions."""
    latest = list(dict.fromkeys(history.positions[::-1].tolist()))[:READ]
    similarity = scratch.zeros("similarity", len(index.session_starts), np.float32)
    sessions: list[np.ndarray] = []
    places: list[np.ndarray] = []
    weight = 1.0
    for item in latest:
        start, stop = index.visit_starts.item(item), index.visit_starts.item(item + 1)
        visited = index.visit_session[start:stop]
        more = weight * index.idf[item]
        if sessions:
            now = similarity[visited]
            fresh = now == 0.0
            sessions.append(visited[fresh])
            places.append(index.visit_place[start:stop][fresh])
            similarity[visited] = now + more
        else:
            sessions.append(visited)
            places.append(index.visit_place[start:stop])
            similarity[visited] = more
        weight *= LAG_DECAY
    if not sessions:
        return NOTHING
    touched, match = np.concatenate(sessions), np.concatenate(places)
    likeness = similarity[touched]
    similarity[touched] = 0.0
    if len(touched) > NEIGHBOURS:
        # Of equally similar sessions the younger: their numbers rise with time.
        keep = np.argpartition(likeness + touched * np.float32(1e-6 / len(index.session_starts)), -NEIGHBOURS)[-NEIGHBOURS:]
        touched, match, likeness = touched[keep], match[keep], likeness[keep]
    starts = index.session_starts[touched]
    lengths = index.session_starts[touched + 1] - starts
    entries = segments(starts, lengths)
    items = index.session_items[entries].astype(np.intp)  # what indexes is converted once, not at every use
    distance = entries - (starts + match).repeat(lengths)
    vote = likeness.repeat(lengths) * _DECAYED[distance]
    vote *= index.idf[items]
    n = len(index.idf)
    voted = distinct(items, scratch, n)
    near, ahead = scratch.zeros("near", n, np.float32), scratch.zeros("ahead", n, np.float32)
    np.add.at(near, items, vote)
    vote *= distance > 0
    np.add.at(ahead, items, vote)
    result = Found(voted, near[voted], ahead[voted], len(touched))
    near[voted] = ahead[voted] = 0.0
    return result


_DECAYED = (DISTANCE_DECAY ** np.abs(np.arange(2 * MAX_SESSION) - MAX_SESSION)).astype(np.float32)
_DECAYED[MAX_SESSION] = DISTANCE_DECAY  # the matched item itself: as near as its neighbour
_DECAYED = np.roll(_DECAYED, -MAX_SESSION)  # a distance is its own index, negative ones from the end


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
