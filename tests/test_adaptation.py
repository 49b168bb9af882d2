"""The session's own copy of the clusters: when it expands, when it contracts, and what bounds it."""

from __future__ import annotations

import copy
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from clusters import adaptation
from clusters.adaptation import AdaptedClusters, Bounds, Decision, Step, item_weights, observe, rebase
from clusters.item_clusters import ItemClusters
from clusters.policy import ACTIONS, CONTRACT, EXPAND, FEATURES, KEEP, Policy, default_policy
from personas.events import CODE, ENGAGEMENT
from tests.cluster_worlds import made_clusters

CLUSTERS = made_clusters(12)
BELIEF = np.array([0.5, 0.5])
BOUNDS = Bounds()


def always(action: int) -> Policy:
    """A policy that all but surely takes the action where it may."""
    mean = np.zeros((len(ACTIONS), len(FEATURES)))
    mean[action, FEATURES.index("bias")] = 1e3
    return replace(default_policy(), mean=mean, floor=0.0)


def act(item: int, name: str = "view_item", clusters: ItemClusters = CLUSTERS) -> Step:
    return Step(CODE[name], clusters.of(item - 1), BELIEF, item=item, engagement=ENGAGEMENT.get(name, 0.0))


def report(*clusters: int, first_item: int = 1) -> Step:
    """A reported slate: one item of each cluster id."""
    shown = tuple((first_item + 10 * (c - 101), c, slot) for slot, c in enumerate(clusters))
    return Step(CODE["view_item_list"], (), BELIEF, shown=shown)


def play(
    *steps: Step,
    policy: Policy | None = None,
    bounds: Bounds = BOUNDS,
    clusters: ItemClusters = CLUSTERS,
    adapted: AdaptedClusters | None = None,
) -> tuple[AdaptedClusters, list[Decision]]:
    policy, rng = policy or default_policy(), np.random.default_rng(0)
    adapted, decisions = adapted or adaptation.start(), []
    for step in steps:
        adapted, made = observe(clusters, policy, bounds, adapted, step, rng)
        decisions += made
    return adapted, decisions


def test_mass_decays_by_item_action_and_grows_by_engagement():
    adapted, _ = play(act(1), act(2), act(15, "add_to_cart"))
    assert adapted.mass == pytest.approx({101: (1 * 0.7 + 1) * 0.7, 102: 3.0})


def test_regret_takes_mass_away_and_decides_nothing():
    adapted, decisions = play(act(1), act(11), act(1, "remove_from_cart"))
    assert adapted.mass == pytest.approx({101: 0.7 * 0.7, 102: 1.0})
    assert decisions == []


@pytest.mark.parametrize("name", ["search", "user_engagement", "view_item_list"])
def test_events_that_say_nothing_of_clusters_change_nothing(name):
    before, _ = play(act(1), act(11))
    after, decisions = play(Step(CODE[name], (), BELIEF), adapted=before)
    assert after == before
    assert decisions == []


def test_two_engagements_outside_expand_towards_where_shoppers_go_next():
    adapted, decisions = play(act(1), act(2), act(51), act(52), policy=always(EXPAND))
    # Item 51 is in cluster 106, from which shoppers go to 107.
    assert [(d.cluster, d.action, d.target) for d in decisions] == [(106, "expand", 107)]
    assert adapted.expanded == {107: 106}
    assert adapted.weight == {107: BOUNDS.expand_to}
    assert adapted.outside == 0


def test_one_engagement_outside_is_an_accident():
    _, decisions = play(act(1), act(51), act(2), act(71), act(3), act(91), policy=always(EXPAND))
    assert decisions == []


def test_engagement_within_the_primary_clusters_never_expands():
    _, decisions = play(*[act(1 + i % 10) for i in range(30)], policy=always(EXPAND))
    assert decisions == []


def test_keep_is_logged_and_changes_nothing():
    adapted, decisions = play(act(1), act(51), act(52), policy=always(KEEP))
    assert [(d.cluster, d.action, d.target) for d in decisions] == [(106, "keep", 0)]
    assert adapted.expanded == adapted.weight == {}


def test_a_decision_logs_features_propensity_and_version():
    _, (decision,) = play(act(1), act(51), act(52))
    assert decision.policy == default_policy().version
    assert 0.05 <= decision.propensity <= 0.95
    named = dict(zip(FEATURES, decision.features, strict=True))
    q = 1.7 / (1.7 + 0.49)
    assert named["mass"] == pytest.approx(np.log(q) / -np.log(0.01), abs=1e-4)
    assert (named["last"], named["outside"], named["ignored"], named["bias"]) == (1.0, 0.5, 0.0, 1.0)


