"""Experiments with dates: what is refused, that they begin and end on time, and what is told when they can't."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from clusters.cluster_drafts import EditConflict, EditError
from personas.models import Shop
from recommendations.desk import changes
from recommendations.learning import experiment_dates, experiment_schedule, experiments
from recommendations.learning.models import Experiment
from recommendations.models import AuditEntry, Release
from recommendations.serving import trials
from tests.test_experiments import STILL
from tests.test_experiments import engine as engine  # fixtures
from tests.test_experiments import shop as shop

pytestmark = pytest.mark.django_db

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)

State = Experiment.State


@pytest.fixture
def ada(client: Client) -> User:
    user = User.objects.create_superuser("ada", password="correct horse")
    client.force_login(user)
    return user


def planned(shop: Shop, begins: dt.timedelta | None, ends: dt.timedelta | None, name: str = "Planned") -> Experiment:
    """Begins and ends so long from now."""
    now = timezone.now()
    return experiments.create(
        shop,
        name=name,
        arms=STILL,
        starts_at=None if begins is None else now + begins,
        ends_at=None if ends is None else now + ends,
    )


# What is refused


@pytest.mark.parametrize(
    ("begins", "ends", "told"),
    [
        (-HOUR, None, "starts_at has passed already"),
        (HOUR, HOUR * 1.5, "ends_at must be at least an hour after"),
        (None, HOUR / 2, "ends_at must be at least an hour after"),
        (400 * DAY, None, "starts_at must be within 366 days"),
        (None, 400 * DAY, "ends_at must be within 366 days"),
    ],
)
def test_dates_that_make_no_plan_are_refused_with_the_reason(shop: Shop, begins: Any, ends: Any, told: str) -> None:
    with pytest.raises(EditError, match=told):
        planned(shop, begins, ends)
    assert not Experiment.objects.exists()


@pytest.mark.parametrize(
    ("begins", "ends", "overlaps"),
    [
        (DAY, 2 * DAY, False),
        (DAY, 3 * DAY, True),
        (3 * DAY, 4 * DAY, True),
        (DAY, 9 * DAY, True),
        (DAY, None, True),
        (5 * DAY, None, False),
        (None, 9 * DAY, False),
    ],
)
def test_plans_of_one_shop_may_touch_and_not_overlap(shop: Shop, begins: Any, ends: Any, overlaps: bool) -> None:
    now = timezone.now()
    experiments.create(shop, name="First", arms=STILL, starts_at=now + 2 * DAY, ends_at=now + 5 * DAY)

    def second() -> Experiment:
        return experiments.create(shop, name="Second", arms=STILL, starts_at=begins and now + begins, ends_at=ends and now + ends)

    if overlaps:
        with pytest.raises(EditConflict, match="would overlap with “First”, which is planned from"):
            second()
    else:
        assert second().state == State.DRAFT
    other = Shop.objects.create(slug="other", name="Other")
    assert planned(other, DAY, 9 * DAY).pk  # other shoppers


def test_one_that_runs_without_an_end_is_in_the_way_of_every_plan_until_it_has_one(shop: Shop) -> None:
    runs = experiments.create(shop, name="Runs", arms=STILL)
    experiments.start(runs)
    with pytest.raises(EditConflict, match="“Runs”, which runs with no end planned"):
        planned(shop, DAY, 2 * DAY)
    assert experiment_dates.plan(runs, starts_at=None, ends_at=timezone.now() + DAY)
    later = planned(shop, DAY + HOUR, 2 * DAY, "Later")
    with pytest.raises(EditConflict, match="ends_at would overlap with “Later”"):
        experiment_dates.plan(runs, starts_at=None, ends_at=None)
    with pytest.raises(EditError, match="starts_at can't be changed: it runs already"):
        experiment_dates.plan(runs, starts_at=timezone.now() + HOUR, ends_at=None)
    experiments.stop(runs)
    with pytest.raises(EditConflict, match="has ended"):
        experiment_dates.plan(runs, starts_at=None, ends_at=None)
    now = experiments.create(shop, name="Now", arms=STILL)
    with pytest.raises(EditConflict, match="would overlap with “Later”"):
        experiments.start(now)  # by hand, and it would never end
    experiment_dates.plan(now, starts_at=None, ends_at=timezone.now() + 2 * HOUR)
    experiments.start(now)
    assert not experiment_dates.plan(later, starts_at=later.starts_at, ends_at=later.ends_at)


# On time


def test_it_begins_and_ends_on_its_dates_on_the_record_and_the_next_one_follows(shop: Shop) -> None:
    first = planned(shop, DAY, 2 * DAY, "First")
    second = experiments.create(shop, name="Second", arms=STILL, starts_at=first.ends_at, ends_at=first.ends_at + DAY)
    assert first.starts_at is not None
    assert first.ends_at is not None
    before = first.starts_at - HOUR
    assert experiment_schedule.shops_with_dates(before) == []
    experiment_schedule.keep_to_dates(shop, before)
    assert not trials.running()

    assert experiment_schedule.shops_with_dates(first.starts_at) == [shop.pk]
    for _ in range(2):
        experiment_schedule.keep_to_dates(shop, first.starts_at)
    assert trials.running()[shop.pk].number == first.pk
    assert AuditEntry.objects.filter(action="started", subject_id=str(first.pk), by="system").count() == 1

    # Begun a day early here, as the clock stands; the plan's end is what counts.
    for _ in range(2):
        experiment_schedule.keep_to_dates(shop, first.ends_at)
    first.refresh_from_db()
    assert (first.state, first.reason, first.stopped_by) == (State.STOPPED, experiment_schedule.ENDED, None)
    assert trials.running()[shop.pk].number == second.pk
    Experiment.objects.filter(pk=first.pk).update(stopped_at=first.ends_at)
    first.refresh_from_db()
    assert first.as_planned


def test_what_cannot_begin_says_why_waits_on_today_and_may_be_planned_anew(shop: Shop, ada: User) -> None:
    row = planned(shop, HOUR, DAY)
    Release.objects.filter(shop=shop).update(state=Release.State.RETIRED)
    experiment_schedule.keep_to_dates(shop, row.starts_at)
    row.refresh_from_db()
    assert (row.state, row.starts_at, row.ends_at) == (State.DRAFT, None, None)
    assert "could not: it needs a release that serves: train the shop first." in row.reason
    waits = changes.waiting(shop, ada)
    assert [each.what for each in waits if each.grave] == [f"Experiment “Planned”: {row.reason}"]
    experiment_dates.plan(row, starts_at=timezone.now() + DAY, ends_at=None)
    assert not row.reason
    assert not [each for each in changes.waiting(shop, ada) if each.grave]


def test_one_whose_time_went_by_while_nothing_ran_is_not_begun_late(shop: Shop) -> None:
    row = planned(shop, HOUR, DAY)
    experiment_schedule.keep_to_dates(shop, timezone.now() + 2 * DAY)
    row.refresh_from_db()
    assert row.state == State.DRAFT
    assert experiment_schedule.TOO_LATE in row.reason


def test_a_plan_that_is_changed_just_then_is_the_one_that_is_kept_to(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    row = planned(shop, HOUR, DAY)
    begins, stands = row.starts_at, experiment_schedule._stands

    def late(read: Experiment, **plan: Any) -> bool:
        experiment_dates.plan(row, starts_at=moved, ends_at=timezone.now() + 9 * DAY)
        return stands(read, **plan)

    monkeypatch.setattr(experiment_schedule, "_stands", late)
    moved = timezone.now() + 3 * DAY
    experiment_schedule.keep_to_dates(shop, begins)
    row.refresh_from_db()
    assert (row.state, row.starts_at) == (State.DRAFT, moved)
    experiments.start(row)
    Experiment.objects.filter(pk=row.pk).update(ends_at=begins)
    experiment_schedule.keep_to_dates(shop, begins)
    row.refresh_from_db()
    assert row.state == State.RUNNING


# On the pages


def local(moment: dt.datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%dT%H:%M}"


def test_a_merchandiser_plans_moves_and_unplans_it_on_its_page(shop: Shop, ada: User, client: Client) -> None:
    begins = (timezone.now() + 2 * DAY).replace(second=0, microsecond=0)
    sent = {
        "shop": shop.pk, "name": "Dated", "share": 100, "metric": "reward", "name_1": "Still", "still_1": "on",
        "starts_at": local(begins), "ends_at": local(begins + DAY),
    }  # fmt: skip
    answer = client.post(reverse("admin:recommendations_experiment_add"), sent, follow=True)
    row = Experiment.objects.get()
    assert (row.starts_at, row.ends_at) == (begins, begins + DAY)
    assert "It begins by itself on" in answer.content.decode()
    assert "It begins on" in answer.content.decode()

    plan = reverse("admin:recommendations_experiment_plan", args=[row.pk])
    told = client.post(plan, {"starts_at": local(begins), "ends_at": local(begins)}, follow=True).content.decode()
    assert "at least an hour after it begins" in told
    client.post(plan, {"starts_at": local(begins + DAY), "ends_at": ""})
    row.refresh_from_db()
    assert (row.starts_at, row.ends_at) == (begins + DAY, None)
    client.post(plan, {"starts_at": "", "ends_at": ""})
    row.refresh_from_db()
    assert (row.starts_at, row.ends_at) == (None, None)
    assert client.post(plan, {"starts_at": "soon"}, follow=True).content.decode().count("Enter a valid date/time") == 1


def test_an_overlap_is_told_at_the_field_of_a_new_one(shop: Shop, ada: User, client: Client) -> None:
    planned(shop, DAY, 3 * DAY, "First")
    begins = timezone.now() + 2 * DAY
    sent = {"shop": shop.pk, "name": "x", "share": 100, "metric": "reward", "name_1": "Still", "still_1": "on"}
    answer = client.post(reverse("admin:recommendations_experiment_add"), {**sent, "starts_at": local(begins)})
    assert "Would overlap with “First”" in answer.context["form"].errors["starts_at"][0]
    assert Experiment.objects.count() == 1


def test_today_tells_what_comes_and_what_ended_with_its_verdict(shop: Shop, ada: User, client: Client) -> None:
    noon = timezone.localtime().replace(hour=12, minute=0, second=0, microsecond=0)
    row = experiments.create(shop, name="Soon", arms=STILL, starts_at=noon + DAY, ends_at=noon + 3 * DAY)
    planned(shop, 20 * DAY, 21 * DAY, "Far off")
    coming = changes.coming(shop, noon)
    assert [each.what for each in coming] == ["Experiment “Soon” begins tomorrow, 12:00"]
    coming = changes.coming(shop, noon + DAY)
    assert coming[0].what == "Experiment “Soon” begins today, 12:00"
    assert "Experiment “Soon” begins" in client.get(reverse("admin:index")).content.decode()

    Experiment.objects.filter(pk=row.pk).update(state=State.RUNNING, started_at=noon + DAY)
    assert [each.what for each in changes.coming(shop, noon + 2 * DAY)] == ["Experiment “Soon” ends tomorrow, 12:00"]
    Experiment.objects.filter(pk=row.pk).update(
        state=State.STOPPED, stopped_at=timezone.now(), ends_at=timezone.now(), result={"verdicts": {"still": "worse"}}
    )
    (ended,) = [each.what for each in changes.changes(shop, timezone.now() - DAY) if "ended" in each.what]
    assert ended == "Experiment “Soon” ended: “still” is worse"


def test_the_calendar_has_experiments_beside_rules(shop: Shop, ada: User, client: Client) -> None:
    planned(shop, DAY, 3 * DAY, "Dated trial")
    experiments.create(shop, name="By hand", arms=STILL)
    for name in ("merchandisingrule", "experiment"):
        told = client.get(reverse(f"admin:recommendations_{name}_changelist")).content.decode()
        assert 'aria-label="Experiment Dated trial: from' in told
        assert "Experiment By hand" not in told


def test_it_is_planned_over_the_api(shop: Shop, ada: User, client: Client) -> None:
    begins = (timezone.now() + DAY).replace(microsecond=0)
    body = {"name": "x", "arms": list(STILL), "starts_at": begins.isoformat(), "ends_at": (begins + DAY).isoformat()}

    def post(path: str, body: dict[str, Any]) -> Any:
        return client.post(f"/api/v1/experiments/{path}?shop={shop.slug}", body, content_type="application/json")

    made = post("", body)
    assert made.status_code == 201, made.content
    assert parse_datetime(made.json()["starts_at"]) == begins
    again = post("", body)
    assert again.status_code == 409
    assert "would overlap" in again.content.decode()
    moved = post(f"{made.json()['id']}/plan/", {"starts_at": None, "ends_at": None})
    assert (moved.status_code, moved.json()["starts_at"], moved.json()["ends_at"]) == (200, None, None)
    late = post(f"{made.json()['id']}/plan/", {"ends_at": timezone.now().isoformat()})
    assert late.status_code == 400
    assert "ends_at" in late.content.decode()
