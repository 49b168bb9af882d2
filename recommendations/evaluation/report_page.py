"""What the report page of an evaluation shows: sections of a sentence, plots and a table, from the figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recommendations.evaluation import plots
from recommendations.evaluation.figures import NAMES, entries_of
from recommendations.evaluation.metrics import CUT
from recommendations.evaluation.plots import Mark, Series, signed_text
from recommendations.evaluation.resampling import Interval
from recommendations.evaluation.tally import ENGINE

TITLES = {ENGINE: "engine", "popularity": "popularity", "sequential_rules": "sequential rules", "v_sknn": "V-SKNN"}
MEANING = {
    f"hr@{CUT}": f"HitRate@{CUT}: how often the answer is in the list",
    f"mrr@{CUT}": f"MRR@{CUT}: mean of 1 / place of the answer",
    f"ndcg@{CUT}": f"NDCG@{CUT}: the place once more, falling off by its logarithm",
}
SHORT = dict(zip(NAMES, (f"HitRate@{CUT}", f"MRR@{CUT}", f"NDCG@{CUT}"), strict=True))
DRAWN = NAMES[:2]
"""Measures drawn by segment; the table has all."""


def sections(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of `figures.figures`: {"id", "heading", "sentence", "plots": [{"heading", "svg"}], "notes", "tables"}.

    A table is {"caption", "head", "rows": [{"name", "cells"}]}, all of it text; an svg is safe to show as it is.
    """
    shown = [_accuracy(told), _peers(told), _by_length(told), _by_popularity(told)]
    if told["ablations"]:
        shown.append(_ablations(told))
    return [*shown, _lists(told), _cost(told)]


def verdict(told: Mapping[str, Any]) -> str:
    """The engine beside the best peer, by NDCG, in one sentence."""
    key = NAMES[-1]
    best = max(told["differences"], key=lambda name: told["models"][name][key] or 0.0)
    standing = _standing(told["differences"][best][key], f"{told['intervals']['level']:.0f} %")
    return f"By {SHORT[key]}, the engine is {standing} {TITLES.get(best, best)}, the best of the peers."


def _standing(gap: Mapping[str, float | None], level: str) -> str:
    value, low, high = _gap(gap)
    if low > 0.0:
        return f"{value:.1f} points ({level} interval {low:.1f} to {high:.1f}) above"
    if high < 0.0:
        return f"{-value:.1f} points ({level} interval {-high:.1f} to {-low:.1f}) below"
    return f"not told apart (difference {signed_text(value)}, {level} interval {signed_text(low)} to {signed_text(high)}) from"


def _accuracy(told: Mapping[str, Any]) -> dict[str, Any]:
    models = told["models"]
    drawn = []
    for key in NAMES:
        marks = [Mark(TITLES.get(n, n), _interval(m, key), i) for i, (n, m) in enumerate(models.items())]
        said = "; ".join(f"{mark.label} {_ranged(mark.interval)}" for mark in marks)
        drawn.append({"heading": MEANING[key], "svg": plots.forest(marks, sentence=f"{SHORT[key]} in percent: {said}.")})
    rows = [{"name": TITLES.get(n, n), "cells": [_ranged(_interval(m, k)) for k in NAMES]} for n, m in models.items()]
    return _section(
        "accuracy",
        "How often the next item is foretold",
        f"Each model foretells the same {models[ENGINE]['examples']:,} items. Percent, with {told['intervals']['level']:.0f} % "
        "intervals.",
        drawn,
        [_table("Accuracy of each model, percent", ["model", *SHORT.values()], rows)],
    )


def _peers(told: Mapping[str, Any]) -> dict[str, Any]:
    drawn, rows = _gaps(told["differences"], lambda name: TITLES.get(name, name))
    return _section(
        "peers",
        "The engine against each peer",
        "Points by which the engine is above. Both answer for the same resampled sessions, so that these intervals are "
        "narrower than those of two models side by side. One that holds 0 leaves open who is better, and ties count against all.",
        drawn,
        [_table("Engine less peer, points", ["peer", *SHORT.values()], rows)],
    )


