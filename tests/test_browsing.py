"""Shoppers in front of slates: what a slate is expected to bring against what shoppers do, tiring, purposes, tastes that move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clusters.rewards import Engagement, Report, Rewards, worths
from personas.events import CODE
from recommendations.evaluation.adaptation.trial import world_of
from recommendations.evaluation.simulation import World
from recommendations.evaluation.simulation.browsing import ALONE, LEAVES, ROW, Browser, Habits, Page, worth_of
from recommendations.evaluation.simulation.seasons import Drift, moved, successors
from recommendations.evaluation.simulation.world import soften
from tests.worlds import make_world, train_world


@pytest.fixture(scope="module")
def world() -> World:
    return world_of(train_world(make_world(sessions=200)))


def browser(world: World, seed: int, habits: Habits | None = None) -> Browser:
    return Browser(world, soften(world, 0.0), habits or Habits(purposeful=0.0), persona=0, seed=(seed,))


def worth(page: Page, rewards: Rewards) -> float:
    """What `clusters.rewards` makes of the page, its purchase included."""
    report = Report(0.0, page.screen.tolist(), "slate")
    done = []
    if page.chosen >= 0:
        done = [Engagement(1.0, page.chosen, CODE["view_item"])]
        done += [Engagement(2.0, page.chosen, CODE["add_to_cart"])] * page.carted
        done += [Engagement(3.0, page.chosen, CODE["purchase"])] * page.bought
    return worths(rewards, [report], done)[0][1]


def test_a_slate_brings_on_average_what_it_is_expected_to(world: World) -> None:
    """Oracle: the rewards of 6,000 shoppers who met it; tolerance four standard errors."""
    slate = np.arange(3, 15)
    rewards = Rewards()
    expected = browser(world, 0).expects(slate, worth_of(rewards, 12))
    met = [worth(browser(world, s).turn(slate), rewards) for s in range(6_000)]
    assert expected == pytest.approx(np.mean(met), abs=4.0 * np.std(met) / np.sqrt(len(met)))


def test_the_page_tells_whole_rows_and_what_lies_further_down_is_chosen_less(world: World) -> None:
    same = replace(world, taste=np.zeros_like(world.taste))
    pages = [browser(same, s).turn(np.arange(12)) for s in range(3_000)]
    assert {len(page.screen) for page in pages} == {ROW, 2 * ROW, 3 * ROW}
    chosen = np.bincount([page.chosen for page in pages if page.chosen >= 0], minlength=12)
    assert chosen[:4].sum() > 1.3 * chosen[4:8].sum() > 1.3 * 1.3 * chosen[8:12].sum()


def test_the_same_seed_is_the_same_shopper_in_the_same_mood(world: World) -> None:
    one, two = browser(world, 5), browser(world, 5)
    assert [one.turn(np.arange(12)).item for _ in range(4)] == [two.turn(np.arange(12)).item for _ in range(4)]


def test_what_was_seen_again_and_again_brings_less(world: World) -> None:
    shopper, slate = browser(world, 1), np.arange(12)
    worths_seen = worth_of(Rewards(), 12)
    fresh = shopper.expects(slate, worths_seen)
    shopper.sights[slate] = 3.0
    assert shopper.expects(slate, worths_seen) < 0.8 * fresh


def test_who_came_for_something_takes_it_up_until_some_is_in_the_cart(world: World) -> None:
    split = replace(world, category=np.arange(len(world.catalogue)) % 2, members=(np.arange(0, 72, 2), np.arange(1, 72, 2)))
    habits = Habits(purposeful=1.0, mission=4.0, carts=50.0)
    shopper = Browser(split, soften(split, 0.0), habits, persona=0, seed=(3,))
    wanted = shopper.wanted
    page = shopper.turn(np.arange(12))
    assert page.item % 2 == wanted
    assert page.carted
    assert shopper.wanted != wanted
    left = shopper.turn(np.arange(12)).chosen
    assert left in {ALONE, LEAVES, *range(12)}


def test_a_session_ends(world: World) -> None:
    shopper = browser(world, 2, Habits(leaves=-50.0, longest=5))
    assert [shopper.turn(np.arange(12)).item < 0 for _ in range(5)] == [False] * 4 + [True]


def test_tastes_move_from_the_beginning_of_a_drift_to_its_end(world: World) -> None:
    two = replace(world, taste=np.stack((world.taste[0], -world.taste[0])), prior=np.array([0.9, 0.1]), personas=("one", "other"))
    drift = Drift(begins=100.0, ends=200.0, share=0.8)
    assert [drift.at(t) for t in (0.0, 150.0, 900.0)] == pytest.approx([0.0, 0.4, 0.8])
    there = moved(two, drift, 0.5)
    assert np.abs(there.taste).max() < 1e-12
    assert there.prior == pytest.approx([0.5, 0.5])
    after, at = successors(6, 0), 0
    for step in range(6):
        at = int(after[at])
        assert (at == 0) == (step == 5), "one round through all"
