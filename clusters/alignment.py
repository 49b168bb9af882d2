"""Which clusters suit the personas now: similarity of a profile and a cluster, and the selection that follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from clusters import derived, kernels
from clusters.adaptation import AdaptedClusters
from clusters.item_clusters import ItemClusters

TERMS = ("mass", "transition", "affinity", "persona")
"""Columns of `Selection.terms`."""

WEIGHTS = np.array([0.35, 0.45, 0.1, 0.1], dtype=np.float32)
"""Of the terms. Where the session goes next says more than where it is; measured by next-item hit rate of the
selected clusters on real click sessions. Without an affinity the others share its part."""

WITHOUT_AFFINITY = WEIGHTS / (1.0 - WEIGHTS[TERMS.index("affinity")])

LEARNED = 0.5
"""Part of the alignment that is learned from behaviour; the rest is the likeness of descriptors."""

SPAN = 0.499
"""What a cosine of 1 adds to 1/2: the ends stay open, for the odds to be finite."""

COUNT = 12
"""Clusters selected at most. Most often `MAX_SHARE` ends the selection first."""

MAX_SHARE = 0.1
"""Of the catalogue, that the selected clusters may hold between them: a step's cost grows with what is selected."""

FEW = 100
"""Items that may be selected in a shop however small, up to half of it: less than a ranking's candidates saves nothing."""

PULL = 0.5
"""Share of its source's mass that an expanded cluster is given: enough to be selected, not enough to lead."""


_NONE = np.zeros(0, dtype=np.float32)
_NOBODY = np.zeros(0, dtype=np.int64)
_NOTHING = (_NOBODY, np.zeros(0))


class AlignmentTerm(NamedTuple):
    """One part of an alignment.

    kind : "everybody", the half that all clusters have; "persona", how much more a persona takes of the cluster than shoppers
        do; "descriptor", one that attribute and cluster share.  name : of the persona, or the descriptor.
    attribute : whose descriptor it is, else "".
    """

    kind: str
    name: str
    value: float
    attribute: str = ""


@dataclass(frozen=True)
class Selection:
    """The S clusters chosen for a step.

    rows : (S,) int32 cluster positions, best first.  score : (S,) float32.
    weight : (S,) float32 multiplier of the session's adaptation, already within `score`.
    persona : (S,) int32 archetype position for which the cluster is, -1 where there are no personas.
    terms : (S, 4) float32, contributions named in `TERMS`; their sum times `weight` is `score`.
    """

    rows: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    persona: np.ndarray
    terms: np.ndarray


