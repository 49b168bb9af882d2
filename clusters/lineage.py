"""What became of clusters: every change with who made it and why, exact enough to be undone and to tell who was in when."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clusters.models import ClusterChange, ClusterChangeQuerySet, ClusterItemRule, ClusterMembership, ClusterTie, ItemCluster
from personas.models import Shop

MAX_SUMMARY = 300
MAX_REASON = 300
MAX_WHO = 150

LOOKED_BACK = 100
"""Changes of a cluster that are read to tell what brought an item in."""

FIELDS = ("name", "named_by_hand", "kind", "locked", "minimum_size", "maximum_size", "retired_at")
"""Fields of a cluster that changes are kept of; its size, share and descriptors follow from its items."""


@dataclass(frozen=True)
class Actor:
    """Who or what makes a change. kind : of `ClusterChange.Actor`.  user : a logged-in person's row, else None.

    who : name of the API key, the file or the training.
    """

    kind: str
    user: Any = None
    who: str = ""


@dataclass(frozen=True)
class Delta:
    """What a change did to a cluster, (before, after) each; only what it touched.

    fields : of `FIELDS`; `retired_at` in ISO 8601. A cluster that the change made has None before in all of them.
    members : item id -> weights, None where it wasn't in.  rules : item id -> rules, None where there was none.
    via : item id -> how a search had found an item that the change took out (`ClusterMembership.via`), where one had.
    factors : item id -> factors of lessened items, None where it wasn't lessened.  ties : id of a cluster that this one is tied
        to -> weights, None where it wasn't.  bars : kind of items -> whether it is kept out, None where it isn't.
    """

    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    members: Mapping[int, tuple[float | None, float | None]] = field(default_factory=dict)
    rules: Mapping[int, tuple[str | None, str | None]] = field(default_factory=dict)
    via: Mapping[int, list[list[int]]] = field(default_factory=dict)
    factors: Mapping[int, tuple[float | None, float | None]] = field(default_factory=dict)
    ties: Mapping[int, tuple[float | None, float | None]] = field(default_factory=dict)
    bars: Mapping[str, tuple[bool | None, bool | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields or self.members or self.rules or self.factors or self.ties or self.bars)

    @property
    def items(self) -> set[int]:
        """Ids of the items that it touched."""
        return {*self.members, *self.rules, *self.factors}

    @property
    def made_it(self) -> bool:
        """True if the cluster wasn't there before."""
        return "kind" in self.fields and self.fields["kind"][0] is None

    @property
    def entered(self) -> int:
        """Items that came in."""
        return sum(before is None for before, _ in self.members.values())

    @property
    def left(self) -> int:
        """Items that went out."""
        return sum(after is None for _, after in self.members.values())

    def as_json(self) -> dict[str, Any]:
        """As `ClusterChange.delta` holds it; what is empty is left out."""
        parts: dict[str, Mapping[Any, Any]] = {
            "fields": self.fields,
            "members": self.members,
            "rules": self.rules,
            "via": self.via,
            "factors": self.factors,
            "ties": self.ties,
            "bars": self.bars,
        }
        return {name: {str(key): list(value) for key, value in part.items()} for name, part in parts.items() if part}


def delta_of(change: ClusterChange) -> Delta:
    """The change's delta, from its row."""
    told = change.delta

    def of_items(name: str) -> dict[int, Any]:
        return {int(item): (before, after) for item, (before, after) in told.get(name, {}).items()}

    return Delta(
        fields={name: (before, after) for name, (before, after) in told.get("fields", {}).items()},
        members=of_items("members"),
        rules=of_items("rules"),
        via={int(item): via for item, via in told.get("via", {}).items()},
        factors=of_items("factors"),
        ties=of_items("ties"),
        bars={kind: (before, after) for kind, (before, after) in told.get("bars", {}).items()},
    )


@dataclass(frozen=True)
class Entry:
    """One cluster's part in an operation, before it is written. others : ids of the other clusters of a merge or a split."""

    cluster_id: int
    action: str
    delta: Delta
    summary: str
    others: tuple[int, ...] = ()
    undoes: ClusterChange | None = None


