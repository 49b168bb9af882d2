"""The merchandiser's hand on clusters: every verb changes the rows and writes the lineage in one transaction.

Rows show an edit at once; the release that follows brings it to shoppers. Each verb returns the changes it recorded, none
where all was so already, and raises `EditError` with the field and the reason, or `EditConflict`, where it can't be done.

On a learned cluster, adding an item makes it core and removing it excludes it: learning would have its own way with anything
less. Merging, splitting and restoring make clusters whose items are the merchandiser's, until they are given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from django.utils import timezone

from clusters import kept_out, kept_out_rows
from clusters.cluster_drafts import (
    BY_HAND,
    CORE,
    EXCLUDED,
    LESSENED,
    TAKEN,
    Draft,
    EditConflict,
    EditError,
    Operation,
    check_bound,
    check_items,
    check_name,
    count_items,
    editing,
    external_ids,
    find_items,
    listed,
    opened,
    reopened,
)
from clusters.combining import MOST_MERGED, items_of_parts, merge, relate, split, take_out, unrelate
from clusters.lineage import Actor, Delta, delta_of, members_before, shortened
from clusters.models import ClusterChange, ItemCluster
from clusters.undoing import UndoneDay, undo, undo_batch, undo_day
from personas.models import Shop

__all__ = [
    "MOST_MERGED", "Actor", "EditConflict", "EditError", "UndoneDay", "add_items", "check_kinds", "clear_rule", "create",
    "define", "drafted", "editing", "exclude", "find_items", "give_back", "items_of_parts", "items_told", "keep_out", "lessen",
    "let_in", "merge", "relate", "remove_items", "rename", "restore", "retire", "set_bounds", "set_core", "set_locked", "split",
    "take_in", "undo", "undo_batch", "undo_day", "unrelate",
]  # fmt: skip

Items = Mapping[int, float | None] | Mapping[int, float] | Iterable[int]
"""Item ids, or weights in (0, 1] by item id; None for a weight that isn't given."""

Changes = tuple[ClusterChange, ...]
Action = ClusterChange.Action
Kind = ItemCluster.Kind


# One cluster made, named, bounded


def create(
    *,
    shop: Shop,
    name: str,
    items: Items,
    by: Actor,
    reason: str = "",
    kind: str = Kind.MANUAL,
    core: Iterable[int] = (),
    locked: bool = False,
    minimum_size: int | None = None,
    maximum_size: int | None = None,
) -> Changes:
    """A cluster whose items are the merchandiser's; the change's `cluster` is its row. core : among or beside `items`."""
    operation = Operation(shop, by, reason)
    with editing(shop):
        given, core = check_items(shop, items), list(core)
        kept = check_items(shop, core, "core") if core else {}
        row = ItemCluster(shop=shop, name=check_name(name), kind=kind, named_by_hand=True, locked=locked)
        draft = drafted(row, given, kept, minimum_size, maximum_size)
        operation.put(draft, Action.CREATED, f"Made with {count_items(len(draft.members))}")
        return operation.finish()


def drafted(
    row: ItemCluster, items: Mapping[int, float | None], core: Iterable[int], minimum: int | None, maximum: int | None
) -> Draft:
    """A new cluster with items of its shop, among or beside which are core ones, not yet written. Raises EditError."""
    draft = Draft(row)
    _bound(draft, minimum, maximum)
    _take_in(draft, items)
    _keep(draft, dict.fromkeys(core))
    return draft


def rename(*, cluster: ItemCluster, name: str, by: Actor, reason: str = "") -> Changes:
    """A name that learning leaves alone from now on."""
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        before, draft.row.name = draft.row.name, check_name(name)
        if draft.row.name != before:
            draft.row.named_by_hand = True
        operation.put(draft, Action.RENAMED, f"“{before}” is now “{draft.row.name}”")
        return operation.finish()


def set_locked(*, cluster: ItemCluster, locked: bool, by: Actor, reason: str = "") -> Changes:
    """Whether learning leaves the cluster's items as they are."""
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        draft.row.locked = locked
        summary = f"Locked with {count_items(len(draft.members))}" if locked else "Open to learning"
        operation.put(draft, Action.LOCKED if locked else Action.UNLOCKED, summary)
        return operation.finish()


