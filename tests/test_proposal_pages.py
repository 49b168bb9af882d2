"""The inbox of proposals and what bounds blocked, in the admin: what is shown, who may decide, and what a decision does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from clusters import editing
from clusters.models import ClusterChange
from personas.models import Shop
from recommendations.learning.models import AdaptationSettings, BlockedAction, ClusterProposal, Experiment
from recommendations.learning.proposal_words import drawn_interval
from tests.proposal_shops import bare_shop
from tests.test_proposals import cluster, inside, pks, proposed

pytestmark = pytest.mark.django_db
LIST = "admin:recommendations_clusterproposal_changelist"
EVIDENCE = {
    "decisions": [310, 420], "sessions": [300, 390], "means": [0.62, 0.5], "effective": 700.4, "asked": 200, "difference": 0.12,
    "error": 0.03, "p": 0.0003, "missing": "", "tests": 31, "false_discoveries": 0.05,
}  # fmt: skip


@pytest.fixture
def shop() -> Shop:
    shop = bare_shop()
    AdaptationSettings.objects.create(shop=shop, drift_budget=1.0)
    return shop


def person(*rights: str) -> Client:
    """Somebody with some permissions, logged in."""
    user = get_user_model().objects.create_user("-".join(rights) or "nobody", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def merchandiser() -> Client:
    return person("view_clusterproposal", "change_clusterproposal")


@pytest.fixture
def manager() -> Client:
    return person("view_clusterproposal", "change_clusterproposal", "override_unknown")


def page_of(client: Client, proposal: ClusterProposal) -> str:
    answer = client.get(reverse("admin:recommendations_clusterproposal_change", args=[proposal.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def decide(client: Client, proposal: ClusterProposal, **given: Any) -> Any:
    answer = client.post(reverse("admin:recommendations_clusterproposal_decide", args=[proposal.pk]), given)
    proposal.refresh_from_db()
    return answer


def test_an_empty_inbox_says_where_proposals_come_from(merchandiser: Client, shop: Shop) -> None:
    page = merchandiser.get(reverse(LIST)).content.decode()
    assert "There are no proposals yet" in page
    assert f"Look at {shop} now" in page


def test_the_inbox_shows_those_that_wait_and_filters_the_rest(merchandiser: Client, shop: Shop) -> None:
    proposed(shop, "add", 203, summary="Take a blouse in")
    proposed(shop, "drop", 105, summary="Let a skirt go", state="rejected")
    page = merchandiser.get(reverse(LIST)).content.decode()
    assert "Take a blouse in" in page
    assert "+0.10 looks a slate, 0.05 to 0.15" in page
    assert "Let a skirt go" not in page
    assert "Let a skirt go" in merchandiser.get(reverse(LIST), {"state": "rejected"}).content.decode()
    both = merchandiser.get(reverse(LIST), {"state": "all"}).content.decode()
    assert "Let a skirt go" in both
    assert "Take a blouse in" in both


def test_one_is_told_with_its_evidence_and_what_would_change(merchandiser: Client, shop: Shop) -> None:
    page = page_of(merchandiser, proposed(shop, "add", 203, 204, evidence=EVIDENCE))
    for words in (
        "310 decisions (300 visits)",
        "worth 700 decisions",
        "31 comparisons",
        "10 items become 12",
        "Blouse 3",
        "Approve",
    ):
        assert words in page, words
    relate = page_of(merchandiser, proposed(shop, "relate", evidence=EVIDENCE))
    assert "earned 0.62 looks a slate" in relate
    drop = page_of(merchandiser, proposed(shop, "drop", 105, evidence=EVIDENCE))
    assert "10 items become 9" in drop


def test_it_is_approved_without_what_was_unticked_and_undone(merchandiser: Client, shop: Shop) -> None:
    proposal = proposed(shop, "add", 203, 204)
    decide(merchandiser, proposal, verb="approve", item=pks(shop, 204), reason="Good")
    assert (proposal.state, proposal.reason, inside(shop, "Skirts") & {"203", "204"}) == ("applied", "Good", {"204"})
    assert "See the change" in page_of(merchandiser, proposal)
    decide(merchandiser, proposal, verb="undo")
    assert (proposal.state, inside(shop, "Skirts") & {"203", "204"}) == ("undone", set())


def test_only_a_manager_may_apply_what_is_not_known_and_says_why(merchandiser: Client, manager: Client, shop: Shop) -> None:
    proposal = proposed(shop, "add", 203, verdict="unknown")
    assert "Apply though not known" not in page_of(merchandiser, proposal)
    assert decide(merchandiser, proposal, verb="override", item=pks(shop, 203), reason="I say so").status_code == 403
    decide(merchandiser, proposal, verb="approve", item=pks(shop, 203), reason="I say so")
    decide(manager, proposal, verb="override", item=pks(shop, 203))
    assert proposal.state == "open"
    assert "Apply though not known" in page_of(manager, proposal)
    decide(manager, proposal, verb="override", item=pks(shop, 203), reason="Summer")
    assert (proposal.state, proposal.overridden, proposal.reason) == ("applied", True, "Summer")


def test_who_may_only_look_decides_nothing(shop: Shop) -> None:
    looker, nobody = person("view_clusterproposal"), person()
    proposal = proposed(shop, "add", 203)
    page = page_of(looker, proposal)
    assert "Approve" not in page
    for verb in ("approve", "reject", "undo"):
        assert decide(looker, proposal, verb=verb, item=pks(shop, 203)).status_code == 403
    several = reverse("admin:recommendations_clusterproposal_several", args=["approve"])
    for url in (several, reverse("admin:recommendations_clusterproposal_day")):
        assert looker.get(url).status_code == 403
    assert looker.post(reverse("admin:recommendations_clusterproposal_look"), {"shop": shop.pk}).status_code == 403
    assert nobody.get(reverse(LIST)).status_code == 403
    assert nobody.get(reverse("admin:recommendations_blockedaction_changelist")).status_code == 403
    assert proposal.state == "open"


def test_several_are_approved_at_once_but_for_those_not_known(merchandiser: Client, shop: Shop) -> None:
    sure, unsure, rejected = (
        proposed(shop, "add", 203),
        proposed(shop, "add", 204, verdict="unknown"),
        proposed(shop, "drop", 105),
    )
    url = reverse("admin:recommendations_clusterproposal_several", args=["approve"])
    page = merchandiser.get(url, {"proposal": [sure.pk, unsure.pk]}).content.decode()
    assert "Approve 1 proposal" in page
    assert "1 of the chosen isn&#x27;t known" in page or "1 of the chosen isn't known" in page
    merchandiser.post(url, {"proposal": [sure.pk, unsure.pk], "reason": "Both"})
    merchandiser.post(reverse("admin:recommendations_clusterproposal_several", args=["reject"]), {"proposal": [rejected.pk]})
    states = dict(ClusterProposal.objects.values_list("pk", "state"))
    assert states == {sure.pk: "applied", unsure.pk: "open", rejected.pk: "rejected"}


def test_a_bound_that_blocks_is_told_on_the_page_and_tallied(merchandiser: Client, shop: Shop) -> None:
    proposal = proposed(shop, "add", 203)
    type(proposal.cluster).objects.filter(pk=proposal.cluster_id).update(locked=True)
    decide(merchandiser, proposal, verb="approve", item=pks(shop, 203))
    assert (proposal.state, proposal.bound) == ("blocked", "locked")
    assert "the cluster is locked" in page_of(merchandiser, proposal)
    looker = person("view_blockedaction", "view_clusterproposal")
    page = looker.get(reverse("admin:recommendations_blockedaction_changelist")).content.decode()
    for words in ("the cluster is locked", f"proposal {proposal.pk}", "take items in", "Skirts"):
        assert words in page, words


def test_the_page_of_what_was_blocked_sums_up_by_bound_and_links_to_the_setting(shop: Shop) -> None:
    looker = person("view_blockedaction")
    url = reverse("admin:recommendations_blockedaction_changelist")
    assert "Nothing was blocked" in looker.get(url).content.decode()
    today = timezone.now().date()
    for bound, times in (("margin_floor", 41), ("locked", 1_234)):
        BlockedAction.objects.create(
            shop=shop, day=today, where="session", cluster=cluster(shop, "Coats").pk, action="expand", bound=bound, times=times
        )
    page = looker.get(url).content.decode()
    assert page.index("1,234") < page.index("41</td>")
    assert reverse("admin:clusters_itemcluster_change", args=[cluster(shop, "Coats").pk]) + "#settings" in page


def test_a_day_is_undone_by_one_click_and_conflicts_are_told(merchandiser: Client, shop: Shop) -> None:
    url = reverse("admin:recommendations_clusterproposal_day")
    assert "has changed nothing" in merchandiser.get(url).content.decode()
    one, other = proposed(shop, "add", 203), proposed(shop, "downweight", 106)
    decide(merchandiser, one, verb="approve", item=pks(shop, 203))
    decide(merchandiser, other, verb="approve", item=pks(shop, 106))
    day = ClusterChange.objects.latest("pk").at.date().isoformat()
    assert "2 changes of 1 cluster" in merchandiser.get(url).content.decode()
    editing.remove_items(cluster=cluster(shop, "Skirts"), items=pks(shop, 203), by=editing.Actor("api"))
    answer = merchandiser.post(url, {"shop": shop.pk, "day": day, "reason": "Bad"})
    assert "can&#x27;t be undone" in answer.content.decode()
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.state, other.state) == ("applied", "undone")
    assert merchandiser.post(url, {"shop": shop.pk, "day": "no day"}).status_code == 404


def test_a_drawn_interval_stays_on_its_line() -> None:
    svg = str(drawn_interval(5.0, -2.0, 9.0, 1.0, "looks a slate"))
    assert 'cx="166.0"' in svg
    assert 'x1="2.0"' in svg
    assert "not told" in drawn_interval(None, None, None, 1.0, "looks a slate")


# Tried by shoppers


def trying(*proposals: ClusterProposal) -> tuple[str, dict[str, list[int]]]:
    return reverse("admin:recommendations_clusterproposal_experiment"), {"proposal": [p.pk for p in proposals]}


def test_who_may_make_experiments_is_led_to_one_by_what_is_not_known(merchandiser: Client, shop: Shop) -> None:
    proposal = proposed(shop, "drop", 105, verdict="unknown", evidence={"missing": "The sample is worth 96 decisions."})
    assert "Try it in an experiment" not in page_of(merchandiser, proposal)
    assert merchandiser.get(*trying(proposal)).status_code == 403
    tester = person("view_clusterproposal", "change_clusterproposal", "add_experiment", "view_experiment")
    page = page_of(tester, proposal)
    assert "What is missing: The sample is worth 96 decisions." in page
    assert "Try it in an experiment" in page
    blocked = proposed(shop, "drop", 106, state="blocked", bound="locked")
    page = tester.get(*trying(proposal, blocked)).content.decode()
    assert "it is blocked: the cluster is locked" in page
    assert "Make the experiment" in page
    url, given = trying(proposal)
    page = tester.post(url, {**given, "name": "One", "share": 50}).content.decode()
    assert "train the shop first" in page, "a shop that serves nothing has nothing to compare with"
    assert "None of the chosen ones can be tried" in tester.get(*trying(blocked)).content.decode()


def test_what_shoppers_told_is_told_as_such(merchandiser: Client, shop: Shop) -> None:
    ended = Experiment.objects.create(shop=shop, name="Two drops", state="stopped")
    told = {"experiment": ended.pk, "metric": "purchases", "visits": [610, 598], "together": 2}
    proposal = proposed(shop, "drop", 105, evidence=told, experiment=ended)
    page = page_of(merchandiser, proposal)
    for words in (
        "598 visits were served with the change, 610 as the shop is",
        "+0.10 purchases a visit",
        "together with 1 other",
        "Was tried in an experiment",
        "Two drops",
        "Approve",
    ):
        assert words in page, words
    assert "+0.10 purchases a visit" in merchandiser.get(reverse(LIST)).content.decode()


# What a page costs


def counted(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


def test_no_page_asks_more_of_the_database_the_more_there_is(admin_client: Client, shop: Shop) -> None:
    """Twenty of each cost what two of each do."""
    urls = [
        reverse(f"admin:recommendations_{name}")
        for name in ("clusterproposal_changelist", "clusterproposal_day", "blockedaction_changelist", "experiment_changelist")
    ]
    AdaptationSettings.objects.filter(shop=shop).update(drift_budget=1.0)
    costs = []
    for names in ((203, 204), range(300, 310)):
        for n in names:
            by = editing.Actor("learning")
            (change,) = editing.take_in(cluster=cluster(shop, "Skirts"), items=pks(shop, n), by=by)
            ClusterChange.objects.filter(pk=change.pk).update(at=timezone.now() - dt.timedelta(days=n % 10))
            proposed(shop, "add", n, experiment=Experiment.objects.create(shop=shop, name=f"E{n}"))
            BlockedAction.objects.create(
                shop=shop, day=timezone.now().date(), where="session", cluster=n, action="expand", bound="margin_floor", times=n
            )
        costs.append([counted(admin_client, url) for url in urls])
    assert costs[0] == costs[1]
    assert max(costs[1]) <= 25, costs[1]
    many = proposed(shop, "add", *range(205, 210))
    one = proposed(shop, "add", 205)
    pages = [reverse("admin:recommendations_clusterproposal_change", args=[p.pk]) for p in (one, many)]
    assert counted(admin_client, pages[0]) == counted(admin_client, pages[1]) <= 25
