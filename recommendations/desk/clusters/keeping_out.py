"""Items of one kind kept out of a cluster, those on sale say: for good, new ones too, or only those that are such now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from django.db.models import F

from clusters import kept_out, kept_out_rows
from clusters.catalogue import PRICE_TIERS
from clusters.editing import EditConflict, EditError, check_kinds
from clusters.kept_out import NAMES, REDUCED
from clusters.models import ClusterItemRule, Item, ItemCluster
from personas.models import Shop
from recommendations.desk.clusters.edits import Plan, Wanted

MOST = 24
"""Kinds that are offered, the commonest of the cluster's items."""

NOW = "now"
"""What a form says (`lasting`) that is about the items of now alone."""


class Kind(NamedTuple):
    """Items of a cluster that have something in common. name : as catalogues describe items, "tag=sale".

    whole : all of its items are such, which can't all be kept out.  kept : they are kept out for good already.
    """

    name: str
    words: str
    items: tuple[int, ...]
    whole: bool
    kept: bool = False


class Bar(NamedTuple):
    """A kind that a cluster takes in none of. stay : its core items that are such, which somebody named."""

    name: str
    words: str
    stay: int


def kinds(cluster: ItemCluster) -> list[Kind]:
    """What its items are, the reduced ones first, then by what they cost, then the commonest."""
    columns = ("item_id", "item__category", "item__brand", "item__colour", "item__tags", "item__price", "item__regular_price")
    rows = list(cluster.memberships.order_by("-weight", "item_id").values_list(*columns))
    tiers = kept_out_rows.tiers_of(cluster.shop_id, Item.objects.filter(memberships__cluster=cluster))
    first = (REDUCED, *(f"price_tier={tier}" for tier in reversed(PRICE_TIERS)))
    of: dict[str, list[int]] = {name: [] for name in first}
    for item, category, brand, colour, tags, price, regular in rows:
        if price is not None and regular is not None and price < regular:
            of[REDUCED].append(item)
        if item in tiers:
            of[f"price_tier={tiers[item]}"].append(item)
        named = [("category", category), ("brand", brand), ("colour", colour), *(("tag", str(tag)) for tag in tags)]
        for name, value in named:
            if value:
                of.setdefault(f"{name}={value}", []).append(item)
    counted = Counter({name: len(items) for name, items in of.items() if name not in first})
    names = [*(name for name in first if of[name] or name == REDUCED), *(name for name, _ in counted.most_common(MOST))]
    kept = set(cluster.bars.values_list("kind", flat=True))
    return [Kind(name, _words(name), tuple(of[name]), len(of[name]) == len(rows), name in kept) for name in names]


def bars(cluster: ItemCluster) -> list[Bar]:
    """The kinds that a cluster takes in none of."""
    names = list(cluster.bars.order_by("kind").values_list("kind", flat=True))
    core = cluster.item_rules.filter(rule=ClusterItemRule.Rule.CORE).values_list("item_id", flat=True) if names else []
    of = kept_out_rows.by_kind(cluster.shop_id, names, list(core))
    return [Bar(name, kept_out.words(name), len(of[name])) for name in names]


def any_reduced(shop: Shop) -> bool:
    """Whether an item of the shop is known to be below its regular price: a rule on reduced items is about none otherwise."""
    return Item.objects.filter(shop=shop, price__lt=F("regular_price")).exists()


def _words(name: str) -> str:
    kind, _, value = name.partition("=")
    return f"{kind.capitalize()}: {value}" if kind in NAMES else kept_out.words(name).capitalize()


def asked_for(given: Mapping[str, str]) -> str:
    """The kind that a form names: one of those offered (`kind`), a range of prices (`low`, `high`) or any other (`about`,
    `value`); "" where none is chosen yet."""
    kind = given.get("kind", "")
    if kind == "price":
        return f"price={given.get('low', '').strip()}..{given.get('high', '').strip()}"
    return f"{given.get('about', '')}={given.get('value', '').strip()}" if kind == "other" else kind


def keeping_out(cluster: ItemCluster, name: str, *, lasting: bool = True) -> Plan:
    """lasting : for good, those that come or become such later too; else each that is such now is excluded by itself."""

    def for_good() -> list[Wanted]:
        cluster.refresh_from_db()
        if name == "price=..":
            raise EditError("price", "must have a least or a greatest")
        return [Wanted("keep_out", cluster.pk, {"kinds": check_kinds([name], "kind")})]

    def now() -> list[Wanted]:
        cluster.refresh_from_db()
        (kind,) = check_kinds([name], "kind")
        members = set(cluster.memberships.values_list("item_id", flat=True))
        items = kept_out_rows.under(cluster.shop_id, [kind], members)
        if not items:
            raise EditConflict("cluster", f"“{cluster}” has no such items now")
        if items == members:
            raise EditConflict("cluster", f"“{cluster}” has no other items: retire it instead")
        return [Wanted("exclude", cluster.pk, {"items": sorted(items)})]

    return for_good if lasting else now


def letting_in(cluster: ItemCluster, name: str) -> Plan:
    """A kind that was kept out may be in it again."""
    return lambda: [Wanted("let_in", cluster.pk, {"kinds": check_kinds([name], "kind")})]
