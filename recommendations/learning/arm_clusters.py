"""Clusters of experiments' arms: what proposals would make of those that serve, and how arms follow what merchandisers edit.

Edits made since an arm's clusters were made reach its shoppers too: the arm is made anew of the edits as they stand, so that all
that differs from the control is what is tried. `follow` looks whether it must; it may be called at any time, and twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import transaction

from clusters import editing
from clusters.cluster_drafts import EditError
from clusters.edits import ClusterEdit
from clusters.item_clusters import ItemClusters, with_edits
from clusters.lineage import Actor
from clusters.models import ClusterChange
from personas.component_files import save_component
from personas.models import Shop
from recommendations import activation, releases
from recommendations.learning.models import ClusterProposal, Experiment
from recommendations.learning.proposals import ids_of, make_change, still_to_change
from recommendations.models import Release
from recommendations.reading import read_edits

logger = logging.getLogger(__name__)

TRYING = Actor(ClusterChange.Actor.LEARNING, who="tried in an experiment")


class Made(NamedTuple):
    """Clusters for an arm, not yet saved. edits : fingerprint of the merchandisers' edits in them.

    holds : primary keys of the proposals that they hold; one that is so already, or can't be made any more, is left out.
    """

    clusters: ItemClusters
    catalogue: str
    edits: str
    holds: tuple[int, ...]


def fits(shop: Shop, version: str) -> bool:
    """Whether clusters that are on disk are of the catalogue that serves."""
    active = Release.objects.active(shop)
    path = releases.root_of(shop) / "clusters" / version / "component.json"
    if active is None or not path.exists():
        return False
    return bool(json.loads(path.read_text())["catalogue"] == active.components.get("catalogue"))


def make(shop: Shop, active: Release, proposals: Sequence[ClusterProposal], *, version: str = "") -> Made:
    """The clusters of a component, by default those that serve, with the edits as they stand and the proposals as if applied.

    As `activation` would make them of the same edits, once the proposals were approved. Raises ReleaseError.
    """
    root, manifest = releases.root_of(shop), active.components
    of = manifest["catalogue"]
    catalogue = releases.load_component(root, "catalogue", of)
    clusters: ItemClusters = releases.load_component(root, "clusters", version or manifest["clusters"], catalogue=of)
    personas = releases.load_component(root, "personas", manifest["personas"], catalogue=of)
    now = activation.fingerprint(read_edits(shop, with_barred=False))
    edits, holds = edits_with(shop, proposals, known=frozenset(clusters.learned.cluster_ids.tolist()))
    return Made(with_edits(clusters, catalogue, edits, personas.attribute_descriptors), of, now, holds)


def edits_with(
    shop: Shop, proposals: Sequence[ClusterProposal], *, known: frozenset[int]
) -> tuple[tuple[ClusterEdit, ...], tuple[int, ...]]:
    """The shop's edits as they would be with the proposals approved, and the keys of those that change something.

    The very verbs that approving takes are done, and undone with their transaction: nobody ever sees the rows so.
    """
    holds = []
    with editing.editing(shop):
        whole = transaction.savepoint()
        for proposal in proposals:
            items = still_to_change(proposal, ids_of(proposal))
            try:
                with transaction.atomic():
                    if (items or proposal.kind == ClusterProposal.Kind.RELATE) and make_change(proposal, items, by=TRYING):
                        holds.append(proposal.pk)
            except EditError as error:
                logger.info("proposal %s is left out of what is tried: %s", proposal.pk, error)
        edits = read_edits(shop, known=known)
        transaction.savepoint_rollback(whole)
    return edits, tuple(holds)


def keep(shop: Shop, made: Made) -> dict[str, Any]:
    """Save an arm's clusters; what the arm says of them. Within the shop's lock: nothing is pruned before the arm names it."""
    version = save_component(releases.root_of(shop), "clusters", made.clusters, catalogue=made.catalogue)
    releases.record_components(shop, {"clusters": version})
    return {"clusters": version, "edits": made.edits}


def tried(experiment: Experiment) -> list[ClusterProposal]:
    """The proposals that wait for an experiment, in the order in which they are made."""
    waiting = ClusterProposal.objects.filter(experiment=experiment, state=ClusterProposal.State.OPEN)
    return list(waiting.select_related("shop", "cluster", "target").order_by("pk"))


def follow(experiment: Experiment) -> bool:
    """Bring the arms' clusters in line with the edits, the proposals and the release as they stand; whether one changed.

    Those of another catalogue are left: nothing can be made of them.
    """
    shop, active = experiment.shop, Release.objects.active(experiment.shop)
    if active is None or not any(arm.get("clusters") for arm in experiment.arms):
        return False
    now, proposals = activation.fingerprint(read_edits(shop, with_barred=False)), tried(experiment)
    changed: dict[str, Made] = {}
    for arm in experiment.arms:
        if not arm.get("clusters") or not fits(shop, arm["clusters"]) or _stands(arm, now, active, proposals):
            continue
        of = "" if arm.get("tries") is not None else arm["clusters"]
        changed[arm["name"]] = make(shop, active, proposals if arm.get("tries") is not None else (), version=of)
    if not changed:
        return False
    with transaction.atomic():
        Shop.objects.select_for_update().get(pk=shop.pk)
        row = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if row.state == Experiment.State.STOPPED:
            return False
        for arm in row.arms:
            if (made := changed.get(arm["name"])) is not None:
                arm |= keep(shop, made)
                if arm.get("tries") is not None:
                    arm |= {"tries": list(made.holds), "asked": [p.pk for p in proposals], "of": active.components["clusters"]}
        row.save(update_fields=["arms"])
    experiment.refresh_from_db()
    return True


def _stands(arm: Mapping[str, Any], edits: str, active: Release, proposals: Sequence[ClusterProposal]) -> bool:
    """Whether an arm's clusters are what they would be if they were made now."""
    if arm.get("tries") is not None:
        asked = [proposal.pk for proposal in proposals]
        return bool(arm.get("edits") == edits and arm.get("of") == active.components["clusters"] and arm.get("asked") == asked)
    return bool(edits_in(active.shop, arm) == edits)


def edits_in(shop: Shop, arm: Mapping[str, Any]) -> str:
    """Fingerprint of the edits that an arm's clusters hold: as it says, or as the release that they are of does."""
    if "edits" in arm:
        return str(arm["edits"])
    made = Release.objects.filter(shop=shop, components__clusters=arm["clusters"]).order_by("-number").first()
    return "not known" if made is None else activation.edits_of(made)
