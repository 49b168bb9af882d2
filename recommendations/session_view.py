"""A session as the engine reads it just now, before it ranks: profile, items and selected clusters. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clusters import alignment
from clusters.alignment import Selection
from clusters.catalogue import Catalogue
from personas import profile as personas
from personas.profile import PersonaModel, PersonaProfile, PersonaState
from personas.sessions import NO_ITEM
from recommendations.parts import Engine
from recommendations.ranking import contexts
from recommendations.ranking.history import ITEM_CODES
from recommendations.ranking.ranker import History, read
from recommendations.session import Request, SessionState
from recommendations.stages import Stages, finished


@dataclass(frozen=True)
class View:
    """The session as the engine reads it just now: the profile, the session's items and the clusters selected.

    anchors : positions of the items that the slate asked for stands beside.
    """

    model: PersonaModel
    persona: PersonaState
    reading: personas.Reading
    history: History
    representation: np.ndarray
    selection: Selection
    anchors: tuple[int, ...] = ()

    @property
    def belief(self) -> np.ndarray:
        """(K,) P(persona)."""
        return self.reading.belief

    @cached_property
    def profile(self) -> PersonaProfile:
        """All that the session says of the shopper."""
        return personas.profile(self.model, self.persona, self.reading)


def view(engine: Engine, state: SessionState, *, now: float, request: Request | None = None) -> View:
    """Profile, history and selected clusters of a session, without changing it; as `request` would have them ranked with."""
    return finished(view_in_stages(engine, state, now=now, request=request))


def view_in_stages(engine: Engine, state: SessionState, *, now: float, request: Request | None = None) -> Stages[View]:
    """`view`, for who does the same of other sessions beside it."""
    reading = personas.read(engine.personas, state.persona)
    yield
    history = read_history(engine.catalogue, state, now=now)
    anchors: tuple[int, ...] = ()
    if request is not None and request.context in contexts.BESIDE_ITEMS:
        anchors = contexts.anchors_of(engine.catalogue, state, request)
        history = contexts.beside(history, anchors, request)
    representation, near = read(engine.ranker, engine.layout, history)
    yield
    selection = alignment.select(
        engine.clusters,
        state.adapted,
        belief=reading.belief,
        attributes=reading.attribute_weights,
        affinity=near,
        active=reading.active_positions,
    )
    return View(engine.personas, state.persona, reading, history, representation, selection, anchors)


def read_history(catalogue: Catalogue, state: SessionState, *, now: float) -> History:
    """The session's item actions as arrays, oldest first; items that the catalogue lacks are left out."""
    position, unknown = catalogue.position, math.nan
    placed = [
        (position(item), code, at, unknown if dwell_s < 0 else dwell_s)
        for item, code, at, dwell_s in state.touches
        if code in ITEM_CODES
    ]
    known = [touch for touch in placed if touch[0] != NO_ITEM]
    positions, codes, at, dwell_s = zip(*known, strict=True) if known else ((), (), (), ())
    return History(
        positions=np.array(positions, dtype=np.intp),
        codes=np.array(codes, dtype=np.int8),
        at=np.array(at, dtype=np.float64),
        dwell_s=np.array(dwell_s, dtype=np.float32),
        now=now,
    )
