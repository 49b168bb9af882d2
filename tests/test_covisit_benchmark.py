"""The measures of co-visit clusters, on data sets small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.benchmarks import covisits
from recommendations.benchmarks.made_logs import GROUP, made_catalogue, made_log, measured_build


def write(folder, sessions):
    rows = ["session_id,timestamp,event_type,item_id,split"]
    rows += [
        f"{s},{1_700_000_000 + 60 * i},view_item,{item},{split}"
        for s, (split, items) in enumerate(sessions)
        for i, item in enumerate(items)
    ]
    (folder / "events.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_coverage_of_two_groups_without_a_move_between_them(tmp_path):
    # 40 groups of 5 items: the room of a tenth is 20 items, but a small shop may select 100, half of it.
    rng = np.random.default_rng(0)
    sessions = [("train", [f"i{5 * g + j}" for j in rng.permutation(5)]) for g in range(40) for _ in range(5)]
    sessions += [("test", ["i0", "i1", "i2"]), ("test", ["i5", "i199"])]
    figures = covisits.coverage(write(tmp_path, sessions))
    assert figures["prefixes"] == 3
    assert figures["next_item_inside"] >= 0.66  # the first session stays in its group; the second goes where nobody went
    assert figures["coverage"] <= 0.5
    assert figures["coverage_at_0.1"] <= 0.1


def test_the_made_log_stays_among_its_groups():
    log = made_log(600, 5_000)
    position = log.position.reshape(-1, 5) // GROUP
    assert (position[:, :1] == position[:, 1:]).mean() > 0.8
    assert len(made_catalogue(600)) == 600
    assert made_log(600, 5_000).position.tolist() == log.position.tolist()


def test_ids_are_kept_on_a_made_log_whose_windows_overlap(monkeypatch):
    monkeypatch.setattr(covisits, "MADE_ITEMS", 1_200)
    monkeypatch.setattr(covisits, "MADE_EVENTS", 30_000)
    figures = covisits.made_identity()
    assert figures["windows"] == 5
    assert figures["sessions_a_window"] == pytest.approx(6_000 / 1.8, abs=1)
    assert 0.9 <= figures["ids_kept_min"] <= figures["ids_kept"] <= 1.0


def test_building_is_measured_in_a_process_of_its_own():
    figures = measured_build(600, 5_000)
    assert (figures["events"], figures["items"]) == (5_000, 600)
    assert 0 < figures["log_mb"] <= figures["peak_mb"]
