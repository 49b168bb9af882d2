"""The engine as other attributes and archetypes would have it before the fit that follows publishing them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clusters import derived
from clusters.item_clusters import ItemClusters
from personas.archetypes import Archetype, Attribute
from personas.profile import PersonaModel
from personas.reweighing import Fitted, reweighed
from recommendations.engine import Engine
from recommendations.overlay import with_overlay


def with_definition(engine: Engine, fitted: Fitted, attributes: Sequence[Attribute], archetypes: Sequence[Archetype]) -> Engine:
    """The engine with its personas and what its clusters know of them moved to these attributes and archetypes.

    fitted : what the engine's personas were fitted to and on. Its overlay, ranking and policy are the same.
    Raises PersonaError where the definition can't be taken.
    """
    bare = engine if engine.bare is None else engine.bare
    model = reweighed(bare.personas, fitted, attributes, archetypes, bare.catalogue.descriptors, bare.catalogue.item_descriptors)
    changed = replace(bare, personas=model, clusters=_known(bare.clusters, bare.personas, model))
    return with_overlay(changed, engine.overlay)


def _known(clusters: ItemClusters, before: PersonaModel, after: PersonaModel) -> ItemClusters:
    """The clusters with the new attributes' matches, and what the personas that stay did; of a new one nothing is known."""
    match = derived.attribute_matches(clusters.descriptor_lift, after.attribute_descriptors)
    likeness = derived.attribute_likeness(after.attribute_descriptors)
    told = replace(clusters, attribute_match=match, attribute_likeness=likeness)
    if before.ids == after.ids:
        return told
    place = {id_: k for k, id_ in enumerate(before.ids)}
    persona = clusters.behaviour.persona
    columns = [persona[:, place[i]] if i in place else np.zeros(len(persona), persona.dtype) for i in after.ids]
    behaviour = replace(clusters.behaviour, persona=np.column_stack(columns))
    return replace(told, behaviour=behaviour, persona_lift=derived.persona_lifts(clusters.items, behaviour))
