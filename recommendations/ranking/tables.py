"""What a step's compiled loops read and write, by name, and without names as calls from Python hand it over."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from recommendations.ranking.compiling import compiled

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
def named_tables(parts: tuple[Any, ...]) -> Tables:
    """`Tables` of `plain` ones."""
    rows, visits, encoder, facts, spoken = parts
    return Tables(Rows(*rows), Visits(*visits), Outputs(*encoder), facts, Spoken(*spoken))


@compiled
def named_reach(parts: tuple[Any, ...]) -> Reach:
    """`Reach` of a `plain` one."""
    row_events, row_each, rows_read, neighbours, encoder, items, nearest, floor = parts
    return Reach(row_events, row_each, rows_read, neighbours, encoder, items, Nearest(*nearest), floor)
