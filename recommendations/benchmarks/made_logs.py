"""A made log of any size for measuring cost and steadiness, and what building clusters from it takes in a process of its own.

Pure modules only, so that the measured process loads nothing else.
"""

from __future__ import annotations

import multiprocessing
import resource
import time

import numpy as np

from clusters.catalogue import Catalogue, ItemRow, build_catalogue
from clusters.item_clusters import build_clusters
from personas.events import CODE
from personas.sessions import SessionLog

GROUP = 120
"""Items that a session of the made log stays among, but for a tenth of its views."""

LENGTH = 5
"""Views of a session."""

SEED = 11
START = 1_700_000_000.0


def made_catalogue(items: int) -> Catalogue:
    """Items by group; one in 30 groups has the same category."""
    return build_catalogue(
        ItemRow(i + 1, f"sku-{i + 1}", f"item {i + 1}", f"category {i // GROUP % 30}", price=float(5 + i * 37 % 200))
        for i in range(items)
    )


def made_log(items: int, events: int, *, seed: int = SEED) -> SessionLog:
    """Sessions of `LENGTH` views over thirty days. The n-th item of a group, and the n-th group, are drawn with weight 1/n and
    1/sqrt(n): shops' visits have such a tail."""
    rng = np.random.default_rng(seed)
    sessions, groups = max(1, events // LENGTH), max(1, -(-items // GROUP))
    weight, popularity = 1.0 / np.arange(1, GROUP + 1), 1.0 / np.sqrt(np.arange(1, groups + 1))
    popularity /= popularity.sum()
    within = rng.choice(GROUP, size=(sessions, LENGTH), p=weight / weight.sum())
    home = rng.choice(groups, size=(sessions, 1), p=popularity)
    stray = rng.random((sessions, LENGTH)) < 0.1
    group = np.where(stray, rng.choice(groups, size=(sessions, LENGTH), p=popularity), home)
    at = START + np.sort(rng.uniform(0, 30 * 86_400, sessions))[:, None] + np.arange(LENGTH) * 40.0
    return SessionLog.of(
        np.repeat(np.arange(sessions), LENGTH),
        ((group * GROUP + within) % items).ravel(),
        at.ravel(),
        code=np.full(sessions * LENGTH, CODE["view_item"], dtype=np.int8),
    )


def measured_build(items: int, events: int) -> dict[str, float]:
    """Seconds and peak memory of `build_clusters` on a made log, log and catalogue included, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_build, (items, events))


def _build(items: int, events: int) -> dict[str, float]:
    catalogue, log = made_catalogue(items), made_log(items, events)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    clusters = build_clusters(log, catalogue)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    build_clusters(log, catalogue, previous=clusters)
    again = time.perf_counter() - began
    return {
        "events": len(log.code),
        "items": items,
        "clusters": len(clusters),
        "seconds": round(seconds, 2),
        "seconds_rebuild": round(again, 2),
        "log_mb": round(before / 1024, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
