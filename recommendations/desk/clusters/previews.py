"""What an edit of clusters will come to, before it is saved: what each cluster holds, and what shoppers would be shown.

The edit is made by the same verbs as when it is saved, in a transaction that is taken back; what the release would be is made of
the rows in between as publishing makes it (`activation`), and slates come from the engine's own two functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from clusters.item_clusters import ItemClusters, with_edits
from clusters.models import ClusterChange, Item
from personas import versions
from personas.models import Shop
from recommendations import activation
from recommendations.desk.clusters.edits import Wanted, as_draft
from recommendations.desk.clusters.stories import engine_for, picture
from recommendations.desk.clusters.suits import GREY
from recommendations.desk.made_visits import Click, Slot, Visit, begun, beside, slate, with_rules_for_all
from recommendations.drafts import drafting
from recommendations.engine import Engine
from recommendations.models import Release
from recommendations.overlay import with_arm
from recommendations.reading import read_edits
from recommendations.serving.asks import Ask, request_of

NAMED = 4
"""Items that are named of those that come in, or go out."""

MOST_ROWS = 12
"""Clusters that are told one by one."""

SLOTS = 10
LOOKED_AT = 3
"""Items of the cluster that the made visitor has looked at."""


class Row(NamedTuple):
    """One cluster before and after. before, after : items, None where it isn't there.  kept, came, left : of the larger, percent.

    was : its name before, where that changes.
    """

    id: int
    name: str
    was: str
    before: int | None
    after: int | None
    entered: tuple[str, ...]
    came_in: int
    gone: tuple[str, ...]
    went_out: int

    @property
    def widths(self) -> tuple[float, float, float]:
        """Of a bar: what stayed, what came in, what left; percent of them all."""
        stayed = (self.after or 0) - self.came_in
        whole = max(1, stayed + self.came_in + self.went_out)
        return 100 * stayed / whole, 100 * self.came_in / whole, 100 * self.went_out / whole


class Shown(NamedTuple):
    """One slot of a slate. title, picture : of its item."""

    slot: Slot
    title: str
    picture: str


@dataclass(frozen=True)
class Shopper:
    """A made visitor's home page, before and after. colour : of the persona that they are like, "" for nobody's."""

    who: str
    colour: str
    before: tuple[Shown, ...]
    after: tuple[Shown, ...]

    @property
    def changed(self) -> bool:
        return [one.slot.item.item for one in self.before] != [one.slot.item.item for one in self.after]

    @property
    def sides(self) -> tuple[tuple[tuple[Shown, ...], str], ...]:
        return (self.before, "now"), (self.after, "then")


@dataclass(frozen=True)
class Effect:
    """told : what is done, in words.  refused : why it can't be.  more : clusters that change beyond the rows.

    untold : why nothing can be said of shoppers, "" where it can.
    """

    told: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    more: int = 0
    shoppers: tuple[Shopper, ...] = field(default=())
    untold: str = ""

    @property
    def changed(self) -> bool:
        """Whether any of the shoppers would see anything else."""
        return any(shopper.changed for shopper in self.shoppers)


def effect(shop: Shop, wanted: Sequence[Wanted], *, user: Any, now: float) -> Effect:
    """What these edits would come to. Nothing is written. now : seconds since the epoch."""
    engine, untold = engine_for(shop)
    bare = None if engine is None else engine.bare or engine
    known = frozenset(bare.clusters.learned.cluster_ids.tolist()) if bare is not None else frozenset()
    standing = read_edits(shop, known=known)
    last = ClusterChange.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    drafts = [as_draft(shop, one, user=user) for one in wanted]
    with drafting.as_if_published(shop, drafts, anyway=None) as fates:
        refused = tuple(fate.told for fate in fates if fate.state == drafting.State.REFUSED)
        changes = list(ClusterChange.objects.filter(shop=shop, pk__gt=last).select_related("cluster").order_by("pk"))
        edits = read_edits(shop, known=known)
    if refused or not changes:
        return Effect(refused=refused, told=() if refused else ("Nothing would change: all is so already.",))
    told = tuple(dict.fromkeys(fate.told for fate in fates if fate.goes))
    if engine is None or bare is None:
        return Effect(told=told, rows=_by_rows(changes), untold=untold)
    served = Release.objects.active(shop)
    attributes = engine.personas.attribute_descriptors
    before = engine
    if served is None or activation.edits_of(served) != activation.fingerprint(edit for edit in standing if edit.decides):
        before = with_arm(engine, clusters=with_edits(bare.clusters, bare.catalogue, standing, attributes))
    after = with_arm(engine, clusters=with_edits(bare.clusters, bare.catalogue, edits, attributes))
    before, after = with_rules_for_all(before), with_rules_for_all(after)
    named = [one.subject for one in wanted if one.subject is not None]
    ids = list(dict.fromkeys([*named, *(change.cluster_id for change in changes)]))
    rows = _rows(before, after, ids, {change.cluster_id: change.cluster.name for change in changes})
    return Effect(
        told=told,
        rows=tuple(rows[:MOST_ROWS]),
        more=max(0, len(rows) - MOST_ROWS),
        shoppers=_shoppers(shop, before, after, ids, now),
    )


# What clusters hold


def _rows(before: Engine, after: Engine, first: Sequence[int], names: dict[int, str]) -> list[Row]:
    """Clusters that the edit names, then others whose items change with them, those with the most first."""
    old, new = before.clusters, after.clusters
    told: list[Row] = []
    others: list[Row] = []
    for cluster in dict.fromkeys([*first, *old.cluster_ids.tolist(), *new.cluster_ids.tolist()]):
        was, now = _items(old, cluster), _items(new, cluster)
        if was is None and now is None:
            continue
        if cluster not in names and was is not None and now is not None and np.array_equal(was, now):
            continue
        nothing = np.zeros(0, dtype=np.int64)
        come = np.setdiff1d(nothing if now is None else now, nothing if was is None else was)
        gone = np.setdiff1d(nothing if was is None else was, nothing if now is None else now)
        before_name = old.names[old.position_of[cluster]] if was is not None else ""
        name = names.get(cluster) or (new.names[new.position_of[cluster]] if now is not None else before_name)
        row = Row(
            cluster if was is not None else 0,
            name,
            before_name if before_name != name else "",
            None if was is None else len(was),
            None if now is None else len(now),
            _titles(after, come),
            len(come),
            _titles(before, gone),
            len(gone),
        )
        (told if cluster in names else others).append(row)
    return told + sorted(others, key=lambda row: -(row.came_in + row.went_out))


def _items(clusters: ItemClusters, cluster: int) -> np.ndarray | None:
    """Positions, ascending; None of a cluster that isn't there."""
    place = clusters.position_of.get(cluster)
    if place is None:
        return None
    return np.sort(clusters.items.indices[clusters.items.indptr[place] : clusters.items.indptr[place + 1]])


