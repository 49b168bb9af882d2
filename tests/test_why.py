"""Why an item was shown, in numbers: parts that add up to the score, and causes that are what they are said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clusters import adaptation
from clusters.adaptation import LOOK
from recommendations import accounts
from recommendations import engine as loop
from recommendations.engine import Engine
from recommendations.models import ServedSlate
from recommendations.overlay import Overlay, with_overlay
from recommendations.ranking.blend import linear_blend
from recommendations.ranking.features import EXPERT_COLUMNS, EXPERTS, FEATURES
from recommendations.ranking.rules import Rule, Target
from recommendations.session import Request, SessionState
from recommendations.why import HEARD, Part, shapley, why
from tests.worlds import MONDAY, event, make_world, train_world

NOW = MONDAY + 1_000_000.0
REQUEST = Request(now=NOW + 100.0, explore=0.2)
UNCHANGED = adaptation.start()


@pytest.fixture(scope="module")
def engine() -> Engine:
    trained = train_world(make_world(seed=4, sessions=2_000, per_group=30))
    return replace(trained, ranker=replace(trained.ranker, reminders=np.array([0.1] + [0.0] * 9)))


def session(engine: Engine, *items: int, own: tuple[int, ...] = ()) -> SessionState:
    state = loop.start(engine, shop=1, session="s", at=NOW, own=own)
    for n, item in enumerate(items):
        state = loop.observe(engine, state, event(n, item=item))
    return state


@pytest.mark.parametrize("items", [(), (3,), (3, 7, 100), (3, 3, 40, 41, 200, 7, 8)])
@pytest.mark.parametrize("context", ["home", "similar", "complementary"])
def test_parts_add_up_to_the_score_that_was_served(engine: Engine, items: tuple[int, ...], context: str) -> None:
    """Oracle: the slate of `recommend`. Nothing is left that nobody is told to have added."""
    state = session(engine, *items, own=(17,))
    request = replace(REQUEST, context=context)
    slate = loop.recommend(engine, state, request, loop.generator(state))[1]
    for item in slate.items:
        told = why(engine, state, request, item.item)
        assert told.shown == item
        assert told.score == pytest.approx(item.score)
        assert told.baseline + sum(p.value for p in told.parts) == pytest.approx(item.score, abs=1e-9)
        assert "other" not in {p.name for p in told.parts}


def test_what_is_added_outside_the_blend_is_told_as_it_is(engine: Engine) -> None:
    boosted = with_overlay(engine, Overlay(1, rules=(Rule(5, "More of it", "boost", Target(items=(4,)), strength=20.0),)))
    told = why(boosted, session(engine, 3, 7), REQUEST, 4)
    parts = dict(told.parts)
    assert parts["rules"] == pytest.approx(np.log(20.0), abs=1e-6)
    plain = why(engine, session(engine, 3, 7), REQUEST, 4)
    assert told.score - plain.score == pytest.approx(np.log(20.0), abs=1e-5)
    assert told.baseline == pytest.approx(plain.baseline, abs=1e-4)


def test_what_an_item_weighs_by_itself_is_told_by_its_cause(engine: Engine) -> None:
    """Oracle: the bounds. What came in with an expansion weighs `bring_by` as much; what was seen three times, less twice."""
    plain = session(engine, 3, 7)
    source, target = next(
        (one, two)
        for one in engine.clusters.cluster_ids.tolist()
        for two in engine.clusters.cluster_ids.tolist()
        if one != two and adaptation.brought_with(engine.reach, replace(UNCHANGED, expanded={two: one}, brought={two: 3}), two)
    )
    adapted = replace(UNCHANGED, expanded={target: source}, brought={target: 3}, weight={target: engine.bounds.expand_to})
    place = adaptation.brought_with(engine.reach, adapted, target)[0]
    item = engine.catalogue.item_ids.item(place)
    brought = dict(why(engine, replace(plain, adapted=adapted), REQUEST, item).parts)
    assert brought["brought in"] == pytest.approx(np.log(engine.bounds.bring_by))
    assert "passed over" not in brought
    told = why(engine, replace(plain, adapted=replace(adapted, passed={item: 3 * LOOK})), REQUEST, item)
    parts = dict(told.parts)
    assert parts["brought in"] == brought["brought in"]
    assert parts["passed over"] == pytest.approx(2 * np.log(engine.bounds.pass_by))
    assert told.baseline + sum(parts.values()) == pytest.approx(told.score, abs=1e-9)
    assert "other" not in parts
    home = engine.clusters.cluster_ids.item(engine.clusters.of(engine.catalogue.position(4))[0][0])
    bounded = replace(engine, bounds=replace(engine.bounds, limits=((home, 10_000, None),)))
    kept = dict(why(bounded, replace(plain, adapted=replace(UNCHANGED, weight={home: 0.25})), REQUEST, 4).parts)
    assert kept["spared"] == pytest.approx(-kept["cluster weights"], abs=1e-5), "what its cluster lost is made good"


def test_every_part_has_words_that_read_as_a_clue_for_or_against(engine: Engine) -> None:
    told = why(engine, session(engine, 3, 7), REQUEST, 4)
    parts = (Part("brought in", 1.39), Part("passed over", -0.7), Part("other", 0.01))
    account = replace(told, parts=parts, baseline=told.score - 0.7, tried=())
    words = accounts.sentences(accounts.Told(ServedSlate(), {"propensity": 1.0}, engine, account, exact=True, note=""))
    assert words[0] == (
        "Its score is +0.70 beside the average item's, carried by coming in with a related group, as the visit was widened "
        "(+1.39), the order of relevance (+0.01). Against it: being passed over in this visit (−0.70)."
    )
    beside = ("cluster weights", "brought in", "spared", "lessened", "passed over", "rules", "page", "other")
    assert set(accounts.PARTS) == {*EXPERTS, *beside}


def test_of_a_linear_blend_an_experts_part_is_its_weight_times_what_it_says_above_average(engine: Engine) -> None:
    """Shapley values of a sum are its terms."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=len(FEATURES)).astype(np.float32)
    linear = replace(engine, ranker=replace(engine.ranker, blend=linear_blend(weights)))
    state = session(linear, 3, 7, 100)
    slate = loop.recommend(linear, state, REQUEST, loop.generator(state))[1]
    evidence = why(linear, state, REQUEST, slate.items[0].item).made.trial.ranked.evidence
    assert evidence is not None
    mean = evidence.features.mean(axis=1)
    for column in (0, 5, 9):
        base, parts = shapley(linear.ranker, evidence, column)
        assert base == pytest.approx(float(weights @ mean), abs=1e-3)
        for e in HEARD:
            rows = EXPERT_COLUMNS[e]
            term = float(weights[rows] @ (evidence.features[rows, column] - mean[rows]))
            assert parts[e] == pytest.approx(term, abs=1e-3), EXPERTS[e]


def test_what_a_reason_names_is_among_the_causes_that_hold(engine: Engine) -> None:
    for items in ((), (3,), (3, 7, 100), (3, 3, 40, 41, 200, 7, 8)):
        state = session(engine, *items, own=(17,))
        for item in loop.recommend(engine, state, REQUEST, loop.generator(state))[1].items:
            told = {(t.kind, t.key or t.name): t.holds for t in why(engine, state, REQUEST, item.item).tried}
            if item.because:
                assert told["item", item.because]
            if item.expert:
                assert told["expert", item.expert]
            if "From “" in item.reason:
                assert told["cluster", item.cluster]


def test_an_item_that_was_not_ranked_has_no_account(engine: Engine) -> None:
    with pytest.raises(LookupError, match="no item 999"):
        why(engine, session(engine, 3), REQUEST, 999)
