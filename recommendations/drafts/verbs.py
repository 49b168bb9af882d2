"""What a draft may say: each verb's values as JSON, how it is done by the verbs that act at once, and how it reads.

Clusters, by the verbs of `clusters.editing`; `subject` is the cluster, for a merge the one that stays:

| verb | values |
|---|---|
| `create` (no subject) | name, items, and if given core, locked, minimum_size, maximum_size |
| `rename` | name |
| `set_locked` | locked |
| `set_bounds` | minimum_size, maximum_size |
| `add_items`, `remove_items`, `set_core`, `exclude`, `clear_rule`, `lessen` | items |
| `keep_out`, `let_in` | kinds: of items, "discount=reduced" |
| `merge` | others: ids of the clusters that go; name if given |
| `split` | groups: name -> item ids |
| `retire`, `give_back` | none |
| `restore` | name if given |
| `relate` | target, weight |
| `unrelate` | target |
| `undo` | change: key of a `ClusterChange` |

`items` is a list of ids, or {id: weight}. Rules, by those of `recommendations.rule_editing`:

| verb | values |
|---|---|
| `create` (no subject) | fields, times as ISO 8601 |
| `change` | fields: those that change; was: what they were |
| `switch` | on |
| `retire`, `restore` | none |
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clusters import editing, kept_out
from clusters.cluster_drafts import EditConflict, EditError, count_items
from clusters.editing import Actor
from clusters.models import ClusterChange, Item, ItemCluster
from personas.models import Shop, in_chunks
from recommendations import rule_editing, rule_words
from recommendations.models import DraftEdit, MerchandisingRule

Kind = DraftEdit.Kind
Values = Mapping[str, Any]
Changes = Sequence[ClusterChange]

TIMES = ("starts_at", "ends_at")
"""Fields of a rule that are moments."""

NAMED = 2
"""Items that a sentence names before "and 3 more"."""

WHOLE = frozenset({"retire", "merge", "split", "restore", "give_back"})
"""Verbs about all of a cluster: whatever somebody else did to it since matters to them."""

FIELDS = {"starts_at": "start", "ends_at": "end", "enabled": "switched on", "target": "items", "contexts": "places"}
"""Fields of a rule whose names don't say it."""

ITEMS = {
    "add_items": "adds {}",
    "remove_items": "removes {}",
    "set_core": "makes {} core",
    "exclude": "excludes {}",
    "clear_rule": "clears the rule of {}",
    "lessen": "has {} weigh less",
}


# Values as JSON, and back


def items_of(values: Values, name: str = "items") -> list[int] | dict[int, float | None]:
    """Raises EditError."""
    given = values.get(name)
    try:
        return (
            {int(pk): weight for pk, weight in given.items()} if isinstance(given, Mapping) else [int(pk) for pk in given or ()]
        )
    except (TypeError, ValueError) as error:
        raise EditError(name, "must be ids of items") from error


def kinds_of(values: Values) -> list[str]:
    """Raises EditError."""
    given = values.get("kinds")
    if not isinstance(given, list) or not given:
        raise EditError("kept_out", "must name at least one kind of items")
    return editing.check_kinds(given)


def fields_as_json(fields: Values) -> dict[str, Any]:
    """A rule's fields, moments as text."""
    return {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in fields.items()}


def fields_of(told: Values) -> dict[str, Any]:
    """Inverse of `fields_as_json`. Raises EditError."""
    fields = dict(told)
    for name in TIMES:
        if isinstance(fields.get(name), str):
            try:
                fields[name] = dt.datetime.fromisoformat(fields[name])
            except ValueError as error:
                raise EditError(name, "must be a date and time") from error
    return fields


# Done


