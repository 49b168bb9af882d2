"""What the report page of the adaptation shows: curves of regret and of levels, and tables of the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from recommendations.evaluation.adaptation.figures import Board, gained, mean, saved
from recommendations.evaluation.adaptation.levels import level
from recommendations.evaluation.plots import Mark, Series, curves, forest
from recommendations.evaluation.resampling import Interval

OURS = "ours"
ORDER = (OURS, "linucb", "epsilon-greedy", "uniform", "static")
"""Of the learners on the page, with their colours."""

TITLES = {OURS: "ours", "linucb": "LinUCB", "epsilon-greedy": "epsilon-greedy", "uniform": "any option", "static": "static"}
POINTS = 30
BINS = 8


def regret(board: Board) -> list[dict[str, Any]]:
    """Sections as `report_page.sections` has them: cumulative regret, and what a session brings."""
    total = {name: board.of(name, "regret").sum(axis=1) for name in ORDER}
    at = np.unique(np.linspace(1, board.expected.shape[2], POINTS).astype(int))
    series = []
    for i, name in enumerate(ORDER):
        summed = board.of(name, "regret").cumsum(axis=1)
        series.append(Series(TITLES[name], [mean(summed[:, n - 1]) for n in at.tolist()], i))
    said = "; ".join(f"{TITLES[name]} {total[name].mean():.1f}" for name in ORDER)
    rows = []
    for name in ORDER:
        cells = [_ranged(mean(total[name])), _ranged(saved(total[OURS], total[name])) if name != OURS else "\N{EN DASH}"]
        rows.append({"name": TITLES[name], "cells": [*cells, f"{board.of(name, 'decisions').sum(axis=1).mean():.0f}"]})
    against = saved(total[OURS], total["linucb"])
    plot = curves([float(n) for n in at.tolist()], series, sentence=f"Regret at the end, in looks: {said}.", axis="sessions")
    others = [name for name in ("off", "static", "uniform", "linucb") if name in board.names]
    ours = board.of(OURS, "expected").mean(axis=1)
    marks = [
        Mark(f"ours less {TITLES.get(name, name)}", gained(ours, board.of(name, "expected").mean(axis=1))) for name in others
    ]
    return [
        {
            "id": "regret",
            "heading": "What is missed for not knowing the shopper",
            "sentence": f"Over {len(board.expected)} worlds of {board.expected.shape[2]} sessions, {_compared(against)}.",
            "plots": [{"heading": "Cumulative regret of a world, looks, with 95 % intervals", "svg": plot}],
            "notes": [],
            "tables": [
                {
                    "caption": "Regret of a world",
                    "head": ["learner", "looks", "percent that ours saves of it", "decisions"],
                    "rows": rows,
                }
            ],
        },
        {
            "id": "reward",
            "heading": "What a session brings",
            "sentence": "Expected reward of the slates that a session saw, in looks, paired by world.",
            "plots": [
                {
                    "heading": "Difference a session, looks",
                    "svg": forest(
                        marks,
                        sentence="; ".join(f"{m.label} {_ranged(m.interval)}" for m in marks),
                        unit="looks",
                        signed=True,
                    ),
                }
            ],
            "notes": ["Off: sessions see the clusters as they are, and what was passed over weighs as the rest."],
            "tables": [],
        },
    ]


def drift(board: Board, begins: int, ends: int) -> dict[str, Any]:
    """A section: levels over the sessions, tastes moving from one to another."""
    n = board.expected.shape[2]
    edges = np.linspace(0, n, BINS + 1).astype(int)
    centres = [float(a + b) / 2 for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
    series = []
    for i, name in enumerate(ORDER):
        if name not in board.names:
            continue
        stake, missed = board.of(name, "stake"), board.of(name, "regret")
        points = []
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            value = level(stake[:, a:b], missed[:, a:b])
            points.append(None if np.isnan(value) else Interval(value, value, value))
        series.append(Series(TITLES[name], points, i))
    marks = [(float(begins), ""), (float(ends), "tastes moved between the lines")]
    said = "; ".join(f"{s.label} {s.points[-1].value:.2f}" for s in series if s.points[-1] is not None)
    return {
        "id": "drift",
        "heading": "When tastes move",
        "sentence": "Share of what was at stake in decisions that each took: about 1 for who knows the shopper.",
        "plots": [
            {
                "heading": "Level by session",
                "svg": curves(centres, series, sentence=f"Levels at the end: {said}.", axis="sessions", marks=marks),
            }
        ],
        "notes": [],
        "tables": [],
    }


def _compared(saved: Interval) -> str:
    """Ours beside LinUCB, by the percent of its regret that ours saves."""
    if saved.low <= 0.0 <= saved.high:
        return f"whether ours misses less than LinUCB can't be told: it saves {_ranged(saved)} percent of its regret"
    less = saved if saved.low > 0.0 else Interval(-saved.value, -saved.high, -saved.low)
    return f"ours misses {_ranged(less)} percent {'less' if saved.low > 0.0 else 'more'} than LinUCB"


def _ranged(interval: Interval) -> str:
    told = f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
    return told.replace("-", "\N{MINUS SIGN}")
