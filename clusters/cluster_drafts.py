"""A cluster's rows while an edit is made: read under the shop's lock, changed in memory, checked, written with their delta."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from django.db import connections, transaction

from clusters import kept_out, kept_out_rows
from clusters.lineage import FIELDS, Actor, Delta, Entry, record
from clusters.models import (
    ClusterBar,
    ClusterChange,
    ClusterItemRule,
    ClusterMembership,
    ClusterTie,
    Item,
    ItemCluster,
    MembershipRow,
)
from personas.models import Shop, in_chunks

MAX_NAME = 120
MAX_ITEMS = 5_000
"""Items that a cluster owned by hand may have, and rules that any may have."""

MAX_BOUND = 1_000_000
CORE, EXCLUDED = ClusterItemRule.Rule.CORE.value, ClusterItemRule.Rule.EXCLUDED.value
LESSENED, TAKEN = ClusterItemRule.Rule.LESSENED.value, ClusterItemRule.Rule.TAKEN.value
BY_HAND = ItemCluster.HAND_KINDS
"""Kinds whose items are the merchandiser's; learning decides on those of the others."""


class EditError(ValueError):
    """An edit that can't be made. field : what is at fault.  reason : why, to follow the field's name in a sentence."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field, self.reason = field, reason


class EditConflict(EditError):
    """An edit that is sound, but not as things stand."""


class Draft:
    """One cluster's fields, items, rules, ties and bars, to be changed at will; `delta` tells what was.

    row : the cluster; unsaved for one that is made.  members : item id -> weight, of lessened ones what is left of it.
    rules : item id -> `CORE`, `EXCLUDED`, `LESSENED` or `TAKEN`.  factors : item id -> factor, of the lessened ones.
    ties : id of another cluster -> weight.  via : item id -> how a search found it, for items that an edit brings back.
    bars : kinds of items that are kept out, each with True.

    held, ruled, tied, barred : its rows, (item id, weight, via), (item id, rule, factor), (cluster id, weight) and kinds, where
    they were read already: see `drafts_of`.
    """

    def __init__(
        self,
        row: ItemCluster,
        held: Iterable[tuple[int, float, Any]] | None = None,
        ruled: Iterable[tuple[int, str, float | None]] | None = None,
        tied: Iterable[tuple[int, float]] | None = None,
        barred: Iterable[str] | None = None,
    ) -> None:
        self.row = row
        self.made = row.pk is None
        self.members: dict[int, float] = {}
        self.rules: dict[int, str] = {}
        self.factors: dict[int, float] = {}
        self.ties: dict[int, float] = {}
        self.bars: dict[str, bool] = {}
        self.via: dict[int, list[list[int]]] = {}
        self._found: dict[int, list[list[int]]] = {}
        if not self.made:
            for item, weight, via in row.memberships.values_list("item_id", "weight", "via") if held is None else held:
                self.members[item] = weight
                if via:
                    self._found[item] = via
            for item, rule, factor in row.item_rules.values_list("item_id", "rule", "factor") if ruled is None else ruled:
                self.rules[item] = rule
                if factor is not None:
                    self.factors[item] = factor
            self.ties.update(row.ties.values_list("target_id", "weight") if tied is None else tied)
            self.bars = dict.fromkeys(row.bars.values_list("kind", flat=True) if barred is None else barred, True)
        self._fields = {name: None if self.made else told(getattr(row, name)) for name in FIELDS}
        self._members, self._rules = dict(self.members), dict(self.rules)
        self._factors, self._ties, self._bars = dict(self.factors), dict(self.ties), dict(self.bars)

    @property
    def by_hand(self) -> bool:
        """True if its items are the merchandiser's."""
        return self.row.kind in BY_HAND

    @property
    def delta(self) -> Delta:
        fields = {name: told(getattr(self.row, name)) for name in FIELDS}
        gone = self._members.keys() - self.members.keys()
        return Delta(
            fields={name: (self._fields[name], value) for name, value in fields.items() if value != self._fields[name]},
            members=_differences(self._members, self.members),
            rules=_differences(self._rules, self.rules),
            via={item: self._found[item] for item in sorted(gone & self._found.keys())},
            factors=_differences(self._factors, self.factors),
            ties=_differences(self._ties, self.ties),
            bars=_differences(self._bars, self.bars),
        )

    def barred(self, items: Iterable[int]) -> set[int]:
        """Those of some items that the cluster takes in none of, core ones apart."""
        asked = [item for item in items if self.rules.get(item) != CORE] if self.bars else []
        return kept_out_rows.under(self.row.shop_id, self.bars, asked) if asked else set()

    def let_go(self) -> None:
        """Items that it takes in none of go out: of those that the edit brings in, or where it bars more than before, of all.

        What became such since it was let in waits for the next release, so that an edit does what it says and no more.
        """
        fresh = self.members.keys() if self.bars.keys() - self._bars.keys() else self.members.keys() - self._members.keys()
        for item in self.barred(fresh):
            del self.members[item]
            if self.rules.get(item) == TAKEN:
                del self.rules[item]

    def forget_factors(self) -> None:
        """Factors of items that are no longer lessened are forgotten."""
        self.factors = {item: factor for item, factor in self.factors.items() if self.rules.get(item) in (LESSENED, TAKEN)}

    def check(self) -> None:
        """Raises EditError on bounds and numbers of items that can't be; names are checked among the shop's, once written."""
        row = self.row
        if row.minimum_size is not None and row.maximum_size is not None and row.minimum_size > row.maximum_size:
            raise EditError("minimum_size", f"{row.minimum_size:,} is more than the maximum of {row.maximum_size:,}")
        core = sum(rule == CORE for rule in self.rules.values())
        if row.maximum_size is not None and core > row.maximum_size:
            raise EditError("maximum_size", f"of {row.maximum_size:,} has no room for the {core:,} core items of “{row.name}”")
        grew = self.made or len(self.members) > len(self._members)
        if (self.by_hand and grew and len(self.members) > MAX_ITEMS) or len(self.rules) > max(MAX_ITEMS, len(self._rules)):
            raise EditError("items", f"of “{row.name}” would be more than the {MAX_ITEMS:,} that are kept by hand")
        if len(self.bars) > max(kept_out.MOST, len(self._bars)):
            raise EditError(
                "kept_out", f"of “{row.name}” would be more than the {kept_out.MOST} kinds that a cluster may keep out"
            )

    def write(self, delta: Delta) -> None:
        """The rows as the draft has them."""
        self.row.size = len(self.members)
        if self.made:
            self.row.save()
        else:
            self.row.save(update_fields=[*FIELDS, "size", "updated_at"])
        cluster = self.row

        def put_members(new: Mapping[int, float]) -> None:
            via = {item: json.dumps(self.via[item]) for item in new if item in self.via}
            rows = [MembershipRow(cluster.pk, item, weight, via=via.get(item, "[]")) for item, weight in new.items()]
            ClusterMembership.objects.put(rows)

        def put_rules(new: Mapping[int, str]) -> None:
            rows = [
                ClusterItemRule(cluster=cluster, item_id=item, rule=rule, factor=self.factors.get(item))
                for item, rule in new.items()
            ]
            ClusterItemRule.objects.bulk_create(rows, batch_size=500)

        _write(ClusterMembership.objects.filter(cluster=cluster), cluster.pk, delta.members, put_members, "weight")
        ruled = ClusterItemRule.objects.filter(cluster=cluster)
        _write(ruled, cluster.pk, delta.rules, put_rules, "rule")
        for item, (_, factor) in delta.factors.items():
            ruled.filter(item_id=item).update(factor=factor)
        for target, (_, weight) in delta.ties.items():
            if weight is None:
                ClusterTie.objects.filter(source=cluster, target_id=target).delete()
            else:
                ClusterTie.objects.update_or_create(source=cluster, target_id=target, defaults={"weight": weight})
        for kind, (_, kept) in delta.bars.items():
            if kept is None:
                ClusterBar.objects.filter(cluster=cluster, kind=kind).delete()
            else:
                ClusterBar.objects.create(cluster=cluster, kind=kind)