def _ablations(told: Mapping[str, Any]) -> dict[str, Any]:
    parts = told["ablations"]
    drawn, rows = _gaps({name: part["engine_above"] for name, part in parts.items()}, lambda name: f"without {name}")
    gaps = {name: _gap(part["engine_above"][NAMES[-1]]) for name, part in parts.items()}
    missed = ", ".join(name for name, gap in gaps.items() if gap.low > 0.0) or "none"
    better = ", ".join(name for name, gap in gaps.items() if gap.high < 0.0) or "none"
    notes = [f"{name}: {part['what']}" for name, part in parts.items()]
    notes.append(
        "Unless it says otherwise the ranker stays as it was trained with all parts, so that what the blend learned to lean on "
        "may seem to add more than a ranker trained without it would miss."
    )
    figures = [{"name": f"without {n}", "cells": [_ranged(_interval(p, k)) for k in NAMES]} for n, p in parts.items()]
    return _section(
        "ablations",
        "What each part adds",
        f"Points that the engine loses when a part is switched off; below 0 it is better without. By {SHORT[NAMES[-1]]}, beyond "
        f"its interval: missed {missed}; better without {better}.",
        drawn,
        [
            _table("Whole engine less the engine without a part, points", ["part", *SHORT.values()], rows),
            _table("The engine without a part, percent", ["part", *SHORT.values()], figures),
            *_ablations_by_segment(told),
        ],
        notes,
    )


