"""Who is a candidate, and who votes for it, compiled.

`features.gather` and `neighbours.find` say what the numbers mean; `tests/ranking_oracle.py` says the same with numpy, and
tests compare the two. Nothing here checks an index: whoever calls has.
"""

from __future__ import annotations

import math

import numpy as np

from recommendations.ranking.compiling import compiled, compiled_sums
from recommendations.ranking.fetching import fetch
from recommendations.ranking.key_order import in_order, lead
from recommendations.ranking.tables import Asked, Grouping, Nearest, Outputs, Reach, Space, Tables, Visits

LINE = 64
"""Bytes that memory hands over at once."""

ROWS_AHEAD = 32
OUTPUTS_AHEAD = 8
"""How many rows before its turn one is asked for: of a byte a dimension, and of four."""

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
        soon = rows[min(i + OUTPUTS_AHEAD, len(rows) - 1)] * outputs.shape[1]
        for k in range(0, outputs.shape[1], LINE // 4):
            fetch(outputs, soon + k)
        row = outputs[rows[i]]
        total = np.float32(0.0)
        for k in range(len(h)):
            total += row[k] * h[k]
        out[i] = total + bias[rows[i]]


@compiled
def coarse_products(encoder: Outputs, rows: np.ndarray, whole: np.ndarray, step: np.float32, keys: np.ndarray) -> None:
    """Keys of rows (r,) by what a byte a dimension says of them, into keys. whole : (d,) int16, h in `step`s."""
    coarse, unit, bias = encoder.coarse, encoder.unit, encoder.bias
    score = np.zeros(1, dtype=np.float32)
    bits = score.view(np.uint32)
    small, usual, last = np.float32(step), len(whole) == 96, len(rows) - 1
    for place in range(len(rows)):
        at, soon = rows[place], rows[min(place + ROWS_AHEAD, last)] * coarse.shape[1]
        fetch(coarse, soon)
        fetch(coarse, soon + LINE)
        row, total = coarse[at], np.int32(0)
        if usual:  # a length that the compiler knows costs half as much
            for k in range(96):
                total = np.int32(total + np.int32(np.int32(row[k]) * np.int32(whole[k])))
        else:
            for k in range(len(whole)):  # what int32 is not told to be again, becomes int64
                total = np.int32(total + np.int32(np.int32(row[k]) * np.int32(whole[k])))
        score[0] = np.float32(total) * small * unit[at] + bias[at]
        keys[place] = in_order(bits[0]) | np.uint64(at)


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
    share, count = min(1.0, most / max(held, 1)), 0
    listed = np.empty(held, dtype=np.int32)
    for s in range(groups):
        cluster = selected[s] if len(selected) else none
        start = starts[cluster]
        stop = start + int(math.ceil(share * (starts[cluster + 1] - start)))
        listed[count : count + stop - start] = rows[start:stop]
        count += stop - start
    coarse_products(encoder, listed[:count], whole, step, keys)
    few = lead(keys, count, keep + keep // 4)
    nearest, score = np.empty(few, dtype=np.int64), np.empty(few, dtype=np.float32)
    for i in range(few):
        nearest[i] = keys[i] & np.uint64(0xFFFFFFFF)
    products(encoder.outputs, encoder.bias, nearest, h, score)
    bits = score.view(np.uint32)
    for i in range(few):
        keys[i] = in_order(bits[i]) | np.uint64(nearest[i])
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
    values = tables.rows.values
    for lag in range(min(length, reach.rows_read)):  # `votes` reads them, once the encoder is done
        item = voices[length - 1 - lag]
        for k in range(len(values)):
            for e in range(indptr[item], indptr[item + 1], LINE // 4):
                fetch(values, k * values.shape[1] + e)
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
    row_of, outputs, facts = tables.encoder.row_of, tables.encoder.outputs, tables.facts
    for j in range(count):
        item = chosen[j]
        fetch(facts, item * facts.shape[1])
        for k in range(0, outputs.shape[1], LINE // 4):
            fetch(outputs, row_of[item] * outputs.shape[1] + k)
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
    pull, most = cast[relations + 2], np.float32(-np.inf)
    for j in range(count):
        columns[j] = row_of[chosen[j]]
    products(tables.encoder.outputs, tables.encoder.bias, columns[:count], asked.h, pull)
    for j in range(count):
        most = max(most, pull[j])
    for j in range(count):
        pull[j] = np.exp(pull[j] - most)
    return cast