K = TypeVar("K", int, str)


def _differences(before: Mapping[K, Any], after: Mapping[K, Any]) -> dict[K, tuple[Any, Any]]:
    changed = sorted(item for item in before.keys() | after.keys() if before.get(item) != after.get(item))
    return {item: (before.get(item), after.get(item)) for item in changed}


def _write(
    rows: Any, cluster: int, changed: Mapping[int, tuple[Any, Any]], put: Callable[[Mapping[int, Any]], None], column: str
) -> None:
    for chunk in in_chunks(item for item, (_, after) in changed.items() if after is None):
        rows.filter(item_id__in=chunk).delete()
    if new := {item: after for item, (before, after) in changed.items() if before is None}:
        put(new)
    # As one `executemany`: five thousand items may have as many weights.
    if other := [(after, cluster, item) for item, (before, after) in changed.items() if before is not None and after is not None]:
        connection = connections[rows.db]
        table, name = map(connection.ops.quote_name, (rows.model._meta.db_table, column))
        with connection.cursor() as cursor:
            cursor.executemany(f"UPDATE {table} SET {name} = %s WHERE cluster_id = %s AND item_id = %s", other)


def told(value: Any) -> Any:
    """A field's value as a delta has it."""
    return value.isoformat() if isinstance(value, datetime) else value