def test_served_is_not_seen():
    """Without a reported impression nothing is ever contracted, whatever the shopper does and the policy wants."""
    rng = np.random.default_rng(1)
    names = ["view_item", "add_to_cart", "remove_from_cart"]
    steps = [act(int(rng.integers(1, 121)), str(rng.choice(names))) for _ in range(500)]
    adapted, decisions = play(*steps, policy=always(CONTRACT))
    assert all(d.action != "contract" for d in decisions)
    assert all(w >= 1.0 for w in adapted.weight.values())
    assert adapted.passed == adapted.ignored == {}


def test_a_cluster_passed_over_in_three_reports_is_contracted_at_the_fourth_then_dropped():
    adapted, decisions = play(*[report(105)] * 3, policy=always(CONTRACT))
    assert decisions == []
    assert adapted.ignored == {105: 3}
    weights = []
    for _ in range(3):
        adapted, decisions = play(*[report(105)] * 4, policy=always(CONTRACT), adapted=replace(adapted, ignored={}))
        assert [d.action for d in decisions] == ["contract"]
        weights.append(adapted.weight[105])
    assert weights == [0.5, 0.25, 0.0]
    _, decisions = play(*[report(105)] * 8, policy=always(CONTRACT), adapted=adapted)
    assert decisions == []  # what is dropped can't be contracted further


def test_a_click_between_reports_starts_the_count_anew():
    adapted, decisions = play(*[report(105), report(105), report(105), act(42)] * 4, policy=always(CONTRACT))
    assert decisions == []
    assert adapted.ignored == {}


def test_engagement_lifts_a_contraction():
    contracted, _ = play(*[report(105)] * 4, policy=always(CONTRACT))
    assert contracted.weight == {105: 0.5}
    adapted, _ = play(act(45), adapted=contracted)
    assert adapted.weight == {}


def test_an_expansion_that_is_ignored_goes_back_to_what_it_was():
    expanded, _ = play(act(1), act(51), act(52), policy=always(EXPAND))
    adapted, _ = play(*[report(107)] * 4, policy=always(CONTRACT), adapted=expanded)
    assert (adapted.expanded, adapted.weight) == ({}, {})


def test_locked_clusters_are_not_contracted():
    locked = replace(CLUSTERS, locked=CLUSTERS.cluster_ids == 105)
    adapted, decisions = play(*[report(105, 106)] * 4, policy=always(CONTRACT), clusters=locked)
    assert [d.cluster for d in decisions] == [106]
    assert adapted.weight == {106: 0.5}


@pytest.mark.parametrize("least", [0.1, 0.3, 0.5, 1.0])
def test_weights_never_go_below_the_merchandisers_minimum(least):
    adapted, _ = play(*[report(105, 106)] * 60, policy=always(CONTRACT), bounds=Bounds(min_weight=least))
    assert all(w == pytest.approx(least) for w in adapted.weight.values())


def test_at_most_half_of_a_small_shops_clusters_are_contracted():
    small = made_clusters(4)
    adapted, _ = play(*[report(101, 102, 103, 104)] * 40, policy=always(CONTRACT), clusters=small)
    assert len(adapted.weight) == 2


def test_items_passed_over_weigh_less_and_a_click_forgives():
    adapted, _ = play(*[report(101, first_item=3)] * 3, report(102))
    assert adapted.passed == {3: 3, 11: 1}
    assert item_weights(BOUNDS, adapted) == {3: pytest.approx(0.7**2)}  # the first sight is free
    seen_off, _ = play(*[report(101, first_item=3)] * 20)
    assert item_weights(BOUNDS, seen_off) == {3: 0.0}
    forgiven, _ = play(act(3), adapted=adapted)
    assert forgiven.passed == {11: 1}


def test_a_click_on_an_item_of_no_cluster_forgives_too():
    adapted, _ = play(report(101, first_item=3), Step(CODE["view_item"], (), BELIEF, item=3, engagement=1.0))
    assert adapted.passed == {}


def test_impressions_of_clusters_that_are_gone_do_no_harm():
    gone = Step(CODE["view_item_list"], (), BELIEF, shown=((3, 999, 0), (4, 0, 1)))
    adapted, decisions = play(*[gone] * 5, policy=always(CONTRACT))
    assert decisions == []
    assert adapted.ignored == {}
    assert adapted.passed == {3: 5, 4: 5}


