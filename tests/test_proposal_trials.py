"""A proposal tried on simulated shoppers: that what is tried is what approving it makes, and that it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from clusters.item_clusters import with_edits
from clusters.lineage import Actor
from clusters.models import ItemCluster
from personas.components import to_parts
from personas.models import Shop
from recommendations.cluster_rows import write_clusters
from recommendations.engine import Engine
from recommendations.learning.models import AdaptationSettings, ClusterProposal
from recommendations.learning.proposal_trials import edited, try_proposal
from recommendations.learning.proposals import apply_proposal
from recommendations.reading import read_edits
from tests.overlay_shops import make_shop
from tests.worlds import make_world, train_world

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def trained() -> Engine:
    return train_world(make_world(sessions=150))


@pytest.fixture
def shop(trained: Engine, data_dir: Path, redis_client: redis.Redis) -> Shop:
    shop = make_shop(trained)
    write_clusters(shop, trained, by=Actor("training"))
    AdaptationSettings.objects.create(shop=shop, drift_budget=1.0)
    return shop


def proposals(shop: Shop) -> list[ClusterProposal]:
    """One of each kind, on two of the release's clusters."""
    one, other = ItemCluster.objects.filter(shop=shop).order_by("-size")[:2]
    own = list(one.memberships.values_list("item_id", flat=True))
    fresh = list(other.memberships.exclude(item__in=own).values_list("item_id", flat=True))[:2]
    kinds: dict[str, list[int]] = {"add": fresh, "drop": own[:2], "downweight": own[2:4], "relate": []}
    return [
        ClusterProposal.objects.create(
            shop=shop, cluster=one, kind=kind, verdict="better", target=other if kind in ("add", "relate") else None,
            items=[{"item": item, "weight": 0.5, "evidence": {"factor": 0.4}} for item in items],
            evidence={"judged_at": timezone.now().isoformat(), "tie": 0.5},
        )
        for kind, items in kinds.items()
    ]  # fmt: skip


def test_what_is_tried_is_what_approving_makes(shop: Shop, trained: Engine) -> None:
    user = get_user_model().objects.create(username="ann")
    known = frozenset(trained.clusters.learned.cluster_ids.tolist())
    for proposal in proposals(shop):
        edits = {edit.cluster_id: edit for edit in read_edits(shop, known=known)}
        edits[proposal.cluster_id] = edited(proposal, edits.get(proposal.cluster_id))
        tried = with_edits(trained.clusters, trained.catalogue, list(edits.values()))
        apply_proposal(proposal=proposal, user=user)
        made = with_edits(trained.clusters, trained.catalogue, read_edits(shop, known=known))
        ours, theirs = to_parts(tried)[0], to_parts(made)[0]
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{proposal.kind}: {name}")


def test_a_trial_is_the_same_each_time_and_its_page_tells_it(shop: Shop, admin_client: Any) -> None:
    proposal = proposals(shop)[0]
    first, why_not = try_proposal(proposal, sessions=30)
    assert first is not None
    assert why_not == ""
    assert first.difference.low <= first.difference.value <= first.difference.high
    assert try_proposal(proposal, sessions=30)[0] == first
    page = admin_client.post(reverse("admin:recommendations_clusterproposal_try", args=[proposal.pk])).content.decode()
    assert "60 simulated visits earned" in page


def test_without_a_release_it_says_so() -> None:
    bare = Shop.objects.create(slug="bare", name="Bare")
    cluster = ItemCluster.objects.create(shop=bare, name="A")
    proposal = ClusterProposal.objects.create(shop=bare, cluster=cluster, kind="drop")
    trial, why_not = try_proposal(proposal)
    assert trial is None
    assert "no active release yet" in why_not
