"""The inner loops of a step, compiled: who is a candidate, who votes for it, and what is told of it.

`features.gather` and `neighbours.find` say what the numbers mean; `tests/ranking_oracle.py` says the same with numpy, and
tests compare the two. Nothing here checks an index: whoever calls has.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from recommendations.ranking.compiling import compiled, compiled_sums

# What the loops read is read-only and C-contiguous, in the types and shapes that the dataclasses of these names tell.


class Rows(NamedTuple):
    """Of `transitions.ItemRows`."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    decayed: np.ndarray


class Visits(NamedTuple):
    """Of `neighbours.Neighbours`; decays : (longest session,) float32, weight of an item by how far it is from the match."""

    visit_starts: np.ndarray
    visit_session: np.ndarray
    visit_place: np.ndarray
    session_starts: np.ndarray
    session_items: np.ndarray
    idf: np.ndarray
    decays: np.ndarray


class Outputs(NamedTuple):
    """Of `encoder.Encoder`; coarse, unit : of `coarsened` outputs."""

    outputs: np.ndarray
    coarse: np.ndarray
    unit: np.ndarray
    bias: np.ndarray
    item_at: np.ndarray
    row_of: np.ndarray


class Spoken(NamedTuple):
    """Of `kinship.Kinship`; of a shop without one, items and shares are empty, and starts is not read."""

    starts: np.ndarray
    items: np.ndarray
    shares: np.ndarray


class Tables(NamedTuple):
    """All experts; facts : (n, 5) float32, `Popularity`'s."""

    rows: Rows
    visits: Visits
    encoder: Outputs
    facts: np.ndarray
    spoken: Spoken


class Grouping(NamedTuple):
    """Of `layout.ClusterRows`."""

    rows: np.ndarray
    starts: np.ndarray
    primary: np.ndarray


class Space(NamedTuple):
    """Scratch of one thread. What is said to be zero is so between calls.

    slot : (n,) int32, zero.  near, ahead : (n,) float32, zero.  voted : (n + 1,) int32.
    similarity : (S,) float32, zero.  touched : (S + 1,) int32.  place : (S,) int16.
    cluster : (C + 1,) float32, zero.
    keys : (> n, S, rows of the layout) uint64.  spare : (n,) uint64.  columns, chosen : (n + 1,) int32.
    """

    slot: np.ndarray
    near: np.ndarray
    ahead: np.ndarray
    voted: np.ndarray
    similarity: np.ndarray
    touched: np.ndarray
    place: np.ndarray
    cluster: np.ndarray
    keys: np.ndarray
    spare: np.ndarray
    columns: np.ndarray
    chosen: np.ndarray


class Nearest(NamedTuple):
    """How far sessions are looked for: distinct items of the history, sessions in all, what an item loses to the next."""

    items: int
    sessions: int
    lag_decay: float


class Reach(NamedTuple):
    """How far the loops look: the constants of `features` and `transitions` by their names there."""

    row_events: int
    row_each: int
    rows_read: int
    from_neighbours: int
    from_encoder: int
    items_scored: int
    nearest: Nearest
    share_floor: float


class Asked(NamedTuple):
    """A history of L events, oldest first, writable and C-contiguous: positions (L,) int64, engagement (L,) float32,
    at (L,) float64, dwell_s (L,) float32; and h (d,) float32, the session's vector.

    voices : (L,) int64, the items whose rows and visits are read: the positions, but where those were never seen."""

    positions: np.ndarray
    voices: np.ndarray
    engagement: np.ndarray
    at: np.ndarray
    dwell_s: np.ndarray
    h: np.ndarray


# A named tuple costs a call from Python several times what its arrays do, so `gather` and `gather_without` are handed plain ones.


