"""What a persona shows, as bars that a page can draw: this persona against the average, factor by factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from personas.encoding import FACTORS, value_names
from personas.profile import PersonaModel

SHOWN = 8
"""Values of a factor that are drawn: those by which a persona differs most, then the commonest."""

TOLD = 0.02
"""Difference of shares from which a sentence tells it."""

TITLES = {
    "event": "What they do",
    "category": "What they look at",
    "price_tier": "Price, within the category",
    "dwell": "How long they stay",
    "gap": "Pause before the next step",
    "novelty": "New or seen before",
    "query": "What they search for",
    "discount": "Full price or reduced",
}

WORDS = {
    "view_item": "looks at an item",
    "select_item": "picks from a list",
    "view_item_list": "looks over a list",
    "search": "searches",
    "add_to_cart": "adds to the bag",
    "remove_from_cart": "takes out of the bag",
    "add_to_wishlist": "adds to the wish list",
    "purchase": "buys",
    "refund": "gives back",
    "user_engagement": "stays on the page",
    "full_price": "full price",
    "new": "new to them",
    "repeat": "the same again",
    "return": "back to one seen before",
}


@dataclass(frozen=True)
class Bar:
    """label : of the value.  share, other : percent.  width, mark : of the chart's width, percent."""

    label: str
    share: float
    other: float
    width: float
    mark: float


@dataclass(frozen=True)
class Chart:
    """One factor. sentence : what it says in words.  more : values that aren't drawn."""

    title: str
    sentence: str
    bars: tuple[Bar, ...]
    more: int


def charts(model: PersonaModel, persona: int) -> list[Chart]:
    """A chart of each factor that the log has taught.

    persona : its position.  A bar's `other` is the share that the value has with the average persona.
    """
    drawn = []
    for f in np.flatnonzero(model.hmm.learned).tolist():
        table = np.exp(model.hmm.log_emission[f])
        rows = list(zip(value_names(model.facts)[f], table[persona].tolist(), table.mean(axis=0).tolist(), strict=True))
        telling = sorted(rows, key=lambda row: (-abs(row[1] - row[2]), -row[1]))
        # Few values keep their order, which for prices and times means something; of many, the telling ones by their share.
        shown = rows if len(rows) <= SHOWN else sorted(telling[:SHOWN], key=lambda row: -row[1])
        drawn.append(Chart(TITLES[FACTORS[f]], _sentence(telling), _bars(shown), len(rows) - len(shown)))
    return drawn


def moved(entry: Mapping[str, Any]) -> tuple[Bar, ...]:
    """What moved in a persona at its last fit: an entry of a fit report. `other` is the share before."""
    return _bars(
        [(f"{TITLES[m['factor']]}: {word(m['value'])}", float(m["after"]), float(m["before"])) for m in entry.get("moved", ())]
    )


def word(value: str) -> str:
    """A factor's value as a merchandiser would say it."""
    return WORDS.get(value, value.replace("_", " "))


def _bars(rows: list[tuple[str, float, float]]) -> tuple[Bar, ...]:
    full = max((max(share, other) for _, share, other in rows), default=1.0) or 1.0
    return tuple(
        Bar(word(name), 100 * share, 100 * other, round(100 * share / full, 1), round(100 * other / full, 1))
        for name, share, other in rows
    )


def _sentence(rows: list[tuple[str, float, float]]) -> str:
    more = [row for row in rows if row[1] - row[2] >= TOLD][:2]
    less = [row for row in rows if row[2] - row[1] >= TOLD][:2]
    told = []
    if more:
        told.append("more often than others: " + _listed(more))
    if less:
        told.append("less often: " + _listed(less))
    if not told:
        return "Much as everybody."
    text = "; ".join(told)
    return f"{text[:1].upper()}{text[1:]}."


def _listed(rows: list[tuple[str, float, float]]) -> str:
    return ", ".join(f"{word(name)} ({100 * share:.0f} % against {100 * other:.0f} %)" for name, share, other in rows)
