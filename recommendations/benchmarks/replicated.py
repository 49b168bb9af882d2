"""A large engine made of a trained one: copies of its items with noise, to measure steps over more items than anyone trains here.

Nothing is learned anew: each copy has its own items, neighbours and sessions, a little off the first's. Copies share clusters
where there would be more of them than a training makes (`communities.MAX_CLUSTERS`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue
from clusters.communities import MAX_CLUSTERS
from clusters.item_clusters import ItemClusters
from clusters.learned import Behaviour, Learned
from personas.components import Text
from personas.profile import PersonaModel
from recommendations.engine import Engine
from recommendations.ranking.encoder import Encoder
from recommendations.ranking.neighbours import Neighbours
from recommendations.ranking.popularity import TOP, Popularity
from recommendations.ranking.ranker import Ranker
from recommendations.ranking.transitions import ItemRows

NOISE = 0.1
"""Spread of the noise, as a share of what it is put on."""


def replicate(engine: Engine, copies: int, *, seed: int = 0) -> Engine:
    """`engine` over `copies` times its items; copy c of the item at position i is at c * n + i."""
    rng = np.random.default_rng(seed)
    sets = max(1, min(copies, MAX_CLUSTERS // max(1, len(engine.clusters))))
    catalogue = _catalogue(engine.catalogue, copies)
    return replace(
        engine,
        catalogue=catalogue,
        personas=_personas(engine.personas, copies),
        clusters=_clusters(engine.clusters, catalogue, copies, sets, rng),
        ranker=_ranker(engine.ranker, copies, rng),
    )


def _catalogue(one: Catalogue, copies: int) -> Catalogue:
    n = len(one)
    first = int(one.item_ids.max(initial=0))
    return replace(
        one,
        item_ids=np.concatenate([one.item_ids + c * first for c in range(copies)]),
        external_ids=_texts(one.external_ids, copies, n),
        titles=_texts(one.titles, copies, n),
        category=np.tile(one.category, copies),
        brand=np.tile(one.brand, copies),
        colour=np.tile(one.colour, copies),
        price=np.tile(one.price, copies),
        price_tier=np.tile(one.price_tier, copies),
        in_stock=np.tile(one.in_stock, copies),
        reduced=np.tile(one.reduced, copies),
        item_descriptors=sparse.csr_matrix(sparse.vstack([one.item_descriptors] * copies)),
        cost=None if one.cost is None else np.tile(one.cost, copies),
    )


def _texts(one: Text, copies: int, n: int) -> Text:
    texts = [one[i] for i in range(n)]
    return Text.of(f"{text} ~{c}" if c else text for c in range(copies) for text in texts)


def _personas(one: PersonaModel, copies: int) -> PersonaModel:
    facts = one.facts
    reduced, tier = np.tile(facts.reduced, copies), np.tile(facts.price_tier, copies)
    facts = replace(facts, category=np.tile(facts.category, copies), price_tier=tier, reduced=reduced)
    return replace(one, facts=facts, item_attributes=np.tile(one.item_attributes, (copies, 1)))


def _clusters(one: ItemClusters, catalogue: Catalogue, copies: int, sets: int, rng: np.random.Generator) -> ItemClusters:
    """Of each set of clusters the items of every `sets`-th copy."""
    size, n = len(one), len(catalogue)
    empty = sparse.csr_matrix((one.of_item.shape[0], size), dtype=np.float32)
    rows = [sparse.hstack([one.of_item if c % sets == s else empty for s in range(sets)]) for c in range(copies)]
    of_item = sparse.csr_matrix(sparse.vstack(rows), dtype=np.float32)
    items = sparse.csr_matrix(of_item.T)
    first = int(one.cluster_ids.max(initial=0))
    moves = np.kron(np.eye(sets, dtype=np.float32) + np.float32(NOISE / sets), one.transitions)
    likeness = np.kron(np.eye(sets, dtype=np.float32), one.overlap)
    return replace(
        one,
        cluster_ids=np.concatenate([one.cluster_ids + s * first for s in range(sets)]),
        names=tuple(f"{name} ~{s}" if s else name for s in range(sets) for name in one.names),
        kinds=one.kinds * sets,
        items=items,
        of_item=of_item,
        weight=items.data,
        primary=np.concatenate([np.where(one.primary >= 0, one.primary + c % sets * size, -1) for c in range(copies)]).astype(
            np.int32
        ),
        part=np.full(items.nnz, -1, dtype=np.int16),
        parts=((),) * (size * sets),
        descriptor_lift=sparse.csr_matrix(sparse.vstack([one.descriptor_lift] * sets)),
        transitions=np.asarray(moves / moves.sum(1, keepdims=True), dtype=np.float32),
        overlap=likeness,
        related=np.kron(np.eye(sets, dtype=np.float32), one.related),
        share=_noisy(np.tile(one.share, sets) / sets, rng),
        persona_lift=_noisy(np.tile(one.persona_lift, (sets, 1)), rng),
        attribute_match=np.tile(one.attribute_match, (sets, 1)),
        locked=np.tile(one.locked, sets),
        behaviour=Behaviour.none(n),
        learned=Learned.none(n),
        item_ids=catalogue.item_ids,
    )


def _ranker(one: Ranker, copies: int, rng: np.random.Generator) -> Ranker:
    return replace(
        one,
        encoder=_encoder(one.encoder, copies, rng),
        rows=_rows(one.rows, copies, rng),
        neighbours=_neighbours(one.neighbours, copies),
        popularity=_popularity(one.popularity, copies, rng),
        companions=None,
        kinship=None,
    )


def _encoder(one: Encoder, copies: int, rng: np.random.Generator) -> Encoder:
    n = len(one.row_of)
    return replace(
        one,
        inputs=_noisy(np.tile(one.inputs, (copies, 1)), rng),
        outputs=_noisy(np.tile(one.outputs, (copies, 1)), rng),
        bias=np.tile(one.bias, copies),
        item_at=_shifted(one.item_at, n, copies),
        row_of=_shifted(one.row_of, n, copies),
    )


def _rows(one: ItemRows, copies: int, rng: np.random.Generator) -> ItemRows:
    """All of an item's values are off by one factor, so that they stay in their order."""
    n, entries = len(one.indptr) - 1, len(one.indices)
    values = np.empty((len(one.values), entries * copies), dtype=np.float32)
    for c in range(copies):
        factor = np.repeat(_noisy(np.ones(n, dtype=np.float32), rng), np.diff(one.indptr))
        np.multiply(one.values, factor, out=values[:, c * entries : (c + 1) * entries])
    indptr = np.concatenate([[0], *(one.indptr[1:] + c * entries for c in range(copies))]).astype(np.int64)
    return replace(one, indptr=indptr, indices=_shifted(one.indices, n, copies), values=values)


