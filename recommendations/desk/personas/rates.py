"""How often what was recommended to a persona was seen and clicked, by cluster: a rate with its interval beside everybody's."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from clusters.models import ItemCluster
from personas.models import Shop, in_chunks
from recommendations import daily
from recommendations.desk.today import interval, told_rate

LEAST_SEEN = 100
"""Times that something was seen from which its rate is compared: below, the interval is wider than any difference."""


class Rate(NamedTuple):
    """seen, clicked : how often."""

    seen: float
    clicked: float

    @property
    def told(self) -> str:
        return told_rate(self.clicked, self.seen) or "not seen yet"

    @property
    def low(self) -> float:
        """Ends of the 95 % interval (Wilson 1927), in 100."""
        return 100 * interval(self.clicked, self.seen)[0]

    @property
    def high(self) -> float:
        return 100 * interval(self.clicked, self.seen)[1]

    @property
    def percent(self) -> float:
        return 100 * min(1.0, self.clicked / self.seen) if self.seen else 0.0


class Reached(NamedTuple):
    """A cluster that a persona was shown items of. name : "" of one that is gone.  everybody : the same for all personas."""

    cluster: int
    name: str
    rate: Rate
    everybody: Rate

    @property
    def told(self) -> str:
        """How the persona's rate compares with everybody's, in a word or two."""
        if self.rate.seen < LEAST_SEEN or self.everybody.seen <= 0:
            return "too few to tell"
        if self.rate.low > self.everybody.percent:
            return "better than with everybody"
        if self.rate.high < self.everybody.percent:
            return "worse than with everybody"
        return "about as with everybody"


@dataclass(frozen=True)
class Pairs:
    """(persona, cluster) -> seen and clicked, of some days."""

    rates: Mapping[tuple[int, int], Rate]

    def of_persona(self, persona: int) -> Rate:
        """All that was recommended to a persona."""
        rows = [rate for _, rate in self._by_persona.get(persona, ())]
        return Rate(sum(r.seen for r in rows), sum(r.clicked for r in rows))

    @property
    def everybody(self) -> Rate:
        return Rate(sum(r.seen for r in self.rates.values()), sum(r.clicked for r in self.rates.values()))

    def reached(self, persona: int, names: Mapping[int, str], most: int | None = None) -> list[Reached]:
        """The clusters of a persona's slots, most seen first; all of them, or the first `most`."""
        mine = self._by_persona.get(persona, ())
        return [Reached(cluster, names.get(cluster, ""), rate, self._by_cluster[cluster]) for cluster, rate in mine[:most]]

    def first(self, persona: int, most: int) -> list[int]:
        """Ids of the clusters that a persona saw most of."""
        return [cluster for cluster, _ in self._by_persona.get(persona, ())[:most]]

    def count(self, persona: int) -> int:
        """Clusters that a persona was shown items of."""
        return len(self._by_persona.get(persona, ()))

    @cached_property
    def _by_cluster(self) -> dict[int, Rate]:
        """The same for all personas."""
        seen: defaultdict[int, float] = defaultdict(float)
        clicked: defaultdict[int, float] = defaultdict(float)
        for (_, cluster), rate in self.rates.items():
            seen[cluster] += rate.seen
            clicked[cluster] += rate.clicked
        return {cluster: Rate(much, clicked[cluster]) for cluster, much in seen.items()}

    @cached_property
    def _by_persona(self) -> dict[int, list[tuple[int, Rate]]]:
        """Each persona's clusters, most seen first."""
        mine: defaultdict[int, list[tuple[int, Rate]]] = defaultdict(list)
        for (persona, cluster), rate in self.rates.items():
            mine[persona].append((cluster, rate))
        return {persona: sorted(rows, key=lambda row: (-row[1].seen, row[0])) for persona, rows in mine.items()}


def pairs(shop: Shop, since: dt.date, until: dt.date) -> Pairs:
    """What was recommended by persona and cluster in these days, both included."""
    seen, clicked = daily.totals(shop, "pair_seen", since, until), daily.totals(shop, "pair_click", since, until)
    found = {}
    for key in {*seen, *clicked}:
        persona, _, cluster = key.partition(":")
        if persona.isdecimal() and cluster.isdecimal():
            found[int(persona), int(cluster)] = Rate(seen.get(key, 0.0), clicked.get(key, 0.0))
    return Pairs(found)


def names_of(shop: Shop, clusters: Sequence[int]) -> dict[int, str]:
    """Names of clusters by id, of those that there are."""
    found: dict[int, str] = {}
    for chunk in in_chunks(clusters):
        found.update(ItemCluster.objects.filter(shop=shop, pk__in=chunk).order_by().values_list("pk", "name"))
    return found
