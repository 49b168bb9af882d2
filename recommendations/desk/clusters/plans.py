"""From what the forms of the cluster pages send to the edits that they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import QueryDict

from clusters import editing
from clusters.editing import MOST_MERGED, EditError
from clusters.models import ItemCluster
from personas.models import Shop
from recommendations.desk.clusters.edits import Plan, Wanted
from recommendations.desk.clusters.forms import ClusterForm
from recommendations.desk.clusters.items import numbers, picked
from recommendations.desk.clusters.overtaken import fields_at

SET = ("name", "locked", "minimum_size", "maximum_size")
"""Fields of a cluster that its page sets."""

ITEM_VERBS: Mapping[str, tuple[str, str]] = {
    "core": ("set_core", "Make core: they never leave"),
    "exclude": ("exclude", "Exclude: they are never in it"),
    "clear": ("clear_rule", "Clear the rule: learning decides"),
    "remove": ("remove_items", "Remove"),
    "lessen": ("lessen", "Weigh less: half of it"),
    "add": ("add_items", "Add"),
}
"""What may be done with the items that are ticked: by the name in the request, the verb and its words; "add" has its own form."""

HALF = 0.5
"""What "weigh less" leaves of an item's weight."""

ONE_BY_ONE: Mapping[str, tuple[str, str, str]] = {
    "retire": (
        "Retire {}",
        "It is taken out: shoppers are shown nothing from it any more, and no rebuild brings the same back. "
        "Its items and its history are kept, so that it can be restored.",
        "Retire",
    ),
    "restore": (
        "Restore {}",
        "It comes back with the items that it had, as the merchandiser's own: learning leaves them alone until it is given back.",
        "Restore",
    ),
    "give-back": (
        "Give {} back to learning",
        "The next rebuild may change its items again. Its name, its bounds and what you said of single items stay.",
        "Give back",
    ),
}
"""What is done to clusters one by one: the page's title, what will come of it, the button."""


def one_by_one(verb: str, clusters: Iterable[ItemCluster], name: str = "") -> Plan:
    """verb : of `ONE_BY_ONE`.  name : to restore under, "" for its own."""
    values = {"name": name} if name else {}
    wanted = [Wanted(verb.replace("-", "_"), cluster.pk, values) for cluster in clusters]
    return lambda: wanted


def merging(clusters: Sequence[ItemCluster], name: str) -> Plan:
    """The first one goes on."""
    first, *others = [cluster.pk for cluster in clusters]
    return lambda: [Wanted("merge", first, {"others": others, "name": name})]


def making(shop: Shop, name: str, given: QueryDict) -> Plan:
    return lambda: [Wanted("create", None, {"name": name, "items": picked(given, shop)})]


def on_items(cluster: ItemCluster, given: QueryDict) -> Plan:
    """given : "verb", of `ITEM_VERBS`, and the items as `picked` takes them."""

    def plan() -> list[Wanted]:
        verb, _ = ITEM_VERBS[str(given["verb"])]
        items = picked(given, cluster.shop)
        return [Wanted(verb, cluster.pk, {"items": dict.fromkeys(items, HALF) if verb == "lessen" else items})]

    return plan


def setting(cluster: ItemCluster, form: ClusterForm, seen: int | None) -> Plan:
    """What differs from what the cluster has, where the page that it was typed on didn't just show it so. form : valid."""

    def plan() -> list[Wanted]:
        cluster.refresh_from_db()
        form.leave(fields_at(cluster, seen, SET), {name: getattr(cluster, name) for name in SET})
        given = form.cleaned_data
        wanted = []
        if given["name"] != cluster.name:
            wanted.append(Wanted("rename", cluster.pk, {"name": given["name"]}))
        if given["locked"] != cluster.locked:
            wanted.append(Wanted("set_locked", cluster.pk, {"locked": given["locked"]}))
        bounds = {name: given[name] for name in ("minimum_size", "maximum_size")}
        if bounds != {name: getattr(cluster, name) for name in bounds}:
            wanted.append(Wanted("set_bounds", cluster.pk, bounds))
        return wanted

    return plan


def splitting(cluster: ItemCluster, given: QueryDict, name: str) -> Plan:
    """The parts that were ticked (`part`), the items under `name` (`item`, `ids`), and those of further columns: `item2` under
    `name2`, and so on."""

    def plan() -> list[Wanted]:
        cluster.refresh_from_db()
        groups: dict[str, Any] = dict(editing.items_of_parts(cluster, _parts(cluster, given.getlist("part"))))
        further = {n: numbers(given.getlist(f"item{n}")) for n in range(2, MOST_MERGED + 1)}
        if name or not (groups or any(further.values())):
            items = picked(given, cluster.shop)
            if not name:
                raise EditError("name", "is missing: what shall the new cluster be called?")
            groups[name] = items
        for n, items in further.items():
            title = given.get(f"name{n}", "").strip()
            if items and not title:
                raise EditError("name", f"of column {n} is missing: what shall it be called?")
            if title and title in groups:
                raise EditError("name", f"“{title}” is given twice")
            if items:
                groups[title] = items
        return [Wanted("split", cluster.pk, {"groups": groups})]

    return plan


def _parts(cluster: ItemCluster, ticked: Iterable[str]) -> list[int]:
    """Numbers of the parts that were ticked, as "2 Red skirts": every release numbers them anew. Raises EditError."""
    there = {f"{part['number']} {part['name']}": part["number"] for part in cluster.parts}
    if any(part not in there for part in ticked):
        raise EditError("parts", "were made anew since this page was opened: look at them again")
    return [there[part] for part in ticked]