def _neighbours(one: Neighbours, copies: int) -> Neighbours:
    """Copies of a session follow one another, so that sessions stay in order of their age."""
    n, visits, starts = len(one.visit_starts) - 1, len(one.visit_session), one.session_starts
    lengths = np.repeat(np.diff(starts), copies)
    ends = np.cumsum(lengths)
    entries = np.arange(ends[-1]) + np.repeat(np.repeat(starts[:-1], copies) - (ends - lengths), lengths)
    copy = np.repeat(np.tile(np.arange(copies), len(starts) - 1), lengths)
    return replace(
        one,
        visit_starts=np.concatenate([[0], *(one.visit_starts[1:] + c * visits for c in range(copies))]).astype(np.int64),
        visit_session=np.concatenate([one.visit_session * copies + c for c in range(copies)]).astype(np.int32),
        visit_place=np.tile(one.visit_place, copies),
        session_starts=np.concatenate(([0], ends)).astype(np.int64),
        session_items=(one.session_items[entries] + copy * n).astype(np.int32),
        idf=np.tile(one.idf, copies),
    )


def _popularity(one: Popularity, copies: int, rng: np.random.Generator) -> Popularity:
    facts = np.tile(one.facts, (copies, 1))
    facts[:, :2] += rng.normal(0.0, NOISE, (len(facts), 2)).astype(np.float32) - np.float32(np.log(copies))
    return replace(one, facts=facts, top=np.argsort(-facts[:, 1], kind="stable")[:TOP].astype(np.int32))


def _shifted(positions: np.ndarray, n: int, copies: int) -> np.ndarray:
    return np.concatenate([positions + c * n for c in range(copies)]).astype(np.int32)


def _noisy(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each value off by its own factor."""
    values *= rng.normal(1.0, NOISE, values.shape).astype(np.float32)
    return values
