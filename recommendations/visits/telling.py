"""One step of a visit as its page shows it: the event, its evidence, clusters, decisions, slates and what became of them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.urls import reverse

from clusters.models import Item
from personas.events import ITEM_ACTIONS, UNKNOWN_ITEM, Event
from personas.models import Origin, moment
from recommendations import asked, counterfactual
from recommendations.desk.clusters.stories import picture
from recommendations.learning.lasting_bounds import WORDS as BOUNDS
from recommendations.models import AdaptationDecision, ServedSlate
from recommendations.replaying import ReplayedStep
from recommendations.session import Request, Slate
from recommendations.visits import course_charts
from recommendations.visits.course import Course

LISTED = 40
"""Steps that the list beside the chart shows at once."""

MOST_SLATES = 4
"""Slates of one step that are drawn."""

MOST_MOVED = 6

PLACES = {
    "home": "For you",
    "similar": "Similar items",
    "complementary": "Goes with an item",
    "cart": "Goes with the bag",
    "search": "Results of a search",
}
BOUGHT = "bought"

READ_LATER = frozenset({Origin.IMPORT.value, Origin.SIMULATED.value})
"""Origins of visits whose events were written down, or made up, and read in much later: that says nothing of them."""


class Named(NamedTuple):
    """Something with a name and, for those who may see it, its page."""

    name: str
    url: str


@dataclass(frozen=True)
class Card:
    """An item of a slate. marks : what became of it, in words.  why : page that tells why it was there, "" for none.

    differs : "goes" or "comes" beside another slate, "" for neither.
    """

    title: str
    url: str
    picture: str
    persona: str
    colour: str
    reason: str = ""
    why: str = ""
    marks: tuple[str, ...] = ()
    differs: str = ""


@dataclass(frozen=True)
class Shown:
    """A slate. url : its own page, "" for one that was not served."""

    place: str
    url: str
    cards: tuple[Card, ...]
    said: str = ""


@dataclass
class Names:
    """Items, clusters and personas by id, as one page names them; what is not needed is never asked for."""

    course: Course
    person: AbstractUser | AnonymousUser
    items: dict[int, Item] = field(default_factory=dict)

    def load(self, ids: Iterable[int]) -> None:
        """Read items that the page will name."""
        wanted = {int(i) for i in ids} - self.items.keys() - {UNKNOWN_ITEM}
        self.items |= Item.objects.in_bulk(wanted) if wanted else {}

    def item(self, pk: int) -> Named:
        item = self.items.get(pk)
        if item is None:
            return Named("an item that the catalogue lacks" if pk != UNKNOWN_ITEM else "", "")
        may = self.person.has_perm("clusters.view_item")
        return Named(str(item), reverse("admin:clusters_item_change", args=[pk]) if may else "")

    def picture(self, pk: int) -> str:
        return picture(self.course.session.shop, self.items[pk]) if pk in self.items else ""

    def cluster(self, pk: int) -> Named:
        clusters = self.course.engine.clusters
        place = clusters.position_of.get(pk)
        if place is None:
            return Named("a cluster that this release lacks", "")
        may = self.person.has_perm("clusters.view_itemcluster")
        return Named(clusters.names[place], reverse("admin:clusters_itemcluster_change", args=[pk]) if may else "")

    def persona(self, pk: int) -> tuple[str, str]:
        """Name and colour, "" for one that this release lacks."""
        model = self.course.engine.personas
        if pk not in model.ids:
            return "", ""
        k = model.ids.index(pk)
        return model.archetype_names[k], model.archetype_colours[k]


# The list of steps


def listed(course: Course, step: int, names: Names) -> dict[str, Any]:
    """The steps around one: {"rows", "first", "last", "before", "after"}; the latter two where the list goes on, 0 for none."""
    first = max(1, min(step - LISTED // 2, course.last - LISTED + 1))
    last = min(course.last, first + LISTED - 1)
    names.load(event.item for event in course.past.events[first - 1 : last])
    slates = [slate.at for slate in course.past.served]
    rows = []
    for number in range(first, last + 1):
        event, standing = course.past.events[number - 1], course.standings[number]
        flags = []
        if standing.shift:
            flags.append(("shift", course_charts.shift_words(course, number)))
        if standing.acted:
            flags.append(("cluster", "the agent widened or narrowed a cluster here, or a bound stopped it"))
        if _slates_of(course, slates, number):
            flags.append(("slate", "a page was given recommendations here"))
        rows.append(
            {
                "step": number,
                "at": course_charts.clock(course.session, standing.at),
                "event": course_charts.event_words(event),
                "about": names.item(event.item).name or event.query,
                "quiet": event.name == "view_item_list",
                "parts": course_charts.parts(course.engine, standing.reading),
                "likeliest": course_charts.likeliest(course.engine, standing.reading),
                "flags": flags,
            }
        )
    before, after = (max(1, first - LISTED // 2) if first > 1 else 0), (last + LISTED // 2 if last < course.last else 0)
    return {"rows": rows, "first": first, "last": last, "before": before, "after": min(after, course.last)}


def _slates_of(course: Course, slates: Sequence[float], step: int) -> int:
    events = course.past.events
    until = bisect_left(slates, events[step].received_at) if step < len(events) else len(slates)
    return until - bisect_left(slates, events[step - 1].received_at)


# One step


def step(course: Course, number: int, names: Names) -> dict[str, Any]:
    """What happened at a step: event, evidence, belief, clusters, decisions. 0 is before the first event."""
    engine, model = course.engine, course.engine.personas
    standing = course.standings[number]
    told: dict[str, Any] = {
        "number": number,
        "at": course_charts.clock(course.session, standing.at),
        "day": moment(standing.at),
        "likeliest": course_charts.likeliest(engine, standing.reading),
        "parts": course_charts.parts(engine, standing.reading),
        "unsure": standing.reading.unsure,
    }
    event = course.event(number)
    now = counterfactual.moment(engine, event, standing.at, course.state(number), None)
    if event is None:
        rows = zip(model.archetype_names, model.archetype_colours, standing.reading.belief, strict=True)
        told["personas"] = [{"name": n, "colour": c, "after": 100 * p} for n, c, p in sorted(rows, key=lambda row: -row[2])]
        told["clusters"] = {"now": [names.cluster(c) for c in now.clusters], "in": [], "out": []}
        return told
    done = course.step(number)
    names.load([*event.items, event.item])
    then = counterfactual.moment(engine, None, standing.at, course.state(number - 1), None)
    told |= {
        "event": course_charts.event_words(event),
        "name": event.name,
        "item": names.item(event.item),
        "picture": names.picture(event.item),
        "more": [names.item(item) for item in event.items[1:]] if event.name != "view_item_list" else [],
        "seen": len(event.items) if event.name == "view_item_list" else 0,
        "query": event.query,
        "details": _details(course, event),
        "said": course_charts.said(engine, done),
        "shift": course_charts.shift_words(course, number),
        "personas": _personas(done, model.archetype_names, model.archetype_colours),
        "names": model.archetype_names,
        "factors": [
            (course_charts.label(f.factor, f.value), [course_charts.nats(n, 2) for n in f.nats]) for f in done.evidence.factors
        ],
        "time": [course_charts.nats(n, 2) for n in done.evidence.time],
        "clusters": {
            "now": [names.cluster(c) for c in now.clusters],
            "in": [names.cluster(c) for c in now.clusters if c not in then.clusters],
            "out": [names.cluster(c) for c in then.clusters if c not in now.clusters],
        },
        "moved": [
            (names.cluster(c), before, after)
            for c, (before, after) in sorted(done.changed.items(), key=lambda pair: -abs(math.log(_ratio(*pair[1]))))[:MOST_MOVED]
        ],
        "decisions": _decisions(course, event, done, names),
    }
    return told


def _ratio(before: float, after: float) -> float:
    return max(after, 1e-6) / max(before, 1e-6)


def _details(course: Course, event: Event) -> list[str]:
    found = []
    if event.price is not None:
        found.append(f"at {event.price:,.2f} {course.session.shop.currency}")
    if event.quantity != 1:
        found.append(f"{event.quantity:g} of it")
    if event.dwell_s is not None:
        found.append(f"for {course_charts.duration(event.dwell_s)}")
    late = event.received_at - event.at
    if late >= 60 and course.session.origin not in READ_LATER:
        found.append(f"told {course_charts.duration(late)} later")
    return found


def _personas(done: ReplayedStep, names: Sequence[str], colours: Sequence[str]) -> list[dict[str, Any]]:
    """Each persona with its belief before and after, and all that the event said of it, likeliest first. bar : of a drawing that
    is 200 wide with its zero in the middle."""
    said = np.sum([f.nats for f in done.evidence.factors], axis=0) if done.evidence.factors else np.zeros(len(names))
    widest = max(float(np.abs(said).max()), 0.7)
    rows = []
    for k, (name, colour) in enumerate(zip(names, colours, strict=True)):
        length = 98.0 * abs(float(said[k])) / widest
        rows.append(
            {
                "name": name,
                "colour": colour,
                "before": 100 * done.before.belief[k],
                "after": 100 * done.after.belief[k],
                "nats": course_charts.nats(float(said[k])),
                "against": said[k] < 0,
                "x": 100.0 if said[k] >= 0 else 100.0 - length,
                "width": max(length, 0.5),
            }
        )
    return sorted(rows, key=lambda row: -row["after"])


def _decisions(course: Course, event: Event, done: ReplayedStep, names: Names) -> list[dict[str, Any]]:
    """What the agent did upon the event as the log has it; where it has nothing, what the replay would have done."""
    mine = {"shop": course.session.shop_id, "session_id": course.session.session_id, "event_id": event.event_id}
    logged = list(AdaptationDecision.objects.filter(**mine).order_by("pk"))
    rows: list[dict[str, Any]] = []
    for row in logged:
        among = len(row.options)
        rows.append(_decision(names, row.cluster, row.action, row.target, row.propensity, among, ""))
    if not logged:
        how = "" if course.session.origin == "import" else "in the replay; the log has no decision here"
        for made in done.decisions:
            rows.append(_decision(names, made.cluster, made.action, made.target, made.propensity, 0, how))
    for stopped in done.blocked:
        why = BOUNDS.get(stopped.bound, stopped.bound)
        verb = "widened" if stopped.action == "expand" else "narrowed"
        rows.append(
            {"verb": f"would have {verb}", "cluster": names.cluster(stopped.cluster), "target": None, "how": f"stopped: {why}"}
        )
    return rows


def _decision(names: Names, cluster: int, action: str, target: int, p: float, among: int, how: str) -> dict[str, Any]:
    verb = {"expand": "widened", "contract": "narrowed", "keep": "left as it was"}.get(action, action)
    chance = f"with {100 * p:.0f} chances in 100{f' among {among} options' if among > 1 else ''}"
    return {
        "verb": verb,
        "cluster": names.cluster(cluster),
        "target": names.cluster(target) if target else None,
        "how": ", ".join(filter(None, [chance, how])),
    }


# Slates


def served(course: Course, number: int, names: Names) -> tuple[list[Shown], list[ServedSlate]]:
    """The slates of a step as they were logged, with what was seen, clicked and bought of each; and their rows."""
    events = course.past.events
    mine = ServedSlate.objects.filter(shop=course.session.shop_id, session_id=course.session.session_id)
    mine = mine.filter(at__gte=moment(events[number - 1].received_at if number else course.past.started_at - 1.0))
    if number < len(events):
        mine = mine.filter(at__lt=moment(events[number].received_at))
    rows = list(mine.order_by("at", "pk")[:MOST_SLATES])
    names.load(entry["item"] for row in rows for entry in row.items)
    return [_served(course, row, names) for row in rows], rows


def _served(course: Course, row: ServedSlate, names: Names) -> Shown:
    marks: dict[int, list[str]] = {entry["item"]: [] for entry in row.items}

    def mark(item: int, what: str) -> None:
        if item in marks and what not in marks[item]:
            marks[item].append(what)

    for event in course.past.events:
        ours = event.recommendation_id == row.recommendation_id
        if ours and event.name == "view_item_list":
            for item in event.items:
                mark(item, "seen")
        elif ours and event.name in ITEM_ACTIONS:
            mark(event.item, "clicked")
        if event.name == "purchase" and event.at >= row.at.timestamp():
            for item in event.items:
                mark(item, BOUGHT)
    may = names.person.has_perm("recommendations.view_servedslate")
    why = "admin:recommendations_servedslate_why"
    cards = []
    for entry in row.items:
        name, colour = names.persona(entry["persona"])
        shown = names.item(entry["item"])
        found = [*marks[entry["item"]], *(["tried out"] if entry["propensity"] < 0.5 else [])]
        cards.append(
            Card(
                title=shown.name,
                url=shown.url,
                picture=names.picture(entry["item"]),
                persona=name,
                colour=colour,
                why=reverse(why, args=[row.pk, entry["item"]]) if may else "",
                marks=tuple(found),
            )
        )
    url = reverse("admin:recommendations_servedslate_change", args=[row.pk]) if may else ""
    seen, clicked = (sum(what in marks[entry["item"]] for entry in row.items) for what in ("seen", "clicked"))
    said = f"{seen} of {len(row.items)} seen, {clicked} clicked" if seen or clicked else "no page said that it was seen"
    return Shown(PLACES.get(row.context, row.context) or PLACES["home"], url, tuple(cards), said)


def made(slate: Slate | None, names: Names, *, other: Slate | None = None, differs: str = "") -> tuple[Card, ...]:
    """A slate that was made just now. other : the one beside it; what that lacks is marked with `differs`."""
    there = {item.item for item in other.items} if other is not None else None
    cards = []
    for item in slate.items if slate else ():
        name, colour = names.persona(item.persona)
        told = names.item(item.item)
        only = differs if there is not None and item.item not in there else ""
        cards.append(Card(told.name, told.url, names.picture(item.item), name, colour, reason=item.reason, differs=only))
    return tuple(cards)


def request_of(course: Course, rows: Sequence[ServedSlate]) -> Request:
    """How slates are asked for at a step: as the step's own were, else as by default. What was found by a search then was found
    for what was typed, and is left out."""
    row = next((r for r in sorted(rows, key=lambda r: r.context != "home") if r.context != "search"), None)
    if row is None:
        return Request(now=course.past.started_at)
    return asked.read(row.versions.get("asked", {}), now=row.at.timestamp(), context=row.context)


def by_persona(course: Course, was: Sequence[float], would: Sequence[float]) -> list[Mapping[str, Any]]:
    """Two beliefs beside one another, those first that differ most."""
    model = course.engine.personas
    rows = zip(model.archetype_names, model.archetype_colours, was, would, strict=True)
    told = [{"name": n, "colour": c, "was": 100 * a, "would": 100 * b, "by": 100 * (b - a)} for n, c, a, b in rows]
    return sorted(told, key=lambda row: -max(row["was"], row["would"]))