def set_bounds(
    *, cluster: ItemCluster, minimum_size: int | None, maximum_size: int | None, by: Actor, reason: str = ""
) -> Changes:
    """Items that it never has fewer or more of, None for no bound. The next release follows them, not the rows at once; those
    of a locked or hand-made cluster wait until learning decides on its items."""
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        _bound(draft, minimum_size, maximum_size)
        told = [f"at least {minimum_size:,}"] if minimum_size else []
        told += [f"at most {maximum_size:,}"] if maximum_size else []
        waits = ", once learning decides on its items" if draft.row.is_hand_owned else ""
        operation.put(draft, Action.BOUNDED, f"{', '.join(told).capitalize()} items{waits}" if told else "No bounds on its size")
        return operation.finish()


def _bound(draft: Draft, minimum: int | None, maximum: int | None) -> None:
    draft.row.minimum_size = check_bound("minimum_size", minimum)
    draft.row.maximum_size = check_bound("maximum_size", maximum)


# Its items


def add_items(*, cluster: ItemCluster, items: Items, by: Actor, reason: str = "") -> Changes:
    """Take items in; in a learned cluster they become core, and in any where it takes in no items of their kind (`keep_out`).
    One that is in keeps its weight unless one is given."""

    def change(draft: Draft, given: Mapping[int, float | None]) -> None:
        if not draft.by_hand:
            _keep(draft, given)
            return
        _take_in(draft, given)
        draft.rules.update(dict.fromkeys(sorted(draft.barred(given)), CORE))

    return _on_items(cluster, items, by, reason, change)


def remove_items(*, cluster: ItemCluster, items: Items, by: Actor, reason: str = "") -> Changes:
    """Take items out; of a learned cluster they are excluded. Items that aren't in are passed over."""

    def change(draft: Draft, given: Mapping[int, float | None]) -> None:
        for item in given:
            if draft.by_hand:
                draft.members.pop(item, None)
                if draft.rules.get(item) in (CORE, LESSENED, TAKEN):
                    del draft.rules[item]
            elif item in draft.members or draft.rules.get(item) in (CORE, TAKEN):
                _bar(draft, [item])

    return _on_items(cluster, items, by, reason, change)


def take_in(*, cluster: ItemCluster, items: Items, by: Actor, reason: str = "") -> Changes:
    """Items that learning takes in: they come back with every rebuild, as core ones do, and yet may weigh less, give way where
    the cluster is too large, or be let go by learning again. A merchandiser's core items stay core."""

    def change(draft: Draft, given: Mapping[int, float | None]) -> None:
        fresh = {item: weight for item, weight in given.items() if draft.rules.get(item) != CORE}
        _take_in(draft, fresh)
        if not draft.by_hand:
            draft.rules.update(dict.fromkeys(fresh, TAKEN))

    return _on_items(cluster, items, by, reason, change)


def set_core(*, cluster: ItemCluster, items: Items, by: Actor, reason: str = "") -> Changes:
    """Items that never leave the cluster; those that aren't in come in, those that were excluded are no longer."""
    return _on_items(cluster, items, by, reason, _keep)


def exclude(*, cluster: ItemCluster, items: Items, by: Actor, reason: str = "") -> Changes:
    """Items that are never in the cluster; those that are go out, core ones are no longer."""
    return _on_items(cluster, items, by, reason, _bar)


def clear_rule(*, cluster: ItemCluster, items: Items, by: Actor, reason: str = "") -> Changes:
    """Items that are neither core nor excluded nor lessened any more. Who is in stays in until learning decides otherwise."""

    def change(draft: Draft, given: Mapping[int, float | None]) -> None:
        for item in given:
            _lift(draft, item)
            draft.rules.pop(item, None)

    return _on_items(cluster, items, by, reason, change)


def lessen(*, cluster: ItemCluster, items: Mapping[int, float], by: Actor, reason: str = "") -> Changes:
    """Items that weigh less in the cluster. items : item id -> factor in (0, 1), of what it weighs by itself; another factor
    takes the place of an earlier one. Those that aren't in are passed over.

    In a learned cluster the factor stands, whatever rebuilds make of the weight; in one whose items are the merchandiser's the
    weight itself is changed. Raises EditConflict on a core item.
    """

    def change(draft: Draft, given: Mapping[int, float | None]) -> None:
        if core := [item for item in given if draft.rules.get(item) == CORE]:
            raise EditConflict(
                "items", f"name {listed(external_ids(core))}, core of “{draft.row.name}”: core items aren't lessened"
            )
        for item, factor in given.items():
            if item not in draft.members or factor is None:
                continue
            _lift(draft, item)
            draft.members[item] *= factor
            if draft.by_hand:
                draft.rules.pop(item, None)
            else:
                draft.factors[item] = factor
                draft.rules[item] = TAKEN if draft.rules.get(item) == TAKEN else LESSENED

    if wrong := [factor for factor in items.values() if not 0.0 < factor < 1.0]:
        raise EditError("items", f"are given the factor {wrong[0]:g}; factors are above 0 and below 1")
    return _on_items(cluster, items, by, reason, change)


