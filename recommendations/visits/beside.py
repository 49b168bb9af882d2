"""A visit beside what it would have been, at one step and at the end: only what differs is replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from personas.events import Event
from recommendations import counterfactual
from recommendations.counterfactual import Edit, Moment
from recommendations.session import Request
from recommendations.visits.course import EVERY, Course, Standing, standing_of

TOLD = 0.005
"""Probability by which a belief must differ to be said to."""

SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Pair:
    """Two moments of the same step. at_end : whether it is the visit's last."""

    was: Moment
    would: Moment
    at_end: bool

    @property
    def gone(self) -> list[int]:
        """Items of the slate as it was that the other lacks."""
        there = {item.item for item in self.would.slate.items} if self.would.slate else set()
        return [item.item for item in self.was.slate.items if item.item not in there] if self.was.slate else []

    @property
    def alike(self) -> bool:
        """Whether both slates hold the same items in the same order."""
        was, would = ([item.item for item in m.slate.items] if m.slate else [] for m in (self.was, self.would))
        return was == would


@dataclass(frozen=True)
class Beside:
    """events, standings : of the visit as it would have been, like `Course.past.events` and `Course.standings`.

    paired : as `counterfactual.pairs`.  here, end : the step that is shown, and the last.
    """

    events: tuple[Event, ...]
    standings: tuple[Standing, ...]
    paired: tuple[tuple[int | None, int | None], ...]
    here: Pair
    end: Pair


def beside(course: Course, edits: Sequence[Edit], step: int, request: Request) -> Beside:
    """The visit beside itself with the edits made. request : how slates are asked for, each at its moment's own time.

    Exploration is left out on both sides: chance is no effect of an edit. Raises EditError.
    """
    asked = replace(request, explore=0.0)
    events = counterfactual.edited(course.engine, course.past.events, edits)
    paired = counterfactual.pairs(course.past.events, events)
    same = next((i for i, (a, b) in enumerate(zip(course.past.events, events, strict=False)) if a != b), None)
    first = min(len(events), course.last) if same is None else same
    first -= first % EVERY
    there, end = counterfactual.beside(paired, step), len(events)
    states = {place: course.state(place) for place in {there, end} if place <= first}
    standings = list(course.standings[: first + 1])
    for place, walked in enumerate(course.walk(first, events), first + 1):
        standings.append(standing_of(course.engine, walked))
        if place in (there, end):
            states[place] = walked.state

    def pair(step_: int, place: int) -> Pair:
        engine, now = course.engine, course.standings[step_].at
        at = max(now, standings[place].at)
        was = counterfactual.moment(engine, course.event(step_), at, course.state(step_), asked)
        event = events[place - 1] if place else None
        return Pair(was, counterfactual.moment(engine, event, at, states[place], asked), step_ == course.last)

    here = pair(step, there)
    last = here if step == course.last and there == end else pair(course.last, end)
    return Beside(events, tuple(standings), paired, here, last)


def told(pair: Pair, names: Sequence[str], changes: Sequence[str]) -> str:
    """What the changes make of a step, in a sentence. names : of the personas.  changes : in words."""
    belief, would = np.array(pair.was.belief), np.array(pair.would.belief)
    if len(changes) == 1:
        said = changes[0].rpartition(", step ")[0] or changes[0]
        head = f"{said[:1].upper()}{said[1:]}, "
    else:
        head = f"With these {number(len(changes))} changes, "
    k = int(np.argmax(np.abs(would - belief)))
    parts = []
    if abs(would[k] - belief[k]) >= TOLD:
        parts.append(f"{names[k]} would have been {100 * would[k]:.0f} in 100 instead of {100 * belief[k]:.0f}")
    many = len(pair.was.slate.items) if pair.was.slate else 0
    if pair.gone:
        parts.append(f"{number(len(pair.gone))} of {number(many)} items would differ")
    groups = len(set(pair.was.clusters) ^ set(pair.would.clusters))
    if groups and not pair.gone:
        parts.append(f"{number(groups)} group{'s' if groups > 1 else ''} of items would have come or gone")
    if not parts:
        return f"{head}nothing would have been another {'at the end' if pair.at_end else 'here'}."
    if many and not pair.gone:
        parts.append(f"the same items would have been recommended{'' if pair.alike else ', in another order'}")
    return f"{head}{' and '.join(parts) if len(parts) < 3 else f'{parts[0]}, {parts[1]}, and {parts[2]}'}."


def number(count: int) -> str:
    """A small number in words."""
    return SMALL[count] if count < len(SMALL) else f"{count:,}"
