"""What the experts read of a session, and the scratch space in which they count."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from personas.events import CODE, ITEM_ACTIONS
from personas.sessions import NO_ITEM, SessionLog
from recommendations.ranking.tables import Space

MAX_HISTORY = 30
"""Item actions that an expert may read, the latest ones; 30 cover 99 % of real sessions."""

ITEM_CODES = frozenset(CODE[name] for name in ITEM_ACTIONS)
_ITEM_CODES = np.array(sorted(ITEM_CODES), dtype=np.int8)


@dataclass(frozen=True)
class History:
    """A session's L item actions on known items, oldest first, at most `MAX_HISTORY`.

    positions : (L,) ints.  codes : (L,) int8, event codes.  at : (L,) float64, seconds.
    dwell_s : (L,) float32, NaN where unknown (always, for the latest).  now : seconds.
    """

    positions: np.ndarray
    codes: np.ndarray
    at: np.ndarray
    dwell_s: np.ndarray
    now: float

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def loops(self) -> tuple[np.ndarray, np.ndarray]:
        """positions (L,) int64 and codes (L,) int8 as compiled loops read them."""
        return own(self.positions, np.int64), own(self.codes, np.int8)


def own(array: np.ndarray, dtype: type) -> np.ndarray:
    """The array as loops take what is made for one step, of this type, C-contiguous and writable; a copy only where it isn't."""
    return array if array.dtype == dtype and array.flags.carray else np.array(array, dtype=dtype)


def prefix(log: SessionLog, start: int, stop: int) -> History:
    """The history as it stood after event `stop - 1` of the session that begins at row `start` of an item-action log.

    The latest event's dwell is not known yet at that moment, so it is NaN, as it is live.
    """
    rows = slice(max(start, stop - MAX_HISTORY), stop)
    dwell = log.dwell_s[rows].copy()
    dwell[-1:] = np.nan
    at = log.at[rows]
    return History(log.position[rows], log.code[rows], at, dwell, float(at[-1]) if len(at) else 0.0)


def item_actions(log: SessionLog) -> SessionLog:
    """The events by which shoppers turned towards known items."""
    return log.where(np.isin(log.code, _ITEM_CODES) & (log.position != NO_ITEM))


class Scratch(threading.local):
    """Arrays of one value an item or a session, zero (or -1) between calls; every thread has its own.

    Clearing only what was touched makes a step's cost independent of the catalogue's size.
    """

    def __init__(self) -> None:
        self._zeros: dict[str, np.ndarray] = {}
        self._space: Space | None = None
        self._plain: tuple[np.ndarray, ...] = ()
        self._sizes = (0, 0, 0, 0)

    def zeros(self, name: str, n: int, dtype: type) -> np.ndarray:
        """(>= n,) zeros; whoever takes them must set what they touched back to zero."""
        array = self._zeros.get(name)
        if array is None or len(array) < n:
            array = self._zeros[name] = np.zeros(n, dtype=dtype)
        return array

    def space(self, items: int, sessions: int, clusters: int, keys: int) -> Space:
        """Room for that many and more; as `Space` says, whoever takes it leaves its zeros zero."""
        self.plain_space(items, sessions, clusters, keys)
        assert self._space is not None
        return self._space

    def plain_space(self, items: int, sessions: int, clusters: int, keys: int) -> tuple[np.ndarray, ...]:
        """`space` without its names."""
        sizes = self._sizes
        if self._space is None or items > sizes[0] or sessions > sizes[1] or clusters > sizes[2] or keys > sizes[3]:
            n, s, c, k = self._sizes = (
                max(items, sizes[0]),
                max(sessions, sizes[1]),
                max(clusters, sizes[2]),
                max(items, sessions, keys, sizes[3]),
            )
            self._space = Space(
                slot=np.zeros(n, dtype=np.int32),
                near=np.zeros(n, dtype=np.float32),
                ahead=np.zeros(n, dtype=np.float32),
                voted=np.zeros(n + 1, dtype=np.int32),
                similarity=np.zeros(s, dtype=np.float32),
                touched=np.zeros(s + 1, dtype=np.int32),
                place=np.zeros(s, dtype=np.int16),
                cluster=np.zeros(c + 1, dtype=np.float32),
                keys=np.zeros(k + 1, dtype=np.uint64),
                spare=np.zeros(n, dtype=np.uint64),
                columns=np.zeros(n + 1, dtype=np.int32),
                chosen=np.zeros(n + 1, dtype=np.int32),
            )
            self._plain = tuple(self._space)
        return self._plain


def distinct(items: np.ndarray, scratch: Scratch, n: int) -> np.ndarray:
    """Each of `items` (values below n) once, without sorting them."""
    tag = scratch.zeros("tag", n, np.int32)  # needs no clearing: it is written before it is read
    order = np.arange(len(items), dtype=np.int32)
    tag[items] = order
    return items[tag[items] == order]


def segments(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(sum lengths,) the indices starts[i], starts[i] + 1, ... of each segment, one after another."""
    ends = lengths.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + (starts - ends + lengths).repeat(lengths)
