"""Undo: a change of a cluster taken back, if what it touched still stands as it left it; itself a change like any other."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, TypeVar

from django.utils import timezone

from clusters import kept_out, kept_out_rows
from clusters.cluster_drafts import Draft, EditConflict, EditError, Operation, count_items, editing, listed, reopened
from clusters.lineage import Actor, Delta, delta_of, shortened
from clusters.models import ClusterChange, ClusterChangeQuerySet, Item, ItemCluster
from personas.models import Shop, in_chunks

T = TypeVar("T")
Changes = tuple[ClusterChange, ...]
Action = ClusterChange.Action

REBUILT_BY = (ClusterChange.Actor.TRAINING, ClusterChange.Actor.BUILD)
OPPOSITE = {
    Action.LOCKED: Action.UNLOCKED,
    Action.UNLOCKED: Action.LOCKED,
    Action.MERGED: Action.SPLIT,
    Action.SPLIT: Action.MERGED,
    Action.GIVEN_BACK: Action.RESTORED,
    Action.RELATED: Action.UNRELATED,
    Action.UNRELATED: Action.RELATED,
    Action.KEPT_OUT: Action.LET_IN,
    Action.LET_IN: Action.KEPT_OUT,
}
"""What the undo of an action is called, where it neither takes a cluster out nor brings it back and isn't called the same."""


def undo(*, change: ClusterChange, by: Actor, reason: str = "") -> Changes:
    """Take a change back; that of a merge or a split takes all of it back. The undo is a change itself, and can be undone.

    Raises EditConflict where what the change touched was changed since, saying by what; where it is undone already; and for
    a rebuild's, which is undone by the release before it.
    """
    return (
        undo_batch(batch=change.batch, shop=change.shop, by=by, reason=reason) if change.others else _undo([change], by, reason)
    )


def undo_batch(*, batch: uuid.UUID, shop: Shop, by: Actor, reason: str = "") -> Changes:
    """Take all changes of one operation back, or none of them. Raises as `undo`; those undone one by one are passed over."""
    changes = list(ClusterChange.objects.filter(shop=shop, batch=batch).select_related("shop", "cluster"))
    if not changes:
        raise EditError("batch", f"{batch} is not of a change in {shop.name}")
    standing = [change for change in changes if not ClusterChange.objects.filter(undoes=change).exists()]
    return _undo(standing or changes, by, reason)


class UndoneDay(NamedTuple):
    """changes : that took something back.  conflicts : those of the day that couldn't be taken back, and why."""

    changes: Changes
    conflicts: tuple[tuple[ClusterChange, str], ...]


def learned_on(shop: Shop, day: date) -> ClusterChangeQuerySet:
    """What learning changed of the shop's clusters on a day (UTC) and nobody took back, the latest first."""
    start = datetime.combine(day, time(), UTC)
    changes = ClusterChange.objects.filter(shop=shop, actor=ClusterChange.Actor.LEARNING, undoes=None, undone_by=None)
    return changes.filter(at__gte=start, at__lt=start + timedelta(days=1)).order_by("-pk")


def undo_day(*, shop: Shop, day: date, by: Actor, reason: str = "") -> UndoneDay:
    """Take back what learning changed on a day (UTC), the latest first. What somebody else changed since stays, and is told."""
    made: list[ClusterChange] = []
    conflicts: list[tuple[ClusterChange, str]] = []
    with editing(shop):
        for change in learned_on(shop, day).select_related("shop", "cluster"):
            try:
                made += _undo([change], by, reason)
            except EditConflict as error:
                conflicts.append((change, error.reason))
    return UndoneDay(tuple(made), tuple(conflicts))


def _undo(changes: Sequence[ClusterChange], by: Actor, reason: str) -> Changes:
    shop = changes[0].shop
    operation = Operation(shop, by, reason)
    with editing(shop):
        for change in changes:
            if change.actor in REBUILT_BY:
                words = "came with a rebuild: to take it back, activate the release before it, under Releases"
                raise EditConflict("change", words)
            if undone := ClusterChange.objects.filter(undoes=change).first():
                raise EditConflict("change", f"was undone on {undone.at:%-d %b %Y, %H:%M}; undo that instead")
            draft = reopened(change.cluster)
            delta = delta_of(change)
            _check_standing(draft, change, delta)
            held = set(draft.members)
            _take_back(draft, delta)
            out, kinds = _staying_out(draft, draft.members.keys() - held)
            told = f"Undone, but {out} out, as the cluster takes in none {kinds}" if out else "Undone"
            if not operation.put(draft, _action(change, draft), shortened(f"{told}: {change.summary}"), undoes=change) and out:
                words = f"can't be undone: {out} out of “{draft.row.name}”, which takes in none {kinds}"
                raise EditConflict("change", f"{words}. Let them in again first, or add by hand what is to be in it all the same")
        return operation.finish(related=bool(changes[0].others))


