"""Try before you publish: a proposal on shoppers simulated from the release that serves, before anybody decides."""

from __future__ import annotations

from dataclasses import replace

from clusters.edits import ClusterEdit
from clusters.item_clusters import with_edits
from clusters.models import ClusterMembership
from recommendations.desk.clusters.stories import engine_for
from recommendations.evaluation.adaptation.trial import Trial, simulate_change
from recommendations.learning.bounds import settings_of
from recommendations.learning.models import ClusterProposal
from recommendations.learning.policies import rewards_of
from recommendations.learning.proposals import LEAST_TIE, ids_of
from recommendations.reading import read_edits

SESSIONS = 60
"""Simulated visits of each side: an answer within some seconds, while somebody waits."""

Kind = ClusterProposal.Kind


def try_proposal(proposal: ClusterProposal, *, sessions: int = SESSIONS) -> tuple[Trial | None, str]:
    """What simulated shoppers make of the shop with the proposal beside the shop as it is; or None, and why it can't be told.

    The same shoppers each time: who tries twice gets the same answer.
    """
    engine, why_not = engine_for(proposal.shop)
    if engine is None:
        return None, why_not
    known = frozenset(engine.clusters.learned.cluster_ids.tolist())
    edits = {edit.cluster_id: edit for edit in read_edits(proposal.shop, known=known)}
    if proposal.cluster_id not in engine.clusters.position_of:
        return None, "The release that serves doesn't have this cluster yet."
    catalogue, attributes = engine.catalogue, engine.personas.attribute_descriptors
    before = with_edits(engine.clusters, catalogue, list(edits.values()), attributes)
    edits[proposal.cluster_id] = edited(proposal, edits.get(proposal.cluster_id))
    after = with_edits(engine.clusters, catalogue, list(edits.values()), attributes)
    rewards = rewards_of(settings_of(proposal.shop))
    trial = simulate_change(replace(engine, clusters=before), replace(engine, clusters=after), sessions=sessions, rewards=rewards)
    return trial, ""


def edited(proposal: ClusterProposal, edit: ClusterEdit | None) -> ClusterEdit:
    """A cluster's edit with the proposal in it, as the verbs of `clusters.editing` would leave it."""
    cluster, items = proposal.cluster, set(ids_of(proposal))
    edit = edit or ClusterEdit(cluster.pk, cluster.kind)
    if proposal.kind == Kind.RELATE:
        weight = float(proposal.evidence.get("tie") or LEAST_TIE)
        return replace(edit, ties={**edit.ties, int(proposal.target_id or 0): weight})
    if edit.members is not None:
        members = dict(ClusterMembership.objects.filter(cluster=cluster).values_list("item_id", "weight"))
        for each in proposal.items:
            if proposal.kind == Kind.DROP:
                members.pop(int(each["item"]), None)
            else:
                members[int(each["item"])] = max(float(each["weight"]), 1e-6)
        return replace(edit, members=members)
    if proposal.kind == Kind.ADD:
        return replace(edit, taken=edit.taken | (items - edit.core), excluded=edit.excluded - items)
    if proposal.kind == Kind.DROP:
        return replace(edit, excluded=edit.excluded | items, taken=edit.taken - items)
    factors = {int(each["item"]): float(each["evidence"]["factor"]) for each in proposal.items}
    return replace(edit, lessened={**edit.lessened, **factors})
