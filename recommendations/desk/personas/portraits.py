"""Who a persona is in the data: what it turns to, at which prices, when and from where, beside the shop's average."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from personas.encoding import PRICE_TIERS
from personas.models import Shop
from recommendations import daily

LEAST = 30.0
"""Events of a persona from which it is told who it is."""

SHOWN = 8
"""Values of a table that are drawn, where it has more: those by which the persona differs most, then the commonest."""

TOLD = 0.02
"""Difference of shares from which a sentence tells it."""

TIERS = {"low": "the lowest prices", "middle": "middle prices", "upper": "upper prices", "top": "the top prices"}


class Value(NamedTuple):
    """name : in words.  share, average : of the persona's and of all events, 0 to 1."""

    name: str
    share: float
    average: float


@dataclass(frozen=True)
class Table:
    """One way to tell who somebody is. much : events of the persona that it counts.  values : all, in order.

    ordered : whether the order of the values means something.
    """

    measure: str
    title: str
    much: float
    values: tuple[Value, ...]
    ordered: bool

    @property
    def known(self) -> bool:
        return self.much >= LEAST

    @property
    def drawn(self) -> list[Value]:
        if self.ordered or len(self.values) <= SHOWN:
            return list(self.values)
        telling = sorted(self.values, key=lambda v: (-abs(v.share - v.average), -v.share))[:SHOWN]
        return sorted(telling, key=lambda v: -v.share)

    @property
    def sentence(self) -> str:
        """What sets the persona apart in this."""
        if not self.known:
            return f"Not known yet: {self.much:,.0f} of the {LEAST:.0f} events that it takes to tell."
        apart = sorted(self.values, key=lambda v: v.average - v.share)
        more = [v for v in apart if v.share - v.average >= TOLD][:2]
        less = [v for v in reversed(apart) if v.average - v.share >= TOLD][:1]
        told = [f"more often than the shop on average: {_listed(more)}"] if more else []
        told += [f"less often: {_listed(less)}"] if less else []
        text = "; ".join(told) or "much as everybody"
        return f"{text[:1].upper()}{text[1:]}."


def _listed(values: list[Value]) -> str:
    return ", ".join(f"{v.name} ({100 * v.share:.0f} against {100 * v.average:.0f} in 100)" for v in values)


def _same(name: str) -> str:
    return name


def _tier(code: str) -> str:
    return TIERS[PRICE_TIERS[int(code)]] if code.isdecimal() and int(code) < len(PRICE_TIERS) else code


def _hour(code: str) -> str:
    return f"{int(code):02d}:00" if code.isdecimal() else code


KINDS: tuple[tuple[str, str, Callable[[str], str], tuple[str, ...]], ...] = (
    ("category", "What they look at", _same, ()),
    ("tier", "Price, within the category", _tier, tuple(str(t) for t in range(len(PRICE_TIERS)))),
    ("hour", "When they come (UTC)", _hour, tuple(str(h) for h in range(24))),
    ("country", "Where they are", _same, ()),
)
"""Measure of `daily`, title, its keys in words, and all of them in order where the order means something."""


def portrait(shop: Shop, persona: int, since: dt.date, until: dt.date) -> list[Table]:
    """The tables of a persona in these days, both included; four queries, whatever there is."""
    return [
        _table(measure, title, words, keys, daily.totals(shop, measure, since, until), persona)
        for measure, title, words, keys in KINDS
    ]


def _table(
    measure: str, title: str, words: Callable[[str], str], keys: tuple[str, ...], counted: Mapping[str, float], persona: int
) -> Table:
    mine: defaultdict[str, float] = defaultdict(float)
    everybody: defaultdict[str, float] = defaultdict(float)
    for key, much in counted.items():
        who, _, value = key.partition(":")
        everybody[value] += much
        if who == str(persona):
            mine[value] += much
    own, whole = sum(mine.values()), sum(everybody.values())
    order = keys or tuple(sorted(everybody, key=lambda value: (-mine[value], -everybody[value], value)))
    values = tuple(
        Value(words(value), mine[value] / own if own else 0.0, everybody[value] / whole if whole else 0.0) for value in order
    )
    return Table(measure, title, own, values, bool(keys))
