"""An evaluation as plain values: what `--json` prints and the report page is drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from recommendations.evaluation.ablations import ABLATIONS
from recommendations.evaluation.asked import ALL
from recommendations.evaluation.breakdown import LENGTHS, length_labels
from recommendations.evaluation.metrics import CUT, MEASURES
from recommendations.evaluation.resampling import LEVEL, Interval
from recommendations.evaluation.tally import ENGINE, Evaluation, Result, at_diversity

NAMES = tuple(f"{measure}@{CUT}" for measure in MEASURES)
"""Keys of the three measures."""

UNITS = {
    "session": "test session",
    "pair": "published pair, its session being unknown: pairs of one count as independent, which makes intervals too narrow",
    "session or pair": "test session where its id is known, else the pair, which makes intervals somewhat too narrow",
}


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """Percent and points, as JSON holds them; None for what is not known.

    intervals : how they were made.  items : by popularity bin.
    models, ablations : by name, {measure, ..., "intervals": {measure: [low, high]}, "by_length", "by_popularity"}.
    differences : by peer, {measure: {"value", "low", "high"}}, the engine less the peer; an ablation has its own, the engine
        less it, and the same by segment: "above_by_length", "above_by_popularity".
    diverse : the engine asked for diverse lists, likewise.
    """
    engine = evaluation.models[ENGINE]
    return {
        "intervals": {
            "level": LEVEL,
            "draws": len(engine.by_segment.draws),
            "seed": evaluation.seed,
            "resampled": UNITS[evaluation.asked.unit],
            "count": int(evaluation.asked.session.max()) + 1 if len(evaluation.asked.session) else 0,
        },
        "items": [bin_._asdict() for bin_ in evaluation.popularity.bins],
        "items_seen": evaluation.items_seen,
        "clusters": evaluation.clusters,
        "models": {name: _model(result) for name, result in evaluation.models.items()},
        "differences": {name: difference(engine, result) for name, result in evaluation.models.items() if name != ENGINE},
        "diverse": {
            at_diversity(asked_for): _model(result) | {"engine_above": difference(engine, result)}
            for asked_for, result in evaluation.diverse.items()
        },
        "ablations": {
            name: {"what": ABLATIONS[name]}
            | _model(result)
            | {"engine_above": difference(engine, result)}
            | _differences_by_segment(engine, result)
            for name, result in evaluation.ablations.items()
        },
    }


def difference(engine: Result, other: Result, segment: int = ALL) -> dict[str, dict[str, float | None]]:
    """By measure, how far the engine is above the other, in points, over the predictions of a segment."""
    rows = {}
    for i, name in enumerate(NAMES):
        gap = engine.by_segment.above(other.by_segment, segment, i)
        rows[name] = {key: _rounded(value) for key, value in gap._asdict().items()}
    return rows


def _differences_by_segment(engine: Result, other: Result) -> dict[str, Any]:
    """`difference` of each prefix length and of each popularity bin, each with how many predictions it is of."""
    predictions, lengths = engine.by_segment.predictions, length_labels()
    above = [{"predictions": int(n)} | difference(engine, other, segment) for segment, n in enumerate(predictions)]
    first_popular = 1 + len(LENGTHS)
    return {
        "above_by_length": [row | {"length": label} for row, label in zip(above[1:first_popular], lengths, strict=True)],
        "above_by_popularity": [row | {"bin": i + 1} for i, row in enumerate(above[first_popular:])],
    }


def _model(result: Result) -> dict[str, Any]:
    m = result.metrics
    first_popular = 1 + len(LENGTHS)
    return {
        **{name: _rounded(getattr(m, measure)) for name, measure in zip(NAMES, MEASURES, strict=True)},
        f"coverage@{CUT}": _rounded(m.coverage),
        f"category_diversity@{CUT}": _rounded(m.category_diversity),
        f"cluster_diversity@{CUT}": _rounded(m.cluster_diversity),
        "examples": m.examples,
        "train_seconds": _rounded(result.train_seconds),
        "ms_per_prediction": round(result.ms_per_prediction, 4),
        "settings": dict(result.settings),
        "intervals": {name: _bounds(result.by_segment.interval(ALL, i)) for i, name in enumerate(NAMES)},
        "by_length": [_segment(result, 1 + i) | {"length": label} for i, label in enumerate(length_labels())],
        "by_popularity": [
            _segment(result, segment) | {"bin": segment - first_popular + 1}
            for segment in range(first_popular, len(result.by_segment.predictions))
        ],
    }


def _segment(result: Result, segment: int) -> dict[str, Any]:
    intervals = [result.by_segment.interval(segment, i) for i in range(len(NAMES))]
    return {
        "predictions": int(result.by_segment.predictions[segment]),
        **{name: _rounded(interval.value) for name, interval in zip(NAMES, intervals, strict=True)},
        "intervals": {name: _bounds(interval) for name, interval in zip(NAMES, intervals, strict=True)},
    }


def _bounds(interval: Interval) -> list[float | None]:
    return [_rounded(interval.low), _rounded(interval.high)]


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 3)


def entries_of(told: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What was measured, by name: the models, the engine asked for diverse lists, the engine without parts."""
    without = ((f"without {name}", model) for name, model in told["ablations"].items())
    return [*told["models"].items(), *told["diverse"].items(), *without]


def table(told: Mapping[str, Any]) -> str:
    """The main figures as text: each measure with its interval."""
    rows = [["model", *NAMES, f"coverage@{CUT}", "train s", "ms each"]]
    for name, model in entries_of(told):
        measures = [f"{model[key]:.1f} ({' to '.join(_text(b) for b in model['intervals'][key])})" for key in NAMES]
        cost = f"{model['train_seconds']:.1f}", f"{model['ms_per_prediction']:.2f}"
        rows.append([name, *measures, f"{model[f'coverage@{CUT}']:.1f}", *cost])
    gaps = [["engine above", *NAMES]]
    compared = [*told["differences"].items(), *((n, m["engine_above"]) for n, m in entries_of(told) if "engine_above" in m)]
    for name, gap in compared:
        gaps.append(
            [name, *(f"{_signed(gap[k]['value'])} ({_signed(gap[k]['low'])} to {_signed(gap[k]['high'])})" for k in NAMES)]
        )
    return _aligned(rows) + "\n" + _aligned(gaps)


def _text(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


def _signed(value: float | None) -> str:
    return "?" if value is None else f"{value:+.2f}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [row[0].ljust(widths[0]) + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True)) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines) + "\n"
