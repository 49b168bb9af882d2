"""Proposals of lasting changes: what rows of a planted world come to, the bounds, what somebody decides, and its undo."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from clusters import editing
from clusters.editing import Actor, EditConflict
from clusters.lineage import members_at, ties_at
from clusters.models import ClusterChange, ClusterItemRule, ClusterTie, Item, ItemCluster
from personas.models import Session, Shop
from recommendations import rights
from recommendations.learning import proposals
from recommendations.learning.lasting_bounds import allowed, held
from recommendations.learning.models import AdaptationSettings, BlockedAction, ClusterProposal
from recommendations.learning.proposals import (
    ProposalError,
    apply_proposal,
    propose_cluster_changes,
    reject_proposal,
    undo_day,
    undo_proposal,
)
from tests.proposal_shops import bare_shop, planted_shop

pytestmark = pytest.mark.django_db
State = ClusterProposal.State


@pytest.fixture
def shop() -> Shop:
    return bare_shop()


@pytest.fixture
def user() -> Any:
    return get_user_model().objects.create_superuser("ann")


def cluster(shop: Shop, name: str) -> ItemCluster:
    return ItemCluster.objects.get(shop=shop, name=name)


def pks(shop: Shop, *names: int) -> list[int]:
    known = dict(Item.objects.filter(shop=shop).values_list("external_id", "pk"))
    return [known[str(name)] for name in names]


def proposed(shop: Shop, kind: str, *names: int, verdict: str = "better", about: str = "Skirts", **more: Any) -> ClusterProposal:
    """A proposal as a run leaves it."""
    items = [{"item": pk, "weight": 0.5, "evidence": {"factor": 0.4}} for pk in pks(shop, *names)]
    evidence = {"judged_at": timezone.now().isoformat(), "tie": 0.3} | more.pop("evidence", {})
    return ClusterProposal.objects.create(
        shop=shop, cluster=cluster(shop, about), kind=kind, items=items, verdict=verdict, evidence=evidence,
        target=None if kind in ("drop", "downweight") else cluster(shop, "Blouses"), effect=0.1, low=0.05, high=0.15, **more,
    )  # fmt: skip


def inside(shop: Shop, name: str) -> set[str]:
    return set(cluster(shop, name).memberships.values_list("item__external_id", flat=True))


# A run


def test_the_planted_pair_is_proposed_with_its_items_and_a_second_run_changes_nothing() -> None:
    shop = planted_shop()
    AdaptationSettings.objects.create(shop=shop, drift_budget=0.5)
    first = propose_cluster_changes(shop)
    (better,) = ClusterProposal.objects.filter(shop=shop, verdict="better", kind="add")
    assert (better.cluster.name, better.target.name, better.state) == ("Skirts", "Blouses", "open")
    assert {each["item"] for each in better.items} == set(pks(shop, 203, 204))
    assert 0 < better.low < better.effect < better.high
    assert min(better.evidence["decisions"]) > 50
    assert better.evidence["effective"] >= 200
    assert better.evidence["tests"] == first.found.tests
    assert "Take 2 items" in better.summary
    again = propose_cluster_changes(shop)
    assert (again.opened, again.stale) == (0, 0)
    assert ClusterProposal.objects.filter(shop=shop).count() == first.opened
    # Of another shop nothing is said, and what isn't reported says nothing.
    assert propose_cluster_changes(bare_shop("t")).found.tests == 0


def test_what_was_applied_or_rejected_is_not_proposed_again_and_what_is_gone_is_stale(user: Any) -> None:
    shop = planted_shop()
    AdaptationSettings.objects.create(shop=shop, drift_budget=0.5)
    old = proposed(shop, "add", 301, about="Bags")
    propose_cluster_changes(shop)
    old.refresh_from_db()
    assert (old.state, old.reason) == ("stale", "What decisions led to since doesn't say so any more.")
    add = ClusterProposal.objects.get(shop=shop, state="open", verdict="better", kind="add")
    apply_proposal(proposal=add, user=user)
    for other in ClusterProposal.objects.filter(shop=shop, state="open"):
        reject_proposal(proposal=other, user=user, reason="No.")
    assert propose_cluster_changes(shop).opened == 0
    add.refresh_from_db()
    assert add.state == "applied"


def test_a_shop_that_switched_learning_off_is_told_nothing() -> None:
    shop = planted_shop(decisions=300)
    AdaptationSettings.objects.create(shop=shop, enabled=False)
    assert propose_cluster_changes(shop).found.decisions == 0


# Applied


def test_each_kind_is_an_edit_of_learning_with_lineage_and_undo(shop: Shop, user: Any) -> None:
    AdaptationSettings.objects.create(shop=shop, drift_budget=1.0)
    before = timezone.now()
    was = members_at(cluster(shop, "Skirts"), before)
    made = [
        proposed(shop, "add", 203, 204), proposed(shop, "drop", 105), proposed(shop, "downweight", 106), proposed(shop, "relate"),
    ]  # fmt: skip
    for each in made:
        changes = apply_proposal(proposal=each, user=user, reason="Looks right.")
        assert (each.state, each.change, each.decided_by) == ("applied", changes[0].batch, user)
        assert {(c.actor, c.who, c.user) for c in changes} == {("learning", f"Proposal {each.pk}", user)}
    skirts = cluster(shop, "Skirts")
    assert {"203", "204"} <= inside(shop, "Skirts")
    assert "105" not in inside(shop, "Skirts")
    assert skirts.item_rules.get(rule="lessened").factor == 0.4
    assert ties_at(skirts, timezone.now()) == {cluster(shop, "Blouses").pk: 0.3}
    assert members_at(skirts, before) == was
    by = Actor("merchandiser", user)
    for each in reversed(made):
        undo_proposal(proposal=each, by=by)
        assert each.state == "undone"
    assert members_at(skirts, timezone.now()) == was
    assert not ClusterTie.objects.exists()
    assert not ClusterItemRule.objects.exists()
    with pytest.raises(ProposalError, match="changed nothing"):
        undo_proposal(proposal=made[0], by=by)


def test_some_of_the_items_may_be_left_out(shop: Shop, user: Any) -> None:
    add = proposed(shop, "add", 203, 204)
    with pytest.raises(ProposalError, match="not of the proposal"):
        apply_proposal(proposal=add, user=user, items=pks(shop, 301))
    with pytest.raises(ProposalError, match="at least one"):
        apply_proposal(proposal=add, user=user, items=[])
    apply_proposal(proposal=add, user=user, items=pks(shop, 204))
    assert inside(shop, "Skirts") & {"203", "204"} == {"204"}
    assert [each["item"] for each in add.items] == pks(shop, 204)
    with pytest.raises(ProposalError, match="decided already"):
        apply_proposal(proposal=add, user=user)


def test_what_is_not_known_to_be_better_takes_an_override_and_a_reason_and_what_is_worse_is_never_applied(
    shop: Shop, user: Any
) -> None:
    unknown, worse = proposed(shop, "add", 203, verdict="unknown"), proposed(shop, "add", 204, verdict="worse")
    for proposal, more, words in (
        (unknown, {}, "not known yet"),
        (unknown, {"override": True}, "reason"),
        (worse, {"override": True, "reason": "I want it"}, "worse"),
    ):
        with pytest.raises(ProposalError, match=words):
            apply_proposal(proposal=proposal, user=user, **more)
    apply_proposal(proposal=unknown, user=user, override=True, reason="Summer is coming")
    assert (unknown.overridden, unknown.reason) == (True, "Summer is coming")


def test_what_became_of_it_since_is_looked_at_again(shop: Shop, user: Any) -> None:
    late = proposed(shop, "add", 203, evidence={"judged_at": (timezone.now() - dt.timedelta(days=15)).isoformat()})
    with pytest.raises(EditConflict, match="more than 14 days"):
        apply_proposal(proposal=late, user=user)
    done = proposed(shop, "drop", 105)
    editing.remove_items(cluster=cluster(shop, "Skirts"), items=pks(shop, 105), by=Actor("merchandiser", user))
    with pytest.raises(EditConflict, match="nothing any more"):
        apply_proposal(proposal=done, user=user)
    gone = proposed(shop, "relate")
    editing.retire(cluster=cluster(shop, "Blouses"), by=Actor("merchandiser", user))
    with pytest.raises(EditConflict, match="taken out since"):
        apply_proposal(proposal=gone, user=user)
    assert {late.state, done.state, gone.state} == {"stale"}


# Bounds


def bounds(shop: Shop) -> Iterator[tuple[dict[str, Any], dict[str, Any], str, list[int], str, list[int]]]:
    """Settings, cluster's fields, kind, items, the bound, and those that it leaves."""
    skirts = [105, 106, 107]
    yield {}, {"locked": True}, "add", [203], "locked", []
    yield {}, {"maximum_size": 11}, "add", [203, 204], "max_size", [203]
    yield {}, {"minimum_size": 8}, "drop", skirts, "min_size", [105, 106]
    yield {"drift_budget": 0.2}, {}, "downweight", skirts, "drift_budget", [105, 106]
    yield {"drift_budget": 0.01}, {}, "downweight", skirts, "drift_budget", [105]
    yield {"drift_budget": 0.0}, {}, "downweight", skirts, "drift_budget", []
    yield {"margin_floor": 0.5}, {}, "add", [203], "margin_floor", []
    yield {"apart": [["Blouses", "Skirts"]]}, {}, "add", [203, 301], "apart", [301]
    yield {"apart": [["Blouses", "Coats"]]}, {}, "add", [203, 301], "apart", [203]


