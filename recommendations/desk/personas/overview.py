"""A shop's personas side by side: how much each is here, what became of it since its last fit, whom it reaches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Sum

from personas.models import Archetype, Attribute, Shop
from recommendations.desk.personas.rates import Rate, Reached, names_of, pairs
from recommendations.hourly import HOUR, SHOWN
from recommendations.models import HourTally, Release, TrainingRun
from recommendations.moment_texts import Day

DAYS = (7, 28, 90)
"""Periods that a page offers."""

FIRST = 3
"""Clusters that a tile names."""

APART = 0.05
"""Difference of shares, now and at the last fit, from which it is told."""

FITS = 20
"""Fits whose course a page tells, the latest."""


def period(text: str | None) -> int:
    """Days that an address asks for (?days=), of `DAYS`; 28 for anything else."""
    return int(text) if text and text.isdecimal() and int(text) in DAYS else 28


class Part(NamedTuple):
    """One attribute of a persona. percent : of its mix."""

    name: str
    key: str
    percent: float


@dataclass(frozen=True)
class Shares:
    """Events by persona and day. days : n.  by_persona : archetype id -> (n,).  now : id -> events of the last hour or two."""

    days: tuple[dt.date, ...]
    by_persona: Mapping[int, np.ndarray]
    now: Mapping[int, float]

    @property
    def total(self) -> np.ndarray:
        rows = list(self.by_persona.values())
        whole: np.ndarray = np.sum(rows, axis=0) if rows else np.zeros(len(self.days))
        return whole

    def of(self, persona: int) -> np.ndarray:
        """(n,) the persona's share of each day's events, 0 to 1; 0 on days without any."""
        mine, whole = self.by_persona.get(persona, np.zeros(len(self.days))), self.total
        return np.divide(mine, whole, out=np.zeros(len(self.days)), where=whole > 0)

    def whole(self, persona: int) -> float | None:
        """The share of all events, None where there were none."""
        total = float(self.total.sum())
        return float(self.by_persona[persona].sum()) / total if total > 0 and persona in self.by_persona else None

    def latest(self, persona: int) -> float | None:
        total = sum(self.now.values())
        return self.now.get(persona, 0.0) / total if total > 0 else None


def shares(shop: Shop, since: dt.date, now: dt.datetime) -> Shares:
    """From a day to that of `now`, both included; personas that are the shop's no more are left out."""
    until = now.date()
    days = tuple(since + dt.timedelta(days=i) for i in range((until - since).days + 1))
    start = dt.datetime.combine(since, dt.time(), tzinfo=dt.UTC)
    rows = HourTally.objects.filter(shop=shop, measure="persona", hour__gte=start, hour__lte=now, origin__in=SHOWN).order_by()
    known = set(Archetype.objects.filter(shop=shop).values_list("pk", flat=True))
    by_persona = {pk: np.zeros(len(days)) for pk in known}
    for told, key, much in rows.annotate(day=Day("hour")).values_list("day", "key").annotate(Sum("value")):
        day = dt.date.fromisoformat(told)
        if key.isdecimal() and int(key) in known and since <= day <= until:
            by_persona[int(key)][(day - since).days] += much
    late = rows.filter(hour__gte=now - 2 * HOUR).values_list("key").annotate(Sum("value"))
    latest = {int(key): much for key, much in late if key.isdecimal() and int(key) in known}
    return Shares(days, by_persona, latest)


class Fit(NamedTuple):
    """What one fit made of a persona. kept : how much of what it is named by it shows, None where nothing names it."""

    at: dt.datetime
    version: int | None
    share: float
    drift: float
    kept: float | None
    drifted: bool


def fits(shop: Shop, persona: int) -> list[Fit]:
    """A persona at the shop's latest fits, the oldest first."""
    done = TrainingRun.objects.filter(shop=shop, state=TrainingRun.State.DONE).exclude(kind=TrainingRun.Kind.CLUSTERS)
    rows = done.order_by("-pk").values_list("started_at", "report__version", "report__archetypes")[:FITS]
    found = []
    for at, version, entries in rows:
        for entry in entries or ():
            if entry["id"] == persona:
                found.append(Fit(at, version, entry["share"], entry["drift"], entry["kept"], entry["drifted"]))
    return found[::-1]


@dataclass(frozen=True)
class Tile:
    """One persona of the overview. fit : its entry in the report of the fit that serves, {} before there is one."""

    archetype: Archetype
    parts: tuple[Part, ...]
    now: float | None
    share: float | None
    by_day: np.ndarray
    fit: Mapping[str, Any]
    reached: tuple[Reached, ...]
    clusters: int
    rate: Rate

    @property
    def since_fit(self) -> str:
        """What became of it since the last fit, in a sentence."""
        if not self.fit:
            return "Not fitted yet."
        at_fit, kept = self.fit["share"], self.fit.get("kept")
        told = f"At the last fit {100 * at_fit:.0f} % of the events"
        if self.share is not None and abs(self.share - at_fit) >= APART:
            points = round(100 * (self.share - at_fit))
            told += f", {abs(points)} points {'more' if points > 0 else 'fewer'} since"
        elif self.share is not None:
            told += ", about the same since"
        if self.fit["drifted"]:
            return f"{told}. It has drifted from what it is named by."
        if kept is None:
            return f"{told}."
        return f"{told}. Shows {'all' if kept >= 1 else f'{100 * kept:.0f} %'} of what it is named by."


def mixed(archetype: Archetype, names: Mapping[str, str]) -> tuple[Part, ...]:
    """The attributes of a persona, most first."""
    whole = sum(weight for weight in archetype.mix.values() if isinstance(weight, int | float)) or 1.0
    parts = [Part(names.get(key, key), key, 100.0 * weight / whole) for key, weight in archetype.mix.items()]
    return tuple(sorted(parts, key=lambda part: -part.percent))


def overview(shop: Shop, days: int, now: dt.datetime) -> list[Tile]:
    """The shop's personas in their order. now : aware, UTC. As many queries for many personas as for one."""
    people = list(Archetype.objects.filter(shop=shop).order_by("place", "pk"))
    names = dict(Attribute.objects.filter(shop=shop).values_list("key", "name"))
    since = now.date() - dt.timedelta(days=days - 1)
    counted, told = shares(shop, since, now), pairs(shop, since, now.date())
    release = Release.objects.active(shop)
    run = TrainingRun.objects.fit_of(release) if release else None
    entries = {entry["id"]: entry for entry in run.report.get("archetypes", ())} if run else {}
    first = {who.pk: told.first(who.pk, FIRST) for who in people}
    called = names_of(shop, sorted({cluster for clusters in first.values() for cluster in clusters}))
    return [
        Tile(
            archetype=who,
            parts=mixed(who, names),
            now=counted.latest(who.pk),
            share=counted.whole(who.pk),
            by_day=counted.of(who.pk),
            fit=entries.get(who.pk, {}),
            reached=tuple(told.reached(who.pk, called, FIRST)),
            clusters=told.count(who.pk),
            rate=told.of_persona(who.pk),
        )
        for who in people
    ]


def sentence(tiles: Sequence[Tile], days: int) -> str:
    """The overview in a sentence."""
    ranked = sorted((t for t in tiles if t.share is not None), key=lambda t: -(t.share or 0.0))
    if not ranked:
        return f"Nobody was here in the last {days} days: shares show up with the first visit."
    most = ", ".join(f"{t.archetype.name} {100 * (t.share or 0.0):.0f} %" for t in ranked[:3])
    return f"In the last {days} days most events were taken for: {most}."
