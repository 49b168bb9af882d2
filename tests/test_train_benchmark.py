"""What `manage.py benchmark train` says of a training."""

from __future__ import annotations

import multiprocessing

import pytest

from recommendations.benchmarks.train import _train
from recommendations.training import STAGES


def test_stages_add_up_to_the_whole() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    _train(theirs, 120, 600, 3)
    theirs.close()
    while not isinstance(last := ours.recv(), dict):
        assert last[0] in STAGES
    for clock in ("seconds", "cpu"):
        parts = sum(last[f"{clock}_{stage}"] for stage in STAGES)
        assert parts == pytest.approx(last[clock], abs=1.0)  # what comes after the last report is in none of them
