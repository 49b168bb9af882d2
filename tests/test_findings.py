"""What may be chance over a year of looks at changes: of all that is let through, and that a week is looked at once."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from django.utils import timezone
from scipy import stats

from clusters.contrasts import discoveries
from clusters.lasting import SORTS
from personas.models import Shop
from recommendations.learning.findings import CHANCE_A_YEAR, WEEKS, criteria_of, find_changes, week_start
from recommendations.learning.models import AdaptationSettings
from recommendations.models import AdaptationDecision
from tests.proposal_shops import planted_shop

SEEN_WEEKS = 8
"""Weeks of decisions that a look goes by: two half lives."""


def a_year(seed: int, rate: float, *, gains: int) -> tuple[int, int]:
    """Changes let through in a year of looks at 120 of three sorts, and those of them that gain nothing.

    Each week brings a change's comparison a normal step; a look sums those of the last eight weeks. gains : changes of each
    sort that gain: a whole eight weeks of one are worth five standard errors.
    """
    rng = np.random.default_rng(seed)
    steps = rng.normal(0.0, 1.0, (SORTS, 40, 52 + SEEN_WEEKS))
    steps[:, :gains] += 5.0 / np.sqrt(SEEN_WEEKS)
    through = np.zeros((SORTS, 40), dtype=bool)
    for week in range(SEEN_WEEKS, 52 + SEEN_WEEKS):
        seen = steps[:, :, week - SEEN_WEEKS : week].sum(2) / np.sqrt(SEEN_WEEKS)
        for sort in range(SORTS):
            through[sort] |= discoveries(stats.norm.sf(seen[sort]), rate / SORTS)
    return int(through.sum()), int(through[:, gains:].sum())


def test_of_all_that_a_year_lets_through_five_in_a_hundred_are_chance_at_most_and_what_gains_is_found() -> None:
    rate = criteria_of(AdaptationSettings()).false_discoveries
    assert rate == pytest.approx(CHANCE_A_YEAR / WEEKS)
    years = [a_year(seed, rate, gains=3) for seed in range(200)]
    assert np.mean([false / max(told, 1) for told, false in years]) <= 0.05
    assert np.mean([told - false for told, false in years]) >= 8.5, "nine gain"
    nothing = [a_year(1_000 + seed, rate, gains=0)[0] for seed in range(200)]
    assert np.mean([told > 0 for told in nothing]) <= 0.05 + 1.65 * np.sqrt(0.05 * 0.95 / 200), "with nothing to be found, all is"
    careless = [a_year(seed, CHANCE_A_YEAR, gains=3) for seed in range(50)]
    assert np.mean([false / max(told, 1) for told, false in careless]) > 0.1, "each look at five in a hundred is not enough"


@pytest.mark.parametrize("day", range(23, 30))
def test_a_week_begins_on_monday(day: int) -> None:
    assert week_start(dt.datetime(2026, 11, day, 1, tzinfo=dt.UTC)) == dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


@pytest.mark.django_db
def test_what_came_since_monday_waits_for_the_next_look() -> None:
    shop: Shop = planted_shop(decisions=600)
    settings, now = AdaptationSettings(shop=shop), timezone.now()
    found = find_changes(shop, settings, now)
    assert found.decisions == 600
    AdaptationDecision.objects.filter(shop=shop, pk__in=AdaptationDecision.objects.filter(shop=shop)[:200]).update(
        at=week_start(now) + dt.timedelta(minutes=1)
    )
    assert find_changes(shop, settings, now).decisions == 400
    assert find_changes(shop, settings, now + dt.timedelta(days=7)).decisions == 600