def _lift(draft: Draft, item: int) -> None:
    """What a lessened item weighs by itself again."""
    factor = draft.factors.pop(item, None)
    if factor is not None and item in draft.members:
        draft.members[item] = min(draft.members[item] / factor, 1.0)


def define(draft: Draft, items: Mapping[int, float], core: Iterable[int] = (), *, whole: bool) -> None:
    """What a file says is in a cluster owned by hand, onto its draft: these items with these weights; if `whole`, no others.

    A merchandiser's word on an item in the cluster stands: one excluded stays out, a core one stays in; so do those on kinds of
    items. core : of `items`, which are of the shop. Raises EditConflict for a learned cluster.
    """
    if not draft.by_hand:
        raise EditConflict("cluster", f"“{draft.row.name}” is learned: its items can't be given as a whole")
    _take_in(draft, {item: weight for item, weight in items.items() if draft.rules.get(item) != EXCLUDED})
    for item in core:
        draft.rules.setdefault(item, CORE)
    if whole:
        draft.members = {i: w for i, w in draft.members.items() if i in items or draft.rules.get(i) == CORE}
        draft.rules = {i: rule for i, rule in draft.rules.items() if rule != TAKEN or i in draft.members}
    draft.let_go()


def _on_items(cluster: ItemCluster, items: Items, by: Actor, reason: str, change: Any) -> Changes:
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        change(draft, check_items(cluster.shop, items))
        draft.let_go()
        operation.put(draft, Action.ITEMS, items_told(draft.delta))
        return operation.finish()


# What it takes in none of


def check_kinds(kinds: Iterable[object], field: str = "kept_out") -> list[str]:
    """Kinds of items in their one written form, each once. Raises EditError."""
    try:
        return list(dict.fromkeys(kept_out.read(kind) for kind in kinds))
    except ValueError as error:
        raise EditError(field, str(error)) from error


def keep_out(*, cluster: ItemCluster, kinds: Iterable[str], by: Actor, reason: str = "") -> Changes:
    """The cluster takes in no items of these kinds (`clusters.kept_out`) from now on, whoever decides on its items.

    Those that are in it go out, core ones apart, which a merchandiser named; new ones don't come in; one that becomes such goes
    out with the next release. Raises EditConflict where nothing would be left in it.
    """
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        fresh = [kind for kind in check_kinds(kinds) if kind not in draft.bars]
        held = len(draft.members)
        draft.bars |= dict.fromkeys(fresh, True)
        draft.let_go()
        if held and not draft.members:
            raise EditConflict("cluster", f"“{draft.row.name}” has only such items: retire it instead")
        core = [item for item, rule in draft.rules.items() if rule == CORE]
        stay = len(kept_out_rows.under(cluster.shop, fresh, core)) if fresh and core else 0
        told = f"Takes in no items {kept_out.listed(fresh)}: {count_items(held - len(draft.members))} out"
        if stay:
            told += f", {count_items(stay)} of its core stay{'s' * (stay == 1)}"
        operation.put(draft, Action.KEPT_OUT, shortened(told))
        return operation.finish()


def let_in(*, cluster: ItemCluster, kinds: Iterable[str], by: Actor, reason: str = "") -> Changes:
    """Take such words back. In a learned cluster what learning finds comes in with the next release; where the items are the
    merchandiser's, those that went out are theirs to add."""
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        gone = [kind for kind in check_kinds(kinds) if draft.bars.pop(kind, None)]
        waits = "" if not draft.row.is_hand_owned else "; those that went out are yours to add"
        operation.put(draft, Action.LET_IN, shortened(f"May have items {kept_out.listed(gone)} again{waits}"))
        return operation.finish()


