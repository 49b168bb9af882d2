"""`manage.py benchmark personas`: what it is asked for, what it tells."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from recommendations.benchmarks import personas
from recommendations.benchmarks.load import BenchmarkError


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    personas.add_arguments(parser)
    return parser.parse_args(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--only", "costs"), "--only: 'costs' is not one of"),
        (("--test", "0"), "--test: 0 is not a positive number"),
        (("--data", "nowhere"), "--data: nowhere is not a folder"),
    ],
)
def test_what_can_not_be_measured_is_refused_by_name(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        personas.run(options(*given))


def test_a_figure_of_too_few_sessions_is_unknown_and_still_json() -> None:
    """One session is of one kind: no kind can be told from another, and JSON has no NaN."""
    results = personas.run(options("--only", "simulated", "--shop", "fashion", "--train", "40", "--test", "1"))
    assert results["fashion_mixed_auc"] == "unknown"
    assert 0.0 <= results["fashion_calibration_error"] <= 1.0  # type: ignore[operator]
    json.dumps(results, allow_nan=False)


def test_a_data_set_that_nobody_returns_to_is_an_error_that_says_so(tmp_path: Path) -> None:
    """Twenty customers, one visit each: nobody in the later part was known before."""
    folder = tmp_path / "online_retail_uci"
    folder.mkdir()
    days = [f"s{d},u{d},2024-03-{d:02}T10:00:0{k}Z,purchase,i{k}" for d in range(1, 21) for k in range(3)]
    (folder / "events.csv").write_text("\n".join(["session_id,user_id,timestamp,event_type,item_id", *days]) + "\n")
    with pytest.raises(BenchmarkError, match="online_retail_uci: no later session"):
        personas.run(options("--only", "slates", "--data", str(tmp_path)))
