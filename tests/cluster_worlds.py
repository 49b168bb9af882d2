"""Seeded worlds with planted groups, shared by the tests of clusters."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from clusters.catalogue import Catalogue, ItemRow, build_catalogue
from clusters.item_clusters import CO_VISIT, Behaviour, ItemClusters, Learned
from personas.sessions import SessionLog

CATEGORIES = (
    *("skirts", "trousers", "blouses", "coats", "shoes", "hats", "bags", "belts"),
    *("scarves", "socks", "gloves", "rings", "jackets", "dresses", "boots"),
)


def planted(
    *, groups: int = 15, size: int = 16, sessions: int = 4_000, stray: float = 0.1, seed: int = 0
) -> tuple[SessionLog, Catalogue, np.ndarray]:
    """Sessions of six views that stay in one group but for a `stray` share of them, and each item's true group."""
    rng = np.random.default_rng(seed)
    n = groups * size
    truth = np.repeat(np.arange(groups), size)
    home = rng.integers(0, groups, sessions)
    group = np.where(rng.random((sessions, 6)) < stray, rng.integers(0, groups, (sessions, 6)), home[:, None])
    position = group * size + rng.integers(0, size, (sessions, 6))
    log = SessionLog.of(np.repeat(np.arange(sessions), 6), position.ravel(), np.arange(sessions * 6, dtype=np.float64))
    rows = [
        ItemRow(
            i + 1,
            f"sku-{i}",
            title=f"article {i}",
            category=CATEGORIES[truth[i] % len(CATEGORIES)],
            colour=("blue", "red")[i % 2],
            price=float(10 + i % size),
        )
        for i in range(n)
    ]
    return log, build_catalogue(rows), truth


def bare_catalogue(n: int) -> Catalogue:
    """Items of which nothing is known but a title."""
    return build_catalogue([ItemRow(i + 1, f"sku-{i}", title=f"no. {i}") for i in range(n)])


def views(*sessions: list[int]) -> SessionLog:
    """One session of views for each list of positions, in order of time."""
    position = [p for s in sessions for p in s]
    session = [i for i, s in enumerate(sessions) for _ in s]
    return SessionLog.of(np.array(session, dtype=np.int64), np.array(position, dtype=np.int64), np.arange(len(position)))


def made_clusters(c: int = 8, *, per_cluster: int = 10, personas: int = 2, first_id: int = 101) -> ItemClusters:
    """`c` disjoint clusters, ids from `first_id`, of items 1, 2, ...; shoppers stay, or go on to the next cluster."""
    n = c * per_cluster
    primary = np.repeat(np.arange(c, dtype=np.int32), per_cluster)
    of_item = sparse.csr_matrix((np.ones(n, dtype=np.float32), (np.arange(n), primary)), shape=(n, c))
    transitions = np.full((c, c), 0.1 / max(c, 1), dtype=np.float32)
    transitions[np.arange(c), np.arange(c)] += 0.6
    transitions[np.arange(c), (np.arange(c) + 1) % max(c, 1)] += 0.3
    ids = np.arange(first_id, first_id + c, dtype=np.int64)
    names, kinds = tuple(f"cluster {i}" for i in range(c)), (CO_VISIT,) * c
    return ItemClusters(
        cluster_ids=ids,
        names=names,
        kinds=kinds,
        items=sparse.csr_matrix(of_item.T),
        of_item=of_item,
        weight=np.ones(n, dtype=np.float32),
        primary=primary,
        part=np.full(n, -1, dtype=np.int16),
        parts=((),) * c,
        descriptor_lift=sparse.csr_matrix((c, 0), dtype=np.float32),
        transitions=transitions,
        overlap=np.zeros((c, c), dtype=np.float32),
        related=transitions * (1 - np.eye(c, dtype=np.float32)),
        share=np.full(c, 1 / max(c, 1), dtype=np.float32),
        persona_lift=np.ones((c, personas), dtype=np.float32),
        attribute_match=np.zeros((c, 0), dtype=np.float32),
        attribute_likeness=np.zeros((0, 0), dtype=np.float32),
        locked=np.zeros(c, dtype=bool),
        behaviour=Behaviour.none(n),
        learned=Learned(ids, names, kinds, of_item, np.full(c, -1, dtype=np.int32), 1.0),
        item_ids=np.arange(1, n + 1, dtype=np.int64),
    )
