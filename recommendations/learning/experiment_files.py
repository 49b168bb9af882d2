"""Experiments as files: those of the list, a line each, and the result of one, as numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from recommendations.learning.measuring import METRICS
from recommendations.learning.models import Experiment
from recommendations.serving.trials import read_arms

LIST_HEAD = (
    "id", "shop", "name", "state", "control", "arm", "share", "measure", "difference", "low", "high", "verdict",
    "begins", "began", "ends", "ended", "made live",
)  # fmt: skip

RESULT_HEAD = ("arm", "measure", "a visit of the control", "a visit of the arm", "difference", "low", "high", "verdict")


def list_lines(rows: Iterable[Experiment]) -> Iterable[tuple[Any, ...]]:
    """A line for each arm beside the control, with what it shows on its experiment's measure, None where nothing is known yet."""
    for row in rows:
        told, (control, *challengers) = row.result, read_arms(row.arms)
        for arm in challengers:
            of = told.get("differences", {}).get(arm.name, {}).get(row.metric, {})
            yield (
                row.pk, row.shop.slug, row.name, row.get_state_display(), control.name, arm.name, arm.share,
                METRICS.get(row.metric, row.metric), of.get("value"), of.get("low"), of.get("high"),
                "" if row.state == Experiment.State.DRAFT else told.get("verdicts", {}).get(arm.name, "unknown"),
                _moment(row.starts_at), _moment(row.started_at), _moment(row.ends_at), _moment(row.stopped_at),
                "yes" if (told.get("live") or {}).get("arm") == arm.name else "no",
            )  # fmt: skip


def result_lines(row: Experiment) -> list[tuple[Any, ...]]:
    """The result as numbers: a line for each arm and measure, None where nothing is known yet."""
    told, arms = row.result, read_arms(row.arms)
    means = {arm["name"]: arm for arm in told.get("arms", ())}
    return [
        (
            arm.name, METRICS[metric], means.get(arms[0].name, {}).get(metric), means.get(arm.name, {}).get(metric),
            each.get("value"), each.get("low"), each.get("high"),
            told.get("verdicts", {}).get(arm.name, "unknown") if metric == row.metric else "",
        )
        for arm in arms[1:]
        for metric, each in told.get("differences", {}).get(arm.name, {}).items()
    ]  # fmt: skip


def _moment(moment: dt.datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds")
