"""The grid of clusters: which are asked for, in what order, and what each tile tells, in queries that don't grow with them."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber
from django.http import QueryDict

from clusters.models import ClusterMembership, Item, ItemCluster
from personas.models import Shop
from recommendations.desk.clusters import figures as cluster_figures
from recommendations.desk.clusters.figures import NOT_MOVED, NOT_SEEN, Moved, Seen, moved_of, ranked_by, seen_of
from recommendations.desk.clusters.items import numbers
from recommendations.desk.clusters.stories import picture
from recommendations.desk.clusters.suits import Suited, Suits

PAGE = 60
ON_A_TILE = 8
"""Items that a tile shows, the most typical first."""

MOST_WORDS = 100
"""Characters of a search that are looked for."""

STATES = {"live": "That serve", "locked": "Locked", "own": "Yours", "retired": "Retired", "all": "All"}
SORTS = {
    "share": "Engagement",
    "seen": "Seen most",
    "clicked": "Picked most",
    "rate": "Best rate",
    "drift": "Moved most",
    "size": "Largest",
    "name": "Name",
}
"""Engagement is the share of what shoppers engaged with, as the release learned it; the others count the last 28 days."""


@dataclass(frozen=True)
class Filters:
    """What the address asks for. persona : id, 0 for any.  page : from 1."""

    words: str = ""
    kind: str = ""
    state: str = "live"
    persona: int = 0
    sort: str = "share"
    page: int = 1

    @classmethod
    def of(cls, given: QueryDict) -> Filters:
        """From an address; what it can't be is as if it weren't there."""

        def one_of(name: str, values: Iterable[str], otherwise: str) -> str:
            value = given.get(name, "")
            return value if value in values else otherwise

        return cls(
            words=given.get("q", "").strip()[:MOST_WORDS],
            kind=one_of("kind", ItemCluster.Kind.values, ""),
            state=one_of("state", STATES, "live"),
            persona=next(iter(numbers([given.get("persona", "")])), 0),
            sort=one_of("sort", SORTS, "share"),
            page=max(1, next(iter(numbers([given.get("page", "")])), 1)),
        )

    @property
    def narrow(self) -> bool:
        """Whether they leave out any cluster that serves."""
        return bool(self.words or self.kind or self.persona or self.state not in ("live", "all"))

    def address(self, **other: Any) -> str:
        """As a query string, without what is as by default; `other` in the place of what is."""
        values = {"q": self.words, "kind": self.kind, "state": self.state, "persona": self.persona, "sort": self.sort} | other
        told = QueryDict(mutable=True)
        for name, value in values.items():
            if value not in ("", 0) and (name, value) not in {("state", "live"), ("sort", "share"), ("page", 1)}:
                told[name] = str(value)
        return told.urlencode()


class Wall(NamedTuple):
    item: Item
    picture: str


@dataclass(frozen=True)
class Tile:
    """A cluster in the grid. share : percent of what shoppers engage with.  suits : whom it suits most."""

    cluster: ItemCluster
    share: float
    wall: tuple[Wall, ...]
    seen: Seen
    moved: Moved
    suits: tuple[Suited, ...]
    all_suits: tuple[Suited, ...]


@dataclass(frozen=True)
class Grid:
    """total : clusters that the filters let through.  pages : of them, at least one."""

    tiles: tuple[Tile, ...]
    total: int
    page: int
    pages: int


def grid(shop: Shop, filters: Filters, suits: Suits, today: dt.date, *, whole: bool = False, walls: bool = True) -> Grid:
    """The page that is asked for. whole : all pages as one, for a file.  walls : with each tile's items."""
    chosen = _ordered(shop, filters, suits, today)
    pages = max(1, math.ceil(len(chosen) / PAGE))
    page = min(filters.page, pages)
    ids = chosen if whole else chosen[(page - 1) * PAGE : page * PAGE]
    rows: dict[int, ItemCluster] = {}
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        rows |= ItemCluster.objects.defer("provenance", "parts").in_bulk(part)
    few = None if whole else ids
    seen, moved = seen_of(shop, today, few), moved_of(shop, _since(today), few)
    wall = _walls(shop, ids) if walls else {}
    tiles = tuple(
        Tile(
            rows[pk],
            100 * rows[pk].share,
            tuple(wall.get(pk, ())),
            seen.get(pk, NOT_SEEN),
            moved.get(pk, NOT_MOVED),
            tuple(suits.best(pk)),
            tuple(suits.of(pk)),
        )
        for pk in ids
        if pk in rows
    )
    return Grid(tiles, len(chosen), page, pages)


