"""One change of a cluster as its page tells it: what it did in sentences, the items that it touched by their pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from clusters.admin import by_whom
from clusters.cluster_drafts import count_items
from clusters.kept_out import words as kind_words
from clusters.lineage import Delta, delta_of
from clusters.models import ClusterChange, ClusterItemRule, Item, ItemCluster
from recommendations.desk.clusters.stories import picture

SHOWN = 60
"""Items of one sort that are named."""

TOLD_WITH = 20
"""Other clusters of the same act that are named."""

CORE, EXCLUDED = ClusterItemRule.Rule.CORE, ClusterItemRule.Rule.EXCLUDED

VERBS = {
    "training": "A training",
    "build": "A rebuild",
    "learning": "Learning",
    "import": "An import",
    "api": "The API",
}


class Brick(NamedTuple):
    """An item that a change touched. url : "" where the catalogue lacks it by now.  told : of it, "" for nothing."""

    title: str
    url: int
    image: str
    told: str


class Group(NamedTuple):
    """Items to which the same was done. more : how many aren't shown."""

    title: str
    bricks: list[Brick]
    more: int


def story(change: ClusterChange) -> dict[str, Any]:
    """What the page shows of a change, with its delta: {"opening", "lines", "groups", "others", "clusters"}."""
    delta = delta_of(change)
    with_it = ClusterChange.objects.filter(batch=change.batch).exclude(pk=change.pk).select_related("cluster").defer("delta")
    return {
        "opening": _opening(change),
        "lines": _lines(change, delta),
        "groups": [group for group in _groups(change, delta) if group.bricks],
        "with_it": list(with_it.order_by("pk")[:TOLD_WITH]),
        "more_with_it": max(0, with_it.count() - TOLD_WITH),
    }


def _opening(change: ClusterChange) -> str:
    who = VERBS.get(change.actor, by_whom(change))
    approved = f", approved by {change.user}," if change.actor == "learning" and change.user else ""
    what = "took back an earlier change of" if change.undoes_id else _did(change)
    return f"{who}{approved} {what} this cluster."


def _did(change: ClusterChange) -> str:
    told = {
        "created": "made", "rebuilt": "rebuilt", "renamed": "renamed", "locked": "locked", "unlocked": "unlocked",
        "bounded": "set the size of", "items": "changed the items of", "merged": "merged", "split": "split",
        "retired": "took out", "restored": "brought back", "given_back": "gave back to learning",
        "related": "related another cluster to", "unrelated": "ended a relation of", "kept_out": "keeps items out of",
        "let_in": "lets items into",
    }  # fmt: skip
    return told.get(change.action, "changed")


def _lines(change: ClusterChange, delta: Delta) -> list[str]:
    """What is told in words, item by item aside."""
    lines = []
    for name, (before, after) in delta.fields.items():
        if delta.made_it and name != "name":
            continue
        line = _field(name, before, after)
        lines += [line] if line else []
    names = dict(ItemCluster.objects.filter(pk__in=delta.ties).values_list("pk", "name"))
    for pk, (before, after) in delta.ties.items():
        other = f"“{names.get(pk) or f'cluster {pk}'}”"
        if after is None:
            lines.append(f"Interest is no longer led on to {other}.")
        else:
            was = f", {100 * before:.0f} before" if before is not None else ""
            lines.append(f"Of what goes on from here, at least {100 * after:.0f} in 100 is led to {other}{was}.")
    for kind, (_, after) in delta.bars.items():
        lines.append(f"Items {kind_words(kind)} {'are kept out from then on' if after else 'may come in again'}.")
    return lines


def _field(name: str, before: Any, after: Any) -> str:
    """One field's change in a sentence, "" for what needs none."""
    if name == "name":
        return f"It is called “{after}”{f', “{before}” before' if before else ''}."
    if name == "locked":
        return "Learning leaves its items alone." if after else "Learning may change its items."
    if name == "retired_at":
        return "It is taken out: no visit gets it." if after else "It serves again."
    if name in ("minimum_size", "maximum_size"):
        least = "At least" if name == "minimum_size" else "At most"
        return f"{least} {after} items{f', {before} before' if before else ''}." if after else f"No more bound of {before} items."
    if name == "kind" and before:
        return f"It is {'made by hand' if after == 'manual' else 'learned'} from then on."
    return ""


def _groups(change: ClusterChange, delta: Delta) -> Iterable[Group]:
    came = [item for item, (before, _) in delta.members.items() if before is None]
    went = [item for item, (_, after) in delta.members.items() if after is None]
    less = {item: f"counts {after:.2f} of what it did" for item, (_, after) in delta.factors.items() if after is not None}
    rules = {
        "Core from then on: they never leave": [i for i, (_, after) in delta.rules.items() if after == CORE],
        "Excluded from then on: they never come back": [
            i for i, (_, after) in delta.rules.items() if after == EXCLUDED and i not in went
        ],
        "No longer ruled by hand": [i for i, (before, after) in delta.rules.items() if before is not None and after is None],
    }
    barred = {item for item, (_, after) in delta.rules.items() if after == EXCLUDED}
    touched = Item.objects.in_bulk(
        [*came[:SHOWN], *went[:SHOWN], *list(less)[:SHOWN], *(i for r in rules.values() for i in r[:SHOWN])]
    )

    def group(title: str, items: list[int], told: dict[int, str] | None = None) -> Group:
        bricks = []
        for item in items[:SHOWN]:
            row = touched.get(item)
            said = (told or {}).get(item, "")
            if row is None:
                bricks.append(Brick(f"item {item}, which left the catalogue", 0, "", said))
            else:
                bricks.append(Brick(str(row), row.pk, picture(change.shop, row), said))
        return Group(title, bricks, max(0, len(items) - SHOWN))

    yield group(f"{count_items(len(came)).capitalize()} came in", came)
    yield group(f"{count_items(len(went)).capitalize()} went", went, dict.fromkeys(barred, "excluded for good"))
    yield group("Weigh less from then on", list(less), less)
    for title, items in rules.items():
        yield group(title, [item for item in items if item not in came])
