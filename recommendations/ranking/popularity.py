"""What is visited at all, what lately, and what is on the rise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personas.sessions import SessionLog

RECENT_SHARE = 0.05
"""The last twentieth of the log's events is "lately"; a share, so that it fits any shop's traffic."""

FACTS = ("log_share", "log_recent", "trend", "returned", "entry")
TOP = 1_000


@dataclass(frozen=True)
class Popularity:
    """Static facts of n items and the most popular of them.

    facts : (n, 5) float32: log share of visits, log share lately, their difference, log-odds that the item is visited again
    in the same session, log-odds that a visit opens a session; each smoothed.
    top : (<= TOP,) int32 positions, most visited lately first.
    """

    facts: np.ndarray
    top: np.ndarray


def build_popularity(log: SessionLog, n: int, *, weight: np.ndarray) -> Popularity:
    """From item actions. weight : (S,) how much each session counts. Items never visited share one smoothed visit each."""
    session = log.session_of
    visits = np.bincount(log.position, weight[session], minlength=n)
    late = log.position[np.argsort(log.at, kind="stable")[-max(1, int(len(session) * RECENT_SHARE)) :]] if n else log.position
    recent = np.bincount(late, minlength=n).astype(np.float64)
    share = (visits + 0.5) / (visits.sum() + 0.5 * n)
    # Lately, an item is what it always was until its own visits say otherwise: the past weighs a quarter.
    past = 0.25 * recent.sum() + 1.0
    recent_share = (recent + past * share) / (recent.sum() + past)
    seen = np.bincount(log.position, minlength=n)
    entries = np.bincount(log.position[log.offsets[:-1]], minlength=n)
    pairs = np.unique(session * np.int64(max(n, 1)) + log.position)
    returned = seen - np.bincount(pairs % max(n, 1), minlength=n)
    facts = np.column_stack(
        (
            np.log(share),
            np.log(recent_share),
            np.log(recent_share / share),
            _log_odds(returned, seen),
            _log_odds(entries, seen),
        )
    )
    top = np.lexsort((np.arange(n), -share, -recent_share))[:TOP]
    return Popularity(facts.astype(np.float32), top.astype(np.int32))


def _log_odds(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Smoothed towards the shop's own rate by ten trials."""
    rate = (hits.sum() + 0.5) / (of.sum() + 1.0)
    p = (hits + 10.0 * rate) / (of + 10.0)
    p = np.clip(p, 1e-6, 1.0 - 1e-6)
    return np.log(p / (1.0 - p))
