"""Items that somebody picks in the admin: by the shop's own ids, or by words and ticks."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from clusters.cluster_drafts import EditError, find_items
from clusters.models import Item, ItemCluster
from personas.models import Shop
from recommendations.desk.clusters.stories import picture

MOST_FOUND = 30
"""Items that a search in the admin shows."""

MOST_TICKED = 500
"""Items that stay ticked from search to search."""

BETWEEN = re.compile(r"[\r\n\t,;]+")


def numbers(values: list[str]) -> list[int]:
    """Ids of rows that a request names, each once; what is no id is passed over."""
    return list(dict.fromkeys(int(value) for value in values if value.isdecimal() and len(value) < 19))


def picked(given: QueryDict, shop: Shop) -> list[int]:
    """Item ids: what was ticked (`item`), then what was pasted (`ids`), each once. Raises EditError."""
    pasted = [part.strip() for part in BETWEEN.split(given.get("ids", "")) if part.strip()]
    found = find_items(shop, pasted, "items") if pasted else []
    items = list(dict.fromkeys([*numbers(given.getlist("item")), *found]))
    if not items:
        raise EditError("items", "are missing: tick some, or paste their ids")
    return items


def found_items(shop: Shop, given: QueryDict, cluster: ItemCluster | None = None) -> dict[str, Any]:
    """What `found.html` shows: items that were ticked (`item`), then what the words (`q`) find; those in `cluster` are told."""
    from clusters.search_index import search  # the numeric stack, which other pages of the admin do without
    from clusters.searching import index_of

    words = given.get("q", "").strip()
    ticked = numbers(given.getlist("item"))[:MOST_TICKED]
    found = search(index_of(shop), words, count=MOST_FOUND, as_you_type=True, facets=False) if words else None
    ids = [pk for pk in (found.item_ids.tolist() if found else []) if pk not in set(ticked)]
    rows: QuerySet[Item] = Item.objects.filter(shop=shop, pk__in=[*ticked, *ids])
    items = {item.pk: item for item in rows}
    there = set(cluster.memberships.filter(item_id__in=ids).values_list("item_id", flat=True)) if cluster else set()
    return {
        "words": words,
        "total": found.total if found else 0,
        "relaxed": bool(found and found.relaxed),
        "rows": [
            {"item": items[pk], "ticked": pk in set(ticked), "there": pk in there, "picture": picture(shop, items[pk])}
            for pk in [*ticked, *ids]
            if pk in items
        ],
    }
