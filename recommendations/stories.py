"""A session's story: its archived events replayed on the shop's active release, for the API and the admin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from clusters.adaptation import Decision
from clusters.models import Item
from personas import memory as blending
from personas.events import UNKNOWN_ITEM
from personas.ledger import Shift
from personas.models import Session, Shop
from recommendations import overlays, releases
from recommendations.engine import Engine
from recommendations.models import Release
from recommendations.overlay import with_overlay
from recommendations.reading import PastSession, events_of, read_session
from recommendations.replaying import Past, ReplayedStep, replay
from recommendations.serving import trials
from recommendations.serving.payloads import cluster_json
from recommendations.serving.process import engines_here

MOST_EVENTS = 2_000
"""Events of a session that are replayed, the first ones: a replay takes a tenth of a millisecond an event. No shopper does as
much in one visit; a file without sessions may say so."""


@dataclass(frozen=True)
class Story:
    """A session as the active release reads it. cut : how many of its last events are beyond `MOST_EVENTS`."""

    engine: Engine
    past: PastSession
    steps: tuple[ReplayedStep, ...]
    cut: int


def tell(session: Session) -> Story:
    """Replay a session. Raises ReleaseError if the shop has no release that can be read."""
    engine = engine_of(session.shop)
    past = read_session(session, most=MOST_EVENTS)
    steps = replay(engine, past_of(engine, session.shop, past))
    cut = events_of(session).count() - len(steps) if len(steps) == MOST_EVENTS else 0
    return Story(engine, past, steps, cut)


def past_of(engine: Engine, shop: Shop, past: PastSession, *, own: Sequence[int] = ()) -> Past:
    """A session of rows as an engine tells it again. own : what the shopper wanted on earlier visits, where that is asked for."""
    return Past(
        shop=shop.pk,
        session=past.session,
        shopper=past.shopper,
        context=past.context,
        started_at=past.started_at,
        events=past.events,
        earlier=earlier_of(engine, past.earlier),
        served=past.served,
        own=own,
    )


def earlier_of(engine: Engine, shares: Mapping[int, float]) -> tuple[float, ...] | None:
    """(K,) what a shopper's memory gave a prior, for the personas of this release; None for a guest."""
    model = engine.personas
    return blending.earlier(shares, model.ids, np.exp(model.hmm.log_initial)) if shares else None


def engine_of(shop: Shop) -> Engine:
    """The engine of the active release: this process's own if it serves with it, else read from disk once.

    Raises ReleaseError if there is none that can be read.
    """
    release = Release.objects.active(shop)
    if release is None:
        raise releases.ReleaseError(f"shop {shop.slug} has no active release: run manage.py train {shop.slug}")
    here = engines_here()
    engine = here.get(shop.pk) if here is not None else None
    if engine is not None and engine.release == str(release.number):
        return engine
    components = tuple(sorted(release.components.items()))
    under = _under(shop, str(release.number), components, overlays.last_version(shop))
    return _load(shop, str(release.number), components) if under is None else under


class Then(NamedTuple):
    """The engine that served a slate, as far as it is still there. note : what is not as it was then, "" for nothing."""

    engine: Engine
    note: str


def engine_then(shop: Shop, release: str, overlay: int) -> Then:
    """The engine of a release under a version of its live overlay; where one of them is gone, what is active now.

    Raises ReleaseError if no release can be read.
    """
    row = Release.objects.filter(shop=shop, number=int(release)).first() if release.isdigit() else None
    try:
        if row is None:
            raise releases.ReleaseError(f"release {release} isn't known any more")
        components = tuple(sorted(row.components.items()))
        engine = _load(shop, str(row.number), components)
    except releases.ReleaseError:
        now = engine_of(shop)
        return Then(now, f"Release {release or 'unknown'} can't be read any more: told on release {now.release}.")
    if not overlay:
        return Then(engine, "")
    under = _under(shop, str(row.number), components, overlay)
    if under is None:
        return Then(engine, "The prices, stock and rules of then aren't kept any more: told on those of the training.")
    return Then(under, "")


