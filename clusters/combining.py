"""Verbs on several clusters: merged, split, tied to each other. Part of `clusters.editing`, which says what all verbs keep to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.utils import timezone

from clusters.cluster_drafts import (
    CORE,
    EXCLUDED,
    MAX_NAME,
    TAKEN,
    Draft,
    EditError,
    Operation,
    check_name,
    count_items,
    editing,
    external_ids,
    listed,
    opened,
)
from clusters.lineage import Actor, shortened
from clusters.models import ClusterChange, ItemCluster

Changes = tuple[ClusterChange, ...]
Action = ClusterChange.Action
Kind = ItemCluster.Kind

MOST_MERGED = 20
"""Clusters that may be merged at once, or split off one."""


# Several clusters


def merge(*, clusters: Sequence[ItemCluster], by: Actor, reason: str = "", name: str | None = None) -> Changes:
    """The first cluster takes in all the others, which are retired; it keeps its id, its lock and its name unless given one.

    An item counts as much as where it counted most. Core items stay core; an exclusion stays where no merged cluster has the
    item. Kinds of items that the first one keeps out stay out of it; those of the others end with them. Raises EditError unless
    there are 2 to 20 live clusters of one shop.
    """
    if not 2 <= len(clusters) <= MOST_MERGED or len({c.pk for c in clusters}) != len(clusters):
        raise EditError("clusters", f"must be 2 to {MOST_MERGED} different ones")
    shop = clusters[0].shop
    if any(c.shop_id != shop.pk for c in clusters):
        raise EditError("clusters", "must be of one shop")
    operation, now = Operation(shop, by, reason), timezone.now()
    with editing(shop):
        target, *sources = [opened(cluster) for cluster in clusters]
        for source in sources:
            for item, weight in source.members.items():
                target.members[item] = max(weight, target.members.get(item, 0.0))
        core = {item for d in (target, *sources) for item, rule in d.rules.items() if rule == CORE}
        barred = {item for d in (target, *sources) for item, rule in d.rules.items() if rule == EXCLUDED}
        target.factors = {}
        target.rules = dict.fromkeys(barred - target.members.keys(), EXCLUDED) | dict.fromkeys(core, CORE)
        target.row.kind = Kind.MANUAL
        target.let_go()
        if name is not None and check_name(name) != target.row.name:
            target.row.name, target.row.named_by_hand = check_name(name), True
        for source in sources:
            take_out(source, now)
            operation.put(source, Action.MERGED, f"Merged into “{target.row.name}”")
        others = ", ".join(f"“{source.row.name}”" for source in sources)
        operation.put(target, Action.MERGED, shortened(f"{count_items(target.delta.entered)} in from {others}"))
        return operation.finish(related=True)


def split(*, cluster: ItemCluster, groups: Mapping[str, Iterable[int]], by: Actor, reason: str = "") -> Changes:
    """Each group, items by the name of the cluster to be, becomes a cluster of its own; the cluster keeps its id and the rest.

    Core items stay core where they go, and kinds of items that it keeps out stay out. Raises EditError where a group is empty,
    shares an item with another or names one that isn't in the cluster, or where nothing would remain. See `items_of_parts` to
    split by the cluster's parts.
    """
    if not 1 <= len(groups) <= MOST_MERGED:
        raise EditError("groups", f"must be 1 to {MOST_MERGED}")
    shop = cluster.shop
    operation = Operation(shop, by, reason)
    with editing(shop):
        rest = opened(cluster)
        if len({check_name(name, "groups").casefold() for name in groups}) < len(groups):
            raise EditError("groups", "have two of one name")
        drafts = [_split_off(rest, name, list(dict.fromkeys(items))) for name, items in groups.items()]
        if not rest.members:
            raise EditError("groups", f"leave nothing in “{rest.row.name}”: at least one item must stay")
        rest.row.kind = Kind.MANUAL
        if rest.row.minimum_size is not None and rest.row.minimum_size > len(rest.members):
            rest.row.minimum_size = None  # else what was split off would fill it up again
        names = ", ".join(f"“{draft.row.name}”" for draft in drafts)
        operation.put(rest, Action.SPLIT, shortened(f"{count_items(rest.delta.left)} split off into {names}"))
        for draft in drafts:
            operation.put(draft, Action.SPLIT, f"Split off “{rest.row.name}” with {count_items(len(draft.members))}")
        return operation.finish(related=True)


def _split_off(rest: Draft, name: str, items: list[int]) -> Draft:
    made = Draft(ItemCluster(shop_id=rest.row.shop_id, name=check_name(name, "groups"), kind=Kind.MANUAL, named_by_hand=True))
    if not items:
        raise EditError("groups", f"gives “{name}” no item")
    if missing := [item for item in items if item not in rest.members]:
        said = listed(external_ids(missing))
        raise EditError("groups", f"gives “{name}” items that aren't in “{rest.row.name}” or are given twice: {said}")
    made.bars = dict(rest.bars)
    for item in items:
        made.members[item] = rest.members.pop(item)
        if rest.rules.get(item) == CORE:
            made.rules[item] = rest.rules.pop(item)
        elif rest.rules.get(item) == TAKEN:
            del rest.rules[item]  # it is taken along, and what is split off is the merchandiser's
    made.let_go()
    if not made.members:
        raise EditError("groups", f"gives “{name}” only items that “{rest.row.name}” takes in none of by now")
    return made


def items_of_parts(cluster: ItemCluster, numbers: Iterable[int]) -> dict[str, list[int]]:
    """Groups for `split` out of a large cluster's parts: name -> item ids. Raises EditError on a part it doesn't have."""
    names = {part["number"]: part["name"] for part in cluster.parts}
    live = {name.casefold() for name in ItemCluster.objects.live().filter(shop=cluster.shop_id).values_list("name", flat=True)}
    groups: dict[str, list[int]] = {}
    for number in dict.fromkeys(numbers):
        if number not in names:
            raise EditError("parts", f"of “{cluster.name}” have no number {number}")
        name = plain = str(names[number])
        if name.casefold() in live or name in groups:
            name = f"{plain[: MAX_NAME - 60]} of {cluster.name[:40]}"
        groups[name] = list(cluster.memberships.filter(part=number).values_list("item_id", flat=True))
    return groups


# Tied to each other


def relate(*, source: ItemCluster, target: ItemCluster, weight: float, by: Actor, reason: str = "") -> Changes:
    """A visit's interest in one cluster may be taken to another: at least this share of the source's relations goes there.

    weight : in (0, 1]; another takes the place of an earlier one. It stands whatever rebuilds make of the two; while one of
    them is retired it has no effect. Raises EditError.
    """
    if not 0.0 < weight <= 1.0:
        raise EditError("weight", f"{weight:g} must be above 0 and at most 1")
    if source.pk == target.pk or source.shop_id != target.shop_id:
        raise EditError("target", "must be another cluster of the same shop")
    operation = Operation(source.shop, by, reason)
    with editing(source.shop):
        draft, other = opened(source), opened(target)
        draft.ties[target.pk] = float(weight)
        summary = f"Related to “{other.row.name}”: at least {round(100 * weight)} in 100 of what goes on goes there"
        operation.put(draft, Action.RELATED, shortened(summary))
        return operation.finish()


def unrelate(*, source: ItemCluster, target: ItemCluster, by: Actor, reason: str = "") -> Changes:
    """Take such a word back; how near the two are is learning's again."""
    operation = Operation(source.shop, by, reason)
    with editing(source.shop):
        draft = opened(source)
        draft.ties.pop(target.pk, None)
        operation.put(draft, Action.UNRELATED, shortened(f"No longer related to “{target.name}” by hand"))
        return operation.finish()


def take_out(draft: Draft, now: datetime) -> None:
    """Retire a cluster's draft."""
    # What learning made it would make again, unless told that somebody took it out: by a lock on what is retired.
    draft.row.retired_at = now
    draft.row.locked = draft.row.locked or not draft.by_hand
