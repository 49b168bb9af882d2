"""A draft tried on visits, as a page shows it: how many change, whom each is taken for, what comes and goes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clusters.models import Item
from personas import versions
from personas.models import Archetype, Session, in_chunks
from recommendations.desk.personas.drafts import NotFittedError
from recommendations.desk.personas.trials import NOTICED, SLOTS, Standing
from recommendations.desk.personas.trying import TOLD, Tried, try_out
from recommendations.releases import ReleaseError

FIRST = 12
"""Visits that are drawn, the most changed."""

NAMED = 3
"""Items that are named of those that come, and of those that go."""


class CantTellError(Exception):
    """Why nothing can be shown, and what to do about it, in words."""


class Slice(NamedTuple):
    """One persona's part of a belief. percent : 0 to 100."""

    name: str
    colour: str
    percent: float


@dataclass(frozen=True)
class Visit:
    """One visit before and after. moved : percent of the belief."""

    session: Session
    before: list[Slice]
    after: list[Slice]
    told: str
    anew: bool
    moved: float
    came: list[str]
    went: list[str]
    more: int


@dataclass(frozen=True)
class Told:
    """What the page shows. visits : the most changed; `rest` further ones change less.  total : visits tried; of these, `anew`
    are taken for somebody else, `moved` have another belief, `slates` another slate, by `items` of `slots` items on average.

    before, after : the persona's mean belief over the visits, percent.  told : events of each that count.
    """

    visits: list[Visit]
    total: int
    anew: int
    moved: int
    slates: int
    items: float
    before: float
    after: float
    slots: int
    told: int
    rest: int
    simulated: int
    imported: int
    latest: dt.datetime | None
    quiet: bool


def told(who: Archetype, definition: Mapping[str, Any], visits: Sequence[int]) -> Told:
    """The draft tried, for its page. Raises CantTellError, and PersonaError where the definition can't be taken."""
    try:
        found = try_out(who.shop, definition, visits)
    except ReleaseError as error:
        raise CantTellError(
            f"The shop isn't served yet, so there is nothing to compare with: train it first ({error})."
        ) from error
    except NotFittedError as error:
        raise CantTellError(str(error)) from error
    if not found.sessions:
        raise CantTellError(
            "No visit has enough events to try this on yet. Let shoppers or simulated visitors in, or import a log."
        )
    shown = [t for t in found.trials if t.taken_anew or t.moved >= NOTICED or t.came][:FIRST]
    names = _names([i for t in shown for i in (*t.came[:NAMED], *t.went[:NAMED])])
    people = {e["id"]: (e["name"], e["colour"]) for e in definition["archetypes"]}
    for entry in versions.ever(who.shop).values():
        people.setdefault(entry.id, (entry.name, entry.colour))
    drawn = [
        Visit(
            session=found.sessions[t.place],
            before=_slices(t.before, people),
            after=_slices(t.after, people),
            told=_taken(t.before, t.after, people),
            anew=t.taken_anew,
            moved=100 * t.moved,
            came=[names.get(i, f"item {i}") for i in t.came[:NAMED]],
            went=[names.get(i, f"item {i}") for i in t.went[:NAMED]],
            more=max(0, len(t.came) - NAMED),
        )
        for t in shown
    ]
    return _summed(who, found, drawn)


def _summed(who: Archetype, found: Tried, drawn: list[Visit]) -> Told:
    trials, total = found.trials, len(found.trials)
    slates = sum(bool(t.came) for t in trials)
    changed = [t for t in trials if t.taken_anew or t.moved >= NOTICED or t.came]
    return Told(
        visits=drawn,
        total=total,
        anew=sum(t.taken_anew for t in trials),
        moved=sum(t.moved >= NOTICED for t in trials),
        slates=slates,
        items=sum(len(t.came) for t in trials) / max(1, slates),
        before=100 * sum(t.before.belief.get(who.pk, 0.0) for t in trials) / total,
        after=100 * sum(t.after.belief.get(who.pk, 0.0) for t in trials) / total,
        slots=SLOTS,
        told=TOLD,
        rest=len(changed) - len(drawn),
        simulated=found.simulated,
        imported=found.imported,
        latest=found.sessions[0].last_at,
        quiet=not changed,
    )


def _slices(standing: Standing, people: Mapping[int, tuple[str, str]]) -> list[Slice]:
    """In the same order before and after, so that a bar's parts can be compared by eye."""
    return [
        Slice(*people.get(i, (str(i), "#999999")), round(100 * p, 1)) for i, p in sorted(standing.belief.items()) if p >= 0.005
    ]


def _taken(before: Standing, after: Standing, people: Mapping[int, tuple[str, str]]) -> str:
    """Whom a visit is taken for, then and now."""
    was, would = (
        (people.get(s.taken, (str(s.taken), ""))[0], 100 * s.belief[s.taken]) if s.taken else ("not sure yet", None)
        for s in (before, after)
    )
    if was[0] == would[0]:
        return was[0] if was[1] is None or would[1] is None else f"{was[0]} {was[1]:.0f} → {would[1]:.0f} %"
    return " → ".join(name if percent is None else f"{name} {percent:.0f} %" for name, percent in (was, would))


def _names(items: Sequence[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for chunk in in_chunks(set(items)):
        found.update(Item.objects.filter(pk__in=chunk).order_by().values_list("pk", "title"))
    return found