# Of one shop at a time


@contextmanager
def editing(shop: Shop) -> Iterator[None]:
    """A transaction in which nobody else edits the shop's clusters."""
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)
        yield


def opened(cluster: ItemCluster) -> Draft:
    """A live cluster as it is now; within `editing`. Raises EditError."""
    draft = reopened(cluster)
    if draft.row.retired_at is not None:
        raise EditConflict("cluster", f"“{draft.row.name}” is retired: restore it first")
    return draft


def reopened(cluster: ItemCluster) -> Draft:
    """A cluster, live or retired, as it is now; within `editing`. Raises EditError."""
    row = ItemCluster.objects.filter(pk=cluster.pk).first()
    if row is None:
        raise EditError("cluster", f"“{cluster.name}” is not there any more")
    return Draft(row)


def drafts_of(clusters: Iterable[int]) -> dict[int, Draft]:
    """Clusters, live or retired, as they are now, by id, in a few queries for all of them; within `editing`."""
    rows: dict[int, ItemCluster] = {}
    held: dict[int, list[tuple[int, float, Any]]] = {}
    ruled: dict[int, list[tuple[int, str, float | None]]] = {}
    tied: dict[int, list[tuple[int, float]]] = {}
    barred: dict[int, list[str]] = {}
    for chunk in in_chunks(clusters):
        rows |= ItemCluster.objects.in_bulk(chunk)
        members = ClusterMembership.objects.filter(cluster__in=chunk).order_by()
        for cluster, *member in members.values_list("cluster_id", "item_id", "weight", "via").iterator(chunk_size=10_000):
            held.setdefault(cluster, []).append((member[0], member[1], member[2]))
        rules = ClusterItemRule.objects.filter(cluster__in=chunk).values_list("cluster_id", "item_id", "rule", "factor")
        for cluster, item, rule, factor in rules:
            ruled.setdefault(cluster, []).append((item, rule, factor))
        for cluster, target, weight in ClusterTie.objects.filter(source__in=chunk).values_list(
            "source_id", "target_id", "weight"
        ):
            tied.setdefault(cluster, []).append((target, weight))
        for cluster, kind in ClusterBar.objects.filter(cluster__in=chunk).values_list("cluster_id", "kind"):
            barred.setdefault(cluster, []).append(kind)
    return {pk: Draft(row, held.get(pk, ()), ruled.get(pk, ()), tied.get(pk, ()), barred.get(pk, ())) for pk, row in rows.items()}


class Operation:
    """What one edit does to clusters of one shop: written in one go by `finish`, as one batch."""

    def __init__(self, shop: Shop, by: Actor, reason: str = "", batch: uuid.UUID | None = None) -> None:
        self.shop, self.by, self.reason, self.batch = shop, by, check_reason(reason), batch
        self._parts: list[tuple[Draft, str, str, Delta, ClusterChange | None]] = []

    def put(self, draft: Draft, action: str, summary: str, *, undoes: ClusterChange | None = None) -> Delta:
        """Write a draft's rows, if there is anything new in it: what is returned. Raises EditError; then nothing was written."""
        draft.let_go()
        draft.forget_factors()
        delta = draft.delta
        if delta:
            draft.check()
            draft.write(delta)
            self._parts.append((draft, action, summary, delta, undoes))
        return delta

    def finish(self, *, related: bool = False) -> tuple[ClusterChange, ...]:
        """Check the names of all that was put, and record it. related : a merge or a split, whose changes name each other.

        Raises EditError.
        """
        self._check_names()
        ids = [draft.row.pk for draft, *_ in self._parts]
        changes = record(
            self.shop,
            [
                Entry(
                    draft.row.pk,
                    action,
                    delta,
                    summary,
                    others=tuple(pk for pk in ids if pk != draft.row.pk) if related else (),
                    undoes=undoes,
                )
                for draft, action, summary, delta, undoes in self._parts
            ],
            by=self.by,
            reason=self.reason,
            batch=self.batch,
        )
        for change, (draft, *_) in zip(changes, self._parts, strict=True):
            change.cluster = draft.row
        return changes

    def _check_names(self) -> None:
        named = [
            draft.row
            for draft, _, _, delta, _ in self._parts
            if draft.row.retired_at is None and delta.fields.keys() & {"name", "retired_at"}
        ]
        if not named:
            return
        holders = live_names(self.shop)
        for row in named:
            check_free(row, holders)


