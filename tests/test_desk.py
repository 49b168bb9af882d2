"""The desk's first page: its numbers are sums of hours, compared with the same hours a week ago, and it tells what changed."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from clusters.models import ClusterChange, ItemCluster
from personas.models import Archetype, Session, Shop
from recommendations import hourly
from recommendations.desk import changes, charts
from recommendations.desk.sidebar import BETTER, SCREENS, sidebar
from recommendations.desk.today import compared, interval, today
from recommendations.hourly import HOUR, Tally
from recommendations.learning.models import AdaptationSettings, ClusterProposal, Experiment, PolicyVersion
from recommendations.models import MerchandisingRule, Release, TrainingRun

NOW = dt.datetime(2026, 11, 23, 10, 30, tzinfo=dt.UTC)
"""A Monday, half past ten."""

WEEK = dt.timedelta(days=7)


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop.objects.create(slug="outfitter", name="Outfitter", currency="PLN")


def count(shop: Shop, rows: list[tuple[dt.datetime, str, str, float]], origin: str = "live") -> None:
    tally: Tally = defaultdict(float)
    for at, measure, key, much in rows:
        tally[hourly.hour_of(at), measure, key, origin] += much
    hourly.add(shop, tally)


def test_a_number_is_compared_with_the_same_part_of_the_day_a_week_before(shop: Shop) -> None:
    ten = NOW.replace(minute=0)
    count(
        shop,
        [
            (ten - HOUR, "session", "", 30),
            (ten, "session", "", 6),
            (ten, "buyer", "", 9),
            (ten, "order", "", 14),  # some bought twice
            (ten, "revenue", "", 1234.5),
            (ten - 11 * HOUR, "session", "", 500),  # yesterday
            (ten - HOUR - WEEK, "session", "", 20),
            (ten - WEEK, "session", "", 20),  # half of this hour had gone by
            (ten + HOUR - WEEK, "session", "", 900),  # later in that day
        ],
    )
    visits, _, conversion, revenue = today(shop, NOW).figures
    assert (visits.value, visits.compared) == ("36", "20 % above last Monday by now"), "36 against 20 + 20 / 2"
    assert (conversion.value, conversion.compared) == ("25.0 in 100", "(13.8 to 41.1), last Monday 0.0 in 100")
    assert (revenue.value, revenue.compared) == ("1,234 PLN", "nothing last Monday by now to compare with")


def test_words_of_a_comparison() -> None:
    assert compared(100, 100.2, "Sunday") == "as last Sunday by now"
    assert compared(50, 100, "Sunday") == "50 % below last Sunday by now"


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert interval(5, 100) == pytest.approx((0.0215, 0.1118), abs=1e-4), "Agresti and Coull 1998 have the formula"
    assert interval(0, 10)[0] == 0.0
    assert interval(0, 0) == (0.0, 1.0)


def test_imports_and_tests_are_no_visits_and_simulated_ones_are_told(shop: Shop) -> None:
    for origin, much in (("live", 1), ("simulated", 2), ("import", 4), ("test", 8)):
        count(shop, [(NOW, "session", "", much)], origin)
    found = today(shop, NOW)
    assert found.figures[0].value == "3"
    assert found.simulated == 2
    assert not found.nobody
    assert today(shop, NOW + dt.timedelta(days=1)).nobody, "who waits for visitors is told where to let some in"
    assert not today(shop, NOW + dt.timedelta(days=8)).nobody, "of a shop that none were simulated for, nothing is said"


def test_personas_have_the_shares_that_events_were_taken_for(shop: Shop) -> None:
    thrifty = Archetype.objects.create(shop=shop, key="thrifty", name="Thrifty", colour="#E69F00")
    grand = Archetype.objects.create(shop=shop, key="grand", name="Grand & co", colour="#56B4E9")
    count(shop, [(NOW, "persona", str(thrifty.pk), 7.5), (NOW, "persona", str(grand.pk), 2.5), (NOW, "persona", "999", 90.0)])
    found = today(shop, NOW)
    assert [(s.name, s.percent) for s in found.now] == [("Thrifty", 75.0), ("Grand & co", 25.0)]
    assert "most of it Thrifty" in found.mix
    assert [k["name"] for k in found.mix_key] == ["Thrifty", "Grand & co"]


def test_rails_are_of_the_last_seven_days_beside_the_seven_before(shop: Shop) -> None:
    count(shop, [(NOW - dt.timedelta(days=1), "seen", "cart", 100), (NOW, "click", "cart", 5), (NOW - WEEK, "seen", "home", 50)])
    cart, home = today(shop, NOW).rails
    assert (cart.place, cart.seen, cart.clicked, cart.rate) == ("Goes with the bag", 100, 5, "5.0 in 100 (2.2 to 11.2)")
    assert (home.seen, home.rate, home.before) == (0, "not seen yet", "0.0 in 100 (0.0 to 7.1)")


def test_what_changed_is_told_once_an_operation_the_latest_first(shop: Shop) -> None:
    cluster = ItemCluster.objects.create(shop=shop, name="Tents")
    other = ItemCluster.objects.create(shop=shop, name="Stoves")
    boss = User.objects.create_user("boss")
    first = ClusterChange.objects.create(
        shop=shop, cluster=cluster, at=NOW - HOUR, actor="merchandiser", user=boss, action="items", summary="3 in", delta={}
    )
    ClusterChange.objects.create(
        shop=shop, cluster=other, at=first.at, batch=first.batch, actor="build", action="merged", delta={}
    )
    ClusterChange.objects.create(shop=shop, cluster=cluster, at=NOW - 9 * WEEK, actor="build", action="items", delta={})
    ClusterChange.objects.create(
        shop=shop, cluster=cluster, at=NOW - 2 * HOUR, actor="learning", action="items", summary="1 out", delta={}
    )
    Release.objects.create(shop=shop, number=4, activated_at=NOW, activated_by=boss)
    found = changes.changes(shop, NOW - WEEK)
    assert [(c.what, c.who) for c in found] == [
        ("Release 4 went live", "boss"),
        ("2 clusters: merged", "rebuild"),
        ("Tents: 1 out", "learning"),
    ]


def test_what_waits_is_told_to_whoever_may_decide_and_what_went_wrong_comes_first(shop: Shop) -> None:
    cluster = ItemCluster.objects.create(shop=shop, name="Tents")
    ClusterProposal.objects.create(shop=shop, cluster=cluster, kind="add", verdict="better")
    ClusterProposal.objects.create(shop=shop, cluster=cluster, kind="drop", verdict="unknown")
    PolicyVersion.objects.create(shop=shop, version="p1", component="c", verdict={"verdict": "better"})
    PolicyVersion.objects.create(shop=shop, version="p2", component="c", verdict={"verdict": "unknown"})
    Experiment.objects.create(shop=shop, name="Bold", state="running", result={"verdicts": {"B": "worse"}})
    TrainingRun.objects.create(shop=shop, state="failed", error="no events")
    boss, guest = User.objects.create_superuser("boss"), User.objects.create_user("guest")
    assert [one.what for one in changes.waiting(shop, boss)] == [
        "The last training failed: no events; what served before goes on serving.",
        "1 change of clusters that learning proposes is surely better",
        "A learned policy passed the gate",
        "Experiment “Bold” has an answer",
    ]
    assert changes.waiting(shop, guest) == []
    guest.user_permissions.add(Permission.objects.get(codename="view_experiment"))
    assert [one.what for one in changes.waiting(shop, User.objects.get(pk=guest.pk))] == ["Experiment “Bold” has an answer"]


def test_a_chart_escapes_what_others_wrote_and_keeps_marks_inside() -> None:
    drawn = charts.course(
        np.array([0.0, 7.0]), np.zeros(2), ["<b>", ""], [charts.Mark(99.0, 1, "<script>")], sentence='"quoted" & more'
    )
    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert "&quot;quoted&quot; &amp; more" in drawn
    assert f'd="M{charts.WIDTH - charts.RIGHT:.1f} ' in drawn, "at the last hour, not beyond the picture"
    assert [charts.nice(v) for v in (0, 2, 3, 10, 11, 300)] == [2, 2, 4, 10, 20, 400]


def test_changes_within_some_hours_share_a_flag() -> None:
    marks = [charts.Mark(99.0, 1, "a"), charts.Mark(98.5, 2, "b"), charts.Mark(97.0, 3, "c"), charts.Mark(40.0, 4, "d")]
    drawn = charts.course(np.zeros(100), np.zeros(100), [""] * 100, marks, sentence="")
    assert [part.partition("<")[0] for part in drawn.split('text-anchor="middle">')[1:]] == ["1–3", "4"]
    assert "<title>a\nb\nc</title>" in drawn


def test_who_changed_rules_and_settings_is_told_where_the_admin_noted_it(
    shop: Shop, admin_client: Client, admin_user: User
) -> None:
    rule = MerchandisingRule.objects.create(shop=shop, name="Skirts first", action="pin", slot=1)
    old = MerchandisingRule.objects.create(shop=shop, name="Belts last", action="pin", slot=2)
    for row in (rule, old):
        LogEntry.objects.log_actions(admin_user.pk, [row], CHANGE, change_message="Changed.", single_object=True)
    LogEntry.objects.filter(object_id=str(old.pk)).update(action_time=rule.updated_at - WEEK)
    settings = AdaptationSettings.objects.create(shop=shop, enabled=False)
    found = {change.what: change.who for change in changes.changes(shop, rule.updated_at - WEEK)}
    assert found == {
        "Rule “Skirts first” was made": "admin",
        "Rule “Belts last” was made": "",  # what was noted then was another change
        "Settings of the adaptation were changed: it is off": "",
    }
    assert admin_client.get(changes.changes(shop, settings.updated_at)[0].url).status_code == 200


def test_the_page_takes_as_many_queries_for_a_week_of_changes_as_for_a_day(
    shop: Shop, admin_client: Client, redis_client: object, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    cluster = ItemCluster.objects.create(shop=shop, name="Tents")
    for n in range(60):
        ClusterChange.objects.create(shop=shop, cluster=cluster, actor="build", action="items", summary=f"{n} in", delta={})
        MerchandisingRule.objects.create(shop=shop, name=f"Rule {n}", action="pin", slot=1)
        count(shop, [(dt.datetime.now(dt.UTC) - n * HOUR, "session", "", 1)])
    Session.objects.create(shop=shop, session_id="s", started_at=NOW, last_at=NOW)
    with django_assert_max_num_queries(32):
        page = admin_client.get("/admin/").content.decode()
    assert "Waits for you" not in page
    assert "Visits, and what changed" in page
    assert page.count("<time datetime") == changes.MOST + 1


def test_who_may_not_see_visits_has_the_plain_index(shop: Shop, client: Client) -> None:
    User.objects.create_user("guest", password="a-long-password", is_staff=True)
    client.login(username="guest", password="a-long-password")
    page = client.get("/admin/").content.decode()
    assert "Everything in the admin" in page
    assert "Visits, and what changed" not in page


def test_without_a_shop_the_page_says_how_to_make_one(admin_client: Client) -> None:
    assert "There is no shop yet" in admin_client.get("/admin/").content.decode()


def test_the_address_names_the_shop_else_it_is_where_somebody_was_last(
    shop: Shop, admin_client: Client, redis_client: object
) -> None:
    other = Shop.objects.create(slug="gifts", name="Gifts")
    Session.objects.create(shop=other, session_id="s", started_at=NOW, last_at=NOW)

    def chosen(query: str) -> str:
        marked = admin_client.get(f"/admin/{query}").content.decode().partition('aria-current="page">')[2]
        return SimpleNamespace(name=marked.partition("<")[0]).name

    assert chosen("") == "Gifts"
    assert chosen("?shop=outfitter") == "Outfitter"
    assert admin_client.get("/admin/?shop=nobodys").status_code == 404


# The sidebar


def sidebar_of(user: User, path: str) -> dict[str, list[dict[str, object]]]:
    request = RequestFactory().get(path)
    request.user = user
    return {group.get("title", ""): group["items"] for group in sidebar(request)}


def test_every_page_of_the_admin_is_in_the_sidebar_once_and_the_page_where_somebody_is_alone_is_marked(db: None) -> None:
    root = User.objects.create_superuser("root")
    live, visits = reverse("admin:personas_session_live"), reverse("admin:personas_session_visits")
    links = [page["link"] for group in sidebar_of(root, live).values() for page in group]
    instead = {label: reverse(f"admin:{at}") for label, (_, at) in BETTER.items()}
    lists = [
        instead.get(m._meta.label_lower) or reverse(f"admin:{m._meta.app_label}_{m._meta.model_name}_changelist")
        for m in admin.site._registry
    ]
    screens = [reverse(f"admin:{at}") for group in SCREENS.values() for _, at, _ in group]
    preview = reverse("admin:recommendations_draftedit_preview")
    assert sorted(links) == sorted([reverse("admin:index"), live, visits, preview, *screens, *lists])
    places = ((live, "Live"), (f"{visits}7/", "Visits"), ("/admin/", "Today"), ("/admin/personas/session/7/change/", "Sessions"))
    for path, title in places:
        assert [p["title"] for group in sidebar_of(root, path).values() for p in group if p["active"]] == [title]


def test_the_sidebar_tells_nobody_of_pages_that_they_may_not_see(client: Client, db: None) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    assert [p["title"] for group in sidebar_of(clerk, "/admin/").values() for p in group] == ["Today"]
    clerk.user_permissions.add(Permission.objects.get(codename="view_itemcluster"))
    clerk = User.objects.get(pk=clerk.pk)
    assert list(sidebar_of(clerk, "/admin/")) == ["", "Clusters"]
    client.force_login(clerk)
    page = client.get("/admin/").content.decode()
    assert "Item clusters" in page
    assert "Live" not in page
    assert "API keys" not in page
