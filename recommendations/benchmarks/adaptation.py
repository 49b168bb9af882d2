"""Adaptation in worlds whose shoppers are known: regret beside other bandits, what it earns, how it recovers; and its cost.

What is measured, and how, is said in `recommendations/evaluation/adaptation/`; here are the learners, the settings, the clock
and the page.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.template.loader import render_to_string

from clusters.bounds import Bounds
from clusters.policy import ACTIONS, FEATURES, default_policy
from recommendations import engine as loop
from recommendations.benchmarks.kept import Kept
from recommendations.benchmarks.linucb import LinUCB
from recommendations.benchmarks.load import BenchmarkError
from recommendations.benchmarks.stages import Report, Stages
from recommendations.evaluation.adaptation import pages
from recommendations.evaluation.adaptation.figures import Board, gained, mean, play, saved
from recommendations.evaluation.adaptation.learners import EpsilonGreedy, Learner, Off, Static, Thompson, Uniform
from recommendations.evaluation.adaptation.levels import recovery
from recommendations.evaluation.adaptation.sessions import waiting_decisions
from recommendations.evaluation.adaptation.shops import START, made_shop
from recommendations.evaluation.adaptation.worlds import Plan
from recommendations.evaluation.resampling import Interval
from recommendations.evaluation.simulation.browsing import Habits
from recommendations.evaluation.simulation.crowd import Crowd
from recommendations.evaluation.simulation.seasons import Drift

PARTS = ("decision", "regret", "drift", "learning", "off_policy")
TUNING = "alpha"
"""Measured only when asked for: LinUCB's alpha, in worlds other than those of the proof (`--first-seed 100`)."""

ELSEWHERE = {"learning": "recommendations.benchmarks.learning", "off_policy": "recommendations.benchmarks.off_policy"}
"""Parts that are benchmarks of their own, measured here with their own defaults."""

ALPHAS = (0.1, 0.3, 1.0, 3.0)
ALPHA = 0.3

SEEDS, SESSIONS = 20, 300
BATCH = 25
"""Sessions after which a learner learns."""

DAYS = 56.0
HALF_LIFE_DAYS = 28.0
"""Of what ours learned: the default of a shop's settings."""

FIRST_DAY = START + 40 * 86_400.0
"""After the log that the engine was trained on."""

DRIFT = (0.4, 0.5, 0.8)
"""Shares of the sessions before and after which tastes move, and of the tastes that move."""

WINDOW = 0.15
"""Share of the sessions over which a level is told."""

OURS = "ours"
REPEATS = 15

VALUED = 0.5
"""Share of the decisions whose regret is told: half of them cost half, and tell of all on average."""

