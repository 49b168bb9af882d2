"""Past visits under two engines: whom each would be taken for at its end, and what it would be shown. Pure.

Both run through `engine.observe` and `engine.recommend`, as shoppers are served.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.replaying import Past, read, stand
from recommendations.session import Request

SLOTS = 8
"""Items of a slate that are compared."""

NOTICED = 0.02
"""Change of a belief (total variation, 0 to 1) below which nobody would see it."""


class Standing(NamedTuple):
    """Where a visit stands. belief : archetype id -> probability.  taken : id of whom it is taken for, 0 for not sure yet.

    items : ids of the slate it would be shown on the home page, by slot.
    """

    belief: dict[int, float]
    taken: int
    items: tuple[int, ...]


class Trial(NamedTuple):
    """One visit under both engines. place : in the visits given.  moved : total variation of the two beliefs, 0 to 1.

    came, went : ids of items that the slate gains and loses, by slot.
    """

    place: int
    before: Standing
    after: Standing
    moved: float
    came: tuple[int, ...]
    went: tuple[int, ...]

    @property
    def taken_anew(self) -> bool:
        """Whether the visit is taken for somebody else."""
        return self.before.taken != self.after.taken


def standing(engine: Engine, past: Past, *, slots: int = SLOTS) -> Standing:
    """A visit at its end, and the slate that it would be shown next; chance is left out of it."""
    state = stand(engine, past)
    told = read(engine, state.persona)
    belief = dict(zip(engine.personas.ids, told.belief, strict=True))
    request = Request(now=state.last_at, count=slots, explore=0.0, reasons=False)
    _, slate = loop.recommend(engine, state, request, loop.generator(state))
    taken = 0 if told.unsure else max(belief, key=lambda i: belief[i])
    return Standing(belief, taken, tuple(item.item for item in slate.items))


def compare(before: Sequence[Standing], after: Sequence[Standing]) -> list[Trial]:
    """Visit by visit, those that change whom they are taken for first, then by how far the belief moves."""
    trials = []
    for place, (was, would) in enumerate(zip(before, after, strict=True)):
        ids = {*was.belief, *would.belief}
        moved = 0.5 * sum(abs(would.belief.get(i, 0.0) - was.belief.get(i, 0.0)) for i in ids)
        came = tuple(i for i in would.items if i not in was.items)
        went = tuple(i for i in was.items if i not in would.items)
        trials.append(Trial(place, was, would, moved, came, went))
    return sorted(trials, key=lambda t: (not t.taken_anew, -t.moved, t.place))
