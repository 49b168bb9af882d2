"""Proposals tried by shoppers: what the challenger is served with, whose verdict they take, and that arms follow edits."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.utils import timezone

from clusters import editing
from clusters.adaptation import AdaptedClusters
from clusters.editing import Actor, EditConflict, EditError
from clusters.lineage import members_at
from clusters.models import ClusterChange, ClusterItemRule, ClusterMembership, ClusterTie, ItemCluster
from personas.models import Shop
from recommendations import activation, releases
from recommendations.cluster_rows import write_clusters
from recommendations.engine import Engine, start
from recommendations.learning import arm_clusters, experiments, proposal_experiments
from recommendations.learning.models import AdaptationSettings, ClusterProposal, Experiment
from recommendations.learning.proposals import apply_proposal, propose_cluster_changes, reject_proposal
from recommendations.models import Component, Release
from recommendations.serving import trials
from recommendations.serving.trials import ServedTrial, taken_up
from tests.overlay_shops import make_shop
from tests.test_experiments import visits
from tests.test_proposal_trials import proposals
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db
BY = Actor("merchandiser")


@pytest.fixture(scope="module")
def trained() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
def shop(trained: Engine, data_dir: Path, redis_client: redis.Redis) -> Shop:
    shop = make_shop(trained)
    write_clusters(shop, trained, by=Actor("training"))
    AdaptationSettings.objects.create(shop=shop, drift_budget=1.0)
    trials.load_parts.cache_clear()
    return shop


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password="correct horse")


def active(shop: Shop) -> Release:
    found = Release.objects.active(shop)
    assert found is not None
    return found


def challenger(made: Experiment) -> str:
    made.refresh_from_db()
    return str(made.arms[1]["clusters"])


def rows(shop: Shop) -> list[Any]:
    """All that an edit writes."""
    return [
        list(ClusterMembership.objects.order_by("pk").values_list()), list(ClusterItemRule.objects.order_by("pk").values_list()),
        list(ClusterTie.objects.values_list()), ClusterChange.objects.count(),
    ]  # fmt: skip


def judged(made: Experiment, gain: float, n: int = 600) -> None:
    visits(made, n, gain=gain)
    experiments.look(made.shop)
    made.refresh_from_db()


def test_the_challenger_has_the_clusters_that_approving_makes_and_meanwhile_nothing_is_changed(shop: Shop, ada: User) -> None:
    these, before = proposals(shop), rows(shop)
    made = proposal_experiments.create(these, name="Four changes", user=ada)
    assert rows(shop) == before
    assert made.arms[0].get("clusters", "") == ""
    assert made.arms[1]["tries"] == [each.pk for each in these]
    assert {p.experiment for p in ClusterProposal.objects.all()} == {made}
    for each in these:
        apply_proposal(proposal=each, user=ada)
    assert activation.publish_edits(shop).components["clusters"] == challenger(made)


def test_what_cannot_be_tried_is_told_with_why(shop: Shop, ada: User) -> None:
    add, drop, less, relate = proposals(shop)
    made = proposal_experiments.create([add], name="One")
    reject_proposal(proposal=drop, user=ada)
    ClusterProposal.objects.filter(pk=less.pk).update(verdict="worse")
    ClusterProposal.objects.filter(pk=relate.pk).update(state="blocked", bound="locked")
    told = proposal_experiments.sort_out(list(ClusterProposal.objects.order_by("pk")))
    assert not told.ready
    for (_, why), words in zip(told.left, ("tries it already", "decided", "worse", "the cluster is locked"), strict=True):
        assert words in why
    with pytest.raises(EditError, match="tries it already"):
        proposal_experiments.create([add], name="Two")
    experiments.discard(made)
    add.refresh_from_db()
    assert add.experiment is None
    ItemCluster.objects.filter(pk=add.cluster_id).update(locked=True)
    with pytest.raises(EditError, match="the cluster is locked"):
        proposal_experiments.create([ClusterProposal.objects.get(pk=add.pk)], name="Two")


def test_what_is_so_already_makes_no_experiment(shop: Shop) -> None:
    drop = proposals(shop)[1]
    editing.remove_items(cluster=drop.cluster, items=[each["item"] for each in drop.items], by=BY)
    with pytest.raises(EditError, match="change nothing any more"):
        proposal_experiments.create([drop], name="One")
    assert not Experiment.objects.exists()


# The verdict


@pytest.mark.parametrize(("gain", "verdict"), [(0.5, "better"), (-0.5, "worse")])
def test_proposals_take_the_verdict_of_the_experiment(shop: Shop, ada: User, gain: float, verdict: str) -> None:
    these = proposals(shop)[1:3]
    ClusterProposal.objects.update(verdict="unknown")
    these = list(ClusterProposal.objects.filter(pk__in=[p.pk for p in these]))
    made = proposal_experiments.create(these, name="Two drops")
    experiments.start(made)
    judged(made, 0.0, n=120)
    assert {p.verdict for p in ClusterProposal.objects.filter(experiment=made)} == {"unknown"}
    judged_too_soon = propose_cluster_changes(shop)
    assert judged_too_soon.stale == 2, "those that no experiment tries"
    made.sessions.all().delete()
    made.result = {}
    made.save()
    judged(made, gain)
    for each in these:
        each.refresh_from_db()
        told = made.result["differences"]["With the changes"]["reward"]
        assert (each.verdict, each.effect) == (verdict, round(told["value"], 5))
        assert each.low < each.effect < each.high
        assert (each.evidence["experiment"], each.evidence["together"], each.evidence["visits"]) == (made.pk, 2, [600, 600])
    experiments.stop(made)
    assert propose_cluster_changes(shop).stale == 0, "what shoppers told stands for two weeks"
    if verdict == "better":
        apply_proposal(proposal=these[0], user=ada)
        assert these[0].state == "applied"
    later = timezone.now() + dt.timedelta(days=15)
    assert propose_cluster_changes(shop, now=later).stale == (1 if verdict == "better" else 2)


def test_an_experiment_that_ended_before_it_could_tell_leaves_proposals_as_they_were(shop: Shop) -> None:
    drop = proposals(shop)[1]
    ClusterProposal.objects.filter(pk=drop.pk).update(verdict="unknown")
    drop.refresh_from_db()
    made = proposal_experiments.create([drop], name="One")
    experiments.start(made)
    judged(made, 0.0, n=120)
    experiments.stop(made)
    experiments.look(shop)
    drop.refresh_from_db()
    assert (drop.verdict, drop.state, "experiment" in drop.evidence) == ("unknown", "open", False)
    assert propose_cluster_changes(shop).kept == 0, "decisions judge it again"


# The winner


def test_making_the_arm_live_approves_its_proposals_and_taking_it_back_undoes_them(shop: Shop, ada: User) -> None:
    these = proposals(shop)
    one = these[0].cluster
    was = members_at(one, timezone.now())
    made = proposal_experiments.create(these, name="Four changes")
    experiments.start(made)
    judged(made, 0.5)
    arm = challenger(made)
    experiments.make_live(made, "With the changes", by=ada)
    assert {p.state for p in ClusterProposal.objects.all()} == {"applied"}
    assert active(shop).components["clusters"] == arm, "everybody is served as the arm was"
    assert made.result["live"]["approved"] == [p.pk for p in these]
    experiments.roll_back(made, by=ada)
    assert {p.state for p in ClusterProposal.objects.all()} == {"undone"}
    assert members_at(one, timezone.now()) == was
    with pytest.raises(EditConflict, match="started"):
        experiments.discard(made)


# Arms follow


def test_arms_follow_what_is_edited_and_a_state_made_under_other_clusters_is_brought_in_line(shop: Shop, trained: Engine) -> None:
    add = proposals(shop)[0]
    made = proposal_experiments.create([add], name="One")
    experiments.start(made)
    before = challenger(made)
    other = ItemCluster.objects.live().filter(shop=shop).exclude(pk__in=(add.cluster_id, add.target_id)).first()
    assert other is not None
    served = ServedTrial(trials.running()[shop.pk], trained, {"As it is": trained, "With the changes": trained})
    names = (f"s{n}" for n in range(100))
    name = next(n for n in names if (found := served.of(n, "", None)) is not None and found.arm == "With the changes")
    member = served.of(name, "", None)
    state = taken_up(trained, start(trained, shop=shop.pk, session=name, at=0.0), member)
    editing.retire(cluster=other, by=BY)
    experiments.look(shop)
    after = challenger(made)
    assert after != before, "edits are followed"
    experiments.look(shop)
    assert challenger(made) == after, "and once only"
    published = activation.publish_edits(shop)
    experiments.look(shop)
    clusters = load(shop, published, challenger(made))
    assert other.pk not in clusters.position_of
    assert {each["item"] for each in add.items} <= items_of(clusters, add.cluster_id)
    served = ServedTrial(trials.running()[shop.pk], trained, dict(served.engines))
    again = served.of(name, "", state)
    assert again is not None
    assert again != member
    engine = replace(trained, clusters=clusters)
    moved = replace(state, adapted=AdaptedClusters(mass={other.pk: 1.0, add.cluster_id: 1.0}))
    assert set(taken_up(engine, moved, again).adapted.mass) == {add.cluster_id}
    assert taken_up(engine, taken_up(engine, moved, again), again).trial == again


def load(shop: Shop, release: Release, version: str) -> Any:
    return releases.load_component(releases.root_of(shop), "clusters", version, catalogue=release.components["catalogue"])


def items_of(clusters: Any, cluster: int) -> set[int]:
    c = clusters.position_of[cluster]
    return set(clusters.item_ids[clusters.items.indices[clusters.items.indptr[c] : clusters.items.indptr[c + 1]]].tolist())


def test_an_arm_of_a_releases_clusters_follows_too(shop: Shop) -> None:
    now = active(shop)
    arms = ({"name": "as it is", "share": 0.5}, {"name": "new", "share": 0.5, "clusters": now.components["clusters"]})
    made = experiments.create(shop, name="Others", arms=arms)
    experiments.start(made)
    assert challenger(made) == now.components["clusters"]
    cluster = ItemCluster.objects.live().filter(shop=shop).first()
    assert cluster is not None
    editing.rename(cluster=cluster, name="By hand", by=BY)
    experiments.look(shop)
    clusters = load(shop, now, challenger(made))
    assert clusters.names[clusters.position_of[cluster.pk]] == "By hand"


def test_what_is_decided_meanwhile_leaves_the_arm_and_with_the_last_the_experiment_ends(shop: Shop, ada: User) -> None:
    add, drop, *_ = proposals(shop)
    made = proposal_experiments.create([add, drop], name="Two")
    experiments.start(made)
    reject_proposal(proposal=add, user=ada)
    experiments.look(shop)
    made.refresh_from_db()
    assert (made.arms[1]["tries"], made.state) == ([drop.pk], "running")
    reject_proposal(proposal=drop, user=ada)
    experiments.look(shop)
    made.refresh_from_db()
    assert (made.state, "nothing left to tell" in made.reason) == ("stopped", True)


@pytest.mark.parametrize("stopped", [False, True])
def test_an_arms_components_are_never_pruned(shop: Shop, stopped: bool) -> None:
    made = proposal_experiments.create([proposals(shop)[0]], name="One")
    experiments.start(made)
    if stopped:
        experiments.stop(made)
    releases.prune(shop, keep=0)
    assert Component.objects.filter(shop=shop, kind="clusters", version=challenger(made)).exists()
    assert arm_clusters.fits(shop, challenger(made))
    if not stopped:
        cluster = ItemCluster.objects.live().filter(shop=shop).last()
        assert cluster is not None
        before = challenger(made)
        editing.rename(cluster=cluster, name="By hand", by=BY)
        experiments.look(shop)
        releases.prune(shop, keep=0)
        assert not Component.objects.filter(shop=shop, kind="clusters", version=before).exists(), "what no arm has any more goes"
        assert arm_clusters.fits(shop, challenger(made))
