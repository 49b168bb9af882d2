"""One model's answers, counted as they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from personas.sessions import NO_ITEM
from recommendations.evaluation.asked import SEGMENTS, Asked
from recommendations.evaluation.breakdown import Popularity
from recommendations.evaluation.metrics import CUT, Metrics, gains, list_diversity, measure
from recommendations.evaluation.resampling import Resampled, resample

ENGINE = "engine"
"""The model of ours, among the peers."""

Progress = Callable[[str, float], None]
"""Called with one of the stages that `plan` names, and the share of that stage which is done."""

Clock = Callable[[], float]
"""Seconds, for what is measured; passed in, for a pure module reads none."""


@dataclass(frozen=True)
class Setting:
    """What all models of an evaluation share.

    segments : (m, 3), `asked.segments_of`.  labels : category and cluster of the items, each by `labels_of`.
    items, items_seen : in the catalogue, and of those in training.  seed, draws : of the resamples.
    """

    asked: Asked
    segments: np.ndarray
    labels: tuple[np.ndarray, ...]
    items: int
    items_seen: int
    seed: int
    draws: int
    clock: Clock
    progress: Progress


@dataclass(frozen=True)
class Result:
    """One model's figures. by_segment : of all predictions, then by prefix length, then by popularity (`SEGMENTS`).

    settings : the published ones that tuning chose, of a peer.
    """

    metrics: Metrics
    by_segment: Resampled
    train_seconds: float
    ms_per_prediction: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """Models and ablations by name, each asked the same. seed : of the training and the draws.

    diverse : the engine by how diverse its lists were asked to be.
    popularity : of the catalogue's items in training.  clusters : how many the engine has.
    """

    asked: Asked
    models: Mapping[str, Result]
    ablations: Mapping[str, Result]
    popularity: Popularity
    items_seen: int
    clusters: int
    seed: int
    diverse: Mapping[float, Result] = field(default_factory=dict)


def at_diversity(asked_for: float) -> str:
    """What the engine's lists are called that were asked to be this diverse."""
    return f"{ENGINE} at diversity {asked_for:g}"


def labels_of(codes: np.ndarray) -> np.ndarray:
    """(n + 1,) codes of the items; the last entry serves a place that no item fills."""
    return np.append(codes.astype(np.int64), -1)


class Tally:
    """What the lists of one model come to, taken in as they are made: their places, what they hold and how mixed they are."""

    BLOCK = 512

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.ranks = np.zeros(len(setting.asked.target), dtype=np.int32)
        self._recommended = np.zeros(setting.items, dtype=bool)
        self._lists = np.full((self.BLOCK, CUT), NO_ITEM, dtype=np.int32)
        self._mixed = np.zeros((len(setting.labels), 2))
        self.done = 0

    def add(self, items: np.ndarray, rank: int, target: int) -> None:
        """The next list: at most `CUT` positions, and the rank of its target. Raises ValueError on another target than the one
        asked for."""
        if self.done >= len(self.ranks) or target != self._setting.asked.target[self.done]:
            raise ValueError(f"prediction {self.done} is not the one that was asked for")
        self.ranks[self.done] = rank
        row = self.done % self.BLOCK
        self._lists[row, : len(items)] = items
        self._recommended[items] = True
        self.done += 1
        if row == self.BLOCK - 1:
            self._mix(self.BLOCK)

    def _mix(self, count: int) -> None:
        for i, labels in enumerate(self._setting.labels):
            diversity = list_diversity(labels[self._lists[:count]])
            told = ~np.isnan(diversity)
            self._mixed[i] += diversity[told].sum(), told.sum()
        self._lists[:] = NO_ITEM

    def result(self, *, train_seconds: float, predict_seconds: float, settings: Mapping[str, Any]) -> Result:
        """The figures. Raises ValueError where not all that was asked has been answered."""
        if self.done != len(self.ranks):
            raise ValueError(f"{self.done} predictions of {len(self.ranks)} were made")
        self._mix(self.done % self.BLOCK)
        s = self._setting
        metrics = measure(self.ranks, recommended=int(self._recommended.sum()), items=s.items_seen)
        category, cluster = (100.0 * mixed / lists if lists else float("nan") for mixed, lists in self._mixed.tolist())
        by_segment = resample(s.asked.session, gains(self.ranks), s.segments, count=SEGMENTS, seed=s.seed, draws=s.draws)
        return Result(
            metrics=replace(metrics, category_diversity=category, cluster_diversity=cluster),
            by_segment=by_segment,
            train_seconds=train_seconds,
            ms_per_prediction=1e3 * predict_seconds / max(self.done, 1),
            settings=settings,
        )
