"""What the address of a preview asks for, read and written: the same shopper has the same address, so that it can be shared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import timezone

from personas.events import MAX_QUERY, UNKNOWN_ITEM
from personas.history import VARIABLES
from recommendations.desk.made_visits import Click, Visit
from recommendations.engine import Engine

MOST_CLICKS = 30
"""Clicks and earlier purchases of a visit made to order."""

VERBS = {
    "view_item": "looks at",
    "add_to_cart": "puts into the cart",
    "purchase": "buys",
    "search": "searches for",
    "bought": "bought on an earlier visit",
}
"""What a shopper made to order does, in words; the last is evidence before the visit begins."""

BY_TIME = frozenset({"weekday", "daypart"})
"""Evidence that the time of the visit says."""


@dataclass(frozen=True)
class Asked:
    """mix : archetype key -> 0 to 100.  context : evidence by variable.  at : as typed, "" for now.

    does : (verb, item's external id or words), in order.  item : external id of the page's item, "" for the last one touched.
    words : of the search page, "" for the last ones searched.  faults : what couldn't be taken, in sentences.
    """

    mix: Mapping[str, int] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    at: str = ""
    does: tuple[tuple[str, str], ...] = ()
    item: str = ""
    words: str = ""
    faults: tuple[str, ...] = ()

    def query(self, shop: str) -> str:
        """The address's query."""
        told = [("shop", shop)]
        told += [(f"p.{key}", str(much)) for key, much in self.mix.items() if much]
        told += [(f"c.{name}", value) for name, value in self.context.items() if value]
        told += [("do", f"{verb}:{what}") for verb, what in self.does]
        told += [(name, value) for name, value in (("at", self.at), ("item", self.item), ("words", self.words)) if value]
        return urlencode(told)

    def visit(self, engine: Engine, now: float) -> Visit:
        """The visit on an engine; what that doesn't know is left out."""
        model = engine.personas
        id_of = dict(zip(model.archetype_keys, model.ids, strict=True))
        total = max(100, sum(self.mix.values()))
        clicks, bought = [], []
        for verb, what in self.does:
            item = 0 if verb == "search" else engine.catalogue.ids_of([what])[0]
            if verb == "search":
                clicks.append(Click("search", query=what))
            elif item != UNKNOWN_ITEM and verb == "bought":
                bought.append(int(item))
            elif item != UNKNOWN_ITEM:
                clicks.append(Click(verb, int(item)))
        return Visit(
            at=now if not self.at else moment_of(self.at).timestamp(),
            mix={id_of[key]: much / total for key, much in self.mix.items() if key in id_of and much},
            context=dict(self.context),
            bought=tuple(bought),
            clicks=tuple(clicks),
        )


def moment_of(text: str) -> dt.datetime:
    """Raises ValueError."""
    given = dt.datetime.fromisoformat(text)
    return given if given.tzinfo else timezone.make_aware(given)


def variables(engine: Engine) -> list[tuple[str, tuple[str, ...]]]:
    """Evidence that can be chosen: what the shop's personas were taught to read, but for what time and purchases say."""
    network = engine.personas.network
    return [
        (name, values) for name, values in zip(network.variables, network.values, strict=True) if name not in VARIABLES | BY_TIME
    ]


def read(given: QueryDict, engine: Engine) -> Asked:
    """What an address asks for; what it can't mean is left out and told."""
    faults: list[str] = []
    keys = list(engine.personas.archetype_keys)
    mix = {key: _percent(given.get(f"p.{key}", ""), f"The share of {key}", faults) for key in keys}
    if (like := given.get("like")) is not None:
        mix = {key: 100 if key == like else 0 for key in keys}
    context = {}
    for name, values in variables(engine):
        value = given.get(f"c.{name}", "")
        if value and value not in values:
            faults.append(f"{name.replace('_', ' ').capitalize()} “{value[:60]}” isn’t known to the personas, and says nothing.")
        elif value:
            context[name] = value
    at = given.get("at", "")
    try:
        if at and not 0 < moment_of(at).timestamp() < 4e9:
            raise ValueError
    except (ValueError, OverflowError):
        faults.append("The time can’t be read; it is now.")
        at = ""
    told = [*given.getlist("do"), *filter(None, given.getlist("add"))]
    does = _does(told, engine, faults)
    drop = given.get("drop", "")
    if drop.isdecimal() and int(drop) < len(does):
        del does[int(drop)]
    item = given.get("item", "")
    if item and engine.catalogue.ids_of([item])[0] == UNKNOWN_ITEM:
        faults.append(f"Item “{item[:60]}” isn’t in the catalogue that serves.")
        item = ""
    words = given.get("words", "").strip()[:MAX_QUERY]
    return Asked(mix, context, at, tuple(does), item, words, tuple(faults))


def _does(told: list[str], engine: Engine, faults: list[str]) -> list[tuple[str, str]]:
    does = []
    for each in told[: MOST_CLICKS + 1]:
        verb, _, what = each.partition(":")
        what = what.strip()[:MAX_QUERY]
        if verb not in VERBS or not what:
            faults.append(f"“{each[:60]}” is nothing that a shopper can do here.")
        elif verb != "search" and engine.catalogue.ids_of([what])[0] == UNKNOWN_ITEM:
            faults.append(f"Item “{what[:60]}” isn’t in the catalogue that serves.")
        else:
            does.append((verb, what))
    if len(does) > MOST_CLICKS:
        faults.append(f"Only the first {MOST_CLICKS} clicks are taken.")
        del does[MOST_CLICKS:]
    return does


def _percent(text: str, what: str, faults: list[str]) -> int:
    if not text:
        return 0
    try:
        return min(100, max(0, round(float(text))))
    except (ValueError, OverflowError):
        faults.append(f"{what} must be a number from 0 to 100.")
        return 0
