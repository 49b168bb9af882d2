"""The inner loops of a step, compiled: the features of all that is a candidate.

`features.gather` says what the numbers mean; `tests/ranking_oracle.py` says the same with numpy, and tests compare the two.
Nothing here checks an index but `gather`, for all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recommendations.ranking.compiling import compiled, compiled_sums
from recommendations.ranking.key_order import by_rank
from recommendations.ranking.tables import Asked, Grouping, Space, Tables, named_reach, named_tables
from recommendations.ranking.vote_kernels import ask_neighbours, candidates, forget, votes


@compiled_sums
def log_shares(cast: np.ndarray, whole: np.float32, floor: float, out: np.ndarray) -> None:
    """log(cast x whole), at least log(floor), into out (m,); without a call, so that many are worked out at a time.

    cast : (m,) float32, none below 0.  After Cephes' logf (Moshier 1989), which is within two units of the last place.
    """
    lowest, further = np.float32(math.log(floor)), np.float32(math.log(whole))
    bits = cast.view(np.int32)
    for j in range(len(cast)):
        held = bits[j]
        power = np.float32((held >> np.int32(23)) - np.int32(127))
        x = np.float32(held & np.int32(0x7FFFFF)) * np.float32(2.0**-23) + np.float32(1.0)
        large = x > np.float32(1.41421356)
        x = (np.float32(0.5) * x if large else x) - np.float32(1.0)
        power = power + np.float32(1.0) if large else power
        y = np.float32(7.0376836292e-2) * x - np.float32(1.1514610310e-1)
        y = y * x + np.float32(1.1676998740e-1)
        y = y * x - np.float32(1.2420140846e-1)
        y = y * x + np.float32(1.4249322787e-1)
        y = y * x - np.float32(1.6668057665e-1)
        y = y * x + np.float32(2.0000714765e-1)
        y = y * x - np.float32(2.4999993993e-1)
        y = y * x + np.float32(3.3333331174e-1)
        square = x * x
        y = y * x * square - np.float32(0.5) * square + power * np.float32(-2.12194440e-4)
        y = x + y + power * np.float32(0.693359375) + further
        out[j] = y if y > lowest else lowest


@compiled
def vote_features(cast: np.ndarray, space: Space, floor: float, out: np.ndarray) -> np.ndarray:
    """log share, share of the maximum and 1 / (1 + rank / 3) of every voter into out (3 v, m); a candidate without a vote
    has no rank, and of equal votes the first leads. Returns (v,) each voter's largest share."""
    voters, m = cast.shape
    peaks = np.empty(voters, dtype=np.float32)
    bits = cast.view(np.uint32)
    keys, spare = space.keys, space.spare
    for v in range(voters):
        mine, own_bits, log_share, over, by_place = cast[v], bits[v], out[v], out[voters + v], out[2 * voters + v]
        total, most, count = 0.0, np.float32(0.0), 0
        for j in range(m):
            vote = mine[j]
            total += vote
            most = max(most, vote)
            by_place[j] = 0.0
            keys[count] = (np.uint64(own_bits[j]) << np.uint64(32)) | np.uint64(j)
            count += vote > 0.0
        whole = np.float32(1.0 / max(total, 1e-30))
        scale = np.float32(1.0) / max(most, np.float32(1e-30))
        log_shares(mine, whole, floor, log_share)
        for j in range(m):
            over[j] = mine[j] * scale
        by_rank(keys, spare, count)
        for rank in range(count):
            by_place[keys[rank] & np.uint64(0xFFFFFFFF)] = 1.0 / (1.0 + rank / 3.0)
        peaks[v] = most * whole
    return peaks


@compiled
def session_features(space: Space, asked: Asked, out: np.ndarray) -> None:
    """What the session did with each candidate itself, into out (10, m). Every item of the history is a candidate."""
    out[:] = 0.0
    slot, positions, at, dwell_s, engagement = space.slot, asked.positions, asked.at, asked.dwell_s, asked.engagement
    length = len(positions)
    where = np.empty(length, dtype=np.int64)
    for i in range(length):
        where[i] = slot[positions[i]] - 1
    for i in range(length):
        j = where[i]
        out[0, j] = 1.0
        out[1, j] = 1.0 / (length - i)
        out[2, j] += 1.0
        stayed = np.float64(dwell_s[i])
        if math.isnan(stayed) and i < length - 1:
            stayed = at[i + 1] - at[i]  # where the page reports no dwell, the gap to the next event
        if stayed > out[5, j]:
            out[5, j] = stayed
        out[6, j] = max(out[6, j], engagement[i])
        out[9, j] = max(at[length - 1] - at[i], 0.0)
    last = where[length - 1]
    out[3, last] = 1.0
    if length > 1:
        out[4, where[length - 2]] = 1.0
        out[8, where[length - 2]] = 1.0
    for i in range(length - 1):
        if where[i] == last:  # an earlier visit of the item that the shopper is on
            out[7, where[i + 1]] = 1.0
            if i:
                out[8, where[i - 1]] = 1.0
    for i in range(length):
        j = where[i]
        first = True
        for earlier in range(i):
            first &= where[earlier] != j
        if first:
            for column in (2, 5, 9):
                out[column, j] = math.log1p(out[column, j])


