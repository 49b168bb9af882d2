"""Figures over seeds: each seed is one world with one run of each learner, and the seeds are independent of each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from joblib import Parallel, delayed

from recommendations.evaluation.adaptation.learners import Learner
from recommendations.evaluation.adaptation.shops import made_shop
from recommendations.evaluation.adaptation.worlds import FIGURES, Course, Plan, run
from recommendations.evaluation.resampling import Interval

DRAWS = 4_000
LEVEL = 95.0


@dataclass(frozen=True)
class Board:
    """What L learners came to in S worlds of N sessions. Each (S, L, N): as in `worlds.Course`.

    blocked : bound -> how often it stopped an action, in all.
    """

    names: tuple[str, ...]
    expected: np.ndarray
    earned: np.ndarray
    regret: np.ndarray
    stake: np.ndarray
    decisions: np.ndarray
    pages: np.ndarray
    blocked: dict[str, int]

    def of(self, name: str, what: str) -> np.ndarray:
        """(S, N) of one learner."""
        found: np.ndarray = getattr(self, what)[:, self.names.index(name)]
        return found


def play(
    learners: Callable[[int], Sequence[Learner]],
    plan: Plan,
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    known: Mapping[int, list[Course]] | None = None,
    keep: Callable[[int, list[Course]], None] | None = None,
) -> Board:
    """Every learner in the world of every seed. learners : seed -> new ones, always under the same names.

    jobs : processes. A seed's figures are the same whatever the number of jobs.
    known : figures of seeds that need no playing.  keep : is told those of each seed that was played, as soon as they are known.
    """
    rows = dict(known or {})
    missing = [seed for seed in seeds if seed not in rows]
    report = progress or (lambda done, of: None)
    report(len(seeds) - len(missing), len(seeds))
    found = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_one)(learners, plan, seed) for seed in missing)
    for done, (seed, courses) in enumerate(found, 1):
        rows[seed] = courses
        if keep is not None:
            keep(seed, courses)
        report(len(seeds) - len(missing) + done, len(seeds))
    return board([rows[seed] for seed in seeds])


def board(rows: Sequence[Sequence[Course]]) -> Board:
    """Courses of the same learners, in the same order, in each world."""
    blocked: dict[str, int] = {}
    for course in (c for row in rows for c in row):
        for bound, times in course.blocked.items():
            blocked[bound] = blocked.get(bound, 0) + times

    def table(what: str) -> np.ndarray:
        return np.array([[getattr(c, what) for c in row] for row in rows])

    return Board(tuple(c.name for c in rows[0]), **{what: table(what) for what in FIGURES}, blocked=blocked)


def _one(learners: Callable[[int], Sequence[Learner]], plan: Plan, seed: int) -> tuple[int, list[Course]]:
    shop = made_shop(seed)
    return seed, [replace(run(shop, learner, plan, seed=seed), logs=[]) for learner in learners(seed)]


def saved(ours: np.ndarray, peer: np.ndarray, *, seed: int = 0) -> Interval:
    """Percent of a peer's (S,) regret that ours saves, in sum over the worlds; worlds are drawn anew for the interval."""
    return _over_worlds(lambda rows: 100.0 * (1.0 - ours[rows].sum(axis=-1) / peer[rows].sum(axis=-1)), len(ours), seed)


def gained(ours: np.ndarray, peer: np.ndarray, *, seed: int = 0) -> Interval:
    """Ours less a peer's (S,), on average of the worlds."""
    return _over_worlds(lambda rows: (ours[rows] - peer[rows]).mean(axis=-1), len(ours), seed)


def mean(values: np.ndarray, *, seed: int = 0) -> Interval:
    """Of (S,) worlds."""
    return gained(values, np.zeros_like(values), seed=seed)


def _over_worlds(figure: Callable[[np.ndarray], np.ndarray], worlds: int, seed: int) -> Interval:
    """A figure of the worlds at rows (..., S), with percentiles of it over `DRAWS` of as many worlds with replacement."""
    drawn = np.random.default_rng(seed).integers(0, worlds, size=(DRAWS, worlds))
    low, high = np.percentile(figure(drawn), ((100.0 - LEVEL) / 2.0, (100.0 + LEVEL) / 2.0)).tolist()
    return Interval(float(figure(np.arange(worlds))), low, high)
