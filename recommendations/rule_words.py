"""What a rule does, where and when, in words that a merchandiser reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from clusters.models import Item, ItemCluster
from personas.models import Archetype, in_chunks
from recommendations.models import MerchandisingRule

PLACES = {
    "home": "home page",
    "similar": "similar items",
    "complementary": "what goes with an item",
    "cart": "cart",
    "search": "search results",
}
"""The contexts of a slate in a merchandiser's words."""

_NAMED = 2
"""Items, clusters, ... that are named before "and 3 more"."""


@dataclass(frozen=True)
class Names:
    """Names by id of all that some rules are about, read in a few queries."""

    items: dict[int, str] = field(default_factory=dict)
    clusters: dict[int, str] = field(default_factory=dict)
    personas: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[MerchandisingRule]) -> Names:
        rules = list(rules)
        items = {pk for rule in rules for pk in rule.target.get("items", [])[:_NAMED]}
        clusters = {pk for rule in rules for pk in [*rule.target.get("clusters", [])[:_NAMED], *rule.clusters]}
        personas = {pk for rule in rules for pk in rule.personas}
        return cls(
            {i.pk: str(i) for chunk in in_chunks(items) for i in Item.objects.filter(pk__in=chunk).only("title", "external_id")},
            {pk: n for c in in_chunks(clusters) for pk, n in ItemCluster.objects.filter(pk__in=c).values_list("pk", "name")},
            dict(Archetype.objects.filter(pk__in=personas).values_list("pk", "name")),
        )


def what(rule: MerchandisingRule, names: Names) -> str:
    """What it does: "Pins “Red skirt” to slot 2"."""
    target = target_words(rule, names)
    match rule.action:
        case "pin":
            return f"Pins {target} to slot {rule.slot}"
        case "boost":
            return f"Makes {target} {rule.strength:g} times as likely"
        case "bury":
            return f"Makes {target} {rule.strength:g} times less likely"
        case "exclude":
            return f"Leaves out {target}"
        case "balance":
            of = target if rule.target else "any one category"
            return f"At most {100 * (rule.share or 0):g} % of the slots for {of}"
        case _:
            return f"Leaves out {target} with a margin below {100 * (rule.margin or 0):g} %"


def target_words(rule: MerchandisingRule, names: Names) -> str:
    """The items that it is about."""
    target = rule.target
    told = []
    if items := target.get("items"):
        told.append(_named([f"“{names.items.get(pk, f'item {pk}')}”" for pk in items[:_NAMED]], len(items), "and"))
    for key, word in (("categories", ""), ("brands", "brand ")):
        if values := target.get(key):
            told.append(word + _named(values[:_NAMED], len(values)))
    if values := target.get("attributes"):
        told.append(_named([value.replace("=", " ").replace("_", " ") for value in values[:_NAMED]], len(values)))
    if clusters := target.get("clusters"):
        told.append("cluster " + _named([names.clusters.get(pk, f"{pk}") for pk in clusters[:_NAMED]], len(clusters)))
    least, most = target.get("price_min"), target.get("price_max")
    if least is not None or most is not None:
        bounds = (f"from {least:g}" if least is not None else "", f"up to {most:g}" if most is not None else "")
        told.append(f"priced {' '.join(filter(None, bounds))}")
    return ", ".join(told) or "any item"


def where(rule: MerchandisingRule, names: Names) -> str:
    """The scope but for its dates: "Everywhere", or "On the home page, for Bargain hunter"."""
    told = []
    if rule.contexts:
        told.append(f"on {_named([PLACES.get(name, name) for name in rule.contexts], len(rule.contexts))}")
    if rule.personas:
        told.append(f"for {_named([names.personas.get(pk, f'persona {pk}') for pk in rule.personas], len(rule.personas))}")
    if rule.clusters:
        shown = [names.clusters.get(pk, str(pk)) for pk in rule.clusters[:_NAMED]]
        told.append(f"where a visit goes for {_named(shown, len(rule.clusters))}")
    words = ", ".join(told)
    return f"{words[:1].upper()}{words[1:]}" or "Everywhere"


def when(rule: MerchandisingRule, now: dt.datetime) -> str:
    """Its dates, as they look at a time: "always", "until 8 Dec 2026, 00:00"; whether it is switched on stands beside."""
    if rule.retired_at is not None:
        return f"taken out {_told(rule.retired_at)}"
    if rule.ends_at is not None and rule.ends_at <= now:
        return f"ended {_told(rule.ends_at)}"
    if rule.starts_at is not None and rule.starts_at > now:
        return f"starts {_told(rule.starts_at)}"
    return f"until {_told(rule.ends_at)}" if rule.ends_at is not None else "always"


def _told(moment: dt.datetime) -> str:
    return f"{timezone.localtime(moment):%-d %b %Y, %H:%M}"


def _named(shown: Sequence[str], total: int, word: str = "or") -> str:
    if total > len(shown):
        return f"{', '.join(shown)} {word} {total - len(shown):,} more"
    return shown[0] if total == 1 else f"{', '.join(shown[:-1])} {word} {shown[-1]}"
