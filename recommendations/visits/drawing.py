"""The belief over a visit as a chart whose columns lead to their steps; with changes, a second one beneath it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from recommendations.desk import stacks
from recommendations.visits import course_charts
from recommendations.visits.beside import Beside
from recommendations.visits.course import Course


class Way(NamedTuple):
    """A column that may be clicked. left, width : percent of the drawing.  here : whether it is the step that is shown."""

    url: str
    left: float
    width: float
    here: bool


def charts(course: Course, step: int, both: Beside | None, to: Callable[[int], str]) -> dict[str, Any]:
    """{"was", "would", "key", "ways"}: drawings, `would` None without changes. to : a step's address."""
    own = course_charts.columns(course)
    if both is None:
        steps = list(range(1, course.last + 1))
        was, would = course_charts.chart(course), None
    else:
        names = [column.title for column in own]
        left, right, steps = [], [], []
        before, after = course.standings[0].reading, both.standings[0].reading
        for place, other in both.paired[1:]:
            before = course.standings[place].reading if place is not None else before
            after = both.standings[other].reading if other is not None else after
            steps.append(place if place is not None else (steps[-1] if steps else 0))
            title = names[place - 1] if place else "put in"
            left.append(own[place - 1] if place else stacks.Column(course_charts.shares(before), "not there as it was"))
            how = course_charts.likeliest(course.engine, after)
            right.append(stacks.Column(course_charts.shares(after), f"{title if other is not None else 'left out'}. Then: {how}"))
        was = course_charts.drawn(course.engine, left, sentence=course_charts.sentence(course.engine, course.standings))
        told = course_charts.sentence(course.engine, both.standings) if len(both.standings) > 1 else "No event is left."
        would = {**course_charts.drawn(course.engine, right, sentence=f"As it would have been: {told}"), "told": told}
    key = was["key"] + [each for each in (would["key"] if would else ()) if each not in was["key"]]
    return {"was": was, "would": would, "key": key, "ways": _ways(steps, step, to)}


def _ways(steps: list[int], step: int, to: Callable[[int], str]) -> list[Way]:
    """Where each drawn column leads: to the last step that it stands for."""
    every = max(1, -(-len(steps) // stacks.MOST_COLUMNS))
    groups = [steps[i : i + every] for i in range(0, len(steps), every)]
    width = 100.0 / max(1, len(groups))
    return [Way(to(group[-1]), i * width, width, step in group) for i, group in enumerate(groups)]
