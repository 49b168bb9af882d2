"""Proposals tried by shoppers: an experiment whose challenger has the clusters as they would be, were the proposals approved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from clusters.cluster_drafts import EditError, count_items
from personas.models import Shop
from recommendations.learning import arm_clusters, experiments
from recommendations.learning.bounds import settings_of
from recommendations.learning.experiment_forms import CONTROL, RAILS
from recommendations.learning.lasting_bounds import WORDS, allowed, held
from recommendations.learning.models import ClusterProposal, Experiment
from recommendations.learning.proposals import ids_of, is_tried
from recommendations.models import Release

Kind, State, Verdict = ClusterProposal.Kind, ClusterProposal.State, ClusterProposal.Verdict

CHALLENGER = "With the changes"


class Sorted(NamedTuple):
    """Proposals that may be tried together, and those that may not, with why."""

    ready: tuple[ClusterProposal, ...]
    left: tuple[tuple[ClusterProposal, str], ...]


def sort_out(proposals: Sequence[ClusterProposal]) -> Sorted:
    """Which of some proposals may be tried in one experiment: those of the first one's shop that wait and that no bound stops."""
    ready, left = [], []
    for proposal in proposals:
        why_not = _why_not(proposal, proposals[0].shop)
        if why_not:
            left.append((proposal, why_not))
        else:
            ready.append(proposal)
    return Sorted(tuple(ready), tuple(left))


def _why_not(proposal: ClusterProposal, shop: Shop) -> str:
    if proposal.shop_id != shop.pk:
        return "it is of another shop"
    if proposal.state == State.BLOCKED:
        return f"it is blocked: {WORDS.get(proposal.bound, proposal.bound)}"
    if proposal.state != State.OPEN:
        return f"it is decided already: {proposal.get_state_display().lower()}"
    if proposal.verdict == Verdict.WORSE:
        return "it is known to be worse"
    if is_tried(proposal, timezone.now()):
        return "an experiment tries it already, or has told what it is worth"
    lets = allowed(settings_of(shop), held(proposal.cluster, timezone.now()), proposal.kind, ids_of(proposal))
    return f"it is blocked: {WORDS[lets.bound]}" if lets.bound else ""


def create(proposals: Sequence[ClusterProposal], *, name: str, share: float = 1.0, user: Any = None) -> Experiment:
    """A new experiment, not started, between the clusters as they are and as they would be with the proposals.

    share : of the shoppers that are in it, split evenly.  Raises EditError where one may not be tried, where they would change
    nothing, or where no release serves; ReleaseError where it can't be read.
    """
    rows = ClusterProposal.objects.filter(pk__in=[proposal.pk for proposal in proposals])
    chosen = list(rows.select_related("shop", "cluster", "target", "experiment").order_by("pk"))
    if not chosen:
        raise EditError("proposals", "must be at least one")
    shop = chosen[0].shop
    if left := sort_out(chosen).left:
        raise EditError("proposals", f"can't all be tried: “{left[0][0]}”, {left[0][1]}")
    active = Release.objects.active(shop)
    if active is None:
        raise EditError("experiment", "needs a release that serves: train the shop first")
    made = arm_clusters.make(shop, active, chosen)
    if not made.holds:
        raise EditError("proposals", "would change nothing any more: all is so already, or their items are gone")
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)
        told = arm_clusters.keep(shop, made)
        arms = [
            {"name": CONTROL, "share": share / 2},
            {"name": CHALLENGER, "share": share / 2, "clusters": told["clusters"]},
        ]
        rails = [{"metric": metric, "least": -fall / 100.0} for metric, fall in RAILS.items()]
        experiment = experiments.create(shop, name=name, arms=arms, guardrails=rails, user=user)
        holds = list(made.holds)
        experiment.arms[1] |= {**told, "tries": holds, "asked": holds, "of": active.components["clusters"]}
        experiment.save(update_fields=["arms"])
        ClusterProposal.objects.filter(pk__in=holds).update(experiment=experiment)
    return experiment


def name_for(proposals: Sequence[ClusterProposal]) -> str:
    """A name that such an experiment may have."""
    if len(proposals) == 1:
        return str(proposals[0])[:120]
    clusters = sorted({str(proposal.cluster) for proposal in proposals})
    items = sum(len(proposal.items) for proposal in proposals)
    of = f"“{clusters[0]}”" if len(clusters) == 1 else f"{len(clusters)} clusters"
    return f"{len(proposals)} proposals, {count_items(items)}, of {of}"[:120]
