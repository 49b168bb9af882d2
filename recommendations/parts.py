"""What a process serves a shop with: the components of one release."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from clusters.adaptation import Bounds, Reach
from clusters.catalogue import Catalogue
from clusters.item_clusters import ItemClusters
from clusters.policy import Policy
from personas.profile import PersonaModel
from personas.sessions import NO_ITEM
from recommendations.overlay import NO_OVERLAY, Overlay
from recommendations.ranking.companions import Companions, companions_of_rows
from recommendations.ranking.filters import Sieve
from recommendations.ranking.layout import ClusterRows, lay_out
from recommendations.ranking.likeness import Likeness, visits_of
from recommendations.ranking.opening import Shelves, build_shelves
from recommendations.ranking.ranker import Ranker
from recommendations.ranking.rules import RuleSet, compile_rules


@dataclass(frozen=True)
class Engine:
    """What a process serves a shop with: the components of one release, the merchandiser's bounds, and what changes live.

    overlay : what `overlay.with_overlay` put over the components.
    bare : the engine without it, where there is one: as the release has it.
    """

    catalogue: Catalogue
    personas: PersonaModel
    clusters: ItemClusters
    ranker: Ranker
    policy: Policy
    bounds: Bounds = field(default_factory=Bounds)
    release: str = "0"
    overlay: Overlay = NO_OVERLAY
    bare: Engine | None = field(default=None, repr=False, compare=False)

    @cached_property
    def told(self) -> dict[tuple[str, int], Any]:
        """Kind ("item", "id", "persona", "cluster") and id -> how slates tell of it, as far as somebody was told of it."""
        return {}

    @cached_property
    def said(self) -> dict[tuple[object, ...], str]:
        """What makes up a reason -> the reason in words, as far as one was given (`reasons`)."""
        return {}

    @cached_property
    def out_of_stock(self) -> np.ndarray:
        """(m,) int32 positions of what can't be bought now."""
        return np.flatnonzero(~self.catalogue.in_stock).astype(np.int32)

    @cached_property
    def gone(self) -> np.ndarray:
        """(m,) int32 positions of what was taken out of the catalogue since."""
        known = self.catalogue.positions(sorted(self.overlay.gone))
        return known[known != NO_ITEM]

    @cached_property
    def sieve(self) -> Sieve:
        """The items by what a request's filters may ask of them."""
        return Sieve(self.catalogue, self.ranker.popularity)

    @cached_property
    def likeness(self) -> Likeness:
        """Which items are like which."""
        return Likeness(self.catalogue, self.ranker.encoder, visits_of(self.ranker.neighbours.visit_starts))

    @cached_property
    def companions(self) -> Companions:
        """What goes with what."""
        known = self.ranker.companions
        return known if known is not None else companions_of_rows(self.ranker.rows, self.catalogue)

    @cached_property
    def layout(self) -> ClusterRows:
        """Where the clusters' items lie in the ranker."""
        return lay_out(self.ranker.encoder, self.clusters)

    @cached_property
    def reach(self) -> Reach:
        """Where sessions may take the clusters, within the bounds."""
        return Reach(self.clusters, self.catalogue, self.bounds)

    @cached_property
    def shelves(self) -> Shelves:
        """What first slates are made from."""
        return build_shelves(self.ranker.popularity, self.personas, self.ranker.entry or 0.0)

    @cached_property
    def rule_set(self) -> RuleSet:
        """The merchandisers' rules, resolved against the catalogue as it is now."""
        popularity = self.ranker.popularity.facts[:, 0]
        return compile_rules(self.overlay.rules, self.catalogue, self.clusters, self.personas.ids, popularity)
