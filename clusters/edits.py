"""What merchandisers decided of clusters, in the form that a rebuild and a release take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClusterEdit:
    """One cluster's. Items are named by id; those that a catalogue lacks are passed over.

    name : "" where learning names it.  kind : of `ItemClusters.kinds`.  locked : its items stay as they are.
    members : item id -> weight of a cluster whose items are the merchandiser's (hand-made, imported, merged, split, locked);
        None where learning decides on them.
    core, excluded : item ids that are always, never in it.  minimum, maximum : size, None for no bound.
    retired : a learned cluster that was taken out by hand. It isn't served; its `members` are given so that a rebuild doesn't
        make a cluster that repeats it. Its row is retired and locked, which no rebuild makes of a learned one by itself.
    """

    cluster_id: int
    kind: str
    name: str = ""
    locked: bool = False
    members: Mapping[int, float] | None = None
    core: frozenset[int] = field(default_factory=frozenset)
    excluded: frozenset[int] = field(default_factory=frozenset)
    minimum: int | None = None
    maximum: int | None = None
    retired: bool = False
