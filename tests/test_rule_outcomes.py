"""Pages that tell what became of rules: whether one beat the algorithm, when they act, copies, and all of them as a file."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from clusters.cluster_drafts import EditConflict, EditError
from clusters.models import Item
from personas.models import Shop
from recommendations import rule_editing
from recommendations.desk.rules import calendar as rule_calendar
from recommendations.desk.rules.calendar import Span
from recommendations.learning.models import Experiment
from recommendations.models import DayTally, MerchandisingRule

pytestmark = pytest.mark.usefixtures("redis_client")

NOW = dt.datetime(2026, 12, 9, 15, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAME = "admin:recommendations_merchandisingrule"


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="fashion", name="Fashion")


@pytest.fixture
def item(shop: Shop) -> Item:
    return Item.objects.create(shop=shop, external_id="skirt-1", title="Red skirt", category="skirts", price=20)


@pytest.fixture
def page(client: Client, db: None) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def rule_of(shop: Shop, item: Item, name: str = "First", **more: object) -> MerchandisingRule:
    return rule_editing.create(shop=shop, name=name, action="pin", slot=1, target={"items": [item.pk]}, **more)


def test_a_page_offers_a_holdout_where_nobody_can_know_and_one_click_makes_it(page: Client, shop: Shop, item: Item) -> None:
    rule = rule_of(shop, item)
    told = page.get(reverse(f"{NAME}_verdict", args=[rule.pk])).content.decode()
    assert "Nobody can know" in told
    assert "Let 10 % go without it" in told
    page.post(reverse(f"{NAME}_hold", args=[rule.pk]))
    rule.refresh_from_db()
    assert rule.holdout == 0.1
    told = page.get(reverse(f"{NAME}_verdict", args=[rule.pk])).content.decode()
    assert "Not known yet: no visit of each kind" in told
    DayTally.objects.all().delete()
    file = b"".join(page.get(reverse(f"{NAME}_verdict", args=[rule.pk]) + "?as=csv").streaming_content).decode()
    assert file.count("\r\n") == 3


def test_the_offer_changes_no_holdout_that_somebody_set_meanwhile(page: Client, shop: Shop, item: Item) -> None:
    rule = MerchandisingRule.objects.create(shop=shop, name="r", action="exclude", target={"items": [item.pk]}, holdout=0.3)
    text = page.post(f"/admin/recommendations/merchandisingrule/{rule.pk}/hold/", follow=True).content.decode()
    assert "30 in 100 visits go without it already" in text
    rule.refresh_from_db()
    assert rule.holdout == 0.3


def test_a_holdout_is_a_share_up_to_a_half_of_at_most_five_rules(shop: Shop, item: Item) -> None:
    with pytest.raises(EditError, match=r"must be 0 to 0\.5"):
        rule_of(shop, item, holdout=0.6)
    rules = [rule_of(shop, item, name=f"r{n}", holdout=0.1) for n in range(5)]
    with pytest.raises(EditConflict, match="5 rules at a time"):
        rule_of(shop, item, name="sixth", holdout=0.1)
    assert rule_editing.change(rule=rules[0], holdout=0.2) == ["holdout"], "one that has a share may have another"
    rule_editing.retire(rule=rules[1])
    rule_of(shop, item, name="sixth", holdout=0.1)
    with pytest.raises(EditConflict, match="5 rules at a time"):
        rule_editing.restore(rule=rules[1])


def test_another_like_a_rule_begins_as_it_is_and_is_saved_as_its_own(page: Client, shop: Shop, item: Item) -> None:
    rule = rule_of(shop, item, holdout=0.2)
    form = page.get(reverse(f"{NAME}_add"), {"shop": shop.pk, "like": rule.pk})
    assert form.context["form"].initial["name"] == "First, again"
    assert form.context["form"].initial["holdout"] == "20"
    assert "Red skirt" in form.content.decode()
    assert MerchandisingRule.objects.count() == 1


def test_the_list_draws_when_rules_act_and_its_file_has_what_it_shows(
    page: Client, shop: Shop, item: Item, django_assert_max_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    from django.utils import timezone

    now = timezone.now()
    for n in range(30):
        rule_of(shop, item, name=f"week {n}", starts_at=now + DAY, ends_at=now + 8 * DAY)
    rule_of(shop, item, name="always <b>")
    here = reverse(f"{NAME}_changelist")
    page.get(here)
    with django_assert_max_num_queries(18):
        told = page.get(here).content.decode()
    assert "week 0: from" in told
    assert "25 of 30 with dates" in told
    file = b"".join(page.get(reverse(f"{NAME}_csv"), {"q": "always"}).streaming_content).decode()
    assert "always <b>" in file
    assert file.count("\r\n") == 2


def test_the_calendar_holds_those_that_act_within_its_days_and_escapes_their_names() -> None:
    spans = [
        Span("over", NOW - 30 * DAY, NOW - 20 * DAY, True, "/1"), Span("later", NOW + 60 * DAY, None, True, "/2"),
        Span("always", None, None, True, "/3"), Span("until <b>", None, NOW + 5 * DAY, True, "/4"),
        Span("from", NOW + 2 * DAY, None, False, "/5"),
    ]  # fmt: skip
    found = rule_calendar.shown(spans, NOW)
    assert [span.name for span in found] == ["until <b>", "from"]
    drawn = rule_calendar.calendar(found, NOW, sentence="two")
    assert "<b>" not in drawn
    assert drawn.count('class="on rule"') == drawn.count('class="off rule"') == 1
    assert "7 Dec" in drawn
    assert "from 11 Dec, 15:00, switched off" in drawn


def test_an_experiment_s_result_is_a_file_of_numbers(page: Client, shop: Shop) -> None:
    result = {
        "counted_at": "2026-12-01T10:00:00Z",
        "arms": [{"name": "control", "reward": 0.5}, {"name": "bold", "reward": 0.75}],
        "differences": {"bold": {"reward": {"value": 0.25, "low": 0.05, "high": 0.45}}},
        "verdicts": {"bold": "better"},
    }
    arms = [{"name": "control", "share": 0.5}, {"name": "bold", "share": 0.5, "policy": "p1"}]
    row = Experiment.objects.create(shop=shop, name="Bolder", arms=arms, metric="reward", state="stopped", result=result)
    at = reverse("admin:recommendations_experiment_result", args=[row.pk])
    file = b"".join(page.get(at, {"as": "csv"}).streaming_content).decode()
    assert file.splitlines()[1].startswith("bold,")
    assert file.splitlines()[1].endswith(",0.5,0.75,0.25,0.05,0.45,better")
    assert "As a file (CSV)" in page.get(at).content.decode()


def test_the_list_of_experiments_is_a_file_with_a_line_for_each_arm_as_it_is_filtered(page: Client, shop: Shop) -> None:
    arms = [{"name": "control", "share": 0.5}, {"name": "=bold", "share": 0.25}, {"name": "shy", "share": 0.25}]
    result = {
        "differences": {"=bold": {"reward": {"value": 0.25, "low": 0.05, "high": 0.45}, "bought": {"value": 9.0}}},
        "verdicts": {"=bold": "better"},
        "live": {"arm": "=bold"},
    }
    Experiment.objects.create(shop=shop, name="Bolder", arms=arms, state="stopped", result=result, started_at=NOW)
    Experiment.objects.create(shop=shop, name="Not begun", arms=arms[:2], starts_at=NOW)
    at = reverse("admin:recommendations_experiment_csv")
    list_page = page.get(reverse("admin:recommendations_experiment_changelist"), {"q": "Bolder"}).content.decode()
    assert f'href="{at}?q=Bolder"' in list_page
    bold, shy = _rows(page.get(at, {"q": "Bolder"}))
    assert (bold["arm"], bold["verdict"], bold["made live"]) == ("'=bold", "better", "yes")
    assert (float(bold["difference"]), float(bold["low"]), float(bold["high"])) == (0.25, 0.05, 0.45)
    assert (shy["verdict"], shy["difference"], shy["made live"]) == ("unknown", "", "no")
    assert [row["name"] for row in _rows(page.get(at))] == ["Not begun", "Bolder", "Bolder"]
    assert [row["verdict"] for row in _rows(page.get(at, {"state__exact": "draft"}))] == [""]


def _rows(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))