def engine_of_slate(shop: Shop, versions: Mapping[str, Any]) -> Then:
    """`engine_then` by what a slate says it was served with, as the arm of an experiment where it was in one."""
    then = engine_then(shop, str(versions.get("release", "")), int(versions.get("overlay", 0)))
    arm = trials.arm_of(versions)
    if arm is None or then.note:
        return then
    try:
        return Then(trials.arm_engine(then.engine, arm, *trials.load_parts(shop.pk, then.engine.release, arm)), "")
    except releases.ReleaseError:
        return Then(then.engine, "What the experiment served isn't kept any more: told as the shop was served.")


@lru_cache(maxsize=4)
def _under(shop: Shop, number: str, components: tuple[tuple[str, str], ...], version: int) -> Engine | None:
    """A release's engine under a version of the overlay, None where that isn't kept."""
    laid = overlays.overlay_of(shop, version)
    return None if laid is None else with_overlay(_load(shop, number, components), laid)


@lru_cache(maxsize=4)
def _load(shop: Shop, number: str, components: tuple[tuple[str, str], ...]) -> Engine:
    return releases.load_engine(releases.root_of(shop), dict(components), release=number)


class Page(NamedTuple):
    """Which steps of a ledger are asked for."""

    offset: int
    limit: int


def ledger_json(story: Story, page: Page) -> dict[str, Any]:
    """The whole evidence ledger: every event's factors with their nats for every persona, and what the event changed."""
    engine, model = story.engine, story.engine.personas
    steps = story.steps[page.offset : page.offset + page.limit]
    items = dict(Item.objects.filter(pk__in={s.event.item for s in steps} - {UNKNOWN_ITEM}).values_list("pk", "external_id"))
    names = ("id", "key", "name", "icon", "colour")
    columns = (model.ids, model.archetype_keys, model.archetype_names, model.archetype_icons, model.archetype_colours)
    return {
        "session_id": story.past.session,
        "release": engine.release,
        "started_at": story.past.started_at,
        "personas": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)],
        "evidence": story.past.context,
        "count": len(story.steps),
        "cut": story.cut,
        "steps": [_step(engine, step, items) for step in steps],
    }


def _step(engine: Engine, step: ReplayedStep, items: Mapping[int, str]) -> dict[str, Any]:
    keys, event = engine.personas.archetype_keys, step.event

    def by_key(values: Any) -> dict[str, float]:
        return {key: round(float(value), 6) for key, value in zip(keys, values, strict=True)}

    return {
        "event_id": event.event_id,
        "event": event.name,
        "at": step.at,
        "item_id": items.get(event.item),
        "search_term": event.query or None,
        "before": by_key(step.before.belief),
        "time": {"elapsed_s": round(step.evidence.elapsed_s, 3), "nats": by_key(step.evidence.time)},
        "factors": [{"factor": f.factor, "value": f.value, "nats": by_key(f.nats)} for f in step.evidence.factors],
        "after": by_key(step.after.belief),
        "shares": by_key(step.after.shares),
        "unsure": step.after.unsure,
        "several": step.after.several,
        "active": [keys[engine.personas.ids.index(i)] for i in step.after.active],
        "shift": _shift(engine, step.shift) if step.shift else None,
        "decisions": [_decision(engine, decision) for decision in step.decisions],
        "blocked": [
            {"cluster": cluster_json(engine, stopped.cluster), "action": stopped.action, "bound": stopped.bound}
            for stopped in step.blocked
        ],
        "clusters": [
            {**(cluster_json(engine, cluster) or {"id": cluster, "name": None}), "before": before, "after": after}
            for cluster, (before, after) in step.changed.items()
        ],
    }


def _shift(engine: Engine, shift: Shift) -> dict[str, Any]:
    key_of = dict(zip(engine.personas.ids, engine.personas.archetype_keys, strict=True))
    told = {"from": key_of[shift.source], "to": key_of[shift.target], "at": shift.at}
    return told | {"factor": shift.factor, "value": shift.value, "nats": round(shift.nats, 6)}


def _decision(engine: Engine, decision: Decision) -> dict[str, Any]:
    return {
        "cluster": cluster_json(engine, decision.cluster),
        "action": decision.action,
        "target": cluster_json(engine, decision.target),
        "items": decision.items,
        "propensity": round(decision.propensity, 6),
    }