def persona_scores(clusters: ItemClusters, belief: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    """(C,) alignment of a profile with each cluster, in (0, 1): weighted cosine of descriptors blended with learned lift.

    belief : (K,) persona probabilities.  attributes : (A,) weights of the profile, at least 0.
    The profile's descriptors are the sum of its attributes', each of length 1, by their weights; the cluster's are its log
    lifts. Their cosine c counts as (1 + .998 c) / 2, lift l as l / (1 + l), so that in both 1/2 is "as everybody"; each is
    half of the alignment. Without attributes, or with none that speaks of a descriptor of the catalogue, the lift decides
    alone; without personas every cluster's lift is 1. `explain` takes it apart.
    """
    if clusters.persona_lift.shape[1]:
        lift = clusters.persona_lift @ np.asarray(belief, dtype=np.float32)
        learned = lift / (1.0 + lift)
    else:
        learned = np.full(len(clusters), 0.5, dtype=np.float32)
    weights = np.asarray(attributes, dtype=np.float32)
    length = _length(clusters, weights)
    if length <= 0:
        return learned
    likeness = clusters.attribute_match @ (weights * np.float32(SPAN * (1.0 - LEARNED) / length))
    return np.asarray(LEARNED * learned + (0.5 * (1.0 - LEARNED) + likeness))


def _length(clusters: ItemClusters, weights: np.ndarray) -> float:
    """Of the sum of the attributes' descriptors by these weights; 0 where they speak of nothing."""
    return math.sqrt(max(float(weights @ clusters.attribute_likeness @ weights), 0.0)) if weights.any() else 0.0


def explain(
    clusters: ItemClusters,
    position: int,
    *,
    belief: np.ndarray,
    attributes: np.ndarray,
    attribute_descriptors: sparse.csr_matrix,
    descriptors: Sequence[str],
    attribute_names: Sequence[str],
    persona_names: Sequence[str],
) -> tuple[AlignmentTerm, ...]:
    """The terms of `persona_scores` of the cluster at a position, which they add up to: what all start with, then the
    weightiest first.

    attribute_descriptors : (A, D), as the clusters' own `attribute_match` was made of.  descriptors : D names.
    attribute_names, persona_names : A and K.  Terms of 0 are left out. Raises ValueError where the counts disagree.
    """
    a, k = clusters.attribute_match.shape[1], clusters.persona_lift.shape[1]
    if (len(attribute_names), len(persona_names), len(belief)) != (a, k, k) or attribute_descriptors.shape[0] != a:
        raise ValueError(f"{len(attribute_names)} attributes and {len(persona_names)} personas, the clusters know {a} and {k}")
    terms: list[AlignmentTerm] = []
    weights = np.asarray(attributes, dtype=np.float64)
    length = _length(clusters, weights)
    lift = clusters.persona_lift[position].astype(np.float64)
    mean = float(lift @ belief) if k else 1.0
    # l / (1 + l) - 1/2 = (l - 1) / (2 (1 + l)), and l - 1 is the belief's mean of the personas' own l - 1.
    scale = (LEARNED if length > 0 else 1.0) / (2.0 * (1.0 + mean))
    terms += [
        AlignmentTerm("persona", name, scale * float(b * (x - 1.0)))
        for name, b, x in zip(persona_names, belief, lift, strict=True)
    ]
    if length > 0:
        described, wanted = derived.directions(clusters.descriptor_lift[[position]], attribute_descriptors)
        by_attribute = sparse.diags(weights * (SPAN * (1.0 - LEARNED) / length)) @ wanted
        shared = by_attribute.multiply(described.toarray()).tocoo()
        terms += [
            AlignmentTerm("descriptor", descriptors[d], float(value), attribute_names[row])
            for row, d, value in zip(shared.row.tolist(), shared.col.tolist(), shared.data.tolist(), strict=True)
        ]
    terms = sorted((t for t in terms if t.value), key=lambda t: -abs(t.value))
    return (AlignmentTerm("everybody", "", 0.5), *terms)


def select(
    clusters: ItemClusters,
    adapted: AdaptedClusters,
    *,
    belief: np.ndarray,
    attributes: np.ndarray,
    affinity: np.ndarray | None,
    active: tuple[int, ...],
    count: int = COUNT,
    max_share: float = MAX_SHARE,
    few: int = FEW,
) -> Selection:
    """The clusters to recommend from now: at most `count`, with at most `max_share` of the catalogue between them.

    few : items that they may hold even where that is a larger share, but no more than half of the catalogue.

    belief : (K,).  attributes : (A,).  affinity : (C,) of the ranker for the session, sums to 1, or None.
    active : archetype positions that each get at least one cluster, as long as there are enough clusters.
    score = (.35 q + .45 qT + .1 affinity + .1 persona) x weight; q is the session's mass over clusters, T the
    transitions. A session without mass starts from the clusters' shares, tilted by the personas. Dropped clusters are
    out; the best cluster is in, however large. No cluster gives an empty selection.
    """
    if not len(clusters) or count < 1:
        none = np.zeros(0, dtype=np.float32)
        return Selection(np.zeros(0, dtype=np.int32), none, none, np.zeros(0, dtype=np.int32), np.zeros((0, 4), dtype=np.float32))
    likely = np.asarray(belief, dtype=np.float64)
    here, changed = clusters.position_of, adapted.weight
    mass = _session_mass(clusters, adapted)
    weight = {here[c]: w for c, w in changed.items() if c in here} if changed else {}
    n = len(clusters.primary)
    room = max(max_share * n, min(few, 0.5 * n))
    asked = (
        *clusters.tables,
        clusters.sizes,
        likely,
        np.asarray(attributes, dtype=np.float64),
        LEARNED,
        SPAN,
        *_arrays(mass),
        _NONE if affinity is None else affinity,
        WITHOUT_AFFINITY if affinity is None else WEIGHTS,
        *_arrays(weight),
    )
    wanted = np.array(active, dtype=np.int64) if active else _NOBODY
    places, values, terms, every = kernels.selected(*asked, clusters.worth, clusters.shared, count, room, wanted)
    if not every:
        found = kernels.scored(*asked)
        within = kernels.within(found[5], clusters.worth, clusters.sizes, clusters.shared, count, room)
        places, values, terms = kernels.arranged(found, *_label(clusters, found[5], within, likely, active, room))
    return Selection(places[0], values[0], values[1], places[1], terms)


def _arrays(numbers: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """The positions and what belongs to each."""
    if not numbers:
        return _NOTHING
    return np.array(tuple(numbers), dtype=np.int64), np.array(tuple(numbers.values()), dtype=np.float64)


def _session_mass(clusters: ItemClusters, adapted: AdaptedClusters) -> dict[int, float]:
    """Cluster positions that hold mass -> how much; what was pulled in borrows its source's."""
    here = clusters.position_of
    held = {here[c]: m for c, m in adapted.mass.items() if m > 0 and c in here}
    for target, source in adapted.expanded.items():
        if target in here and source in adapted.mass:
            held[here[target]] = held.get(here[target], 0.0) + PULL * adapted.mass[source]
    return held


def _label(
    clusters: ItemClusters, score: np.ndarray, within: np.ndarray, belief: np.ndarray, active: tuple[int, ...], room: float
) -> tuple[np.ndarray, np.ndarray]:
    """The clusters `within` the room, and the persona that each is for: belief x lift is greatest, of the active ones, which
    must be some.

    A persona without a cluster takes over the chosen one that suits it best, if that suits it more than shoppers at
    large; else its best other one comes in, for the least of a persona that has several.
    """
    lift = clusters.tables[3]
    label = kernels.suited(lift, within, np.array(active), belief).tolist()
    chosen = within.tolist()
    for persona in active:
        if persona in label:
            continue
        spare = [i for i, p in enumerate(label) if label.count(p) > 1]
        if not spare:
            continue
        suits = lift[chosen, persona].tolist()
        suited = max(spare, key=suits.__getitem__)
        if suits[suited] <= 1.0:
            gives_way = min(spare, key=score[chosen].tolist().__getitem__)
            staying = chosen[:gives_way] + chosen[gives_way + 1 :]
            common = clusters.shared[staying]
            covered = clusters.sizes[staying].sum() - sum(int(common[i, staying[:i]].max()) for i in range(1, len(staying)))
            added = clusters.sizes - common.max(0)
            wanted = score * lift[:, persona] * (covered + added <= room)
            wanted[chosen] = 0.0
            best = int(wanted.argmax())
            if wanted[best] > 0 and lift[best, persona] > suits[suited]:
                chosen[gives_way] = best
                suited = gives_way
        label[suited] = persona
    return np.array(chosen), np.array(label)