@compiled
def cluster_features(
    grouping: Grouping, space: Space, selected: np.ndarray, score: np.ndarray, latest: int, count: int, out: np.ndarray
) -> None:
    """How the selection scores each candidate's primary cluster, relative to the best, and whether it is selected at all;
    whether it is that of the item at `latest`. Into out (3, m)."""
    best = np.float32(1e-12)
    for s in range(len(selected)):
        best = max(best, score[s])
    place, chosen, primaries = space.cluster, space.chosen, grouping.primary
    for s in range(len(selected)):
        place[selected[s]] = s + 1
    mine = primaries[latest]
    for j in range(count):
        primary = primaries[chosen[j]]
        s = int(place[primary]) if primary >= 0 else 0
        out[0, j] = score[s - 1] / best if s else 0.0
        out[1, j] = 1.0 if s else 0.0
        out[2, j] = 1.0 if mine >= 0 and primary == mine else 0.0
    for s in range(len(selected)):
        place[selected[s]] = 0.0


@compiled
def context_features(tables: Tables, asked: Asked, peaks: np.ndarray, sessions: int, out: np.ndarray) -> None:
    """What holds for the whole list, by which the blend trusts one expert more than another, into out (9, m)."""
    positions, length = asked.positions, len(asked.positions)
    distinct = 0
    for i in range(length):
        first = True
        for earlier in range(i):
            first &= positions[earlier] != positions[i]
        distinct += first
    last = positions[length - 1]
    out[0] = math.log1p(length)
    out[1] = distinct / length
    out[2] = math.log1p(sessions)
    out[3] = peaks[0]
    out[4] = peaks[len(peaks) - 3]
    out[5] = peaks[len(peaks) - 1]
    out[6] = 1.0 if length > 1 and last == positions[length - 2] else 0.0
    out[7] = tables.facts[last, 0]
    out[8] = asked.engagement[length - 1]


@compiled
def gather(
    parts: tuple[Any, ...],
    groups: tuple[Any, ...],
    room: tuple[Any, ...],
    history: tuple[Any, ...],
    selected: np.ndarray,
    score: np.ndarray,
    limits: tuple[Any, ...],
    width: int,
    also: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (m,) int64, features (width, m) and votes (9, m) float32 of the candidates of a history of at least one
    event. parts, groups, room, history, limits : `plain` Tables, Grouping, Space, Asked and Reach.
    selected : (S,) int32 clusters, their `score` (S,) float32.  also : (x,) int64, candidates whoever names them.
    Raises IndexError for an item that is not the ranker's."""
    tables, grouping, space, asked, reach = (
        named_tables(parts),
        Grouping(*groups),
        Space(*room),
        Asked(*history),
        named_reach(limits),
    )
    for i in range(len(asked.positions)):
        if asked.positions[i] < 0 or asked.positions[i] >= len(tables.encoder.row_of):
            raise IndexError("an item of the history is not among the ranker's")
    for i in range(len(also)):
        if also[i] < 0 or also[i] >= len(tables.encoder.row_of):
            raise IndexError("an item to be ranked is not among the ranker's")
    voted, sessions = ask_neighbours(tables.visits, space, asked.voices, reach.nearest)
    m = candidates(tables, grouping, space, asked, selected, reach, voted, also)
    cast = votes(tables, space, asked, reach, m)
    forget(space, voted)
    features = np.empty((width, m), dtype=np.float32)
    at = 3 * len(cast)
    peaks = vote_features(cast, space, reach.share_floor, features[:at])
    slot, chosen, facts = space.slot, space.chosen, tables.facts
    for j in range(m):
        of_item = facts[chosen[j]]
        for k in range(facts.shape[1]):
            features[at + k, j] = of_item[k]
    at += facts.shape[1]
    session_features(space, asked, features[at : at + 10])
    at += 10
    cluster_features(grouping, space, selected, score, asked.positions[-1], m, features[at : at + 3])
    at += 3
    context_features(tables, asked, peaks, sessions, features[at : at + 9])
    positions = np.empty(m, dtype=np.int64)
    for j in range(m):
        positions[j] = chosen[j]
        slot[positions[j]] = 0
    return positions, features, cast
