"""A session in words and bars: belief over time, what each event said, when one persona gave way to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.utils.safestring import mark_safe

from personas.events import Event
from personas.evidence import used
from personas.ledger import Shift
from personas.models import Clock, Session, moment
from recommendations.desk import stacks
from recommendations.desk.personas.charts import WORDS
from recommendations.engine import Engine, clock_evidence
from recommendations.releases import ReleaseError
from recommendations.replaying import Reading, ReplayedStep
from recommendations.visits.course import Course, NoEventsError, Standing, course_of

TOLD_NATS = 0.1
"""Nats under which a factor says nothing worth words: it moves odds by less than a tenth."""

MOST_TOLD = 3
LONG_S = 60.0
EASED = 0.05
"""Seconds from which what went by is told as time, and probability moved from which the step itself has a line."""

LEAST_SHOWN = 0.02
"""Share of a bar below which a persona has no part in it."""

FACTORS = {
    "event": "",
    "category": "category",
    "price_tier": "price tier",
    "dwell": "time spent",
    "gap": "a pause of",
    "novelty": "",
    "query": "a search for",
    "discount": "",
}


def course(session: Session) -> dict[str, Any]:
    """What `session_course.html` shows above a session's raw row: {"missing": why there is nothing}, or chart and words."""
    try:
        found = course_of(session)
    except ReleaseError as error:
        return {"missing": f"The evidence is told by a replay on the shop's active release, and there is none to use: {error}"}
    except NoEventsError as error:
        return {"missing": str(error)}
    return {"chart": chart(found), "origin": session.origin, "release": found.engine.release, **words(found)}


def chart(found: Course) -> dict[str, Any]:
    """The belief after each event: drawing, its key, and how wide it is at most."""
    return drawn(found.engine, columns(found), sentence=sentence(found.engine, found.standings))


def drawn(engine: Engine, shown: Sequence[stacks.Column], *, sentence: str) -> dict[str, Any]:
    """Columns as a drawing, with its key and its width."""
    model = engine.personas
    seen = {k: max((column.shares[k] for column in shown if column.shares), default=0.0) for k in range(len(model.ids))}
    return {
        # Escaped where it is drawn; the colours are the archetypes' own, which a validator has checked.
        "drawing": mark_safe(stacks.draw(shown, model.archetype_colours, sentence=sentence)),
        "key": stacks.key(model.archetype_names, model.archetype_colours, {k: v for k, v in seen.items() if v >= 0.03}),
        "width": stacks.width(len(shown)),
    }


def columns(found: Course) -> list[stacks.Column]:
    """One a step, with what a pointer is told and where a persona gave way."""
    shown = []
    for step, standing in enumerate(found.standings[1:], 1):
        event = found.event(step)
        name = event.name if event else ""
        title = (
            f"{step}, {clock(found.session, standing.at)} {WORDS.get(name, name)}: {likeliest(found.engine, standing.reading)}"
        )
        shown.append(stacks.Column(shares(standing.reading), title, shift_words(found, step) if standing.shift else ""))
    return shown


def words(found: Course) -> dict[str, Any]:
    """What is said of a visit as a whole: its sentence, what the prior was told, when it began and ended."""
    evidence = used(found.engine.personas.network, clock_evidence(found.past.started_at) | found.past.context)
    return {
        "sentence": sentence(found.engine, found.standings),
        "evidence": [(name.replace("_", " "), value.replace("_", " ")) for name, value in sorted(evidence.items())],
        "remembered": bool(found.past.earlier),
        "first": clock(found.session, found.standings[1].at),
        "last": clock(found.session, found.standings[-1].at),
    }


def shares(reading: Reading) -> list[float]:
    """(K,) how far each persona stands above an even guess; what all leave over is not known yet."""
    return [stacks.standing(p, len(reading.belief)) for p in reading.belief]


def parts(engine: Engine, reading: Reading) -> list[dict[str, Any]]:
    """A belief as parts of one bar; what they leave over is grey."""
    model = engine.personas
    return [
        {"name": model.archetype_names[k], "colour": model.archetype_colours[k], "percent": 100.0 * part}
        for k, part in enumerate(shares(reading))
        if part >= LEAST_SHOWN
    ]


def clock(session: Session, at: float) -> str:
    """The time of day of an event (UTC), "" where only the day or the order is known."""
    return f"{moment(at):%H:%M:%S}" if session.clock == Clock.SECOND else ""


def likeliest(engine: Engine, reading: Reading) -> str:
    """Who leads, with how much."""
    k = int(np.argmax(reading.belief))
    told = f"{engine.personas.archetype_names[k]} {100 * reading.belief[k]:.0f} in 100"
    return f"not sure yet, {told}" if reading.unsure else told


