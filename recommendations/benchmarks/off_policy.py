"""Off-policy estimates: bias and coverage on made logs whose truth is known, and two real policies foretold from each other.

Real: ZOZOTOWN's logs of a uniform and of a Thompson-sampling policy over the same week (Saito et al. 2020, "Open Bandit
Dataset"), three campaigns: the click rate of each is foretold from the other's log, and compared with what it had. The file
holds the true propensity of what was shown only, so that the Thompson policy, as a target, is the week's mean of it: how often it
showed an item at a position.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clusters.decision_log import DecisionLog
from clusters.off_policy import Estimate, Estimates, difference, estimate, foretold
from recommendations.benchmarks import known_decisions
from recommendations.benchmarks.load import BenchmarkError
from recommendations.benchmarks.stages import Report, Stages

PARTS = ("made", "zozo")
SIZES = (300, 2_000)
"""Sessions of a made log."""

ESTIMATORS = ("ips", "clipped", "snips", "dr", "clipped_dr")
DATA_SET = "open_bandit_zozo"
POSITIONS = 3
ENOUGH = 200
"""Effective sample under which nothing is claimed: the gate's own default."""

Results = dict[str, float | int | str]


class Campaign(NamedTuple):
    """One policy's impressions in one campaign.

    item, position : (n,) places among the campaign's items, and 0 to 2.  click : (n,).  propensity : (n,) of what was shown.
    affinity : (n, I) of the shopper to each item, 0 where the file says nothing.
    """

    item: np.ndarray
    position: np.ndarray
    click: np.ndarray
    propensity: np.ndarray
    affinity: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help=f"folder that holds {DATA_SET}; without it that part is left out")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to measure, of {', '.join(PARTS)} (default: both)")
    parser.add_argument("--seeds", type=int, default=400, help="made logs of each kind and size (default: 400)")


def run(options: argparse.Namespace) -> Results:
    """All figures of the parts asked for. Raises BenchmarkError."""
    parts = [part.strip() for part in options.only.split(",") if part.strip()]
    if unknown := sorted(set(parts) - set(PARTS)):
        raise BenchmarkError(f"--only: {unknown[0]!r} is not one of {', '.join(PARTS)}")
    if options.seeds < 2:
        raise BenchmarkError(f"--seeds: {options.seeds} is less than 2")
    results: Results = {}
    with Stages("off_policy") as stages:
        if "made" in parts:
            for kind in known_decisions.KINDS:
                for sessions in SIZES:
                    with stages.stage(f"{kind}: {sessions} sessions") as report:
                        results |= covered(kind, sessions, options.seeds, report)
        if "zozo" in parts:
            folder = None if options.data is None else options.data / DATA_SET
            if folder is None or not (folder / "events.csv.gz").is_file():
                why = "no --data" if folder is None else "not there"
                stages.say(f"{DATA_SET}: left out, {why}")
                return results | {DATA_SET: f"left out: {why}"}
            with stages.stage(DATA_SET):
                results |= foretelling(folder)
    return results


def covered(kind: str, sessions: int, seeds: int, report: Report) -> Results:
    """Over seeded logs: by estimator the mean error of value and difference, its standard error, and the share of intervals of
    95 % that hold the truth."""
    value, gain = known_decisions.truth(kind)
    told: dict[str, list[tuple[Estimate, Estimate]]] = {name: [] for name in ESTIMATORS}
    for seed in range(seeds):
        made = known_decisions.make(seed, sessions, kind)
        q = foretold(made.log)
        values, gains = estimate(made.log, made.target, q=q), difference(made.log, made.target, q=q)
        for name in ESTIMATORS:
            told[name].append((getattr(values, name), getattr(gains, name)))
        report(seed + 1, seeds)
    prefix = f"{kind}_{sessions}"
    results: Results = {f"{prefix}_truth": round(value, 5), f"{prefix}_gain_truth": round(gain, 5)}
    for name, pairs in told.items():
        for what, true, found in (("", value, [p[0] for p in pairs]), ("_gain", gain, [p[1] for p in pairs])):
            errors = np.array([each.value for each in found]) - true
            results[f"{prefix}_{name}{what}_bias"] = round(float(errors.mean()), 5)
            results[f"{prefix}_{name}{what}_bias_error"] = round(float(errors.std() / np.sqrt(len(errors))), 5)
            inside = np.mean([each.low <= true <= each.high for each in found])
            results[f"{prefix}_{name}{what}_coverage"] = round(float(inside), 4)
            results[f"{prefix}_{name}{what}_above"] = round(float(np.mean([each.low > true for each in found])), 4)
    return results


