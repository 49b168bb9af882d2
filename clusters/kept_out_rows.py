"""Which of a shop's rows are of the kinds that clusters keep out (`clusters.kept_out`), by what the rows say now."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from django.db.models import F, FloatField, Q, QuerySet, TextField
from django.db.models.functions import Cast

from clusters.catalogue import PRICE_TIERS, price_tiers
from clusters.kept_out import NAMES, price_range
from clusters.models import ClusterBar, Item
from personas.models import Shop, in_chunks

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.")
"""Characters that JSON writes as they are, whatever writes it."""


def bars_of(shop: Shop) -> dict[int, tuple[str, ...]]:
    """Cluster id -> the kinds that it keeps out, by their names; clusters without are left out."""
    found: dict[int, list[str]] = {}
    for cluster, kind in ClusterBar.objects.filter(cluster__shop=shop).order_by("cluster", "kind").values_list("cluster", "kind"):
        found.setdefault(cluster, []).append(kind)
    return {cluster: tuple(kinds) for cluster, kinds in found.items()}


def under(shop: Shop | int, kinds: Collection[str], items: Collection[int] | None = None) -> set[int]:
    """Ids of the shop's items that are of any of these kinds. items : the only ids to look at, None for all."""
    return set().union(*by_kind(shop, kinds, items).values())


def by_kind(shop: Shop | int, kinds: Collection[str], items: Collection[int] | None = None) -> Mapping[str, set[int]]:
    """Kind -> ids of the shop's items that are of it. Arguments as of `under`."""
    rows = Item.objects.filter(shop=shop)
    found: dict[str, set[int]] = {kind: set() for kind in kinds}
    for kind, told in found.items():
        if items is None:
            told |= _of_kind(shop, rows, kind, some=False)
            continue
        for chunk in in_chunks(items):
            told |= _of_kind(shop, rows.filter(pk__in=chunk), kind, some=True)
    return found


def _of_kind(shop: Shop | int, chosen: QuerySet[Item], kind: str, *, some: bool) -> set[int]:
    """some : whether not all items of the shop are chosen."""
    name, _, value = kind.partition("=")
    if name == "price_tier":
        return {pk for pk, tier in tiers_of(shop, chosen if some else None).items() if tier == value}
    if name == "tag":
        if PLAIN.issuperset(value):
            chosen = chosen.annotate(told=Cast("tags", TextField())).filter(told__contains=value)
        return {pk for pk, tags in chosen.values_list("pk", "tags") if value in map(str, tags)}
    if name == "price":
        low, high = price_range(kind)
        within = Q(price__isnull=False)
        within &= Q(price__gte=low) if low > float("-inf") else Q()
        within &= Q(price__lte=high) if high < float("inf") else Q()
    elif name == "discount":
        within = Q(price__lt=F("regular_price"))
    else:
        assert name in NAMES
        within = Q(**{name: value})
    return set(chosen.filter(within).values_list("pk", flat=True))


def tiers_of(shop: Shop | int, items: QuerySet[Item] | None) -> dict[int, str]:
    """Item id -> its price tier, of those that have a price: by the quartiles of all priced items of their categories in the
    shop, as `build_catalogue` has them. items : which to tell of, None for all."""
    rows = Item.objects.filter(shop=shop, price__isnull=False)
    if items is None:
        return _tiers(rows)
    asked = dict(items.filter(price__isnull=False).values_list("pk", "category"))
    found: dict[int, str] = {}
    for chunk in in_chunks(sorted(set(asked.values()))):
        told = _tiers(rows.filter(category__in=chunk))
        found |= {pk: told[pk] for pk in asked if pk in told}
    return found


def _tiers(rows: QuerySet[Item]) -> dict[int, str]:
    """Of priced items, all of their categories."""
    # Told as floats by the database itself: Decimals, made row by row, took longer than all else.
    priced = rows.order_by().annotate(amount=Cast("price", FloatField())).values_list("pk", "category", "amount")
    ids, categories, amounts = zip(*priced, strict=True) if priced else ((), (), ())
    code = {category: i for i, category in enumerate(dict.fromkeys(categories))}
    belongs = np.array([code[category] for category in categories], dtype=np.int64)
    tiers = price_tiers(np.array(amounts, dtype=np.float32), belongs).tolist()
    return {pk: PRICE_TIERS[tier] for pk, tier in zip(ids, tiers, strict=True)}