def _now(engine: Engine, reading: Reading) -> str:
    """Who acts at this moment. `Reading.active` tells of the visit so far, which a shift leaves behind."""
    return engine.personas.archetype_names[int(np.argmax(reading.belief))]


def sentence(engine: Engine, standings: Sequence[Standing]) -> str:
    """What the chart says: how long, from when on one was sure of whom, who it ended with, how often it shifted.

    standings : the first is before the first event.
    """
    names = dict(zip(engine.personas.ids, engine.personas.archetype_names, strict=True))
    steps = standings[1:]
    lasted = steps[-1].at - steps[0].at
    parts = [f"{len(steps)} event{'s' if len(steps) > 1 else ''}{f' in {duration(lasted)}' if lasted > 0 else ''}."]
    sure = next((i for i, step in enumerate(steps) if not step.reading.unsure), None)
    if sure is None:
        return " ".join([*parts, "Never sure who it was."])
    parts.append(f"Sure from the {_nth(sure + 1)} event on: {_now(engine, steps[sure].reading)}.")
    shifts = [(i + 1, step.shift) for i, step in enumerate(steps) if step.shift]
    parts += [f"{_gave_way(engine, shift, f'At step {place}')}." for place, shift in shifts[:2]]
    if len(shifts) > 2:
        parts.append(f"And {len(shifts) - 2} more shifts.")
    last = steps[-1].reading
    turns = f"{' and '.join(names[i] for i in last.active)}, taking turns" if last.several else ""
    parts.append(f"At the end: {'not sure any more' if last.unsure else turns or _now(engine, last)}.")
    return " ".join(parts)


def shift_words(found: Course, step: int) -> str:
    """A shift with its place and its reason, "" where there is none."""
    shift = found.standings[step].shift
    return _gave_way(found.engine, shift, f"At step {step}") if shift else ""


def _gave_way(engine: Engine, shift: Shift, when: str) -> str:
    names = dict(zip(engine.personas.ids, engine.personas.archetype_names, strict=True))
    why = label(shift.factor, shift.value)
    return f"{when} {names[shift.source]} gave way to {names[shift.target]}: {why} spoke for it, weight {nats(shift.nats)}"


def nats(value: float, digits: int = 1) -> str:
    """With its sign, a minus as typographers write it; what rounds to nothing has none."""
    return f"{round(value, digits) or 0.0:{'+' if round(value, digits) else ''}.{digits}f}".replace("-", "−")


def event_words(event: Event) -> str:
    """What somebody does, in the shop's words: "looks at an item"."""
    return WORDS.get(event.name, event.name.replace("_", " "))


def said(engine: Engine, step: ReplayedStep) -> list[str]:
    """The event's evidence in words: what weighed most for or against those who were, or became, likely."""
    names, evidence = engine.personas.archetype_names, step.evidence
    relevant = np.maximum(step.before.belief, step.after.belief)
    told = []
    for factor in evidence.factors:
        k = int(np.argmax(np.abs(factor.nats) * relevant))
        much = float(factor.nats[k])
        if abs(much) >= TOLD_NATS:
            way = "for" if much > 0 else "against"
            words = f"{label(factor.factor, factor.value)} spoke {way} {names[k]}, weight {nats(much)}"
            told.append((abs(much) * relevant[k], words))
    sentences = [words for _, words in sorted(told, key=lambda pair: -pair[0])[:MOST_TOLD]]
    eased = np.exp(evidence.before + evidence.time) - np.exp(evidence.before)
    if evidence.step and np.abs(eased).max() >= EASED:
        k = int(np.abs(eased).argmax())
        way = "more" if eased[k] > 0 else "less"
        long = evidence.elapsed_s >= LONG_S
        why = f"{duration(evidence.elapsed_s)} had gone by" if long else "visitors may change from one step to the next"
        sentences.append(f"{why}, which made {names[k]} {way} likely ({nats(100 * eased[k], 0)} in 100)")
    return sentences


def label(factor: str, value: str) -> str:
    """A factor with its value, in the shop's words: "price tier top", "full price"."""
    words = WORDS.get(value, value.replace("_", " "))
    name = FACTORS.get(factor, factor)
    return f"{name} {words}" if name else f"that the visitor {words}" if factor == "event" else f"it being {words}"


def duration(seconds: float) -> str:
    """In words: "40 seconds", "12 minutes"."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5_400 else f"{seconds / 3_600:.1f} hours"


def _nth(n: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n % 100 not in (11, 12, 13) else 0, "th")
    return f"{n}{ending}"
