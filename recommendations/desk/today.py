"""What shoppers are like today, beside a week ago: numbers by the hour, the mix of personas, and how rails do."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from personas.models import Archetype, Origin, Shop
from recommendations.desk import charts, stacks
from recommendations.hourly import HOUR, Hours, hour_of, read

WEEK = 7 * 24
Z = 1.96
"""Standard deviations of a 95 % interval."""

LEAST = 0.005
"""A persona's share below which it isn't told of."""

PLACES = {
    "home": "For you (home and lists)",
    "similar": "Similar items",
    "complementary": "Goes with an item",
    "cart": "Goes with the bag",
    "search": "Search results for you",
}


class Figure(NamedTuple):
    """A number with its unit, what it was like a week ago, and its course. means : what it counts."""

    label: str
    value: str
    compared: str
    means: str
    spark: str


class Rail(NamedTuple):
    """How often what a place of the shop recommends was seen and clicked. rate, before : in words, with their intervals."""

    place: str
    seen: int
    clicked: int
    rate: str
    before: str


class Share(NamedTuple):
    name: str
    colour: str
    percent: float


@dataclass(frozen=True)
class Today:
    """What the page shows of a shop. hours : the last two weeks, up to the hour that is under way.  nobody : came today to a shop
    that simulated visitors came to of late."""

    figures: list[Figure]
    mix: str
    mix_key: list[dict[str, str]]
    now: list[Share]
    now_told: str
    rails: list[Rail]
    hours: Hours
    simulated: int
    empty: bool
    nobody: bool


def today(shop: Shop, now: dt.datetime) -> Today:
    """now : aware. Days begin at midnight UTC, as all times of the desk are."""
    hours = read(shop, now - 2 * WEEK * HOUR, now)
    simulated = read(shop, now - WEEK * HOUR, now, [Origin.SIMULATED]).of("session").sum()
    mix, key = _mix(shop, hours)
    share = _now(shop, hours)
    return Today(
        figures=_figures(shop, hours, now),
        mix=mix,
        mix_key=key,
        now=share,
        now_told=_now_told(share),
        rails=_rails(hours),
        hours=hours,
        simulated=int(simulated),
        empty=not hours.of("event").any(),
        nobody=simulated > 0 and not hours.part(hours.length - now.astimezone(dt.UTC).hour - 1, hours.length).of("session").any(),
    )


# Numbers


def _figures(shop: Shop, hours: Hours, now: dt.datetime) -> list[Figure]:
    since = hour_of(now).hour + 1
    n = hours.length
    so_far = hours.part(n - since, n)
    then_day = hours.part(n - since - WEEK, n - since - WEEK + 24)
    # The hour that is under way counts for as much of it as has gone by.
    weight = np.zeros(24)
    weight[: since - 1] = 1.0
    weight[since - 1] = now.minute / 60.0 + now.second / 3600.0
    weekday = f"{now - 7 * 24 * HOUR:%A}"

    def counted(label: str, measure: str, unit: str, means: str) -> Figure:
        rows, then = so_far.of(measure), then_day.of(measure)
        value = f"{rows.sum():,.0f}{unit}"
        return Figure(label, value, compared(rows.sum(), (then * weight).sum(), weekday), means, charts.spark(rows, then))

    visits, buyers = so_far.of("session"), so_far.of("buyer")
    before = (then_day.of("session") * weight).sum(), (then_day.of("buyer") * weight).sum()
    share = told_rate(buyers.sum(), visits.sum())
    conversion = Figure(
        "Visits that buy",
        share.partition(" (")[0] if visits.sum() else "–",
        _rates(share, told_rate(before[1], before[0]), weekday),
        "Visits that bought today, to those that began today; in brackets, between what it lies with 95 % certainty.",
        charts.spark(_cumulative(buyers, visits), _cumulative(then_day.of("buyer"), then_day.of("session"))),
    )
    return [
        counted("Visits", "session", "", "Visits whose first event came today."),
        counted("Events", "event", "", "Looks, clicks, searches, carts, purchases and what pages reported as seen."),
        conversion,
        counted("Revenue", "revenue", f" {shop.currency}", "What was bought, price times quantity, as the shop sent it."),
    ]


def compared(now: float, before: float, weekday: str) -> str:
    """How much above or below last week's, in words."""
    if before <= 0:
        return f"nothing last {weekday} by now to compare with"
    change = now / before - 1.0
    if abs(change) < 0.005:
        return f"as last {weekday} by now"
    return f"{abs(change):.0%} {'above' if change > 0 else 'below'} last {weekday} by now".replace("%", " %")


