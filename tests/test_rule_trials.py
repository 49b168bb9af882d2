"""Rules that some visits go without: who goes without, what slates say of it, what is counted, and what is concluded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import redis

from clusters.sequential import difference_of_shares, units_needed
from personas.models import Shop, moment
from recommendations import engine as loop
from recommendations.desk.rules import verdicts as rule_verdicts
from recommendations.engine import Engine
from recommendations.models import DayTally, MerchandisingRule
from recommendations.overlay import Overlay
from recommendations.ranking.rules import Rule, Scope, Target
from recommendations.reading import read_rule
from recommendations.serving import archiving
from recommendations.serving.activity import LoggedItem, LoggedSlate, StreamLog
from recommendations.session import Request, SessionState, Slate
from tests.test_hourly import HOUR, PARTITIONS, event, send
from tests.worlds import MONDAY, make_world, train_world
from tests.worlds import event as observed

NOW = MONDAY + 2_000_000.0
PLAIN = Request(now=NOW, explore=0.0)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world())


def visit(engine: Engine, session: str) -> SessionState:
    state = loop.start(engine, shop=1, session=session, at=MONDAY + 1_000_000.0)
    for n, item in enumerate((7, 8, 9)):
        state = loop.observe(engine, state, observed(n, item=item))
    return state


def ruled(engine: Engine, *rules: Rule) -> Engine:
    return replace(engine, overlay=Overlay(version=3, rules=rules))


def slate_of(engine: Engine, state: SessionState, request: Request = PLAIN) -> Slate:
    return loop.recommend(engine, state, request, loop.generator(state))[1]


def shown(slate: Slate) -> list[int]:
    return [item.item for item in slate.items]


# Who goes without


def test_the_share_of_visits_that_goes_without_is_the_one_asked_for_and_rules_draw_apart() -> None:
    first, other = (Rule(n, "r", "exclude", Target(), holdout=0.3) for n in (1, 2))
    drawn = np.array([[rule.goes_without(1, f"s{n}") for n in range(20_000)] for rule in (first, other)])
    assert abs(drawn.mean(axis=1) - 0.3).max() < 4 * (0.3 * 0.7 / 20_000) ** 0.5
    assert abs((drawn[0] & drawn[1]).mean() - 0.09) < 4 * (0.09 * 0.91 / 20_000) ** 0.5, "one's draw says nothing of the other's"
    assert not any(replace(first, holdout=0.0).goes_without(1, f"s{n}") for n in range(1_000))
    wider = replace(first, holdout=0.5)
    assert all(wider.goes_without(1, f"s{n}") for n in np.flatnonzero(drawn[0])), "a larger share keeps those that went without"


def test_a_mark_stays_while_the_rule_asks_for_the_same() -> None:
    rule = Rule(1, "r", "pin", Target(items=(1,)), slot=2, holdout=0.1)
    assert replace(rule, name="another", scope=Scope(ends=NOW)).mark == rule.mark
    changed = (replace(rule, slot=3), replace(rule, holdout=0.2), replace(rule, target=Target(items=(2,))))
    assert len({rule.mark, *(each.mark for each in changed)}) == 4


@pytest.mark.parametrize("action", ["pin", "boost", "bury", "exclude", "balance"])
def test_a_visit_that_goes_without_sees_what_it_would_see_without_the_rule(engine: Engine, action: str) -> None:
    bare = shown(slate_of(engine, visit(engine, "s0")))
    rest = [item for item in engine.catalogue.item_ids.tolist() if item not in bare]
    target = {"pin": Target(items=(rest[0],)), "balance": Target()}.get(action, Target(items=tuple(bare[2:5])))
    rule = Rule(9, "r", action, target, slot=1, strength=20.0, share=0.1, holdout=0.5)
    over, always = ruled(engine, rule), ruled(engine, replace(rule, holdout=0.0))
    kinds = set()
    for n in range(12):
        state = visit(engine, f"s{n}")
        held = rule.goes_without(1, f"s{n}")
        kinds.add(held)
        slate = slate_of(over, state)
        assert shown(slate) == shown(slate_of(engine if held else always, state))
        assert slate.trials == ((9, rule.mark, held),), "with it or without, the slate says that the rule matters here"
        assert (9 in slate.rules) is not held
        assert slate.items == slate_of(over, state).items, "a retry is answered the same"
        exploring = replace(PLAIN, explore=0.5)
        assert slate_of(over, state, exploring).trials == slate.trials, "chance has no say in it"
    assert kinds == {False, True}


def test_a_rule_that_makes_no_difference_is_on_trial_nowhere(engine: Engine) -> None:
    bare = shown(slate_of(engine, visit(engine, "s0")))
    there = Rule(9, "r", "pin", Target(items=(bare[0],)), slot=0, holdout=0.5)
    elsewhere = Rule(10, "r", "exclude", Target(items=(bare[0],)), Scope(contexts=("cart",)), holdout=0.5)
    for n in range(6):
        assert slate_of(ruled(engine, there, elsewhere), visit(engine, f"s{n}")).trials == ()


# What is counted


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


@pytest.fixture
def log(redis_client: redis.Redis) -> StreamLog:
    return StreamLog(redis_client, partitions=PARTITIONS)


@pytest.fixture
def rule(shop: Shop) -> MerchandisingRule:
    return MerchandisingRule.objects.create(shop=shop, name="r", action="pin", slot=1, target={"items": [1]}, holdout=0.2)


def slate(name: str, at: float, *trials: tuple[int, str, bool]) -> LoggedSlate:
    return LoggedSlate(name, at, "home", (LoggedItem(1, 0, 0.0, 1.0, 1, 4, ""),), trials=trials)


def counted() -> dict[tuple[str, str, str], float]:
    rows = DayTally.objects.filter(measure__startswith="trial").values_list("measure", "key", "origin", "value")
    return {(measure, key.split(":", 2)[2], origin): value for measure, key, origin, value in rows}


def test_a_visit_counts_once_for_what_it_did_on_slates_that_the_rule_changes(
    shop: Shop, log: StreamLog, rule: MerchandisingRule
) -> None:
    mark = read_rule(rule).mark
    on, off = (rule.pk, mark, False), (rule.pk, mark, True)
    before = event("purchase", "p0", HOUR - 100)
    send(log, shop, "a", 1, HOUR, before, slate=slate("a1", HOUR, on))
    send(log, shop, "a", 2, HOUR + 10, slate=slate("a2", HOUR + 10, on))
    send(log, shop, "a", 3, HOUR + 20, event("select_item", "c1", HOUR + 20, recommendation_id="a1"))
    archiving.archive(log, consumer="one")
    send(log, shop, "a", 4, HOUR + 30, event("select_item", "c2", HOUR + 30, recommendation_id="a2"))
    send(log, shop, "b", 1, HOUR, slate=slate("b1", HOUR, off))
    send(log, shop, "b", 2, HOUR + 5, slate=slate("b2", HOUR + 5))
    send(
        log, shop, "b", 3, HOUR + 9, event("select_item", "c", HOUR + 9, recommendation_id="b2"), event("purchase", "p", HOUR + 9)
    )
    send(log, shop, "c", 1, HOUR, slate=slate("c1", HOUR, off), origin="simulated")
    send(log, shop, "t", 1, HOUR, slate=slate("t1", HOUR, off), origin="test")
    archiving.archive(log, consumer="one")
    expected = {
        ("trial_visit", "with", "live"): 1,
        ("trial_click", "with", "live"): 1,
        ("trial_visit", "without", "live"): 1,
        ("trial_buy", "without", "live"): 1,
        ("trial_visit", "without", "simulated"): 1,
    }
    assert counted() == expected, (
        "the purchase before, and the click on a slate that the rule leaves as it is, are not the rule's"
    )
    send(log, shop, "a", 4, HOUR + 30, event("select_item", "c2", HOUR + 30, recommendation_id="a2"))
    send(log, shop, "b", 1, HOUR, slate=slate("b1", HOUR, off))
    archiving.archive(log, consumer="two")
    assert counted() == expected, "what is delivered again counts nothing"
    found = rule_verdicts.verdict(rule)
    assert found is not None
    assert (found.with_rule, found.without) == (rule_verdicts.Side(1, 1, 0), rule_verdicts.Side(1, 0, 1)), (
        "simulated ones left out"
    )
    rule.slot = 2
    again = rule_verdicts.verdict(rule)
    assert again is not None
    assert again.visits == 0, "a rule that asks for something else begins anew"
    rule.holdout = 0.0
    assert rule_verdicts.verdict(rule) is None


def test_what_is_archived_before_its_slate_counts_when_that_comes_and_once(
    shop: Shop, log: StreamLog, rule: MerchandisingRule
) -> None:
    on = (rule.pk, read_rule(rule).mark, False)
    click = event("select_item", "c1", HOUR + 20, recommendation_id="a1")
    send(log, shop, "a", 2, HOUR + 20, click, event("purchase", "p", HOUR + 30))
    archiving.archive(log, consumer="two")
    assert counted() == {}
    for _ in range(2):
        send(log, shop, "a", 1, HOUR, slate=slate("a1", HOUR, on))
        send(
            log,
            shop,
            "a",
            3,
            HOUR + 40,
            event("select_item", "c2", HOUR + 40, recommendation_id="a1"),
            slate=slate("a2", HOUR, on),
        )
        archiving.archive(log, consumer="one")
        assert counted() == {(f"trial_{each}", "with", "live"): 1 for each in ("visit", "click", "buy")}


def tell(rule: MerchandisingRule, held: bool, visits: int, clicked: int) -> None:
    key = f"{rule.pk}:{read_rule(rule).mark}:{'without' if held else 'with'}"
    for measure, value in (("trial_visit", visits), ("trial_click", clicked)):
        DayTally.objects.create(shop=rule.shop, day=moment(HOUR), measure=measure, key=key, origin="live", value=value)


@pytest.mark.parametrize(
    ("acted", "held", "said", "words"),
    [
        (
            (90_000, 5_490),
            (10_000, 400),
            "better",
            "With the rule 6.1 in 100 of such visits clicked on such a slate, without it 4.0",
        ),
        ((90_000, 3_000), (10_000, 520), "worse", "worse by 1.9"),
        ((900, 55), (100, 5), "unknown", "more visits are needed (to know a difference of 1.1 in 100)"),
        ((90, 5), (10, 1), "unknown", "more visits are needed (fewer than 100 of a kind tell nothing)"),
        ((900, 0), (100, 0), "unknown", "no visit clicked on such a slate, of 900 with the rule and 100 without it"),
    ],
)
def test_a_verdict_says_what_is_known_and_else_what_is_missing(
    rule: MerchandisingRule, acted: tuple[int, int], held: tuple[int, int], said: str, words: str
) -> None:
    tell(rule, False, *acted)
    tell(rule, True, *held)
    found = rule_verdicts.verdict(rule)
    assert found is not None
    clicked = found.outcomes[0]
    assert clicked.verdict == said
    assert words in clicked.told


def test_looking_a_hundred_times_a_rule_that_changes_nothing_is_hardly_ever_found_to() -> None:
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(400):
        n = np.arange(1, 101) * 200
        acted, held = (np.cumsum(rng.binomial(size, 0.05, 100)) for size in (180, 20))
        looks = zip(n.tolist(), acted.tolist(), held.tolist(), strict=True)
        found = [difference_of_shares((h, m / 10), (a, 0.9 * m)) for m, a, h in looks]
        wrong += any(d.low > 0 or d.high < 0 for d in found)
    assert wrong <= 400 * 0.05, "in 95 of 100 rules, at all looks at once"


def test_the_visits_said_to_be_needed_are_enough_to_tell() -> None:
    held, acted = (50.0, 1_000.0), (600.0, 9_000.0)
    needed = units_needed(held, acted, 0.01)
    grown = needed / 10_000
    later = difference_of_shares((50 * grown, 1_000 * grown), (600 * grown, 9_000 * grown))
    assert abs((later.high - later.low) / 2 - 0.01) < 0.0003
