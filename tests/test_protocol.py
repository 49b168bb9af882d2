"""The next-item measure: which prefixes are asked for, through which door, and who wins in a known world."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from personas.events import CODE
from personas.sessions import NO_ITEM, SessionLog
from recommendations.engine import Engine
from recommendations.evaluation import protocol
from recommendations.evaluation.protocol import Test as Held  # not a test of ours
from recommendations.evaluation.protocol import evaluate
from tests.worlds import World, make_world, train_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=2, sessions=500)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return train_world(world)


def test_every_prefix_is_foretold_once_whatever_stands_between(world: World, engine: Engine) -> None:
    names = ("view_item", "search", "view_item", "remove_from_cart", "add_to_cart", "user_engagement")
    position = np.array([0, NO_ITEM, 1, 1, 2, 2])
    code = np.array([CODE[n] for n in names], dtype=np.int8)
    log = SessionLog.of(np.zeros(6, dtype=int), position, 1.7e9 + 10.0 * np.arange(6), code=code)
    asked = list(protocol._by_session(engine, Held(log, None, {})))
    assert [target for *_, target in asked] == [1, 2]
    assert all(len(slate) == 20 == len(set(slate.tolist())) for _, _, slate, _ in asked)


def test_an_event_s_own_dwell_is_not_known_when_it_arrives(world: World, engine: Engine) -> None:
    log = world.log
    assert not np.isnan(log.dwell_s[0])
    assert protocol._event(engine, log, 0).dwell_s is None


def test_examples_give_the_slates_that_their_sessions_give(engine: Engine) -> None:
    items = [3, 4, 9, 4, 30]
    start = 1.7e9
    log = SessionLog.of(np.zeros(5, dtype=int), np.array(items), start + np.arange(5.0))
    by_session = {target: slate.tolist() for _, _, slate, target in protocol._by_session(engine, Held(log, None, {}))}
    pairs = [(tuple(items[:k]), items[k]) for k in range(1, 5)]
    held = Held(None, pairs[::-1] + [((7, 8), 1)], {}, starts_at=start)
    slates = [slate.tolist() for _, _, slate, target in protocol._by_example(engine, held)]
    # Item 4 is a target twice; the later prefix is the one that the dictionary kept.
    assert all(by_session[t] in slates for t in (9, 4, 30))
    assert len(slates) == 5


def test_the_engine_beats_popularity_in_a_world_of_groups(world: World) -> None:
    train, test = world.log.take(np.arange(420)), world.log.take(np.arange(420, 500))
    ticks = itertools.count()
    results = evaluate(train, world.catalogue, Held(test, None, {}), valid=None, clock=lambda: float(next(ticks)))
    pairs = int((np.diff(test.offsets) - 1).sum())
    assert {name: r.metrics.examples for name, r in results.items()} == dict.fromkeys(results, pairs)
    assert results["engine"].metrics.mrr > 1.5 * results["popularity"].metrics.mrr
    assert results["engine"].metrics.hr > results["popularity"].metrics.hr + 20
    assert results["engine"].train_seconds == 1.0


def files(folder: Path, world: World) -> Path:
    log = world.log
    lines = ["session_id,timestamp,event_type,item_id"]
    for s, rows in enumerate(log.slices()):
        lines += [f"{s},{log.at[row]:.0f},view_item,sku-{log.position[row]}" for row in range(rows.start, rows.stop)]
    (folder / "events.csv").write_text("\n".join([*lines, "0,never,view_item,sku-1"]))
    return folder


def test_command_writes_only_json_to_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call_command("evaluate", str(files(tmp_path, make_world(sessions=110))), "--json", "--split", "days=1")
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert list(report) == ["dataset", "protocol", "models"]
    assert report["dataset"] == tmp_path.name
    assert report["protocol"].startswith("days=1")
    assert list(report["models"]) == ["engine", "popularity", "sequential_rules", "v_sknn"]
    figures = ["hr@20", "mrr@20", "ndcg@20", "coverage@20", "examples", "train_seconds", "ms_per_prediction"]
    for model in report["models"].values():
        assert list(model) == figures
        assert 0.0 < model["mrr@20"] <= model["ndcg@20"] <= model["hr@20"] <= 100.0
        assert 0.0 < model["coverage@20"] <= 100.0
    assert "events.csv line" in err
    assert "timestamp 'never'" in err


def test_command_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"neither events\.csv nor"):
        call_command("evaluate", str(tmp_path))