def test_every_bound_stops_what_it_names(shop: Shop) -> None:
    for given, fields, kind, names, bound, left in bounds(shop):
        ItemCluster.objects.filter(shop=shop).update(locked=False, maximum_size=None, minimum_size=None)
        ItemCluster.objects.filter(shop=shop, name="Skirts").update(**fields)
        settings = AdaptationSettings(shop=shop, **{"drift_budget": 1.0, **given})
        lets = allowed(settings, held(cluster(shop, "Skirts"), timezone.now()), kind, pks(shop, *names))
        stopped = [name for name in names if name not in left]
        assert (lets.items, dict(lets.stopped)) == (tuple(pks(shop, *left)), {bound: tuple(pks(shop, *stopped))}), bound
        assert lets.bound == ("" if left else bound)


def test_core_items_stay_and_an_unknown_margin_is_no_bar(shop: Shop) -> None:
    skirts = cluster(shop, "Skirts")
    editing.set_core(cluster=skirts, items=pks(shop, 105), by=Actor("api"))
    settings = AdaptationSettings(shop=shop, drift_budget=1.0, margin_floor=0.5)
    lets = allowed(settings, held(skirts, timezone.now()), "drop", pks(shop, 105, 106))
    assert (lets.items, dict(lets.stopped)) == (tuple(pks(shop, 106)), {"core": tuple(pks(shop, 105))})
    Item.objects.filter(pk__in=pks(shop, 203)).update(cost=None)
    assert allowed(settings, held(skirts, timezone.now()), "add", pks(shop, 203)).items == tuple(pks(shop, 203))


