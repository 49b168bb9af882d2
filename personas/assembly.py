"""A persona model put together from its parts: what was fitted, and what the shop's people defined. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from personas.archetypes import Archetype, Attribute, descriptor_weights, item_scores, mix_matrix
from personas.encoding import ItemFacts
from personas.evidence import EvidenceNetwork
from personas.hmm import PersonaHMM
from personas.profile import PersonaModel


def assemble(
    hmm: PersonaHMM,
    network: EvidenceNetwork,
    facts: ItemFacts,
    attributes: Sequence[Attribute],
    archetypes: Sequence[Archetype],
    descriptors: Sequence[str],
    item_descriptors: sparse.csr_matrix,
) -> PersonaModel:
    """hmm, network : of K personas, in the archetypes' order.  descriptors : D names.  item_descriptors : (n, D), of the items of
    `facts`."""
    return PersonaModel(
        hmm=hmm,
        network=network,
        facts=facts,
        archetype_ids=np.array([a.id for a in archetypes], dtype=np.int64),
        archetype_keys=tuple(a.key for a in archetypes),
        archetype_names=tuple(a.name for a in archetypes),
        archetype_icons=tuple(a.icon for a in archetypes),
        archetype_colours=tuple(a.colour for a in archetypes),
        attribute_ids=np.array([a.id for a in attributes], dtype=np.int64),
        attribute_keys=tuple(a.key for a in attributes),
        attribute_names=tuple(a.name for a in attributes),
        mix=mix_matrix(attributes, archetypes).astype(np.float32),
        attribute_descriptors=descriptor_weights(attributes, descriptors),
        item_attributes=item_scores(attributes, facts, descriptors, item_descriptors),
    )