def matching(shop: Shop, filters: Filters) -> Any:
    """The rows that the filters let through, whom they suit apart."""
    rows = ItemCluster.objects.filter(shop=shop).exclude(name="")
    if filters.state == "retired":
        rows = rows.exclude(retired_at=None)
    elif filters.state != "all":
        rows = rows.filter(retired_at=None)
    if filters.state == "locked":
        rows = rows.filter(locked=True)
    elif filters.state == "own":
        rows = rows.filter(kind__in=ItemCluster.HAND_KINDS)
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    if filters.words:
        words = filters.words
        items = Item.objects.filter(Q(title__icontains=words) | Q(external_id=words), shop=shop)
        within = ClusterMembership.objects.filter(item__in=items).values("cluster")
        # Databases that keep JSON as text keep letters beyond ASCII escaped.
        escaped = json.dumps(words)[1:-1]
        rows = rows.filter(
            Q(name__icontains=words) | Q(descriptors__icontains=words) | Q(descriptors__icontains=escaped) | Q(pk__in=within)
        )
    return rows


def _ordered(shop: Shop, filters: Filters, suits: Suits, today: dt.date) -> list[int]:
    """Ids of all that the filters let through, in the order asked for."""
    told = list(matching(shop, filters).order_by("pk").values_list("pk", "name", "size", "share"))
    if filters.persona:
        told = [row for row in told if any(one.persona.id == filters.persona for one in suits.best(row[0]))]
    key = _key(shop, filters.sort, today)
    return [row[0] for row in sorted(told, key=key)]


def _key(shop: Shop, sort: str, today: dt.date) -> Callable[[tuple[int, str, int, float]], Any]:
    if sort == "name":
        return lambda row: row[1].casefold()
    if sort == "size":
        return lambda row: (-row[2], -row[3])
    if sort == "drift":
        moved = moved_of(shop, _since(today))
        return lambda row: (-moved.get(row[0], NOT_MOVED).items, -row[3])
    if sort in ("seen", "clicked", "rate"):
        ranked = ranked_by(shop, sort, today)
        return lambda row: (-ranked.get(row[0], 0.0), -row[3])
    return lambda row: (-row[3], -row[2])


def _since(today: dt.date) -> dt.datetime:
    return dt.datetime.combine(today - dt.timedelta(days=cluster_figures.DAYS), dt.time(), dt.UTC)


def _walls(shop: Shop, ids: Sequence[int]) -> Mapping[int, list[Wall]]:
    """The most typical items of each cluster."""
    place = Window(RowNumber(), partition_by=F("cluster"), order_by=(F("weight").desc(), F("item_id").asc()))
    first = ClusterMembership.objects.filter(cluster__in=ids).annotate(place=place).filter(place__lte=ON_A_TILE)
    pairs = list(first.order_by("cluster", "place").values_list("cluster_id", "item_id"))
    items = Item.objects.only("external_id", "title", "shop_id").in_bulk({item for _, item in pairs})
    found: dict[int, list[Wall]] = {}
    for cluster, item in pairs:
        if item in items:
            found.setdefault(cluster, []).append(Wall(items[item], picture(shop, items[item])))
    return found
