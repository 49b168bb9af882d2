"""Whether a session's clusters are within their bounds, told from what they are and not from how they came to be so."""

from __future__ import annotations

from clusters.adaptation import AdaptedClusters
from recommendations.engine import Engine


def check(engine: Engine, adapted: AdaptedClusters) -> None:
    """Raises AssertionError, which names the bound, if contraction took more than it may, or expansion brought in more."""
    bounds, clusters = engine.bounds, engine.clusters
    contracted = {c: w for c, w in adapted.weight.items() if w < 1.0}
    if len(contracted) > bounds.may_contract(len(clusters)):
        raise AssertionError(f"max_contracted: {len(contracted)} clusters, {bounds.may_contract(len(clusters))} may be")
    if any(w < bounds.min_weight for w in contracted.values()):
        raise AssertionError(f"min_weight: {min(contracted.values())}, {bounds.min_weight} is the least")
    if held := [c for c in contracted if clusters.locked[clusters.position_of[c]]]:
        raise AssertionError(f"locked: cluster {held[0]} is contracted")
    if len(adapted.expanded) > bounds.max_expanded:
        raise AssertionError(f"max_expanded: {len(adapted.expanded)} clusters, {bounds.max_expanded} may be")
    if over := [t for t, count in adapted.brought.items() if count > max(bounds.sizes)]:
        raise AssertionError(f"sizes: {adapted.brought[over[0]]} items came in with cluster {over[0]}")