def _take_in(draft: Draft, items: Mapping[int, float | None]) -> None:
    # What comes into a learned cluster by hand is as typical as its middle, as it will be in the release.
    usual = median(draft.members.values()) if draft.members and not draft.by_hand else 1.0
    for item, weight in items.items():
        _lift(draft, item)
        if weight is not None or item not in draft.members:
            draft.members[item] = usual if weight is None else float(weight)
        if draft.rules.get(item) in (EXCLUDED, LESSENED):
            del draft.rules[item]


def _keep(draft: Draft, items: Mapping[int, float | None]) -> None:
    _take_in(draft, items)
    draft.rules.update(dict.fromkeys(items, CORE))


def _bar(draft: Draft, items: Iterable[int]) -> None:
    for item in items:
        draft.members.pop(item, None)
        draft.rules[item] = EXCLUDED


def items_told(delta: Delta) -> str:
    """What became of a cluster's items: "3 items in, 1 out, 2 now core"."""
    told = [f"{count_items(delta.entered)} in"] if delta.entered else []
    told += [f"{delta.left:,} out" if told else f"{count_items(delta.left)} out"] if delta.left else []
    rest = sum(None not in weights and item not in delta.factors for item, weights in delta.members.items())
    after = [rule for _, rule in delta.rules.values()]
    for count, words in (
        (rest, "weighted anew"),
        (after.count(CORE), "now core"),
        (after.count(EXCLUDED), "now excluded"),
        (sum(factor is not None for _, factor in delta.factors.values()), "now weighing less"),
        (after.count(None), "without a rule now"),
    ):
        told += [f"{count:,} {words}"] if count else []
    return ", ".join(told)


# Taken out, brought back


def retire(*, cluster: ItemCluster, by: Actor, reason: str = "") -> Changes:
    """Take a cluster out. Its id and items are kept, for `restore`; a learned one is locked, so that no rebuild repeats it."""
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        take_out(draft, timezone.now())
        operation.put(draft, Action.RETIRED, f"Taken out with {count_items(len(draft.members))}")
        return operation.finish()


def restore(*, cluster: ItemCluster, by: Actor, reason: str = "", name: str | None = None) -> Changes:
    """Bring a retired cluster back with the items that it had, as the merchandiser's own: see `give_back`.

    name : another, where its own is taken by now. Raises EditError for a live cluster and for one that had no items.
    """
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = reopened(cluster)
        if draft.row.retired_at is None:
            raise EditConflict("cluster", f"“{draft.row.name}” isn't retired")
        if not draft.members:  # a rebuild or a training, which leaves none, took it out
            last = ClusterChange.objects.filter(cluster=draft.row, action__in=(Action.RETIRED, Action.MERGED)).first()
            had = members_before(last) if last else {}
            kept = draft.row.shop.items.filter(pk__in=had).values_list("pk", flat=True) if had else ()
            draft.members = {item: had[item] for item in kept if draft.rules.get(item) != EXCLUDED}
        draft.let_go()
        if not draft.members:
            raise EditConflict("cluster", f"“{draft.row.name}” had no items that are still in the catalogue, or that it takes in")
        if name is not None and check_name(name) != draft.row.name:
            draft.row.name, draft.row.named_by_hand = check_name(name), True
        draft.row.retired_at = None
        if not draft.by_hand:
            draft.row.kind, draft.row.locked = Kind.MANUAL, False
        operation.put(draft, Action.RESTORED, f"Brought back with {count_items(len(draft.members))}")
        return operation.finish()


def give_back(*, cluster: ItemCluster, by: Actor, reason: str = "") -> Changes:
    """Let learning decide on the items of a merchandiser's or a locked cluster again; rules, bounds and its name stay."""
    operation = Operation(cluster.shop, by, reason)
    with editing(cluster.shop):
        draft = opened(cluster)
        if not draft.by_hand and not draft.row.locked:
            raise EditConflict("cluster", f"“{draft.row.name}” is learned already")
        if draft.by_hand:
            draft.row.kind = _kind_before(draft.row)
        draft.row.locked = False
        operation.put(draft, Action.GIVEN_BACK, "Learning decides on its items again")
        return operation.finish()


def _kind_before(cluster: ItemCluster) -> str:
    """What a cluster was before it was the merchandiser's; one that always was theirs is learned from visits."""
    for change in ClusterChange.objects.filter(cluster=cluster).only("delta"):
        before = delta_of(change).fields.get("kind", (None, None))[0]
        if before is not None and before not in BY_HAND:
            return str(before)
    return Kind.CO_VISIT
