"""Arrays become rows: the clusters as merchandisers see them, brought in line with the release that serves, on the record."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from django.core.management.color import no_style
from django.db import connection
from django.utils import timezone
from scipy import sparse

from clusters import kept_out_rows
from clusters.identity import Kinship
from clusters.item_clusters import ItemClusters
from clusters.lineage import FIELDS, Actor, Delta, Entry, record
from clusters.models import (
    ClusterChange,
    ClusterItemRule,
    ClusterMembership,
    ClusterRelation,
    Item,
    ItemCluster,
    MembershipRow,
)
from clusters.provenance import Provenance
from personas.models import Shop, in_chunks
from recommendations.cluster_reports import kin_of
from recommendations.engine import Engine

SHOWN_DESCRIPTORS = 8
SHOWN_RELATIONS = 8

BATCH = 2_000
"""Rows written by one statement."""

EXACT = 1e-6
"""Difference of two weights that is none: rows keep six digits."""

Action = ClusterChange.Action
Members = dict[int, float]
"""Item id -> weight."""


def write_clusters(
    shop: Shop, engine: Engine, *, by: Actor, reason: str = "", provenance: Provenance | None = None
) -> tuple[ClusterChange, ...]:
    """Bring the rows in line with a release, in the caller's transaction, and record what that changed as one batch.

    Clusters that are gone are retired, never deleted, and their items are in the record. A hand-owned cluster's items stay
    as its rows say, but for those of a kind by now that it takes in none of, and so do names, rules and bounds given by hand:
    it is for the release to follow those. Rows that say
    the same already are not written. Weights alone are brought in line without a record.

    provenance : what the clusters of searches were made of; None where there are none.
    """
    return _Writing(shop, engine, provenance).write(by, reason)


class _Writing:
    """One release's clusters on their way into rows: what is there, what shall be."""

    def __init__(self, shop: Shop, engine: Engine, provenance: Provenance | None) -> None:
        self.made_of = provenance.by_cluster if provenance is not None else {}
        self.shop, self.engine, self.now = shop, engine, timezone.now()
        self.ids: list[int] = engine.clusters.cluster_ids.tolist()
        taken = set(self.ids)
        rows = ItemCluster.objects.filter(shop=shop)
        self.rows = {row.pk: row for row in rows if row.pk in taken or row.retired_at is None}
        self.before: dict[int, Members] = {}
        self.via: dict[int, dict[int, Any]] = {}
        columns = ("cluster_id", "item_id", "weight", "part", "via")
        memberships = ClusterMembership.objects.filter(cluster__shop=shop).order_by().values_list(*columns)
        self.part_before: dict[tuple[int, int], int] = {}
        for cluster, item, weight, part, via in memberships.iterator(chunk_size=10_000):
            if cluster in self.rows:
                self.before.setdefault(cluster, {})[item] = weight
                if part is not None:
                    self.part_before[cluster, item] = part
                if via:
                    self.via.setdefault(cluster, {})[item] = via
        self.bars = kept_out_rows.bars_of(shop)
        there = set(Item.objects.filter(shop=shop).values_list("pk", flat=True))
        self.part: dict[tuple[int, int], int] = {}
        self.after = {
            cluster: self._still_let_in(cluster, members) if self._is_owned(cluster) else members
            for cluster, members in self._served(there)
        }

    def _served(self, there: set[int]) -> Iterable[tuple[int, Members]]:
        """The release's clusters; items that were deleted since it was made are left out."""
        clusters = self.engine.clusters
        items = clusters.items
        item_ids = self.engine.catalogue.item_ids[items.indices].tolist()
        weights = np.round(clusters.weight.astype(np.float64), 6).tolist()
        for c, cluster in enumerate(self.ids):
            a, b = int(items.indptr[c]), int(items.indptr[c + 1])
            members = {i: max(w, EXACT) for i, w in zip(item_ids[a:b], weights[a:b], strict=True) if i in there}
            if clusters.parts[c]:
                numbers = (clusters.part[a:b] + 1).tolist()  # from 1, as people count
                self.part |= {(cluster, i): n for i, n in zip(item_ids[a:b], numbers, strict=True) if n > 0 and i in members}
            yield cluster, members

    def _still_let_in(self, cluster: int, served: Members) -> Members:
        """What a hand-owned cluster has, without what it takes in none of by now and the release left out, core items apart."""
        before, bars = self.before.get(cluster, {}), self.bars.get(cluster, ())
        if not bars or not (absent := [item for item in before if item not in served]):
            return before
        core = ClusterItemRule.objects.filter(
            cluster=cluster, rule=ClusterItemRule.Rule.CORE
        )  # one may be newer than the release
        gone = kept_out_rows.under(self.shop, bars, absent) - set(core.values_list("item_id", flat=True))
        return {item: weight for item, weight in before.items() if item not in gone}

    def _is_owned(self, cluster: int) -> bool:
        row = self.rows.get(cluster)
        return row is not None and row.retired_at is None and row.is_hand_owned

    def write(self, by: Actor, reason: str) -> tuple[ClusterChange, ...]:
        gone = [pk for pk, row in self.rows.items() if pk not in set(self.ids) and not row.is_hand_owned]
        kin, old_ids = self._kinship()
        entries = [self._retired(pk, kin, old_ids) for pk in gone]
        written: list[ItemCluster] = []
        made: list[ItemCluster] = []
        for c, cluster in enumerate(self.ids):
            row = self.rows.get(cluster)
            entry = self._entry(c, row, kin, old_ids)
            if row is None:
                row = ItemCluster(pk=cluster, shop=self.shop)
                made.append(row)
            if self._fill(row, c) and row not in made:
                written.append(row)
            if entry is not None:
                entries.append(entry)
        ItemCluster.objects.bulk_create(made)
        if made:
            _advance_sequence()
        fields = ["name", "kind", "size", "share", "descriptors", "parts", "provenance", "retired_at", "updated_at"]
        ItemCluster.objects.bulk_update(written, fields, batch_size=200)
        for chunk in in_chunks(gone):
            ItemCluster.objects.filter(pk__in=chunk).update(retired_at=self.now, updated_at=self.now)
        self._write_members(gone)
        ClusterRelation.objects.filter(source__shop=self.shop).delete()
        ClusterRelation.objects.bulk_create(relations(self.engine.clusters), batch_size=BATCH)
        return record(self.shop, entries, by=by, reason=reason, batch=uuid.uuid4())

    # What became of the clusters

    def _kinship(self) -> tuple[Kinship, list[int]]:
        """What became of those learned that were served, and their ids by place."""
        old = [pk for pk, row in self.rows.items() if row.retired_at is None and not row.is_hand_owned and pk in self.before]
        item_ids = self.engine.catalogue.item_ids
        places = [i for pk in old for i in self.before[pk]]
        columns = np.repeat(np.arange(len(old)), [len(self.before[pk]) for pk in old]) if old else np.zeros(0, dtype=np.int64)
        weights = np.array([w for pk in old for w in self.before[pk].values()])
        at = self.engine.catalogue.positions(places).astype(np.int64)
        known = at >= 0
        was = sparse.csr_matrix((weights[known], (at[known], columns[known])), shape=(len(item_ids), len(old)))
        place = {pk: i for i, pk in enumerate(old)}
        pairs = np.array([place.get(pk, -1) for pk in self.ids], dtype=np.int64)
        now = self.engine.clusters.of_item.astype(np.float64)
        kinds = [self.rows[pk].kind for pk in old]
        return kin_of(was, now, kinds, self.engine.clusters.kinds, np.ones(len(item_ids)), pairs), old

    def _retired(self, pk: int, kin: Kinship, old_ids: list[int]) -> Entry:
        members = self.before.get(pk, {})
        others: list[int] = []
        told = f"Gone with {_items(len(members))}"
        if pk in old_ids:
            place = old_ids.index(pk)
            into = next((new for new, olds in kin.merged.items() if place in olds), None)
            if into is not None:
                others = [self.ids[into]]
                told = f"Merged into “{self.engine.clusters.names[into]}” with {_items(len(members))}"
            elif place in kin.split:
                others = [self.ids[new] for new in kin.split[place]]
                told = f"Fell into {len(others)} clusters"
        delta = Delta(
            fields={"retired_at": (None, self.now.isoformat())},
            members={item: (weight, None) for item, weight in members.items()},
            via=self.via.get(pk, {}),
        )
        return Entry(pk, Action.RETIRED, delta, told, others=tuple(others))

    def _entry(self, c: int, row: ItemCluster | None, kin: Kinship, old_ids: list[int]) -> Entry | None:
        """What the record says of a cluster that is served; None where nothing is to be said."""
        cluster, clusters = self.ids[c], self.engine.clusters
        before = self.before.get(cluster, {})
        after = self.after[cluster]
        members: dict[int, tuple[float | None, float | None]] = {i: (None, w) for i, w in after.items() if i not in before}
        members |= {i: (w, None) for i, w in before.items() if i not in after}
        via = {i: how for i, how in self.via.get(cluster, {}).items() if i not in after}
        others = self._relatives(c, kin, old_ids)
        told = _told(members)
        if row is None or (row.retired_at is not None and not row.name):
            now = {"name": clusters.names[c], "kind": clusters.kinds[c], "locked": bool(clusters.locked[c])}
            fields: dict[str, tuple[Any, Any]] = {name: (None, now.get(name)) for name in FIELDS}
            fields["named_by_hand"] = (None, False)
            action = Action.SPLIT if others else Action.CREATED
            made = f"Made of {_items(len(after))}"
            return Entry(cluster, action, Delta(fields, members), f"{made}, split off" if others else made, others=others)
        fields = {}
        if not (row.named_by_hand or self._is_owned(cluster)) and row.name != clusters.names[c]:
            fields["name"] = (row.name, clusters.names[c])
        if row.kind != clusters.kinds[c] and not self._is_owned(cluster):
            fields["kind"] = (row.kind, clusters.kinds[c])
        if row.retired_at is not None:
            fields["retired_at"] = (row.retired_at.isoformat(), None)
            return Entry(cluster, Action.RESTORED, Delta(fields, members, via=via), f"Back with {_items(len(after))}")
        if not members and not fields:
            return None
        action = Action.REBUILT if members else Action.RENAMED
        if c in kin.merged:
            action = Action.MERGED
        elif others:
            action = Action.SPLIT
        if not members:
            told = f"Named “{clusters.names[c]}”" if "name" in fields else "Of another kind"
        return Entry(cluster, action, Delta(fields, members, via=via), told, others=others)

    def _relatives(self, c: int, kin: Kinship, old_ids: list[int]) -> tuple[int, ...]:
        """Ids of the other clusters of a merge or a split that this one is part of."""
        if c in kin.merged:
            return tuple(old_ids[place] for place in kin.merged[c] if old_ids[place] != self.ids[c])
        for place, parts in kin.split.items():
            if c in parts:
                return tuple(dict.fromkeys(i for i in (old_ids[place], *(self.ids[p] for p in parts)) if i != self.ids[c]))
        return ()

    # Writing

    def _fill(self, row: ItemCluster, c: int) -> bool:
        """Bring a row in line; whether anything in it changed."""
        clusters, owned = self.engine.clusters, self._is_owned(self.ids[c])
        values: dict[str, Any] = {
            "size": len(self.after[row.pk]),
            "share": round(float(clusters.share[c]), 6),
            "descriptors": _descriptors(self.engine, c),
            "parts": self._parts(c),
            "retired_at": None,
        }
        if not owned:
            values["kind"] = clusters.kinds[c]
            values["provenance"] = self.made_of.get(row.pk, ({}, {}))[0]
        if not (owned or row.named_by_hand):
            values["name"] = clusters.names[c]
        if row._state.adding:
            values["locked"] = bool(clusters.locked[c])
        changed = [name for name, value in values.items() if getattr(row, name) != value]
        for name in changed:
            setattr(row, name, values[name])
        row.updated_at = self.now if changed else row.updated_at
        return bool(changed)

    def _parts(self, c: int) -> list[dict[str, Any]]:
        names, items = self.engine.clusters.parts[c], self.engine.clusters.items
        sizes = np.bincount(self.engine.clusters.part[items.indptr[c] : items.indptr[c + 1]] + 1, minlength=len(names) + 1)
        return [{"number": n + 1, "name": name, "size": int(sizes[n + 1])} for n, name in enumerate(names)]

    def _write_members(self, gone: list[int]) -> None:
        fresh: list[MembershipRow] = []
        left: dict[int, list[int]] = {}
        for cluster, after in self.after.items():
            before, said = self.before.get(cluster, {}), self.via.get(cluster, {})
            via = said if self._is_owned(cluster) else self.made_of.get(cluster, ({}, {}))[1]
            for item, weight in after.items():
                part, how = self.part.get((cluster, item)), via.get(item, [])
                same = abs(before.get(item, -1.0) - weight) <= EXACT and how == said.get(item, [])
                if not same or part != self.part_before.get((cluster, item)):
                    fresh.append(MembershipRow(cluster, item, weight, part, json.dumps(how)))
            if out := [item for item in before if item not in after]:
                left[cluster] = out
        for chunk in in_chunks(gone):
            ClusterMembership.objects.filter(cluster__in=chunk).delete()
        for cluster, items in left.items():
            for chunk in in_chunks(items):
                ClusterMembership.objects.filter(cluster=cluster, item__in=chunk).delete()
        ClusterMembership.objects.put(fresh)


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _told(members: Mapping[int, tuple[float | None, float | None]]) -> str:
    """ "42 items in, 7 out"."""
    entered = sum(before is None for before, _ in members.values())
    left = len(members) - entered
    parts = ([f"{_items(entered)} in"] if entered else []) + (
        [f"{left:,} out" if entered else f"{_items(left)} out"] if left else []
    )
    return ", ".join(parts)