def _titles(engine: Engine, positions: np.ndarray) -> tuple[str, ...]:
    """Of the most popular ones."""
    popular = engine.ranker.popularity.facts[positions, 0]
    return tuple(engine.catalogue.titles[p] for p in positions[np.argsort(-popular, kind="stable")[:NAMED]].tolist())


def _by_rows(changes: Sequence[ClusterChange]) -> tuple[Row, ...]:
    """What is told where nothing serves yet: by the lineage of the edit itself."""
    from clusters.lineage import delta_of

    found = []
    for change in changes:
        delta, cluster = delta_of(change), change.cluster
        titles = dict(Item.objects.filter(pk__in=list(delta.members)[:200]).values_list("pk", "title"))
        come = [pk for pk, (was, _) in delta.members.items() if was is None]
        gone = [pk for pk, (_, now) in delta.members.items() if now is None]
        retired = cluster.retired_at is not None
        size = 0 if retired else cluster.size
        found.append(
            Row(
                0 if delta.made_it else cluster.pk,
                cluster.name,
                str(delta.fields["name"][0] or "") if "name" in delta.fields else "",
                None if delta.made_it else cluster.size - len(come) + len(gone),
                None if retired else size,
                tuple(titles.get(pk) or f"item {pk}" for pk in come[:NAMED]),
                len(come),
                tuple(titles.get(pk) or f"item {pk}" for pk in gone[:NAMED]),
                len(gone),
            )
        )
    return tuple(found)


# What shoppers would see


def _shoppers(shop: Shop, before: Engine, after: Engine, ids: Sequence[int], now: float) -> tuple[Shopper, ...]:
    """Somebody who goes for what is edited, two whom it suits most, and somebody new: their home page before and after."""
    clusters = before.clusters if any(pk in before.clusters.position_of for pk in ids) else after.clusters
    place = next((clusters.position_of[pk] for pk in ids if pk in clusters.position_of), None)
    if place is None:
        return ()
    model, catalogue, people = before.personas, before.catalogue, versions.ever(shop)
    entries = slice(clusters.items.indptr[place], clusters.items.indptr[place + 1])
    order = np.argsort(-clusters.items.data[entries], kind="stable")[:LOOKED_AT]
    looks = tuple(Click("view_item", int(pk)) for pk in catalogue.item_ids[clusters.items.indices[entries][order]].tolist())
    visits = [(f"Somebody who looked at items of “{clusters.names[place]}”", "", Visit(at=now, clicks=looks))]
    for k in np.argsort(-clusters.persona_lift[place], kind="stable")[:2].tolist():
        pk, name = model.ids[k], model.archetype_names[k]
        colour = people[pk].colour if pk in people else GREY
        visits.append((f"Somebody like {name}, who comes back", colour, Visit(at=now, mix={pk: 1.0}, clicks=looks[:1])))
    visits.append(("Somebody new", "", Visit(at=now)))
    sides = []
    for who, colour, visit in visits:
        request = request_of(before, Ask(context="home", count=SLOTS), now)
        one, two = (slate(engine, begun(engine, visit, shop=shop.pk), request).items for engine in (before, after))
        sides.append((who, colour, *beside(one, two)))
    items = Item.objects.only("external_id", "title", "shop_id").in_bulk(
        {slot.item.item for _, _, *both in sides for side in both for slot in side}
    )

    def shown(side: Sequence[Slot]) -> tuple[Shown, ...]:
        rows = [(slot, items.get(slot.item.item)) for slot in side]
        return tuple(
            Shown(slot, str(row), picture(shop, row)) if row else Shown(slot, "an item that is gone", "") for slot, row in rows
        )

    return tuple(Shopper(who, colour, shown(one), shown(two)) for who, colour, one, two in sides)
