"""Whom clusters suit: all of a release's clusters beside all of its personas, at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from personas import versions
from personas.models import Shop

if TYPE_CHECKING:
    from recommendations.engine import Engine

GREY = "#999999"
"""Of a persona that the shop no longer has a colour for."""

TOLD = 0.52
"""Alignment from which a tile names the persona; 0.5 is as everybody."""

MOST_TOLD = 2


class Persona(NamedTuple):
    id: int
    name: str
    colour: str


class Suited(NamedTuple):
    """A persona, and how well a cluster suits it, of 100; 50 is as everybody."""

    persona: Persona
    percent: float

    @property
    def strength(self) -> int:
        """How far from everybody, 0 to 100: full from 30 points on, for few clusters are further."""
        return min(100, round(abs(self.percent - 50.0) / 0.3))


@dataclass(frozen=True)
class Suits:
    """Alignment of C clusters with K personas. scores : cluster id -> (K,) in (0, 1)."""

    personas: tuple[Persona, ...]
    scores: dict[int, np.ndarray]

    def best(self, cluster: int) -> list[Suited]:
        """Those that the cluster suits more than everybody, the most first, at most two."""
        told = [one for one in self.of(cluster) if one.percent >= 100 * TOLD]
        return sorted(told, key=lambda one: -one.percent)[:MOST_TOLD]

    def of(self, cluster: int) -> list[Suited]:
        """Every persona, in the release's order; none of a cluster that the release lacks."""
        scores = self.scores.get(cluster)
        if scores is None:
            return []
        return [Suited(who, 100 * score) for who, score in zip(self.personas, scores.tolist(), strict=True)]


NOBODY = Suits((), {})


def suits_of(shop: Shop, engine: Engine) -> Suits:
    """As `cluster_reasons.alignment` scores them one by one."""
    from clusters.alignment import persona_scores  # the numeric stack, which other pages of the admin do without

    model, known = engine.personas, versions.ever(shop)
    personas = tuple(
        Persona(pk, name, known[pk].colour if pk in known else GREY)
        for pk, name in zip(model.ids, model.archetype_names, strict=True)
    )
    one_hot = np.eye(len(personas))
    columns = [persona_scores(engine.clusters, one_hot[k], model.mix64[k]) for k in range(len(personas))]
    table = np.stack(columns, axis=1) if columns else np.zeros((len(engine.clusters), 0))
    return Suits(personas, dict(zip(engine.clusters.cluster_ids.tolist(), table, strict=True)))
