"""What a turn goes on from: a new session's prior, or the stored state once more is known of who, where and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from personas import memory as blending
from personas.history import VARIABLES
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.serving.activity import DEMOGRAPHIC
from recommendations.serving.memory import Memory
from recommendations.session import SessionState

if TYPE_CHECKING:
    from recommendations.serving.process import Process

MAX_CONTEXT = 20
"""Names of evidence that a session has, at most."""


class Visit(NamedTuple):
    """Whose turn it is, checked.

    context : evidence by name that the request brought.  offered : evidence that is taken only where nothing of that name is
    known: what an adapter found out.  withheld : the request states that the shopper does not consent to demographics.
    test : whether it is a test key's, or a token's that one asked for; None for whatever the session is.
    simulated : whether the token is that of a simulated visitor.
    """

    shop: int
    session: str
    shopper: str = ""
    context: Mapping[str, str] = {}
    offered: Mapping[str, str] = {}
    withheld: bool = False
    test: bool | None = None
    simulated: bool = False


def comes_in(visit: Visit, state: SessionState | None) -> bool:
    """Whether the visit names a shopper whom the session didn't know: at its start, or at a log-in on the way."""
    return bool(visit.shopper) and (state is None or state.shopper != visit.shopper)


def resume(
    process: Process,
    engine: Engine,
    visit: Visit,
    state: SessionState | None,
    memory: Memory | None = None,
    *,
    now: float,
) -> SessionState:
    """The state to go on from: a new session's prior, or the stored one, carried over to this release if need be.

    memory : what is remembered of the visit's shopper, if the session didn't know them. Evidence that is new, or that of a
    log-in, revises the prior; what the session's events said stands.
    """
    if state is None:
        brought = {**visit.offered, **visit.context}
        remembered = _remembered(visit, memory, brought)
        earlier = memory.earlier(now) if memory else {}
        started = loop.start(
            engine,
            shop=visit.shop,
            session=visit.session,
            at=now,
            context={**remembered, **brought},
            shopper=visit.shopper,
            earlier=_earlier(engine, earlier),
            own=memory.own if memory else (),
        )
        if visit.test:
            started = replace(started, test=True)
        return replace(started, remembered=tuple(remembered), earlier=earlier) if memory else started
    if state.release != engine.release:
        state = loop.rebase(process.engines.made_under(visit.shop, state.release), engine, state)
    came = comes_in(visit, state)
    if not came and not visit.withheld and not visit.offered and visit.context.items() <= state.context.items():
        return state
    gone = _let_go(visit, state, came=came)
    known = {name: value for name, value in state.context.items() if name not in gone}
    offered = {name: value for name, value in visit.offered.items() if name not in known}
    brought = _fitting({**offered, **visit.context}, known)
    context = {**known, **brought}
    names, earlier, own = tuple(n for n in state.remembered if n in known and n not in brought), state.earlier, state.own
    if came:
        remembered = _remembered(visit, memory, context)
        context, names = {**remembered, **context}, tuple(remembered)
        earlier, own = (memory.earlier(now), memory.own) if memory else ({}, ())
    elif context == state.context:
        return state
    bare = replace(state, context={}, remembered=names, earlier=earlier)
    return loop.inform(engine, bare, context=context, shopper=visit.shopper, earlier=_earlier(engine, earlier), own=own)


def _let_go(visit: Visit, state: SessionState, *, came: bool) -> set[str]:
    """Names that are evidence no more: what was remembered of whoever was here before a log-in; demographics withheld."""
    if came:
        gone = set(state.remembered)
    elif visit.withheld:
        gone = {name for name in state.remembered if name not in VARIABLES}
    else:
        gone = set()
    return gone | (DEMOGRAPHIC & state.context.keys() if visit.withheld else set())


def _earlier(engine: Engine, earlier: Mapping[int, float]) -> tuple[float, ...] | None:
    """What earlier sessions left, for the model of this release: archetypes that it lacks are nobody's."""
    model = engine.personas
    return blending.earlier(earlier, model.ids, np.exp(model.hmm.log_initial)) if earlier else None


def _fitting(brought: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """What may be added to a session's evidence: all of it, or, beyond `MAX_CONTEXT` names, new values of known ones."""
    if len({*known, *brought}) <= MAX_CONTEXT:
        return dict(brought)
    return {name: value for name, value in brought.items() if name in known}


def _remembered(visit: Visit, memory: Memory | None, brought: Mapping[str, str]) -> dict[str, str]:
    """Evidence out of the shopper's memory, where the visit itself doesn't say; what of it fits into `MAX_CONTEXT`."""
    if memory is None:
        return {}
    told = memory.history if visit.withheld else memory.history | memory.demographics
    fresh = {name: value for name, value in told.items() if name not in brought}
    return dict(list(fresh.items())[: max(0, MAX_CONTEXT - len(brought))])