def _advance_sequence() -> None:
    """PostgreSQL hands out ids from a sequence, which rows with ids of their own don't move; SQLite needs nothing."""
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), [ItemCluster]):
            cursor.execute(sql)


def _descriptors(engine: Engine, c: int) -> list[dict[str, object]]:
    lift = engine.clusters.descriptor_lift
    a, b = lift.indptr[c], lift.indptr[c + 1]
    ranked = sorted(zip(lift.data[a:b].tolist(), lift.indices[a:b].tolist(), strict=True), reverse=True)
    return [{"name": engine.catalogue.descriptors[d], "lift": round(v, 3)} for v, d in ranked[:SHOWN_DESCRIPTORS]]


def relations(clusters: ItemClusters) -> list[ClusterRelation]:
    """The strongest ways out of each cluster: where expansion may go."""
    ids = clusters.cluster_ids.tolist()
    rows = []
    for c, row in enumerate(np.asarray(clusters.related)):
        others = [t for t in np.argsort(-row, kind="stable")[: SHOWN_RELATIONS + 1].tolist() if t != c and row[t] > 0]
        rows += [
            ClusterRelation(
                source_id=ids[c],
                target_id=ids[t],
                weight=row.item(t),
                transition=clusters.transitions[c].item(t),
                overlap=clusters.overlap[c].item(t),
            )
            for t in others[:SHOWN_RELATIONS]
        ]
    return rows
