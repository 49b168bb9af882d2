"""The features of candidates once more, without one item of the session, compiled; `removals` says what for."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommendations.ranking.compiling import compiled
from recommendations.ranking.kernels import cluster_features, context_features, log_shares, session_features
from recommendations.ranking.tables import Asked, Grouping, Space, named_reach, named_tables
from recommendations.ranking.vote_kernels import ask_neighbours, forget, votes


@compiled
def less(asked: Asked, item: int, h: np.ndarray) -> Asked:
    """The history without its events of an item, and with the vector that it then has."""
    count = 0
    for i in range(len(asked.positions)):
        count += asked.positions[i] != item
    positions, voices = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    engagement, dwell_s = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.float32)
    at = np.empty(count, dtype=np.float64)
    count = 0
    for i in range(len(asked.positions)):
        if asked.positions[i] != item:
            positions[count], voices[count] = asked.positions[i], asked.voices[i]
            engagement[count], dwell_s[count], at[count] = asked.engagement[i], asked.dwell_s[i], asked.at[i]
            count += 1
    return Asked(positions, voices, engagement, at, dwell_s, h)


@compiled
def _above(held: np.ndarray, start: int, stop: int, vote: float, equal: bool) -> np.int32:
    """How many of held[start:stop] exceed a vote, or equal it too."""
    over = np.int32(0)  # in 32 bits, as the votes are: eight are counted at a time
    if equal:
        for j in range(start, stop):
            over = np.int32(over + np.int32(held[j] >= vote))
    else:
        for j in range(start, stop):
            over = np.int32(over + np.int32(held[j] > vote))
    return over


@compiled
def vote_features_of(cast: np.ndarray, columns: np.ndarray, floor: float, out: np.ndarray) -> np.ndarray:
    """`vote_features` of the candidates at `columns` (k,) alone, into out (3 v, k): the few that are asked for are counted
    into their places, which costs less than to sort all."""
    voters, m = cast.shape
    peaks = np.empty(voters, dtype=np.float32)
    held, place = np.empty(m, dtype=np.float32), np.empty(m, dtype=np.int32)
    mine = np.empty(len(columns), dtype=np.float32)
    for v in range(voters):
        said, over, by_place = cast[v], out[voters + v], out[2 * voters + v]
        total, most, count = 0.0, np.float32(0.0), 0
        for j in range(m):
            vote = said[j]
            total += vote
            most = max(most, vote)
            place[j] = count
            held[count] = vote
            count += vote > 0.0
        whole = np.float32(1.0 / max(total, 1e-30))
        scale = np.float32(1.0) / max(most, np.float32(1e-30))
        for c in range(len(columns)):
            mine[c] = said[columns[c]]
        log_shares(mine, whole, floor, out[v])
        for c in range(len(columns)):
            vote = mine[c]
            over[c] = vote * scale
            by_place[c] = 0.0
            if vote > 0.0:
                own = place[columns[c]]
                rank = _above(held, 0, own, vote, True) + _above(held, own + 1, count, vote, False)
                by_place[c] = 1.0 / (1.0 + rank / 3.0)
        peaks[v] = most * whole
    return peaks


@compiled
def gather_without(
    parts: tuple[Any, ...],
    groups: tuple[Any, ...],
    room: tuple[Any, ...],
    history: tuple[Any, ...],
    selected: np.ndarray,
    score: np.ndarray,
    limits: tuple[Any, ...],
    positions: np.ndarray,
    features: np.ndarray,
    columns: np.ndarray,
    item: int,
    h: np.ndarray,
) -> np.ndarray:
    """(F, k) features that the candidates at `columns` (k,) of `gather` have if the session did not touch `item`, the others
    being candidates as they were. parts ... limits : as `gather` was given them.  positions, features : what it found.
    h : (d,) the vector that the session then has. At least one event must be left."""
    tables, grouping, space, asked, reach = (
        named_tables(parts),
        Grouping(*groups),
        Space(*room),
        Asked(*history),
        named_reach(limits),
    )
    rest, m = less(asked, item, h), len(positions)
    slot, chosen = space.slot, space.chosen
    for j in range(m):
        chosen[j] = positions[j]
        slot[positions[j]] = j + 1
    voted, sessions = ask_neighbours(tables.visits, space, rest.voices, reach.nearest)
    cast = votes(tables, space, rest, reach, m)
    forget(space, voted)
    out = np.empty((features.shape[0], len(columns)), dtype=np.float32)
    at = 3 * len(cast)
    peaks = vote_features_of(cast, columns, reach.share_floor, out[:at])
    for f in range(at, at + tables.facts.shape[1]):
        for c in range(len(columns)):
            out[f, c] = features[f, columns[c]]
    at += tables.facts.shape[1]
    told = np.empty((13, m), dtype=np.float32)
    session_features(space, rest, told[:10])
    cluster_features(grouping, space, selected, score, rest.positions[-1], m, told[10:])
    for f in range(13):
        for c in range(len(columns)):
            out[at + f, c] = told[f, columns[c]]
    context_features(tables, rest, peaks, sessions, out[at + 13 :])
    for j in range(m):
        slot[positions[j]] = 0
    return out
