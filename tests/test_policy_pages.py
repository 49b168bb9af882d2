"""Policies in the admin: what is told, and who may decide."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from clusters.policy import default_policy
from personas.models import Shop
from recommendations import activation, releases
from recommendations.benchmarks.made_decisions import made_decisions
from recommendations.engine import Engine
from recommendations.learning import policies, policy_charts
from recommendations.learning.evidence import Day
from recommendations.learning.models import AdaptationSettings, PolicyVersion
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
def shop(settings: Any, tmp_path: Path, engine: Engine, redis_client: redis.Redis) -> Shop:
    settings.RELEASES_DIR = tmp_path
    shop = Shop.objects.create(slug="boutique", name="Boutique")
    activation.activate(releases.publish(shop, engine, metrics={}), by=policies._actor(None))
    return shop


def learned(shop: Shop, decisions: int) -> PolicyVersion:
    """A candidate that waits for somebody."""
    AdaptationSettings.objects.create(shop=shop, goes_live_by_itself=False)
    made_decisions(shop, decisions=decisions, until=NOW, seed=5)
    row = policies.learn_policy(shop, now=NOW + dt.timedelta(hours=2)).candidate
    assert row is not None
    return row


def client_of(*permissions: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:recommendations_policyversion_{name}", args=args)


BOTH = ("view_policyversion", "change_policyversion", "override_unknown")


def test_a_shop_that_learned_nothing_says_what_it_takes(shop: Shop) -> None:
    Shop.objects.create(slug="new", name="New shop")
    page = client_of(*BOTH).get(url("changelist")).content.decode()
    assert "The hand rule serves" in page
    assert "Nothing was learned yet: a decision counts half an hour after it was made" in page
    assert "New shop has no release yet" in page


def test_the_list_tells_what_serves_and_what_the_gate_said(shop: Shop) -> None:
    row = learned(shop, 60)
    page = client_of(*BOTH).get(url("changelist")).content.decode()
    assert "Not known yet" in page
    assert url("change", row.pk) in page
    assert "New ones wait until somebody lets them serve" in page
    assert 'aria-label="Reward by day' in page


def test_a_page_tells_verdict_interval_and_what_is_missing(shop: Shop) -> None:
    row = learned(shop, 60)
    page = client_of(*BOTH).get(url("change", row.pk)).content.decode()
    assert "Not known yet" in page
    assert "are needed" in page
    assert "Let it serve all the same" in page
    assert "What it does" in page
    assert "Expanding is worth more where" in page


def test_who_may_only_look_sees_no_button_and_is_refused(shop: Shop) -> None:
    row, client = learned(shop, 60), client_of("view_policyversion")
    page = client.get(url("change", row.pk)).content.decode()
    assert "You may look at policies" in page
    assert "Let it serve" not in page
    for name, args in (("live", (row.pk,)), ("refuse", (row.pk,)), ("back", (shop.pk,))):
        assert client.post(url(name, *args), {"reason": "I say so."}).status_code == 403
        assert client.get(url(name, *args)).status_code == 405
    row.refresh_from_db()
    assert row.state == PolicyVersion.State.CANDIDATE


def test_who_may_not_look_sees_nothing(shop: Shop) -> None:
    row, client = learned(shop, 60), client_of()
    assert client.get(url("changelist")).status_code == 403
    assert client.get(url("change", row.pk)).status_code == 403


def test_an_unknown_policy_needs_a_reason_which_is_kept_and_shown(shop: Shop) -> None:
    row, client = learned(shop, 60), client_of(*BOTH)
    page = client.post(url("live", row.pk), {"reason": " "}, follow=True).content.decode()
    assert "give a reason" in page
    assert releases.load_active(shop.pk).policy.version == default_policy().version
    page = client.post(url("live", row.pk), {"reason": "Christmas <is> near."}, follow=True).content.decode()
    assert "It serves" in page
    assert "Christmas &lt;is&gt; near." in page
    assert "although the gate did not say that it may" in page
    page = client.post(url("back", shop.pk), {}, follow=True).content.decode()
    assert f"{default_policy().version} serves again" in page
    row.refresh_from_db()
    assert (row.state, row.decided_by.get_username()) == (PolicyVersion.State.REFUSED, "ada")  # type: ignore[union-attr]


def test_what_is_known_to_be_worse_has_no_button_and_is_refused(shop: Shop) -> None:
    row, client = learned(shop, 60), client_of(*BOTH)
    PolicyVersion.objects.filter(pk=row.pk).update(verdict={**row.verdict, "verdict": "worse"})
    page = client.get(url("change", row.pk)).content.decode()
    assert "It is known to be worse" in page
    assert "Let it serve all the same" not in page
    page = client.post(url("live", row.pk), {"reason": "Christmas is near."}, follow=True).content.decode()
    assert "Nothing was changed." in page
    assert releases.load_active(shop.pk).policy.version == default_policy().version


def test_a_policy_that_passed_serves_by_one_click(shop: Shop) -> None:
    row, client = learned(shop, 4_000), client_of(*BOTH)
    page = client.get(url("change", row.pk)).content.decode()
    assert "It passed" in page
    assert "Better: +" in page
    client.post(url("live", row.pk))
    row.refresh_from_db()
    assert (row.state, row.overridden) == (PolicyVersion.State.LIVE, False)


def test_turning_down_is_on_record(shop: Shop) -> None:
    row, client = learned(shop, 60), client_of(*BOTH)
    page = client.post(url("refuse", row.pk), {"reason": "Odd."}, follow=True).content.decode()
    assert "Turned down on" in page
    assert "Odd." in page


def test_a_policy_that_can_not_be_read_is_told_of(shop: Shop) -> None:
    row = learned(shop, 60)
    (releases.root_of(shop) / "policy" / row.component / "component.json").unlink()
    page = client_of(*BOTH).get(url("change", row.pk)).content.decode()
    assert "What it learned can't be read" in page


# Charts


def test_a_days_interval_is_that_of_a_ratio_over_its_sessions() -> None:
    """By hand: two sessions of 1 and 3 decisions with sums 1 and 6; mean 7/4, residuals -3/4 and 3/4, so
    s = sqrt(2 * (9/16 + 9/16)) / 4 = 0.375."""
    (mean,) = policy_charts.means([Day("2026-11-23", "p", [2, 1, 1], 4, 2, 7.0, 37.0, 19.0, 10.0)])
    assert mean.value == 1.75
    assert mean.low == pytest.approx(1.75 - 1.96 * 0.375)
    assert mean.high == pytest.approx(1.75 + 1.96 * 0.375)
    (alone,) = policy_charts.means([Day("2026-11-23", "p", [1, 0, 0], 1, 1, 1.0, 1.0, 1.0, 1.0)])
    assert alone.low is None


def test_shares_of_choices_add_up_over_policies() -> None:
    days = [Day("2026-11-23", "p", [3, 1, 0], 0, 0, 0, 0, 0, 0), Day("2026-11-23", "q", [0, 0, 4], 0, 0, 0, 0, 0, 0)]
    (day,) = policy_charts.shares(days)
    assert day.shares == (37.5, 12.5, 50.0)
    assert day.decisions == 8


def test_the_hand_rule_acts_where_it_was_made_to() -> None:
    rule = default_policy()
    found = {each.situation: each.this for each in policy_charts.choices(rule, rule, 0.05)}
    assert found["Four looks in a row fell outside, on things this persona likes"] > 60.0
    assert found["A cluster was seen six times in vain, and fills half of the slate"] > 60.0
    assert all(5.0 <= percent <= 95.0 for percent in found.values())


def test_weights_that_nothing_was_learned_of_are_named_and_not_drawn() -> None:
    for chart in policy_charts.weights(default_policy()):
        assert not chart.rows
        assert len(chart.quiet) == len(policy_charts.WORDS)
