"""The next-item measure: which prefixes are asked for, through which door, and who wins in a known world."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from clusters.alignment import persona_scores
from personas.events import CODE
from personas.sessions import NO_ITEM, SessionLog
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.evaluation import protocol
from recommendations.evaluation.ablations import without
from recommendations.evaluation.asked import Test as Held  # not a test of ours
from recommendations.evaluation.asked import asked_of, prefixes_of
from recommendations.evaluation.figures import figures
from recommendations.evaluation.protocol import evaluate
from recommendations.evaluation.report_page import sections
from recommendations.ranking.opening import taste
from recommendations.session import evaluation_request
from tests.worlds import World, event, make_world, train_world


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
    told: list[tuple[str, float]] = []
    results = evaluate(
        train,
        world.catalogue,
        Held(test, None, {}),
        valid=None,
        clock=lambda: float(next(ticks)),
        ablate=("persona", "clusters", "adaptation", "blend"),
        draws=200,
        progress=lambda stage, share: told.append((stage, share)),
    )
    pairs = int((np.diff(test.offsets) - 1).sum())
    models = results.models
    assert {name: r.metrics.examples for name, r in (models | results.ablations).items()} == dict.fromkeys(
        [*models, *results.ablations], pairs
    )
    engine, popularity = models["engine"], models["popularity"]
    assert engine.metrics.mrr > 1.5 * popularity.metrics.mrr
    assert engine.metrics.hr > popularity.metrics.hr + 20
    assert engine.by_segment.above(popularity.by_segment, 0, 1).low > 0, "above at 95 %, session by session"
    assert engine.train_seconds == 1.0
    assert engine.metrics.category_diversity < popularity.metrics.category_diversity, "sessions keep to their category"

    # Segments are made of the same predictions, counted once each.
    by = engine.by_segment
    for part in (slice(1, 6), slice(6, 11)):
        assert by.predictions[part].sum() == pairs
        told_of = by.predictions[part] > 0
        parts = (by.value[part] * by.predictions[part, None])[told_of].sum(axis=0) / pairs
        assert parts == pytest.approx([engine.metrics.hr, engine.metrics.mrr, engine.metrics.ndcg])

    # Each stage is told in the plan's order, its share never falls, and it ends at all of it.
    stages = [stage for stage, _ in itertools.groupby(told, key=lambda t: t[0])]
    assert stages == list(protocol.plan(("persona", "clusters", "adaptation", "blend")))
    for stage in stages:
        shares = [share for name, share in told if name == stage]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0

    page = figures(results)
    json.dumps(page, allow_nan=False)
    # What a part adds by segment comes, weighed by its predictions, to what it adds over all.
    for part in page["ablations"].values():
        for key in ("above_by_length", "above_by_popularity"):
            asked = [row for row in part[key] if row["predictions"]]
            assert sum(row["predictions"] for row in asked) == pairs
            mean = sum(row["predictions"] * row["ndcg@20"]["value"] for row in asked) / pairs
            assert mean == pytest.approx(part["engine_above"]["ndcg@20"]["value"], abs=2e-3)
    assert [s["id"] for s in sections(page)] == ["accuracy", "peers", "length", "popularity", "ablations", "lists", "cost"]


def test_without_clusters_nothing_is_selected_and_everything_is_a_candidate(world: World, engine: Engine) -> None:
    bare = without(engine, "clusters", world.log)
    assert len(bare.clusters) == 0
    state = loop.start(bare, shop=1, session="s", at=1.7e9)
    state, slate = loop.advance(bare, state, event(1, item=4), evaluation_request(1.7e9))
    assert slate.clusters == ()
    assert len(slate.items) == 20
    with pytest.raises(KeyError):
        without(engine, "everything", world.log)


def test_without_personas_a_belief_changes_no_alignment(world: World, engine: Engine) -> None:
    bare = without(engine, "persona", world.log)
    k, a = engine.clusters.persona_lift.shape[1], engine.clusters.attribute_match.shape[1]
    for chosen in range(k):
        scores = [persona_scores(e.clusters, np.eye(k)[chosen], np.eye(a)[chosen % a]) for e in (engine, bare)]
        assert scores[1] == pytest.approx(0.5)
        assert np.ptp(scores[0]) > 0.01
    beliefs = np.eye(len(engine.personas.ids))
    lifts = [np.ptp([taste(e.shelves, b, np.arange(len(world.catalogue))) for b in beliefs]) for e in (engine, bare)]
    assert lifts[0] > 0.01, "whose it is tells what the first slate holds"
    assert lifts[1] == pytest.approx(0.0, abs=1e-9)


def test_without_adaptation_no_decision_is_ever_taken(world: World, engine: Engine) -> None:
    """Engagements that wander through all groups put decisions to the whole engine, and none to the bare one."""
    still = without(engine, "adaptation", world.log)
    taken = {}
    for name, each in (("whole", engine), ("still", still)):
        state, taken[name] = loop.start(each, shop=1, session="s", at=1.7e9), 0
        for i in range(40):
            item = int(each.catalogue.item_ids[(i // 3) * 6 % len(each.catalogue)])
            state, decisions, _ = loop.observe_with_decisions(each, state, event(i, item=item))
            taken[name] += len(decisions)
    assert taken["whole"] > 0
    assert taken["still"] == 0


def test_pairs_of_one_id_are_one_session_and_those_without_are_their_own() -> None:
    pairs = [((1, 2), 3), ((1,), 2), ((5,), 6), ((4,), 5)]
    told = asked_of(Held(None, pairs, {}, ids=["a", "a", "", ""]))
    assert told.target.tolist() == [2, 3, 5, 6]
    assert told.length.tolist() == [1, 2, 1, 1]
    assert told.session.tolist() == [0, 0, 1, 2]
    assert told.unit == "session or pair"
    assert asked_of(Held(None, pairs, {}, ids=["a"] * 4)).unit == "session"
    unknown = asked_of(Held(None, pairs, {}))
    assert (unknown.unit, unknown.session.tolist()) == ("pair", [0, 1, 2, 3])


def test_models_answer_in_the_order_in_which_they_are_asked(world: World, engine: Engine) -> None:
    """Events that are no item action, and sessions of one, stand between; every path must pass them over alike."""
    names = ("search", "view_item", "user_engagement", "view_item", "view_item", "remove_from_cart", "view_item", "view_item")
    position = np.array([NO_ITEM, 0, 0, 1, 2, 2, 3, 5])
    code = np.array([CODE[n] for n in names], dtype=np.int8)
    log = SessionLog.of(np.array([0, 0, 0, 0, 1, 2, 2, 2]), position, 1.7e9 + 10.0 * np.arange(8), code=code)
    held = Held(log, None, {})
    asked = asked_of(held)
    assert asked.target.tolist() == [1, 5]
    assert asked.session.tolist() == [0, 1]
    assert [target for *_, target in protocol._by_session(engine, held)] == [1, 5]
    assert [target for _, target in prefixes_of(held)] == [1, 5]


def files(folder: Path, world: World) -> Path:
    log = world.log
    lines = ["session_id,timestamp,event_type,item_id"]
    for s, rows in enumerate(log.slices()):
        lines += [f"{s},{log.at[row]:.0f},view_item,sku-{log.position[row]}" for row in range(rows.start, rows.stop)]
    (folder / "events.csv").write_text("\n".join([*lines, "0,never,view_item,sku-1"]))
    return folder


def test_command_writes_only_json_to_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    folder = str(files(tmp_path, make_world(sessions=110)))
    call_command(
        "evaluate",
        folder,
        "--json",
        "--split",
        "days=1",
        "--report",
        str(page),
        "--ablate",
        "blend",
        "--diversity",
        "0.4",
        "--draws",
        "50",
    )
    out, err = capfd.readouterr()
    report = json.loads(out)
    about = ["dataset", "split", "protocol", "commit", "machine", "date", "peak_memory_mib", "data"]
    assert list(report) == [
        *about,
        "intervals",
        "items",
        "items_seen",
        "clusters",
        "models",
        "differences",
        "diverse",
        "ablations",
    ]
    assert report["dataset"] == tmp_path.name
    assert report["protocol"].startswith("days=1")
    assert list(report["models"]) == ["engine", "popularity", "sequential_rules", "v_sknn"]
    for model in report["models"].values():
        assert all(low <= model[key] <= high for key, (low, high) in model["intervals"].items())
        assert sum(part["predictions"] for part in model["by_length"]) == model["examples"]
        assert sum(part["predictions"] for part in model["by_popularity"]) == model["examples"]
        assert 0.0 < model["mrr@20"] <= model["ndcg@20"] <= model["hr@20"] <= 100.0
        assert 0.0 < model["coverage@20"] <= 100.0
    assert "events.csv line" in err
    assert "timestamp 'never'" in err
    assert list(report["ablations"]) == ["blend"]
    assert list(report["diverse"]) == ["engine at diversity 0.4"]
    assert (
        report["diverse"]["engine at diversity 0.4"]["cluster_diversity@20"] > report["models"]["engine"]["cluster_diversity@20"]
    )
    text = page.read_text()
    assert "What each part adds" in text
    assert re.findall(r'(?:src|href|url\()\s*=?\s*"?(?!#|data:)\w+:', text) == [], "nothing from other hosts"
    assert "<script" not in text
    assert text.count("<svg") == text.count('role="img"') > 10
    assert text.count("<table") == text.count("<caption")


def test_command_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"neither events\.csv nor"):
        call_command("evaluate", str(tmp_path))
    with pytest.raises(CommandError, match="taste is not one of persona, clusters"):
        call_command("evaluate", str(tmp_path), "--ablate", "blend,taste")
    with pytest.raises(CommandError, match="is not a folder"):
        call_command("evaluate", str(tmp_path), "--report", str(tmp_path / "no" / "page.html"))
    with pytest.raises(CommandError, match="--draws 0 must be at least 1"):
        call_command("evaluate", str(tmp_path), "--draws", "0")