def foretelling(folder: Path) -> Results:
    """Of each campaign and direction: the truth with its interval, each estimate, and what of the log speaks of the target."""
    campaigns = read(folder)
    results: Results = {}
    for campaign in sorted({name for _, name in campaigns}):
        uniform, thompson = campaigns["random", campaign], campaigns["bts", campaign]
        items = uniform.affinity.shape[1]
        even = np.full((POSITIONS, items), 1.0 / items)
        shown = np.zeros((POSITIONS, items))
        np.add.at(shown, (thompson.position, thompson.item), 1.0)
        shown /= shown.sum(1, keepdims=True)
        for name, seen, asked, target in (
            ("random_from_bts", thompson, uniform, even),
            ("bts_from_random", uniform, thompson, shown),
        ):
            results |= {f"{campaign}_{name}_{key}": v for key, v in one_way(seen, asked, target).items()}
    return results


def one_way(seen: Campaign, asked: Campaign, target: np.ndarray) -> Results:
    """The click rate of one policy from the log of the other. target : (positions, I) its propensities."""
    log = log_of(seen)
    found = estimate(log, target[seen.position], q=foretold(log))
    actual = estimate(truth := log_of(asked), truth.propensities).ips
    results: Results = {
        "impressions": len(log),
        "clicks": int(seen.click.sum()),
        "truth": told(actual),
        **{name: told(getattr(found, name)) for name in ESTIMATORS},
        "weight": told(found.weight),
        "effective_sample": round(found.effective, 1),
        "verdict": verdict(found, actual),
    }
    return results


def verdict(found: Estimates, actual: Estimate) -> str:
    """Whether anything can be claimed, and whether it held."""
    if found.effective < ENOUGH:
        return f"not known: effective sample {found.effective:.0f} < {ENOUGH}"
    held = [name for name in ESTIMATORS if (each := getattr(found, name)).low <= actual.value <= each.high]
    return f"truth inside: {', '.join(held) or 'none'}"


def told(each: Estimate) -> str:
    return f"{each.value:.4f} [{each.low:.4f}, {each.high:.4f}]"


def log_of(seen: Campaign) -> DecisionLog:
    """Impressions as decisions among the campaign's items, each a session of its own: the file has no shoppers.

    Of the items that weren't shown the file says nothing; what is left of 1 is shared among them.
    """
    n, items = len(seen.item), seen.affinity.shape[1]
    rows = np.arange(n)
    chances = np.repeat(((1.0 - seen.propensity) / (items - 1))[:, None], items, axis=1)
    chances[rows, seen.item] = seen.propensity
    x = np.zeros((n, items, 1 + POSITIONS))
    x[..., 0] = seen.affinity
    x[rows, :, 1 + seen.position] = 1.0
    zeros = np.zeros((n, items), dtype=np.int64)
    at = rows.astype(float)
    return DecisionLog(x, zeros.astype(np.int8), seen.item, chances, seen.click, rows, at, zeros[:, 0], zeros)


def read(folder: Path) -> Mapping[tuple[str, str], Campaign]:
    """(policy, campaign) -> impressions. Raises BenchmarkError where the file isn't as expected."""
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    try:
        with gzip.open(folder / "events.csv.gz", "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault((row["policy"], row["campaign"]), []).append(row)
        count = Counter[str]()
        for (_, campaign), those in rows.items():
            count[campaign] = max(count[campaign], *(int(row["item_id"]) + 1 for row in those))
        return {key: _campaign(those, count[key[1]]) for key, those in rows.items()}
    except (OSError, KeyError, ValueError, UnicodeError) as error:
        raise BenchmarkError(f"{folder / 'events.csv.gz'}: {error!r}") from error


def _campaign(rows: list[dict[str, str]], items: int) -> Campaign:
    affinity = np.zeros((len(rows), items))
    for i, row in enumerate(rows):
        for pair in row["user_item_affinity"].split(";" if ";" in row["user_item_affinity"] else None):
            item, _, value = pair.partition(":")
            affinity[i, int(item)] = float(value)
    return Campaign(
        np.array([int(row["item_id"]) for row in rows]),
        np.array([int(row["position"]) - 1 for row in rows]),
        np.array([float(row["click"]) for row in rows]),
        np.array([float(row["propensity"]) for row in rows]),
        affinity,
    )