def _rates(now: str, before: str, weekday: str) -> str:
    inside = now.partition(" (")[2].rstrip(")")
    told = f"({inside})" if inside else "no visit yet"
    return f"{told}, last {weekday} {before.partition(' (')[0]}" if before else told


def _cumulative(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """(n,) the ratio so far, hour by hour."""
    return np.divide(np.cumsum(above), np.cumsum(below), out=np.zeros(len(above)), where=np.cumsum(below) > 0)


def interval(part: float, whole: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), which stays within 0 to 1 and is honest for few."""
    if whole <= 0:
        return 0.0, 1.0
    share = min(part / whole, 1.0)
    middle = (share + Z * Z / (2 * whole)) / (1 + Z * Z / whole)
    half = Z / (1 + Z * Z / whole) * math.sqrt(share * (1 - share) / whole + Z * Z / (4 * whole * whole))
    return max(0.0, middle - half), min(1.0, middle + half)


def told_rate(part: float, whole: float) -> str:
    """ "5.1 in 100 (3.9 to 6.5)", "" of nothing."""
    if whole <= 0:
        return ""
    low, high = interval(part, whole)
    return f"{100 * min(part / whole, 1.0):.1f} in 100 ({100 * low:.1f} to {100 * high:.1f})"


# Personas


def _people(shop: Shop) -> dict[int, Archetype]:
    return {row.pk: row for row in Archetype.objects.filter(shop=shop)}


def _mix(shop: Shop, hours: Hours) -> tuple[str, list[dict[str, str]]]:
    """Personas' parts of each of the last 24 hours' events, drawn."""
    people = list(_people(shop).values())
    day = hours.part(hours.length - 24, hours.length)
    rows = np.array([day.of("persona", str(who.pk)) for who in people]).reshape(len(people), 24)
    total = rows.sum(axis=0)
    columns = []
    for i in range(24):
        shares = (rows[:, i] / total[i]).tolist() if total[i] > 0 else [0.0] * len(people)
        at = day.start + i * HOUR
        most = max(zip(shares, people, strict=True), key=lambda pair: pair[0])[1].name if total[i] > 0 else ""
        columns.append(stacks.Column(shares, f"{at:%H:%M}: {most or 'no visit'}{', mostly' if most else ''}"))
    seen = {k: float(rows[k].sum()) for k in range(len(people))}
    names, colours = [who.name for who in people], [who.colour for who in people]
    if not total.any():
        return "", []
    leading = names[max(seen, key=lambda k: seen[k])]
    drawn = stacks.draw(columns, colours, sentence=f"Personas by the hour, the last 24 hours; most of it {leading}.")
    return drawn, stacks.key(names, colours, seen)


def _now(shop: Shop, hours: Hours) -> list[Share]:
    """Personas of the hour under way and the one before, those with the most first."""
    people = _people(shop)
    late = hours.part(hours.length - 2, hours.length)
    much = {pk: float(late.of("persona", str(pk)).sum()) for pk in people}
    total = sum(much.values())
    if total <= 0:
        return []
    shares = [Share(people[pk].name, people[pk].colour, round(100 * value / total, 1)) for pk, value in much.items()]
    return sorted((s for s in shares if s.percent >= 100 * LEAST), key=lambda s: -s.percent)


def _now_told(shares: Sequence[Share]) -> str:
    """The mix in a sentence."""
    if not shares:
        return "Nobody has been here in the last hour."
    first = ", ".join(f"{s.name} {s.percent:.0f} %" for s in shares[:3])
    return f"In the last hour or two: {first}{' and others' if len(shares) > 3 else ''}."


# Rails


def _rails(hours: Hours) -> list[Rail]:
    """By place, the last seven days beside the seven before."""
    latest, before = hours.part(hours.length - WEEK, hours.length), hours.part(hours.length - 2 * WEEK, hours.length - WEEK)
    found = []
    for context in sorted({*hours.keys("seen"), *hours.keys("click")}):
        seen, clicked = latest.of("seen", context).sum(), latest.of("click", context).sum()
        then = told_rate(before.of("click", context).sum(), before.of("seen", context).sum())
        place = PLACES.get(context, context.capitalize())
        found.append(Rail(place, int(seen), int(clicked), told_rate(clicked, seen) or "not seen yet", then or "–"))
    return sorted(found, key=lambda rail: -rail.seen)