def do_cluster(draft: DraftEdit, shop: Shop, by: Actor) -> Changes:
    """The edit made, within the shop's lock. Raises EditError."""
    values, verb, reason = draft.values, draft.verb, draft.reason
    if verb == "create":
        given = {name: values[name] for name in ("locked", "minimum_size", "maximum_size") if values.get(name) is not None}
        core = items_of(values, "core") if values.get("core") else ()
        return editing.create(shop=shop, name=values["name"], items=items_of(values), core=core, by=by, reason=reason, **given)
    if verb == "undo":
        change = ClusterChange.objects.filter(shop=shop, pk=values["change"]).first()
        if change is None:
            raise EditConflict("change", "is not on record any more")
        return editing.undo(change=change, by=by, reason=reason)
    edit: dict[str, Any] = {"cluster": _cluster(shop, draft.subject), "by": by, "reason": reason}
    if verb in ITEMS:
        act: Callable[..., Changes] = getattr(editing, verb)
        return act(items=items_of(values), **edit)
    match verb:
        case "rename":
            return editing.rename(name=values["name"], **edit)
        case "set_locked":
            return editing.set_locked(locked=bool(values["locked"]), **edit)
        case "set_bounds":
            bounds = {name: values.get(name) for name in ("minimum_size", "maximum_size")}
            return editing.set_bounds(**bounds, **edit)
        case "keep_out":
            return editing.keep_out(kinds=kinds_of(values), **edit)
        case "let_in":
            return editing.let_in(kinds=kinds_of(values), **edit)
        case "merge":
            clusters = [edit.pop("cluster"), *(_cluster(shop, pk) for pk in values["others"])]
            return editing.merge(clusters=clusters, name=values.get("name"), **edit)
        case "split":
            return editing.split(groups=values["groups"], **edit)
        case "retire":
            return editing.retire(**edit)
        case "restore":
            return editing.restore(name=values.get("name"), **edit)
        case "give_back":
            return editing.give_back(**edit)
        case "relate" | "unrelate":
            ends = {"source": edit.pop("cluster"), "target": _cluster(shop, values["target"])}
            if verb == "unrelate":
                return editing.unrelate(**ends, **edit)
            return editing.relate(weight=float(values["weight"]), **ends, **edit)
        case _:
            raise EditError("verb", f"{verb[:40]!r} is not one of clusters")


def do_rule(draft: DraftEdit, shop: Shop, user: Any) -> tuple[MerchandisingRule, str]:
    """The rule, and in words what became of it, "" where all was so already. Raises EditError."""
    if draft.verb == "create":
        return rule_editing.create(shop=shop, user=user, **fields_of(draft.values["fields"])), "Made."
    rule = rule_of(shop, draft.subject)
    match draft.verb:
        case "change":
            changed = rule_editing.change(rule=rule, **fields_of(draft.values["fields"]))
            return rule, f"Changed: {', '.join(name.removesuffix('_at') for name in changed)}." if changed else ""
        case "switch":
            on = bool(draft.values["on"])
            return rule, (f"Switched {'on' if on else 'off'}." if rule_editing.switch(rule=rule, on=on) else "")
        case "retire":
            return rule, "Taken out." if rule_editing.retire(rule=rule) else ""
        case "restore":
            return rule, "Restored." if rule_editing.restore(rule=rule) else ""
        case _:
            raise EditError("verb", f"{draft.verb[:40]!r} is not one of rules")


def rule_of(shop: Shop, pk: int | None) -> MerchandisingRule:
    """Raises EditConflict."""
    rule = MerchandisingRule.objects.select_related("shop").filter(shop=shop, pk=pk or 0).first()
    if rule is None:
        raise EditConflict("rule", "is not there any more")
    return rule


def _cluster(shop: Shop, pk: int | None) -> ItemCluster:
    cluster = ItemCluster.objects.select_related("shop").filter(shop=shop, pk=pk or 0).first()
    if cluster is None:
        raise EditConflict("cluster", "is not there any more")
    return cluster


def clusters_in(draft: DraftEdit) -> set[int]:
    """Ids of the clusters that an edit of clusters names."""
    return {pk for pk in (draft.subject, *draft.values.get("others", ()), draft.values.get("target")) if pk is not None}


# In words


@dataclass(frozen=True)
class Names:
    """What the sentences of some drafts name, by id, read in a few queries."""

    clusters: dict[int, str] = field(default_factory=dict)
    rules: dict[int, str] = field(default_factory=dict)
    items: dict[int, str] = field(default_factory=dict)
    made: dict[int, str] = field(default_factory=dict)
    """Key of a draft that makes a rule -> what that rule does."""

    @classmethod
    def of(cls, drafts: Iterable[DraftEdit]) -> Names:
        drafts = list(drafts)
        of_clusters = [draft for draft in drafts if draft.kind == Kind.CLUSTER]
        clusters = {pk for draft in of_clusters for pk in clusters_in(draft)}
        rules = {draft.subject for draft in drafts if draft.kind == Kind.RULE and draft.subject is not None}
        items = {pk for draft in of_clusters for pk in _first(draft.values)}
        new = {draft.pk: _unsaved(draft) for draft in drafts if draft.kind == Kind.RULE and draft.verb == "create"}
        names = rule_words.Names.of(new.values())
        return cls(
            {pk: n for c in in_chunks(clusters) for pk, n in ItemCluster.objects.filter(pk__in=c).values_list("pk", "name")},
            dict(MerchandisingRule.objects.filter(pk__in=rules).values_list("pk", "name")),
            {i.pk: str(i) for chunk in in_chunks(items) for i in Item.objects.filter(pk__in=chunk).only("title", "external_id")},
            {pk: rule_words.what(rule, names) for pk, rule in new.items()},
        )

    def cluster(self, pk: int | None) -> str:
        return f"“{self.clusters.get(pk or 0, f'cluster {pk}')}”"