def random_steps(rng: np.random.Generator, clusters: ItemClusters, count: int) -> list[Step]:
    n = len(clusters.primary)
    steps = []
    for _ in range(count):
        if rng.random() < 0.4:
            items = rng.choice(n, 12, replace=False)
            shown = tuple((int(i) + 1, int(clusters.cluster_ids[clusters.primary[i]]), s) for s, i in enumerate(items))
            steps.append(Step(CODE["view_item_list"], (), BELIEF, shown=shown))
        else:
            name = str(rng.choice(list(ENGAGEMENT)))
            steps.append(act(int(rng.integers(1, n + 1)), name, clusters))
    return steps


@pytest.mark.parametrize("seed", [0, 1])
def test_the_state_stays_small_and_within_bounds_over_two_thousand_events(seed):
    clusters = made_clusters(60)
    rng, policy = np.random.default_rng(seed), default_policy()
    adapted, largest, actions = adaptation.start(), 0, set()
    for step in random_steps(rng, clusters, 2_000):
        adapted, decisions = observe(clusters, policy, BOUNDS, adapted, step, rng)
        actions |= {d.action for d in decisions}
        largest = max(largest, len(msgspec.msgpack.encode(adapted)))
        assert len(adapted.mass) <= BOUNDS.max_mass
        assert len(adapted.passed) <= BOUNDS.max_passed
        assert len(adapted.ignored) <= BOUNDS.max_counters
        assert len(adapted.expanded) <= BOUNDS.max_expanded
        assert sum(w < 1 for w in adapted.weight.values()) <= BOUNDS.max_contracted
        assert {c for c, w in adapted.weight.items() if w > 1} <= set(adapted.expanded)
        assert all(0 <= w <= BOUNDS.expand_to for w in adapted.weight.values())
    assert actions == {"keep", "expand", "contract"}
    assert largest < 1_000


def test_msgpack_round_trip_is_exact():
    rng = np.random.default_rng(4)
    adapted, _ = play(*random_steps(rng, CLUSTERS, 60))
    assert adapted.weight
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(adapted), type=AdaptedClusters) == adapted


def test_same_arguments_same_answer_and_arguments_unchanged():
    steps = random_steps(np.random.default_rng(5), CLUSTERS, 120)
    adapted, policy = adaptation.start(), default_policy()
    for i, step in enumerate(steps):
        before = copy.deepcopy(adapted)
        first = observe(CLUSTERS, policy, BOUNDS, adapted, step, np.random.default_rng(i))
        second = observe(CLUSTERS, policy, BOUNDS, adapted, step, np.random.default_rng(i))
        assert first == second
        assert adapted == before
        adapted = first[0]


def test_logged_propensities_are_the_frequencies_of_the_actions():
    before, _ = play(act(1), act(51))
    rng, policy = np.random.default_rng(6), default_policy()
    made = [observe(CLUSTERS, policy, BOUNDS, before, act(52), rng)[1][0] for _ in range(4_000)]
    expanded = [d for d in made if d.action == "expand"]
    assert len(expanded) / len(made) == pytest.approx(expanded[0].propensity, abs=0.025)


def test_rebase_drops_what_is_gone_and_keeps_the_rest():
    adapted = AdaptedClusters(
        mass={101: 1.0, 112: 2.0},
        weight={101: 0.5, 112: 0.5, 103: 1.5, 104: 1.5},
        expanded={103: 102, 104: 112},
        passed={5: 2, 115: 3},
        ignored={102: 1, 111: 4},
        engaged={102: 1, 112: 1},
        outside=2,
    )
    fewer = made_clusters(8)  # ids 101 to 108, items 1 to 80
    assert rebase(CLUSTERS, fewer, adapted) == AdaptedClusters(
        mass={101: 1.0},
        weight={101: 0.5, 103: 1.5},
        expanded={103: 102},
        passed={5: 2},
        ignored={102: 1},
        engaged={102: 1},
        outside=1,
    )
    assert rebase(None, CLUSTERS, adapted) == adapted


def test_rebase_to_no_clusters_is_a_fresh_start():
    adapted, _ = play(*random_steps(np.random.default_rng(7), CLUSTERS, 60))
    assert rebase(CLUSTERS, made_clusters(0), adapted) == adaptation.start()


def test_one_cluster_has_nowhere_to_go():
    one = made_clusters(1)
    adapted, decisions = play(act(1), *[report(101)] * 10, act(2), policy=always(CONTRACT), clusters=one)
    assert decisions == []
    assert adapted.weight == {}