def test_a_day_has_one_budget_which_an_undo_gives_back(shop: Shop, user: Any) -> None:
    AdaptationSettings.objects.create(shop=shop, drift_budget=0.2)
    first, second = proposed(shop, "add", 203, 204), proposed(shop, "add", 205)
    apply_proposal(proposal=first, user=user)
    with pytest.raises(EditConflict, match="as much of the cluster today"):
        apply_proposal(proposal=second, user=user)
    assert (second.state, second.bound) == ("blocked", "drift_budget")
    row = BlockedAction.objects.get()
    assert (row.where, row.action, row.bound, row.times, row.example) == ("lasting", "add", "drift_budget", 1, str(second.pk))
    undo_proposal(proposal=first, by=Actor("merchandiser", user))
    apply_proposal(proposal=proposed(shop, "add", 205), user=user)
    assert "205" in inside(shop, "Skirts")


def test_a_run_proposes_no_more_than_the_budget_and_tells_what_it_left_out() -> None:
    shop = planted_shop()
    AdaptationSettings.objects.create(shop=shop, drift_budget=0.1)
    ItemCluster.objects.filter(shop=shop, name="Blouses").update(locked=True)
    propose_cluster_changes(shop)
    add = ClusterProposal.objects.get(shop=shop, kind="add", verdict="better")
    assert len(add.items) == 1
    assert list(add.evidence["stopped"]) == ["drift_budget"]
    ItemCluster.objects.filter(shop=shop, name="Skirts").update(locked=True)
    propose_cluster_changes(shop)
    add.refresh_from_db()
    assert (add.state, add.bound, len(add.items)) == ("blocked", "locked", 2)
    assert BlockedAction.objects.filter(shop=shop, bound="locked", cluster=add.cluster_id, action="add").exists()


# A day


def test_a_day_of_learning_is_undone_but_for_what_somebody_changed_since(shop: Shop, user: Any) -> None:
    AdaptationSettings.objects.create(shop=shop, drift_budget=1.0)
    first, second, third = proposed(shop, "add", 203), proposed(shop, "add", 204), proposed(shop, "downweight", 106)
    for each in (first, second, third):
        apply_proposal(proposal=each, user=user)
    by = Actor("merchandiser", user)
    editing.remove_items(cluster=cluster(shop, "Skirts"), items=pks(shop, 203), by=by)
    ClusterChange.objects.filter(batch=third.change).update(at=timezone.now() - dt.timedelta(days=1))
    undone = undo_day(shop=shop, day=timezone.now().astimezone(dt.UTC).date(), by=by, reason="A bad day")
    assert [change.undoes.batch for change in undone.changes] == [second.change]
    ((conflict, why),) = undone.conflicts
    assert (conflict.batch, "changed since" in why) == (first.change, True)
    for each in (first, second, third):
        each.refresh_from_db()
    assert [first.state, second.state, third.state] == ["applied", "undone", "applied"]
    assert inside(shop, "Skirts") & {"203", "204"} == set()
    assert proposals.undo_day(shop=shop, day=dt.date(2020, 1, 1), by=by).changes == ()


def test_an_erased_visit_is_no_example_of_what_was_blocked(shop: Shop) -> None:
    visit = Session.objects.create(shop=shop, session_id="visit", started_at=timezone.now(), last_at=timezone.now())
    for where in BlockedAction.Where.values:
        BlockedAction.objects.create(
            shop=shop, day=timezone.now().date(), where=where, cluster=1, action="add", bound="core", times=3, example="visit"
        )
    rights.delete_sessions(shop, {visit.pk: "visit"})
    assert dict(BlockedAction.objects.values_list("where", "example")) == {"session": "", "lasting": "visit"}
    assert set(BlockedAction.objects.values_list("times", flat=True)) == {3}