def _ablations_by_segment(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each part adds by position in the session and by popularity of the answer: a part may help where most don't look."""
    bins = [_bin_label(i, len(told["items"])) for i in range(len(told["items"]))]
    tables = []
    for key, axis in (("above_by_length", "items so far"), ("above_by_popularity", "popularity of the item that came next")):
        rows = [
            {
                "name": entry["length"] if "length" in entry else bins[entry["bin"] - 1],
                "cells": [f"without {name}", f"{entry['predictions']:,}"]
                + [_ranged(_gap(entry[k]), signed=True) if entry["predictions"] else "\N{EN DASH}" for k in NAMES],
            }
            for name, part in told["ablations"].items()
            for entry in part[key]
        ]
        head = [axis, "model", "predictions", *SHORT.values()]
        tables.append(_table(f"Whole engine less the engine without a part, by {axis}, points", head, rows))
    return tables


def _gaps(gaps: Mapping[str, Any], label: Any) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    drawn = []
    for key in NAMES:
        marks = [Mark(label(name), _gap(gap[key])) for name, gap in gaps.items()]
        said = "; ".join(f"{mark.label} {_ranged(mark.interval, signed=True)}" for mark in marks)
        svg = plots.forest(marks, sentence=f"{SHORT[key]}, difference in points: {said}.", unit="points", signed=True)
        drawn.append({"heading": f"{SHORT[key]}, points", "svg": svg})
    rows = [{"name": label(n), "cells": [_ranged(_gap(gap[k]), signed=True) for k in NAMES]} for n, gap in gaps.items()]
    return drawn, rows


def _by_length(told: Mapping[str, Any]) -> dict[str, Any]:
    labels = [entry["length"] for entry in told["models"][ENGINE]["by_length"]]
    return _segments(
        told,
        "by_length",
        labels,
        "length",
        "By position in the session",
        "How many items the session held when the next one was foretold.",
        "items so far",
    )


def _by_popularity(told: Mapping[str, Any]) -> dict[str, Any]:
    bins = told["items"]
    labels = [_bin_label(i, len(bins)) for i in range(len(bins))]
    section = _segments(
        told,
        "by_popularity",
        labels,
        "popularity",
        "By popularity of the answer",
        "Items in five bins, each of about a fifth of all visits in training: the last is the long tail.",
        "popularity of the item that came next",
    )
    rows = [
        {"name": label, "cells": [f"{b['items']:,}", f"{b['low']:,} to {b['high']:,}" if b["items"] else "\N{EN DASH}"]}
        for label, b in zip(labels, bins, strict=True)
    ]
    section["tables"].append(_table("What each bin holds", ["bin", "items", "visits of one"], rows))
    return section


def _bin_label(place: int, count: int) -> str:
    return "1, most popular" if place == 0 else f"{count}, long tail" if place == count - 1 else f"{place + 1}"


def _segments(
    told: Mapping[str, Any], key: str, labels: Sequence[str], ident: str, heading: str, sentence: str, axis: str
) -> dict[str, Any]:
    models = told["models"]
    drawn = []
    for measure in DRAWN:
        series = [
            Series(TITLES.get(n, n), [_interval(e, measure) if e["predictions"] else None for e in m[key]], i)
            for i, (n, m) in enumerate(models.items())
        ]
        said = "; ".join(f"{s.label} {', '.join(f'{p.value:.1f}' if p else 'none' for p in s.points)}" for s in series)
        svg = plots.by_category(labels, series, sentence=f"{SHORT[measure]} in percent by {axis}: {said}.", axis=axis)
        drawn.append({"heading": f"{SHORT[measure]}, percent", "svg": svg})
    rows = [
        {
            "name": label,
            "cells": [TITLES.get(name, name), f"{entry['predictions']:,}"]
            + [_ranged(_interval(entry, k)) if entry["predictions"] else "\N{EN DASH}" for k in NAMES],
        }
        for i, label in enumerate(labels)
        for name, model in models.items()
        for entry in [model[key][i]]
    ]
    ahead, asked = _ahead(models, key)
    table = _table(f"Accuracy by {axis}, percent", [axis, "model", "predictions", *SHORT.values()], rows)
    return _section(
        ident,
        heading,
        f"{sentence} By {SHORT[DRAWN[-1]]} the engine is first in {ahead} of {asked}, intervals aside.",
        drawn,
        [table],
    )


def _ahead(models: Mapping[str, Any], key: str) -> tuple[int, int]:
    """In how many segments, of those where something was asked, the engine's MRR is above every peer's."""
    ahead = asked = 0
    for i, own in enumerate(models[ENGINE][key]):
        if own["predictions"]:
            asked += 1
            ahead += all(own[DRAWN[-1]] > m[key][i][DRAWN[-1]] for name, m in models.items() if name != ENGINE)
    return ahead, asked


def _lists(told: Mapping[str, Any]) -> dict[str, Any]:
    keys = (NAMES[0], f"coverage@{CUT}", f"category_diversity@{CUT}", f"cluster_diversity@{CUT}")
    rows = [{"name": TITLES.get(n, n), "cells": [_plain(m[k]) for k in keys]} for n, m in entries_of(told)]
    head = ["model", SHORT[NAMES[0]], "coverage", "pairs of two categories", "pairs of two clusters"]
    return _section(
        "lists",
        "What the lists hold",
        f"Coverage: share of the {told['items_seen']:,} items seen in training that any list showed. Diversity: share of a "
        f"list's pairs of items that are of different categories, or of different clusters of the engine's {told['clusters']:,}.",
        [],
        [_table(f"Coverage and diversity of lists of {CUT}, percent", head, rows)],
    )


def _cost(told: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for name, model in entries_of(told):
        settings = ", ".join(f"{k} {v}" for k, v in model["settings"].items())
        cells = [f"{model['train_seconds']:,.1f}", f"{model['ms_per_prediction']:.2f}", settings or "\N{EN DASH}"]
        rows.append({"name": TITLES.get(name, name), "cells": cells})
    head = ["model", "training, s", "a prediction, ms", "settings chosen on validation"]
    return _section(
        "cost",
        "What it costs",
        "On the machine below, shared or not. Of an ablation, training is what it took to switch the part off.",
        [],
        [_table("Training and prediction", head, rows)],
    )


def _section(
    ident: str,
    heading: str,
    sentence: str,
    drawn: list[dict[str, str]],
    tables: list[dict[str, Any]],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    return {"id": ident, "heading": heading, "sentence": sentence, "plots": drawn, "tables": tables, "notes": list(notes)}


def _table(caption: str, head: list[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"caption": caption, "head": head, "rows": rows}


def _interval(entry: Mapping[str, Any], key: str) -> Interval:
    """A figure with its bounds, itself where there are none."""
    value = float(entry[key] or 0.0)
    low, high = entry["intervals"][key]
    return Interval(value, value if low is None else low, value if high is None else high)


def _gap(gap: Mapping[str, float | None]) -> Interval:
    value = float(gap["value"] or 0.0)
    low, high = gap["low"], gap["high"]
    return Interval(value, value if low is None else low, value if high is None else high)


def _ranged(interval: Interval, *, signed: bool = False) -> str:
    show = signed_text if signed else _plain
    return f"{show(interval.value)} ({show(interval.low)} to {show(interval.high)})"


def _plain(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f}"