def record(
    shop: Shop, entries: Iterable[Entry], *, by: Actor, reason: str = "", batch: uuid.UUID | None = None
) -> tuple[ClusterChange, ...]:
    """Write the entries down as one batch, in their order; to be called in the transaction that makes the changes."""
    batch = batch or uuid.uuid4()
    return tuple(
        ClusterChange.objects.bulk_create(
            [
                ClusterChange(
                    shop=shop,
                    cluster_id=entry.cluster_id,
                    actor=by.kind,
                    user=by.user if getattr(by.user, "pk", None) else None,
                    who=by.who[:MAX_WHO],
                    action=entry.action,
                    summary=shortened(entry.summary),
                    reason=shortened(reason, MAX_REASON),
                    batch=batch,
                    others=list(entry.others),
                    delta=entry.delta.as_json(),
                    undoes=entry.undoes,
                )
                for entry in entries
            ],
            batch_size=200,
        )
    )


def shortened(text: str, limit: int = MAX_SUMMARY) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def history(cluster: ItemCluster) -> ClusterChangeQuerySet:
    """The cluster's changes, the latest first."""
    return ClusterChange.objects.filter(cluster=cluster).for_list()


def members_at(cluster: ItemCluster, moment: datetime) -> dict[int, float]:
    """Item id -> weight of the items that were in the cluster at a moment; those of a retired cluster are the ones it had last.

    The changes since are walked back from the items of now. An item that was deleted from the catalogue since is left out
    unless a change since names it.
    """
    later = ClusterChange.objects.filter(cluster=cluster, at__gt=moment)
    return walked_back(cluster, later)


def factors_at(cluster: ItemCluster, moment: datetime) -> dict[int, float]:
    """Item id -> factor of the items that were lessened in the cluster at a moment; `members_at` has their weights."""
    rules = ClusterItemRule.objects.filter(cluster=cluster).values_list("item_id", "factor")
    return _at(cluster, moment, {item: factor for item, factor in rules if factor is not None}, "factors")


def ties_at(cluster: ItemCluster, moment: datetime) -> dict[int, float]:
    """Cluster id -> weight of the ties that the cluster had to others at a moment."""
    return _at(cluster, moment, dict(ClusterTie.objects.filter(source=cluster).values_list("target_id", "weight")), "ties")


def _at(cluster: ItemCluster, moment: datetime, values: dict[int, float], part: str) -> dict[int, float]:
    for change in ClusterChange.objects.filter(cluster=cluster, at__gt=moment).order_by("-pk").iterator(chunk_size=50):
        _put_back(values, getattr(delta_of(change), part))
    return values


def _put_back(values: dict[int, float], changed: Mapping[int, tuple[float | None, float | None]]) -> None:
    """Values as they were before a change of them."""
    for key, (before, _) in changed.items():
        if before is None:
            values.pop(key, None)
        else:
            values[key] = before


def members_before(change: ClusterChange) -> dict[int, float]:
    """Item id -> weight of the items that were in the change's cluster just before it."""
    return walked_back(change.cluster, ClusterChange.objects.filter(cluster=change.cluster_id, pk__gte=change.pk))


def walked_back(cluster: ItemCluster, changes: ClusterChangeQuerySet) -> dict[int, float]:
    """Item id -> weight of the cluster's items before these changes, which are its latest."""
    members: dict[int, float] = dict(ClusterMembership.objects.filter(cluster=cluster).values_list("item_id", "weight"))
    for change in changes.order_by("-pk").iterator(chunk_size=50):
        _put_back(members, delta_of(change).members)
    return members


def brought_in(cluster: ItemCluster, items: Iterable[int]) -> dict[int, ClusterChange]:
    """Item id -> the change that put it into the cluster last, for those of which one of its latest changes did."""
    found: dict[int, ClusterChange] = {}
    left = set(items)
    changes = ClusterChange.objects.filter(cluster=cluster).select_related("user").order_by("-pk")[:LOOKED_BACK]
    for change in changes.iterator(chunk_size=20):
        members = delta_of(change).members
        found |= {item: change for item in left & members.keys() if members[item][0] is None}
        left -= found.keys()
        if not left:
            break
    return found