def _first(values: Values) -> list[int]:
    return list(items_of(values))[:NAMED]


def _unsaved(draft: DraftEdit) -> MerchandisingRule:
    return MerchandisingRule(shop_id=draft.shop_id, **fields_of(draft.values["fields"]))


def sentence(draft: DraftEdit, names: Names) -> str:
    """What an edit would do, as a sentence."""
    words = _of_rule(draft, names) if draft.kind == Kind.RULE else _of_cluster(draft, names)
    return f"{words[:1].upper()}{words[1:]}."


def _of_rule(draft: DraftEdit, names: Names) -> str:
    name = f"“{names.rules.get(draft.subject or 0, f'rule {draft.subject}')}”"
    match draft.verb:
        case "create":
            told = names.made[draft.pk]
            return f"a new rule “{draft.values['fields'].get('name', '')}”: {told[:1].lower()}{told[1:]}"
        case "change":
            was = draft.values.get("was", {})
            changed = [f"{_plain(n)} {_value(was.get(n))} → {_value(v)}" for n, v in draft.values["fields"].items()]
            return f"rule {name}: {', '.join(changed)}"
        case "switch":
            return f"rule {name} is switched {'on' if draft.values['on'] else 'off'}"
        case "retire":
            return f"rule {name} is taken out"
        case _:
            return f"rule {name} comes back"


def _of_cluster(draft: DraftEdit, names: Names) -> str:
    values, verb, name = draft.values, draft.verb, names.cluster(draft.subject)
    if verb in ITEMS:
        return f"{name} {ITEMS[verb].format(_items(values, names))}"
    match verb:
        case "create":
            return f"a new cluster “{values['name']}” of {_items(values, names)}"
        case "rename":
            return f"{name} is called “{values['name']}”"
        case "set_locked":
            return f"{name} is {'locked' if values['locked'] else 'open to learning'}"
        case "set_bounds":
            least, most = values.get("minimum_size"), values.get("maximum_size")
            told = [f"at least {least:,}"] * bool(least) + [f"at most {most:,}"] * bool(most)
            return f"{name} holds {' and '.join(told)} items" if told else f"{name} has no bounds on its size"
        case "keep_out":
            return f"{name} takes in no items {kept_out.listed(kinds_of(values))}"
        case "let_in":
            return f"{name} may have items {kept_out.listed(kinds_of(values))} again"
        case "merge":
            others = ", ".join(names.cluster(pk) for pk in values["others"])
            renamed = f", and is called “{values['name']}”" if values.get("name") else ""
            return f"{name} takes in {others}{renamed}"
        case "split":
            parts = ", ".join(f"“{part}” ({count_items(len(items))})" for part, items in values["groups"].items())
            return f"{name} gives up {parts}"
        case "retire":
            return f"{name} is taken out"
        case "restore":
            renamed = f" as “{values['name']}”" if values.get("name") else ""
            return f"{name} comes back{renamed}"
        case "give_back":
            return f"{name} is given back to learning"
        case "relate":
            return f"{name} is tied to {names.cluster(values['target'])}, {round(100 * values['weight'])} in 100"
        case "unrelate":
            return f"{name} is no longer tied to {names.cluster(values['target'])}"
        case _:
            return f"a change of {name} is undone"


def _items(values: Values, names: Names) -> str:
    """ "“Red skirt”, “Blue skirt” and 3 more"."""
    items = list(items_of(values))
    shown = [f"“{names.items.get(pk, f'item {pk}')}”" for pk in items[:NAMED]]
    more = len(items) - len(shown)
    return f"{', '.join(shown)} and {more:,} more" if more else " and ".join(shown)


def _plain(name: str) -> str:
    return {"starts_at": "start", "ends_at": "end", "enabled": "switched on", "target": "items", "contexts": "places"}.get(
        name, name
    )


def _value(value: Any) -> str:
    """A field's value as it reads."""
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name.replace('_', ' ')} {_value(each)}" for name, each in value.items())
    if isinstance(value, list):
        return f"{len(value):,} chosen" if len(value) > NAMED or not all(isinstance(v, str) for v in value) else ", ".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return f"“{value}”" if isinstance(value, str) else str(value)
