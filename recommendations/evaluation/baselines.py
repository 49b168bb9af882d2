"""Peers to beat: popularity, sequential rules, V-SKNN.

Ludewig & Jannach (2018), "Evaluation of session-based recommendation algorithms". Each has a few published settings,
of which the one that ranks a validation part best is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from personas.sessions import SessionLog
from recommendations.ranking.history import segments


class Baseline(Protocol):
    """A scorer of all n items."""

    def scores(self, prefix: np.ndarray) -> np.ndarray:
        """(n,) scores for a session's items so far, oldest first, at least one."""
        ...


@dataclass(frozen=True)
class PopularityBaseline:
    """Items by how often they were visited."""

    counts: np.ndarray

    @classmethod
    def fit(cls, log: SessionLog, n: int) -> PopularityBaseline:
        return cls(np.bincount(log.position, minlength=n).astype(np.float64))

    def scores(self, prefix: np.ndarray) -> np.ndarray:
        return self.counts


LAG_WEIGHTS: Mapping[str, Callable[[int], float]] = {
    "div": lambda lag: 1.0 / lag,
    "quadratic": lambda lag: 1.0 / lag**2,
    "linear": lambda lag: max(1.0 - 0.1 * lag, 0.0),
    "same": lambda lag: 1.0,
}


@dataclass(frozen=True)
class SequentialRules:
    """SR: from the last item alone, the items that followed it within `steps` events. rules : (n, n) CSR."""

    rules: sparse.csr_matrix

    @classmethod
    def fit(cls, log: SessionLog, n: int, *, steps: int = 10, weighting: str = "div") -> SequentialRules:
        session = log.session_of
        total = sparse.csr_matrix((n, n))
        for lag in range(1, steps + 1):
            first = np.flatnonzero(session[lag:] == session[:-lag]) if len(session) > lag else np.zeros(0, dtype=np.int64)
            pairs = (log.position[first], log.position[first + lag])
            total = total + sparse.csr_matrix((np.full(len(first), LAG_WEIGHTS[weighting](lag)), pairs), shape=(n, n))
        return cls(sparse.csr_matrix(total))

    def scores(self, prefix: np.ndarray) -> np.ndarray:
        scores = np.zeros(self.rules.shape[1])
        start, stop = self.rules.indptr[prefix[-1]], self.rules.indptr[prefix[-1] + 1]
        scores[self.rules.indices[start:stop]] = self.rules.data[start:stop]
        return scores


@dataclass(frozen=True)
class VSKNN:
    """Vector multiplication session kNN.

    item_starts, item_sessions : sessions of each item, by age.  session_starts, session_items : items of each session, once.
    """

    item_starts: np.ndarray
    item_sessions: np.ndarray
    session_starts: np.ndarray
    session_items: np.ndarray
    idf: np.ndarray
    k: int
    sample: int
    weighting: str
    score_weighting: str
    idf_weight: float
    similarity: np.ndarray = field(repr=False)
    matched: np.ndarray = field(repr=False)

    @classmethod
    def fit(
        cls,
        log: SessionLog,
        n: int,
        *,
        k: int = 200,
        sample: int = 2_000,
        weighting: str = "quadratic",
        score_weighting: str = "linear",
        idf_weight: float = 5.0,
    ) -> VSKNN:
        order = np.argsort(log.at[log.offsets[1:] - 1], kind="stable")
        age = np.empty(len(order), dtype=np.int64)
        age[order] = np.arange(len(order))
        pairs = np.unique(age[log.session_of] * np.int64(n) + log.position)
        session, item = pairs // n, pairs % n
        by = np.lexsort((session, item))
        counts = np.bincount(item, minlength=n)
        return cls(
            item_starts=np.concatenate(([0], np.cumsum(counts))),
            item_sessions=session[by],
            session_starts=np.searchsorted(session, np.arange(len(log) + 1)),
            session_items=item,
            idf=np.log(max(len(log), 1) / np.maximum(counts, 1)),
            k=k,
            sample=sample,
            weighting=weighting,
            score_weighting=score_weighting,
            idf_weight=idf_weight,
            similarity=np.zeros(len(log)),
            matched=np.zeros(len(log), dtype=np.int64),
        )

    def scores(self, prefix: np.ndarray) -> np.ndarray:
        n, length = len(self.idf), len(prefix)
        latest: dict[int, int] = {}
        for step, item in enumerate(prefix[::-1].tolist(), 1):
            latest.setdefault(item, step)
        visited = {item: self.item_sessions[self.item_starts[item] : self.item_starts[item + 1]] for item in latest}
        union = np.unique(np.concatenate(list(visited.values())))[-self.sample :]  # sessions are numbered by age
        for item in reversed(latest):  # oldest first: the latest item matched is written last
            self.similarity[visited[item]] += self._position_weight(latest[item], length)
            self.matched[visited[item]] = latest[item]
        likeness, matched = self.similarity[union] / len(latest), self.matched[union]
        for sessions in visited.values():
            self.similarity[sessions] = 0.0
        best = np.lexsort((-union, -likeness))[: self.k]
        near, likeness, matched = union[best], likeness[best], matched[best]
        decay = np.array([LAG_WEIGHTS[self.score_weighting](s) for s in matched.tolist()])
        starts = self.session_starts[near]
        lengths = self.session_starts[near + 1] - starts
        items = self.session_items[segments(starts, lengths)]
        return np.bincount(items, np.repeat(likeness * decay, lengths), minlength=n) * (1.0 + self.idf_weight * self.idf)

    def _position_weight(self, step: int, length: int) -> float:
        """Weight of the event `step` from the end of a session of `length`."""
        place = length - step + 1
        return {
            "same": 1.0,
            "div": place / length,
            "linear": max(1.0 - 0.1 * (step - 1), 0.0),
            "quadratic": (place / length) ** 2,
        }[self.weighting]


SETTINGS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "popularity": ({},),
    "sequential_rules": (
        {"steps": 10, "weighting": "div"},
        {"steps": 15, "weighting": "quadratic"},
        {"steps": 8, "weighting": "linear"},
    ),
    "v_sknn": (
        {"k": 100, "sample": 500, "weighting": "quadratic", "score_weighting": "div", "idf_weight": 5.0},
        {"k": 200, "sample": 2_000, "weighting": "same", "score_weighting": "linear", "idf_weight": 10.0},
        {"k": 500, "sample": 5_000, "weighting": "div", "score_weighting": "quadratic", "idf_weight": 1.0},
    ),
}
FIT: Mapping[str, Callable[..., Baseline]] = {
    "popularity": PopularityBaseline.fit,
    "sequential_rules": SequentialRules.fit,
    "v_sknn": VSKNN.fit,
}
