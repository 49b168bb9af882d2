"""A session as its page shows it: belief over time, what each event said in words, when one persona gave way to another."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.utils.safestring import mark_safe

from clusters.models import Item
from personas.events import UNKNOWN_ITEM
from personas.evidence import used
from personas.models import Session, moment
from recommendations import stacks, stories
from recommendations.engine import clock_evidence
from recommendations.persona_charts import WORDS
from recommendations.releases import ReleaseError
from recommendations.replaying import Reading, ReplayedStep
from recommendations.stories import Story

SHOWN_STEPS = 50
"""Events whose evidence the page tells, the latest; the API tells all (`GET /api/v1/sessions/{id}/ledger`)."""

TOLD_NATS = 0.1
"""Nats under which a factor says nothing worth words: it moves odds by less than a tenth."""

MOST_TOLD = 3
LONG_S = 60.0
EASED = 0.05
"""Seconds from which what went by is told as time, and probability moved from which the step itself has a line."""

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
    """What the template `session_course.html` shows: {"missing": why there is nothing}, or chart, sentence and rows."""
    try:
        story = stories.tell(session)
    except ReleaseError as error:
        return {"missing": f"The evidence is told by a replay on the shop's active release, and there is none to use: {error}"}
    if not story.steps:
        return {"missing": "No event of this session is archived."}
    model = story.engine.personas
    marks = {i: shift_words(story, step) for i, step in enumerate(story.steps) if step.shift}
    columns = [
        stacks.Column(
            _standing(step.after),
            f"{_clock(step)} {WORDS.get(step.event.name, step.event.name)}: {_likeliest(story, step.after)}",
            marks.get(i, ""),
        )
        for i, step in enumerate(story.steps)
    ]
    seen = {k: max(column.shares[k] for column in columns) for k in range(len(model.ids))}
    told = sentence(story)
    items = Item.objects.in_bulk({s.event.item for s in story.steps[-SHOWN_STEPS:]} - {UNKNOWN_ITEM})
    evidence = used(model.network, clock_evidence(story.past.started_at) | story.past.context)
    return {
        # Escaped where it is drawn; the colours are the archetypes' own, which a validator has checked.
        "chart": mark_safe(stacks.draw(columns, model.archetype_colours, sentence=told)),
        "key": stacks.key(model.archetype_names, model.archetype_colours, {k: v for k, v in seen.items() if v >= 0.03}),
        "sentence": told,
        "width": stacks.width(len(columns)),
        "release": story.engine.release,
        "evidence": [(name.replace("_", " "), value.replace("_", " ")) for name, value in sorted(evidence.items())],
        "remembered": bool(story.past.earlier),
        "simulated": session.origin == "simulated",
        "names": model.archetype_names,
        "rows": [_row(story, step, items) for step in story.steps[: -SHOWN_STEPS - 1 : -1]],
        "hidden": max(0, len(story.steps) - SHOWN_STEPS) + story.cut,
        "first": _clock(story.steps[0]),
        "last": _clock(story.steps[-1]),
    }


def _standing(reading: Reading) -> list[float]:
    return [stacks.standing(p, len(reading.belief)) for p in reading.belief]


def _clock(step: ReplayedStep) -> str:
    return f"{moment(step.at):%H:%M:%S}"


def _likeliest(story: Story, reading: Reading) -> str:
    k = int(np.argmax(reading.belief))
    told = f"{story.engine.personas.archetype_names[k]} {100 * reading.belief[k]:.0f} in 100"
    return f"not sure yet, {told}" if reading.unsure else told


def _now(story: Story, reading: Reading) -> str:
    """Who acts at this moment. `Reading.active` tells of the visit so far, which a shift leaves behind."""
    return story.engine.personas.archetype_names[int(np.argmax(reading.belief))]


def sentence(story: Story) -> str:
    """What the chart says: how long, from when on one was sure of whom, who it ended with, how often it shifted."""
    steps, names = story.steps, dict(zip(story.engine.personas.ids, story.engine.personas.archetype_names, strict=True))
    minutes = (steps[-1].at - steps[0].at) / 60.0
    parts = [f"{len(steps)} event{'s' if len(steps) > 1 else ''} in {_duration(60.0 * minutes)}."]
    sure = next((i for i, step in enumerate(steps) if not step.after.unsure), None)
    if sure is None:
        parts.append("Never sure who it was.")
    else:
        first = steps[sure].after
        parts.append(f"Sure from the {_nth(sure + 1)} event on: {_now(story, first)}.")
        shifts = [step for step in steps if step.shift]
        parts += [f"{shift_words(story, step)}." for step in shifts[:2]]
        if len(shifts) > 2:
            parts.append(f"And {len(shifts) - 2} more shifts.")
        last = steps[-1].after
        turns = f"{' and '.join(names[i] for i in last.active)}, taking turns" if last.several else ""
        parts.append(f"At the end: {'not sure any more' if last.unsure else turns or _now(story, last)}.")
    return " ".join(parts)


def shift_words(story: Story, step: ReplayedStep) -> str:
    """A shift with its time and its reason."""
    shift = step.shift
    if shift is None:
        raise ValueError("the step has no shift")
    names = dict(zip(story.engine.personas.ids, story.engine.personas.archetype_names, strict=True))
    why = label(shift.factor, shift.value)
    return (
        f"At {_clock(step)} {names[shift.source]} gave way to {names[shift.target]}: {why} spoke for it, {shift.nats:+.1f} nats"
    )


def _row(story: Story, step: ReplayedStep, items: dict[int, Item]) -> dict[str, Any]:
    model, event = story.engine.personas, step.event
    return {
        "at": _clock(step),
        "event": WORDS.get(event.name, event.name),
        "about": str(items.get(event.item, "")) or event.query,
        "said": said(story, step),
        "after": _likeliest(story, step.after),
        "parts": [
            {"name": model.archetype_names[k], "colour": model.archetype_colours[k], "percent": 100.0 * part}
            for k, part in enumerate(_standing(step.after))
            if part >= 0.02
        ],
        "shift": shift_words(story, step) if step.shift else "",
        "factors": [(label(f.factor, f.value), [f"{n:+.2f}" for n in f.nats]) for f in step.evidence.factors],
        "time": [f"{n:+.2f}" for n in step.evidence.time],
        "now": [f"{100 * p:.0f}" for p in step.after.belief],
    }


def said(story: Story, step: ReplayedStep) -> list[str]:
    """The event's evidence in words: what weighed most for or against those who were, or became, likely."""
    names, evidence = story.engine.personas.archetype_names, step.evidence
    relevant = np.maximum(step.before.belief, step.after.belief)
    told = []
    for factor in evidence.factors:
        k = int(np.argmax(np.abs(factor.nats) * relevant))
        nats = float(factor.nats[k])
        if abs(nats) >= TOLD_NATS:
            way = "for" if nats > 0 else "against"
            words = f"{label(factor.factor, factor.value)} spoke {way} {names[k]}, {nats:+.1f} nats"
            told.append((abs(nats) * relevant[k], words))
    sentences = [words for _, words in sorted(told, key=lambda pair: -pair[0])[:MOST_TOLD]]
    eased = np.exp(evidence.before + evidence.time) - np.exp(evidence.before)
    if evidence.step and np.abs(eased).max() >= EASED:
        k = int(np.abs(eased).argmax())
        way = "more" if eased[k] > 0 else "less"
        long = evidence.elapsed_s >= LONG_S
        why = f"{_duration(evidence.elapsed_s)} had gone by" if long else "visitors may change from one step to the next"
        sentences.append(f"{why}, which made {names[k]} {way} likely ({100 * eased[k]:+.0f} in 100)")
    return sentences


def label(factor: str, value: str) -> str:
    """A factor with its value, in the shop's words: "price tier top", "full price"."""
    words = WORDS.get(value, value.replace("_", " "))
    name = FACTORS.get(factor, factor)
    return f"{name} {words}" if name else f"that the visitor {words}" if factor == "event" else f"it being {words}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5_400 else f"{seconds / 3_600:.1f} hours"


def _nth(n: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n % 100 not in (11, 12, 13) else 0, "th")
    return f"{n}{ending}"
