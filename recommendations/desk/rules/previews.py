"""What a rule will come to, before shoppers see it: its items, whom it gets in the way of, a slate without it and with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from clusters.catalogue import MISSING
from clusters.item_clusters import ItemClusters
from clusters.models import Item
from clusters.search_index import search
from clusters.searching import index_of
from personas.events import Event
from personas.models import Shop
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.models import MerchandisingRule
from recommendations.ranking import rule_conflicts
from recommendations.ranking.companions import together
from recommendations.ranking.rule_conflicts import Conflict, conflicts
from recommendations.ranking.rule_targets import reached
from recommendations.ranking.rules import Rule, compile_rules
from recommendations.reading import read_catalogue, read_rule, read_rules
from recommendations.releases import ReleaseError
from recommendations.serving.asks import MOST_FOUND, Ask, Sought, request_of
from recommendations.session import Request, SessionState
from recommendations.slates import make
from recommendations.stories import engine_of

SAMPLE = 8
"""Items that stand for all that a rule is about."""

MOST_CONFLICTS = 21
"""Conflicts that are put into words at a time: one more than a page shows."""

PLACES = {
    "home": "A home page",
    "similar": "Items like “{}”",
    "complementary": "What goes with “{}”",
    "cart": "A cart with “{}”",
    "search": "A search for “{}”",
}

SLOTS = 12
"""Slots of a preview, unless a pin stands further down."""

VIEWS = 3
"""Items that the made visitor of a persona, or of a cluster, has looked at."""


class Reach(NamedTuple):
    """total, in_stock : items that a rule is about.  all : of the shop.  sample : ids of the most popular.

    costs : items of the shop whose cost is known, None where the rule isn't about it.
    """

    total: int
    in_stock: int
    all: int
    sample: tuple[int, ...]
    costs: int | None = None


class Slot(NamedTuple):
    """One slot of a preview. change : "new", "up", "down", "gone" or ""; how the item came to stand there."""

    item: int
    change: str
    by_rule: bool


@dataclass(frozen=True)
class Preview:
    """A slate without a rule and with it. acts : whether the rule acts on such a visit at all.

    place : where the slate stands, in words.  visitor : who it is for.  known : whether they have looked at anything yet.
    """

    before: tuple[Slot, ...]
    after: tuple[Slot, ...]
    acts: bool
    place: str
    visitor: str
    known: bool

    @property
    def changed(self) -> bool:
        """Whether the two slates differ."""
        return [slot.item for slot in self.before] != [slot.item for slot in self.after]


def engine_for(shop: Shop) -> Engine | None:
    """What serves the shop; None where nothing does yet."""
    try:
        return engine_of(shop)
    except ReleaseError:
        return None


def reach(shop: Shop, rule: Rule, engine: Engine | None) -> Reach:
    """How many items a rule is about, and the most popular of them."""
    catalogue = engine.catalogue if engine is not None else read_catalogue(shop)
    clusters: ItemClusters | None = engine.clusters if engine is not None else None
    positions = reached(rule, catalogue, clusters)
    first = positions
    if engine is not None and not rule.target.items:
        first = positions[(-engine.ranker.popularity.facts[positions, 0]).argsort(kind="stable")]
    costs = None
    if rule.action == "margin":
        costs = 0 if catalogue.cost is None else int(np.isfinite(catalogue.cost).sum())
    return Reach(
        total=len(positions),
        in_stock=int(catalogue.in_stock[positions].sum()),
        all=len(catalogue),
        sample=tuple(catalogue.item_ids[first[:SAMPLE]].tolist()),
        costs=costs,
    )


def told_conflicts(shop: Shop, engine: Engine, also: Rule | None = None) -> list[str]:
    """A sentence for each conflict between rules that are switched on, the first `MOST_CONFLICTS`; with `also`, for its own ones
    alone, as if it were too."""
    rules = [rule for rule in read_rules(shop) if also is None or rule.rule_id != also.rule_id]
    if also is not None:
        rules.append(also)
    rule_set = compile_rules(rules, engine.catalogue, engine.clusters, engine.personas.ids)
    found = conflicts(rule_set, of=None if also is None else also.rule_id)
    return [_sentence(engine, conflict) for conflict in islice(found, MOST_CONFLICTS)]


def _sentence(engine: Engine, conflict: Conflict) -> str:
    rule, other = f"“{conflict.rule.name}”", f"“{conflict.other.name}”"
    which = "all of its items" if conflict.whole else _items(engine, conflict)
    match conflict.kind:
        case rule_conflicts.SAME_SLOT:
            return f"{rule} pins to slot {conflict.rule.slot + 1}, and so does {other}, which came first and wins."
        case rule_conflicts.BARRED_PIN:
            return f"{other} leaves out {which} that {rule} pins: they aren't shown."
        case rule_conflicts.SAME_PIN:
            return f"{other} pins {which} of {rule} to slot {conflict.other.slot + 1}, and an item stands in one slot only."
        case _:
            return f"{rule} and {other} move {_items(engine, conflict)} in opposite directions."


def _items(engine: Engine, conflict: Conflict) -> str:
    first = engine.catalogue.titles[int(conflict.positions[0])]
    more = len(conflict.positions) - 1
    return f"“{first}”" + (f" and {more:,} more item{'s' if more > 1 else ''}" if more else "")


def preview(shop: Shop, engine: Engine, rule: Rule, *, persona: int | None, now: float) -> Preview:
    """A slate for a made visitor, without the rule and with it, beside all others that are switched on.

    It stands on the home page where the rule acts there, else in the first place that the rule names, beside an item or among the
    results of a search that have to do with what it is about.

    persona : id of the one that the visitor is like; None for somebody new. Where the rule asks for a cluster the visitor has
    looked at some of its items.
    """
    # Somebody made up is nobody to be held out: the rule is shown acting, and so are all others.
    rule = replace(rule, holdout=0.0)
    others = tuple(replace(r, holdout=0.0) for r in engine.overlay.rules if r.rule_id != rule.rule_id)
    state, visitor = _visitor(shop, engine, rule, persona, now)
    request, place = _asked(shop, engine, rule, now)
    bare, ruled = (
        make(replace(engine, overlay=replace(engine.overlay, rules=rules)), state, request, loop.generator(state))
        for rules in (others, (*others, rule))
    )
    was, now_at = ({item.item: item.slot for item in made.slate.items} for made in (bare, ruled))
    before = [Slot(i.item, "" if i.item in now_at else "gone", by_rule=False) for i in bare.slate.items]
    after = [Slot(i.item, _moved(was.get(i.item), i.slot), rule.rule_id in i.rules) for i in ruled.slate.items]
    acts = rule.rule_id in ruled.ruling.ids
    return Preview(tuple(before), tuple(after), acts, place, visitor, known=state.events > 0)


def _asked(shop: Shop, engine: Engine, rule: Rule, now: float) -> tuple[Request, str]:
    """How a slate is asked for where the rule acts, as a shop would, but without exploration; and that place in words."""
    places, catalogue = rule.scope.contexts, engine.catalogue
    context = "home" if not places or "home" in places else places[0]
    ask = Ask(context=context, count=max(SLOTS, rule.slot + 1) if rule.action == "pin" else SLOTS)
    about = ""
    if context != "home":
        positions = reached(rule, catalogue, engine.clusters)
        among = positions if len(positions) else np.arange(len(catalogue))
        first = int(among[0] if rule.target.items else among[engine.ranker.popularity.facts[among, 0].argmax()])
        if context == "search":
            about, found = _found(shop, engine, first)
            ask = Sought(context=context, count=ask.count, query=about, found=found)
        else:
            named = {first, *(positions.tolist() if rule.target.items else ())}
            anchor = next((p for p in _kin(engine, context, first) if p not in named), first)
            about = catalogue.titles[anchor]
            ask = Ask(context=context, count=ask.count, item_id=catalogue.external_ids[anchor])
    return replace(request_of(engine, ask, now), explore=0.0), PLACES[context].format(about)


def _found(shop: Shop, engine: Engine, position: int) -> tuple[str, tuple[tuple[int, float], ...]]:
    """Words by which somebody finds an item, those of its kind if they do, and what they find."""
    catalogue, item = engine.catalogue, engine.catalogue.item_ids.item(position)
    kind = catalogue.category.item(position)
    found: tuple[tuple[int, float], ...] = ()
    for words in ([catalogue.categories[kind]] if kind != MISSING else []) + [catalogue.titles[position]]:
        hits = search(index_of(shop), words, count=MOST_FOUND, facets=False)
        found = tuple(zip(hits.item_ids.tolist(), hits.scores.tolist(), strict=True))
        if any(hit == item for hit, _ in found):
            break
    return words, found


def _kin(engine: Engine, context: str, position: int) -> list[int]:
    """Positions beside which an item is likely to stand in a context, the likeliest first."""
    if context == "similar":
        found = engine.likeness.like(position).positions
    else:
        found = together(engine.companions, [position], [1.0]).positions
    return [*found.tolist(), *engine.ranker.popularity.top.tolist()]


def _moved(before: int | None, now: int) -> str:
    if before is None:
        return "new"
    return "up" if now < before else "down" if now > before else ""


def _visitor(shop: Shop, engine: Engine, rule: Rule, persona: int | None, now: float) -> tuple[SessionState, str]:
    """A visit that lasted a minute, and who it is in words."""
    state = loop.start(engine, shop=shop.pk, session="preview", at=now - 60.0)
    clusters, words = engine.clusters, "somebody new"
    row: int | None = None
    wanted = next((c for c in rule.scope.clusters if c in clusters.position_of), None)
    if wanted is not None:
        row = clusters.position_of[wanted]
        words = f"somebody who looked at items of “{clusters.names[row]}”"
    elif persona is not None and persona in engine.personas.ids and len(clusters):
        k = engine.personas.ids.index(persona)
        row = int((clusters.persona_lift[:, k] * np.sqrt(clusters.share)).argmax())
        words = f"somebody like {engine.personas.archetype_names[k]}, who looked at items of “{clusters.names[row]}”"
    if row is None:
        return state, words
    members = clusters.items[row]
    best = members.indices[(-members.data).argsort(kind="stable")[:VIEWS]]
    for n, item in enumerate(engine.catalogue.item_ids[best].tolist()):
        at = now - 50.0 + 15.0 * n
        state = loop.observe(engine, state, Event(f"preview-{n}", "view_item", at, at, (item,)))
    return state, words


def as_rule(shop: Shop, fields: dict[str, Any], pk: int | None) -> Rule:
    """What checked fields would be as a rule; one that isn't saved yet comes after all others."""
    row = MerchandisingRule(shop=shop, **fields)
    row.pk = pk if pk is not None else 2**62
    return read_rule(row)


def items_of(shop: Shop, ids: list[int]) -> dict[int, Item]:
    return Item.objects.filter(shop=shop).in_bulk(ids)