def plain(named: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same without its names, all the way down."""
    return tuple([plain(part) if isinstance(part, tuple) else part for part in named])


@compiled
def _tables(parts: tuple[Any, ...]) -> Tables:
    """`Tables` of `plain` ones."""
    rows, visits, encoder, facts, spoken = parts
    return Tables(Rows(*rows), Visits(*visits), Outputs(*encoder), facts, Spoken(*spoken))


@compiled
def _reach(parts: tuple[Any, ...]) -> Reach:
    """`Reach` of a `plain` one."""
    row_events, row_each, rows_read, neighbours, encoder, items, nearest, floor = parts
    return Reach(row_events, row_each, rows_read, neighbours, encoder, items, Nearest(*nearest), floor)


# Keys: a score's bits above, what it is the score of below; the larger key is the better.


@compiled
def lead(keys: np.ndarray, count: int, keep: int) -> int:
    """Brings the `keep` largest of keys[:count] to the front, in no order. Returns how many there are.

    Read once from front to back: what is not among the best so far is passed over, which most keys are.
    """
    if count <= keep:
        return count
    if keep <= 0:
        return 0
    room = min(2 * keep, count)
    filled, least = room, np.uint64(0)
    at = room
    while True:
        if filled == room or at == count:
            low, high, target = 0, filled - 1, keep - 1
            while low < high:  # Hoare's FIND, the larger first
                a, b, c = keys[low], keys[(low + high) >> 1], keys[high]
                pivot = max(min(a, b), min(max(a, b), c))
                i, j = low, high
                while i <= j:
                    while keys[i] > pivot:
                        i += 1
                    while keys[j] < pivot:
                        j -= 1
                    if i <= j:
                        keys[i], keys[j] = keys[j], keys[i]
                        i += 1
                        j -= 1
                if target <= j:
                    high = j
                elif target >= i:
                    low = i
                else:
                    break
            least, filled = keys[keep - 1], keep
            if at == count:
                return keep
        key = keys[at]
        at += 1
        if key > least:
            keys[filled] = key
            filled += 1


@compiled
def by_rank(keys: np.ndarray, spare: np.ndarray, count: int) -> None:
    """Sorts keys[:count] by their upper 32 bits, the largest first; of equals, the one that stood first. spare : as many."""
    tally = np.zeros((4, 256), dtype=np.int32)
    for i in range(count):
        upper = ~(keys[i] >> np.uint64(32))
        for digit in range(4):
            tally[digit, np.int64((upper >> np.uint64(8 * digit)) & np.uint64(255))] += 1
    source, target = keys, spare
    for digit in range(4):
        before = 0
        for value in range(256):
            here = tally[digit, value]
            tally[digit, value] = before
            before += here
        shift = np.uint64(32 + 8 * digit)
        for i in range(count):
            key = source[i]
            value = int((~(key >> shift)) & np.uint64(255))
            target[tally[digit, value]] = key
            tally[digit, value] += 1
        source, target = target, source


# Votes


@compiled
def ask_neighbours(visits: Visits, space: Space, positions: np.ndarray, nearest: Nearest) -> tuple[int, int]:
    """Votes of the most similar sessions, into `near` and `ahead`; of equally similar ones, the younger.

    Returns (items voted for, listed in `voted`; sessions found). Whoever calls clears `near` and `ahead` there.
    """
    similarity, place, touched, keys = space.similarity, space.place, space.touched, space.keys
    near, ahead, listed, idf, decays = space.near, space.ahead, space.voted, visits.idf, visits.decays
    visit_starts, visit_session, visit_place = visits.visit_starts, visits.visit_session, visits.visit_place
    session_starts, session_items, furthest = visits.session_starts, visits.session_items, len(visits.decays) - 1
    bits = similarity.view(np.uint32)
    latest = np.empty(nearest.items, dtype=np.int64)
    read, count, weight = 0, 0, 1.0
    for back in range(len(positions) - 1, -1, -1):
        item = positions[back]
        again = False
        for i in range(read):
            again |= latest[i] == item
        if again:
            continue
        if read == nearest.items:
            break
        latest[read] = item
        read += 1
        more = np.float32(weight * idf[item])
        for e in range(visit_starts[item], visit_starts[item + 1]):
            session = visit_session[e]
            so_far = similarity[session]
            fresh = so_far == 0.0
            touched[count] = session  # written whether it counts or not: nobody can guess which, and a wrong guess costs more
            count += fresh
            place[session] = visit_place[e] if fresh else place[session]
            similarity[session] = so_far + more
        weight *= nearest.lag_decay
    for i in range(count):
        keys[i] = (np.uint64(bits[touched[i]]) << np.uint64(32)) | np.uint64(touched[i])
    found = lead(keys, count, nearest.sessions)
    voted = 0
    for k in range(found):
        session = np.int64(keys[k] & np.uint64(0xFFFFFFFF))
        likeness, start = similarity[session], session_starts[session]
        match = start + place[session]
        for e in range(start, session_starts[session + 1]):
            item = session_items[e]
            vote = likeness * decays[min(abs(e - match), furthest)] * idf[item]
            so_far = near[item]
            listed[voted] = item
            voted += so_far == 0.0
            near[item] = so_far + vote
            if e > match:
                ahead[item] += vote
    for i in range(count):
        similarity[touched[i]] = 0.0
    return voted, found


@compiled
def forget(space: Space, voted: int) -> None:
    """Clears the votes of `ask_neighbours`."""
    near, ahead, listed = space.near, space.ahead, space.voted
    for i in range(voted):
        near[listed[i]] = 0.0
        ahead[listed[i]] = 0.0


@compiled_sums
def products(outputs: np.ndarray, bias: np.ndarray, rows: np.ndarray, h: np.ndarray, out: np.ndarray) -> None:
    """What the encoder says of rows (r,) of its outputs, into out (r,)."""
    for i in range(len(rows)):
        row = outputs[rows[i]]
        total = np.float32(0.0)
        for k in range(len(h)):
            total += row[k] * h[k]
        out[i] = total + bias[rows[i]]


@compiled
def _in_order(bits: int) -> np.uint64:
    """A float's bits as the upper half of a key, in the order of the floats: the negative ones upside down, below the others."""
    upper = np.uint64(bits)
    upper ^= np.uint64(0xFFFFFFFF) if upper >> np.uint64(31) else np.uint64(0x80000000)
    return upper << np.uint64(32)


@compiled
def coarse_products(
    encoder: Outputs, rows: np.ndarray, start: int, stop: int, whole: np.ndarray, step: np.float32, keys: np.ndarray, count: int
) -> None:
    """Keys of rows[start:stop] by what a byte a dimension says of them, from keys[count] on. whole : (d,) int16, h in `step`s."""
    coarse, unit, bias = encoder.coarse, encoder.unit, encoder.bias
    score = np.zeros(1, dtype=np.float32)
    bits = score.view(np.uint32)
    small, usual = np.float32(step), len(whole) == 96
    for place in range(start, stop):
        at = rows[place]
        row, total = coarse[at], np.int32(0)
        if usual:  # a length that the compiler knows costs half as much
            for k in range(96):
                total = np.int32(total + np.int32(np.int32(row[k]) * np.int32(whole[k])))
        else:
            for k in range(len(whole)):  # what int32 is not told to be again, becomes int64
                total = np.int32(total + np.int32(np.int32(row[k]) * np.int32(whole[k])))
        score[0] = np.float32(total) * small * unit[at] + bias[at]
        keys[count] = _in_order(bits[0]) | np.uint64(at)
        count += 1


@compiled
def coarsened(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) int8 and (n,) float32, whose product is outputs (n, d) to within 1/254 of the largest of each row."""
    n, d = outputs.shape
    coarse, unit = np.empty((n, d), dtype=np.int8), np.empty(n, dtype=np.float32)
    for row in range(n):
        most = np.float32(1e-30)
        for k in range(d):
            most = max(most, abs(outputs[row, k]))
        unit[row] = most / np.float32(127.0)
        for k in range(d):
            coarse[row, k] = np.int8(np.rint(outputs[row, k] / unit[row]))
    return coarse, unit


@compiled
def ask_encoder(
    encoder: Outputs, grouping: Grouping, space: Space, selected: np.ndarray, h: np.ndarray, keep: int, most: int
) -> int:
    """Rows of the best outputs among the selected clusters' items, into the lower half of `keys`. Returns how many.

    Where the clusters hold more than `most` items, of each its most popular are looked at, in proportion.
    What costs is reading a table that no cache holds: a byte a dimension tells the few that may be best, and their exact
    scores which of them are.
    """
    if keep <= 0:
        return 0
    d, peak = len(h), np.float32(1e-30)
    for k in range(d):
        peak = max(peak, abs(h[k]))
    step = peak / np.float32(8191.0)
    whole = np.empty(d, dtype=np.int16)
    for k in range(d):
        whole[k] = np.int16(np.rint(h[k] / step))
    rows, starts, keys = grouping.rows, grouping.starts, space.keys
    # A shop without clusters has the items of no cluster.
    groups, none = max(len(selected), 1), len(starts) - 2
    held = 0
    for s in range(groups):
        cluster = selected[s] if len(selected) else none
        held += starts[cluster + 1] - starts[cluster]
    share = min(1.0, most / max(held, 1))
    count = 0
    for s in range(groups):
        cluster = selected[s] if len(selected) else none
        start = starts[cluster]
        stop = start + int(math.ceil(share * (starts[cluster + 1] - start)))
        coarse_products(encoder, rows, start, stop, whole, step, keys, count)
        count += stop - start
    few = lead(keys, count, keep + keep // 4)
    nearest, score = np.empty(few, dtype=np.int64), np.empty(few, dtype=np.float32)
    for i in range(few):
        nearest[i] = keys[i] & np.uint64(0xFFFFFFFF)
    products(encoder.outputs, encoder.bias, nearest, h, score)
    bits = score.view(np.uint32)
    for i in range(few):
        keys[i] = _in_order(bits[i]) | np.uint64(nearest[i])
    return lead(keys, few, keep)


# Candidates


@compiled
def _add(slot: np.ndarray, chosen: np.ndarray, item: int, count: int) -> int:
    known = slot[item]
    chosen[count] = item
    slot[item] = known if known else count + 1
    return count + (known == 0)


@compiled
def candidates(
    tables: Tables,
    grouping: Grouping,
    space: Space,
    asked: Asked,
    selected: np.ndarray,
    reach: Reach,
    voted: int,
    also: np.ndarray,
) -> int:
    """Positions into `chosen`, each its column + 1 in `slot`: heads of the latest rows, the neighbours' and the encoder's
    best, unseen items that these speak for, the session's own, and those in `also` (x,) int64. Returns how many."""
    slot, chosen, keys, near, seen = space.slot, space.chosen, space.keys, space.near, space.voted
    indptr, indices, item_at = tables.rows.indptr, tables.rows.indices, tables.encoder.item_at
    positions, voices = asked.positions, asked.voices
    length, count = len(positions), 0
    for lag in range(min(length, reach.row_events)):
        start = indptr[voices[length - 1 - lag]]
        stop = min(indptr[voices[length - 1 - lag] + 1], start + reach.row_each)
        for e in range(start, stop):
            count = _add(slot, chosen, indices[e], count)
    bits = near.view(np.uint32)
    for i in range(voted):
        keys[i] = (np.uint64(bits[seen[i]]) << np.uint64(32)) | np.uint64(seen[i])
    for i in range(lead(keys, voted, reach.from_neighbours)):
        count = _add(slot, chosen, int(keys[i] & np.uint64(0xFFFFFFFF)), count)
    for i in range(ask_encoder(tables.encoder, grouping, space, selected, asked.h, reach.from_encoder, reach.items_scored)):
        count = _add(slot, chosen, item_at[np.int64(keys[i] & np.uint64(0xFFFFFFFF))], count)
    starts, items = tables.spoken.starts, tables.spoken.items
    if len(items):
        for j in range(count):
            for e in range(starts[chosen[j]], starts[chosen[j] + 1]):
                count = _add(slot, chosen, items[e], count)
    for i in range(length):
        count = _add(slot, chosen, positions[i], count)
    for i in range(len(also)):
        count = _add(slot, chosen, also[i], count)
    return count


@compiled
def votes(tables: Tables, space: Space, asked: Asked, reach: Reach, count: int) -> np.ndarray:
    """(9, m) float32: of the candidates, by the six relations of the rows, the neighbours near and ahead, the encoder.

    What the rows and the neighbours say of a seen item, they say in part of the unseen ones that it speaks for."""
    indptr, indices, values, decayed = tables.rows.indptr, tables.rows.indices, tables.rows.values, tables.rows.decayed
    slot, chosen, near, ahead, columns = space.slot, space.chosen, space.near, space.ahead, space.columns
    voices = asked.voices
    entries = space.keys.view(np.int64)
    relations, length = len(values), len(voices)
    cast = np.zeros((relations + 3, count), dtype=np.float32)
    for lag in range(min(length, reach.rows_read)):
        item = voices[length - 1 - lag]
        start, stop = indptr[item], indptr[item + 1]
        held = 0
        for e in range(start, stop):
            column = slot[indices[e]]
            entries[held], columns[held] = e, column - 1
            held += column > 0
        for k in range(relations):
            weight, said, row = decayed[k, lag], values[k], cast[k]
            for i in range(held):
                row[columns[i]] += weight * said[entries[i]]
    for j in range(count):
        item = chosen[j]
        cast[relations, j] = near[item]
        cast[relations + 1, j] = ahead[item]
    starts, items, shares = tables.spoken.starts, tables.spoken.items, tables.spoken.shares
    if len(items):
        for j in range(count):
            for e in range(starts[chosen[j]], starts[chosen[j] + 1]):
                column = slot[items[e]]
                if column:
                    for k in range(relations + 2):
                        cast[k, column - 1] += shares[e] * cast[k, j]
    row_of, pull, most = tables.encoder.row_of, cast[relations + 2], np.float32(-np.inf)
    for j in range(count):
        columns[j] = row_of[chosen[j]]
    products(tables.encoder.outputs, tables.encoder.bias, columns[:count], asked.h, pull)
    for j in range(count):
        most = max(most, pull[j])
    for j in range(count):
        pull[j] = np.exp(pull[j] - most)
    return cast


# Features


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
    tables, grouping, space, asked, reach = _tables(parts), Grouping(*groups), Space(*room), Asked(*history), _reach(limits)
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


# The same again, without one item of the session


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
    tables, grouping, space, asked, reach = _tables(parts), Grouping(*groups), Space(*room), Asked(*history), _reach(limits)
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