def live_names(shop: Shop) -> dict[str, list[int]]:
    """Casefolded name -> ids of the live clusters that have it."""
    holders: dict[str, list[int]] = {}
    for pk, name in ItemCluster.objects.live().filter(shop=shop).order_by("pk").values_list("pk", "name"):
        holders.setdefault(name.casefold(), []).append(pk)
    return holders


def check_free(row: ItemCluster, holders: Mapping[str, Sequence[int]]) -> None:
    """Raises EditConflict if another live cluster than `row` has its name. holders : of `live_names`."""
    if others := [pk for pk in holders.get(row.name.casefold(), ()) if pk != row.pk]:
        raise EditConflict("name", f"“{row.name}” is taken by cluster {others[0]}: names are distinct within a shop")


# Checks of what people give


def check_name(name: object, field: str = "name") -> str:
    """A cluster's name without the spaces around it. Raises EditError."""
    if not isinstance(name, str) or not name.strip():
        raise EditError(field, "must be text of 1 to 120 characters")
    name = name.strip()
    if len(name) > MAX_NAME:
        raise EditError(field, f"has {len(name):,} characters, more than {MAX_NAME}")
    if not name.isprintable():
        raise EditError(field, "has control characters")
    return name


def check_reason(reason: str) -> str:
    """A reason without the spaces around it, "" for none. Raises EditError."""
    reason = reason.strip()
    if len(reason) > ClusterChange._meta.get_field("reason").max_length:  # type: ignore[operator]
        raise EditError("reason", f"has {len(reason):,} characters, more than 300")
    if not reason.isprintable():
        raise EditError("reason", "has control characters")
    return reason


def check_bound(field: str, value: object) -> int | None:
    """A bound on a cluster's size, None for none. Raises EditError."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_BOUND:
        raise EditError(field, f"must be a whole number from 1 to {MAX_BOUND:,}, or empty for no bound")
    return value


def check_items(
    shop: Shop, items: Mapping[int, float | None] | Mapping[int, float] | Iterable[int], field: str = "items"
) -> dict[int, float | None]:
    """Item id -> weight, None where none is given; each once. Raises EditError on an item that the shop lacks."""
    given: dict[int, float | None] = dict(items) if isinstance(items, Mapping) else dict.fromkeys(items)
    if not given:
        raise EditError(field, "must name at least one item")
    for item, weight in given.items():
        if weight is not None and not 0 < weight <= 1:
            raise EditError(field, f"gives item {item} the weight {weight:g}; weights are above 0 and at most 1")
    known: set[int] = set()
    for chunk in in_chunks(given):
        known.update(Item.objects.filter(shop=shop, pk__in=chunk).values_list("pk", flat=True))
    if missing := [item for item in given if item not in known]:
        raise EditError(field, f"names {listed(missing)}, which {shop.name} doesn't have")
    return given


def find_items(shop: Shop, external_ids: Sequence[str], field: str = "items") -> list[int]:
    """Item ids of the shop's own ids, in their order, each once. Raises EditError, naming those that aren't there."""
    ids = Item.objects.ids_of(shop, external_ids)
    if missing := [external for external in external_ids if external not in ids]:
        raise EditError(field, f"names {listed(missing)}, which {shop.name} doesn't have")
    return list(dict.fromkeys(ids[external] for external in external_ids))


def external_ids(items: Sequence[int]) -> list[str]:
    """The shop's own ids of items, in their order; an item that isn't there is told by its number."""
    known = {
        pk: name for chunk in in_chunks(items) for pk, name in Item.objects.filter(pk__in=chunk).values_list("pk", "external_id")
    }
    return [known.get(item, str(item)) for item in items]


def listed(values: Sequence[object], most: int = 5) -> str:
    """Values in words: "a, b and 3 more"."""
    shown = ", ".join(str(value)[:MAX_NAME] for value in values[:most])
    return f"{shown} and {len(values) - most:,} more" if len(values) > most else shown


def count_items(items: int) -> str:
    """ "1 item" or "1,200 items"."""
    return "1 item" if items == 1 else f"{items:,} items"
