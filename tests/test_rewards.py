"""What followed a decision: worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clusters.rewards import WORTH, Engagement, Report, Rewards, attention, credit, worths
from personas.events import CODE

VIEW, CLICK, CART, PURCHASE, REFUND = (
    CODE[name] for name in ("view_item", "select_item", "add_to_cart", "purchase", "remove_from_cart")
)
FREE = Rewards(ignored_cost=0.0)
COSTLY = Rewards(ignored_cost=0.1)


def test_attention_is_the_discount_of_ndcg():
    assert [attention(s) for s in (0, 1, 2, 6)] == pytest.approx([1.0, 1 / math.log2(3), 0.5, 1 / 3])
    assert attention(10_000) == attention(255) > 0


def test_a_slate_is_worth_what_is_done_with_its_items_less_what_was_passed_over():
    report = Report(10.0, (1, 2, 3), "a")
    done = [Engagement(12.0, 2, VIEW), Engagement(20.0, 2, CART)]
    # Items 1 and 3 stood first and third: 1 + 3 - 0.1 (1 + 0.5).
    assert worths(COSTLY, [report], done) == [(10.0, pytest.approx(1.0 + 3.0 - 0.15))]


def test_slots_tell_where_items_stood():
    report = Report(10.0, (1, 2), "a", slots=(6, 2))
    assert worths(COSTLY, [report], []) == [(10.0, pytest.approx(-0.1 * (1 / 3 + 1 / 2)))]


def test_a_click_and_the_look_that_it_leads_to_are_one_look():
    report = Report(10.0, (1,), "a")
    done = [Engagement(11.0, 1, CLICK), Engagement(11.5, 1, VIEW), Engagement(60.0, 1, VIEW)]
    assert worths(FREE, [report], done) == [(10.0, 1.0)]


def test_what_is_done_counts_to_the_last_slate_that_showed_the_item():
    reports = [Report(10.0, (1, 2), "a"), Report(20.0, (1, 3), "b"), Report(30.0, (4,), "c")]
    done = [Engagement(25.0, 1, VIEW), Engagement(35.0, 2, VIEW), Engagement(40.0, 1, PURCHASE)]
    assert worths(FREE, reports, done) == [(10.0, 1.0), (20.0, 6.0), (30.0, 0.0)]


def test_what_was_done_before_it_was_shown_or_long_after_is_not_the_slates_doing():
    report = Report(100.0, (1,), "a")
    done = [Engagement(99.0, 1, PURCHASE), Engagement(1_901.0, 1, PURCHASE)]
    assert worths(FREE, [report], done) == [(100.0, 0.0)]
    assert worths(FREE, [report], [Engagement(1_900.0, 1, PURCHASE)]) == [(100.0, 5.0)]


def test_regret_takes_away():
    done = [Engagement(2.0, 1, CART), Engagement(3.0, 1, REFUND)]
    assert worths(FREE, [Report(1.0, (1,), "a")], done) == [(1.0, 1.0)]


def test_a_slate_reported_in_parts_is_one_slate():
    parts = [Report(10.0, (1, 2), "a", (0, 1)), Report(14.0, (2, 3), "a", (1, 2))]
    assert worths(COSTLY, parts, [Engagement(15.0, 3, VIEW)]) == [(10.0, pytest.approx(1 - 0.1 * (1 + 1 / math.log2(3))))]


def test_lists_that_are_not_ours_teach_nothing():
    assert worths(COSTLY, [Report(1.0, (1, 2), "")], [Engagement(2.0, 1, VIEW)]) == []


def test_weights_are_the_merchandisers():
    only_sales = Rewards(weights={PURCHASE: 10.0}, ignored_cost=0.0)
    done = [Engagement(2.0, 1, VIEW), Engagement(3.0, 1, PURCHASE)]
    assert worths(only_sales, [Report(1.0, (1,), "a")], done) == [(1.0, 10.0)]
    assert WORTH[PURCHASE] == 5.0


def test_a_decision_is_credited_with_the_mean_of_the_next_slates():
    reports = [Report(t, (int(t),), f"s{t}") for t in (10.0, 20.0, 30.0, 40.0, 50.0)]
    done = [Engagement(21.0, 20, VIEW), Engagement(31.0, 30, CART), Engagement(41.0, 40, VIEW), Engagement(51.0, 50, PURCHASE)]
    # At 10 the slate of 10 was there already; then those of 20, 30 and 40.  After 45 only one is left, after 50 none.
    rewards = credit(FREE, [10.0, 45.0, 50.0], reports, done)
    assert rewards[:2] == pytest.approx([(1 + 3 + 1) / 3, 5.0])
    assert math.isnan(rewards[2])


def test_slates_after_the_window_are_not_credited():
    assert np.isnan(credit(FREE, [0.0], [Report(1_801.0, (1,), "a")], [])).all()
    assert credit(FREE, [0.0], [Report(1_800.0, (1,), "a"), Report(1_900.0, (2,), "b")], [Engagement(1_901.0, 2, VIEW)]) == [0.0]


def test_order_of_what_is_given_does_not_matter():
    reports = [Report(10.0, (1,), "a"), Report(20.0, (2,), "b")]
    done = [Engagement(11.0, 1, VIEW), Engagement(21.0, 2, CART)]
    assert worths(FREE, reports[::-1], done[::-1]) == worths(FREE, reports, done) == [(10.0, 1.0), (20.0, 3.0)]


def test_a_report_whose_slots_do_not_fit_is_refused():
    with pytest.raises(ValueError, match="argument 2"):
        worths(FREE, [Report(1.0, (1, 2), "a", (0,))], [])