Results = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to measure, of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"worlds, at least 2 (default: {SEEDS})")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"sessions in each world (default: {SESSIONS:,})")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first world (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes, which don't change a figure (default: 2)")
    parser.add_argument(
        "--valued",
        type=float,
        default=VALUED,
        help=f"share of decisions whose options are all tried, above 0 (default: {VALUED})",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="PATH", help="file of what worlds came to; what it holds isn't measured again"
    )
    parser.add_argument("--data", type=Path, help="folder with open_bandit_zozo, for off_policy; without it that is left out")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write adaptation.html there: curves and tables")


def run(options: argparse.Namespace) -> Results:
    """All figures of the parts asked for. Raises BenchmarkError."""
    parts = [part.strip() for part in options.only.split(",") if part.strip()]
    if unknown := sorted(set(parts) - {*PARTS, TUNING}):
        raise BenchmarkError(f"--only: {unknown[0]!r} is not one of {', '.join((*PARTS, TUNING))}")
    for name, least in (("seeds", 2), ("sessions", 4 * BATCH), ("jobs", 1), ("first_seed", 0)):
        if getattr(options, name) < least:
            raise BenchmarkError(f"--{name.replace('_', '-')}: {getattr(options, name)} is less than {least}")
    if not 0.0 < options.valued <= 1.0:
        raise BenchmarkError(f"--valued: {options.valued} is not above 0 and at most 1")
    if options.report is not None and not options.report.is_dir():
        raise BenchmarkError(f"--report: {options.report} is not a folder")
    results: Results = {}
    sections: list[dict[str, Any]] = []
    with Stages("adaptation") as stages:
        if "decision" in parts:
            with stages.stage("decision") as report:
                results |= decision(options.first_seed, report)
        if "regret" in parts:
            with stages.stage("regret") as report:
                board = steady(options, report)
            results |= regret(board)
            sections += pages.regret(board)
        if TUNING in parts:
            with stages.stage(TUNING) as report:
                results |= tuned(options, report)
        if "drift" in parts:
            with stages.stage("drift") as report:
                board = drifting(options, report)
            results |= drift(board)
            begins, ends, _ = DRIFT
            sections.append(pages.drift(board, round(begins * options.sessions), round(ends * options.sessions)))
    for part in (p for p in parts if p in ELSEWHERE):
        results |= {f"{part}_{name}": value for name, value in elsewhere(part, options).items()}
    if options.report is not None and sections:
        write(options.report / "adaptation.html", sections, options)
    return results


def learners(seed: int, *, half_life: float, off: bool) -> list[Learner]:
    """One of each, new. half_life : of ours, in batches."""
    a, d = len(ACTIONS), len(FEATURES)
    ours = Thompson(default_policy(), half_life=half_life, name=OURS)
    rivals: list[Learner] = [Static(), Uniform(), EpsilonGreedy(a, d), LinUCB(ALPHA), ours]
    return [*rivals, Off()] if off else rivals


def rivals(seed: int) -> list[Learner]:
    """LinUCB with each of `ALPHAS`."""
    return [LinUCB(alpha, name=f"linucb_{alpha:g}") for alpha in ALPHAS]


def steady(options: argparse.Namespace, report: Report) -> Board:
    """All learners in worlds whose tastes stay."""
    plan = Plan(sessions=options.sessions, start_at=FIRST_DAY, days=DAYS, batch=BATCH, valued=options.valued)
    return _play("regret", partial(learners, half_life=_half_life(plan), off=True), plan, options, report)


def drifting(options: argparse.Namespace, report: Report) -> Board:
    """Ours, and clusters that are always kept, in worlds whose tastes move."""
    begins, ends, share = DRIFT
    moves = Drift(FIRST_DAY + begins * DAYS * 86_400.0, FIRST_DAY + ends * DAYS * 86_400.0, share)
    plan = Plan(sessions=options.sessions, start_at=FIRST_DAY, days=DAYS, batch=BATCH, valued=options.valued, drift=moves)
    return _play("drift", partial(_ours_and_static, half_life=_half_life(plan)), plan, options, report)


def _ours_and_static(seed: int, *, half_life: float) -> list[Learner]:
    return [Static(), Thompson(default_policy(), half_life=half_life, name=OURS)]


def tuned(options: argparse.Namespace, report: Report) -> Results:
    """Regret and reward of LinUCB by its alpha."""
    plan = Plan(sessions=options.sessions, start_at=FIRST_DAY, days=DAYS, batch=BATCH, valued=options.valued)
    board = _play(TUNING, rivals, plan, options, report)
    results: Results = {}
    for name in board.names:
        results |= _told(f"regret_{name}", mean(board.of(name, "regret").sum(axis=1)))
        results |= _told(f"reward_{name}", mean(board.of(name, "expected").mean(axis=1)))
    return results


def _half_life(plan: Plan) -> float:
    """Of what ours learned, in batches."""
    return HALF_LIFE_DAYS / plan.days * plan.sessions / plan.batch


def _play(
    part: str, learners: Callable[[int], Sequence[Learner]], plan: Plan, options: argparse.Namespace, report: Report
) -> Board:
    LinUCB()  # says at once if MABWiser is missing, and not from another process
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    kept = Kept(
        options.keep,
        {
            "sessions": plan.sessions,
            "valued": plan.valued,
            "throws": plan.throws,
            "policy": default_policy().version,
            "bounds": repr(Bounds()),
            "alpha": ALPHA,
        },
    )
    return play(learners, plan, seeds, jobs=options.jobs, progress=report, known=kept.of(part), keep=partial(kept.add, part))


def regret(board: Board) -> Results:
    """Cumulative regret a world, what ours saves of each peer's in percent, and what a session brings, all with intervals."""
    results: Results = {"worlds": len(board.expected), "sessions": board.expected.shape[2]}
    ours = board.of(OURS, "regret").sum(axis=1)
    for name in board.names:
        if name != "off":
            results |= _told(f"regret_{name}", mean(board.of(name, "regret").sum(axis=1)))
            results[f"decisions_{name}"] = round(float(board.of(name, "decisions").sum(axis=1).mean()), 1)
    for name in board.names:
        if name not in {OURS, "off"}:
            results |= _told(f"saved_of_{name}_percent", saved(ours, board.of(name, "regret").sum(axis=1)))
    for name in board.names:
        results |= _told(f"reward_{name}", mean(board.of(name, "expected").mean(axis=1)))
    for name in ("off", "static", "uniform", "linucb"):
        results |= _told(
            f"reward_over_{name}", gained(board.of(OURS, "expected").mean(axis=1), board.of(name, "expected").mean(axis=1))
        )
        results |= _told(f"reward_a_slate_over_{name}", gained(_a_slate(board, OURS), _a_slate(board, name)))
    return results | {f"blocked_{bound}": times for bound, times in sorted(board.blocked.items())}


def _a_slate(board: Board, name: str) -> np.ndarray:
    return np.asarray(board.of(name, "expected").sum(axis=1) / board.of(name, "pages").sum(axis=1))


def drift(board: Board) -> Results:
    """Levels before and after the drift, and sessions until ours is back at 90 % of its own; the others against ours' level."""
    sessions = board.expected.shape[2]
    begins, ends, _ = DRIFT
    told: Results = {}
    at = {"begins": round(begins * sessions), "ends": round(ends * sessions), "window": round(WINDOW * sessions)}
    ours = recovery(board, OURS, **at)
    for name in board.names:
        found = recovery(board, name, **at, reference=ours.before)
        told[f"level_before_{name}"] = round(found.before, 4)
        told[f"level_lowest_{name}"] = round(found.lowest, 4)
        told[f"level_after_{name}"] = round(found.after, 4)
        told[f"recovers_after_sessions_{name}"] = found.sessions if found.sessions is not None else "never"
    return told


def decision(seed: int, report: Report) -> Results:
    """Microseconds of processor time that a decision adds to a step: steps with one, against the same steps with thresholds
    that are out of reach; the least of `REPEATS`, taken in turns."""
    shop = made_shop(seed)
    crowd = Crowd(shop.world, Habits(), seed=seed)
    asking, silent, steps = waiting_decisions(shop.engine, crowd, sessions=60, at=FIRST_DAY)
    costs = []
    for i, (state, event) in enumerate(steps):
        least = [float("inf"), float("inf")]
        decided = 1
        for _ in range(REPEATS):
            for which, engine in enumerate((asking, silent)):
                began = time.thread_time_ns()
                found = loop.observe_with_decisions(engine, state, event)
                least[which] = min(least[which], (time.thread_time_ns() - began) / 1e3)
                decided = max(decided, len(found.decisions))
        costs.append((least[0] - least[1]) / decided)
        report(i + 1, len(steps))
    low, high = np.percentile(costs, (50, 99)).tolist()
    return {"decision_steps": len(costs), "decision_p50_us": round(low, 1), "decision_p99_us": round(high, 1)}


def elsewhere(part: str, options: argparse.Namespace) -> Results:
    """Another benchmark's figures with its own defaults."""
    module = import_module(ELSEWHERE[part])
    parser = argparse.ArgumentParser(add_help=False)
    module.add_arguments(parser)
    given = parser.parse_args([])
    if hasattr(given, "data"):
        given.data = options.data
    found: Results = module.run(given)
    return found


def _told(name: str, interval: Interval) -> Results:
    value, low, high = (round(v, 4) for v in interval)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def write(path: Path, sections: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    """The page: one file, with all that it shows inside."""
    from recommendations.management.commands.benchmark import commit, machine  # which loads the benchmarks

    context = {
        "heading": "Adaptation in worlds whose shoppers are known",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": commit(),
        "tokens": (settings.BASE_DIR / "static" / "tokens.css").read_text(encoding="utf-8"),
        "verdict": sections[0]["sentence"],
        "sections": sections,
        "method": [
            (
                "Worlds",
                f"{options.seeds} shops of 384 made items, seeds from {options.first_seed}, {options.sessions} sessions each",
            ),
            ("Shoppers", "known personas and choice rules; they look down a page so far, tire of what they saw, some came for "
             "something, some shop against type; a twentieth of the items is new"),
            ("Regret", "of a decision: what the best option's next three slates would bring this shopper in expectation, less "
             "what the chosen one's would; in looks a slate. The best of half of the throws of the dice is valued by the other "
             f"half, for {100 * options.valued:.0f} % of the decisions"),
            ("Learners", f"all learn from the same credited rewards every {BATCH} sessions; LinUCB is MABWiser's, alpha "
             f"{ALPHA:g}, the best of {', '.join(f'{a:g}' for a in ALPHAS)} in other worlds"),
            ("Intervals", "95 %, worlds drawn anew 4,000 times"),
            ("Machine", machine()),
        ],
    }  # fmt: skip
    path.write_text(render_to_string("evaluation/report.html", context), encoding="utf-8")
