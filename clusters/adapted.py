"""What a session changed of its clusters, as its state keeps it: plain values, each dict bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

LOOK = 10
"""One look as the state counts it: in tenths, which take a byte where a fraction takes nine."""


@dataclass(frozen=True, slots=True)
class AdaptedClusters:
    """What a session's clusters differ in from the release. Keys are ids, never positions; every dict is bounded.

    mass : cluster id -> engagement, decayed at each item action; the session's q before it is normalised. 0 where an expansion
        was tried in vain.
    weight : cluster id -> multiplier, where it isn't 1; below 1 contracted, 0 dropped; above 1 pulled in, by as much as the
        expansion still counts.
    expanded : cluster id that was pulled in -> cluster id from which.
    passed : item id -> looks at it since the shopper last engaged with it, in reported impressions; in tenths.
    ignored : cluster id -> looks at it since the shopper last engaged with it, at most one a report; in tenths.
    engaged : cluster id -> engagements that fell outside the primary clusters, in the present run of them.
    outside : length of the present run of engagements outside the primary clusters.
    brought : cluster id that was pulled in -> how many of its best items came with it.
    """

    mass: dict[int, float] = field(default_factory=dict)
    weight: dict[int, float] = field(default_factory=dict)
    expanded: dict[int, int] = field(default_factory=dict)
    passed: dict[int, int] = field(default_factory=dict)
    ignored: dict[int, int] = field(default_factory=dict)
    engaged: dict[int, int] = field(default_factory=dict)
    outside: int = 0
    brought: dict[int, int] = field(default_factory=dict)


def start() -> AdaptedClusters:
    """The clusters as the release has them."""
    return AdaptedClusters()


_N = TypeVar("_N", int, float)


def largest(values: dict[int, _N], most: int) -> dict[int, _N]:
    """The `most` largest values, in their order; of equals, the later stay. Bounds the state."""
    if len(values) <= most:
        return values
    order = sorted(enumerate(values), key=lambda e: (values[e[1]], e[0]), reverse=True)
    kept = {key for _, key in order[:most]}
    return {key: value for key, value in values.items() if key in kept}
