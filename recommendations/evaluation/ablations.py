"""The engine with one of its parts switched off, by giving it another component: `advance` is the same.

What a part adds is the engine's figure less the ablation's. But for `RETRAINED`, the ranker stays as it was trained with all
parts, so that a part which the blend has learned to lean on may seem to add more than it would be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from clusters.adaptation import Bounds
from clusters.item_clusters import ItemClusters, build_clusters
from personas.profile import PersonaModel
from personas.sessions import SessionLog
from recommendations.engine import Engine
from recommendations.ranking.blend import linear_blend
from recommendations.ranking.features import FEATURES, VOTERS
from recommendations.ranking.fitting import train_ranker
from recommendations.ranking.history import item_actions

NEVER = 1 << 30

RETRAINED = "clusters-retrained"

ABLATIONS: Mapping[str, str] = {
    "persona": "Personas say nothing of clusters or items: every lift is 1, no attribute matches, and all take the same of each "
    "shelf.",
    "clusters": "No clusters: candidates come from the whole catalogue, ungated; the blend as it was trained with clusters.",
    RETRAINED: "No clusters, and the whole ranker trained anew without them.",
    "adaptation": "The session's copy of the clusters is never expanded or contracted; what it engaged with still counts. A log "
    "doesn't report what was seen of our slates, so that only expansion is measured.",
    "blend": "A plain vote: the sum of the experts' log-shares instead of the learned blend.",
}
"""What can be left out, and what is then so."""


def without(
    engine: Engine,
    part: str,
    train: SessionLog,
    *,
    held_out: Collection[str] | None = None,
    seed: int = 0,
    progress: Callable[[float, float], None] | None = None,
) -> Engine:
    """The engine without a part, a key of `ABLATIONS`. train, held_out, seed, progress : as the engine was trained with, for
    what is trained anew. Raises KeyError on another part."""
    if part == "persona":
        return replace(engine, clusters=_indifferent(engine.clusters), personas=_alike(engine.personas))
    if part == "clusters":
        return replace(engine, clusters=_none(engine, train))
    if part == "adaptation":
        still = Bounds(consistent_outside=NEVER, consistent_ignored=NEVER, pass_by=1.0, drop_item_after=NEVER)
        return replace(engine, bounds=still)
    if part == "blend":
        plain = np.array([f.startswith("log_share:") for f in FEATURES], dtype=np.float32) / len(VOTERS)
        return replace(engine, ranker=replace(engine.ranker, blend=linear_blend(plain)))
    if part == RETRAINED:
        clusters = _none(engine, train)
        ranker = train_ranker(item_actions(train), engine.catalogue, clusters, held_out=held_out, seed=seed, progress=progress)
        return replace(engine, clusters=clusters, ranker=ranker)
    raise KeyError(part)


def _indifferent(clusters: ItemClusters) -> ItemClusters:
    """The clusters as if every persona, and every attribute, took of each what shoppers at large do."""
    return replace(
        clusters,
        persona_lift=np.ones_like(clusters.persona_lift),
        attribute_match=np.zeros_like(clusters.attribute_match),
        attribute_likeness=np.zeros_like(clusters.attribute_likeness),
    )


def _alike(model: PersonaModel) -> PersonaModel:
    """The personas as if each emitted what their mixture does, so that a first slate takes nothing from whose it is."""
    share = np.exp(model.hmm.log_initial)
    same = tuple(np.repeat(np.log(share @ np.exp(t))[None], len(share), axis=0) for t in model.hmm.log_emission)
    return replace(model, hmm=replace(model.hmm, log_emission=same))


def _none(engine: Engine, train: SessionLog) -> ItemClusters:
    """What a shop without a visit has."""
    return build_clusters(train.take(np.zeros(len(train), dtype=bool)), engine.catalogue)