def _staying_out(draft: Draft, back: Collection[int]) -> tuple[str, str]:
    """Of items that an undo brings back, those that the cluster takes in none of by now: how many, and of which kinds."""
    if not (out := draft.barred(back)):
        return "", ""
    kinds = [kind for kind, of in kept_out_rows.by_kind(draft.row.shop_id, sorted(draft.bars), out).items() if of]
    return f"{count_items(len(out))} stay{'s' * (len(out) == 1)}", kept_out.listed(kinds)


def _action(change: ClusterChange, draft: Draft) -> str:
    """What taking a change back is called; the undo of an undo is called as what was undone."""
    if change.undoes is not None:
        return change.undoes.action
    if "retired_at" in draft.delta.fields:
        return Action.RESTORED if draft.row.retired_at is None else Action.RETIRED
    return OPPOSITE.get(Action(change.action), change.action)


def _check_standing(draft: Draft, change: ClusterChange, delta: Delta) -> None:
    """Raises EditConflict unless all that the change touched is as it left it; learning may have weighed an item anew."""
    row = draft.row
    moved = [name for name, (_, after) in delta.fields.items() if not _same(name, getattr(row, name), after)]
    items = {i for i, (_, after) in delta.members.items() if (i in draft.members) != (after is not None)}
    items |= {i for i, (_, after) in delta.rules.items() if draft.rules.get(i) != after}
    items |= {i for i, (_, after) in delta.factors.items() if draft.factors.get(i) != after}
    tied = {target for target, (_, after) in delta.ties.items() if draft.ties.get(target) != after}
    barred = {kind for kind, (_, after) in delta.bars.items() if draft.bars.get(kind) != after}
    if delta.made_it:  # its undo takes all of the cluster out, what came in since included
        items |= (draft.members.keys() - delta.members.keys()) | (draft.rules.keys() - delta.rules.keys())
    items = _still_there(items)
    weighed = {i for i, (before, after) in delta.members.items() if before is not None and after is not None}
    later = ClusterChange.objects.filter(cluster=row, pk__gt=change.pk).order_by("pk")
    causes = []
    for other in later.iterator(chunk_size=50):
        told = delta_of(other)
        if told.fields.keys() & set(moved) or told.items & items or told.ties.keys() & tied or told.bars.keys() & barred:
            causes.append(other)
        elif other.actor not in REBUILT_BY and told.members.keys() & weighed:
            items |= told.members.keys() & weighed
            causes.append(other)
    if moved or items or tied or barred:
        what = [name.replace("_", " ") for name in moved] + ([count_items(len(items))] if items else [])
        what += ["ties to other clusters"] if tied else []
        what += ["what is kept out"] if barred else []
        since = listed([f"{c.get_action_display().lower()} on {c.at:%-d %b %Y, %H:%M} ({c.summary})" for c in causes], 3)
        words = f"can't be undone: {' and '.join(what)} of “{row.name}” changed since"
        raise EditConflict("change", f"{words}: {since}" if causes else words)


def _still_there(items: Iterable[int]) -> set[int]:
    """Without those that left the catalogue, and so every cluster, since."""
    found: set[int] = set()
    for chunk in in_chunks(items):
        found.update(Item.objects.filter(pk__in=chunk).values_list("pk", flat=True))
    return found


def _same(name: str, value: Any, after: Any) -> bool:
    return (value is None) == (after is None) if name == "retired_at" else bool(value == after)


def _take_back(draft: Draft, delta: Delta) -> None:
    if delta.made_it:  # ids are for ever: what was made is retired
        draft.row.retired_at = timezone.now()
        return
    for name, (before, _) in delta.fields.items():
        value = datetime.fromisoformat(before) if name == "retired_at" and before is not None else before
        setattr(draft.row, name, value)
    _put_back(delta.members, draft.members)
    _put_back(delta.rules, draft.rules)
    _put_back(delta.factors, draft.factors)
    for target, (before, _) in delta.ties.items():
        if before is None:
            draft.ties.pop(target, None)
        elif ItemCluster.objects.filter(pk=target).exists():
            draft.ties[target] = before
    for kind, (barred, _) in delta.bars.items():
        if barred is None:
            draft.bars.pop(kind, None)
        else:
            draft.bars[kind] = barred
    draft.via = {**delta.via}


def _put_back(changed: Mapping[int, tuple[T | None, T | None]], into: dict[int, T]) -> None:
    there = _still_there(item for item, (before, _) in changed.items() if before is not None)
    for item, (before, _) in changed.items():
        if before is None:
            into.pop(item, None)
        elif item in there:
            into[item] = before
