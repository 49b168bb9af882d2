"""What an attribute may weigh in a shop: the descriptors of its items, and how many items have each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from clusters.catalogue import Catalogue
from personas.archetypes import PersonaError, parse_personas, unknown_descriptors
from personas.models import Shop
from recommendations import releases
from recommendations.models import Release
from recommendations.reading import read_catalogue

logger = logging.getLogger(__name__)

SUGGESTED = 20


def descriptors(shop: Shop) -> Mapping[str, int]:
    """Descriptor -> items that have it: of the active release's catalogue, or of the rows where no release can be read.

    A shop without categories has those of its co-visit groups too, by the names that its personas know.
    """
    release = Release.objects.active(shop)
    if release is not None:
        try:
            return _of_release(releases.root_of(shop), release.components["catalogue"], release.components["personas"])
        except (releases.ReleaseError, KeyError) as error:
            logger.warning("%s can't be read, its rows are counted instead: %s", release, error)
    return _counted(read_catalogue(shop))


@lru_cache(maxsize=16)
def _of_release(root: Path, catalogue_version: str, personas_version: str) -> Mapping[str, int]:
    catalogue = releases.load_component(root, "catalogue", catalogue_version)
    facts = releases.load_component(root, "personas", personas_version, catalogue=catalogue_version).facts
    sizes = np.bincount(facts.category[facts.category >= 0], minlength=len(facts.category_names)).tolist()
    groups = {f"category={name}": size for name, size in zip(facts.category_names, sizes, strict=True)}
    return {**groups, **_counted(catalogue)}


def _counted(catalogue: Catalogue) -> dict[str, int]:
    return dict(zip(catalogue.descriptors, catalogue.item_descriptors.getnnz(axis=0).tolist(), strict=True))


def suggestions(shop: Shop, typed: str) -> list[tuple[str, int]]:
    """(descriptor, items) that what was typed may become, at most `SUGGESTED`: those that begin so first, then the commonest."""
    sought = typed.strip().casefold()
    found = [(not name.casefold().startswith(sought), -items, name) for name, items in descriptors(shop).items()]
    return [(name, -items) for _, items, name in sorted(f for f in found if sought in f[2].casefold())[:SUGGESTED]]


def warnings(shop: Shop, definition: Mapping[str, Any]) -> list[str]:
    """What a draft weighs that the shop doesn't have, a sentence each. Empty for one that can't be taken at all."""
    try:
        attributes, _ = parse_personas(definition)
    except PersonaError:
        return []
    names = {a.key: a.name for a in attributes}
    unknown: Sequence[tuple[str, str]] = unknown_descriptors(attributes, descriptors(shop))
    return [f"{names[key]}: no item has {descriptor}; it counts for nothing until one does." for key, descriptor in unknown]
