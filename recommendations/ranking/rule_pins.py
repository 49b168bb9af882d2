"""Which item stands in which slot because a merchandiser said so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, compress
from typing import NamedTuple

import numpy as np

from recommendations.ranking.rule_shapes import Rule

FIRST_ASKED = 16
"""Items of a pin that are looked at first."""


class Pin(NamedTuple):
    """A pin. slot : from 0.  positions : of its target, as they were named or, where they weren't, the most popular first.

    members : (n,) bool, the positions, to ask of what is ranked best in a session; None where the order is that of the names.
    """

    rule: int
    slot: int
    positions: np.ndarray
    members: np.ndarray | None


def place_pins(
    pins: Sequence[Pin], ranked: np.ndarray, may_show: Callable[[np.ndarray], np.ndarray], count: int
) -> dict[int, tuple[int, int]]:
    """slot -> (rule, position): what stands where by the pins. No position twice; a slot beyond `count` is nobody's.

    Of two pins on one slot the one with the lower id that has an item to show wins. An item pinned to two slots takes the first.
    ranked : positions, best first.  may_show : (m,) positions -> (m,) bool, which of the items may appear.
    """
    placed: dict[int, tuple[int, int]] = {}
    taken: set[int] = set()
    pins = [pin for pin in pins if pin.slot < count]
    heads = [_head(pin, ranked) for pin in pins]
    shown = may_show(np.concatenate(heads)).tolist() if heads else []
    start = 0
    for pin, head in zip(pins, heads, strict=True):
        may, start = shown[start : start + len(head)], start + len(head)
        if pin.slot in placed:
            continue
        first = chain(compress(head.tolist(), may), _rest(pin, may_show))
        best = next((p for p in first if p not in taken), None)
        if best is not None:
            placed[pin.slot] = (pin.rule, best)
            taken.add(best)
    return placed


def _head(pin: Pin, ranked: np.ndarray) -> np.ndarray:
    """The positions of a pin that mostly decide it, the best for the session first: what is ranked, then the first few."""
    first = pin.positions[:FIRST_ASKED]
    return first if pin.members is None else np.concatenate((ranked[pin.members[ranked]], first))


def _rest(pin: Pin, may_show: Callable[[np.ndarray], np.ndarray]) -> Iterator[int]:
    """A pin's other positions that may appear: where none of the first may, a whole category is asked for in some large parts."""
    start, size = FIRST_ASKED, 8 * FIRST_ASKED
    while start < len(pin.positions):
        part = pin.positions[start : start + size]
        yield from part[may_show(part)].tolist()
        start, size = start + size, 8 * size


def pin_of(rule: Rule, positions: np.ndarray, popularity: np.ndarray | None, n: int) -> Pin:
    """A rule that pins, whose target is at these positions, of n items. popularity : (n,), None for their order."""
    if rule.target.items:
        return Pin(rule.rule_id, rule.slot, positions, None)
    ordered = positions if popularity is None else positions[(-popularity[positions]).argsort(kind="stable")]
    members = np.zeros(n, dtype=bool)
    members[positions] = True
    return Pin(rule.rule_id, rule.slot, ordered, members)
